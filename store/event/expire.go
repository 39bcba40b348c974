// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// expire removes whole files, oldest first, by age, by size, and while the file
// system has no room for anything. The clock may
// be wrong: it counts as no later than two days after the newest other file, so
// that a jump far ahead does not remove everything at once.
func (s *Store) expire() {
	now := s.opt.now().UTC()
	var total int64
	newest := time.Time{}
	for _, f := range s.files {
		total += f.size
		if f != s.writing && f.day.After(newest) {
			newest = f.day
		}
	}
	if limit := newest.Add(48 * time.Hour); !newest.IsZero() && now.After(limit) {
		now = limit
	}
	var short uint64
	if s.opt.Space != nil {
		if u, err := s.opt.Space.Usage(); err == nil && u.Free < u.Floor() {
			short = u.Floor() - u.Free
		}
	}
	edge := now.Add(-s.opt.RetentionTime).Truncate(24 * time.Hour)
	removed := false
	keep := s.files[:0]
	for _, f := range s.files {
		if f == s.writing || !f.day.Before(edge) && total <= s.opt.RetentionSize && short == 0 {
			keep = append(keep, f)
			continue
		}
		if err := os.Remove(filepath.Join(s.opt.Dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.count.writeErrors.Add(1)
			keep = append(keep, f)
			continue
		}
		total -= f.size
		short -= min(short, uint64(f.size))
		removed = true
		s.count.expiredFiles.Add(1)
		s.count.expiredBytes.Add(uint64(f.size))
	}
	clear(s.files[len(keep):])
	s.files = keep
	s.count.files.Store(int64(len(keep)))
	s.count.bytes.Store(total)
	if removed {
		s.syncFolder()
	}
}
