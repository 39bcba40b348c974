// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are the intervals of the tests. Sockets keep synctest from faking time.
var quick = timing{
	ping: 20 * time.Millisecond, pingDeadline: 100 * time.Millisecond,
	retryMin: 5 * time.Millisecond, retryMax: 50 * time.Millisecond,
	streamMin: 5 * time.Millisecond, streamMax: 50 * time.Millisecond,
	call: 200 * time.Millisecond, reconcile: 150 * time.Millisecond, reconcileAgain: 10 * time.Millisecond,
	settle: 50 * time.Millisecond, persist: 20 * time.Millisecond, persistLazily: 100 * time.Millisecond,
}

// watcher is a running discovery and what it told, in order.
type watcher struct {
	t    *testing.T
	d    *Discovery
	stop func()

	mu       sync.Mutex
	events   []tallyman.Event
	states   []*tallyman.Container
	statuses []tallyman.EngineStatus
	log      []string // "container web running", "event container die"
}

func (w *watcher) note(s string) { w.log = append(w.log, s) }

func (w *watcher) ObserveEngine(s tallyman.EngineStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statuses = append(w.statuses, s)
	w.note(fmt.Sprint("engine ", s.Up))
}

func (w *watcher) ObserveEvent(e tallyman.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	w.note("event " + e.Type + " " + e.Action)
}

func (w *watcher) ObserveContainer(c *tallyman.Container) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states = append(w.states, c)
	w.note(fmt.Sprint("container ", c.Name, " ", c.State))
}

func watch(t *testing.T, e *dockertest.Engine, dir string, change ...func(*Options)) *watcher {
	t.Helper()
	w := &watcher{t: t}
	o := Options{Engines: []EngineConfig{{Address: e.Address()}}, Host: "h", DataDir: dir, timing: quick}
	for _, f := range change {
		f(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.d = d
	d.Observe(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(w.stop)
	return w
}

// settled waits for an inventory that was taken and thought over after now.
func (w *watcher) settled() {
	w.t.Helper()
	e, now := w.d.engines[0], time.Now()
	w.until("an inventory", func() bool {
		e.mu.RLock()
		defer e.mu.RUnlock()
		return e.inventoried.After(now)
	})
}

// first waits for the first inventory that was thought over.
func (w *watcher) first() {
	w.t.Helper()
	e := w.d.engines[0]
	w.until("the first inventory", func() bool {
		e.mu.RLock()
		defer e.mu.RUnlock()
		return !e.inventoried.IsZero()
	})
}

func (w *watcher) until(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("timed out waiting for %s; told: %q", what, w.log)
		}
	}
}

// of are the events of a type and actions, of one container if id is set.
func (w *watcher) of(typ, id string, actions ...string) (out []tallyman.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Type == typ && (id == "" || e.Actor == id) && (len(actions) == 0 || slices.Contains(actions, e.Action)) {
			out = append(out, e)
		}
	}
	return out
}

func (w *watcher) wait(typ, id, action string, n int) []tallyman.Event {
	w.t.Helper()
	w.until(fmt.Sprintf("%d %s %s", n, typ, action), func() bool { return len(w.of(typ, id, action)) >= n })
	return w.of(typ, id, action)
}

// wantContainerEvents compares all container events: "die!" is an inferred one.
func (w *watcher) wantContainerEvents(id, want string) {
	w.t.Helper()
	var got []string
	for _, e := range w.of("container", id) {
		a := e.Action
		if e.Inferred {
			a += "!"
		}
		got = append(got, a)
	}
	if g := strings.Join(got, " "); g != want {
		w.t.Errorf("got events %q, want %q", g, want)
	}
}

func (w *watcher) own(name string, labels ...string) (sum float64) {
	for _, m := range w.d.Own() {
		if m.Desc.Name != name {
			continue
		}
		ok := true
		for _, l := range labels {
			ok = ok && slices.ContainsFunc(m.Labels, func(x tallyman.Label) bool { return x.Value == l })
		}
		if ok {
			sum += m.Read()
		}
	}
	return sum
}

func (w *watcher) state(name string) tallyman.State {
	if c, ok := w.d.Container(name); ok {
		return c.State
	}
	return ""
}

