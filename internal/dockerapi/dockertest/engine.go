// SPDX-License-Identifier: Apache-2.0

// Package dockertest is an engine for tests: it answers the requests that
// tallyman makes over a unix socket, from containers that the test puts in and
// takes out, and fails in the ways that engines fail.
//
//	e := dockertest.Start(t)
//	e.Put(dockertest.Running("web", "nginx:1"))
//	e.Emit(dockertest.Event("container", "start", id, nil))
//	e.Hang(true)
//
// Like a real engine it remembers 256 events, sends those since a time that a
// subscriber asks for and then what happens, and tells everything else
// with 404. It records the requests it got.
package dockertest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/dockerapi"
)

// remembered is how many events an engine keeps.
const remembered = 256

// Engine is a fake engine. Its methods may be called concurrently.
type Engine struct {
	t      testing.TB
	socket string

	mu         sync.Mutex
	server     *httptest.Server
	apiVersion string
	containers map[string]*dockerapi.Details
	ring       []dockerapi.Event
	streams    map[chan dockerapi.Event]chan struct{} // to the subscriber, and to end it
	requests   []string
	status     int    // answered instead of the real thing when set
	text       string // with this text
	redirect   string
	hang       chan struct{} // requests wait until it is closed
	muted      bool          // events are remembered and not sent
	slow       chan struct{} // new streams send nothing until it is closed
	broken     string        // the inspection of this id answers garbage
	forbidden  string        // this path answers 403
	driver     string        // of cgroups
}

// Start starts an engine with API 1.41 that ends with the test.
func Start(t testing.TB) *Engine {
	dir, err := os.MkdirTemp("", "engine") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{
		t: t, socket: filepath.Join(dir, "s"), apiVersion: "1.41", driver: "systemd",
		containers: make(map[string]*dockerapi.Details), streams: make(map[chan dockerapi.Event]chan struct{}),
	}
	e.Listen()
	t.Cleanup(func() {
		e.Hang(false)
		e.Refuse()
		os.RemoveAll(dir)
	})
	return e
}

// Address is what DOCKER_HOST would be.
func (e *Engine) Address() string { return "unix://" + e.socket }

// Listen lets the engine answer again after Refuse.
func (e *Engine) Listen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return
	}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.server.Listener.Close()
	e.server.Listener = l
	e.server.Start()
}

// Refuse takes the socket away and cuts all connections.
func (e *Engine) Refuse() {
	e.Cut()
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		s.CloseClientConnections()
		s.Close()
	}
}

// Restart forgets the events, as a restarted engine does.
func (e *Engine) Restart() {
	e.Refuse()
	e.mu.Lock()
	e.ring = nil
	e.mu.Unlock()
	e.Listen()
}

// Hang makes all requests wait, or go on.
func (e *Engine) Hang(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case on && e.hang == nil:
		e.hang = make(chan struct{})
	case !on && e.hang != nil:
		close(e.hang)
		e.hang = nil
	}
}

// Fail answers every request with this status and text, 0 ends it.
func (e *Engine) Fail(status int, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.text = status, text
}

// Redirect answers every request with a redirect to target, empty ends it.
func (e *Engine) Redirect(target string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.redirect = target
}

// Break makes the inspection of one container unreadable.
func (e *Engine) Break(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = id
}

// Forbid answers one path, without the version, with 403, as a proxy does.
func (e *Engine) Forbid(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forbidden = path
}

// Version sets the API version; from 1.52 on events have no legacy fields.
func (e *Engine) Version(v string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.apiVersion = v
}

// WithoutCgroups makes it a rootless engine on cgroup v1.
func (e *Engine) WithoutCgroups() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.driver = "none"
}

// Mute keeps events from the subscribers; they are remembered all the same.
func (e *Engine) Mute(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.muted = on
}

// Slow makes the streams that are opened from now on send nothing until release.
func (e *Engine) Slow() (release func()) {
	c := make(chan struct{})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slow = c
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.slow = nil
		close(c)
	}
}

// Cut ends all event streams.
func (e *Engine) Cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c, end := range e.streams {
		close(end)
		delete(e.streams, c)
	}
}

// Streams is the number of open event streams.
func (e *Engine) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.streams)
}

