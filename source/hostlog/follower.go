// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

const (
	// maxLine is the longest line in bytes.
	maxLine = 256 << 10
	// mostWaiting is how long a renamed file is waited for to be quiet.
	mostWaiting = 30 * time.Second
)

// follower reads the log of one name.
type follower struct {
	p         *place
	key       string
	name      string // whole path
	dir, rest string // how it is opened

	files   []*file    // oldest first, the last one is what the name led to
	done    []identity // where files end that were read to their end
	since   time.Time  // when the second of them came
	streams *logstream.Set
	time    int64 // the next line is of no earlier one

	part  []byte // of a line that is longer than a buffer
	open  bool   // there is one
	lost  int    // bytes of it beyond the longest line
	start int64  // where it begins
	entry logrule.Entry
	began int64 // where the entry begins

	forget bool // its position goes with it
	watch  int32
	due    time.Time
	idle   int // turns without anything new
	gaps   []logtail.Gap
}

var _ logtail.Reader = (*follower)(nil)

// openName opens a file of the follower's folder.
func (f *follower) openName(rest string) (*file, error) {
	o, err := f.p.root.Open(f.dir, rest)
	if err != nil {
		return nil, err
	}
	h, err := logtail.Hold(o, rest)
	if err != nil {
		return nil, err
	}
	_, changed, err := h.Size()
	return &file{File: h, name: path.Join(f.dir, rest), torn: -1, changed: changed}, err
}

