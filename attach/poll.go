// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
)

// polling makes a source of a tallyman.Poller: it has a goroutine for each target, and
// gives the rounds what they have found out.
type polling struct {
	name   string
	poller tallyman.Poller
	plan   tallyman.PollPlan
	log    *slog.Logger
	panics *atomic.Uint64
	list   []*polled          // sorted by id, so that rounds are alike
	past   map[string]*polled // detached; their values and turns are kept
	gates  map[string]*gate   // by engine

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	last     time.Time // round
	interval time.Duration
}

var (
	_ tallyman.Source   = (*polling)(nil)
	_ tallyman.Absentee = (*polling)(nil)
)

// polled is one target.
type polled struct {
	target *tallyman.Target
	poll   tallyman.Poll
	gate   *gate
	cancel context.CancelFunc
	wake   chan time.Duration // how long to wait before the poll of the next round

	mu     sync.Mutex
	values []tallyman.Sample // of the last answer
	at     time.Time         // when it came, zero for never
	due    time.Time         // the next poll, where the plan has its own rhythm
	kept   bool              // the values are of the container before, which had another poll
	fault  string            // the panic that ended it
}

// gate lets so many polls of one engine go at once, and none while it rests.
type gate struct {
	places chan struct{}
	mu     sync.Mutex
	rest   time.Time
}