func TestInventory(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "nginx:1"))
	e.Put(dockertest.Created("db", "postgres:16"))
	w := watch(t, e, t.TempDir())
	w.settled()
	if n := len(w.of("container", "")); n != 0 {
		t.Errorf("the first inventory told %d events of containers", n)
	}
	var names []string
	for _, c := range w.d.Containers() {
		names = append(names, c.Name+" "+string(c.State))
	}
	if want := []string{"db created", "web running"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	s := w.d.Engines()[0]
	if !s.Up || s.Name != "local" || s.Host != "h" || s.Version != "20.10.24" || s.APIVersion != "1.41" || s.CPUs != 2 ||
		s.CgroupVersion != "2" || s.LastGood.IsZero() || s.Since.IsZero() || s.Listed.IsZero() || s.Failure != "" {
		t.Errorf("status is %+v", s)
	}
	if up := w.of("engine", ""); len(up) != 1 || up[0].Action != "up" || up[0].Engine != "local" {
		t.Errorf("got engine events %v, want one up", up)
	}
}

func TestLookup(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "nginx:1"))
	w := watch(t, e, "")
	w.settled()
	id := dockertest.ID("web")
	for _, ref := range []string{id, id[:12], id[:40], "web", "/web"} {
		if c, ok := w.d.Container(ref); !ok || c.ID != id {
			t.Errorf("Container(%q): got %v %v", ref, c, ok)
		}
	}
	for _, ref := range []string{"", "/", "we", id[:11], id[:11] + "g", "../web", strings.ToUpper(id[:12])} {
		if c, ok := w.d.Container(ref); ok {
			t.Errorf("Container(%q) found %v", ref, c)
		}
	}
	// The name is taken over by another: the living one wins.
	e.Remove(id)
	next := dockertest.Running("web", "nginx:2")
	next.ID = dockertest.ID("web again")
	e.Put(next)
	w.settled()
	w.settled()
	if c, ok := w.d.Container("web"); !ok || c.ID != next.ID {
		t.Errorf("got %v %v, want the one that lives", c, ok)
	}
	if c, ok := w.d.Container(id); !ok || c.State != tallyman.Gone || c.GoneAt.IsZero() {
		t.Errorf("got %v %v, want the gone one by its id", c, ok)
	}
}

