// SPDX-License-Identifier: Apache-2.0

// Package live sends what changes to open pages, over one stream of
// Server-Sent Events per page:
//
//	interval   how many milliseconds there are between two ticks, first of all
//	snapshot   everything the page shows, then and when much has changed
//	tick       the numbers of this second
//	container  a container that is new, has changed or has gone
//	event      something that happened
//	engine     an engine that came or went
//
// As long as a stream is open, collection runs at the live interval. A page
// that reads too slowly misses ticks, never events or containers: when its
// queue is full it gets a new snapshot instead of what it missed.
package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// Watcher shortens the collection interval while somebody watches.
type Watcher interface {
	Watch() (release func())
	Interval() time.Duration
}

// Views makes what pages show of containers, the same as in the answers of REST.
type Views interface {
	// Servers is everything that the Servers page shows.
	Servers(context.Context) *view.Servers
	// Row is a container as that page shows it, Detailed as its own page does.
	Row(*tallyman.Container) view.Container
	Detailed(*tallyman.Container) view.Container
	// Workload finds the container that a workload's page is about.
	Workload(host, workload string) (c *tallyman.Container, ok bool)
}

// Hub sends to all open pages. It is an Observer.
type Hub struct {
	views   Views
	current *query.Current
	watcher Watcher
	done    chan struct{}
	close   func()

	mu    sync.Mutex
	pages map[*page]struct{}
	// engines are those that pages may know, by host and name.
	engines map[[2]string]bool

	ticking  sync.Mutex
	tickTime time.Time // of ticks
	ticks    map[shown][]byte
}

var (
	_ tallyman.ContainerObserver = (*Hub)(nil)
	_ tallyman.EngineObserver    = (*Hub)(nil)
	_ tallyman.EventObserver     = (*Hub)(nil)
)

// New makes a hub.
func New(v Views, c *query.Current, w Watcher) *Hub {
	h := &Hub{views: v, current: c, watcher: w, done: make(chan struct{}), pages: map[*page]struct{}{}, engines: map[[2]string]bool{}}
	h.close = sync.OnceFunc(func() { close(h.done) })
	return h
}

// Close ends all streams.
func (h *Hub) Close() { h.close() }

// page is one open stream.
type page struct {
	host, workload string // empty: the Servers page
	eventsOnly     bool   // the Events page
	queue          chan []byte
	// missed is set when the queue was full.
	missed bool
}

// queueLength is how many messages wait for a page at most. A message is what is
// written to the page.
const queueLength = 256

const (
	writeTimeout = 10 * time.Second
	keepAlive    = 5 * time.Second
)

// form is how a page is told of something.
type form uint8

const (
	no    form = iota // not at all
	short             // as a row
	whole
	forms // how many there are
)

// send tells all pages, each in its form, which is made once for all.
func (h *Hub) send(event string, of func(*page) form, data func(form) any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var made [forms][]byte
	for p := range h.pages {
		f := of(p)
		if f == no {
			continue
		}
		if made[f] == nil {
			if made[f] = encode(event, data(f)); made[f] == nil {
				return
			}
		}
		select {
		case p.queue <- made[f]:
		default:
			p.missed = true
		}
	}
}

// ObserveContainer sends a container to the pages that show it.
func (h *Hub) ObserveContainer(c *tallyman.Container) {
	h.send("container", func(p *page) form {
		switch {
		case p.eventsOnly || !p.shows(c.Host, c.Workload.Key):
			return no
		case p.workload != "":
			return whole
		}
		return short
	}, func(f form) any {
		if f != whole {
			return h.views.Row(c)
		}
		// The page is about the workload: one that goes when its successor is there already,
		// as Compose does it, does not take its place.
		if of, ok := h.views.Workload(c.Host, c.Workload.Key); ok {
			return h.views.Detailed(of)
		}
		return h.views.Detailed(c)
	})
}

