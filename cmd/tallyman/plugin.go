// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"

	"tallyman/internal/metricsplugin"
)

type pluginCmd struct {
	Socket string `help:"Socket on which the engine calls the plugin." default:"/run/docker/plugins/metrics.sock" placeholder:"FILE"`
	Engine string `help:"Socket on which the engine serves its metrics." default:"/run/docker/metrics.sock" placeholder:"FILE"`
}

// Run is the managed plugin, until the engine ends it. The engine copies what it prints into
// its own log.
func (c *pluginCmd) Run(ctx context.Context) error {
	m := metricsplugin.Plugin{Socket: c.Socket, Engine: c.Engine, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))}
	return m.Run(ctx)
}
