// SPDX-License-Identifier: Apache-2.0

package top

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/api/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var moment = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func ref[T any](v T) *T { return &v }

// fleet is two projects on a host, with what is not known and what is hostile.
func fleet() view.Servers {
	c := func(name, project string, state tallyman.State, cpu, memory float64, more func(*view.Container)) view.Container {
		one := view.Container{ID: name, Name: name, Project: project, Image: name + ":1", Host: "harbor", State: state, Started: moment.Add(-3 * time.Hour).UnixMilli()}
		if state == tallyman.Running {
			one.Now = &view.Now{CPU: &cpu, Memory: &memory, Rx: ref(1500.0), Tx: ref(99.0), Pids: ref(7.0)}
		}
		if more != nil {
			more(&one)
		}
		return one
	}
	h := view.Host{Host: "harbor", Cores: ref(8.0), Memory: ref(16e9), Engine: view.Engine{Up: true, Version: "28.0"}}
	h.CPU, h.MemoryUsed, h.Load1, h.DiskUsed, h.DiskSize, h.DiskMount = ref(2.0), ref(12e9), ref(1.5), ref(95.0), ref(100.0), "/"
	h.Containers = []view.Container{
		c("shop-web", "shop", tallyman.Running, 0.5, 200<<20, func(c *view.Container) { c.MemLimit = 256 << 20; c.Health = "healthy" }),
		c("shop-db", "shop", tallyman.Running, 1.25, 900<<20, nil),
		c("lonely", "", tallyman.Running, 0.01, 5<<20, func(c *view.Container) { c.Health = "unhealthy" }),
		c("shared", "", tallyman.Running, 0, 1<<20, func(c *view.Container) { c.Now.Rx, c.Now.Tx = nil, nil }),
		c("new", "", tallyman.Running, 0, 0, func(c *view.Container) { c.Now = nil }),
		c("dead", "shop", tallyman.Exited, 0, 0, func(c *view.Container) { c.ExitCode = ref(3); c.Finished = moment.Add(-time.Minute).UnixMilli() }),
		c("e\x1b[2J\u202evil", "", tallyman.Paused, 0, 0, nil),
	}
	return view.Servers{Hosts: []view.Host{h}, Version: "1"}
}

func shown(t *testing.T, width, height int) *model {
	t.Helper()
	m := newModel(t.Context(), &Client{}, Options{})
	m.now = func() time.Time { return moment }
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Update(fleet())
	return m
}

// press presses keys in turn: single letters, or names.
func press(m *model, keys ...string) {
	named := map[string]tea.KeyType{"up": tea.KeyUp, "down": tea.KeyDown, "enter": tea.KeyEnter, "esc": tea.KeyEsc, "home": tea.KeyHome, "end": tea.KeyEnd, "back": tea.KeyBackspace, "pgdown": tea.KeyPgDown}
	for _, k := range keys {
		if typ, ok := named[k]; ok {
			m.Update(tea.KeyMsg{Type: typ})
			continue
		}
		for _, r := range k {
			m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		}
	}
}

// order is the first word of each row.
func names(m *model) string {
	var out []string
	for _, r := range m.rows {
		if r.c == nil {
			out = append(out, "["+r.heading+"]")
		} else {
			out = append(out, r.c.Name)
		}
	}
	return strings.ReplaceAll(strings.Join(out, " "), "e\x1b[2J\u202evil", "evil")
}

func text(m *model) string { return ansi.Strip(m.View()) }

// A screen is as large as the terminal, whatever that is, and nothing on it is a stranger's
// command.
func TestScreenFits(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {20, 6}, {60, 10}, {120, 40}, {200, 50}, {400, 12}} {
		m := shown(t, size[0], size[1])
		for _, keys := range [][]string{nil, {"g"}, {"a"}, {"/", "shop"}, {"esc", "?"}} {
			press(m, keys...)
			lines := strings.Split(m.View(), "\n")
			if len(lines) > size[1] {
				t.Errorf("%v after %q: %d lines", size, keys, len(lines))
			}
			for _, line := range lines {
				if w := ansi.StringWidth(line); w > size[0] {
					t.Errorf("%v after %q: a line is %d wide: %q", size, keys, w, line)
				}
				if strings.Contains(line, "\x1b[2J") || strings.Contains(line, "\u202e") {
					t.Errorf("a name reaches the terminal as it is: %q", line)
				}
			}
		}
	}
}

