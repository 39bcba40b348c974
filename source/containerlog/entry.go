// SPDX-License-Identifier: Apache-2.0

package containerlog

import "errors"

// entry is one entry of a log file: what the container wrote in one piece.
// Text is valid until the buffers it came from are used again.
type entry struct {
	time    int64 // nanoseconds since the epoch
	stderr  bool
	text    []byte // without the line feed
	partial bool   // the line goes on in the next entry of the same stream
}

// A format takes entries out of a file. next gives the entry at the start of b
// and how many bytes it has; errMore says that b ends within it, any other
// error that the n bytes are no entry and are to be skipped.
type format struct {
	next func(b []byte, scratch *scratch, e *entry) (n int, err error)
	// limit is the largest entry in bytes.
	limit int
}

var (
	errMore = errors.New("the entry goes on")
	errBad  = errors.New("not an entry of a log")
)

// scratch is where escaped text is unescaped to.
type scratch struct{ b []byte }
