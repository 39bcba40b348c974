// SPDX-License-Identifier: Apache-2.0

package record

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// class is the segments of a Class. All is guarded by Store.mu.
type class struct {
	Class
	most     int64         // size at which a segment ends,
	span     time.Duration // or age
	segments []*segment    // oldest first
	active   *segment      // the last of them, when it can be appended to
	next     uint64
	adopted  bool // only files of it are left, it is not in the options
}

func newClass(c Class, segment int64) *class {
	if c.RetentionTime <= 0 {
		c.RetentionTime = 7 * 24 * time.Hour
	}
	if c.RetentionSize <= 0 {
		c.RetentionSize = 768 << 20
	}
	// Whole segments go, so they are a small part of what is kept.
	return &class{
		Class: c, next: 1,
		most: min(segment, max(c.RetentionSize/8, 64<<10)),
		span: min(max(c.RetentionTime/64, time.Hour), 24*time.Hour),
	}
}

// classOf is the class of a stream.
func (s *Store) classOf(st *tallyman.Stream) *class {
	for _, c := range s.classes {
		if !c.adopted && (c.Match == nil || c.Match(st)) {
			return c
		}
	}
	return s.classes[0] // not reached: one matches everything
}

// classNamed is the class whose files have that name. One that is not in the
// options any more is kept like the last class.
func (s *Store) classNamed(name string) *class {
	for _, c := range s.classes {
		if c.Name == name {
			return c
		}
	}
	o := s.opt.Classes[len(s.opt.Classes)-1]
	o.Name = name
	c := newClass(o, s.opt.segment)
	c.adopted = true
	s.classes = append(s.classes, c)
	return c
}

// segmentName takes the name of a segment apart: log-00000001.seg.
func segmentName(name string) (class string, number uint64, ok bool) {
	base, isSegment := strings.CutSuffix(name, ".seg")
	class, digits, cut := strings.Cut(base, "-")
	number, err := strconv.ParseUint(digits, 10, 63)
	ok = isSegment && cut && class != "" && err == nil && fmt.Sprintf("%s-%08d.seg", class, number) == name
	return class, number, ok
}

// readFolder finds the files and reads the indexes of the segments.
func (s *Store) readFolder() error {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(s.opt.Dir, e.Name())
		if name, number, ok := segmentName(e.Name()); ok {
			c := s.classNamed(name)
			c.segments = append(c.segments, &segment{path: path, class: c, number: number})
			c.next = max(c.next, number+1)
		} else if base, ok := strings.CutSuffix(e.Name(), ".wal"); ok {
			if number, err := strconv.ParseUint(base, 10, 63); err == nil && fmt.Sprintf("%08d.wal", number) == e.Name() {
				s.wal = append(s.wal, &walFile{number: number, path: path})
			}
		}
	}
	slices.SortFunc(s.wal, func(a, b *walFile) int { return cmp.Compare(a.number, b.number) })
	for _, c := range s.classes {
		slices.SortFunc(c.segments, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
		keep := c.segments[:0]
		for i, g := range c.segments {
			some, err := s.openSegment(g, i == len(c.segments)-1)
			if err != nil {
				return err
			}
			if some {
				keep = append(keep, g)
			}
		}
		c.segments = keep
	}
	s.index.all(func(st *stream) {
		slices.SortStableFunc(st.chunks, func(a, b chunk) int { return cmp.Compare(a.seq, b.seq) })
		for i := range st.chunks {
			if c := &st.chunks[i]; c.first == 0 {
				s.unnumbered = max(s.unnumbered, c.seq)
			}
		}
		if n := len(st.chunks); n > 0 {
			st.sealed = st.chunks[n-1].seq
			s.seq = max(s.seq, st.sealed)
		}
	})
	return nil
}

