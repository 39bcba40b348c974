// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// Rotation is what a source knows of the files of one log: which there are, how
// one is known again, and what a rotation does to them.
type Rotation interface {
	// Lead opens files that are new, and those that came between.
	Lead()
	// First is the oldest file that is open, nil without one; last says that it is
	// the only one, to which the log is written.
	First() (f *File, last bool)
	// Look looks at it before it is read, with its size and when it was written to
	// last. True says that other files are open now, and to begin anew: it was
	// emptied in place.
	Look(size int64, changed time.Time) (anew bool)
	// MayGrow reports whether more may come into it.
	MayGrow() bool
	// Decode takes what is whole out of b, which stands at its Off, and moves that on.
	// more says that the rest may still become whole.
	Decode(b []byte, more bool) (took int)
	// Drop closes it: it was read to its end.
	Drop()
	// Bad takes an error of reading it.
	Bad(err error)
}

// Turn reads at most one buffer of a log and reports how many bytes it took, 0 when
// there is nothing new.
func (t *Tail[F]) Turn(c F) (took int) {
	c.Lead()
	for {
		f, _ := c.First()
		if f == nil {
			break
		}
		size, changed, err := f.Size()
		if err == nil && c.Look(size, changed) {
			continue
		}
		more := c.MayGrow()
		if more && err == nil && !f.Packed() && (size == f.Off || size == f.torn) {
			break
		}
		n := 0
		if err == nil {
			n, err = f.Fill(t.Buffer())
		}
		if err != nil {
			c.Bad(fmt.Errorf("read %s: %w", f.F.Name(), err))
		}
		if took = c.Decode(t.Buffer()[:n], more); took > 0 {
			t.Batch.Touch(c)
			break
		}
		if more {
			if err == nil {
				f.torn = size
			}
			break
		}
		c.Drop()
		t.Unwatch(c)
		t.Batch.Touch(c)
	}
	t.tellGaps(c)
	return took
}

// Within tells where reading begins of a log that has files already, oldest first,
// so that it is most bytes at the most: in which of them, and how many of its bytes
// are left out.
func Within[F interface {
	Size() (int64, time.Time, error)
}](files []F, most int64) (first int, skip int64) {
	for i, f := range slices.Backward(files) {
		size, _, _ := f.Size()
		if most -= size; most < 0 {
			return i, -most
		}
	}
	return 0, 0
}

// LineFrom is where the first line begins behind a place of a file of lines.
func (f *File) LineFrom(off int64, buf []byte) int64 {
	for {
		n, err := f.ReadAt(buf, off)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return off + int64(i) + 1
		}
		if n == 0 || err != nil {
			return off
		}
		off += int64(n)
	}
}

// Skipped says what was left out at the beginning of a log.
func Skipped(n int64) Gap {
	return Gap{fmt.Sprintf("tallyman began to read here; %d MiB that are older were left out (logs.backlog)", n>>20), n}
}
