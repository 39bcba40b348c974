// SPDX-License-Identifier: Apache-2.0

package loki_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/klauspost/compress/s2"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/api"
	"tallyman/api/auth"
	"tallyman/api/loki"
	"tallyman/internal/recordtest"
	"tallyman/query/logql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the time of the first line.
var start = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func nano(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func stream(pairs ...string) *tallyman.Stream {
	s := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

// fixture is an API over three streams of ten lines each, one a minute.
type fixture struct {
	*recordtest.Store
	mux     *http.ServeMux
	refused error // what Push answers
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{Store: recordtest.New()}
	for _, s := range []*tallyman.Stream{stream("app", "web", "env", "prod"), stream("app", "db", "env", "prod"), stream("app", "web", "env", "dev")} {
		sr := tallyman.StreamRecords{Stream: s}
		for i := range 10 {
			sr.Records = append(sr.Records, tallyman.Record{
				Time: start.Add(time.Duration(i) * time.Minute).UnixNano(), Line: fmt.Appendf(nil, `{"n":%d,"level":"info","took":"%dms"}`, i, i),
				Meta: []tallyman.Label{{Name: "id", Value: strconv.Itoa(i % 2)}},
			})
		}
		if err := f.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{sr}}); err != nil {
			t.Fatal(err)
		}
	}
	f.restart()
	return f
}

// restart makes the API anew, over the same records.
func (f *fixture) restart() {
	f.mux = http.NewServeMux()
	a := loki.New(loki.Options{
		Store: f.Store, Tailer: f.Store, Engine: logql.New(f.Store, logql.Options{}), Log: slog.New(slog.DiscardHandler), Reserved: []string{"event", "container", "file", "journal"},
		Push: func(_ context.Context, b *tallyman.RecordBatch) error {
			if f.refused != nil {
				return f.refused
			}
			return f.AppendRecords(b)
		},
	})
	for _, r := range a.Routes() {
		f.mux.Handle(r.Pattern, r.Handler)
	}
}

func (f *fixture) get(path string, pairs ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, httptest.NewRequest("GET", "/loki/api/v1/"+path+"?"+v.Encode(), nil))
	return w
}

var span = []string{"start", nano(start), "end", nano(start.Add(time.Hour))}

func with(pairs ...string) []string { return append(pairs, span...) }

// body is an answer without its statistics and line feed.
func body(w *httptest.ResponseRecorder) string {
	s := w.Body.String()
	if before, _, ok := strings.Cut(s, `,"stats":`); ok {
		s = before + "}}"
	}
	return strings.TrimSpace(s)
}

