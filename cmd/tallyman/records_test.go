// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// Without logs there are events all the same, and LogQL finds them.
func TestEventsAreRecords(t *testing.T) {
	for _, logs := range []bool{true, false} {
		a := testApp(t, func(c *config.Config) { c.Keep.Logs, c.Logs.Push = logs, true })
		e := tallyman.Event{ID: "1", Time: time.Now(), Host: "harbor", Type: "container", Action: "die", Actor: "c", Name: "web", Workload: "web",
			Attributes: map[string]string{"exitCode": "7"}}
		if err := a.eventStore.AppendEvents([]tallyman.Event{e}); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{`{source="event"} | json | action="die" | attributes_exitCode="7"`, `{source="event", name="web"} |= "exitCode"`, `{source="event"} | actor="c"`} {
			w := ask(a, "GET", "/loki/api/v1/query_range?query="+strings.NewReplacer(" ", "%20", `"`, "%22", "|", "%7C", "{", "%7B", "}", "%7D", "=", "%3D").Replace(query), bearer(t, a), "")
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `\"exitCode\":\"7\"`) {
				t.Errorf("logs %v: %s: %d %s", logs, query, w.Code, w.Body)
			}
		}
		names := ""
		for _, k := range a.recordsStatus() {
			names += k.Name + " "
			if k.Name == "events" && k.Newest().Sub(e.Time).Abs() > time.Microsecond {
				t.Errorf("the newest event is of %v, want %v", k.Newest(), e.Time)
			}
		}
		if want := map[bool]string{true: "logs events ", false: "events "}[logs]; names != want {
			t.Errorf("the doctor is told of %q, want %q", names, want)
		}
	}
}

// Nobody else writes events.
func TestPushedRecordsAreNoEvents(t *testing.T) {
	a := testApp(t, func(c *config.Config) { c.Logs.Push = true })
	h := bearer(t, a)
	h["Content-Type"] = "application/json"
	body := fmt.Sprintf(`{"streams":[{"stream":{"source":"event","app":"x"},"values":[["%d","{\"id\":\"forged\"}"]]}]}`, time.Now().UnixNano())
	if w := ask(a, "POST", "/loki/api/v1/push", h, body); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if events, _, err := a.eventStore.Events(t.Context(), tallyman.EventQuery{}); err != nil || len(events) > 0 {
		t.Errorf("got %v %v, want no events", events, err)
	}
	if w := ask(a, "GET", "/loki/api/v1/query_range?query=%7Bexported_source%3D%22event%22%7D", bearer(t, a), ""); !strings.Contains(w.Body.String(), "forged") {
		t.Errorf("the pushed line is not there: %s", w.Body)
	}
}

