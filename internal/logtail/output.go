// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"fmt"
	"time"

	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
)

// MaxLine is the longest line in bytes; what is beyond is left out, and counted in
// the line's metadata.
const MaxLine = 256 << 10

// Line is a line, a piece of one, or an entry of several, that begins at a place of
// its log. What a place is only its source knows.
type Line[P comparable] struct {
	Text []byte
	Lost int // bytes beyond the longest line
	Time int64
	// Level is empty where it is to be found in the text.
	Level string
	At    P
}

// Output puts together what one output of a log gives, and into a batch: pieces to
// lines, and lines to entries as its rule wants them. Until they are whole
// [Output.Begin] is where its log is to be read again after a crash.
type Output[P comparable] struct {
	Batch  *Batch
	Counts *Counts
	// Of is touched with each line that goes into the batch.
	Of      Reader
	Streams *logstream.Set
	Stderr  bool
	// Rule is what is asked for the lines, nil for nothing. It may change between
	// two entries only.
	Rule *logrule.Rule
	// Keep is how much memory for pieces stays between two lines.
	Keep int
	// Newest is the latest time of a line that went into the batch.
	Newest int64

	line  Line[P] // of which pieces have come
	open  bool
	entry logrule.Entry
	first Line[P] // where the entry begins, and its level
}

// Piece takes a piece of a line, and gives the line when there is no more of it, nil
// before that. It is valid until the next piece.
func (o *Output[P]) Piece(p *Line[P], more bool) *Line[P] {
	if !o.open && !more {
		if len(p.Text) > MaxLine {
			p.Lost += len(p.Text) - MaxLine
			p.Text = p.Text[:MaxLine]
		}
		return p
	}
	if !o.open {
		text := o.line.Text[:0]
		o.open, o.line = true, *p
		o.line.Text = text
	} else {
		o.line.Lost += p.Lost
	}
	room := min(len(p.Text), MaxLine-len(o.line.Text))
	o.line.Text = append(o.line.Text, p.Text[:room]...)
	o.line.Lost += len(p.Text) - room
	if more {
		return nil
	}
	return o.End()
}

// Open is the line that waits for its next piece, nil without one.
func (o *Output[P]) Open() *Line[P] {
	if !o.open {
		return nil
	}
	return &o.line
}

// End gives that line as it is: there is no next piece.
func (o *Output[P]) End() *Line[P] {
	l := o.Open()
	o.open = false
	return l
}

// Line takes a whole line: into the batch, or to the entry that it belongs to.
func (o *Output[P]) Line(l *Line[P], now time.Time) {
	if o.Rule.Joins() {
		o.join(l, now)
	} else {
		o.store(l)
	}
	if !o.open && cap(o.line.Text) > o.Keep {
		o.line.Text = nil
	}
}

// join adds a line to the entry that it belongs to.
func (o *Output[P]) join(l *Line[P], now time.Time) {
	if o.Rule.Ends(&o.entry, l.Text) {
		o.EndEntry()
	}
	if !o.entry.Open {
		o.first = Line[P]{Level: l.Level, At: l.At}
	}
	o.Rule.Add(&o.entry, l.Time, l.Text, l.Lost, now)
}

// Entry is where the entry begins that waits for its next line; ok is false without
// one.
func (o *Output[P]) Entry() (at P, ok bool) {
	if o.entry.Open {
		return o.first.At, true
	}
	return at, false
}

// Begin is where what is not whole begins, an entry or a line; ok is false when all
// is.
func (o *Output[P]) Begin() (at P, ok bool) {
	switch {
	case o.entry.Open:
		return o.first.At, true
	case o.open:
		return o.line.At, true
	}
	return at, false
}

// EndEntry puts the entry that waits, if there is one, into the batch.
func (o *Output[P]) EndEntry() {
	if o.entry.Open {
		e := o.first
		e.Time, e.Text, e.Lost = o.entry.Time, o.entry.Take(), o.entry.Lost
		o.store(&e)
	}
}

// EndOld does so when the entry has waited long enough.
func (o *Output[P]) EndOld(now time.Time) {
	if o.entry.Old(now) {
		o.EndEntry()
	}
}

// WaitAnew counts the waiting of the entry from now on.
func (o *Output[P]) WaitAnew(now time.Time) { o.entry.Last = now }

// store puts a text into the batch, as the rule wants it.
func (o *Output[P]) store(l *Line[P]) {
	text := o.Batch.Copy(o.Rule.Redact(l.Text))
	level := l.Level
	if level == "" {
		level = o.Rule.Level(text)
	}
	meta := o.Streams.Meta
	if l.Lost > 0 {
		meta = o.Streams.With("tallyman_cut_bytes", fmt.Sprint(l.Lost))
	}
	o.Newest = max(o.Newest, l.Time)
	o.Batch.Add(o.Streams.At(o.Stderr, level), l.Time, text, meta)
	o.Batch.Touch(o.Of)
	o.Counts.Line(len(text), l.Lost)
}

// Gap puts into the log that lines are missing at this place, as a line of
// tallyman's own.
func (b *Batch) Gap(g Gap, s *logstream.Set, now time.Time) {
	b.Add(s.Own(), now.UnixNano(), g.Line(), s.With("tallyman_gap", fmt.Sprint(g.Bytes)))
}
