// SPDX-License-Identifier: Apache-2.0

// Package unit runs unit tests of rules: files in the format of promtool test rules, with logs,
// events and the default rules beside series. Rules are evaluated by [rule.Engine], over
// stores that hold nothing but what a test gives them.
//
//	failures, err := unit.Run(ctx, "shop_test.yaml", unit.Options{Stores: open, CheckLogQL: check})
//
// It prints nothing and looks at no configuration. Run may be called concurrently: each
// test has stores of its own, in a directory that is removed after it.
package unit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v3"

	"tallyman"
	"tallyman/alert/rule"
)

// Options say on what unit tests of rules are run. Stores and CheckLogQL are needed.
type Options struct {
	// Stores opens empty stores in a directory.
	Stores     func(dir string) (*Stores, error)
	CheckLogQL func(expr string) error
	// Overrides are those of the default rules, for files that ask for these.
	Overrides map[string]rule.Override
}

// Stores are what a test is run on, opened for it alone.
type Stores struct {
	Samples storage.Queryable
	Append  storage.Appendable
	Logs    func(ctx context.Context, b *tallyman.RecordBatch) error
	Events  func(events []tallyman.Event) error
	LogQL   func(ctx context.Context, expr string, t time.Time) (promql.Vector, error)
	// LogQLRange is as in [rule.Options].
	LogQLRange func(ctx context.Context, expr string, start, end time.Time, step time.Duration) (promql.Matrix, error)
	Close      func() error
}

// testFile is a file of unit tests: promtool's format, and what is marked with a plus.
type testFile struct {
	RuleFiles []string `yaml:"rule_files"`
	// + Files of Loki's ruler.
	LogRuleFiles []string `yaml:"log_rule_files"`
	// + The default rules, as the configuration has changed them.
	DefaultRules       bool           `yaml:"default_rules"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare"`
	Tests              []oneTest      `yaml:"tests"`
}

// oneTest is one test: what there is, and what is to come of it.
type oneTest struct {
	Name           string         `yaml:"name"`
	Interval       model.Duration `yaml:"interval"` // between samples
	Series         []inputSeries  `yaml:"input_series"`
	Logs           []inputLogs    `yaml:"input_logs"`   // +
	Events         []inputEvent   `yaml:"input_events"` // +
	Alerts         []wantAlerts   `yaml:"alert_rule_test"`
	Exprs          []wantExpr     `yaml:"promql_expr_test"`
	ExternalLabels labels.Labels  `yaml:"external_labels"`
	ExternalURL    string         `yaml:"external_url"`
	Start          startTime      `yaml:"start_timestamp"`
}

type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

// inputLogs are lines of one stream.
type inputLogs struct {
	Stream string      `yaml:"stream"` // as {source="container", workload="web"}
	Lines  []inputLine `yaml:"lines"`
}

// when is when something happens: at a time, and count times in all.
type when struct {
	At    model.Duration `yaml:"at"`
	Count int            `yaml:"count"`
	Every model.Duration `yaml:"every"` // the interval of the test when left out
}

type inputLine struct {
	when     `yaml:",inline"`
	Line     string            `yaml:"line"`
	Metadata map[string]string `yaml:"metadata"`
}

type inputEvent struct {
	when       `yaml:",inline"`
	Host       string            `yaml:"host"`
	Type       string            `yaml:"type"` // container when left out
	Action     string            `yaml:"action"`
	Actor      string            `yaml:"actor"`
	Name       string            `yaml:"name"`
	Image      string            `yaml:"image"`
	Workload   string            `yaml:"workload"`
	Attributes map[string]string `yaml:"attributes"`
}

