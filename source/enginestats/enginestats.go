// SPDX-License-Identifier: Apache-2.0

// Package enginestats asks the engine's stats API what a container uses. It
// takes the place of the kernel's files where those cannot be reached: an
// engine on another machine, or an agent that sees neither its processes nor
// its cgroups. The series are the same.
//
// # Cost
//
// The API costs the engine 80 to 100 times what the files cost, and an engine
// before version 25 takes up to a second for each answer. Asking is therefore
// done beside the rounds: at most parallel requests per engine, once per round.
//
//	round n ──► emit what is known      round n+1 ──► emit
//	      └──── wait until shortly before ────► ask ─┘
//
// So a value is at most lead older than the round that it is in. One that could
// not be had for stale is left out. A question that failed is asked once more
// after retry, and then with the next round.
//
// # What is absent
//
// Swap, OOM kills, pressure and, on cgroup v1, kernel memory are not in the API. An
// engine on cgroup v1 whose kernel does not count block IO gives an empty list,
// and so does a container without any: both are left out, because nobody can
// tell them apart. A network that is shared with the host or another container
// is not the container's own.
package enginestats

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:     "enginestats",
		Summary:  "CPU, memory, network and block IO of each container from the engine's stats API, where the kernel's files cannot be reached",
		Targets:  []tallyman.TargetKind{tallyman.ContainerTarget},
		Replaces: []string{"cgroup", "netns", "socket", "shm"},
		Metrics:  table(),
		New:      New,
	}
}

const (
	// lead is how long before a round the engines are asked. An engine before
	// 25 answers with its next sample, which it takes each second.
	lead = 2500 * time.Millisecond
	// stale is for how many intervals, and at least how long, an old value is
	// repeated.
	staleRounds = 3
	staleLeast  = 10 * time.Second
	// parallel requests to one engine.
	parallel = 32
	deadline = 8 * time.Second
	// retry is how long after a failure the engine is asked once more.
	retry = time.Second
)

// Source implements tallyman.Source.
type Source struct {
	ask  func(ctx context.Context, engine, id string, into any) error
	list []*container // sorted by id, so that rounds are alike

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	limits map[string]chan struct{} // by engine

	last     time.Time // round
	interval time.Duration
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

// container is one attached container.
type container struct {
	target *tallyman.Target
	limit  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan time.Duration // how long to wait before asking
	shared string             // why it has no network of its own

	mu     sync.Mutex
	values []tallyman.Sample // of the last answer
	at     time.Time         // when it came, zero for never
	err    error
	// The last answer had no block IO, no kernel memory.
	empty, noKernel bool

	series map[key]*tallyman.Series // the asking goroutine's
}

// key names a series of one container.
type key struct {
	desc  *tallyman.Desc
	label string
}

// New makes the source. Without an engine to ask every target is refused.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	s := &Source{ask: o.EngineStats, limits: map[string]chan struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Attach starts to ask for a container.
func (s *Source) Attach(t *tallyman.Target) error {
	if s.ask == nil {
		return errors.New("ask the engine for statistics: there is no engine")
	}
	engine := t.Container.Engine
	if s.limits[engine] == nil {
		s.limits[engine] = make(chan struct{}, parallel)
	}
	c := &container{target: t, limit: s.limits[engine], wake: make(chan time.Duration, 1), series: map[key]*tallyman.Series{}}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	switch mode := t.Container.NetworkMode; {
	case mode == "host":
		c.shared = "It shares the network of the host; the kernel does not count its part."
	case strings.HasPrefix(mode, "container:"):
		c.shared = "It shares the network of another container; see there."
	}
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, c)
	s.wg.Go(func() { c.run(s.ask) })
	c.wake <- 0
	return nil
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.target.ID, id) })
}

