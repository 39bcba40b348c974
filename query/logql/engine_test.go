// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/query/logql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func queryLogs(t *testing.T, e *logql.Engine, p logql.Params) []logql.Entry {
	t.Helper()
	if p.End == 0 {
		p.Start, p.End = corpusStart.UnixNano(), corpusStart.Add(corpusLength).UnixNano()
	}
	r, err := e.Query(context.Background(), p)
	if err != nil {
		t.Fatalf("%s: %v", p.Query, err)
	}
	return r.Entries
}

// The limit takes the first of all in the order of time, in both directions.
func TestLimitAndDirection(t *testing.T) {
	e := logql.New(corpusStore(t), logql.Options{})
	for _, q := range []string{`{app=~".+"}`, `{app=~"api|db"} |~ "(?i)error"`, `{app=~".+"} | json | __error__="" | status > 0`} {
		all := queryLogs(t, e, logql.Params{Query: q, Limit: 5000})
		if len(all) < 10 || !slices.IsSortedFunc(all, func(a, b logql.Entry) int { return int(a.Time - b.Time) }) {
			t.Errorf("%s: %d entries, want them in order", q, len(all))
		}
		back := queryLogs(t, e, logql.Params{Query: q, Limit: 5000, Backward: true})
		if len(back) != len(all) || !slices.IsSortedFunc(back, func(a, b logql.Entry) int { return int(b.Time - a.Time) }) {
			t.Errorf("%s backward: %d entries, want %d, the newest first", q, len(back), len(all))
		}
		for n := 1; n < len(all); n += 7 {
			some := queryLogs(t, e, logql.Params{Query: q, Limit: n})
			if len(some) != n || some[n-1].Time != all[n-1].Time {
				t.Errorf("%s limit %d: %d entries up to %d, want up to %d", q, n, len(some), some[len(some)-1].Time, all[n-1].Time)
			}
		}
	}
}

// The store is told what it can leave out.
func TestWhatIsAskedOfTheStore(t *testing.T) {
	store := corpusStore(t)
	e := logql.New(store, logql.Options{})
	f := func(query string, contains []string, noLines, noMeta bool) {
		t.Helper()
		p := logql.Params{Query: query, Start: instantAt.UnixNano(), End: instantAt.UnixNano()}
		if _, err := e.Query(context.Background(), p); err != nil {
			t.Errorf("%s: %v", query, err)
			return
		}
		q := store.LastQuery()
		if !slices.Equal(q.Contains, contains) || q.NoLines != noLines || q.NoMeta != noMeta {
			t.Errorf("%s\ngot  contains %q, no lines %v, no metadata %v\nwant contains %q, no lines %v, no metadata %v", query, q.Contains, q.NoLines, q.NoMeta, contains, noLines, noMeta)
		}
	}
	f(`{app="db"} |= "error" != "x" |~ "a+bc(de)?f{2}"`, []string{"a", "bc", "error", "f"}, false, false)
	f(`{app="db"} |~ "(?i)error"`, nil, false, false)
	f(`{app="db"} |= "a" or "b"`, nil, false, false)
	f(`{app="db"} |= "a" | line_format "b" |= "b"`, []string{"a"}, false, false)
	f(`{app="db"} |> "<_>duration: <_> ms"`, []string{" ms", "duration: "}, false, false)
	f(`count_over_time({app="db"}[5m])`, nil, true, false)
	f(`bytes_rate({app="db"} | seq > 3 [5m])`, nil, true, false)
	f(`sum(count_over_time({app="db"}[5m]))`, nil, true, true)
	f(`sum by (app) (rate({app="db"}[5m]))`, nil, true, true)
	f(`sum by (app, env) (rate({app=~".+"}[5m]))`, nil, true, false) // one stream has no env
	f(`sum by (seq) (rate({app="db"}[5m]))`, nil, true, false)
	f(`sum(rate({app="db"} |= "error" [5m]))`, []string{"error"}, false, true)
	f(`sum(rate({app="db"} | logfmt | a="b" [5m]))`, nil, false, false)
}

