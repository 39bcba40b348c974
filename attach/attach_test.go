// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var desc = &tallyman.Desc{Name: "m", Type: tallyman.Gauge}

// turn is taken by whoever looks at a fake or at a sink, or changes it: that the
// bubble waits orders what the collector did before what a test does, not the
// other way round.
var turn sync.Mutex

// fake is a source of one value per container.
type fake struct {
	targets map[string]*tallyman.Series
	fail    map[string]error
	closed  bool
	history []string // what happened, in order
	absent  atomic.Pointer[tallyman.Absence]
}

func (f *fake) Absences(*tallyman.Target) []tallyman.Absence {
	if a := f.absent.Load(); a != nil {
		return []tallyman.Absence{*a}
	}
	return nil
}

func (f *fake) Attach(t *tallyman.Target) error {
	turn.Lock()
	defer turn.Unlock()
	if err := f.fail[t.ID]; err != nil {
		return err
	}
	f.history = append(f.history, "attach "+t.ID)
	f.targets[t.ID] = t.Series(desc)
	return nil
}

func (f *fake) Detach(t *tallyman.Target) {
	turn.Lock()
	defer turn.Unlock()
	if f.targets[t.ID] != nil {
		f.history = append(f.history, "detach "+t.ID)
		delete(f.targets, t.ID)
	}
}

func (f *fake) Collect(b *tallyman.Batch) {
	turn.Lock()
	defer turn.Unlock()
	for _, s := range f.targets {
		b.Add(s, 1)
	}
}

func (f *fake) Close() error {
	f.closed = true
	return nil
}

// sink notes the time of each round and what was in it.
type sink struct {
	times  []time.Time
	kept   []bool
	sizes  []int
	labels [][]tallyman.Label
}

func (s *sink) Publish(b *tallyman.Batch, keep bool) {
	turn.Lock()
	defer turn.Unlock()
	s.times = append(s.times, b.Time)
	s.kept = append(s.kept, keep)
	s.sizes = append(s.sizes, len(b.Samples))
	s.labels = nil
	for _, one := range b.Samples {
		s.labels = append(s.labels, one.Series.Labels)
	}
}

func start(t *testing.T, change func(*Options)) (*Supervisor, *fake, *sink) {
	t.Helper()
	f, out := &fake{targets: map[string]*tallyman.Series{}, fail: map[string]error{}}, &sink{}
	o := Options{
		Kinds: []tallyman.SourceKind{{Name: "fake", Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
			New: func(tallyman.SourceOptions) (tallyman.Source, error) { return f, nil }}},
		Sink: out, Host: "harbor", Interval: 10 * time.Second, LiveInterval: time.Second, Log: slog.New(slog.DiscardHandler),
		ContainerLabels: []string{"com.docker.compose.project", "team.*"},
	}
	if change != nil {
		change(&o)
	}
	s := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if !f.closed {
			t.Error("the source was not closed")
		}
	})
	synctest.Wait()
	return s, f, out
}

func containerKey(id string) tallyman.TargetKey {
	return tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: id}
}

func running(id string, pid int) *tallyman.Container {
	return &tallyman.Container{ID: id, Name: "name-" + id, Image: "img", Host: "harbor", State: tallyman.Running, Pid: pid,
		Workload: tallyman.Workload{Key: "w", Origin: "name"}, Labels: map[string]string{}}
}

// later gives the turn to the collector and lets time pass until it has done all
// it had to.
func later(d time.Duration) {
	func() {
		turn.Lock()
		defer turn.Unlock()
	}()
	time.Sleep(d)
	synctest.Wait()
}

func TestRoundsAreAlignedAndShortenWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3300 * time.Millisecond) // start between two rounds
		s, _, out := start(t, nil)
		later(25 * time.Second)
		var got []string
		for _, at := range out.times {
			got = append(got, at.UTC().Format("05.000"))
		}
		if want := "03.300 04.300 10.000 20.000"; strings.Join(got, " ") != want {
			t.Errorf("rounds at %v, want %s", got, want)
		}
		n := len(out.times)
		release := s.Watch()
		later(5 * time.Second)
		if d := len(out.times) - n; d != 5 {
			t.Errorf("%d rounds in 5 s while watched, want 5", d)
		}
		release()
		release() // twice is harmless
		later(20 * time.Second)
		n = len(out.times)
		later(30 * time.Second)
		if d := len(out.times) - n; d != 3 {
			t.Errorf("%d rounds in 30 s after the watcher left, want 3", d)
		}
		for i := 1; i < len(out.times); i++ {
			if !out.times[i].After(out.times[i-1]) {
				t.Errorf("round %d at %v is not after the one before", i, out.times[i])
			}
		}
	})
}

func TestFreshIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, out := start(t, nil)
		later(5 * time.Second)
		n := len(out.times)
		if err := s.CollectNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(out.times) != n+1 || out.kept[n] {
			t.Errorf("%d rounds, kept %v; want one more that is not kept", len(out.times)-n, out.kept[n:])
		}
		if err := s.CollectNow(t.Context()); err != nil || len(out.times) != n+1 {
			t.Errorf("a second one at once runs %d rounds, %v; want none, the first is fresh", len(out.times)-n-1, err)
		}
		s.ObserveContainer(running("a", 1)) // unless a container has come meanwhile
		later(time.Millisecond)
		if err := s.CollectNow(t.Context()); err != nil || out.sizes[len(out.sizes)-1] != 1 {
			t.Errorf("the new container is not in it: %v, %v", out.sizes, err)
		}
	})
}

func TestContainersComeChangeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, _ := start(t, nil)
		step := func(c *tallyman.Container, want ...string) {
			t.Helper()
			f.history = nil
			s.ObserveContainer(c)
			later(time.Millisecond)
			if d := cmp.Diff(want, f.history); d != "" {
				t.Errorf("after %+v (-want +got):\n%s", c, d)
			}
		}
		c := running("a", 1)
		step(c, "attach a")
		same := c.Clone()
		same.User, same.MemoryLimit = "nobody", 1<<20 // what no series depends on
		step(same)
		paused := c.Clone()
		paused.State = tallyman.Paused
		step(paused)
		renamed := c.Clone()
		renamed.Name = "b"
		step(renamed, "detach a", "attach a")
		restarted := renamed.Clone()
		restarted.Pid, restarted.RestartCount = 2, 1
		step(restarted, "detach a", "attach a")
		dead := restarted.Clone()
		dead.State, dead.Pid = tallyman.Exited, 0
		step(dead, "detach a")
		off := running("off", 3)
		off.Disabled = true
		step(off)
	})
}

// Limits are on series of their own: a change of one makes a new target.
func TestAChangedLimitMakesANewTarget(t *testing.T) {
	old := running("a", 7)
	if !same(old, old.Clone()) {
		t.Fatal("a container is not the same as its copy")
	}
	for name, change := range map[string]func(*tallyman.Container){
		"cpus": func(c *tallyman.Container) { c.CPULimit = 2 }, "shares": func(c *tallyman.Container) { c.CPUShares = 2 },
		"cpuset": func(c *tallyman.Container) { c.CPUSet = "0" }, "reservation": func(c *tallyman.Container) { c.MemoryReservation = 1 },
		"swap": func(c *tallyman.Container) { c.MemorySwap = 1 }, "pids": func(c *tallyman.Container) { c.PidsLimit = 1 },
		"health": func(c *tallyman.Container) { c.Health = "healthy" },
	} {
		c := old.Clone()
		if change(c); same(old, c) {
			t.Errorf("%s has changed and the target is the same", name)
		}
	}
}

func TestFailuresAreToldAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, _ := start(t, func(o *Options) {
			o.Kinds = append(o.Kinds, tallyman.SourceKind{Name: "broken", Summary: "What cannot be", Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
				New: func(tallyman.SourceOptions) (tallyman.Source, error) { return nil, errors.New("no such mount") }})
		})
		f.fail["a"] = errors.New("no rights")
		f.fail["gone"] = tallyman.ErrGone
		s.ObserveContainer(running("a", 1))
		s.ObserveContainer(running("gone", 2))
		later(time.Millisecond)
		if a := s.Absences(containerKey("a")); len(a) != 2 || !strings.Contains(a[0].Reason, "no such mount") || !strings.Contains(a[1].Reason, "no rights") {
			t.Errorf("Absences = %+v, want both reasons", a)
		}
		if a := s.Absences(containerKey("gone")); len(a) != 2 || !strings.Contains(a[1].Reason, "another host") {
			t.Errorf("Absences of a container whose process cannot be seen = %+v", a)
		}
		delete(f.fail, "a")
		later(retryEvery + time.Second)
		if f.targets["a"] == nil {
			t.Error("it was not tried again")
		}
		if a := s.Absences(containerKey("a")); len(a) != 1 {
			t.Errorf("Absences = %+v, want only the source that cannot be made", a)
		}
	})
}

