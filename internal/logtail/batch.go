// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"tallyman"
)

// CommitAt is how many bytes of lines are stored together at most.
const CommitAt = 1 << 20

// Reader is something whose position commits with the lines that were read up
// to there.
type Reader interface {
	// Position is how far it will be stored with the present batch; an empty
	// key says that it has none yet.
	Position() tallyman.Position
}

// Batch collects lines of many readers until they are stored. Its memory is
// used again.
type Batch struct {
	// Bytes are those of the lines that wait.
	Bytes int
	// Spare has no memory kept between two commits, for who has many batches.
	Spare bool

	to      tallyman.RecordIntake
	records tallyman.RecordBatch
	index   map[*tallyman.Stream]int
	block   []byte
	touched map[Reader]bool // whose position goes with it
	newest  Reader          // that was touched
	failed  error           // why a batch was dropped
}

const blockSize = 256 << 10

// NewBatch makes an empty one, which goes to an intake.
func NewBatch(to tallyman.RecordIntake) *Batch {
	return &Batch{to: to, index: map[*tallyman.Stream]int{}, touched: map[Reader]bool{}}
}

// Copy gives text a place that stays until the batch is stored.
func (b *Batch) Copy(text []byte) []byte {
	if b.Spare {
		return bytes.Clone(text)
	}
	if len(text) > cap(b.block)-len(b.block) {
		b.block = make([]byte, 0, max(blockSize, len(text)))
	}
	at := len(b.block)
	b.block = append(b.block, text...)
	return b.block[at:len(b.block):len(b.block)]
}

// Add takes a line; text must stay until the batch is stored.
func (b *Batch) Add(s *tallyman.Stream, time int64, text []byte, meta []tallyman.Label) {
	i, ok := b.index[s]
	if !ok {
		i = len(b.records.Streams)
		b.index[s] = i
		if i < cap(b.records.Streams) { // with the memory that it had
			b.records.Streams = b.records.Streams[:i+1]
			b.records.Streams[i].Stream, b.records.Streams[i].Records = s, b.records.Streams[i].Records[:0]
		} else {
			b.records.Streams = append(b.records.Streams, tallyman.StreamRecords{Stream: s})
		}
	}
	to := &b.records.Streams[i]
	to.Records = append(to.Records, tallyman.Record{Time: time, Line: text, Meta: meta})
	b.Bytes += len(text)
}

// Touch notes that a reader's position has moved.
func (b *Batch) Touch(r Reader) {
	if r != b.newest {
		b.touched[r], b.newest = true, r
	}
}

// Untouch forgets a reader, whose position then stays as it was.
func (b *Batch) Untouch(r Reader) {
	delete(b.touched, r)
	b.newest = nil
}

// Forget forgets the position of a key with the next commit.
func (b *Batch) Forget(key string) {
	b.records.Positions = append(b.records.Positions, tallyman.Position{Key: key})
}

// Commit stores the batch with the positions that belong to it. It waits while the
// store takes nothing, until ctx ends: then the batch is dropped, and read again
// from the positions that were stored. Nothing is stored after that: the positions
// of what came since lie behind what was dropped.
func (b *Batch) Commit(ctx context.Context) error {
	if b.failed != nil || len(b.touched) == 0 && len(b.records.Positions) == 0 && len(b.records.Streams) == 0 {
		return b.failed
	}
	defer b.reset()
	for r := range b.touched {
		if p := r.Position(); p.Key != "" {
			b.records.Positions = append(b.records.Positions, p)
		}
	}
	err := b.to.TakeRecords(ctx, &b.records)
	if _, refused := errors.AsType[*tallyman.RefusedError](err); err != nil && !refused { // which is counted and said there
		b.failed = fmt.Errorf("store log lines: %w", err)
	}
	return b.failed
}

func (b *Batch) reset() {
	if b.Spare || len(b.records.Streams) > 1024 { // a rare crowd is not kept for ever
		b.records.Streams = nil
	}
	b.records.Streams, b.records.Positions = b.records.Streams[:0], b.records.Positions[:0]
	clear(b.index)
	clear(b.touched)
	b.newest = nil
	b.block = b.block[:0]
	b.Bytes = 0
}
