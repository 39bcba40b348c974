// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
)

// startInventory lists all containers, beside the loop, and inspects them: all
// when events may have been missed, and now and then; else those that the list
// shows otherwise than they are known.
func (e *engine) startInventory(now time.Time) {
	full := e.stream == nil || e.streamBad || e.streams != e.inspectedStreams || !e.gapAt.IsZero() || now.Sub(e.inspected) >= e.d.opt.timing.inspect
	streams := e.streams
	e.work(func(ctx context.Context) func() {
		apply := e.takeInventory(ctx, full)
		return func() {
			before := e.count.reconciles.Load()
			if apply(); full && e.count.reconciles.Load() > before {
				e.inspected, e.inspectedStreams = now, streams
			}
		}
	})
}

// takeInventory lists and inspects.
func (e *engine) takeInventory(ctx context.Context, full bool) func() {
	inv, err := e.listAndInspect(ctx, full)
	return func() {
		now := time.Now()
		if err != nil {
			e.reconcileAt = now.Add(e.d.opt.timing.reconcileAgain)
			if errors.Is(err, dockerapi.ErrCanceled) {
				return
			}
			e.count.reconcileErrors.Add(1)
			if !e.reconcileBad {
				e.log.Warn("the inventory cannot be taken", "err", err)
			}
			e.reconcileBad = true
			e.kickPing()
			return
		}
		e.count.reconciles.Add(1)
		e.reconcileBad = false
		e.reconciled = now
		e.reconcileAt = now.Add(e.d.opt.timing.reconcile)
		e.took(inv)
		e.inventory = inv
		e.settleAt = now.Add(e.d.opt.timing.settle)
		if e.unsettled.IsZero() {
			e.unsettled = now
		}
	}
}

// listAndInspect stops at the first call that the engine is too slow for, so
// that a stalled engine is not asked a hundred times.
func (e *engine) listAndInspect(ctx context.Context, full bool) (*inventory, error) {
	call := e.d.opt.timing.call
	deadline, cancel := context.WithTimeout(ctx, call)
	list, err := e.client.List(deadline)
	cancel()
	if err != nil {
		return nil, err
	}
	inv := &inventory{
		at:         time.Now(),
		containers: make(map[string]*tallyman.Container, len(list)),
		listed:     make(map[string]bool, len(list)),
	}
	for _, s := range list {
		if known := e.byID(s.ID); !full && asListed(known, &s, e) {
			inv.containers[s.ID] = known
			inv.listed[s.ID] = true
			continue
		}
		c, err := e.inspect(ctx, s.ID)
		switch {
		case err == nil && c != nil:
			inv.containers[s.ID] = c
		case errors.Is(err, dockerapi.ErrNotFound):
			continue // gone since the list was made
		case err != nil && dockerapi.FailureOf(err) != dockerapi.Answered:
			return nil, err
		default:
			// It exists, but its inspection is not to be had. What is known of
			// it stays; a new one is known by its entry in the list.
			if e.byID(s.ID) == nil {
				c := e.choose(fromSummary(e.host, e.name, s))
				inv.containers[s.ID] = c
			}
		}
		inv.listed[s.ID] = true
	}
	return inv, nil
}

// asListed reports whether a container is known from an inspection and the list
// says nothing else of it.
func asListed(known *tallyman.Container, s *dockerapi.Summary, e *engine) bool {
	if known == nil || known.State == tallyman.Created || known.Started.IsZero() || isUp(known) && known.Pid == 0 {
		return false
	}
	listed := fromSummary(e.host, e.name, *s)
	return listed.State == known.State && listed.Name == known.Name && s.Health() == known.Health
}

// inspect asks for one container.
func (e *engine) inspect(ctx context.Context, id string) (*tallyman.Container, error) {
	deadline, cancel := context.WithTimeout(ctx, e.d.opt.timing.call)
	defer cancel()
	d, err := e.client.Inspect(deadline, id)
	if err != nil {
		return nil, err
	}
	if d.ID != id && len(id) == 64 {
		d.ID = id // an answer without an id is still about the one asked for
	}
	return e.choose(fromDetails(e.host, e.name, d)), nil
}

