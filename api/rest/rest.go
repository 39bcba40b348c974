// SPDX-License-Identifier: Apache-2.0

// Package rest is tallyman's own REST interface under /api/tallyman/v1, which
// the page and programs use, and the one of docker-monitor.
//
// Everything that changes with time is answered from memory (inventory and
// latest readings); only history, sparklines and events touch a store.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/doctor"
	"tallyman/internal/httpx"
	"tallyman/query"
	"tallyman/query/logql"
)

// Options are what the service answers from. All fields but Logs are needed.
type Options struct {
	Inventory tallyman.Inventory
	// Own is what is on this host alone, for the interface of docker-monitor.
	Own    tallyman.Inventory
	Events tallyman.EventStore
	// Records has the snapshots of configurations.
	Records tallyman.RecordReader
	Current *query.Current
	Query   *query.Engine
	// Proc is the host's /proc, for the processes of a container.
	Proc string
	// Logs answers LogQL; nil where no logs are kept.
	Logs *logql.Engine
	// Absences say what cannot be known of a container.
	Absences func(t tallyman.TargetKey) []tallyman.Absence
	// Replaced says why a container's numbers come from the engine's API in
	// place of the kernel's files; ok is false for one whose do not.
	Replaced func(id string) (reason string, ok bool)
	// CollectNow makes the latest readings those of this moment.
	CollectNow func(context.Context) error
	// Doctor says what works here and what does not.
	Doctor   *doctor.Doctor
	Interval time.Duration
	Version  string
	Auth     bool
	Log      *slog.Logger
}

// Service answers. It is an Observer, to know the last event of every
// container.
type Service struct {
	o    Options
	mu   sync.Mutex
	last map[string]lastEvents // by container id
	// deaths are those of late of each workload, as crashes counts them.
	deaths map[workloadKey][]death

	rights rights

	sparkMu sync.Mutex
	sparks  map[string]query.Spark
	sparkAt time.Time
}

// lastEvents are the newest event of a container and the newest critical one.
type lastEvents struct{ newest, critical *view.Event }

var _ tallyman.EventObserver = (*Service)(nil)

// New makes the service and reads the newest events of the store.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{o: o, last: map[string]lastEvents{}, deaths: map[workloadKey][]death{}}
	events, _, err := o.Events.Events(ctx, tallyman.EventQuery{Types: []string{"container"}, Limit: 10_000})
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(events) {
		s.ObserveEvent(e)
	}
	return s, nil
}

// ObserveEvent notes the last event of a container.
func (s *Service) ObserveEvent(e tallyman.Event) {
	if e.Type != "container" || e.Actor == "" {
		return
	}
	v := view.EventOf(&e)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.last[e.Actor]
	l.newest = &v
	if v.Severity == "critical" {
		l.critical = &v
	}
	s.last[e.Actor] = l
	s.noteDeath(&e)
	if len(s.last) > maxLast {
		s.trim()
	}
}

// maxLast is for how many containers the last event is remembered.
const maxLast = 5000

// trim forgets the containers that the inventory no longer has.
func (s *Service) trim() {
	known := map[string]bool{}
	for _, c := range s.o.Inventory.Containers() {
		known[c.ID] = true
	}
	for id := range s.last {
		if !known[id] {
			delete(s.last, id)
		}
	}
	for key, deaths := range s.deaths {
		if time.Since(deaths[len(deaths)-1].at) > crashWindow {
			delete(s.deaths, key)
		}
	}
}

// graveFor is how long a critical event is shown although others followed it.
const graveFor = 15 * time.Minute

func (s *Service) lastEvent(id string) *view.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.last[id]
	if l.critical != nil && time.Since(time.UnixMilli(l.critical.Time)) < graveFor {
		return l.critical
	}
	return l.newest
}

