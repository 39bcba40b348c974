// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/inspect"
	"tallyman/internal/recordtest"
	"tallyman/query"
	"tallyman/store/event"
	"tallyman/store/metric"
)

// fixed is an inventory that does not change.
type fixed []*tallyman.Container

func (f fixed) Containers() []*tallyman.Container { return f }
func (f fixed) Engines() []tallyman.EngineStatus  { return nil }
func (f fixed) Container(ref string) (*tallyman.Container, bool) {
	for _, c := range f {
		if c.ID == ref || c.Name == ref {
			return c, true
		}
	}
	return nil, false
}

// kept is the service over a record store in memory.
type kept struct {
	t       *testing.T
	records *recordtest.Store
	events  *event.Store
	options Options
	mux     *http.ServeMux
}

func newKept(t *testing.T, containers ...*tallyman.Container) *kept {
	t.Helper()
	k := &kept{t: t, records: recordtest.New()}
	events, err := event.Open(event.Options{Records: k.records})
	if err != nil {
		t.Fatal(err)
	}
	k.events = events
	k.serve(Options{Inventory: fixed(containers), Own: fixed(containers), Events: events, Records: k.records})
	return k
}

// serve answers from these stores from now on.
func (k *kept) serve(o Options) {
	k.t.Helper()
	k.options, k.mux = o, http.NewServeMux()
	s, err := New(k.t.Context(), o)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, r := range s.Routes() {
		k.mux.Handle(r.Pattern, r.Handler)
	}
}

// withSamples adds a store of samples, whose series are a second apart.
func (k *kept) withSamples() *metric.Store {
	k.t.Helper()
	store, err := metric.Open(k.t.TempDir(), metric.Options{OutOfOrder: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = store.Close() })
	k.options.Query = query.New(store.Queryable(), time.Second, slog.New(slog.DiscardHandler))
	k.serve(k.options)
	return store
}

// ask reads an answer, and returns its status.
func (k *kept) ask(path string, answer any) int {
	k.t.Helper()
	w := httptest.NewRecorder()
	k.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/tallyman/v1/"+path, nil))
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), answer); err != nil {
			k.t.Fatalf("%s: %v\n%s", path, err, w.Body)
		}
	}
	return w.Code
}

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func (k *kept) happen(events ...tallyman.Event) {
	k.t.Helper()
	if err := k.events.AppendEvents(events); err != nil {
		k.t.Fatal(err)
	}
}

// some are n events, a minute apart: deaths of web on the host a and execs of db
// on the host b in turn.
func some(n int) (out []tallyman.Event) {
	for i := range n {
		e := tallyman.Event{ID: fmt.Sprintf("e%03d", i), Time: epoch.Add(time.Duration(i) * time.Minute), Host: "a", Type: "container", Action: "die",
			Name: "web", Workload: "web", Image: "nginx", Attributes: map[string]string{"exitCode": "3"}}
		if i%2 == 1 {
			e.Host, e.Action, e.Name, e.Workload, e.Image = "b", "exec_die", "db", "db", "postgres"
			e.Attributes = map[string]string{"command": "pg_isready -U Shop", "exitCode": "0"}
		}
		out = append(out, e)
	}
	return out
}

func ids(a eventsAnswer) string {
	var out []string
	for _, e := range a.Events {
		out = append(out, e.ID)
	}
	return strings.Join(out, " ")
}

