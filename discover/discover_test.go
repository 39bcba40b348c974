// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

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

// A start that fails leaves no event of the engine's, only an error and a network
// that it is taken from; each attempt is told, and nothing of it twice.
func TestFailedStarts(t *testing.T) {
	e := dockertest.Start(t)
	old := dockertest.Running("old", "i")
	old.State.Status, old.State.Running, old.State.Pid, old.State.Error, old.State.ExitCode = "created", false, 0, "long ago", 127
	e.Put(old)
	dir := t.TempDir()
	w := watch(t, e, dir)
	w.settled()
	fail := func(name, why string, code int) *dockerapi.Details {
		d := dockertest.Running(name, "i")
		d.State.Status, d.State.Running, d.State.Pid, d.State.Error, d.State.ExitCode, d.State.StartedAt = "created", false, 0, why, code, "0001-01-01T00:00:00Z"
		return d
	}
	d := fail("web", "no such command", 127)
	e.Put(d)
	attempt := func() {
		e.Emit(dockertest.Event("network", "connect", "net", map[string]string{"container": d.ID}), dockertest.Event("network", "disconnect", "net", map[string]string{"container": d.ID}))
	}
	e.Emit(dockertest.Event("container", "create", d.ID, map[string]string{"name": "web"}))
	attempt()
	told := w.wait("container", d.ID, "start_failed", 1)[0]
	if told.Attributes["exitCode"] != "127" || told.Attributes["error"] != "no such command" || told.Name != "web" || told.Inferred {
		t.Errorf("got %+v", told)
	}
	attempt() // the same once more
	w.wait("container", d.ID, "start_failed", 2)
	// One that is in no network is seen by the next inventory.
	n := fail("net-host", "mount is missing", 128)
	e.Put(n)
	e.Emit(dockertest.Event("container", "create", n.ID, map[string]string{"name": "net-host"}))
	w.wait("container", n.ID, "start_failed", 1)
	w.settled()
	w.settled()
	w.wantContainerEvents(d.ID, "create start_failed start_failed")
	w.wantContainerEvents(n.ID, "create start_failed!")
	w.wantContainerEvents(old.ID, "") // before tallyman
	w.stop()
	w = watch(t, e, dir)
	w.settled()
	w.settled()
	for _, id := range []string{d.ID, n.ID, old.ID} {
		w.wantContainerEvents(id, "")
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

func TestOptions(t *testing.T) {
	if _, err := New(Options{Engines: []EngineConfig{{Name: "a"}, {Name: "a"}}}); err == nil {
		t.Error("two engines of one name are accepted")
	}
	if _, err := New(Options{Engines: []EngineConfig{{Address: "nonsense"}}}); err == nil {
		t.Error("a bad address is accepted")
	}
}

// What the settings leave out is listed and nothing else, and a restart with
// other settings knows at once.
func TestWhatTheSettingsLeaveOut(t *testing.T) {
	e := dockertest.Start(t)
	quiet, loud := dockertest.Running("quiet", "i"), dockertest.Running("loud", "i")
	e.Put(quiet)
	e.Put(loud)
	leaveOut := func(name string) func(*Options) {
		return func(o *Options) { o.Wants = func(c *tallyman.Container) bool { return c.Name != name } }
	}
	disabled := func(w *watcher) (out string) {
		for _, c := range w.d.Containers() {
			if c.Disabled {
				out += c.Name
			}
		}
		return out
	}
	dir := t.TempDir()
	w := watch(t, e, dir, leaveOut("quiet"))
	w.settled()
	if got := disabled(w); got != "quiet" {
		t.Errorf("disabled: %q, want quiet", got)
	}
	e.Emit(dockertest.Event("container", "kill", quiet.ID, nil))
	w.until("the event to be dropped", func() bool { return w.own("tallyman_discover_events_dropped_total", "disabled") == 1 })
	w.stop()
	d, err := New(Options{Engines: w.d.opt.Engines, Host: w.d.opt.Host, DataDir: dir, Wants: func(c *tallyman.Container) bool { return c.Name != "loud" }})
	if err != nil {
		t.Fatal(err)
	}
	if got := disabled(&watcher{d: d}); got != "loud" {
		t.Errorf("after a restart with other settings: %q, want loud", got)
	}
}
