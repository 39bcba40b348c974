// SPDX-License-Identifier: Apache-2.0

// Package alert raises alarms: it makes problems of what happens, evaluates rules over
// samples, logs and problems, keeps what fires, and tells receivers.
//
//	discover ──events, containers, engines──► problem ──open problems──┐
//	store of samples, logs ─────────────────────────────────────────► rule
//	                                                                   │ pending, firing, resolved
//	             records (source="alarm") ◄── Service ◄────────────────┘
//	                                            │ ▲
//	                          route ◄───────────┘ └── book (alarms/state.log)
//	                            └──► notify: receivers
//
// An alarm is a rule's result for one set of labels: pending, firing, cleared. Each
// transition is a record with source="alarm", in the store of records for as long as
// events. The state is in [book] before anybody is told, so that after a kill nothing is
// forgotten and nothing said twice.
//
// What is alarmed of a container it may say itself, by labels; see label.go. Those that
// its image brings along may lower a severity, and no more.
package alert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"

	"tallyman"
	"tallyman/alert/book"
	"tallyman/alert/problem"
	"tallyman/alert/route"
	"tallyman/alert/rule"
	"tallyman/internal/clip"
)

// Options of the service. All fields but Samples, Append, those of LogQL, External, Files, Room,
// Overrides, Heartbeat, Alive, Image and Witness are needed.
type Options struct {
	Dir     string // of the state
	Records tallyman.RecordIntake
	// Inventory finds the container that an alarm is about.
	Inventory tallyman.Inventory
	// Excluded reports whether by the settings nothing is alarmed of a container.
	Excluded func(c *tallyman.Container) bool
	// Image are the labels of a container's image; without it all labels about alarms
	// count as the image's.
	Image func(ctx context.Context, c *tallyman.Container) (map[string]string, error)
	// Room says that there is no room to keep anything, and why; nil is always room.
	// Host is where that is.
	Room func() error
	Host string
	// Boot is when a host was started, zero when that is not known.
	Boot func(host string) time.Time

	Samples         storage.Queryable
	Append          storage.Appendable
	LogQL           func(ctx context.Context, expr string, t time.Time) (promql.Vector, error)
	LogQLRange      func(ctx context.Context, expr string, start, end time.Time, step time.Duration) (promql.Matrix, error)
	CheckLogQL      func(expr string) error
	LogQLBare       func(expr string) (bare, op string, threshold float64, ok bool)
	LogQLLines      func(ctx context.Context, expr string, alarm map[string]string, from, to time.Time, limit int) ([]rule.Line, error)
	Defaults        bool
	Overrides       map[string]rule.Override
	Files, LogFiles []string
	External        *url.URL
	// Warm is how long rules over samples wait after the start.
	Warm time.Duration

	// Heartbeat is asked each minute while all works, empty for none; Alive says what
	// does not work outside of this package.
	Heartbeat string
	Alive     func() error
	// Witness finds out why a container died; nil for nobody.
	Witness *Witness
	Log     *slog.Logger
}

// Router decides who is told of an alarm and when.
type Router interface {
	// Put tells of alarms that fire (Ended is zero) or have cleared. Telling of one
	// again changes nothing.
	Put(ctx context.Context, alarms ...route.Notice) error
	// Run tells until ctx ends.
	Run(ctx context.Context) error
}

// The states of an alarm.
const (
	Pending = "pending"
	Firing  = "firing"
	Cleared = "cleared"
)

// Alarm is a rule's result for one set of labels, and how it went.
type Alarm struct {
	// ID is of this alarm alone: its labels, and when it began.
	ID string `json:"id"`
	// N counts its transitions.
	N     int    `json:"n"`
	Rule  string `json:"rule"`
	State string `json:"state"`
	// Severity is critical, warning or info, the last of which nobody is told of.
	Severity string `json:"severity,omitempty"`
	Host     string `json:"host,omitempty"`
	Workload string `json:"workload,omitempty"`
	Name     string `json:"name,omitempty"`
	Image    string `json:"image,omitempty"`
	// Summary is one sentence for people, Advice what to do.
	Summary string            `json:"summary,omitempty"`
	Advice  string            `json:"advice,omitempty"`
	Labels  map[string]string `json:"labels"`
	Value   float64           `json:"value"`
	// At is the time of the transition.
	At        time.Time `json:"at"`
	ActiveAt  time.Time `json:"activeAt"`
	FiredAt   time.Time `json:"firedAt,omitzero"`
	ClearedAt time.Time `json:"clearedAt,omitzero"`
	// Reason is why it has cleared.
	Reason string `json:"reason,omitempty"`
	// Why is what is known of the death that it is about.
	Why *Why `json:"why,omitempty"`
}

