// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

// world plays what engines tell, with a clock that a test moves.
type world struct {
	m    *Machine
	now  time.Time
	c    map[string]*tallyman.Container
	said []string
}

var zero = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func newWorld() *world {
	w := &world{m: New(), now: zero, c: map[string]*tallyman.Container{}}
	w.engine(true)
	return w
}

func (w *world) note(changes []Change) {
	for _, c := range changes {
		p := c.Problem
		who := p.Workload
		if p.Kind == EngineDown {
			who = p.Engine
		}
		switch c.Op {
		case Opened:
			text := fmt.Sprintf("%s %s", p.Kind, who)
			if p.Already {
				text += " already"
			}
			w.said = append(w.said, text)
		case Closed:
			w.said = append(w.said, fmt.Sprintf("%s %s ends: %s", p.Kind, who, p.Reason))
		}
	}
}

// pass lets time go by, with every timer in its turn.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for n := 0; ; n++ {
		next := w.m.Next()
		if next.IsZero() || next.After(end) || n > 10_000 {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.note(w.m.Tick(w.now))
	}
	w.now = end
}

func (w *world) engine(up bool) {
	s := tallyman.EngineStatus{Name: "local", Host: "harbor", Up: up, Since: w.now}
	if !up {
		s.Failure = tallyman.EngineRefused
	}
	w.note(w.m.Engine(s, time.Time{}, w.now))
}

func (w *world) disk(full bool) { w.note(w.m.Disk("harbor", full, w.now)) }

// put tells of a container: "id workload policy", and what change makes of it.
func (w *world) put(id, workload, policy string, change ...func(*tallyman.Container)) {
	c := &tallyman.Container{ID: id, Name: workload, Image: "i:1", Host: "harbor", Engine: "local", State: tallyman.Running, Pid: 7, Created: w.now, Started: w.now, RestartPolicy: policy,
		Workload: tallyman.Workload{Key: workload, Origin: "name"}}
	if before := w.c[id]; before != nil {
		c = before.Clone()
	}
	for _, f := range change {
		f(c)
	}
	w.c[id] = c
	w.note(w.m.Container(c, w.now))
}

func state(s tallyman.State) func(*tallyman.Container) {
	return func(c *tallyman.Container) {
		c.State, c.Pid = s, 0
		if s == tallyman.Running || s == tallyman.Paused {
			c.Pid = 7
		}
	}
}

func (w *world) event(id, action string, attributes ...string) {
	c := w.c[id]
	e := tallyman.Event{ID: fmt.Sprint(w.now.UnixNano(), id, action), Time: w.now, Host: "harbor", Engine: "local", Type: "container", Action: action, Actor: id,
		Name: c.Name, Workload: c.Workload.Key, Attributes: map[string]string{}}
	for i := 0; i+1 < len(attributes); i += 2 {
		e.Attributes[attributes[i]] = attributes[i+1]
	}
	w.note(w.m.Event(e, w.now))
}

// die ends a container by itself.
func (w *world) die(id, code string, attributes ...string) {
	n, _ := strconv.Atoi(code)
	to := tallyman.Exited
	if c := w.c[id]; restarts(c, code) && !gaveUp(&tallyman.Container{State: to, RestartPolicy: c.RestartPolicy, RestartCount: c.RestartCount}) {
		to = tallyman.Restarting
	}
	w.put(id, "", "", state(to), func(c *tallyman.Container) { c.ExitCode, c.Finished = n, w.now })
	w.event(id, "die", append([]string{"exitCode", code}, attributes...)...)
}

func (w *world) start(id string) {
	w.put(id, "", "", func(c *tallyman.Container) {
		if c.State == tallyman.Restarting {
			c.RestartCount++
		}
		c.State, c.Pid, c.Started = tallyman.Running, 7, w.now
	})
	w.event(id, "start")
}

