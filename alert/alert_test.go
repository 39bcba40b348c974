// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/alert/route"
	"tallyman/internal/recordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inventory is one container, as a test changes it.
type inventory struct {
	mu sync.Mutex
	c  *tallyman.Container
}

func (i *inventory) Containers() []*tallyman.Container {
	i.mu.Lock()
	defer i.mu.Unlock()
	return []*tallyman.Container{i.c}
}

func (i *inventory) Container(id string) (*tallyman.Container, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.c, i.c.ID == id
}

func (i *inventory) Engines() []tallyman.EngineStatus { return nil }

// people are told.
type people struct {
	mu   sync.Mutex
	said []route.Notice
}

func (p *people) Put(_ context.Context, notices ...route.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, notices...)
	return nil
}

func (p *people) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (p *people) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, n := range p.said {
		state := "fires"
		if !n.Ended.IsZero() {
			state = "ends, " + n.Annotations["reason"]
		}
		out = append(out, n.Labels["alertname"]+" "+state)
	}
	return strings.Join(out, "; ")
}

// site is a service with all that is around it.
type site struct {
	t     *testing.T
	dir   string
	inv   *inventory
	store *recordtest.Store
	told  *people
	s     *Service
	stop  func()
	// options changes those of open.
	options func(o *Options)
}

func newSite(t *testing.T) *site {
	x := &site{t: t, dir: t.TempDir(), store: recordtest.New(), told: &people{}}
	x.inv = &inventory{c: &tallyman.Container{ID: "a", Name: "shop-web-1", Image: "shop/web:1", Host: "harbor", Engine: "local", State: tallyman.Running, Pid: 7, RestartPolicy: "always",
		Started: time.Now().Add(-time.Hour), Workload: tallyman.Workload{Key: "shop/web/1", Project: "shop", Origin: "compose"}}}
	return x
}

func (x *site) open() {
	x.t.Helper()
	external, _ := url.Parse("https://mon.example/tallyman/") // it cannot fail
	o := Options{Dir: x.dir, Records: recordtest.Intake(x.store), Inventory: x.inv, Defaults: true, External: external, Log: slog.New(slog.DiscardHandler)}
	if x.options != nil {
		x.options(&o)
	}
	s, err := Open(o)
	if err != nil {
		x.t.Fatal(err)
	}
	s.SetRouter(x.told)
	ctx, cancel := context.WithCancel(x.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			x.t.Error(err)
		}
	}()
	x.s, x.stop = s, func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			x.t.Error(err)
		}
	}
	s.ObserveEngine(tallyman.EngineStatus{Name: "local", Host: "harbor", Up: true, Since: time.Now()})
	s.ObserveContainer(x.inv.c)
}

func (x *site) change(f func(c *tallyman.Container)) {
	x.inv.mu.Lock()
	c := x.inv.c.Clone()
	f(c)
	x.inv.c = c
	x.inv.mu.Unlock()
	x.s.ObserveContainer(c)
}

func (x *site) die(code string) {
	x.change(func(c *tallyman.Container) { c.State, c.Pid, c.Finished = tallyman.Restarting, 0, time.Now() })
	x.s.ObserveEvent(tallyman.Event{Time: time.Now(), Host: "harbor", Engine: "local", Type: "container", Action: "die", Actor: "a", Workload: "shop/web/1", Attributes: map[string]string{"exitCode": code}})
}

func (x *site) run() {
	x.change(func(c *tallyman.Container) { c.State, c.Pid, c.Started = tallyman.Running, 8, time.Now() })
	x.s.ObserveEvent(tallyman.Event{Time: time.Now(), Host: "harbor", Engine: "local", Type: "container", Action: "start", Actor: "a", Workload: "shop/web/1"})
}

// transitions are the records of alarms, as "rule state".
func (x *site) transitions() (out []string) {
	for _, f := range x.store.Find("source", "alarm") {
		var a Alarm
		if err := json.Unmarshal(f.Line, &a); err != nil {
			x.t.Error(err)
		}
		out = append(out, a.Rule+" "+a.State)
		if f.Stream.Label("level") != a.Severity || f.Stream.Label("workload") != a.Workload {
			x.t.Errorf("labels %v of %+v", f.Stream.Labels, a)
		}
	}
	return out
}

