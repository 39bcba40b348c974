// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/api/view"
	"tallyman/query"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is one host with an engine and two containers.
type machine struct{ containers []*tallyman.Container }

func (m machine) Servers(context.Context) *view.Servers {
	h := view.Host{Host: "h", Engine: view.Engine{Name: "local", Up: true}}
	for _, c := range m.containers {
		h.Containers = append(h.Containers, m.Row(c))
	}
	return &view.Servers{Hosts: []view.Host{h}}
}

func (m machine) Row(c *tallyman.Container) view.Container { return view.ContainerOf(c) }

func (m machine) Detailed(c *tallyman.Container) view.Container {
	v := m.Row(c)
	v.Detail = view.DetailOf(c, []*tallyman.Container{c})
	return v
}

func (m machine) Workload(host, workload string) (*tallyman.Container, bool) {
	at := slices.IndexFunc(m.containers, func(c *tallyman.Container) bool { return c.Host == host && c.Workload.Key == workload })
	if at < 0 {
		return nil, false
	}
	return m.containers[at], true
}

// Latest are readings of each container's memory and of the host's load.
func (m machine) Latest(dst []tallyman.Reading) ([]tallyman.Reading, uint64) {
	for _, c := range m.containers {
		t := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: c.ID, Container: c}
		dst = append(dst, tallyman.Reading{Series: t.Series(&tallyman.Desc{Name: "container_memory_working_set_bytes"}), Value: 42})
	}
	h := &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Instance: "h"}
	return append(dst, tallyman.Reading{Series: h.Series(&tallyman.Desc{Name: "node_load1"}), Value: 1.5}), 1
}

// watcher counts who watches.
type watcher struct {
	mu sync.Mutex
	n  int
}

func (w *watcher) Watch() func() {
	w.add(1)
	return func() { w.add(-1) }
}

func (w *watcher) Interval() time.Duration { return time.Second }

func (w *watcher) add(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += n
	return w.n
}

// browser is an open page: an answer that is written to, and can be slow.
type browser struct {
	header http.Header
	slow   chan struct{} // while there is one in it nothing can be written

	mu     sync.Mutex
	status int
	text   strings.Builder
	// interval is that of ticks, in milliseconds.
	interval float64
}

func (b *browser) Header() http.Header              { return b.header }
func (b *browser) WriteHeader(status int)           { b.status = status }
func (b *browser) SetWriteDeadline(time.Time) error { return nil }
func (b *browser) Flush()                           {}
func (b *browser) Write(p []byte) (int, error) {
	b.slow <- struct{}{}
	defer func() { <-b.slow }()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// got is a message that a page got.
type got struct {
	event string
	data  map[string]any
}

// take gives what has come since the last time.
func (b *browser) take(t *testing.T) (list []got) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for part := range strings.SplitSeq(b.text.String(), "\n\n") {
		switch name, data, ok := strings.Cut(part, "\ndata: "); {
		case part == ":":
			list = append(list, got{event: "alive"})
		case ok:
			one := got{event: strings.TrimPrefix(name, "event: ")}
			if err := json.Unmarshal([]byte(data), &one.data); err != nil {
				t.Fatalf("%q: %v", part, err)
			}
			if one.event == "interval" { // first of all
				b.interval, _ = one.data["ms"].(float64)
				continue
			}
			list = append(list, one)
		case part != "":
			t.Fatalf("no event: %q", part)
		}
	}
	b.text.Reset()
	return list
}

func names(list []got) string {
	var out []string
	for _, g := range list {
		out = append(out, g.event)
	}
	return strings.Join(out, " ")
}

// bubble is a hub with its watcher; open opens a page, which the end of the test
// closes.
type bubble struct {
	*Hub
	watcher *watcher
	open    func(query string) (*browser, context.CancelFunc)
}

