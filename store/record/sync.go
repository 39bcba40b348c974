// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"math"
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
		case <-s.urgent:
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

// awaitDisk waits until no more than twice the size of the WAL is not on the disk. It is
// called with the lock, which it gives up meanwhile. After Options.patience it is an
// error, so that whoever appends may think of something else.
func (s *Store) awaitDisk() error {
	var late <-chan time.Time
	over := false
	for s.unsynced() > 2*s.opt.walTotal && !s.closed {
		if over {
			return fmt.Errorf("the disk does not keep up: %d KiB of the WAL wait for it", s.unsynced()>>10)
		}
		if late == nil {
			late = time.After(s.opt.patience)
		}
		synced := s.synced
		select {
		case s.urgent <- struct{}{}:
		default:
		}
		s.mu.Unlock()
		select {
		case <-synced:
		case <-late:
			over = true
		}
		s.mu.Lock()
	}
	return nil
}

// dirty reports whether something waits for a sync.
func (s *Store) dirty() bool {
	return s.folderDirty || len(s.ended) > 0 || slices.ContainsFunc(s.wal, func(w *walFile) bool { return w.dirty() || w.owes && w.f != nil }) ||
		slices.ContainsFunc(s.classes, func(c *class) bool { return c.active != nil && c.active.dirty })
}

// round is what one sync is to bring to the disk.
type round struct {
	folder   bool
	segments []openSegment
	wal      []openWAL
	ended    []endedSegment
	// needed is the number of the first file of the WAL that stays when all of it is
	// on the disk.
	needed uint64
}

// Files as they were when the round began.
type (
	openSegment struct {
		*segment
		f file
	}
	openWAL struct {
		*walFile
		f    file
		size int64
	}
)

// collect takes what waits for a sync.
func (s *Store) collect() (r round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.classes {
		if g := c.active; g != nil && g.dirty {
			g.dirty = false
			r.segments = append(r.segments, openSegment{g, g.w})
		}
	}
	for _, w := range s.wal {
		if w.dirty() {
			r.wal = append(r.wal, openWAL{w, w.f, w.size})
		}
	}
	r.ended, s.ended = s.ended, nil
	for i := range r.ended {
		e := &r.ended[i]
		e.footer, e.size = footer(nil, e.last, s.streamsOf(e.segment)), e.segment.size
	}
	r.folder, s.folderDirty = s.folderDirty, false
	r.needed = s.neededWAL()
	return r
}

// syncNow syncs what was written since the last time, without holding the lock
// meanwhile, so that a slow disk delays neither appends nor queries. Then
// files of the WAL go whose records are all in synced chunks.
//
// The order is that in which things speak of each other: the WAL knows of all that
// segments have, a file of it of all that those before have, and the footer of a
// segment of its chunks.
func (s *Store) syncNow() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	r := s.collect()
	if r.folder {
		s.syncFolder()
	}
	var errs []error
	failed := func(err error, note func()) {
		errs = append(errs, err)
		s.mu.Lock()
		defer s.mu.Unlock()
		note()
	}
	for _, g := range r.segments {
		if err := g.f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // left meanwhile, and the WAL kept
			failed(err, func() { s.segmentFailed(g.segment, g.f, err) })
		}
	}
	for _, w := range r.wal {
		if err := w.f.Sync(); err != nil {
			failed(err, func() { s.walFailed(w.walFile, err) })
			continue
		}
		s.mu.Lock()
		w.synced = max(w.synced, w.size)
		s.mu.Unlock()
	}
	for _, e := range r.ended {
		if err := s.finish(e); err != nil {
			failed(err, func() { s.syncFailed(e.name(), err); s.keepWAL() })
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.synced)
	s.synced = make(chan struct{})
	for _, w := range s.wal[:max(len(s.wal)-1, 0)] {
		if w.f != nil && !w.dirty() {
			w.f.Close()
			w.f = nil
		}
	}
	s.payCheckpoint()
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.removeWAL(r.needed)
	return nil
}

// neededWAL is the number of the first file of the WAL that is needed: by a head, or
// for its checkpoint, which is the newest.
func (s *Store) neededWAL() uint64 {
	needed := uint64(0)
	for _, w := range slices.Backward(s.wal) {
		if !w.owes {
			needed = w.number
			break
		}
	}
	return min(needed, s.oldestHead())
}

// oldestHead is the number of the first file of the WAL that a head needs.
func (s *Store) oldestHead() uint64 {
	oldest := uint64(math.MaxUint64)
	s.index.all(func(st *stream) {
		if st.head != nil {
			oldest = min(oldest, st.head.wal.number)
		}
	})
	return oldest
}

// removeWAL removes the files of the WAL before the one with that number, but for
// those that are kept.
func (s *Store) removeWAL(needed uint64) {
	s.wal = slices.DeleteFunc(s.wal, func(w *walFile) bool {
		if w.number >= needed || w.keep {
			return false
		}
		if err := os.Remove(w.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.count.writeErrors.Add(1)
			return false
		}
		if w.f != nil {
			w.f.Close()
			w.f = nil
		}
		s.folderDirty = true
		return true
	})
}

// syncFailed takes note. After a failed sync nobody knows what the disk has, and
// another would only pretend: the file is written to no more.
func (s *Store) syncFailed(name string, err error) {
	s.count.syncErrors.Add(1)
	s.opt.Log.Error("records could not be synced to disk; a new file is begun", "file", name, "err", err)
}

// walFailed takes note of a file of the WAL that could not be synced.
func (s *Store) walFailed(w *walFile, err error) {
	s.syncFailed(w.path, err)
	s.leaveWAL(w)
}

// leaveWAL leaves a file of the WAL. Its records go into chunks at once, and its
// positions into a new file, which are synced by themselves.
func (s *Store) leaveWAL(w *walFile) {
	w.synced = w.size // nobody will know
	if n := len(s.wal); n > 0 && s.wal[n-1] == w {
		s.walLeft = true
	}
	s.sealAll(func(h *head) bool { return h.wal.number <= w.number })
	if s.walLeft {
		if _, err := s.rotate(); err != nil { // the next append tries again
			s.count.writeErrors.Add(1)
		}
	}
}

// segmentFailed leaves a segment. Its chunks since the last sync may not be on
// the disk, so the WAL that has their records stays until the next Open, which
// reads what is missing from it.
func (s *Store) segmentFailed(g *segment, f file, err error) {
	s.syncFailed(g.name(), err)
	s.keepWAL()
	switch ended := slices.IndexFunc(s.ended, func(e endedSegment) bool { return e.segment == g }); {
	case g.w == f:
		g.class.active, g.w = nil, nil
	case ended >= 0:
		s.ended = slices.Delete(s.ended, ended, ended+1)
	default:
		return
	}
	if err := f.Close(); err != nil {
		s.count.syncErrors.Add(1)
	}
}

// keepWAL keeps the WAL until the next Open.
func (s *Store) keepWAL() {
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