// choose notes in c, which nobody else has yet, that the settings leave it out.
func (e *engine) choose(c *tallyman.Container) *tallyman.Container {
	if e.d.opt.Wants != nil && !e.d.opt.Wants(c) {
		c.Disabled = true
	}
	return c
}

// took publishes an inventory. What nobody told of its changes is told when it
// has settled.
func (e *engine) took(inv *inventory) {
	ids := make([]string, 0, len(inv.containers))
	for id := range inv.containers {
		ids = append(ids, id)
	}
	slices.Sort(ids) // the same order each time
	for _, id := range ids {
		e.learn(inv.containers[id])
	}
	for _, t := range e.sortedTracks() {
		if inv.listed[t.c.ID] || t.c.State == tallyman.Gone {
			e.publish(t, t.c)
			continue
		}
		c := t.c.Clone()
		c.State, c.Pid, c.GoneAt = tallyman.Gone, 0, inv.at.UTC()
		e.publish(t, c)
	}
	// Whoever waits for the first inventory sees all of it.
	e.mu.Lock()
	e.status.Listed = inv.at
	e.mu.Unlock()
}

// learn takes over what an inspection says.
func (e *engine) learn(c *tallyman.Container) {
	e.mu.RLock()
	t := e.tracks[c.ID]
	e.mu.RUnlock()
	if t == nil {
		t = &track{c: c}
		e.mu.Lock()
		e.tracks[c.ID] = t
		e.mu.Unlock()
	}
	e.publish(t, c)
}

// publish makes c what is known of a container and tells the observers when it
// differs from what they know.
func (e *engine) publish(t *track, c *tallyman.Container) {
	if c.ExitUnknown && !t.c.ExitUnknown && t.c.Finished.Equal(c.Finished) {
		c = c.Clone()
		c.ExitCode, c.ExitUnknown = t.c.ExitCode, false
	}
	if t.published && (t.c == c || reflect.DeepEqual(t.c, c)) {
		return
	}
	e.mu.Lock()
	t.c = c
	t.published = true
	e.mu.Unlock()
	e.touch()
	for _, o := range e.observers.containers {
		o.ObserveContainer(c)
	}
}

// publishAll tells the observers what was known before this process.
func (e *engine) publishAll() {
	for _, t := range e.sortedTracks() {
		e.publish(t, t.c)
	}
}

func (e *engine) sortedTracks() []*track {
	ts := make([]*track, 0, len(e.tracks))
	for _, t := range e.tracks {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *track) int {
		if a.c.ID < b.c.ID {
			return -1
		}
		return 1
	})
	return ts
}

// settle tells what follows from an inventory and was not told by the events
// that had time to arrive since. The first inventory ever tells nothing: it is
// the ground that later ones are compared with.
func (e *engine) settle(inv *inventory) {
	firstEver := e.inventoried.IsZero()
	changed := firstEver
	var told []tallyman.Event
	e.mu.Lock()
	for _, t := range e.sortedTracks() {
		changed = changed || t.life.Lost
		told = append(told, e.settleOne(t, inv, firstEver)...)
	}
	e.inventoried = inv.at
	e.forget(inv.at)
	e.mu.Unlock()
	if changed || len(told) > 0 {
		e.touch()
	}
	slices.SortStableFunc(told, func(a, b tallyman.Event) int { return a.Time.Compare(b.Time) })
	for _, ev := range told {
		e.tell(ev)
	}
}

