// SPDX-License-Identifier: Apache-2.0

package record

import "time"

// newHead makes a head, of used buffers when there are some.
func (s *Store) newHead() *head {
	s.count.heads.Add(1)
	if n := len(s.wasted); n > 0 {
		h := s.wasted[n-1]
		s.wasted = s.wasted[:n-1]
		return h
	}
	return &head{}
}

// dropHead takes the head of a stream away. Buffers that are large are used
// again, unless a query may still read them.
func (s *Store) dropHead(st *stream) {
	h := st.head
	st.head = nil
	s.count.heads.Add(-1)
	if !h.seen && cap(h.text) >= chunkText/2 && cap(h.text) < 4*chunkText && len(s.wasted) < 4 {
		h.reset()
		s.wasted = append(s.wasted, h)
	}
}

// seal writes the head of a stream as a chunk.
func (s *Store) seal(st *stream) error {
	g, err := s.writable(st.class)
	if err != nil {
		return err
	}
	packed, head := s.maker.chunk(st.head, st.labels)
	off, err := g.append(packed, s.opt.now().UnixNano())
	if err != nil {
		if g.w == nil {
			g.class.active = nil
			g.dirty = false
			s.keepWAL() // what is in it was not synced
		}
		return err
	}
	st.chunks = append(st.chunks, chunkOf(g, off, &head))
	st.sealed = st.head.last
	s.count.chunks.Add(1)
	s.dropHead(st)
	return nil
}

// sealOrNote seals; a failure is noted. Nothing is lost by it: the records stay
// in the head and in the WAL.
func (s *Store) sealOrNote(st *stream) {
	err := s.seal(st)
	if err != nil {
		s.count.writeErrors.Add(1)
		s.sealAgain = s.opt.now().Add(sealPause).UnixNano()
		if s.sealErr == nil {
			s.opt.Log.Error("records cannot be moved from the WAL to a segment", "err", err)
		}
	} else if s.sealErr != nil {
		s.opt.Log.Info("records can be moved to a segment again")
	}
	s.sealErr = err
}

// sealPause is how long nothing is sealed after a failure: making a chunk of
// the same head with every line would cost much and help nobody.
const sealPause = time.Second

// maySeal reports whether sealing is worth a try.
func (s *Store) maySeal(now int64) bool {
	return s.sealErr == nil || now >= s.sealAgain || s.sealAgain-now > int64(sealPause) // the clock went back
}

// sealAll seals the heads that which selects, until one cannot be.
func (s *Store) sealAll(which func(*head) bool) {
	if !s.maySeal(s.opt.now().UnixNano()) {
		return
	}
	failed := false
	s.index.all(func(st *stream) {
		if st.head != nil && !failed && which(st.head) {
			s.sealOrNote(st)
			failed = s.sealErr != nil
		}
	})
}

// sealOld seals what is idle or old. The lock is given up now and then, so that
// many streams that fall silent together hold nobody up.
func (s *Store) sealOld() {
	now := s.opt.now().UnixNano()
	for more := true; more; {
		s.mu.Lock()
		n := 0
		s.sealAll(func(h *head) bool {
			if now-h.newest < int64(chunkIdle) && now-h.since < int64(chunkAge) && !h.full() {
				return false
			}
			n++
			return n <= 32
		})
		more = n > 32 && s.sealErr == nil
		s.mu.Unlock()
	}
}

const sealEvery = 15 * time.Second
