// SPDX-License-Identifier: Apache-2.0

// Package live sends what changes to open pages, over one stream of
// Server-Sent Events per page:
//
//	snapshot   everything the page shows, first and when much has changed
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
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"tallyman"
	"tallyman/api/rest"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// Watcher shortens the collection interval while somebody watches.
type Watcher interface {
	Watch() (release func())
	Interval() time.Duration
}

// Hub sends to all open pages. It is an Observer.
type Hub struct {
	rest    *rest.Service
	current *query.Current
	watcher Watcher
	done    chan struct{}
	close   func()

	mu    sync.Mutex
	pages map[*page]struct{}
}

var (
	_ tallyman.ContainerObserver = (*Hub)(nil)
	_ tallyman.EngineObserver    = (*Hub)(nil)
	_ tallyman.EventObserver     = (*Hub)(nil)
)

// New makes a hub.
func New(r *rest.Service, c *query.Current, w Watcher) *Hub {
	h := &Hub{rest: r, current: c, watcher: w, done: make(chan struct{}), pages: map[*page]struct{}{}}
	h.close = sync.OnceFunc(func() { close(h.done) })
	return h
}

// Close ends all streams.
func (h *Hub) Close() { h.close() }

// page is one open stream.
type page struct {
	host, workload string // empty: the Servers page
	eventsOnly     bool   // the Events page
	queue          chan message
	// missed is set when the queue was full.
	missed bool
}

type message struct {
	event string
	data  any
}

// queueLength is how many messages wait for a page at most.
const queueLength = 256

const (
	writeTimeout = 10 * time.Second
	keepAlive    = 5 * time.Second
)

func (h *Hub) send(wanted func(*page) bool, event string, data func(*page) any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.pages {
		if !wanted(p) {
			continue
		}
		select {
		case p.queue <- message{event, data(p)}:
		default:
			p.missed = true
		}
	}
}

// ObserveContainer sends a container to the pages that show it.
func (h *Hub) ObserveContainer(c *tallyman.Container) {
	h.send(func(p *page) bool { return !p.eventsOnly && p.shows(c.Host, c.Workload.Key) }, "container", func(p *page) any {
		if p.workload != "" {
			return h.rest.Detailed(c)
		}
		return h.rest.Row(c)
	})
}

// ObserveEngine sends an engine's state to every page.
func (h *Hub) ObserveEngine(e tallyman.EngineStatus) {
	h.send(func(*page) bool { return true }, "engine", func(*page) any {
		return map[string]any{"host": e.Host, "engine": rest.ViewEngine(&e)}
	})
}

// ObserveEvent sends an event to the pages it concerns.
func (h *Hub) ObserveEvent(e tallyman.Event) {
	h.send(func(p *page) bool {
		return p.workload == "" || p.shows(e.Host, e.Workload) || e.Type == "engine" || e.Type == "tallyman"
	},
		"event", func(*page) any { return rest.ViewEvent(&e) })
}

func (p *page) shows(host, workload string) bool {
	return p.workload == "" || p.host == host && p.workload == workload
}

// Routes is the stream's route.
func (h *Hub) Routes() []httpx.Route {
	return []httpx.Route{{Pattern: "GET /api/tallyman/v1/live", Stream: true, Handler: h, Doc: httpx.Doc{
		Summary: "What changes, as Server-Sent Events",
		Text: "snapshot: everything, first and whenever much has changed (the answer of /servers, or {container} as /containers/{ref} has it). " +
			"tick: the numbers of this second ({time, hosts, now}). container: one that is new, has changed or has gone. " +
			"event: something that happened. engine: {host, engine}, one that came or went. " +
			"As long as a stream is open, collection runs at live_interval; but with view=events, which has events and engines, a snapshot that says " +
			"only that events before may have been missed, and ticks without numbers.",
		Params: []httpx.Param{
			{Name: "view", Text: "What is shown", Needed: true, Values: []string{"servers", "container", "events"}},
			{Name: "host", Text: "With view=container: the host of the workload"},
			{Name: "workload", Text: "With view=container: the workload, as /containers has it"},
		},
		Type: "text/event-stream", Errors: []int{http.StatusBadRequest},
	}}}
}

// ServeHTTP streams until the client goes or the hub closes.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := &page{queue: make(chan message, queueLength)}
	switch view := r.FormValue("view"); view {
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
		httpx.WriteError(w, httpx.Bad("view", fmt.Sprintf("there is no view %q", view), "give view=servers, view=container or view=events"))
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
	if !h.snapshot(s, r, p) {
		return
	}
	interval := h.watcher.Interval()
	if p.eventsOnly {
		interval = time.Second // it only says that the stream is alive
	}
	// The tick comes when the round of that second is through.
	const settle = 60 * time.Millisecond
	tick := time.NewTimer(time.Until(time.Now().Truncate(interval).Add(interval + settle)))
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
			ok = s.write(m.event, m.data)
		case <-tick.C:
			tick.Reset(time.Until(time.Now().Truncate(interval).Add(interval + settle)))
			h.mu.Lock()
			missed := p.missed
			p.missed = false
			h.mu.Unlock()
			if missed {
				ok = h.snapshot(s, r, p)
			} else {
				ok = s.write("tick", h.tick(p))
			}
		case <-alive.C:
			ok = s.raw(":\n\n")
		}
		if !ok {
			return
		}
	}
}

func (h *Hub) snapshot(s *stream, r *http.Request, p *page) bool {
	if p.eventsOnly {
		return s.write("snapshot", map[string]any{"time": time.Now().UnixMilli()})
	}
	if p.workload == "" {
		return s.write("snapshot", h.rest.Servers(r.Context()))
	}
	c, ok := h.rest.Workload(p.host, p.workload)
	if !ok {
		return s.write("snapshot", map[string]any{"container": nil})
	}
	return s.write("snapshot", map[string]any{"container": h.rest.Detailed(c)})
}

// tick is the numbers of this second.
type tick struct {
	Time  int64                       `json:"time"`
	Hosts map[string]rest.HostFigures `json:"hosts,omitempty"`
	Now   map[string]*rest.Now        `json:"now"`
}

func (h *Hub) tick(p *page) tick {
	t := tick{Time: time.Now().UnixMilli(), Now: map[string]*rest.Now{}}
	if p.eventsOnly {
		return t
	}
	present := h.current.Present()
	if p.workload != "" {
		if c, ok := h.rest.Workload(p.host, p.workload); ok && present.Containers[c.ID] != nil {
			t.Now[c.ID] = rest.ViewNow(present.Containers[c.ID])
		}
		return t
	}
	t.Hosts = map[string]rest.HostFigures{}
	for name, n := range present.Hosts {
		t.Hosts[name] = rest.ViewHost(n)
	}
	for id, n := range present.Containers {
		t.Now[id] = rest.ViewNow(n)
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
	b, err := json.Marshal(data)
	if err != nil {
		return false
	}
	return s.raw("event: " + event + "\ndata: " + string(b) + "\n\n")
}

func (s *stream) raw(text string) bool {
	if s.out.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
		return false
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return false
	}
	return s.out.Flush() == nil
}