func TestRows(t *testing.T) {
	m := shown(t, 80, 24)
	for _, one := range []struct{ keys, want string }{
		{"", "shop-db shop-web lonely shared evil new"},
		{"m", "shop-db shop-web lonely shared evil new"},
		{"r", "evil new shared lonely shop-web shop-db"},
		{"s", "lonely evil new shared shop-db shop-web"},
		{"N", "evil lonely new shared shop-db shop-web"},
		{"a", "dead evil lonely new shared shop-db shop-web"},
		{"g", "[harbor / no project] evil lonely new shared [harbor / shop] dead shop-db shop-web"},
		{"c", "[harbor / no project] lonely shared evil new [harbor / shop] shop-db shop-web dead"},
		{"ga", "shop-db shop-web lonely shared evil new"},
		{">", "shop-db shop-web lonely shared evil new"},
		{"<", "shop-db shop-web lonely shared evil new"},
		{"n", "lonely new shared shop-db shop-web evil"},
	} {
		press(m, one.keys)
		if one.keys == "n" {
			continue // all receive the same; what is not known is last
		}
		if got := names(m); got != one.want {
			t.Errorf("after %q: %s, want %s", one.keys, got, one.want)
		}
	}
	got := names(m)
	if !strings.HasSuffix(got, "evil new shared") {
		t.Errorf("by network what is not known is not last: %s", got)
	}
}

func TestTable(t *testing.T) {
	m := shown(t, 100, 24)
	press(m, "a")
	oneSpace := func() string {
		var b strings.Builder
		for line := range strings.Lines(text(m)) {
			b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
		}
		return b.String()
	}
	got := oneSpace()
	for _, want := range []string{
		"harbor CPU ██░░░░░░ 2.0/8 mem ██████░░ 11.2G/14.9G load 1.50 disk 95% / Docker 28.0",
		"7 containers · by CPU",
		"shop-web healthy 50.0 200M 78% 1.5K 99 3h",
		"shop-db running 125.0 900M 1.5K 99 3h",
		"shared running 0.0 1.0M – – 3h",
		"new running – – – – 3h",
		"dead exit 3 – – – – 60s",
		"lonely unhealthy",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	press(m, "g")
	if got := oneSpace(); !strings.Contains(got, "harbor / shop 3 175.0 1.1G 2.9K 198\n") {
		t.Errorf("the sum of a project is missing in\n%s", got)
	}
}

func TestFilter(t *testing.T) {
	m := shown(t, 80, 24)
	press(m, "/", "SHOP", "web")
	if got := names(m); got != "" {
		t.Errorf("SHOPweb finds %s", got)
	}
	press(m, "back", "back", "back", " web", "enter", "c")
	if got := names(m); got != "shop-web" || m.filter != "SHOP web" {
		t.Errorf("%q finds %s", m.filter, got)
	}
	if !strings.Contains(text(m), "1 of 7 containers") {
		t.Errorf("the screen has\n%s", text(m))
	}
	press(m, "esc")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("/lonely")})
	if got := names(m); got != "lonely" {
		t.Errorf("keys that come together find %s", got)
	}
	press(m, "esc")
	if len(m.rows) != 6 {
		t.Errorf("without a filter: %s", names(m))
	}
}

