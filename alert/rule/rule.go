// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"

	"tallyman"
	"tallyman/alert/problem"
)

// Options of an engine. Notify and Log are needed.
type Options struct {
	// Samples is the store of samples; nil without one, when only rules over problems
	// and logs are evaluated.
	Samples storage.Queryable
	// Append takes what rules find: ALERTS, what recording rules make, and the series of
	// open problems; nil keeps nothing.
	Append storage.Appendable
	// LogQL evaluates an expression at one time, LogQLRange over a range with both ends,
	// and CheckLogQL says what is wrong with one; nil without logs.
	LogQL      func(ctx context.Context, expr string, t time.Time) (promql.Vector, error)
	LogQLRange func(ctx context.Context, expr string, start, end time.Time, step time.Duration) (promql.Matrix, error)
	CheckLogQL func(expr string) error
	// LogQLBare takes the comparison with a number out of an expression; ok is false for one
	// that has none. LogQLLines are up to limit lines that an expression looks at for an
	// alarm of some labels, the newest within a time, in their order. Nil without logs.
	LogQLBare  func(expr string) (bare, op string, threshold float64, ok bool)
	LogQLLines func(ctx context.Context, expr string, alarm map[string]string, from, to time.Time, limit int) ([]Line, error)
	// Problems are those that are open; nil leaves their series to the store.
	Problems func() []problem.Problem
	// Builtin asks for the default rules, with Overrides by name.
	Builtin   bool
	Overrides map[string]Override
	// Files are in Prometheus' format, LogFiles in Loki's.
	Files, LogFiles []string
	// External is the address of the page, for links, and ExternalLabels are what
	// texts of rules have as $externalLabels.
	External       *url.URL
	ExternalLabels labels.Labels
	// Subqueries without a step have this one, a minute when it is 0.
	Subquery time.Duration
	// Blind reports whether nothing is stored at present. Then rules over samples and logs
	// are not evaluated, as what they look for would seem to have ended; nil is never.
	Blind func() bool
	// Warm is how long rules over samples wait after the start, so that rates are known.
	Warm time.Duration
	// Evaluated is called after each evaluation of a group, by its name, when something
	// may have begun to be pending; nil for nothing. It must not block.
	Evaluated func(group string)
	// Active is what was pending and firing when the process before ended.
	Active []Active
	// Wish is what a workload asks of a rule about a kind of problem, which is empty for
	// others; Thresholds are the numbers that workloads ask of a rule. Nil for nothing.
	Wish       func(rule, kind, host, workload string) Wish
	Thresholds func(rule string) []float64
	// Notify is told of what fires and of what has ended, again each minute. It must
	// not block for long.
	Notify func(ctx context.Context, expr string, alerts ...*rules.Alert)
	Log    *slog.Logger
}

// Active is one alert that is pending or firing, as it is kept over a restart.
type Active struct {
	Group  string            `json:"group"`
	Rule   string            `json:"rule"`
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
	// Firing is set when it fires, else it waits.
	Firing    bool      `json:"firing"`
	ActiveAt  time.Time `json:"activeAt"`
	FiredAt   time.Time `json:"firedAt,omitzero"`
	KeepSince time.Time `json:"keepSince,omitzero"`
}

// Wish is what a workload asks of a rule. The zero value asks nothing.
type Wish struct {
	Off       bool
	Threshold *float64 // another number, nil for that of the rule
}

// Engine evaluates rules.
type Engine struct {
	o        Options
	promql   *promql.Engine
	store    storage.Queryable
	manager  *rules.Manager
	problems []*rules.Group // of which this package itself keeps the rhythm
	groups   map[string]*rules.Group
	changed  chan struct{}
	registry *prometheus.Registry
	bases    map[string]string // expressions with a placeholder, by the expression that is evaluated

	storedProblems map[string]labels.Labels // of followProblems
	trial          chan struct{}            // held while a rule is tried

	failing             map[*rules.Group]*atomic.Int64 // rules whose last evaluation failed
	evaluated, failures atomic.Uint64
}

// Limits of rules.
const (
	problemsEvery = 15 * time.Second
	resend        = time.Minute
	maxRules      = 2000
	logsLate      = 5 * time.Second // lines arrive late
)

