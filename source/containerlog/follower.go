// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// follower reads the log of one container. It belongs to the tailer's goroutine.
type follower struct {
	logtail.Log
	t    *Tailer
	id   string
	dir  string
	base string // of the newest file's name
	form format
	// container is nil until discovery knows it; heard is what only events have told.
	container, heard *tallyman.Container
	since            time.Time // when the follower was made

	files  []*file // oldest first, the last one is written to
	done   []place // where files end that were read to their end
	opened bool    // once files were found
	made   int     // how many of those that the catcher counts were found, or unknown

	resume position // where storing goes on
	passed bool     // resume lies behind
	out    [2]logtail.Output[place]
	begun  [2]entry // the first entry of each output's open line, without its text
	again  [2]bool  // the line at resume.open was reached: what follows was not stored

	ended bool // the container is gone: what is open is read to its end
	flush bool // the container has stopped: no more parts will come

	dirWatch int32
	damaged  int64 // bytes that are no entries
}

var _ logtail.Follower = (*follower)(nil)

// find looks which files there are and opens those that are new.
func (c *follower) find() error {
	early := c.t.catcher.take(c.dirWatch) // before the others are listed: what is not among them is older
	there, err := c.look()
	if err != nil && len(early.files) == 0 {
		return err
	}
	there = c.join(early.files, there)
	if !c.opened {
		c.number(&early, there)
		c.begin(there)
		return nil
	}
	for _, f := range c.files {
		f.identify(c.form, c.t.tail.Buffer()) // or its compressed form would be taken for another
	}
	// What is no longer there need not be known again, but for the last.
	if n := len(c.done) - 2; n > 64 {
		c.done = append(slices.DeleteFunc(c.done[:n:n], func(p place) bool {
			return !slices.ContainsFunc(there, func(f *file) bool { return f.mark == p.mark })
		}), c.done[n:]...)
	}
	var fresh []*file
	current, seen := c.current(), false
	for _, f := range there {
		held := slices.ContainsFunc(c.files, func(h *file) bool { return same(h, f) })
		seen = seen || current != nil && same(current, f)
		switch {
		case held, c.isDone(f), f.Packed() && f.mark == 0:
			f.Close()
		default:
			fresh = append(fresh, f)
		}
	}
	missing := false
	if early.lost || c.made == unknown {
		missing = current != nil && len(fresh) > 0 && !seen
		c.number(&early, there)
	} else if c.made += len(fresh); c.made < early.made {
		missing = true
		c.made = early.made
	}
	if missing {
		c.missing("files of this log were rotated away between two looks; lines may be missing here", 0)
	}
	c.files = append(c.files, fresh...)
	return nil
}

// unknown is the number of files that were made when there is none.
const unknown = -1

// number finds out how many of the files that inotify counts are there.
func (c *follower) number(early *catch, there []*file) {
	first := slices.IndexFunc(there, func(f *file) bool { return !f.Packed() && f.Ino == early.begin })
	switch {
	case c.dirWatch == 0:
		c.made = unknown
	case early.begin == 0 || first >= 0:
		c.made = len(there) - 1 - first
	default:
		c.made = early.made
	}
}

// join puts what was opened early before what is there by name, but for what is
// in both: of that the one that is not compressed is kept.
func (c *follower) join(early []*logtail.File, there []*file) []*file {
	var older []*file
	for _, held := range early {
		f := take(held, c.form, c.t.tail.Buffer())
		switch i := slices.IndexFunc(there, func(o *file) bool { return same(f, o) }); {
		case i < 0:
			older = append(older, f)
		case there[i].Packed():
			there[i].Close()
			there[i] = f
		default:
			f.Close()
		}
	}
	return append(older, there...)
}

// looks is how often at most the files are looked for at once.
const looks = 5

// look opens the files that there are, oldest first. When they are rotated
// meanwhile it looks again: a file that was renamed between the list and its
// opening would be taken for one that is gone.
func (c *follower) look() ([]*file, error) {
	for try := 1; ; try++ {
		names, err := generations(c.dir, c.base)
		if err != nil {
			return nil, err
		}
		var there []*file
		for _, name := range names {
			f, err := openFile(name, c.form, c.t.tail.Buffer())
			if err == nil {
				there = append(there, f)
			} else { // it was renamed, or is only half compressed
				c.Bad(err)
			}
		}
		if try == looks || c.still(names, there) {
			return slices.DeleteFunc(there, func(f *file) bool { return half(f, there) }), nil
		}
		for _, f := range there {
			f.Close()
		}
	}
}

// half reports whether a compressed file is still being written: while it is, the
// one that it is made from stands beside it, and is read.
func half(f *file, there []*file) bool {
	if !f.Packed() || f.mark != 0 && !slices.ContainsFunc(there, func(o *file) bool { return o != nil && !o.Packed() && o.mark == f.mark }) {
		return false
	}
	f.Close()
	return true
}