func inBubble(t *testing.T, test func(t *testing.T, h bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := machine{[]*tallyman.Container{container("a", "web"), container("b", "db")}}
		w := &watcher{}
		h := New(m, query.NewCurrent(m), w)
		var wg sync.WaitGroup
		test(t, bubble{h, w, func(query string) (*browser, context.CancelFunc) {
			b := &browser{header: http.Header{}, slow: make(chan struct{}, 1)}
			ctx, leave := context.WithCancel(t.Context())
			wg.Go(func() {
				h.ServeHTTP(b, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/tallyman/v1/live?"+query, nil))
			})
			synctest.Wait()
			return b, leave
		}})
		h.Close()
		h.Close() // twice is harmless
		wg.Wait()
		if n := w.add(0); n != 0 {
			t.Errorf("%d still watch", n)
		}
	})
}

func container(id, workload string) *tallyman.Container {
	return &tallyman.Container{ID: id, Name: "name-" + id, Engine: "local", Host: "h", State: tallyman.Running, Pid: 1, Workload: tallyman.Workload{Key: workload}}
}

func TestServers(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		h.ObserveEngine(tallyman.EngineStatus{Name: "local", Host: "h", Up: true})
		b, leave := h.open("view=servers")
		list := b.take(t)
		if names(list) != "snapshot" || b.header.Get("Content-Type") != "text/event-stream" || b.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %v with %v", list, b.header)
		}
		if hosts, _ := list[0].data["hosts"].([]any); len(hosts) != 1 || len(hosts[0].(map[string]any)["containers"].([]any)) != 2 {
			t.Errorf("the snapshot has %v", list[0].data)
		}
		if n := h.watcher.add(0); n != 1 {
			t.Errorf("%d watch, want 1", n)
		}
		if b.interval != 1000 {
			t.Errorf("ticks are said to come each %v ms", b.interval)
		}
		time.Sleep(1100 * time.Millisecond) // a tick comes when the round of its second is through
		list = b.take(t)
		if names(list) != "tick" || list[0].data["now"].(map[string]any)["a"].(map[string]any)["memory"] != 42.0 || list[0].data["hosts"].(map[string]any)["h"] == nil {
			t.Errorf("after a second: %v", list)
		}
		h.ObserveContainer(container("b", "db"))
		h.ObserveEngine(tallyman.EngineStatus{Name: "local", Host: "h"})
		h.ObserveEvent(tallyman.Event{ID: "1", Type: "container", Action: "die", Host: "h", Workload: "db"})
		list = b.take(t)
		if names(list) != "container engine event container" || list[3].data["id"] != "b" || list[0].data["id"] != "b" || list[1].data["host"] != "h" || list[2].data["action"] != "die" {
			t.Errorf("got %v", list)
		}
		time.Sleep(10 * time.Second)
		if all := names(b.take(t)); strings.Count(all, "tick") != 10 || strings.Count(all, "alive") != 2 {
			t.Errorf("in ten seconds: %s", all)
		}
		h.ObserveEngine(tallyman.EngineStatus{Name: "far/local", Host: "far"})
		time.Sleep(1100 * time.Millisecond)
		if all := names(b.take(t)); all != "engine snapshot" {
			t.Errorf("of a further host a page gets %q; want that it gets all anew", all)
		}
		leave()
		synctest.Wait()
		if n := h.watcher.add(0); n != 0 {
			t.Errorf("%d watch after the page was closed", n)
		}
		h.ObserveContainer(container("a", "web"))
		if list := b.take(t); len(list) != 0 {
			t.Errorf("a closed page gets %v", list)
		}
	})
}

