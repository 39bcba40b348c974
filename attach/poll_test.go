// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

var polledMetric = &tallyman.Desc{Name: "test_polled", Type: tallyman.Gauge, Help: "A number that is asked for"}

// asking is a poller that notes when it was asked.
type asking struct {
	plan tallyman.PollPlan

	mu         sync.Mutex
	begin      time.Time
	at         []float64 // seconds
	ids        []string
	busy, most int
	open       int
	takes      time.Duration
	fail       error
	panics     string // the id whose poll panics
}

type askingOne struct {
	p *asking
	t *tallyman.Target
}

func (p *asking) Plan() tallyman.PollPlan { return p.plan }
func (p *asking) Close() error            { return nil }
func (p *asking) Open(t *tallyman.Target) (tallyman.Poll, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open++
	return &askingOne{p, t}, nil
}

func (o *askingOne) Absences() []tallyman.Absence { return []tallyman.Absence{{What: "it was opened"}} }

func (o *askingOne) Close() {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	o.p.open--
}

func (o *askingOne) Poll(ctx context.Context, b *tallyman.Batch) error {
	p := o.p
	p.mu.Lock()
	p.at, p.ids = append(p.at, time.Since(p.begin).Seconds()), append(p.ids, o.t.ID)
	p.busy++
	p.most = max(p.most, p.busy)
	takes, fail, panics := p.takes, p.fail, p.panics
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.busy--
		p.mu.Unlock()
	}()
	if !Sleep(ctx, takes) {
		return ctx.Err()
	}
	if panics == o.t.ID {
		panic("index out of range")
	}
	if fail == nil {
		b.Add(o.t.Series(polledMetric, tallyman.Label{Name: "own", Value: "1"}), float64(len(o.t.ID)))
	}
	return fail
}

func (p *asking) asked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.ids, " ")
}

func pollingOf(t *testing.T, p *asking, targets ...*tallyman.Target) (*polling, *atomic.Uint64) {
	t.Helper()
	p.begin = time.Now()
	panics := &atomic.Uint64{}
	s := newPolling("asking", p, slog.New(slog.DiscardHandler), panics)
	for _, tg := range targets {
		if err := s.Attach(tg); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil || p.open != 0 {
			t.Errorf("after Close %d polls are open, %v", p.open, err)
		}
	})
	return s, panics
}

func polledTarget(id, name string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Labels: []tallyman.Label{{Name: "name", Value: name}},
		Container: &tallyman.Container{ID: id, Name: name, Engine: "local"}}
}

func oneRound(s *polling) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		got[one.Series.Target.ID+" "+one.Series.Labels[0].Value] = one.Value
	}
	return got
}

// Each target is asked shortly before each round, a slow answer is waited for, and
// what does not come for long is absent.
func TestPollForEachRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &asking{takes: time.Second, plan: tallyman.PollPlan{Lead: 2500 * time.Millisecond, Deadline: 8 * time.Second,
			Retry: time.Second, RetryMost: 10 * time.Second, Hold: 3, HoldLeast: 10 * time.Second, Parallel: 2}}
		s, _ := pollingOf(t, p, polledTarget("a", "web"))
		var sizes []int
		for i := range 10 {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			sizes = append(sizes, len(oneRound(s)))
			if i == 3 {
				p.mu.Lock()
				if d := cmp.Diff([]float64{0, 10, 27.5, 37.5}, p.at); d != "" { // the first round knows no interval yet
					t.Errorf("asked at (-want +got):\n%s", d)
				}
				p.fail = errors.New("the engine is down")
				p.mu.Unlock()
			}
		}
		if d := cmp.Diff([]int{1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, sizes); d != "" {
			t.Errorf("samples of the rounds (-want +got):\n%s", d)
		}
		p.mu.Lock()
		var pauses []time.Duration
		for i := len(p.at) - 2; i < len(p.at); i++ {
			pauses = append(pauses, time.Duration((p.at[i]-p.at[i-1]-1)*float64(time.Second)))
		}
		p.mu.Unlock()
		for _, d := range pauses {
			if d < 9*time.Second || d > 10*time.Second {
				t.Errorf("pauses after failures %v, want at most the longest, a tenth of it by chance", pauses)
				break
			}
		}
	})
}

