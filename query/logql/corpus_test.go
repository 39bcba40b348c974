// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/query/logql"
)

// The corpus is asked of this engine, and was asked of a real Loki 3.7.8 over
// the same lines. Its answers are in testdata/loki-answers.jsonl.gz, so the test
// needs no Loki. To record them anew, start one that accepts old lines
// (testdata/loki.yaml) and run
//
//	TEST_LOKI=http://127.0.0.1:13100 go test ./query/logql -run TestCorpus
const (
	corpusFile  = "testdata/corpus.txt"
	answersFile = "testdata/loki-answers.jsonl.gz"
)

// differences are the queries whose answer is another one than Loki's, with
// the reason.
var differences = map[string]string{
	`{app="db"} | decolorize |= "disk sda is full"`:                                             "Loki moves line filters before decolorize, so the filter meets the colours",
	`rate_counter({app="counter"} | logfmt | keep app, requests | unwrap requests [2m])`:        "Loki mixes units when it extrapolates, so its rate ends at the last sample; ours is Prometheus' rate",
	`rate_counter({app="counter"} | logfmt | drop temp | unwrap requests [5m])`:                 "the same",
	`topk(1, count_over_time({app=~".+"}[5m])) by (env)`:                                        "among equal values Loki takes any, we go by the labels",
	`topk(2, count_over_time({app="web"}[5m]))`:                                                 "the same",
	`sort_desc(count_over_time({app=~"db|pack"}[5m]))`:                                          "the same",
	`{app="api", env="dev"} | logfmt | size > 10kib`:                                            "Loki knows kib in lines but not in queries",
	`{app="api", env="dev"} | logfmt | label_format level="{{.level | upper}}" | level="ERROR"`: "Loki filters while it parses, before label_format has written the label anew",
	`{app="api", env="dev"} | logfmt | line_format "{{ trunc -4 .path }} {{ substr 1 3 .path }} {{ nindent 2 .level }} {{ Replace .path \"/\" \"_\" 1 }}"`: "substr behind the end is an error in Loki; ours is empty",
	`{app="web"} | label_format detected_level="x", trace_id=trace_id`:                                                                                     "renaming a label to itself removes it in Loki",
	`label_replace(sum by (app) (count_over_time({app=~".+"}[5m])), "app", "same", "app", ".*")`:                                                           "Loki gives several series with the same labels; ours is an error, as in Prometheus",
	`count_over_time({app="web"}[0s])`:                                                    "a window without length is always empty; ours is an error",
	`{app="api", env="prod"} | json | pod=~"2.*|err.*"`:                                   "Loki forgets that the expression of a label is anchored when it takes a choice apart",
	`{app="api", env="prod"} | b = "x", level = "1" or pod="pod-1"`:                       "Loki reads a comma before an or from right to left; by its documentation it is from left to right",
	`{app="api", env="prod"} | b > 1 or pod=~""`:                                          "an empty expression fits any label in Loki; anchored it fits an empty one",
	`{app="counter"} | json | drop __error__`:                                             "Loki loses __error_details__ of lines that have no other label of their own",
	`{app="web"} | line_format "{{add \"1e2\" 1}} {{add \"08\" 1}}"`:                      "Loki takes whole numbers that are written so for 0",
	"absent_over_time({app=\"web\"} != `level` | json | keep kind, level=\"error\" [5m])": "Loki does not parse lines for keep where no series has labels",
	`absent_over_time({app="api", env="dev"} | logfmt --strict | level="error" [5m])`:     "Loki ends parsing with the last label that it needs, and misses the error behind",
	`vector(-1.5)`: "Loki takes no sign here",
	`quantile_over_time(-0.5, {app="counter"} | logfmt | unwrap temp [3m]) by (app)`: "the same",
	`Inf`:                                    "a number as Loki itself prints it; it does not read it again",
	`count_over_time({app="web"}[5m]) > NaN`: "the same",
	`vector(inf)`:                            "the same",
	`0x1F`:                                   "Loki refuses the numbers in base 16 that its lexer knows",
	`{app="edge"} | logfmt | n = 0x10`:       "and takes them for 0 in a filter",
	`{app="edge"} |= ip("10.1.2.3") or "2001"`:                                     "Loki takes an address beside an or for a text",
	`{app="edge"} |= "2001" or ip("10.1.2.3")`:                                     "the same",
	`{app="edge"} |= ip("10.1.2.3") or ip("10.1.2.4")`:                             "the same",
	`sum by (a) (count_over_time({app="edge"} | json a="a" | __error__="" [10m]))`: "Loki has a series with an empty label beside the one without it",
}

func corpusStore(t testing.TB) *recordtest.Store {
	s := recordtest.New()
	if err := s.AppendRecords(&tallyman.RecordBatch{Streams: corpusRecords()}); err != nil {
		t.Fatal(err)
	}
	return s
}

