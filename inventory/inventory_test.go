// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/recordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixed is an inventory that changes when a test says so.
type fixed struct {
	mu         sync.Mutex
	engines    []tallyman.EngineStatus
	containers []*tallyman.Container
}

func (f *fixed) Engines() []tallyman.EngineStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.engines)
}

func (f *fixed) Containers() []*tallyman.Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.containers)
}

func (f *fixed) Container(ref string) (*tallyman.Container, bool) {
	for _, c := range f.Containers() {
		if c.ID == ref || c.Name == ref {
			return c, true
		}
	}
	return nil, false
}

func (f *fixed) set(change func(f *fixed)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// intake keeps what it takes.
type intake struct {
	tallyman.RecordIntake
	mu    sync.Mutex
	lines [][]byte
}

func (in *intake) TakeRecords(_ context.Context, b *tallyman.RecordBatch) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, r := range b.Streams[0].Records {
		in.lines = append(in.lines, bytes.Clone(r.Line))
	}
	return nil
}

func (in *intake) taken() [][]byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	out := in.lines
	in.lines = nil
	return out
}

func container(host, name string, state tallyman.State) *tallyman.Container {
	return &tallyman.Container{ID: strings.Repeat(name[:1], 64), Name: name, Host: host, Engine: "local", Image: "web:1", State: state, Pid: 7,
		Workload: tallyman.Workload{Key: "shop/" + name, Project: "shop", Origin: "compose", Service: name}, Started: time.UnixMilli(1_700_000_000_000).UTC(),
		Labels: map[string]string{"a": "b"}, Ports: []tallyman.Port{{Port: 80, Protocol: "tcp", HostPort: 8080}}, Command: []string{"run"}}
}

func agent() *fixed {
	return &fixed{engines: []tallyman.EngineStatus{{Name: "local", Host: "web-1", Up: true, Version: "29", Listed: time.Now(), CPUs: 4, Memory: 8 << 30}, {Name: "far", Host: "db-1", Up: true, Listed: time.Now()}},
		containers: []*tallyman.Container{container("web-1", "api", tallyman.Running), container("web-1", "job", tallyman.Exited)}}
}

// What there is on the own host is told at the start, some time after a change, and now and
// then; nothing of other hosts.
func TestTeller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, inv := &intake{}, agent()
		teller := NewTeller(TellerOptions{Host: "web-1", Inventory: inv, Records: in})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- teller.Run(ctx) }()
		told := func(what string, wait time.Duration, lines int) [][]byte {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			got := in.taken()
			if len(got) != lines {
				t.Errorf("%s there are %d lines, want %d", what, len(got), lines)
			}
			return got
		}
		first := told("at the start", 0, 1)
		if text := string(first[0]); !strings.Contains(text, `"host":"web-1"`) || strings.Contains(text, "db-1") || !strings.Contains(text, `"name":"api"`) || strings.Contains(text, "lastEvent") || strings.Contains(text, `"now"`) {
			t.Errorf("got %s", text)
		}
		teller.ObserveContainer(nil)
		told("when nothing has changed", 15*time.Second, 0)
		inv.set(func(f *fixed) { f.containers[1] = container("web-1", "job", tallyman.Running) })
		for range 20 {
			teller.ObserveContainer(nil)
		}
		told("at once", 9*time.Second, 0)
		told("10 s after a change", 2*time.Second, 1)
		told("five minutes after the start", 5*time.Minute, 1)
		inv.set(func(f *fixed) { f.engines = nil })
		told("without an engine", 6*time.Minute, 0)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Many containers are several lines, each no longer than a receiver takes, that the hub puts
