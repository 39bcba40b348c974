// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/rules"

	"tallyman"
	"tallyman/alert/notify"
	"tallyman/alert/rule"
	"tallyman/internal/testkit"
	"tallyman/query/logql"
	"tallyman/store/record"
)

// checkRules runs check rules with files.
func checkRules(t *testing.T, files ...string) (string, error) {
	t.Helper()
	t.Setenv("TALLYMAN_DATA", t.TempDir())
	var out strings.Builder
	err := (&checkRulesCmd{Files: files}).Run(t.Context(), &out)
	return out.String(), err
}

// promtoolTests runs files of tests with Prometheus' promtool, if it is there.
func promtoolTests(t *testing.T, files ...string) (text string, passed, known bool) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Log("no promtool (Debian's package prometheus); its verdict is not compared")
		return "", false, false
	}
	text, err := testkit.Run(time.Minute, nil, append([]string{"promtool", "test", "rules"}, files...)...)
	return text, err == nil, true
}

// The rules of examples are good and pass their tests, and promtool says the same of
// those in its own format.
func TestExamplesOfRules(t *testing.T) {
	files, err := filepath.Glob("../../examples/rules/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	out, err := checkRules(t, files...)
	if err != nil || strings.Count(out, "SUCCESS") != 2 || !strings.Contains(out, "rules are good") {
		t.Errorf("%v\n%s", err, out)
	}
	if text, passed, known := promtoolTests(t, "../../examples/rules/shop_test.yaml"); known && !passed {
		t.Errorf("promtool: %s", text)
	}
}

const ruleUnderTest = `groups:
- name: a
  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {cluster: "{{$externalLabels.cluster}}"}
    annotations: {summary: "{{$labels.job}} is down", link: "{{$externalURL}}/x"}
  - record: last
    expr: max_over_time(up[2m:])
`

// Each of these files passes or fails here as it does in promtool; what is told of those
// that fail names file, test, rule and time.
func TestUnitTestsOfRulesAsPromtool(t *testing.T) {
	const head = "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n- "
	const down = "interval: 1m\n  input_series: [{series: 'up{job=\"a\"}', values: '1 0+0x10'}]\n  external_labels: {cluster: x}\n  external_url: http://h\n  "
	for name, c := range map[string]struct {
		text string
		want []string // none: it passes
	}{
		"passes": {head + down + "alert_rule_test: [{eval_time: 3m, alertname: Down, exp_alerts: [{exp_labels: {job: a, cluster: x}, exp_annotations: {summary: a is down, link: http://h/x}}]}]\n", nil},
		"it waits yet": {head + "name: early\n  " + down + "alert_rule_test: [{eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {job: a, cluster: x}}]}]\n",
			[]string{"name: early,", "alertname: Down, time: 2m", `exp:[`, `Labels:{alertname="Down", cluster="x", job="a"}`, "got:[]"}},
		"other texts": {head + down + "alert_rule_test: [{eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: a, cluster: x}, exp_annotations: {summary: b}}]}]\n",
			[]string{"test: 1,", `Annotations:{summary="b"}`, `Annotations:{link="http://h/x", summary="a is down"}`}},
		"a value":           {head + down + "promql_expr_test: [{expr: last, eval_time: 1m, exp_samples: [{labels: 'last{job=\"a\"}', value: 1}]}]\n", nil},
		"another value":     {head + down + "promql_expr_test: [{expr: last, eval_time: 1m, exp_samples: [{labels: 'last{job=\"a\"}', value: 2}]}]\n", []string{`expr: "last", time: 1m`, `exp: {__name__="last", job="a"} 2E+00`, "got:"}},
		"a wrong expr":      {head + down + "promql_expr_test: [{expr: 'sum(', eval_time: 1m}]\n", []string{`expr: "sum(", time: 1m, err:`}},
		"a key not known":   {head + "colour: red\n", []string{"line 4: the key colour is not known here"}},
		"no name":           {head + "alert_rule_test: [{eval_time: 1m}]\n", []string{"has no alertname"}},
		"a wrong series":    {head + "input_series: [{series: 'up{', values: '1'}]\n", []string{"test 1: the series up{ 1"}},
		"no such rule file": {"rule_files: [nothing.yaml]\ntests:\n- name: x\n", nil}, // promtool warns; here see below
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "a_test.yaml")
			for path, text := range map[string]string{filepath.Join(dir, "rules.yaml"): ruleUnderTest, file: c.text} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if name == "no such rule file" {
				if out, err := checkRules(t, file); err == nil || !strings.Contains(out, "there is no file") {
					t.Errorf("%v\n%s; want that rules which are not there are no success", err, out)
				}
				return
			}
			out, err := checkRules(t, file)
			if (err == nil) != (c.want == nil) {
				t.Errorf("%v\n%s", err, out)
			}
			for _, want := range append(c.want, "Unit Testing:  "+file) {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if text, passed, known := promtoolTests(t, file); known && passed != (err == nil) {
				t.Errorf("promtool: %v\n%s; here %v", passed, text, err)
			}
		})
	}
}

