// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Every default rule over samples that compares with a number has that number taken out;
// the conditions beside it are left out.
func TestBare(t *testing.T) {
	for text, want := range map[string]string{
		"up == 0": "up | == 0",
		"max by (host) (rate(a_total[5m])) > 0.5":             "max by (host) (rate(a_total[5m])) | > 0.5",
		"max by (host) ((a > 90) and on (id) (b / c > 0.75))": "max by (host) (a) | > 90",
		"(min by (host) (x) - time()) / 86400 < 14":           "(min by (host) (x) - time()) / 86400 | < 14",
		"sum by (host) (a) > -3 unless on (host) b":           "sum by (host) (a) | > -3",
		"a > b":             "",
		"a > bool 1":        "",
		"container_problem": "",
		"absent(a)":         "",
		"count(a > 1)":      "count(a) | > 1",
	} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if bare, op, n, ok := bareOf(expr); ok {
			got = bare.String() + " | " + strings.TrimSpace(op+" "+(&parser.NumberLiteral{Val: n}).String())
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for _, d := range defaults {
		if d.group == logs || d.group == problems {
			continue
		}
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(withThreshold(d.expr, 0.123))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, n, ok := bareOf(expr); !ok || strings.HasPrefix(d.expr, "max by (host, workload) (rate(container_pressure") && n != 0.123 {
			t.Errorf("%s: its threshold is not found: %v %v", d.name, n, ok)
		}
	}
}

// The chart of an alarm is that of its own rule and labels.
func TestChart(t *testing.T) {
	w, open := &told{}, &openSet{}
	file := filepath.Join(t.TempDir(), "own.yaml")
	own := "groups:\n- name: own\n  rules:\n  - alert: Mine\n    expr: (vector(time()) % 60) > 30\n    labels: {severity: warning}\n- name: logs-own\n  type: logql\n  rules:\n  - alert: Loud\n    expr: 'sum by (workload) (count_over_time({a=\"b\"} [5m])) > 7'\n"
	if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options(w, open)
	o.Files = []string{file}
	asked := ""
	o.LogQLBare = func(expr string) (string, string, float64, bool) {
		return strings.TrimSuffix(expr, " > 7"), ">", 7, strings.HasSuffix(expr, " > 7")
	}
	o.LogQLRange = func(_ context.Context, expr string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
		asked = expr
		return promql.Matrix{
			{Metric: labels.FromStrings("workload", "other"), Floats: []promql.FPoint{{T: start.UnixMilli(), F: 1}}},
			{Metric: labels.FromStrings("workload", "web"), Floats: []promql.FPoint{{T: start.UnixMilli(), F: 9}}},
		}, nil
	}
	o.LogQLLines = func(_ context.Context, expr string, alarm map[string]string, _, to time.Time, limit int) ([]Line, error) {
		return []Line{{to, expr + " of " + alarm["workload"]}}, nil
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	end := time.Unix(1_800_000_000, 0)
	c, err := e.Chart(t.Context(), "Mine", map[string]string{"alertname": "Mine", "severity": "critical"}, end.Add(-4*time.Minute), end)
	if err != nil || c.Op != ">" || c.Threshold != 30 || c.Language != "promql" || len(c.Points) != 241 || c.Points[10].F != 10 {
		t.Errorf("%v %+v", err, c)
	}
	c, err = e.Chart(t.Context(), "Loud", map[string]string{"workload": "web"}, end.Add(-4*time.Minute), end)
	if err != nil || c.Threshold != 7 || c.Language != "logql" || len(c.Points) != 1 || c.Points[0].F != 9 || !strings.HasSuffix(asked, "[5m]))") {
		t.Errorf("%v %+v, asked %q", err, c, asked)
	}
	for _, name := range []string{"ContainerCrashed", "Nobody"} {
		if _, err := e.Chart(t.Context(), name, nil, end.Add(-time.Hour), end); !errors.Is(err, ErrNoChart) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lines, err := e.Lines(t.Context(), "Loud", map[string]string{"workload": "web"}, end, end, 50)
	if err != nil || len(lines) != 1 || !strings.HasSuffix(lines[0].Text, "> 7 of web") {
		t.Errorf("%v %+v", err, lines)
	}
	if lines, err := e.Lines(t.Context(), "Mine", nil, end, end, 50); err != nil || len(lines) != 0 {
		t.Errorf("%v %+v", err, lines)
	}
}
