// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"
)

// Files are read in windows of a size; sets times ways of them are held in memory for
// all files of a Reader.
const (
	windowSize = 32 << 10
	sets, ways = 16, 4
	// mostIdle is how many stay in memory while there is nothing to read.
	mostIdle = 16
)

// windows are parts of files in memory. They belong to one goroutine.
type windows struct {
	generation uint64
	clock      uint64
	held       int // windows that have memory
	sets       [sets][ways]window
}

// window is a part of a file. What a file had in memory is of a generation, and is not
// found any more in the next one.
type window struct {
	generation, number uint64
	used               uint64
	data               []byte // with the capacity of a window
}

// idle gives most of the memory back, for who has read all that there is.
func (c *windows) idle() {
	if c.held > mostIdle {
		*c = windows{generation: c.generation}
	}
}

// next is a new generation.
func (c *windows) next() uint64 {
	c.generation++
	return c.generation
}

// get gives a window of a file. Behind the file's end it is shorter.
func (c *windows) get(in io.ReaderAt, generation, number uint64) ([]byte, error) {
	c.clock++
	set := &c.sets[number%sets]
	oldest := &set[0]
	for i := range set {
		w := &set[i]
		if w.number == number && w.generation == generation {
			w.used = c.clock
			return w.data, nil
		}
		if w.used < oldest.used {
			oldest = w
		}
	}
	if oldest.data == nil {
		oldest.data = make([]byte, windowSize)
		c.held++
	}
	oldest.generation = 0
	n, err := in.ReadAt(oldest.data[:windowSize], int64(number*windowSize))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: at %d: %w", errBroken, number*windowSize, err)
	}
	*oldest = window{generation, number, c.clock, oldest.data[:n]}
	return oldest.data, nil
}