// A container whose files cannot be reached is left to the source that takes
// their place, and given back when they can.
func TestOneSourceInPlaceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beside, api := &fake{targets: map[string]*tallyman.Series{}}, &fake{targets: map[string]*tallyman.Series{}}
		kind := func(name string, f *fake, instead ...string) tallyman.SourceKind {
			return tallyman.SourceKind{Name: name, Targets: []tallyman.TargetKind{tallyman.ContainerTarget}, Replaces: instead,
				New: func(tallyman.SourceOptions) (tallyman.Source, error) { return f, nil }}
		}
		s, main, _ := start(t, func(o *Options) {
			o.Kinds = append(o.Kinds, kind("beside", beside), kind("api", api, "fake", "beside"))
			o.Engines = map[string]Engine{"far": {Remote: true}, "forced": {API: true}}
		})
		collected := func(id string) string {
			out := ""
			for name, f := range map[string]*fake{"main": main, "api": api} {
				if f.targets[id] != nil {
					out += name
				}
			}
			if beside.targets[id] != nil {
				out += "+"
			}
			return out
		}
		want := func(id, want string) {
			t.Helper()
			if got := collected(id); got != want {
				t.Errorf("%s is collected by %q, want %q", id, got, want)
			}
			if _, instead := s.Replaced(containerKey(id)); instead != (want == "api") {
				t.Errorf("Replaced(%s) = %v", id, instead)
			}
		}
		observe := func(id, engine string) {
			c := running(id, 1)
			c.Engine = engine
			s.ObserveContainer(c)
			later(time.Millisecond)
		}
		main.fail["here"], main.fail["far"], main.fail["gone"] = tallyman.ErrGone, tallyman.ErrGone, tallyman.ErrGone
		observe("well", "local")
		observe("here", "local")
		observe("far", "far")
		observe("forced", "forced")
		observe("gone", "local")
		want("well", "main+")
		want("here", "+") // perhaps it has just ended
		want("far", "api")
		want("forced", "api")
		gone := running("gone", 0)
		gone.State = tallyman.Exited
		s.ObserveContainer(gone)
		later(2 * retryFirst)
		want("here", "api")
		if len(api.targets) != 3 {
			t.Errorf("the API is asked for %d containers, want 3", len(api.targets))
		}
		if r, _ := s.Replaced(containerKey("here")); r.By != "api" || !strings.Contains(r.Reason, "another host") {
			t.Errorf("Replaced = %+v", r)
		}
		if r, _ := s.Replaced(containerKey("forced")); !strings.Contains(r.Reason, "the setting collect") {
			t.Errorf("Replaced = %+v", r)
		}
		if a := s.Absences(containerKey("here")); len(a) != 0 {
			t.Errorf("Absences = %+v, want none: the API gives them", a)
		}
		delete(main.fail, "here")
		later(retryEvery + time.Second)
		want("here", "main+")
		want("forced", "api")
	})
}

// What is absent may change while a target stays, and the host has absences too.
func TestAbsencesAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, _ := start(t, func(o *Options) {
			o.Kinds[0].Targets = append(o.Kinds[0].Targets, tallyman.HostTarget)
		})
		f.absent.Store(&tallyman.Absence{What: "block IO"})
		s.ObserveContainer(running("a", 1))
		later(time.Millisecond)
		if a := s.Absences(containerKey("a")); len(a) != 1 || len(s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"})) != 0 {
			t.Errorf("Absences = %+v and %+v, want one of the container", a, s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}))
		}
		later(retryEvery + time.Second)
		if a := s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}); len(a) != 1 {
			t.Errorf("Absences of the host = %+v, want one", a)
		}
		f.absent.Store(nil)
		later(retryEvery + time.Second)
		if a, h := s.Absences(containerKey("a")), s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}); len(a)+len(h) != 0 {
			t.Errorf("Absences = %+v and %+v, want none any more", a, h)
		}
	})
}