func TestEvents(t *testing.T) {
	k := newKept(t)
	k.happen(some(6)...)
	f := func(query, want string, more bool) {
		t.Helper()
		var a eventsAnswer
		if code := k.ask("events?"+query, &a); code != http.StatusOK || ids(a) != want || a.More != more || (a.Next != "") != more {
			t.Errorf("%s: got %d, %s, more %v, next %q; want %s, more %v", query, code, ids(a), a.More, a.Next, want, more)
		}
	}
	f("", "e005 e004 e003 e002 e001 e000", false)
	f("limit=6", "e005 e004 e003 e002 e001 e000", false)
	f("limit=2", "e005 e004", true)
	f("limit=2&before=e004", "e003 e002", true)
	f("host=a", "e004 e002 e000", false)
	f("host=a&host=b&limit=1", "e005", true)
	f("host=a&host=c", "e004 e002 e000", false)
	f("workload=db&host=a", "", false)
	f("workload=db&workload=web&limit=6", "e005 e004 e003 e002 e001 e000", false)
	f("severity=critical&limit=2", "e004 e002", true)
	f("severity=critical&limit=2&before=e002", "e000", false)
	f("severity=plain", "e005 e003 e001", false)
	f("severity=warning&severity=good", "", false)
	f("q=PG_isready", "e005 e003 e001", false)
	f("q=died,+EXIT+3", "e004 e002 e000", false)
	f("q=nowhere", "", false)
	f("without=exec_die&without=exec_start", "e004 e002 e000", false)
	f("q=3&type=container&action=die&action=oom", "e004 e002 e000", false)
	f(fmt.Sprintf("severity=critical&start=%d&end=%d", epoch.Add(time.Minute).UnixMilli(), epoch.Add(3*time.Minute).UnixMilli()), "e002", false)
	if code := k.ask("events?severity=grave", nil); code != http.StatusBadRequest {
		t.Errorf("an unknown severity: got %d", code)
	}
}

// A filter that fits little goes on behind what one question looks at.
func TestEventsAreManyAndRare(t *testing.T) {
	k := newKept(t)
	events := some(walkPage * 3)
	events[3].Attributes["command"] = "needle"
	k.happen(events...)
	var a eventsAnswer
	k.ask("events?q=needle&limit=1", &a)
	if ids(a) != "e003" {
		t.Errorf("got %q", ids(a))
	}
}

func TestEventsSummary(t *testing.T) {
	k := newKept(t)
	k.happen(some(6)...)
	span := fmt.Sprintf("start=%d&end=%d", epoch.UnixMilli(), epoch.Add(10*time.Minute).UnixMilli())
	const all = "map[critical:3 plain:3] map[container:6] map[die:3 exec_die:3] map[a:3 b:3] [{a web web 3} {b db db 3}]"
	f := func(query, want, left string) {
		t.Helper()
		var a eventsSummary
		if code := k.ask("events/summary?"+query, &a); code != http.StatusOK {
			t.Errorf("%s: got %d", query, code)
		}
		got := fmt.Sprint((a.Start-epoch.UnixMilli())/1000, " ", a.Step/1000, " critical ", a.Counts["critical"], " plain ", a.Counts["plain"], " of ", a.Total)
		if got != want {
			t.Errorf("%s: got  %s\nwant %s", query, got, want)
		}
		if got := fmt.Sprint(a.Severities, a.Types, a.Actions, a.Hosts, a.Workloads); got != left {
			t.Errorf("%s: what the other filters leave: got  %s\nwant %s", query, got, left)
		}
	}
	f(span+"&points=5", "0 120 critical [1 1 1 0 0 0] plain [1 1 1 0 0 0] of 6", all)
	f(span+"&points=10&severity=critical", "0 60 critical [1 0 1 0 1 0 0 0 0 0 0] plain [0 0 0 0 0 0 0 0 0 0 0] of 3",
		"map[critical:3 plain:3] map[container:3] map[die:3 exec_die:0] map[a:3 b:0] [{a web web 3} {b db db 0}]")
	f(span+"&points=5&host=b&q=isready", "0 120 critical [0 0 0 0 0 0] plain [1 1 1 0 0 0] of 3",
		"map[critical:0 plain:3] map[container:3] map[die:0 exec_die:3] map[a:0 b:3] [{b db db 3} {a web web 0}]")
	f(span+"&points=5&type=image", "0 120 critical [0 0 0 0 0 0] plain [0 0 0 0 0 0] of 0",
		"map[critical:0 plain:0] map[container:6] map[die:0 exec_die:0] map[a:0 b:0] [{a web web 0} {b db db 0}]")
	f(span+"&points=5&without=exec_die", "0 120 critical [1 1 1 0 0 0] plain [0 0 0 0 0 0] of 3",
		"map[critical:3 plain:0] map[container:3] map[die:3 exec_die:3] map[a:3 b:0] [{a web web 3} {b db db 0}]")
	f(fmt.Sprintf("end=%d&points=2&action=die", epoch.Add(5*time.Minute+time.Second).UnixMilli()), "0 300 critical [3 0] plain [0 0] of 3",
		"map[critical:3 plain:0] map[container:3] map[die:3 exec_die:3] map[a:3 b:0] [{a web web 3} {b db db 0}]")
	if code := k.ask("events/summary?start=2000&end=1000", nil); code != http.StatusBadRequest {
		t.Errorf("a range that ends before it starts: got %d", code)
	}
}

