// SPDX-License-Identifier: Apache-2.0

package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"syscall"

	"tallyman"
)

// markPrefix begins the keys of the positions that keep marks.
const markPrefix = "forward/"

// LastMark implements tallyman.RecordLog.
func (s *Store) LastMark() tallyman.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tallyman.Mark(s.seq)
}

// Mark implements tallyman.RecordLog.
func (s *Store) Mark(name string) (tallyman.Mark, bool) {
	v, ok := s.Position(markPrefix + name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 64)
	return tallyman.Mark(n), err == nil
}

// CommitMark implements tallyman.RecordLog.
func (s *Store) CommitMark(name string, m tallyman.Mark) error {
	err := s.AppendRecords(&tallyman.RecordBatch{Positions: []tallyman.Position{{Key: markPrefix + name, Value: strconv.FormatUint(uint64(m), 10)}}})
	if err != nil {
		return fmt.Errorf("commit the mark of %s: %w", name, err)
	}
	return nil
}

// logReader implements tallyman.RecordLogReader. It takes a range of numbers, reads of
// it one group of streams after the other, and then the mark moves to the end of the
// range. Where a stream has its records is looked up when its turn comes: what was in a
// head may have got into a chunk meanwhile.
type logReader struct {
	s    *Store
	want func(*tallyman.Stream) (string, bool)
	wake chan struct{}     // has one when something was appended
	told map[*stream]group // what want said; guarded by Store.mu

	mark uint64 // all up to it was given
	// The range: what is after mark and up to its end, when that is greater.
	end   uint64
	todo  []place // the wanted streams that have something in it, sorted by group
	turn  []place // those of the group whose turn it is
	found uint64  // numbers of the range that are there, as far as it was read
	edge  uint64  // chunks up to there do not know their numbers: nobody can tell gaps
	vague bool    // some numbers of the range could not be counted
	rest  []chunk // of other streams, of which a part is in the range: only counted

	spent []*numbered
	free  []*numbered
	out   []tallyman.StreamRecords
	buf   []byte
}

// group is what want said of a stream.
type group struct {
	name   string
	wanted bool
}

// place is where a reader is in a stream.
type place struct {
	*stream
	group string
	first uint64    // about the first number in the range
	given uint64    // all up to there was loaded
	k     *numbered // loaded, with records left
}

// numbered is records of one stream in the order of their numbers.
type numbered struct {
	unpacked
	runs    []run
	numbers []uint64
}

// number is that of the next record.
func (p *place) number() uint64 { return p.k.numbers[p.k.next] }

// ReadRecords implements tallyman.RecordLog.
func (s *Store) ReadRecords(after tallyman.Mark, want func(*tallyman.Stream) (string, bool)) tallyman.RecordLogReader {
	r := &logReader{s: s, want: want, wake: make(chan struct{}, 1), told: map[*stream]group{}, mark: uint64(after), end: uint64(after)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[r] = struct{}{}
	return r
}

// Close implements tallyman.RecordLogReader.
func (r *logReader) Close() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.readers, r)
}

