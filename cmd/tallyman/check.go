// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

type checkCmd struct {
	Config checkConfigCmd `cmd:"" help:"Check the configuration: file, environment and flags."`
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
	_, err = fmt.Fprintf(out, "the configuration is good: %s listens on %s, keeps in %s, engine %s\n", cfg.Host, cfg.Listen, cfg.Data, cfg.Docker.Host)
	return err
}
