// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

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

// Killed while the store has not yet what it was told, the next run tells it again.
func TestWhatIsNotStoredIsToldAgain(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "i"))
	dir := t.TempDir()
	var behind atomic.Bool
	of := func(o *Options) {
		o.Settle = func(time.Duration) bool { return !behind.Load() }
	}
	w := watch(t, e, dir, of)
	w.settled()
	name := filepath.Join(dir, inventoryName)
	w.until("an inventory on the disk, with the place in the stream", func() bool {
		s, err := readInventory(name)
		return err == nil && len(s.Engines) == 1 && !s.Engines[0].LastEvent.IsZero()
	})
	behind.Store(true)
	e.Emit(dockertest.Event("container", "kill", dockertest.ID("web"), map[string]string{"signal": "10"}))
	w.wait("container", "", "kill", 1)
	w.stop() // as good as a kill: at the end the store has it still not
	behind.Store(false)
	w = watch(t, e, dir, of)
	w.wait("container", "", "kill", 1)
	w.until("the file to say so", func() bool {
		s, err := readInventory(name)
		return err == nil && len(s.Engines) == 1 && !s.Engines[0].LastEvent.IsZero()
	})
	w.stop()
	w = watch(t, e, dir, of)
	w.settled()
	w.stop()
	if n := len(w.of("container", "", "kill")); n != 0 {
		t.Errorf("what is stored was told %d times more", n)
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

// That the engine is another one after it was away, or tallyman, is told once.
func TestEngineChanges(t *testing.T) {
	e := dockertest.Start(t)
	dir := t.TempDir()
	w := watch(t, e, dir)
	w.settled()
	w.stop()
	if got := w.of("engine", "", "change"); len(got) > 0 {
		t.Errorf("what was not known before is told as a change: %+v", got)
	}
	e.WithoutCgroups()
	w = watch(t, e, dir)
	if got := w.wait("engine", "", "change", 1)[0]; len(got.Attributes) != 1 || got.Attributes["cgroup driver"] != "systemd → none" {
		t.Errorf("the change is %v", got.Attributes)
	}
	w.settled()
	w.stop()
	w = watch(t, e, dir)
	w.settled()
	if got := w.of("engine", "", "change"); len(got) > 0 {
		t.Errorf("it is told again: %+v", got)
	}
}
