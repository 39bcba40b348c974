// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"strconv"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
)

// fresh is what was learned about a container after a batch of events.
type fresh struct {
	c    *tallyman.Container // nil when it is gone or could not be asked for
	gone bool
}

// take collects the events that wait, inspects each container they speak of
// once, and handles them in order.
func (e *engine) take(raw dockerapi.Event) {
	var batch []dockerapi.Event
	ids := make(map[string]bool)
	for n := 0; ; n++ {
		if e.accept(raw) {
			batch = append(batch, raw)
			if id := e.wantsInspect(raw); id != "" {
				ids[id] = true
			}
		}
		if n >= maxBatch {
			break
		}
		more := false
		select {
		case next := <-e.events:
			raw, more = *next, true
		default:
		}
		if !more {
			break
		}
	}
	switch {
	case len(batch) == 0:
	case len(ids) == 0:
		e.handleAll(batch, nil)
	default:
		e.work(func(ctx context.Context) func() {
			found := e.inspectAll(ctx, ids)
			return func() { e.handleAll(batch, found) }
		})
	}
}

// accept drops what was seen before and what is no event.
func (e *engine) accept(raw dockerapi.Event) bool {
	if raw.Type == "" || raw.Action == "" || raw.Type == "container" && !dockerapi.ValidID(raw.Actor) {
		e.count.drop(invalid)
		return false
	}
	k := keyOf(raw)
	e.mu.Lock()
	isNew := e.seen.add(k)
	old := isNew && time.Now().Before(e.anchorUntil) && raw.Time.Before(e.notBefore)
	switch {
	case !isNew:
	case !old:
		e.untold++
	case e.untold == 0 && !raw.Time.Before(e.anchored):
		e.lastKey, e.lastEvent, e.anchored = k, raw.Time, raw.Time
	}
	e.mu.Unlock()
	if e.gap.replaying() && k == e.gap.expect {
		e.gap.state = gapNone
	}
	if e.gap.state == gapOpen && isNew && e.gap.first.IsZero() {
		e.gap.first = raw.Time
	}
	if !isNew {
		e.count.drop(duplicate)
		return false
	}
	if old {
		e.count.drop(beforeStart)
		return false
	}
	e.d.store.mark(&e.d.store.lazily)
	return true
}

// wantsInspect is the container that an event may have changed, or that is not
// known yet.
func (e *engine) wantsInspect(raw dockerapi.Event) string {
	switch raw.Type {
	case "network":
		if id := raw.Attributes["container"]; len(id) == 64 && dockerapi.ValidID(id) {
			return id
		}
	case "container":
		word, _ := splitAction(raw.Action)
		switch word {
		case "create", "start", "restart", "stop", "die", "oom", "pause", "unpause", "rename", "update", "health_status":
			return raw.Actor
		case "destroy":
			return ""
		}
		if e.byID(raw.Actor) == nil {
			return raw.Actor
		}
	}
	return ""
}

// inspectAll runs beside the loop. It gives up at the first call that gets no
// answer.
func (e *engine) inspectAll(ctx context.Context, ids map[string]bool) map[string]fresh {
	found := make(map[string]fresh, len(ids))
	for id := range ids {
		c, err := e.inspect(ctx, id)
		switch {
		case err == nil:
			found[id] = fresh{c: c}
		case errors.Is(err, dockerapi.ErrNotFound):
			found[id] = fresh{gone: true}
		case dockerapi.FailureOf(err) != dockerapi.Answered:
			e.kickPing()
			return found
		}
	}
	return found
}

// handleAll publishes what was learned and then tells the events in order.
func (e *engine) handleAll(batch []dockerapi.Event, found map[string]fresh) {
	for _, raw := range batch {
		if f, ok := found[raw.Actor]; ok && f.c != nil {
			e.learn(f.c)
		}
		if f, ok := found[raw.Attributes["container"]]; ok && f.c != nil {
			e.learn(f.c)
		}
	}
	for i, raw := range batch {
		if raw.Type == "container" {
			e.handleContainer(raw, found[raw.Actor], raw.Action == "die" && oomBehind(batch[i+1:], raw))
			continue
		}
		e.tell(normalise(raw, eventContext{host: e.host, engine: e.name}))
		e.touch()
		// The engine has no event of a start that fails. It takes the container from
		// its networks then.
		if f := found[raw.Attributes["container"]]; raw.Type == "network" && raw.Action == "disconnect" && f.c != nil {
			if ev, failed := e.startFailed(e.byTrack(f.c.ID), f.c, raw.Time, true); failed {
				e.tell(ev)
			}
		}
	}
	// Only now may a restart go on behind them.
	last := batch[len(batch)-1]
	e.mu.Lock()
	e.untold = 0
	e.lastKey = keyOf(last)
	if !last.Time.IsZero() {
		e.lastEvent = last.Time
	}
	e.mu.Unlock()
}

// oomBehind reports whether the oom event of a death comes behind it: an engine that is
// busy tells the two in either order.
func oomBehind(behind []dockerapi.Event, die dockerapi.Event) bool {
	for _, next := range behind {
		if next.Type != "container" || next.Actor != die.Actor {
			continue
		}
		if next.Action == "oom" {
			return next.Time.Sub(die.Time) < time.Second
		}
		if next.Action == "start" {
			return false
		}
	}
	return false
}

