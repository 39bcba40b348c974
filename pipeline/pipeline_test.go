// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store notes what it is told; while blocked is open it takes nothing.
type store struct {
	blocked chan struct{}
	fail    error
	batches [][]float64
	ended   []string
	synced  int
}

func (s *store) AppendSamples(b *tallyman.Batch) (int, error) {
	if s.blocked != nil {
		<-s.blocked
	}
	if s.fail != nil {
		return 0, s.fail
	}
	var v []float64
	for _, one := range b.Samples {
		v = append(v, one.Value)
	}
	s.batches = append(s.batches, v)
	return 0, nil
}

func (s *store) EndSeries(_ time.Time, series []*tallyman.Series) error {
	for _, one := range series {
		s.ended = append(s.ended, one.Desc.Name)
	}
	return nil
}

func (s *store) Sync() error {
	s.synced++
	return nil
}

func (s *store) Close() error { return nil }

func series(name string) *tallyman.Series {
	return (&tallyman.Target{}).Series(&tallyman.Desc{Name: name})
}

func run(t *testing.T, s *store) (p *Pipeline, stop func()) {
	t.Helper()
	p = New(Limits{}, slog.New(slog.DiscardHandler), Outlet{"test", s})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return p, func() {
		cancel()
		<-done
	}
}

func batch(at time.Time, pairs ...any) *tallyman.Batch {
	b := &tallyman.Batch{}
	b.Reset(at)
	for i := 0; i < len(pairs); i += 2 {
		b.Add(pairs[i].(*tallyman.Series), float64(pairs[i+1].(int)))
	}
	return b
}

// ledger reads the pipeline's own numbers.
func readLedger(p *Pipeline) map[string]float64 {
	m := map[string]float64{}
	for _, o := range p.SelfMetrics() {
		name := strings.TrimSuffix(strings.TrimPrefix(o.Desc.Name, "tallyman_samples_"), "_total")
		for _, l := range o.Labels {
			if l.Name == "reason" {
				name += " " + l.Value
			}
		}
		m[name] = o.Read()
	}
	return m
}

func TestSeriesThatGoAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		p, stop := run(t, s)
		a, b, c := series("a"), series("b"), series("c")
		now := time.Now()
		p.Publish(batch(now, a, 1, b, 2), true)
		synctest.Wait()
		p.Publish(batch(now.Add(time.Second), b, 3, c, 4), true)
		synctest.Wait()
		p.Publish(batch(now.Add(2*time.Second), b, 9), false) // not stored: nothing has ended
		synctest.Wait()
		stop()
		if d := cmp.Diff([][]float64{{1, 2}, {3, 4}}, s.batches); d != "" {
			t.Errorf("stored (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"a"}, s.ended); d != "" {
			t.Errorf("ended (-want +got):\n%s", d)
		}
		if s.synced == 0 {
			t.Error("the store was not told to reach the disk")
		}
	})
}

// A part of a round is stored, ends nothing and is not the latest batch; what came in it
// alone ends with the next round.
func TestParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		p, stop := run(t, s)
		a, b, short := series("a"), series("b"), series("short")
		now := time.Now()
		part := func(at time.Duration, pairs ...any) {
			x := batch(now.Add(at), pairs...)
			x.Part = true
			p.Publish(x, true)
			synctest.Wait()
		}
		p.Publish(batch(now, a, 1, b, 2), true)
		part(time.Second, a, 3, short, 4)
		part(2*time.Second, a, 5)
		if len(s.ended) > 0 {
			t.Errorf("ended by a part: %q", s.ended)
		}
		if r, _ := p.Latest(nil); len(r) != 2 || r[0].Value != 1 {
			t.Errorf("the latest batch is %v, want the round", r)
		}
		p.Publish(batch(now.Add(3*time.Second), a, 6, b, 7), true)
		synctest.Wait()
		p.Publish(batch(now.Add(4*time.Second), a, 6, b, 7), true)
		synctest.Wait()
		part(5*time.Second, a, 8)
		p.Publish(batch(now.Add(6*time.Second), b, 9), true)
		stop()
		if d := cmp.Diff([][]float64{{1, 2}, {3, 4}, {5}, {6, 7}, {6, 7}, {8}, {9}}, s.batches); d != "" {
			t.Errorf("stored (-want +got):\n%s", d)
		}
		if d := cmp.Diff([]string{"short", "a"}, s.ended); d != "" {
			t.Errorf("ended (-want +got):\n%s", d)
		}
	})
}

// Where there is no room for more series a part of a round brings none; those that have
// a place keep it, and what is refused is counted each time.
func TestPartsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		p, stop := run(t, s)
		p.limiter.limits = Limits{Series: 3, PerTarget: 2}
		a, b, c := seriesOf(container("a"), 3), seriesOf(container("b"), 1), seriesOf(container("c"), 1)
		part := func(series ...[]*tallyman.Series) string {
			x := batchOf(series...)
			x.Part = true
			p.Publish(x, true)
			synctest.Wait()
			var names []string
			for _, one := range x.Samples {
				names = append(names, one.Series.Desc.Name)
			}
			return strings.Join(names, " ")
		}
		p.Publish(batchOf(a), true) // a2 is one too many of its target
		synctest.Wait()
		long := []*tallyman.Series{container("b").Series(&tallyman.Desc{Name: strings.Repeat("x", maxName+1)})}
		for _, one := range []struct{ got, want string }{
			{part(a), "a0 a1"},
			{part(b, long), "b0"},
			{part(c, a, b), "a0 a1 b0"}, // b's took the last place
		} {
			if one.got != one.want {
				t.Errorf("a part brought %q, want %q", one.got, one.want)
			}
		}
		p.Publish(batchOf(a, c), true) // b has gone
		synctest.Wait()
		if got := part(c, b); got != "c0" {
			t.Errorf("after the next round a part brought %q, want c0", got)
		}
		stop()
		l := readLedger(p)
		want := map[string]float64{"published": 19, "stored": 12, "dropped series_limit": 6, "dropped label_limit": 1}
		for name, v := range want {
			if l[name] != v {
				t.Errorf("%s = %v, want %v: %v", name, l[name], v, l)
			}
		}
	})
}

