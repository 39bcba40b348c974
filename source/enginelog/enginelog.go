// SPDX-License-Identifier: Apache-2.0

// Package enginelog follows the logs of containers through the engine's API,
// where their files cannot be reached: on another machine, or without the mount
// of the folder that they lie in. It is best effort: an engine that rotates a
// log while it is followed loses lines and repeats some, and each line costs it
// about a hundred times as much as reading the file does. Of a container that the
// engine removes as soon as it ends, what was not asked for by then is lost; those
// of which nothing came are counted.
//
// A position is the time of the newest line and how many lines had that time:
// the log is asked for again from that time on, and as many lines left out. It
// commits with the lines. Records are those of source/containerlog.
//
// Each container that is followed has a goroutine and a connection, at most
// [Options.Most]. The log of a container that has stopped is read to its end, and
// then its place is free. Containers that run wait for a place before those that
// have stopped, and are absent with the reason until they have one. So is a log
// that the engine stops giving.
package enginelog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
)

// Options of a follower. All fields but Most and Rules are needed.
type Options struct {
	Records tallyman.RecordIntake
	// Open follows a container's log from a time on.
	Open func(ctx context.Context, engine, id string, since time.Time) (io.ReadCloser, error)
	// Wants reports whether a container's log is to be had in no better way; known
	// is false as long as that is not found out.
	Wants func(c *tallyman.Container) (wants, known bool)
	// Most is how many are followed at once, 0 for 200.
	Most int
	// Rules say what is asked for the lines of a container, nil for nothing;
	// with logrule.ErrRedact its log is not followed.
	Rules func(c *tallyman.Container) (*logrule.Rule, error)
	Log   *slog.Logger

	timing timing // for tests
}

// timing is how long what is waited for.
type timing struct {
	// known is how long at most it is waited until it is known whether there is a
	// better way, look how often that is asked.
	known, look time.Duration
	// gather is how long lines wait for others before they are stored.
	gather time.Duration
	// retryMin and retryMax are between two attempts to follow.
	retryMin, retryMax time.Duration
	// healthy is after how long an answer without lines is a quiet log.
	healthy time.Duration
}

const (
	keyPrefix = "enginelog/"
	// commitAt is how many bytes of lines are stored together at most.
	commitAt = 256 << 10
	// suspicious is how often in a row an engine may give nothing of a container
	// that runs before that is said.
	suspicious = 3
)

// Follower implements tallyman.ContainerObserver.
type Follower struct {
	o     Options
	count counts

	mu      sync.Mutex
	ctx     context.Context // of Run, nil before
	wg      sync.WaitGroup
	known   map[string]*tallyman.Container
	running map[string]*follow
	waiting []*tallyman.Container // for a place, the longest first
	read    map[string]time.Time  // the start up to which a log was read to its end
	absent  map[string]tallyman.Absence
}

// counts are the numbers of a follower. All only grow.
type counts struct {
	logtail.Counts
	fails, missed atomic.Uint64
}

var _ tallyman.ContainerObserver = (*Follower)(nil)

// New makes a follower; nothing is followed before Run.
func New(o Options) *Follower {
	if o.Most <= 0 {
		o.Most = 200
	}
	if o.timing == (timing{}) {
		o.timing = timing{known: 3 * time.Second, look: 20 * time.Millisecond, gather: 250 * time.Millisecond,
			retryMin: time.Second, retryMax: 30 * time.Second, healthy: 10 * time.Second}
	}
	return &Follower{o: o, known: map[string]*tallyman.Container{}, running: map[string]*follow{},
		read: map[string]time.Time{}, absent: map[string]tallyman.Absence{}}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	f.mu.Lock()
	f.ctx = ctx
	known := f.known
	f.known = nil
	f.mu.Unlock()
	for _, c := range known {
		f.ObserveContainer(c)
	}
	<-ctx.Done()
	f.wg.Wait()
	return nil
}

// ObserveContainer begins to follow a container, and ends when it goes.
func (f *Follower) ObserveContainer(c *tallyman.Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil {
		f.known[c.ID] = c
		return
	}
	r := f.running[c.ID]
	switch {
	case c.Disabled || c.State == tallyman.Gone:
		if r != nil {
			r.end(c.Disabled)
		}
		f.forget(c.ID)
	case r != nil:
		r.mu.Lock()
		r.c = c
		r.mu.Unlock()
	case c.LogDriver == "none" || f.ctx.Err() != nil || f.isRead(c):
	default:
		f.wait(c)
		f.place()
	}
}

