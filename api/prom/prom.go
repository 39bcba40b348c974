// SPDX-License-Identifier: Apache-2.0

// Package prom is the Prometheus HTTP API over the metric store, so that
// Grafana's Prometheus data source, promtool and every other client work, and
// the page /metrics with everything known now.
//
// The API is Prometheus' own code (web/api/v1), mounted behind an allow-list
// of routes. Answered here are metadata, from the catalog, because the original
// knows that of scrape targets and there are none, and exemplars: there are none.
package prom

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// prometheusVersion is the release whose HTTP API is mounted. Clients such as
// Grafana tell from it what they may ask for.
const prometheusVersion = "3.15.0"

// Options are what the API answers from.
type Options struct {
	Query    *query.Engine
	Readings tallyman.Readings
	// CollectNow makes the latest readings those of this moment.
	CollectNow func(context.Context) error
	// Metrics are the descriptions by name.
	Metrics *tallyman.Descs
	// Rules are those of alarms; nil for none.
	Rules v1.RulesRetriever
	Log   *slog.Logger
}

// API answers.
type API struct {
	o          Options
	upstream   http.Handler
	exposition exposition
}

// New makes the API. Prometheus' part of it is made when it is first asked for:
// that takes 80 MB of garbage, which an agent that nobody asks can do without.
func New(o Options) *API {
	upstream := sync.OnceValue(func() http.Handler { return mount(o) })
	return &API{o: o, upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { upstream().ServeHTTP(w, r) })}
}

// mount makes Prometheus' API.
func mount(o Options) http.Handler {
	engine, parser, queryable, lookback := o.Query.PromQL()
	up := v1.NewAPI(
		engine, queryable,
		nil, nil, // nothing can be written here
		nil, // no exemplars; their route is answered here
		func(context.Context) v1.ScrapePoolsRetriever { return nothing{} },
		func(context.Context) v1.TargetRetriever { return nothing{} },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} },
		func() config.Config { return config.Config{} },
		map[string]string{},
		v1.GlobalURLOptions{},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		nil, "", false, // no administration of the store
		false, 0,
		o.Log,
		func(context.Context) v1.RulesRetriever {
			if o.Rules == nil {
				return nothing{}
			}
			return o.Rules
		},
		0, 0, 0,
		false,
		regexp.MustCompile(`^$`), // no other origin
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil },
		&v1.PrometheusVersion{Version: prometheusVersion},
		nil, nil,
		prometheus.NewRegistry(), prometheus.NewRegistry(),
		nil,
		false, nil,
		false, false, false,
		false,
		lookback,
		false, false,
		nil, nil,
		v1.OpenAPIOptions{},
		parser,
	)
	r := route.New()
	up.Register(r)
	return http.StripPrefix("/api/v1", r)
}

// Routes are the routes of the API; what is not among them does not exist.
func (a *API) Routes() []httpx.Route {
	var out []httpx.Route
	add := func(h http.Handler, path, see, summary string, methods ...string) {
		for _, m := range methods {
			out = append(out, httpx.Route{Pattern: m + " /api/v1/" + path, Handler: h, Doc: doc(path, see, summary)})
		}
	}
	add(a.upstream, "query", "#instant-queries", "An expression at one time", "GET", "POST")
	add(a.upstream, "query_range", "#range-queries", "An expression over a range of time", "GET", "POST")
	add(a.upstream, "series", "#finding-series-by-label-matchers", "The series that match", "GET", "POST")
	add(a.upstream, "labels", "#getting-label-names", "The names of labels", "GET", "POST")
	add(a.upstream, "format_query", "#formatting-query-expressions", "An expression, set in order", "GET", "POST")
	add(a.upstream, "label/{name}/values", "#querying-label-values", "The values of a label", "GET")
	add(a.upstream, "status/buildinfo", "#build-information", "The release of Prometheus whose API this is", "GET")
	// Clients that show exemplars ask for them without being asked; there are none.
	add(a.upstream, "rules", "#rules", "The rules of alarms, with their state", "GET")
	add(a.upstream, "alerts", "#alerts", "The alerts that are pending or fire", "GET")
	add(http.HandlerFunc(noExemplars), "query_exemplars", "#querying-exemplars", "The exemplars: none", "GET", "POST")
	add(http.HandlerFunc(a.metadata), "metadata", "#querying-metric-metadata", "Type, help and unit of each metric", "GET")
	return append(out, httpx.Route{Pattern: "GET /metrics", Handler: http.HandlerFunc(a.metrics), Doc: httpx.Doc{
		Summary: "All current values, in cAdvisor's and node_exporter's names",
		Text:    "In the text format, or as OpenMetrics for those who ask for it.",
		Type:    "text/plain", See: "https://prometheus.io/docs/instrumenting/exposition_formats/",
	}})
}