func TestAnswers(t *testing.T) {
	f := newFixture(t)
	check := func(want string, path string, pairs ...string) {
		t.Helper()
		w := f.get(path, pairs...)
		if got := body(w); got != want || w.Code != http.StatusOK {
			t.Errorf("%s %q: %d\ngot  %s\nwant %s", path, pairs, w.Code, got, want)
		}
	}
	check(`{"status":"success","data":["app","env"]}`, "labels", span...)
	check(`{"status":"success","data":["app","env"]}`, "labels", with("query", `{app="db"}`)...)
	check(`{"status":"success","data":[]}`, "labels", "start", "1", "end", "2")
	check(`{"status":"success","data":["db","web"]}`, "label/app/values", span...)
	check(`{"status":"success","data":["dev"]}`, "label/env/values", with("query", `{env!="prod"}`)...)
	check(`{"status":"success","data":[{"app":"db","env":"prod"},{"app":"web","env":"dev"}]}`, "series", with("match[]", `{app="db"}`, "match[]", `{env="dev"}`)...)
	check(`{"streams":2,"chunks":2,"bytes":700,"entries":20}`, "index/stats", with("query", `{app="web"}`)...)
	check(`{"detectedLabels":[{"label":"app","cardinality":2},{"label":"env","cardinality":2}]}`, "detected_labels", span...)
	check(`{"fields":[{"label":"id","type":"int","cardinality":2,"parsers":null},{"label":"level","type":"string","cardinality":1,"parsers":["json"],"jsonPath":["level"]},{"label":"n","type":"int","cardinality":10,"parsers":["json"],"jsonPath":["n"]},{"label":"took","type":"duration","cardinality":10,"parsers":["json"],"jsonPath":["took"]}],"limit":1000}`,
		"detected_fields", with("query", `{app="web"}`)...)
	check(`{"status":"success","data":"{app=\"x\"} | json | a \u003e 5"}`, "format_query", "query", `{app="x"}|json|a>5`)
	check(`{"version":"3.7.8","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}`, "status/buildinfo")

	check(`{"status":"success","data":{"resultType":"scalar","result":[1795168800,"2"]}}`, "query", "query", "1+1", "time", nano(start))
	check(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795168800.5,"2"]}]}}`, "query", "query", "vector(1)+vector(1)", "time", "1795168800.5")
	check(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"env":"dev"},"value":[1795169340,"5"]},{"metric":{"env":"prod"},"value":[1795169340,"10"]}]}}`,
		"query", "query", `sum by (env) (count_over_time({app=~".+"}[5m]))`, "time", "2026-11-20T10:09:00Z")
	check(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"app":"db"},"values":[[1795168800,"1"],[1795168920,"2"]]}]}}`,
		"query_range", "query", `sum by (app) (count_over_time({app="db"}[2m]))`, "start", "1795168800", "end", "1795168920", "step", "2m")
	check(`{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"db","env":"prod","id":"1"},"values":[["1795169340000000000","{\"n\":9,\"level\":\"info\",\"took\":\"9ms\"}"]]}]}}`,
		"query_range", with("query", `{app="db"}`, "limit", "1")...)
	check(`{"status":"success","data":{"resultType":"streams","result":[]}}`, "query_range", with("query", `{app="nothing"}`)...)
	check(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":"web"},"value":[1795172400,"700"]},{"metric":{"app":"db"},"value":[1795172400,"350"]}]}}`,
		"index/volume", with("query", `{app=~".+"}`)...)
	check(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"env":"prod"},"value":[1795172400,"700"]}]}}`,
		"index/volume", with("query", `{app=~".+"}`, "targetLabels", "env", "limit", "1")...)
	check(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":""},"value":[1795172400,"1050"]},{"metric":{"env":""},"value":[1795172400,"1050"]}]}}`,
		"index/volume", with("query", `{}`, "aggregateBy", "labels")...)
	check(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"app":"db"},"values":[[1795169099.999,"175"],[1795169400,"175"]]}]}}`,
		"index/volume_range", "query", `{app="db"}`, "start", nano(start), "end", nano(start.Add(10*time.Minute)), "step", "300")
}

// The labels of lines stand apart for whoever asks for it.
func TestCategories(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest("POST", "/loki/api/v1/query_range", strings.NewReader(url.Values{"query": {`{app="db"} | json x="n" | line_format "l"`}, "limit": {"2"},
		"direction": {"forward"}, "start": {nano(start)}, "end": {nano(start.Add(time.Hour))}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Loki-Response-Encoding-Flags", "something, categorize-labels")
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	const want = `{"status":"success","data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{"app":"db","env":"prod"},"values":[` +
		`["1795168800000000000","l",{"structuredMetadata":{"id":"0"},"parsed":{"x":"0"}}],["1795168860000000000","l",{"structuredMetadata":{"id":"1"},"parsed":{"x":"1"}}]]}]}}`
	if got := body(w); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Errors are texts.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	check := func(status int, message string, path string, pairs ...string) {
		t.Helper()
		w := f.get(path, pairs...)
		if w.Code != status || !strings.Contains(w.Body.String(), message) || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s %q: got %d %s %s, want %d … %s …", path, pairs, w.Code, w.Header().Get("Content-Type"), w.Body, status, message)
		}
	}
	check(400, "log queries are not supported as an instant query type", "query", "query", `{app="web"}`)
	check(400, "parse error at line 1, column 6", "query_range", "query", `{app="web"`[:5])
	check(400, "start is no time", "query_range", "query", "vector(1)", "start", "yesterday")
	check(400, "end timestamp", "query_range", "query", "vector(1)", "start", "20", "end", "10")
	check(400, "step is no duration", "query_range", with("query", "vector(1)", "step", "x")...)
	check(400, "zero or negative", "query_range", with("query", "vector(1)", "step", "0")...)
	check(400, "maximum resolution", "query_range", with("query", "vector(1)", "step", "0.1")...)
	check(400, "limit must be", "query_range", with("query", `{app="web"}`, "limit", "-1")...)
	check(400, "at most 5000", "query_range", with("query", `{app="web"}`, "limit", "5001")...)
	check(400, "direction is", "query_range", with("query", `{app="web"}`, "direction", "up")...)
	check(400, "pipeline error", "query", "query", `sum(count_over_time({app="web"} | json | n > 1 | took > 5KB [1h]))`, "time", nano(start.Add(time.Hour)))
	check(400, "unexpected", "labels", "query", "{")
	check(400, "unexpected", "series", "match[]", "x")
	check(400, "query is missing", "index/stats")
	check(400, "selector is needed", "index/volume", "query", "1+1")
	check(400, "more than 1000 points", "index/volume_range", with("query", "{}", "step", "1s")...)
	check(400, "aggregateBy", "index/volume", with("query", "{}", "aggregateBy", "x")...)
	check(400, "metric query", "detected_fields", "query", "1+1")
	check(400, "empty", "format_query")
	check(400, "metric query", "tail", "query", "vector(1)")
}

