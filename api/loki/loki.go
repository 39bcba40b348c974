// SPDX-License-Identifier: Apache-2.0

// Package loki is Loki's HTTP API over the record store, so that Grafana's Loki
// data source, logcli and whoever pushes to Loki work.
//
//	a := loki.New(loki.Options{Store: records, Tailer: records, Engine: logql.New(records, logql.Options{}), Log: log})
//	routes = append(routes, a.Routes()...)
//
// Times are nanoseconds since 1970 in a string, seconds (with a fraction too),
// or RFC 3339. Errors are text with a status, as Loki sends them: 400 for what
// the client can mend, 504 for what takes too long. With the header
// X-Loki-Response-Encoding-Flags: categorize-labels each line has its structured
// metadata and its parsed labels beside it; without, they are among the labels
// of its stream.
//
// Records are taken (push, in protobuf or JSON) only when Options.Push is set.
// Bodies, streams, labels and lines are bounded. Streams and lines that are bad
// are left out and answered with 400, the others are stored; a body that cannot
// be read is refused as a whole. A line that is stored already is not stored
// again.
package loki

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"time"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// lokiVersion is the release whose HTTP API this is. Clients such as Grafana
// tell from it what they may ask for.
const lokiVersion = "3.7.8"

// Options are what the API answers from. Store, Engine and Log are needed.
type Options struct {
	Store  tallyman.RecordReader
	Engine *logql.Engine
	// Tailer is for the live tail; without it there is none.
	Tailer tallyman.RecordTailer
	// Push takes what is pushed and returns when it is stored; without it
	// there is no push. An error is a 503 with its text.
	Push func(context.Context, *tallyman.RecordBatch) error
	// Reserved are values of the label source that are tallyman's own: what is
	// pushed has them as exported_source.
	Reserved []string
	// Agents take what comes with a token of the role writer; nil for none.
	Agents Agents
	Log    *slog.Logger
}

// Agents take what agents of other hosts push, each with a token that is bound to its host.
// The label host is set from it, and the label source stays as it is.
type Agents interface {
	// Admit says whether the agent of a host may send a body of so many bytes. With an error
	// it may not: never when after is 0, else again after that time.
	Admit(host string, bytes int) (after time.Duration, err error)
	// TakeRecords stores records. Those that it refuses it takes out and counts; why is about
	// the first. An error says that nothing is stored.
	TakeRecords(ctx context.Context, host string, b *tallyman.RecordBatch) (refused int, why string, err error)
	// RefuseRecords counts records that were refused before: those of streams of another
	// host, of audit, and such as cannot be.
	RefuseRecords(foreign, audit, bad int)
}

// API answers.
type API struct {
	o       Options
	tails   chan struct{} // as many as may run
	streams interner
	pushing turns
}

// New makes the API.
func New(o Options) *API {
	return &API{o: o, tails: make(chan struct{}, maxTails), pushing: turns{seed: maphash.MakeSeed()}}
}

const reference = "https://grafana.com/docs/loki/latest/reference/loki-http-api/"

