// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"

	"tallyman/store/metric"
)

// Workloads have thresholds of their own, above and below that of the rule, or none of
// it; the others keep that of the rule, over logs too.
func TestWishes(t *testing.T) {
	store, err := metric.Open(t.TempDir(), metric.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	percent := map[string]float64{"usual": 92, "low": 60, "patient": 92, "patient-full": 97, "strict": 75, "off": 99}
	results := store.Results(0)
	start := time.Now().Truncate(time.Minute).Add(-20 * time.Minute)
	for i := range 20 {
		app := results.Appender(t.Context())
		at := start.Add(time.Duration(i) * time.Minute).UnixMilli()
		put := func(name string, v float64, l ...string) {
			_, _ = app.Append(0, labels.FromStrings(append([]string{"__name__", name, "host", "harbor"}, l...)...), at, v)
		}
		put("machine_memory_bytes", 8e9)
		for w, v := range percent {
			put("container_memory_usage_percent", v, "workload", w, "id", "/docker/"+w)
			put("container_memory_rss", 99, "workload", w, "id", "/docker/"+w)
			put("container_spec_memory_limit_bytes", 100, "workload", w, "id", "/docker/"+w)
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	own := map[string]Wish{}
	number := func(n float64) *float64 { return &n }
	own["patient"], own["patient-full"], own["strict"], own["off"] = Wish{Threshold: number(95)}, Wish{Threshold: number(95)}, Wish{Threshold: number(70)}, Wish{Off: true}
	var asked []string
	e, err := New(Options{
		Samples: store.Queryable(), Builtin: true, Overrides: map[string]Override{"ContainerMemoryNearLimit": {Threshold: number(91)}},
		CheckLogQL: func(string) error { return nil },
		LogQL: func(_ context.Context, expr string, at time.Time) (promql.Vector, error) {
			if strings.Contains(expr, `"fatal|critical"`) && !strings.Contains(expr, "error") {
				asked = append(asked, expr[strings.LastIndex(expr, ">"):])
				return promql.Vector{{Metric: labels.FromStrings("host", "harbor", "workload", "strict"), F: 80}}, nil
			}
			return nil, nil
		},
		Wish: func(rule, _, _, workload string) Wish {
			if rule != "ContainerMemoryNearLimit" && rule != "LogFatal" {
				return Wish{}
			}
			return own[workload]
		},
		Thresholds: func(rule string) []float64 { return []float64{70, 95} },
		Notify:     func(context.Context, string, ...*rules.Alert) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.promql.Close()
	for _, g := range e.RuleGroups() {
		g.Eval(t.Context(), start.Add(19*time.Minute))
	}
	got := map[string][]string{}
	for _, a := range e.Active() {
		got[a.Rule] = append(got[a.Rule], a.Labels["workload"])
		slices.Sort(got[a.Rule])
	}
	if m := strings.Join(got["ContainerMemoryNearLimit"], " "); m != "patient-full strict usual" {
		t.Errorf("near their limit: %q; want those above their own number", m)
	}
	if m := strings.Join(got["LogFatal"], " "); m != "strict" || !slices.Equal(asked, []string{"> 0", "> 70", "> 95"}) {
		t.Errorf("over logs: %q, asked with %q", m, asked)
	}
	if f := e.Failing(); len(f) > 0 {
		t.Error(f)
	}
}
