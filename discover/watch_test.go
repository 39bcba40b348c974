// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/dockerapi/dockertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are the intervals of the tests. Sockets keep synctest from faking time.
// Deadlines are no intervals: a busy machine answers late.
var quick = timing{
	ping: 20 * time.Millisecond, pingDeadline: 5 * time.Second,
	retryMin: 5 * time.Millisecond, retryMax: 50 * time.Millisecond,
	streamMin: 5 * time.Millisecond, streamMax: 50 * time.Millisecond,
	call: 5 * time.Second, reconcile: 150 * time.Millisecond, reconcileAgain: 10 * time.Millisecond,
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
	d.ObserveContainers(w)
	d.ObserveEngines(w)
	d.ObserveEvents(w)
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
		case <-time.After(time.Minute):
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
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("timed out waiting for %s; told last: %q", what, w.log[max(0, len(w.log)-60):])
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
	for _, m := range w.d.SelfMetrics() {
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
