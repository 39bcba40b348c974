// SPDX-License-Identifier: Apache-2.0

package event

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman"
)

const (
	// DefaultLimit is the number of events returned without a limit.
	DefaultLimit = 1000
	// MaxLimit is the highest limit.
	MaxLimit = 10_000
)

// view is a file as a query sees it.
type view struct {
	name     string
	size     int64
	min, max time.Time
}

// Events implements tallyman.EventStore. The error wraps tallyman.ErrNotFound
// when q.Before is not stored (any more).
func (s *Store) Events(ctx context.Context, q tallyman.EventQuery) (events []tallyman.Event, more bool, err error) {
	defer func() {
		if err != nil {
			events, more, err = nil, false, fmt.Errorf("query events: %w", err)
		}
	}()
	limit := q.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	limit = min(limit, MaxLimit)

	views := s.views()
	m := newMatcher(q)
	if q.Before != "" {
		at, ok, err := s.timeOf(ctx, views, q.Before)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			return nil, false, fmt.Errorf("event %q: %w", q.Before, tallyman.ErrNotFound)
		}
		m.before, m.beforeTime = q.Before, at
	}
	// Files whose events are newest come first: once enough is found, the
	// older ones need not be read.
	slices.SortFunc(views, func(a, b view) int { return b.max.Compare(a.max) })
	found := &newest{most: limit + 1}
	for _, v := range views {
		if !m.mayHold(v) {
			continue
		}
		if oldest, full := found.edge(); full && v.max.Before(oldest) {
			break
		}
		if err := s.search(ctx, v, m, found); err != nil {
			return nil, false, err
		}
	}
	events = found.sorted()
	if len(events) > limit {
		return events[:limit], true, nil
	}
	return events, false, nil
}

func (s *Store) views() []view {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]view, 0, len(s.files))
	for _, f := range s.files {
		if f.some {
			out = append(out, view{f.name, f.size, f.min, f.max})
		}
	}
	return out
}

// each calls f with every line of a file that has a head, until f says stop.
func (s *Store) each(ctx context.Context, v view, f func(line []byte, id string, at time.Time) (goOn bool)) error {
	h, err := os.Open(filepath.Join(s.opt.Dir, v.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its time was over
	}
	if err != nil {
		s.count.readErrors.Add(1)
		return err
	}
	defer h.Close()
	r := newLineReader(io.LimitReader(h, v.size))
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := r.next()
		if err != nil {
			s.count.readErrors.Add(1)
			return fmt.Errorf("%s: %w", v.name, err)
		}
		if line == nil {
			return nil
		}
		if len(line) == 0 {
			continue
		}
		if id, at, ok := head(line); ok && !f(line, id, at) {
			return nil
		}
	}
}

// search adds what matches in one file to found.
func (s *Store) search(ctx context.Context, v view, m *matcher, found *newest) error {
	return s.each(ctx, v, func(line []byte, id string, at time.Time) bool {
		if !m.matchHead(id, at) || !found.wants(id, at) {
			return true
		}
		var e tallyman.Event
		if json.Unmarshal(line, &e) == nil && m.match(&e) {
			found.add(e)
		}
		return true
	})
}

// timeOf finds the time of a stored event.
func (s *Store) timeOf(ctx context.Context, views []view, id string) (at time.Time, ok bool, err error) {
	for _, v := range slices.Backward(views) {
		err = s.each(ctx, v, func(_ []byte, lineID string, lineTime time.Time) bool {
			if lineID == id {
				at, ok = lineTime, true
			}
			return !ok
		})
		if ok || err != nil {
			return at, ok, err
		}
	}
	return at, false, nil
}

// matcher is a query made ready.
type matcher struct {
	q          tallyman.EventQuery
	text       string
	before     string
	beforeTime time.Time
}

func newMatcher(q tallyman.EventQuery) *matcher {
	return &matcher{q: q, text: strings.ToLower(q.Text)}
}