func TestEvents(t *testing.T) {
	e := dockertest.Start(t)
	w := watch(t, e, "", func(o *Options) { o.timing.reconcile = time.Hour })
	w.first()
	d := dockertest.Created("web", "nginx:1")
	id := d.ID
	attrs := func(more ...string) map[string]string {
		m := map[string]string{"name": "web", "image": "nginx:1"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	e.Put(d)
	e.Emit(dockertest.Event("container", "create", id, attrs()))
	w.wait("container", id, "create", 1)
	e.Change(id, func(d *dockerapi.Details) { dockertest.SetRunning(d, time.Now()) })
	e.Emit(dockertest.Event("network", "connect", "net", map[string]string{"container": id, "name": "bridge", "type": "bridge"}))
	e.Emit(dockertest.Event("container", "start", id, attrs()))
	w.wait("container", id, "start", 1)
	if c, _ := w.d.Container(id); c.State != tallyman.Running || c.Pid != 4242 {
		t.Errorf("after start: %+v", c)
	}
	e.Emit(dockertest.Event("container", "exec_create: sh -c exit 5", id, attrs("execID", "e1")),
		dockertest.Event("container", "exec_start: sh -c exit 5", id, attrs("execID", "e1")),
		dockertest.Event("container", "exec_die", id, attrs("execID", "e1", "exitCode", "5")))
	if x := w.wait("container", id, "exec_die", 1)[0]; x.Attributes["command"] != "sh -c exit 5" || x.Attributes["exitCode"] != "5" {
		t.Errorf("exec_die: %v", x.Attributes)
	}
	e.Change(id, func(d *dockerapi.Details) { dockertest.SetExited(d, 3, time.Now()) })
	e.Emit(dockertest.Event("container", "oom", id, attrs()), dockertest.Event("container", "die", id, attrs("exitCode", "99")))
	if x := w.wait("container", id, "die", 1)[0]; x.Attributes["exitCode"] != "3" || x.Attributes["oomKilled"] != "true" {
		t.Errorf("die: %v, want the exit code of the inspection and the oom", x.Attributes)
	}
	e.Remove(id)
	e.Emit(dockertest.Event("container", "destroy", id, attrs()))
	w.wait("container", id, "destroy", 1)
	if w.state("web") != tallyman.Gone {
		t.Errorf("after destroy: %s", w.state("web"))
	}
	w.wantContainerEvents(id, "create start exec_create exec_start exec_die oom die destroy")
	// The change of a container is told before the event that speaks of it.
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pair := range [][2]string{{"container web created", "event container create"}, {"container web running", "event container start"}, {"container web exited", "event container die"}, {"container web gone", "event container destroy"}} {
		if a, b := slices.Index(w.log, pair[0]), slices.Index(w.log, pair[1]); a < 0 || a > b {
			t.Errorf("%q is told at %d, %q at %d", pair[0], a, pair[1], b)
		}
	}
}

func TestHealthChecksAreDropped(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	d.Config.Healthcheck = &struct{ Test []string }{[]string{"CMD-SHELL", "curl --token=x localhost"}}
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	for i := range 10 {
		x := map[string]string{"execID": fmt.Sprint(i), "exitCode": "0"}
		for _, action := range []string{"exec_create: /bin/sh -c curl --token=x localhost", "exec_start: /bin/sh -c curl --token=x localhost", "exec_die"} {
			e.Emit(dockertest.Event("container", action, d.ID, x))
		}
	}
	e.Emit(dockertest.Event("container", "health_status: healthy", d.ID, nil))
	if x := w.wait("container", d.ID, "health_status", 1)[0]; x.Attributes["health"] != "healthy" {
		t.Errorf("health_status: %v", x.Attributes)
	}
	w.wantContainerEvents(d.ID, "health_status")
	if n := w.own("tallyman_discover_events_dropped_total", "health_check"); n != 30 {
		t.Errorf("%v events were dropped as health checks, want 30", n)
	}
}

func TestGoneBeforeInspected(t *testing.T) {
	e := dockertest.Start(t)
	w := watch(t, e, "")
	w.settled()
	id := dockertest.ID("job")
	attrs := map[string]string{"name": "job", "image": "busybox", "com.docker.compose.project": "p", "com.docker.compose.service": "s"}
	die := map[string]string{"exitCode": "7"}
	for k, v := range attrs {
		die[k] = v
	}
	e.Emit(dockertest.Event("container", "create", id, attrs), dockertest.Event("container", "start", id, attrs),
		dockertest.Event("container", "die", id, die), dockertest.Event("container", "destroy", id, attrs))
	w.wait("container", id, "destroy", 1)
	w.settled()
	w.settled()
	w.wantContainerEvents(id, "create start die destroy")
	c, ok := w.d.Container("job")
	if !ok || c.State != tallyman.Gone || c.ExitCode != 7 || c.Image != "busybox" || c.Workload.Key != "p/s/1" || c.Finished.IsZero() {
		t.Errorf("got %+v %v", c, ok)
	}
	if x := w.of("container", id, "die")[0]; x.Attributes["exitCode"] != "7" || x.Workload != "p/s/1" {
		t.Errorf("die: %+v", x)
	}
}

func TestDisabled(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("quiet", "i")
	d.Config.Labels = map[string]string{"tallyman.enable": "false"}
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	e.Emit(dockertest.Event("container", "kill", d.ID, nil))
	w.until("the event to be dropped", func() bool { return w.own("tallyman_discover_events_dropped_total", "disabled") == 1 })
	e.Remove(d.ID)
	w.until("it to be gone", func() bool { return w.state("quiet") == tallyman.Gone })
	w.settled()
	w.wantContainerEvents(d.ID, "")
}

func TestStreamCut(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	n := 0
	for range 20 {
		for range 5 {
			e.Emit(dockertest.Event("container", "kill", d.ID, map[string]string{"signal": fmt.Sprint(n)}))
			n++
		}
		e.Cut()
	}
	w.wait("container", d.ID, "kill", n)
	w.settled()
	events := w.of("container", d.ID, "kill")
	if len(events) != n {
		t.Errorf("got %d events of %d", len(events), n)
	}
	for i, ev := range events {
		if ev.Attributes["signal"] != fmt.Sprint(i) {
			t.Fatalf("event %d is %v", i, ev.Attributes)
		}
	}
	if r, g := w.own("tallyman_discover_reconnects_total"), w.own("tallyman_discover_gaps_total"); r == 0 || g != 0 {
		t.Errorf("%v reconnects and %v gaps, want some and none", r, g)
	}
	if len(w.of("engine", "")) != 1 {
		t.Errorf("got engine events %v, want the first up alone", w.of("engine", ""))
	}
}

func TestGap(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	e.Emit(dockertest.Event("container", "kill", d.ID, nil))
	w.wait("container", d.ID, "kill", 1)
	w.settled()

	// More than the engine remembers happens while the stream is cut.
	e.Mute(true)
	died := time.Now()
	e.Change(d.ID, func(d *dockerapi.Details) { dockertest.SetExited(d, 9, died) })
	e.Emit(dockertest.Event("container", "die", d.ID, map[string]string{"exitCode": "9"}))
	for i := range 300 {
		e.Emit(dockertest.Event("image", "tag", fmt.Sprint(i), nil))
	}
	e.Mute(false)
	e.Cut()
	gap := w.wait("tallyman", "", "gap", 1)[0]
	from, err1 := time.Parse(time.RFC3339Nano, gap.Attributes["from"])
	to, err2 := time.Parse(time.RFC3339Nano, gap.Attributes["to"])
	if err1 != nil || err2 != nil || !from.Before(to) || from.After(died) {
		t.Errorf("gap is %v", gap.Attributes)
	}
	die := w.wait("container", d.ID, "die", 1)[0]
	if !die.Inferred || die.Attributes["exitCode"] != "9" || !die.Time.Equal(died.UTC().Truncate(0)) {
		t.Errorf("die: %+v, want it inferred, at %v", die, died)
	}
	w.settled()
	w.wantContainerEvents(d.ID, "kill die!")
	if n := len(w.of("image", "", "tag")); n != 256 {
		t.Errorf("got %d of the 256 events that were remembered", n)
	}
	if n := len(w.of("tallyman", "", "gap")); n != 1 {
		t.Errorf("got %d gaps, want 1", n)
	}
}

func TestEngineRestart(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	e.Emit(dockertest.Event("container", "kill", d.ID, nil))
	w.wait("container", d.ID, "kill", 1)
	e.Refuse()
	down := w.wait("engine", "", "down", 1)[0]
	if down.Attributes["failure"] != "refused" || !strings.Contains(down.Attributes["error"], "is dockerd running") {
		t.Errorf("down: %v", down.Attributes)
	}
	if s := w.d.Engines()[0]; s.Up || s.Failure != tallyman.EngineRefused || s.LastGood.IsZero() || s.Since.Before(s.LastGood) {
		t.Errorf("status while down: %+v", s)
	}
	if w.state("web") != tallyman.Running {
		t.Errorf("the container is %q while the engine is down, want running as last known", w.state("web"))
	}
	e.Change(d.ID, func(d *dockerapi.Details) { dockertest.SetExited(d, 137, time.Now()) })
	e.Restart()
	w.wait("engine", "", "up", 2)
	w.wait("container", d.ID, "die", 1)
	w.wait("tallyman", "", "gap", 1)
	w.settled()
	w.wantContainerEvents(d.ID, "kill die!")
	if s := w.d.Engines()[0]; !s.Up || s.Failure != "" || s.Error != "" {
		t.Errorf("status after the restart: %+v", s)
	}
}

func TestEngineFailures(t *testing.T) {
	for _, c := range []struct {
		name       string
		fail, heal func(e *dockertest.Engine)
		failure    tallyman.EngineFailure
		text       string
	}{
		{"stalls", func(e *dockertest.Engine) { e.Hang(true) }, func(e *dockertest.Engine) { e.Hang(false) }, tallyman.EngineSlow, "no answer"},
		{"answers errors", func(e *dockertest.Engine) { e.Fail(500, "out of inodes") }, func(e *dockertest.Engine) { e.Fail(0, "") }, tallyman.EngineError, "out of inodes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := dockertest.Start(t)
			e.Put(dockertest.Running("web", "i"))
			w := watch(t, e, "")
			w.settled()
			c.fail(e)
			w.wait("engine", "", "down", 1)
			if s := w.d.Engines()[0]; s.Up || s.Failure != c.failure || !strings.Contains(s.Error, c.text) {
				t.Errorf("status: %+v", s)
			}
			if w.state("web") != tallyman.Running {
				t.Errorf("the container is %q", w.state("web"))
			}
			c.heal(e)
			w.wait("engine", "", "up", 2)
			w.settled()
			e.Emit(dockertest.Event("container", "kill", dockertest.ID("web"), nil))
			w.wait("container", "", "kill", 1)
		})
	}
}

func TestNoEngineAtStart(t *testing.T) {
	e := dockertest.Start(t)
	e.Refuse()
	w := watch(t, e, "")
	w.wait("engine", "", "down", 1)
	e.Put(dockertest.Running("web", "i"))
	e.Listen()
	w.wait("engine", "", "up", 1)
	w.until("the container", func() bool { return w.state("web") == tallyman.Running })
}

// TestRestart is about what happens between two runs of tallyman.
func TestRestart(t *testing.T) {
	e := dockertest.Start(t)
	dir := t.TempDir()
	names := []string{"stays", "dies", "goes", "restarts", "renamed", "paused"}
	for _, n := range names {
		e.Put(dockertest.Running(n, "i"))
	}
	id := dockertest.ID
	w := watch(t, e, dir)
	w.settled()
	e.Emit(dockertest.Event("container", "kill", id("stays"), nil))
	w.wait("container", id("stays"), "kill", 1)
	w.stop()

	now := time.Now()
	e.Change(id("dies"), func(d *dockerapi.Details) { dockertest.SetExited(d, 42, now); d.State.OOMKilled = true })
	e.Remove(id("goes"))
	e.Change(id("restarts"), func(d *dockerapi.Details) {
		dockertest.SetExited(d, 1, now)
		dockertest.SetRunning(d, now.Add(time.Millisecond))
		d.RestartCount = 3
	})
	e.Change(id("renamed"), func(d *dockerapi.Details) { d.Name = "/new" })
	e.Change(id("paused"), func(d *dockerapi.Details) { d.State.Status, d.State.Paused = "paused", true })
	e.Put(dockertest.Running("comes", "i"))
	// The death is remembered by the engine, the rest is not.
	e.Emit(dockertest.Event("container", "die", id("dies"), map[string]string{"exitCode": "42"}))

	w = watch(t, e, dir)
	w.settled()
	w.settled()
	w.wantContainerEvents(id("stays"), "")
	w.wantContainerEvents(id("dies"), "die")
	w.wantContainerEvents(id("goes"), "die! destroy!")
	w.wantContainerEvents(id("restarts"), "die! start! die! start! die! start!")
	w.wantContainerEvents(id("renamed"), "rename!")
	w.wantContainerEvents(id("paused"), "pause!")
	w.wantContainerEvents(id("comes"), "create! start!")
	if x := w.of("container", id("dies"), "die")[0]; x.Attributes["exitCode"] != "42" || x.Attributes["oomKilled"] != "true" {
		t.Errorf("die: %v", x.Attributes)
	}
	if x := w.of("container", id("goes"), "die")[0]; x.Attributes["exitCode"] != "" {
		t.Errorf("the exit code of a container that is gone was invented: %v", x.Attributes)
	}
	if x := w.of("container", id("renamed"), "rename")[0]; x.Attributes["oldName"] != "renamed" || x.Name != "new" {
		t.Errorf("rename: %+v", x)
	}
	if len(w.of("engine", "")) != 0 {
		t.Errorf("the engine was up before: %v", w.of("engine", ""))
	}
	first := w.of("container", "")
	w.stop()

	// Killed before the inventory was written: the same has the same ids.
	w = watch(t, e, dir)
	w.settled()
	if again := w.of("container", ""); len(again) != 0 {
		t.Errorf("a third run tells %d events again: %v", len(again), again)
	}
	if c, ok := w.d.Container("goes"); !ok || c.State != tallyman.Gone {
		t.Errorf("the gone container is not known after two restarts: %v", c)
	}
	w.stop()
	seen := make(map[string]bool)
	for _, ev := range first {
		if seen[ev.ID] {
			t.Errorf("two events have the id %s", ev.ID)
		}
		seen[ev.ID] = true
	}
}

func TestKilledBeforeSave(t *testing.T) {
	e := dockertest.Start(t)
	dir := t.TempDir()
	e.Put(dockertest.Running("a", "i"))
	w := watch(t, e, dir)
	w.settled()
	w.stop()
	before, err := os.ReadFile(filepath.Join(dir, inventoryName))
	if err != nil {
		t.Fatal(err)
	}
	e.Change(dockertest.ID("a"), func(d *dockerapi.Details) { dockertest.SetExited(d, 1, time.Now()) })
	var runs [2][]string
	for i := range runs {
		if err := os.WriteFile(filepath.Join(dir, inventoryName), before, 0o600); err != nil {
			t.Fatal(err)
		}
		w := watch(t, e, dir)
		w.wait("container", "", "die", 1)
		w.stop()
		for _, ev := range w.of("container", "") {
			runs[i] = append(runs[i], ev.ID)
		}
	}
	if len(runs[0]) != 1 || !slices.Equal(runs[0], runs[1]) {
		t.Errorf("the same death has the ids %v and %v", runs[0], runs[1])
	}
}

func TestOverflow(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "i")
	e.Put(d)
	w := watch(t, e, "", func(o *Options) {
		o.timing.reconcile = time.Hour
		o.timing.call = 2 * time.Second
		o.timing.pingDeadline = 2 * time.Second
	})
	w.first()
	e.Hang(true) // inspections hang, the stream goes on
	e.Emit(dockertest.Event("container", "update", d.ID, nil))
	time.Sleep(20 * time.Millisecond)
	const n = maxQueue + 1000
	for i := range n {
		e.Emit(dockertest.Event("container", "kill", d.ID, map[string]string{"signal": fmt.Sprint(i)}))
	}
	w.until("the queue to overflow", func() bool { return w.own("tallyman_discover_events_dropped_total", "overflow") > 0 })
	e.Hang(false)
	w.wait("tallyman", "", "gap", 1)
	lost := w.own("tallyman_discover_events_dropped_total", "overflow")
	w.until("the rest", func() bool {
		return len(w.of("container", "", "kill")) == n-int(w.own("tallyman_discover_events_dropped_total", "overflow"))
	})
	t.Logf("%v of %d events were dropped and counted", lost, n)
	balance := w.own("tallyman_engine_events_total") - w.own("tallyman_discover_events_dropped_total") - w.own("tallyman_discover_events_total") +
		w.own("tallyman_discover_events_inferred_total") + float64(len(w.of("engine", ""))+len(w.of("tallyman", "")))
	if balance != 0 {
		t.Errorf("seen - dropped - told is off by %v", balance)
	}
}