func TestContainer(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		b, _ := h.open("view=container&host=h&workload=web")
		if list := b.take(t); names(list) != "snapshot" || list[0].data["container"].(map[string]any)["id"] != "a" {
			t.Errorf("got %v", list)
		}
		h.ObserveContainer(container("b", "db")) // another's
		h.ObserveContainer(container("a", "web"))
		h.ObserveEvent(tallyman.Event{ID: "1", Type: "container", Action: "die", Host: "h", Workload: "db"})
		h.ObserveEvent(tallyman.Event{ID: "2", Type: "container", Action: "die", Host: "h", Workload: "web"})
		h.ObserveEvent(tallyman.Event{ID: "3", Type: "engine", Action: "down", Host: "h"})
		h.ObserveEvent(tallyman.Event{ID: "4", Type: "tallyman", Action: "drift", Host: "h", Workload: "db"})
		list := b.take(t)
		if names(list) != "container event container event" || list[0].data["instances"] == nil || list[1].data["id"] != "2" || list[3].data["id"] != "3" {
			t.Errorf("got %v", list)
		}
		before := container("before", "web")
		before.State = tallyman.Gone
		h.ObserveContainer(before) // its successor is there already
		if list = b.take(t); names(list) != "container" || list[0].data["id"] != "a" {
			t.Errorf("after the one before went: %v", list)
		}
		time.Sleep(1100 * time.Millisecond)
		if list = b.take(t); names(list) != "tick" || list[0].data["hosts"] != nil || len(list[0].data["now"].(map[string]any)) != 1 {
			t.Errorf("after a second: %v", list)
		}
		none, _ := h.open("view=container&host=h&workload=none")
		if list = none.take(t); names(list) != "snapshot" || list[0].data["container"] != nil {
			t.Errorf("a workload that is not there: %v", list)
		}
	})
}

// The Events page has no numbers, and costs no collection.
func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		b, _ := h.open("view=events")
		if n := h.watcher.add(0); n != 0 {
			t.Errorf("%d watch", n)
		}
		h.ObserveContainer(container("a", "web"))
		h.ObserveEvent(tallyman.Event{ID: "1", Type: "container", Action: "die", Host: "h", Workload: "db"})
		time.Sleep(1100 * time.Millisecond)
		list := b.take(t)
		if names(list) != "snapshot event tick" || list[0].data["hosts"] != nil || list[2].data["now"] == nil || len(list[2].data["now"].(map[string]any)) != 0 {
			t.Errorf("got %v", list)
		}
	})
}

// A page that does not read gets a new snapshot for what it missed, and keeps
// nobody else waiting.
func TestSlowPage(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		slow, _ := h.open("view=servers")
		quick, _ := h.open("view=servers")
		slow.take(t)
		quick.take(t)
		slow.slow <- struct{}{}
		for range queueLength + 10 {
			h.ObserveContainer(container("a", "web"))
			synctest.Wait()
		}
		if list := quick.take(t); len(list) != queueLength+10 {
			t.Errorf("the other page has %d messages, want %d", len(list), queueLength+10)
		}
		<-slow.slow
		time.Sleep(1100 * time.Millisecond)
		list := slow.take(t)
		n := strings.Count(names(list), "container")
		if at := slices.IndexFunc(list, func(g got) bool { return g.event == "snapshot" }); n < queueLength || n == queueLength+10 || at < 0 {
			t.Errorf("the slow page has %d messages, the snapshot is at %d", n, at)
		}
	})
}

// A client that is gone ends its stream.
func TestGone(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			// A recorder knows no deadline, which a stream cannot do without.
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?view=servers", nil))
		}()
		<-done
	})
}

func TestBadViews(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		for _, query := range []string{"", "view=x", "view=container", "view=container&host=h", "view=container&workload=web"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?"+query, nil))
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"next":"give `) {
				t.Errorf("%q: %d %s", query, w.Code, w.Body)
			}
		}
	})
}

// What is sent is made once for all pages that are told in the same form.
func TestMadeOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, h bubble) {
		for range 5 {
			h.open("view=servers")
			h.open("view=container&host=h&workload=web")
		}
		made := map[form]int{}
		h.send("container", func(p *page) form {
			if p.workload != "" {
				return whole
			}
			return short
		}, func(f form) any {
			made[f]++
			return "x"
		})
		if made[short] != 1 || made[whole] != 1 || len(made) != 2 {
			t.Errorf("made %v", made)
		}
		now := time.Now()
		all := &page{}
		if a, b := h.tickOf(all, now), h.tickOf(&page{}, now); &a[0] != &b[0] {
			t.Error("a tick is made for each page")
		}
		if a, b := h.tickOf(all, now), h.tickOf(all, now.Add(time.Second)); &a[0] == &b[0] {
			t.Error("a tick is that of the second before")
		}
	})
}