// mayHold reports whether a file can hold a match.
func (m *matcher) mayHold(v view) bool {
	return (m.q.Start.IsZero() || !v.max.Before(m.q.Start)) &&
		(m.q.End.IsZero() || v.min.Before(m.q.End)) &&
		(m.before == "" || !v.min.After(m.beforeTime))
}

// matchHead is the part that needs id and time only.
func (m *matcher) matchHead(id string, at time.Time) bool {
	switch {
	case !m.q.Start.IsZero() && at.Before(m.q.Start):
		return false
	case !m.q.End.IsZero() && !at.Before(m.q.End):
		return false
	case m.before != "":
		return older(at, id, m.beforeTime, m.before)
	}
	return true
}

func (m *matcher) match(e *tallyman.Event) bool {
	q := &m.q
	switch {
	case len(q.Types) > 0 && !slices.Contains(q.Types, e.Type):
	case len(q.Actions) > 0 && !slices.Contains(q.Actions, e.Action):
	case q.Host != "" && q.Host != e.Host:
	case q.Container != "" && q.Container != e.Attributes["container"] && (e.Type != "container" || q.Container != e.Actor):
	case q.Workload != "" && q.Workload != e.Workload:
	case q.Image != "" && q.Image != e.Image:
	case m.text != "" && !m.hasText(e):
	default:
		return true
	}
	return false
}

func (m *matcher) hasText(e *tallyman.Event) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), m.text) }
	if has(e.Name) || has(e.Image) || has(e.Action) {
		return true
	}
	for _, v := range e.Attributes {
		if has(v) {
			return true
		}
	}
	return false
}

// older reports whether event a stands before event b in store order.
func older(at time.Time, a string, bt time.Time, b string) bool {
	if c := at.Compare(bt); c != 0 {
		return c < 0
	}
	return a < b
}

// newest keeps the newest events it was given, a heap with the oldest on top.
type newest struct {
	most   int
	events []tallyman.Event
}

func (n *newest) Len() int { return len(n.events) }
func (n *newest) Less(i, j int) bool {
	a, b := &n.events[i], &n.events[j]
	return older(a.Time, a.ID, b.Time, b.ID)
}
func (n *newest) Swap(i, j int) { n.events[i], n.events[j] = n.events[j], n.events[i] }
func (n *newest) Push(x any)    { n.events = append(n.events, x.(tallyman.Event)) }
func (n *newest) Pop() any {
	x := n.events[len(n.events)-1]
	n.events = n.events[:len(n.events)-1]
	return x
}

// edge is the time of the oldest event kept, and whether there is no room for more.
func (n *newest) edge() (time.Time, bool) {
	if len(n.events) < n.most {
		return time.Time{}, false
	}
	return n.events[0].Time, true
}

// wants reports whether an event would be kept.
func (n *newest) wants(id string, at time.Time) bool {
	return len(n.events) < n.most || older(n.events[0].Time, n.events[0].ID, at, id)
}

func (n *newest) add(e tallyman.Event) {
	heap.Push(n, e)
	if len(n.events) > n.most {
		heap.Pop(n)
	}
}

// sorted is what was kept, newest first.
func (n *newest) sorted() []tallyman.Event {
	slices.SortFunc(n.events, func(a, b tallyman.Event) int {
		if older(a.Time, a.ID, b.Time, b.ID) {
			return 1
		}
		return -1
	})
	return n.events
}

// Oldest is the time of the oldest event, zero without any.
func (s *Store) Oldest() time.Time {
	first, _ := s.ends()
	return first
}

// Newest is the time of the newest event, zero without any.
func (s *Store) Newest() time.Time {
	_, last := s.ends()
	return last
}

// Size is what the files take, in bytes.
func (s *Store) Size() int64 { return s.count.bytes.Load() }

func (s *Store) ends() (first, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		if !f.some {
			continue
		}
		if first.IsZero() || f.min.Before(first) {
			first = f.min
		}
		if f.max.After(last) {
			last = f.max
		}
	}
	return first, last
}
