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

func TestStreamCut(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	e.Put(d)
	w := watch(t, e, "", func(o *Options) {
		// So long the replay may take before it is said to have a gap.
		o.timing.settle, o.timing.reconcile = time.Second, 1500*time.Millisecond
	})
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
	w.until("the 256 events that were remembered", func() bool { return len(w.of("image", "", "tag")) >= 256 })
	if n := len(w.of("image", "", "tag")); n != 256 {
		t.Errorf("got %d of the 256 events that were remembered", n)
	}
	if n := len(w.of("tallyman", "", "gap")); n != 1 {
		t.Errorf("got %d gaps, want 1", n)
	}
}

// An engine that takes long to replay has forgotten nothing: no gap is told, and nothing is
// inferred that the replay tells.
func TestSlowReplay(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "nginx:1")
	e.Put(d)
	// It does not wait for ever: sixty times so long for the replay.
	w := watch(t, e, "", func(o *Options) { o.timing.settle, o.timing.reconcile = time.Second, 1500*time.Millisecond })
	w.settled()
	e.Emit(dockertest.Event("container", "kill", d.ID, nil))
	w.wait("container", d.ID, "kill", 1)
	w.settled()

	release := e.Slow()
	asked := func() bool {
		return slices.ContainsFunc(e.Requests(), func(r string) bool { return strings.Contains(r, "/events?") && strings.Contains(r, "until=") })
	}
	e.Cut()
	died := time.Now()
	e.Change(d.ID, func(d *dockerapi.Details) { dockertest.SetExited(d, 9, died) })
	e.Emit(dockertest.Event("container", "die", d.ID, map[string]string{"exitCode": "9"}))
	w.until("the engine to be asked what it remembers", asked)
	w.until("an inventory that shows the death", func() bool { return w.state("web") == tallyman.Exited })
	release()
	w.wait("container", d.ID, "die", 1)
	w.settled()
	w.wantContainerEvents(d.ID, "kill die")
	if n := len(w.of("tallyman", "", "gap")); n != 0 {
		t.Errorf("%d gaps, want none", n)
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
			w := watch(t, e, "", func(o *Options) { o.timing.pingDeadline = 500 * time.Millisecond })
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

func TestOverflow(t *testing.T) {
	e := dockertest.Start(t)
	d := dockertest.Running("web", "i")
	e.Put(d)
	w := watch(t, e, "", func(o *Options) {
		o.timing.reconcile = time.Hour
		o.timing.call = time.Minute // longer than it takes to send what overflows
		o.timing.pingDeadline = time.Minute
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

func TestTwoEngines(t *testing.T) {
	a, b := dockertest.Start(t), dockertest.Start(t)
	a.Put(dockertest.Running("web", "i"))
	other := dockertest.Running("web", "i")
	other.ID = dockertest.ID("other web")
	b.Put(other)
	w := watch(t, a, t.TempDir(), func(o *Options) {
		o.Engines = []EngineConfig{{Name: "a", Host: "a", Address: a.Address()}, {Name: "b", Host: "b", Address: b.Address()}}
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

// One engine under two names would have every container twice.
func TestTheSameEngineTwice(t *testing.T) {
	a := dockertest.Start(t)
	a.Put(dockertest.Running("web", "i"))
	w := watch(t, a, t.TempDir(), func(o *Options) {
		o.Engines = []EngineConfig{{Name: "a", Host: "a", Address: a.Address()}, {Name: "b", Host: "b", Address: a.Address()}}
	})
	w.wait("engine", "b", "down", 1)
	w.until("the container", func() bool { return len(w.d.Containers()) == 1 })
	if s := w.d.Engines(); !s[0].Up || s[1].Up || !strings.Contains(s[1].Error, `the same engine as "a"`) {
		t.Errorf("got %+v", s)
	}
}

// The statistics of an engine without cgroups are those of the whole machine.
func TestStatisticsWithoutCgroups(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "i"))
	w := watch(t, e, "")
	w.settled()
	var out struct{ Read string }
	if err := w.d.EngineStats(t.Context(), w.d.Engines()[0].Name, dockertest.ID("web"), &out); err != nil || out.Read == "" {
		t.Errorf("with cgroups: %+v, %v", out, err)
	}
	rootless := dockertest.Start(t)
	rootless.WithoutCgroups()
	rootless.Put(dockertest.Running("web", "i"))
	w = watch(t, rootless, "")
	w.settled()
	if err := w.d.EngineStats(t.Context(), w.d.Engines()[0].Name, dockertest.ID("web"), &out); err == nil || !strings.Contains(err.Error(), "without cgroups") {
		t.Errorf("without cgroups: %v, want that nobody counts", err)
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
		o.timing.settle, o.timing.reconcile = time.Second, 2*time.Second // so long the replay of the new stream may take
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
