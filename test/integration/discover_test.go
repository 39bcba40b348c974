// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/discover"
	"tallyman/internal/dockerapi"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watcher is a running discovery and what it told of containers.
type watcher struct {
	t    *testing.T
	d    *discover.Discovery
	stop func()

	mu     sync.Mutex
	events []tallyman.Event
	states map[string][]*tallyman.Container
}

func (w *watcher) ObserveEngine(tallyman.EngineStatus) {}

func (w *watcher) ObserveEvent(e tallyman.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *watcher) ObserveContainer(c *tallyman.Container) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[c.ID] = append(w.states[c.ID], c)
}

// watch starts a discovery and waits for its first inventory.
func watch(t *testing.T, dataDir string, engines ...discover.EngineConfig) *watcher {
	t.Helper()
	w := &watcher{t: t, states: make(map[string][]*tallyman.Container)}
	var err error
	w.d, err = discover.New(discover.Options{Host: "testhost", DataDir: dataDir, Engines: engines})
	if err != nil {
		t.Fatal(err)
	}
	w.d.ObserveContainers(w)
	w.d.ObserveEngines(w)
	w.d.ObserveEvents(w)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.d.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	w.until("the first inventory", func() bool { return !w.d.Engines()[0].Listed.IsZero() })
	return w
}

// until waits for cond and fails with what was told when it does not come.
func (w *watcher) until(what string, cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("timed out waiting for %s; told:\n%s", what, w.dump(""))
		}
	}
}

// of are the events of one container, with these actions if any are given.
func (w *watcher) of(id string, actions ...string) []tallyman.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []tallyman.Event
	for _, e := range w.events {
		if e.Actor == id && (len(actions) == 0 || slices.Contains(actions, e.Action)) {
			out = append(out, e)
		}
	}
	return out
}

// wait waits until n events of the action were told.
func (w *watcher) wait(id, action string, n int) []tallyman.Event {
	w.t.Helper()
	w.until(fmt.Sprintf("%d %s of %.12s", n, action, id), func() bool { return len(w.of(id, action)) >= n })
	return w.of(id, action)
}

func (w *watcher) dump(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, e := range w.events {
		if id == "" || e.Actor == id {
			fmt.Fprintf(&b, "  %s %s %s %.12s %s inferred=%v %v\n", e.Time.Format("15:04:05.000000"), e.Type, e.Action, e.Actor, e.Name, e.Inferred, e.Attributes)
		}
	}
	return b.String()
}

// wantActions compares the sequence of some actions.
func (w *watcher) wantActions(id string, of []string, want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.of(id, of...) {
		got = append(got, e.Action)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got %v, want %v; all:\n%s", got, want, w.dump(id))
	}
}

func (w *watcher) wantState(id string, state tallyman.State) *tallyman.Container {
	w.t.Helper()
	w.until(fmt.Sprintf("%.12s to be %s", id, state), func() bool {
		c, ok := w.d.Container(id)
		return ok && c.State == state
	})
	c, _ := w.d.Container(id)
	return c
}

func attribute(t *testing.T, e tallyman.Event, key, want string) {
	t.Helper()
	if got := e.Attributes[key]; got != want {
		t.Errorf("%s of %s: attribute %s is %q, want %q (all: %v)", e.Action, e.Name, key, got, want, e.Attributes)
	}
}

var lifeActions = []string{"create", "start", "die", "stop", "destroy"}