// The selection stays with its container, wherever that goes.
func TestSelection(t *testing.T) {
	m := shown(t, 80, 9)
	press(m, "down")
	if m.selected != "shop-web" {
		t.Fatalf("selected is %s", m.selected)
	}
	now := map[string]*view.Now{"shop-db": {CPU: ref(0.0)}, "shop-web": {CPU: ref(9.0)}, "lonely": {CPU: ref(1.0)}}
	m.Update(Tick{Time: 1, Now: now, Hosts: map[string]view.HostFigures{"harbor": {CPU: ref(7.9)}}})
	if names(m)[:8] != "shop-web" || m.selected != "shop-web" {
		t.Errorf("%s, selected %s", names(m), m.selected)
	}
	press(m, "end")
	if at := m.selection(); at != len(m.rows)-1 || at < m.offset || at >= m.offset+m.room() {
		t.Errorf("at the end: row %d of %d, shown from %d, %d", at, len(m.rows), m.offset, m.room())
	}
	press(m, "home", "pgdown", "up", "up", "up", "up", "up", "up", "up")
	if m.selection() != 0 || m.offset != 0 {
		t.Errorf("at the top: row %d, shown from %d", m.selection(), m.offset)
	}
	m.Update(view.Container{ID: "shop-web", Name: "shop-web", State: tallyman.Gone})
	if strings.Contains(names(m), "shop-web") || m.selected == "shop-web" {
		t.Errorf("it is gone: %s, selected %s", names(m), m.selected)
	}
	m.Update(view.Container{ID: "fresh", Name: "fresh", Host: "harbor", State: tallyman.Running})
	if !strings.Contains(names(m), "fresh") {
		t.Errorf("a new one is missing: %s", names(m))
	}
}

// What is wrong with the connection or an engine is said, and what was known stays.
func TestTroubles(t *testing.T) {
	m := newModel(t.Context(), &Client{}, Options{})
	if got := text(m); !strings.Contains(got, "waits for the first answer") {
		t.Errorf("before anything:\n%s", got)
	}
	m = shown(t, 120, 24)
	m.Update(Lost{errors.New("connection refused")})
	if got := text(m); !strings.Contains(got, "no answer: connection refused") || !strings.Contains(got, "shop-db") {
		t.Errorf("without a connection:\n%s", got)
	}
	m.Update(EngineChange{"harbor", view.Engine{Failure: "slow", Since: moment.UnixMilli(), Error: "no answer within 5s"}})
	if got := text(m); !strings.Contains(got, "Docker is stalled since") || strings.Contains(got, "no answer: ") {
		t.Errorf("with a stalled engine:\n%s", got)
	}
	m.Update(EngineChange{"harbor", view.Engine{Failure: "refused", Since: moment.UnixMilli(), Error: "connection refused"}})
	if got := text(m); !strings.Contains(got, "Docker does not answer since") {
		t.Errorf("with an engine that is away:\n%s", got)
	}
	press(m, "p")
	before := names(m)
	m.Update(Tick{Now: map[string]*view.Now{"new": {CPU: ref(50.0)}}})
	if names(m) != before || !strings.Contains(text(m), "paused") {
		t.Errorf("paused, it goes on: %s", names(m))
	}
	press(m, "p")
	if names(m) == before {
		t.Error("after the pause it does not go on")
	}
}