// More streams than there is room for, pushed and of short-lived containers, with
// the limits that nobody has set: no line and no event is lost, all are found by
// their labels, and the doctor says what happened.
func TestStreamLimit(t *testing.T) {
	a := testApp(t, func(c *config.Config) { c.Logs.Push = true })
	h := bearer(t, a)
	h["Content-Type"] = "application/json"
	const n, each = 21_000, 500
	now := time.Now()
	for at := 0; at < n; at += each {
		var streams []string
		for i := at; i < at+each; i++ {
			streams = append(streams, fmt.Sprintf(`{"stream":{"app":"app-%d","level":"info"},"values":[["%d","pushed %d"]]}`, i, now.UnixNano()+int64(i), i))
		}
		if w := ask(a, "POST", "/loki/api/v1/push", h, `{"streams":[`+strings.Join(streams, ",")+`]}`); w.Code != http.StatusNoContent {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	to := a.intake.Intake("test")
	container := func(i int) *tallyman.Container {
		name := fmt.Sprint("runner-", i)
		return &tallyman.Container{ID: fmt.Sprintf("%064d", i), Host: "harbor", Name: name, Image: "ci:1", Workload: tallyman.Workload{Key: name}}
	}
	b := logtail.NewBatch(to)
	var events []tallyman.Event
	write := func(i int, line string) {
		c := container(i)
		set := logstream.For(c)
		b.Add(set.Of(false, []byte(line)), now.UnixNano()+int64(i), []byte(line), set.Meta)
		events = append(events, tallyman.Event{ID: fmt.Sprint("e", i, line), Time: now, Host: "harbor", Type: "container", Action: "die", Actor: c.ID, Name: c.Name, Image: c.Image, Workload: c.Name})
		if i%100 == 0 {
			b.Commit(t.Context())
			if err := a.eventStore.AppendEvents(events); err != nil {
				t.Fatal(err)
			}
			events = nil
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		write(i, "first")
	}
	write(0, "known")
	write(n, "new")
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d streams of containers and of events take %d MiB of heap", 2*n, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>20)
	if took := int64(after.HeapAlloc) - int64(before.HeapAlloc); took > 160<<20 {
		t.Errorf("%d MiB of heap for the streams of %d containers", took>>20, n)
	}

	lines := func(query string) string {
		t.Helper()
		p := url.Values{"query": {query}, "time": {fmt.Sprint(time.Now().UnixNano())}}
		w := ask(a, "GET", "/loki/api/v1/query?"+p.Encode(), h, "")
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		if len(answer.Data.Result) == 0 {
			return "0"
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	for query, want := range map[string]string{
		`{app=~".+"}`: "21000", `{app="app-20999"}`: "1", `{overflow="streams"} | app="app-20999"`: "1",
		`{source="container"}`: "21002", `{name="runner-0", source="container"}`: "2", `{name="runner-20999", source="container"}`: "1",
		`{name="runner-21000", source="container"} |= "new"`: "1", `{source="container"} | name="runner-21000"`: "1", `{source="event", name="runner-20999"}`: "1",
	} {
		if got := lines("sum(count_over_time(" + query + "[1h]))"); got != want {
			t.Errorf("%s: %s lines, want %s", query, got, want)
		}
	}
	if got := lines(`count(sum by (name) (count_over_time({source="container", name=~"runner-20.*"}[1h])))`); got != "1111" {
		t.Errorf("%s names, want 1111", got)
	}
	for _, q := range []tallyman.EventQuery{{Workload: "runner-20999"}, {Workload: "runner-5"}, {Container: container(n).ID}} {
		if events, _, err := a.eventStore.Events(t.Context(), q); err != nil || len(events) != 1 {
			t.Errorf("%+v: %v %v, want one event", q, events, err)
		}
	}
	for _, f := range a.doctor.Report().Features {
		if f.ID != "storage/streams" {
			continue
		}
		if f.State != doctor.Partly || !strings.Contains(f.Reason, "4000 streams of pushes") || !strings.Contains(f.Reason, "20000 streams of containers") ||
			f.Unlock != "limits.streams.containers: 80000" {
			t.Errorf("the doctor says %+v", f)
		}
		return
	}
	t.Error("the doctor says nothing of streams")
}

// Configurations of more workloads than there is room for are found by the
// workload, and listed.
func TestSnapshotsAtTheStreamLimit(t *testing.T) {
	a := testApp(t, func(c *config.Config) { c.Limits.Streams.Events = 5 })
	to := a.intake.Intake("test")
	for i := range 12 {
		name := fmt.Sprint("w", i)
		st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "name", Value: name}, {Name: "source", Value: "snapshot"}, {Name: "workload", Value: name}}}
		meta := []tallyman.Label{{Name: "container_id", Value: fmt.Sprintf("%064d", i)}, {Name: "hash", Value: fmt.Sprint("h", i)}}
		b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: []tallyman.Record{{Time: time.Now().UnixNano(), Line: []byte(`{"Config":{}}`), Meta: meta}}}}}
		if err := to.TakeRecords(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	var one struct {
		Snapshots []struct{ Name, Workload, Host string }
	}
	w := ask(a, "GET", "/api/tallyman/v1/snapshots?workload=w11", bearer(t, a), "")
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil || len(one.Snapshots) != 1 || one.Snapshots[0].Name != "w11" || one.Snapshots[0].Host != "harbor" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var all struct{ Workloads []struct{ Workload string } }
	w = ask(a, "GET", "/api/tallyman/v1/configurations", bearer(t, a), "")
	if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil || len(all.Workloads) != 12 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is pushed twice is kept once by the store on the disk, too, and nobody
// pushes lines of containers.
func TestPushedTwice(t *testing.T) {
	a := testApp(t, func(c *config.Config) { c.Logs.Push = true })
	h := bearer(t, a)
	h["Content-Type"] = "application/json"
	var values []string
	start := time.Now().Add(-55 * time.Minute)
	for i := range 3000 {
		values = append(values, fmt.Sprintf(`["%d","line %d of some length, so that there are several chunks"]`, start.Add(time.Duration(i)*time.Second).UnixNano(), i))
	}
	push := func(values []string) {
		t.Helper()
		body := `{"streams":[{"stream":{"source":"container","app":"x"},"values":[` + strings.Join(values, ",") + `]}]}`
		if w := ask(a, "POST", "/loki/api/v1/push", h, body); w.Code != http.StatusNoContent {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	push(values)
	push(values[:10])
	push(values[2990:])
	push(values[1000:2000])
	push(values)
	w := ask(a, "GET", "/loki/api/v1/index/stats?query=%7Bexported_source%3D%22container%22%7D", h, "")
	if !strings.Contains(w.Body.String(), `"entries":3000}`) {
		t.Errorf("got %s, want 3000 entries", w.Body)
	}
	if w := ask(a, "GET", "/loki/api/v1/index/stats?query=%7Bsource%3D%22container%22%7D", h, ""); !strings.Contains(w.Body.String(), `"entries":0}`) {
		t.Errorf("got %s, want none of a container", w.Body)
	}
}