// request is a push message in protobuf, compressed.
func request(labels string, at time.Time, line string, meta ...string) []byte {
	field := func(id byte, b []byte) []byte {
		return append(binary.AppendUvarint([]byte{id<<3 | 2}, uint64(len(b))), b...)
	}
	stamp := binary.AppendUvarint([]byte{1 << 3}, uint64(at.Unix()))
	stamp = binary.AppendUvarint(append(stamp, 2<<3), uint64(at.Nanosecond()))
	entry := append(field(1, stamp), field(2, []byte(line))...)
	for i := 0; i < len(meta); i += 2 {
		entry = append(entry, field(3, append(field(1, []byte(meta[i])), field(2, []byte(meta[i+1]))...))...)
	}
	s := append(field(1, []byte(labels)), field(2, entry)...)
	s = binary.AppendUvarint(append(s, 3<<3), 12345) // the hash, which nobody needs
	return s2.EncodeSnappy(nil, field(1, s))
}

func zipped(s string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s) // into memory
	_ = z.Close()
	return b.Bytes()
}

func (f *fixture) push(kind, encoding string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/loki/api/v1/push", bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

func TestPush(t *testing.T) {
	f := newFixture(t)
	const labels = `{zone="z", app="pushed"}`
	jsonBody := func(line string) string {
		return `{"streams":[{"stream":{"zone":"z","app":"pushed"},"values":[["` + nano(start) + `",` + strconv.Quote(line) + `,{"trace.id":"7"}]]}]}`
	}
	for _, c := range []struct {
		kind, encoding string
		body           []byte
		line           string
	}{
		{"application/x-protobuf", "", request(labels, start, "level=warn by protobuf", "trace.id", "7"), "level=warn by protobuf"},
		{"", "snappy", request(labels, start, "Warning: by protobuf", "trace.id", "7"), "Warning: by protobuf"},
		{"application/json; charset=utf-8", "", []byte(jsonBody(`{"severity":"WARN","msg":"by json"}`)), `{"severity":"WARN","msg":"by json"}`},
		{"application/json", "gzip", zipped(jsonBody("[warn] by gzip, not an error")), "[warn] by gzip, not an error"},
	} {
		if w := f.push(c.kind, c.encoding, c.body); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", c.line, w.Code, w.Body)
			continue
		}
		w := f.get("query_range", with("query", `{app="pushed"} |= `+"`"+c.line+"`")...)
		line, _ := json.Marshal(c.line)
		want := `[{"stream":{"app":"pushed","detected_level":"warn","trace_id":"7","zone":"z"},"values":[["1795168800000000000",` + string(line) + `]]}]`
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %s\nwant … %s …", c.line, body(w), want)
		}
	}
}

