// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// lookedLate is by how much a file may seem to be older than a look at which it was not
// there yet: the kernel's clock of files is coarse.
const lookedLate = 100 * time.Millisecond

// mostWaiting is how long a renamed file is waited for to be quiet.
const mostWaiting = 30 * time.Second

// follower reads the log of one name.
type follower struct {
	logtail.Log
	p         *place
	key       string
	name      string // whole path
	dir, rest string // how it is opened

	files   []*file    // oldest first, the last one is what the name led to
	done    []identity // where files end that were read to their end
	since   time.Time  // when the second of them came
	nowhere bool       // the name leads to no file
	time    int64      // the next line is of no earlier one
	out     logtail.Output[int64]

	forget bool // its position goes with it
}

var _ logtail.Follower = (*follower)(nil)

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
	return &file{File: h, name: path.Join(f.dir, rest), changed: changed}, err
}

// begin opens what there is, from the stored position on.
func (f *follower) begin() error {
	p := f.p
	host := p.t.o.Host
	if p.container != nil {
		host = p.container.Host
	}
	f.Streams = logstream.From(p.container, host, "file", tallyman.Label{Name: "filename", Value: f.name})
	f.out = logtail.Output[int64]{Batch: p.t.tail.Batch, Counts: p.t.tail.Counts, Of: f, Streams: f.Streams, Rule: p.rule}
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
				p.t.tail.Batch.Touch(f)
				return nil
			}
		}
	}
	if p.seen { // it has come since, and may have been rotated since
		older, newest := f.older(p.before.Add(-lookedLate), current)
		older = slices.DeleteFunc(older, func(o *file) bool {
			if !f.wasLeft(o) {
				return false
			}
			o.Close()
			return true
		})
		if f.files = older; newest != nil {
			f.files = append(older, newest)
		}
		f.since = p.t.tail.Now
		return nil
	}
	// The last bytes of what was there before: of a container also of what it
	// has rotated away since it was started.
	if p.container != nil {
		older, newest := f.older(p.container.Started.Add(-logstream.StartedLate), current)
		if f.files = older; newest != nil {
			f.files = append(older, newest)
		}
		f.since = p.t.tail.Now
	}
	first, skip := logtail.Within(f.files, p.t.o.Backlog)
	for _, older := range f.files[:first] {
		older.Close()
	}
	if f.files = f.files[first:]; skip > 0 {
		f.skip(f.files[0], skip)
	}
	return nil
}

// resume finds the file that a position is of, under the name or one that a
// rotation gave it, and what came after that.
func (f *follower) resume(at identity) error {
	current := f.current()
	if current != nil && current.openAt(at) {
		f.p.t.tail.Batch.Touch(f)
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
			f.p.t.tail.Batch.Forget(f.key)
			return fs.ErrNotExist
		}
		f.missing("the file that was read last was rotated away, emptied or removed while tallyman was not running; lines may be missing here")
	}
	f.files = append(files, f.files...)
	f.since = f.p.t.tail.Now
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
		f.Bad(err)
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
			f.Bad(err)
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

// wasLeft reports whether a file was read to its end under another name.
func (f *follower) wasLeft(o *file) bool {
	for _, p := range f.p.kin() {
		for _, l := range p.left {
			if o.is(l.dev, l.ino) && o.openAt(l.identity) {
				return true
			}
		}
	}
	return false
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
	n = o.LineFrom(n, f.p.t.tail.Buffer())
	head, tail := make([]byte, min(headBytes, n)), make([]byte, min(tailBytes, n))
	if _, err := o.ReadAt(head, 0); err != nil {
		return
	}
	if _, err := o.ReadAt(tail, n-int64(len(tail))); err != nil {
		return
	}
	o.head, o.tail, o.Off = head, tail, n
	f.p.t.tail.Missing(f, logtail.Skipped(n))
}

// missing notes that lines are missing at this place; it is not known how many.
func (f *follower) missing(text string) { f.p.t.tail.Missing(f, logtail.Gap{Text: text}) }

// Bad implements logtail.Rotation: the error is counted, unless a file was renamed
// meanwhile.
func (f *follower) Bad(err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.p.t.tail.Counts.Errors.Add(1)
	f.p.t.o.Log.Debug("a log cannot be read", "file", f.name, "err", err)
}

