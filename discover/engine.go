// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/dockerapi"
)

// engine supervises one engine. run is its only writer; mu guards what others
// read.
type engine struct {
	d      *Discovery
	name   string
	host   string
	client *dockerapi.Client
	log    *slog.Logger
	count  counters

	mu          sync.RWMutex
	tracks      map[string]*track
	status      tallyman.EngineStatus
	stateKnown  bool // status.Up says something
	uptime      uptime
	clock       time.Duration // the engine's, ahead of this machine's
	clockKnown  bool
	latency     time.Duration // of the last ping that was answered
	facts       engineFacts   // as they were told last
	wasUp       *bool         // before this process
	inventoried time.Time
	lastEvent   time.Time // engine time of the newest event told
	lastKey     key
	seen        keyRing
	untold      int // events in seen that are not told yet

	// The rest belongs to the goroutine of run.
	ctx       context.Context
	observers observers
	execs     execRing

	// Until the first event is told, the newest one before is what a later
	// stream is measured by. Those come right after the stream is opened.
	notBefore   time.Time // the engine's clock when it was first seen
	anchorUntil time.Time
	anchored    time.Time

	first    chan struct{} // closed when a ping has told something
	identity string        // of the engine, the pinger's
	events   chan *dockerapi.Event
	overflow atomic.Bool
	ended    chan error
	kick     chan struct{}
	results  chan func()
	busy     bool
	wg       sync.WaitGroup
	commands commands

	stream      context.CancelFunc // of the open stream or its reader, nil without one
	streamed    time.Time          // when it was opened
	streamWait  time.Duration
	streams     int
	streamBad   bool
	connectAt   time.Time // zero: not wanted
	reconcileAt time.Time
	reconciled  time.Time
	// inspected is when all containers were inspected last, and at which stream.
	inspected        time.Time
	inspectedStreams int
	reconcileBad     bool
	settleAt         time.Time
	unsettled        time.Time  // when the first of the inventories was taken that wait
	inventory        *inventory // waits for settleAt
	gapAt            time.Time
	gap              gap
}

// track is one container and what was told about it.
type track struct {
	c              *tallyman.Container
	life           life
	published      bool
	created        bool // its creation was told
	destroyed      bool // its end was told
	createInferred bool
	paused         bool   // as told
	name           string // as told
	oom            time.Time
	killed         killed // the last signal sent on request
	failure        string // why it could not be started, as told
}

// inventory is the outcome of a list and its inspections.
type inventory struct {
	at         time.Time
	containers map[string]*tallyman.Container
	listed     map[string]bool // also those whose inspection failed
}

func newEngine(d *Discovery, name, host string, client *dockerapi.Client) *engine {
	return &engine{
		d: d, name: name, host: host, client: client, log: d.log.With("engine", name),
		tracks:  make(map[string]*track),
		status:  tallyman.EngineStatus{Name: name, Address: client.Host(), Host: host, Remote: dockerapi.Remote(client.Host())},
		first:   make(chan struct{}),
		events:  make(chan *dockerapi.Event, maxQueue),
		ended:   make(chan error, 1),
		kick:    make(chan struct{}, 1),
		results: make(chan func(), 1),
	}
}

// run blocks until ctx is done. It alone changes the state and calls the
// observers; requests run beside it, one at a time.
func (e *engine) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.ctx = ctx
	e.observers = e.d.observers
	pings := make(chan pinged)
	e.wg.Go(func() { e.pinger(ctx, pings) })
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		e.schedule(time.Now())
		timer.Reset(e.nextWake(time.Now()))
		queue := e.events
		if e.busy {
			queue = nil
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case p := <-pings:
			e.pinged(p)
		case apply := <-e.results:
			e.busy = false
			apply()
		case err := <-e.ended:
			e.streamEnded(err)
		case raw := <-queue:
			e.take(*raw)
		}
	}
	cancel()
	if e.stream != nil {
		e.stream()
	}
	e.wg.Wait()
	// A batch whose inspections were cut short is told all the same, and a
	// stream that was just opened is closed by its reader.
	select {
	case apply := <-e.results:
		apply()
		e.wg.Wait()
	default:
	}
}