// ObserveEngine sends an engine's state to every page. Of one that is new, as that of a
// further host, pages know nothing: they get all anew.
func (h *Hub) ObserveEngine(e tallyman.EngineStatus) {
	h.mu.Lock()
	key := [2]string{e.Host, e.Name}
	if fresh := !h.engines[key]; fresh {
		h.engines[key] = true
		for p := range h.pages {
			p.missed = p.missed || !p.eventsOnly
		}
	}
	h.mu.Unlock()
	h.send("engine", func(*page) form { return whole }, func(form) any {
		return engineChange{e.Host, view.EngineOf(&e)}
	})
}

// ObserveEvent sends an event to the pages it concerns.
func (h *Hub) ObserveEvent(e tallyman.Event) {
	h.send("event", func(p *page) form {
		// What is told of a workload belongs to it alone; the rest to every page.
		everybodys := e.Type == "engine" || e.Type == "tallyman" && e.Workload == ""
		if p.workload == "" || p.shows(e.Host, e.Workload) || everybodys {
			return whole
		}
		return no
	}, func(form) any { return view.EventOf(&e) })
	// How often it died of late is known with its last death, which may come after the
	// container's next state.
	if e.Type == "container" && e.Action == "die" {
		if c, ok := h.views.Workload(e.Host, e.Workload); ok {
			h.ObserveContainer(c)
		}
	}
}

func (p *page) shows(host, workload string) bool {
	return p.workload == "" || p.host == host && p.workload == workload
}

// Routes is the stream's route.
func (h *Hub) Routes() []httpx.Route {
	return []httpx.Route{{Pattern: "GET /api/tallyman/v1/live", Stream: true, Handler: h, Doc: httpx.Doc{
		Summary: "What changes, as Server-Sent Events",
		Text: "As long as a stream is open, collection runs at live_interval; but with view=events, which has events and engines, a snapshot that says " +
			"only that events before may have been missed, and ticks without numbers.",
		Params: []httpx.Param{
			{Name: "view", Text: "What is shown", Needed: true, Values: []string{"servers", "container", "events"}},
			{Name: "host", Text: "With view=container: the host of the workload"},
			{Name: "workload", Text: "With view=container: the workload, as /containers has it"},
		},
		Messages: []httpx.Message{
			{Event: "interval", Text: "How far ticks are apart, first of all", Data: interval{}},
			{Event: "snapshot", Text: "With view=servers: everything, then and whenever much has changed", Data: view.Servers{}},
			{Event: "snapshot", Text: "With view=container: the container, then and whenever much has changed", Data: containerSnapshot{}},
			{Event: "snapshot", Text: "With view=events: events before it may have been missed", Data: eventsSnapshot{}},
			{Event: "tick", Text: "The numbers of this second", Data: tick{}},
			{Event: "container", Text: "A container that is new, has changed or has gone", Data: view.Container{}},
			{Event: "event", Text: "Something that happened", Data: view.Event{}},
			{Event: "engine", Text: "An engine that came or went", Data: engineChange{}},
		},
		Errors: []int{http.StatusBadRequest},
	}}}
}

// ServeHTTP streams until the client goes or the hub closes.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := &page{queue: make(chan []byte, queueLength)}
	switch name := r.FormValue("view"); name {
	case "servers":
	case "events":
		p.eventsOnly = true
	case "container":
		p.host, p.workload = r.FormValue("host"), r.FormValue("workload")
		if p.workload == "" || p.host == "" {
			httpx.WriteError(w, httpx.Bad("workload", "host and workload are needed", "give those of a container, as /containers has them"))
			return
		}
	default:
		httpx.WriteError(w, httpx.Bad("view", fmt.Sprintf("there is no view %q", name), "give view=servers, view=container or view=events"))
		return
	}
	if !p.eventsOnly {
		release := h.watcher.Watch()
		defer release()
	}
	h.mu.Lock()
	h.pages[p] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.pages, p)
		h.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	h.stream(&stream{w: w, out: http.NewResponseController(w)}, r, p)
}

