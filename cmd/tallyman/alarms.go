// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"tallyman"
	"tallyman/alert"
	"tallyman/alert/route"
	"tallyman/alert/rule"
	"tallyman/api/alarm"
	"tallyman/config"
	"tallyman/internal/fsx"
	"tallyman/internal/httpx"
	"tallyman/internal/machine"
	"tallyman/query/logql"
)

// openAlarms makes what raises alarms, if it is wanted.
func (a *app) openAlarms(interval time.Duration, space *fsx.Space) error {
	cfg := a.cfg.Alarms
	// An agent that keeps nothing and has nobody to tell is to cost little.
	if !cfg.Enabled || lean(&a.cfg) && len(cfg.Notify) == 0 && cfg.AlertmanagerConfig == "" {
		return nil
	}
	o := alert.Options{
		Dir: filepath.Join(a.cfg.Data, "alarms"), Records: a.intake.Intake("alarm"), Inventory: a.known, Defaults: cfg.Defaults, Overrides: overrides(cfg.Rules),
		Host: a.cfg.Host, Room: space.Check,
		Boot: func(host string) time.Time {
			if host != a.cfg.Host {
				return time.Time{} // of another machine nobody knows
			}
			return machine.BootTime(a.machine.Proc)
		},
		// Rates need two rounds, and one more for what is found late.
		Warm: 3 * interval, Log: a.log.With("part", "alarms"),
	}
	var err error
	if o.Files, err = matching(cfg.RulesFiles); err != nil {
		return err
	}
	if o.LogFiles, err = matching(cfg.LogRules); err != nil {
		return err
	}
	if o.External, err = url.Parse(cfg.ExternalURL); err != nil || cfg.ExternalURL == "" {
		o.External = &url.URL{Scheme: scheme(a.cfg), Host: reachable(a.cfg.Listen)}
	}
	if o.Excluded, err = a.cfg.NotAlarmed(); err != nil {
		return err
	}
	o.Image = func(ctx context.Context, c *tallyman.Container) (map[string]string, error) {
		return imageLabels(a.discovery.EngineImage(ctx, c.Engine, c.ImageID))
	}
	o.Heartbeat = cfg.Heartbeat
	opened := time.Now()
	o.Alive = func() error {
		if a.samples == nil {
			return nil
		}
		last := a.samples.LastBatch()
		if last.IsZero() {
			last = opened
		}
		if time.Since(last) > 2*time.Minute+3*interval {
			return errors.New("no samples were stored for two minutes")
		}
		return nil
	}
	if a.samples != nil {
		o.Samples = a.samples.Queryable()
		if cfg.Series > 0 {
			results := a.samples.Results(cfg.Series)
			o.Append = results
			a.add(part{name: "results of rules", metrics: results.SelfMetrics()})
		}
	}
	o.Witness = a.witness
	if a.cfg.Keep.Logs {
		o.CheckLogQL, o.LogQL, o.LogQLRange = checkLogRule, logValue(a.logs), logValues(a.logs)
		o.LogQLBare, o.LogQLLines = bareLogQL, logLines(a.logs)
	}
	if a.alarms, err = alert.Open(o); err != nil {
		return err
	}
	// Closed with the state open the router could not be made, so it comes first.
	a.add(part{name: "alarms", run: a.alarms.Run, close: a.alarms.Close, absences: a.alarms.Absences})
	if a.router, err = route.New(route.Options{Book: a.alarms.Book(), Lines: cfg.Notify, File: cfg.AlertmanagerConfig, QuietHours: cfg.QuietHours, External: o.External,
		Broker: newBroker, Log: a.log.With("part", "notifications")}); err != nil {
		return err
	}
	a.alarms.SetRouter(a.router)
	a.add(part{name: "numbers of alarms", metrics: slices.Concat(a.alarms.SelfMetrics(), a.router.SelfMetrics())})
	a.bus.Observe(a.alarms)
	a.discovery.ObserveContainers(a.alarms)
	a.discovery.ObserveEngines(a.alarms)
	if a.hosts != nil {
		a.others.Observe(recent{a.alarms})
		a.hosts.ObserveContainers(a.alarms)
		a.hosts.ObserveEngines(a.alarms)
	}
	return nil
}

// openWitness makes what finds out why a container died.
func (a *app) openWitness() {
	a.witness = &alert.Witness{Inventory: a.known, Events: a.eventStore, Records: a.records}
	if a.samples != nil {
		a.witness.Figures, a.witness.Room = a.figures, a.room
	}
}

// imageLabels are the labels of an image, from its inspection.
func imageLabels(text json.RawMessage, err error) (map[string]string, error) {
	if err != nil {
		return nil, err
	}
	var image struct {
		Config struct{ Labels map[string]string }
	}
	if err := json.Unmarshal(text, &image); err != nil {
		return nil, fmt.Errorf("read the labels of an image: %w", err)
	}
	return image.Config.Labels, nil
}