// together.
func TestParts(t *testing.T) {
	inv := agent()
	for i := range 400 {
		c := container("web-1", "x", tallyman.Running)
		c.ID, c.Name, c.Labels = fmt.Sprintf("%064d", i), fmt.Sprintf("x%d", i), map[string]string{"long": strings.Repeat("y", 2000)}
		inv.containers = append(inv.containers, c)
	}
	hosts := NewTeller(TellerOptions{Host: "web-1", Inventory: inv}).hosts()
	list, err := lines(hosts, time.Now())
	if err != nil || len(list) < 4 {
		t.Fatalf("%d lines, %v; want several", len(list), err)
	}
	h := NewHosts(HostsOptions{Own: &fixed{}, Wanted: func() []string { return []string{"web-1"} }})
	for i, b := range list {
		if len(b) > 256<<10 {
			t.Errorf("a line has %d bytes", len(b))
		}
		if n := len(h.Containers()); i > 0 && n > 0 {
			t.Errorf("after %d of %d parts there are %d containers; want none before the last", i, len(list), n)
		}
		if err := h.Take("web-1", b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(h.Containers()); n != 402 {
		t.Errorf("there are %d containers, want 402", n)
	}
}

// watcher is told of containers and engines.
type watcher struct {
	mu   sync.Mutex
	told []string
}

func (w *watcher) ObserveContainer(c *tallyman.Container) { w.tell(c.Name + " " + string(c.State)) }

func (w *watcher) ObserveEngine(e tallyman.EngineStatus) {
	w.tell(fmt.Sprintf("%s %v %s", e.Name, e.Up, e.Failure))
}

func (w *watcher) tell(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, text)
}

func (w *watcher) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.told
	w.told = nil
	return out
}

