// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// Machine is the state of all workloads and engines.
type Machine struct {
	workloads map[key]*episode
	engines   map[key]*engine
	disk      disk
	starts    map[string][]time.Time // of plain containers, by host, the last ones
	open      int
	// Dropped counts problems that were not opened because there were too many.
	Dropped uint64
}

// key is a host with a workload, or with an engine.
type key struct{ host, name string }

// New makes a machine that knows nothing.
func New() *Machine {
	return &Machine{workloads: map[key]*episode{}, engines: map[key]*engine{}, starts: map[string][]time.Time{}}
}

// Restore takes problems that were open when the process before ended. It is called
// before anything else.
func (m *Machine) Restore(open []Problem) {
	for _, p := range open {
		if p.Kind == DiskFull {
			m.disk = disk{host: p.Host, full: true, since: p.Since, problem: &p}
			m.open++
			continue
		}
		if p.Kind == EngineDown || p.Kind == HostSilent {
			e := m.engine(key{p.Host, p.Engine})
			e.problem, e.since, e.kind = &p, p.Since, p.Kind
			m.open++
			continue
		}
		ep := m.episode(key{p.Host, p.Workload})
		ep.began, ep.longest, ep.seen = p.Began, p.Longest, true
		if slot := ep.slot(p.Kind); *slot == nil {
			*slot = &p
			m.open++
		}
		if p.Kind == RestartLoop || p.Kind == Crash || p.Kind == OOM {
			for range min(p.Deaths, maxDeaths) {
				ep.deaths = append(ep.deaths, death{at: p.Died, code: p.ExitCode, oom: p.OOM})
			}
		}
	}
}

// Open are the open problems, by host, workload and kind.
func (m *Machine) Open() (out []Problem) {
	for _, ep := range m.workloads {
		for _, p := range ep.problems() {
			out = append(out, *p)
		}
	}
	for _, e := range m.engines {
		if e.problem != nil {
			out = append(out, *e.problem)
		}
	}
	if m.disk.problem != nil {
		out = append(out, *m.disk.problem)
	}
	slices.SortFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Engine, b.Engine), cmp.Compare(a.Kind, b.Kind))
	})
	return out
}

// Next is when Tick has something to do, zero for never.
func (m *Machine) Next() (next time.Time) {
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, ep := range m.workloads {
		if !m.frozen(ep) {
			earlier(ep.due)
		}
	}
	for _, e := range m.engines {
		earlier(e.due)
	}
	earlier(m.disk.due)
	return next
}

// Tick does what is due.
func (m *Machine) Tick(now time.Time) (out []Change) {
	for _, k := range sortedKeys(m.engines) {
		if e := m.engines[k]; !e.due.IsZero() && !now.Before(e.due) {
			out = append(out, m.evaluateEngine(e, now)...)
		}
	}
	if !m.disk.due.IsZero() && !now.Before(m.disk.due) {
		out = append(out, m.evaluateDisk(now)...)
	}
	for _, k := range sortedKeys(m.workloads) {
		if ep := m.workloads[k]; !ep.due.IsZero() && !now.Before(ep.due) {
			out = append(out, m.evaluate(ep, now)...)
		}
	}
	return out
}

func sortedKeys[V any](m map[key]V) []key {
	keys := make([]key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.name, b.name)) })
	return keys
}

func (m *Machine) episode(k key) *episode {
	ep := m.workloads[k]
	if ep == nil {
		ep = &episode{key: k, containers: map[string]*tallyman.Container{}}
		m.workloads[k] = ep
	}
	return ep
}

// Container takes what the inventory says of a container.
func (m *Machine) Container(c *tallyman.Container, now time.Time) []Change {
	if c.Disabled {
		return nil
	}
	ep := m.episode(key{c.Host, c.Workload.Key})
	known := ep.containers[c.ID]
	if c.State == tallyman.Gone {
		if known == nil && len(ep.containers) > 0 {
			return nil // it was told of long ago
		}
		ep.gone(c, now)
		return m.evaluate(ep, now)
	}
	ep.containers[c.ID] = c
	first := !ep.seen
	ep.seen = true
	ep.take(first, now)
	if known == nil || !known.Started.Equal(c.Started) {
		m.countStart(c)
	}
	return m.evaluate(ep, now)
}