// Routes are the routes of the service.
func (s *Service) Routes() []httpx.Route {
	docs := docs()
	for pattern, d := range docs { // of a parameter that is not there
		if !slices.Contains(d.Errors, http.StatusBadRequest) {
			d.Errors = append([]int{http.StatusBadRequest}, d.Errors...)
			docs[pattern] = d
		}
	}
	get := func(pattern string, f func(http.ResponseWriter, *http.Request) error) httpx.Route {
		return httpx.Route{Pattern: "GET " + pattern, Doc: docs[pattern], Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := httpx.Known(r, docs[pattern].Params)
			if err == nil {
				err = f(w, r)
			}
			if err != nil {
				httpx.WriteError(w, err)
			}
		})}
	}
	// That interface knows no parameters and no such error: what a client adds, it
	// has always left alone.
	monitor := func(pattern string, f http.HandlerFunc) httpx.Route {
		return httpx.Route{Pattern: "GET " + pattern, Doc: docs[pattern], Handler: f}
	}
	return []httpx.Route{
		get("/api/tallyman/v1/servers", s.servers),
		get("/api/tallyman/v1/containers", s.containers),
		get("/api/tallyman/v1/containers/{ref}", s.container),
		get("/api/tallyman/v1/containers/{ref}/processes", s.processes),
		get("/api/tallyman/v1/history", s.history),
		get("/api/tallyman/v1/usage", s.usage),
		get("/api/tallyman/v1/watched", s.watched),
		get("/api/tallyman/v1/changes", s.changes),
		get("/api/tallyman/v1/changes/lines", s.changedLines),
		get("/api/tallyman/v1/patterns", s.patterns),
		get("/api/tallyman/v1/events", s.events),
		get("/api/tallyman/v1/events/summary", s.eventsSummary),
		get("/api/tallyman/v1/kills", s.kills),
		get("/api/tallyman/v1/configurations", s.configurations),
		get("/api/tallyman/v1/siblings", s.siblings),
		get("/api/tallyman/v1/snapshots", s.snapshots),
		get("/api/tallyman/v1/snapshots/{hash}", s.snapshot),
		get("/api/tallyman/v1/diff", s.diff),
		get("/api/tallyman/v1/doctor", func(w http.ResponseWriter, _ *http.Request) error {
			httpx.WriteJSON(w, s.o.Doctor.Report())
			return nil
		}),
		monitor("/docker-monitor/api/v1.0/metrics", s.monitorAll),
		monitor("/docker-monitor/api/v1.0/metrics/{name}", s.monitorOne),
	}
}

func (s *Service) servers(w http.ResponseWriter, r *http.Request) error {
	httpx.WriteJSON(w, s.Servers(r.Context()))
	return nil
}

// Servers is everything the Servers page shows.
func (s *Service) Servers(ctx context.Context) *view.Servers {
	p := s.o.Current.Present()
	sparks := s.recent(ctx)
	out := &view.Servers{Time: time.Now().UnixMilli(), Version: s.o.Version, Auth: s.o.Auth, Interval: s.o.Interval.Seconds(), Hosts: []view.Host{}}
	at := map[string]int{}
	for _, e := range s.o.Inventory.Engines() {
		h := view.Host{Host: e.Host, Engine: view.EngineOf(&e), Containers: []view.Container{}}
		if n := p.Hosts[e.Host]; n != nil {
			h.HostFigures = view.FiguresOf(n)
			h.Cores, h.Memory = view.Number(n.Cores), view.Number(n.MemoryTotal)
		}
		if h.Cores == nil && e.CPUs > 0 {
			cores, memory := float64(e.CPUs), float64(e.Memory)
			h.Cores, h.Memory = &cores, &memory
		}
		at[e.Name] = len(out.Hosts)
		out.Hosts = append(out.Hosts, h)
	}
	for _, c := range s.o.Inventory.Containers() {
		i, ok := at[c.Engine]
		if !ok {
			continue // of an engine that is no longer configured
		}
		v := s.row(c, &p)
		if k, ok := sparks[c.ID]; ok {
			v.Spark = &view.Spark{CPU: nullable(k.CPU), Memory: nullable(k.Memory)}
		}
		out.Hosts[i].Containers = append(out.Hosts[i].Containers, v)
		if v.Collect != "" && out.Hosts[i].Engine.Collect != "api" {
			out.Hosts[i].Engine.Collect = v.Collect
		}
	}
	return out
}

func (s *Service) row(c *tallyman.Container, p *query.Present) view.Container {
	v := view.ContainerOf(c)
	v.LastEvent = s.lastEvent(c.ID)
	v.Crashes = s.crashes(c)
	if c.Alive() {
		v.Now = view.NowOf(p.Containers[c.ID])
		v.Absent = s.o.Absences(c.Key())
		v.Collect = "cgroup"
		if why, ok := s.o.Replaced(c.ID); ok {
			v.Collect, v.CollectWhy = "api", why
		}
	}
	return v
}

// Row is a container as the Servers page shows it, without sparklines.
func (s *Service) Row(c *tallyman.Container) view.Container {
	p := s.o.Current.Present()
	return s.row(c, &p)
}

// Detailed is a container as its own page shows it.
func (s *Service) Detailed(c *tallyman.Container) view.Container {
	v := s.Row(c)
	var siblings []*tallyman.Container
	for _, o := range s.o.Inventory.Containers() {
		if o.Host == c.Host && o.Workload.Key == c.Workload.Key {
			siblings = append(siblings, o)
		}
	}
	v.Detail = view.DetailOf(c, siblings)
	return v
}

// Workload finds the container that a workload's page is about: the living
// one, else the one that lived last.
func (s *Service) Workload(host, workload string) (*tallyman.Container, bool) {
	var best *tallyman.Container
	for _, c := range s.o.Inventory.Containers() {
		if c.Workload.Key != workload || host != "" && c.Host != host {
			continue
		}
		if best == nil || better(c, best) {
			best = c
		}
	}
	return best, best != nil
}

// better reports whether a is to be shown rather than b.
func better(a, b *tallyman.Container) bool {
	if (a.State == tallyman.Gone) != (b.State == tallyman.Gone) {
		return b.State == tallyman.Gone
	}
	if a.Alive() != b.Alive() {
		return a.Alive()
	}
	return a.Created.After(b.Created)
}

