// SPDX-License-Identifier: Apache-2.0

package forwardtest

import (
	"context"
	"io"
	"sync"

	"tallyman"
)

// Log is a tallyman.RecordLog in memory.
type Log struct {
	mu      sync.Mutex
	streams []*tallyman.Stream // of each record, by its number - 1
	records []tallyman.Record
	gone    tallyman.Mark // what is up to there is gone
	marks   map[string]tallyman.Mark
	wake    chan struct{} // closed when something was appended
}

// NewLog makes an empty one.
func NewLog() *Log { return &Log{marks: map[string]tallyman.Mark{}, wake: make(chan struct{})} }

// Append appends records of a stream.
func (l *Log) Append(st *tallyman.Stream, records ...tallyman.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.streams, l.records = append(l.streams, st), append(l.records, r)
	}
	close(l.wake)
	l.wake = make(chan struct{})
}

// Drop makes what is up to a mark gone.
func (l *Log) Drop(to tallyman.Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = to
}

// LastMark implements tallyman.RecordLog.
func (l *Log) LastMark() tallyman.Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tallyman.Mark(len(l.records))
}

// Mark implements tallyman.RecordLog.
func (l *Log) Mark(name string) (tallyman.Mark, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, ok := l.marks[name]
	return m, ok
}

// CommitMark implements tallyman.RecordLog.
func (l *Log) CommitMark(name string, m tallyman.Mark) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks[name] = m
	return nil
}

// ReadRecords implements tallyman.RecordLog.
func (l *Log) ReadRecords(after tallyman.Mark, want func(*tallyman.Stream) (string, bool)) tallyman.RecordLogReader {
	return &reader{log: l, at: after, want: want}
}

type reader struct {
	log  *Log
	at   tallyman.Mark
	want func(*tallyman.Stream) (string, bool)
}

// Close implements tallyman.RecordLogReader.
func (r *reader) Close() { r.log = nil }

// Next implements tallyman.RecordLogReader. Each part ends at a mark.
func (r *reader) Next(ctx context.Context, most int) (p tallyman.LogPart, err error) {
	l := r.log
	if l == nil {
		return p, io.EOF
	}
	l.mu.Lock()
	for int(r.at) >= len(l.records) {
		wake := l.wake
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-wake:
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if r.at < l.gone {
		p.Gap = tallyman.Gap{Records: uint64(l.gone - r.at), After: r.at, To: l.gone}
		r.at = l.gone
	}
	for bytes := 0; int(r.at) < len(l.records) && bytes < most; r.at++ {
		st, record := l.streams[r.at], l.records[r.at]
		if _, ok := r.want(st); ok {
			bytes += len(record.Line) + 16
			p.Streams = append(p.Streams, tallyman.StreamRecords{Stream: st, Records: []tallyman.Record{record}, Numbers: []uint64{uint64(r.at) + 1}})
		}
	}
	p.Mark = r.at
	return p, nil
}