// Detach stops asking for a container.
func (s *Source) Detach(t *tallyman.Target) {
	if at, ok := s.find(t); ok {
		s.list[at].cancel()
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close stops asking, and waits for what is under way.
func (s *Source) Close() error {
	s.cancel()
	s.wg.Wait()
	s.list = nil
	return nil
}

// Collect appends what is known, and plans the next question so that its
// answer is there shortly before the next round.
func (s *Source) Collect(b *tallyman.Batch) {
	if len(s.list) == 0 {
		return
	}
	if gap := b.Time.Sub(s.last); gap > 0 && gap < 10*time.Minute {
		s.interval = gap
	}
	s.last = b.Time
	wait := max(0, s.interval-lead)
	oldest := time.Now().Add(-max(staleLeast, staleRounds*s.interval))
	for _, c := range s.list {
		c.mu.Lock()
		if c.at.After(oldest) {
			b.Samples = append(b.Samples, c.values...)
		}
		c.mu.Unlock()
		select {
		case c.wake <- wait:
		default: // the last question is still open
		}
	}
}

// Absences name what the API does not give, and what it fails to.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	at, ok := s.find(t)
	if !ok {
		return nil
	}
	c := s.list[at]
	const unlock = "run tallyman on that machine, with --pid=host --cgroupns=host -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro in a container"
	a := []tallyman.Absence{
		{What: "swap", Reason: "The numbers come from the engine's stats API, which does not tell it.", Unlock: unlock},
		{What: "OOM kills", Reason: "The numbers come from the engine's stats API, which does not tell them; the events do.", Unlock: unlock},
		{What: "TCP states", Reason: "The numbers come from the engine's stats API, which does not tell them.", Unlock: unlock},
		{What: "shared memory", Reason: "The numbers come from the engine's stats API, which does not tell it.", Unlock: unlock},
		{What: "pressure", Reason: "The numbers come from the engine's stats API, which does not tell it.", Unlock: unlock},
	}
	if c.shared != "" {
		a = append(a, tallyman.Absence{Code: tallyman.Shared, What: "network", Reason: c.shared})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noKernel {
		a = append(a, tallyman.Absence{What: "kernel memory", Reason: "The engine is on cgroup v1, whose kernel memory its stats API does not tell.", Unlock: unlock})
	}
	if c.empty {
		a = append(a, tallyman.Absence{What: "block IO", Reason: "The engine's stats API lists no device: there was no IO, or its kernel does not count it.", Unlock: unlock})
	}
	if c.err != nil {
		a = append(a, tallyman.Absence{What: "all numbers", Reason: "The engine gave no statistics: " + c.err.Error() + "."})
	}
	return a
}

// run asks whenever it is woken, until the container is detached.
func (c *container) run(ask func(ctx context.Context, engine, id string, into any) error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var wait time.Duration
		select {
		case <-c.ctx.Done():
			return
		case wait = <-c.wake:
		}
		timer.Reset(wait)
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		}
		if err := c.askOnce(ask); err == nil || c.ctx.Err() != nil {
			continue
		}
		timer.Reset(retry)
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		}
		_ = c.askOnce(ask) // kept in c.err
	}
}

// askOnce asks, and keeps the answer or the error, which it also returns.
func (c *container) askOnce(ask func(ctx context.Context, engine, id string, into any) error) error {
	select {
	case <-c.ctx.Done():
		return c.ctx.Err()
	case c.limit <- struct{}{}:
	}
	var a answer
	ctx, cancel := context.WithTimeout(c.ctx, deadline)
	err := ask(ctx, c.target.Container.Engine, c.target.ID, &a)
	cancel()
	<-c.limit
	c.take(&a, err)
	return err
}

// take makes samples of an answer.
func (c *container) take(a *answer, err error) {
	if err == nil && !a.taken() {
		return // it does not run: the API answers zeros
	}
	var values []tallyman.Sample
	if err == nil {
		values = c.samples(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.values, c.at = values, time.Now()
		c.empty, c.noKernel = len(a.BlockIO.Bytes) == 0, !a.unified()
	}
}

// of is an interned series of the container.
func (c *container) of(d *tallyman.Desc, label string, extra ...tallyman.Label) *tallyman.Series {
	k := key{d, label}
	s := c.series[k]
	if s == nil {
		s = c.target.Series(d, extra...)
		c.series[k] = s
	}
	return s
}
