// SPDX-License-Identifier: Apache-2.0

package dockermonitor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/internal/recordtest"
	"tallyman/store/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what a stream sees.
type world struct {
	mu         sync.Mutex
	containers []*tallyman.Container
	engines    []tallyman.EngineStatus
}

func (w *world) Containers() []*tallyman.Container {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.containers)
}

func (w *world) Engines() []tallyman.EngineStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.engines)
}

func (w *world) Container(ref string) (*tallyman.Container, bool) {
	for _, c := range w.Containers() {
		if c.ID == ref {
			return c, true
		}
	}
	return nil, false
}

func (w *world) list(engine string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.engines {
		if w.engines[i].Name == engine {
			w.engines[i].Up, w.engines[i].Listed = true, time.Now()
		}
	}
}

func container(engine, name string, s tallyman.State) *tallyman.Container {
	return &tallyman.Container{ID: name + "-id", Engine: engine, Name: name, Image: "img:1", ImageID: sha, State: s, Started: at, Finished: at, ExitCode: 1}
}

// numbered is an event of a container c-<i mod 5>.
func numbered(i int) tallyman.Event {
	action := "die"
	if i%2 == 1 {
		action = "start"
	}
	name := fmt.Sprint("c-", i/2%5)
	return tallyman.Event{ID: fmt.Sprint("event-", i), Time: time.Now().Add(-time.Hour).Add(time.Duration(i) * time.Millisecond), Host: "h", Engine: "local",
		Type: "container", Action: action, Actor: name + "-id", Name: name, Image: "img:1"}
}

// rig is a stream with its queue over a store of events.
type rig struct {
	t     *testing.T
	dir   string
	world *world
	store tallyman.EventStore
	q     *queue.Queue
	s     *Stream
	stop  func()
}

func newRig(t *testing.T) *rig {
	store, err := event.Open(event.Options{Records: recordtest.New()})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, dir: t.TempDir(), world: &world{}, store: store}
}

// start starts a process; the one before is as good as killed.
func (r *rig) start(align bool) {
	r.t.Helper()
	var err error
	if r.q, err = queue.Open(queue.Options{Dir: r.dir, MaxBytes: 16 << 20, Remember: Remember}); err != nil {
		r.t.Fatal(err)
	}
	r.s, err = New(Options{Queue: r.q, Dir: r.dir, Events: r.store, Inventory: r.world, Namespace: "n", Domain: "d", Align: align})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.s.Run(ctx) }()
	q := r.q
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
		_ = q.Close()
	})
	r.t.Cleanup(r.stop)
}

// messages are the ids of all that comes into the queue, once there are n of them.
func (r *rig) messages(n int) (ids []string, alarms []alarm) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for len(ids) < n {
		item, err := r.q.Next(ctx)
		if err != nil {
			r.t.Fatalf("%d messages, want %d: %v", len(ids), n, err)
		}
		if err := r.q.Ack(item.Seq); err != nil {
			r.t.Fatal(err)
		}
		var a alarm
		if err := json.Unmarshal(item.Body, &a); err != nil {
			r.t.Fatal(err)
		}
		if (item.Flags&queue.Alignment != 0) != strings.HasPrefix(item.ID, "alignment-") {
			r.t.Errorf("%s has the flags %v", item.ID, item.Flags)
		}
		ids, alarms = append(ids, item.ID), append(alarms, a)
	}
	return ids, alarms
}

func wantIDs(t *testing.T, got []string, from, to int) {
	t.Helper()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, fmt.Sprint("event-", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %d to %d", got, from, to-1)
	}
}

// Killed between the store and the queue, nothing is lost, and nothing comes twice.
func TestWhatTheStoreHasGetsIntoTheQueue(t *testing.T) {
	r := newRig(t)
	before := numbered(0)
	before.ID, before.Time = "before", time.Now().Add(-time.Minute)
	if err := r.store.AppendEvents([]tallyman.Event{before}); err != nil {
		t.Fatal(err)
	}
	r.start(false)
	now := func(i int) tallyman.Event {
		e := numbered(i)
		e.Time = time.Now()
		return e
	}
	for i := range 40 {
		e := now(i)
		if err := r.store.AppendEvents([]tallyman.Event{e}); err != nil {
			t.Fatal(err)
		}
		if i < 30 { // the rest is stored only
			r.s.ObserveEvent(e)
		}
	}
	ids, _ := r.messages(30)
	wantIDs(t, ids, 0, 30)
	r.stop()
	r.start(false)
	e := now(40)
	r.s.ObserveEvent(e)
	ids, _ = r.messages(11)
	wantIDs(t, ids, 30, 41)
	r.stop()
	r.start(false)
	r.s.ObserveEvent(e) // the engine's replay
	r.s.ObserveEvent(now(41))
	ids, _ = r.messages(1)
	wantIDs(t, ids, 41, 42)
}