func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{blocked: make(chan struct{})}
		p, stop := run(t, s)
		a := series("a")
		for i := range 20 { // one is taken, sixteen wait, three are too many
			p.Publish(batch(time.Now(), a, i), true)
			synctest.Wait()
		}
		if l := readLedger(p); l["published"] != 20 || l["dropped slow_store"] != 3 || l["stored"] != 0 {
			t.Errorf("while the store is slow: %v", l)
		}
		close(s.blocked)
		synctest.Wait()
		s.fail = errors.New("disk full")
		p.Publish(batch(time.Now(), a, 99), true)
		synctest.Wait()
		stop()
		l := readLedger(p)
		if l["published"] != l["stored"]+l["dropped slow_store"]+l["dropped store_failed"]+l["dropped refused"] || l["dropped store_failed"] != 1 {
			t.Errorf("published is not stored and dropped: %v", l)
		}
		want := [][]float64{{0}}
		for i := 4; i < 20; i++ {
			want = append(want, []float64{float64(i)})
		}
		if d := cmp.Diff(want, s.batches); d != "" {
			t.Errorf("the oldest must go (-want +got):\n%s", d)
		}
	})
}

func TestLatestAndRates(t *testing.T) {
	p := New(Limits{}, slog.New(slog.DiscardHandler))
	a, b := series("a"), series("b")
	now := time.UnixMilli(1_700_000_000_000)
	p.Publish(batch(now, a, 10), true)
	r, generation := p.Latest(nil)
	if _, ok := r[0].Rate(); ok || len(r) != 1 {
		t.Errorf("a first reading has a rate: %+v", r)
	}
	p.Publish(batch(now.Add(2*time.Second), a, 30), true)
	p.Publish(batch(now.Add(2100*time.Millisecond), a, 31), false) // too near for a rate of its own
	r, same := p.Latest(nil)
	if v, ok := r[0].Rate(); !ok || v != 10 || same != generation {
		t.Errorf("rate = %v, %v; want 10, since 10 at the start and 31 after 2.1 s", v, ok)
	}
	p.Publish(batch(now.Add(4*time.Second), b, 1, a, 5), true)
	r, other := p.Latest(nil)
	if _, ok := r[1].Rate(); ok || other == same || r[1].Series != a {
		t.Errorf("a counter that went back has a rate: %+v", r)
	}
}

// events is an event store that fails as told.
type events struct {
	got  []string
	fail atomic.Pointer[error]
}

func (e *events) AppendEvents(list []tallyman.Event) error {
	if err := e.fail.Load(); err != nil {
		return *err
	}
	for _, one := range list {
		e.got = append(e.got, one.ID)
	}
	return nil
}

func (e *events) Events(context.Context, tallyman.EventQuery) ([]tallyman.Event, bool, error) {
	return nil, false, nil
}
func (e *events) Close() error { return nil }

func TestEventsAreStoredInOrderAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, full := &events{}, errors.New("disk full")
		e := NewEvents(s, slog.New(slog.DiscardHandler))
		for i := range maxEvents + 2 { // before it runs: the queue overflows by two
			e.ObserveEvent(tallyman.Event{ID: fmt.Sprint(i)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		if len(s.got) != maxEvents || s.got[0] != "2" {
			t.Errorf("%d stored, from %s; want %d, from 2", len(s.got), s.got[0], maxEvents)
		}
		s.fail.Store(&full)
		e.ObserveEvent(tallyman.Event{ID: "waits"})
		time.Sleep(10 * time.Second)
		e.ObserveEvent(tallyman.Event{ID: "too"})
		time.Sleep(10 * time.Second)
		if e.Settle(time.Second) {
			t.Error("two events wait, and yet it has settled")
		}
		s.fail.Store(nil) // by itself, after a while
		time.Sleep(retryEvery)
		synctest.Wait()
		if got := s.got[len(s.got)-2:]; got[0] != "waits" || got[1] != "too" || !e.Settle(0) {
			t.Errorf("after the disk has room again: %v", got)
		}
		s.fail.Store(&full)
		for i := range maxEvents + 5 {
			e.ObserveEvent(tallyman.Event{ID: fmt.Sprint("late", i)})
			if i == 0 {
				synctest.Wait() // one is under way
			}
		}
		time.Sleep(3 * time.Second)
		if e.dropped != 2+5 {
			t.Errorf("%d dropped, want 7", e.dropped)
		}
		s.fail.Store(nil)
		e.ObserveEvent(tallyman.Event{ID: "last"})
		cancel() // what is queued is stored all the same
		if err := <-done; err != nil || s.got[len(s.got)-1] != "last" {
			t.Errorf("at the end: %v, %v", err, s.got[len(s.got)-1])
		}
		if e.seen != e.stored+e.dropped+e.failed || e.failed != 0 {
			t.Errorf("seen %d, stored %d, dropped %d, failed %d do not add up", e.seen, e.stored, e.dropped, e.failed)
		}
	})
}