// still reports whether the files have the same names as when they were listed,
// and the newest is the one that was opened.
func (c *follower) still(names []string, there []*file) bool {
	now, err := generations(c.dir, c.base)
	if err != nil || !slices.Equal(names, now) || len(names) == 0 || len(there) == 0 {
		return err == nil && len(names)+len(now) == 0
	}
	return inode(names[len(names)-1]) == there[len(there)-1].Ino
}

func (c *follower) isDone(f *file) bool {
	return f.mark != 0 && slices.ContainsFunc(c.done, func(p place) bool { return p.mark == f.mark })
}

// same reports whether two open files are one, or one the compressed other.
func same(held, f *file) bool {
	if !f.Packed() && !held.Packed() {
		return held.Ino == f.Ino
	}
	return held.mark != 0 && held.mark == f.mark
}

func (c *follower) current() *file {
	if len(c.files) == 0 {
		return nil
	}
	return c.files[len(c.files)-1]
}

// begin opens the files of a container that is seen for the first time, or
// again after a restart of tallyman: from its stored position on.
func (c *follower) begin(there []*file) {
	if len(there) == 0 {
		return
	}
	c.opened, c.passed = true, true
	text, stored := c.t.o.Records.Position(keyPrefix + c.id)
	at, ok := parsePosition(text)
	if !stored || !ok || at.mark == 0 {
		first, skip := logtail.Within(there, c.t.o.Backlog)
		c.from(there, first)
		if skip > 0 {
			c.skip(skip)
		}
		return
	}
	i := slices.IndexFunc(there, func(f *file) bool { return f.mark == at.mark })
	if i < 0 {
		c.files = there
		c.missing("the file that was read last was rotated away while tallyman was not running; lines are missing here", c.estimate(at))
		return
	}
	c.resume, c.passed = at, false
	// The earliest place that is needed: an older file is for the beginning of a line.
	for n, f := range there[:i+1] {
		off := int64(-1)
		for _, p := range []place{at.place, at.open[0], at.open[1]} {
			if p.mark != 0 && p.mark == f.mark && (off < 0 || p.off < off) {
				off = p.off
			}
		}
		if off >= 0 {
			c.from(there, n)
			f.Go(off)
			return
		}
	}
}

// from has reading begin in one of the files; those before are older.
func (c *follower) from(there []*file, first int) {
	for _, f := range slices.Backward(there[:first]) {
		if f.mark != 0 {
			c.done = slices.Insert(c.done, 0, place{f.mark, f.Off})
		}
		f.Close()
	}
	c.files = there[first:]
}

// skip leaves out the first bytes of what is older than the backlog.
func (c *follower) skip(n int64) {
	f := c.files[0]
	if f.Packed() || c.base != c.id+"-json.log" {
		return // only a text of lines has a place to go on at
	}
	f.Off = f.LineFrom(n, c.t.tail.Buffer())
	c.t.tail.Missing(c, logtail.Skipped(f.Off))
}

// estimate is about how many bytes are missing between a position and what is
// there now: as many as came in the same time since.
func (c *follower) estimate(at position) int64 {
	there := int64(0)
	for _, f := range c.files {
		size, _, _ := f.Size()
		there += size
	}
	var e entry
	var s scratch
	f := c.files[0]
	n, err := f.Fill(c.t.tail.Buffer())
	if err != nil {
		return 0
	}
	if _, err := c.form.next(c.t.tail.Buffer()[:n], &s, &e); err != nil {
		return 0
	}
	now := time.Now().UnixNano()
	if e.time >= now || e.time <= at.time {
		return 0
	}
	return int64(float64(there) * float64(e.time-at.time) / float64(now-e.time))
}

// missing notes that lines are missing at this place, and about how many bytes; 0
// is not known.
func (c *follower) missing(text string, bytes int64) {
	c.t.tail.Missing(c, logtail.Gap{Text: text, Bytes: bytes})
}

// rotated reports whether the newest name leads to another file than the one
// that is held.
func (c *follower) rotated() bool {
	held := c.current()
	if held == nil || c.t.catcher.waits(c.dirWatch) {
		return true
	}
	now := inode(filepath.Join(c.dir, c.base))
	return now != 0 && now != held.Ino // else it was removed; what is held is all there is
}

// Lead implements logtail.Rotation.
func (c *follower) Lead() {
	if c.rotated() {
		c.Bad(c.find())
	}
}

// First implements logtail.Rotation.
func (c *follower) First() (f *logtail.File, last bool) {
	if len(c.files) == 0 {
		return nil, false
	}
	return c.files[0].File, len(c.files) == 1
}

