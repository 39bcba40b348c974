// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/recordwalk"
)

const (
	// DefaultLimit is the number of events returned without a limit.
	DefaultLimit = 1000
	// MaxLimit is the highest limit.
	MaxLimit = 10_000
)

// Events implements tallyman.EventStore. The error wraps tallyman.ErrNotFound
// when q.Before is not stored (any more).
func (s *Store) Events(ctx context.Context, q tallyman.EventQuery) (events []tallyman.Event, more bool, err error) {
	events, more, err = s.events(ctx, q)
	if err != nil {
		return nil, false, fmt.Errorf("query events: %w", err)
	}
	return events, more, nil
}

func (s *Store) events(ctx context.Context, q tallyman.EventQuery) ([]tallyman.Event, bool, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	limit = min(limit, MaxLimit)
	m := &matcher{q: q, text: strings.ToLower(q.Text), beforeTime: math.MaxInt64}
	if q.Before != "" {
		at, ok, err := s.timeOf(ctx, q.Before)
		if err != nil {
			return nil, false, err
		}
		if !ok {
			return nil, false, fmt.Errorf("event %q: %w", q.Before, tallyman.ErrNotFound)
		}
		m.beforeTime = at
	}
	var out []tallyman.Event
	group := peers{}
	for f, err := range recordwalk.ByTime(ctx, s.opt.Records, m.records()) {
		if err != nil {
			return nil, false, err
		}
		if r := f.Record; r.Time != group.at {
			if out = group.appendTo(out); len(out) > limit {
				break
			}
			group.at = r.Time
		}
		if e := s.matching(f.Record, m); e != nil {
			group.add(e, limit+1-len(out))
		}
	}
	out = group.appendTo(out)
	if len(out) > limit {
		return out[:limit], true, nil
	}
	return out, false, nil
}

// matching is the event of a record if it is wanted, nil if not.
func (s *Store) matching(r *tallyman.Record, m *matcher) *tallyman.Event {
	if !m.mayMatch(r) {
		return nil
	}
	e := new(tallyman.Event)
	if json.Unmarshal(r.Line, e) != nil || e.ID == "" {
		s.count.foreign.Add(1)
		return nil
	}
	if !m.match(e) {
		return nil
	}
	return e
}

// peers are events of one moment, whose order is that of their ids.
type peers struct {
	at     int64
	events []*tallyman.Event
}

// add keeps an event, and of all no more than about most of the last.
func (p *peers) add(e *tallyman.Event, most int) {
	p.events = append(p.events, e)
	if len(p.events) > 2*most+64 {
		p.sort()
		p.events = p.events[:most]
	}
}

func (p *peers) sort() {
	slices.SortFunc(p.events, func(a, b *tallyman.Event) int { return strings.Compare(b.ID, a.ID) })
}

func (p *peers) appendTo(out []tallyman.Event) []tallyman.Event {
	p.sort()
	for _, e := range p.events {
		out = append(out, *e)
	}
	p.events = p.events[:0]
	return out
}

// timeOf finds the time of a stored event.
func (s *Store) timeOf(ctx context.Context, id string) (at int64, ok bool, err error) {
	s.mu.Lock()
	at, ok = s.ids.time(id)
	s.mu.Unlock()
	if ok {
		return at, true, nil
	}
	for f, err := range recordwalk.ByTime(ctx, s.opt.Records, all()) {
		if err != nil {
			return 0, false, err
		}
		if tallyman.LabelIn(f.Record.Meta, "id") == id {
			return f.Record.Time, true, nil
		}
	}
	return 0, false, nil
}

// matcher is a query made ready.
type matcher struct {
	q          tallyman.EventQuery
	text       string
	beforeTime int64
}

// records is what the record store is asked for: no less than what is wanted.
func (m *matcher) records() tallyman.RecordQuery {
	q := &m.q
	r := tallyman.RecordQuery{Matchers: []tallyman.Matcher{ours()}, Start: math.MinInt64, End: math.MaxInt64, Backward: true}
	if !q.Start.IsZero() {
		r.Start = logstream.Nanos(q.Start)
	}
	if !q.End.IsZero() {
		r.End = logstream.Nanos(q.End)
	}
	if m.beforeTime < math.MaxInt64 {
		r.End = min(r.End, m.beforeTime+1)
	}
	if q.Host != "" {
		r.Matchers = append(r.Matchers, tallyman.Matcher{Name: "host", Value: q.Host})
	}
	// What has no stream of its own has no such label.
	for _, l := range [...]tallyman.Label{{Name: "workload", Value: q.Workload}, {Name: "image", Value: q.Image}} {
		if l.Value == "" {
			continue
		}
		if have, err := tallyman.NewMatcher(tallyman.MatchRegexp, l.Name, "|"+regexp.QuoteMeta(l.Value)); err == nil {
			r.Matchers = append(r.Matchers, have)
		}
		r.Contains = append(r.Contains, member(l.Name, l.Value))
	}
	if len(q.Types) == 1 {
		r.Contains = append(r.Contains, member("type", q.Types[0]))
	}
	if len(q.Actions) == 1 {
		r.Contains = append(r.Contains, member("action", q.Actions[0]))
	}
	if c := text(q.Container); c != "" {
		r.Contains = append(r.Contains, c)
	}
	return r
}

// member is how a line has a member: the encoding is the same each time.
func member(name, value string) string { return `"` + name + `":` + text(value) }

// text is how a line has a text.
func text(s string) string {
	if s == "" {
		return ""
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return ""
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

// mayMatch is the part that needs no more than time and metadata.
func (m *matcher) mayMatch(r *tallyman.Record) bool {
	if m.q.Before != "" && r.Time == m.beforeTime && tallyman.LabelIn(r.Meta, "id") >= m.q.Before {
		return false
	}
	return (len(m.q.Types) == 0 || slices.Contains(m.q.Types, tallyman.LabelIn(r.Meta, "type"))) &&
		(len(m.q.Actions) == 0 || slices.Contains(m.q.Actions, tallyman.LabelIn(r.Meta, "action")))
}

func (m *matcher) match(e *tallyman.Event) bool {
	q := &m.q
	switch {
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
