// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"slices"
	"time"

	"tallyman"
)

const (
	// youngFor is for how long a container that has just started is asked each
	// youngEvery between two rounds: many of those that fail do not live longer.
	youngFor   = time.Minute
	youngEvery = time.Second
	// maxYoung is of how many at a time: when all of a host's containers start at once
	// the rounds have to do.
	maxYoung = 100
)

// ObserveOOM asks a container at once for its numbers, which are gone with its cgroup.
func (s *Supervisor) ObserveOOM(id string) {
	s.mu.Lock()
	if len(s.killed) < maxYoung {
		s.killed = append(s.killed, id)
	}
	s.mu.Unlock()
	s.poke()
}

// partly are the sources that can be asked for some targets.
func (s *Supervisor) partly(yield func(source, tallyman.PartCollector) bool) {
	for _, src := range s.watching[tallyman.ContainerTarget] {
		if p, ok := src.Source.(tallyman.PartCollector); ok && !yield(src, p) {
			return
		}
	}
}

// raise notes that a container is young, and asks it for its first numbers.
func (s *Supervisor) raise(a *attachment) {
	if time.Since(a.target.Container.Started) >= youngFor || len(s.young) >= maxYoung {
		return
	}
	a.youngUntil = time.Now().Add(youngFor)
	s.young = append(s.young, a)
	s.first = append(s.first, a.target)
}

// lookAtKilled asks those in which the kernel has killed, before they are detached.
func (s *Supervisor) lookAtKilled(b *tallyman.Batch) {
	s.mu.Lock()
	killed := s.killed
	s.killed = nil
	s.mu.Unlock()
	var targets []*tallyman.Target
	for _, id := range killed {
		if a := s.attached[tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: id}]; a != nil && !slices.Contains(targets, a.target) {
			targets = append(targets, a.target)
		}
	}
	s.part(b, targets)
}

// lookAtFirst asks those that were attached just now.
func (s *Supervisor) lookAtFirst(b *tallyman.Batch) {
	if s.Interval() > youngEvery {
		s.part(b, s.first)
	}
	clear(s.first)
	s.first = s.first[:0]
}

// lookAtYoung asks those that are young, and forgets who is not any more.
func (s *Supervisor) lookAtYoung(b *tallyman.Batch, now time.Time) {
	s.young = slices.DeleteFunc(s.young, func(a *attachment) bool {
		return !now.Before(a.youngUntil) || s.attached[a.target.Key()] != a
	})
	if s.Interval() <= youngEvery {
		return
	}
	targets := make([]*tallyman.Target, len(s.young))
	for i, a := range s.young {
		targets[i] = a.target
	}
	s.part(b, targets)
}

// untilYoung is the time to the next moment that the young are asked.
func untilYoung() time.Duration {
	now := time.Now()
	return now.Truncate(youngEvery).Add(youngEvery).Sub(now)
}

// part asks for some targets between two rounds. All samples of a series have to be in
// order, so nothing is asked when a round is due, and not twice in a millisecond.
func (s *Supervisor) part(b *tallyman.Batch, targets []*tallyman.Target) {
	now := time.Now().Truncate(time.Millisecond)
	if len(targets) == 0 || !now.Before(s.next.Add(-partBefore)) || !now.After(s.last) {
		return
	}
	b.Reset(now)
	b.Part = true
	for src, p := range s.partly {
		s.guarded(src, b, func() { p.CollectPart(b, targets) })
	}
	if len(b.Samples) > 0 {
		s.last = now
		s.counts.parts++
		s.o.Sink.Publish(b, true)
	}
}

// partBefore is how long before a round no part is taken: series that have ended are
// marked a millisecond before the round.
const partBefore = 2 * time.Millisecond