// begin opens what there is, from the stored position on.
func (f *follower) begin() error {
	p := f.p
	if p.t.buf == nil {
		p.t.buf = make([]byte, bufferSize)
	}
	host := p.t.o.Host
	if p.container != nil {
		host = p.container.Host
	}
	f.streams = logstream.From(p.container, host, "file", tallyman.Label{Name: "filename", Value: f.name})
	current, err := f.openName(f.rest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current != nil {
		if p.held(current.Dev, current.Ino) {
			current.Close()
			return errSame
		}
		f.files = []*file{current}
	}
	text, stored := p.t.o.Records.Position(f.key)
	at, ok := parseIdentity(text)
	if stored && ok {
		f.time = at.time
		return f.resume(at)
	}
	if current == nil {
		return fs.ErrNotExist
	}
	for _, p := range p.kin() {
		for i, l := range p.left { // it has been read under another name
			if current.is(l.dev, l.ino) && current.openAt(l.identity) {
				p.left = slices.Delete(p.left, i, i+1)
				f.time = l.identity.time
				p.t.batch.Touch(f)
				return nil
			}
		}
	}
	if p.seen {
		return nil // it has come since
	}
	// The last bytes of what was there before: of a container also of what it
	// has rotated away since it was started.
	if p.container != nil {
		older, newest := f.older(p.container.Started.Add(-logstream.StartedLate), current)
		if f.files = older; newest != nil {
			f.files = append(older, newest)
		}
		f.since = p.t.now
	}
	total := int64(0)
	for i, o := range slices.Backward(f.files) {
		size, _, _ := o.Size()
		if total += size; total > p.t.o.Backlog {
			for _, older := range f.files[:i] {
				older.Close()
			}
			f.files = f.files[i:]
			f.skip(o, total-p.t.o.Backlog)
			break
		}
	}
	return nil
}

// resume finds the file that a position is of, under the name or one that a
// rotation gave it, and what came after that.
func (f *follower) resume(at identity) error {
	current := f.current()
	if current != nil && current.openAt(at) {
		f.p.t.batch.Touch(f)
		return nil
	}
	var files []*file
	found := false
	older, current := f.older(time.Unix(0, at.time).Add(-2*time.Second), current)
	if f.files = nil; current != nil {
		f.files = []*file{current}
	}
	for _, o := range older {
		switch same := o.openAt(at); {
		case same && found: // compressed or copied
			o.Close()
		case same: // those before are older
			for _, o := range files {
				o.Close()
			}
			files, found = []*file{o}, true
			o.copied = current != nil && current.Ino == at.ino
		default:
			files = append(files, o)
		}
	}
	if !found {
		if current == nil && len(files) == 0 {
			f.p.t.batch.Forget(f.key)
			return fs.ErrNotExist
		}
		f.missing("the file that was read last was rotated away, emptied or removed while tallyman was not running; lines may be missing here", 0)
	}
	f.files = append(files, f.files...)
	f.since = f.p.t.now
	return nil
}

// current is the newest file.
func (f *follower) current() *file {
	if len(f.files) == 0 {
		return nil
	}
	return f.files[len(f.files)-1]
}

// older opens what a rotation made of the name since a time, the oldest first,
// and tells what the name leads to: newest, or another file when the log was
// rotated just then. Without that what is open would be taken for the newest,
// and once more by its new name.
func (f *follower) older(since time.Time, newest *file) ([]*file, *file) {
	for range 16 {
		files := f.siblings(since, newest)
		st, err := f.p.root.Stat(f.dir, f.rest)
		if newest == nil && err != nil || newest != nil && err == nil && newest.is(st.Dev, st.Ino) {
			return files, newest
		}
		for _, o := range files {
			o.Close()
		}
		if newest != nil {
			newest.Close()
		}
		if newest, err = f.openName(f.rest); err == nil && f.p.held(newest.Dev, newest.Ino) {
			newest.Close()
			newest = nil
			break
		}
	}
	return f.siblings(since, newest), newest
}

// siblings opens what a rotation made of the name and that was written to since
// a time, the oldest first, but for newest, what is open already and what was
// read to its end.
func (f *follower) siblings(since time.Time, newest *file) (out []*file) {
	folder, base := path.Split(f.rest)
	list, _, err := f.p.root.Entries(f.dir, path.Clean("./"+folder), mostEntries)
	if err != nil {
		f.bad(err)
		return nil
	}
	plain := map[string]bool{}
	for _, e := range list {
		plain[e.Name()+".gz"] = true
	}
	for _, e := range list {
		if e.Name() == base || !rotated(base, e.Name()) || plain[e.Name()] { // the last is being compressed
			continue
		}
		st, err := f.p.root.Stat(f.dir, folder+e.Name())
		if err != nil || time.Unix(st.Mtim.Unix()).Before(since) || f.p.held(st.Dev, st.Ino) {
			continue
		}
		o, err := f.openName(folder + e.Name())
		if err != nil {
			f.bad(err)
			continue
		}
		if newest != nil && newest.is(o.Dev, o.Ino) || f.p.held(o.Dev, o.Ino) || slices.ContainsFunc(f.done, func(i identity) bool { return o.openAt(i) }) {
			o.Close()
			continue
		}
		out = append(out, o)
	}
	slices.SortStableFunc(out, func(a, b *file) int { return a.changed.Compare(b.changed) })
	return out
}

// has reports whether a file is open here.
func (f *follower) has(dev, ino uint64) bool {
	return slices.ContainsFunc(f.files, func(o *file) bool { return o.is(dev, ino) })
}

// skip leaves out the first bytes of a file that is beyond the backlog.
func (f *follower) skip(o *file, n int64) {
	if o.Packed() {
		return // where it would begin costs as much as reading it
	}
	b := f.p.t.buf
	for {
		got, err := o.ReadAt(b, n)
		i := bytes.IndexByte(b[:got], '\n')
		if i >= 0 {
			n += int64(i) + 1
			break
		}
		if got == 0 || err != nil {
			break
		}
		n += int64(got)
	}
	head, tail := make([]byte, min(headBytes, n)), make([]byte, min(tailBytes, n))
	if _, err := o.ReadAt(head, 0); err != nil {
		return
	}
	if _, err := o.ReadAt(tail, n-int64(len(tail))); err != nil {
		return
	}
	o.head, o.tail, o.Off = head, tail, n
	f.missing(fmt.Sprintf("tallyman began to read here; %d MiB that are older were left out (logs.backlog)", n>>20), n)
}

// missing notes that lines are missing at this place, and about how many bytes;
// 0 is not known.
func (f *follower) missing(text string, bytes int64) {
	g := logtail.Gap{Text: text, Bytes: bytes}
	f.gaps = append(f.gaps, g)
	f.p.t.counts.Gap(g)
}

// tellGaps puts what is missing into the log, as a line of tallyman's own.
func (f *follower) tellGaps() {
	for _, g := range f.gaps {
		f.p.t.batch.Add(f.streams.At(false, "warn"), f.p.t.now.UnixNano(), g.Line(), f.streams.With("tallyman_gap", fmt.Sprint(g.Bytes)))
		f.p.t.batch.Touch(f)
	}
	f.gaps = f.gaps[:0]
}

// bad counts what could not be read.
func (f *follower) bad(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return // it was renamed meanwhile
	}
	f.p.t.counts.Errors.Add(1)
	f.p.t.o.Log.Debug("a log cannot be read", "file", f.name, "err", err)
}

