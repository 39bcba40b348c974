// SPDX-License-Identifier: Apache-2.0

package record

import "encoding/binary"

// run is records whose numbers follow one another. A batch of a stream is mostly one.
type run struct {
	first uint64
	n     uint32
}

// appendRuns appends the numbers of a head's records as runs, in the order of the
// records in the chunk: how many runs, then of each by how much its first number is
// away from the one after the run before (at first from that of the last record), and
// how many more it has. When the records are in the order in which they came, that
// is two or three bytes a batch.
func appendRuns(dst []byte, h *head, order []int32) []byte {
	runs := h.runs
	if order != nil {
		runs = runsIn(h, order)
	}
	dst = binary.AppendUvarint(dst, uint64(len(runs)))
	next := h.last
	for _, r := range runs {
		dst = binary.AppendVarint(dst, int64(r.first-next))
		dst = binary.AppendUvarint(dst, uint64(r.n-1))
		next = r.first + uint64(r.n)
	}
	return dst
}

// runsIn are the runs of records in an order other than that in which they came.
func runsIn(h *head, order []int32) (runs []run) {
	numbers := make([]uint64, 0, len(order))
	for _, r := range h.runs {
		for i := range uint64(r.n) {
			numbers = append(numbers, r.first+i)
		}
	}
	for _, i := range order {
		number := numbers[i]
		if last := len(runs) - 1; last >= 0 && number == runs[last].first+uint64(runs[last].n) {
			runs[last].n++
		} else {
			runs = append(runs, run{number, 1})
		}
	}
	return runs
}

// unpackRuns appends the runs of a chunk, none when it is of a version that had no
// numbers.
func unpackRuns(raw []byte, h *chunkHeader, dst []run) ([]run, error) {
	if len(raw) == 0 {
		return dst, nil
	}
	r := reader{b: raw}
	left, last, next := uint64(h.count), uint64(0), h.seq
	for range r.length(2) {
		first := next + uint64(r.varint())
		n := r.uvarint()
		if r.bad || n >= left || first == 0 || first > h.seq || n > h.seq-first {
			return dst, errDamaged
		}
		n++
		left -= n
		next = first + n
		last = max(last, next-1)
		dst = append(dst, run{first, uint32(n)})
	}
	if !r.done() || left != 0 || last != h.seq {
		return dst, errDamaged
	}
	return dst, nil
}

// firstOf is the least number of all.
func firstOf(runs []run) uint64 {
	if len(runs) == 0 {
		return 0
	}
	first := runs[0].first
	for _, r := range runs[1:] {
		first = min(first, r.first)
	}
	return first
}

// within is how many of the numbers are after one and not after another.
func within(runs []run, after, to uint64) (n uint64) {
	for _, r := range runs {
		from, end := max(r.first, after+1), min(r.first+uint64(r.n)-1, to)
		if from <= end {
			n += end - from + 1
		}
	}
	return n
}

// runs gives the runs of a chunk's stored section of times.
func (u *unpacker) runs(h *chunkHeader, stored []byte) ([]run, error) {
	raw, err := u.unpack(nil, stored, h.times.codec, int(h.times.raw))
	if err != nil {
		return nil, err
	}
	_, _, rest, err := unpackTimes(raw, h, nil, nil)
	if err != nil {
		return nil, err
	}
	return unpackRuns(rest, h, nil)
}

// firstNumber is that of a chunk's first record, 0 when the chunk does not know it.
func (u *unpacker) firstNumber(h *chunkHeader, stored []byte) uint64 {
	runs, err := u.runs(h, stored)
	if err != nil {
		return 0 // who reads the chunk finds the damage
	}
	return firstOf(runs)
}
