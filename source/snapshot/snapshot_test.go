// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"encoding/json"
	"errors"
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
	"tallyman/internal/recordtest"
	"tallyman/internal/recordwalk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine answers for containers.
type engine struct {
	mu         sync.Mutex
	containers map[string]string // inspections by id
	err        error
	asked      []string
	events     []tallyman.Event
	records    *recordtest.Store
}

func newEngine() *engine { return &engine{containers: map[string]string{}, records: recordtest.New()} }

func (e *engine) container(_ context.Context, _, id string) (json.RawMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, id)
	if e.err != nil {
		return nil, e.err
	}
	if raw, ok := e.containers[id]; ok {
		return json.RawMessage(raw), nil
	}
	return nil, dockerapi.ErrNotFound
}

func (e *engine) image(_ context.Context, _, id string) (json.RawMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, id)
	return json.RawMessage(`{"Id":"` + id + `"}`), nil
}

func (e *engine) emit(ev tallyman.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, ev)
}

func (e *engine) put(id, host, config string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers[id] = fmt.Sprintf(`{"Id":%q,"Created":%q,"HostConfig":{%s},"Config":{%s}}`, id, id, host, config)
}

// run starts a source over the engine.
func (e *engine) run(t *testing.T) (s *Source, stop func()) {
	t.Helper()
	s, err := New(Options{Records: recordtest.Intake(e.records), Stored: e.records, Container: e.container, Image: e.image, Emit: e.emit, Key: []byte("k"),
		timing: timing{gather: 5 * time.Millisecond, settle: 30 * time.Millisecond, settleIn: 200 * time.Millisecond, retry: 5 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return s, stop
}

func container(id, name string) *tallyman.Container {
	return &tallyman.Container{ID: id, Name: name, Image: "i:1", ImageID: "sha256:i", Host: "h", Engine: "local", State: tallyman.Running,
		Workload: tallyman.Workload{Key: name}, Created: time.Unix(int64(id[0]), 0)}
}

func event(action, id string) tallyman.Event {
	return tallyman.Event{Type: "container", Action: action, Actor: id}
}

// stored are the snapshots of a workload, in order, as "id hash".
func (e *engine) stored(t *testing.T) (containers, images int, text string) {
	t.Helper()
	for f, err := range recordwalk.ByStream(t.Context(), e.records, tallyman.RecordQuery{End: 1 << 62}) {
		if err != nil {
			t.Fatal(err)
		}
		if tallyman.LabelIn(f.Record.Meta, "image_id") != "" {
			images++
		} else {
			containers++
		}
		text += string(f.Record.Line) + "\n"
	}
	return containers, images, text
}

func (e *engine) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s; asked %v, events %v", what, e.asked, e.events)
		}
	}
}

func (e *engine) wants(t *testing.T, containers, images int) {
	t.Helper()
	e.until(t, fmt.Sprintf("%d snapshots of containers, %d of images", containers, images), func() bool {
		c, i, _ := e.stored(t)
		return c == containers && i == images
	})
}

func (e *engine) drifts() []tallyman.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.events)
}