// lead looks whether the name leads to another file by now, and opens that and
// what came between. It reports whether the name leads nowhere.
func (f *follower) lead() (nowhere bool) {
	if f.p.ended || f.p.root == nil {
		return false
	}
	current := f.current()
	var next *file
	if st, err := f.p.root.Stat(f.dir, f.rest); err == nil {
		if f.p.held(st.Dev, st.Ino) {
			return false
		}
		if next, err = f.openName(f.rest); err != nil {
			f.bad(err)
			return false
		}
	}
	if current != nil {
		_, changed, _ := current.Size()
		var between []*file
		between, next = f.older(changed, next)
		at := current.here(f.time)
		for _, o := range between {
			if at.off > 0 && o.openAt(at) || at.off == 0 && o.Packed() && o.beginsLike(current) { // compressed or copied
				o.Close()
				continue
			}
			f.come(o)
		}
	}
	if next != nil {
		f.come(next)
	}
	return current != nil && f.current() == current
}

// come takes a file that follows those that are open.
func (f *follower) come(o *file) {
	f.files = append(f.files, o)
	f.since = f.p.t.now
}

// serve gives the file a turn; false says that it is over.
func (f *follower) serve() bool {
	t := f.p.t
	took := f.turn()
	f.tellGaps()
	if took > 0 {
		f.idle = 0
	} else {
		f.idle++
		if f.entry.Old(t.now) {
			f.endEntry()
		}
	}
	if len(f.files) == 0 {
		f.remove()
		return false
	}
	f.due = t.now.Add(f.pause(took))
	if f.entry.Open {
		f.due = logtail.Earlier(f.due, t.now.Add(logrule.Wait))
	}
	return true
}

// pause is how long the file may wait for its next turn.
func (f *follower) pause(took int) time.Duration {
	switch {
	case took >= 128<<10, f.p.ended:
		return 0
	case took >= 8<<10:
		return 5 * time.Millisecond
	case took > 0, f.idle < 2:
		return 100 * time.Millisecond
	case len(f.files) > 1:
		return 250 * time.Millisecond
	}
	// It is quiet: inotify tells when it is written to again.
	if f.watch == 0 {
		t := f.p.t
		f.watch = t.watch.Add(fmt.Sprintf("/proc/self/fd/%d", f.files[0].F.Fd()), logtail.WatchWrite)
		if f.watch == 0 {
			return 250 * time.Millisecond
		}
		t.quiet[f.watch] = f
		return 0 // what was written before that is seen in one more turn
	}
	return lookEvery
}

// woken takes up that the file was written to.
func (f *follower) woken() {
	f.unwatch() // it was for once
	f.due = time.Now().Add(50 * time.Millisecond)
}