// Service raises alarms. It implements the observers of discovery.
type Service struct {
	o      Options
	router Router // nil for nobody
	book   *book.Book
	engine *rule.Engine

	mu      sync.Mutex
	machine *problem.Machine
	changes []problem.Change           // to be kept
	reasons map[string]ended           // why problems have ended, by host, workload and kind
	alarms  map[string]*Alarm          // that fire, by the fingerprint of their labels
	queue   []Alarm                    // transitions that are to be recorded
	saved   map[string]string          // the groups of the rules of which the book has something, by key
	looked  []string                   // names of groups that were evaluated, and not looked at yet
	details map[string]problem.Problem // that are open, by key
	choices map[string]*choice         // by host and workload, of those that ask for something
	images  map[string]map[string]string
	names   []string // of rules

	wake, evaluated, records, resolve chan struct{}

	fired, cleared, lost atomic.Uint64
	beats                struct{ sent, failed atomic.Uint64 }
}

type ended struct {
	reason string
	at     time.Time
}

var (
	_ tallyman.ContainerObserver = (*Service)(nil)
	_ tallyman.EngineObserver    = (*Service)(nil)
	_ tallyman.EventObserver     = (*Service)(nil)
)

// maxQueue is how many transitions wait for the store of records.
const maxQueue = 10_000

// Open reads the state and loads the rules; Run evaluates them.
func Open(o Options) (*Service, error) {
	b, err := book.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Service{o: o, book: b, machine: problem.New(), reasons: map[string]ended{}, alarms: map[string]*Alarm{}, saved: map[string]string{},
		details: map[string]problem.Problem{}, choices: map[string]*choice{}, images: map[string]map[string]string{}, resolve: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		evaluated: make(chan struct{}, 1), records: make(chan struct{}, 1)}
	var open []problem.Problem
	for _, text := range b.All(book.Problems) {
		var p problem.Problem
		if json.Unmarshal(text, &p) == nil && p.Kind != "" {
			open = append(open, p)
			s.details[problemKey(&p)] = p
		}
	}
	slices.SortFunc(open, func(a, b problem.Problem) int { return a.Since.Compare(b.Since) })
	s.machine.Restore(open)
	var active []rule.Active
	for key, text := range b.All(book.Alarms) {
		var kept keptAlarm
		if json.Unmarshal(text, &kept) != nil {
			continue
		}
		s.saved[key] = kept.Group
		active = append(active, kept.Active)
		if kept.Alarm != nil {
			s.alarms[key] = kept.Alarm
		}
	}
	s.engine, err = rule.New(rule.Options{
		Samples: o.Samples, Append: o.Append, LogQL: o.LogQL, LogQLRange: o.LogQLRange, CheckLogQL: o.CheckLogQL, LogQLBare: o.LogQLBare, LogQLLines: o.LogQLLines, Problems: s.openProblems, Builtin: o.Defaults, Overrides: o.Overrides,
		Files: o.Files, LogFiles: o.LogFiles, External: o.External, Warm: o.Warm, Active: active, Evaluated: s.groupEvaluated, Notify: s.told, Log: o.Log,
		Wish: s.wish, Thresholds: s.thresholds, Blind: s.blind,
	})
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	for _, r := range s.engine.AlertingRules() {
		if !slices.Contains(s.names, r.Name()) {
			s.names = append(s.names, r.Name())
		}
	}
	return s, nil
}

// keptAlarm is what the book has of one alert of a rule: how the rule sees it, and the
// alarm once it has fired.
type keptAlarm struct {
	rule.Active
	Alarm *Alarm `json:"alarm,omitempty"`
}

