// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
)

// Trial is what a rule would have done over a time, by the samples, logs and problems that
// are stored.
type Trial struct {
	Group    string
	Interval time.Duration
	Rule     *rules.AlertingRule
	// Start and End are the time that was looked at. Cut is set when there was no time
	// for more.
	Start, End time.Time
	Cut        bool
	// Fired is how often it would have fired, for any set of labels; Waited how often
	// it would have been pending only.
	Fired, Waited int
	// Lasted is for how long it would have fired in all.
	Lasted time.Duration
	// Episodes are the newest ones, the newest last.
	Episodes []Episode
}

// Episode is one time that a rule would have fired for one set of labels.
type Episode struct {
	Labels map[string]string
	// Active is since when its condition held, Ended zero for one that fires at the end.
	Active, Fired, Ended time.Time
}

// Bounds of trials.
const (
	// MaxTrial is the longest time that one looks at.
	MaxTrial      = 31 * 24 * time.Hour
	trialPart     = 6 * time.Hour // that is asked at once
	trialPatience = 30 * time.Second
	maxEpisodes   = 100
)

// ErrNoRule is what Try says of a name that no rule has.
var ErrNoRule = errors.New("there is no such rule")

// Try tells how often the rules of a name would have fired from start to end: their
// expressions are evaluated at each interval of their group, with the time that they wait
// and that they go on, and with what workloads ask now. One is tried at a time; the others
// wait. After half a minute it tells what it has so far.
func (e *Engine) Try(ctx context.Context, name string, start, end time.Time) (out []Trial, err error) {
	select {
	case e.trial <- struct{}{}:
		defer func() { <-e.trial }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, trialPatience)
	defer cancel()
	for _, g := range e.RuleGroups() {
		for _, r := range g.AlertingRules() {
			if r.Name() != name {
				continue
			}
			from := start.Truncate(g.Interval())
			t := &trial{e: e, Trial: Trial{Group: g.Name(), Interval: g.Interval(), Rule: r, Start: from, End: from}, at: map[uint64]int{}}
			if err := t.run(ctx, end); err != nil {
				return nil, fmt.Errorf("try the rule %s: %w", name, err)
			}
			out = append(out, t.Trial)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoRule
	}
	return out, nil
}

// trial is one rule while it is tried.
type trial struct {
	Trial
	e  *Engine
	at map[uint64]int // episodes that go on, by the hash of their labels; -1 for one that waits
}

// run goes through the time in parts. A copy of the rule does what the rule would.
func (t *trial) run(ctx context.Context, end time.Time) error {
	r := t.Rule
	again := rules.NewAlertingRule(r.Name(), r.Query(), r.HoldDuration(), r.KeepFiringFor(), r.Labels(), labels.EmptyLabels(), t.e.o.ExternalLabels, "", false, t.e.o.Log)
	for from := t.Start; !from.After(end); {
		to := from.Add((trialPart/t.Interval - 1) * t.Interval)
		if t.Interval > trialPart {
			to = from
		}
		to = minTime(to, end)
		series, err := wished(t.e, r.Name(), r.Query().String(), func(expr string) ([]promql.Series, error) { return t.e.askRange(ctx, expr, from, to, t.Interval) },
			func(s promql.Series) labels.Labels { return s.Metric })
		if err == nil {
			err = t.evaluate(ctx, again, series, from, to)
		}
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Cut = true
			break
		}
		if err != nil {
			return err
		}
		from = t.End.Add(t.Interval)
	}
	for _, i := range t.at {
		if i >= 0 {
			t.Lasted += t.End.Sub(t.Episodes[i].Fired)
		}
	}
	slices.SortStableFunc(t.Episodes, func(a, b Episode) int { return a.Fired.Compare(b.Fired) })
	t.Episodes = t.Episodes[max(0, len(t.Episodes)-maxEpisodes):]
	return nil
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// evaluate gives the rule what there was at each time.
func (t *trial) evaluate(ctx context.Context, r *rules.AlertingRule, series []promql.Series, from, to time.Time) error {
	next := make([]int, len(series))
	for at := from; !at.After(to); at = at.Add(t.Interval) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var now promql.Vector
		for i, s := range series {
			if n := next[i]; n < len(s.Floats) && s.Floats[n].T == at.UnixMilli() {
				now = append(now, promql.Sample{Metric: s.Metric, T: s.Floats[n].T, F: s.Floats[n].F})
				next[i]++
			}
		}
		t.End = at
		if len(now) == 0 && len(t.at) == 0 {
			continue
		}
		if _, err := r.Eval(ctx, 0, at, func(context.Context, string, time.Time) (promql.Vector, error) { return now, nil }, t.e.o.External, 0); err != nil {
			return err
		}
		seen := map[uint64]bool{}
		r.ForEachActiveAlert(func(a *rules.Alert) {
			seen[a.Labels.Hash()] = true
			t.note(a, at)
		})
		for hash := range t.at {
			if !seen[hash] {
				delete(t.at, hash) // it waited, and nothing came of it
			}
		}
	}
	return nil
}

// note follows one alert of the rule.
func (t *trial) note(a *rules.Alert, at time.Time) {
	hash := a.Labels.Hash()
	i, known := t.at[hash]
	switch a.State {
	case rules.StatePending:
		if !known {
			t.at[hash] = -1
			t.Waited++
		}
	case rules.StateFiring:
		if known && i >= 0 {
			return
		}
		if known {
			t.Waited--
		}
		t.Fired++
		if len(t.Episodes) >= 10*maxEpisodes {
			t.forget()
		}
		t.at[hash] = len(t.Episodes)
		t.Episodes = append(t.Episodes, Episode{Labels: a.Labels.Map(), Active: a.ActiveAt, Fired: a.FiredAt})
	case rules.StateInactive:
		if known && i >= 0 {
			t.Episodes[i].Ended = at
			t.Lasted += at.Sub(t.Episodes[i].Fired)
		}
		delete(t.at, hash)
	}
}

// forget lets go of the oldest episodes that have ended.
func (t *trial) forget() {
	ended := 0
	for _, x := range t.Episodes {
		if !x.Ended.IsZero() {
			ended++
		}
	}
	drop := ended - maxEpisodes
	moved := map[int]int{}
	var kept []Episode
	for i, x := range t.Episodes {
		if drop > 0 && !x.Ended.IsZero() {
			drop--
			continue
		}
		moved[i] = len(kept)
		kept = append(kept, x)
	}
	for hash, i := range t.at {
		if i >= 0 {
			t.at[hash] = moved[i]
		}
	}
	t.Episodes = kept
}

// askRange evaluates an expression in either language at each step from start to end.
// Problems are those that are stored.
func (e *Engine) askRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) ([]promql.Series, error) {
	if logql, ok := strings.CutPrefix(expr, mark); ok {
		if e.o.LogQLRange == nil {
			return nil, errors.New("there are no logs")
		}
		found, err := e.o.LogQLRange(ctx, logql, start.Add(-logsLate), end.Add(-logsLate), step)
		for _, s := range found {
			for i := range s.Floats {
				s.Floats[i].T += logsLate.Milliseconds()
			}
		}
		return found, err
	}
	q, err := e.promql.NewRangeQuery(ctx, e.o.Samples, nil, expr, start, end, step)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		return nil, r.Err
	}
	found, err := r.Matrix()
	if err != nil {
		return nil, err
	}
	var out []promql.Series // what the query has is its own
	for _, s := range found {
		out = append(out, promql.Series{Metric: s.Metric, Floats: slices.Clone(s.Floats)})
	}
	return out, nil
}
