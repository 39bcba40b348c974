// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"io"
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
	client *dockerapi.Client
	log    *slog.Logger
	count  counters

	mu          sync.RWMutex
	tracks      map[string]*track
	status      tallyman.EngineStatus
	stateKnown  bool  // status.Up says something
	wasUp       *bool // before this process
	inventoried time.Time
	lastEvent   time.Time // engine time of the newest event told
	lastKey     key
	seen        keyRing
	untold      int // events in seen that are not told yet

	// The rest belongs to the goroutine of run.
	ctx       context.Context
	observers []tallyman.Observer
	execs     execRing

	// Until the first event is told, the newest one before is what a later
	// stream is measured by. Those come right after the stream is opened.
	notBefore   time.Time // the engine's clock when it was first seen
	anchorUntil time.Time
	anchored    time.Time

	events   chan dockerapi.Event
	overflow atomic.Bool
	ended    chan error
	kick     chan struct{}
	results  chan func()
	busy     bool
	wg       sync.WaitGroup

	stream       context.CancelFunc // of the open stream or its reader, nil without one
	streamed     time.Time          // when it was opened
	streamWait   time.Duration
	streams      int
	streamBad    bool
	connectAt    time.Time // zero: not wanted
	reconcileAt  time.Time
	reconciled   time.Time
	reconcileBad bool
	settleAt     time.Time
	unsettled    time.Time  // when the first of the inventories was taken that wait
	inventory    *inventory // waits for settleAt
	gapAt        time.Time
	gap          gap
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
}

// inventory is the outcome of a list and its inspections.
type inventory struct {
	at         time.Time
	containers map[string]*tallyman.Container
	listed     map[string]bool // also those whose inspection failed
}

// gap watches over a new stream: the newest event that was told must come
// again, or the engine has forgotten what came after it.
type gap struct {
	expect  key
	resumed bool
	from    time.Time
	first   time.Time // the first event after it
	reason  string
}

func newEngine(d *Discovery, name string, client *dockerapi.Client) *engine {
	return &engine{
		d: d, name: name, client: client, log: d.log.With("engine", name),
		tracks:  make(map[string]*track),
		status:  tallyman.EngineStatus{Name: name, Address: client.Host(), Host: d.opt.Host},
		events:  make(chan dockerapi.Event, maxQueue),
		ended:   make(chan error, 1),
		kick:    make(chan struct{}, 1),
		results: make(chan func(), 1),
	}
}

