// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"tallyman/internal/logtail"
)

const (
	// lookAgain is after which time files are looked at although nothing was told of
	// them; without inotify it is lookSoon.
	lookAgain, lookSoon = 10 * time.Second, time.Second
	// mostFiles is how many files are read.
	mostFiles = 16384
	// racy is how old the last change of a folder must be so that a further one has
	// another time.
	racy = 2 * time.Second
)

// Options of a Reader. All but Folders may be left out.
type Options struct {
	// Folders have the files of a journal, and folders of machines that have them.
	// Those that are missing may come later.
	Folders []string
	// Machine is the one whose folder is read; zero for those of all.
	Machine ID
	Matches Matches
	// Keep says how many bytes of the value of a field are wanted, below 0 when the
	// field is not. Without it all is, up to [MaxValue].
	Keep func(name []byte) int
	// Most is the longest that Keep wants of any field, in bytes.
	Most int
}

// Reader reads the entries of all files of a journal in their order, and goes on with what is
// written to them. It belongs to one goroutine, but for Counts.
type Reader struct {
	o        Options
	most     int
	unpacker unpacker
	cache    windows
	watch    *logtail.Watch

	files []*member
	// done are files that were read to their end and will not grow, or cannot be read.
	done    map[fileID]ended
	folders map[string]*folder
	// at is where the reader stands: what comes next lies behind it, or on it when
	// inclusive is set. Without began it stands before all.
	at               Cursor
	began, inclusive bool
	// limits are the sequence numbers up to which all files are known to be complete;
	// of a series that is new that is known with the next look.
	limits    map[ID]uint64
	unlimited bool // they cannot be right
	blocked   bool // an entry waits for the next look
	pending   bool // a file had no header yet, or has become another one
	looked    time.Time

	entries, broken, refused atomic.Uint64
	why                      atomic.Pointer[string]
	count, found             atomic.Int64
	later, denied            atomic.Int64
}

// member is one file that is read.
type member struct {
	*file
	id   fileID
	f    *os.File
	name string
	// dead says that nobody writes to it any more.
	dead bool
	// from is where it is searched on; next is the entry there, when known is set, 0
	// for none.
	from  uint64
	next  uint64
	known bool
	place Cursor // of next
	top   uint64 // the highest sequence number that was seen
}

// Open opens a journal. That nothing is there yet is no error; Counts says what was found.
func Open(o Options) (*Reader, error) {
	if len(o.Folders) == 0 {
		return nil, errors.New("a journal needs a folder")
	}
	r := &Reader{o: o, most: MaxValue, done: map[fileID]ended{}, folders: map[string]*folder{}, limits: map[ID]uint64{}}
	if o.Keep != nil && o.Most > 0 {
		r.most = min(MaxValue, o.Most+mostName+1)
	}
	r.watch, _ = logtail.NewWatch(nil) // without one it looks more often
	r.Look()
	r.Look() // the first one found files, this one up to where all of them are complete
	return r, nil
}

// Close closes all files.
func (r *Reader) Close() {
	r.watch.Close()
	r.unpacker.close()
	for _, m := range r.files {
		_ = m.f.Close()
	}
	r.files, r.cache = nil, windows{}
	r.count.Store(0)
}

// Counts is what a Reader tells of itself.
type Counts struct {
	// Entries were read; Broken parts of files were passed over; Refused files could
	// not be read.
	Entries, Broken, Refused uint64
	// Files are open; Found are those and what was read to its end; Later were of a form
	// that is not known; Denied may not be read.
	Files, Found, Later, Denied int
	// Why is the reason of the last file that could not be read.
	Why string
}

// Counts may be called from any goroutine.
func (r *Reader) Counts() Counts {
	c := Counts{Entries: r.entries.Load(), Broken: r.broken.Load(), Refused: r.refused.Load(), Files: int(r.count.Load()), Found: int(r.found.Load()), Later: int(r.later.Load()), Denied: int(r.denied.Load())}
	if why := r.why.Load(); why != nil {
		c.Why = *why
	}
	return c
}

// SeekHead goes before all entries.
func (r *Reader) SeekHead() { r.seek(Cursor{}, false, false) }

// SeekCursor goes to the entry with a cursor, or where it would be: Next gives it if it
// is there, else the next one.
func (r *Reader) SeekCursor(c Cursor) { r.seek(c, true, true) }

func (r *Reader) seek(c Cursor, began, inclusive bool) {
	r.at, r.began, r.inclusive = c, began, inclusive
	clear(r.done) // what was read may be wanted again
	clear(r.folders)
	for _, m := range r.files {
		m.dead = false
		r.put(m) // Look ends with a file in which nothing is left
	}
	r.Look()
	for _, m := range r.files {
		r.put(m)
	}
}

// put puts a file to where the reader stands.
func (r *Reader) put(m *member) {
	m.known = false
	if m.from = 1; !r.began {
		return
	}
	m.from = m.seek(&r.at)
	for {
		r.peek(m)
		if m.next == 0 {
			return
		}
		if n := m.place.compare(&r.at); n > 0 || n == 0 && r.inclusive {
			return
		}
		m.from, m.known = m.next+1, false
	}
}

