// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"

	"tallyman"
)

// Bus takes events from whoever has one to tell, and gives each to all who want to
// know, in order. It implements tallyman.EventObserver, so that it stands wherever
// somebody tells of events.
type Bus struct {
	mu        sync.Mutex
	observers []tallyman.EventObserver
}

var _ tallyman.EventObserver = (*Bus)(nil)

// Observe adds an observer; it is told of what comes from now on.
func (b *Bus) Observe(o tallyman.EventObserver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.observers = append(b.observers, o)
}

// ObserveEvent gives an event to all observers. One at a time is given, so that
// all see the same order; an observer must not tell of another event meanwhile.
func (b *Bus) ObserveEvent(e tallyman.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.observers {
		o.ObserveEvent(e)
	}
}
