// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/recordwalk"
	"tallyman/query/logql"
)

// interner gives equal labels the same stream, and knows of each the time behind
// which nothing is stored. What it has seen it forgets when that becomes too much.
type interner struct {
	mu      sync.Mutex
	streams map[string]*tallyman.Stream
	newest  map[*tallyman.Stream]int64
	key     bytes.Buffer
}

func (in *interner) of(labels logql.Labels) *tallyman.Stream {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.key.Reset()
	for _, l := range labels {
		in.key.WriteString(l.Name)
		in.key.WriteByte(0xff)
		in.key.WriteString(l.Value)
		in.key.WriteByte(0xff)
	}
	if s, ok := in.streams[string(in.key.Bytes())]; ok {
		return s
	}
	if in.streams == nil || len(in.streams) >= maxStreams {
		in.streams, in.newest = map[string]*tallyman.Stream{}, map[*tallyman.Stream]int64{}
	}
	s := &tallyman.Stream{Labels: make([]tallyman.Label, len(labels))}
	for i, l := range labels {
		s.Labels[i] = tallyman.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
	}
	in.streams[in.key.String()] = s
	return s
}

func (in *interner) last(s *tallyman.Stream) (t int64, known bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	t, known = in.newest[s]
	return t, known
}

// reached says that records up to t are stored, or (t is 0) that this is not known.
func (in *interner) reached(s *tallyman.Stream, t int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if t == 0 {
		delete(in.newest, s)
	} else if len(in.newest) < 2*maxStreams { // of streams that were forgotten too
		in.newest[s] = max(in.newest[s], t)
	}
}

// store stores what is not stored yet: an agent that got no answer sends its
// lines again. A repeat has the stream, the time, the line and the metadata of
// another one. Lines behind the newest of their stream need no look.
func (a *API) store(ctx context.Context, b *tallyman.RecordBatch, to func(context.Context, *tallyman.RecordBatch) error) error {
	b.Streams = merged(b.Streams)
	defer a.pushing.lock(b.Streams)()
	for i := range b.Streams {
		if err := a.dropRepeats(ctx, &b.Streams[i]); err != nil {
			return err
		}
	}
	b.Streams = slices.DeleteFunc(b.Streams, func(s tallyman.StreamRecords) bool { return len(s.Records) == 0 })
	if len(b.Streams) == 0 {
		return nil
	}
	type place struct {
		s *tallyman.Stream
		t int64
	}
	var reached []place
	for _, s := range b.Streams {
		newest := slices.MaxFunc(s.Records, func(a, b tallyman.Record) int { return cmp.Compare(a.Time, b.Time) })
		reached = append(reached, place{s.Stream, newest.Time})
	}
	err := to(ctx, b)
	for _, p := range reached {
		if err != nil {
			p.t = 0
		}
		a.streams.reached(p.s, p.t)
	}
	return err
}

// turns make pushes of the same stream wait for each other, so that of two equal
// ones at once the second sees the first. Those of other streams go on, as a rule.
type turns struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

// lock waits for the turn of some streams; what it returns ends it.
func (t *turns) lock(streams []tallyman.StreamRecords) (unlock func()) {
	var wanted [len(t.locks)]bool
	var h maphash.Hash
	for _, s := range streams {
		h.SetSeed(t.seed)
		for _, l := range s.Stream.Labels {
			_, _ = h.WriteString(l.Name) // never fails, as the next
			_, _ = h.WriteString(l.Value)
		}
		wanted[h.Sum64()%uint64(len(wanted))] = true
	}
	for i := range wanted { // in one order, so that nobody waits for each other
		if wanted[i] {
			t.locks[i].Lock()
		}
	}
	return func() {
		for i := range wanted {
			if wanted[i] {
				t.locks[i].Unlock()
			}
		}
	}
}

// merged brings the records of a stream that comes several times together.
func merged(list []tallyman.StreamRecords) []tallyman.StreamRecords {
	at := make(map[*tallyman.Stream]int, len(list))
	out := list[:0]
	for _, s := range list {
		if i, ok := at[s.Stream]; ok {
			out[i].Records = append(out[i].Records, s.Records...)
			continue
		}
		at[s.Stream] = len(out)
		out = append(out, s)
	}
	return out
}