func TestLife(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := watch(t, testkit.DataDir(t))
	id := d.Start([]string{"--name", d.Name("life"), "--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api",
		"--label", "exitCode=99", "-m", "64m", "--cpus", "0.5", "-p", "127.0.0.1::80"}, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 3600 & wait; done", "--token=hunter2")
	w.wait(id, "start", 1)
	c := w.wantState(id, tallyman.Running)
	if c.Workload.Key != "shop/api/1" || c.MemoryLimit != 64<<20 || c.CPULimit != 0.5 || c.Pid == 0 || c.Image != testkit.Image ||
		len(c.Networks) != 1 || len(c.Ports) != 1 || c.Ports[0].HostPort == 0 || c.LogDriver != "json-file" {
		t.Errorf("container is not as it was started: %+v", c)
	}
	if got := strings.Join(c.Command, " "); !strings.Contains(got, "--token=[redacted]") || strings.Contains(got, "hunter2") {
		t.Errorf("command is %q, want the token redacted", got)
	}

	d.Pause(id)
	w.wait(id, "pause", 1)
	w.wantState(id, tallyman.Paused)
	d.Cmd("unpause", id)
	w.wait(id, "unpause", 1)
	w.wantState(id, tallyman.Running)

	newName := d.Name("renamed")
	d.Cmd("rename", id, newName)
	e := w.wait(id, "rename", 1)[0]
	attribute(t, e, "oldName", d.Name("life"))
	if c, ok := w.d.Container(newName); !ok || c.ID != id {
		t.Errorf("Container(%q): got %v %v", newName, c, ok)
	}

	d.Cmd("stop", id)
	w.wait(id, "stop", 1)
	die := w.of(id, "die")[0]
	attribute(t, die, "exitCode", "7") // the label of that name says 99
	if c := w.wantState(id, tallyman.Exited); c.ExitCode != 7 || c.Pid != 0 {
		t.Errorf("after stop: %+v", c)
	}
	if kill := w.of(id, "kill"); len(kill) == 0 || kill[0].Attributes["signal"] != "15" {
		t.Errorf("kill events: %v", kill)
	}
	d.Cmd("start", id)
	w.wait(id, "start", 2)
	d.Cmd("rm", "-f", id)
	w.wait(id, "destroy", 1)
	if c := w.wantState(id, tallyman.Gone); c.GoneAt.IsZero() || c.Name != newName {
		t.Errorf("after rm: %+v", c)
	}
	w.wantActions(id, lifeActions, "create", "start", "die", "stop", "start", "die", "destroy")
	for _, e := range w.of(id) {
		if e.Inferred || e.Workload != "shop/api/1" || e.Image != testkit.Image || e.Host != "testhost" || e.Engine != "local" {
			t.Errorf("event is wrong: %+v", e)
		}
	}
}

func TestRestartLoop(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := watch(t, testkit.DataDir(t))
	id := d.Start([]string{"--restart", "on-failure:2"}, "sh", "-c", "sleep 0.2; exit 3")
	for _, e := range w.wait(id, "die", 3) {
		attribute(t, e, "exitCode", "3")
	}
	time.Sleep(4 * time.Second) // an inventory that follows must not add to it
	w.wantActions(id, lifeActions, "create", "start", "die", "start", "die", "start", "die")
	if c := w.wantState(id, tallyman.Exited); c.RestartCount != 2 || c.RestartPolicy != "on-failure:2" {
		t.Errorf("got restart count %d and policy %q", c.RestartCount, c.RestartPolicy)
	}
}

func TestOOM(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := watch(t, testkit.DataDir(t))
	id := d.OutOfMemory()
	e := w.wait(id, "die", 1)[0]
	attribute(t, e, "exitCode", "137")
	attribute(t, e, "oomKilled", "true")
	if len(w.of(id, "oom")) == 0 {
		t.Errorf("no oom event:\n%s", w.dump(id))
	}
	if c := w.wantState(id, tallyman.Exited); !c.OOMKilled || c.ExitCode != 137 {
		t.Errorf("got OOMKilled %v, exit code %d", c.OOMKilled, c.ExitCode)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := watch(t, testkit.DataDir(t))
	id := d.Start([]string{"--health-cmd", "test -e /bin/sh", "--health-interval", "300ms"}, "sleep", "1000")
	d.May("exec", id, "sh", "-c", "exit 5", "--password", "hunter2")
	e := w.wait(id, "exec_die", 1)[0]
	attribute(t, e, "exitCode", "5")
	attribute(t, e, "command", "sh -c exit 5 --password [redacted]")
	create := w.of(id, "exec_create")
	if len(create) != 1 || create[0].Attributes["execID"] != e.Attributes["execID"] || e.Attributes["execID"] == "" {
		t.Errorf("exec_create: got %v, want one with the id of exec_die", create)
	}
	attribute(t, w.wait(id, "health_status", 1)[0], "health", "healthy")
	w.until("health checks to be dropped", func() bool { return w.counter("tallyman_discover_events_dropped_total", "health_check") >= 9 })
	if n := len(w.of(id, "exec_create", "exec_start", "exec_die")); n != 3 {
		t.Errorf("got %d exec events, want the three of the one exec by hand:\n%s", n, w.dump(id))
	}
	if c, _ := w.d.Container(id); c.Health != "healthy" || c.HealthTest != "/bin/sh -c test -e /bin/sh" {
		t.Errorf("got health %q, test %q", c.Health, c.HealthTest)
	}
	if strings.Contains(w.dump(""), "hunter2") {
		t.Errorf("a secret is told:\n%s", w.dump(""))
	}
}

func (w *watcher) counter(name, label string) float64 {
	var sum float64
	for _, m := range w.d.SelfMetrics() {
		if m.Desc.Name == name && slices.ContainsFunc(m.Labels, func(l tallyman.Label) bool { return l.Value == label }) {
			sum += m.Read()
		}
	}
	return sum
}

func TestShortLife(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := watch(t, testkit.DataDir(t))
	const n = 12
	for i := range n {
		d.May("run", "--rm", "--label", d.Label, "--name", d.Name(fmt.Sprint("short", i)), testkit.Image, "sh", "-c", fmt.Sprint("exit ", i))
	}
	for i := range n {
		name := d.Name(fmt.Sprint("short", i))
		w.until(name+" to be gone", func() bool { c, ok := w.d.Container(name); return ok && c.State == tallyman.Gone })
		c, _ := w.d.Container(name)
		w.wait(c.ID, "destroy", 1)
		w.wantActions(c.ID, lifeActions, "create", "start", "die", "destroy")
		attribute(t, w.of(c.ID, "die")[0], "exitCode", fmt.Sprint(i))
		if c.ExitCode != i || c.Image != testkit.Image {
			t.Errorf("gone container: got %+v, want exit code %d", c, i)
		}
	}
}

// TestChurn runs many short containers at once while the event stream is cut
// again and again.
func TestChurn(t *testing.T) {
	d := testkit.NewDocker(t)
	var mu sync.Mutex
	var conns []net.Conn
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", "/var/run/docker.sock")
		if err == nil {
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
		return c, err
	}
	w := watch(t, testkit.DataDir(t), discover.EngineConfig{Client: dockerapi.Options{Dial: dial}})
	const n, parallel = 60, 6
	stop := make(chan struct{})
	var cutter, runners sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(1500 * time.Millisecond):
			}
			mu.Lock()
			for _, c := range conns {
				c.Close()
			}
			conns = nil
			mu.Unlock()
		}
	})
	begin := time.Now()
	for p := range parallel {
		runners.Go(func() {
			for i := p; i < n; i += parallel {
				d.May("run", "--rm", "--label", d.Label, "--name", d.Name(fmt.Sprint("churn", i)), testkit.Image, "sh", "-c", fmt.Sprint("exit ", i+1))
			}
		})
	}
	runners.Wait()
	took := time.Since(begin)
	close(stop)
	cutter.Wait()
	wrong, inferred := 0, 0
	for i := range n {
		name := d.Name(fmt.Sprint("churn", i))
		w.until(name+" to be gone", func() bool { c, ok := w.d.Container(name); return ok && c.State == tallyman.Gone })
		c, _ := w.d.Container(name)
		w.wait(c.ID, "destroy", 1)
		var got []string
		for _, e := range w.of(c.ID, lifeActions...) {
			got = append(got, e.Action)
			if e.Inferred {
				inferred++
			}
		}
		if !slices.Equal(got, []string{"create", "start", "die", "destroy"}) || w.of(c.ID, "die")[0].Attributes["exitCode"] != fmt.Sprint(i+1) {
			wrong++
			t.Errorf("%s: got %v\n%s", name, got, w.dump(c.ID))
		}
	}
	t.Logf("%d containers in %.1f s, %v reconnects, %v gaps, %v duplicates dropped, %d events inferred, %d containers wrong", n, took.Seconds(),
		w.counter("tallyman_discover_reconnects_total", "local"), w.counter("tallyman_discover_gaps_total", "local"),
		w.counter("tallyman_discover_events_dropped_total", "duplicate"), inferred, wrong)
}

