// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"slices"
	"sort"

	"tallyman"
)

// unpacked is the records of a candidate that a query wants, in its order. The
// slices are used again by the cursor.
type unpacked struct {
	records []tallyman.Record
	next    int
	seq     uint64

	text  []byte
	raw   []byte // a section, unpacked
	times []int64
	ends  []uint32
	meta  [][]tallyman.Label
	blank []byte // what lines are made of when nobody wants them
}

// time is that of the next record.
func (k *unpacked) time() int64 { return k.records[k.next].Time }

// fromHead fills k from a view of a head.
func (c *cursor) fromHead(k *unpacked, h *head) {
	order := h.order()
	for i := range h.times {
		if order != nil {
			i = int(order[i])
		}
		t := h.times[i]
		if t < c.q.Start || t >= c.q.End {
			continue
		}
		r := tallyman.Record{Time: t, Line: h.line(i)}
		if !c.q.NoLines && !c.hit(r.Line) {
			continue
		}
		if !c.noMeta() && i < len(h.set) && h.set[i] != noMeta {
			in := reader{b: h.meta[h.sets[h.set[i]]:]}
			r.Meta = in.labels()
		}
		k.records = append(k.records, r)
	}
	if c.q.Backward {
		slices.Reverse(k.records)
	}
}

// hit reports whether a line holds all texts that are looked for.
func (c *cursor) hit(line []byte) bool {
	for _, t := range c.q.texts {
		if !bytes.Contains(line, t) {
			return false
		}
	}
	return true
}

// fromFile fills k from a chunk in a segment; ok is false when it could not be
// read.
func (c *cursor) fromFile(k *unpacked, r *chunk) (ok bool) {
	if c.seg != r.seg {
		c.leave()
		if err := r.seg.acquire(); err != nil {
			c.q.s.chunkFailed(r, err)
			return false
		}
		c.seg = r.seg
	}
	buf := c.q.s.unpack.bufs.Get().(*[]byte)
	defer c.q.s.unpack.bufs.Put(buf)
	if err := c.fill(k, r, buf); err != nil {
		k.records = k.records[:0]
		c.q.s.chunkFailed(r, err)
		return false
	}
	return true
}

// chunkFailed counts a chunk that could not be read.
func (s *Store) chunkFailed(r *chunk, err error) {
	switch {
	case r.seg.gone(): // by the retention, that is no damage
	case err == errDamaged:
		s.count.corruptChunks.Add(1)
		s.opt.Log.Warn("a damaged chunk is left out", "file", r.seg.name(), "offset", r.off)
	default:
		s.count.readErrors.Add(1)
		s.opt.Log.Error("a chunk cannot be read", "file", r.seg.name(), "offset", r.off, "err", err)
	}
}