// doc describes a route whose full description is Prometheus'.
func doc(path, see, summary string) httpx.Doc {
	word := func(name, text string) httpx.Param { return httpx.Param{Name: name, Text: text} }
	const instant = "RFC 3339, or seconds since 1970"
	start, end := word("start", instant), word("end", instant)
	limit := httpx.Param{Name: "limit", Type: "integer", Text: "How many at most; 0 means all"}
	match := httpx.Param{Name: "match[]", Text: "A selector of series", Repeated: true}
	expression := httpx.Param{Name: "query", Text: "An expression in PromQL", Needed: true}
	d := httpx.Doc{Summary: summary, See: apiReference + see, Answer: answer{}, Failure: failure{}, Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity}}
	switch path {
	case "query":
		d.Params = []httpx.Param{expression, word("time", instant), word("timeout", "A duration"), limit}
	case "query_range":
		start.Needed, end.Needed = true, true
		d.Params = []httpx.Param{expression, start, end, {Name: "step", Text: "A duration, or seconds", Needed: true}, word("timeout", "A duration"), limit}
	case "query_exemplars":
		d.Params, d.Errors = []httpx.Param{expression, start, end}, nil
	case "series":
		match.Needed = true
		d.Params = []httpx.Param{match, start, end, limit}
	case "labels", "label/{name}/values":
		d.Params = []httpx.Param{match, start, end, limit}
	case "format_query":
		d.Params = []httpx.Param{expression}
	case "metadata":
		d.Params, d.Errors = []httpx.Param{word("metric", "Only this one"), limit}, []int{http.StatusBadRequest}
	default:
		d.Errors = nil
	}
	return d
}

const apiReference = "https://prometheus.io/docs/prometheus/latest/querying/api/"

// answer and failure are the envelope of Prometheus' API.
type answer struct {
	Status   string   `json:"status"`
	Data     any      `json:"data"`
	Warnings []string `json:"warnings,omitempty"`
	Infos    []string `json:"infos,omitempty"`
}

type failure struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
}

// noExemplars answers as a Prometheus that has none.
func noExemplars(w http.ResponseWriter, _ *http.Request) {
	httpx.WriteJSON(w, answer{Status: "success", Data: []string{}})
}

// metadata answers with type, help and unit of each metric, in Prometheus'
// form: an object by name, each with a list of one.
func (a *API) metadata(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		Type string `json:"type"`
		Help string `json:"help"`
		Unit string `json:"unit"`
	}
	limit := -1
	if s := r.FormValue("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"bad_data","error":"limit must be a number"}`))
			return
		}
		limit = n
	}
	all := a.o.Metrics.All()
	names := make([]string, 0, len(all))
	for n := range all {
		if only := r.FormValue("metric"); only == "" || only == n {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	if limit >= 0 && limit < len(names) {
		names = names[:limit]
	}
	data := map[string][]entry{}
	for _, n := range names {
		d := all[n]
		data[n] = []entry{{d.Type.String(), d.Help, d.Unit}}
	}
	httpx.WriteJSON(w, map[string]any{"status": "success", "data": data})
}

// nothing stands for the parts of Prometheus that tallyman does not have.
type nothing struct{}

func (nothing) ScrapePools() []string                       { return nil }
func (nothing) TargetsActive() map[string][]*scrape.Target  { return nil }
func (nothing) TargetsDropped() map[string][]*scrape.Target { return nil }
func (nothing) TargetsDroppedCounts() map[string]int        { return nil }
func (nothing) ScrapePoolConfig(string) (*config.ScrapeConfig, error) {
	return nil, tallyman.ErrNotFound
}
func (nothing) Alertmanagers() []*url.URL            { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL     { return nil }
func (nothing) RuleGroups() []*rules.Group           { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule { return nil }

// freshWithin is how long a reader of /metrics waits for a round of this
// moment before it gets the latest one.
const freshWithin = time.Second