// TestWhileNotWatching is about what happens between two runs. The engine
// remembers 256 events, so most come back as they were; the second half makes it
// forget them.
func TestWhileNotWatching(t *testing.T) {
	t.Parallel()
	for _, forget := range []bool{false, true} {
		t.Run(fmt.Sprintf("forgotten=%v", forget), func(t *testing.T) {
			engine := testkit.NewEngine(t) // which remembers what others do, too
			d := engine.Docker
			dir := testkit.DataDir(t)
			exits := d.Start([]string{"--name", d.Name("exits")}, "sh", "-c", "while ! test -e /tmp/go; do sleep 0.1; done; exit 42")
			loops := d.Start([]string{"--name", d.Name("loops"), "--restart", "on-failure:3"}, "sh", "-c", "while ! test -e /tmp/go; do sleep 0.1; done; exit 9")
			restarts := d.Start([]string{"--name", d.Name("restarts")}, "sh", "-c", "sleep 3600; :")
			removed := d.Start([]string{"--name", d.Name("removed")}, "sleep", "1000")
			at := discover.EngineConfig{Address: engine.Socket}
			w := watch(t, dir, at)
			time.Sleep(3 * time.Second) // the first inventory settles
			w.stop()
			if n := len(w.of(exits)); n != 0 {
				t.Errorf("the first inventory told of what was before:\n%s", w.dump(exits))
			}

			d.Cmd("exec", exits, "sh", "-c", ": >/tmp/go")
			d.Cmd("exec", loops, "sh", "-c", ": >/tmp/go")
			d.Cmd("restart", "-t", "0", restarts)
			d.Cmd("rm", "-f", removed)
			late := d.Start([]string{"--name", d.Name("late")}, "sh", "-c", "exit 6")
			renamed := d.Name("renamed")
			d.Cmd("rename", exits, renamed)
			d.Cmd("wait", exits, loops, late)
			time.Sleep(2 * time.Second) // the loop ends
			if forget {
				for range 90 { // three events each
					d.May("exec", restarts, "true")
				}
			}

			w = watch(t, dir, at)
			w.wait(exits, "die", 1)
			w.wait(loops, "die", 4)
			w.wait(restarts, "start", 1)
			w.wait(removed, "destroy", 1)
			w.wait(late, "die", 1)
			time.Sleep(4 * time.Second) // nothing is told twice
			for _, e := range w.of(exits, "die") {
				attribute(t, e, "exitCode", "42")
			}
			attribute(t, w.of(late, "die")[0], "exitCode", "6")
			w.wantActions(exits, lifeActions, "die")
			w.wantActions(exits, []string{"rename"}, "rename")
			w.wantActions(loops, lifeActions, "die", "start", "die", "start", "die", "start", "die")
			attribute(t, w.of(loops, "die")[3], "exitCode", "9")
			w.wantActions(restarts, []string{"start", "die"}, "die", "start")
			w.wantActions(late, lifeActions, "create", "start", "die")
			w.wantActions(removed, []string{"die", "destroy"}, "die", "destroy")
			if c, ok := w.d.Container(d.Name("removed")); !ok || c.State != tallyman.Gone {
				t.Errorf("the removed container: %+v %v", c, ok)
			}
			inferred := 0
			for _, id := range []string{exits, loops, restarts, removed, late} {
				for _, e := range w.of(id) {
					if e.Inferred {
						inferred++
					}
				}
			}
			gaps := 0
			for _, e := range w.of("local") {
				if e.Type == "tallyman" && e.Action == "gap" {
					gaps++
				}
			}
			t.Logf("%d events inferred, %d gaps", inferred, gaps)
			if !forget && (inferred != 0 || gaps != 0) || forget && (inferred == 0 || gaps != 1) {
				t.Errorf("got %d inferred events and %d gaps:\n%s", inferred, gaps, w.dump(""))
			}
		})
	}
}