// wantAlerts are all alerts of a name that are to fire at a time.
type wantAlerts struct {
	At     model.Duration `yaml:"eval_time"`
	Name   string         `yaml:"alertname"`
	Alerts []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

// wantExpr is what a PromQL expression is to give at a time.
type wantExpr struct {
	Expr    string         `yaml:"expr"`
	At      model.Duration `yaml:"eval_time"`
	Samples []struct {
		Labels    string  `yaml:"labels"`
		Value     float64 `yaml:"value"`
		Histogram string  `yaml:"histogram"` // then Value counts for nothing
	} `yaml:"exp_samples"`
}

// startTime is a time of RFC 3339 or in seconds since 1970.
type startTime struct{ time.Time }

// UnmarshalYAML reads it.
func (s *startTime) UnmarshalYAML(n *yaml.Node) error {
	if seconds, err := strconv.ParseFloat(n.Value, 64); err == nil {
		s.Time = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, n.Value)
	if err != nil {
		return fmt.Errorf("line %d: start_timestamp: %q is no time; write it as 2026-03-01T08:00:00Z, or in seconds since 1970", n.Line, n.Value)
	}
	s.Time = t
	return nil
}

const (
	// logsStart is when a test begins for its logs, if it begins at 0 for its samples:
	// records are kept by day, and there is nothing before 1970.
	logsStart = 1_000_000_000 * time.Second
	// maxLines is how often one line or event may come.
	maxLines = 100_000
	// maxSteps is how often the rules are evaluated at most for one test.
	maxSteps = 1_000_000
)

// IsFile reports whether a file is one of unit tests, by its key tests. What cannot be
// read is none; who reads it as rules says why.
func IsFile(name string) bool {
	text, err := rule.ReadFile(name)
	if err != nil {
		return false
	}
	var top map[string]yaml.Node
	if yaml.Unmarshal(text, &top) != nil {
		return false
	}
	_, ok := top["tests"]
	return ok
}

// notKnown is how the reader of YAML tells of a key that it does not know.
var notKnown = regexp.MustCompile(`field (\S+) not found in type unit\.\w+`)

// readTests reads a file of unit tests, and finds its files of rules beside it.
func readTests(name string) (*testFile, error) {
	text, err := rule.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := &testFile{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(notKnown.ReplaceAllString(err.Error(), "the key $1 is not known here"))
	}
	f.EvaluationInterval = cmp.Or(f.EvaluationInterval, model.Duration(time.Minute))
	for _, list := range []*[]string{&f.RuleFiles, &f.LogRuleFiles} {
		var found []string
		for _, pattern := range *list {
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(name), pattern)
			}
			files, err := filepath.Glob(pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", pattern, err)
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("there is no file %s", pattern)
			}
			found = append(found, files...)
		}
		*list = found
	}
	for i, group := range f.GroupEvalOrder {
		if slices.Contains(f.GroupEvalOrder[:i], group) {
			return nil, fmt.Errorf("group_eval_order has the group %q twice", group)
		}
	}
	return f, nil
}

// Run runs the tests of a file. The failures tell of each what was expected and what
// came; an error is of a file or of stores that cannot be read or opened.
func Run(ctx context.Context, name string, o Options) (failures []string, err error) {
	f, err := readTests(name)
	if err != nil {
		return nil, err
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		u := &running{file: f, test: t, o: o}
		if err := u.run(ctx); err != nil {
			return failures, fmt.Errorf("%s: %w", cmp.Or(t.Name, fmt.Sprintf("test %d", i+1)), err)
		}
		for _, text := range u.failures {
			if t.Name != "" {
				text = "name: " + t.Name + ",\n" + text
			} else {
				text = fmt.Sprintf("test: %d,\n%s", i+1, text)
			}
			failures = append(failures, text)
		}
	}
	return failures, nil
}

// running is one test while it is run.
type running struct {
	file     *testFile
	test     *oneTest
	o        Options
	stores   *Stores
	engine   *rule.Engine
	series   []loadedSeries
	loaded   int // how many values of each series are stored
	start    time.Time
	logs     time.Duration // from the start of samples to that of logs
	failures []string
}

type loadedSeries struct {
	labels labels.Labels
	values []parser.SequenceValue
}

func (u *running) fail(format string, args ...any) {
	u.failures = append(u.failures, fmt.Sprintf(format, args...))
}