func (s *Service) containers(w http.ResponseWriter, r *http.Request) error {
	p := s.o.Current.Present()
	out := []view.Container{}
	for _, c := range s.o.Inventory.Containers() {
		out = append(out, s.row(c, &p))
	}
	httpx.WriteJSON(w, containersAnswer{out})
	return nil
}

func (s *Service) container(w http.ResponseWriter, r *http.Request) error {
	c, err := s.named(r)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, s.Detailed(c))
	return nil
}

// named is the container that the path of a request names.
func (s *Service) named(r *http.Request) (*tallyman.Container, error) {
	ref, host := r.PathValue("ref"), r.FormValue("host")
	c, ok := s.find(ref, host)
	if !ok {
		message := "no container is called " + strconv.Quote(ref)
		if host != "" {
			message += " on the host " + strconv.Quote(host)
		}
		return nil, &httpx.Error{Status: http.StatusNotFound, Code: "not_found", Message: message, Next: "give a full id, the first 12 digits of one, or a name"}
	}
	return c, nil
}

// find finds a container by its id or name, on any host when host is empty.
func (s *Service) find(ref, host string) (*tallyman.Container, bool) {
	c, ok := s.o.Inventory.Container(ref)
	if host == "" || ok && c.Host == host {
		return c, ok
	}
	c = nil
	for _, x := range s.o.Inventory.Containers() {
		if x.Host == host && (x.ID == ref || x.Name == ref || len(ref) >= 12 && strings.HasPrefix(x.ID, ref)) && (c == nil || better(x, c)) {
			c = x
		}
	}
	return c, c != nil
}

// containersAnswer is the answer of /containers.
type containersAnswer struct {
	Containers []view.Container `json:"containers"`
}

// column is the name of a series of numbers.
type column string

// Values are all columns.
func (column) Values() []string { return query.ColumnNames() }

// historyAnswer is the answer of /history.
type historyAnswer struct {
	Start  int64                 `json:"start"`
	End    int64                 `json:"end"`
	Step   int64                 `json:"step" doc:"Milliseconds between two times"`
	Times  []int64               `json:"t"`
	Series map[column][]*float64 `json:"series"`
	First  int64                 `json:"firstSample,omitempty" doc:"The time of the first sample in the range"`
}

// stretch is the one that a question is about: its end is now unless it is given.
func stretch(r *http.Request) (start, end time.Time, err error) {
	if start, err = httpx.Millis(r, "start"); err != nil {
		return start, end, err
	}
	if end, err = httpx.Millis(r, "end"); end.IsZero() {
		end = time.Now()
	}
	return start, end, err
}

func (s *Service) history(w http.ResponseWriter, r *http.Request) error {
	start, end, err := stretch(r)
	if err != nil {
		return err
	}
	points, err := httpx.Int(r, "points", 600, 1, query.MaxPoints)
	if err != nil {
		return err
	}
	host, workload := r.FormValue("host"), r.FormValue("workload")
	if workload == "" || host == "" {
		return httpx.Bad("workload", "host and workload are needed", "give those of a container, as /containers has them")
	}
	if !start.IsZero() && !end.After(start) {
		return httpx.Bad("end", "end is not after start", "give a later end")
	}
	h, err := s.o.Query.History(r.Context(), host, workload, start, end, points)
	if err != nil {
		return err
	}
	a := historyAnswer{Start: h.Start.UnixMilli(), End: h.End.UnixMilli(), Step: h.Step.Milliseconds(), Times: []int64{}, Series: map[column][]*float64{}, First: view.Millis(h.First)}
	for i := range h.Steps() {
		a.Times = append(a.Times, h.Start.Add(time.Duration(i+1)*h.Step).UnixMilli())
	}
	for _, c := range h.Columns {
		a.Series[column(c.Name)] = nullable(c.Values)
	}
	httpx.WriteJSON(w, a)
	return nil
}

// nullable makes NaN null.
func nullable(v []float64) []*float64 {
	out := make([]*float64, len(v))
	for i := range v {
		if v[i] == v[i] {
			out[i] = &v[i]
		}
	}
	return out
}

const (
	sparkWindow = 15 * time.Minute
	sparkPoints = 40
	sparkLife   = 5 * time.Second
)

// recent are the sparklines of all containers, at most sparkLife old, so that
// many open pages cost no more than one.
func (s *Service) recent(ctx context.Context) map[string]query.Spark {
	s.sparkMu.Lock()
	defer s.sparkMu.Unlock()
	if time.Since(s.sparkAt) < sparkLife {
		return s.sparks
	}
	sparks, err := s.o.Query.Sparks(ctx, time.Now(), sparkWindow, sparkPoints)
	if err != nil {
		if ctx.Err() == nil {
			s.o.Log.Warn("no sparklines", "err", err)
		}
		return nil
	}
	s.sparks, s.sparkAt = sparks, time.Now()
	return sparks
}
