// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/promql"

	"tallyman/alert/rule"
	"tallyman/alert/rule/unit"
	"tallyman/config"
	"tallyman/pipeline"
	"tallyman/query/logql"
	"tallyman/store/event"
	"tallyman/store/metric"
	"tallyman/store/record"
)

type rulesCmd struct {
	Show rulesShowCmd `cmd:"" help:"Print the default rules, as the settings have changed them."`
}

type rulesShowCmd struct {
	LogQL bool `help:"Print those in LogQL, as a file of Loki's ruler. Default those in PromQL, as a file of Prometheus." name:"logql"`
	settings
}

// Run prints the rules that come with tallyman.
func (c *rulesShowCmd) Run(out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	changes := overrides(cfg.Alarms.Rules)
	if err := rule.Check(changes); err != nil {
		return fmt.Errorf("alarms.rules: %w", err)
	}
	promql, logql := rule.Defaults(changes)
	if c.LogQL {
		promql = logql
	}
	text, err := rule.Show(promql)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

type checkRulesCmd struct {
	Files []string `arg:"" optional:"" help:"Files of rules in Prometheus' format, with groups in LogQL where they say type: logql; and files of unit tests, as promtool has them, which are run. Default the rules of the configuration." placeholder:"FILE"`
	Loki  bool     `help:"The files of rules are those of Loki's ruler."`
	settings
}

// Run loads the rules as run does, and says that they are good, or what is not. Files of
// tests are run.
func (c *checkRulesCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var files, tests []string
	for _, f := range c.Files {
		if unit.IsFile(f) {
			tests = append(tests, f)
		} else {
			files = append(files, f)
		}
	}
	if len(files) > 0 || len(tests) == 0 {
		if err := c.check(out, &cfg, files); err != nil {
			return err
		}
	}
	return runUnits(ctx, out, &cfg, tests)
}

// check loads files of rules; without any, those of the configuration.
func (c *checkRulesCmd) check(out io.Writer, cfg *config.Config, files []string) (err error) {
	o := rule.Options{Builtin: cfg.Alarms.Defaults, Overrides: overrides(cfg.Alarms.Rules), CheckLogQL: checkLogRule, Log: slog.New(slog.DiscardHandler),
		LogQL: func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil }}
	switch {
	case len(files) == 0:
		if o.Files, err = matching(cfg.Alarms.RulesFiles); err != nil {
			return err
		}
		if o.LogFiles, err = matching(cfg.Alarms.LogRules); err != nil {
			return err
		}
	case c.Loki:
		o.LogFiles = files
	default:
		o.Files = files
	}
	e, err := rule.New(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d rules are good\n", len(e.AlertingRules()))
	return err
}

// runUnits runs files of tests, and prints what came of each.
func runUnits(ctx context.Context, out io.Writer, cfg *config.Config, files []string) error {
	failed := 0
	for _, name := range files {
		fmt.Fprintln(out, "Unit Testing: ", name)
		failures, err := unit.Run(ctx, name, unit.Options{Stores: unitStores, CheckLogQL: checkLogRule, Overrides: overrides(cfg.Alarms.Rules)})
		if err != nil {
			failures = append(failures, err.Error())
		}
		if len(failures) == 0 {
			fmt.Fprint(out, "  SUCCESS\n\n")
			continue
		}
		failed++
		fmt.Fprintln(out, "  FAILED:")
		for _, text := range failures {
			fmt.Fprintf(out, "    %s\n\n", text)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files of tests fail", failed, len(files))
	}
	return nil
}

// unitStores opens the stores that run has, empty, for one test.
func unitStores(dir string) (_ *unit.Stores, err error) {
	quiet := slog.New(slog.DiscardHandler)
	samples, err := metric.Open(filepath.Join(dir, "metrics"), metric.Options{Log: quiet})
	if err != nil {
		return nil, err
	}
	records, err := record.Open(record.Options{Dir: filepath.Join(dir, "records"), Log: quiet})
	if err != nil {
		return nil, errors.Join(err, samples.Close())
	}
	intake := pipeline.NewRecords(records, quiet)
	events, err := event.Open(event.Options{Records: eventRecords{intake.Intake("event"), records}, Log: quiet})
	if err != nil {
		return nil, errors.Join(err, records.Close(), samples.Close())
	}
	logs := logql.New(records, logql.Options{})
	return &unit.Stores{
		Samples: samples.Queryable(), Append: samples.Results(0), Logs: intake.Intake("log").TakeRecords, Events: events.AppendEvents, LogQL: logValue(logs), LogQLRange: logValues(logs),
		Close: func() error { return errors.Join(events.Close(), records.Close(), samples.Close()) },
	}, nil
}