func (f *follower) unwatch() {
	if f.watch != 0 {
		f.p.t.watch.Remove(f.watch)
		delete(f.p.t.quiet, f.watch)
		f.watch = 0
	}
}

// remove ends the following. The position stays for when the name comes back,
// but that of a file that was removed.
func (f *follower) remove() {
	t := f.p.t
	if f.forget || !f.p.ended {
		t.batch.Untouch(f)
		t.batch.Forget(f.key)
	}
	f.close()
	delete(f.p.files, f.name)
	delete(t.followers, f.key)
}

func (f *follower) close() {
	f.unwatch()
	for _, o := range f.files {
		o.Close()
	}
	f.files = nil
}

// turn reads at most one buffer and reports how many bytes it took.
func (f *follower) turn() (took int) {
	t := f.p.t
	nowhere := f.lead()
	for len(f.files) > 0 {
		o := f.files[0]
		last := len(f.files) == 1
		size, changed, err := o.Size()
		if err != nil {
			f.bad(err)
			f.drop(o)
			continue
		}
		idle := size == o.Off && changed.Equal(o.changed)
		if last && !idle && !o.Packed() && o.cutShort(size) {
			f.emptied(o)
			continue
		}
		if last && o.Off == 0 && !changed.Equal(o.changed) && !o.Packed() && f.emptiedAgain(o, changed) {
			continue
		}
		o.changed = changed
		if o.Packed() || size != o.Off && size != o.torn {
			n, err := o.Fill(t.buf)
			if err != nil {
				f.bad(fmt.Errorf("read %s: %w", o.name, err))
			}
			f.stamp(changed)
			if took = f.decode(o, t.buf[:n]); took > 0 {
				t.batch.Touch(f)
				return took
			}
			o.torn = size
		}
		if f.mayGrow(o, last, nowhere) {
			return 0
		}
		f.drop(o)
	}
	return 0
}

// mayGrow reports whether more may come into a file that was read to its end.
func (f *follower) mayGrow(o *file, last, nowhere bool) bool {
	quiet := f.p.t.now.Sub(o.changed) > f.p.t.linger
	switch {
	case f.p.ended, o.Packed(), o.copied, len(f.files) > 2:
		return false
	case last:
		var st unix.Stat_t
		return !nowhere || !quiet || unix.Fstat(int(o.F.Fd()), &st) == nil && st.Nlink > 0
	}
	return !quiet && f.p.t.now.Sub(f.since) < mostWaiting
}

// drop closes a file that was read to its end: what is left of a line is one.
func (f *follower) drop(o *file) {
	t := f.p.t
	if n, err := o.Fill(t.buf); err == nil && n > 0 || f.open {
		f.stamp(o.changed)
		f.whole(t.buf[:n], o.Off)
		o.took(t.buf[:n])
	}
	f.endEntry()
	at := o.here(f.time)
	if at.off > 0 {
		f.done = append(f.done[max(len(f.done)-15, 0):], at)
	}
	f.files = f.files[1:]
	t.batch.Touch(f)
	f.unwatch()
	dev, ino := o.Dev, o.Ino
	o.Close()
	if len(f.files) > 0 && !f.p.ended { // its new name may be one of the wanted
		f.p.left = append(f.p.left[max(len(f.p.left)-63, 0):], left{dev, ino, at})
		f.p.lookTogether()
	}
}

// emptied goes on after a file was emptied in place: in a copy of it that has
// what was not read yet, if there is one.
func (f *follower) emptied(o *file) {
	at := o.here(f.time)
	var kept *file
	for _, s := range f.siblings(o.changed.Add(-time.Second), nil) {
		if kept == nil && s.openAt(at) {
			kept = s
			continue
		}
		s.Close()
	}
	if kept != nil {
		kept.copied = true
		f.files, f.since = []*file{kept, o}, f.p.t.now
	} else {
		if f.open {
			f.whole(nil, 0)
		}
		f.endEntry()
		f.missing("the file was emptied in place; lines that were not read before that are missing here", 0)
	}
	o.again()
}