// run opens stores, evaluates the rules step by step, and compares.
func (u *running) run(ctx context.Context) (err error) {
	t := u.test
	t.Interval = cmp.Or(t.Interval, u.file.EvaluationInterval)
	u.start = t.Start.Time
	if u.start.IsZero() {
		u.start, u.logs = time.Unix(0, 0).UTC(), logsStart
	}
	last := model.Duration(0)
	for _, a := range t.Alerts {
		if a.Name == "" {
			return fmt.Errorf("a test of alerts at %s has no alertname", a.At)
		}
		last = max(last, a.At)
	}
	for _, x := range t.Exprs {
		last = max(last, x.At)
	}
	if int64(last/u.file.EvaluationInterval) > maxSteps {
		return fmt.Errorf("%s in steps of %s are too many; write a longer evaluation_interval", last, u.file.EvaluationInterval)
	}
	dir, err := os.MkdirTemp("", "tallyman-rules")
	if err != nil {
		return fmt.Errorf("make a directory for the test: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if u.stores, err = u.o.Stores(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.stores.Close()) }()
	if err := u.load(ctx); err != nil {
		return err
	}
	if err := u.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.engine.Close()) }()
	evaluated, err := u.evaluate(ctx, time.Duration(last))
	if err != nil || !evaluated {
		return err
	}
	for _, x := range t.Exprs {
		u.compareExpr(ctx, &x)
	}
	return nil
}

// open loads the rules as they are loaded to run.
func (u *running) open() (err error) {
	external, err := url.Parse(u.test.ExternalURL)
	if err != nil {
		return fmt.Errorf("external_url: %w", err)
	}
	u.engine, err = rule.New(rule.Options{
		Samples: u.stores.Samples, Append: u.stores.Append, CheckLogQL: u.o.CheckLogQL, Builtin: u.file.DefaultRules, Overrides: u.o.Overrides,
		LogQL: func(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
			return u.stores.LogQL(ctx, expr, at.Add(u.logs))
		},
		Files: u.file.RuleFiles, LogFiles: u.file.LogRuleFiles, External: external, ExternalLabels: u.test.ExternalLabels,
		Subquery: time.Duration(u.file.EvaluationInterval), Notify: func(context.Context, string, ...*rules.Alert) {}, Log: slog.New(slog.DiscardHandler),
	})
	return err
}

// load parses the series, and stores logs and events.
func (u *running) load(ctx context.Context) error {
	p := parser.NewParser(parser.Options{})
	for _, s := range u.test.Series {
		l, values, err := p.ParseSeriesDesc(s.Series + " " + s.Values)
		if err != nil {
			return fmt.Errorf("the series %s %s: %w", s.Series, s.Values, err)
		}
		u.series = append(u.series, loadedSeries{l, values})
	}
	for i := range u.test.Logs {
		if err := u.loadLogs(ctx, p, &u.test.Logs[i]); err != nil {
			return fmt.Errorf("input_logs %d: %w", i+1, err)
		}
	}
	for i := range u.test.Events {
		if err := u.loadEvents(i+1, &u.test.Events[i]); err != nil {
			return fmt.Errorf("input_events %d: %w", i+1, err)
		}
	}
	return nil
}

// times are those of a line or an event.
func (u *running) times(t when) (out []time.Time, err error) {
	if t.Count < 0 || t.Count > maxLines {
		return nil, fmt.Errorf("count: %d is not within 1 and %d", t.Count, maxLines)
	}
	every := time.Duration(cmp.Or(t.Every, u.test.Interval))
	for i := range max(t.Count, 1) {
		out = append(out, u.start.Add(u.logs+time.Duration(t.At)+time.Duration(i)*every))
	}
	return out, nil
}