// A level is found in labels, in metadata and in the text, in this order.
func TestLevelOfLabels(t *testing.T) {
	f := newFixture(t)
	for i, c := range []struct{ stream, meta, line, want string }{
		{`"LEVEL":"WARNING"`, ``, "ERROR x", "warn"},
		{`"Level":"Err"`, ``, "x", "error"},
		{`"a":"b"`, `"SEVERITY":"CRITICAL"`, "x", "critical"},
		{`"a":"b"`, `"severity_number":"17"`, "INFO x", "error"},
		{`"a":"b"`, `"detected_level":"WARNING","level":"info"`, "x", "warn"},
		{`"a":"b"`, `"detected_level":"loud"`, "ERROR x", "loud"},
		{`"level":"high"`, ``, "ERROR x", "error"},
		{`"a":"b"`, `"lvl":"dbg","severity_number":"0"`, "x", "debug"},
		{`"a":"b"`, `"priority":"1"`, "x", "unknown"},
	} {
		at := nano(start.Add(time.Duration(i)))
		body := fmt.Sprintf(`{"streams":[{"stream":{"app":"levels",%s},"values":[[%q,%q,{%s}]]}]}`, c.stream, at, c.line, c.meta)
		if w := f.push("application/json", "", []byte(body)); w.Code != http.StatusNoContent {
			t.Fatal(w.Body)
		}
		w := f.get("query_range", "query", `{app="levels"} | keep detected_level`, "start", at, "end", nano(start.Add(time.Duration(i+1))))
		if !strings.Contains(w.Body.String(), `"detected_level":"`+c.want+`"`) {
			t.Errorf("%+v: got %s", c, w.Body)
		}
	}
}

func TestLevels(t *testing.T) {
	f := newFixture(t)
	i := 0
	check := func(want string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			i++
			b, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": map[string]string{"app": "level"}, "values": [][]string{{nano(start.Add(time.Duration(i))), line}}}}})
			if err != nil {
				t.Fatal(err)
			}
			if w := f.push("application/json", "", b); w.Code != http.StatusNoContent {
				t.Fatal(w.Body)
			}
			w := f.get("query_range", "query", `{app="level"} | keep detected_level | line_format "{{.detected_level}}"`, "start", nano(start.Add(time.Duration(i))), "end", nano(start.Add(time.Duration(i+1))))
			if !strings.Contains(w.Body.String(), `{"detected_level":"`+want+`"}`) {
				t.Errorf("%s: want %s, got %s", line, want, body(w))
			}
		}
	}
	check("info", "INFO starting", `{"severity":"INFO"}`, "severity_text=info", "error=nil level=info", "level=info msg=error")
	check("warn", "WARN x", "warning: x", `{"level":"warn","msg":"error in x"}`, `{"Severity":"Warning"}`, "2026-01-01 10:00:00,123 WARNING root x")
	check("error", "[error] x", "err: x", `{"lvl":"ERR"}`, "severity=ERROR x")
	check("debug", "debug", "lvl=dbg", "loglevel=debug")
	check("critical", "CRIT", "<34>x")
	check("unknown", "plain", "127.0.0.1 GET /error HTTP/1.1", "terror", "level=", `msg="an error" x=1`)
}