func TestSnapshotsAndDrift(t *testing.T) {
	e := newEngine()
	e.put("a", `"Memory":1`, `"Env":["P=secret1"]`)
	s, stop := e.run(t)
	s.ObserveContainer(container("a", "web"))
	e.wants(t, 1, 1)

	// Nothing changed, whatever happens.
	for range 20 {
		s.ObserveEvent(event("start", "a"))
		s.ObserveEvent(tallyman.Event{Type: "network", Action: "connect", Attributes: map[string]string{"container": "a"}})
		time.Sleep(3 * time.Millisecond)
	}
	s.ObserveEvent(event("exec_create", "a"))
	time.Sleep(60 * time.Millisecond)
	e.wants(t, 1, 1)
	if d := e.drifts(); len(d) > 0 {
		t.Errorf("got drift %v of nothing", d)
	}

	// An update of the same container, and back.
	e.put("a", `"Memory":2`, `"Env":["P=secret1"]`)
	s.ObserveEvent(event("update", "a"))
	e.until(t, "drift", func() bool { return len(e.drifts()) == 1 })
	d := e.drifts()[0]
	if d.Attributes["HostConfig.Memory"] != "1 → 2" || d.Actor != "a" || d.Attributes["container"] != "a" || d.Workload != "web" || d.Type != "tallyman" || d.Action != "drift" || len(d.Attributes) != 4 {
		t.Errorf("got %+v", d)
	}
	e.put("a", `"Memory":1`, `"Env":["P=secret1"]`)
	s.ObserveEvent(event("update", "a"))
	e.until(t, "drift back", func() bool { return len(e.drifts()) == 2 })
	e.put("a", `"Memory":2`, `"Env":["P=secret1"]`)
	s.ObserveEvent(event("update", "a"))
	e.until(t, "drift again", func() bool { return len(e.drifts()) == 3 })
	if all := e.drifts(); all[2].ID == d.ID {
		t.Error("two drifts have one id")
	}

	// Made anew with another secret, and in two steps that count as one.
	gone := container("a", "web")
	gone.State = tallyman.Gone
	s.ObserveContainer(gone)
	e.put("b", `"Memory":2`, `"Env":["P=secret2"]`)
	s.ObserveContainer(container("b", "web"))
	e.wants(t, 5, 1)
	e.put("b", `"Memory":2,"CapAdd":["X"]`, `"Env":["P=secret2"]`)
	s.ObserveEvent(event("start", "b"))
	e.until(t, "drift of the new one", func() bool { return len(e.drifts()) == 4 })
	d = e.drifts()[3]
	if len(d.Attributes) != 5 || d.Attributes["HostConfig.CapAdd"] != `nothing → ["X"]` || !strings.HasPrefix(d.Attributes["Config.Env.P"], "[set] ") {
		t.Errorf("got %+v", d)
	}
	_, _, text := e.stored(t)
	if all := text + fmt.Sprint(e.drifts()); strings.Contains(all, "secret") {
		t.Errorf("a secret is in %s", all)
	}

	// A restart asks once and stores nothing; what happened meanwhile is seen.
	stop()
	n := len(e.asked)
	s, stop = e.run(t)
	s.ObserveContainer(container("b", "web"))
	e.until(t, "it asked", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.asked) > n })
	time.Sleep(60 * time.Millisecond)
	e.wants(t, 6, 1)
	stop()
	e.put("c", `"Memory":3,"CapAdd":["X"]`, `"Env":["P=secret2"]`)
	s, stop = e.run(t)
	s.ObserveContainer(container("c", "web"))
	e.wants(t, 7, 1)
	stop() // compares at once
	if d := e.drifts(); len(d) != 5 || d[4].Attributes["HostConfig.Memory"] != "2 → 3" {
		t.Errorf("got %+v", d)
	}
}

// An old container of a workload that still exists does not take its place.
func TestTheNewestCounts(t *testing.T) {
	e := newEngine()
	e.put("b", `"Memory":2`, "")
	s, _ := e.run(t)
	s.ObserveContainer(container("b", "web"))
	e.wants(t, 1, 1)
	time.Sleep(60 * time.Millisecond)
	e.put("a", `"Memory":1`, "")
	s.ObserveContainer(container("a", "web"))
	e.wants(t, 2, 1)
	time.Sleep(60 * time.Millisecond)
	if d := e.drifts(); len(d) > 0 {
		t.Errorf("got %+v", d)
	}
}

// Made anew at once, the first had no time to settle.
func TestMadeAnewAtOnce(t *testing.T) {
	e := newEngine()
	e.put("a", `"Memory":1`, "")
	e.put("b", `"Memory":2`, "")
	s, stop := e.run(t)
	s.ObserveContainer(container("a", "web"))
	e.wants(t, 1, 1)
	s.ObserveContainer(container("b", "web"))
	e.wants(t, 2, 1)
	stop()
	if d := e.drifts(); len(d) != 1 || d[0].Attributes["HostConfig.Memory"] != "1 → 2" {
		t.Errorf("got %+v", d)
	}
}

