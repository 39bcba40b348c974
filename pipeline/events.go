// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"sync"

	"tallyman"
)

// Events is the way of events into their store. It implements
// tallyman.Observer: discovery is never held up by the disk. When the queue is
// full the oldest event is dropped and counted.
type Events struct {
	store tallyman.EventStore
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	queue   []tallyman.Event
	seen    uint64
	stored  uint64
	dropped uint64 // queue full
	failed  uint64 // the store did not take it
}

var _ tallyman.Observer = (*Events)(nil)

// maxEvents is how many events wait for the store at most.
const maxEvents = 8192

// NewEvents makes the way into store.
func NewEvents(store tallyman.EventStore, log *slog.Logger) *Events {
	return &Events{store: store, log: log, wake: make(chan struct{}, 1)}
}

// ObserveContainer has nothing to store.
func (e *Events) ObserveContainer(*tallyman.Container) {}

// ObserveEngine has nothing to store.
func (e *Events) ObserveEngine(tallyman.EngineStatus) {}

// ObserveEvent queues an event.
func (e *Events) ObserveEvent(event tallyman.Event) {
	e.mu.Lock()
	e.seen++
	if len(e.queue) == maxEvents {
		e.queue = append(e.queue[:0], e.queue[1:]...)
		e.dropped++
	}
	e.queue = append(e.queue, event)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run stores events until ctx ends, then what is still queued.
func (e *Events) Run(ctx context.Context) error {
	failing := false
	for {
		e.mu.Lock()
		batch := e.queue
		e.queue = nil
		e.mu.Unlock()
		if len(batch) == 0 {
			select {
			case <-e.wake:
				continue
			case <-ctx.Done():
				e.mu.Lock()
				rest := len(e.queue)
				e.mu.Unlock()
				if rest == 0 {
					return nil
				}
				continue
			}
		}
		err := e.store.AppendEvents(batch)
		e.mu.Lock()
		if err != nil {
			e.failed += uint64(len(batch))
		} else {
			e.stored += uint64(len(batch))
		}
		e.mu.Unlock()
		if err != nil && !failing {
			e.log.Error("the event store takes no events; they are dropped and counted until it does", "err", err)
		}
		failing = err != nil
	}
}

// Own are the numbers of the way.
func (e *Events) Own() []tallyman.OwnMetric {
	read := func(v *uint64) func() float64 {
		return func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return float64(*v)
		}
	}
	return []tallyman.OwnMetric{
		{Desc: publishedEvents, Read: read(&e.seen)},
		{Desc: storedEvents, Read: read(&e.stored)},
		{Desc: droppedEvents, Labels: []tallyman.Label{{Name: "reason", Value: "slow_store"}}, Read: read(&e.dropped)},
		{Desc: droppedEvents, Labels: []tallyman.Label{{Name: "reason", Value: "store_failed"}}, Read: read(&e.failed)},
	}
}

var (
	publishedEvents = &tallyman.Desc{Name: "tallyman_events_published_total", Type: tallyman.Counter, Help: "Events handed to the way into the event store"}
	storedEvents    = &tallyman.Desc{Name: "tallyman_events_stored_total", Type: tallyman.Counter, Help: "Events that the event store took"}
	droppedEvents   = &tallyman.Desc{Name: "tallyman_events_dropped_total", Type: tallyman.Counter, Help: "Events that did not reach the event store, by reason"}
)
