// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// follower reads the log of one container. It belongs to the tailer's goroutine.
type follower struct {
	t    *Tailer
	id   string
	dir  string
	base string // of the newest file's name
	form format
	// container is nil until discovery knows it.
	container *tallyman.Container
	since     time.Time // when the follower was made

	files  []*file // oldest first, the last one is written to
	done   []place // where files end that were read to their end
	opened bool    // once files were found
	made   int     // how many of those that the catcher counts were found, or unknown

	resume  position // where storing goes on
	passed  bool     // resume lies behind
	parts   [2]part
	again   [2]bool // the line at resume.open was reached: what follows was not stored
	streams *logstream.Set

	rule    *logrule.Rule // what is asked for its lines; nil for nothing
	entries [2]logrule.Entry
	began   [2]place // where they begin

	ended bool // the container is gone: what is open is read to its end
	flush bool // the container has stopped: no more parts will come

	dirWatch, fileWatch int32
	due                 time.Time
	idle                int // turns without anything new
	gaps                []logtail.Gap
	damaged             int64 // bytes of this turn that are no entries
}

// part is a line of which the end has not come yet.
type part struct {
	open  bool
	text  []byte
	lost  int   // bytes beyond the longest line
	first entry // without its text
	start place
}

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
		f.identify(c.form, c.t.buf) // or its compressed form would be taken for another
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
		f := take(held, c.form, c.t.buf)
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
			f, err := openFile(name, c.form, c.t.buf)
			if err == nil {
				there = append(there, f)
			} else if !gone(err) { // else it was renamed, or is only half compressed
				c.t.bad(c, err)
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
	text, stored := c.t.o.Records.Position(keyPrefix + c.id)
	at, ok := parsePosition(text)
	stored = stored && ok && at.mark != 0
	var total int64
	found, enough := false, false
	for _, f := range slices.Backward(there) {
		if enough {
			c.older(f)
			continue
		}
		c.files = slices.Insert(c.files, 0, f)
		switch {
		case stored && f.mark == at.mark:
			found = true
			// Older ones are only here for the beginning of a line.
			enough = !c.opensBefore(at)
		case !stored:
			size, _, _ := f.Size()
			if total += size; total > c.t.o.Backlog {
				c.skip(f, total-c.t.o.Backlog)
				enough = true
			}
		default:
			size, _, _ := f.Size()
			total += size
		}
	}
	c.opened = len(c.files) > 0
	c.passed = true
	switch {
	case found:
		c.resume, c.passed = at, false
		c.startAt(at)
	case stored && c.opened:
		c.missing("the file that was read last was rotated away while tallyman was not running; lines are missing here", c.estimate(at, total))
	}
}

// opensBefore reports whether a line that is not complete begins in another
// file than the position.
func (c *follower) opensBefore(at position) bool {
	return at.open[0].mark != 0 && at.open[0].mark != at.mark || at.open[1].mark != 0 && at.open[1].mark != at.mark
}

// startAt moves to the earliest place that is needed.
func (c *follower) startAt(at position) {
	for i, f := range c.files {
		off := int64(-1)
		for _, p := range []place{at.place, at.open[0], at.open[1]} {
			if p.mark != 0 && p.mark == f.mark && (off < 0 || p.off < off) {
				off = p.off
			}
		}
		if off >= 0 {
			for _, older := range slices.Backward(c.files[:i]) {
				c.older(older)
			}
			c.files = c.files[i:]
			f.Off = off
			return
		}
	}
}

// skip leaves out the first bytes of a file that is older than the backlog.
func (c *follower) skip(f *file, n int64) {
	if f.Packed() || c.base != c.id+"-json.log" {
		return // only a text of lines has a place to go on at
	}
	f.Off = n
	b := c.t.buf
	for {
		got, err := f.ReadAt(b, f.Off)
		i := slices.Index(b[:got], '\n')
		if i >= 0 {
			f.Off += int64(i) + 1
			break
		}
		if got == 0 || err != nil {
			break
		}
		f.Off += int64(got)
	}
	c.missing(fmt.Sprintf("tallyman began to read here; %d MiB that are older were left out (logs.backlog)", n>>20), n)
}

