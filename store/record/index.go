// SPDX-License-Identifier: Apache-2.0

package record

import (
	"hash/maphash"
	"slices"

	"tallyman"
)

// stream is what the store knows of a stream. The fields before chunks do not
// change, the others are guarded by Store.mu.
type stream struct {
	pub    *tallyman.Stream // a copy of the caller's, given to readers
	labels []byte           // as appendLabels writes them
	class  *class
	share  *share // whose place it takes; nil for one that others fall into
	// overflow is set for one that others fall into.
	overflow bool

	chunks []chunk // in the order in which they were sealed
	head   *head   // nil without records that no chunk has
	sealed uint64
	gone   bool // not in the index

	// In the file wal the stream is called walID.
	wal   *walFile
	walID uint64
}

// chunk is where a segment has one, and what it is about. A slice of them that a
// reader has taken stays as it is: new ones are appended behind it, and what remains
// after the retention is another part or a copy.
type chunk struct {
	seg      *segment
	min, max int64
	seq      uint64 // of the last record: the order in which chunks were appended
	first    uint64 // of the first record; 0 when the chunk does not know the numbers
	off      uint32
	size     uint32
	count    uint32
	raw      uint32 // bytes of text
	lead     uint32
}

func chunkOf(seg *segment, off int64, h *chunkHeader) chunk {
	return chunk{seg: seg, min: h.min, max: h.max, seq: h.seq, first: h.first, off: uint32(off), size: h.size, count: h.count, raw: h.text.raw, lead: h.lead()}
}

// touches reports whether records in [start, end) may be in it.
func (r *chunk) touches(start, end int64) bool { return r.max >= start && r.min < end }

// index finds streams by their labels: a stream by all of them, and those that
// have a label. A query with a matcher of equality looks at the streams that
// have it, any other at every stream; 20,000 take some milliseconds.
type index struct {
	seed    maphash.Seed
	byHash  map[uint64][]*stream
	byLabel map[tallyman.Label]map[*stream]struct{}
	// overflow are the streams that others fall into; they are in byHash too.
	overflow []*stream
	n        int
}

func newIndex() index {
	return index{seed: maphash.MakeSeed(), byHash: map[uint64][]*stream{}, byLabel: map[tallyman.Label]map[*stream]struct{}{}}
}

func (x *index) hash(labels []tallyman.Label) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	for i := range labels {
		h.WriteString(labels[i].Name)
		h.WriteByte(0)
		h.WriteString(labels[i].Value)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// find is the stream with these labels, nil without one.
func (x *index) find(labels []tallyman.Label) *stream {
	for _, s := range x.byHash[x.hash(labels)] {
		if slices.Equal(s.pub.Labels, labels) {
			return s
		}
	}
	return nil
}

func (x *index) add(s *stream) {
	h := x.hash(s.pub.Labels)
	x.byHash[h] = append(x.byHash[h], s)
	x.n++
	if s.overflow {
		x.overflow = append(x.overflow, s)
		return
	}
	for _, l := range s.pub.Labels {
		if x.byLabel[l] == nil {
			x.byLabel[l] = map[*stream]struct{}{}
		}
		x.byLabel[l][s] = struct{}{}
	}
}

func (x *index) remove(s *stream) {
	h := x.hash(s.pub.Labels)
	if rest := slices.DeleteFunc(x.byHash[h], func(o *stream) bool { return o == s }); len(rest) > 0 {
		x.byHash[h] = rest
	} else {
		delete(x.byHash, h)
	}
	x.n--
	if s.overflow {
		x.overflow = slices.DeleteFunc(x.overflow, func(o *stream) bool { return o == s })
		return
	}
	for _, l := range s.pub.Labels {
		delete(x.byLabel[l], s)
		if len(x.byLabel[l]) == 0 {
			delete(x.byLabel, l)
		}
	}
}

// selected calls f for every stream that may have records that all matchers
// select; rest are those that each record's metadata has to fit.
func (x *index) selected(matchers []tallyman.Matcher, f func(st *stream, rest []tallyman.Matcher)) {
	for _, s := range x.overflow {
		if rest, ok := s.selected(matchers); ok {
			f(s, rest)
		}
	}
	var least map[*stream]struct{}
	some := false
	for i := range matchers {
		if m := &matchers[i]; m.Type == tallyman.MatchEqual && m.Value != "" {
			have := x.byLabel[tallyman.Label{Name: m.Name, Value: m.Value}]
			if !some || len(have) < len(least) {
				least, some = have, true
			}
		}
	}
	if some {
		for s := range least {
			if s.pub.Matches(matchers) {
				f(s, nil)
			}
		}
		return
	}
	x.all(func(s *stream) {
		if !s.overflow && s.pub.Matches(matchers) {
			f(s, nil)
		}
	})
}

// all calls f for every stream; f may remove it.
func (x *index) all(f func(*stream)) {
	for _, list := range x.byHash {
		if len(list) == 1 {
			f(list[0])
			continue
		}
		for _, s := range slices.Clone(list) {
			f(s)
		}
	}
}

// checkLabels says what is wrong with a new stream's labels.
func checkLabels(labels []tallyman.Label) error {
	if len(labels) == 0 {
		return errNoLabels
	}
	if len(labels) > maxLabels {
		return &LimitError{"labels of a stream", maxLabels, len(labels)}
	}
	for i, l := range labels {
		switch {
		case l.Name == "":
			return errNoLabels
		case i > 0 && labels[i-1].Name >= l.Name:
			return errUnsorted
		case len(l.Name) > maxLabelName:
			return &LimitError{"name of a label", maxLabelName, len(l.Name)}
		case len(l.Value) > maxLabelValue:
			return &LimitError{"value of the label " + l.Name, maxLabelValue, len(l.Value)}
		}
	}
	return nil
}

// stream finds or makes the stream with these labels. When there is no room for
// a new one it is the one that they fall into, which has other labels.
func (s *Store) stream(labels []tallyman.Label) (*stream, error) {
	if st := s.index.find(labels); st != nil {
		return st, nil
	}
	if err := checkLabels(labels); err != nil {
		return nil, err
	}
	// The labels' texts may be parts of something large, so they are copied.
	enc := appendLabels(nil, labels)
	r := reader{b: enc}
	st := &stream{pub: &tallyman.Stream{Labels: r.labels()}, labels: enc, overflow: isOverflow(labels)}
	st.class = s.classOf(st.pub)
	if !st.overflow {
		st.share = s.shareOf(labels)
		if !s.opening && !s.hasRoom(st.share, streamMemory(labels, len(enc))) {
			return s.stream(st.share.overflowLabels(labels, nil))
		}
	}
	s.enter(st)
	return st, nil
}

// enter puts a stream into the index.
func (s *Store) enter(st *stream) {
	st.gone = false
	s.index.add(st)
	s.keep(st, 1)
}

// leave takes it out.
func (s *Store) leave(st *stream) {
	st.gone = true
	s.index.remove(st)
	s.keep(st, -1)
}

// forget removes a stream that has no records any more.
func (s *Store) forget(st *stream) {
	if len(st.chunks) == 0 && st.head == nil && !st.gone {
		s.leave(st)
	}
}

// dropChunks takes the chunks of a segment away.
func (st *stream) dropChunks(seg *segment) {
	for len(st.chunks) > 0 && st.chunks[0].seg == seg { // mostly: the oldest
		st.chunks = st.chunks[1:]
	}
	if slices.ContainsFunc(st.chunks, func(r chunk) bool { return r.seg == seg }) {
		st.chunks = slices.DeleteFunc(slices.Clone(st.chunks), func(r chunk) bool { return r.seg == seg })
	}
}