// countStart notes starts of plain containers, of which a host that runs jobs has many.
func (m *Machine) countStart(c *tallyman.Container) {
	if !c.Started.IsZero() && classOf(c) == Plain {
		s := append(m.starts[c.Host], c.Started)
		m.starts[c.Host] = s[max(0, len(s)-jobsPerHour-1):]
	}
}

// Event takes what happened.
func (m *Machine) Event(e tallyman.Event, now time.Time) []Change {
	if e.Type != "container" || e.Actor == "" {
		return nil
	}
	k := key{e.Host, cmp.Or(e.Workload, e.Name)}
	if m.workloads[k] == nil && (e.Action == "destroy" || e.Action == "stop") {
		return nil // there is nothing that it could end
	}
	ep := m.episode(k)
	ep.happened(e, now)
	if e.Action == "stop" && m.nearEngine(ep, e.Time) {
		ep.byHand = false // the engine did it, and tells of it now that it is back
	}
	return m.evaluate(ep, now)
}

// Engine takes the state of an engine. boot is when its host was started, zero when that
// is not known.
func (m *Machine) Engine(s tallyman.EngineStatus, boot, now time.Time) (out []Change) {
	e := m.engine(key{s.Host, s.Name})
	e.boot = boot
	if !s.Up && s.Failure == "" {
		return nil // it was not asked yet
	}
	kind := EngineDown
	if s.Failure == tallyman.EngineSilent {
		kind = HostSilent
	}
	if e.known && e.up == s.Up && (s.Up || e.kind == kind) {
		return nil
	}
	e.kind = kind
	was := e.since
	first := !e.known
	e.turned = !first
	e.known, e.up, e.since = true, s.Up, cmp.Or(s.Since, now)
	if e.problem != nil && first {
		e.since = now // it was down when the process before ended
	}
	out = m.evaluateEngine(e, now)
	for _, k := range sortedKeys(m.workloads) {
		ep := m.workloads[k]
		if k.host != s.Host || ep.c == nil || ep.c.Engine != s.Name {
			continue
		}
		// What it stopped on its own way down or up was not stopped by hand.
		if ep.byHand && now.Sub(ep.stopped) < engineNear {
			ep.byHand = false
		}
		if s.Up {
			if !first {
				ep.shift(e.since.Sub(was))
			}
			if ep.ranBefore > 0 {
				ep.lostSince, ep.outage = now, !first
			}
		} else {
			ep.ranBefore = max(ep.ranBefore, ep.up(now))
		}
		out = append(out, m.evaluate(ep, now)...)
	}
	return out
}

// frozen reports whether the engine of a workload is down, so that nothing can be told.
func (m *Machine) frozen(ep *episode) bool {
	if ep.c == nil {
		return false
	}
	e := m.engines[key{ep.key.host, ep.c.Engine}]
	return e != nil && e.known && !e.up
}

// engine is the state of one engine.
type engine struct {
	key     key
	known   bool
	turned  bool // it has gone down or come up since it was first known
	up      bool
	kind    Kind // of its problem while it is not up
	since   time.Time
	boot    time.Time
	due     time.Time
	problem *Problem
}

func (m *Machine) engine(k key) *engine {
	e := m.engines[k]
	if e == nil {
		e = &engine{key: k}
		m.engines[k] = e
	}
	return e
}

// evaluateEngine opens and closes the problem of an engine.
func (m *Machine) evaluateEngine(e *engine, now time.Time) (out []Change) {
	e.due = time.Time{}
	switch {
	case !e.up && e.problem == nil:
		if at := e.since.Add(engineDown); now.Before(at) {
			e.due = at
			return nil
		}
		e.problem = &Problem{Kind: e.kind, Host: e.key.host, Engine: e.key.name, Project: e.key.host, Since: now.UTC(), Began: e.since.UTC()}
		m.open++
		return []Change{{Opened, *e.problem}}
	case !e.up && e.problem.Kind != e.kind: // it is known now why, or no more
		p := *e.problem
		p.Ended, p.Reason = now.UTC(), "another problem has taken its place"
		e.problem = &Problem{Kind: e.kind, Host: e.key.host, Engine: e.key.name, Project: e.key.host, Since: now.UTC(), Began: e.since.UTC()}
		return []Change{{Closed, p}, {Opened, *e.problem}}
	case e.up && e.problem != nil:
		if at := e.since.Add(engineUp); now.Before(at) {
			e.due = at
			return nil
		}
		p := e.problem
		e.problem = nil
		m.open--
		p.Ended, p.Reason = now.UTC(), "the engine answers again"
		if p.Kind == HostSilent {
			p.Reason = "its tallyman is heard again"
		}
		return []Change{{Closed, *p}}
	}
	return nil
}