// New loads the rules. An error names the file and what is wrong with it.
func New(o Options) (*Engine, error) {
	if err := Check(o.Overrides); err != nil {
		return nil, err
	}
	if o.CheckLogQL == nil {
		o.CheckLogQL = func(string) error { return errors.New("rules over logs need logs; set keep.logs") }
	}
	if o.Samples == nil {
		o.Samples = storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil })
	}
	if o.Append == nil {
		o.Append = nowhere{}
	}
	if o.Subquery == 0 {
		o.Subquery = time.Minute
	}
	p := parser.NewParser(parser.Options{})
	e := &Engine{o: o, changed: make(chan struct{}, 1), trial: make(chan struct{}, 1), store: o.Samples, registry: prometheus.NewRegistry()}
	if o.Problems != nil {
		e.store = withProblems{o.Samples, o.Problems}
	}
	// Users' queries must not starve rules, so they have an engine of their own.
	e.promql = promql.NewEngine(promql.EngineOpts{
		Logger: o.Log, MaxSamples: 5_000_000, Timeout: 10 * time.Second, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: p,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.Subquery.Milliseconds() },
	})
	load := &loader{parser: p, check: o.CheckLogQL, log: o.Log}
	var files []string
	if o.Builtin {
		load.promql, load.logql = Defaults(o.Overrides)
		e.bases = bases(p, o.Overrides)
		files = append(files, builtinPromQL)
		if o.LogQL != nil {
			files = append(files, builtinLogQL)
		}
	}
	files = append(files, o.Files...)
	for _, f := range o.LogFiles {
		files = append(files, lokiFile+f)
	}
	e.manager = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: o.External, QueryFunc: e.query, NotifyFunc: rules.NotifyFunc(o.Notify), Context: context.Background(),
		Appendable: o.Append, Queryable: storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil }),
		Logger: o.Log, Registerer: e.registry, ForGracePeriod: 1 << 62, ResendDelay: resend,
		GroupLoader: load, RuleDependencyController: independent{}, Parser: p,
	})
	external := ""
	if o.External != nil {
		external = o.External.String()
	}
	loaded, errs := e.manager.LoadGroups(time.Minute, o.ExternalLabels, external, nil, false, files...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("load the rules: %w", errors.Join(errs...))
	}
	e.groups = loaded
	n := 0
	e.failing = map[*rules.Group]*atomic.Int64{}
	for _, g := range loaded {
		n += len(g.Rules())
		e.failing[g] = &atomic.Int64{}
		if strings.HasPrefix(g.Name(), problems) {
			e.problems = append(e.problems, g)
		}
	}
	if n > maxRules {
		return nil, fmt.Errorf("load the rules: %d are more than the %d that are evaluated", n, maxRules)
	}
	slices.SortFunc(e.problems, func(a, b *rules.Group) int { return strings.Compare(a.Name(), b.Name()) })
	e.seed()
	for _, r := range e.AlertingRules() {
		r.SetRestored(true) // else it tells nothing of ALERTS
	}
	return e, nil
}

// query evaluates an expression of a rule, as workloads want it.
func (e *Engine) query(ctx context.Context, expr string, t time.Time) (promql.Vector, error) {
	detail := rules.FromOriginContext(ctx)
	if detail.Kind != rules.KindAlerting {
		return e.ask(ctx, expr, t)
	}
	return wished(e, detail.Name, expr, func(expr string) ([]promql.Sample, error) { return e.ask(ctx, expr, t) },
		func(s promql.Sample) labels.Labels { return s.Metric })
}

// wished evaluates an expression of a rule by ask as workloads want it: without those for
// which the rule is off, and for some with another threshold.
func wished[S any](e *Engine, name, expr string, ask func(expr string) ([]S, error), labelsOf func(S) labels.Labels) ([]S, error) {
	found, err := ask(expr)
	if err != nil || e.o.Wish == nil {
		return found, err
	}
	wish := func(s S) Wish {
		l := labelsOf(s)
		return e.o.Wish(name, l.Get("kind"), l.Get("host"), l.Get("workload"))
	}
	base := e.bases[expr]
	found = slices.DeleteFunc(found, func(s S) bool {
		w := wish(s)
		return w.Off || w.Threshold != nil && base != ""
	})
	if base == "" || e.o.Thresholds == nil {
		return found, nil
	}
	for _, n := range e.o.Thresholds(name) {
		more, err := ask(withThreshold(base, n))
		if err != nil {
			return nil, err
		}
		for _, s := range more {
			if w := wish(s); !w.Off && w.Threshold != nil && *w.Threshold == n {
				found = append(found, s)
			}
		}
	}
	return found, nil
}

