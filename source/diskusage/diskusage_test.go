// SPDX-License-Identifier: Apache-2.0

package diskusage

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine answers sizes and notes when it was asked.
type engine struct {
	mu    sync.Mutex
	asked []string
	times []time.Time
	busy  int
	most  int
	takes time.Duration
	fail  error
}

func (e *engine) size(ctx context.Context, _, id string) (int64, error) {
	e.mu.Lock()
	e.asked, e.times = append(e.asked, id), append(e.times, time.Now())
	e.busy++
	e.most = max(e.most, e.busy)
	takes, fail := e.takes, e.fail
	e.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		fail = ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy--
	return int64(1000 * len(id)), fail
}

func (e *engine) log() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.asked, " ")
}

func open(t *testing.T, e *engine, every time.Duration) *Source {
	t.Helper()
	s, err := Kind().New(tallyman.SourceOptions{EngineSize: e.size, DiskUsage: every})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*Source)
}

func target(id string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, Engine: "local"}}
}

// collect is one round, by container.
func collect(s *Source) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		got[one.Series.Target.ID] = one.Value
	}
	return got
}

func TestEachContainerOnceInAWhileAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{takes: 2 * time.Second}
		s := open(t, e, time.Hour)
		defer s.Close()
		for _, id := range []string{"a", "bb"} {
			if err := s.Attach(target(id)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(50 * time.Second)
		if got := e.log(); got != "" {
			t.Errorf("asked for %q within the first minute", got)
		}
		if a := s.Absences(target("a")); len(a) != 1 || !strings.Contains(a[0].Reason, "turn yet") {
			t.Errorf("Absences = %+v, want that it was not asked yet", a)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := collect(s); got["a"] != 1000 || got["bb"] != 2000 {
			t.Errorf("sizes %v, want 1000 and 2000", got)
		}
		if a := s.Absences(target("a")); len(a) != 0 {
			t.Errorf("Absences = %+v, want none", a)
		}
		if gap := e.times[1].Sub(e.times[0]); gap < 42*time.Second {
			t.Errorf("%v between two questions, want twenty times what the first took", gap)
		}
		// A restart asks for nothing and loses nothing.
		for range 5 {
			s.Detach(target("a"))
			if err := s.Attach(target("a")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got := collect(s); got["a"] != 1000 || e.log() != "a bb" {
			t.Errorf("after restarts: %v, asked %q", got, e.log())
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := e.log(); got != "a bb a bb a bb" || e.most != 1 {
			t.Errorf("in three hours asked %q, at most %d at once; want each three times, one at a time", got, e.most)
		}
		s.Detach(target("a"))
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(s.past) != 1 {
			t.Errorf("%d containers are remembered, want the attached one", len(s.past))
		}
	})
}

func TestAFailureIsToldAndTheOldValueGoesInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{}
		s := open(t, e, time.Hour)
		defer s.Close()
		if err := s.Attach(target("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		e.mu.Lock()
		e.fail = errors.New("the engine is away")
		e.mu.Unlock()
		time.Sleep(90 * time.Minute)
		if got := collect(s); got["a"] != 1000 {
			t.Errorf("after one failure: %v, want the old value", got)
		}
		if a := s.Absences(target("a")); len(a) != 1 || !strings.Contains(a[0].Reason, "the engine is away") {
			t.Errorf("Absences = %+v, want the reason", a)
		}
		time.Sleep(3 * time.Hour)
		if got := collect(s); len(got) != 0 {
			t.Errorf("after three turns: %v, want nothing", got)
		}
	})
}

func TestOffAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{}
		s := open(t, e, 0)
		defer s.Close()
		if err := s.Attach(target("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		if a := s.Absences(target("a")); e.log() != "" || len(collect(s)) != 0 || len(a) != 1 || a[0].Unlock != "disk_usage: 1h" {
			t.Errorf("asked %q, absent %+v", e.log(), a)
		}
	})
}

// prompt is a source whose targets have had their turn.
type prompt struct{ *Source }

func (p prompt) Attach(t *tallyman.Target) error {
	err := p.Source.Attach(t)
	p.mu.Lock()
	p.past[t.ID].take(1, nil, time.Hour)
	p.mu.Unlock()
	return err
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return prompt{open(t, &engine{}, time.Hour)}, []*tallyman.Target{target("a"), target("bb")}
	})
}
