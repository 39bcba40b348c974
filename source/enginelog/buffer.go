// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"fmt"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// buffer puts what one answer gives together, and into a batch.
type buffer struct {
	mu     sync.Mutex
	key    string
	c      *tallyman.Container
	batch  *logtail.Batch
	out    [2]logtail.Output[position]
	lines  int      // that were new
	ahead  position // of the newest line that came
	skip   position // lines up to here were stored before
	passed int      // lines seen at the time of skip
}

// newBuffer makes the buffer of an answer about a container, of which the lines up to
// a position are stored.
func newBuffer(to tallyman.RecordIntake, n *logtail.Counts, c *tallyman.Container, at position, rule *logrule.Rule) *buffer {
	b := &buffer{key: keyPrefix + c.ID, c: c, batch: logtail.NewBatch(to), ahead: at, skip: at}
	b.batch.Spare = true
	streams := logstream.For(c)
	for i := range b.out {
		b.out[i] = logtail.Output[position]{Batch: b.batch, Counts: n, Of: b, Streams: streams, Stderr: i == 1, Rule: rule, Keep: 64 << 10}
	}
	return b
}

// position is the newest line that was stored: its time, and how many there were
// at that time.
type position struct {
	time  int64
	count int
}

func (p position) String() string { return fmt.Sprintf("1 %d %d", p.time, p.count) }

func parsePosition(text string) (p position) {
	var version int
	if n, err := fmt.Sscanf(text, "%d %d %d", &version, &p.time, &p.count); n != 3 || err != nil || version != 1 || p.count < 0 {
		return position{}
	}
	return p
}

// Position implements logtail.Reader: all that came is in the batch, but for an entry
// that waits.
func (b *buffer) Position() tallyman.Position {
	at := b.ahead
	for i := range b.out {
		if before, waits := b.out[i].Entry(); waits {
			at = before
		}
	}
	return tallyman.Position{Key: b.key, Value: at.String()}
}

// take takes one piece and gives how many bytes wait.
func (b *buffer) take(p *piece) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := &b.out[0]
	if p.stderr {
		o = &b.out[1]
	}
	if l := o.Open(); l != nil && l.Time != p.time {
		b.line(o, o.End()) // its end never came: the container has stopped, and runs again
	}
	more := !p.end && len(p.text) >= logstream.PieceSize
	b.line(o, o.Piece(&logtail.Line[position]{Text: p.text, Lost: p.lost, Time: p.time}, more))
	return b.batch.Bytes
}

// flush ends what has no end.
func (b *buffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.out {
		b.line(&b.out[i], b.out[i].End())
	}
	b.endEntries()
}

// endEntries gives out the entry that waits. There is one at most: a line of the other
// output ends it, so that a position is between lines that came and lines that did
// not.
func (b *buffer) endEntries() {
	for i := range b.out {
		b.out[i].EndEntry()
	}
}

// endOld ends an entry that has waited long enough.
func (b *buffer) endOld(now time.Time) {
	for i := range b.out {
		b.out[i].EndOld(now)
	}
}

// line takes one whole line of an output, nil when there is none.
func (b *buffer) line(o *logtail.Output[position], l *logtail.Line[position]) {
	if l == nil || l.Time < b.skip.time {
		return
	}
	if l.Time == b.skip.time {
		if b.passed++; b.passed <= b.skip.count {
			return
		}
	}
	for i := range b.out {
		if other := &b.out[i]; other != o {
			other.EndEntry()
		}
	}
	b.lines++
	l.At, l.Text = b.ahead, logstream.Text(b.c, l.Text)
	o.Line(l, time.Now())
	if l.Time == b.ahead.time {
		b.ahead.count++
	} else if l.Time > b.ahead.time {
		b.ahead = position{l.Time, 1}
	}
}