// A query that is too much says so, and what to do.
func TestBounds(t *testing.T) {
	f := func(o logql.Options, p logql.Params, kind logql.ErrorKind, message string) {
		t.Helper()
		if p.End == 0 {
			p.Start, p.End = rangeStart.UnixNano(), rangeEnd.UnixNano()
		}
		_, err := logql.New(corpusStore(t), o).Query(context.Background(), p)
		var e *logql.Error
		if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Message, message) {
			t.Errorf("%s with %+v: got %v, want … %s …", p.Query, o, err, message)
		}
	}
	f(logql.Options{MaxBytes: 1000}, logql.Params{Query: `{app=~".+"} |~ "[x-z][0-9]{9}"`}, logql.TooMuch, "more than 1000 bytes")
	f(logql.Options{MaxBytes: 1000}, logql.Params{Query: `sum(count_over_time({app=~".+"} | json | __error__="" [10m]))`, Step: time.Minute}, logql.TooMuch, "filter by a text")
	f(logql.Options{MaxSeries: 5}, logql.Params{Query: `count_over_time({app=~".+"}[10m])`, Step: time.Minute}, logql.TooMuch, "more than 5 series")
	f(logql.Options{MaxSamples: 50}, logql.Params{Query: `count_over_time({app=~".+"}[10m])`, Step: time.Minute}, logql.TooMuch, "more than 50 samples")
	f(logql.Options{MaxSamples: 5}, logql.Params{Query: `sum_over_time({app="counter"} | logfmt | drop requests | unwrap temp [10m])`, Step: time.Minute}, logql.TooMuch, "more than 5 samples")
	f(logql.Options{MaxEntries: 10}, logql.Params{Query: `{app=~".+"}`, Limit: 11}, logql.TooMuch, "at most 10")
	f(logql.Options{MaxAnswer: 500}, logql.Params{Query: `{app=~".+"}`, Limit: 100}, logql.TooMuch, "more than 500 bytes")
	f(logql.Options{MaxSteps: 10}, logql.Params{Query: `vector(1)`, Step: time.Second}, logql.BadQuery, "maximum resolution of 10 points")
	f(logql.Options{}, logql.Params{Query: `max(count_over_time({app="api", env="prod"} | json [10m]))`}, logql.BadPipeline, "pipeline error: 'JSONParserErr'")
	f(logql.Options{Timeout: time.Nanosecond}, logql.Params{Query: `{app=~".+"}`}, logql.TooLong, "")
}

// A template cannot run or write without end.
func TestTemplatesAreBounded(t *testing.T) {
	store := recordtest.New()
	s := &tallyman.Stream{Labels: []tallyman.Label{{Name: "a", Value: "b"}}}
	if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: s, Records: []tallyman.Record{{Time: 1, Line: []byte("x")}}}}}); err != nil {
		t.Fatal(err)
	}
	e := logql.New(store, logql.Options{})
	for _, template := range []string{
		"{{ range 1000000000 }}{{ end }}", "{{ range 1000000 }}{{ range 1000000 }}x{{ end }}{{ end }}", `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`,
		`{{ repeat 1000000000 "x" }}`, `{{ alignLeft 1000000000 "x" }}`, `{{ indent 1000000000 "x" }}`, `{{ printf "%999999d" 1 }}`,
		`{{ $x := "aaaaaaaa" }}` + strings.Repeat(`{{ $x = printf "%s%s" $x $x }}`, 40), `{{ "aaaa"` + strings.Repeat(` | replace "a" "aaaaaaaa"`, 20) + " }}",
		`{{ "a"` + strings.Repeat(` | urlencode | html | js`, 40) + strings.Repeat(` | b64enc`, 80) + " }}", `{{ $x := "aaaa" }}` + strings.Repeat(`{{ $x = regexReplaceAll "(a)" $x "$1$1$1$1" }}`, 20),
		`{{ $x := "1" }}` + strings.Repeat(`{{ $x = __timestamp__ | date (print $x "1") }}{{ $x = print $x $x }}`, 40),
	} {
		got := queryLogs(t, e, logql.Params{Query: "{a=\"b\"} | line_format `" + template + "`", End: 10})
		if len(got) != 1 || len(got[0].Line) > 300_000 || got[0].Labels.All.Get("__error__") != "TemplateFormatErr" {
			t.Errorf("%s: %d entries, %.80v", template, len(got), got[0])
		}
	}
}

