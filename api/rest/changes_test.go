// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tallyman"
	"tallyman/query/logql"
)

// written puts lines of a container's output into the store, one each second from a time on.
func (k *kept) written(name string, from time.Time, n int, level string, line func(i int) string) {
	k.t.Helper()
	s := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "level", Value: level}, {Name: "name", Value: name}, {Name: "source", Value: "container"}, {Name: "workload", Value: name}}}
	b := tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: s}}}
	for i := range n {
		b.Streams[0].Records = append(b.Streams[0].Records, tallyman.Record{Time: from.Add(time.Duration(i) * time.Second).UnixNano(), Line: []byte(line(i))})
	}
	if err := k.records.AppendRecords(&b); err != nil {
		k.t.Fatal(err)
	}
}

// A container whose CPU and lines change at a known moment, and what happened then, stand first.
func TestChanges(t *testing.T) {
	k := newKept(t, &tallyman.Container{ID: "loud", Name: "shop-loud-1", Host: "h", State: tallyman.Running, Workload: tallyman.Workload{Key: "loud"}})
	k.options.Logs = logql.New(k.records, logql.Options{})
	store := k.withSamples()
	const half = 120
	start := time.Now().Truncate(time.Second).Add(-10 * time.Minute)
	series := func(id, name string) *tallyman.Series {
		target := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "id", Value: "/docker/" + id}, {Name: "name", Value: id}, {Name: "workload", Value: id}}}
		return target.Series(&tallyman.Desc{Name: name})
	}
	load := (&tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}).Series(&tallyman.Desc{Name: "node_load1"})
	loud, calm, v := series("loud", "container_cpu_usage_seconds_total"), series("calm", "container_cpu_usage_seconds_total"), 0.0
	for i := range 2*half + 1 {
		if v += 0.01; i > half {
			v += 0.99
		}
		if _, err := store.AppendSamples(&tallyman.Batch{Time: start.Add(time.Duration(i-half) * time.Second), Samples: []tallyman.Sample{{Series: loud, Value: v}, {Series: calm, Value: float64(i) / 10}, {Series: load, Value: 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	before := start.Add(-half * time.Second)
	k.written("loud", before.Add(time.Second), 2*half-2, "info", func(i int) string { return fmt.Sprintf("GET /cart/%d took %dms", i, i%7) })
	k.written("loud", start, 20, "info", func(i int) string { return fmt.Sprintf("cache: grow to %d items", i) })
	k.written("calm", start.Add(time.Minute), 1, "error", func(int) string { return `no "answer" from 10.0.0.1` })
	k.written("calm", before, 30, "info", func(i int) string { return fmt.Sprintf("\x1b[32mwarming\x1b[0m up %d", i) })
	event := func(id, of, action string, at time.Time, attributes map[string]string) tallyman.Event {
		e := tallyman.Event{ID: id, Time: at, Host: "h", Type: "container", Action: action, Actor: of, Name: of, Workload: of, Attributes: attributes}
		if action == "drift" {
			e.Type = "tallyman"
		}
		return e
	}
	var events []tallyman.Event
	for i := range 3 {
		events = append(events, event(fmt.Sprint("d", i), "calm", "die", start.Add(time.Duration(30+i)*time.Second), map[string]string{"exitCode": "2"}))
	}
	events = append(events,
		event("d9", "calm", "die", start.Add(-time.Second), map[string]string{"exitCode": "2"}),
		event("x", "calm", "exec_start", start.Add(time.Second), map[string]string{"command": "sh"}),
		event("s", "loud", "start", start.Add(2*time.Second), nil),
		event("c", "loud", "drift", start.Add(3*time.Second), map[string]string{"paths": "HostConfig.Memory", "before.0": "134217728", "after.0": "67108864"}),
	)
	k.happen(events...)

	path := fmt.Sprintf("?start=%d&end=%d", start.UnixMilli(), start.Add(half*time.Second).UnixMilli())
	var got changesAnswer
	if code := k.ask("changes"+path, &got); code != http.StatusOK {
		t.Fatal(code)
	}
	if len(got.Moved) != 1 || got.Moved[0].Name != "shop-loud-1" || got.Moved[0].Measure != "cpu" || *got.Moved[0].Before != 0.01 || *got.Moved[0].After != 1 || got.Compared != 2 || got.Before != before.UnixMilli() {
		t.Errorf("moved %+v of %d", got.Moved, got.Compared)
	}
	if len(got.Watched) != 1 || got.Watched[0].After != half || got.Watched[0].Before < half-2 {
		t.Errorf("watched %+v", got.Watched)
	}
	if len(got.Happened) != 3 {
		t.Fatalf("happened %+v", got.Happened)
	}
	died, drift, started := got.Happened[0], got.Happened[1], got.Happened[2]
	if died.Times != 3 || died.Before != 1 || died.Last-died.Time != 2000 || died.Workload != "calm" || started.Kind != "start" || drift.Kind != "drift" {
		t.Errorf("happened %+v", got.Happened)
	}
	if code := k.ask("changes"+path+"&host=h&workload=calm", &got); code != http.StatusOK || len(got.Moved) != 0 || len(got.Happened) != 1 {
		t.Errorf("of calm alone: %d, %+v", code, got)
	}

	var lines changedLines
	if code := k.ask("changes/lines"+path, &lines); code != http.StatusOK {
		t.Fatal(code)
	}
	if len(lines.New) != 2 || len(lines.Gone) != 1 || lines.Covered != 1 || lines.CoveredBefore != 1 || lines.Apart != 0 {
		t.Fatalf("lines %+v", lines)
	}
	answer, grow, warming := lines.New[0], lines.New[1], lines.Gone[0]
	if answer.Level != "error" || answer.Workload != "calm" || grow.Pattern.Pattern != "cache: grow to <_> items" || grow.Lines != 20 || grow.First != start.UnixMilli() || warming.Example != "warming up 0" {
		t.Errorf("lines %+v", lines)
	}
	for _, p := range []foundPattern{answer, grow, warming} {
		r, err := k.options.Logs.Query(t.Context(), logql.Params{Query: p.Query, Start: before.UnixNano(), End: time.Now().UnixNano(), Limit: 1000})
		if err != nil || len(r.Entries) != int(p.Lines) {
			t.Errorf("%s: %v, %d lines, want %d", p.Query, err, len(r.Entries), p.Lines)
		}
	}

	var patterns patternsAnswer
	if code := k.ask("patterns"+path+"&query="+url.QueryEscape(`{source="container"}`), &patterns); code != http.StatusOK {
		t.Fatal(code)
	}
	if len(patterns.Patterns) != 3 || patterns.Patterns[0].Pattern.Pattern != "GET /cart/<_> took <_>" || patterns.Lines != 140 || len(patterns.Patterns[0].Points) != patternColumns || patterns.Patterns[0].Points[3] == 0 {
		t.Errorf("patterns %+v", patterns)
	}

	for _, bad := range []string{"changes", "changes?start=2&end=1", "changes?start=1", "changes" + path + "&workload=calm", "changes/lines", "patterns" + path, "patterns" + path + "&query=" + url.QueryEscape(`rate({a="b"}[1m])`), "patterns" + path + "&query=x", "patterns?query=x"} {
		if code := k.ask(bad, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
	k.options.Logs = nil
	k.serve(k.options)
	if code := k.ask("changes/lines"+path, nil); code != http.StatusNotFound {
		t.Errorf("without logs: %d", code)
	}
}

// Of a host that was not watched before nothing is new.
func TestChangesUnwatched(t *testing.T) {
	k := newKept(t)
	k.options.Logs = logql.New(k.records, logql.Options{})
	store := k.withSamples()
	start := time.Now().Truncate(time.Second).Add(-time.Minute)
	load := (&tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}).Series(&tallyman.Desc{Name: "node_load1"})
	if _, err := store.AppendSamples(&tallyman.Batch{Time: start.Add(time.Second), Samples: []tallyman.Sample{{Series: load, Value: 1}}}); err != nil {
		t.Fatal(err)
	}
	k.written("web", start.Add(time.Second), 5, "error", func(int) string { return "no answer" })
	var lines changedLines
	path := fmt.Sprintf("changes/lines?start=%d&end=%d", start.UnixMilli(), start.Add(30*time.Second).UnixMilli())
	if code := k.ask(path, &lines); code != http.StatusOK || len(lines.New) != 0 || len(lines.Unwatched) != 1 || lines.Unwatched[0] != "h" {
		t.Errorf("%d, %+v", code, lines)
	}
}