func (u *running) loadLogs(ctx context.Context, p parser.Parser, in *inputLogs) error {
	l, err := p.ParseMetric(in.Stream)
	if err != nil || l.IsEmpty() {
		return fmt.Errorf("the stream %q cannot be read; write it as {source=\"container\", workload=\"web\"}: %w", in.Stream, cmp.Or(err, errors.New("it has no labels")))
	}
	stream := &tallyman.Stream{}
	l.Range(func(l labels.Label) {
		stream.Labels = append(stream.Labels, tallyman.Label{Name: l.Name, Value: l.Value})
	})
	one := tallyman.StreamRecords{Stream: stream}
	for _, line := range in.Lines {
		times, err := u.times(line.when)
		if err != nil {
			return err
		}
		var meta []tallyman.Label
		for name, value := range line.Metadata {
			meta = append(meta, tallyman.Label{Name: name, Value: value})
		}
		tallyman.SortLabels(meta)
		for _, at := range times {
			one.Records = append(one.Records, tallyman.Record{Time: at.UnixNano(), Line: []byte(line.Line), Meta: meta})
		}
	}
	if err := u.stores.Logs(ctx, &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{one}}); err != nil {
		return fmt.Errorf("store the lines: %w", err)
	}
	return nil
}

func (u *running) loadEvents(number int, in *inputEvent) error {
	if in.Action == "" {
		return errors.New("it has no action; write for example die")
	}
	times, err := u.times(in.when)
	if err != nil {
		return err
	}
	var events []tallyman.Event
	for i, at := range times {
		events = append(events, tallyman.Event{ID: fmt.Sprintf("%d-%d", number, i), Time: at, Host: in.Host, Type: cmp.Or(in.Type, "container"), Action: in.Action,
			Actor: in.Actor, Name: in.Name, Image: in.Image, Workload: in.Workload, Attributes: in.Attributes})
	}
	if err := u.stores.Events(events); err != nil {
		return fmt.Errorf("store the events: %w", err)
	}
	return nil
}

