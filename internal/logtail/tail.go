// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
)

// Source is what a Tail asks of who has the logs that it reads.
type Source struct {
	// Learn takes up what was noted, at the beginning of a round, and says when it
	// wants the next one at the latest.
	Learn func() (next time.Time)
	// Saw takes up what inotify tells beside that a quiet log is written to.
	Saw func(Seen)
	// Close ends everything, at the end of Run.
	Close func()
	// Now, unless nil, is told at once of all that inotify sees, see NewWatch.
	Now func(Seen)
	Log *slog.Logger
}

// Follower is one log, as its source knows it; it embeds the Tail's part, a Log.
type Follower interface {
	Reader
	log() *Log
	// Serve gives it its turn, which ends in Tail.Rest; false says that the log is
	// over.
	Serve(ctx context.Context) bool
	// Gather is how long the log, when it was quiet and is written to, is left alone,
	// so that many lines make one read.
	Gather() time.Duration
	Rotation
}

// Log is a Tail's part of a Follower.
type Log struct {
	// Due is when it has its next turn.
	Due time.Time
	// Streams are its own, for the lines that say what is missing.
	Streams *logstream.Set

	idle  int // turns without anything new
	watch int32
	gaps  []Gap
}

func (l *Log) log() *Log { return l }

// Again gives the log as many turns as one that was just written to.
func (l *Log) Again() { l.Due, l.idle = time.Time{}, 0 }

// Tail reads the logs of a source in turns and stores what they give. All of it but
// Note belongs to the goroutine of Run.
type Tail[F Follower] struct {
	Batch  *Batch
	Counts *Counts
	Logs   map[string]F
	Watch  *Watch
	Now    time.Time // of the round

	source  Source
	size    int
	buf     []byte
	watched map[int32]F // that are quiet

	mu    sync.Mutex
	noted map[string]*tallyman.Container
	wake  chan struct{}
}

// NewTail makes one; Run reads. A log gives up to size bytes in one turn.
func NewTail[F Follower](s Source, records tallyman.RecordIntake, n *Counts, size int) *Tail[F] {
	return &Tail[F]{Batch: NewBatch(records), Counts: n, Logs: map[string]F{}, source: s, size: size, watched: map[int32]F{}, wake: make(chan struct{}, 1)}
}

// Buffer is what every turn reads into.
func (t *Tail[F]) Buffer() []byte {
	if t.buf == nil {
		t.buf = make([]byte, t.size)
	}
	return t.buf
}

// Note notes the newest state of a container until it is taken, and wakes the reader.
// It may be called from anywhere.
func (t *Tail[F]) Note(c *tallyman.Container) {
	t.mu.Lock()
	if t.noted == nil {
		t.noted = map[string]*tallyman.Container{}
	}
	t.noted[c.ID] = c
	t.mu.Unlock()
	t.Wake()
}

// Noted gives what was noted since the last time.
func (t *Tail[F]) Noted() map[string]*tallyman.Container {
	t.mu.Lock()
	defer t.mu.Unlock()
	noted := t.noted
	t.noted = nil
	return noted
}

// Wake begins a round at once. It may be called from anywhere.
func (t *Tail[F]) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Look has the source learn whenever there is something, and reads nothing, until
// ctx ends.
func (t *Tail[F]) Look(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
			t.source.Learn()
		}
	}
}

// Run reads until ctx ends.
func (t *Tail[F]) Run(ctx context.Context) error {
	var err error
	if t.Watch, err = NewWatch(t.source.Now); err != nil {
		t.source.Log.Warn("logs are looked at in turns, for want of inotify", "err", err)
	}
	defer t.Watch.Close()
	defer t.source.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-t.wake:
		case <-t.Watch.Wake():
			t.woken()
		}
		next := t.Round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		timer.Reset(max(time.Until(next), 0))
	}
}

// woken takes up what inotify has seen.
func (t *Tail[F]) woken() {
	for e := range t.Watch.Take() {
		if c, ok := t.watched[e.Watch]; ok {
			t.Unwatch(c) // it was for once
			c.log().Due = time.Now().Add(c.Gather())
		} else {
			t.source.Saw(e)
		}
	}
}

// Round gives every log that is due its turn and stores what they gave. It returns
// when the next one is due.
func (t *Tail[F]) Round(ctx context.Context) (next time.Time) {
	t.Now = time.Now()
	next = Earlier(t.source.Learn(), t.Now.Add(time.Minute))
	for _, c := range t.Logs {
		if c.log().Due.After(t.Now) || c.Serve(ctx) {
			next = Earlier(next, c.log().Due)
		}
		if t.Batch.Bytes >= CommitAt {
			_ = t.Batch.Commit(ctx) // an error is that ctx has ended
		}
		if ctx.Err() != nil {
			return next
		}
	}
	_ = t.Batch.Commit(ctx)
	return next
}

// Rest sets when a log is due again, of which a turn took so many bytes; waits says
// that an entry of it waits for its next line.
func (t *Tail[F]) Rest(c F, took int, waits bool) {
	l := c.log()
	if took > 0 {
		l.idle = 0
	} else {
		l.idle++
	}
	l.Due = t.Now.Add(t.pause(c, took))
	if waits {
		l.Due = Earlier(l.Due, t.Now.Add(logrule.Wait))
	}
}

// LookEvery is how often one looks without being told to.
const LookEvery = 10 * time.Second

// pause is how long a log may wait for its next turn: the less, the more it gives.
func (t *Tail[F]) pause(c F, took int) time.Duration {
	const untold = 250 * time.Millisecond // where inotify tells nothing
	l := c.log()
	switch {
	case took >= 128<<10:
		return 0
	case took >= 8<<10:
		return 5 * time.Millisecond
	case took > 0, l.idle < 2:
		return 100 * time.Millisecond
	}
	f, last := c.First()
	switch {
	case !last:
		return untold
	case l.watch != 0:
		return LookEvery
	}
	// It is quiet: inotify tells when it is written to again.
	if l.watch = t.Watch.Add(fmt.Sprintf("/proc/self/fd/%d", f.F.Fd()), WatchWrite); l.watch == 0 {
		return untold
	}
	t.watched[l.watch] = c
	return 0 // what was written before that is seen in one more turn
}

// Unwatch ends the watch of a quiet log.
func (t *Tail[F]) Unwatch(c F) {
	l := c.log()
	if l.watch != 0 {
		t.Watch.Remove(l.watch)
		delete(t.watched, l.watch)
		l.watch = 0
	}
}

// Missing notes that lines of a log are missing at this place; its turn says it in
// the log.
func (t *Tail[F]) Missing(c F, g Gap) {
	l := c.log()
	l.gaps = append(l.gaps, g)
	t.Counts.Gap(g)
}

// tellGaps says what is missing.
func (t *Tail[F]) tellGaps(c F) {
	l := c.log()
	for _, g := range l.gaps {
		t.Batch.Gap(g, l.Streams, t.Now)
		t.Batch.Touch(c)
	}
	l.gaps = l.gaps[:0]
}