// configured keeps a configuration of a container, made by Compose.
func (k *kept) configured(c *tallyman.Container, at time.Time, hash string, memory int, env string) string {
	k.t.Helper()
	raw, err := json.Marshal(map[string]any{
		"Id": c.ID, "Name": "/" + c.Name, "HostConfig": map[string]any{"Memory": memory},
		"Config": map[string]any{"Image": c.Image, "Env": []string{"SECRET=" + env}, "Labels": map[string]string{"com.docker.compose.config-hash": hash}},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	doc, err := inspect.Container(raw, []byte("key"))
	if err != nil {
		k.t.Fatal(err)
	}
	line := inspect.Encode(doc)
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: c.Host}, {Name: "image", Value: c.Image}, {Name: "name", Value: c.Name},
		{Name: "source", Value: "snapshot"}, {Name: "workload", Value: c.Workload.Key}}}
	meta := []tallyman.Label{{Name: "container_id", Value: c.ID}, {Name: "hash", Value: inspect.Hash(line)}}
	if err := k.records.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: []tallyman.Record{{Time: at.UnixNano(), Line: line, Meta: meta}}}}}); err != nil {
		k.t.Fatal(err)
	}
	return inspect.Hash(line)
}

func TestConfigurations(t *testing.T) {
	web := func(host string, n int, state tallyman.State) *tallyman.Container {
		return &tallyman.Container{ID: fmt.Sprintf("%s%063d", host, n), Name: fmt.Sprint("shop-web-", n), Image: "nginx", Host: host, State: state,
			Workload: tallyman.Workload{Key: fmt.Sprint("shop/web/", n), Project: "shop", Service: "web", Origin: "compose"}}
	}
	one, two, gone, elsewhere := web("a", 1, tallyman.Running), web("a", 2, tallyman.Running), web("a", 3, tallyman.Gone), web("b", 1, tallyman.Running)
	alone := &tallyman.Container{ID: strings.Repeat("e", 64), Name: "alone", Image: "busybox", Host: "a", State: tallyman.Running, Workload: tallyman.Workload{Key: "alone", Origin: "name"}}
	k := newKept(t, one, two, gone, elsewhere, alone)
	forgotten := &tallyman.Container{ID: strings.Repeat("f", 64), Name: "old", Image: "busybox", Host: "a", Workload: tallyman.Workload{Key: "old", Origin: "name"}}
	before := k.configured(one, epoch, "h1", 64, "a")
	after := k.configured(one, epoch.Add(time.Hour), "h2", 128, "b")
	k.configured(two, epoch, "h1", 64, "a")
	k.configured(gone, epoch, "h0", 1, "a")
	k.configured(elsewhere, epoch, "h0", 2, "a")
	k.configured(alone, epoch.Add(-time.Minute), "", 3, "a")
	k.configured(forgotten, epoch.Add(-time.Hour), "", 4, "a")
	k.happen(tallyman.Event{ID: "drift", Time: epoch.Add(time.Hour), Host: "a", Type: "tallyman", Action: "drift", Actor: one.ID, Workload: "shop/web/1",
		Attributes: map[string]string{"container": one.ID, "from": before, "to": after, "HostConfig.Memory": "64 → 128", "Config.Env.SECRET": "[set] 1 → [set] 2", "more": "1"}})

	var list configurationsAnswer
	k.ask("configurations", &list)
	var got []string
	for _, c := range list.Workloads {
		got = append(got, fmt.Sprint(c.Host, " ", c.Workload, " ", c.State, " ", c.Kept, " ", len(c.Changes), "/", c.ChangeCount))
	}
	if want := "a shop/web/1 running 2 2/3; b shop/web/1 running 1 0/0; a shop/web/2 running 1 0/0; a shop/web/3 gone 1 0/0; a alone running 1 0/0; a old gone 1 0/0"; strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	if c := list.Workloads[0]; c.Changed != epoch.Add(time.Hour).UnixMilli() || c.First != epoch.UnixMilli() || c.Newest != c.Changed || c.Service != "web" ||
		c.Changes[1] != (settingChange{"HostConfig.Memory", "64 → 128"}) {
		t.Errorf("the one that changed: %+v", c)
	}

	// What the present ones may do; of what is gone that is not said.
	of := func(query string) (out string) {
		var list configurationsAnswer
		k.ask("configurations"+query, &list)
		for _, c := range list.Workloads {
			out += c.Host + " " + c.Workload + ":"
			if c.Rights == nil {
				out += " not known"
			} else {
				for _, r := range *c.Rights {
					out += " " + string(r.ID)
				}
			}
			out += "; "
		}
		return out
	}
	for query, want := range map[string]string{
		"":                             "a shop/web/1: root writable latest; b shop/web/1: root writable latest; a shop/web/2: root writable latest; a shop/web/3: not known; a alone: root writable latest; a old: not known; ",
		"?set=memory=128":              "a shop/web/1: root writable latest; ",
		"?set=memory=128&set=root=yes": "a shop/web/1: root writable latest; ",
		"?set=memory=128&set=root=no":  "",
		"?set=Privileged=yes":          "",
		"?set=image=busybox":           "a alone: root writable latest; ",
	} {
		if got := of(query); got != want {
			t.Errorf("configurations%s:\ngot  %s\nwant %s", query, got, want)
		}
	}
	for _, query := range []string{"?set=privileged", "?set==yes", "?" + strings.Repeat("set=a=b&", maxSet+1)} {
		if code := k.ask("configurations"+query, nil); code != http.StatusBadRequest {
			t.Errorf("configurations%s: %d, want 400", query, code)
		}
	}

	var history snapshotsAnswer
	k.ask("snapshots?host=a&workload=shop/web/1", &history)
	if s := history.Snapshots; len(s) != 2 || s[0].ConfigHash != "h2" || s[1].ConfigHash != "h1" || strings.Join(s[0].Changes, " ") != "Config.Env.SECRET HostConfig.Memory" {
		t.Errorf("the history: %+v", history)
	}

	var sib siblingsAnswer
	k.ask("siblings?host=a&workload=shop/web/2", &sib)
	if len(sib.Members) != 2 || sib.Members[0].Name != "shop-web-1" || sib.Members[0].ConfigHash != "h2" || sib.Members[1].ConfigHash != "h1" {
		t.Errorf("members: %+v", sib.Members)
	}
	if len(sib.Differences) != 2 || sib.Differences[1].Path != "HostConfig.Memory" || fmt.Sprintf("%s", sib.Differences[1].Values) != "[128 64]" {
		t.Errorf("differences: %s", sib.Differences)
	}
	sib = siblingsAnswer{}
	if k.ask("siblings?host=a&workload=alone", &sib); len(sib.Members) != 0 {
		t.Errorf("siblings of one that has none: %+v", sib)
	}
	if code := k.ask("siblings?host=a", nil); code != http.StatusBadRequest {
		t.Errorf("without a workload: got %d", code)
	}
}

// What docker compose run starts is no replica of its service.
func TestOneOffsAreNoSiblings(t *testing.T) {
	of := func(name, key string, oneOff bool) *tallyman.Container {
		return &tallyman.Container{ID: name, Name: name, Host: "h", State: tallyman.Running,
			Workload: tallyman.Workload{Key: key, Project: "shop", Service: "web", Origin: "compose", OneOff: oneOff}}
	}
	s := &Service{o: Options{Inventory: fixed{of("w1", "shop/web/1", false), of("w2", "shop/web/2", false), of("r", "shop/web/run", true)}}}
	if list := s.serviceOf("h", "shop/web/1"); len(list) != 2 {
		t.Errorf("%d siblings, want 2", len(list))
	}
	if list := s.serviceOf("h", "shop/web/run"); len(list) != 0 {
		t.Errorf("%d siblings of a run, want none", len(list))
	}
}
