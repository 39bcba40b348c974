// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"slices"
	"strings"
	"time"

	"tallyman"
)

// death is one end of a container.
type death struct {
	id       string
	at       time.Time
	code     string // empty when not known
	life     time.Duration
	asked    bool
	oom      bool
	inferred bool
}

// episode is what is known of one workload. Most of it are the times at which something
// began, zero when it is not so; evaluate draws the conclusions.
type episode struct {
	key        key
	containers map[string]*tallyman.Container
	c          *tallyman.Container // the one that stands for the workload
	seen       bool                // a container of it was told of before

	held      []death   // wait to be judged
	heldUntil time.Time // zero without any
	deaths    []death   // that nobody asked for, of the last minutes and of the episode
	began     time.Time // of the episode
	longest   time.Duration

	aliveSince time.Time // it runs without a break
	restarting time.Time // in this state
	failed     time.Time // a start of it failed
	failure    tallyman.Event
	lostSince  time.Time // it no longer runs, or the engine answers again
	ranBefore  time.Duration
	outage     bool // the engine was away meanwhile
	byHand     bool // stopped as asked
	stopped    time.Time
	removed    time.Time // its last container has gone
	itself     bool      // and removed itself
	sick, well time.Time
	turns      []time.Time // of the health to bad
	paused     time.Time
	oomAt      time.Time // the kernel killed in it, and it did not die so far
	oomLast    time.Time
	already    bool // what is so was so when it was first seen

	life, unhealthy, pause, oomInside *Problem
	due                               time.Time
}

// slot is where a problem of a kind is kept.
func (ep *episode) slot(k Kind) **Problem {
	switch k {
	case Unhealthy:
		return &ep.unhealthy
	case Paused:
		return &ep.pause
	case OOMInside:
		return &ep.oomInside
	}
	return &ep.life
}