// isRead reports whether there is nothing more to come of a log than was read.
func (f *Follower) isRead(c *tallyman.Container) bool {
	started, ok := f.read[c.ID]
	return ok && !c.Alive() && started.Equal(c.Started)
}

// forget ends what is done for a container that is gone.
func (f *Follower) forget(id string) {
	f.unwait(id)
	delete(f.running, id)
	delete(f.absent, id)
	delete(f.read, id)
	f.place()
}

// wait puts a container where it waits for a place: what runs before what has
// stopped.
func (f *Follower) wait(c *tallyman.Container) {
	f.unwait(c.ID)
	at := len(f.waiting)
	for c.Alive() && at > 0 && !f.waiting[at-1].Alive() {
		at--
	}
	f.waiting = append(f.waiting, nil)
	copy(f.waiting[at+1:], f.waiting[at:])
	f.waiting[at] = c
	f.absent[c.ID] = tallyman.Absence{What: "log", Reason: fmt.Sprintf("%d logs are followed through the engine's API already, which is the most.", f.o.Most)}
}

func (f *Follower) unwait(id string) {
	for i, c := range f.waiting {
		if c.ID == id {
			f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			delete(f.absent, id)
			return
		}
	}
}

// place gives free places to those who wait.
func (f *Follower) place() {
	for len(f.running) < f.o.Most && len(f.waiting) > 0 && f.ctx.Err() == nil {
		c := f.waiting[0]
		f.unwait(c.ID)
		ctx, stop := context.WithCancel(f.ctx)
		r := &follow{f: f, stop: stop, c: c}
		f.running[c.ID] = r
		f.wg.Go(func() { r.run(ctx) })
	}
}

// leave gives a place back, unless there is something to read again. started is
// the start up to which all was read, zero for a log that is read in a better way.
func (f *Follower) leave(r *follow, started time.Time) (left bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := r.container()
	if f.running[c.ID] != r {
		return true // it is gone
	}
	if !started.IsZero() {
		f.read[c.ID] = started
		if !f.isRead(c) {
			return false // it runs again
		}
	}
	delete(f.running, c.ID)
	f.place()
	return true
}

// Absences say why a log is not followed.
func (f *Follower) Absences(of tallyman.TargetKey) []tallyman.Absence {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.absent[of.ID]; ok && of.Kind == tallyman.ContainerTarget {
		return []tallyman.Absence{a}
	}
	return nil
}

// sick notes why a log is not given, healthy that it is.
func (f *Follower) sick(id, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[id] != nil {
		f.absent[id] = tallyman.Absence{What: "log", Reason: reason}
	}
}

func (f *Follower) healthy(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.absent, id)
}

// SelfMetrics are the follower's own numbers.
func (f *Follower) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	return []tallyman.SelfMetric{
		{Desc: lines, Read: read(&f.count.Lines)},
		{Desc: cut, Read: read(&f.count.Cut)},
		{Desc: failed, Read: read(&f.count.fails)},
		{Desc: missed, Read: read(&f.count.missed)},
		{Desc: followed, Read: func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return float64(len(f.running))
		}},
		{Desc: queued, Read: func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return float64(len(f.waiting))
		}},
	}
}

var (
	lines    = &tallyman.Desc{Name: "tallyman_engine_log_lines_read_total", Type: tallyman.Counter, Help: "Lines read through the engine's API"}
	cut      = &tallyman.Desc{Name: "tallyman_engine_log_cut_lines_total", Type: tallyman.Counter, Help: "Lines that came through the engine's API and were longer than 256 KiB, of which the rest was left out"}
	failed   = &tallyman.Desc{Name: "tallyman_engine_log_failures_total", Type: tallyman.Counter, Help: "Attempts to follow a log through the engine's API that failed"}
	missed   = &tallyman.Desc{Name: "tallyman_engine_logs_missed_total", Type: tallyman.Counter, Help: "Containers that were gone before anything of their log came through the engine's API"}
	followed = &tallyman.Desc{Name: "tallyman_engine_logs_followed", Type: tallyman.Gauge, Help: "Logs that are followed through the engine's API"}
	queued   = &tallyman.Desc{Name: "tallyman_engine_logs_waiting", Type: tallyman.Gauge, Help: "Logs that wait for a place to be followed through the engine's API"}
)
