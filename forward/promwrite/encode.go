// SPDX-License-Identifier: Apache-2.0

package promwrite

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

// series is one as it goes out.
type series struct {
	labels     []tallyman.Label // sorted, with the name
	name       string
	help, unit string
	counter    bool
	gauge      bool
	start      int64
	v1         []byte // its labels in 1.0
	v2, meta   []byte // its labels and its metadata in 2.0,
	table      uint32 // with the symbols of that table

	request     uint32 // the last one that it was in,
	first, last int    // and its points there
}

// point is a sample of a series.
type point = send.Point[series]

// encoder makes requests. What is the same each time is encoded once.
type encoder struct {
	external []tallyman.Label

	symbols map[string]uint32
	texts   []byte // the symbols, encoded
	table   uint32
	sift    int // a new table begins at this many bytes

	request uint32
	order   []*series
	next    []int // of each point: the next one of the same series, 0 for none
	buf     []byte
	pack    []byte
}

// leastSift is how many bytes of symbols go out in each request before they are sifted.
const leastSift = 64 << 10

func newEncoder(external []tallyman.Label) *encoder {
	e := &encoder{external: external, symbols: map[string]uint32{}, sift: leastSift}
	e.newTable()
	return e
}

// series is one of the spool's as it goes out.
func (e *encoder) series(s *spool.Series) *series {
	one := e.make(s.Name, s.Labels)
	one.help, one.unit, one.start = s.Help, s.Unit, s.Start
	one.counter, one.gauge = s.Type == tallyman.Counter, s.Type == tallyman.Gauge
	return one
}

// make makes a series of a name and labels.
func (e *encoder) make(name string, labels []tallyman.Label) *series {
	one := &series{name: name, labels: append([]tallyman.Label{{Name: "__name__", Value: name}}, labels...)}
	for _, l := range e.external {
		if tallyman.LabelIn(one.labels, l.Name) == "" && l.Value != "" {
			one.labels = append(one.labels, l)
		}
	}
	tallyman.SortLabels(one.labels)
	for _, l := range one.labels {
		one.v1 = appendSize(append(one.v1, 0x0a), 2+sizeOf(len(l.Name))+len(l.Name)+sizeOf(len(l.Value))+len(l.Value))
		one.v1 = appendText(append(one.v1, 0x0a), l.Name)
		one.v1 = appendText(append(one.v1, 0x12), l.Value)
	}
	return one
}

// newTable begins a new table of symbols.
func (e *encoder) newTable() {
	clear(e.symbols)
	e.texts = e.texts[:0]
	e.table++
	e.symbol("") // has to be the first
}

func (e *encoder) symbol(s string) uint64 {
	ref, ok := e.symbols[s]
	if !ok {
		ref = uint32(len(e.symbols))
		e.symbols[s] = ref
		e.texts = appendText(append(e.texts, 0x22), s)
	}
	return uint64(ref)
}

// refer encodes what is the same of a series in each request of this table.
func (e *encoder) refer(s *series) {
	s.table = e.table
	var refs []byte
	for _, l := range s.labels {
		refs = binary.AppendUvarint(binary.AppendUvarint(refs, e.symbol(l.Name)), e.symbol(l.Value))
	}
	s.v2 = append(appendSize(append(s.v2[:0], 0x0a), len(refs)), refs...)
	var meta []byte
	switch {
	case s.counter:
		meta = append(meta, 0x08, 1)
	case s.gauge:
		meta = append(meta, 0x08, 2)
	}
	if s.help != "" {
		meta = binary.AppendUvarint(append(meta, 0x18), e.symbol(s.help))
	}
	if s.unit != "" {
		meta = binary.AppendUvarint(append(meta, 0x20), e.symbol(s.unit))
	}
	s.meta = append(appendSize(append(s.meta[:0], 0x2a), len(meta)), meta...)
}