// server is a tallyman as far as top asks one.
func server(t *testing.T, cut bool) *httptest.Server {
	mux := http.NewServeMux()
	send := func(w http.ResponseWriter, event string, data any) {
		text, err := json.Marshal(data)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, text)
		w.(http.Flusher).Flush()
	}
	mux.HandleFunc("GET /api/tallyman/v1/live", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		send(w, "interval", map[string]int{"ms": 1000})
		send(w, "snapshot", fleet())
		for range 3 {
			send(w, "tick", Tick{Time: 1, Now: map[string]*view.Now{"shop-db": {CPU: ref(2.0)}}})
		}
		if !cut {
			<-r.Context().Done()
		}
	})
	mux.HandleFunc("GET /loki/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		if q := r.FormValue("query"); q != `{source=~"container|file", host="harbor", name="shop-db"}` {
			t.Errorf("asked for %s", q)
		}
		fmt.Fprint(w, `{"data":{"result":[{"values":[["6000000000","last\twith \u001b[31mcolour"],["5000000000","fifth"],["4000000000","fourth"],["3000000000","third"],["1000000000","first"]]},{"values":[["2000000000","second"]]}]}}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestOnce(t *testing.T) {
	s := server(t, false)
	c := &Client{Base: s.URL, Header: http.Header{"Authorization": {"Bearer good"}}, HTTP: s.Client()}
	var b strings.Builder
	if err := Once(t.Context(), c, Options{All: true}, 160, &b); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	if strings.Contains(got, "\x1b") || !strings.Contains(got, "200.0") || strings.Count(got, "\n") != 10 || strings.Contains(got, "q quit") {
		t.Errorf("it prints\n%s", got)
	}
	c.Header = nil
	if err := Once(t.Context(), c, Options{}, 160, &b); err == nil || !strings.Contains(err.Error(), "login") {
		t.Errorf("without the token: %v", err)
	}
}

func TestLog(t *testing.T) {
	s := server(t, false)
	m := newModel(t.Context(), &Client{Base: s.URL, HTTP: s.Client()}, Options{})
	m.now = func() time.Time { return moment }
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 10})
	m.Update(fleet())
	_, ask := m.Update(tea.KeyMsg{Type: tea.KeyEnter})
	if ask == nil || m.screen != logs {
		t.Fatal("no log is asked for")
	}
	m.Update(ask())
	got := text(m)
	if !strings.Contains(got, "shop-db · 6 lines of its log") || !strings.Contains(got, "first") || !strings.Contains(got, "last    with \uFFFD[31mcolour") || strings.Index(got, "second") > strings.Index(got, "third") {
		t.Errorf("the log is\n%s", got)
	}
	// One more line: who reads above keeps what he reads.
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 6})
	press(m, "up", "up", "up", "up")
	if got := text(m); !strings.Contains(got, "first") || strings.Contains(got, "fifth") {
		t.Errorf("scrolled up it has\n%s", got)
	}
	m.Update(logLines{m.asked, append(m.lines[:6:6], Line{moment, "seventh"}), nil})
	if got := text(m); !strings.Contains(got, "first") || strings.Contains(got, "seventh") || !strings.Contains(got, "3 lines below") {
		t.Errorf("with one more line it has\n%s", got)
	}
	press(m, "end")
	if got := text(m); !strings.Contains(got, "seventh") {
		t.Errorf("at the end it has\n%s", got)
	}
	m.Update(logLines{m.asked, nil, errors.New("it keeps no logs")})
	if m.noLog == nil || len(m.lines) != 7 {
		t.Error("what was there is forgotten")
	}
	press(m, "esc")
	if m.screen != table {
		t.Error("Esc does not lead back")
	}
}

// A stream that is cut is said and opened again.
func TestFollow(t *testing.T) {
	s := server(t, true)
	c := &Client{Base: s.URL, Header: http.Header{"Authorization": {"Bearer good"}}, HTTP: s.Client()}
	lost, snapshots := 0, 0
	ctx, stop := context.WithCancel(t.Context())
	c.Follow(ctx, func(msg any) {
		switch msg.(type) {
		case Lost:
			lost++
		case view.Servers:
			if snapshots++; snapshots == 2 {
				stop()
			}
		}
	})
	if lost != 1 || snapshots != 2 {
		t.Errorf("%d times lost, %d snapshots", lost, snapshots)
	}
}

func TestSizes(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1.0K", 1024: "1.0K", 102400: "100K", 1 << 20: "1.0M", 999 << 20: "999M", 1 << 30: "1.0G", 1.5e15: "1.3P"} {
		if got := size(v); got != want {
			t.Errorf("size(%v) = %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 99 * time.Second: "99s", 100 * time.Second: "1m", 99 * time.Minute: "99m", 100 * time.Minute: "1h", 47 * time.Hour: "47h", 49 * time.Hour: "2d"} {
		if got := since(d); got != want {
			t.Errorf("since(%v) = %s, want %s", d, got, want)
		}
	}
}

func BenchmarkTick(b *testing.B) {
	m := newModel(b.Context(), &Client{}, Options{})
	m.width, m.height = 160, 50
	s := fleet()
	now := map[string]*view.Now{}
	s.Hosts[0].Containers = nil
	for i := range 300 {
		id := fmt.Sprint("container", i)
		s.Hosts[0].Containers = append(s.Hosts[0].Containers, view.Container{ID: id, Name: id, Host: "harbor", State: tallyman.Running})
		now[id] = &view.Now{CPU: ref(float64(i%17) / 10), Memory: ref(float64(i << 20)), Rx: ref(1.0), Tx: ref(2.0)}
	}
	m.take(s)
	data, err := json.Marshal(Tick{Now: now})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		msg, err := decode("tick", data)
		if err != nil {
			b.Fatal(err)
		}
		m.take(msg)
		m.View()
	}
}
