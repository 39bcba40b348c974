// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"errors"

	"tallyman/internal/logstream"
)

// entry is one entry of a log file: what the container wrote in one piece.
// Text is valid until the buffers it came from are used again.
type entry struct {
	time    int64 // nanoseconds since the epoch
	stderr  bool
	text    []byte // without the line feed
	partial bool   // the line goes on in the next entry of the same stream
	// part tells the entries of one line from those of another, 0 where the
	// format does not say.
	part uint32
}

// continued reports whether next goes on with the line of e: all entries of a line
// have one time, and all but the last are full.
func (e *entry) continued(next *entry) bool {
	if e.part != 0 || next.part != 0 {
		return e.part == next.part
	}
	return e.time == next.time
}

// open reports whether the line goes on behind this entry.
func (e *entry) open() bool { return e.partial && (e.part != 0 || len(e.text) >= logstream.PieceSize) }

// A format takes entries out of a file. next gives the entry at the start of b
// and how many bytes it has; errMore says that b ends within it, any other
// error that the n bytes are no entry and are to be skipped. resync says how many
// bytes of b are to be skipped when no entry begins there and none ends: it leaves
// what may be the beginning of one.
type format struct {
	next   func(b []byte, scratch *scratch, e *entry) (n int, err error)
	resync func(b []byte) int
	// last reads an entry that only lacks its line feed, at the end of a file; nil
	// where entries have none.
	last func(b []byte, scratch *scratch, e *entry) bool
	// limit is the largest entry in bytes.
	limit int
}

var (
	errMore = errors.New("the entry goes on")
	errBad  = errors.New("not an entry of a log")
)

// scratch is where escaped text is unescaped to.
type scratch struct{ b []byte }
