// SPDX-License-Identifier: Apache-2.0

package services

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/attach"
	"tallyman/attach/inside"
)

// Limits are bounds of what plugins may take.
type Limits struct {
	// PerContainer and PerHost are instances; Series is of one instance that has names for
	// its metrics, Text of one that reads another's text.
	PerContainer, PerHost, Series, Text int
}

// DefaultLimits are those of the documents.
var DefaultLimits = Limits{PerContainer: 16, PerHost: 512, Series: 2000, Text: 10_000}

// Trust is what labels may have done beyond the container.
type Trust struct {
	// Elsewhere lets labels of docker run name other machines, LinkLocal lets anybody name
	// link-local addresses.
	Elsewhere, LinkLocal bool
}

// Options of Services. All but Log are needed.
type Options struct {
	// Choose decides what fits, Resolve gives a wish its values.
	Choose  func(in tallyman.Inside, image map[string]string) ([]tallyman.ServiceWish, []tallyman.ServiceMistake)
	Resolve func(in tallyman.Inside, w *tallyman.ServiceWish) (tallyman.ServiceConfig, error)
	// Descs are the metrics that are known by name.
	Descs    *tallyman.Descs
	Engines  tallyman.Engines
	Executor tallyman.Executor
	Emit     func(tallyman.Event)
	Trust    Trust
	Limits   Limits
	// Proc is where the host's /proc is found.
	Proc string
	Log  *slog.Logger
}

// supervisor is the collector, as far as services need it.
type supervisor interface {
	Serve(attach.Served)
	Leave(id string)
}

// Services runs the plugins. It is a tallyman.ContainerObserver.
type Services struct {
	o     Options
	execs chan struct{}
	began time.Time
	wake  chan struct{}
	// looks are places for looks at containers.
	looks chan struct{}
	wg    sync.WaitGroup

	mu        sync.Mutex
	to        supervisor
	pending   map[string]*tallyman.Container
	lives     map[string]*life     // by container
	instances map[string]*instance // by target

	count struct {
		looks, failed, refused, panics, dropped atomic.Uint64
	}
}

// life is one run of a container, from start to end.
type life struct {
	container *tallyman.Container
	paused    bool
	cancel    context.CancelFunc
	room      *inside.Room // nil until it was looked into
	mistakes  []tallyman.ServiceMistake
	instances map[string]*instance // by identity
}

var _ tallyman.ContainerObserver = (*Services)(nil)

// New makes it; nothing runs before Run.
func New(o Options) *Services {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	return &Services{o: o, execs: make(chan struct{}, 4), looks: make(chan struct{}, 4), began: time.Now(), wake: make(chan struct{}, 1),
		pending: map[string]*tallyman.Container{}, lives: map[string]*life{}, instances: map[string]*instance{}}
}

// Kind is the source of samples that the collector polls.
func (s *Services) Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name: "service", Summary: "Asks the services in containers, through their plugins", Targets: []tallyman.TargetKind{tallyman.ServiceTarget},
		Metrics: table, Poll: func(tallyman.SourceOptions) (tallyman.Poller, error) { return poller{s}, nil },
	}
}

// Tell names the collector, before Run.
func (s *Services) Tell(to supervisor) { s.to = to }

// poller hands the instances to the collector.
type poller struct{ s *Services }

// Plan implements tallyman.Poller. Instances are paced by themselves.
func (p poller) Plan() tallyman.PollPlan {
	return tallyman.PollPlan{Every: 15 * time.Second, Deadline: 90 * time.Second, HoldLeast: 25 * time.Hour, Parallel: 16, Retry: time.Minute, RetryMost: time.Minute}
}

// Open implements tallyman.Poller.
func (p poller) Open(t *tallyman.Target) (tallyman.Poll, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if id, ok := strings.CutSuffix(t.ID, mistakesTarget); ok {
		return &wrong{s: p.s, container: id, target: t, sources: map[string]*tallyman.Series{}}, nil
	}
	i := p.s.instances[t.ID]
	if i == nil {
		return nil, tallyman.ErrGone
	}
	return i.attached(t), nil
}

// Close implements tallyman.Poller.
func (p poller) Close() error { return nil }

