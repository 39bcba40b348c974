// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"io"
	"slices"

	"tallyman"
)

// query is what the cursors of one SelectRecords share. It does not change.
type query struct {
	tallyman.RecordQuery
	ctx     context.Context
	s       *Store
	needles []needle
	texts   [][]byte // Contains, the longest first
}

func newQuery(ctx context.Context, s *Store, q *tallyman.RecordQuery) *query {
	out := &query{RecordQuery: *q, ctx: ctx, s: s}
	for _, t := range q.Contains {
		if t == "" {
			continue
		}
		out.texts = append(out.texts, []byte(t))
		if n := newNeedle(t); len(n) > 0 {
			out.needles = append(out.needles, n)
		}
		if last := len(out.texts) - 1; len(out.texts[last]) > len(out.texts[0]) {
			out.texts[0], out.texts[last] = out.texts[last], out.texts[0]
		}
	}
	return out
}

// cursor implements tallyman.RecordCursor. Chunks of a stream may overlap in
// time when lines came out of order, so it holds several at a time and merges
// them; mostly it is one, and its records are given as they are.
type cursor struct {
	q      *query
	stream *tallyman.Stream
	rest   []tallyman.Matcher // that the metadata of each record has to fit
	todo   []candidate        // not loaded yet, in the order in which they begin
	active []*unpacked        // loaded, with records left
	spent  []*unpacked        // whose records the caller may still look at
	free   []*unpacked        // to be loaded into
	out    []tallyman.Record
	seg    *segment // the one that is open
	read   int64
	closed bool
}

// mergeMost is how many records a merge gives at a time.
const mergeMost = 1024

// Stream implements tallyman.RecordCursor.
func (c *cursor) Stream() *tallyman.Stream { return c.stream }

// Read implements tallyman.RecordCursor.
func (c *cursor) Read() int64 { return c.read }

// Bound implements tallyman.RecordCursor.
func (c *cursor) Bound() (t int64, ok bool) {
	if len(c.todo) > 0 {
		t, ok = c.begin(), true
	}
	for _, k := range c.active {
		if at := k.records[k.next].Time; !ok || c.before(at, t) {
			t, ok = at, true
		}
	}
	return t, ok
}

// begin is where the next candidate may begin, in the direction of the query.
func (c *cursor) begin() int64 {
	if c.q.Backward {
		return min(c.todo[0].max, c.q.End-1)
	}
	return max(c.todo[0].min, c.q.Start)
}

// before reports whether a comes before b in the direction of the query.
func (c *cursor) before(a, b int64) bool {
	if c.q.Backward {
		return a > b
	}
	return a < b
}

// Next implements tallyman.RecordCursor.
func (c *cursor) Next() ([]tallyman.Record, error) {
	if c.closed {
		return nil, io.EOF
	}
	c.free = append(c.free, c.spent...)
	clear(c.spent)
	c.spent = c.spent[:0]
	c.out = c.out[:0]
	for {
		// All that may hold the next record is to be loaded.
		for len(c.todo) > 0 && (len(c.active) == 0 || !c.before(c.first().time(), c.begin())) {
			if err := c.load(); err != nil {
				return nil, err
			}
		}
		switch len(c.active) {
		case 0:
			if len(c.out) > 0 {
				return c.out, nil
			}
			c.leave()
			return nil, io.EOF
		case 1:
			if len(c.out) > 0 {
				return c.out, nil
			}
			return c.run(c.active[0]), nil
		}
		c.out = append(c.out, c.take(c.first()))
		if len(c.out) == mergeMost {
			return c.out, nil
		}
	}
}

// run gives the records of the only chunk up to where the next may begin.
func (c *cursor) run(k *unpacked) []tallyman.Record {
	from, to := k.next, len(k.records)
	if len(c.todo) > 0 {
		// The first comes before it, or it would be loaded.
		edge := c.begin()
		lo, hi := from+1, to
		for lo < hi {
			mid := int(uint(lo+hi) / 2)
			if c.before(k.records[mid].Time, edge) {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		to = lo
	}
	k.next = to
	if to == len(k.records) {
		c.spend(k)
	}
	return k.records[from:to]
}

// first is the chunk that has the next record.
func (c *cursor) first() *unpacked {
	best := c.active[0]
	for _, k := range c.active[1:] {
		switch a, b := k.time(), best.time(); {
		case c.before(a, b):
			best = k
		case a == b && (k.seq < best.seq) != c.q.Backward:
			best = k
		}
	}
	return best
}

// take takes the next record of a chunk.
func (c *cursor) take(k *unpacked) tallyman.Record {
	r := k.records[k.next]
	k.next++
	if k.next == len(k.records) {
		c.spend(k)
	}
	return r
}

// spend puts a chunk aside that has no records left.
func (c *cursor) spend(k *unpacked) {
	for i, a := range c.active {
		if a == k {
			c.active = append(c.active[:i], c.active[i+1:]...)
			break
		}
	}
	c.spent = append(c.spent, k)
}

// load loads the next candidate. One that has nothing for the query, or is damaged,
// is left out.
func (c *cursor) load() error {
	if err := c.q.ctx.Err(); err != nil {
		return err
	}
	next := &c.todo[0]
	var k *unpacked
	if n := len(c.free); n > 0 {
		k, c.free = c.free[n-1], c.free[:n-1]
	} else {
		k = &unpacked{}
	}
	k.records, k.next, k.seq = k.records[:0], 0, next.seq
	ok := true
	if next.head != nil {
		c.fromHead(k, next.head)
	} else {
		ok = c.fromFile(k, &next.chunk)
	}
	next.head = nil
	c.todo = c.todo[1:]
	c.sift(k)
	if !ok || len(k.records) == 0 {
		c.free = append(c.free, k)
		return nil
	}
	c.active = append(c.active, k)
	return nil
}

// noMeta reports whether metadata is not needed.
func (c *cursor) noMeta() bool { return c.q.NoMeta && len(c.rest) == 0 }

// sift leaves out the records of other streams than those that are selected.
func (c *cursor) sift(k *unpacked) {
	if len(c.rest) == 0 {
		return
	}
	// Records with the same metadata mostly share it.
	var last *tallyman.Label
	fit := false
	k.records = slices.DeleteFunc(k.records, func(r tallyman.Record) bool {
		if len(r.Meta) == 0 || &r.Meta[0] != last {
			fit, last = fits(r.Meta, c.rest), nil
			if len(r.Meta) > 0 {
				last = &r.Meta[0]
			}
		}
		return !fit
	})
	if c.q.NoMeta {
		for i := range k.records {
			k.records[i].Meta = nil
		}
	}
}

// leave closes the segment that is open.
func (c *cursor) leave() {
	if c.seg != nil {
		c.seg.release()
		c.seg = nil
	}
}

// Close implements tallyman.RecordCursor.
func (c *cursor) Close() {
	c.leave()
	c.todo, c.active, c.spent, c.free, c.closed = nil, nil, nil, nil, true
}