// Rules are the rules with their state, as Prometheus' API wants them.
func (s *Service) Rules() *rule.Engine { return s.engine }

// Book is where the state is kept, for those who tell people.
func (s *Service) Book() *book.Book { return s.book }

// SetRouter says who tells people. It must be called before Run.
func (s *Service) SetRouter(r Router) { s.router = r }

// ObserveContainer implements tallyman.ContainerObserver.
func (s *Service) ObserveContainer(c *tallyman.Container) {
	s.choose(c)
	if s.o.Excluded != nil && s.o.Excluded(c) {
		return
	}
	s.apply(func(now time.Time) []problem.Change { return s.machine.Container(c, now) })
}

// ObserveEngine implements tallyman.EngineObserver.
func (s *Service) ObserveEngine(e tallyman.EngineStatus) {
	boot := time.Time{}
	if s.o.Boot != nil {
		boot = s.o.Boot(e.Host)
	}
	s.apply(func(now time.Time) []problem.Change { return s.machine.Engine(e, boot, now) })
}

// ObserveEvent implements tallyman.EventObserver.
func (s *Service) ObserveEvent(e tallyman.Event) {
	if s.o.Excluded != nil && e.Type == "container" {
		if c, ok := s.o.Inventory.Container(e.Actor); ok && s.o.Excluded(c) {
			return
		}
	}
	s.apply(func(now time.Time) []problem.Change { return s.machine.Event(e, now) })
}

// apply gives the machine something, and has what came of it kept by Run.
func (s *Service) apply(f func(now time.Time) []problem.Change) {
	s.mu.Lock()
	changes := f(time.Now())
	for i := range changes {
		p := &changes[i].Problem
		key := problemKey(p)
		switch changes[i].Op {
		case problem.Closed:
			s.reasons[key] = ended{p.Reason, p.Ended}
			delete(s.details, key)
		default:
			s.details[key] = *p
		}
	}
	s.changes = append(s.changes, changes...)
	s.mu.Unlock()
	poke(s.wake) // there may be a timer, too
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func problemKey(p *problem.Problem) string {
	of := p.Workload
	if p.Kind == problem.EngineDown || p.Kind == problem.HostSilent {
		of = p.Engine
	}
	return strings.Join([]string{p.Host, of, string(p.Kind)}, "\x00")
}

// key is that of the problem that an alarm is about.
func (x *Alarm) key() string {
	return strings.Join([]string{x.Host, cmp.Or(x.Workload, x.Labels["engine"]), x.Labels["kind"]}, "\x00")
}

func (s *Service) openProblems() []problem.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(s.machine.Open(), func(p problem.Problem) bool { return s.silent(p.Host, p.Workload) })
}

// Problems are the open ones.
func (s *Service) Problems() []problem.Problem { return s.openProblems() }

// Run evaluates rules and keeps what comes of them, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.record(ctx) })
	if s.o.Image != nil {
		wg.Go(func() { s.resolver(ctx) })
	}
	wg.Go(func() { _ = s.book.Run(ctx) })
	// All that fires is told before anything is evaluated: of a group of which one
	// alarm is missing, receivers would be told that it has ended.
	s.tellAll(ctx)
	if s.o.Heartbeat != "" {
		wg.Go(func() { s.heartbeat(ctx) })
	}
	if s.router != nil {
		wg.Go(func() {
			if err := s.router.Run(ctx); err != nil {
				s.o.Log.Error("nobody is told of alarms any more", "err", err)
			}
		})
	}
	wg.Go(func() {
		if err := s.engine.Run(ctx); err != nil {
			s.o.Log.Error("the rules have ended", "err", err)
		}
	})
	s.timers(ctx)
	wg.Wait()
	return nil
}

// blind reports whether nothing is kept at present.
func (s *Service) blind() bool { return s.o.Room != nil && s.o.Room() != nil }

// roomEvery is how often is looked whether there is room.
const roomEvery = 10 * time.Second

