// SPDX-License-Identifier: Apache-2.0

package recordtest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"tallyman"
)

// TailSize is how many batches wait for a reader before some are dropped.
const TailSize = 64

// tail is one reader that follows.
type tail struct {
	s        *Store
	matchers []tallyman.Matcher
	mu       sync.Mutex
	waiting  []tallyman.StreamRecords
	dropped  int
	more     chan struct{}
}

// TailRecords follows the selected streams.
func (s *Store) TailRecords(matchers []tallyman.Matcher) tallyman.RecordTail {
	t := &tail{s: s, matchers: matchers, more: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tails[t] = true
	return t
}

// put hands records over, or drops them when the reader is too slow.
func (t *tail) put(r tallyman.StreamRecords) {
	t.mu.Lock()
	if len(t.waiting) < TailSize {
		r.Records = slices.Clone(r.Records)
		for i := range r.Records {
			r.Records[i].Line = bytes.Clone(r.Records[i].Line)
		}
		t.waiting = append(t.waiting, r)
	} else {
		t.dropped += len(r.Records)
	}
	t.mu.Unlock()
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// Next waits for records.
func (t *tail) Next(ctx context.Context) ([]tallyman.StreamRecords, int, error) {
	for {
		t.mu.Lock()
		out, dropped := t.waiting, t.dropped
		t.waiting, t.dropped = nil, 0
		t.mu.Unlock()
		if len(out) > 0 || dropped > 0 {
			return out, dropped, nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-t.more:
		}
	}
}

// Close ends it.
func (t *tail) Close() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	delete(t.s.tails, t)
}