// Look implements logtail.Rotation.
func (c *follower) Look(size int64, _ time.Time) (anew bool) {
	f := c.files[0]
	f.identify(c.form, c.t.tail.Buffer())
	if len(c.files) == 1 && f.cutShort(size) {
		c.emptied(f)
		return true
	}
	c.passed = c.passed || f.mark == c.resume.mark && f.Off >= c.resume.off
	return false
}

// MayGrow implements logtail.Rotation: nothing more comes into a file that was
// rotated.
func (c *follower) MayGrow() bool { return len(c.files) == 1 }

// Drop implements logtail.Rotation.
func (c *follower) Drop() {
	f := c.files[0]
	c.passed = c.passed || f.mark == c.resume.mark
	// An entry that began in a file before may soon have lost its beginning.
	for i := range c.out {
		if at, ok := c.out[i].Entry(); ok && c.passed && at.mark != f.mark {
			c.out[i].EndEntry()
		}
	}
	if f.mark != 0 {
		c.done = append(c.done, place{f.mark, f.Off})
	}
	f.Close()
	c.files = c.files[1:]
}

// Bad implements logtail.Rotation: the error is counted, unless it is that a file has
// gone.
func (c *follower) Bad(err error) {
	if err != nil && !gone(err) {
		c.t.counts.Errors.Add(1)
		c.t.o.Log.Debug("a log cannot be read", "container", c.id, "err", err)
	}
}

// emptied goes on after a file was emptied in place. Where copies of it were made
// before, as logrotate does with copytruncate, what was not read yet is read from
// them.
func (c *follower) emptied(f *file) {
	there, err := c.look()
	c.Bad(err)
	var copies []*file
	found := false
	for _, o := range there { // oldest first
		size, _, _ := o.Size()
		switch {
		case o.Ino == f.Ino, o.mark == 0, c.isDone(o), o.mark == f.mark && (found || !o.Packed() && size < f.Off):
			o.Close()
		case o.mark == f.mark: // those before are older
			for _, older := range copies {
				older.Close()
			}
			copies, found = []*file{o}, true
			o.Off = f.Off
		default:
			copies = append(copies, o)
		}
	}
	if !found {
		c.missing("the log was emptied in place; lines that were not read before that are missing here", 0)
		if f.mark != 0 {
			c.done = append(c.done, place{f.mark, f.Off})
		}
	}
	f.again()
	f.identify(c.form, c.t.tail.Buffer())
	c.files = append(copies, f)
}

// Decode implements logtail.Rotation.
func (c *follower) Decode(b []byte, more bool) (took int) {
	f := c.files[0]
	more = more && !c.ended
	if f.mark == 0 && f.Off == 0 && !f.Packed() {
		f.look(b, c.form) // by what is read: at the next look the file may hold other lines already
	}
	var e entry
	for took < len(b) {
		n, err := c.form.next(b[took:], &c.t.scratch, &e)
		if errors.Is(err, errMore) {
			if len(b)-took < c.form.limit && len(b) < bufferSize {
				if more || !f.Packed() && grown(f, f.Off+int64(len(b)-took)) {
					break
				}
				// The file ends within an entry, or just before its line feed.
				n, err = len(b)-took, errBad
				if c.form.last != nil && c.form.last(b[took:], &c.t.scratch, &e) {
					err = nil
				}
			} else if took > 0 {
				break // it is complete in the next buffer
			} else {
				n, err = c.form.resync(b), errBad
			}
		}
		if err != nil {
			c.t.counts.bad.Add(1)
			c.damaged += int64(n)
		} else {
			c.take(&e, place{f.mark, f.Off})
		}
		took += n
		f.Off += int64(n)
	}
	if c.damaged > 0 && c.passed {
		c.missing("a part of the log is damaged; lines may be missing here", c.damaged)
	}
	c.damaged = 0
	return took
}

// grown reports whether a file is larger than what was read of it: the engine
// may have written to it once more before it rotated it.
func grown(f *file, read int64) bool {
	size, _, err := f.Size()
	return err == nil && size > read
}

// take takes one entry that lies at a place.
func (c *follower) take(e *entry, at place) {
	i := 0
	if e.stderr {
		i = 1
	}
	if !c.passed {
		if at.mark == c.resume.mark && at.off >= c.resume.off {
			c.passed = true
		} else if !c.again[i] && at != c.resume.open[i] {
			return // it was stored before
		}
		c.again[i] = true
	}
	o := &c.out[i]
	if o.Open() != nil && !c.begun[i].continued(e) {
		c.line(i, o.End()) // its end never came: the container has stopped, and runs again
	}
	if o.Open() == nil && e.open() {
		c.begun[i] = *e
		c.begun[i].text = nil
	}
	c.line(i, o.Piece(&logtail.Line[place]{Text: e.text, Time: e.time, At: at}, e.open()))
}

