// SPDX-License-Identifier: Apache-2.0

// Package enginestats asks the engine's stats API what a container uses. It
// takes the place of the kernel's files where those cannot be reached: an
// engine on another machine, or an agent that sees neither its processes nor
// its cgroups. The series are the same.
//
// # Cost
//
// The API costs the engine 80 to 100 times what the files cost, and an engine
// before version 25 takes up to a second for each answer. So it is a
// tallyman.Poller, which asks once per round, beside it and shortly before the next:
//
//	round n ──► emit what is known      round n+1 ──► emit
//	      └──── wait until shortly before ────► ask ─┘
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
	"context"
	"errors"
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
		Poll:     New,
	}
}

// plan: an engine before 25 answers with its next sample, which it takes each second.
var plan = tallyman.PollPlan{
	Lead: 2500 * time.Millisecond, Deadline: 8 * time.Second, Retry: time.Second, RetryMost: 10 * time.Second,
	Hold: 3, HoldLeast: 10 * time.Second, Parallel: 32,
}

// Source implements tallyman.Poller.
type Source struct {
	engines tallyman.Engines
}

var _ tallyman.Poller = (*Source)(nil)

// container is one container. The maps and the series are those of the polling
// goroutine.
type container struct {
	engines tallyman.Engines
	target  *tallyman.Target
	shared  string // why it has no network of its own
	series  map[key]*tallyman.Series

	mu  sync.Mutex
	err error
	// The last answer had no block IO, no kernel memory.
	empty, noKernel bool
}

var _ tallyman.Poll = (*container)(nil)

// key names a series of one container.
type key struct {
	desc  *tallyman.Desc
	label string
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Poller, error) {
	if o.Engines == nil {
		return nil, errors.New("there is no engine to ask for statistics")
	}
	return &Source{engines: o.Engines}, nil
}

// Plan asks once for each round.
func (*Source) Plan() tallyman.PollPlan { return plan }

// Close has nothing to close.
func (*Source) Close() error { return nil }

// Open begins with a container.
func (s *Source) Open(t *tallyman.Target) (tallyman.Poll, error) {
	c := &container{engines: s.engines, target: t, series: map[key]*tallyman.Series{}}
	switch mode := t.Container.NetworkMode; {
	case mode == "host":
		c.shared = "It shares the network of the host; the kernel does not count its part."
	case strings.HasPrefix(mode, "container:"):
		c.shared = "It shares the network of another container; see there."
	}
	return c, nil
}

// Absences name what the API does not give, and what it fails to.
func (c *container) Absences() []tallyman.Absence {
	const unlock = "run tallyman on that machine, in a container with `--pid=host --cgroupns=host -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro`"
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

// Poll asks the engine once.
func (c *container) Poll(ctx context.Context, b *tallyman.Batch) error {
	var a answer
	err := c.engines.EngineStats(ctx, c.target.Container.Engine, c.target.ID, &a)
	if err == nil && !a.taken() {
		return nil // it does not run: the API answers zeros
	}
	if err == nil {
		b.Samples = c.samples(b.Samples, &a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = err; err == nil {
		c.empty, c.noKernel = len(a.BlockIO.Bytes) == 0, !a.unified()
	}
	return err
}

// Close has nothing to close.
func (*container) Close() {}

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
