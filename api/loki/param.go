// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// What a request means that does not say.
const (
	defaultLimit  = 100
	defaultSince  = time.Hour
	labelsSince   = 6 * time.Hour
	defaultPoints = 250
)

// paramDocs describe the parameters.
var paramDocs = map[string]httpx.Param{
	"query":        {Text: "A query or a selector in LogQL"},
	"match[]":      {Text: "A selector of streams", Repeated: true},
	"time":         {Text: "Nanoseconds or seconds since 1970, or RFC 3339; now"},
	"start":        {Text: "Nanoseconds or seconds since 1970, or RFC 3339"},
	"end":          {Text: "The same; now"},
	"since":        {Text: "A duration: the start is so long before the end"},
	"step":         {Text: "A duration, or seconds"},
	"interval":     {Text: "A duration, or seconds: of the lines of a log query within it only the first is given"},
	"limit":        {Text: "How many at most", Type: "integer", Default: defaultLimit},
	"line_limit":   {Text: "How many lines are looked at", Type: "integer", Default: 1000},
	"direction":    {Text: "Whether the newest or the oldest lines come first", Values: []string{"backward", "forward"}, Default: "backward"},
	"partial":      {Text: "true: streams that lack some of targetLabels count too, by those that they have (not in Loki)"},
	"targetLabels": {Text: "Names of labels with commas between them; those of the query's matchers"},
	"aggregateBy":  {Text: "Whether values or names of labels are told apart", Values: []string{"series", "labels"}, Default: "series"},
	"delay_for":    {Text: "Is taken and means nothing: lines come when they are stored", Type: "integer"},
}

// params describes parameters by their names; those with ! are needed.
func params(names ...string) (out []httpx.Param) {
	for _, n := range names {
		name, needed := strings.CutSuffix(n, "!")
		p := paramDocs[name]
		p.Name, p.Needed = name, needed
		out = append(out, p)
	}
	return out
}

// parseTime reads a time as Loki does: a number with a point is seconds, one
// without is seconds when it has up to ten digits and nanoseconds else.
func parseTime(s string) (int64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && strings.Contains(s, ".") {
		if math.Abs(f) > 1e10 {
			return 0, false
		}
		whole, part := math.Modf(f)
		return int64(whole)*int64(time.Second) + int64(math.Round(part*1000))*int64(time.Millisecond), true
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) <= 10 {
			return n * int64(time.Second), true
		}
		return n, true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1700 || t.Year() > 2200 {
		return 0, false
	}
	return t.UnixNano(), true
}

func timeParam(r *http.Request, name string, fallback int64) (int64, error) {
	s := r.FormValue(name)
	if s == "" {
		return fallback, nil
	}
	t, ok := parseTime(s)
	if !ok {
		return 0, badRequest(name + " is no time: " + strconv.Quote(s) + "; give nanoseconds since 1970, seconds, or RFC 3339")
	}
	return t, nil
}

// span reads start and end, or since.
func span(r *http.Request, since time.Duration) (start, end int64, err error) {
	now := time.Now().UnixNano()
	if end, err = timeParam(r, "end", now); err != nil {
		return 0, 0, err
	}
	if s := r.FormValue("since"); s != "" {
		d, ok := logql.ParseDuration(s)
		if !ok {
			return 0, 0, badRequest("since is no duration: " + strconv.Quote(s))
		}
		since = d
	}
	// Loki counts back from now when the end lies in the future.
	if start, err = timeParam(r, "start", min(end, now)-int64(since)); err != nil {
		return 0, 0, err
	}
	if end < start {
		return 0, 0, badRequest("end timestamp must not be before or equal to start time")
	}
	if start == end { // that time itself
		end++
	}
	return start, end, nil
}

// durationParam reads a duration, or seconds.
func durationParam(r *http.Request, name string) (time.Duration, error) {
	s := r.FormValue(name)
	if s == "" {
		return 0, nil
	}
	d, ok := logql.ParseDuration(s)
	if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1e9 {
		d, ok = time.Duration(f*float64(time.Second)), true
	}
	if !ok || d < 0 {
		return 0, badRequest(name + " is no duration: " + strconv.Quote(s) + "; give 30s, or seconds")
	}
	return d, nil
}

// step reads step, by default such that there are about 250 points.
func step(r *http.Request, start, end int64) (time.Duration, error) {
	d, err := durationParam(r, "step")
	if err != nil {
		return 0, err
	}
	if r.FormValue("step") == "" {
		return time.Duration(max((end-start)/int64(time.Second)/defaultPoints, 1)) * time.Second, nil
	}
	if d == 0 {
		return 0, badRequest("zero or negative query resolution step widths are not accepted. Try a positive integer")
	}
	return d, nil
}

func limit(r *http.Request, name string, fallback int) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, badRequest(name + " must be a positive number, not " + strconv.Quote(s))
	}
	if n == 0 {
		return fallback, nil
	}
	return n, nil
}

func backward(r *http.Request) (bool, error) {
	switch strings.ToLower(r.FormValue("direction")) {
	case "", "backward":
		return true, nil
	case "forward":
		return false, nil
	}
	return false, badRequest("direction is backward or forward, not " + strconv.Quote(r.FormValue("direction")))
}