// SeekTail goes before the last n entries that match.
func (r *Reader) SeekTail(n int) {
	r.seek(Cursor{}, false, false)
	type back struct {
		at    uint64
		place Cursor
	}
	heads := make([]back, len(r.files))
	step := func(i int) {
		m := r.files[i]
		for heads[i].at = m.until(heads[i].at); heads[i].at != 0; heads[i].at = m.until(heads[i].at) {
			var err error
			if heads[i].place, err = m.file.place(heads[i].at); err == nil {
				return
			}
		}
	}
	for i, m := range r.files {
		m.from, m.known = m.last+1, false
		heads[i].at = m.last + 1
		step(i)
	}
	for range n {
		best := -1
		for i := range heads {
			if heads[i].at != 0 && (best < 0 || heads[i].place.compare(&heads[best].place) > 0) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		newest := heads[best].place
		for i := range heads { // and what is the same in other files
			if heads[i].at != 0 && heads[i].place.same(&newest) {
				r.files[i].from = heads[i].at
				step(i)
			}
		}
	}
}

// peek finds the next entry of a file.
func (r *Reader) peek(m *member) {
	for !m.known {
		m.known, m.next = true, m.after(m.from)
		if m.next == 0 {
			return
		}
		var err error
		if m.place, err = m.file.place(m.next); err != nil {
			r.broken.Add(1)
			m.from, m.known = m.next+1, false
		} else if r.copied(&m.place) {
			m.from, m.known = m.next+1, false
		}
	}
}

// copied reports whether an entry was read before, from another file: journald copies what
// is in /run to /var when that can be written to, in a series of its own.
func (r *Reader) copied(c *Cursor) bool {
	return r.began && c.Boot == r.at.Boot && c.Series != r.at.Series && (c.compare(&r.at) < 0 || !r.inclusive && c.same(&r.at))
}

// Next reads the next entry, false when there is none yet: Wait waits for it.
func (r *Reader) Next(e *Entry) bool {
	for {
		var best *member
		r.blocked = false
		for _, m := range r.files {
			r.peek(m)
			if m.next == 0 {
				continue
			}
			if m.place.Seqnum > r.limits[m.head.series] && !r.unlimited {
				r.blocked = true
				continue
			}
			if best == nil || m.place.compare(&best.place) < 0 {
				best = m
			}
		}
		if best == nil {
			return false
		}
		at, place := best.next, best.place
		for _, m := range r.files {
			if m.next != 0 && (m == best || m.place.same(&place)) {
				m.from, m.known = m.next+1, false
			}
		}
		if err := r.readEntry(best.file, at, e); err != nil {
			r.broken.Add(1)
			continue
		}
		r.at, r.began, r.inclusive = place, true, false
		r.entries.Add(1)
		return true
	}
}

// Wait waits until there may be new entries, and takes notice of them, or until ctx ends.
func (r *Reader) Wait(ctx context.Context) {
	var before map[ID]uint64
	if r.blocked {
		before = maps.Clone(r.limits)
	} else {
		r.cache.idle()
		after := lookAgain
		if r.watch == nil {
			after = lookSoon
		}
		timer := time.NewTimer(time.Until(r.looked.Add(after)))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-r.watch.Wake():
			r.watch.Take()
		case <-timer.C:
		}
	}
	r.Look()
	r.unlimited = before != nil && maps.Equal(before, r.limits) // the numbers in the files' headers are wrong
}

// Look takes notice of new files and new entries.
//
// Files are looked at one after the other, and journald writes on meanwhile: an entry in one
// file may be seen, and the one before it in another file not. So before all else it is
// noted up to which sequence number there are entries, and only those are given, until the
// next look.
func (r *Reader) Look() {
	r.looked, r.unlimited = time.Now(), false
	if len(r.limits) > mostFiles {
		clear(r.limits)
	}
	for _, m := range r.files {
		limit := max(r.limits[m.head.series], m.top)
		var raw [8]byte
		if _, err := m.f.ReadAt(raw[:], 160); err == nil && !m.dead {
			limit = max(limit, u64(raw[:], 0))
		}
		r.limits[m.head.series] = limit
	}
	r.list()
	kept := r.files[:0]
	for _, m := range r.files {
		if !m.dead {
			// While what is next was not given it stays: entries are appended.
			if err := m.refresh(); err != nil {
				r.refuse(m.name, err)
				_ = m.f.Close()
				r.pending = true
				continue
			}
			m.top = max(m.top, m.head.tailSeqnum)
			m.dead = m.head.state == archived || strings.HasSuffix(m.name, "~") || gone(m.f)
			if m.next == 0 {
				m.known = false
			}
		}
		if m.dead {
			if r.peek(m); m.next == 0 {
				if st, err := m.f.Stat(); err == nil && len(r.done) < mostFiles {
					r.done[m.id] = ended{st, false}
				}
				_ = m.f.Close()
				continue
			}
		}
		kept = append(kept, m)
	}
	clear(r.files[len(kept):])
	r.files = kept
	found := len(kept)
	for _, d := range r.done {
		if !d.refused {
			found++
		}
	}
	r.count.Store(int64(len(kept)))
	r.found.Store(int64(found))
}
