// SPDX-License-Identifier: Apache-2.0

// Package diskusage asks the engine how large the writable layer of each
// container is: what was written inside of it and lies in no volume. The series
// has cAdvisor's name, who counts the log files too.
//
// # Cost
//
// The engine walks through the whole layer for the answer, so it is asked
// rarely and beside the rounds: each container at most once per
// SourceOptions.DiskUsage, one container at a time, the first time when it has
// been there for a minute, and after an answer that took long only after
// twenty times as long. A container that is attached again, after a restart or
// a change, keeps its number and its turn. The value stands until the next one.
//
// # What is absent
//
// Until the first answer, and when the last ones failed for three turns, the
// value is left out with its reason; with DiskUsage 0 nothing is asked at all.
package diskusage

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
		New:     New,
	}
}

const (
	settled    = time.Minute      // before the first question
	deadline   = 30 * time.Second // of one answer
	breath     = 20               // times as long as an answer took nothing is asked
	staleAfter = 3                // turns without an answer
)

// Source implements tallyman.Source.
type Source struct {
	ask   func(ctx context.Context, engine, id string) (int64, error)
	every time.Duration
	list  []*container // attached, sorted by id

	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	mu   sync.Mutex
	past map[string]*layer // by container id; those that are detached for one more turn
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

// container is one attached container.
type container struct {
	id     string
	series *tallyman.Series
	layer  *layer
}

// layer is what is known of a container's writable layer.
type layer struct {
	id, engine string
	attached   bool
	due        time.Time // the next question
	bytes      int64
	at         time.Time // of the last answer, zero for never
	err        error     // of the last question
}

// New makes the source. It asks nothing before a container is attached.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	return &Source{ask: o.EngineSize, every: o.DiskUsage, wake: make(chan struct{}, 1), past: map[string]*layer{}}, nil
}

// on reports whether there is anything to ask.
func (s *Source) on() bool { return s.ask != nil && s.every > 0 }

// Attach puts a container in the row.
func (s *Source) Attach(t *tallyman.Target) error {
	if !s.on() {
		return nil
	}
	s.mu.Lock()
	l := s.past[t.ID]
	if l == nil {
		l = &layer{id: t.ID, due: time.Now().Add(min(settled, s.every))}
		s.past[t.ID] = l
	}
	l.engine, l.attached = t.Container.Engine, true
	s.mu.Unlock()
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, &container{t.ID, t.Series(cadvisor.FSUsage), l})
	if s.cancel == nil {
		var ctx context.Context
		ctx, s.cancel = context.WithCancel(context.Background())
		s.wg.Go(func() { s.run(ctx) })
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.id, id) })
}

// Detach takes a container out of the row. Its number is kept for as long as
// it would not be asked for again.
func (s *Source) Detach(t *tallyman.Target) {
	at, ok := s.find(t)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list[at].layer.attached = false
	s.list = slices.Delete(s.list, at, at+1)
}

// Close ends the questions and waits for the one under way.
func (s *Source) Close() error {
	if s.cancel != nil {
		s.cancel()
		s.wg.Wait()
	}
	s.list = nil
	return nil
}

// Collect appends what is known.
func (s *Source) Collect(b *tallyman.Batch) {
	if len(s.list) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := time.Now().Add(-staleAfter * s.every)
	for _, c := range s.list {
		if l := c.layer; !l.at.IsZero() && l.at.After(oldest) {
			b.Add(c.series, float64(l.bytes))
		}
	}
}

// Absences say why a size is not known.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	a := tallyman.Absence{What: "size of the writable layer"}
	if !s.on() {
		a.Reason, a.Unlock = "The setting disk_usage switches it off.", "disk_usage: 1h"
		return []tallyman.Absence{a}
	}
	at, ok := s.find(t)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.list[at].layer
	switch {
	case l.err != nil:
		a.Reason = "The engine did not give it: " + l.err.Error() + "."
	case l.at.IsZero():
		a.Code = tallyman.Later
		a.Reason = "The engine is asked for one container after the other; it was not this one's turn yet."
	default:
		return nil
	}
	return []tallyman.Absence{a}
}

// run asks for one layer after the other.
func (s *Source) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	rest := time.Time{} // nothing is asked before
	for {
		l, at := s.next()
		if at.Before(rest) {
			at = rest
		}
		if wait := time.Until(at); l == nil || wait > 0 {
			if l == nil {
				wait = time.Hour
			}
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return
			case <-s.wake:
			case <-timer.C:
			}
			continue
		}
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, deadline)
		bytes, err := s.ask(one, l.engine, l.id)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil && bytes < 0 {
			err = errors.New("it gave a size below 0")
		}
		rest = time.Now().Add(breath * time.Since(began))
		s.mu.Lock()
		s.past[l.id].take(bytes, err, s.every)
		s.mu.Unlock()
	}
}

func (l *layer) take(bytes int64, err error, every time.Duration) {
	now := time.Now()
	l.due, l.err = now.Add(every), err
	if err == nil {
		l.bytes, l.at = bytes, now
	}
}

// next is a copy of the layer whose turn comes first and when that is, nil
// without any. Those that were detached for a whole turn are forgotten.
func (s *Source) next() (first *layer, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for id, l := range s.past {
		switch {
		case !l.attached && now.After(l.due):
			delete(s.past, id)
		case !l.attached:
		case first == nil || l.due.Before(first.due):
			first = l
		}
	}
	if first == nil {
		return nil, time.Time{}
	}
	c := *first
	return &c, c.due
}