// Ask evaluates an expression in PromQL as rules see it, with the open problems. The
// vector is the caller's.
func (e *Engine) Ask(ctx context.Context, expr string, t time.Time) (promql.Vector, error) {
	return rules.EngineQueryFunc(e.promql, e.store)(ctx, expr, t)
}

// Close ends an engine that was not run; Run does it by itself.
func (e *Engine) Close() error { return e.promql.Close() }

// ask evaluates an expression in either language. The vector is the caller's.
func (e *Engine) ask(ctx context.Context, expr string, t time.Time) (promql.Vector, error) {
	if logql, ok := strings.CutPrefix(expr, mark); ok {
		if e.o.LogQL == nil {
			return nil, errors.New("there are no logs")
		}
		return e.o.LogQL(ctx, logql, t.Add(-logsLate))
	}
	return e.Ask(ctx, expr, t)
}

// bases are the expressions of the default rules that have a threshold, by what is
// evaluated.
func bases(p parser.Parser, overrides map[string]Override) map[string]string {
	out := map[string]string{}
	for _, d := range defaults {
		if !strings.Contains(d.expr, placeholder) {
			continue
		}
		n := d.threshold
		if o := overrides[d.name]; o.Threshold != nil {
			n = *o.Threshold
		}
		text := withThreshold(d.expr, n)
		if d.group == logs {
			out[mark+text] = mark + d.expr
		} else if expr, err := p.ParseExpr(text); err == nil { // as the manager has it
			out[expr.String()] = d.expr
		}
	}
	return out
}

// seed gives the rules what was pending and firing before. Rules that are no more are
// left out: their alerts end.
func (e *Engine) seed() {
	for _, g := range e.groups {
		for _, r := range g.AlertingRules() {
			var saved promql.Vector
			of := map[uint64]Active{}
			at := time.Time{}
			for _, a := range e.o.Active {
				if a.Group != g.Name() || a.Rule != r.Name() || !same(r.Labels(), a.Labels) {
					continue
				}
				l := labels.FromMap(a.Labels)
				of[l.Hash()] = a
				saved = append(saved, promql.Sample{Metric: l, F: a.Value})
				if at.IsZero() || a.ActiveAt.Before(at) {
					at = a.ActiveAt
				}
			}
			if len(saved) == 0 {
				continue
			}
			// Evaluated with what was, it knows them; then their times are put right.
			if _, err := r.Eval(context.Background(), 0, at, func(context.Context, string, time.Time) (promql.Vector, error) { return saved, nil }, e.o.External, 0); err != nil {
				e.o.Log.Warn("what a rule told before cannot be taken over", "rule", r.Name(), "err", err)
				continue
			}
			r.ForEachActiveAlert(func(a *rules.Alert) {
				s, ok := of[a.Labels.Hash()]
				if !ok {
					return
				}
				a.ActiveAt, a.FiredAt, a.KeepFiringSince, a.State = s.ActiveAt, s.FiredAt, s.KeepSince, rules.StatePending
				if s.Firing {
					a.State = rules.StateFiring
				}
			})
		}
	}
}

// same reports whether an alert has the labels that its rule gives today.
func same(rule labels.Labels, of map[string]string) bool {
	ok := true
	rule.Range(func(l labels.Label) {
		if of[l.Name] != l.Value && !strings.Contains(l.Value, "{{") {
			ok = false
		}
	})
	return ok
}

// Run evaluates until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { e.followProblems(ctx) })
	for _, g := range e.groups {
		if slices.Contains(e.problems, g) {
			continue
		}
		wg.Go(func() { e.follow(ctx, g) })
	}
	wg.Wait()
	return e.promql.Close()
}

// follow evaluates a group in its interval, at moments that differ from group to group.
func (e *Engine) follow(ctx context.Context, g *rules.Group) {
	timer := time.NewTimer(e.o.Warm)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		at := g.EvalTimestamp(time.Now().UnixNano())
		if e.o.Blind == nil || !e.o.Blind() {
			e.evaluate(ctx, g, at)
		}
		timer.Reset(time.Until(at.Add(g.Interval())))
	}
}

// evaluate evaluates a group once, and counts what fails.
func (e *Engine) evaluate(ctx context.Context, g *rules.Group, at time.Time) {
	rules.DefaultEvalIterationFunc(ctx, g, at)
	if ctx.Err() != nil {
		return // what was cut off has not failed
	}
	failed := int64(0)
	for _, r := range g.Rules() {
		if r.Health() == rules.HealthBad {
			failed++
		}
	}
	e.failing[g].Store(failed)
	e.failures.Add(uint64(failed))
	e.evaluated.Add(uint64(len(g.Rules())))
	if e.o.Evaluated != nil {
		e.o.Evaluated(g.Name())
	}
}