func TestPushRefuses(t *testing.T) {
	f := newFixture(t)
	check := func(status int, message, kind, encoding string, body []byte) {
		t.Helper()
		if w := f.push(kind, encoding, body); w.Code != status || !strings.Contains(w.Body.String(), message) {
			t.Errorf("%.80q: got %d %s, want %d … %s …", body, w.Code, w.Body, status, message)
		}
	}
	const js, pb = "application/json", "application/x-protobuf"
	one := func(labels, values string) []byte {
		return []byte(`{"streams":[{"stream":` + labels + `,"values":[` + values + `]}]}`)
	}
	check(400, "send application/json", "text/csv", "", nil)
	check(400, "Content-Encoding", js, "br", nil)
	check(400, "not gzip", js, "gzip", []byte("x"))
	check(400, "not snappy", pb, "", []byte("xyz"))
	check(400, "no push message", pb, "", s2.EncodeSnappy(nil, []byte("\x0a\xff")))
	check(400, "cannot be read", pb, "", request(`{a=`, start, "x"))
	check(400, "only =", pb, "", request(`{a=~"b"}`, start, "x"))
	check(400, "at least one label", pb, "", request(`{}`, start, "x"))
	check(400, "no time", pb, "", request(`{a="b"}`, time.Unix(0, 0), "x"))
	check(400, "what a push looks like", js, "", []byte(`{"streams":5}`))
	check(400, "nanoseconds", js, "", one(`{"a":"b"}`, `[5,"x"]`))
	check(400, "a value is []", js, "", one(`{"a":"b"}`, `[]`))
	check(400, "a line is null", js, "", one(`{"a":"b"}`, `["5",null]`))
	check(422, "at least one valid stream", js, "", []byte(`{}`))
	check(422, "at least one valid stream", js, "", []byte(`{"streams":[]}`))
	check(422, "at least one valid stream", pb, "", s2.EncodeSnappy(nil, nil))
	check(400, "neither a letter nor a digit", js, "", one(`{"a":"b"}`, `["5","x",{"-":"1"}]`))
	check(400, "no name", js, "", one(`{"a-b":"b"}`, `["5","x"]`))
	check(400, "object of strings", js, "", one(`{"a":"b"}`, `["5","x",{"y":5}]`))
	check(400, "more than 2048 bytes", js, "", one(`{"a":"`+strings.Repeat("x", 3000)+`"}`, `["5","x"]`))
	check(400, "at most 262144", js, "", one(`{"a":"b"}`, `["5","`+strings.Repeat("x", 300<<10)+`"]`))
	many := `{"a0":"x"`
	for i := range 20 {
		many += fmt.Sprintf(`,"b%d":"x"`, i)
	}
	check(400, "at most 15", js, "", one(many+"}", `["5","x"]`))
	check(413, "10485760", js, "", bytes.Repeat([]byte{' '}, 11<<20))
	check(413, "unpacked", js, "gzip", zipped(strings.Repeat(" ", 40<<20)))
	check(413, "unpacked", pb, "", binary.AppendUvarint(nil, 1<<31))
	f.refused = errors.New("the disk is full")
	check(503, "the disk is full", pb, "", request(`{a="b"}`, start, "x"))
	if w := f.get("series", with("match[]", `{a=~".+"}`)...); body(w) != `{"status":"success","data":[]}` {
		t.Errorf("something was stored: %s", w.Body)
	}
}

// pushAnswers are what a body may come to.
var pushAnswers = []int{http.StatusNoContent, http.StatusBadRequest, http.StatusUnprocessableEntity}

