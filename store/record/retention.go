// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"tallyman/internal/fsx"
)

// Why segments go.
const (
	byAge = iota
	bySize
	bySpace
	reasons
)

// expire removes whole segments, oldest first: by the age and size of their
// class, and while the file system is below its reserve. Precious ones are kept
// until it is below the floor. A segment that is written to stays.
//
// The clock may be wrong: it counts as no later than two days after the newest
// append, so that a jump far ahead does not remove everything at once.
func (s *Store) expire() {
	now := s.opt.now().UnixNano()
	newest := int64(0)
	for _, c := range s.classes {
		for _, g := range c.segments {
			if g != c.active {
				newest = max(newest, g.last)
			}
		}
	}
	if newest > 0 {
		now = min(now, newest+int64(48*time.Hour))
	}
	for _, c := range s.classes {
		size := int64(0)
		for _, g := range c.segments {
			size += g.size
		}
		for len(c.segments) > 0 && c.segments[0] != c.active {
			g := c.segments[0]
			reason := byAge
			if now-g.last <= int64(c.RetentionTime) {
				if size <= c.RetentionSize {
					break
				}
				reason = bySize
			}
			size -= g.size
			if !s.drop(c, reason) {
				break
			}
		}
	}
	if s.opt.Space != nil {
		if u, err := s.opt.Space.Usage(); err == nil && u.Short() > 0 {
			s.makeRoom(u)
		}
	}
	s.gauges()
}

// makeRoom removes segments of a file system that is short of space.
func (s *Store) makeRoom(u fsx.Usage) {
	drop := func(short uint64, precious bool) {
		for short > 0 {
			var oldest *class
			for _, c := range s.classes {
				if c.Precious == precious && len(c.segments) > 0 && c.segments[0] != c.active &&
					(oldest == nil || c.segments[0].last < oldest.segments[0].last) {
					oldest = c
				}
			}
			if oldest == nil {
				return
			}
			size := uint64(oldest.segments[0].size)
			if !s.drop(oldest, bySpace) {
				return
			}
			short -= min(short, size)
			u.Free += size
		}
	}
	drop(u.Short(), false)
	if u.Free < u.Floor() {
		drop(u.Floor()-u.Free, true)
	}
}

// drop removes the oldest segment of a class.
func (s *Store) drop(c *class, reason int) bool {
	g := c.segments[0]
	if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.count.writeErrors.Add(1)
		return false
	}
	g.rmu.Lock()
	g.removed = true
	g.rmu.Unlock()
	c.segments = c.segments[1:]
	var records uint64
	s.index.all(func(st *stream) {
		before := len(st.chunks)
		for i := range st.chunks {
			if st.chunks[i].seg == g {
				records += uint64(st.chunks[i].count)
			}
		}
		st.dropChunks(g)
		if before > 0 {
			s.forget(st)
		}
	})
	s.count.expiredSegments[reason].Add(1)
	s.count.expiredRecords[reason].Add(records)
	s.count.expiredBytes[reason].Add(uint64(g.size))
	s.folderDirty = true
	return true
}

// gauges tells how much there is now.
func (s *Store) gauges() {
	var segments, size int64
	for _, c := range s.classes {
		segments += int64(len(c.segments))
		for _, g := range c.segments {
			size += g.size
		}
	}
	s.count.segments.Store(segments)
	s.count.segmentBytes.Store(size)
	s.count.walBytes.Store(s.walSize())
}