// timers moves the machine on, and keeps what has changed.
func (s *Service) timers(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	room := time.NewTicker(roomEvery)
	defer room.Stop()
	s.keepActive() // what the book has of rules that are no more ends
	for {
		select {
		case <-ctx.Done():
			s.keepProblems()
			s.keepActive()
			return
		case <-timer.C:
			s.apply(s.machine.Tick)
		case <-s.wake:
		case <-room.C:
			full := s.blind()
			s.apply(func(now time.Time) []problem.Change { return s.machine.Disk(s.o.Host, full, now) })
		case <-s.evaluated:
			s.mu.Lock()
			groups := s.looked
			s.looked = nil
			s.mu.Unlock()
			if len(groups) > 0 {
				s.keepActive(groups...)
			}
		}
		if s.keepProblems() {
			s.engine.ProblemsChanged()
		}
		s.mu.Lock()
		next := s.machine.Next()
		s.mu.Unlock()
		if next.IsZero() {
			next = time.Now().Add(time.Hour)
		}
		timer.Reset(max(time.Until(next), 0))
	}
}

// keepProblems writes what has become of problems, and reports whether any has.
func (s *Service) keepProblems() bool {
	s.mu.Lock()
	changes := s.changes
	s.changes = nil
	s.mu.Unlock()
	for _, c := range changes {
		key := problemKey(&c.Problem)
		var err error
		if c.Op == problem.Closed {
			err = s.book.Delete(book.Problems, key)
		} else if text, bad := json.Marshal(c.Problem); bad == nil {
			err = s.book.Put(book.Problems, key, text)
		}
		s.failed(err)
	}
	return len(changes) > 0
}

func (s *Service) failed(err error) {
	if err != nil {
		s.o.Log.Error("the state of alarms is not kept; after a restart something may be told twice", "err", err)
	}
}

// fingerprint names a set of labels.
func fingerprint(labels map[string]string) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(h, "%s\xff%s\xff", name, labels[name])
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// told takes what a rule tells, which it does again each minute.
func (s *Service) told(ctx context.Context, _ string, alerts ...*rules.Alert) {
	var notices []route.Notice
	why := s.witness(ctx, alerts)
	s.mu.Lock()
	for _, a := range alerts {
		labels := a.Labels.Map()
		key := fingerprint(labels)
		known := s.alarms[key]
		switch {
		case a.ResolvedAt.IsZero() && known != nil && known.ActiveAt.Equal(a.ActiveAt.UTC()):
			known.Value = a.Value
			continue
		case a.ResolvedAt.IsZero():
			known = s.newAlarm(a, labels)
			known.Why = why[key]
			s.alarms[key] = known
			s.fired.Add(1)
		case known == nil:
			continue // it was told
		default:
			known.State, known.At, known.ClearedAt, known.N = Cleared, a.ResolvedAt.UTC(), a.ResolvedAt.UTC(), known.N+1
			known.Reason = s.reasonOf(known)
			delete(s.alarms, key)
			s.cleared.Add(1)
		}
		s.enqueue(*known)
		notices = append(notices, s.notice(known))
		s.keepOne(key, a, known)
	}
	s.mu.Unlock()
	if len(notices) == 0 {
		return
	}
	poke(s.records)
	if s.router != nil {
		if err := s.router.Put(ctx, notices...); err != nil {
			s.o.Log.Error("alarms cannot be handed to those who tell people", "err", err)
		}
	}
}

// whyPatience is how long is waited for the reasons of deaths, before an alarm is told
// without.
const whyPatience = 500 * time.Millisecond

// witness finds out why those died that alerts are about which fire for the first time.
func (s *Service) witness(ctx context.Context, alerts []*rules.Alert) map[string]*Why {
	if s.o.Witness == nil {
		return nil
	}
	out := map[string]*Why{}
	ctx, cancel := context.WithTimeout(ctx, whyPatience)
	defer cancel()
	for _, a := range alerts {
		switch problem.Kind(a.Labels.Get("kind")) {
		case problem.Crash, problem.OOM, problem.RestartLoop, problem.NotRunning, problem.NotStarted:
		default:
			continue
		}
		key := fingerprint(a.Labels.Map())
		s.mu.Lock()
		p, open := s.details[strings.Join([]string{a.Labels.Get("host"), a.Labels.Get("workload"), a.Labels.Get("kind")}, "\x00")]
		told := s.alarms[key] != nil
		s.mu.Unlock()
		if !open || told || !a.ResolvedAt.IsZero() {
			continue
		}
		if y, err := s.o.Witness.Why(ctx, p.Container, time.Now()); err == nil {
			out[key] = y
		}
	}
	return out
}