// One failure, as while an engine starts, costs no round.
func TestAFailedPollIsDoneAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &asking{fail: errors.New("not yet"), plan: tallyman.PollPlan{Deadline: time.Second, Retry: time.Second, RetryMost: time.Minute, Hold: 3, HoldLeast: time.Minute, Parallel: 1}}
		s, _ := pollingOf(t, p, polledTarget("a", "web"))
		time.Sleep(500 * time.Millisecond)
		p.mu.Lock()
		p.fail = nil
		p.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := oneRound(s); len(got) != 1 || p.asked() != "a a" {
			t.Errorf("%v after %q, want a value after two polls", got, p.asked())
		}
	})
}

// A poller with a rhythm of its own: rarely, one target of an engine at a time, with a
// rest after what was slow. A container that is attached again keeps its value.
func TestPollRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &asking{takes: 2 * time.Second, plan: tallyman.PollPlan{Every: time.Hour, First: time.Minute, Deadline: 30 * time.Second,
			Retry: time.Minute, RetryMost: 10 * time.Minute, Hold: 3, Parallel: 1, Rest: 20, Keep: true}}
		a := polledTarget("a", "web")
		s, _ := pollingOf(t, p, a)
		time.Sleep(time.Second)
		if err := s.Attach(polledTarget("bb", "db")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if got := p.asked(); got != "" {
			t.Errorf("asked for %q within the first minute", got)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if d := cmp.Diff(map[string]float64{"a web": 1, "bb db": 2}, oneRound(s)); d != "" {
			t.Errorf("values (-want +got):\n%s", d)
		}
		if gap := p.at[1] - p.at[0]; gap < 42 {
			t.Errorf("%v s between two polls, want twenty times what the first took", gap)
		}
		// A restart asks for nothing and loses nothing; the series is that of the new name.
		for range 5 {
			s.Detach(a)
			a = polledTarget("a", "web2")
			if err := s.Attach(a); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if got := oneRound(s); got["a web2"] != 1 || p.asked() != "a bb" || s.Absences(a) != nil {
			t.Errorf("after restarts: %v, asked %q, absent %v", got, p.asked(), s.Absences(a))
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := p.asked(); got != "a bb a bb a bb" || p.most != 1 {
			t.Errorf("in three hours asked %q, at most %d at once; want each three times, one at a time", got, p.most)
		}
		p.mu.Lock()
		p.fail = errors.New("the engine is away")
		p.mu.Unlock()
		time.Sleep(90 * time.Minute)
		if got := oneRound(s); len(got) != 2 {
			t.Errorf("after failures within the hold: %v, want the old values", got)
		}
		time.Sleep(3 * time.Hour)
		if got := oneRound(s); len(got) != 0 {
			t.Errorf("after three turns: %v, want nothing", got)
		}
		s.Detach(a)
		time.Sleep(3 * time.Hour)
		if oneRound(s); len(s.past) != 0 {
			t.Errorf("%d detached containers are remembered after their turn, want none", len(s.past))
		}
	})
}

// A panic ends the polling of its target, is counted and said; its neighbours go on.
func TestAPanicEndsOneTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &asking{panics: "a", plan: tallyman.PollPlan{Deadline: time.Second, Retry: time.Second, RetryMost: time.Second, Hold: 3, HoldLeast: time.Minute, Parallel: 1}}
		a := polledTarget("a", "web")
		s, panics := pollingOf(t, p, a, polledTarget("bb", "db"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := oneRound(s); len(got) != 1 || got["bb db"] != 2 || panics.Load() != 1 {
			t.Errorf("%v, %d panics; want the other target's value and one panic", got, panics.Load())
		}
		if x := s.Absences(a); len(x) != 1 || !strings.Contains(x[0].Reason, "index out of range") {
			t.Errorf("Absences = %+v, want the fault", x)
		}
		s.Detach(a)
		p.mu.Lock()
		p.panics = ""
		p.mu.Unlock()
		if err := s.Attach(a); err != nil { // a restart begins anew
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := oneRound(s); len(got) != 2 {
			t.Errorf("%v after a restart, want both", got)
		}
	})
}
