// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// segment is a file of chunks. What is not said otherwise is guarded by
// Store.mu.
type segment struct {
	path    string
	class   *class
	number  uint64
	created int64
	last    int64 // when the newest chunk was appended
	size    int64
	chunks  int
	w       file // nil when nothing is to be appended any more
	dirty   bool // written since the last sync

	// The reading side.
	rmu     sync.Mutex
	r       *os.File
	users   int
	removed bool
}

func (g *segment) name() string { return filepath.Base(g.path) }

// acquire opens the file for one more reader.
func (g *segment) acquire() error {
	g.rmu.Lock()
	defer g.rmu.Unlock()
	if g.r == nil {
		f, err := os.Open(g.path)
		if err != nil {
			return err
		}
		g.r = f
	}
	g.users++
	return nil
}

func (g *segment) release() {
	g.rmu.Lock()
	defer g.rmu.Unlock()
	if g.users--; g.users == 0 {
		g.r.Close()
		g.r = nil
	}
}

// gone reports whether the retention has removed the file.
func (g *segment) gone() bool {
	g.rmu.Lock()
	defer g.rmu.Unlock()
	return g.removed
}

// read fills b from the file, which must be acquired.
func (g *segment) read(b []byte, off int64) error {
	_, err := g.r.ReadAt(b, off)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errDamaged
	}
	return err
}

// append writes a chunk, whole or not at all.
func (g *segment) append(packed []byte, now int64) (off int64, err error) {
	n, err := g.w.Write(packed)
	if err == nil && n < len(packed) {
		err = errShortWrite
	}
	if err != nil {
		// Take back what came through, or leave the file: what is torn at its
		// end is left out when it is read.
		if terr := g.w.Truncate(g.size); terr != nil {
			err = errors.Join(err, terr, g.w.Close())
			g.w = nil
		}
		return 0, err
	}
	off = g.size
	g.size += int64(len(packed))
	g.last = now
	g.chunks++
	g.dirty = true
	return off, nil
}

// Footer: magic 4, CRC 4 of what follows it, size 4, last 8, payload; then, at
// the very end of the file, size 4 and magic 4 again.
const (
	footerFixed = 20
	trailerSize = 8
)

// footer appends the footer: the streams of a segment and their chunks.
func footer(dst []byte, last int64, streams []segmentStream) []byte {
	start := len(dst)
	dst = le.AppendUint32(dst, footerMagic)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = le.AppendUint64(dst, uint64(last))
	dst = binary.AppendUvarint(dst, uint64(len(streams)))
	for _, st := range streams {
		dst = append(dst, st.labels...)
		dst = binary.AppendUvarint(dst, uint64(len(st.chunks)))
		var p chunk
		for _, r := range st.chunks {
			dst = binary.AppendUvarint(dst, uint64(r.off-p.off))
			dst = binary.AppendVarint(dst, r.min-p.min)
			dst = binary.AppendUvarint(dst, uint64(r.max-r.min))
			dst = binary.AppendUvarint(dst, r.seq-p.seq)
			if r.first == 0 {
				dst = append(dst, 0)
			} else {
				dst = binary.AppendUvarint(dst, r.seq-r.first+1)
			}
			for _, v := range []uint32{r.size, r.count, r.raw, r.lead} {
				dst = binary.AppendUvarint(dst, uint64(v))
			}
			p = r
		}
	}
	size := uint32(len(dst) - start)
	le.PutUint32(dst[start+8:], size)
	le.PutUint32(dst[start+4:], checksum(dst[start+8:]))
	dst = le.AppendUint32(dst, size)
	return le.AppendUint32(dst, footerMagic)
}

// isFooter reports whether a magic number is that of a footer.
func isFooter(magic uint32) bool { return magic == footerMagic || magic == footerMagic2 }

// segmentStream is a stream of one segment.
type segmentStream struct {
	labels []byte // as appendLabels writes them
	chunks []chunk
}

// parseFooter reads the footer off b, which ends where it ends, before the
// trailer. start is where it begins in the file: no chunk reaches into it.
func parseFooter(b []byte, start int64) (last int64, streams []segmentStream, err error) {
	if len(b) < footerFixed || !isFooter(le.Uint32(b)) || le.Uint32(b[8:]) != uint32(len(b)) || checksum(b[8:]) != le.Uint32(b[4:]) {
		return 0, nil, errDamaged
	}
	last = int64(le.Uint64(b[12:]))
	numbered := le.Uint32(b) == footerMagic
	r := reader{b: b[footerFixed:]}
	for range r.length(3) {
		before := r.b
		for range 2 * r.length(2) {
			r.bytes()
		}
		st := segmentStream{labels: before[:len(before)-len(r.b)]}
		count := r.length(8)
		if r.bad {
			return 0, nil, errDamaged
		}
		st.chunks = make([]chunk, count)
		var p chunk
		for i := range st.chunks {
			c := &st.chunks[i]
			off := uint64(p.off) + r.uvarint()
			c.min = p.min + r.varint()
			c.max = c.min + int64(r.uvarint())
			c.seq = p.seq + r.uvarint()
			if numbered {
				if n := r.uvarint(); n > c.seq {
					return 0, nil, errDamaged
				} else if n > 0 {
					c.first = c.seq - n + 1
				}
			}
			size, count, raw, lead := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
			if off > uint64(start) || size > uint64(start)-off || size < chunkFixed || lead > size || lead < chunkFixed || count > maxSection || raw > maxSection || c.max < c.min {
				return 0, nil, errDamaged
			}
			c.off, c.size, c.count, c.raw, c.lead = uint32(off), uint32(size), uint32(count), uint32(raw), uint32(lead)
			p = *c
		}
		streams = append(streams, st)
	}
	if !r.done() {
		return 0, nil, errDamaged
	}
	return last, streams, nil
}
