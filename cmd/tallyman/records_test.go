// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/config"
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
		for _, k := range a.recordsKeeper() {
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