func TestEngineThatFails(t *testing.T) {
	e := newEngine()
	e.err = errors.New("stalled")
	s, _ := e.run(t)
	e.put("a", "", "")
	s.ObserveContainer(container("a", "a"))
	s.ObserveContainer(container("x", "x")) // gone before its turn, once the engine answers
	e.until(t, "it asked twice", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.asked) > 3 })
	e.mu.Lock()
	e.err = nil
	e.mu.Unlock()
	e.wants(t, 1, 1)
	e.mu.Lock()
	e.containers["b"] = "[]"
	e.mu.Unlock()
	s.ObserveContainer(container("b", "b"))
	e.until(t, "nobody waits", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.waiting == 0 })
	off := container("c", "c")
	off.Disabled = true
	s.ObserveContainer(off)
	if s.waiting != 0 {
		t.Error("one that is to be left alone is asked about")
	}
}

func TestManyPathsAreBounded(t *testing.T) {
	e := newEngine()
	e.put("a", "", "")
	s, _ := e.run(t)
	s.ObserveContainer(container("a", "a"))
	e.wants(t, 1, 1)
	var env []string
	for i := range 30 {
		env = append(env, fmt.Sprintf(`"V%02d=%d"`, i, i))
	}
	time.Sleep(60 * time.Millisecond)
	e.put("a", "", `"Env":[`+strings.Join(env, ",")+`]`)
	s.ObserveEvent(event("update", "a"))
	e.until(t, "drift", func() bool { return len(e.drifts()) == 1 })
	if a := e.drifts()[0].Attributes; a["more"] != "10" || len(a) != 24 {
		t.Errorf("got %d attributes, more %q", len(a), a["more"])
	}
}

func TestKey(t *testing.T) {
	name := filepath.Join(t.TempDir(), "snapshot.key")
	a, err := Key(name)
	if err != nil || len(a) != keySize {
		t.Fatal(a, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v %v, want mode 0600", info.Mode(), err)
	}
	b, err := Key(name)
	if err != nil || string(a) != string(b) {
		t.Errorf("another key the second time: %v", err)
	}
	if err := os.WriteFile(name, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Key(name)
	if err == nil || !strings.Contains(err.Error(), "damaged") || len(c) != keySize || string(c) == string(a) {
		t.Errorf("a short key: %d bytes, %v", len(c), err)
	}
	if d, err := Key(name); err != nil || string(d) != string(c) {
		t.Errorf("the new key is not kept: %v", err)
	}
}

// What docker compose run starts is not what its last run has become.
func TestOneOffs(t *testing.T) {
	e := newEngine()
	run := func(id string) *tallyman.Container {
		c := container(id, "shop/api/run")
		c.Workload.OneOff = true
		return c
	}
	e.put("a", `"Memory":1`, `"Env":[]`)
	e.put("b", `"Memory":2`, `"Env":[]`)
	s, stop := e.run(t)
	defer stop()
	s.ObserveContainer(run("a"))
	e.wants(t, 1, 1)
	time.Sleep(60 * time.Millisecond)
	s.ObserveContainer(run("b"))
	e.wants(t, 2, 1)
	time.Sleep(60 * time.Millisecond)
	if d := e.drifts(); len(d) > 0 {
		t.Errorf("got drift from one run to the next: %v", d)
	}
	// The first of its snapshots is compared with that of the run before.
	looks := 0
	e.until(t, "drift of one run", func() bool {
		if looks++; looks%100 == 1 {
			e.put("b", fmt.Sprintf(`"Memory":%d`, 2+looks), `"Env":[]`)
			s.ObserveEvent(event("update", "b"))
		}
		return len(e.drifts()) > 0
	})
}
