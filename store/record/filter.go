// SPDX-License-Identifier: Apache-2.0

package record

import "math/bits"

// A filter is a bitmap of the trigrams, three bytes in a row, that the lines of
// a chunk hold. A text of three bytes or more can be in the chunk only if all
// its trigrams are. Its size is a power of two, chosen by what is in it.
const (
	filterLeast = 16 // bytes
	filterMost  = 1 << 10
	// filterFull is how many percent of the bits may be set for folding to go on.
	filterFull = 40
)

// trigramHash hashes three bytes, which are the upper ones of t, to 16 bits. A
// map takes as many of the low ones as it has a use for.
func trigramHash(t uint32) uint32 { return t * 0x9e3779b1 >> 16 }

// filterMaker collects trigrams. The zero value is ready.
type filterMaker struct {
	words [filterMost / 8]uint64
	some  bool
}

// add takes in one line.
func (m *filterMaker) add(line []byte) {
	if len(line) < 3 {
		return
	}
	m.some = true
	w := &m.words
	t := uint32(line[0])<<16 | uint32(line[1])<<8
	for _, c := range line[2:] {
		t = (t | uint32(c)) << 8 // the fourth byte back falls out at the top
		h := trigramHash(t)
		w[h/64%uint32(len(w))] |= 1 << (h % 64)
	}
}

// appendTo appends the map and makes it empty. As long as few bits are set it
// is folded, one half over the other, so that a chunk of a few lines has a few
// bytes.
func (m *filterMaker) appendTo(dst []byte) []byte {
	if !m.some {
		return dst
	}
	w := m.words[:]
	for len(w)*8 > filterLeast {
		half := len(w) / 2
		set := 0
		for i := range half {
			set += bits.OnesCount64(w[i] | w[i+half])
		}
		if set > half*64*filterFull/100 {
			break
		}
		for i := range half {
			w[i] |= w[i+half]
		}
		w = w[:half]
	}
	for _, v := range w {
		dst = le.AppendUint64(dst, v)
	}
	clear(m.words[:])
	m.some = false
	return dst
}

// needle is the trigrams of one text that is looked for, as hashes.
type needle []uint32

func newNeedle(text string) needle {
	var n needle
	for i := 0; i+3 <= len(text); i++ {
		n = append(n, trigramHash(uint32(text[i])<<24|uint32(text[i+1])<<16|uint32(text[i+2])<<8))
	}
	return n
}

// in reports whether a chunk with that filter may hold the text. A chunk
// without a filter has no line of three bytes.
func (n needle) in(filter []byte) bool {
	if len(n) == 0 {
		return true
	}
	if len(filter) == 0 {
		return false
	}
	mask := uint32(len(filter)*8 - 1)
	for _, h := range n {
		h &= mask
		if filter[h/8]&(1<<(h%8)) == 0 {
			return false
		}
	}
	return true
}

// goodFilter reports whether a filter has a size that can be asked: the hash has
// 16 bits.
func goodFilter(size int) bool {
	return size == 0 || size >= filterLeast && size <= 8<<10 && size&(size-1) == 0
}
