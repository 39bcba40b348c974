// SPDX-License-Identifier: Apache-2.0

package record

import "math/bits"

// Times and lengths are numbers in groups of 64, each of as many bits as the
// greatest of its group needs. The times are differences to the one before;
// in nanoseconds they are mostly noise: whole bytes would waste a fifth, and
// compression gains nothing.
const bitGroup = 64

// bitWidth is how many bits a group takes. Above 56 they no longer come out of
// eight bytes wherever they begin, so all 64 are taken.
func bitWidth(greatest uint64) int {
	if w := bits.Len64(greatest); w <= 56 {
		return w
	}
	return 64
}

// appendTimes appends the times of a head and the lengths of its lines.
func appendTimes(dst []byte, h *head, order []int32) []byte {
	at := func(i int) int {
		if order != nil {
			return int(order[i])
		}
		return i
	}
	prev := h.min
	dst = appendNumbers(dst, len(h.times), func(i int) uint64 {
		t := h.times[at(i)]
		d := uint64(t - prev)
		prev = t
		return d
	})
	return appendNumbers(dst, len(h.times), func(i int) uint64 { return uint64(len(h.line(at(i)))) })
}

// appendNumbers appends n numbers: of each group its width in a byte, then the
// numbers, the lowest bits first.
func appendNumbers(dst []byte, n int, number func(i int) uint64) []byte {
	var group [bitGroup]uint64
	for from := 0; from < n; from += bitGroup {
		values := group[:min(bitGroup, n-from)]
		all := uint64(0)
		for i := range values {
			values[i] = number(from + i)
			all |= values[i]
		}
		width := bitWidth(all)
		dst = append(dst, byte(width))
		if width == 64 {
			for _, v := range values {
				dst = le.AppendUint64(dst, v)
			}
			continue
		}
		var acc uint64
		have := 0 // bits in acc, fewer than 8
		for _, v := range values {
			acc |= v << have
			for have += width; have >= 8; have -= 8 {
				dst = append(dst, byte(acc))
				acc >>= 8
			}
		}
		if have > 0 {
			dst = append(dst, byte(acc))
		}
	}
	return dst
}

// numberReader reads what appendNumbers wrote.
type numberReader struct {
	b     []byte // eight bytes longer than what is to be read
	group []byte // of the group: also eight bytes longer
	width int
}

// newNumberReader reads raw; it may write behind it.
func newNumberReader(raw []byte) numberReader {
	return numberReader{b: append(raw, 0, 0, 0, 0, 0, 0, 0, 0)}
}

// begin takes the next group of n numbers.
func (r *numberReader) begin(n int) bool {
	if len(r.b) <= 8 {
		return false
	}
	r.width = int(r.b[0])
	size := (n*r.width + 7) / 8
	if r.width > 64 || r.width > 56 && r.width < 64 || 1+size > len(r.b)-8 {
		return false
	}
	r.group = r.b[1 : 1+size+8]
	r.b = r.b[1+size:]
	return true
}

// at is the i-th number of the group.
func (r *numberReader) at(i int) uint64 {
	bit := i * r.width
	return le.Uint64(r.group[bit/8:]) >> (bit % 8) & (1<<r.width - 1)
}

// unpackTimes appends the time of each record, and where in the text its line
// ends. What follows are the runs of the numbers.
func unpackTimes(raw []byte, h *chunkHeader, times []int64, ends []uint32) (_ []int64, _ []uint32, runs []byte, _ error) {
	r := newNumberReader(raw)
	t := h.min
	for left := int(h.count); left > 0; left -= bitGroup {
		n := min(left, bitGroup)
		if !r.begin(n) {
			return times, ends, nil, errDamaged
		}
		for i := range n {
			t += int64(r.at(i))
			times = append(times, t)
		}
	}
	end := uint64(0)
	for left := int(h.count); left > 0; left -= bitGroup {
		n := min(left, bitGroup)
		if !r.begin(n) {
			return times, ends, nil, errDamaged
		}
		for i := range n {
			length := r.at(i)
			if end += length; end > uint64(h.text.raw) || length > maxSection {
				return times, ends, nil, errDamaged
			}
			ends = append(ends, uint32(end))
		}
	}
	if t != h.max || end != uint64(h.text.raw) {
		return times, ends, nil, errDamaged
	}
	return times, ends, r.b[:len(r.b)-8], nil
}
