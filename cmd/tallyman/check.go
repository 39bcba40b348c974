// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"tallyman/alert/rule"
	"tallyman/catalog"
)

type checkCmd struct {
	Config     checkConfigCmd     `cmd:"" help:"Check the configuration: file, environment and flags."`
	Rules      checkRulesCmd      `cmd:"" help:"Check the rules of alarms."`
	Label      checkLabelCmd      `cmd:"" help:"Check a container label that names plugins, and say what it would start."`
	Dockerfile checkDockerfileCmd `cmd:"" help:"Check the labels of a Dockerfile that name plugins."`
	Notify     checkNotifyCmd     `cmd:"" help:"Send a marked message to each receiver of alarms, and print what it answers; exit 1 if one did not take it."`
	Forward    checkForwardCmd    `cmd:"" help:"Send a marked message to each forwarder, and print what it answers; exit 1 if one did not take it."`
}

type checkConfigCmd struct {
	File string `arg:"" optional:"" help:"Configuration file. Default that of run." placeholder:"FILE"`
	settings
}

// Run loads the configuration and says that it is good, or what is not.
func (c *checkConfigCmd) Run(out io.Writer) error {
	if c.File != "" {
		c.settings.Config = c.File
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	endpoints, err := cfg.Endpoints()
	if err != nil {
		return err
	}
	// Certificates may come later than tallyman; here they are asked for.
	for _, e := range endpoints {
		if e.TLS == nil {
			continue
		}
		if _, err := e.TLS.Config(e.Name); err != nil {
			return fmt.Errorf("engine %s: %w", e.Name, err)
		}
	}
	all, err := catalog.Default()
	if err != nil {
		return err
	}
	if _, err := ownOptions(cfg, all, nil); err != nil {
		return err
	}
	if _, err := pluginBook(cfg.Plugins, all.Services); err != nil {
		return err
	}
	if err := rule.Check(overrides(cfg.Alarms.Rules)); err != nil {
		return fmt.Errorf("alarms.rules: %w", err)
	}
	for i := range cfg.Forward.To {
		for _, d := range destinationsOf(&cfg.Forward.To[i]) {
			if _, err := d.checked(cfg.Host); err != nil {
				return fmt.Errorf("forward.to[%d]: %w", i, err)
			}
		}
	}
	fmt.Fprintf(out, "the configuration is good: %s listens on %s and keeps in %s\n", cfg.Host, cfg.Listen, cfg.Data)
	for _, name := range cfg.Foreign() {
		fmt.Fprintf(out, "the variable %s is no setting and is left alone\n", name)
	}
	for _, e := range endpoints {
		fmt.Fprintf(out, "engine %s at %s, host %s\n", e.Name, e.Address, e.Host)
	}
	return nil
}