func (r *logReader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Next implements tallyman.RecordLogReader.
func (r *logReader) Next(ctx context.Context, most int) (tallyman.LogPart, error) {
	for _, k := range r.spent {
		if cap(k.text) <= 4*chunkText && len(r.free) < 16 {
			r.free = append(r.free, k)
		}
	}
	clear(r.spent)
	r.spent = r.spent[:0]
	clear(r.out)
	r.out = r.out[:0]
	bytes := 0
	for {
		err := ctx.Err()
		switch {
		case err != nil:
		case r.end > r.mark:
			var more bool
			if more, err = r.load(); err != nil {
				break
			}
			if !more {
				return r.ended(), nil
			}
			if bytes += r.give(most - bytes); bytes >= most {
				return r.part(), nil
			}
		default:
			err = r.begin(ctx)
		}
		if err != nil && len(r.out) > 0 {
			return r.part(), nil // the error comes again
		}
		if err != nil {
			return tallyman.LogPart{}, err
		}
	}
}

func (r *logReader) part() tallyman.LogPart {
	return tallyman.LogPart{Streams: r.out, Mark: tallyman.Mark(r.mark)}
}

// ended is the part that ends a range.
func (r *logReader) ended() tallyman.LogPart {
	p := tallyman.LogPart{Streams: r.out, Mark: tallyman.Mark(r.end)}
	if all := r.end - r.mark; r.found < all && r.mark >= r.edge && !r.vague {
		p.Gap = tallyman.Gap{Records: all - r.found, After: tallyman.Mark(r.mark), To: tallyman.Mark(r.end)}
	}
	r.mark = r.end
	return p
}

// give gives records of the stream that has the next one, until those of another
// stream of its group come, or it has most bytes.
func (r *logReader) give(most int) (bytes int) {
	at, before := 0, r.end+1
	for i := range r.turn {
		switch n := r.turn[i].number(); {
		case i == 0:
		case n < r.turn[at].number():
			at, before = i, r.turn[at].number()
		default:
			before = min(before, n)
		}
	}
	p := &r.turn[at]
	k, from := p.k, p.k.next
	for k.next < len(k.records) && bytes < most && (k.next == from || k.numbers[k.next] < before) {
		bytes += len(k.records[k.next].Line) + 16
		k.next++
	}
	r.out = append(r.out, tallyman.StreamRecords{Stream: p.pub, Records: k.records[from:k.next:k.next], Numbers: k.numbers[from:k.next:k.next]})
	if k.next == len(k.records) {
		r.spent, p.k = append(r.spent, k), nil
	}
	return bytes
}

// begin waits until there are numbers behind the mark, and takes a range of them.
func (r *logReader) begin(ctx context.Context) error {
	for {
		r.s.mu.Lock()
		if r.s.closed {
			r.s.mu.Unlock()
			return io.EOF
		}
		r.mark = min(r.mark, r.s.seq) // a WAL that was taken away
		if r.s.seq > r.mark {
			r.take()
			r.s.mu.Unlock()
			return r.count()
		}
		r.s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.wake:
		}
	}
}

// take takes the next range, and finds the streams that have something in it.
func (r *logReader) take() {
	s := r.s
	r.end = min(s.seq, r.mark+s.opt.logRange)
	r.todo, r.turn, r.rest = r.todo[:0], nil, r.rest[:0]
	r.found, r.vague = 0, false
	r.edge = s.unnumbered
	if len(r.told) > 2*s.index.n+1024 { // those that are gone
		clear(r.told)
	}
	s.index.all(func(st *stream) {
		first, some := st.firstIn(r.mark, r.end)
		if !some {
			return
		}
		g, known := r.told[st]
		if !known {
			g.name, g.wanted = r.want(st.pub)
			r.told[st] = g
		}
		if g.wanted {
			r.todo = append(r.todo, place{stream: st, group: g.name, first: first})
		} else {
			r.countOther(st)
		}
	})
	slices.SortFunc(r.todo, func(a, b place) int { return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.first, b.first)) })
}

// firstIn is about the first number after one and up to another that a stream has;
// some is false when it has none.
func (st *stream) firstIn(after, to uint64) (first uint64, some bool) {
	if i := st.chunkAfter(after); i < len(st.chunks) {
		first = st.chunks[i].begin()
	} else if st.head != nil && st.head.last > after {
		first = st.head.first()
	} else {
		return 0, false
	}
	return max(first, after+1), first <= to
}

// chunkAfter is the first chunk of a stream whose last number is after one.
func (st *stream) chunkAfter(after uint64) int {
	return sort.Search(len(st.chunks), func(i int) bool { return st.chunks[i].seq > after })
}

// begin is the first number of a chunk. All records of one that does not know its numbers count as its
// last one.
func (c *chunk) begin() uint64 {
	if c.first == 0 {
		return c.seq
	}
	return c.first
}

// countOther counts what a stream that is not wanted has in the range.
func (r *logReader) countOther(st *stream) {
	for i := st.chunkAfter(r.mark); i < len(st.chunks) && st.chunks[i].begin() <= r.end; i++ {
		if c := &st.chunks[i]; c.first != 0 && (c.first <= r.mark || c.seq > r.end) {
			r.rest = append(r.rest, *c)
		} else {
			r.found += uint64(c.count)
		}
	}
	if st.head != nil {
		r.found += within(st.head.runs, r.mark, r.end)
	}
}

