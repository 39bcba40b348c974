// SPDX-License-Identifier: Apache-2.0

package record

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tallyman"
)

// Share is a part of the streams with a limit of its own, so that one source of
// very many leaves room for the others.
//
// At the limit no record is lost. New streams fall together into one for each
// source and level, which has the label overflow="streams"; their other labels
// become metadata of each record. Matchers find these records by their labels
// all the same, see [tallyman.RecordQuery]. Streams that are known stay as they
// are, and a stream that the retention empties makes room for a new one.
type Share struct {
	// Name is the label share of metrics, and what the doctor calls it.
	Name string
	// Sources are the values of the label source of its streams. Only the last
	// share may have none: it is for all other streams.
	Sources []string
	// Streams is how many there may be at a time, 0 for as many as
	// Options.StreamMemory allows. That memory is divided among the shares as
	// these numbers are, so that streams with long labels take no more room than
	// their share has.
	Streams int
}

// DefaultShares leave room for each kind of source. The last is for what others
// push, which is the one that strangers can fill.
func DefaultShares() []Share {
	return []Share{
		{Name: "containers", Sources: []string{"container"}, Streams: 20_000},
		{Name: "events", Sources: []string{"event", "snapshot", "alarm", "audit"}, Streams: 10_000},
		{Name: "files", Sources: []string{"file", "journal"}, Streams: 4_000},
		{Name: "pushes", Streams: 4_000},
	}
}

// share is a Share with what it has. All but the counters is guarded by Store.mu.
type share struct {
	Share
	most    int64 // bytes of memory that its streams may take
	n       int   // streams that have a place of their own
	memory  int64 // bytes that they take
	since   int64 // when the first record overflowed since there was room, nanoseconds; 0 when there is
	streams atomic.Int64
	records atomic.Uint64 // that overflowed
}

// newShares divides memory among the shares.
func newShares(o *Options) (out []*share) {
	sum := 0
	for i := range o.Shares {
		sum += o.Shares[i].Streams
	}
	for _, one := range o.Shares {
		sh := &share{Share: one, most: o.StreamMemory}
		if one.Streams > 0 {
			sh.most = int64(float64(o.StreamMemory) * float64(one.Streams) / float64(sum))
		}
		out = append(out, sh)
	}
	return out
}

// ShareStatus is how full a share is.
type ShareStatus struct {
	Name string
	// Streams are those that have a place of their own, Limit is how many may;
	// 0 is no limit but the memory.
	Streams, Limit int
	// Memory is about how many bytes they take, MemoryLimit how many they may.
	Memory, MemoryLimit int64
	// Overflowed are the records that went into shared streams since Open.
	Overflowed uint64
	// Since is when new streams began to fall together, zero while there is room.
	Since time.Time
}

// Shares tell how full each share is.
func (s *Store) Shares() (shares []ShareStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shares {
		st := ShareStatus{Name: sh.Name, Streams: sh.n, Limit: sh.Streams, Memory: sh.memory, MemoryLimit: sh.most, Overflowed: sh.records.Load()}
		if sh.since != 0 {
			st.Since = timeOf(sh.since)
		}
		shares = append(shares, st)
	}
	return shares
}

// The label of a stream that others fell into.
const (
	overflowLabel = "overflow"
	overflowValue = "streams"
)

// levels are those that a stream of an overflow may have: the values of a label
// that others write are without number.
var levels = []string{"trace", "debug", "info", "notice", "warn", "error", "critical", "fatal", "unknown"}

// isOverflow reports whether a stream is one that others fall into: it has no
// other labels than those.
func isOverflow(labels []tallyman.Label) bool {
	is := false
	for _, l := range labels {
		switch l.Name {
		case overflowLabel:
			is = l.Value == overflowValue
		case "level", "source":
		default:
			return false
		}
	}
	return is
}

// overflowLabels are the labels of the stream that a stream falls into.
func (sh *share) overflowLabels(labels []tallyman.Label, dst []tallyman.Label) []tallyman.Label {
	for _, l := range labels {
		if l.Name == "level" && slices.Contains(levels, l.Value) {
			dst = append(dst, l)
		}
	}
	dst = append(dst, tallyman.Label{Name: overflowLabel, Value: overflowValue})
	for _, l := range labels {
		if l.Name == "source" && slices.Contains(sh.Sources, l.Value) {
			dst = append(dst, l)
		}
	}
	return dst
}

