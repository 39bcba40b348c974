// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tallyman"
)

// Events is the way of events into their store. It implements
// tallyman.EventObserver: discovery is never held up by the disk. When the queue is
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

var _ tallyman.EventObserver = (*Events)(nil)

// maxEvents is how many events wait for the store at most.
const maxEvents = 8192

// NewEvents makes the way into store.
func NewEvents(store tallyman.EventStore, log *slog.Logger) *Events {
	return &Events{store: store, log: log, wake: make(chan struct{}, 1)}
}

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

// retryEvery is how long a store that takes no events is left alone.
const retryEvery = time.Second

// Run stores events until ctx ends, then what is still queued. Events that the
// store does not take wait, as long as there is room: an event that happened
// while the disk was full is not lost.
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
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				e.log.Error("the event store takes no events; they wait until it does", "err", err)
			} else {
				e.log.Info("the event store takes events again")
			}
		}
		e.mu.Lock()
		if err == nil {
			e.stored += uint64(len(batch))
		} else {
			e.queue = append(batch, e.queue...)
			if n := len(e.queue) - maxEvents; n > 0 {
				e.queue = slices.Delete(e.queue, 0, n)
				e.dropped += uint64(n)
			}
		}
		e.mu.Unlock()
		if err == nil {
			continue
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			e.last()
			return nil
		}
	}
}

// last tries once more to store what waits, at the end.
func (e *Events) last() {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := uint64(len(e.queue))
	if err := e.store.AppendEvents(e.queue); err != nil {
		e.failed += n
		e.log.Error("events that waited for the store are lost", "events", n, "err", err)
	} else {
		e.stored += n
	}
	e.queue = nil
}

// Settle waits until every event that was observed before the call is stored, or given
// up and counted. It reports false when that takes longer than most.
func (e *Events) Settle(most time.Duration) bool {
	end := time.Now().Add(most)
	e.mu.Lock()
	seen := e.seen
	for e.stored+e.dropped+e.failed < seen {
		e.mu.Unlock()
		if !time.Now().Before(end) {
			return false
		}
		time.Sleep(settleEvery)
		e.mu.Lock()
	}
	e.mu.Unlock()
	return true
}

// settleEvery is how often Settle looks.
const settleEvery = 2 * time.Millisecond

// SelfMetrics are the numbers of the way.
func (e *Events) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *uint64) func() float64 {
		return func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return float64(*v)
		}
	}
	return []tallyman.SelfMetric{
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
