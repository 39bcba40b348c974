// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
)

type pinged struct {
	at   time.Time
	took time.Duration
	ping dockerapi.Ping
	err  error
}

// pinger pings until ctx is done: at an even pace while the engine answers, in
// step with the rounds of collection since each wake-up costs more than a ping;
// with growing pauses while it does not, and at once when kicked.
func (e *engine) pinger(ctx context.Context, out chan<- pinged) {
	t := e.d.opt.timing
	retry := t.retryMin
	for {
		deadline, cancel := context.WithTimeout(ctx, t.pingDeadline)
		asked := time.Now()
		ping, err := e.client.Ping(deadline)
		took := time.Since(asked)
		if err == nil {
			err = e.claim(deadline)
		}
		cancel()
		now := time.Now()
		wait := now.Truncate(t.ping).Add(t.ping).Sub(now)
		if wait < t.ping/4 {
			wait += t.ping
		}
		if err != nil {
			wait = retry
			retry = min(2*retry, t.retryMax)
		} else {
			retry = t.retryMin
		}
		select {
		case <-ctx.Done():
			return
		case out <- pinged{time.Now(), took, ping, err}:
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

// claim makes sure that the engine is none that another one of the
// configuration is already: each container would be there twice. Engines claim
// in the order of the configuration, if they answer soon.
func (e *engine) claim(ctx context.Context) error {
	if len(e.d.engines) == 1 {
		return nil
	}
	if e.identity == "" {
		for _, earlier := range e.d.engines {
			if earlier == e {
				break
			}
			select {
			case <-earlier.first:
			case <-time.After(e.d.opt.timing.pingDeadline / 4):
			case <-ctx.Done():
			}
		}
		info, err := e.client.Info(ctx)
		if err != nil || info.ID == "" {
			return nil // a proxy may forbid it; then nobody can tell
		}
		// Before 24 the id is the machine's, so two daemons on one have the same.
		e.identity = info.ID + " " + info.Name + " " + info.DockerRootDir
	}
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	owner := e.d.claimed[e.identity]
	if owner == nil || owner == e {
		e.d.claimed[e.identity] = e
		return nil
	}
	return fmt.Errorf("this is the same engine as %q; take one of the two out of the configuration", owner.name)
}

// kickPing asks for a ping now.
func (e *engine) kickPing() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// pinged takes over the outcome of a ping.
func (e *engine) pinged(p pinged) {
	if errors.Is(p.err, dockerapi.ErrCanceled) {
		return
	}
	e.mu.Lock()
	s := &e.status
	first := !e.stateKnown
	if first {
		close(e.first)
	}
	e.stateKnown = true
	e.uptime.pinged(p.at, p.err == nil)
	e.clock, e.clockKnown = p.ping.ClockOffset, p.err == nil && p.ping.ClockKnown
	changed, flipped := first, first
	if p.err == nil {
		e.latency = p.took
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
		for _, o := range e.observers.engines {
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
		ev.Attributes = map[string]string{"failure": string(s.Failure), "error": clip.Text(s.Error, maxValue)}
		e.log.Warn("the engine does not answer", "failure", string(s.Failure), "err", s.Error)
	} else {
		e.log.Info("the engine answers", "api", s.APIVersion)
	}
	e.own(ev, at)
	e.touch()
}

// uptime adds up how long an engine has answered.
type uptime struct {
	since time.Time // of the first ping
	last  time.Time
	up    bool // at last
	upFor time.Duration
}

// pinged takes over the outcome of a ping: what it says holds until the next.
func (u *uptime) pinged(at time.Time, up bool) {
	if u.since.IsZero() {
		u.since = at
	} else if u.up {
		u.upFor += at.Sub(u.last)
	}
	u.last, u.up = at, up
}

// now are the sums at a time after the last ping.
func (u *uptime) now(at time.Time) (upFor, knownFor time.Duration) {
	upFor = u.upFor
	if u.up {
		upFor += max(at.Sub(u.last), 0)
	}
	return upFor, max(at.Sub(u.since), 0)
}

// EngineState is what is known of the engine called name.
func (d *Discovery) EngineState(name string) (s tallyman.EngineState, ok bool) {
	e, err := d.engineNamed(name)
	if err != nil {
		return s, false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.stateKnown {
		return s, false
	}
	s = tallyman.EngineState{EngineStatus: e.status, Latency: e.latency, Clock: e.clock, ClockKnown: e.clockKnown, OOMs: e.count.ooms.Load(), Containers: map[tallyman.ImageState]int{}}
	s.UpFor, s.KnownFor = e.uptime.now(time.Now())
	for _, t := range e.tracks {
		if t.c.State != tallyman.Gone {
			s.Containers[tallyman.ImageState{Image: t.c.Image, State: t.c.State}]++
		}
	}
	return s, true
}
