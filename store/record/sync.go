// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"os"
	"slices"
	"time"
)

// idly is by how much longer run waits when there is nothing to sync.
const idly = 15

// run syncs, seals and expires until Close: soon after something was written,
// and now and then when nothing was.
func (s *Store) run() {
	defer close(s.done)
	t := time.NewTimer(s.opt.syncEvery)
	defer t.Stop()
	sealed := s.opt.now()
	for {
		select {
		case <-s.stop:
			return
		case <-s.written:
			t.Reset(s.opt.syncEvery)
			continue
		case <-t.C:
		}
		_ = s.syncNow() // counted and logged there
		if now := s.opt.now(); now.Sub(sealed) >= sealEvery || now.Before(sealed) {
			sealed = now
			s.sealOld()
		}
		s.mu.Lock()
		s.expire()
		wait := s.opt.syncEvery
		if s.idle = !s.dirty(); s.idle {
			wait *= idly
		}
		s.mu.Unlock()
		t.Reset(wait)
	}
}

// dirty reports whether something waits for a sync.
func (s *Store) dirty() bool {
	return s.folderDirty || slices.ContainsFunc(s.wal, func(w *walFile) bool { return w.dirty || w.failed }) ||
		slices.ContainsFunc(s.classes, func(c *class) bool { return c.active != nil && c.active.dirty })
}

// syncNow syncs what was written since the last time, without holding the lock
// meanwhile, so that a slow disk delays neither appends nor queries. Then
// files of the log go whose records are all in synced chunks.
func (s *Store) syncNow() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.mu.Lock()
	var logs []*walFile
	var logHandles []file
	for _, w := range slices.Clone(s.wal) {
		if w.failed {
			w.failed, w.dirty = false, false
			s.leaveLog(w)
		}
	}
	for _, w := range s.wal {
		if w.dirty && w.f != nil {
			w.dirty = false
			logs, logHandles = append(logs, w), append(logHandles, w.f)
		}
	}
	var segments []*segment
	var segmentHandles []file
	for _, c := range s.classes {
		if g := c.active; g != nil && g.dirty {
			g.dirty = false
			segments, segmentHandles = append(segments, g), append(segmentHandles, g.w)
		}
	}
	needed := s.freeLog()
	folder := s.folderDirty
	s.folderDirty = false
	s.mu.Unlock()

	var errs []error
	if folder {
		s.syncFolder()
	}
	// The log last: it is to know of all that segments have.
	for i, f := range segmentHandles {
		err := f.Sync()
		if err == nil || errors.Is(err, os.ErrClosed) { // finished meanwhile, with a sync of its own
			continue
		}
		errs = append(errs, err)
		s.mu.Lock()
		s.segmentFailed(segments[i], f, err)
		s.mu.Unlock()
	}
	for i, f := range logHandles {
		if err := f.Sync(); err != nil {
			errs = append(errs, err)
			s.mu.Lock()
			s.logFailed(logs[i], err)
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wal[:max(len(s.wal)-1, 0)] {
		if !w.dirty && w.f != nil {
			w.f.Close()
			w.f = nil
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.removeLog(needed)
	return nil
}

// freeLog is the number of the first file of the log that a head needs; the last
// is always needed.
func (s *Store) freeLog() uint64 {
	needed := uint64(0)
	if n := len(s.wal); n > 0 {
		needed = s.wal[n-1].number
	}
	s.index.all(func(st *stream) {
		if st.head != nil {
			needed = min(needed, st.head.wal.number)
		}
	})
	return needed
}

// removeLog removes the files of the log before the one with that number.
func (s *Store) removeLog(needed uint64) {
	for len(s.wal) > 0 && s.wal[0].number < needed && !s.wal[0].keep {
		w := s.wal[0]
		if err := os.Remove(w.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.count.writeErrors.Add(1)
			return
		}
		if w.f != nil {
			w.f.Close()
			w.f = nil
		}
		s.wal = s.wal[1:]
		s.folderDirty = true
	}
}

// syncFailed takes note. After a failed sync nobody knows what the disk has, and
// another would only pretend: the file is written to no more.
func (s *Store) syncFailed(name string, err error) {
	s.count.syncErrors.Add(1)
	s.opt.Log.Error("records could not be synced to disk; a new file is begun", "file", name, "err", err)
}

// logFailed takes note of a file of the log that could not be synced.
func (s *Store) logFailed(w *walFile, err error) {
	s.syncFailed(w.path, err)
	s.leaveLog(w)
}

// leaveLog leaves a file of the log. Its records go into chunks at once, and its
// positions into a new file, which are synced by themselves.
func (s *Store) leaveLog(w *walFile) {
	if n := len(s.wal); n > 0 && s.wal[n-1] == w {
		s.logLeft = true
	}
	s.sealAll(func(h *head) bool { return h.wal.number <= w.number })
	if s.logLeft {
		if _, err := s.rotate(); err != nil { // the next append tries again
			s.count.writeErrors.Add(1)
		}
	}
}

// segmentFailed leaves a segment. Its chunks since the last sync may not be on
// the disk, so the log that has their records stays until the next Open, which
// reads what is missing from it.
func (s *Store) segmentFailed(g *segment, f file, err error) {
	s.syncFailed(g.name(), err)
	s.holdLog()
	if g.w == f {
		g.class.active, g.w = nil, nil
		if err := f.Close(); err != nil {
			s.count.syncErrors.Add(1)
		}
	}
}

// holdLog keeps the log until the next Open.
func (s *Store) holdLog() {
	for _, w := range s.wal {
		w.keep = true
	}
}

// syncFolder makes new and removed files durable. Some file systems cannot; the
// sync of the files is then all there is.
func (s *Store) syncFolder() {
	d, err := os.Open(s.opt.Dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}