type pinged struct {
	at   time.Time
	ping dockerapi.Ping
	err  error
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
			e.take(raw)
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

// pinger pings until ctx is done: at an even pace while the engine answers, with
// growing pauses while it does not, and at once when kicked.
func (e *engine) pinger(ctx context.Context, out chan<- pinged) {
	t := e.d.opt.timing
	retry := t.retryMin
	for {
		deadline, cancel := context.WithTimeout(ctx, t.pingDeadline)
		ping, err := e.client.Ping(deadline)
		cancel()
		wait := t.ping
		if err != nil {
			wait = retry
			retry = min(2*retry, t.retryMax)
		} else {
			retry = t.retryMin
		}
		select {
		case <-ctx.Done():
			return
		case out <- pinged{time.Now(), ping, err}:
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.kick:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// kickPing asks for a ping now.
func (e *engine) kickPing() {
	select {
	case e.kick <- struct{}{}:
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
		e.work(e.takeInventory)
	}
}

// maySettle reports whether all events that an inventory shows have had the time
// to come: it is old enough, the queue is empty, and so is what a stream that was
// opened since replays. Of a stream that is cut all the time it asks less, so
// that inference goes on.
func (e *engine) maySettle(now time.Time) bool {
	if e.inventory == nil || !e.status.Up || len(e.events) > 0 && now.Sub(e.settleAt) < 4*e.d.opt.timing.settle {
		return false
	}
	wait := e.d.opt.timing.settle
	if now.Sub(e.unsettled) > 60*wait {
		return e.streamBad || e.stream != nil && now.Sub(e.streamed) >= wait/4
	}
	return !now.Before(e.settleAt) && (e.streamBad || e.stream != nil && now.Sub(e.streamed) >= wait)
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

// pinged takes over the outcome of a ping.
func (e *engine) pinged(p pinged) {
	if errors.Is(p.err, dockerapi.ErrCanceled) {
		return
	}
	e.mu.Lock()
	s := &e.status
	first := !e.stateKnown
	e.stateKnown = true
	changed, flipped := first, first
	if p.err == nil {
		s.LastGood = p.at
		flipped = flipped || !s.Up
		changed = changed || flipped || s.APIVersion != p.ping.APIVersion
		s.APIVersion = p.ping.APIVersion
		s.Failure, s.Error = "", ""
	} else {
		failure, text := tallyman.EngineFailure(dockerapi.FailureOf(p.err)), dockerapi.Text(p.err)
		flipped = flipped || s.Up
		changed = changed || flipped || s.Failure != failure || s.Error != text
		s.Failure, s.Error = failure, text
	}
	s.Up = p.err == nil
	if flipped {
		s.Since = p.at
	}
	status := *s
	e.mu.Unlock()
	if first && e.wasUp != nil && *e.wasUp == status.Up {
		flipped = false // nothing has changed while nobody watched, as far as one can tell
	}
	if first && !status.Up {
		// The engine may be down for long: what was known of it is shown, and
		// its containers go on without it.
		e.publishAll()
	}
	if changed {
		for _, o := range e.observers {
			o.ObserveEngine(status)
		}
	}
	if flipped {
		e.engineEvent(status, p.at)
	}
	switch {
	case p.err == nil && e.stream == nil && e.connectAt.IsZero():
		e.connectAt = p.at
	case p.err != nil:
		e.connectAt = time.Time{}
		if e.stream != nil {
			e.stream() // the reader ends and says so
		}
	}
}

// engineEvent tells that the engine went up or down.
func (e *engine) engineEvent(s tallyman.EngineStatus, at time.Time) {
	ev := tallyman.Event{Type: "engine", Action: "up", Actor: e.name, Name: e.name}
	if !s.Up {
		ev.Action = "down"
		ev.Attributes = map[string]string{"failure": string(s.Failure), "error": cut(s.Error, maxValue)}
		e.log.Warn("the engine does not answer", "failure", string(s.Failure), "err", s.Error)
	} else {
		e.log.Info("the engine answers", "api", s.APIVersion)
	}
	e.own(ev, at)
	e.touch()
}

// own tells an event of tallyman's.
func (e *engine) own(ev tallyman.Event, at time.Time) {
	ev.Time, ev.Host, ev.Engine = at.UTC(), e.d.opt.Host, e.name
	ev.ID = eventID(ev.Host, ev.Engine, at.UnixNano(), ev.Type, ev.Action, ev.Actor)
	e.tell(ev)
}

// tell gives an event to the observers.
func (e *engine) tell(ev tallyman.Event) {
	e.count.told.Add(1)
	if ev.Inferred {
		e.count.inferred.Add(1)
	}
	for _, o := range e.observers {
		o.ObserveEvent(ev)
	}
}

// touch says that the inventory file is out of date.
func (e *engine) touch() { e.d.store.dirty.Store(true) }

// connect opens the event stream.
func (e *engine) connect() {
	e.mu.RLock()
	last, lastKey := e.lastEvent, e.lastKey
	e.mu.RUnlock()
	streamCtx, cancel := context.WithCancel(e.ctx)
	e.stream = cancel
	t := e.d.opt.timing
	e.work(func(ctx context.Context) func() {
		deadline, done := context.WithTimeout(ctx, t.call)
		defer done()
		info, infoErr := e.client.Info(deadline)
		if last.IsZero() && infoErr == nil {
			last = parseTime(info.SystemTime)
		}
		var since time.Time
		switch {
		case lastKey != (key{}):
			since = last.Add(-time.Second)
		case !last.IsZero():
			// What was before is not told, but the newest of it is the mark
			// by which a later stream is known to be whole.
			since = last.Add(-time.Hour)
		}
		s, err := e.client.Events(streamCtx, dockerapi.Since(since))
		return func() {
			if infoErr == nil {
				e.tookInfo(info)
			}
			if err != nil {
				cancel()
				e.stream = nil
				e.streamFailed(err)
				return
			}
			e.connected(s, last, lastKey)
		}
	})
}

// tookInfo notes what the engine says about itself.
func (e *engine) tookInfo(i dockerapi.Info) {
	e.mu.Lock()
	s := e.status
	s.Version, s.OS, s.Kernel = cut(i.ServerVersion, maxName), cut(i.OperatingSystem, maxName), cut(i.KernelVersion, maxName)
	s.CgroupVersion, s.CgroupDriver = cut(i.CgroupVersion, 16), cut(i.CgroupDriver, 64)
	s.CPUs, s.Memory = max(i.NCPU, 0), max(i.MemTotal, 0)
	changed := s != e.status
	e.status = s
	e.mu.Unlock()
	if changed {
		for _, o := range e.observers {
			o.ObserveEngine(s)
		}
	}
}

// connected starts the reader of a new stream.
func (e *engine) connected(s *dockerapi.Stream, last time.Time, expect key) {
	now := time.Now()
	e.mu.Lock()
	e.lastEvent = last
	e.mu.Unlock()
	if e.streamBad {
		e.streamBad = false
		e.log.Info("the event stream is open again")
	}
	e.streams++
	if e.streams > 1 {
		e.count.reconnects.Add(1)
	}
	e.streamed = now
	if e.inventory != nil {
		e.settleAt = now.Add(e.d.opt.timing.settle) // the replay comes first
	}
	if expect == (key{}) {
		e.notBefore, e.anchorUntil, e.anchored = last, now.Add(e.d.opt.timing.settle), time.Time{}
	} else {
		from := last
		if from.Before(e.notBefore) {
			from = e.notBefore
		}
		e.gap = gap{expect: expect, from: from, reason: "the engine has forgotten them: it was restarted, or more happened than it remembers"}
		e.gapAt = now.Add(e.d.opt.timing.settle)
	}
	at := e.reconciled.Add(e.d.opt.timing.reconcileAgain)
	if at.Before(now) {
		at = now
	}
	if e.reconcileAt.IsZero() || at.Before(e.reconcileAt) {
		e.reconcileAt = at
	}
	e.wg.Go(func() { e.read(s) })
}

// read takes events off the stream as fast as they come; the engine drops a
// reader that is slow. What does not fit into the queue is counted and makes
// for an inventory.
func (e *engine) read(s *dockerapi.Stream) {
	for {
		raw, err := s.Next()
		if err != nil {
			s.Close()
			e.ended <- err // has room: one stream at a time
			return
		}
		e.count.seen.Add(1)
		select {
		case e.events <- raw:
		default:
			e.count.drop(overflow)
			e.overflow.Store(true)
		}
	}
}

// streamEnded is called in the loop when the reader has ended.
func (e *engine) streamEnded(err error) {
	if e.stream != nil {
		e.stream()
		e.stream = nil
	}
	if e.ctx.Err() != nil {
		return
	}
	if time.Since(e.streamed) > 10*e.d.opt.timing.streamMin {
		e.streamWait = 0
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, dockerapi.ErrCanceled) {
		e.log.Debug("the event stream broke", "err", err)
	}
	e.streamAgain()
}

// streamFailed is called when the stream could not be opened. The inventory is
// taken all the same.
func (e *engine) streamFailed(err error) {
	if !errors.Is(err, dockerapi.ErrCanceled) && !e.streamBad {
		e.streamBad = true
		e.log.Warn("the event stream cannot be opened; events are inferred from the inventory until it can", "err", err)
	}
	if e.reconcileAt.IsZero() {
		e.reconcileAt = time.Now()
	}
	e.streamAgain()
}

// streamAgain plans the next stream, and a ping that tells at once whether the
// engine itself is gone.
func (e *engine) streamAgain() {
	t := e.d.opt.timing
	e.streamWait = min(max(2*e.streamWait, t.streamMin), t.streamMax)
	e.connectAt = time.Now().Add(e.streamWait)
	e.kickPing()
}

// overflowed is called when the queue was full: events are lost for certain.
func (e *engine) overflowed(now time.Time) {
	if e.gapAt.IsZero() {
		e.mu.RLock()
		e.gap = gap{from: e.lastEvent}
		e.mu.RUnlock()
	}
	e.gap.expect, e.gap.resumed = key{}, false
	e.gap.reason = "more events came than could be taken"
	e.gapAt = now.Add(e.d.opt.timing.settle)
	e.reconcileAt = now
}

// checkGap tells of a gap in the events when there is one.
func (e *engine) checkGap(now time.Time) {
	if e.gap.resumed {
		return
	}
	to := e.gap.first
	if to.IsZero() {
		to = e.streamed
	}
	e.count.gaps.Add(1)
	e.log.Warn("events are missing; what follows from the inventory is told as inferred",
		"from", e.gap.from, "to", to, "reason", e.gap.reason)
	e.own(tallyman.Event{
		Type: "tallyman", Action: "gap", Actor: e.name, Name: e.name,
		Attributes: map[string]string{
			"from":   e.gap.from.UTC().Format(time.RFC3339Nano),
			"to":     to.UTC().Format(time.RFC3339Nano),
			"reason": e.gap.reason,
		},
	}, now)
	if e.reconciled.Before(e.streamed) {
		e.reconcileAt = now
	}
}

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