// shareOf is the share of a stream.
func (s *Store) shareOf(labels []tallyman.Label) *share {
	source := tallyman.LabelIn(labels, "source")
	for _, sh := range s.shares {
		if len(sh.Sources) == 0 || slices.Contains(sh.Sources, source) {
			return sh
		}
	}
	return s.shares[len(s.shares)-1] // not reached: the last is for all
}

// streamMemory is about how many bytes a stream takes without its chunks: itself
// and its place in the index, and its labels, which are kept twice. Measured by
// TestStreamMemory.
func streamMemory(labels []tallyman.Label, encoded int) int64 {
	return int64(500 + 130*len(labels) + 2*encoded)
}

// hasRoom reports whether a share has a place for one more stream.
func (s *Store) hasRoom(sh *share, memory int64) bool {
	return (sh.Streams == 0 || sh.n < sh.Streams) && sh.memory+memory <= sh.most && s.count.streamMemory.Load()+memory <= s.opt.StreamMemory
}

// keep counts a stream in, or with -1 out.
func (s *Store) keep(st *stream, by int) {
	memory := int64(by) * streamMemory(st.pub.Labels, len(st.labels))
	s.count.streamMemory.Add(memory)
	sh := st.share
	if sh == nil {
		return
	}
	sh.n += by
	sh.memory += memory
	sh.streams.Store(int64(sh.n))
	if by < 0 {
		sh.since = 0
	}
}

// overflowed counts records of new streams, and says so once until there is room again.
func (s *Store) overflowed(sh *share, records int) {
	sh.records.Add(uint64(records))
	if sh.since != 0 {
		return
	}
	sh.since = s.opt.now().UnixNano()
	s.opt.Log.Warn("there are too many streams; lines of new ones are kept together, with their labels as metadata",
		"share", sh.Name, "streams", sh.n, "limit", sh.Streams, "memory", sh.memory, "memory_limit", sh.most)
}

// spill gives records of a stream the metadata by which they are found in the
// stream that they fall into: the labels that this one does not have. The result
// is valid until the next batch.
func (s *Store) spill(records []tallyman.Record, labels, into []tallyman.Label) []tallyman.Record {
	var moved []tallyman.Label
	for _, l := range labels {
		if !slices.Contains(into, l) {
			moved = append(moved, l)
		}
	}
	start := len(s.spilled)
	var before, merged []tallyman.Label
	for _, r := range records {
		// Lines in a row mostly have the same metadata, and often the very same slice.
		if merged == nil || !slices.Equal(before, r.Meta) {
			before, merged = r.Meta, mergeMeta(moved, r.Meta)
		}
		r.Meta = merged
		s.spilled = append(s.spilled, r)
	}
	return s.spilled[start:len(s.spilled):len(s.spilled)]
}

// mergeMeta puts labels of a stream and metadata together. As in a query the
// label of a stream wins, and metadata of the same name is name_extracted.
func mergeMeta(labels, meta []tallyman.Label) []tallyman.Label {
	out := slices.Clone(labels)
	for _, l := range meta {
		if slices.ContainsFunc(labels, func(o tallyman.Label) bool { return o.Name == l.Name }) {
			l.Name += "_extracted"
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(out, func(a, b tallyman.Label) bool { return a.Name == b.Name })
}

// selected reports whether a stream may have records that all matchers select.
// rest are the matchers that each record's metadata has to fit: of a stream that
// others fell into, those of labels that it does not have itself.
func (st *stream) selected(matchers []tallyman.Matcher) (rest []tallyman.Matcher, ok bool) {
	if !st.overflow {
		return nil, st.pub.Matches(matchers)
	}
	for i := range matchers {
		m := &matchers[i]
		switch value := st.pub.Label(m.Name); {
		case value == "":
			rest = append(rest, *m)
		case !m.Matches(value):
			return nil, false
		}
	}
	return rest, true
}

// fits reports whether metadata has what the matchers want.
func fits(meta []tallyman.Label, matchers []tallyman.Matcher) bool {
	for i := range matchers {
		if !matchers[i].Matches(tallyman.LabelIn(meta, matchers[i].Name)) {
			return false
		}
	}
	return true
}
