// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"go.uber.org/goleak"

	"tallyman/alert/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is what an engine tells.
type told struct {
	mu   sync.Mutex
	said []string
}

func (w *told) notify(_ context.Context, _ string, alerts ...*rules.Alert) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range alerts {
		state := "fires"
		if !a.ResolvedAt.IsZero() {
			state = "ends"
		}
		text := a.Labels.Get("alertname") + " " + a.Labels.Get("workload") + " " + state
		if len(w.said) == 0 || w.said[len(w.said)-1] != text { // it is told again each minute
			w.said = append(w.said, text)
		}
	}
}

func (w *told) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, "; ")
}

// openSet are the open problems, which a test changes while rules are evaluated.
type openSet struct {
	mu   sync.Mutex
	list []problem.Problem
}

func (o *openSet) set(list ...problem.Problem) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = list
}

func (o *openSet) get() []problem.Problem {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.list
}

func options(w *told, open *openSet) Options {
	return Options{Problems: open.get, Builtin: true, Notify: w.notify, Log: slog.New(slog.DiscardHandler),
		LogQL:      func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil },
		CheckLogQL: func(text string) error { return nil }}
}

func run(t *testing.T, e *Engine) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// The default rules are what Prometheus' own reader takes, and none fails over an empty
// store.
func TestDefaults(t *testing.T) {
	promqlRules, logqlRules := Defaults(nil)
	text, err := Show(promqlRules)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs := rulefmt.Parse(text, false, model.LegacyValidation, parser.NewParser(parser.Options{}), nil); len(errs) > 0 {
		t.Errorf("the default rules are wrong: %v\n%s", errs, text)
	}
	if strings.Contains(string(text), "$threshold") || len(logqlRules.Groups) != 1 || len(logqlRules.Groups[0].Rules) < 4 {
		t.Errorf("%s", text)
	}
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		e, err := New(options(w, open))
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if f := e.Failing(); len(f) > 0 || w.text() != "" {
			t.Errorf("failing %v, said %q; want silence", f, w.text())
		}
		if n := len(e.AlertingRules()); n < 30 {
			t.Errorf("%d rules", n)
		}
		stop()
	})
}

// A problem fires when the engine is told that it is there, and ends with it.
func TestProblemsAreSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		file := filepath.Join(t.TempDir(), "own.yaml")
		own := "groups:\n- name: problems-own\n  rules:\n  - alert: Mine\n    expr: container_problem{kind=\"crash\",workload!~\"ci/.*\"} >= 0\n  - alert: Long\n    expr: max by (workload) (container_problem) > 60\n"
		if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(w, open)
		o.Files = []string{file}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		defer stop()
		time.Sleep(time.Minute)
		open.set(problem.Problem{Kind: problem.Crash, Class: problem.Service, Host: "harbor", Workload: "shop/web/1", Project: "shop", Since: time.Now()},
			problem.Problem{Kind: problem.Crash, Class: problem.Plain, Host: "harbor", Workload: "ci/1", Project: "ci/1", Since: time.Now()})
		e.ProblemsChanged()
		synctest.Wait()
		w.mu.Lock()
		slices.Sort(w.said) // the groups are evaluated side by side
		w.mu.Unlock()
		if got := w.text(); got != "ContainerCrashed ci/1 fires; ContainerCrashed shop/web/1 fires; Mine shop/web/1 fires" {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(2 * time.Minute)
		if got := w.text(); !strings.Contains(got, "Long ci/1 fires") {
			t.Errorf("after two minutes: %q, want that it has lasted", got)
		}
		open.set()
		w.mu.Lock()
		w.said = nil
		w.mu.Unlock()
		e.ProblemsChanged()
		synctest.Wait()
		if got := w.text(); !strings.Contains(got, "ContainerCrashed shop/web/1 ends") || strings.Contains(got, "fires") {
			t.Errorf("after the end: %q", got)
		}
	})
}

// What was firing goes on firing after a restart, without a new wait; what has ended
// meanwhile is resolved.
func TestOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		file := filepath.Join(t.TempDir(), "own.yaml")
		own := "groups:\n- name: problems-own\n  rules:\n  - alert: Slow\n    expr: container_problem\n    for: 10m\n    labels: {team: red}\n"
		if err := os.WriteFile(file, []byte(own), 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(w, open)
		o.Builtin, o.Files = false, []string{file}
		of := func(workload string) problem.Problem {
			return problem.Problem{Kind: problem.Paused, Host: "harbor", Workload: workload, Since: time.Now()}
		}
		a, b := of("a"), of("b")
		open.set(a, b)
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		time.Sleep(11 * time.Minute)
		late := of("late")
		open.set(a, b, late)
		time.Sleep(5 * time.Minute)
		stop()
		kept := e.Active()
		if got := w.text(); !strings.Contains(got, "Slow a fires") || len(kept) != 3 {
			t.Fatalf("said %q, kept %+v", got, kept)
		}

		w = &told{}
		open.set(a, late) // b has ended
		o.Notify, o.Active = w.notify, kept
		if e, err = New(o); err != nil {
			t.Fatal(err)
		}
		stop = run(t, e)
		time.Sleep(20 * time.Second)
		if got := w.text(); !strings.Contains(got, "Slow a fires") || !strings.Contains(got, "Slow b ends") || strings.Contains(got, "late") {
			t.Errorf("after the restart: %q; want a firing at once, b resolved, and late still waiting", got)
		}
		time.Sleep(6 * time.Minute)
		if got := w.text(); !strings.Contains(got, "Slow late fires") {
			t.Errorf("%q; want that the wait of late went on", got)
		}
		stop()
	})
}