// corpusQueries are the queries of the corpus.
func corpusQueries(t testing.TB) (out []string) {
	b, err := os.ReadFile(corpusFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// answer is what a query comes to, in a form that can be compared.
type answer struct {
	Query string `json:"query"`
	// Error is the message of an error.
	Error string `json:"error,omitempty"`
	// Lines are those of a log query, with their labels by origin.
	Lines []string `json:"lines,omitempty"`
	// Instant and Range are the series of a metric query.
	Instant []answerSeries `json:"instant,omitempty"`
	Range   []answerSeries `json:"range,omitempty"`
}

type answerSeries struct {
	Labels string      `json:"labels"`
	Points [][2]string `json:"points"` // milliseconds, value
}

// What is asked of each query: log queries forward over all, metric queries at
// the end and at times that are no multiples of anything.
var (
	rangeStart = corpusStart.Add(3*time.Minute + 13*time.Second)
	rangeEnd   = corpusStart.Add(21 * time.Minute)
	instantAt  = corpusStart.Add(20 * time.Minute)
)

const rangeStep = 150 * time.Second

// labelText prints labels in order; the text of error details is everybody's own.
func labelText(m map[string]string) string {
	var l logql.Labels
	for k, v := range m {
		if k == "__error_details__" {
			v = "…"
		}
		l = append(l, tallyman.Label{Name: k, Value: v})
	}
	slices.SortFunc(l, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	return l.String()
}

func lineText(at, line string, stream, meta, parsed map[string]string) string {
	return at + " " + labelText(stream) + " " + labelText(meta) + " " + labelText(parsed) + " " + strconv.Quote(line)
}

// ours answers a query with this engine.
func ours(e *logql.Engine, query string) answer {
	out := answer{Query: query}
	fail := func(err error) answer {
		out.Error = err.Error()
		return out
	}
	expr, err := logql.Parse(query)
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	if _, ok := expr.(*logql.Log); ok {
		r, err := e.Query(ctx, logql.Params{Query: query, Start: corpusStart.UnixNano(), End: corpusStart.Add(corpusLength).UnixNano(), Limit: 1000})
		if err != nil {
			return fail(err)
		}
		for _, x := range r.Entries {
			out.Lines = append(out.Lines, lineText(strconv.FormatInt(x.Time, 10), x.Line, x.Labels.Stream.Map(), x.Labels.Meta.Map(), x.Labels.Parsed.Map()))
		}
		slices.Sort(out.Lines)
		return out
	}
	for _, p := range []logql.Params{
		{Query: query, Start: instantAt.UnixNano(), End: instantAt.UnixNano()},
		{Query: query, Start: rangeStart.UnixNano(), End: rangeEnd.UnixNano(), Step: rangeStep},
	} {
		r, err := e.Query(ctx, p)
		if err != nil {
			return fail(err)
		}
		var list []answerSeries
		for _, s := range r.Series {
			one := answerSeries{Labels: labelText(s.Labels.Map())}
			for _, x := range s.Points {
				one.Points = append(one.Points, [2]string{strconv.FormatInt(x.Time, 10), strconv.FormatFloat(x.Value, 'f', -1, 64)})
			}
			list = append(list, one)
		}
		if p.Step == 0 {
			out.Instant = inOrder(query, list)
		} else {
			out.Range = inOrder("", list)
		}
	}
	return out
}

// inOrder sorts series; those of a query that sorts have their own order.
func inOrder(query string, list []answerSeries) []answerSeries {
	if !strings.HasPrefix(query, "sort") {
		slices.SortFunc(list, func(a, b answerSeries) int { return strings.Compare(a.Labels, b.Labels) })
	}
	return list
}

func recorded(t *testing.T) map[string]answer {
	f, err := os.Open(answersFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it is read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]answer{}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var a answer
		decode(t, s.Bytes(), &a)
		out[a.Query] = a
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCorpus(t *testing.T) {
	if base := os.Getenv("TEST_LOKI"); base != "" {
		record(t, base)
	}
	e := logql.New(corpusStore(t), logql.Options{})
	loki := recorded(t)
	queries := corpusQueries(t)
	if len(queries) < 750 {
		t.Errorf("the corpus has %d queries, want 750", len(queries))
	}
	same := 0
	for _, q := range queries {
		want, ok := loki[q]
		if !ok {
			t.Errorf("%s\nhas no recorded answer; run with TEST_LOKI", q)
			continue
		}
		diff := compare(ours(e, q), want)
		reason := differences[q]
		switch {
		case diff == "":
			same++
			if reason != "" {
				t.Errorf("%s\nanswers as Loki does; take it off the list of differences", q)
			}
		case reason == "":
			t.Errorf("%s\n%s", q, diff)
		}
	}
	t.Logf("%d of %d queries answer as Loki does", same, len(queries))
}

// compare says what differs; errors may say it in other words.
func compare(got, want answer) string {
	if got.Error != "" || want.Error != "" {
		if (got.Error != "") != (want.Error != "") {
			return fmt.Sprintf("got the error %q, Loki has %q", got.Error, want.Error)
		}
		return ""
	}
	var b strings.Builder
	for _, l := range got.Lines {
		if !slices.Contains(want.Lines, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	for _, l := range want.Lines {
		if !slices.Contains(got.Lines, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, pair := range []struct {
		name      string
		got, want []answerSeries
	}{{"instant", got.Instant, want.Instant}, {"range", got.Range, want.Range}} {
		if !slices.EqualFunc(pair.got, pair.want, sameSeries) {
			fmt.Fprintf(&b, "%s:\n  got  %v\n  Loki %v\n", pair.name, pair.got, pair.want)
		}
	}
	s := b.String()
	return s[:min(len(s), 1800)]
}

func sameSeries(a, b answerSeries) bool {
	return a.Labels == b.Labels && slices.EqualFunc(a.Points, b.Points, func(x, y [2]string) bool {
		v, _ := strconv.ParseFloat(x[1], 64)
		w, _ := strconv.ParseFloat(y[1], 64)
		return x[0] == y[0] && (x[1] == y[1] || math.Abs(v-w) <= 1e-9*max(math.Abs(v), math.Abs(w)))
	})
}
