// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"io"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
)

// gap watches over a new stream: the newest event that was told must come
// again, or the engine has forgotten what came after it.
type gap struct {
	state  gapState
	expect key       // zero when events are lost for certain
	at     time.Time // of what is expected
	asked  int       // how often the engine was asked for it in vain
	from   time.Time
	first  time.Time // the first event after it
	reason string
}

// gapState is what is known of a gap.
type gapState uint8

const (
	gapNone   gapState = iota // nothing is missing, or it was told
	gapOpen                   // the event that is expected has not come yet
	gapToCome                 // the engine says that it will
)

// replaying reports whether the stream has not come to where the one before ended.
func (g *gap) replaying() bool { return g.state != gapNone && g.expect != (key{}) }

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
		s, err := e.client.Events(streamCtx, dockerapi.Moment(since))
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
	s.Version, s.OS, s.Kernel = clip.Text(i.ServerVersion, maxName), clip.Text(i.OperatingSystem, maxName), clip.Text(i.KernelVersion, maxName)
	s.CgroupVersion, s.CgroupDriver = clip.Text(i.CgroupVersion, 16), clip.Text(i.CgroupDriver, 64)
	s.Root, s.Driver, s.LiveRestore = clip.Text(i.DockerRootDir, maxValue), clip.Text(i.Driver, 64), i.LiveRestore
	s.CPUs, s.Memory = max(i.NCPU, 0), max(i.MemTotal, 0)
	changed := s != e.status
	e.status = s
	was, now := e.facts, factsOf(s)
	e.facts = now
	e.mu.Unlock()
	e.factsEvent(was, now)
	if changed {
		for _, o := range e.observers.engines {
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
		e.gap = gap{state: gapOpen, expect: expect, at: last, from: from, reason: "the engine has forgotten them: it was restarted, or more happened than it remembers"}
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
		if raw.Type == "container" && raw.Action == "oom" {
			for _, o := range e.observers.ooms {
				o.ObserveOOM(raw.Actor)
			}
		}
		select {
		case e.events <- &raw:
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
	if e.gap.state != gapOpen {
		e.mu.RLock()
		e.gap = gap{state: gapOpen, from: e.lastEvent}
		e.mu.RUnlock()
	}
	e.gap.expect = key{}
	e.gap.reason = "more events came than could be taken"
	e.gapAt = now.Add(e.d.opt.timing.settle)
	e.reconcileAt = now
}

// mostAsked is how often an engine is asked for an event that did not come again.
const mostAsked = 5

// checkGap looks whether there is a gap in the events. An engine that is slow may not have
// replayed them yet, so it is asked first.
func (e *engine) checkGap(now time.Time) {
	if e.gap.state != gapOpen {
		return
	}
	if e.gap.expect == (key{}) {
		e.tellGap(now)
		return
	}
	expect, at := e.gap.expect, e.gap.at
	e.work(func(ctx context.Context) func() {
		deadline, done := context.WithTimeout(ctx, e.d.opt.timing.call)
		defer done()
		known, err := e.client.Remembers(deadline, at, func(raw dockerapi.Event) bool { return keyOf(raw) == expect })
		return func() {
			e.gap.asked++
			switch {
			case e.gap.state != gapOpen || e.gap.expect != expect: // it came meanwhile, or more is lost
			case known:
				e.gap.state = gapToCome
			case err != nil && e.gap.asked < mostAsked:
				e.gapAt = time.Now().Add(e.d.opt.timing.settle)
			default:
				e.tellGap(time.Now())
			}
		}
	})
}

// tellGap tells of a gap in the events.
func (e *engine) tellGap(now time.Time) {
	e.gap.state = gapNone
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