// settleOne is called with the lock held.
func (e *engine) settleOne(t *track, inv *inventory, firstEver bool) (told []tallyman.Event) {
	snapshot := inv.containers[t.c.ID]
	infer := func(action string, at time.Time, exact bool, ordinal string, attrs ...string) {
		if t.c.Disabled {
			e.count.drop(disabledOne)
			return
		}
		ev := tallyman.Event{
			ID:   eventID(e.host, e.name, 0, "inferred", "container", action, t.c.ID, ordinal),
			Time: at.UTC(), Host: e.host, Engine: e.name, Type: "container", Action: action,
			Actor: t.c.ID, Name: t.c.Name, Image: t.c.Image, Workload: t.c.Workload.Key, Inferred: true,
		}
		for i := 0; i+1 < len(attrs); i += 2 {
			setAttribute(&ev, attrs[i], attrs[i+1])
		}
		if !exact {
			setAttribute(&ev, "time", "latest possible")
		}
		told = append(told, ev)
	}
	if snapshot != nil {
		switch ev, failed := e.startFailed(t, snapshot, inv.at, false); {
		case failed && !firstEver: // it left no event, as with the network of the host
			setAttribute(&ev, "time", "latest possible")
			told = append(told, ev)
		case failureOf(snapshot) == "":
			t.failure = ""
		}
		baseline := !t.life.Base.Valid && !t.created && firstEver
		switch {
		case baseline, t.life.Lost:
			t.life.rebase(snapshot)
			t.life.Lost = false
			t.created = true
			if baseline && t.name == "" {
				t.name, t.paused = t.c.Name, t.c.State == tallyman.Paused
			}
		default:
			if !t.created {
				infer("create", snapshot.Created, true, "")
				t.created, t.createInferred = true, true
			}
			for _, h := range t.life.infer(snapshot) {
				var attrs []string
				if h.last && !isUp(snapshot) {
					attrs = append(attrs, "exitCode", strconv.Itoa(snapshot.ExitCode))
					if snapshot.OOMKilled || !t.oom.IsZero() {
						attrs = append(attrs, "oomKilled", "true")
					}
				}
				infer(h.action, h.at, h.exact, h.ordinal, attrs...)
			}
		}
	}
	switch {
	case t.c.State != tallyman.Gone:
		if t.name == "" {
			t.name = t.c.Name
		}
		if snapshot == nil {
			break
		}
		// Renames and pauses leave no time behind. They count as missed when
		// both the inventory and the newest that is known disagree with what
		// was told.
		if n := snapshot.Name; n != "" && n == t.c.Name && n != t.name {
			infer("rename", inv.at, false, t.name+">"+n+stamp(snapshot.Started), "oldName", t.name)
			t.name = n
		}
		paused := t.c.State == tallyman.Paused
		if isUp(t.c) && isUp(snapshot) && snapshot.State == t.c.State && paused != t.paused {
			action := "unpause"
			if paused {
				action = "pause"
			}
			infer(action, inv.at, false, stamp(inv.at))
			t.paused = paused
		}
	case !t.destroyed:
		if t.life.up() {
			infer("die", t.c.GoneAt, false, "gone") // with what code nobody knows
		}
		infer("destroy", t.c.GoneAt, false, "")
		t.destroyed = true
		t.life = life{}
	}
	return told
}

// forget drops containers that are gone for long, or too many. With the lock held.
func (e *engine) forget(now time.Time) {
	var gone []*track
	for id, t := range e.tracks {
		switch {
		case t.c.State != tallyman.Gone:
		case now.Sub(t.c.GoneAt) > e.d.opt.timing.keepGone:
			delete(e.tracks, id)
		default:
			gone = append(gone, t)
		}
	}
	if len(gone) <= maxGone {
		return
	}
	slices.SortFunc(gone, func(a, b *track) int { return a.c.GoneAt.Compare(b.c.GoneAt) })
	for _, t := range gone[:len(gone)-maxGone] {
		delete(e.tracks, t.c.ID)
	}
}

func setAttribute(ev *tallyman.Event, k, v string) {
	if ev.Attributes == nil {
		ev.Attributes = make(map[string]string, 4)
	}
	ev.Attributes[k] = clip.Text(v, maxValue)
}
