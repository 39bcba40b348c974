// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"tallyman/internal/logtail"
)

const (
	// headBytes and tailBytes are how much of the beginning of a file, and of
	// what stands before a position, tell it from others.
	headBytes = 256
	tailBytes = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is a place in a file that is known again by what stands before it,
// under whatever name, copied or compressed.
type identity struct {
	off        int64
	head, tail sum
	time       int64  // of the newest line before it
	ino        uint64 // tells a copy from what it is a copy of
}

// sum is the checksum of so many bytes.
type sum struct {
	n   int
	crc uint32
}

func sumOf(b []byte) sum { return sum{len(b), crc32.Checksum(b, castagnoli)} }

// String is the form in which it is stored: version, offset, length:checksum of
// beginning and end, time, inode.
func (i identity) String() string {
	return fmt.Sprintf("1 %d %d:%x %d:%x %d %d", i.off, i.head.n, i.head.crc, i.tail.n, i.tail.crc, i.time, i.ino)
}

func parseIdentity(text string) (i identity, ok bool) {
	var version int
	n, err := fmt.Sscanf(text, "%d %d %d:%x %d:%x %d %d", &version, &i.off, &i.head.n, &i.head.crc, &i.tail.n, &i.tail.crc, &i.time, &i.ino)
	ok = err == nil && n == 8 && version == 1 && i.off >= 0 && len(strings.Fields(text)) == 6 &&
		i.head.n >= 0 && i.head.n <= headBytes && i.tail.n >= 0 && i.tail.n <= tailBytes && int64(i.tail.n) <= i.off
	if !ok {
		return identity{}, false
	}
	return i, true
}

// file is one file, held open.
type file struct {
	*logtail.File
	name    string
	head    []byte // its first bytes, as many as were taken and no more than headBytes
	tail    []byte // the last bytes that were taken
	changed time.Time
	copied  bool // it is what was kept of one that was emptied
	holes   bool // it was emptied: its writer may have left a hole before its text
}

// is reports whether this is the file of an inode.
func (f *file) is(dev, ino uint64) bool { return f.Dev == dev && f.Ino == ino }

// openAt moves to a place if this is the file that it is of.
func (f *file) openAt(i identity) bool {
	if !f.Packed() {
		if size, _, err := f.Size(); err != nil || size < max(i.off, int64(i.head.n)) {
			return false
		}
	}
	head, tail := make([]byte, i.head.n), make([]byte, i.tail.n)
	if n, err := f.ReadAt(head, 0); err != nil || sumOf(head[:n]) != i.head {
		return false
	}
	if n, err := f.ReadAt(tail, i.off-int64(len(tail))); err != nil || sumOf(tail[:n]) != i.tail {
		return false
	}
	f.head, f.tail = head[:min(int64(len(head)), i.off)], tail
	f.Go(i.off)
	return true
}

// beginsLike reports whether two files have the same beginning: all that there is
// to know a file by of which nothing was read. Two empty ones do not.
func (f *file) beginsLike(other *file) bool {
	var a, b [headBytes]byte
	n, err1 := f.ReadAt(a[:], 0)
	m, err2 := other.ReadAt(b[:], 0)
	return err1 == nil && err2 == nil && n > 0 && string(a[:n]) == string(b[:m])
}

// took notes that b, which stands at Off, was taken.
func (f *file) took(b []byte) {
	if f.Off == int64(len(f.head)) && len(f.head) < headBytes {
		f.head = append(f.head, b[:min(len(b), headBytes-len(f.head))]...)
	}
	if len(b) >= tailBytes {
		f.tail = append(f.tail[:0], b[len(b)-tailBytes:]...)
	} else {
		f.tail = append(f.tail, b...)
		f.tail = f.tail[max(len(f.tail)-tailBytes, 0):]
	}
	f.Off += int64(len(b))
}

// at is the identity of a place at or before Off.
func (f *file) at(off, time int64) identity {
	i := identity{off: off, head: sumOf(f.head), time: time, ino: f.Ino}
	switch {
	case off == f.Off:
		i.tail = sumOf(f.tail)
	case !f.Packed(): // to go back in a compressed one is too dear
		b := make([]byte, min(off, tailBytes))
		if n, err := f.ReadAt(b, off-int64(len(b))); err == nil {
			i.tail = sumOf(b[:n])
		}
	}
	return i
}

// here is the identity of Off, of what was read and not of what is there now.
func (f *file) here(time int64) identity {
	return identity{off: f.Off, head: sumOf(f.head), tail: sumOf(f.tail), time: time, ino: f.Ino}
}

// cutShort reports whether what was taken is no longer there: the file was
// emptied in place, and perhaps written again since. It is not for a compressed
// one.
func (f *file) cutShort(size int64) bool {
	if size < f.Off {
		return true
	}
	var b [headBytes]byte
	if n, err := f.F.ReadAt(b[:len(f.head)], 0); (err == nil || errors.Is(err, io.EOF)) && string(b[:n]) != string(f.head) {
		return true
	}
	n, err := f.F.ReadAt(b[:len(f.tail)], f.Off-int64(len(f.tail)))
	return (err == nil || errors.Is(err, io.EOF)) && string(b[:n]) != string(f.tail)
}

// again begins the file anew.
func (f *file) again() {
	f.Go(0)
	f.head, f.tail, f.holes = nil, nil, true
}
