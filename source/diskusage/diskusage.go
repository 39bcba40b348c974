// SPDX-License-Identifier: Apache-2.0

// Package diskusage asks the engine how large the writable layer of each
// container is: what was written inside of it and lies in no volume. The series
// has cAdvisor's name, who counts the log files too.
//
// # Cost
//
// The engine walks through the whole layer for the answer, so it is asked
// rarely and beside the rounds: each container at most once per
// Options.Every, one container at a time, the first time when it has
// been there for a minute, and after an answer that took long only after
// twenty times as long. A container that is attached again, after a restart or
// a change, keeps its number and its turn. The value stands until the next one.
//
// # What is absent
//
// Until the first answer, and when the last ones failed for three turns, the
// value is left out with its reason; with Every 0 nothing is asked at all.
package diskusage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/cadvisor"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "diskusage",
		Summary: "Size of the writable layer of each container, asked of the engine at most once an hour",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{cadvisor.FSUsage},
		Options: defaults,
		Poll:    New,
	}
}

var defaults = Options{Every: time.Hour}

// Options are the source's own.
type Options struct {
	// Every is how often at most a container is asked for, 0 for never.
	Every time.Duration `yaml:"every" doc:"How often at most the engine is asked for the size of a container's writable layer, 10s or more; 0 for never."`
}

// Check finds a time that would keep the engine busy.
func (o Options) Check() error {
	if o.Every != 0 && o.Every < least {
		return fmt.Errorf("every: %v is too little; write at least %v, or 0 for never", o.Every, least)
	}
	return nil
}

const (
	least   = 10 * time.Second // between two polls of a container
	settled = time.Minute      // before the first poll
	never   = 1 << 62          // a century
	retry   = 10 * time.Minute // at most, after failures
)

// Source implements tallyman.Poller.
type Source struct {
	engines tallyman.Engines
	every   time.Duration
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Poller, error) {
	every := tallyman.Own(o.Own, defaults).Every
	if o.Engines == nil {
		every = 0
	}
	return &Source{engines: o.Engines, every: every}, nil
}

// Plan asks for one container at a time.
func (s *Source) Plan() tallyman.PollPlan {
	if s.every == 0 {
		return tallyman.PollPlan{Every: never, First: never}
	}
	return tallyman.PollPlan{
		Every: s.every, First: min(settled, s.every), Deadline: 30 * time.Second, Retry: min(settled, s.every), RetryMost: max(min(retry, s.every), settled),
		Hold: 3, Parallel: 1, Rest: 20, Keep: true,
	}
}

// Close has nothing to close.
func (*Source) Close() error { return nil }

// layer is the writable layer of one container.
type layer struct {
	source *Source
	target *tallyman.Target
	series *tallyman.Series

	mu    sync.Mutex
	known bool
	err   error // of the last answer
}

var (
	_ tallyman.Poller = (*Source)(nil)
	_ tallyman.Poll   = (*layer)(nil)
)

// Open begins with a container.
func (s *Source) Open(t *tallyman.Target) (tallyman.Poll, error) {
	return &layer{source: s, target: t, series: t.Series(cadvisor.FSUsage)}, nil
}

// Poll asks for the size.
func (l *layer) Poll(ctx context.Context, b *tallyman.Batch) error {
	bytes, err := l.source.engines.EngineSize(ctx, l.target.Container.Engine, l.target.ID)
	if err == nil && bytes < 0 {
		err = errors.New("it gave a size below 0")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err == nil {
		l.known = true
		b.Add(l.series, float64(bytes))
	}
	return err
}

// Absences say why a size is not known.
func (l *layer) Absences() []tallyman.Absence {
	a := tallyman.Absence{What: "size of the writable layer"}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.source.every == 0:
		a.Reason, a.Unlock = "The setting sources.diskusage.every switches it off.", "sources: {diskusage: {every: 1h}}"
	case l.err != nil:
		a.Reason = "The engine did not give it: " + l.err.Error() + "."
	case !l.known:
		a.Code = tallyman.Later
		a.Reason = "The engine is asked for one container after the other; it was not this one's turn yet."
	default:
		return nil
	}
	return []tallyman.Absence{a}
}

// Close has nothing to close.
func (*layer) Close() {}