// followProblems evaluates the groups over problems, every 15 seconds and when something
// has changed.
func (e *Engine) followProblems(ctx context.Context) {
	tick := time.NewTicker(problemsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.changed:
		}
		for _, g := range e.problems {
			if ctx.Err() != nil {
				return
			}
			e.evaluate(ctx, g, time.Now())
		}
		e.storeProblems(ctx, time.Now())
	}
}

// storeProblems stores the series of the open problems, so that their history can be
// asked, and ends those that are no more.
func (e *Engine) storeProblems(ctx context.Context, at time.Time) {
	if e.o.Problems == nil {
		return
	}
	app := e.o.Append.Appender(ctx)
	open := map[string]labels.Labels{}
	for _, p := range e.o.Problems() {
		l := Labels(&p)
		open[l.String()] = l
		_, _ = app.Append(0, l, at.UnixMilli(), openFor(&p, at.UnixMilli())) // what is refused is counted there
	}
	for key, l := range e.storedProblems {
		if _, ok := open[key]; !ok {
			_, _ = app.Append(0, l, at.UnixMilli(), math.Float64frombits(value.StaleNaN))
		}
	}
	if err := app.Commit(); err != nil {
		e.o.Log.Warn("the open problems are not stored", "err", err)
		return
	}
	e.storedProblems = open
}

// ProblemsChanged has the rules over problems evaluated now. It never blocks.
func (e *Engine) ProblemsChanged() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// RuleGroups are all groups, by file and name. With AlertingRules it is what Prometheus'
// API asks for.
func (e *Engine) RuleGroups() []*rules.Group {
	out := make([]*rules.Group, 0, len(e.groups))
	for _, g := range e.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *rules.Group) int {
		if c := strings.Compare(a.File(), b.File()); c != 0 {
			return c
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return out
}

// AlertingRules are the rules of all groups.
func (e *Engine) AlertingRules() (out []*rules.AlertingRule) {
	for _, g := range e.RuleGroups() {
		out = append(out, g.AlertingRules()...)
	}
	return out
}

// Active is what is pending and firing now, of the groups of some names or of all.
func (e *Engine) Active(groups ...string) (out []Active) {
	for _, g := range e.RuleGroups() {
		if len(groups) > 0 && !slices.Contains(groups, g.Name()) {
			continue
		}
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				out = append(out, Active{Group: g.Name(), Rule: r.Name(), Labels: a.Labels.Map(), Value: a.Value, Firing: a.State == rules.StateFiring,
					ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, KeepSince: a.KeepFiringSince})
			}
		}
	}
	return out
}

// Failing are the rules whose last evaluation failed, with the reason.
func (e *Engine) Failing() map[string]error {
	out := map[string]error{}
	for _, g := range e.RuleGroups() {
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil && r.Health() == rules.HealthBad {
				out[g.Name()+"/"+r.Name()] = err
			}
		}
	}
	return out
}

// SelfMetrics are the engine's own numbers.
func (e *Engine) SelfMetrics() []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		{Desc: evaluatedTotal, Read: func() float64 { return float64(e.evaluated.Load()) }},
		{Desc: failuresTotal, Read: func() float64 { return float64(e.failures.Load()) }},
		{Desc: failingNow, Read: func() float64 {
			n := int64(0)
			for _, failed := range e.failing {
				n += failed.Load()
			}
			return float64(n)
		}},
	}
}

var (
	evaluatedTotal = &tallyman.Desc{Name: "tallyman_rule_evaluations_total", Type: tallyman.Counter, Help: "Evaluations of rules"}
	failuresTotal  = &tallyman.Desc{Name: "tallyman_rule_evaluations_failed_total", Type: tallyman.Counter, Help: "Evaluations of rules that failed"}
	failingNow     = &tallyman.Desc{Name: "tallyman_rules_failing", Type: tallyman.Gauge, Help: "Rules whose last evaluation failed"}
)

// nowhere takes the samples of rules and keeps none.
type nowhere struct{}

// Appender takes what rules would store.
func (nowhere) Appender(context.Context) storage.Appender { return nothing{} }

type nothing struct{ storage.Appender }

func (nothing) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, nil
}
func (nothing) SetOptions(*storage.AppendOptions) {}
func (nothing) Commit() error                     { return nil }
func (nothing) Rollback() error                   { return nil }