// gather puts the points of each series behind one another.
func (e *encoder) gather(points []point) {
	e.request++
	e.order, e.next = e.order[:0], e.next[:0]
	for i := range points {
		s := points[i].Series
		e.next = append(e.next, 0)
		if s.request != e.request {
			s.request, s.first = e.request, i
			e.order = append(e.order, s)
		} else {
			e.next[s.last] = i
		}
		s.last = i
	}
}

// encode is the packed request of points, which of each series are in the order of their
// times. part says that it is a part of what was asked before: then a table of symbols is
// made for it alone. The body is valid until the next call.
func (e *encoder) encode(points []point, version int, part bool) []byte {
	e.gather(points)
	e.buf = e.buf[:0]
	if version == 2 {
		fresh := part || len(e.texts) > e.sift
		if fresh {
			e.newTable()
		}
		for _, s := range e.order {
			if s.table != e.table {
				e.refer(s)
			}
		}
		if fresh {
			e.sift = max(leastSift, 2*len(e.texts))
		}
		e.buf = append(e.buf, e.texts...)
	}
	for _, s := range e.order {
		tag, head, tail := byte(0x0a), s.v1, []byte(nil)
		if version == 2 {
			tag, head, tail = 0x2a, s.v2, s.meta
		}
		size := len(head) + len(tail)
		for i, more := s.first, true; more; i, more = e.next[i], e.next[i] != 0 {
			size += 2 + s.pointSize(points[i].Time, version)
		}
		e.buf = append(appendSize(append(e.buf, tag), size), head...)
		for i, more := s.first, true; more; i, more = e.next[i], e.next[i] != 0 {
			t := points[i].Time
			e.buf = append(e.buf, 0x12, byte(s.pointSize(t, version)), 0x09)
			e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(points[i].Value))
			e.buf = binary.AppendUvarint(append(e.buf, 0x10), uint64(t))
			if version == 2 && s.begun(t) {
				e.buf = binary.AppendUvarint(append(e.buf, 0x18), uint64(s.start))
			}
		}
		e.buf = append(e.buf, tail...)
	}
	return e.packed()
}

// packed is what is in buf, packed.
func (e *encoder) packed() []byte {
	if n := s2.MaxEncodedLen(len(e.buf)); cap(e.pack) < n {
		e.pack = make([]byte, n)
	}
	return s2.EncodeSnappy(e.pack[:cap(e.pack)], e.buf)
}

// metadata is the packed request of 1.0 that tells type, unit and help of the metrics of some
// series. It is valid until the next call.
func (e *encoder) metadata(of []*series) []byte {
	e.buf = e.buf[:0]
	var m []byte
	for _, s := range of {
		m = m[:0]
		switch {
		case s.counter:
			m = append(m, 0x08, 1)
		case s.gauge:
			m = append(m, 0x08, 2)
		}
		m = appendText(append(m, 0x12), s.name)
		m = appendText(append(m, 0x22), s.help)
		m = appendText(append(m, 0x2a), s.unit)
		e.buf = append(appendSize(append(e.buf, 0x1a), len(m)), m...)
	}
	return e.packed()
}

// begun reports whether it is known since when a counter counts.
func (s *series) begun(t int64) bool { return s.start > 0 && s.start <= t }

// pointSize is how long a point is, less than 128.
func (s *series) pointSize(t int64, version int) int {
	n := 9 + 1 + sizeOf64(uint64(t))
	if version == 2 && s.begun(t) {
		n += 1 + sizeOf64(uint64(s.start))
	}
	return n
}

func sizeOf(n int) int                   { return sizeOf64(uint64(n)) }
func sizeOf64(n uint64) int              { return (bits.Len64(n|1) + 6) / 7 }
func appendSize(to []byte, n int) []byte { return binary.AppendUvarint(to, uint64(n)) }

func appendText(to []byte, s string) []byte { return append(appendSize(to, len(s)), s...) }