// newAlarm makes an alarm of what a rule tells, whose labels it takes over. The lock is
// held.
func (s *Service) newAlarm(a *rules.Alert, labels map[string]string) *Alarm {
	key := fingerprint(labels)
	if severity := s.severity(labels); severity != "" {
		labels["severity"] = severity
	}
	x := &Alarm{
		Rule: labels["alertname"], State: Firing, N: 1, Severity: labels["severity"], Host: labels["host"], Workload: labels["workload"],
		Summary: a.Annotations.Get("summary"), Advice: a.Annotations.Get("advice"), Labels: labels, Value: a.Value,
		At: a.FiredAt.UTC(), ActiveAt: a.ActiveAt.UTC(), FiredAt: a.FiredAt.UTC(),
	}
	x.ID = fmt.Sprintf("%s-%x", key, x.ActiveAt.UnixMilli())
	if c := s.containerOf(x); c != nil {
		x.Name, x.Image = c.Name, c.Image
	}
	if p, ok := s.details[x.key()]; ok {
		x.Summary = sentence(x.Summary, &p)
		x.Name, x.Image = cmp.Or(p.Name, x.Name), cmp.Or(p.Image, x.Image)
	}
	return x
}

// sentence adds to the summary of a rule what is known of the problem.
func sentence(summary string, p *problem.Problem) string {
	var more []string
	add := func(format string, args ...any) { more = append(more, fmt.Sprintf(format, args...)) }
	switch p.Kind {
	case problem.RestartLoop:
		if p.Deaths > 0 {
			add("%d times in %s", p.Deaths, inWords(max(p.Died.Sub(p.Began), time.Second)))
		}
	case problem.OOMInside, problem.Unhealthy:
		if p.Turns > 1 {
			add("%d times", p.Turns)
		}
	case problem.NotRunning:
		if p.GaveUp {
			add("the engine gave up after %d deaths", p.Deaths)
		}
	}
	if p.ExitCode != "" && p.Kind != problem.NotStarted {
		add("exit %s", p.ExitCode)
	}
	if p.Text != "" {
		add("%s", clip.Text(p.Text, 300))
	}
	if p.Already {
		add("already so when tallyman started")
	}
	if len(more) == 0 {
		return summary
	}
	return summary + ": " + strings.Join(more, ", ")
}

// inWords is a time as people say it.
func inWords(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}

// containerOf is the newest container of the workload that an alarm is about.
func (s *Service) containerOf(x *Alarm) (best *tallyman.Container) {
	if x.Workload == "" {
		return nil
	}
	for _, c := range s.o.Inventory.Containers() {
		if c.Host == x.Host && c.Workload.Key == x.Workload && (best == nil || c.Alive() && !best.Alive() || c.Alive() == best.Alive() && c.Started.After(best.Started)) {
			best = c
		}
	}
	return best
}

// reasonOf is why an alarm has cleared. The lock is held.
func (s *Service) reasonOf(x *Alarm) string {
	if r, ok := s.reasons[x.key()]; ok {
		return r.reason
	}
	return "the condition no longer holds"
}

// notice is how an alarm is told. A project holds together what belongs together.
func (s *Service) notice(x *Alarm) route.Notice {
	labels := maps.Clone(x.Labels)
	if labels["project"] == "" {
		if c := s.containerOf(x); c != nil {
			labels["project"] = c.Workload.Project
		}
		// What an engine has is no part of what its host has: it is told at once.
		labels["project"] = cmp.Or(labels["project"], x.Workload, x.Labels["engine"], x.Host)
	}
	n := route.Notice{Labels: labels, Annotations: map[string]string{"summary": x.Summary, "advice": x.Advice, "id": x.ID}, Started: x.ActiveAt, Ended: x.ClearedAt}
	why, lines := "", ""
	if x.Why != nil {
		why = x.Why.Guess
		for _, l := range x.Why.Lines[max(0, len(x.Why.Lines)-8):] {
			lines += l.Text + "\n"
		}
	}
	for name, value := range map[string]string{"name": x.Name, "image": x.Image, "reason": x.Reason, "why": why, "lines": lines} {
		if value != "" {
			n.Annotations[name] = value
		}
	}
	if s.o.External != nil {
		to := *s.o.External
		to.Path = strings.TrimSuffix(to.Path, "/") + "/alarms"
		to.RawQuery = url.Values{"id": {x.ID}}.Encode()
		n.Link = to.String()
	}
	return n
}

