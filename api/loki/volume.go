// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// statsAnswer is how much streams hold.
type statsAnswer struct {
	Streams int64 `json:"streams"`
	Chunks  int64 `json:"chunks"`
	Bytes   int64 `json:"bytes"`
	Entries int64 `json:"entries"`
}

func (a *API) stats(w http.ResponseWriter, r *http.Request) error {
	matchers, err := selectorOf(r.FormValue("query"))
	if err != nil {
		return err
	}
	start, end, err := span(r, defaultSince)
	if err != nil {
		return err
	}
	volumes, err := a.o.Store.Volume(r.Context(), matchers, start, end)
	if err != nil {
		return err
	}
	var out statsAnswer
	for _, v := range volumes {
		out.Streams++
		out.Chunks += v.Chunks
		out.Bytes += v.Bytes
		out.Entries += v.Records
	}
	httpx.WriteJSON(w, out)
	return nil
}

// selectorOf is the selector of a query, which may be one alone: of {a="b"} |=
// "c" the streams are counted.
func selectorOf(query string) ([]tallyman.Matcher, error) {
	if strings.TrimSpace(query) == "" {
		return nil, badRequest("query is missing; give a selector such as {name=\"web\"}, or {} for all")
	}
	if m, err := logql.ParseSelector(query); err == nil {
		return m, nil
	}
	e, err := logql.Parse(query)
	if err != nil {
		return nil, err
	}
	if l, ok := e.(*logql.Log); ok {
		return l.Matchers, nil
	}
	return nil, badRequest("a selector is needed here, not a metric query")
}

// volumeQuery says what volumes are wanted.
type volumeQuery struct {
	matchers []tallyman.Matcher
	targets  []string // labels that are told apart; nil is all
	all      bool     // whether only streams with all of them count
	byName   bool
	limit    int
	start    int64 // in nanoseconds, as end, which is not part of it
	end      int64
}

func readVolumeQuery(r *http.Request) (q volumeQuery, err error) {
	if q.start, q.end, err = span(r, defaultSince); err != nil {
		return q, err
	}
	if q.matchers, err = selectorOf(r.FormValue("query")); err != nil {
		return q, err
	}
	if q.limit, err = limit(r, "limit", defaultLimit); err != nil {
		return q, err
	}
	switch r.FormValue("aggregateBy") {
	case "", "series":
	case "labels":
		q.byName = true
	default:
		return q, badRequest("aggregateBy is series or labels")
	}
	if s := r.FormValue("targetLabels"); s != "" {
		// As in Loki a stream without one of them does not count, unless asked for.
		q.all = r.FormValue("partial") != "true"
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(q.targets, name) {
				q.targets = append(q.targets, name)
			}
		}
	} else if !q.byName {
		for _, m := range q.matchers {
			q.targets = append(q.targets, m.Name)
		}
	}
	return q, nil
}

// volumes are the bytes by labels in a range, the largest first.
func (a *API) volumes(ctx context.Context, q volumeQuery, start, end int64) ([]*logql.Series, error) {
	list, err := a.o.Store.Volume(ctx, q.matchers, start, end)
	if err != nil {
		return nil, err
	}
	found := map[string]*logql.Series{}
	var out []*logql.Series
	count := func(l logql.Labels, bytes int64) {
		key := l.String()
		s := found[key]
		if s == nil {
			s = &logql.Series{Labels: l, Points: []logql.Point{{Time: end / int64(time.Millisecond)}}}
			found[key] = s
			out = append(out, s)
		}
		s.Points[0].Value += float64(bytes)
	}
	for _, v := range list {
		if q.all && slices.ContainsFunc(q.targets, func(name string) bool { return v.Stream.Label(name) == "" }) {
			continue
		}
		var labels logql.Labels
		for _, l := range v.Stream.Labels {
			if q.targets != nil && !slices.Contains(q.targets, l.Name) {
				continue
			}
			if q.byName {
				count(logql.Labels{{Name: l.Name}}, v.Bytes)
			}
			labels = append(labels, l)
		}
		if !q.byName && len(labels) > 0 {
			count(labels, v.Bytes)
		}
	}
	slices.SortStableFunc(out, func(a, b *logql.Series) int {
		if x, y := a.Points[0].Value, b.Points[0].Value; x != y {
			return cmp.Compare(y, x)
		}
		return strings.Compare(a.Labels.String(), b.Labels.String())
	})
	return out[:min(len(out), q.limit)], nil
}

func (a *API) volume(w http.ResponseWriter, r *http.Request) error {
	q, err := readVolumeQuery(r)
	if err != nil {
		return err
	}
	list, err := a.volumes(r.Context(), q, q.start, q.end)
	if err != nil {
		return err
	}
	result := &logql.Result{Kind: logql.InstantVector}
	for _, s := range list {
		result.Series = append(result.Series, *s)
	}
	httpx.WriteJSON(w, queryAnswer{"success", data(result, nil, false)})
	return nil
}

// maxVolumes is how many points a volume_range may have: each is a question to
// the store.
const maxVolumes = 1000

func (a *API) volumeRange(w http.ResponseWriter, r *http.Request) error {
	q, err := readVolumeQuery(r)
	if err != nil {
		return err
	}
	wide, err := step(r, q.start, q.end)
	if err != nil {
		return err
	}
	if (q.end-q.start)/int64(wide) > maxVolumes {
		return badRequest("there would be more than 1000 points; ask for a longer step")
	}
	// Those that are largest over all are shown at each step.
	whole, err := a.volumes(r.Context(), q, q.start, q.end)
	if err != nil {
		return err
	}
	shown := map[string]*logql.Series{}
	for _, s := range whole {
		s.Points = nil
		shown[s.Labels.String()] = s
	}
	all := q
	all.limit = maxListed
	// As in Loki the steps begin at multiples of the step, whenever the range does,
	// and a value stands at the end of its step.
	for t, last := q.start, int64(0); t < q.end; t = last {
		last = min(t-t%int64(wide)+int64(wide), q.end)
		at := last / int64(time.Millisecond)
		if last < q.end {
			at--
		}
		list, err := a.volumes(r.Context(), all, t, last)
		if err != nil {
			return err
		}
		for _, s := range list {
			if have := shown[s.Labels.String()]; have != nil {
				have.Points = append(have.Points, logql.Point{Time: at, Value: s.Points[0].Value})
			}
		}
	}
	result := &logql.Result{Kind: logql.Matrix}
	for _, s := range whole {
		if len(s.Points) > 0 {
			result.Series = append(result.Series, *s)
		}
	}
	httpx.WriteJSON(w, queryAnswer{"success", data(result, nil, false)})
	return nil
}
