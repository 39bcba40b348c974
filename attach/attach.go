// SPDX-License-Identifier: Apache-2.0

// Package attach turns what discovery finds into targets, gives them to the
// sources, and asks all sources for one batch per interval. It is the
// collector.
//
// One goroutine does all of it, so sources need no locks: a hundred containers
// take it some milliseconds each round. Discovery's calls only note what has
// changed; the goroutine takes it up before the next round.
//
// # Rounds
//
// The samples of a round share one timestamp, aligned to the interval. The
// interval is Options.Interval, and Options.LiveInterval as long as somebody
// watches ([Supervisor.Watch]); those rounds are stored too, because what was
// worth watching is worth having afterwards. A round that starts late, by more
// than a twentieth of its interval, carries its true time, so that rates stay
// right on a busy machine. A reader that wants numbers of this very moment
// ([Supervisor.CollectNow]) gets a round that is not stored.
//
// # Containers that do not live long
//
// A container that has just started is asked at once and each second of its first
// minute, by the sources that can be asked for one target alone, and so is one in which
// the kernel has just killed: its cgroup, with the count of kills and its peak, is gone
// some tenths of a second later. Such a part of a round is stored and changes nothing else.
//
// # Failures
//
// A target that a source cannot attach is tried again after two seconds and
// then each minute; until then the reason stands in [Supervisor.Absences]. A
// source that cannot be made at all leaves its rows absent for every target. What
// is absent is asked for each minute too: a kernel may begin to count.
//
// Some sources take the place of others (SourceKind.Replaces): the engine's stats
// API that of the kernel's files, for containers whose files are not here. Of
// an engine on another machine it does so at once, of one that should be here
// after the second try: a container that has only just ended is no reason to
// ask the engine.
package attach

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
)

// Sink takes the batches.
type Sink interface {
	// Publish must not keep b. keep asks for storing it.
	Publish(b *tallyman.Batch, keep bool)
}

// Options of a supervisor. All fields but ContainerLabels, Own and SelfMetrics are
// needed.
type Options struct {
	Kinds  []tallyman.SourceKind
	Source tallyman.SourceOptions
	// Own are the options of kinds by name, where they are not the defaults.
	Own map[string]any
	// SelfMetrics are those of the other parts, for the source that exports them.
	SelfMetrics []tallyman.SelfMetric
	Sink        Sink
	Host        string
	// Interval is between rounds, LiveInterval while somebody watches.
	Interval, LiveInterval time.Duration
	// ContainerLabels are the keys of container labels that become labels of
	// series; a trailing * stands for the rest of a key.
	ContainerLabels []string
	// HasDescriptors says why no further container can be watched for want of
	// descriptors; nil means that there is always room.
	HasDescriptors func() error
	// Engines says what is known of an engine's containers beforehand.
	Engines map[string]Engine
	Log     *slog.Logger
}

// Engine is how the containers of one engine are to be collected.
type Engine struct {
	// Host is the name of its machine.
	Host string
	// Remote is set for an engine that is likely on another machine.
	Remote bool
	// API asks for the engine's stats API in place of the kernel's files.
	API bool
}

const (
	// retryFirst and retryEvery are how soon a failed attachment is tried
	// again, the first time and then.
	retryFirst = 2 * time.Second
	retryEvery = time.Minute
	// maxStopped is how many containers that do not run have series: a host that
	// never removes any is not to take the place of those that do.
	maxStopped = 1000
	// noteAfter is how soon a source that has taken another's place is asked
	// what it lacks.
	noteAfter = 5 * time.Second
)