// Whatever steps, windows and offsets: the counts are those of counting each
// window by itself.
func TestCountsAgainstCounting(t *testing.T) {
	store := corpusStore(t)
	e := logql.New(store, logql.Options{Parallel: 3})
	for _, window := range []time.Duration{time.Second, 20 * time.Second, 45 * time.Second, 5 * time.Minute} {
		for _, step := range []time.Duration{time.Second, 20 * time.Second, 31 * time.Second, 10 * time.Minute} {
			for _, shift := range []time.Duration{0, 7 * time.Second, -90 * time.Second} {
				query := fmt.Sprintf(`sum(count_over_time({app=~".+"}[%s] offset %s))`, window, shift)
				r, err := e.Query(context.Background(), logql.Params{Query: query, Start: rangeStart.UnixNano(), End: rangeEnd.UnixNano(), Step: step})
				if err != nil {
					t.Fatal(err)
				}
				got := map[int64]float64{}
				for _, s := range r.Series {
					for _, p := range s.Points {
						got[p.Time] = p.Value
					}
				}
				for at := rangeStart; !at.After(rangeEnd); at = at.Add(step) {
					end := at.Add(-shift).UnixNano()
					want := 0.0
					volumes, err := store.Volume(context.Background(), nil, end-int64(window)+1, end+1)
					if err != nil {
						t.Fatal(err)
					}
					for _, v := range volumes {
						want += float64(v.Records)
					}
					if got[at.UnixMilli()] != want {
						t.Fatalf("%s step %s at %s: got %v, want %v", query, step, at, got[at.UnixMilli()], want)
					}
				}
			}
		}
	}
}

func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := recordtest.New()
		tail, err := logql.NewTail(store, `{app="a"} |= "yes" | logfmt`)
		if err != nil {
			t.Fatal(err)
		}
		defer tail.Close()
		a := &tallyman.Stream{Labels: []tallyman.Label{{Name: "app", Value: "a"}}}
		b := &tallyman.Stream{Labels: []tallyman.Label{{Name: "app", Value: "b"}}}
		if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{
			{Stream: b, Records: []tallyman.Record{{Time: 1, Line: []byte("yes x=1")}}},
			{Stream: a, Records: []tallyman.Record{{Time: 2, Line: []byte("no x=1")}, {Time: 3, Line: []byte("yes x=2")}}},
		}}); err != nil {
			t.Fatal(err)
		}
		got, dropped, err := tail.Next(t.Context())
		if err != nil || dropped != 0 || len(got) != 1 || got[0].Line != "yes x=2" || got[0].Labels.Parsed.Get("x") != "2" {
			t.Errorf("got %v, %d dropped, %v", got, dropped, err)
		}
		for range recordtest.TailSize + 5 {
			if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: a, Records: []tallyman.Record{{Time: 4, Line: []byte("yes")}}}}}); err != nil {
				t.Fatal(err)
			}
		}
		if got, dropped, err = tail.Next(t.Context()); err != nil || len(got) != recordtest.TailSize || dropped != 5 {
			t.Errorf("a slow reader: %d entries, %d dropped, %v", len(got), dropped, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := tail.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the end: %v", err)
		}
	})
	if _, err := logql.NewTail(recordtest.New(), `sum(rate({a="b"}[1m]))`); err == nil {
		t.Error("a metric query can be followed")
	}
}

// More queries than may run wait for each other.
func TestConcurrency(t *testing.T) {
	e := logql.New(corpusStore(t), logql.Options{Concurrent: 2})
	done := make(chan error)
	for range 20 {
		go func() {
			_, err := e.Query(context.Background(), logql.Params{Query: `sum by (app) (rate({app=~".+"} | json | __error__="" [5m]))`, Start: rangeStart.UnixNano(), End: rangeEnd.UnixNano(), Step: time.Minute})
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Whatever a line holds, no stage fails hard.
func FuzzLines(f *testing.F) {
	for _, sr := range corpusRecords() {
		for _, r := range sr.Records[:min(len(sr.Records), 40)] {
			f.Add(r.Line)
		}
	}
	store := recordtest.New()
	s := &tallyman.Stream{Labels: []tallyman.Label{{Name: "a", Value: "b"}}}
	e := logql.New(store, logql.Options{})
	queries := []string{
		`{a="b"} | json | logfmt --keep-empty | x > 5 | label_format y=x`, `{a="b"} | json v="a.b[1]", w="x" | unpack | drop v`, `{a="b"} | logfmt --strict | json`,
		`{a="b"} | pattern "<q> <_>=<z>" | regexp "(?P<r>[0-9]+)(?P<s>x)?" | decolorize | line_format "{{.q}}{{__line__}}"`,
		`{a="b"} |> "<_>a<_>" | keep a`, `{a="b"} |~ "(?i)error|warn"`,
	}
	n := int64(0)
	f.Fuzz(func(t *testing.T, b []byte) {
		n++
		if err := store.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: s, Records: []tallyman.Record{{Time: n, Line: b, Meta: []tallyman.Label{{Name: "x", Value: "7"}}}}}}}); err != nil {
			t.Fatal(err)
		}
		for _, q := range queries {
			if _, err := e.Query(t.Context(), logql.Params{Query: q, Start: n, End: n + 1}); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		logql.Detect(nil, string(b))
		if n%1000 == 0 {
			store = recordtest.New()
			e = logql.New(store, logql.Options{})
		}
	})
}