// What promtool's format lacks: logs, events, the default rules, another start.
func TestUnitTestsOfRulesBeyondPromtool(t *testing.T) {
	rules := "groups:\n- name: a\n  type: logql\n  rules:\n  - alert: Bad\n    expr: sum by (workload) (count_over_time({source=\"container\"} | request=\"7\" [1m])) > 1\n"
	for name, c := range map[string]struct{ text, want string }{
		"lines with metadata": {"rule_files: [rules.yaml]\ntests:\n- input_logs: [{stream: '{source=\"container\",workload=\"w\"}', lines: [{at: 30s, line: x, count: 2, every: 1s, metadata: {request: \"7\"}}, {at: 30s, line: x, metadata: {request: \"8\"}}]}]\n" +
			"  alert_rule_test: [{eval_time: 1m, alertname: Bad, exp_alerts: [{exp_labels: {workload: w}}]}]\n", ""},
		"a file of Loki's ruler": {"log_rule_files: [loki.yaml]\ntests:\n- input_logs: [{stream: '{source=\"container\",workload=\"w\"}', lines: [{at: 30s, line: x, count: 3, every: 1s, metadata: {request: \"7\"}}]}]\n" +
			"  start_timestamp: 2026-03-01T08:00:00Z\n  alert_rule_test: [{eval_time: 1m, alertname: Bad, exp_alerts: [{exp_labels: {workload: w}}]}]\n", ""},
		"a stream without labels": {"tests:\n- input_logs: [{stream: web, lines: []}]\n", ""},
		"no stream":               {"tests:\n- input_logs: [{stream: '{', lines: []}]\n", "input_logs 1: the stream \"{\" cannot be read"},
		"too many lines":          {"tests:\n- input_logs: [{stream: '{a=\"b\"}', lines: [{at: 1m, count: 1000000}]}]\n", "is not within 1 and"},
		"an event of nothing":     {"tests:\n- input_events: [{at: 1m, name: web}]\n", "input_events 1: it has no action"},
		"a start that is none":    {"tests:\n- start_timestamp: yesterday\n", "is no time"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "a_test.yaml")
			for path, text := range map[string]string{"rules.yaml": rules, "loki.yaml": strings.Replace(rules, "  type: logql\n", "", 1), "a_test.yaml": c.text} {
				if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := checkRules(t, file)
			if (err == nil) != (c.want == "") || !strings.Contains(out, c.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// A file that has tests is one of tests, however it is called; others are rules.
func TestFilesOfTestsAreKnown(t *testing.T) {
	out, err := checkRules(t, "../../examples/rules/shop.yaml")
	if err != nil || strings.Contains(out, "Unit Testing") || !strings.Contains(out, "rules are good") {
		t.Errorf("a file of rules: %v\n%s", err, out)
	}
	if out, err := checkRules(t, "nothing.yaml"); err == nil {
		t.Errorf("a file that is not there: %s", out)
	}
}

// The default rules do what they say.
func TestDefaultRules(t *testing.T) {
	out, err := checkRules(t, "testdata/defaults_test.yaml")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !slices.Contains(rule.Names(), notify.FailsRule) {
		t.Errorf("there is no rule %s, of which a receiver that fails is not told", notify.FailsRule)
	}
}

// How often a rule over logs would have fired is told by the engine of logs.
func TestTryOverLogs(t *testing.T) {
	stores, err := unitStores(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stores.Close() })
	records := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "level", Value: "fatal"}, {Name: "source", Value: "container"}, {Name: "workload", Value: "web"}}}}
	end := time.Now().Truncate(time.Minute)
	for _, ago := range []time.Duration{5 * time.Hour, 3 * time.Hour, 3*time.Hour - time.Minute} { // the last two are one episode
		records.Records = append(records.Records, tallyman.Record{Time: end.Add(-ago).UnixNano(), Line: []byte("boom")})
	}
	if err := stores.Logs(t.Context(), &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{records}}); err != nil {
		t.Fatal(err)
	}
	e, err := rule.New(rule.Options{Builtin: true, CheckLogQL: checkLogRule, LogQL: stores.LogQL, LogQLRange: stores.LogQLRange,
		Notify: func(context.Context, string, ...*rules.Alert) {}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Try(t.Context(), "LogFatal", end.Add(-7*time.Hour), end)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	// Five minutes of the expression, and ten for which it goes on.
	if x := got[0]; x.Fired != 2 || x.Waited != 0 || x.Episodes[0].Labels["workload"] != "web" || x.Episodes[0].Ended.Sub(x.Episodes[0].Fired) < 14*time.Minute || x.Episodes[0].Ended.Sub(x.Episodes[0].Fired) > 17*time.Minute {
		t.Errorf("%+v", x)
	}
}

// Of every default rule over logs it is known what is compared with what, and which lines it
// counts; those are found for one workload.
func TestWhatLogRulesLookAt(t *testing.T) {
	_, logs := rule.Defaults(nil)
	for _, g := range logs.Groups {
		for _, r := range g.Rules {
			bare, op, _, ok := bareLogQL(r.Expr)
			if !ok || op != ">" || strings.Contains(bare, "unless") || strings.HasSuffix(bare, "> 0") {
				t.Errorf("%s: %q %q %v", r.Alert, bare, op, ok)
			}
			if err := checkLogRule(bare); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
		}
	}
	records, err := record.Open(record.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	at := time.Now().Truncate(time.Second)
	for _, workload := range []string{"a", "b"} {
		s := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "level", Value: "error"}, {Name: "source", Value: "container"}, {Name: "workload", Value: workload}}}}
		for i := range 100 {
			s.Records = append(s.Records, tallyman.Record{Time: at.Add(time.Duration(i-100) * 5 * time.Second).UnixNano(), Line: fmt.Appendf(nil, "%s %d", workload, i)})
		}
		if err := records.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{s}}); err != nil {
			t.Fatal(err)
		}
	}
	look := logLines(logql.New(records, logql.Options{}))
	got, err := look(t.Context(), `sum by (host, workload) (count_over_time({source="container"} |= "a" [2m])) > 20 unless vector(1)`, map[string]string{"host": "harbor", "workload": "a"}, at, at, 10)
	if err != nil || len(got) != 10 || got[9].Text != "a 99" || got[0].Text != "a 90" {
		t.Errorf("%v %+v", err, got)
	}
	// No more than its window is looked at.
	if got, err := look(t.Context(), `count_over_time({source="container"} [1m]) > 20`, map[string]string{"workload": "b"}, at, at, 50); err != nil || len(got) != 12 || got[0].Text != "b 88" {
		t.Errorf("%v %+v", err, got)
	}
}