// ObserveContainer notes a container.
func (s *Services) ObserveContainer(c *tallyman.Container) {
	s.mu.Lock()
	s.pending[c.ID] = c
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run follows the containers until ctx ends.
func (s *Services) Run(ctx context.Context) error {
	defer s.wg.Wait()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for id := range s.lives {
			s.end(id)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
		s.mu.Lock()
		pending := s.pending
		s.pending = map[string]*tallyman.Container{}
		for id, c := range pending {
			s.follow(ctx, id, c)
		}
		s.mu.Unlock()
	}
}

// follow takes up what has become of a container.
func (s *Services) follow(ctx context.Context, id string, c *tallyman.Container) {
	l := s.lives[id]
	alive := c.Alive() && !c.Disabled
	if l != nil && (!alive || l.container.Pid != c.Pid || !l.container.Started.Equal(c.Started)) {
		s.end(id)
		l = nil
	}
	if !alive {
		return
	}
	if l == nil {
		var own context.Context
		l = &life{container: c, instances: map[string]*instance{}, paused: c.State == tallyman.Paused}
		own, l.cancel = context.WithCancel(ctx)
		s.lives[id] = l
		s.wg.Go(func() { s.watch(own, l) })
		return
	}
	renamed := l.container.Name != c.Name
	l.container = c
	if paused := c.State == tallyman.Paused; paused != l.paused || renamed {
		l.paused = paused
		for _, i := range l.instances {
			s.serve(l, i)
		}
	}
}

// end ends what runs in a container.
func (s *Services) end(id string) {
	l := s.lives[id]
	delete(s.lives, id)
	l.cancel()
	for _, i := range l.instances {
		s.drop(l, i)
	}
	s.to.Leave(id + mistakesTarget)
	if l.room != nil {
		l.room.Close()
	}
}

// drop ends an instance.
func (s *Services) drop(l *life, i *instance) {
	delete(l.instances, i.identity)
	delete(s.instances, i.id)
	s.to.Leave(i.id)
}

// serve gives an instance to the collector, or takes it back while its container is
// paused.
func (s *Services) serve(l *life, i *instance) {
	i.setPaused(l.paused)
	if l.paused {
		s.to.Leave(i.id)
		return
	}
	s.to.Serve(attach.Served{Container: l.container, ID: i.id, Job: strings.ToLower(i.wish.Kind.Name), Instance: i.label, Labels: i.wish.Labels})
}

// delays are when a container is looked at, after its start.
var delays = []time.Duration{0, 5 * time.Second, 20 * time.Second, time.Minute, 3 * time.Minute}

// settle is how long a container has after its start before it is asked anything.
const settle = 5 * time.Second

// watch looks at a container again and again in its first minutes.
func (s *Services) watch(ctx context.Context, l *life) {
	s.mu.Lock()
	c := l.container
	s.mu.Unlock()
	var room *inside.Room
	var image map[string]string
	var failures int
	for n := 0; n < len(delays); {
		wait := time.Until(c.Started.Add(delays[n]))
		if failures > 0 {
			wait = min(time.Duration(failures)*2*time.Second, 30*time.Second)
		}
		if !attach.Sleep(ctx, wait) {
			return
		}
		select {
		case s.looks <- struct{}{}:
		case <-ctx.Done():
			return
		}
		var err error
		if room == nil {
			room, image, err = s.enter(ctx, c)
		} else {
			room.Look()
		}
		<-s.looks
		if err != nil {
			if failures++; failures > 20 {
				s.count.failed.Add(1)
				s.o.Log.Warn("cannot look for services in a container", "container", c.Name, "err", err)
				return
			}
			continue
		}
		failures = 0
		s.count.looks.Add(1)
		s.choose(ctx, l, room, image, n == 0)
		// Of one that runs for long a look is as good as five.
		for n++; n < len(delays)-1 && time.Since(c.Started) > delays[n+1]; n++ {
		}
	}
}

// enter asks the engine about a container and opens it.
func (s *Services) enter(ctx context.Context, c *tallyman.Container) (*inside.Room, map[string]string, error) {
	text, err := s.o.Engines.EngineDocument(ctx, c.Engine, c.ID)
	if err != nil {
		return nil, nil, err
	}
	d, err := inside.ReadDocument(text)
	if err != nil {
		return nil, nil, err
	}
	var image struct {
		Config struct{ Labels map[string]string }
	}
	// An image may be gone; then all labels count as its author's, who is trusted less.
	if text, err := s.o.Engines.EngineImage(ctx, c.Engine, c.ImageID); err != nil || json.Unmarshal(text, &image) != nil {
		image.Config.Labels = c.Labels
	}
	proc := s.o.Proc
	if s.o.Engines.EngineRemote(c.Engine) {
		proc = "/nonexistent" // its processes are those of another machine
	}
	return inside.Open(inside.Options{Proc: proc, Executor: s.o.Executor, Execs: s.execs}, c, d), image.Config.Labels, nil
}

// choose has it decided what runs, and starts what is new.
func (s *Services) choose(ctx context.Context, l *life, room *inside.Room, image map[string]string, first bool) {
	look := room.View(inside.Policy{})
	wishes, mistakes := s.o.Choose(look, image)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		room.Close()
		return
	}
	l.room = room
	told := len(l.mistakes)
	l.mistakes = mistakes
	if first || told != len(mistakes) {
		for _, m := range mistakes {
			s.tellMistake(l.container, m)
		}
		s.serveMistakes(l)
	}
	wanted := map[string]bool{}
	for _, w := range wishes {
		i := s.newInstance(l, room, w)
		wanted[i.identity] = true
		if l.instances[i.identity] != nil {
			continue
		}
		if len(l.instances) >= s.o.Limits.PerContainer || len(s.instances) >= s.o.Limits.PerHost {
			s.count.refused.Add(1)
			s.o.Log.Warn("there are too many instances of plugins; one is not started", "container", l.container.Name, "plugin", w.Kind.Name,
				"per_container", s.o.Limits.PerContainer, "per_host", s.o.Limits.PerHost)
			continue
		}
		l.instances[i.identity] = i
		s.instances[i.id] = i
		s.serve(l, i)
	}
	for id, i := range l.instances {
		if !wanted[id] && !i.everUp() {
			s.drop(l, i) // what was supposed at the start does not listen
		}
	}
}