// emptiedAgain opens the copies of a file that was written to and emptied once
// more before it was looked at.
func (f *follower) emptiedAgain(o *file, changed time.Time) bool {
	copies := f.siblings(o.changed, nil)
	o.changed = changed
	if len(copies) == 0 {
		return false
	}
	for _, c := range copies {
		c.copied = true
	}
	f.files, f.since = append(copies, o), f.p.t.now
	return true
}

// stamp sets the time of lines that are read from a file changed at a time.
func (f *follower) stamp(changed time.Time) {
	if now := f.p.t.now; changed.After(now) {
		changed = now
	}
	f.time = max(f.time, changed.UnixNano())
}

// decode takes the lines out of b, which lies at o.Off, and moves that on. What
// has no end stays, unless it fills the buffer.
func (f *follower) decode(o *file, b []byte) (took int) {
	for took < len(b) {
		rest := b[took:]
		if o.holes {
			if n := len(rest) - len(bytes.TrimLeft(rest, "\x00")); n > 0 {
				took += n
				continue
			}
			o.holes = false
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if len(rest) == len(f.p.t.buf) {
				f.piece(rest, o.Off)
				took = len(b)
			}
			break
		}
		f.whole(rest[:i], o.Off+int64(took))
		took += i + 1
	}
	o.took(b[:took])
	return took
}

// piece takes the beginning or the middle of a line.
func (f *follower) piece(text []byte, at int64) {
	if !f.open {
		f.open, f.part, f.lost, f.start = true, f.part[:0], 0, at
	}
	room := min(len(text), maxLine-len(f.part))
	f.part = append(f.part, text[:room]...)
	f.lost += len(text) - room
}

// whole takes a line, or the end of one that is open. Lines that are read at
// once are a nanosecond apart: they may be of several streams, by their levels.
func (f *follower) whole(text []byte, at int64) {
	time := f.time
	f.time++
	if !f.open && len(text) <= maxLine {
		f.line(text, 0, time, at)
		return
	}
	f.piece(text, at)
	f.open = false
	f.line(f.part, f.lost, time, f.start)
	f.part = nil
}

// line takes one whole line that lies at a place.
func (f *follower) line(text []byte, lost int, time, at int64) {
	rule := f.p.rule
	if !rule.Joins() {
		f.store(text, lost, time)
		return
	}
	if rule.Ends(&f.entry, text) {
		f.endEntry()
	}
	if !f.entry.Open {
		f.began = at
	}
	rule.Add(&f.entry, time, text, lost, f.p.t.now)
}

// endEntry gives out an entry of several lines.
func (f *follower) endEntry() {
	if f.entry.Open {
		f.store(f.entry.Take(), f.entry.Lost, f.entry.Time)
		f.p.t.batch.Touch(f)
	}
}

// store adds a text to the batch, as its rule wants it.
func (f *follower) store(text []byte, lost int, time int64) {
	t := f.p.t
	text = t.batch.Copy(f.p.rule.Redact(text))
	meta := f.streams.Meta
	if lost > 0 {
		meta = f.streams.With("tallyman_cut_bytes", fmt.Sprint(lost))
	}
	t.batch.Add(f.streams.At(false, f.p.rule.Level(text)), time, text, meta)
	t.counts.Line(len(text), lost)
}

// Position is how far the file will be stored with the present batch.
func (f *follower) Position() tallyman.Position {
	p := tallyman.Position{Key: f.key}
	switch {
	case len(f.files) > 0 && f.files[0].Off > 0:
		o := f.files[0]
		off := o.Off
		switch {
		case f.entry.Open:
			off = f.began
		case f.open:
			off = f.start
		}
		p.Value = o.at(off, f.time).String()
	case len(f.done) > 0: // the next file is still empty
		p.Value = f.done[len(f.done)-1].String()
	default:
		p.Key = ""
	}
	return p
}
