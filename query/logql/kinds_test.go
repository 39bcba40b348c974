// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"fmt"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/query/logql"
)

// kindsOf reads the kinds of lines that one container or two wrote, a line each second.
func kindsOf(t *testing.T, p logql.KindsParams, lines func(i int) (name, line string)) *logql.LineKinds {
	t.Helper()
	store := recordtest.New()
	streams := map[string]*tallyman.Stream{}
	for i := range 1000 {
		name, line := lines(i)
		if streams[name] == nil {
			streams[name] = &tallyman.Stream{Labels: []tallyman.Label{{Name: "level", Value: "info"}, {Name: "name", Value: name}}}
		}
		if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: streams[name], Records: []tallyman.Record{{Time: int64(i) * int64(time.Second), Line: []byte(line)}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	expr, err := logql.Parse(`{name=~".+"}`)
	if err != nil {
		t.Fatal(err)
	}
	k, err := logql.New(store, logql.Options{}).Kinds(t.Context(), expr.(*logql.Log), p)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func second(n int64) int64 { return n * int64(time.Second) }

func halves() []logql.Span {
	return []logql.Span{{Start: 0, End: second(500)}, {Start: second(500), End: second(1000)}}
}

func TestKinds(t *testing.T) {
	k := kindsOf(t, logql.KindsParams{Spans: halves(), MaxLines: 1000, MaxKinds: 100, MaxTime: time.Minute, Columns: 5}, func(i int) (string, string) {
		if i%10 == 0 && i >= 500 {
			return "web", fmt.Sprintf("upstream closed after %dms", i)
		}
		return "web", fmt.Sprintf("GET /cart took %dms", i)
	})
	if len(k.Kinds) != 2 || k.Read[0] != 500 || k.Read[1] != 500 || k.Covered[0] != 1 || k.Covered[1] != 1 || k.Apart != 0 {
		t.Fatalf("got %+v", k)
	}
	get, closed := k.Kinds[0], k.Kinds[1]
	if get.Pattern != "GET /cart took <_>" || get.Level != "info" || get.Counts[0] != 500 || get.Counts[1] != 450 || get.Columns[0][4] != 100 || get.Columns[1][0] != 90 {
		t.Errorf("got %+v", get)
	}
	if closed.Pattern != "upstream closed after <_>" || closed.Counts[0] != 0 || closed.Counts[1] != 50 || closed.First != second(500) || closed.Last != second(990) || closed.Example != "upstream closed after 500ms" || closed.Labels.Get("name") != "web" {
		t.Errorf("got %+v", closed)
	}
}

// Lines that are kept apart are of two kinds, and what goes beyond the bound is counted.
func TestKindsApartAndBounded(t *testing.T) {
	words := []string{"alpha", "bravo", "charlie", "delta"}
	k := kindsOf(t, logql.KindsParams{Spans: halves()[:1], MaxLines: 1000, MaxKinds: 3, MaxTime: time.Minute, Apart: func(l *logql.LabelSet) string { return l.Stream.Get("name") }}, func(i int) (string, string) {
		return []string{"web", "db"}[i%2], words[i%4]
	})
	if len(k.Kinds) != 3 || k.Kinds[0].Apart != "db" || k.Apart != 125 {
		t.Errorf("got %+v", k)
	}
}

// A burst in one part of a span is read with what the other parts leave.
func TestKindsBurst(t *testing.T) {
	k := kindsOf(t, logql.KindsParams{Spans: []logql.Span{{Start: 0, End: second(100_000)}}, MaxLines: 1100, MaxKinds: 100, MaxTime: time.Minute}, func(i int) (string, string) {
		return "web", fmt.Sprintf("tick %d", i)
	})
	if k.Read[0] != 1000 || k.Covered[0] != 1 || k.Kinds[0].Counts[0] != 1000 {
		t.Errorf("got %+v", k)
	}
}

// Where there are more lines than may be read, they are read all over the span.
func TestKindsSampled(t *testing.T) {
	k := kindsOf(t, logql.KindsParams{Spans: halves(), MaxLines: 100, MaxKinds: 100, MaxTime: time.Minute}, func(i int) (string, string) {
		return "web", fmt.Sprintf("tick %d", i)
	})
	for of := range k.Read {
		if k.Read[of] < 90 || k.Read[of] > 100 || k.Covered[of] < 0.15 || k.Covered[of] > 0.25 {
			t.Errorf("span %d: %d lines of %v of the time, want 100 of 500", of, k.Read[of], k.Covered[of])
		}
	}
	if len(k.Kinds) != 1 || k.Kinds[0].Last < second(980) {
		t.Errorf("got %+v, want it read to the end", k.Kinds)
	}
	none := kindsOf(t, logql.KindsParams{Spans: halves(), MaxLines: 100, MaxKinds: 100, MaxTime: time.Nanosecond}, func(int) (string, string) { return "web", "a" })
	if none.Covered[0] != 0 || len(none.Kinds) != 0 {
		t.Errorf("without time: %+v", none)
	}
}

// What selects a pattern is LogQL.
func TestSelecting(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"GET /cart took <_>", `|> "GET /cart took <_>"`},
		{"<_>", `|> "<_>"`},
		{`say "hi" <_>`, "|> `say \"hi\" <_>`"},
		{"<div> <_> closed by <name>", `|= " closed by <name>"`},
		{"", ""},
	} {
		got := logql.Selecting(c.pattern)
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.pattern, got, c.want)
		}
		if got == "" {
			continue
		}
		if _, err := logql.Parse(`{a="b"} ` + got); err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
}