// A crash is told once, recorded, and cleared with its reason.
func TestACrashIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t)
		x.open()
		defer func() { x.stop() }()
		time.Sleep(time.Minute)
		x.die("3")
		time.Sleep(2 * time.Second)
		x.run()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := x.told.text(); got != "ContainerCrashed fires" {
			t.Errorf("six seconds after the death: %q", got)
		}
		if n := x.told.said[0]; n.Labels["project"] != "shop" || n.Labels["severity"] != "critical" || n.Annotations["name"] != "shop-web-1" ||
			n.Annotations["summary"] != "shop/web/1 crashed: exit 3" || !strings.HasPrefix(n.Link, "https://mon.example/tallyman/alarms?id=") {
			t.Errorf("told: %+v", n)
		}
		active := x.s.Active()
		if len(active) != 1 || active[0].State != Firing || active[0].Workload != "shop/web/1" || active[0].Image != "shop/web:1" {
			t.Errorf("active: %+v", active)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := x.told.text(); got != "ContainerCrashed fires; ContainerCrashed ends, it runs again" {
			t.Errorf("afterwards: %q", got)
		}
		if d := cmp.Diff([]string{"ContainerCrashed firing", "ContainerCrashed cleared"}, x.transitions()); d != "" {
			t.Errorf("recorded (-want +got):\n%s", d)
		}
		if len(x.s.Active()) > 0 || len(x.s.Problems()) > 0 {
			t.Errorf("left: %+v, %+v", x.s.Active(), x.s.Problems())
		}
	})
}

// Over kills at any time nothing is recorded twice, nothing forgotten, and what fires is
// handed on again to whoever keeps account of what was told.
func TestOverKills(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 4900 * time.Millisecond, 6 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			x := newSite(t)
			x.open()
			time.Sleep(time.Minute)
			x.die("3")
			time.Sleep(after)
			fired := strings.Contains(x.told.text(), "fires")
			x.stop()
			time.Sleep(10 * time.Second)
			x.told = &people{}
			x.open()
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if got := x.told.text(); fired && got != "ContainerCrashed fires" {
				t.Errorf("killed %v after the death: told %q", after, got)
			}
			x.run()
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			if n := strings.Count(strings.Join(x.transitions(), ";"), "firing"); fired && n != 1 {
				t.Errorf("killed %v after the death: recorded %v", after, x.transitions())
			}
			if got := x.told.text(); fired && !strings.HasSuffix(got, "ContainerCrashed ends, it runs again") {
				t.Errorf("killed %v after the death: told %q in the end", after, got)
			}
			if len(x.s.Active()) > 0 {
				t.Errorf("killed %v after the death: left %+v", after, x.s.Active())
			}
			x.stop()
		})
	}
}

// A loop is one alarm, and a crash that becomes one is one after the other.
func TestALoopIsOneAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t)
		x.open()
		defer func() { x.stop() }()
		time.Sleep(time.Minute)
		for range 12 {
			x.die("1")
			time.Sleep(time.Second)
			x.run()
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := x.told.text(); got != "ContainerCrashed fires; ContainerRestartLoop fires; ContainerCrashed ends, became a restart loop" &&
			got != "ContainerCrashed fires; ContainerCrashed ends, became a restart loop; ContainerRestartLoop fires" {
			t.Errorf("told %q", got)
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if len(x.s.Active()) > 0 {
			t.Errorf("left: %+v", x.s.Active())
		}
	})
}

// The heartbeat goes out each minute, and stays out as soon as something does not work.
func TestHeartbeat(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	s := &Service{o: Options{Heartbeat: server.URL + "/secret", Log: slog.New(slog.DiscardHandler)}}
	if err := s.beat(t.Context(), server.Client()); err != nil || asked.Load() != 1 || s.beats.sent.Load() != 1 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	server.Close()
	if err := s.beat(t.Context(), server.Client()); err == nil || strings.Contains(err.Error(), "secret") || s.beats.failed.Load() != 1 {
		t.Errorf("of one that is away: %v, want an error without the address", err)
	}
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t)
		x.open()
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := x.s.wrong(); err != nil {
			t.Errorf("all works, and it says %v", err)
		}
		x.s.o.Alive = func() error { return errors.New("no samples") }
		if err := x.s.wrong(); err == nil {
			t.Error("samples are not stored, and nothing is wrong")
		}
		x.s.o.Alive = nil
		x.stop()
		time.Sleep(5 * time.Minute)
		if err := x.s.wrong(); err == nil {
			t.Error("rules are not evaluated, and nothing is wrong")
		}
	})
}