// work runs f beside the loop and what it returns in the loop.
func (e *engine) work(f func(context.Context) func()) {
	e.busy = true
	e.wg.Go(func() {
		apply := f(e.ctx)
		e.results <- apply // has room: one at a time
	})
}

// schedule starts what is due.
func (e *engine) schedule(now time.Time) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if e.overflow.Swap(false) {
		e.overflowed(now)
	}
	if e.busy {
		return
	}
	switch {
	case due(e.connectAt) && e.stream == nil && e.status.Up:
		e.connectAt = time.Time{}
		e.connect()
	case e.maySettle(now):
		inv := e.inventory
		e.inventory, e.settleAt, e.unsettled = nil, time.Time{}, time.Time{}
		e.settle(inv)
	case due(e.gapAt) && len(e.events) == 0:
		e.gapAt = time.Time{}
		e.checkGap(now)
	case due(e.reconcileAt) && e.status.Up:
		e.reconcileAt = time.Time{}
		e.startInventory(now)
	}
}

// maySettle reports whether all events that an inventory shows have had the time
// to come: it is old enough, the queue is empty, and so is what a stream that was
// opened since replays. Of a stream that is cut all the time, or never comes to its end,
// it asks less, so that inference goes on.
func (e *engine) maySettle(now time.Time) bool {
	if e.inventory == nil || !e.status.Up || len(e.events) > 0 && now.Sub(e.settleAt) < 4*e.d.opt.timing.settle {
		return false
	}
	wait := e.d.opt.timing.settle
	if now.Sub(e.unsettled) > 60*wait {
		return e.streamBad || e.stream != nil && now.Sub(e.streamed) >= wait/4
	}
	return !now.Before(e.settleAt) && !e.gap.replaying() && (e.streamBad || e.stream != nil && now.Sub(e.streamed) >= wait)
}

// nextWake is how long the loop may sleep when nothing else wakes it.
func (e *engine) nextWake(now time.Time) time.Duration {
	wake := now.Add(time.Minute)
	earlier := func(t time.Time) {
		if !t.IsZero() && t.Before(wake) {
			wake = t
		}
	}
	if !e.busy { // else the outcome of the request wakes it
		earlier(e.gapAt)
		if e.status.Up {
			earlier(e.reconcileAt)
			if e.stream == nil {
				earlier(e.connectAt)
			} else {
				earlier(e.settleAt)
			}
		}
	}
	return max(wake.Sub(now), 10*time.Millisecond) // what is due waits for the queue to be empty
}

// own tells an event of tallyman's.
func (e *engine) own(ev tallyman.Event, at time.Time) {
	ev.Time, ev.Host, ev.Engine = at.UTC(), e.host, e.name
	ev.ID = eventID(ev.Host, ev.Engine, at.UnixNano(), ev.Type, ev.Action, ev.Actor)
	e.tell(ev)
}

// tell gives an event to the observers.
func (e *engine) tell(ev tallyman.Event) {
	e.count.told.Add(1)
	if ev.Inferred {
		e.count.inferred.Add(1)
	}
	for _, o := range e.observers.events {
		o.ObserveEvent(ev)
	}
}

// touch says that the inventory file is out of date.
func (e *engine) touch() { e.d.store.mark(&e.d.store.dirty) }

// currentStatus is the status for others.
func (e *engine) currentStatus() tallyman.EngineStatus {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.status
}

func (e *engine) appendContainers(to []*tallyman.Container) []*tallyman.Container {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, t := range e.tracks {
		to = append(to, t.c)
	}
	return to
}

func (e *engine) byID(id string) *tallyman.Container {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if t := e.tracks[id]; t != nil {
		return t.c
	}
	return nil
}

func (e *engine) each(f func(*tallyman.Container)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, t := range e.tracks {
		f(t.c)
	}
}