// Lead implements logtail.Rotation: it looks whether the name leads to another file by
// now, and opens that and what came between.
func (f *follower) Lead() {
	if f.nowhere = false; f.p.ended || f.p.root == nil {
		return
	}
	current := f.current()
	var next *file
	if st, err := f.p.root.Stat(f.dir, f.rest); err == nil {
		if f.p.held(st.Dev, st.Ino) {
			return
		}
		if next, err = f.openName(f.rest); err != nil {
			f.Bad(err)
			return
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
	f.nowhere = current != nil && f.current() == current
}

// come takes a file that follows those that are open.
func (f *follower) come(o *file) {
	f.files = append(f.files, o)
	f.since = f.p.t.tail.Now
}

// Serve implements logtail.Follower.
func (f *follower) Serve(context.Context) bool {
	t := f.p.t.tail
	took := t.Turn(f)
	if len(f.files) == 0 {
		f.remove()
		return false
	}
	f.out.EndOld(t.Now)
	_, waits := f.out.Entry()
	if t.Rest(f, took, waits); f.p.ended {
		f.Due = time.Time{}
	}
	return true
}

// Gather implements logtail.Follower.
func (f *follower) Gather() time.Duration { return 50 * time.Millisecond }

// remove ends the following. The position stays for when the name comes back,
// but that of a file that was removed.
func (f *follower) remove() {
	t := f.p.t.tail
	if f.forget || !f.p.ended {
		t.Batch.Untouch(f)
		t.Batch.Forget(f.key)
	}
	f.close()
	delete(f.p.files, f.name)
	delete(t.Logs, f.key)
	f.p.leave()
}

func (f *follower) close() {
	f.p.t.tail.Unwatch(f)
	for _, o := range f.files {
		o.Close()
	}
	f.files = nil
}

// First implements logtail.Rotation.
func (f *follower) First() (o *logtail.File, last bool) {
	if len(f.files) == 0 {
		return nil, false
	}
	return f.files[0].File, len(f.files) == 1
}

// Look implements logtail.Rotation.
func (f *follower) Look(size int64, changed time.Time) (anew bool) {
	o := f.files[0]
	if last := len(f.files) == 1; last && !o.Packed() {
		idle := size == o.Off && changed.Equal(o.changed)
		if !idle && o.cutShort(size) {
			f.emptied(o)
			return true
		}
		if o.Off == 0 && !changed.Equal(o.changed) && f.emptiedAgain(o, changed) {
			return true
		}
	}
	o.changed = changed
	return false
}

// MayGrow implements logtail.Rotation.
func (f *follower) MayGrow() bool {
	o := f.files[0]
	now := f.p.t.tail.Now
	quiet := now.Sub(o.changed) > f.p.t.linger
	switch {
	case f.p.ended, o.Packed(), o.copied, len(f.files) > 2:
		return false
	case len(f.files) == 1:
		var st unix.Stat_t
		return !f.nowhere || !quiet || unix.Fstat(int(o.F.Fd()), &st) == nil && st.Nlink > 0
	}
	return !quiet && now.Sub(f.since) < mostWaiting
}

// Drop implements logtail.Rotation: what is left of a line is one.
func (f *follower) Drop() {
	o := f.files[0]
	buf := f.p.t.tail.Buffer()
	if n, err := o.Fill(buf); err == nil && n > 0 || f.out.Open() != nil {
		f.stamp(o.changed)
		f.piece(buf[:n], o.Off, false)
		o.took(buf[:n])
	}
	f.out.EndEntry()
	at := o.here(f.time)
	if at.off > 0 {
		f.done = append(f.done[max(len(f.done)-15, 0):], at)
	}
	f.files = f.files[1:]
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
		f.files, f.since = []*file{kept, o}, f.p.t.tail.Now
	} else {
		if f.out.Open() != nil {
			f.piece(nil, 0, false)
		}
		f.out.EndEntry()
		f.missing("the file was emptied in place; lines that were not read before that are missing here")
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
	f.files, f.since = append(copies, o), f.p.t.tail.Now
	return true
}

// stamp sets the time of lines that are read from a file changed at a time.
func (f *follower) stamp(changed time.Time) {
	if now := f.p.t.tail.Now; changed.After(now) {
		changed = now
	}
	f.time = max(f.time, changed.UnixNano())
}

// Decode implements logtail.Rotation. What has no end stays, unless it fills the buffer.
func (f *follower) Decode(b []byte, _ bool) (took int) {
	o := f.files[0]
	if len(b) > 0 {
		f.stamp(o.changed)
	}
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
			if len(rest) == bufferSize {
				f.piece(rest, o.Off, true)
				took = len(b)
			}
			break
		}
		f.piece(rest[:i], o.Off+int64(took), false)
		took += i + 1
	}
	o.took(b[:took])
	return took
}

// piece takes a piece of a line that lies at a place, mostly a whole one. Lines that
// are read at once are a nanosecond apart: they may be of several streams, by their
// levels.
func (f *follower) piece(text []byte, at int64, more bool) {
	if l := f.out.Piece(&logtail.Line[int64]{Text: text, At: at}, more); l != nil {
		l.Time = f.time
		f.time++
		f.out.Line(l, f.p.t.tail.Now)
	}
}

// Position is how far the file will be stored with the present batch.
func (f *follower) Position() tallyman.Position {
	p := tallyman.Position{Key: f.key}
	switch {
	case len(f.files) > 0 && f.files[0].Off > 0:
		o := f.files[0]
		off, begun := f.out.Begin()
		if !begun {
			off = o.Off
		}
		p.Value = o.at(off, f.time).String()
	case len(f.done) > 0: // the next file is still empty
		p.Value = f.done[len(f.done)-1].String()
	default:
		p.Key = ""
	}
	return p
}