// repeats are records by their hash.
type repeats struct {
	seed maphash.Seed
	seen map[uint64][]*tallyman.Record
}

func (r *repeats) hash(x *tallyman.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	maphash.WriteComparable(&h, x.Time)
	_, _ = h.Write(x.Line) // never fails, as the next two
	for _, l := range x.Meta {
		_, _ = h.WriteString(l.Name)
		_, _ = h.WriteString(l.Value)
	}
	return h.Sum64()
}

func (r *repeats) find(x *tallyman.Record) (hash uint64, at int) {
	hash = r.hash(x)
	return hash, slices.IndexFunc(r.seen[hash], func(y *tallyman.Record) bool {
		return x.Time == y.Time && bytes.Equal(x.Line, y.Line) && slices.Equal(x.Meta, y.Meta)
	})
}

func (a *API) dropRepeats(ctx context.Context, s *tallyman.StreamRecords) error {
	last, known := a.streams.last(s.Stream)
	if !known {
		var err error
		if last, err = a.newest(ctx, s.Stream); err != nil {
			return err
		}
		a.streams.reached(s.Stream, max(last, 1))
	}
	r := repeats{maphash.MakeSeed(), make(map[uint64][]*tallyman.Record, len(s.Records))}
	gone := make(map[*tallyman.Record]bool)
	var old []int64 // times at which there may be something
	for i := range s.Records {
		x := &s.Records[i]
		hash, at := r.find(x)
		if at >= 0 {
			gone[x] = true
			continue
		}
		r.seen[hash] = append(r.seen[hash], x)
		if x.Time <= last {
			old = append(old, x.Time)
		}
	}
	err := a.around(ctx, s.Stream, old, func(stored *tallyman.Record) {
		if hash, at := r.find(stored); at >= 0 {
			gone[r.seen[hash][at]] = true
		}
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	kept := make([]tallyman.Record, 0, len(s.Records)-len(gone))
	for i := range s.Records {
		if !gone[&s.Records[i]] {
			kept = append(kept, s.Records[i])
		}
	}
	s.Records = kept
	return nil
}

// newest is a time behind which a stream has nothing.
func (a *API) newest(ctx context.Context, s *tallyman.Stream) (last int64, err error) {
	cursors, err := a.exactly(ctx, s, tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64, Backward: true, NoLines: true, NoMeta: true})
	for _, c := range cursors {
		if t, ok := c.Bound(); ok {
			last = max(last, t)
		}
		c.Close()
	}
	return last, err
}

// around gives the stored records of a stream at the times, and some between
// those that are near each other.
func (a *API) around(ctx context.Context, s *tallyman.Stream, times []int64, use func(*tallyman.Record)) error {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	// At most some dozens of questions, each for times that lie together.
	near := max(int64(time.Minute), (times[len(times)-1]-times[0])/64)
	for from := 0; from < len(times); {
		to := from + 1
		for to < len(times) && times[to]-times[to-1] < near {
			to++
		}
		cursors, err := a.exactly(ctx, s, tallyman.RecordQuery{Start: times[from], End: times[to-1] + 1})
		if err != nil {
			return err
		}
		for f, err := range recordwalk.InTurn(ctx, cursors) {
			if err != nil {
				return err
			}
			use(f.Record)
		}
		from = to
	}
	return nil
}

// exactly opens the cursors of one stream, without those that have more labels.
func (a *API) exactly(ctx context.Context, s *tallyman.Stream, q tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	for _, l := range s.Labels {
		q.Matchers = append(q.Matchers, tallyman.Matcher{Name: l.Name, Value: l.Value})
	}
	cursors, err := a.o.Store.SelectRecords(ctx, q)
	return slices.DeleteFunc(cursors, func(c tallyman.RecordCursor) bool {
		if len(c.Stream().Labels) == len(s.Labels) {
			return false
		}
		c.Close()
		return true
	}), err
}