// tellAll tells of everything that fires, at the start.
func (s *Service) tellAll(ctx context.Context) {
	s.mu.Lock()
	var notices []route.Notice
	for _, key := range slices.Sorted(maps.Keys(s.alarms)) {
		notices = append(notices, s.notice(s.alarms[key]))
	}
	s.mu.Unlock()
	if len(notices) > 0 && s.router != nil {
		if err := s.router.Put(ctx, notices...); err != nil {
			s.o.Log.Error("alarms cannot be handed to those who tell people", "err", err)
		}
	}
}

// keepOne writes one alert of a rule with its alarm. The lock is held.
func (s *Service) keepOne(key string, a *rules.Alert, x *Alarm) {
	if x.State == Cleared {
		delete(s.saved, key)
		s.failed(s.book.Delete(book.Alarms, key))
		return
	}
	group := ""
	for _, g := range s.engine.RuleGroups() {
		for _, r := range g.AlertingRules() {
			if r.Name() == x.Rule {
				group = g.Name()
			}
		}
	}
	s.write(key, keptAlarm{rule.Active{Group: group, Rule: x.Rule, Labels: a.Labels.Map(), Value: a.Value, Firing: true, ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, KeepSince: a.KeepFiringSince}, x})
}

func (s *Service) write(key string, kept keptAlarm) {
	text, err := json.Marshal(kept)
	if err != nil || bytes.Equal(s.book.Get(book.Alarms, key), text) {
		return
	}
	s.saved[key] = kept.Group
	s.failed(s.book.Put(book.Alarms, key, text))
}

// groupEvaluated has Run look at what is pending and firing of a group.
func (s *Service) groupEvaluated(name string) {
	s.mu.Lock()
	if !slices.Contains(s.looked, name) {
		s.looked = append(s.looked, name)
	}
	s.mu.Unlock()
	poke(s.evaluated)
}

// keepActive writes what is pending and firing of groups, of all without any, so far as
// it has changed.
func (s *Service) keepActive(groups ...string) {
	active := s.engine.Active(groups...)
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range active {
		key := fingerprint(a.Labels)
		seen[key] = true
		a.Value = 0 // it changes each time, and is asked for anew
		s.write(key, keptAlarm{a, s.alarms[key]})
	}
	for key, group := range s.saved {
		if len(groups) > 0 && !slices.Contains(groups, group) {
			continue
		}
		if !seen[key] && s.alarms[key] == nil {
			delete(s.saved, key)
			s.failed(s.book.Delete(book.Alarms, key))
		}
	}
	for key, r := range s.reasons {
		if time.Since(r.at) > time.Hour {
			delete(s.reasons, key)
		}
	}
}

// enqueue has a transition recorded. The lock is held.
func (s *Service) enqueue(x Alarm) {
	if len(s.queue) >= maxQueue {
		s.queue = s.queue[1:]
		s.lost.Add(1)
	}
	s.queue = append(s.queue, x)
}

// record writes transitions into the store of records, until ctx ends.
func (s *Service) record(ctx context.Context) {
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for i := range queue {
			if err := s.o.Records.TakeRecords(ctx, recordOf(&queue[i])); err != nil && ctx.Err() != nil {
				return
			}
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.records:
		}
	}
}