// Supervisor runs the sources. It implements
// tallyman.ContainerObserver.
type Supervisor struct {
	o        Options
	sources  []source
	watching map[tallyman.TargetKind][]source // those that watch targets of a kind
	listed   []source                         // of those that watch containers, also when they do not run
	stopped  int                              // containers that do not run and are attached
	running  int                              // containers that run and are attached
	missing  []missing                        // sources that could not be made
	fixed    []*attachment
	attached map[tallyman.TargetKey]*attachment // containers, and services in them

	// unread is set when a container was attached after the last round.
	unread bool
	// rounded is the time of the last round, last of that or of a part after it; next is
	// when a round is due.
	rounded, last, next time.Time
	// young are the containers that have just started, first those of which there is no
	// number yet.
	young []*attachment
	first []*tallyman.Target

	wake   chan struct{}
	demand chan chan struct{}

	mu      sync.Mutex
	pending map[string]*tallyman.Container
	killed  []string // containers in which the kernel has killed
	// pendingServices are by their target's id; nil for one that has gone.
	pendingServices map[string]*Served
	watchers        int
	absent          map[tallyman.TargetKey][]tallyman.Absence
	instead         map[tallyman.TargetKey]Replaced

	panics atomic.Uint64
	counts struct {
		rounds, late uint64
		parts        uint64
		seconds      float64
		last         float64
	}
}

var (
	_ tallyman.ContainerObserver = (*Supervisor)(nil)
	_ tallyman.OOMObserver       = (*Supervisor)(nil)
)

type source struct {
	tallyman.Source
	kind tallyman.SourceKind
	// fault is the panic that has ended it, nil while it works.
	fault *string
}

// missing is a source that could not be made.
type missing struct {
	kind tallyman.SourceKind
	err  error
}

// New makes the sources. A source that cannot be made is logged and absent.
func New(o Options) *Supervisor {
	s := &Supervisor{
		o:               o,
		watching:        map[tallyman.TargetKind][]source{},
		attached:        map[tallyman.TargetKey]*attachment{},
		wake:            make(chan struct{}, 1),
		demand:          make(chan chan struct{}),
		pending:         map[string]*tallyman.Container{},
		pendingServices: map[string]*Served{},
		absent:          map[tallyman.TargetKey][]tallyman.Absence{},
		instead:         map[tallyman.TargetKey]Replaced{},
	}
	for _, k := range o.Kinds {
		src, err := s.make(k)
		if err != nil {
			o.Log.Error("a source cannot work here; what it gives is absent", "source", k.Name, "err", err)
			s.missing = append(s.missing, missing{k, err})
			continue
		}
		if e, ok := src.(tallyman.SelfExporter); ok {
			e.Export(append(slices.Clip(o.SelfMetrics), s.SelfMetrics()...))
		}
		one := source{src, k, new(string)}
		s.sources = append(s.sources, one)
		for _, t := range k.Targets {
			s.watching[t] = append(s.watching[t], one)
		}
		if k.Listed && k.Watches(tallyman.ContainerTarget) {
			s.listed = append(s.listed, one)
		}
	}
	return s
}

// make makes the source of a kind.
func (s *Supervisor) make(k tallyman.SourceKind) (tallyman.Source, error) {
	o := s.o.Source
	o.Log, o.Own = s.o.Log.With("source", k.Name), s.o.Own[k.Name]
	if k.Poll == nil {
		return k.New(o)
	}
	p, err := k.Poll(o)
	if err != nil {
		return nil, err
	}
	return newPolling(k.Name, p, o.Log, &s.panics), nil
}

// ObserveContainer notes a container for the next round.
func (s *Supervisor) ObserveContainer(c *tallyman.Container) {
	s.mu.Lock()
	s.pending[c.ID] = c
	s.mu.Unlock()
	s.poke()
}

func (s *Supervisor) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Watch shortens the interval until the returned function is called; calling
// that twice is harmless.
func (s *Supervisor) Watch() (release func()) {
	s.watch(1)
	return sync.OnceFunc(func() { s.watch(-1) })
}

func (s *Supervisor) watch(n int) {
	s.mu.Lock()
	s.watchers += n
	s.mu.Unlock()
	s.poke()
}

// Interval is the one in force now.
func (s *Supervisor) Interval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers > 0 {
		return min(s.o.LiveInterval, s.o.Interval)
	}
	return s.o.Interval
}

