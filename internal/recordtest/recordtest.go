// SPDX-License-Identifier: Apache-2.0

// Package recordtest is a [tallyman.RecordSink] and [tallyman.RecordReader] in memory, for tests: of what
// asks a store, and as the oracle of a real one. It keeps every record in a
// slice, looks at all of them for every question, and is meant to be seen to be
// right. It is also a [tallyman.RecordTailer].
//
//	s := recordtest.New()
//	err := s.AppendRecords(&batch)
//
// It may be used concurrently. What its cursors give are copies.
package recordtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
)

// BatchSize is how many records a cursor gives at once: few, so that whoever
// reads has to go on.
const BatchSize = 7

// Store keeps records in memory.
type Store struct {
	mu        sync.Mutex
	streams   []*stream
	positions map[string]string
	tails     map[*tail]bool
	lastQuery tallyman.RecordQuery
}

// stream is what is kept of one set of labels.
type stream struct {
	labels  *tallyman.Stream
	records []tallyman.Record // in order of time, of equal ones as they came
}

var (
	_ tallyman.RecordSink   = (*Store)(nil)
	_ tallyman.RecordReader = (*Store)(nil)
	_ tallyman.RecordTailer = (*Store)(nil)
)

// New makes an empty store.
func New() *Store {
	return &Store{positions: map[string]string{}, tails: map[*tail]bool{}}
}

// AppendRecords keeps copies.
func (s *Store) AppendRecords(b *tallyman.RecordBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sr := range b.Streams {
		st := s.stream(sr.Stream)
		var added []tallyman.Record
		for _, r := range sr.Records {
			r.Line, r.Meta = bytes.Clone(r.Line), slices.Clone(r.Meta)
			added = append(added, r)
		}
		st.records = append(st.records, added...)
		slices.SortStableFunc(st.records, func(a, b tallyman.Record) int {
			switch {
			case a.Time < b.Time:
				return -1
			case a.Time > b.Time:
				return 1
			}
			return 0
		})
		for t := range s.tails {
			if st.labels.Matches(t.matchers) {
				t.put(tallyman.StreamRecords{Stream: st.labels, Records: added})
			}
		}
	}
	for _, p := range b.Positions {
		if p.Value == "" {
			delete(s.positions, p.Key)
		} else {
			s.positions[p.Key] = p.Value
		}
	}
	return nil
}

// Intake is the way into a sink that a source under test gets: it tries again, at
// short intervals, as long as the sink takes nothing.
func Intake(sink tallyman.RecordSink) tallyman.RecordIntake { return intake{sink} }

type intake struct{ tallyman.RecordSink }