// disk is where tallyman keeps what it has.
type disk struct {
	host    string
	full    bool
	since   time.Time
	due     time.Time
	problem *Problem
}

// Disk takes whether there is room on the disk of tallyman's host for what it keeps.
func (m *Machine) Disk(host string, full bool, now time.Time) []Change {
	if m.disk.full == full && !m.disk.since.IsZero() {
		return nil
	}
	m.disk.host, m.disk.full, m.disk.since = host, full, now
	return m.evaluateDisk(now)
}

// evaluateDisk opens and closes the problem of the disk.
func (m *Machine) evaluateDisk(now time.Time) []Change {
	d := &m.disk
	d.due = time.Time{}
	wait := roomGone
	if d.problem != nil {
		wait = roomAgain
	}
	if d.full == (d.problem != nil) {
		return nil
	}
	if at := d.since.Add(wait); now.Before(at) {
		d.due = at
		return nil
	}
	if d.full {
		d.problem = &Problem{Kind: DiskFull, Host: d.host, Project: d.host, Since: now.UTC(), Began: d.since.UTC()}
		m.open++
		return []Change{{Opened, *d.problem}}
	}
	p := d.problem
	d.problem = nil
	m.open--
	p.Ended, p.Reason = now.UTC(), "there is room again"
	return []Change{{Closed, *p}}
}

// nearEngine reports whether the engine of a workload went down or came up around a
// time.
func (m *Machine) nearEngine(ep *episode, t time.Time) bool {
	if ep.c == nil {
		return false
	}
	e := m.engines[key{ep.key.host, ep.c.Engine}]
	return e != nil && e.known && e.turned && e.since.Sub(t).Abs() < engineNear
}

// startedSince reports whether an engine, or its host, was started after a death: then
// the death was part of going down.
func (m *Machine) startedSince(ep *episode, d death) bool {
	if ep.c == nil {
		return false
	}
	e := m.engines[key{ep.key.host, ep.c.Engine}]
	if e == nil {
		return false
	}
	return d.inferred && (e.boot.After(d.at) || e.known && e.up && e.since.After(d.at) && e.since.Sub(d.at) < engineNear) || e.known && !e.up && e.since.Sub(d.at).Abs() < engineNear
}

func classOf(c *tallyman.Container) string {
	policy, _, _ := strings.Cut(c.RestartPolicy, ":")
	if policy != "" && policy != "no" || c.Workload.Origin == "compose" || c.Workload.Origin == "swarm" {
		return Service
	}
	return Plain
}

// restarts reports whether the engine starts a container again that ends with a code.
func restarts(c *tallyman.Container, code string) bool {
	policy, _, _ := strings.Cut(c.RestartPolicy, ":")
	switch policy {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != "0"
	}
	return false
}

// gaveUp reports whether the engine has tried to start a container as often as its
// policy says.
func gaveUp(c *tallyman.Container) bool {
	policy, most, limited := strings.Cut(c.RestartPolicy, ":")
	n, err := strconv.Atoi(most)
	return policy == "on-failure" && limited && err == nil && c.State == tallyman.Exited && c.RestartCount >= n
}

// isJob reports whether a container that ended after a life is a job, not a service.
func (m *Machine) isJob(c *tallyman.Container, life time.Duration) bool {
	if (c.AutoRemove || c.Workload.OneOff || c.Tty && c.OpenStdin) && life < jobLife {
		return true
	}
	s := m.starts[c.Host]
	return classOf(c) == Plain && len(s) > jobsPerHour && s[len(s)-1].Sub(s[0]) < time.Hour
}
