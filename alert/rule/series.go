// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"tallyman/alert/problem"
)

// The names of the series that problems are.
const (
	containerProblem = "container_problem"
	engineProblem    = "engine_problem"
	hostProblem      = "host_problem"
)

// withProblems is a store that has the open problems too.
type withProblems struct {
	storage.Queryable
	open func() []problem.Problem
}

// Querier finds in the store, and the series of problems among those that are open.
func (q withProblems) Querier(from, to int64) (storage.Querier, error) {
	inner, err := q.Queryable.Querier(from, to)
	if err != nil {
		return nil, err
	}
	return &querier{inner, q, to}, nil
}

type querier struct {
	storage.Querier
	of withProblems
	to int64
}

// Select gives every open problem as a series with one sample, at the end of the range.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	i := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual })
	if i < 0 || !slices.Contains([]string{containerProblem, engineProblem, hostProblem}, matchers[i].Value) {
		return q.Querier.Select(ctx, sorted, hints, matchers...)
	}
	at := q.to
	if hints != nil {
		at = hints.End
	}
	set := &problemSet{at: -1}
	for _, p := range q.of.open() {
		l := Labels(&p)
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) }) {
			continue
		}
		set.series = append(set.series, promql.NewStorageSeries(promql.Series{Metric: l, Floats: []promql.FPoint{
			{T: at, F: openFor(&p, at)},
		}}))
	}
	slices.SortFunc(set.series, func(a, b *promql.StorageSeries) int { return labels.Compare(a.Labels(), b.Labels()) })
	return set
}

// Labels are those of the series that a problem is.
func Labels(p *problem.Problem) labels.Labels {
	if p.Kind == problem.DiskFull {
		return labels.FromStrings(model.MetricNameLabel, hostProblem, "kind", string(p.Kind), "host", p.Host)
	}
	if p.Kind == problem.EngineDown || p.Kind == problem.HostSilent {
		return labels.FromStrings(model.MetricNameLabel, engineProblem, "kind", string(p.Kind), "host", p.Host, "engine", p.Engine)
	}
	return labels.FromStrings(model.MetricNameLabel, containerProblem, "kind", string(p.Kind), "class", p.Class, "host", p.Host, "workload", clean(p.Workload), "project", clean(p.Project))
}

// openFor is for how many seconds a problem is open at a time in milliseconds.
func openFor(p *problem.Problem, at int64) float64 {
	return max(0, float64(at-p.Since.UnixMilli())/1000)
}

func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// problemSet gives one series after the other.
type problemSet struct {
	series []*promql.StorageSeries
	at     int
}

func (s *problemSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *problemSet) At() storage.Series                { return s.series[s.at] }
func (s *problemSet) Err() error                        { return nil }
func (s *problemSet) Warnings() annotations.Annotations { return nil }