func (in intake) TakeRecords(ctx context.Context, b *tallyman.RecordBatch) error {
	for {
		err := in.AppendRecords(b)
		if _, refused := errors.AsType[*tallyman.RefusedError](err); err == nil || refused {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Nowhere is an intake that keeps nothing, for benchmarks.
type Nowhere struct{}

// TakeRecords implements tallyman.RecordIntake, as Position and Positions do.
func (Nowhere) TakeRecords(context.Context, *tallyman.RecordBatch) error { return nil }

// Position has nothing under any key.
func (Nowhere) Position(string) (value string, ok bool) { return "", false }

// Positions are none.
func (Nowhere) Positions(string) []tallyman.Position { return nil }

// stream is the one with these labels.
func (s *Store) stream(like *tallyman.Stream) *stream {
	for _, st := range s.streams {
		if slices.Equal(st.labels.Labels, like.Labels) {
			return st
		}
	}
	st := &stream{labels: &tallyman.Stream{Labels: slices.Clone(like.Labels)}}
	s.streams = append(s.streams, st)
	return st
}

// Position is the value of a key.
func (s *Store) Position(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.positions[key]
	return v, ok
}

// Positions are those with a prefix, by key.
func (s *Store) Positions(prefix string) (out []tallyman.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.positions {
		if strings.HasPrefix(k, prefix) {
			out = append(out, tallyman.Position{Key: k, Value: v})
		}
	}
	slices.SortFunc(out, func(a, b tallyman.Position) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// LastQuery is what SelectRecords was asked last, for tests of who asks.
func (s *Store) LastQuery() tallyman.RecordQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastQuery
}

// selected are the records of each stream that lie in a range and are selected.
func (s *Store) selected(matchers []tallyman.Matcher, start, end int64) (out []stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if !st.labels.Matches(matchers) {
			continue
		}
		one := stream{labels: st.labels}
		for _, r := range st.records {
			if r.Time >= start && r.Time < end {
				one.records = append(one.records, r)
			}
		}
		if len(one.records) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// SelectRecords opens a cursor for each stream that holds records of q.
func (s *Store) SelectRecords(ctx context.Context, q tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	s.mu.Lock()
	s.lastQuery = q
	s.mu.Unlock()
	var out []tallyman.RecordCursor
	for _, st := range s.selected(q.Matchers, q.Start, q.End) {
		c := &cursor{ctx: ctx, q: q, stream: st.labels}
		for _, r := range st.records {
			if slices.ContainsFunc(q.Contains, func(text string) bool { return !bytes.Contains(r.Line, []byte(text)) }) {
				continue
			}
			r.Line, r.Meta = bytes.Clone(r.Line), slices.Clone(r.Meta)
			if q.NoLines {
				r.Line = bytes.Repeat([]byte{'?'}, len(r.Line)) // they mean nothing
			}
			if q.NoMeta {
				r.Meta = nil
			}
			c.records = append(c.records, r)
		}
		if q.Backward {
			slices.Reverse(c.records)
		}
		if len(c.records) > 0 {
			out = append(out, c)
		}
	}
	return out, nil
}

// Streams are the selected streams with records in the range.
func (s *Store) Streams(_ context.Context, matchers []tallyman.Matcher, start, end int64) (out []*tallyman.Stream, err error) {
	for _, st := range s.selected(matchers, start, end) {
		out = append(out, st.labels)
	}
	return out, nil
}

// Volume counts.
func (s *Store) Volume(_ context.Context, matchers []tallyman.Matcher, start, end int64) (out []tallyman.StreamVolume, err error) {
	for _, st := range s.selected(matchers, start, end) {
		v := tallyman.StreamVolume{Stream: st.labels, Records: int64(len(st.records)), Chunks: 1}
		for _, r := range st.records {
			v.Bytes += int64(len(r.Line))
		}
		out = append(out, v)
	}
	return out, nil
}

// Close has nothing to close.
func (s *Store) Close() error { return nil }

// cursor goes over the records of a stream.
type cursor struct {
	ctx     context.Context
	q       tallyman.RecordQuery
	stream  *tallyman.Stream
	records []tallyman.Record
	read    int64
	last    []tallyman.Record
}

func (c *cursor) Stream() *tallyman.Stream { return c.stream }

func (c *cursor) Bound() (int64, bool) {
	if len(c.records) == 0 {
		return 0, false
	}
	return c.records[0].Time, true
}

// Next gives the next records. Those of the call before are overwritten:
// whoever still looks at them finds nonsense.
func (c *cursor) Next() ([]tallyman.Record, error) {
	for _, r := range c.last {
		for i := range r.Line {
			r.Line[i] = '!'
		}
		for i := range r.Meta {
			r.Meta[i] = tallyman.Label{Name: "gone", Value: "gone"}
		}
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	if len(c.records) == 0 {
		return nil, io.EOF
	}
	n := min(BatchSize, len(c.records))
	out := c.records[:n:n]
	c.records = c.records[n:]
	c.last = out
	for _, r := range out {
		c.read += int64(len(r.Line))
	}
	return out, nil
}

func (c *cursor) Read() int64 { return c.read }

func (c *cursor) Close() {}

// Found is a record with its stream.
type Found struct {
	*tallyman.Stream
	tallyman.Record
}

// Find gives all records of the streams that have a label, in order of time.
func (s *Store) Find(name, value string) (found []Found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if st.labels.Label(name) != value {
			continue
		}
		for _, r := range st.records {
			found = append(found, Found{st.labels, r})
		}
	}
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(a.Time, b.Time) })
	return found
}