// While nothing is stored what a rule looks for has not ended.
func TestBlindRulesStandStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		o := options(w, open)
		var blind, gone atomic.Bool
		o.Blind = blind.Load
		o.LogQL = func(_ context.Context, expr string, at time.Time) (promql.Vector, error) {
			if gone.Load() || !strings.Contains(expr, `"fatal|critical"`) || strings.Contains(expr, "error") {
				return nil, nil
			}
			return promql.Vector{{Metric: labels.FromStrings("host", "harbor", "workload", "web"), F: 3, T: at.UnixMilli()}}, nil
		}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		defer stop()
		time.Sleep(3 * time.Minute)
		blind.Store(true)
		gone.Store(true)
		open.set(problem.Problem{Kind: problem.DiskFull, Host: "harbor", Since: time.Now()})
		time.Sleep(30 * time.Minute)
		if got := w.text(); got != "LogFatal web fires; TallymanDiskFull  fires" {
			t.Errorf("said %q", got)
		}
		blind.Store(false)
		open.set()
		time.Sleep(15 * time.Minute)
		if got := w.text(); !strings.Contains(got, "LogFatal web ends") || !strings.Contains(got, "TallymanDiskFull  ends") {
			t.Errorf("said %q", got)
		}
	})
}

func TestOverrides(t *testing.T) {
	minute, number := 30*time.Minute, 95.0
	got, _ := Defaults(map[string]Override{"ContainerPaused": {Off: true}, "ContainerMemoryNearLimit": {For: &minute, Threshold: &number, Severity: Critical}})
	text, err := Show(got)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Contains(s, "ContainerPaused") || !strings.Contains(s, "container_memory_usage_percent > 95)") || !strings.Contains(s, "for: 30m") {
		t.Errorf("%s", s)
	}
	for want, o := range map[string]map[string]Override{
		`did you mean "ContainerPaused"`: {"ContainerPause": {}},
		"is not known":                   {"ContainerPaused": {Severity: "bad"}},
		"has no threshold":               {"ContainerPaused": {Threshold: &number}},
	} {
		if err := Check(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", o, err, want)
		}
	}
}

// Files in both languages, and what is wrong with them.
func TestFiles(t *testing.T) {
	load := func(name, text string, loki bool) (*Engine, error) {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, open := &told{}, &openSet{}
		o := options(w, open)
		o.Builtin = false
		o.CheckLogQL = func(text string) error {
			if strings.Contains(text, "{}") {
				return errors.New("an empty selector")
			}
			return nil
		}
		if o.Files = []string{file}; loki {
			o.Files, o.LogFiles = nil, o.Files
		}
		return New(o)
	}
	const group = "groups:\n- name: a\n"
	const body = "  rules:\n  - alert: A\n    expr: 'sum(rate({a=\"b\"} |= \"x\" [5m])) > 1'\n    for: 5m\n"
	for _, c := range []struct {
		what, text string
		loki       bool
		want       string
	}{
		{"logql in a group that says so", group + "  type: logql\n" + body, false, ""},
		{"a file of Loki's ruler", group + body, true, ""},
		{"logql that nobody has said", group + body, false, "own.yaml: "},
		{"a type that is not known", group + "  type: sql\n" + body, false, `the type "sql" is not known`},
		{"logql that is wrong", group + "  type: logql\n  rules:\n  - alert: A\n    expr: 'rate({}[5m])'\n", false, "an empty selector"},
		{"no YAML", "groups: [", false, "own.yaml: "},
		{"a key that is not known", group + "  colour: red\n" + body, true, "own.yaml: "},
		{"promql", group + "  rules:\n  - alert: A\n    expr: up == 0\n", false, ""},
	} {
		e, err := load("own.yaml", c.text, c.loki)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if err == nil && c.what == "a file of Loki's ruler" {
			if got := e.AlertingRules()[0].Query().String(); got != "# LogQL\nsum(rate({a=\"b\"} |= \"x\" [5m])) > 1" {
				t.Errorf("it is shown as %q", got)
			}
		}
	}
}

// A rule over logs is asked in LogQL, some seconds late.
func TestLogRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		o := options(w, open)
		var mu sync.Mutex
		var asked []string
		o.LogQL = func(_ context.Context, expr string, at time.Time) (promql.Vector, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, expr)
			if !strings.Contains(expr, `"fatal|critical"`) || strings.Contains(expr, "error") {
				return nil, nil
			}
			return promql.Vector{{Metric: labels.FromStrings("host", "harbor", "workload", "web"), F: 3, T: at.UnixMilli()}}, nil
		}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := w.text(); got != "LogFatal web fires" {
			t.Errorf("said %q, asked %q", got, asked)
		}
		if d := cmp.Diff(map[string]error{}, e.Failing()); d != "" {
			t.Error(d)
		}
		stop()
	})
}

// Rules that cannot be evaluated are counted, and told as long as they cannot.
func TestRulesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, open := &told{}, &openSet{}
		o := options(w, open)
		var broken atomic.Bool
		broken.Store(true)
		o.LogQL = func(context.Context, string, time.Time) (promql.Vector, error) {
			if broken.Load() {
				return nil, errors.New("the disk is away")
			}
			return nil, nil
		}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		numbers := func() map[string]float64 {
			out := map[string]float64{}
			for _, m := range e.SelfMetrics() {
				out[m.Desc.Name] = m.Read()
			}
			return out
		}
		stop := run(t, e)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		n := numbers()
		if n["tallyman_rules_failing"] != 4 || n["tallyman_rule_evaluations_failed_total"] < 8 || n["tallyman_rule_evaluations_total"] < 60 || len(e.Failing()) != 4 {
			t.Errorf("%v, failing %v; want the four rules over logs", n, e.Failing())
		}
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := numbers(); n["tallyman_rules_failing"] != 0 {
			t.Errorf("%v; want that none fails any more", n)
		}
		stop()
	})
}