func TestOneBadInspection(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("good", "i"))
	e.Put(dockertest.Running("bad", "i"))
	e.Break(dockertest.ID("bad"))
	w := watch(t, e, "")
	w.settled()
	for _, n := range []string{"good", "bad"} {
		if w.state(n) != tallyman.Running {
			t.Errorf("%s is %q", n, w.state(n))
		}
	}
}

func TestForgetsGone(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "i"))
	w := watch(t, e, "", func(o *Options) { o.timing.keepGone = 300 * time.Millisecond })
	w.settled()
	e.Remove(dockertest.ID("web"))
	w.wait("container", "", "destroy", 1)
	if w.state("web") != tallyman.Gone {
		t.Errorf("got %q, want it gone and known", w.state("web"))
	}
	w.until("it to be forgotten", func() bool { return w.state("web") == "" })
}

func TestInventoryFile(t *testing.T) {
	e := dockertest.Start(t)
	dir := filepath.Join(t.TempDir(), "data")
	w := watch(t, e, dir)
	w.settled()
	w.stop()
	name := filepath.Join(dir, inventoryName)
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v %v, want mode 0600", info, err)
	}
	for bad, aside := range map[string]bool{"": true, "{": true, `{"version":99}`: true, `{"version":1,"engines":[{"name":"local","containers":[{}]}]}`: false} {
		if err := os.WriteFile(name, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		w := watch(t, e, dir)
		w.settled()
		w.stop()
		if kept, err := os.ReadFile(name + ".bad"); (err == nil) != aside || string(kept) != bad && aside {
			t.Errorf("an inventory %q: set aside is %q %v, want it %v", bad, kept, err, aside)
		}
		os.Remove(name + ".bad")
	}
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{Engines: []EngineConfig{{Name: "a"}, {Name: "a"}}}); err == nil {
		t.Error("two engines of one name are accepted")
	}
	if _, err := New(Options{Engines: []EngineConfig{{Address: "nonsense"}}}); err == nil {
		t.Error("a bad address is accepted")
	}
}