// line takes one whole line of an output, nil when there is none.
func (c *follower) line(i int, l *logtail.Line[place]) {
	if l != nil {
		l.Text = logstream.Text(c.container, l.Text)
		c.out[i].Line(l, c.t.tail.Now)
	}
}

// flushParts gives out what has no end, since the container has none left.
func (c *follower) flushParts() {
	for i := range c.out {
		if c.passed {
			c.line(i, c.out[i].End())
			c.out[i].EndEntry()
		}
	}
}

// know takes over what discovery says of the container.
func (c *follower) know(k *tallyman.Container) {
	was := c.container
	if was == nil {
		c.t.untold--
	}
	c.container = k
	if was == nil || !logstream.Same(was, k) {
		c.Streams = logstream.For(k)
		for i := range c.out {
			c.out[i].Streams = c.Streams
		}
	}
	if was != nil && was.Alive() && (!k.Alive() || !was.Started.Equal(k.Started)) {
		c.flush = true
	}
	c.ended = c.ended || k.State == tallyman.Gone
	c.Again()
}

// Serve implements logtail.Follower.
func (c *follower) Serve(ctx context.Context) bool {
	t := c.t
	now := t.tail.Now
	switch {
	case c.dir == "" && c.ended:
		t.forget(c)
		return false
	case c.dir == "":
		c.Due = now.Add(time.Hour)
		return true
	case c.container == nil: // it is held open until discovery tells whose it is
		if c.rotated() {
			_ = c.find()
		}
		held := now.Sub(c.since)
		if c.heard != nil && held > unknownFor {
			t.container(c.id, c.heard)
			return t.tail.Logs[c.id] == c
		}
		if held > removedFor || held > unknownFor && (t.untold > unknownMost || c.there()) {
			t.giveUp(c)
			return false
		}
		c.Due = now.Add(max(20*time.Millisecond, held/64))
		return true
	}
	took := t.tail.Turn(c)
	if took == 0 && (c.flush || c.ended) {
		c.flushParts()
		c.flush = false
	}
	switch {
	case took == 0 && c.ended:
		t.over(ctx, c)
		return false
	case took == 0 && !c.opened && now.Sub(c.since) < 2*time.Second:
		c.Due = now.Add(20 * time.Millisecond)
		return true
	case took == 0 && !c.opened:
		c.Due = now.Add(5 * time.Second) // its folder tells when there is a file
		return true
	}
	waits := false
	for i := range c.out {
		if c.passed {
			c.out[i].EndOld(now)
		}
		_, waiting := c.out[i].Entry()
		waits = waits || waiting
	}
	t.tail.Rest(c, took, waits)
	return true
}

// Gather implements logtail.Follower: not long where a file may soon be rotated away.
func (c *follower) Gather() time.Duration {
	if len(c.done) > 0 || len(c.files) > 1 || time.Since(c.since) < 5*time.Second {
		return 10 * time.Millisecond
	}
	return 100 * time.Millisecond
}

// Position is how far the log will be stored with the present batch.
func (c *follower) Position() tallyman.Position {
	p := c.position()
	if p.mark == 0 {
		return tallyman.Position{}
	}
	return tallyman.Position{Key: keyPrefix + c.id, Value: p.String()}
}

func (c *follower) position() position {
	p := c.resume
	p.time = max(p.time, c.out[0].Newest, c.out[1].Newest)
	if !c.passed {
		return p // nothing new was taken
	}
	for i := range c.out {
		p.open[i], _ = c.out[i].Begin()
	}
	switch {
	case len(c.files) > 0 && c.files[0].mark != 0:
		p.place = place{c.files[0].mark, c.files[0].Off}
	case len(c.files) > 0 && len(c.done) > 0: // the next file is still empty
		p.place = c.done[len(c.done)-1]
	}
	return p
}

// there reports whether the folder of the log still is: without it what is held open
// is all that there is.
func (c *follower) there() bool {
	_, err := os.Stat(c.dir)
	return err == nil
}

func (c *follower) close() {
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
}

// formatOf is the file and the format of a container's log, by its driver. Other
// drivers than the first two leave a copy of their lines in the format of local,
// from engine 20.10 on. ok is false when there is none.
func formatOf(dir, id, driver string) (base string, sub string, f format, ok bool) {
	switch driver {
	case "json-file":
		return id + "-json.log", dir, jsonFile, true
	case "local":
		return "container.log", filepath.Join(dir, "local-logs"), local, true
	case "none":
		return "", "", format{}, false
	}
	if driver == "" { // an engine that no longer tells: the container has gone
		if _, err := os.Stat(filepath.Join(dir, "local-logs")); err == nil {
			return "container.log", filepath.Join(dir, "local-logs"), local, true
		}
		return id + "-json.log", dir, jsonFile, true
	}
	return "container-cached.log", dir, local, true
}