// CollectNow runs a round now and returns when its values are the latest ones. The
// round is not stored.
func (s *Supervisor) CollectNow(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.demand <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Absences are the values of a target that cannot be known, with reasons.
func (s *Supervisor) Absences(t tallyman.TargetKey) []tallyman.Absence {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.absent[t]
}

// fresh is how old the latest round may be to count as of this moment.
const fresh = 900 * time.Millisecond

// Run collects until ctx ends, then closes the sources.
func (s *Supervisor) Run(ctx context.Context) error {
	defer func() {
		for _, src := range s.sources {
			if err := src.Close(); err != nil {
				s.o.Log.Warn("a source did not close cleanly", "source", src.kind.Name, "err", err)
			}
		}
	}()
	s.attachFixed()
	var b tallyman.Batch
	// Two rounds at once give the first rates.
	s.round(&b, time.Now().Truncate(time.Millisecond), true)
	for _, a := range s.fixed { // the first round has found out what is there
		s.note(a)
	}
	s.next = s.last.Add(min(time.Second, s.Interval()))
	timer := time.NewTimer(time.Until(s.next))
	defer timer.Stop()
	young := time.NewTimer(0)
	defer young.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
			s.lookAtKilled(&b)
			s.apply()
			if len(s.first) > 0 {
				s.lookAtFirst(&b)
				young.Reset(untilYoung())
			}
			retry.Reset(s.untilRetry())
			// A watcher may have come.
			if at := s.after(time.Now(), s.rounded); at.Before(s.next) {
				s.next = at
				timer.Reset(time.Until(s.next))
			}
		case now := <-young.C:
			if s.lookAtYoung(&b, now); len(s.young) > 0 {
				young.Reset(untilYoung())
			}
		case now := <-retry.C:
			s.retry(now)
			retry.Reset(s.untilRetry())
		case done := <-s.demand:
			if now := time.Now().Truncate(time.Millisecond); now.Sub(s.rounded) > fresh || s.unread && now.After(s.last) {
				s.round(&b, now, false)
			}
			close(done)
		case <-timer.C:
			t := s.next
			if now := time.Now(); now.Sub(t) > s.Interval()/20 || now.Before(t.Add(-time.Second)) {
				t = now.Truncate(time.Millisecond) // late, or the clock has jumped
				s.counts.late++
			}
			s.round(&b, t, true)
			s.next = s.after(time.Now(), s.rounded)
			timer.Reset(time.Until(s.next))
		}
	}
}

// after is the next aligned moment after now that is not too close to the last
// round.
func (s *Supervisor) after(now, last time.Time) time.Time {
	interval := s.Interval()
	next := now.Truncate(interval).Add(interval)
	if gap := next.Sub(last); gap >= 0 && gap < interval/2 {
		next = next.Add(interval)
	}
	return next
}

func (s *Supervisor) round(b *tallyman.Batch, t time.Time, keep bool) {
	start := time.Now()
	b.Reset(t)
	for _, src := range s.sources {
		s.guarded(src, b, func() { src.Collect(b) })
	}
	s.unread = false
	s.last, s.rounded = t, t
	s.counts.last = time.Since(start).Seconds()
	s.counts.seconds += s.counts.last
	s.counts.rounds++
	s.o.Sink.Publish(b, keep)
}

// guarded asks one source. A panic ends that source, and nothing of it is in the batch.
func (s *Supervisor) guarded(src source, b *tallyman.Batch, ask func()) {
	if *src.fault != "" {
		return
	}
	before := len(b.Samples)
	defer func() {
		if r := recover(); r != nil {
			b.Samples = b.Samples[:before]
			s.broken(src, r)
		}
	}()
	ask()
}

// broken notes that a panic has ended a source.
func (s *Supervisor) broken(src source, panicked any) {
	s.panics.Add(1)
	*src.fault = fmt.Sprint(panicked)
	s.o.Log.Error("a fault has ended a source", "source", src.kind.Name, "panic", panicked, "stack", string(debug.Stack()))
	for a := range s.all {
		a.retryAt = time.Time{} // what is absent now is said at once
	}
	s.poke()
}