// stop is docker stop.
func (w *world) stop(id, code string) {
	w.put(id, "", "", state(tallyman.Exited), func(c *tallyman.Container) { c.Finished = w.now })
	w.event(id, "die", "exitCode", code, "asked", "signal", "signal", "15")
	w.pass(80 * time.Millisecond)
	w.event(id, "stop")
}

func (w *world) remove(id string) {
	w.event(id, "destroy")
	w.put(id, "", "", state(tallyman.Gone), func(c *tallyman.Container) { c.GoneAt = w.now })
}

func (w *world) loop(id, code string, times int, life, pause time.Duration) {
	for range times {
		w.pass(life)
		w.die(id, code)
		w.pass(pause)
		w.start(id)
	}
}

func health(status string) func(*tallyman.Container) {
	return func(c *tallyman.Container) { c.Health = status }
}

// Each is a day, and what is said of it. What people ask for says nothing.
func TestDays(t *testing.T) {
	for _, day := range []struct {
		name string
		play func(w *world)
		want []string
	}{
		{"docker stop of one that handles TERM, and of one that does not", func(w *world) {
			w.put("a", "web", "always")
			w.put("b", "db", "")
			w.pass(time.Hour)
			w.stop("a", "143")
			w.stop("b", "137")
		}, nil},
		{"docker restart", func(w *world) {
			w.put("a", "web", "unless-stopped")
			w.pass(time.Minute)
			w.stop("a", "143")
			w.pass(300 * time.Millisecond)
			w.start("a")
			w.event("a", "restart")
		}, nil},
		{"an update with a new container", func(w *world) {
			w.put("a", "shop/web/1", "always")
			w.pass(time.Hour)
			w.stop("a", "0")
			w.remove("a")
			w.put("b", "shop/web/1", "always")
			w.event("b", "start")
		}, nil},
		{"docker rm -f, which an engine tells without a signal", func(w *world) {
			w.put("a", "web", "always")
			w.pass(time.Minute)
			w.die("a", "137")
			w.pass(100 * time.Millisecond)
			w.remove("a")
		}, nil},
		{"a pause of 30 s", func(w *world) {
			w.put("a", "web", "always")
			w.put("a", "", "", state(tallyman.Paused))
			w.pass(30 * time.Second)
			w.put("a", "", "", state(tallyman.Running))
		}, nil},
		{"a clean restart of the engine", func(w *world) {
			w.put("a", "web", "always")
			w.put("b", "job", "")
			w.pass(2 * time.Hour)
			w.stop("a", "143")
			w.stop("b", "143")
			w.pass(time.Second)
			w.engine(false)
			w.pass(4 * time.Second)
			w.engine(true)
			w.start("a")
			w.start("b")
			w.pass(10 * time.Minute)
		}, nil},
		{"300 jobs with any exit code", func(w *world) {
			for i := range 300 {
				id := fmt.Sprint("job", i)
				w.put(id, id, "", func(c *tallyman.Container) { c.AutoRemove = true })
				w.pass(2 * time.Second)
				w.die(id, strconv.Itoa(i%3))
				w.remove(id)
				w.pass(8 * time.Second)
			}
			kept := w.said[:0]
			for _, s := range w.said {
				if !strings.HasPrefix(s, "job_failed ") { // kept, and sent to nobody
					kept = append(kept, s)
				}
			}
			w.said = kept
			w.pass(time.Hour)
			w.said = kept
		}, nil},
		{"a health check with a start period", func(w *world) {
			w.put("a", "web", "always", health("starting"))
			w.pass(20 * time.Second)
			w.put("a", "", "", health("unhealthy"))
			w.pass(20 * time.Second)
			w.put("a", "", "", health("healthy"))
		}, nil},
		{"what was stopped before anybody looked", func(w *world) {
			w.put("a", "web", "always", state(tallyman.Exited), func(c *tallyman.Container) { c.ExitCode = 1 })
			w.pass(time.Hour)
		}, nil},

		{"exit 3 without a policy, and removed", func(w *world) {
			w.put("a", "web", "")
			w.pass(time.Minute)
			w.die("a", "3")
			w.pass(time.Hour)
			w.remove("a")
		}, []string{"crash web", "crash web ends: removed"}},
		{"exit 3 with a policy, then well", func(w *world) {
			w.put("a", "web", "always")
			w.pass(time.Minute)
			w.die("a", "3")
			w.pass(time.Second)
			w.start("a")
			w.pass(10 * time.Minute)
		}, []string{"crash web", "crash web ends: it runs again"}},
		{"out of memory", func(w *world) {
			w.put("a", "web", "always")
			w.pass(time.Minute)
			w.event("a", "oom")
			w.pass(130 * time.Millisecond)
			w.die("a", "137")
			w.pass(time.Second)
			w.start("a")
			w.pass(10 * time.Minute)
		}, []string{"oom web", "oom web ends: it runs again"}},
		{"a child out of memory, twice", func(w *world) {
			w.put("a", "web", "always")
			w.pass(time.Minute)
			w.event("a", "oom")
			w.pass(30 * time.Second)
			w.event("a", "oom")
			w.pass(20 * time.Minute)
		}, []string{"oom_inside web", "oom_inside web ends: the kernel killed nothing for 15 minutes"}},
		{"a fast loop", func(w *world) {
			w.put("a", "web", "always")
			w.loop("a", "1", 8, 100*time.Millisecond, time.Second)
			w.pass(20 * time.Minute)
		}, []string{"restart_loop web", "restart_loop web ends: it runs again"}},
		{"a fast loop that ends with 0", func(w *world) {
			w.put("a", "web", "always")
			w.loop("a", "0", 8, 100*time.Millisecond, time.Second)
			w.pass(20 * time.Minute)
		}, []string{"restart_loop web", "restart_loop web ends: it runs again"}},
		{"a loop of 40 s lives", func(w *world) {
			w.put("a", "web", "always")
			w.loop("a", "1", 12, 40*time.Second, time.Second)
			w.pass(time.Hour)
		}, []string{"crash web", "crash web ends: became a restart loop", "restart_loop web", "restart_loop web ends: it runs again"}},
		{"a loop, removed", func(w *world) {
			w.put("a", "web", "always")
			w.loop("a", "1", 8, 100*time.Millisecond, time.Second)
			w.stop("a", "137")
			w.remove("a")
			w.pass(time.Hour)
		}, []string{"restart_loop web", "restart_loop web ends: stopped as asked"}},
		{"a crash, made anew", func(w *world) {
			w.put("a", "shop/web/1", "")
			w.pass(time.Minute)
			w.die("a", "3")
			w.pass(time.Minute)
			w.put("b", "shop/web/1", "")
			w.event("b", "start")
			w.pass(time.Second)
			w.remove("a")
			w.pass(5 * time.Minute)
		}, []string{"crash shop/web/1", "crash shop/web/1 ends: replaced by a new container"}},
		{"killed from the host", func(w *world) {
			w.put("a", "web", "")
			w.pass(time.Minute)
			w.die("a", "137")
			w.pass(time.Minute)
			w.start("a")
			w.pass(2 * time.Minute)
		}, []string{"crash web", "crash web ends: it runs again"}},
		{"unhealthy, flapping, healthy", func(w *world) {
			w.put("a", "web", "always", health("healthy"))
			for range 4 {
				w.pass(40 * time.Second)
				w.put("a", "", "", health("unhealthy"))
				w.pass(time.Minute)
				w.put("a", "", "", health("healthy"))
			}
			w.pass(10 * time.Minute)
		}, []string{"unhealthy web", "unhealthy web ends: it is healthy"}},
		{"paused for 6 min", func(w *world) {
			w.put("a", "web", "always")
			w.put("a", "", "", state(tallyman.Paused))
			w.pass(6 * time.Minute)
			w.put("a", "", "", state(tallyman.Running))
			w.pass(6 * time.Minute)
		}, []string{"paused web", "paused web ends: it goes on"}},
		{"it gave up", func(w *world) {
			w.put("a", "web", "on-failure:2")
			w.loop("a", "1", 2, 100*time.Millisecond, 200*time.Millisecond)
			w.pass(100 * time.Millisecond)
			w.die("a", "1")
			w.pass(time.Hour)
			w.remove("a")
		}, []string{"not_running web", "not_running web ends: removed"}},
		{"unless-stopped, lost by an engine that was killed", func(w *world) {
			w.put("a", "web", "unless-stopped")
			w.pass(time.Hour)
			w.engine(false)
			w.pass(17 * time.Second)
			w.put("a", "", "", state(tallyman.Exited))
			w.event("a", "die", "exitCode", "0", "asked", "signal")
			w.event("a", "stop")
			w.engine(true)
			w.pass(10 * time.Minute)
			w.start("a")
			w.pass(10 * time.Minute)
		}, []string{"not_running web", "not_running web ends: it runs again"}},
		{"the same, told when the engine is back", func(w *world) {
			w.put("a", "web", "unless-stopped")
			w.pass(time.Hour)
			w.engine(false)
			w.pass(90 * time.Second)
			w.engine(true)
			w.put("a", "", "", state(tallyman.Exited))
			w.event("a", "die", "exitCode", "0", "asked", "signal")
			w.event("a", "stop")
			w.pass(10 * time.Minute)
			w.start("a")
			w.pass(10 * time.Minute)
		}, []string{"down local", "down local ends: the engine answers again", "not_running web", "not_running web ends: it runs again"}},
		{"a full disk, and one that is full for a moment", func(w *world) {
			w.disk(true)
			w.pass(20 * time.Second)
			w.disk(false)
			w.pass(time.Minute)
			w.disk(true)
			w.pass(40 * time.Second)
			w.disk(false)
			w.pass(30 * time.Second)
			w.disk(true)
			w.pass(10 * time.Minute)
			w.disk(false)
			w.pass(2 * time.Minute)
		}, []string{"disk_full ", "disk_full  ends: there is room again"}},
		{"no such command", func(w *world) {
			w.put("a", "web", "always", state(tallyman.Created), func(c *tallyman.Container) { c.Started, c.Error = time.Time{}, "no such file" })
			w.event("a", "start_failed", "error", "no such file", "exitCode", "127")
			w.pass(time.Minute)
			w.remove("a")
		}, []string{"not_started web", "not_started web ends: removed"}},
		{"a port that is taken, then free", func(w *world) {
			w.put("a", "web", "", state(tallyman.Created), func(c *tallyman.Container) { c.Started, c.Error = time.Time{}, "port is already allocated" })
			w.event("a", "start_failed", "error", "port is already allocated", "exitCode", "128")
			w.pass(time.Minute)
			w.start("a")
		}, []string{"not_started web", "not_started web ends: it was started"}},
		{"the engine is away for 90 s", func(w *world) {
			w.put("a", "web", "always")
			w.pass(time.Minute)
			w.engine(false)
			w.pass(90 * time.Second)
			w.engine(true)
			w.pass(time.Minute)
		}, []string{"down local", "down local ends: the engine answers again"}},
		{"a looping container, seen for the first time", func(w *world) {
			w.put("a", "web", "always", state(tallyman.Restarting))
			w.pass(2 * time.Minute)
			w.stop("a", "1")
		}, []string{"restart_loop web already", "restart_loop web ends: stopped as asked"}},
		{"a job that fails", func(w *world) {
			w.put("a", "job", "", func(c *tallyman.Container) { c.AutoRemove = true })
			w.pass(10 * time.Second)
			w.die("a", "1")
			w.remove("a")
			w.pass(time.Hour)
		}, []string{"job_failed job", "job_failed job ends: it has removed itself"}},
	} {
		t.Run(day.name, func(t *testing.T) {
			w := newWorld()
			day.play(w)
			w.pass(30 * time.Second)
			if d := cmp.Diff(strings.Join(day.want, "\n"), strings.Join(w.said, "\n")); d != "" {
				t.Errorf("said (-want +got):\n%s", d)
			}
		})
	}
}

