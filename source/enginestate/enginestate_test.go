// SPDX-License-Identifier: Apache-2.0

package enginestate

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/source/sourcetest"
)

// told is what discovery knows of the engine "local".
type told struct {
	tallyman.Engines
	state tallyman.EngineState
	known bool
}

func (t *told) EngineState(engine string) (tallyman.EngineState, bool) {
	return t.state, t.known && engine == "local"
}

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.EngineTarget, ID: "local", Labels: []tallyman.Label{{Name: "engine", Value: "local"}, {Name: "host", Value: "h"}}}
}

func open(t *testing.T, o *told) tallyman.Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Interval: 10 * time.Second, Engines: o})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// values are those of a round, by name and own labels.
func values(s tallyman.Source) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	out := map[string]float64{}
	for _, one := range b.Samples {
		name := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			if l.Name != "engine" && l.Name != "host" {
				name += " " + l.Name + "=" + l.Value
			}
		}
		out[name] = one.Value
	}
	return out
}

func TestContract(t *testing.T) {
	o := &told{known: true}
	o.state.Up, o.state.Version, o.state.Listed = true, "20.10", time.Unix(1, 0)
	o.state.Containers = map[tallyman.ImageState]int{{Image: "nginx", State: tallyman.Running}: 2}
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, o), []*tallyman.Target{target()}
	})
}

// The ratio is that of the last interval, whatever rounds come between.
func TestRatio(t *testing.T) {
	o := &told{}
	s := open(t, o)
	tg := target()
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	f := func(what string, addUp, add time.Duration, up bool, want float64) {
		t.Helper()
		o.state.UpFor, o.state.KnownFor, o.state.Up = o.state.UpFor+addUp, o.state.KnownFor+add, up
		if got, ok := values(s)["docker_up_ratio"]; !ok || got != want {
			t.Errorf("%s: %v (there: %v), want %v", what, got, ok, want)
		}
	}
	if got := values(s); len(got) > 0 {
		t.Errorf("before the first ping: %v", got)
	}
	o.known = true
	f("at once", 0, 0, true, 1)
	f("a tick", 10*time.Second, 10*time.Second, true, 1)
	f("down for half of it", 5*time.Second, 10*time.Second, false, 0.5)
	f("a round between", 0, 5*time.Second, false, 5.0/15)
	f("the tick after it", 5*time.Second, 5*time.Second, true, 0.5)
	f("up again", 10*time.Second, 10*time.Second, true, 1)
	s.Detach(tg)
	if got := values(s); len(got) > 0 {
		t.Errorf("detached: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is not known is not told, and a stalled engine is none that is away.
func TestState(t *testing.T) {
	o := &told{known: true}
	s := open(t, o)
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	f := func(what string, want map[string]float64) {
		t.Helper()
		got := values(s)
		delete(got, "docker_up_ratio")
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	o.state.Failure = tallyman.EngineRefused
	f("away", map[string]float64{"docker_up": 0, "docker_stalled": 0, "docker_oom_events_total": 0})
	o.state.Failure = tallyman.EngineSlow
	f("stalled", map[string]float64{"docker_up": 0, "docker_stalled": 1, "docker_oom_events_total": 0})
	o.state.Up, o.state.Failure, o.state.OOMs, o.state.Latency = true, "", 7, 20*time.Millisecond
	o.state.Clock, o.state.ClockKnown = -90*time.Second, true
	base := map[string]float64{"docker_up": 1, "docker_stalled": 0, "docker_oom_events_total": 7, "docker_ping_seconds": 0.02, "docker_clock_offset_seconds": -90}
	f("up, and nothing else is known", base)
	o.state.Version, o.state.Driver, o.state.LiveRestore = "20.10", "overlay2", true
	base["docker_info api_version= cgroup_driver= cgroup_version= kernel= live_restore=true os= storage_driver=overlay2 version=20.10"] = 1
	f("what it is", base)
	o.state.Listed = time.Unix(1, 0)
	o.state.Containers = map[tallyman.ImageState]int{{Image: "nginx", State: tallyman.Running}: 2, {Image: "nginx", State: tallyman.Exited}: 1, {Image: "redis", State: tallyman.Running}: 1}
	more := maps.Clone(base)
	for _, state := range states {
		more["docker_containers state="+string(state)] = 0
	}
	more["docker_containers state=running"], more["docker_containers state=exited"] = 3, 1
	more["docker_image_containers image=nginx state=running"], more["docker_image_containers image=nginx state=exited"], more["docker_image_containers image=redis state=running"] = 2, 1, 1
	f("its containers", more)
	delete(o.state.Containers, tallyman.ImageState{Image: "redis", State: tallyman.Running})
	more["docker_containers state=running"] = 2
	delete(more, "docker_image_containers image=redis state=running")
	f("fewer of them", more)

	o.state.Containers = map[tallyman.ImageState]int{}
	for i := range maxImages + 50 {
		o.state.Containers[tallyman.ImageState{Image: fmt.Sprintf("image%03d", i), State: tallyman.Running}] = 1 + i/maxImages
	}
	got, n, sum := values(s), 0, 0.0
	for name, v := range got {
		if len(name) > 23 && name[:23] == "docker_image_containers" {
			n++
			sum += v
		}
	}
	if n != maxImages+1 || got["docker_image_containers image=__other__ state=running"] != 50 || sum != got["docker_containers state=running"] {
		t.Errorf("of %d images there are %d series, %v as others, %v in all of %v", maxImages+50, n, got["docker_image_containers image=__other__ state=running"], sum, got["docker_containers state=running"])
	}
}