// Routes are the routes of the API.
func (a *API) Routes() []httpx.Route {
	var out []httpx.Route
	add := func(h handler, path, see string, d httpx.Doc, methods ...string) {
		d.See = reference + see
		d.Failure, d.Errors = "", []int{http.StatusBadRequest, http.StatusGatewayTimeout}
		for _, m := range methods {
			out = append(out, httpx.Route{Pattern: m + " /loki/api/v1/" + path, Handler: a.handle(h), Doc: d})
		}
	}
	add(a.query, "query", "#query-logs-at-a-single-point-in-time", httpx.Doc{Summary: "A metric query at one time",
		Text: "A log query needs a range of time: query_range.", Answer: queryAnswer{}, Params: params("query!", "time", "limit", "direction")}, "GET", "POST")
	add(a.queryRange, "query_range", "#query-logs-within-a-range-of-time", httpx.Doc{Summary: "A log or metric query over a range of time",
		Answer: queryAnswer{}, Params: params("query!", "start", "end", "since", "step", "interval", "limit", "direction")}, "GET", "POST")
	add(a.labels, "labels", "#query-labels", httpx.Doc{Summary: "The names of the labels of streams", Answer: listAnswer{}, Params: params("start", "end", "since", "query")}, "GET", "POST")
	add(a.labels, "label", "#query-labels", httpx.Doc{Summary: "The same under its older name", Answer: listAnswer{}, Params: params("start", "end", "since", "query")}, "GET", "POST")
	add(a.values, "label/{name}/values", "#query-label-values", httpx.Doc{Summary: "The values of a label of streams", Answer: listAnswer{}, Params: params("start", "end", "since", "query")}, "GET")
	add(a.series, "series", "#query-streams", httpx.Doc{Summary: "The streams that match", Answer: seriesAnswer{}, Params: params("match[]", "start", "end", "since")}, "GET", "POST")
	add(a.stats, "index/stats", "#query-log-statistics", httpx.Doc{Summary: "How much the streams hold that match", Answer: statsAnswer{}, Params: params("query!", "start", "end", "since")}, "GET", "POST")
	add(a.volume, "index/volume", "#query-log-volume", httpx.Doc{Summary: "How many bytes the streams hold, by labels", Answer: queryAnswer{},
		Params: params("query!", "start", "end", "since", "limit", "targetLabels", "partial", "aggregateBy")}, "GET", "POST")
	add(a.volumeRange, "index/volume_range", "#query-log-volume", httpx.Doc{Summary: "How many bytes the streams hold, by labels and time", Answer: queryAnswer{},
		Params: params("query!", "start", "end", "since", "step", "limit", "targetLabels", "partial", "aggregateBy")}, "GET", "POST")
	add(a.detectedLabels, "detected_labels", "", httpx.Doc{Summary: "The labels of streams with how many values they have", Answer: detectedLabels{},
		Params: params("query", "start", "end", "since")}, "GET", "POST")
	add(a.detectedFields, "detected_fields", "", httpx.Doc{Summary: "What the lines of a query hold: names, types, parsers", Answer: detectedFields{},
		Params: params("query!", "start", "end", "since", "limit", "line_limit")}, "GET", "POST")
	add(a.detectedValues, "detected_field/{name}/values", "", httpx.Doc{Summary: "The values of something that the lines of a query hold", Answer: fieldValues{},
		Params: params("query!", "start", "end", "since", "limit", "line_limit")}, "GET", "POST")
	add(a.patterns, "patterns", "#patterns-detection", httpx.Doc{Summary: "The kinds of lines of a log query, and how many there are of each by time",
		Text: "In a pattern <_> stands for what differs from line to line.", Answer: patternsAnswer{}, Params: params("query!", "start", "end", "since", "step", "limit")}, "GET", "POST")
	add(a.format, "format_query", "#format-a-logql-query", httpx.Doc{Summary: "A query, set in order", Answer: textAnswer{}, Params: params("query!")}, "GET", "POST")
	add(buildInfo, "status/buildinfo", "#list-build-information", httpx.Doc{Summary: "The release of Loki whose API this is", Answer: build{}}, "GET")
	if a.o.Tailer != nil {
		out = append(out, httpx.Route{Pattern: "GET /loki/api/v1/tail", Stream: true, Handler: http.HandlerFunc(a.tail), Doc: httpx.Doc{
			Summary: "Lines as they come in, over a WebSocket", Text: "The newest lines come first, in the order of their times; then each as it is stored.",
			See: reference + "#stream-logs", Status: http.StatusSwitchingProtocols, Type: "application/json",
			Params: params("query!", "start", "limit", "delay_for"), Errors: []int{http.StatusBadRequest, http.StatusTooManyRequests}, Failure: "",
		}})
	}
	if a.o.Push != nil || a.o.Agents != nil {
		access := httpx.LoggedIn
		switch {
		case a.o.Push == nil:
			access = httpx.WritersOnly
		case a.o.Agents != nil:
			access = httpx.WritersToo
		}
		for _, path := range []string{"/loki/api/v1/push", "/api/prom/push"} {
			out = append(out, httpx.Route{Pattern: "POST " + path, Access: access, Handler: a.handle(a.push), Doc: httpx.Doc{
				Summary: "Store lines", Text: "The body is JSON as shown, gzip or not, or Loki's protobuf message compressed with snappy (application/x-protobuf). It is answered when the lines are stored. " +
					"A 400 says what is bad; the streams and lines that are not are stored. A line that is there already, with its time and metadata, is kept once. " +
					"With the token of an agent the label host is set from it, streams of another host are refused, and the label source stays as it is.",
				See: reference + "#ingest-logs", Status: http.StatusNoContent, Body: pushBody{},
				Errors: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}, Failure: "",
			}})
		}
	}
	return out
}

// handler answers or returns an error.
type handler func(http.ResponseWriter, *http.Request) error

// statusError is an error with a status of its own.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

func badRequest(message string) error { return &statusError{http.StatusBadRequest, message} }

// maxForm bounds the form of a POST.
const maxForm = 1 << 20

// handle reads the form and sends errors as Loki does.
func (a *API) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		}
		if err := h(w, r); err != nil {
			a.fail(w, r, err)
		}
	})
}

// clientGone is the status for a client that does not wait; nobody sees it.
const clientGone = 499

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var q *logql.Error
	var s *statusError
	switch {
	case errors.As(err, &q) && q.Kind == logql.TooLong:
		status = http.StatusGatewayTimeout
	case errors.As(err, &q):
		status = http.StatusBadRequest
	case errors.As(err, &s):
		status = s.status
	case r.Context().Err() != nil:
		status = clientGone
	default:
		a.o.Log.Error("a query of logs failed", "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error()) // a client that has gone needs no answer
}

// build is the answer of status/buildinfo.
type build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

func buildInfo(w http.ResponseWriter, _ *http.Request) error {
	httpx.WriteJSON(w, build{Version: lokiVersion})
	return nil
}

// format answers with a query as it is printed.
func (a *API) format(w http.ResponseWriter, r *http.Request) error {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, textAnswer{"success", e.String()})
	return nil
}

// answers around a value.
type (
	textAnswer struct {
		Status string `json:"status"`
		Data   string `json:"data"`
	}
	listAnswer struct {
		Status string   `json:"status"`
		Data   []string `json:"data"`
	}
	seriesAnswer struct {
		Status string              `json:"status"`
		Data   []map[string]string `json:"data"`
	}
)
