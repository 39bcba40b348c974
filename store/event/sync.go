// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"os"
	"time"
)

// leave closes the file that is written to.
func (s *Store) leave() {
	if s.current == nil {
		return
	}
	if err := s.current.Close(); err != nil {
		s.count.syncErrors.Add(1)
	}
	s.current, s.writing, s.dirty = nil, nil, false
}

// sync syncs what was written, with the lock held.
func (s *Store) sync() error {
	if !s.dirty || s.current == nil {
		return nil
	}
	s.dirty = false
	err := s.current.Sync()
	s.synced(s.current, s.writing, err)
	return err
}

// synced takes note of a sync. After a failed one nobody knows what the disk
// has, and another would only pretend: the file is left as it is and the next
// events go into a new one.
func (s *Store) synced(h file, f *dayFile, err error) {
	if err == nil {
		return
	}
	s.count.syncErrors.Add(1)
	s.opt.Log.Error("events could not be synced to disk; a new file is begun", "file", f.name, "err", err)
	f.sealed = true
	if s.current == h {
		s.leave()
	}
}

// syncNow syncs without holding the lock meanwhile, so that a slow disk delays
// neither appends nor queries.
func (s *Store) syncNow() {
	s.mu.Lock()
	h, f, dirty := s.current, s.writing, s.dirty
	s.dirty = false
	s.mu.Unlock()
	if h == nil || !dirty {
		return
	}
	err := h.Sync()
	if err == nil || errors.Is(err, os.ErrClosed) { // closed meanwhile, after a sync of its own
		return
	}
	s.mu.Lock()
	s.synced(h, f, err)
	s.mu.Unlock()
}

// syncFolder makes a new or removed file durable. Some file systems cannot; the
// next sync of the file is then all there is.
func (s *Store) syncFolder() {
	d, err := os.Open(s.opt.Dir)
	if err != nil {
		return
	}
	defer d.Close()
	_ = d.Sync()
}

// syncer syncs and expires until Close.
func (s *Store) syncer() {
	defer close(s.done)
	t := time.NewTicker(s.opt.syncEvery)
	defer t.Stop()
	expired := s.opt.now()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		s.syncNow()
		s.mu.Lock()
		if now := s.opt.now(); now.Sub(expired) > time.Minute || now.Before(expired) {
			expired = now
			s.expire()
		}
		s.mu.Unlock()
	}
}