// alarmRoutes are the REST interface of alarms, and of deaths.
func (a *app) alarmRoutes() []httpx.Route {
	api := alarm.New(alarm.Options{Service: a.alarms, Router: a.router, Records: a.records, Witness: a.witness})
	if a.alarms == nil {
		return []httpx.Route{api.Why()}
	}
	return api.Routes()
}

// overrides are the changes of default rules that the configuration asks for.
func overrides(of config.AlarmRules) map[string]rule.Override {
	out := map[string]rule.Override{}
	for name, r := range of {
		out[name] = rule.Override{Off: r.Off, For: r.For, Severity: r.Severity, Threshold: r.Threshold}
	}
	return out
}

// matching are the files that fit patterns, each once. A pattern without any is an
// error: rules that are not there alarm nobody.
func matching(patterns []string) (out []string, err error) {
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("alarms: %s: %w", p, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("alarms: there is no file %s; take it out of rules_files or log_rules", p)
		}
		for _, f := range found {
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// checkLogRule says what is wrong with an expression in LogQL as a rule.
func checkLogRule(text string) error {
	expr, err := logql.Parse(text)
	if err != nil {
		return err
	}
	if _, lines := expr.(*logql.Log); lines {
		return errors.New("it gives lines; a rule needs a number, for example sum(count_over_time({…} [5m])) > 0")
	}
	return nil
}

// logValue evaluates expressions in LogQL at a time, and gives what PromQL would.
func logValue(logs *logql.Engine) func(ctx context.Context, text string, t time.Time) (promql.Vector, error) {
	return func(ctx context.Context, text string, t time.Time) (promql.Vector, error) {
		r, err := logs.Query(ctx, logql.Params{Query: text, Start: t.UnixNano(), End: t.UnixNano()})
		if err != nil {
			return nil, err
		}
		var out promql.Vector
		for _, s := range r.Series {
			if len(s.Points) > 0 {
				out = append(out, promql.Sample{Metric: logLabels(s.Labels), T: t.UnixMilli(), F: s.Points[len(s.Points)-1].Value})
			}
		}
		return out, nil
	}
}

// logValues evaluates expressions in LogQL over a range of time.
func logValues(logs *logql.Engine) func(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
	return func(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
		r, err := logs.Query(ctx, logql.Params{Query: text, Start: start.UnixNano(), End: end.UnixNano(), Step: step})
		if err != nil {
			return nil, err
		}
		var out promql.Matrix
		for _, s := range r.Series {
			one := promql.Series{Metric: logLabels(s.Labels)}
			for _, p := range s.Points {
				one.Floats = append(one.Floats, promql.FPoint{T: p.Time, F: p.Value})
			}
			out = append(out, one)
		}
		return out, nil
	}
}

// bareLogQL takes the comparison with a number out of an expression in LogQL. Conditions
// beside it are left out.
func bareLogQL(text string) (bare, op string, threshold float64, ok bool) {
	expr, err := logql.Parse(text)
	if err != nil {
		return "", "", 0, false
	}
	found, op, threshold, ok := withoutComparison(expr)
	if !ok {
		return "", "", 0, false
	}
	return found.String(), op, threshold, true
}

func withoutComparison(expr logql.Expr) (bare logql.Expr, op string, threshold float64, ok bool) {
	switch x := expr.(type) {
	case *logql.VectorAggregation:
		if bare, op, threshold, ok = withoutComparison(x.Expr); ok {
			whole := *x
			whole.Expr = bare
			return &whole, op, threshold, true
		}
	case *logql.Binary:
		n, number := x.Right.(*logql.Number)
		switch {
		case slices.Contains([]string{"and", "or", "unless"}, x.Op):
			return withoutComparison(x.Left)
		case slices.Contains([]string{">", "<", ">=", "<=", "==", "!="}, x.Op) && !x.Bool && number:
			return x.Left, x.Op, n.Value, true
		}
	}
	return nil, "", 0, false
}

// firstLog is the log query that an expression counts first.
func firstLog(expr logql.Expr) (*logql.Range, bool) {
	switch x := expr.(type) {
	case *logql.RangeAggregation:
		return x.Range, true
	case *logql.VectorAggregation:
		return firstLog(x.Expr)
	case *logql.LabelReplace:
		return firstLog(x.Expr)
	case *logql.Binary:
		if r, ok := firstLog(x.Left); ok {
			return r, true
		}
		return firstLog(x.Right)
	}
	return nil, false
}

// logLines finds the lines that a rule in LogQL looked at for an alarm.
func logLines(logs *logql.Engine) func(ctx context.Context, text string, alarm map[string]string, from, to time.Time, limit int) ([]rule.Line, error) {
	return func(ctx context.Context, text string, alarm map[string]string, from, to time.Time, limit int) ([]rule.Line, error) {
		expr, err := logql.Parse(text)
		if err != nil {
			return nil, err
		}
		r, ok := firstLog(expr)
		if !ok {
			return nil, nil
		}
		of := *r.Log
		of.Matchers = slices.Clone(of.Matchers)
		for _, name := range []string{"host", "workload"} {
			if v, known := alarm[name]; known {
				of.Matchers = append(of.Matchers, tallyman.Matcher{Name: name, Value: v})
			}
		}
		found, err := logs.Query(ctx, logql.Params{Query: of.String(), Start: from.Add(-r.Window - r.Offset).UnixNano(), End: to.UnixNano(), Limit: limit, Backward: true})
		if err != nil {
			return nil, err
		}
		var out []rule.Line
		for _, e := range slices.Backward(found.Entries) {
			out = append(out, rule.Line{Time: time.Unix(0, e.Time).UTC(), Text: e.Line})
		}
		return out, nil
	}
}

// logLabels are labels of LogQL as PromQL has them.
func logLabels(from logql.Labels) labels.Labels {
	b := labels.NewScratchBuilder(len(from))
	for _, l := range from {
		b.Add(l.Name, l.Value)
	}
	b.Sort()
	return b.Labels()
}

// promRules are the rules as Prometheus' API shows them; without alarms there are none.
func (a *app) promRules() v1.RulesRetriever {
	if a.alarms == nil {
		return nil
	}
	return a.alarms.Rules()
}

// figures are those of a container over a time, as its charts have them.
func (a *app) figures(ctx context.Context, id string, from, to time.Time) (out []alert.Figure, err error) {
	span := to.Sub(from).Round(time.Second)
	of := fmt.Sprintf(`{id=%q}`, "/docker/"+id)
	one := func(expr string, at time.Time) (float64, bool) {
		v, bad := a.engine.Instant(ctx, expr, at)
		if bad != nil {
			err = bad
		}
		if len(v) == 0 {
			return 0, false
		}
		return v[0].F, true
	}
	// Of a gauge each sample counts. A rate is looked at each second, as a life may be that short.
	gauge := func(metric string) (now string, over func(f string) string) {
		return "max by (id) (" + metric + of + ")", func(f string) string { return fmt.Sprintf("max by (id) (%s_over_time(%s%s[%s]))", f, metric, of, span) }
	}
	cpu := fmt.Sprintf(`sum by (id) (rate(container_cpu_usage_seconds_total%s[%s]))`, of, max(30*time.Second, 4*time.Duration(a.cfg.Interval)))
	rate := func(f string) string { return fmt.Sprintf("%s_over_time((%s)[%s:1s])", f, cpu, span) }
	memory, memoryOver := gauge("container_memory_working_set_bytes")
	threads, threadsOver := gauge("container_threads")
	_, quota := gauge("container_spec_cpu_quota")
	_, period := gauge("container_spec_cpu_period")
	_, memoryLimit := gauge("container_spec_memory_limit_bytes")
	_, threadsLimit := gauge("container_threads_max")
	for _, f := range []struct {
		name, unit, now string
		over            func(f string) string
		limit           string
	}{
		{"CPU", "cores", cpu, rate, quota("last") + " / " + period("last")},
		{"memory", "bytes", memory, memoryOver, memoryLimit("last")},
		{"threads", "", threads, threadsOver, threadsLimit("last")},
	} {
		x := alert.Figure{Name: f.name, Unit: f.unit}
		var known bool
		if x.Max, known = one(f.over("max"), to); !known {
			continue
		}
		x.Last, _ = one(f.over("last"), to)
		at := from
		if x.First, known = one(f.now, from); !known { // it is younger than that
			if first, ok := one(fmt.Sprintf("min_over_time(timestamp(%s)[%s:1s])", f.now, span), to); ok {
				at = time.UnixMilli(int64(first * 1000))
				x.First, known = one(f.now, at)
			}
		}
		if known {
			x.Since = at.UTC()
		}
		if v, ok := one(f.limit, to); ok {
			if f.unit != "bytes" || a.machine.Memory == 0 || v < float64(a.machine.Memory) { // no limit is the machine's memory
				x.Limit = &v
			}
		}
		out = append(out, x)
	}
	return out, err
}

// room is how much memory of a host was available at a time.
func (a *app) room(ctx context.Context, host string, at time.Time) (available, total float64, err error) {
	v, err := a.engine.Instant(ctx, fmt.Sprintf(`{__name__=~"node_memory_MemAvailable_bytes|node_memory_MemTotal_bytes",host=%q}`, host), at)
	for _, s := range v {
		if s.Metric.Get("__name__") == "node_memory_MemTotal_bytes" {
			total = s.F
		} else {
			available = s.F
		}
	}
	if len(v) < 2 {
		return 0, 0, err
	}
	return available, total, err
}