func FuzzPushJSON(f *testing.F) {
	f.Add([]byte(`{"streams":[{"stream":{"a":"b"},"values":[["1795168800000000000","level=info",{"x":"y"}]]}]}`))
	f.Add([]byte(`{"streams":[{"stream":{"a":""},"values":[["-1",""]]},{}]}`))
	f.Add([]byte(`{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"2026-11-20T10:00:00Z","line":"x"}]}]}`))
	f.Add([]byte(`{}`))
	api := newFixture(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if w := api.push("application/json", "", b); !slices.Contains(pushAnswers, w.Code) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzPushProtobuf(f *testing.F) {
	for _, b := range [][]byte{request(`{a="b"}`, start, "level=info", "x", "y"), request(`{}`, start, "")} {
		plain, err := s2.Decode(nil, b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	api := newFixture(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if w := api.push("application/x-protobuf", "", s2.EncodeSnappy(nil, b)); !slices.Contains(pushAnswers, w.Code) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// A tail gives the newest lines and then those that come, each once.
func TestTail(t *testing.T) {
	f := newFixture(t)
	server := httptest.NewServer(f.mux)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, server.URL+"/loki/api/v1/tail?"+url.Values{"query": {`{app="db"} | json`}, "limit": {"3"}, "start": {nano(start)}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }() // the test is over
	read := func() string {
		t.Helper()
		_, b, err := c.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read(); strings.Count(got, `\"n\"`) != 3 || strings.Index(got, `\"n\":7`) > strings.Index(got, `\"n\":9`) || !strings.Contains(got, `"level":"info"`) {
		t.Errorf("first got %s, want the three newest", got)
	}
	if err := f.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{
		{Stream: stream("app", "db", "env", "prod"), Records: []tallyman.Record{{Time: time.Now().UnixNano(), Line: []byte(`{"n":99}`)}}},
		{Stream: stream("app", "web", "env", "prod"), Records: []tallyman.Record{{Time: time.Now().UnixNano(), Line: []byte(`{"n":98}`)}}},
	}}); err != nil {
		t.Fatal(err)
	}
	if got := read(); !strings.HasPrefix(got, `{"streams":[{"stream":{"app":"db","env":"prod","n":"99"},"values":[["`) || strings.Contains(got, `"app":"web"`) {
		t.Errorf("then got %s", got)
	}
	// Somebody else's page cannot follow.
	_, res, err := websocket.Dial(ctx, server.URL+"/loki/api/v1/tail?query="+url.QueryEscape(`{app="db"}`), &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://example.com"}}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("another origin: %v %v, want 403", res, err)
	}
}

// A range whose end is its start is that time.
func TestOneTime(t *testing.T) {
	f := newFixture(t)
	at := nano(start.Add(3 * time.Minute))
	for _, c := range []struct{ path, query, want string }{
		{"query_range", `{app="db"}`, `\"n\":3`},
		{"query_range", `sum(count_over_time({app="db"}[1m]))`, `"values":[[1795168980,"1"]]`},
		{"detected_fields", `{app="db"}`, `"label":"n"`},
		{"detected_field/n/values", `{app="db"}`, `["3"]`},
		{"patterns", `{app="db"}`, `"samples":[[1795168980,1]]`},
		{"labels", `{app="db"}`, `"app"`},
		{"label/app/values", `{app="db"}`, `"db"`},
		{"index/stats", `{app="db"}`, `"streams":1`},
	} {
		if w := f.get(c.path, "query", c.query, "start", at, "end", at); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want … %s …", c.path, c.query, w.Code, w.Body, c.want)
		}
	}
	if w := f.get("series", "match[]", `{app="db"}`, "start", at, "end", at); !strings.Contains(w.Body.String(), `"app":"db"`) {
		t.Errorf("series: %s", w.Body)
	}
}

func TestPatterns(t *testing.T) {
	f := newFixture(t)
	sr := tallyman.StreamRecords{Stream: stream("app", "shop")}
	for i := range 40 {
		line := fmt.Sprintf("INFO GET /cart/%d took %dms", i, i*7)
		if i%4 == 3 {
			line = fmt.Sprintf("ERROR no connection to 10.0.0.%d", i)
		}
		sr.Records = append(sr.Records, tallyman.Record{Time: start.Add(time.Duration(i) * time.Second).UnixNano(), Line: []byte(line)})
	}
	if err := f.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{sr}}); err != nil {
		t.Fatal(err)
	}
	want := `{"status":"success","data":[{"pattern":"INFO GET /cart/\u003c_\u003e took \u003c_\u003e","level":"info","samples":[[1795168800,15],[1795168820,15]]},` +
		`{"pattern":"ERROR no connection to \u003c_\u003e","level":"error","samples":[[1795168800,5],[1795168820,5]]}]}`
	if got := body(f.get("patterns", with("query", `{app="shop"}`, "step", "20s")...)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := body(f.get("patterns", with("query", `{app="shop"} |= "ERROR"`, "step", "1m", "limit", "1")...)); strings.Contains(got, "cart") || !strings.Contains(got, "[1795168800,10]") {
		t.Errorf("got %s", got)
	}
	for _, bad := range [][]string{{"query", "1+1"}, {"query", "{"}, {"query", `{app="shop"}`, "step", "x"}, {"query", `{app="shop"}`, "start", "1", "end", "1795168800", "step", "1"}} {
		if w := f.get("patterns", bad...); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s, want 400", bad, w.Code, w.Body)
		}
	}
}

// Volumes of labels count the streams that have them all, by steps that begin at
// multiples of the step.
func TestVolumeTargets(t *testing.T) {
	f := newFixture(t)
	if err := f.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: stream("app", "alone"), Records: []tallyman.Record{{Time: start.UnixNano(), Line: []byte("0123456789")}}}}}); err != nil {
		t.Fatal(err)
	}
	check := func(want string, path string, pairs ...string) {
		t.Helper()
		if got := body(f.get(path, pairs...)); !strings.Contains(got, want) {
			t.Errorf("%s %q\ngot  %s\nwant … %s …", path, pairs, got, want)
		}
	}
	all := with("query", `{app=~".+"}`)
	check(`"result":[{"metric":{"app":"web","env":"dev"},"value":[1795172400,"350"]},{"metric":{"app":"web","env":"prod"},"value":[1795172400,"350"]}]`, "index/volume", with("query", `{app=~"web|alone"}`, "targetLabels", "app, env")...)
	check(`"result":[]`, "index/volume", append(all, "targetLabels", "app,nothing")...)
	check(`{"metric":{"app":"alone"},"value":[1795172400,"10"]}`, "index/volume", append(all, "targetLabels", "app,nothing", "partial", "true")...)
	check(`{"metric":{"app":"alone"},"value":[1795172400,"10"]}`, "index/volume", append(all, "targetLabels", "app")...)
	check(`{"metric":{"app":"alone"},"value":[1795172400,"10"]}`, "index/volume", with("query", `{app=~".+", env=~".*"}`)...)
	check(`"result":[{"metric":{"app":""},"value":[1795172400,"1050"]},{"metric":{"env":""},"value":[1795172400,"1050"]}]`, "index/volume", append(all, "targetLabels", "app,env", "aggregateBy", "labels")...)
	check(`"result":[]`, "index/volume_range", append(all, "targetLabels", "nothing", "step", "5m")...)
	check(`"values":[[1795168919.999,"35"],[1795169039.999,"70"],[1795169100,"35"]]`, "index/volume_range", "query", `{app="db"}`, "start", "1795168813", "end", "1795169100", "step", "120")
}