// samplesUntil stores what there is of the series up to a time, in order of time.
func (u *running) samplesUntil(ctx context.Context, until time.Time) error {
	app := u.stores.Append.Appender(ctx)
	for ; ; u.loaded++ {
		at := u.start.Add(time.Duration(u.loaded) * time.Duration(u.test.Interval))
		if at.After(until) {
			break
		}
		more := false
		for _, s := range u.series {
			if u.loaded >= len(s.values) {
				continue
			}
			more = true
			v := s.values[u.loaded]
			var err error
			switch {
			case v.Omitted:
			case v.Histogram != nil:
				_, err = app.AppendHistogram(0, s.labels, at.UnixMilli(), nil, v.Histogram)
			default:
				_, err = app.Append(0, s.labels, at.UnixMilli(), v.Value)
			}
			if err != nil {
				return errors.Join(fmt.Errorf("store the series: %w", err), app.Rollback())
			}
		}
		if !more {
			break
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("store the series: %w", err)
	}
	return nil
}

// ordered are the groups in the order that the file asks for, else by file and name.
func (u *running) ordered() []*rules.Group {
	groups := u.engine.RuleGroups()
	slices.SortStableFunc(groups, func(a, b *rules.Group) int {
		return cmp.Compare(max(slices.Index(u.file.GroupEvalOrder, a.Name()), 0), max(slices.Index(u.file.GroupEvalOrder, b.Name()), 0))
	})
	return groups
}

// evaluate goes through the time of the test. ok is false when a rule could not be
// evaluated: the rest would only tell what follows from that.
func (u *running) evaluate(ctx context.Context, last time.Duration) (ok bool, err error) {
	step := time.Duration(u.file.EvaluationInterval)
	groups := u.ordered()
	for at := time.Duration(0); at <= last; at += step {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if err := u.samplesUntil(ctx, u.start.Add(at)); err != nil {
			return false, err
		}
		failed := false
		for _, g := range groups {
			g.Eval(ctx, u.start.Add(at))
			for _, r := range g.Rules() {
				if err := r.LastError(); err != nil {
					u.fail("    rule: %s, time: %s, err: %v", r.Name(), model.Duration(at), err)
					failed = true
				}
			}
		}
		if failed {
			return false, nil
		}
		for i := range u.test.Alerts {
			if want := &u.test.Alerts[i]; at <= time.Duration(want.At) && time.Duration(want.At) < at+step {
				u.compareAlerts(want)
			}
		}
	}
	return true, nil
}

// compareAlerts compares the alerts of a name that fire now with those that are to.
func (u *running) compareAlerts(want *wantAlerts) {
	var expected, got []string
	for _, a := range want.Alerts {
		l := map[string]string{model.AlertNameLabel: want.Name}
		for name, value := range a.Labels {
			l[name] = value
		}
		expected = append(expected, alertText(labels.FromMap(l), labels.FromMap(a.Annotations)))
	}
	for _, r := range u.engine.AlertingRules() {
		if r.Name() != want.Name {
			continue
		}
		for _, a := range r.ActiveAlerts() {
			if a.State == rules.StateFiring {
				got = append(got, alertText(a.Labels, a.Annotations))
			}
		}
	}
	slices.Sort(expected)
	slices.Sort(got)
	if !slices.Equal(expected, got) {
		u.fail("    alertname: %s, time: %s,\n        exp:%s,\n        got:%s", want.Name, want.At, listText(expected), listText(got))
	}
}

func alertText(l, annotations labels.Labels) string {
	return "Labels:" + l.String() + "\nAnnotations:" + annotations.String()
}

// listText shows alerts below one another.
func listText(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	var b strings.Builder
	b.WriteString("[")
	for i, text := range list {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n            %d:\n              %s", i, strings.ReplaceAll(text, "\n", "\n              "))
	}
	return b.String() + "\n            ]"
}

// sample is one value of an expression.
type sample struct {
	labels    string
	value     float64
	histogram string
}

func (s sample) String() string {
	if s.histogram != "" {
		return s.labels + " " + s.histogram
	}
	return s.labels + " " + strconv.FormatFloat(s.value, 'E', -1, 64)
}

// compareExpr compares what an expression gives with what it is to give.
func (u *running) compareExpr(ctx context.Context, x *wantExpr) {
	p := parser.NewParser(parser.Options{})
	got, err := u.engine.Ask(ctx, x.Expr, u.start.Add(time.Duration(x.At)))
	var have, want []sample
	for _, s := range got {
		one := sample{labels: s.Metric.String(), value: s.F}
		if s.H != nil {
			one = sample{labels: s.Metric.String(), histogram: s.H.TestExpression()}
		}
		have = append(have, one)
	}
	for _, s := range x.Samples {
		if err != nil {
			break
		}
		var l labels.Labels
		if l, err = p.ParseMetric(s.Labels); err != nil {
			err = fmt.Errorf("labels %q: %w", s.Labels, err)
			break
		}
		one := sample{labels: l.String(), value: s.Value}
		if s.Histogram != "" {
			var values []parser.SequenceValue
			if _, values, err = p.ParseSeriesDesc("{} " + s.Histogram); err == nil && (len(values) != 1 || values[0].Histogram == nil) {
				err = fmt.Errorf("%q is not one histogram", s.Histogram)
			}
			if err != nil {
				break
			}
			one = sample{labels: l.String(), histogram: values[0].Histogram.TestExpression()}
		}
		want = append(want, one)
	}
	if err != nil {
		u.fail("    expr: %q, time: %s, err: %v", x.Expr, x.At, err)
		return
	}
	by := func(a, b sample) int {
		return cmp.Or(strings.Compare(a.labels, b.labels), cmp.Compare(a.value, b.value))
	}
	slices.SortFunc(have, by)
	slices.SortFunc(want, by)
	if !slices.EqualFunc(want, have, u.same) {
		u.fail("    expr: %q, time: %s,\n        exp: %s\n        got: %s", x.Expr, x.At, samplesText(want), samplesText(have))
	}
}

// same compares two values; fuzzy_compare lets them differ by one bit.
func (u *running) same(a, b sample) bool {
	near := u.file.FuzzyCompare && (math.Nextafter(a.value, math.Inf(-1)) == b.value || math.Nextafter(a.value, math.Inf(1)) == b.value)
	return a.labels == b.labels && a.histogram == b.histogram && (a.value == b.value || near)
}

func samplesText(list []sample) string {
	if len(list) == 0 {
		return "nil"
	}
	var out []string
	for _, s := range list {
		out = append(out, s.String())
	}
	return strings.Join(out, ", ")
}
