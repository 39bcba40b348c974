// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"io"
	"slices"

	"tallyman"
)

// tailBytes is how much text may wait for a reader who follows; what comes when
// it is reached is dropped and counted, and delays nobody.
const tailBytes = 4 << 20

// tail implements tallyman.RecordTail. All but the first three fields are
// guarded by Store.mu.
type tail struct {
	s        *Store
	matchers []tallyman.Matcher
	wake     chan struct{} // has one when there is something new

	known   map[*stream]want
	waiting []tallyman.StreamRecords
	bytes   int
	dropped int
	ended   bool
}

// want is whether a stream is selected, and what its records' metadata has to
// fit.
type want struct {
	is   bool
	rest []tallyman.Matcher
}

// TailRecords implements tallyman.RecordTailer.
func (s *Store) TailRecords(matchers []tallyman.Matcher) tallyman.RecordTail {
	t := &tail{s: s, matchers: slices.Clone(matchers), wake: make(chan struct{}, 1), known: map[*stream]want{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		t.end()
	} else {
		s.tails[t] = struct{}{}
	}
	return t
}

// feed gives a stored batch to those who follow; s.resolved are its streams.
func (s *Store) feed(b *tallyman.RecordBatch) {
	for t := range s.tails {
		for i, st := range s.resolved {
			w, ok := t.known[st]
			if !ok {
				if len(t.known) > 2*s.index.n+1024 { // those that are gone
					clear(t.known)
				}
				w.rest, w.is = st.selected(t.matchers)
				t.known[st] = w
			}
			records := b.Streams[i].Records
			if w.is && len(w.rest) > 0 {
				records = slices.DeleteFunc(slices.Clone(records), func(r tallyman.Record) bool { return !fits(r.Meta, w.rest) })
			}
			if w.is && len(records) > 0 {
				t.add(st.pub, records)
			}
		}
	}
}

// add queues a copy of records.
func (t *tail) add(st *tallyman.Stream, records []tallyman.Record) {
	n := 0
	for i := range records {
		n += len(records[i].Line) + 64
	}
	if t.bytes+n > tailBytes && t.bytes > 0 {
		t.dropped += len(records)
		t.s.count.slowTails.Add(uint64(len(records)))
	} else {
		t.bytes += n
		text := make([]byte, 0, n)
		out := make([]tallyman.Record, len(records))
		for i, r := range records {
			start := len(text)
			text = append(text, r.Line...)
			out[i] = tallyman.Record{Time: r.Time, Line: text[start:len(text):len(text)], Meta: slices.Clone(r.Meta)}
		}
		t.waiting = append(t.waiting, tallyman.StreamRecords{Stream: st, Records: out})
	}
	t.signal()
}

func (t *tail) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// end makes Next say io.EOF when nothing waits any more.
func (t *tail) end() {
	t.ended = true
	t.signal()
}

// Next implements tallyman.RecordTail. What it gives belongs to the caller.
// After Close of the tail or of the store it is io.EOF.
func (t *tail) Next(ctx context.Context) ([]tallyman.StreamRecords, int, error) {
	for {
		t.s.mu.Lock()
		records, dropped, ended := t.waiting, t.dropped, t.ended
		t.waiting, t.dropped, t.bytes = nil, 0, 0
		t.s.mu.Unlock()
		if len(records) > 0 || dropped > 0 {
			return records, dropped, nil
		}
		if ended {
			return nil, 0, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-t.wake:
		}
	}
}

// Close implements tallyman.RecordTail.
func (t *tail) Close() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	delete(t.s.tails, t)
	t.end()
}