func TestTwoEngines(t *testing.T) {
	a, b := dockertest.Start(t), dockertest.Start(t)
	a.Put(dockertest.Running("web", "i"))
	other := dockertest.Running("web", "i")
	other.ID = dockertest.ID("other web")
	b.Put(other)
	w := watch(t, a, t.TempDir(), func(o *Options) {
		o.Engines = []EngineConfig{{Name: "a", Address: a.Address()}, {Name: "b", Address: b.Address()}}
	})
	w.until("both", func() bool { return len(w.d.Containers()) == 2 })
	if c, ok := w.d.Container("web"); !ok || c.Engine != "a" {
		t.Errorf("got %v %v, want that of the first engine", c, ok)
	}
	b.Refuse()
	w.wait("engine", "b", "down", 1)
	if s := w.d.Engines(); !s[0].Up || s[1].Up {
		t.Errorf("got %+v", s)
	}
}

// TestRequests looks at everything that was sent.
func TestRequests(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "i"))
	w := watch(t, e, "")
	w.settled()
	w.settled()
	w.stop()
	for _, r := range e.Requests() {
		method, path, _ := strings.Cut(r, " ")
		path, _, _ = strings.Cut(strings.TrimPrefix(path, "/v1.41"), "?")
		switch path {
		case "/_ping", "/info", "/events", "/containers/json", "/containers/" + dockertest.ID("web") + "/json":
		default:
			t.Errorf("unexpected request %s", r)
		}
		if method != "GET" && (method != "HEAD" || path != "/_ping") {
			t.Errorf("unexpected request %s", r)
		}
	}
}