// attachFixed attaches what is always there: the host, tallyman itself and the
// engines of the configuration.
func (s *Supervisor) attachFixed() {
	host := []tallyman.Label{{Name: "host", Value: s.o.Host}}
	fixed := []*tallyman.Target{
		{Kind: tallyman.HostTarget, ID: s.o.Host, Job: "node", Instance: s.o.Host, Labels: host},
		{Kind: tallyman.MachineTarget, ID: "/", Job: "cadvisor", Instance: s.o.Host, Labels: host},
		{Kind: tallyman.SelfTarget, ID: "tallyman", Job: "tallyman", Instance: s.o.Host, Labels: host},
	}
	for _, name := range slices.Sorted(maps.Keys(s.o.Engines)) {
		at := s.o.Engines[name].Host
		fixed = append(fixed, &tallyman.Target{Kind: tallyman.EngineTarget, ID: name, Job: "docker", Instance: at,
			Labels: []tallyman.Label{{Name: "engine", Value: name}, {Name: "host", Value: at}}})
	}
	for _, t := range fixed {
		a := newAttachment(t)
		s.fixed = append(s.fixed, a)
		s.attachTo(a)
	}
}

// apply takes up what discovery has noted.
func (s *Supervisor) apply() {
	s.mu.Lock()
	pending := s.pending
	if len(pending) > 0 {
		s.pending = map[string]*tallyman.Container{}
	}
	services := s.pendingServices
	if len(services) > 0 {
		s.pendingServices = map[string]*Served{}
	}
	s.mu.Unlock()
	defer s.applyServices(services) // after their containers
	for id, c := range pending {
		a := s.attached[tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: id}]
		wanted := !c.Disabled && (c.Alive() || c.State != tallyman.Gone && len(s.listed) > 0)
		if a != nil && (!wanted || !same(a.target.Container, c)) {
			s.detach(a)
			a = nil
		}
		switch {
		case a == nil && wanted && (c.Alive() || s.stopped < maxStopped):
			s.attach(c)
		case a != nil && a.target.Container.State != c.State:
			s.tell(a, c)
		}
	}
}

// SelfMetrics are the collector's own numbers; they are read by the collecting
// goroutine itself.
func (s *Supervisor) SelfMetrics() []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		{Desc: rounds, Read: func() float64 { return float64(s.counts.rounds) }},
		{Desc: parts, Read: func() float64 { return float64(s.counts.parts) }},
		{Desc: lateRounds, Read: func() float64 { return float64(s.counts.late) }},
		{Desc: collectSeconds, Read: func() float64 { return s.counts.seconds }},
		{Desc: lastRound, Read: func() float64 { return s.counts.last }},
		{Desc: containers, Read: func() float64 { return float64(s.running) }},
		{Desc: panics, Read: func() float64 { return float64(s.panics.Load()) }},
	}
}

var (
	rounds         = &tallyman.Desc{Name: "tallyman_collect_rounds_total", Type: tallyman.Counter, Help: "Rounds of collection"}
	parts          = &tallyman.Desc{Name: "tallyman_collect_parts_total", Type: tallyman.Counter, Help: "Times that containers were asked between two rounds: in their first minute, and when the kernel killed in them"}
	lateRounds     = &tallyman.Desc{Name: "tallyman_collect_late_rounds_total", Type: tallyman.Counter, Help: "Rounds that started more than a twentieth of the interval late"}
	collectSeconds = &tallyman.Desc{Name: "tallyman_collect_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: "Wall time spent in rounds"}
	lastRound      = &tallyman.Desc{Name: "tallyman_collect_last_round_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Wall time of the last round"}
	containers     = &tallyman.Desc{Name: "tallyman_collect_containers", Type: tallyman.Gauge, Help: "Containers that are collected"}
	panics         = &tallyman.Desc{Name: "tallyman_source_panics_total", Type: tallyman.Counter, Help: "Faults of tallyman that have ended a source of samples, or its polling of one target"}
)
