// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/query/logql"
)

// theirs asks a Loki.
func theirs(t *testing.T, base, query string) answer {
	out := answer{Query: query}
	isLog := strings.HasPrefix(query, "{")
	if e, err := logql.Parse(query); err == nil {
		_, isLog = e.(*logql.Log)
	}
	nano := func(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }
	if isLog {
		status, body := askLoki(t, base, "query_range", url.Values{"query": {query}, "start": {nano(corpusStart)}, "end": {nano(corpusStart.Add(corpusLength))}, "limit": {"1000"}, "direction": {"forward"}})
		if status != http.StatusOK {
			out.Error = strings.TrimSpace(string(body))
			return out
		}
		var a struct {
			Data struct {
				Result []struct {
					Stream map[string]string
					Values [][]json.RawMessage
				}
			}
		}
		decode(t, body, &a)
		for _, s := range a.Data.Result {
			for _, v := range s.Values {
				var at, line string
				decode(t, v[0], &at)
				decode(t, v[1], &line)
				var c struct{ StructuredMetadata, Parsed map[string]string }
				if len(v) > 2 {
					decode(t, v[2], &c)
				}
				out.Lines = append(out.Lines, lineText(at, line, s.Stream, c.StructuredMetadata, c.Parsed))
			}
		}
		slices.Sort(out.Lines)
		return out
	}
	for _, kind := range []string{"query", "query_range"} {
		v := url.Values{"query": {query}, "time": {nano(instantAt)}}
		if kind == "query_range" {
			v = url.Values{"query": {query}, "start": {nano(rangeStart)}, "end": {nano(rangeEnd)}, "step": {rangeStep.String()}}
		}
		status, body := askLoki(t, base, kind, v)
		if status != http.StatusOK {
			out.Error = strings.TrimSpace(string(body))
			return out
		}
		var a struct {
			Data struct {
				ResultType string
				Result     json.RawMessage
			}
		}
		decode(t, body, &a)
		type point []any
		var list []struct {
			Metric map[string]string
			Value  point
			Values []point
		}
		if a.Data.ResultType == "scalar" {
			var p point
			decode(t, a.Data.Result, &p)
			p[0] = float64(instantAt.Unix()) // Loki has a time of its own here
			list = append(list, struct {
				Metric map[string]string
				Value  point
				Values []point
			}{Value: p})
		} else {
			decode(t, a.Data.Result, &list)
		}
		var series []answerSeries
		for _, s := range list {
			one := answerSeries{Labels: labelText(s.Metric)}
			if s.Value != nil {
				s.Values = append(s.Values, s.Value)
			}
			for _, p := range s.Values {
				one.Points = append(one.Points, [2]string{strconv.FormatInt(int64(math.Round(p[0].(float64)*1000)), 10), p[1].(string)})
			}
			series = append(series, one)
		}
		if kind == "query" {
			out.Instant = inOrder(query, series)
		} else {
			out.Range = inOrder("", series)
		}
	}
	return out
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%v in %.300s", err, b)
	}
}

func askLoki(t *testing.T, base, path string, v url.Values) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, base+"/loki/api/v1/"+path+"?"+v.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// pushLoki sends the lines to a Loki.
func pushLoki(t *testing.T, base string) {
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][]any           `json:"values"`
	}
	var body struct {
		Streams []stream `json:"streams"`
	}
	for _, sr := range corpusRecords() {
		s := stream{Stream: logql.Labels(sr.Stream.Labels).Map()}
		for _, r := range sr.Records {
			s.Values = append(s.Values, []any{strconv.FormatInt(r.Time, 10), string(r.Line), logql.Labels(r.Meta).Map()})
		}
		body.Streams = append(body.Streams, s)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(base+"/loki/api/v1/push", "application/json", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body) // for the message only
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("push to Loki: %s %s", res.Status, text)
	}
	// It asks its memory for new lines only; old ones are to be in its store.
	if res, err = http.Post(base+"/flush", "", nil); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for range 60 {
		if len(theirs(t, base, `{app="counter"}`).Lines) > 0 {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatal("Loki does not find the lines")
}

func record(t *testing.T, base string) {
	pushLoki(t, base)
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	for _, q := range corpusQueries(t) {
		if err := e.Encode(theirs(t, base, q)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(answersFile, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
