// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/attach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines have the document of every container.
type engines struct{ tallyman.Engines }

func (engines) EngineDocument(context.Context, string, string) (json.RawMessage, error) {
	return json.RawMessage(`{"Path":"server","Config":{"Env":["A=1"],"ExposedPorts":{"80/tcp":{}}}}`), nil
}
func (engines) EngineImage(context.Context, string, string) (json.RawMessage, error) {
	return json.RawMessage(`{}`), nil
}
func (engines) EngineRemote(string) bool { return true } // nothing of it is on this machine

// plugin is one that does what the test wants.
type plugin struct {
	mu     sync.Mutex
	scrape func(s tallyman.ServiceSink) error
	opened int
	closed int
}

func (p *plugin) set(f func(s tallyman.ServiceSink) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scrape = f
}

func (p *plugin) Scrape(_ context.Context, s tallyman.ServiceSink) error {
	p.mu.Lock() // instances share it
	defer p.mu.Unlock()
	return p.scrape(s)
}
func (p *plugin) Close() { p.mu.Lock(); p.closed++; p.mu.Unlock() }

var things = &tallyman.Desc{Name: "things", Type: tallyman.Gauge, Help: "Things"}

func (p *plugin) kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{Name: "THING", Every: 15 * time.Second, Metrics: []*tallyman.Desc{things},
		Where: func(c tallyman.ServiceConfig) string { return c.Port("PORT", 80) },
		Open: func(tallyman.Inside, tallyman.ServiceConfig) (tallyman.Service, error) {
			p.mu.Lock()
			p.opened++
			p.mu.Unlock()
			return p, nil
		}}
}

// world is Services in a collector that stores into a list.
type world struct {
	s      *Services
	plugin *plugin
	mu     sync.Mutex
	last   map[string]float64
	events []string
	stop   func()
}

func (w *world) Publish(b *tallyman.Batch, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = map[string]float64{}
	for _, s := range b.Samples {
		name := s.Series.Desc.Name
		for _, l := range s.Series.Labels {
			if l.Name != "host" && l.Name != "id" && l.Name != "image" && l.Name != "workload" && (l.Name != "name" || s.Series.Desc != pluginUp) {
				name += " " + l.Name + "=" + l.Value
			}
		}
		w.last[name] = s.Value
	}
}

func (w *world) value(name string) (float64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.last[name]
	return v, ok
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, ", ")
}

// begin runs Services and a collector in a bubble of time.
func begin(t *testing.T, limits Limits) *world {
	w := &world{plugin: &plugin{scrape: func(s tallyman.ServiceSink) error { s.Add(things, 5); return nil }}}
	kind := w.plugin.kind()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w.s = New(Options{
		Choose: func(in tallyman.Inside, _ map[string]string) (list []tallyman.ServiceWish, mistakes []tallyman.ServiceMistake) {
			for _, port := range strings.Fields(in.Container().Labels["ports"]) {
				list = append(list, tallyman.ServiceWish{Kind: &kind, Origin: tallyman.FromRunLabel, Source: "ports", Config: tallyman.NewServiceConfig(map[string][]string{"PORT": {port}})})
			}
			if in.Container().Labels["bad"] != "" {
				mistakes = append(mistakes, tallyman.ServiceMistake{Source: "bad", Text: "it is bad"})
			}
			return list, mistakes
		},
		Resolve: func(_ tallyman.Inside, w *tallyman.ServiceWish) (tallyman.ServiceConfig, error) { return w.Config, nil },
		Engines: engines{}, Descs: tallyman.NewDescs(nil), Limits: limits, Proc: t.TempDir(), Log: log,
		Emit: func(e tallyman.Event) {
			w.mu.Lock()
			w.events = append(w.events, e.Action+" "+e.Attributes["instance"]+e.Attributes["source"])
			w.mu.Unlock()
		},
	})
	collector := attach.New(attach.Options{Kinds: []tallyman.SourceKind{w.s.Kind()}, Sink: w, Host: "h", Interval: time.Second, LiveInterval: time.Second, Log: log})
	w.s.Tell(collector)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.s.Run(ctx) })
	wg.Go(func() { _ = collector.Run(ctx) })
	w.stop = func() { cancel(); wg.Wait() }
	return w
}

// container is one that runs.
func container(name, ports string) *tallyman.Container {
	return &tallyman.Container{ID: strings.Repeat(name, 64)[:64], Name: name, Image: "thing", Host: "h", Engine: "local", Workload: tallyman.Workload{Key: name}, State: tallyman.Running, Pid: 1 << 30,
		Started: time.Now(), Labels: map[string]string{"ports": ports}}
}

func TestLifeOfAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Limits{})
		defer w.stop()
		c := container("a", "80")
		w.s.ObserveContainer(c)
		time.Sleep(time.Second)
		if s := w.s.Status(); len(s) != 1 || s[0].State != tallyman.ServicePending || s[0].Instance != "a:80" {
			t.Fatalf("after a second: %+v", s)
		}
		time.Sleep(3 * time.Second)
		w.plugin.mu.Lock()
		opened := w.plugin.opened
		w.plugin.mu.Unlock()
		if opened != 0 {
			t.Error("it was asked before the container had settled")
		}
		time.Sleep(3 * time.Second)
		if s := w.s.Status()[0]; s.State != tallyman.ServiceUp || s.Series != 1 {
			t.Errorf("after seven seconds: %+v", s)
		}
		if v, ok := w.value("things name=a"); !ok || v != 5 {
			t.Errorf("its value is %v, %v", v, ok)
		}
		// It fails: it is told once, and nothing of it stands but that it is down.
		w.plugin.set(func(s tallyman.ServiceSink) error { s.Add(things, 6); return errors.New("broken") })
		time.Sleep(40 * time.Second)
		if _, ok := w.value("things name=a"); ok {
			t.Error("the value of a scrape that failed stands")
		}
		if v, ok := w.value("plugin_up plugin=thing"); !ok || v != 0 {
			t.Errorf("plugin_up is %v, %v", v, ok)
		}
		if s := w.s.Status()[0]; s.State != tallyman.ServiceDown || s.Fault != tallyman.ParseFault || s.Reason != "Broken." {
			t.Errorf("it is %+v", s)
		}
		// A login that is refused is tried three times an hour.
		tries := 0
		w.plugin.set(func(tallyman.ServiceSink) error {
			tries++
			return tallyman.Faulty(tallyman.AuthFault, "Set PASSWORD.", "refused")
		})
		time.Sleep(61 * time.Minute)
		w.plugin.mu.Lock()
		if tries < 3 || tries > 4 {
			t.Errorf("a login was tried %d times in an hour", tries)
		}
		w.plugin.mu.Unlock()
		if s := w.s.Status()[0]; s.State != tallyman.ServiceAuth || s.Fix != "Set PASSWORD." {
			t.Errorf("it is %+v", s)
		}
		w.plugin.set(func(s tallyman.ServiceSink) error { s.Add(things, 7); return nil })
		time.Sleep(21 * time.Minute)
		// Paused, it is left alone; then it goes on.
		paused := c.Clone()
		paused.State = tallyman.Paused
		w.s.ObserveContainer(paused)
		time.Sleep(2 * time.Second)
		if _, ok := w.value("plugin_up plugin=thing"); ok || w.s.Status()[0].State != tallyman.ServicePaused {
			t.Errorf("while paused: %+v", w.s.Status()[0])
		}
		w.s.ObserveContainer(c)
		time.Sleep(20 * time.Second)
		if v, ok := w.value("things name=a"); !ok || v != 7 {
			t.Errorf("after the pause its value is %v, %v", v, ok)
		}
		// Stopped, it is gone; nothing is told of it.
		stopped := c.Clone()
		stopped.State, stopped.Pid = tallyman.Exited, 0
		w.s.ObserveContainer(stopped)
		time.Sleep(2 * time.Second)
		if s := w.s.Status(); len(s) != 0 {
			t.Errorf("after the end: %+v", s)
		}
		if _, ok := w.value("plugin_up plugin=thing"); ok {
			t.Error("plugin_up stands after the end")
		}
		if d := cmp.Diff("up a:80, down a:80, auth a:80, up a:80", w.told()); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
		w.plugin.mu.Lock()
		defer w.plugin.mu.Unlock()
		if w.plugin.closed == 0 {
			t.Error("it was not closed")
		}
	})
}

func TestAFaultEndsOneScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Limits{})
		defer w.stop()
		w.plugin.set(func(tallyman.ServiceSink) error { panic("oh") })
		w.s.ObserveContainer(container("a", "80"))
		time.Sleep(8 * time.Second)
		if s := w.s.Status()[0]; s.State != tallyman.ServiceDown || !strings.Contains(s.Reason, "fault of tallyman") {
			t.Errorf("it is %+v", s)
		}
		w.plugin.set(func(s tallyman.ServiceSink) error { s.Add(things, 1); return nil })
		time.Sleep(time.Minute)
		if s := w.s.Status()[0]; s.State != tallyman.ServiceUp || w.s.count.panics.Load() != 1 {
			t.Errorf("then it is %+v", s)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Limits{PerContainer: 2, PerHost: 3, Series: 10, Text: 20})
		defer w.stop()
		w.plugin.set(func(s tallyman.ServiceSink) error {
			for i := range 15 {
				s.Add(things, 1, "n", fmt.Sprint(i))
			}
			return nil
		})
		w.s.ObserveContainer(container("a", "1 2 3"))
		w.s.ObserveContainer(container("b", "1 2 3"))
		time.Sleep(10 * time.Second)
		list := w.s.Status()
		if len(list) != 3 {
			t.Fatalf("%d instances, want 3", len(list))
		}
		if list[0].Series != 10 || list[0].Dropped != 5 || list[0].State != tallyman.ServiceUp {
			t.Errorf("it is %+v", list[0])
		}
		// Of a text that is too long nothing counts.
		w.plugin.set(func(s tallyman.ServiceSink) error {
			for i := range 21 {
				s.Add(s.Desc("free", tallyman.Gauge, "Free"), 1, "n", fmt.Sprint(i))
			}
			return nil
		})
		time.Sleep(time.Minute)
		if s := w.s.Status()[0]; s.State != tallyman.ServiceDown || s.Fault != tallyman.LimitFault {
			t.Errorf("it is %+v", s)
		}
		// Series that come and go: it is left alone for an hour.
		n, scrapes := 0, 0
		w.plugin.set(func(s tallyman.ServiceSink) error {
			scrapes++
			for range 10 {
				n++
				s.Add(things, 1, "n", fmt.Sprint("x", n))
			}
			return nil
		})
		time.Sleep(30 * time.Minute)
		count := func() int { w.plugin.mu.Lock(); defer w.plugin.mu.Unlock(); return scrapes }
		before := count()
		time.Sleep(10 * time.Minute)
		if s := w.s.Status()[0]; s.Fault != tallyman.LimitFault || count() != before {
			t.Errorf("it is %+v, and was asked %d times more", s, count()-before)
		}
	})
}

func TestLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Limits{})
		defer w.stop()
		long := strings.Repeat("v", 300)
		w.plugin.set(func(s tallyman.ServiceSink) error {
			s.Add(things, 1, "name", "theirs", "workload", "theirs", "job", "theirs", "bad-name", "x", "empty", "", "long", long)
			s.Add(s.Desc("free", tallyman.Counter, "Free"), 2, "name", "theirs")
			s.Add(things, 9, "name", "theirs", "workload", "theirs", "job", "theirs", "bad-name", "x", "empty", "", "long", long) // the first stands
			return nil
		})
		c := container("a", "80")
		c.Labels["bad"] = "yes"
		w.s.ObserveContainer(c)
		time.Sleep(8 * time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		found := 0
		for name, v := range w.last {
			switch {
			case strings.HasPrefix(name, "things "):
				found++
				if !strings.Contains(name, " name=theirs") || !strings.Contains(name, " exported_workload=theirs") || !strings.Contains(name, " exported_job=theirs") ||
					!strings.Contains(name, " bad_name=x") || strings.Contains(name, "empty") || len(name) > 400 || v != 1 {
					t.Errorf("%s is %v", name, v)
				}
			case strings.HasPrefix(name, "free "):
				found++
				if !strings.Contains(name, " exported_name=theirs") || !strings.Contains(name, " name=a") {
					t.Errorf("%s", name)
				}
			}
		}
		if found != 2 {
			t.Errorf("%d series: %v", found, w.last)
		}
		if m := w.s.Mistakes(c.ID); len(m) != 1 || strings.Count(strings.Join(w.events, ","), "config") != 1 {
			t.Errorf("mistakes %v, told %v", m, w.events)
		}
		if w.last["plugin_config_error name=a source=bad"] != 1 {
			t.Errorf("what is wrong is no series: %v", w.last)
		}
	})
}

func TestLabelOf(t *testing.T) {
	for where, want := range map[string]string{
		"6379": "c:6379", "/run/x.sock": "c:/run/x.sock", "localhost:6379": "c:6379", "127.0.0.1:1": "c:1", "db:5432": "db:5432",
		"http://localhost:9100/metrics": "c:9100", "http://localhost/nginx_status": "c:80/nginx_status", "https://[::1]/": "c:443", "https://example.org/x": "https://example.org/x", "/script.sh": "c:/script.sh",
	} {
		if got := labelOf("c", where); got != want {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
}