// fill reads and unpacks as little of a chunk as the query needs.
func (c *cursor) fill(k *unpacked, r *chunk, buf *[]byte) error {
	q := c.q
	have := r.size
	if q.NoLines || len(q.needles) > 0 {
		have = r.lead // most likely that is enough
	}
	if uint32(cap(*buf)) < r.size {
		*buf = make([]byte, r.size)
	}
	b := (*buf)[:r.size]
	if err := r.seg.read(b[:have], int64(r.off)); err != nil {
		return err
	}
	h, _, err := parseChunkHeader(b[:have])
	if err != nil {
		return err
	}
	if h.size != r.size || h.lead() != r.lead || h.count != r.count || h.min != r.min || h.max != r.max || h.seq != r.seq {
		return errDamaged // a whole chunk, but not the one that should be here
	}
	rest := b[chunkFixed+h.labels : have]
	filter, rest, err := h.filter.take(rest)
	if err != nil {
		return err
	}
	for _, n := range q.needles {
		if !n.in(filter) {
			return nil
		}
	}
	packed, _, err := h.times.take(rest)
	if err != nil {
		return err
	}
	if k.raw, err = q.s.unpack.unpack(k.raw, packed, h.times.codec, int(h.times.raw)); err != nil {
		return err
	}
	if k.times, k.ends, _, err = unpackTimes(k.raw, &h, k.times[:0], k.ends[:0]); err != nil {
		return err
	}
	from := sort.Search(len(k.times), func(i int) bool { return k.times[i] >= q.Start })
	to := sort.Search(len(k.times), func(i int) bool { return k.times[i] >= q.End })
	if from >= to {
		return nil
	}

	need := r.lead
	if !c.noMeta() {
		need += h.meta.size
	}
	if !q.NoLines {
		need = r.size
	}
	if need > have {
		if err := r.seg.read(b[have:need], int64(r.off)+int64(have)); err != nil {
			return err
		}
	}
	rest = b[r.lead:max(need, have)]
	k.meta = k.meta[:0]
	if h.meta.size > 0 && (!c.noMeta() || !q.NoLines) {
		packed, after, err := h.meta.take(rest)
		if err != nil {
			return err
		}
		rest = after
		if !c.noMeta() {
			if k.raw, err = q.s.unpack.unpack(k.raw, packed, h.meta.codec, int(h.meta.raw)); err != nil {
				return err
			}
			if k.meta, err = unpackMeta(k.raw, int(h.count), k.meta); err != nil {
				return err
			}
		}
	}
	if q.NoLines {
		k.blankLines(from, to)
	} else {
		if packed, _, err = h.text.take(rest); err != nil {
			return err
		}
		if k.text, err = q.s.unpack.unpack(k.text, packed, h.text.codec, int(h.text.raw)); err != nil {
			return err
		}
		c.read += int64(len(k.text))
		if len(q.texts) > 0 {
			k.linesWith(q.texts, from, to)
		} else {
			k.lines(from, to)
		}
	}
	if q.Backward {
		slices.Reverse(k.records)
	}
	return nil
}

// begin is where the i-th line begins.
func (k *unpacked) begin(i int) uint32 {
	if i == 0 {
		return 0
	}
	return k.ends[i-1]
}

// add adds the i-th record.
func (k *unpacked) add(i int, line []byte) {
	r := tallyman.Record{Time: k.times[i], Line: line}
	if len(k.meta) > 0 {
		r.Meta = k.meta[i]
	}
	k.records = append(k.records, r)
}

// lines adds records with their lines.
func (k *unpacked) lines(from, to int) {
	k.records = slices.Grow(k.records, to-from)
	start := k.begin(from)
	for i := from; i < to; i++ {
		end := k.ends[i]
		k.add(i, k.text[start:end:end])
		start = end
	}
}

// blankLines adds records whose lines have no more than the right length.
func (k *unpacked) blankLines(from, to int) {
	k.records = slices.Grow(k.records, to-from)
	start := k.begin(from)
	for i := from; i < to; i++ {
		n := int(k.ends[i] - start)
		start = k.ends[i]
		if n > len(k.blank) {
			k.blank = make([]byte, max(n, 4<<10))
		}
		k.add(i, k.blank[:n:n])
	}
}

// linesWith adds the records whose lines hold all texts. The text of all lines
// is searched at once for the first, which is much faster than line by line
// when it is rare.
func (k *unpacked) linesWith(texts [][]byte, from, to int) {
	at := int(k.begin(from))
	i := from
	for i < to {
		found := bytes.Index(k.text[at:k.ends[to-1]], texts[0])
		if found < 0 {
			return
		}
		at += found
		for int(k.ends[i]) <= at {
			i++
		}
		start, end := k.begin(i), k.ends[i]
		if at+len(texts[0]) > int(end) { // from one line into the next
			at++
			continue
		}
		line := k.text[start:end:end]
		all := true
		for _, t := range texts[1:] {
			all = all && bytes.Contains(line, t)
		}
		if all {
			k.add(i, line)
		}
		at = int(end)
		i++
	}
}