// handleContainer accounts for one container event and tells it; oom says that the
// kernel is known to have killed it.
func (e *engine) handleContainer(raw dockerapi.Event, f fresh, oom bool) {
	word, tail := splitAction(raw.Action)
	e.mu.RLock()
	t := e.tracks[raw.Actor]
	e.mu.RUnlock()
	if t == nil {
		t = &track{c: e.choose(fromEvent(e.host, e.name, raw))}
		e.mu.Lock()
		e.tracks[raw.Actor] = t
		e.mu.Unlock()
	}
	x := eventContext{host: e.host, engine: e.name, container: t.c, fresh: f.c != nil, oom: oom}

	// Execs: the health check's own and tallyman's are noise, the end of one has no
	// command.
	switch word {
	case "exec_create", "exec_start":
		x.command = execCommand(tail)
		one := exec{command: x.command}
		switch {
		case t.c.HealthTest != "" && x.command == t.c.HealthTest:
			one.noise, one.reason = true, healthCheck
		case e.commands.has(raw.Actor, x.command):
			one.noise, one.reason = true, ownCommand
		}
		e.execs.put(raw.Actor, raw.Attributes["execID"], one)
		if one.noise {
			e.count.drop(one.reason)
			return
		}
	case "exec_die", "exec_detach":
		known := e.execs.get(raw.Actor, raw.Attributes["execID"])
		if known.noise {
			e.count.drop(known.reason)
			return
		}
		x.command = known.command
	}

	if told := e.accountFor(t, word, raw, f, &x); told {
		e.count.drop(toldBefore)
		return
	}
	if t.c.Disabled {
		e.count.drop(disabledOne)
		return
	}
	e.tell(normalise(raw, x))
	e.touch()
}

// accountFor notes what an event changes, and for a container that cannot be
// inspected any more derives its state from the event. It reports that the
// event was told before, as an inferred one.
func (e *engine) accountFor(t *track, word string, raw dockerapi.Event, f fresh, x *eventContext) (toldBefore bool) {
	var c *tallyman.Container // a changed copy, when the event is all there is
	change := func() *tallyman.Container {
		if c == nil {
			c = t.c.Clone()
		}
		return c
	}
	unseen := f.c == nil && t.c.State != tallyman.Gone
	e.mu.Lock()
	switch word {
	case "create":
		toldBefore = t.createInferred
		t.created, t.createInferred = true, false
		if t.name == "" {
			t.name = clip.Text(raw.Attributes["name"], maxName)
		}
		if unseen && t.c.Created.IsZero() {
			change().Created = raw.Time
		}
	case "start":
		t.failure = ""
		toldBefore = t.life.account(true, raw.Time, t.c, x.fresh)
		t.oom, t.killed = time.Time{}, killed{}
		if unseen {
			n := change()
			n.State, n.Started = tallyman.Exited, raw.Time // nobody will see it run
		}
	case "die":
		toldBefore = t.life.account(false, raw.Time, t.c, x.fresh)
		// An oom event comes right before the death it causes.
		x.oom = x.oom || !t.oom.IsZero() && raw.Time.Sub(t.oom) < 10*time.Second
		if t.killed.explains(raw.Time, t.c) {
			x.signal = t.killed.signal
		}
		t.oom, t.killed = time.Time{}, killed{}
		t.paused = false
		if unseen {
			n := change()
			n.State, n.Finished, n.Pid = tallyman.Exited, raw.Time, 0
			n.OOMKilled = n.OOMKilled || x.oom
		} else if t.c.ExitUnknown && raw.Time.Sub(t.c.Finished).Abs() < sameDeath {
			change().ExitUnknown = false // it runs again already
		}
	case "oom":
		t.oom = raw.Time
		e.count.ooms.Add(1)
	case "kill":
		if signal := normalise(raw, *x).Attributes["signal"]; asks(signal, t.c) {
			t.killed = killed{signal, raw.Time}
		}
	case "pause":
		t.paused = true
	case "unpause":
		t.paused = false
	case "rename":
		t.name = clip.Text(raw.Attributes["name"], maxName)
	case "destroy":
		toldBefore = t.destroyed
		t.destroyed = true
		n := change()
		n.State, n.Pid = tallyman.Gone, 0
		n.GoneAt = raw.Time
	}
	e.mu.Unlock()
	if c != nil {
		if word == "die" && x.container != nil {
			if code, err := strconv.Atoi(normalise(raw, *x).Attributes["exitCode"]); err == nil {
				c.ExitCode = code
			}
		}
		e.publish(t, c)
		x.container = c
	}
	return toldBefore
}

// sameDeath is how far the time of a death's event lies from the one that an
// inspection gives, at most.
const sameDeath = 5 * time.Second

// exec is what is known of a running exec.
type exec struct {
	command string
	noise   bool // not told, for a reason
	reason  reason
}

// execRing joins the end of an exec with its command: by the container and the
// exec's id, the last maxExecs of them.
type execRing struct {
	known map[[2]string]exec
	order [][2]string
	next  int
}

func (r *execRing) put(container, id string, x exec) {
	if id == "" || len(id) > maxName {
		return
	}
	k := [2]string{container, id}
	if r.known == nil {
		r.known = make(map[[2]string]exec)
	}
	_, again := r.known[k]
	r.known[k] = x
	switch {
	case again:
	case len(r.order) < maxExecs:
		r.order = append(r.order, k)
	default:
		delete(r.known, r.order[r.next])
		r.order[r.next] = k
		r.next = (r.next + 1) % maxExecs
	}
}

// get is the exec of this id, the zero value for one that is not known.
func (r *execRing) get(container, id string) exec {
	return r.known[[2]string{container, id}]
}