// count counts what chunks of streams that are not wanted have in the range.
func (r *logReader) count() error {
	for i := range r.rest {
		c := &r.rest[i]
		runs, err := r.runsOf(c)
		if err != nil {
			if !r.lost(c, err) {
				r.end = r.mark // again
				return err
			}
			r.vague = true
			continue
		}
		r.found += within(runs, r.mark, r.end)
	}
	return nil
}

// runsOf reads the runs of a chunk.
func (r *logReader) runsOf(c *chunk) ([]run, error) {
	h, b, err := r.read(c, c.lead)
	if err != nil {
		return nil, err
	}
	stored, _, err := h.times.take(b[chunkFixed+h.labels+h.filter.size:])
	if err != nil {
		return nil, err
	}
	return r.s.unpack.runs(&h, stored)
}

// read reads the first n bytes of a chunk.
func (r *logReader) read(c *chunk, n uint32) (h chunkHeader, b []byte, err error) {
	if err := c.seg.acquire(); err != nil {
		return h, nil, err
	}
	defer c.seg.release()
	if uint32(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	b = r.buf[:n]
	if err := c.seg.read(b, int64(c.off)); err != nil {
		return h, nil, err
	}
	if h, _, err = parseChunkHeader(b); err != nil {
		return h, nil, err
	}
	if h.size != c.size || h.lead() != c.lead || h.count != c.count || h.seq != c.seq {
		return h, nil, errDamaged // a whole chunk, but not the one that should be here
	}
	return h, b, nil
}

// lost reports whether a chunk that could not be read never will be. That is counted.
func (r *logReader) lost(c *chunk, err error) bool {
	gone := c.seg.gone()
	if !gone {
		r.s.chunkFailed(c, err)
	}
	return gone || errors.Is(err, errDamaged) || errors.Is(err, syscall.EIO)
}

// load loads what is next of each stream of the group whose turn it is, and takes
// the next group when there is no more; more is false at the end of the range.
func (r *logReader) load() (more bool, err error) {
	for {
		for i := 0; i < len(r.turn); {
			some := r.turn[i].k != nil
			if !some {
				if some, err = r.loadOf(&r.turn[i]); err != nil {
					return false, err
				}
			}
			if some {
				i++
			} else {
				r.turn = slices.Delete(r.turn, i, i+1)
			}
		}
		if len(r.turn) > 0 {
			return true, nil
		}
		n := 0
		for n < len(r.todo) && r.todo[n].group == r.todo[0].group {
			n++
		}
		if n == 0 {
			return false, nil
		}
		r.turn, r.todo = r.todo[:n:n], r.todo[n:]
	}
}

// loadOf loads the next records of a stream in the range; some is false when there are
// none.
func (r *logReader) loadOf(p *place) (some bool, err error) {
	k := &numbered{}
	if n := len(r.free); n > 0 {
		k, r.free = r.free[n-1], r.free[:n-1]
	}
	for k.records = k.records[:0]; len(k.records) == 0; {
		c, h, from, ok := r.next(p)
		if !ok {
			r.free = append(r.free, k)
			return false, nil
		}
		k.next, k.records, k.runs, k.numbers = 0, k.records[:0], k.runs[:0], k.numbers[:0]
		if h != nil {
			k.copyHead(h, from, r.end)
			p.given = r.end // all that the stream had when the range was taken
		} else {
			if err := r.fill(k, &c); err != nil {
				k.records = k.records[:0]
				if !r.lost(&c, err) {
					r.free = append(r.free, k)
					return false, err
				}
			} else if c.first != 0 {
				k.cut(from, r.end)
			} else {
				for range k.records {
					k.numbers = append(k.numbers, c.seq)
				}
			}
			p.given = c.seq
		}
		r.found += uint64(len(k.records))
	}
	p.k = k
	return true, nil
}

// next is where the next records of a stream in the range are: a chunk, or a view of a
// head, of which those after a number.
func (r *logReader) next(p *place) (c chunk, h *head, from uint64, ok bool) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if from = max(r.mark, p.given); from >= r.end {
		return c, nil, from, false
	}
	if i := p.chunkAfter(from); i < len(p.chunks) {
		return p.chunks[i], nil, from, p.chunks[i].begin() <= r.end
	}
	if h := p.head; h != nil && h.last > from && h.first() <= r.end {
		return c, h.view(), from, true
	}
	return c, nil, from, false
}