// estimate is about how many bytes are missing between a position and what is
// there now: as many as came in the same time since.
func (c *follower) estimate(at position, there int64) int64 {
	var e entry
	var s scratch
	f := c.files[0]
	n, err := f.Fill(c.t.buf)
	if err != nil {
		return 0
	}
	if _, err := c.form.next(c.t.buf[:n], &s, &e); err != nil {
		return 0
	}
	now := time.Now().UnixNano()
	if e.time >= now || e.time <= at.time {
		return 0
	}
	return int64(float64(there) * float64(e.time-at.time) / float64(now-e.time))
}

// missing notes that lines are missing at this place, and about how many bytes;
// 0 is not known.
func (c *follower) missing(text string, bytes int64) {
	g := logtail.Gap{Text: text, Bytes: bytes}
	c.gaps = append(c.gaps, g)
	c.t.counts.Gap(g)
}

// tellGaps puts what is missing into the log, as a line of tallyman's own.
func (c *follower) tellGaps() {
	for _, g := range c.gaps {
		c.t.batch.Add(c.streams.At(true, "warn"), time.Now().UnixNano(), g.Line(), c.streams.With("tallyman_gap", fmt.Sprint(g.Bytes)))
		c.t.batch.Touch(c)
	}
	c.gaps = c.gaps[:0]
}

// older closes a file that lies before the place where reading begins.
func (c *follower) older(f *file) {
	if f.mark != 0 {
		c.done = slices.Insert(c.done, 0, place{f.mark, f.Off})
	}
	f.Close()
}

