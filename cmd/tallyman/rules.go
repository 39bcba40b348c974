// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"

	"tallyman/alert/problem"
	"tallyman/alert/rule"
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
	Files []string `arg:"" optional:"" help:"Files in Prometheus' format, with groups in LogQL where they say type: logql. Default those of the configuration." placeholder:"FILE"`
	Loki  bool     `help:"The files are those of Loki's ruler."`
	settings
}

// Run loads the rules as run does, and says that they are good, or what is not.
func (c *checkRulesCmd) Run(out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	o := rule.Options{Builtin: cfg.Alarms.Defaults, Overrides: overrides(cfg.Alarms.Rules), CheckLogQL: checkLogRule,
		Problems: func() []problem.Problem { return nil }, Log: slog.New(slog.DiscardHandler),
		LogQL: func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil }}
	switch {
	case len(c.Files) == 0:
		if o.Files, err = matching(cfg.Alarms.RulesFiles); err != nil {
			return err
		}
		if o.LogFiles, err = matching(cfg.Alarms.LogRules); err != nil {
			return err
		}
	case c.Loki:
		o.LogFiles = c.Files
	default:
		o.Files = c.Files
	}
	e, err := rule.New(o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d rules are good\n", len(e.AlertingRules()))
	return err
}
