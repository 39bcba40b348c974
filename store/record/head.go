// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tallyman"
)

// head holds the records of a stream that no chunk has yet. It is made with the
// first of them and goes when they are sealed, so that an idle stream costs
// nothing. Slices only grow: what a view has seen of them stays as it is.
type head struct {
	text  []byte
	times []int64
	ends  []uint32 // of the lines in text
	// meta are the different sets of metadata, each as appendLabels writes
	// them; sets are where they begin, and set is which one each record has,
	// with noMeta for none. It is empty as long as no record had any.
	meta []byte
	sets []uint32
	set  []uint32
	// runs are the numbers of the records, in the order in which they came.
	runs []run

	min, max   int64
	disordered bool // times do not only grow
	last       uint64
	wal        *walFile // the oldest that has a record of it
	since      int64    // when the first and the newest came, nanoseconds
	newest     int64
	seen       bool // a view may be in use: buffers are not to be used again
}

const noMeta = ^uint32(0)

// append appends the record with that number, which is greater than those before.
func (h *head) append(r *tallyman.Record, number uint64) {
	if last := len(h.runs) - 1; last >= 0 && number == h.last+1 {
		h.runs[last].n++
	} else {
		h.runs = append(h.runs, run{number, 1})
	}
	h.last = number
	n := len(h.times)
	if n == 0 {
		h.min, h.max = r.Time, r.Time
	} else {
		if r.Time < h.times[n-1] {
			h.disordered = true
		}
		h.min, h.max = min(h.min, r.Time), max(h.max, r.Time)
	}
	h.text = append(h.text, r.Line...)
	h.times = append(h.times, r.Time)
	h.ends = append(h.ends, uint32(len(h.text)))
	switch {
	case len(r.Meta) > 0:
		for len(h.set) < n {
			h.set = append(h.set, noMeta)
		}
		h.set = append(h.set, h.metaSet(r.Meta))
	case len(h.sets) > 0:
		h.set = append(h.set, noMeta)
	}
}

// metaSet finds or adds a set. Records in a row mostly have the same, so only
// the newest few are looked at; one that is there twice costs what the
// compression leaves of it.
func (h *head) metaSet(labels []tallyman.Label) uint32 {
	start := len(h.meta)
	h.meta = appendLabels(h.meta, labels)
	fresh := h.meta[start:]
	for i, end := len(h.sets)-1, start; i >= 0 && i >= len(h.sets)-4; i-- {
		if bytes.Equal(h.meta[h.sets[i]:end], fresh) {
			h.meta = h.meta[:start] // no view has seen more
			return uint32(i)
		}
		end = int(h.sets[i])
	}
	h.sets = append(h.sets, uint32(start))
	return uint32(len(h.sets) - 1)
}

func (h *head) full() bool {
	return len(h.text) >= chunkText || len(h.times) >= chunkRecords || len(h.meta) >= chunkMeta
}

// line is the i-th line.
func (h *head) line(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = h.ends[i-1]
	}
	return h.text[start:h.ends[i]:h.ends[i]]
}

// order is the order of the records by time, those of one time as they came;
// nil when they are in it.
func (h *head) order() []int32 {
	if !h.disordered {
		return nil
	}
	order := make([]int32, len(h.times))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch ta, tb := h.times[a], h.times[b]; {
		case ta < tb:
			return -1
		case ta > tb:
			return 1
		}
		return 0
	})
	return order
}

// view is the head as it is now, for reading without the lock. Later appends
// write behind it.
func (h *head) view() *head {
	h.seen = true
	v := *h
	v.runs = slices.Clone(h.runs) // the last of them may still grow
	return &v
}

// first is the number of the first record.
func (h *head) first() uint64 { return h.runs[0].first }

// reset makes the buffers of a sealed head ready for another.
func (h *head) reset() {
	*h = head{text: h.text[:0], times: h.times[:0], ends: h.ends[:0], meta: h.meta[:0], sets: h.sets[:0], set: h.set[:0], runs: h.runs[:0]}
}

// appendMeta appends the sets and which record has which.
func appendMeta(dst []byte, h *head, order []int32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(h.sets)))
	dst = append(dst, h.meta...)
	for i := range h.times {
		if order != nil {
			i = int(order[i])
		}
		n := uint64(0) // none
		if i < len(h.set) && h.set[i] != noMeta {
			n = uint64(h.set[i]) + 1
		}
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}