// More events than memory holds are taken from the store.
func TestMoreThanMemoryHolds(t *testing.T) {
	r := newRig(t)
	r.start(false)
	r.stop()
	var events []tallyman.Event
	for i := range maxPending + 3000 {
		e := numbered(i)
		e.Time = time.Now()
		events = append(events, e)
	}
	if err := r.store.AppendEvents(events[:maxPending+10]); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.q, err = queue.Open(queue.Options{Dir: r.dir, Remember: Remember}); err != nil {
		t.Fatal(err)
	}
	if r.s, err = New(Options{Queue: r.q, Dir: r.dir, Events: r.store, Inventory: r.world}); err != nil {
		t.Fatal(err)
	}
	for _, e := range events { // before it runs
		r.s.ObserveEvent(e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.s.Run(ctx) }()
	ids, _ := r.messages(maxPending + 10)
	if err := r.store.AppendEvents(events); err != nil { // the store was late
		t.Fatal(err)
	}
	more, _ := r.messages(len(events) - len(ids))
	wantIDs(t, append(ids, more...), 0, len(events))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = r.q.Close()
}

// The states are told once after each start, when the engine has been asked, and not when
// it comes back.
func TestAlignment(t *testing.T) {
	r := newRig(t)
	r.world.engines = []tallyman.EngineStatus{{Name: "local", Up: true}, {Name: "far"}}
	r.world.containers = []*tallyman.Container{container("local", "runs", tallyman.Running), container("local", "waits", tallyman.Created), container("local", "sleeps", tallyman.Paused),
		container("local", "ended", tallyman.Exited), container("far", "away", tallyman.Running), container("local", "went", tallyman.Gone)}
	pause := tallyman.Event{ID: "p", Time: at.Add(time.Second), Host: "h", Type: "container", Action: "pause", Actor: "sleeps-id", Name: "sleeps"}
	if err := r.store.AppendEvents([]tallyman.Event{pause}); err != nil {
		t.Fatal(err)
	}
	r.start(true)
	r.world.list("local")
	ids, alarms := r.messages(3)
	var got []string
	for _, a := range alarms {
		got = append(got, fmt.Sprint(a.PrimarySubject.Container, " ", a.Severity, " ", a.EventTimestamp[17:], " ", a.AdditionalData.ExitCode))
	}
	if want := []string{"runs Clear 21.101Z NA", "sleeps Major 22.101Z NA", "ended Major 21.101Z 1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r.world.list("local") // it was away
	r.world.list("far")
	r.s.ObserveEngine(tallyman.EngineStatus{})
	if far, alarms := r.messages(1); alarms[0].PrimarySubject.Container != "away" || slices.Contains(ids, far[0]) {
		t.Errorf("the other engine: %+v", alarms)
	}
	r.s.ObserveEvent(numbered(1))
	next, _ := r.messages(1)
	wantIDs(t, next, 1, 2)
	r.stop()
	r.start(true)
	again, _ := r.messages(4)
	for _, id := range again {
		if slices.Contains(ids, id) {
			t.Errorf("the id %s comes again at the next start", id)
		}
	}
}

// A Clear carries the image of the Major before it, over a restart too.
func TestAClearCarriesTheImageOfItsMajor(t *testing.T) {
	r := newRig(t)
	r.start(false)
	n := 0
	tell := func(engine, action, image string) {
		e := numbered(n)
		n++
		e.Engine, e.Action, e.Name, e.Image, e.Time = engine, action, "api", image, time.Now()
		r.s.ObserveEvent(e)
	}
	image := func(want string) {
		t.Helper()
		if _, a := r.messages(1); a[0].PrimarySubject.Image != want {
			t.Errorf("%s %s: image %q, want %q", a[0].PrimarySubject.Container, a[0].Severity, a[0].PrimarySubject.Image, want)
		}
	}
	tell("local", "die", "api:1")
	image("api:1")
	tell("far", "start", "api:7") // of that name, on another engine
	image("api:7")
	r.stop()
	r.start(false)
	tell("local", "start", "api:2") // made anew
	image("api:1")
	tell("local", "start", "api:2")
	image("api:2")
}
