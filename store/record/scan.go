// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"io"
)

// readFooter finds and reads the footer of a file of that size.
func readFooter(f io.ReaderAt, size int64) (last int64, streams []segmentStream, err error) {
	var t [trailerSize]byte
	if size < headerSize+footerFixed+trailerSize {
		return 0, nil, errDamaged
	}
	if _, err := f.ReadAt(t[:], size-trailerSize); err != nil {
		return 0, nil, err
	}
	n := int64(le.Uint32(t[:]))
	if !isFooter(le.Uint32(t[4:])) || n < footerFixed || n > size-trailerSize-headerSize {
		return 0, nil, errDamaged
	}
	b := make([]byte, n)
	at := size - trailerSize - n
	if _, err := f.ReadAt(b, at); err != nil {
		return 0, nil, err
	}
	return parseFooter(b, at)
}

// scan reads a segment chunk by chunk, checks all of it and calls each for
// those that are whole. end is where the last of them ends, damaged is at how
// many places before that something else was. The labels are valid during the
// call, as is the section of times as it is stored.
func scan(f io.ReaderAt, size int64, each func(off int64, h *chunkHeader, labels, times []byte)) (end int64, damaged int) {
	s := scanner{f: f, size: size}
	end = min(headerSize, size)
	inGap := false
	for at := end; at >= 0 && at < size; {
		h, labels, times, ok := s.chunk(at)
		if !ok {
			inGap = true
			at = s.find(at + 1)
			continue
		}
		if inGap {
			damaged++
			inGap = false
		}
		each(at, &h, labels, times)
		at += int64(h.size)
		end = at
	}
	return end, damaged
}

type scanner struct {
	f    io.ReaderAt
	size int64
	buf  []byte
}

// read gives n bytes at an offset, fewer at the end of the file.
func (s *scanner) read(at int64, n int64) []byte {
	n = min(n, s.size-at)
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	got, _ := s.f.ReadAt(b, at)
	return b[:got]
}

// chunk reads the chunk at an offset and checks all its parts.
func (s *scanner) chunk(at int64) (h chunkHeader, labels, times []byte, ok bool) {
	b := s.read(at, 32<<10) // most are smaller
	if len(b) < chunkFixed || le.Uint32(b) != chunkMagic {
		return h, nil, nil, false
	}
	size := int64(le.Uint32(b[8:]))
	if size > s.size-at {
		return h, nil, nil, false
	}
	if size > int64(len(b)) {
		b = s.read(at, size)
	}
	if int64(len(b)) < size {
		return h, nil, nil, false
	}
	h, labels, err := parseChunkHeader(b)
	if err != nil {
		return h, nil, nil, false
	}
	rest := b[chunkFixed+h.labels : h.size]
	for _, sec := range h.sections() {
		var stored []byte
		if stored, rest, err = sec.take(rest); err != nil {
			return h, nil, nil, false
		}
		if sec == &h.times {
			times = stored
		}
	}
	return h, labels, times, true
}

// find is where the next chunk may begin, -1 without one.
func (s *scanner) find(at int64) int64 {
	magic := le.AppendUint32(nil, chunkMagic)
	for at < s.size {
		b := s.read(at, 64<<10)
		if i := bytes.Index(b, magic); i >= 0 {
			return at + int64(i)
		}
		if len(b) < len(magic) {
			break
		}
		at += int64(len(b) - len(magic) + 1)
	}
	return -1
}