// openSegment reads what a segment holds, by its footer or, without one, chunk
// by chunk. some is false when there is nothing in it and it was removed.
func (s *Store) openSegment(g *segment, newest bool) (some bool, err error) {
	f, err := os.Open(g.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	g.size = info.Size()
	h, err := readHeader(g.path, segmentMagic)
	_, newer := errors.AsType[*ErrVersion](err)
	switch {
	case newer:
		return false, err
	case g.size < headerSize: // killed while it was made
		s.count.torn.Add(1)
		return false, os.Remove(g.path)
	case err != nil:
		s.count.corruptChunks.Add(1)
		s.opt.Log.Warn("the header of a segment is damaged", "file", g.name())
	}
	g.created, g.last = h.created, info.ModTime().UnixNano()
	if g.created == 0 {
		g.created = g.last
	}
	if last, streams, err := readFooter(f, g.size); err == nil {
		g.last = last
		s.takeIn(g, streams)
		return true, nil
	}
	end, damaged := scan(f, g.size, func(off int64, h *chunkHeader, labels, times []byte) {
		if st := s.streamOf(labels); st != nil {
			h.first = s.unpack.firstNumber(h, times)
			st.chunks = append(st.chunks, chunkOf(g, off, h))
			g.chunks++
		}
	})
	s.count.corruptChunks.Add(uint64(damaged))
	if damaged > 0 {
		s.opt.Log.Warn("damaged chunks of a segment are left out", "file", g.name(), "places", damaged)
	}
	if end < g.size {
		s.count.torn.Add(1)
		s.opt.Log.Warn("an unfinished end of a segment is cut off", "file", g.name(), "bytes", g.size-end)
		if err := os.Truncate(g.path, end); err != nil {
			return false, err
		}
		g.size = end
	}
	if g.chunks == 0 && damaged == 0 {
		return false, os.Remove(g.path)
	}
	g.w, err = s.opt.open(g.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	g.dirty = true // whoever was killed may not have synced it
	if newest && damaged == 0 && !g.class.adopted && h.version == version {
		g.class.active = g
	} else {
		s.end(g)
	}
	return true, nil
}

// streamOf is the stream with these labels, made when it is new; nil when they
// are no labels.
func (s *Store) streamOf(labels []byte) *stream {
	r := reader{b: labels}
	l := r.labels()
	if !r.done() {
		return nil
	}
	st, err := s.stream(l)
	if err != nil {
		return nil
	}
	return st
}

// takeIn takes in what a footer says.
func (s *Store) takeIn(g *segment, streams []segmentStream) {
	for _, of := range streams {
		st := s.streamOf(of.labels)
		if st == nil {
			s.count.corruptChunks.Add(uint64(len(of.chunks)))
			continue
		}
		for _, r := range of.chunks {
			r.seg = g
			st.chunks = append(st.chunks, r)
		}
		g.chunks += len(of.chunks)
	}
}

// writable is the segment of a class to append to.
func (s *Store) writable(c *class) (*segment, error) {
	now := s.opt.now().UnixNano()
	if g := c.active; g != nil {
		if g.w != nil && g.size < c.most && now-g.created < int64(c.span) && now >= g.created {
			return g, nil
		}
		c.active = nil
		if g.w != nil {
			s.end(g)
		}
	}
	g := &segment{class: c, number: c.next, created: now, last: now}
	g.path = filepath.Join(s.opt.Dir, fmt.Sprintf("%s-%08d.seg", c.Name, g.number))
	f, err := s.opt.open(g.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	b := appendHeader(nil, segmentMagic, fileHeader{created: now})
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = errShortWrite
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(g.path))
	}
	g.w, g.size, g.dirty = f, int64(n), true
	c.next++
	c.active = g
	c.segments = append(c.segments, g)
	s.folderDirty = true
	s.expire()
	return g, nil
}

// endedSegment is one that has all its chunks, and waits for its footer.
type endedSegment struct {
	*segment
	w      file
	footer []byte
	size   int64 // before the footer
}

// end ends a segment: nothing is appended to it any more. The next sync finishes it.
func (s *Store) end(g *segment) {
	s.ended = append(s.ended, endedSegment{segment: g, w: g.w})
	g.w, g.dirty = nil, false
	if g.class.active == g {
		g.class.active = nil
	}
}

// finish syncs the chunks of a segment and then writes its footer, so that one that
// is whole speaks of chunks that are. Without it the segment is read chunk by chunk at
// the next Open. It is called without the lock; an error is that the chunks may
// not be on the disk.
func (s *Store) finish(e endedSegment) error {
	defer func() {
		if err := e.w.Close(); err != nil {
			s.count.syncErrors.Add(1)
		}
	}()
	if err := e.w.Sync(); err != nil {
		return err
	}
	n, err := e.w.Write(e.footer)
	if err != nil || n < len(e.footer) {
		s.count.writeErrors.Add(1)
		_ = e.w.Truncate(e.size) // what remains is cut off at the next Open
		return nil
	}
	s.mu.Lock()
	e.segment.size += int64(n)
	s.mu.Unlock()
	if err := e.w.Sync(); err != nil {
		s.syncFailed(e.name(), err)
	}
	return nil
}

// streamsOf are the streams of a segment and their chunks in it.
func (s *Store) streamsOf(g *segment) []segmentStream {
	var out []segmentStream
	s.index.all(func(st *stream) {
		of := segmentStream{labels: st.labels}
		for i := range st.chunks {
			if st.chunks[i].seg == g {
				of.chunks = append(of.chunks, st.chunks[i])
			}
		}
		if len(of.chunks) > 0 {
			out = append(out, of)
		}
	})
	return out
}