func TestLabels(t *testing.T) {
	s := New(Options{Log: slog.New(slog.DiscardHandler), ContainerLabels: []string{"com.docker.compose.project", "team.*"}})
	c := running(strings.Repeat("ab", 32), 1)
	c.Labels = map[string]string{
		"com.docker.compose.project": "shop", "team.name": "blue", "team-name": "no", "other": "no",
		"team.long": strings.Repeat("ä", 4000), "team.bad": "a\xffb",
	}
	got := map[string]string{}
	for _, l := range s.containerTarget(c).Labels {
		got[l.Name] = l.Value
	}
	want := map[string]string{
		"id": "/docker/" + c.ID, "name": c.Name, "image": "img", "host": "harbor", "workload": "w",
		"container_label_com_docker_compose_project": "shop", "container_label_team_name": "blue",
		"container_label_team_long": strings.Repeat("ä", 510) + "…", "container_label_team_bad": "a\uFFFDb",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if n := len(got["container_label_team_long"]); n > maxValue {
		t.Errorf("a label of %d bytes, want at most %d", n, maxValue)
	}
	for i := range 100 {
		c.Labels["team.x"+strings.Repeat("y", i)] = "v"
	}
	if n := len(s.containerTarget(c).Labels); n != maxLabels {
		t.Errorf("%d labels, want at most %d", n, maxLabels)
	}
}

// What the inventory knows of a container lives as long as it is listed; what is
// read of it ends with it.
func TestListedSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := &fake{targets: map[string]*tallyman.Series{}, fail: map[string]error{}}
		s, reads, out := start(t, func(o *Options) {
			o.Kinds = append(o.Kinds, tallyman.SourceKind{Name: "facts", Targets: []tallyman.TargetKind{tallyman.ContainerTarget}, Listed: true,
				New: func(tallyman.SourceOptions) (tallyman.Source, error) { return facts, nil }})
		})
		stopped := func(id string, state tallyman.State) *tallyman.Container {
			c := running(id, 0)
			c.State, c.ExitCode = state, 7
			return c
		}
		want := func(what string, read, known, samples int) {
			t.Helper()
			later(10 * time.Second)
			turn.Lock()
			defer turn.Unlock()
			if len(reads.targets) != read || len(facts.targets) != known || out.sizes[len(out.sizes)-1] != samples {
				t.Errorf("%s: %d are read, %d known, %d samples; want %d, %d, %d", what, len(reads.targets), len(facts.targets), out.sizes[len(out.sizes)-1], read, known, samples)
			}
		}
		s.ObserveContainer(running("a", 1))
		s.ObserveContainer(stopped("b", tallyman.Exited))
		want("one runs, one has ended", 1, 2, 3)
		s.ObserveContainer(stopped("a", tallyman.Exited))
		want("both have ended", 0, 2, 2)
		if a := s.Absences(containerKey("a")); a != nil {
			t.Errorf("nothing is missing of one that has ended: %v", a)
		}
		s.ObserveContainer(running("a", 2))
		want("one runs again", 1, 2, 3)
		s.ObserveContainer(stopped("a", tallyman.Gone))
		want("one was removed", 0, 1, 1)
		off := stopped("b", tallyman.Exited)
		off.Disabled = true
		s.ObserveContainer(off)
		want("the other is not to be watched", 0, 0, 0)
		for i := range maxStopped + 20 {
			s.ObserveContainer(stopped(fmt.Sprint("many-", i), tallyman.Exited))
		}
		s.ObserveContainer(running("c", 3))
		want("very many have ended", 1, maxStopped+1, maxStopped+2)
	})
}

// A source whose collecting panics ends alone: counted, said, and the rounds go on.
func TestAPanicEndsOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &panicking{fake: &fake{targets: map[string]*tallyman.Series{}}}
		s, _, out := start(t, func(o *Options) {
			o.Kinds = append(o.Kinds, tallyman.SourceKind{Name: "bad", Targets: o.Kinds[0].Targets, New: func(tallyman.SourceOptions) (tallyman.Source, error) { return bad, nil }})
		})
		s.ObserveContainer(running("a", 1))
		later(time.Minute)
		turn.Lock()
		size := out.sizes[len(out.sizes)-1]
		turn.Unlock()
		if a := s.Absences(containerKey("a")); size != 1 || s.panics.Load() != 1 || len(a) != 1 || !strings.Contains(a[0].Reason, "no such index") {
			t.Errorf("%d samples, %d panics, absent %+v; want the other source's sample and the fault once", size, s.panics.Load(), a)
		}
	})
}

type panicking struct{ *fake }

func (p *panicking) Collect(b *tallyman.Batch) {
	p.fake.Collect(b)
	if len(p.targets) > 0 {
		panic("no such index")
	}
}
