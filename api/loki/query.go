// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// queryAnswer is the answer of a query.
type queryAnswer struct {
	Status string    `json:"status"`
	Data   queryData `json:"data"`
}

type queryData struct {
	// ResultType is streams, vector, matrix or scalar.
	ResultType    string   `json:"resultType"`
	EncodingFlags []string `json:"encodingFlags,omitempty"`
	Result        any      `json:"result"`
	Stats         stats    `json:"stats"`
}

// stats are those of Loki that there is something to say about.
type stats struct {
	Summary  summary `json:"summary"`
	Querier  reading `json:"querier"`
	Ingester reading `json:"ingester"`
}

type summary struct {
	BytesPerSecond int64   `json:"bytesProcessedPerSecond"`
	LinesPerSecond int64   `json:"linesProcessedPerSecond"`
	Bytes          int64   `json:"totalBytesProcessed"`
	Lines          int64   `json:"totalLinesProcessed"`
	ExecTime       float64 `json:"execTime"`
	QueueTime      float64 `json:"queueTime"`
	Subqueries     int64   `json:"subqueries"`
	Entries        int64   `json:"totalEntriesReturned"`
	Splits         int64   `json:"splits"`
	Shards         int64   `json:"shards"`
	PostFilter     int64   `json:"totalPostFilterLines"`
	Metadata       int64   `json:"totalStructuredMetadataBytesProcessed"`
}

type (
	reading struct {
		Store storeStats `json:"store"`
	}
	storeStats struct {
		Chunk chunkStats `json:"chunk"`
	}
	chunkStats struct {
		Bytes int64 `json:"decompressedBytes"`
		Lines int64 `json:"decompressedLines"`
	}
)

func statsOf(s logql.Stats) (out stats) {
	seconds := max(s.Exec.Seconds(), 1e-9)
	out.Summary = summary{
		BytesPerSecond: int64(float64(s.Bytes) / seconds), LinesPerSecond: int64(float64(s.Lines) / seconds),
		Bytes: s.Bytes, Lines: s.Lines, ExecTime: s.Exec.Seconds(), QueueTime: s.Queue.Seconds(), Entries: s.Entries,
	}
	out.Querier.Store.Chunk = chunkStats{s.Bytes, s.Lines}
	return out
}

// Results in Loki's form.
type (
	streamResult struct {
		Stream map[string]string `json:"stream"`
		// Values are [nanoseconds, line] or [nanoseconds, line, categories].
		Values [][]any `json:"values"`
		key    string  // what they are sorted by
	}
	vectorResult struct {
		Metric map[string]string `json:"metric"`
		Value  point             `json:"value"`
	}
	matrixResult struct {
		Metric map[string]string `json:"metric"`
		Values []point           `json:"values"`
	}
	// categories are the labels of a line that are not its stream's.
	categories struct {
		Metadata map[string]string `json:"structuredMetadata,omitempty"`
		Parsed   map[string]string `json:"parsed,omitempty"`
	}
)

// point is [seconds, "value"].
type point struct{ logql.Point }

// MarshalJSON writes the time in seconds and the value as a text.
func (p point) MarshalJSON() ([]byte, error) {
	b := strconv.AppendInt([]byte{'['}, p.Time/1000, 10)
	if ms := p.Time % 1000; ms != 0 {
		b = append(b, '.')
		b = append(b, strings.TrimRight(strconv.Itoa(1000 + int(ms))[1:], "0")...)
	}
	b = append(b, `,"`...)
	b = strconv.AppendFloat(b, p.Value, 'f', -1, 64)
	return append(b, `"]`...), nil
}

// query answers a metric query at one time.
func (a *API) query(w http.ResponseWriter, r *http.Request) error {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	if _, ok := e.(*logql.Log); ok {
		return badRequest("log queries are not supported as an instant query type, please change your query to a range query type")
	}
	at, err := timeParam(r, "time", time.Now().UnixNano())
	if err != nil {
		return err
	}
	return a.evaluate(w, r, e, logql.Params{Start: at, End: at})
}

// queryRange answers a query over a range of time.
func (a *API) queryRange(w http.ResponseWriter, r *http.Request) error {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	var p logql.Params
	if p.Start, p.End, err = span(r, defaultSince); err != nil {
		return err
	}
	if p.Step, err = step(r, p.Start, p.End); err != nil {
		return err
	}
	if p.Limit, err = limit(r, "limit", defaultLimit); err != nil {
		return err
	}
	if p.Interval, err = durationParam(r, "interval"); err != nil {
		return err
	}
	if p.Backward, err = backward(r); err != nil {
		return err
	}
	return a.evaluate(w, r, e, p)
}

func (a *API) evaluate(w http.ResponseWriter, r *http.Request, e logql.Expr, p logql.Params) error {
	result, err := a.o.Engine.Evaluate(r.Context(), e, p)
	if err != nil {
		return err
	}
	var flags []string
	categorize := wantsCategories(r)
	if categorize {
		flags = []string{categorizeFlag}
	}
	httpx.WriteJSON(w, queryAnswer{"success", data(result, flags, categorize)})
	return nil
}

const categorizeFlag = "categorize-labels"

// wantsCategories tells from the header whether the labels of lines are to be
// kept apart.
func wantsCategories(r *http.Request) bool {
	for _, h := range r.Header.Values("X-Loki-Response-Encoding-Flags") {
		if slices.ContainsFunc(strings.Split(h, ","), func(f string) bool { return strings.TrimSpace(f) == categorizeFlag }) {
			return true
		}
	}
	return false
}

func data(result *logql.Result, flags []string, categorize bool) queryData {
	d := queryData{EncodingFlags: flags, Stats: statsOf(result.Stats)}
	switch result.Kind {
	case logql.Streams:
		d.ResultType, d.Result = "streams", streamsOf(result.Entries, categorize)
	case logql.Scalar:
		d.ResultType, d.Result = "scalar", point{result.Series[0].Points[0]}
	case logql.InstantVector:
		d.ResultType = "vector"
		list := []vectorResult{}
		for _, s := range result.Series {
			list = append(list, vectorResult{s.Labels.Map(), point{s.Points[0]}})
		}
		d.Result = list
	default:
		d.ResultType = "matrix"
		list := []matrixResult{}
		for _, s := range result.Series {
			one := matrixResult{Metric: s.Labels.Map()}
			for _, p := range s.Points {
				one.Values = append(one.Values, point{p})
			}
			list = append(list, one)
		}
		d.Result = list
	}
	return d
}

// streamsOf puts the entries under their labels: all of them, or (categorize)
// those of the stream, with the others beside each line. The streams are sorted
// by their labels, the lines of each as they were.
func streamsOf(entries []logql.Entry, categorize bool) []*streamResult {
	out := []*streamResult{}
	bySet := map[*logql.LabelSet]*streamResult{}
	byLabels := map[string]*streamResult{}
	for i := range entries {
		e := &entries[i]
		s, ok := bySet[e.Labels]
		if !ok {
			labels := e.Labels.All
			if categorize {
				labels = e.Labels.Stream
			}
			key := labels.String()
			if s = byLabels[key]; s == nil {
				s = &streamResult{Stream: labels.Map(), key: key}
				byLabels[key] = s
				out = append(out, s)
			}
			bySet[e.Labels] = s
		}
		value := []any{strconv.FormatInt(e.Time, 10), e.Line}
		if categorize {
			value = append(value, categories{e.Labels.Meta.Map(), e.Labels.Parsed.Map()})
		}
		s.Values = append(s.Values, value)
	}
	slices.SortFunc(out, func(a, b *streamResult) int { return strings.Compare(a.key, b.key) })
	return out
}