// Put adds or replaces a container.
func (e *Engine) Put(d *dockerapi.Details) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := *d
	e.containers[d.ID] = &c
}

// Change changes a container.
func (e *Engine) Change(id string, f func(d *dockerapi.Details)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := *e.containers[id]
	s := *c.State
	c.State = &s
	f(&c)
	e.containers[id] = &c
}

// Remove removes a container.
func (e *Engine) Remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id)
}

// Emit lets events happen.
func (e *Engine) Emit(events ...dockerapi.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range events {
		e.ring = append(e.ring, ev)
		if len(e.ring) > remembered {
			e.ring = slices.Clone(e.ring[len(e.ring)-remembered:])
		}
		if e.muted {
			continue
		}
		for c := range e.streams {
			select {
			case c <- ev:
			default:
				e.t.Error("dockertest: a subscriber is too slow")
			}
		}
	}
}

// Requests are the method and path of all requests so far.
func (e *Engine) Requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

var inspectPath = regexp.MustCompile(`^/containers/([^/]+)/json$`)
var statsPath = regexp.MustCompile(`^/containers/([^/]+)/stats$`)
var versionPath = regexp.MustCompile(`^/v1\.([0-9]+)/`)

// minor is the second number of an API version.
func minor(version string) int {
	n, _ := strconv.Atoi(version[strings.IndexByte(version, '.')+1:])
	return n
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.requests = append(e.requests, r.Method+" "+r.URL.RequestURI())
	hang, status, text, redirect, version, broken, forbidden, driver := e.hang, e.status, e.text, e.redirect, e.apiVersion, e.broken, e.forbidden, e.driver
	e.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Api-Version", version)
	w.Header().Set("Ostype", "linux")
	if redirect != "" {
		http.Redirect(w, r, redirect, http.StatusMovedPermanently)
		return
	}
	if status != 0 {
		answer(w, status, map[string]string{"message": text})
		return
	}
	// As a real engine does: no version but those it knows.
	if m := versionPath.FindStringSubmatch(r.URL.Path); m != nil {
		asked, most, least := minor("."+m[1]), minor(version), 12
		if most >= 52 {
			least = 44
		}
		if asked > most || asked < least {
			answer(w, 400, map[string]string{"message": fmt.Sprintf("client version 1.%d is not supported: this engine knows 1.%d to 1.%d", asked, least, most)})
			return
		}
	}
	path := versionPath.ReplaceAllString(r.URL.Path, "/")
	switch m := inspectPath.FindStringSubmatch(path); {
	case path == forbidden:
		answer(w, 403, map[string]string{"message": "forbidden"})
	case path == "/_ping":
		if r.Method == http.MethodGet {
			fmt.Fprint(w, "OK")
		}
	case path == "/info":
		answer(w, 200, dockerapi.Info{
			ID: e.socket, ServerVersion: "20.10.24", OperatingSystem: "Test", KernelVersion: "6.1", CgroupVersion: "2",
			CgroupDriver: driver, NCPU: 2, MemTotal: 4 << 30, SystemTime: time.Now().Format(time.RFC3339Nano),
		})
	case path == "/containers/json":
		e.list(w)
	case path == "/events":
		e.events(w, r)
	case strings.HasPrefix(path, "/images/sha256:"):
		answer(w, 200, map[string]any{"Id": strings.TrimSuffix(strings.TrimPrefix(path, "/images/"), "/json"), "Config": map[string]any{"Env": []string{"A=b"}}})
	case statsPath.MatchString(path):
		answer(w, 200, map[string]any{"read": time.Now().Format(time.RFC3339Nano), "cpu_stats": map[string]any{"cpu_usage": map[string]any{"total_usage": 1}}})
	case m != nil:
		e.mu.Lock()
		d := e.containers[m[1]]
		e.mu.Unlock()
		switch {
		case m[1] == broken:
			fmt.Fprint(w, `{"Id":"`+broken+`","State":[]}`)
		case d == nil:
			answer(w, 404, map[string]string{"message": "No such container: " + m[1]})
		case r.URL.Query().Get("size") == "1" || r.URL.Query().Get("size") == "true":
			answer(w, 200, map[string]any{"Id": d.ID, "SizeRw": 4096, "SizeRootFs": 1 << 20})
		default:
			answer(w, 200, d)
		}
	default:
		answer(w, 404, map[string]string{"message": "page not found"})
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (e *Engine) list(w http.ResponseWriter) {
	e.mu.Lock()
	out := []dockerapi.Summary{}
	for _, d := range e.containers {
		s := dockerapi.Summary{ID: d.ID, Names: []string{d.Name}, ImageID: d.Image}
		if d.State != nil {
			s.State = d.State.Status
		}
		if d.Config != nil {
			s.Image, s.Labels = d.Config.Image, d.Config.Labels
		}
		out = append(out, s)
	}
	e.mu.Unlock()
	answer(w, 200, out)
}

func (e *Engine) events(w http.ResponseWriter, r *http.Request) {
	const never = int64(1) << 62
	moment := func(name string) int64 {
		sec, nano, _ := strings.Cut(r.URL.Query().Get(name), ".")
		s, err := strconv.ParseInt(sec, 10, 64)
		if err != nil {
			return never
		}
		n, _ := strconv.ParseInt(nano, 10, 64)
		return s*1e9 + n
	}
	since, until := moment("since"), moment("until")
	if until != never { // only what has been is asked for
		e.mu.Lock()
		past := slices.DeleteFunc(slices.Clone(e.ring), func(ev dockerapi.Event) bool { return ev.Time.UnixNano() < since || ev.Time.UnixNano() > until })
		e.mu.Unlock()
		for _, ev := range past {
			_ = json.NewEncoder(w).Encode(e.wire(ev))
		}
		return
	}
	c, end := make(chan dockerapi.Event, 8192), make(chan struct{})
	e.mu.Lock()
	for _, ev := range e.ring {
		if ev.Time.UnixNano() >= since {
			c <- ev
		}
	}
	e.streams[c] = end
	slow := e.slow
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.streams, c)
		e.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	if slow != nil {
		select {
		case <-r.Context().Done():
		case <-end:
		case <-slow:
		}
	}
	enc := json.NewEncoder(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-end:
			return
		case ev := <-c:
			if enc.Encode(e.wire(ev)) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

// wire is an event as the engine's version sends it.
func (e *Engine) wire(ev dockerapi.Event) map[string]any {
	m := map[string]any{
		"Type": ev.Type, "Action": ev.Action, "scope": "local", "time": ev.Time.Unix(), "timeNano": ev.Time.UnixNano(),
		"Actor": map[string]any{"ID": ev.Actor, "Attributes": ev.Attributes},
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if minor(e.apiVersion) < 52 {
		m["status"], m["id"], m["from"] = ev.Action, ev.Actor, ev.Attributes["image"]
	}
	return m
}

// ID is the full id that stands for a name.
func ID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// Never is how the engine writes the absence of a time.
const Never = "0001-01-01T00:00:00Z"

// Created is a container that was never started.
func Created(name, image string) *dockerapi.Details {
	return &dockerapi.Details{
		ID: ID(name), Name: "/" + name, Image: "sha256:" + ID(image), Created: time.Now().Add(-time.Minute).Format(time.RFC3339Nano),
		Path: "/bin/app", State: &dockerapi.State{Status: "created", StartedAt: Never, FinishedAt: Never},
		HostConfig: &dockerapi.HostConfig{NetworkMode: "default"}, Config: &dockerapi.Config{Image: image},
	}
}

// Running is a container that runs since now.
func Running(name, image string) *dockerapi.Details {
	d := Created(name, image)
	SetRunning(d, time.Now())
	return d
}

// SetRunning makes a container run since t.
func SetRunning(d *dockerapi.Details, t time.Time) {
	d.State = &dockerapi.State{Status: "running", Running: true, Pid: 4242, StartedAt: t.UTC().Format(time.RFC3339Nano), FinishedAt: d.State.FinishedAt}
}

// SetExited ends a container at t.
func SetExited(d *dockerapi.Details, code int, t time.Time) {
	d.State = &dockerapi.State{Status: "exited", ExitCode: code, StartedAt: d.State.StartedAt, FinishedAt: t.UTC().Format(time.RFC3339Nano)}
}

// Event is one event, now.
func Event(typ, action, actor string, attributes map[string]string) dockerapi.Event {
	return dockerapi.Event{Type: typ, Action: action, Actor: actor, Attributes: attributes, Time: time.Now().UTC()}
}