// What is no route answers as an API does, and not with the page.
func TestNoRoutes(t *testing.T) {
	gate, err := auth.Open(t.TempDir(), true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	store := recordtest.New()
	a := loki.New(loki.Options{Store: store, Engine: logql.New(store, logql.Options{}), Log: slog.New(slog.DiscardHandler)})
	ready := error(nil)
	s, err := api.New(api.Options{Gate: gate, Files: fstest.MapFS{"index.html": {Data: []byte("the page")}}, Routes: a.Routes(), Ready: func() error { return ready }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		r.Host = "localhost"
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, path := range []string{"/loki", "/loki/", "/loki/api/v1/nope", "/loki/api/v1/rules", "/api", "/api/", "/api/v1/nope", "/api/prom/query", "/-/nope", "/ready/x", "/prometheus/api/v1/query", "/otlp/v1/logs", "/metrics/x", "/config", "/services"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			if code, text := ask(method, path); code != http.StatusNotFound || !strings.Contains(text, "there is no such route") {
				t.Errorf("%s %s: %d %s, want a 404 of the API", method, path, code, text)
			}
		}
	}
	if code, text := ask("GET", "/logs"); code != http.StatusOK || text != "the page" {
		t.Errorf("the page: %d %s", code, text)
	}
	if code, _ := ask("POST", "/loki/api/v1/status/buildinfo"); code != http.StatusMethodNotAllowed {
		t.Errorf("a wrong method: %d, want 405", code)
	}
	if code, text := ask("GET", "/ready"); code != http.StatusOK || text != "ready\n" {
		t.Errorf("/ready: %d %s", code, text)
	}
	ready = errors.New("not yet")
	if code, text := ask("GET", "/ready"); code != http.StatusServiceUnavailable || !strings.Contains(text, "not yet") {
		t.Errorf("/ready: %d %s", code, text)
	}
}

// The routes stand beside those of the server and can be described.
func TestRoutesInTheServer(t *testing.T) {
	gate, err := auth.Open(t.TempDir(), true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	store := recordtest.New()
	a := loki.New(loki.Options{Store: store, Tailer: store, Engine: logql.New(store, logql.Options{}), Log: slog.New(slog.DiscardHandler),
		Push: func(context.Context, *tallyman.RecordBatch) error { return nil }})
	s, err := api.New(api.Options{Gate: gate, Files: fstest.MapFS{"index.html": {}, "login.html": {}}, Routes: a.Routes(), Ready: func() error { return nil }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	c, _, err := websocket.Dial(t.Context(), server.URL+"/loki/api/v1/tail?query="+url.QueryEscape(`{a="b"}`), nil)
	if err != nil {
		t.Errorf("a tail through the server: %v", err)
	} else {
		_ = c.CloseNow() // it is open
	}
	for _, r := range a.Routes() {
		if r.Doc.Summary == "" {
			t.Errorf("%s has no description", r.Pattern)
		}
	}
	if !bytes.Contains(s.OpenAPI(), []byte(`"/loki/api/v1/query_range"`)) {
		t.Error("the OpenAPI document lacks the routes")
	}
}