// policy is how far who asked for an instance is trusted.
func (s *Services) policy(origin tallyman.ServiceOrigin) inside.Policy {
	p := inside.Policy{LinkLocal: s.o.Trust.LinkLocal}
	switch origin {
	case tallyman.FromRule:
		return inside.Policy{Elsewhere: true, LinkLocal: s.o.Trust.LinkLocal, Exec: true, User: true}
	case tallyman.FromRunLabel:
		p.Elsewhere, p.Exec = s.o.Trust.Elsewhere, true
	case tallyman.FromImageLabel:
		p.Exec = true // whether it may at all was decided before
	}
	return p
}

// Mistakes are what is wrong in the labels of a container.
func (s *Services) Mistakes(container string) []tallyman.ServiceMistake {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lives[container]; l != nil {
		return slices.Clone(l.mistakes)
	}
	return nil
}

// Status is what is known of every instance, by host, container and type.
func (s *Services) Status() []tallyman.ServiceStatus {
	s.mu.Lock()
	list := slices.Collect(maps.Values(s.instances))
	s.mu.Unlock()
	out := make([]tallyman.ServiceStatus, 0, len(list))
	for _, i := range list {
		out = append(out, i.Status())
	}
	slices.SortFunc(out, func(a, b tallyman.ServiceStatus) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Where, b.Where))
	})
	return out
}

// tellMistake tells an event of a mistake in a label.
func (s *Services) tellMistake(c *tallyman.Container, m tallyman.ServiceMistake) {
	if m.Warning {
		return
	}
	s.o.Emit(event(c, "config", time.Now(), map[string]string{"source": m.Source, "reason": m.Error()}))
}

// event makes an event about a service of a container.
func event(c *tallyman.Container, action string, at time.Time, attributes map[string]string) tallyman.Event {
	return tallyman.Event{
		ID:   fmt.Sprintf("service-%.12s-%s-%s-%d", c.ID, action, attributes["plugin"], at.UnixNano()),
		Time: at, Host: c.Host, Engine: c.Engine, Type: "service", Action: action, Actor: c.ID, Name: c.Name, Image: c.Image, Workload: c.Workload.Key,
		Attributes: attributes,
	}
}

// SelfMetrics are the numbers that it keeps about itself.
func (s *Services) SelfMetrics() []tallyman.SelfMetric {
	count := func(d *tallyman.Desc, v *atomic.Uint64) tallyman.SelfMetric {
		return tallyman.SelfMetric{Desc: d, Read: func() float64 { return float64(v.Load()) }}
	}
	return []tallyman.SelfMetric{
		count(lookCount, &s.count.looks), count(lookFailures, &s.count.failed), count(refusedInstances, &s.count.refused), count(panicCount, &s.count.panics),
		count(droppedSeries, &s.count.dropped),
		{Desc: instanceCount, Read: func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.instances))
		}},
	}
}

var (
	lookCount        = &tallyman.Desc{Name: "tallyman_service_looks_total", Type: tallyman.Counter, Help: "Looks at containers for services in them"}
	lookFailures     = &tallyman.Desc{Name: "tallyman_service_look_failures_total", Type: tallyman.Counter, Help: "Containers that could not be looked at for services"}
	refusedInstances = &tallyman.Desc{Name: "tallyman_service_refused_total", Type: tallyman.Counter, Help: "Instances of plugins that were not started, being too many"}
	panicCount       = &tallyman.Desc{Name: "tallyman_service_panics_total", Type: tallyman.Counter, Help: "Faults of tallyman that have ended one scrape of a service"}
	droppedSeries    = &tallyman.Desc{Name: "tallyman_service_series_dropped_total", Type: tallyman.Counter, Help: "Series of services that were over a limit, each time they came"}
	instanceCount    = &tallyman.Desc{Name: "tallyman_service_instances", Type: tallyman.Gauge, Help: "Instances of plugins that run"}
)