func newPolling(name string, p tallyman.Poller, log *slog.Logger, panics *atomic.Uint64) *polling {
	s := &polling{name: name, poller: p, plan: p.Plan(), log: log, panics: panics, past: map[string]*polled{}, gates: map[string]*gate{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Attach starts to poll a target.
func (s *polling) Attach(t *tallyman.Target) error {
	poll, err := s.poller.Open(t)
	if err != nil {
		return err
	}
	engine := ""
	if t.Container != nil {
		engine = t.Container.Engine
	}
	if s.gates[engine] == nil {
		s.gates[engine] = &gate{places: make(chan struct{}, max(s.plan.Parallel, 1))}
	}
	p := &polled{target: t, poll: poll, gate: s.gates[engine], wake: make(chan time.Duration, 1), due: time.Now().Add(s.plan.First)}
	if before := s.past[t.ID]; before != nil {
		before.mu.Lock()
		p.values, p.at, p.due = moved(before.values, before.target, t), before.at, before.due
		p.kept = !p.at.IsZero()
		before.mu.Unlock()
		delete(s.past, t.ID)
	}
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, p)
	if s.plan.Every == 0 && s.plan.First == 0 {
		p.wake <- 0
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(s.ctx)
	s.wg.Go(func() { s.run(ctx, p) })
	return nil
}

// moved are samples of a target as those of the one that took its place.
func moved(values []tallyman.Sample, from, to *tallyman.Target) (out []tallyman.Sample) {
	for _, v := range values {
		own := slices.DeleteFunc(slices.Clone(v.Series.Labels), func(l tallyman.Label) bool { return slices.Contains(from.Labels, l) })
		v.Series = to.Series(v.Series.Desc, own...)
		out = append(out, v)
	}
	return out
}

func (s *polling) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(p *polled, id string) int { return cmp.Compare(p.target.ID, id) })
}

// Detach stops polling a target.
func (s *polling) Detach(t *tallyman.Target) {
	at, ok := s.find(t)
	if !ok {
		return
	}
	p := s.list[at]
	p.cancel()
	s.list = slices.Delete(s.list, at, at+1)
	if s.plan.Keep {
		s.past[t.ID] = p
	}
}

// Close stops polling, and waits for what is under way.
func (s *polling) Close() error {
	s.cancel()
	s.wg.Wait()
	s.list = nil
	return s.poller.Close()
}

// Collect appends what is known, and plans the next polls so that their answers are
// there shortly before the next round.
func (s *polling) Collect(b *tallyman.Batch) {
	if gap := b.Time.Sub(s.last); gap > 0 && gap < 10*time.Minute {
		s.interval = gap
	}
	s.last = b.Time
	now := time.Now()
	turn := cmp.Or(s.plan.Every, s.interval)
	oldest := now.Add(-max(s.plan.HoldLeast, time.Duration(s.plan.Hold)*turn))
	wait := max(0, s.interval-s.plan.Lead)
	for _, p := range s.list {
		p.mu.Lock()
		if p.at.After(oldest) {
			b.Samples = append(b.Samples, p.values...)
		}
		p.mu.Unlock()
		if s.plan.Every == 0 {
			select {
			case p.wake <- wait:
			default: // the last poll is still under way
			}
		}
	}
	// What is not attached again within a turn is forgotten.
	for id, p := range s.past {
		if now.After(p.due.Add(s.plan.Every)) {
			delete(s.past, id)
		}
	}
}

// Absences are those of the target's poll.
func (s *polling) Absences(t *tallyman.Target) []tallyman.Absence {
	at, ok := s.find(t)
	if !ok {
		return nil
	}
	p := s.list[at]
	p.mu.Lock()
	fault, kept := p.fault, p.kept
	p.mu.Unlock()
	switch {
	case kept:
		return nil
	case fault != "":
		return []tallyman.Absence{{What: s.name, Reason: "A fault of tallyman has ended it: " + fault + ". Its log has the details."}}
	}
	return p.poll.Absences()
}

// run polls one target until ctx ends.
func (s *polling) run(ctx context.Context, p *polled) {
	defer p.poll.Close()
	defer func() {
		if r := recover(); r != nil {
			s.panics.Add(1)
			s.log.Error("a fault has ended the polling of a target", "target", name(p.target), "panic", r, "stack", string(debug.Stack()))
			p.mu.Lock()
			p.fault = fmt.Sprint(r)
			p.mu.Unlock()
		}
	}()
	var b tallyman.Batch
	pace, paced := p.poll.(tallyman.Paced)
	for failures := 0; ; {
		switch {
		case paced:
			if !Sleep(ctx, pace.Pause()) {
				return
			}
		case failures == 0 && !s.turn(ctx, p), failures > 0 && !Sleep(ctx, s.backOff(failures)):
			return
		}
		b.Reset(time.Now())
		err := s.poll(ctx, p, &b)
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		now := time.Now()
		if err == nil && len(b.Samples) > 0 {
			p.values, p.at = append(p.values[:0:0], b.Samples...), now
		}
		p.due, p.kept = now.Add(s.plan.Every), false
		p.mu.Unlock()
		if failures++; err == nil {
			failures = 0
		}
	}
}

// turn waits until the target is to be polled.
func (s *polling) turn(ctx context.Context, p *polled) bool {
	if s.plan.Every > 0 {
		p.mu.Lock()
		due := p.due
		p.mu.Unlock()
		return Sleep(ctx, time.Until(due))
	}
	select {
	case <-ctx.Done():
		return false
	case wait := <-p.wake:
		return Sleep(ctx, wait)
	}
}

// backOff is the pause after so many failures in a row.
func (s *polling) backOff(failures int) time.Duration {
	d := s.plan.Retry
	for range min(failures-1, 30) {
		d = min(2*d, s.plan.RetryMost)
	}
	return d - time.Duration(rand.Int64N(int64(d/10)+1))
}

// poll asks once, when its engine has a place.
func (s *polling) poll(ctx context.Context, p *polled, b *tallyman.Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p.gate.places <- struct{}{}:
	}
	defer func() { <-p.gate.places }()
	for {
		p.gate.mu.Lock()
		rest := time.Until(p.gate.rest)
		p.gate.mu.Unlock()
		if rest <= 0 {
			break
		}
		if !Sleep(ctx, rest) {
			return ctx.Err()
		}
	}
	began := time.Now()
	one, cancel := context.WithTimeout(ctx, s.plan.Deadline)
	defer cancel()
	err := p.poll.Poll(one, b)
	if s.plan.Rest > 0 {
		p.gate.mu.Lock()
		p.gate.rest = time.Now().Add(time.Duration(s.plan.Rest) * time.Since(began))
		p.gate.mu.Unlock()
	}
	return err
}

// Sleep waits; false says that ctx has ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