// The hub knows what is on its hosts; a silent one has no container that runs, is told of, and
// comes back; one whose token was revoked goes.
func TestHosts(t *testing.T) {
	now := time.Now()
	wanted := []string{"web-1"}
	own := &fixed{engines: []tallyman.EngineStatus{{Name: "local", Host: "hub", Up: true}}, containers: []*tallyman.Container{container("hub", "own", tallyman.Running)}}
	h := NewHosts(HostsOptions{Own: own, Wanted: func() []string { return wanted }, now: func() time.Time { return now }})
	w := &watcher{}
	h.ObserveContainers(w)
	h.ObserveEngines(w)
	told := func(what string, want ...string) {
		t.Helper()
		if got := w.taken(); !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
	}
	inv := agent()
	send := func() {
		t.Helper()
		list, err := lines(NewTeller(TellerOptions{Host: "web-1", Inventory: inv, Absences: func(tallyman.TargetKey) []tallyman.Absence { return []tallyman.Absence{{What: "shm"}} }}).hosts(), now)
		if err != nil {
			t.Fatal(err)
		}
		h.Heard("web-1")
		for _, b := range list {
			if err := h.Take("web-1", b); err != nil {
				t.Fatal(err)
			}
		}
	}
	send()
	told("at first sight", "web-1/local true ", "api running", "job exited")
	send()
	told("the same again")
	c, ok := h.Container(strings.Repeat("a", 64))
	if !ok || c.Host != "web-1" || c.Engine != "web-1/local" || !c.Alive() || c.Workload.Service != "api" || c.Ports[0].HostPort != 8080 || c.Labels["a"] != "b" || !c.Started.Equal(time.UnixMilli(1_700_000_000_000)) {
		t.Errorf("the container is %+v, %v", c, ok)
	}
	if absent, known := h.Absences(c.ID); !known || len(absent) != 1 || absent[0].What != "shm" {
		t.Errorf("absent of it is %v, %v", absent, known)
	}
	if e := h.Engines(); len(e) != 2 || e[0].Host != "hub" || e[1].Host != "web-1" || !e[1].Up || e[1].CPUs != 4 {
		t.Errorf("the engines are %+v", e)
	}
	now = now.Add(80 * time.Second)
	h.look()
	told("80 s later")
	since := now.Add(-80 * time.Second)
	now = now.Add(20 * time.Second)
	h.look()
	told("when it is silent", "web-1/local false silent", "api unknown", "job unknown")
	if c, _ := h.Container("api"); c.State != tallyman.Unknown || c.Alive() {
		t.Errorf("of a silent host the container is %s, alive %v", c.State, c.Alive())
	}
	if e := h.Engines()[1]; e.Up || !e.Since.Equal(since) || !strings.Contains(e.Error, "nothing comes from the tallyman of this host since") {
		t.Errorf("its engine is %+v; want down since %v", e, since)
	}
	if l := h.List(); len(l) != 1 || !l[0].Silent || !l[0].Heard.Equal(since) {
		t.Errorf("the list is %+v", l)
	}
	h.Heard("web-1") // samples, say
	told("when it is heard", "web-1/local true ", "api running", "job exited")
	inv.set(func(f *fixed) { f.containers = f.containers[:1] })
	now = now.Add(time.Second)
	send()
	told("when one has gone", "job gone")
	for _, bad := range []string{"", "{}", `{"time":1,"part":2,"parts":1}`, `{"time":1,"part":1,"parts":9999}`} {
		if err := h.Take("web-1", []byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	wanted = nil
	h.look()
	told("when its token was revoked", "api gone")
	if n := len(h.Containers()); n != 1 || len(h.Engines()) != 1 {
		t.Errorf("there are %d containers and %d engines; want those of the hub", n, len(h.Engines()))
	}
}

// After a restart the hub knows its hosts from the store, and since when a silent one is.
func TestRestore(t *testing.T) {
	now := time.Now()
	store := recordtest.New()
	put := func(host string, at time.Time, inv *fixed) {
		list, err := lines(NewTeller(TellerOptions{Host: "web-1", Inventory: inv}).hosts(), at)
		if err != nil {
			t.Fatal(err)
		}
		s := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: host}, {Name: "source", Value: "inventory"}}}}
		for i, b := range list {
			s.Records = append(s.Records, tallyman.Record{Time: at.UnixNano() + int64(i), Line: b})
		}
		if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{s}}); err != nil {
			t.Fatal(err)
		}
	}
	inv := agent()
	inv.containers = inv.containers[:1]
	put("web-1", now.Add(-time.Hour), agent())
	put("web-1", now.Add(-30*time.Minute), inv)
	put("old-1", now.Add(-time.Hour), inv)
	file := filepath.Join(t.TempDir(), "hosts.json")
	o := HostsOptions{Own: &fixed{}, Wanted: func() []string { return []string{"web-1"} }, File: file, now: func() time.Time { return now }}
	h := NewHosts(o)
	if err := h.Restore(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	h.look()
	if c := h.Containers(); len(c) != 1 || c[0].Name != "api" || c[0].State != tallyman.Running {
		t.Errorf("the containers are %v; want those of the newest inventory, and none of a host without a token", c)
	}
	now = now.Add(2 * time.Minute)
	h.look()
	if l := h.List(); len(l) != 1 || !l[0].Silent || now.Sub(l[0].Heard).Round(time.Minute) != 32*time.Minute {
		t.Errorf("the list is %+v; want silent for 32 minutes", l)
	}
	h.Heard("web-1")
	h.save()
	h = NewHosts(o)
	if err := h.Restore(t.Context(), recordtest.New()); err != nil {
		t.Fatal(err)
	}
	if l := h.List(); len(l) != 1 || !l[0].Heard.Equal(now.UTC().Truncate(time.Second)) {
		t.Errorf("without records the list is %+v; want heard at %v", l, now)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := h.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Any record at all is an inventory or an error.
func FuzzTake(f *testing.F) {
	list, err := lines(NewTeller(TellerOptions{Host: "web-1", Inventory: agent()}).hosts(), time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(list[0])
	f.Add([]byte(`{"time":1,"part":1,"parts":1,"containers":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := NewHosts(HostsOptions{Own: &fixed{}, Wanted: func() []string { return []string{"web-1"} }})
		if h.Take("web-1", b) == nil {
			h.look()
		}
		for _, c := range h.Containers() {
			if c.Host != "web-1" {
				t.Errorf("there is a container of %q", c.Host)
			}
		}
	})
}
