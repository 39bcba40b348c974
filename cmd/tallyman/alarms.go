// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"tallyman/alert"
	"tallyman/alert/rule"
	"tallyman/api/alarm"
	"tallyman/config"
	"tallyman/internal/httpx"
	"tallyman/internal/machine"
	"tallyman/query/logql"
)

// openAlarms makes what raises alarms, if it is wanted.
func (a *app) openAlarms(interval time.Duration) error {
	cfg := a.cfg.Alarms
	if !cfg.Enabled {
		return nil
	}
	o := alert.Options{
		Dir: filepath.Join(a.cfg.Data, "alarms"), Records: a.intake.Intake("alarm"), Inventory: a.discovery, Defaults: cfg.Defaults, Overrides: overrides(cfg.Rules),
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
		o.External = &url.URL{Scheme: "http", Host: reachable(a.cfg.Listen)}
	}
	if o.Excluded, err = a.cfg.NotAlarmed(); err != nil {
		return err
	}
	if a.samples != nil {
		o.Samples = a.samples.Queryable()
	}
	if a.cfg.Keep.Logs {
		o.CheckLogQL, o.LogQL = checkLogRule, a.logValue
	}
	if a.alarms, err = alert.Open(o); err != nil {
		return err
	}
	a.add(part{name: "alarms", run: a.alarms.Run, metrics: a.alarms.SelfMetrics(), close: a.alarms.Close})
	a.bus.Observe(a.alarms)
	a.discovery.ObserveContainers(a.alarms)
	a.discovery.ObserveEngines(a.alarms)
	return nil
}

// alarmRoutes are the REST interface of alarms.
func (a *app) alarmRoutes() []httpx.Route {
	if a.alarms == nil {
		return nil
	}
	return alarm.New(alarm.Options{Service: a.alarms, Records: a.records}).Routes()
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

// logValue is what an expression in LogQL gives at a time, as PromQL has it.
func (a *app) logValue(ctx context.Context, text string, t time.Time) (promql.Vector, error) {
	r, err := a.logs.Query(ctx, logql.Params{Query: text, Start: t.UnixNano(), End: t.UnixNano()})
	if err != nil {
		return nil, err
	}
	var out promql.Vector
	for _, s := range r.Series {
		if len(s.Points) == 0 {
			continue
		}
		b := labels.NewScratchBuilder(len(s.Labels))
		for _, l := range s.Labels {
			b.Add(l.Name, l.Value)
		}
		b.Sort()
		out = append(out, promql.Sample{Metric: b.Labels(), T: t.UnixMilli(), F: s.Points[len(s.Points)-1].Value})
	}
	return out, nil
}

// promRules are the rules as Prometheus' API shows them; without alarms there are none.
func (a *app) promRules() v1.RulesRetriever {
	if a.alarms == nil {
		return nil
	}
	return a.alarms.Rules()
}