// What was open is open after a restart, and ends as it would have.
func TestRestore(t *testing.T) {
	w := newWorld()
	w.put("a", "web", "always")
	w.loop("a", "1", 5, time.Second, time.Second)
	w.pass(10 * time.Second)
	open := w.m.Open()
	if len(open) != 1 || open[0].Kind != RestartLoop || open[0].Deaths != 5 || open[0].ExitCode != "1" || open[0].Class != Service {
		t.Fatalf("open: %+v", open)
	}
	again := newWorld()
	again.m = New()
	again.m.Restore(open)
	again.c, again.now = w.c, w.now.Add(time.Minute)
	again.engine(true)
	again.put("a", "", "")
	again.pass(time.Minute)
	if d := cmp.Diff(1, len(again.m.Open())); d != "" {
		t.Errorf("open after the restart: %v", again.m.Open())
	}
	again.pass(time.Hour)
	if got := strings.Join(again.said, "; "); got != "restart_loop web ends: it runs again" {
		t.Errorf("said %q", got)
	}
}

// Whatever comes in whatever order: kinds of the life exclude each other, what is opened
// is closed at most once, what is gone leaves nothing behind, and timers come to rest.
func FuzzOrder(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld()
		open := map[string]Problem{}
		check := func(changes []Change) {
			for _, c := range changes {
				slot := fmt.Sprint(c.Problem.Workload, c.Problem.Engine)
				if c.Problem.Workload != "" {
					slot = c.Problem.Workload
					switch c.Problem.Kind {
					case Unhealthy, Paused, OOMInside:
						slot += string(c.Problem.Kind)
					}
				}
				was, is := open[slot]
				switch {
				case c.Op == Opened && is:
					t.Fatalf("%s was opened while %s is open", c.Problem.Kind, was.Kind)
				case c.Op != Opened && (!is || was.Kind != c.Problem.Kind):
					t.Fatalf("%s %s, and it was not open", c.Op, c.Problem.Kind)
				case c.Op == Closed && (c.Problem.Reason == "" || c.Problem.Ended.Before(c.Problem.Since)):
					t.Fatalf("closed without a reason or a time: %+v", c.Problem)
				}
				if c.Op == Closed {
					delete(open, slot)
				} else {
					open[slot] = c.Problem
				}
			}
		}
		policies := []string{"", "always", "unless-stopped", "on-failure:2"}
		states := []tallyman.State{tallyman.Created, tallyman.Running, tallyman.Paused, tallyman.Restarting, tallyman.Exited, tallyman.Dead, tallyman.Gone}
		actions := []string{"die", "start", "stop", "restart", "destroy", "oom", "start_failed", "kill", "die"}
		for range 300 {
			w.now = w.now.Add(time.Duration(r.IntN(40_000)) * time.Millisecond)
			check(w.m.Tick(w.now))
			id := fmt.Sprint("c", r.IntN(4))
			c := &tallyman.Container{ID: id, Name: id, Host: "harbor", Engine: "local", State: states[r.IntN(len(states))], RestartPolicy: policies[r.IntN(4)], RestartCount: r.IntN(4),
				Started: w.now.Add(-time.Duration(r.IntN(100)) * time.Second), Created: zero, Workload: tallyman.Workload{Key: "w" + id[1:2]}, AutoRemove: r.IntN(5) == 0,
				Health: []string{"", "healthy", "unhealthy", "starting"}[r.IntN(4)]}
			if c.State == tallyman.Running || c.State == tallyman.Paused {
				c.Pid = 7
			}
			switch r.IntN(10) {
			case 0:
				check(w.m.Engine(tallyman.EngineStatus{Name: "local", Host: "harbor", Up: r.IntN(3) > 0, Since: w.now, Failure: tallyman.EngineRefused}, time.Time{}, w.now))
			case 1, 2, 3, 4:
				check(w.m.Container(c, w.now))
			default:
				check(w.m.Event(tallyman.Event{Time: w.now, Host: "harbor", Engine: "local", Type: "container", Action: actions[r.IntN(len(actions))], Actor: id, Workload: c.Workload.Key,
					Attributes: map[string]string{"exitCode": fmt.Sprint(r.IntN(3)), "asked": []string{"", "signal"}[r.IntN(2)]}}, w.now))
			}
		}
		check(w.m.Engine(tallyman.EngineStatus{Name: "local", Host: "harbor", Up: true, Since: w.now}, time.Time{}, w.now))
		for i := range 4 {
			id := fmt.Sprint("c", i)
			check(w.m.Container(&tallyman.Container{ID: id, Name: id, Host: "harbor", Engine: "local", State: tallyman.Gone, Workload: tallyman.Workload{Key: "w" + id[1:2]}}, w.now))
		}
		for n := 0; ; n++ {
			next := w.m.Next()
			if next.IsZero() {
				break
			}
			if n > 1000 {
				t.Fatalf("timers do not come to rest: %v after %v", next, w.now)
			}
			w.now = next
			check(w.m.Tick(w.now))
		}
		if len(open) > 0 || len(w.m.Open()) > 0 || len(w.m.workloads) > 0 || w.m.open != 0 {
			t.Fatalf("all is gone, and left are %v, %d workloads, %d counted", open, len(w.m.workloads), w.m.open)
		}
	})
}

