// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Run brings what was written to the disk and drops what is too old, once a second,
// until ctx ends. What cannot be synced is tried again.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return q.Sync()
		case <-tick.C:
			q.mu.Lock()
			q.bound(0)
			q.mu.Unlock()
			_ = q.Sync() // tried again in a second, and at the end
		}
	}
}

// Sync brings everything to the disk: messages first, then what is confirmed. Others may
// append and take meanwhile.
func (q *Queue) Sync() error {
	q.syncing.Lock()
	defer q.syncing.Unlock()
	q.mu.Lock()
	old, writer, ack := q.unsynced, q.writer, q.ack
	dirty, ackDirty, dirDirty := q.dirty, q.ackDirty, q.dirDirty
	q.unsynced, q.dirty, q.ackDirty, q.dirDirty = nil, false, false, false
	q.mu.Unlock()

	var err error
	for _, f := range old {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if dirty && writer != nil {
		// It may have been rotated away meanwhile, and is synced once more then.
		err = errors.Join(err, writer.Sync())
	}
	if dirDirty {
		err = errors.Join(err, syncDir(q.opt.Dir))
	}
	if ackDirty && ack != nil && err == nil {
		err = ack.Sync()
	}
	if err != nil {
		q.mu.Lock()
		q.dirty, q.ackDirty, q.dirDirty = true, true, true
		q.mu.Unlock()
		return fmt.Errorf("bring a queue to the disk: %w", err)
	}
	return nil
}

// syncDir makes the names of a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close brings everything to the disk, after Run has ended. What was handed out and not
// confirmed is handed out again by the next process.
func (q *Queue) Close() error {
	err := q.Sync()
	q.mu.Lock()
	defer q.mu.Unlock()
	return errors.Join(err, q.closeFiles())
}

func (q *Queue) closeFiles() (err error) {
	for _, f := range append(q.unsynced, q.writer, q.reader, q.ack) {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	q.unsynced, q.writer, q.reader, q.of, q.ack = nil, nil, nil, nil, nil
	return err
}