func (ep *episode) problems() (out []*Problem) {
	for _, p := range []*Problem{ep.life, ep.unhealthy, ep.pause, ep.oomInside} {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// up is for how long it has run.
func (ep *episode) up(now time.Time) time.Duration {
	if ep.aliveSince.IsZero() {
		return 0
	}
	return now.Sub(ep.aliveSince)
}

// shift moves the timers that stood still while the engine was down.
func (ep *episode) shift(d time.Duration) {
	for _, t := range []*time.Time{&ep.heldUntil, &ep.restarting, &ep.failed, &ep.sick, &ep.well, &ep.paused, &ep.oomLast, &ep.removed} {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
}

// current is the container that stands for the workload: one that runs, else the newest.
func (ep *episode) current() (best *tallyman.Container) {
	for _, c := range ep.containers {
		better := best == nil
		if !better && c.Alive() != best.Alive() {
			better = c.Alive()
		} else if !better {
			better = c.Started.After(best.Started) || c.Started.Equal(best.Started) && (c.Created.After(best.Created) || c.Created.Equal(best.Created) && c.ID < best.ID)
		}
		if better {
			best = c
		}
	}
	return best
}

// take notes the times that follow from the inventory.
func (ep *episode) take(first bool, now time.Time) {
	c := ep.current()
	before := ep.c
	ep.c = c
	ep.removed = time.Time{}
	since := func(t *time.Time, is bool) {
		switch {
		case !is:
			*t = time.Time{}
		case t.IsZero():
			*t = now
		}
	}
	same := before != nil && before.ID == c.ID && before.Started.Equal(c.Started)
	switch {
	case !c.Alive():
		if ran := ep.up(now); ran > 0 {
			ep.ranBefore, ep.lostSince, ep.outage = ran, now, false
		}
		ep.aliveSince = time.Time{}
	case ep.aliveSince.IsZero() || !same:
		ep.aliveSince = c.Started
		if ep.aliveSince.IsZero() || ep.aliveSince.After(now) {
			ep.aliveSince = now
		}
		ep.byHand, ep.failed = false, time.Time{}
	}
	since(&ep.restarting, c.State == tallyman.Restarting)
	since(&ep.paused, c.State == tallyman.Paused)
	wasSick := !ep.sick.IsZero()
	since(&ep.sick, c.Alive() && c.Health == "unhealthy")
	since(&ep.well, c.Alive() && (c.Health == "healthy" || c.Health == ""))
	if !ep.sick.IsZero() && !wasSick {
		ep.turns = append(ep.turns, now)
		ep.turns = ep.turns[max(0, len(ep.turns)-maxDeaths):]
	}
	ep.already = first && (!ep.restarting.IsZero() || !ep.paused.IsZero() || !ep.sick.IsZero())
}

// gone notes that a container is no longer there.
func (ep *episode) gone(c *tallyman.Container, now time.Time) {
	delete(ep.containers, c.ID)
	if len(ep.containers) > 0 {
		ep.take(false, now)
		return
	}
	ep.c = c
	ep.aliveSince, ep.restarting, ep.paused, ep.sick, ep.well = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if ep.removed.IsZero() {
		ep.removed, ep.itself = now, c.AutoRemove
	}
}

// happened notes an event.
func (ep *episode) happened(e tallyman.Event, now time.Time) {
	a := e.Attributes
	switch e.Action {
	case "die":
		d := death{id: e.Actor, at: e.Time, code: a["exitCode"], asked: a["asked"] != "", oom: a["oomKilled"] == "true", inferred: e.Inferred}
		if !ep.oomAt.IsZero() && e.Time.Sub(ep.oomAt) < 2*hold {
			d.oom = true
		}
		ep.oomAt = time.Time{}
		if c := ep.containers[e.Actor]; c != nil && !c.Started.IsZero() && c.Started.Before(e.Time) {
			d.life = e.Time.Sub(c.Started)
		}
		ep.held = append(ep.held, d)
		ep.held = ep.held[max(0, len(ep.held)-maxDeaths):]
		if ep.heldUntil.IsZero() {
			ep.heldUntil = now.Add(hold)
		}
	case "stop", "restart":
		ep.ask(e.Actor, e.Time)
		if e.Action == "stop" {
			ep.byHand, ep.stopped = true, now
		}
	case "destroy":
		if c := ep.containers[e.Actor]; c == nil || !c.AutoRemove {
			ep.ask(e.Actor, e.Time)
		}
	case "start":
		ep.failed, ep.byHand = time.Time{}, false
	case "start_failed":
		if ep.failed.IsZero() {
			ep.failed = now
		}
		ep.failure = e
	case "oom":
		ep.oomAt, ep.oomLast = e.Time, now
	}
}

// ask notes that deaths shortly before were asked for.
func (ep *episode) ask(id string, t time.Time) {
	for i := range ep.held {
		if d := &ep.held[i]; d.id == id && t.Sub(d.at).Abs() <= hold {
			d.asked = true
		}
	}
}

// evaluate draws the conclusions of what is known of a workload, and says when to look
// again.
func (m *Machine) evaluate(ep *episode, now time.Time) (out []Change) {
	ep.due = time.Time{}
	if m.frozen(ep) {
		return nil
	}
	x := &evaluation{m: m, ep: ep, now: now}
	x.judge()
	x.openLife()
	x.closeLife()
	x.sickness()
	x.pauses()
	x.children()
	if len(ep.containers) == 0 && len(ep.problems()) == 0 && len(ep.held) == 0 {
		delete(m.workloads, ep.key) // it is gone, and nothing is open
	}
	return x.out
}

// evaluation is one look at a workload.
type evaluation struct {
	m   *Machine
	ep  *episode
	now time.Time
	out []Change
}

// reached reports whether something that began at since has lasted; if it has not, it is
// looked at again when it has.
func (x *evaluation) reached(since time.Time, lasted time.Duration) bool {
	if since.IsZero() {
		return false
	}
	at := since.Add(lasted)
	if !x.now.Before(at) {
		return true
	}
	if x.ep.due.IsZero() || at.Before(x.ep.due) {
		x.ep.due = at
	}
	return false
}

// judge decides about the deaths that were held.
func (x *evaluation) judge() {
	ep := x.ep
	if len(ep.held) == 0 || !x.reached(ep.heldUntil, 0) {
		return
	}
	held := ep.held
	ep.held, ep.heldUntil = nil, time.Time{}
	c := ep.c
	var bad []death
	for _, d := range held {
		switch {
		case d.asked && !x.m.nearEngine(ep, d.at):
			ep.byHand, ep.stopped = ep.aliveSince.IsZero() || ep.aliveSince.Before(d.at), x.now
		case d.asked, x.m.startedSince(ep, d):
		case d.code == "0" && (c == nil || !restarts(c, d.code)):
		default:
			bad = append(bad, d)
		}
	}
	if len(bad) == 0 || c == nil {
		return
	}
	last := bad[len(bad)-1]
	if ep.life == nil {
		ep.began = bad[0].at
	}
	for _, d := range bad {
		if !d.at.Add(-d.life).Before(ep.began) { // the life before the first death is no part of it
			ep.longest = max(ep.longest, d.life)
		}
	}
	ep.deaths = append(ep.deaths, bad...)
	recent := slices.IndexFunc(ep.deaths, func(d death) bool { return last.at.Sub(d.at) < loopWindow })
	ep.deaths = ep.deaths[max(recent, len(ep.deaths)-maxDeaths, 0):]
	oom := slices.ContainsFunc(bad, func(d death) bool { return d.oom })
	job := x.m.isJob(c, last.life)
	switch {
	case job && (last.code != "0" && last.code != "" || oom):
		x.stage(JobFailed, last)
	case job:
	case gaveUp(c):
		x.stage(NotRunning, last)
	case len(ep.deaths) >= loopDeaths:
		x.stage(RestartLoop, last)
	case oom:
		x.stage(OOM, last)
	case last.code != "0" && last.code != "":
		x.stage(Crash, last)
	default:
		if ep.life == nil {
			return // once 0, or a code that nobody knows
		}
	}
	if p := ep.life; p != nil {
		p.Deaths += len(bad)
		p.Died, p.ExitCode, p.OOM = last.at.UTC(), last.code, p.OOM || oom
		p.Longest = ep.longest
		p.GaveUp = gaveUp(c)
		x.about(p)
		if n := len(x.out); n > 0 && x.out[n-1].Op == Opened {
			x.out[n-1].Problem = *p
		} else {
			x.out = append(x.out, Change{Changed, *p})
		}
	}
}

// rank orders the stages of a life: a later one takes the place of an earlier one.
func rank(k Kind) int {
	return slices.Index([]Kind{JobFailed, NotStarted, Crash, OOM, NotRunning, RestartLoop}, k)
}

// became begins the reason of a problem that went on as another one.
const became = "became "

// words are the kinds of a life as people say them.
var words = map[Kind]string{
	Crash: "a crash", OOM: "a death for want of memory", RestartLoop: "a restart loop", NotRunning: "one that does not run", NotStarted: "a start that fails", JobFailed: "a job that fails",
}

// stage opens a problem of the life, or makes an open one another kind.
func (x *evaluation) stage(k Kind, d death) {
	p := x.ep.life
	deaths, oom := 0, d.oom
	if p != nil {
		if p.Kind == k || rank(p.Kind) > rank(k) && !(p.Kind == RestartLoop && k == NotRunning) {
			return
		}
		deaths, oom = p.Deaths, oom || p.OOM
		x.close(&x.ep.life, became+words[k])
	}
	x.open(k)
	if p := x.ep.life; p != nil {
		p.Deaths, p.OOM = deaths, oom
	}
}

// open opens a problem, unless there are too many.
func (x *evaluation) open(k Kind) {
	ep := x.ep
	if x.m.open >= maxProblems {
		x.m.Dropped++
		return
	}
	p := &Problem{Kind: k, Host: ep.key.host, Workload: ep.key.name, Since: x.now.UTC(), Began: x.now.UTC(), Already: ep.already}
	if slot := ep.slot(k); slot == &ep.life && !ep.began.IsZero() {
		p.Began = ep.began.UTC()
	}
	x.about(p)
	*ep.slot(k) = p
	x.m.open++
	x.out = append(x.out, Change{Opened, *p})
}

// about notes which container has a problem.
func (x *evaluation) about(p *Problem) {
	c := x.ep.c
	if c == nil {
		return
	}
	p.Container, p.Name, p.Image, p.Engine, p.Class, p.Project = c.ID, c.Name, c.Image, c.Engine, classOf(c), c.Workload.Project
	if p.Project == "" {
		p.Project = p.Workload
	}
}

func (x *evaluation) close(slot **Problem, reason string) {
	p := *slot
	if p == nil {
		return
	}
	*slot = nil
	x.m.open--
	p.Ended, p.Reason = x.now.UTC(), reason
	x.out = append(x.out, Change{Closed, *p})
	if slot == &x.ep.life && !strings.HasPrefix(reason, became) {
		x.ep.deaths, x.ep.longest, x.ep.began = nil, 0, time.Time{}
	}
}

// openLife opens what time alone makes a problem.
func (x *evaluation) openLife() {
	ep := x.ep
	if x.reached(ep.restarting, restarting) && (ep.life == nil || ep.life.Kind != RestartLoop) {
		if ep.life == nil {
			ep.began = ep.restarting
		}
		x.stage(RestartLoop, death{})
	}
	if x.reached(ep.failed, startFails) && ep.aliveSince.IsZero() && len(ep.containers) > 0 {
		ep.failed = time.Time{}
		if ep.life == nil {
			ep.began = ep.failure.Time
			x.stage(NotStarted, death{})
		}
		if p := ep.life; p != nil {
			p.Text, p.ExitCode = ep.failure.Attributes["error"], ep.failure.Attributes["exitCode"]
			if n := len(x.out); n > 0 && x.out[n-1].Op == Opened {
				x.out[n-1].Problem = *p
			} else {
				x.out = append(x.out, Change{Changed, *p})
			}
		}
	}
	if ep.lostSince.IsZero() || !x.reached(ep.lostSince, lost) {
		return
	}
	ep.lostSince = time.Time{}
	c := ep.c
	if c == nil || len(ep.containers) == 0 || !ep.aliveSince.IsZero() || ep.life != nil || ep.byHand || ep.ranBefore == 0 {
		return
	}
	if policy, _, _ := strings.Cut(c.RestartPolicy, ":"); policy == "always" || policy == "unless-stopped" || ep.outage && ep.ranBefore > longBefore {
		ep.began = x.now
		x.open(NotRunning)
	}
	ep.ranBefore, ep.outage = 0, false
}

// closeLife ends the problem of the life.
func (x *evaluation) closeLife() {
	ep := x.ep
	if ep.life == nil {
		return
	}
	p := ep.life
	again := "it runs again"
	if ep.c != nil && ep.c.ID != p.Container && p.Container != "" {
		again = "replaced by a new container"
	}
	switch {
	case len(ep.containers) == 0 && !ep.removed.IsZero():
		if !ep.itself && p.Kind != JobFailed {
			x.close(&ep.life, "removed")
		} else if x.reached(ep.removed, removedItself) {
			x.close(&ep.life, "it has removed itself")
		}
	case p.Kind == JobFailed:
		if x.reached(p.Since, removedItself) {
			x.close(&ep.life, "it was a job, and is over")
		}
	case ep.byHand && ep.aliveSince.IsZero():
		x.close(&ep.life, "stopped as asked")
	case p.Kind == NotStarted:
		if !ep.aliveSince.IsZero() {
			x.close(&ep.life, "it was started")
		}
	case ep.c != nil && ep.c.Health != "" && ep.c.Health != "healthy":
	case p.Kind == RestartLoop:
		if x.reached(ep.aliveSince, min(max(loopLeast, 3*ep.longest), loopMost)) {
			x.close(&ep.life, again)
		}
	default:
		if x.reached(ep.aliveSince, healthyAgain) {
			x.close(&ep.life, again)
		}
	}
}

// sickness follows the health check.
func (x *evaluation) sickness() {
	ep := x.ep
	first := slices.IndexFunc(ep.turns, func(t time.Time) bool { return x.now.Sub(t) < flapWindow })
	if first < 0 {
		first = len(ep.turns)
	}
	ep.turns = ep.turns[first:]
	if ep.unhealthy == nil {
		if x.reached(ep.sick, sick) {
			x.open(Unhealthy)
			ep.setTurns()
		}
		return
	}
	ep.setTurns()
	well := healthyAgain
	if len(ep.turns) >= flapTurns {
		well = wellAfterFlap
	}
	switch {
	case ep.aliveSince.IsZero():
		x.close(&ep.unhealthy, "it does not run")
	case x.reached(ep.well, well):
		x.close(&ep.unhealthy, "it is healthy")
	}
}

func (ep *episode) setTurns() {
	if ep.unhealthy != nil {
		ep.unhealthy.Turns = max(ep.unhealthy.Turns, len(ep.turns))
	}
}

// pauses follows docker pause.
func (x *evaluation) pauses() {
	ep := x.ep
	switch {
	case ep.pause == nil && x.reached(ep.paused, pausedFor):
		x.open(Paused)
	case ep.pause != nil && ep.paused.IsZero():
		x.close(&ep.pause, "it goes on")
	}
}

// children follows what the kernel kills inside of a container that lives on.
func (x *evaluation) children() {
	ep := x.ep
	if !ep.oomAt.IsZero() && x.reached(ep.oomLast, hold) {
		ep.oomAt = time.Time{}
		if ep.oomInside == nil {
			x.open(OOMInside)
		}
		if ep.oomInside != nil {
			ep.oomInside.Turns++
		}
	}
	if ep.oomInside == nil {
		return
	}
	switch {
	case ep.aliveSince.IsZero() && (ep.byHand || len(ep.containers) == 0):
		x.close(&ep.oomInside, "it does not run")
	case x.reached(ep.oomLast, oomQuiet):
		x.close(&ep.oomInside, "the kernel killed nothing for 15 minutes")
	}
}
