// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"fmt"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
)

// buffer puts pieces together to lines and lines to a batch.
type buffer struct {
	mu      sync.Mutex
	key     string
	c       *tallyman.Container
	streams *logstream.Set
	at      position // of the newest line in the batch
	ahead   position // of the newest line that came; an entry may wait
	skip    position // lines up to here were stored before
	passed  int      // lines seen at the time of skip
	open    [2]struct {
		on   bool
		time int64
		text []byte
		lost int // bytes beyond the longest line
	}
	rule   *logrule.Rule // what is asked for the lines; nil for nothing
	entry  logrule.Entry // that waits for more lines, of the output below
	of     int
	batch  tallyman.RecordBatch
	index  map[*tallyman.Stream]int
	lines  int // in the batch,
	cut    int // of them longer than the longest
	bytes  int
	stored int // lines of all batches
}

// take takes one piece and gives how many bytes wait.
func (b *buffer) take(p *piece) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	if p.stderr {
		i = 1
	}
	o := &b.open[i]
	if o.on && o.time != p.time {
		b.line(i) // its end never came: the container has stopped, and runs again
	}
	if !o.on {
		o.on, o.time, o.text, o.lost = true, p.time, o.text[:0], 0
	}
	room := min(len(p.text), maxLine-len(o.text))
	o.text = append(o.text, p.text[:room]...)
	o.lost += len(p.text) - room + p.lost
	if p.end || len(p.text) < logstream.PieceSize {
		b.line(i)
	}
	return b.bytes
}

// flush ends lines that have no end.
func (b *buffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.open {
		if b.open[i].on {
			b.line(i)
		}
	}
	b.endEntry()
}

// endOld ends an entry that has waited long enough.
func (b *buffer) endOld(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entry.Old(now) {
		b.endEntry()
	}
}

// endEntry gives out the entry that waits. There is one at most: a line of the
// other output ends it, so that a position is between lines that came and lines
// that did not.
func (b *buffer) endEntry() {
	if b.entry.Open {
		b.store(b.of, b.entry.Time, b.entry.Take(), b.entry.Lost)
	}
}

func (b *buffer) line(i int) {
	o := &b.open[i]
	o.on = false
	if o.time < b.skip.time {
		return
	}
	if o.time == b.skip.time {
		if b.passed++; b.passed <= b.skip.count {
			return
		}
	}
	text := logstream.Text(b.c, o.text)
	if !b.rule.Joins() || b.of != i || b.rule.Ends(&b.entry, text) {
		b.endEntry()
	}
	if o.time == b.ahead.time {
		b.ahead.count++
	} else if o.time > b.ahead.time {
		b.ahead = position{o.time, 1}
	}
	if !b.rule.Joins() {
		b.store(i, o.time, text, o.lost)
		return
	}
	b.of = i
	b.rule.Add(&b.entry, o.time, text, o.lost, time.Now())
}

// store adds one text to the batch, which then has all that came so far.
func (b *buffer) store(i int, at int64, text []byte, lost int) {
	text = append([]byte(nil), b.rule.Redact(text)...)
	s := b.streams.At(i == 1, b.rule.Level(text))
	n, ok := b.index[s]
	if !ok {
		if b.index == nil {
			b.index = map[*tallyman.Stream]int{}
		}
		n = len(b.batch.Streams)
		b.index[s] = n
		b.batch.Streams = append(b.batch.Streams, tallyman.StreamRecords{Stream: s})
	}
	meta := b.streams.Meta
	if lost > 0 {
		b.cut++
		meta = b.streams.With("tallyman_cut_bytes", fmt.Sprint(lost))
	}
	b.batch.Streams[n].Records = append(b.batch.Streams[n].Records, tallyman.Record{Time: at, Line: text, Meta: meta})
	b.at = b.ahead
	b.lines++
	b.bytes += len(text)
}