// A host whose tallyman is silent is a problem of its own kind, at once, as it was silent for
// long enough; one that was down before is that from then on.
func TestSilentHost(t *testing.T) {
	for name, c := range map[string]struct {
		before string // what the engine was said to be
		want   []string
	}{
		"it was up":       {"up", []string{"opened silent", "closed silent: its tallyman is heard again"}},
		"it was down":     {"down", []string{"opened down", "closed down: another problem has taken its place", "opened silent", "closed silent: its tallyman is heard again"}},
		"after a restart": {"silent", []string{"closed silent: its tallyman is heard again"}},
	} {
		m, now := New(), zero
		var said []string
		note := func(changes []Change) {
			for _, c := range changes {
				text := fmt.Sprintf("%s %s", c.Op, c.Problem.Kind)
				if c.Op == Closed {
					text += ": " + c.Problem.Reason
				}
				said = append(said, text)
			}
		}
		engine := func(up bool, f tallyman.EngineFailure, since time.Time) {
			note(m.Engine(tallyman.EngineStatus{Name: "web-1/local", Host: "web-1", Up: up, Failure: f, Since: since}, time.Time{}, now))
		}
		switch c.before {
		case "silent":
			m.Restore([]Problem{{Kind: HostSilent, Host: "web-1", Engine: "web-1/local", Since: now}})
		case "down":
			engine(false, tallyman.EngineRefused, now.Add(-time.Hour))
		default:
			engine(true, "", now.Add(-time.Hour))
		}
		now = now.Add(2 * time.Minute)
		engine(false, tallyman.EngineSilent, now.Add(-90*time.Second))
		engine(false, tallyman.EngineSilent, now.Add(-90*time.Second))
		if n := len(m.Open()); n != 1 {
			t.Errorf("%s: %d problems are open, want one", name, n)
		}
		now = now.Add(time.Minute)
		engine(true, "", now)
		for !m.Next().IsZero() && len(m.Open()) > 0 {
			now = m.Next()
			note(m.Tick(now))
		}
		if !slices.Equal(said, c.want) {
			t.Errorf("%s: said %q, want %q", name, said, c.want)
		}
	}
}