func (h *Hub) stream(s *stream, r *http.Request, p *page) {
	every := h.watcher.Interval()
	if p.eventsOnly {
		every = time.Second // it only says that the stream is alive
	}
	if !s.write("interval", interval{every.Milliseconds()}) || !h.snapshot(s, r, p) {
		return
	}
	// The tick comes when the round of that second is through.
	const settle = 60 * time.Millisecond
	tick := time.NewTimer(time.Until(time.Now().Truncate(every).Add(every + settle)))
	defer tick.Stop()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		ok := true
		select {
		case <-r.Context().Done():
			return
		case <-h.done:
			return
		case m := <-p.queue:
			ok = s.raw(m)
		case <-tick.C:
			tick.Reset(time.Until(time.Now().Truncate(every).Add(every + settle)))
			h.mu.Lock()
			missed := p.missed
			p.missed = false
			h.mu.Unlock()
			if missed {
				ok = h.snapshot(s, r, p)
			} else {
				ok = s.raw(h.tickOf(p, time.Now().Truncate(every)))
			}
		case <-alive.C:
			ok = s.raw([]byte(":\n\n"))
		}
		if !ok {
			return
		}
	}
}

func (h *Hub) snapshot(s *stream, r *http.Request, p *page) bool {
	if p.eventsOnly {
		return s.write("snapshot", eventsSnapshot{time.Now().UnixMilli()})
	}
	if p.workload == "" {
		return s.write("snapshot", h.views.Servers(r.Context()))
	}
	var out containerSnapshot
	if c, ok := h.views.Workload(p.host, p.workload); ok {
		v := h.views.Detailed(c)
		out.Container = &v
	}
	return s.write("snapshot", out)
}

// interval is how far ticks are apart.
type interval struct {
	MS int64 `json:"ms" doc:"Milliseconds"`
}

// containerSnapshot is the snapshot of a container's page.
type containerSnapshot struct {
	Container *view.Container `json:"container" doc:"null while there is none"`
}

// eventsSnapshot is the snapshot of the Events page, which asks for events
// itself.
type eventsSnapshot struct {
	Time int64 `json:"time"`
}

// engineChange is an engine that came or went.
type engineChange struct {
	Host   string      `json:"host"`
	Engine view.Engine `json:"engine"`
}

// tick is the numbers of this second.
type tick struct {
	Time  int64                       `json:"time"`
	Hosts map[string]view.HostFigures `json:"hosts,omitempty"`
	Now   map[string]*view.Now        `json:"now"`
}

// shown is what pages with the same ticks have in common.
type shown struct {
	host, workload string
	eventsOnly     bool
}

// tickOf is the message of a page's tick at a time, made once for all pages that
// show the same.
func (h *Hub) tickOf(p *page, at time.Time) []byte {
	h.ticking.Lock()
	defer h.ticking.Unlock()
	if !h.tickTime.Equal(at) {
		h.tickTime, h.ticks = at, map[shown][]byte{}
	}
	s := shown{p.host, p.workload, p.eventsOnly}
	if h.ticks[s] == nil {
		h.ticks[s] = encode("tick", h.tick(p))
	}
	return h.ticks[s]
}

func (h *Hub) tick(p *page) tick {
	t := tick{Time: time.Now().UnixMilli(), Now: map[string]*view.Now{}}
	if p.eventsOnly {
		return t
	}
	present := h.current.Present()
	if p.workload != "" {
		if c, ok := h.views.Workload(p.host, p.workload); ok && present.Containers[c.ID] != nil {
			t.Now[c.ID] = view.NowOf(present.Containers[c.ID])
		}
		return t
	}
	t.Hosts = map[string]view.HostFigures{}
	for name, n := range present.Hosts {
		t.Hosts[name] = view.FiguresOf(n)
	}
	for id, n := range present.Containers {
		t.Now[id] = view.NowOf(n)
	}
	return t
}

// stream writes Server-Sent Events.
type stream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// write sends one event and reports whether the client still listens.
func (s *stream) write(event string, data any) bool {
	b := encode(event, data)
	return b != nil && s.raw(b)
}

// encode is a message as it is written, nil for what cannot be.
func encode(event string, data any) []byte {
	b, err := json.Marshal(data)
	if err != nil {
		return nil
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, b)
}

func (s *stream) raw(text []byte) bool {
	if s.out.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
		return false
	}
	if _, err := s.w.Write(text); err != nil {
		return false
	}
	return s.out.Flush() == nil
}
