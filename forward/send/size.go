// SPDX-License-Identifier: Apache-2.0

package send

import "sync/atomic"

// passes are the requests behind one another after which they grow by an eighth.
const passes = 32

// Size is how large requests are: smaller after a refusal for their size, and slowly
// larger again while they pass. One goroutine changes it, any may ask.
type Size struct {
	most, least, now atomic.Int64
	passed           int
}

// NewSize makes one that is most at first, and never less than least.
func NewSize(most, least int) *Size {
	s := &Size{}
	s.most.Store(int64(most))
	s.least.Store(int64(least))
	s.now.Store(int64(most))
	return s
}

// Now is the size that a request has at most.
func (s *Size) Now() int { return int(s.now.Load()) }

// Whole reports whether nothing has made it smaller.
func (s *Size) Whole() bool { return s.now.Load() == s.most.Load() }

// Refused makes requests half as large as one that was too large.
func (s *Size) Refused(size int) {
	s.passed = 0
	s.now.Store(max(s.least.Load(), min(s.now.Load(), int64(size))/2))
}

// Passed notes that a request was taken.
func (s *Size) Passed() {
	if s.passed++; s.passed >= passes && !s.Whole() {
		s.passed = 0
		now := s.now.Load()
		s.now.Store(min(s.most.Load(), now+max(1, now/8)))
	}
}