// fill unpacks a chunk.
func (r *logReader) fill(k *numbered, c *chunk) error {
	h, b, err := r.read(c, c.size)
	if err != nil {
		return err
	}
	u := r.s.unpack
	b = b[chunkFixed+h.labels+h.filter.size:]
	stored, b, err := h.times.take(b)
	if err != nil {
		return err
	}
	if k.raw, err = u.unpack(k.raw, stored, h.times.codec, int(h.times.raw)); err != nil {
		return err
	}
	var runs []byte
	if k.times, k.ends, runs, err = unpackTimes(k.raw, &h, k.times[:0], k.ends[:0]); err != nil {
		return err
	}
	if k.runs, err = unpackRuns(runs, &h, k.runs); err != nil {
		return err
	}
	if stored, b, err = h.meta.take(b); err != nil {
		return err
	}
	k.meta = k.meta[:0]
	if h.meta.size > 0 {
		if k.raw, err = u.unpack(k.raw, stored, h.meta.codec, int(h.meta.raw)); err != nil {
			return err
		}
		if k.meta, err = unpackMeta(k.raw, int(h.count), k.meta); err != nil {
			return err
		}
	}
	if stored, _, err = h.text.take(b); err != nil {
		return err
	}
	if k.text, err = u.unpack(k.text, stored, h.text.codec, int(h.text.raw)); err != nil {
		return err
	}
	k.lines(0, int(h.count))
	return nil
}

// copyHead takes what a view of a head has after one number and up to another, so that
// nothing of the head is held.
func (k *numbered) copyHead(h *head, after, to uint64) {
	from := int(within(h.runs, 0, after))
	n := int(within(h.runs, after, to))
	k.text, k.times, k.ends, k.meta = k.text[:0], append(k.times[:0], h.times[from:from+n]...), k.ends[:0], k.meta[:0]
	known, set := noMeta, []tallyman.Label(nil)
	for i := from; i < from+n; i++ {
		k.text = append(k.text, h.line(i)...)
		k.ends = append(k.ends, uint32(len(k.text)))
		if len(h.sets) == 0 {
			continue
		}
		which := noMeta
		if i < len(h.set) {
			which = h.set[i]
		}
		if which != known { // in a row they mostly have the same
			known, set = which, nil
			if which != noMeta {
				in := reader{b: h.meta[h.sets[which]:]}
				set = in.labels()
			}
		}
		k.meta = append(k.meta, set)
	}
	k.lines(0, n)
	for _, r := range h.runs {
		for number := max(r.first, after+1); number < r.first+uint64(r.n) && number <= to; number++ {
			k.numbers = append(k.numbers, number)
		}
	}
}

// cut leaves the records whose numbers are after one and up to another, in the order
// of their numbers.
func (k *numbered) cut(after, to uint64) {
	out, at, sorted := k.records[:0], 0, true
	for _, r := range k.runs {
		for i := range int(r.n) {
			if number := r.first + uint64(i); number > after && number <= to {
				sorted = sorted && (len(k.numbers) == 0 || number > k.numbers[len(k.numbers)-1])
				out, k.numbers = append(out, k.records[at+i]), append(k.numbers, number)
			}
		}
		at += int(r.n)
	}
	if k.records = out; !sorted {
		sort.Sort(byNumber{k.records, k.numbers})
	}
}

// byNumber sorts records by their numbers.
type byNumber struct {
	records []tallyman.Record
	numbers []uint64
}

func (b byNumber) Len() int           { return len(b.numbers) }
func (b byNumber) Less(i, j int) bool { return b.numbers[i] < b.numbers[j] }
func (b byNumber) Swap(i, j int) {
	b.records[i], b.records[j] = b.records[j], b.records[i]
	b.numbers[i], b.numbers[j] = b.numbers[j], b.numbers[i]
}