// recordOf is a transition as a record.
func recordOf(x *Alarm) *tallyman.RecordBatch {
	l := []tallyman.Label{{Name: "host", Value: x.Host}, {Name: "source", Value: tallyman.SourceAlarm}, {Name: "level", Value: x.Severity},
		{Name: "name", Value: x.Name}, {Name: "workload", Value: x.Workload}, {Name: "image", Value: x.Image}}
	l = slices.DeleteFunc(l, func(l tallyman.Label) bool { return l.Value == "" })
	tallyman.SortLabels(l)
	line, err := json.Marshal(x)
	if err != nil {
		line = fmt.Appendf(nil, "%q", x.ID)
	}
	meta := []tallyman.Label{{Name: "alarm", Value: x.ID}, {Name: "state", Value: x.State}}
	return &tallyman.RecordBatch{
		Streams:   []tallyman.StreamRecords{{Stream: &tallyman.Stream{Labels: l}, Records: []tallyman.Record{{Time: x.At.UnixNano(), Line: line, Meta: meta}}}},
		Positions: []tallyman.Position{{Key: "alarm/" + x.ID, Value: strconv.Itoa(x.N)}},
	}
}

// Active are the alarms that are pending or fire, the gravest and newest first.
func (s *Service) Active() (out []Alarm) {
	pending := s.engine.Active()
	s.mu.Lock()
	for _, x := range s.alarms {
		out = append(out, *x)
	}
	s.mu.Unlock()
	for _, a := range pending {
		if a.Firing {
			continue
		}
		s.mu.Lock()
		severity := s.severity(a.Labels)
		s.mu.Unlock()
		x := Alarm{Rule: a.Rule, State: Pending, Severity: severity, Host: a.Labels["host"], Workload: a.Labels["workload"], Labels: a.Labels, Value: a.Value,
			At: a.ActiveAt.UTC(), ActiveAt: a.ActiveAt.UTC()}
		x.ID = fmt.Sprintf("%s-%x", fingerprint(a.Labels), x.ActiveAt.UnixMilli())
		out = append(out, x)
	}
	rank := func(severity string) int { // what is none of ours is as a warning
		if i := severityRank(severity); i >= 0 {
			return i
		}
		return severityRank(rule.Warning)
	}
	slices.SortFunc(out, func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(rank(a.Severity), rank(b.Severity)), b.ActiveAt.Compare(a.ActiveAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Close closes the state.
func (s *Service) Close() error { return s.book.Close() }

// SelfMetrics are the service's own numbers.
func (s *Service) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	return append(s.engine.SelfMetrics(), []tallyman.SelfMetric{
		{Desc: firedTotal, Read: read(&s.fired)},
		{Desc: clearedTotal, Read: read(&s.cleared)},
		{Desc: lostTotal, Read: read(&s.lost)},
		{Desc: beatsTotal, Read: read(&s.beats.sent)},
		{Desc: beatsFailed, Read: read(&s.beats.failed)},
		{Desc: openNow, Read: func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.details))
		}},
		{Desc: firingNow, Read: func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.alarms))
		}},
		{Desc: stateErrors, Read: func() float64 { n, _ := s.book.Failures(); return float64(n) }},
	}...)
}

var (
	firedTotal   = &tallyman.Desc{Name: "tallyman_alarms_fired_total", Type: tallyman.Counter, Help: "Alarms that have fired"}
	clearedTotal = &tallyman.Desc{Name: "tallyman_alarms_cleared_total", Type: tallyman.Counter, Help: "Alarms that have cleared"}
	lostTotal    = &tallyman.Desc{Name: "tallyman_alarm_records_lost_total", Type: tallyman.Counter, Help: "Transitions of alarms that were not recorded since too many waited for the store"}
	beatsTotal   = &tallyman.Desc{Name: "tallyman_heartbeats_sent_total", Type: tallyman.Counter, Help: "Heartbeats that were answered"}
	beatsFailed  = &tallyman.Desc{Name: "tallyman_heartbeats_failed_total", Type: tallyman.Counter, Help: "Heartbeats that were not answered well"}
	openNow      = &tallyman.Desc{Name: "tallyman_problems_open", Type: tallyman.Gauge, Help: "Problems of workloads and engines that are open"}
	firingNow    = &tallyman.Desc{Name: "tallyman_alarms_firing", Type: tallyman.Gauge, Help: "Alarms that fire"}
	stateErrors  = &tallyman.Desc{Name: "tallyman_alarm_state_errors_total", Type: tallyman.Counter, Help: "Changes of the state of alarms that could not be written"}
)