// TestCutBeforeSettled takes an inventory while the stream is down: what it shows
// comes with the next stream and must not be inferred before.
func TestCutBeforeSettled(t *testing.T) {
	e := dockertest.Start(t)
	for _, n := range []string{"dies", "goes"} {
		e.Put(dockertest.Running(n, "i"))
	}
	w := watch(t, e, "", func(o *Options) {
		o.timing.streamMin, o.timing.streamMax = 400*time.Millisecond, 400*time.Millisecond
	})
	w.settled()
	e.Emit(dockertest.Event("container", "kill", dockertest.ID("dies"), nil))
	w.wait("container", "", "kill", 1)
	e.Cut()
	w.until("the stream to be down", func() bool { return e.Streams() == 0 })
	now := time.Now()
	e.Change(dockertest.ID("dies"), func(d *dockerapi.Details) { dockertest.SetExited(d, 1, now) })
	e.Remove(dockertest.ID("goes"))
	e.Emit(dockertest.Event("container", "die", dockertest.ID("dies"), map[string]string{"exitCode": "1"}),
		dockertest.Event("container", "die", dockertest.ID("goes"), map[string]string{"exitCode": "2"}),
		dockertest.Event("container", "destroy", dockertest.ID("goes"), nil))
	w.until("an inventory without the stream", func() bool { return w.state("goes") == tallyman.Gone })
	w.wait("container", dockertest.ID("goes"), "destroy", 1)
	w.settled()
	w.wantContainerEvents(dockertest.ID("dies"), "kill die")
	w.wantContainerEvents(dockertest.ID("goes"), "die destroy")
}

// TestNoEvents is an engine behind a proxy that does not let /events through.
func TestNoEvents(t *testing.T) {
	e := dockertest.Start(t)
	e.Forbid("/events")
	d := dockertest.Running("web", "i")
	e.Put(d)
	w := watch(t, e, "")
	w.settled()
	e.Change(d.ID, func(d *dockerapi.Details) { dockertest.SetExited(d, 4, time.Now()) })
	if x := w.wait("container", d.ID, "die", 1)[0]; !x.Inferred || x.Attributes["exitCode"] != "4" {
		t.Errorf("die: %+v", x)
	}
	if s := w.d.Engines()[0]; !s.Up {
		t.Errorf("the engine counts as down: %+v", s)
	}
}
