// SPDX-License-Identifier: Apache-2.0

package record

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"tallyman"
)

// candidate is where a cursor may find records: a chunk, or a view of a head.
type candidate struct {
	chunk
	head *head // nil for a chunk
}

// SelectRecords implements tallyman.RecordReader. The cursors see what was
// appended before; a segment that the retention removes meanwhile ends early.
func (s *Store) SelectRecords(ctx context.Context, q tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("select records: %w", err)
	}
	shared := newQuery(ctx, s, &q)
	var out []tallyman.RecordCursor
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("select records: %w", errClosed)
	}
	s.index.selected(q.Matchers, func(st *stream, rest []tallyman.Matcher) {
		if !st.touches(q.Start, q.End) {
			return
		}
		c := &cursor{q: shared, stream: st.pub, rest: rest}
		for i := range st.chunks {
			if st.chunks[i].touches(q.Start, q.End) {
				c.todo = append(c.todo, candidate{chunk: st.chunks[i]})
			}
		}
		if h := st.head; h != nil && h.max >= q.Start && h.min < q.End {
			c.todo = append(c.todo, candidate{chunk: chunk{min: h.min, max: h.max, seq: h.last}, head: h.view()})
		}
		out = append(out, c)
	})
	for _, c := range out {
		c.(*cursor).sort()
	}
	return out, nil
}

// touches reports whether records in [start, end) may be in the stream.
func (st *stream) touches(start, end int64) bool {
	if h := st.head; h != nil && h.max >= start && h.min < end {
		return true
	}
	for i := len(st.chunks) - 1; i >= 0; i-- { // mostly one of the newest
		if st.chunks[i].touches(start, end) {
			return true
		}
	}
	return false
}

// sort puts the candidates in the order in which they begin.
func (c *cursor) sort() {
	slices.SortFunc(c.todo, func(a, b candidate) int {
		if c.q.Backward {
			return cmp.Compare(b.max, a.max)
		}
		return cmp.Compare(a.min, b.min)
	})
}

// Streams implements tallyman.RecordReader. The same stream has the same pointer
// every time, as long as it has records.
func (s *Store) Streams(ctx context.Context, matchers []tallyman.Matcher, start, end int64) ([]*tallyman.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*tallyman.Stream
	s.index.selected(matchers, func(st *stream, _ []tallyman.Matcher) {
		if st.touches(start, end) {
			out = append(out, st.pub)
		}
	})
	return out, nil
}

// Volume implements tallyman.RecordReader. It reads no file, except of streams that
// others fell into, where matchers select some of their records.
func (s *Store) Volume(ctx context.Context, matchers []tallyman.Matcher, start, end int64) ([]tallyman.StreamVolume, error) {
	out, mixed, err := s.volume(ctx, matchers, start, end)
	if err == nil && mixed {
		out, err = s.readVolume(ctx, out, tallyman.RecordQuery{Matchers: matchers, Start: start, End: end, NoLines: true, NoMeta: true})
	}
	if err != nil {
		return nil, fmt.Errorf("volume: %w", err)
	}
	return out, nil
}

// readVolume adds what is selected of streams that others fell into.
func (s *Store) readVolume(ctx context.Context, out []tallyman.StreamVolume, q tallyman.RecordQuery) ([]tallyman.StreamVolume, error) {
	cursors, err := s.SelectRecords(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, some := range cursors {
		c := some.(*cursor)
		v := tallyman.StreamVolume{Stream: c.stream, Chunks: int64(len(c.todo))}
		for len(c.rest) > 0 && err == nil {
			var records []tallyman.Record
			records, err = c.Next()
			for i := range records {
				v.Records++
				v.Bytes += int64(len(records[i].Line))
			}
		}
		c.Close()
		if v.Records > 0 {
			out = append(out, v)
		}
		if err == io.EOF {
			err = nil
		}
	}
	return out, err
}

// volume is what the index tells; mixed says that there are streams that others
// fell into, of whose records some may be selected.
func (s *Store) volume(ctx context.Context, matchers []tallyman.Matcher, start, end int64) (out []tallyman.StreamVolume, mixed bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.selected(matchers, func(st *stream, rest []tallyman.Matcher) {
		if !st.touches(start, end) {
			return
		}
		if len(rest) > 0 {
			mixed = true
			return
		}
		v := tallyman.StreamVolume{Stream: st.pub}
		for i := range st.chunks {
			if r := &st.chunks[i]; r.touches(start, end) {
				share := r.share(start, end)
				v.Bytes += int64(float64(r.raw) * share)
				v.Records += max(1, int64(float64(r.count)*share))
				v.Chunks++
			}
		}
		if h := st.head; h != nil && h.max >= start && h.min < end {
			for i, t := range h.times {
				if t >= start && t < end {
					v.Records++
					v.Bytes += int64(len(h.line(i)))
				}
			}
			v.Chunks++
		}
		out = append(out, v)
	})
	return out, mixed, nil
}

// share is how much of a chunk lies in [start, end), as if its records were
// spread evenly.
func (r *chunk) share(start, end int64) float64 {
	if r.min >= start && r.max < end {
		return 1
	}
	// As floats: the difference of two times may not fit.
	from, to := float64(max(r.min, start)), float64(min(r.max, end))
	return min(1, (to-from)/max(1, float64(r.max)-float64(r.min)))
}
