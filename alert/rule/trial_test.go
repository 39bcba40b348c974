// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"tallyman/alert/problem"
	"tallyman/store/metric"
)

const tried = `groups:
- name: tried
  interval: 1m
  rules:
  - alert: Busy
    expr: busy > 5
    for: 5m
    keep_firing_for: 3m
    labels: {severity: warning}
- name: problems-tried
  rules:
  - alert: Paused
    expr: container_problem{kind="paused"}
- name: logs-tried
  type: logql
  interval: 1m
  rules:
  - alert: Noisy
    expr: sum by (workload) (count_over_time({source="container"}[1m])) > 10
    for: 1m
`

// A week of samples, problems and logs tells how often rules would have fired, with the
// time that they wait and that they go on.
func TestTry(t *testing.T) {
	store, err := metric.Open(t.TempDir(), metric.Options{OutOfOrder: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	end := time.Now().Truncate(time.Minute)
	start := end.Add(-48 * time.Hour)
	results := store.Results(0)
	app := results.Appender(t.Context())
	put := func(at time.Time, v float64, l ...string) {
		_, _ = app.Append(0, labels.FromStrings(l...), at.UnixMilli(), v)
	}
	for i := range 48 * 60 {
		at := start.Add(time.Duration(i) * time.Minute)
		busy := 0.0
		switch h, m := i/60, i%60; {
		case h%10 == 3 && m < 20, h == 7 && m < 3, h == 47 && m > 40: // five times for 20 minutes, once for 3, and now
			busy = 9
		case h == 13 && m == 22: // within the keep
			busy = 9
		}
		put(at, busy, "__name__", "busy", "workload", "web")
		if i >= 600 && i < 630 {
			put(at, float64(i-600)*60, "__name__", "container_problem", "kind", "paused", "workload", "web")
		} else if i == 630 {
			put(at, math.Float64frombits(value.StaleNaN), "__name__", "container_problem", "kind", "paused", "workload", "web")
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tried.yaml")
	if err := os.WriteFile(file, []byte(tried), 0o600); err != nil {
		t.Fatal(err)
	}
	off := false
	e, err := New(Options{
		Samples: store.Queryable(), Files: []string{file}, Problems: func() []problem.Problem { return nil }, CheckLogQL: func(string) error { return nil },
		LogQL: func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil },
		LogQLRange: func(_ context.Context, _ string, from, to time.Time, step time.Duration) (promql.Matrix, error) {
			s := promql.Series{Metric: labels.FromStrings("workload", "web")}
			for at := from; !at.After(to); at = at.Add(step) {
				if since := at.Add(logsLate).Sub(start); since >= 12*time.Hour && since < 12*time.Hour+5*time.Minute {
					s.Floats = append(s.Floats, promql.FPoint{T: at.UnixMilli(), F: 20})
				}
			}
			return promql.Matrix{s}, nil
		},
		Wish:   func(rule, _, _, workload string) Wish { return Wish{Off: off && workload == "web"} },
		Notify: func(context.Context, string, ...*rules.Alert) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.promql.Close()
	one := func(name string) Trial {
		t.Helper()
		got, err := e.Try(t.Context(), name, start, end)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %d rules", name, err, len(got))
		}
		return got[0]
	}
	b := one("Busy")
	if b.Fired != 6 || b.Waited != 1 || b.Cut || !b.Start.Equal(start) || !b.End.Equal(end) || len(b.Episodes) != 6 {
		t.Errorf("busy: %+v; want six times, and once too short", b)
	}
	if x := b.Episodes[0]; !x.Active.Equal(start.Add(3*time.Hour)) || !x.Fired.Equal(x.Active.Add(5*time.Minute)) || !x.Ended.Equal(x.Active.Add(23*time.Minute)) || x.Labels["severity"] != "warning" {
		t.Errorf("the first: %+v", x)
	}
	if x := b.Episodes[1]; x.Ended.Sub(x.Active) != 26*time.Minute {
		t.Errorf("the second, which went on within its keep: %+v", x)
	}
	if x := b.Episodes[5]; !x.Ended.IsZero() {
		t.Errorf("the last, which goes on: %+v", x)
	}
	if want := (18 + 21 + 18 + 18 + 18 + 14) * time.Minute; b.Lasted != want {
		t.Errorf("it lasted %s, want %s", b.Lasted, want)
	}
	if p := one("Paused"); p.Fired != 1 || p.Lasted.Round(time.Minute) != 30*time.Minute || p.Interval != time.Minute {
		t.Errorf("of problems: %+v", p)
	}
	if n := one("Noisy"); n.Fired != 1 || n.Waited != 0 || !n.Episodes[0].Active.Equal(start.Add(12*time.Hour)) || n.Lasted != 4*time.Minute {
		t.Errorf("of logs: %+v", n)
	}
	if _, err := e.Try(t.Context(), "Nothing", start, end); !errors.Is(err, ErrNoRule) {
		t.Errorf("of no rule: %v", err)
	}
	off = true
	if b := one("Busy"); b.Fired != 0 {
		t.Errorf("switched off it fires %d times", b.Fired)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Try(ctx, "Busy", start, end); err == nil {
		t.Error("nobody waits, and it tells something")
	}
}

// What many alarms tell is bounded.
func TestEpisodesAreBounded(t *testing.T) {
	x := &trial{at: map[uint64]int{}}
	now := time.Now()
	for i := range 5000 {
		a := &rules.Alert{State: rules.StateFiring, Labels: labels.FromStrings("n", string(rune('a'+i%7))), ActiveAt: now, FiredAt: now}
		x.note(a, now)
		if i%7 != 3 {
			a.State = rules.StateInactive
			x.note(a, now.Add(time.Minute))
		}
	}
	if x.Fired < 4000 || len(x.Episodes) > 10*maxEpisodes || x.at[labels.FromStrings("n", "d").Hash()] >= len(x.Episodes) {
		t.Errorf("fired %d, %d kept", x.Fired, len(x.Episodes))
	}
	if i := x.at[labels.FromStrings("n", "d").Hash()]; x.Episodes[i].Labels["n"] != "d" || !x.Episodes[i].Ended.IsZero() {
		t.Errorf("the one that goes on is lost: %+v", x.Episodes[i])
	}
}

// Alarms and open problems are series in the store, which end with them.
func TestAlertsAreSeries(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store, err := metric.Open(dir, metric.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		w, open := &told{}, &openSet{}
		o := options(w, open)
		results := store.Results(100)
		o.Samples, o.Append = store.Queryable(), results
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		defer stop()
		time.Sleep(time.Minute)
		open.set(problem.Problem{Kind: problem.Crash, Class: problem.Service, Host: "harbor", Workload: "web", Project: "shop", Since: time.Now()})
		e.ProblemsChanged()
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		ask := func(expr string) (out []string) {
			v, err := rules.EngineQueryFunc(e.promql, store.Queryable())(t.Context(), expr, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range v {
				out = append(out, s.Metric.Get("alertname")+s.Metric.Get("kind")+" "+s.Metric.Get("alertstate"))
			}
			return out
		}
		if got := ask(`ALERTS{workload="web"}`); len(got) != 1 || got[0] != "ContainerCrashedcrash firing" {
			t.Errorf("alarms %q", got)
		}
		if got := ask(`container_problem{workload="web"} >= 60`); len(got) != 1 {
			t.Errorf("problems %q", got)
		}
		time.Sleep(time.Second) // at the time of the last samples nothing can end
		open.set()
		e.ProblemsChanged()
		synctest.Wait()
		time.Sleep(time.Second)
		if a, p := ask(`ALERTS`), ask(`container_problem`); len(a)+len(p) != 0 {
			t.Errorf("after the end %q, %q", a, p)
		}
		if got := ask(`count_over_time(container_problem[5m])`); len(got) != 1 {
			t.Errorf("the history: %q", got)
		}
		for _, m := range results.SelfMetrics() {
			if m.Desc.Name == "tallyman_rule_series" && m.Read() != 0 {
				t.Errorf("%v series are still live", m.Read())
			}
		}
	})
}