// drop closes a file that was read to its end.
func (c *follower) drop(f *file) {
	if f.mark != 0 {
		c.done = append(c.done, place{f.mark, f.Off})
	}
	f.Close()
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

// turn reads at most one buffer and reports how many bytes it took.
func (c *follower) turn() (took int) {
	if c.rotated() {
		if err := c.find(); err != nil && !gone(err) {
			c.t.bad(c, err)
		}
	}
	for len(c.files) > 0 {
		f := c.files[0]
		last := len(c.files) == 1
		f.identify(c.form, c.t.buf)
		size, _, err := f.Size()
		if err == nil && last && !f.Packed() {
			if f.cutShort(size) {
				c.emptied(f)
				continue
			}
			if size == f.Off || size == f.torn {
				c.passed = c.passed || f.mark == c.resume.mark && f.Off >= c.resume.off
				return 0
			}
		}
		n, err := f.Fill(c.t.buf)
		if err != nil {
			c.t.bad(c, fmt.Errorf("read %s: %w", f.F.Name(), err))
			if last {
				return 0
			}
			n = 0
		}
		took = c.decode(f, c.t.buf[:n], last && !c.ended)
		if took > 0 {
			c.t.batch.Touch(c)
			return took
		}
		if last {
			f.torn = size
			return 0
		}
		// Nothing more will come into a file that was rotated.
		c.passed = c.passed || f.mark == c.resume.mark
		// An entry that began in a file before may soon have lost its beginning.
		for i := range c.entries {
			if c.entries[i].Open && c.passed && c.began[i].mark != f.mark {
				c.endEntry(i)
			}
		}
		c.drop(f)
		c.files = c.files[1:]
		c.t.batch.Touch(c)
	}
	return 0
}

// emptied goes on after a file was emptied in place. Where copies of it were made
// before, as logrotate does with copytruncate, what was not read yet is read from
// them.
func (c *follower) emptied(f *file) {
	there, err := c.look()
	if err != nil && !gone(err) {
		c.t.bad(c, err)
	}
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
	f.identify(c.form, c.t.buf)
	c.files = append(copies, f)
}

// tellDamage says that a part of the log could not be read.
func (c *follower) tellDamage() {
	if c.damaged > 0 && c.passed {
		c.missing("a part of the log is damaged; lines may be missing here", c.damaged)
	}
	c.damaged = 0
}

// decode takes the entries out of b, which lies at f.Off, and moves that on. What
// is not complete stays if more may come.
func (c *follower) decode(f *file, b []byte, more bool) (took int) {
	var e entry
	for took < len(b) {
		n, err := c.form.next(b[took:], &c.t.scratch, &e)
		if errors.Is(err, errMore) {
			if len(b)-took < c.form.limit && len(b) < len(c.t.buf) {
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
	p := &c.parts[i]
	if !c.passed {
		if at.mark == c.resume.mark && at.off >= c.resume.off {
			c.passed = true
		} else if !c.again[i] && at != c.resume.open[i] {
			return // it was stored before
		}
		c.again[i] = true
	}
	if p.open && !p.first.continued(e) {
		c.complete(i) // its end never came: the container has stopped, and runs again
	}
	if !p.open && !e.open() {
		c.line(i, e.time, e.text[:min(len(e.text), maxLine)], len(e.text)-maxLine, at)
		return
	}
	if !p.open {
		p.open, p.text, p.lost, p.first, p.start = true, p.text[:0], 0, *e, at
		p.first.text = nil
	}
	room := min(len(e.text), maxLine-len(p.text))
	p.text = append(p.text, e.text[:room]...)
	p.lost += len(e.text) - room
	if !e.open() {
		c.complete(i)
	}
}

// complete gives out a line of several parts.
func (c *follower) complete(i int) {
	p := &c.parts[i]
	p.open = false
	c.line(i, p.first.time, p.text, p.lost, p.start)
	if cap(p.text) > 64<<10 {
		p.text = nil
	}
}

// flushParts gives out lines without an end, since the container has none left.
func (c *follower) flushParts() {
	for i := range c.parts {
		if c.parts[i].open && c.passed {
			c.complete(i)
			c.t.batch.Touch(c)
		}
	}
	c.endEntries(time.Time{})
}

// line takes one whole line of an output, which lies at a place; lost is by how
// many bytes it was too long. The text is copied.
func (c *follower) line(i int, time int64, text []byte, lost int, at place) {
	text = logstream.Text(c.container, text)
	switch {
	case c.rule == nil:
		text = c.t.batch.Copy(text)
		c.store(c.streams.Of(i == 1, text), time, text, lost)
	case c.rule.Joins():
		e := &c.entries[i]
		if c.rule.Ends(e, text) {
			c.endEntry(i)
		}
		if !e.Open {
			c.began[i] = at
		}
		c.rule.Add(e, time, text, max(lost, 0), c.t.now)
	default:
		c.ruled(i, time, text, lost)
	}
}

// endEntry gives out an entry of several lines.
func (c *follower) endEntry(i int) {
	e := &c.entries[i]
	c.ruled(i, e.Time, e.Take(), e.Lost)
}

// endEntries gives out entries that have waited long enough, all of them when
// no time is given.
func (c *follower) endEntries(now time.Time) {
	for i := range c.entries {
		if e := &c.entries[i]; e.Open && c.passed && (now.IsZero() || e.Old(now)) {
			c.endEntry(i)
			c.t.batch.Touch(c)
		}
	}
}

// ruled stores a text as its rule wants it.
func (c *follower) ruled(i int, time int64, text []byte, lost int) {
	text = c.t.batch.Copy(c.rule.Redact(text))
	c.store(c.streams.At(i == 1, c.rule.Level(text)), time, text, lost)
}

// store adds a text to the batch, where it stays.
func (c *follower) store(s *tallyman.Stream, time int64, text []byte, lost int) {
	meta := c.streams.Meta
	if lost > 0 {
		meta = c.streams.With("tallyman_cut_bytes", fmt.Sprint(lost))
	}
	c.resume.time = max(c.resume.time, time)
	c.t.batch.Add(s, time, text, meta)
	c.t.counts.Line(len(text), lost)
}

// know takes over what discovery says of the container.
func (c *follower) know(k *tallyman.Container) {
	was := c.container
	c.container = k
	if was == nil || !logstream.Same(was, k) {
		c.streams = logstream.For(k)
	}
	if was != nil && was.Alive() && (!k.Alive() || !was.Started.Equal(k.Started)) {
		c.flush = true
	}
	if k.State == tallyman.Gone {
		c.ended = true
	}
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
	if !c.passed {
		return p // nothing new was taken
	}
	p.open = [2]place{}
	for i := range c.parts {
		switch {
		case c.entries[i].Open:
			p.open[i] = c.began[i]
		case c.parts[i].open:
			p.open[i] = c.parts[i].start
		}
	}
	switch {
	case len(c.files) > 0 && c.files[0].mark != 0:
		p.place = place{c.files[0].mark, c.files[0].Off}
	case len(c.files) > 0 && len(c.done) > 0: // the next file is still empty
		p.place = c.done[len(c.done)-1]
	}
	return p
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
