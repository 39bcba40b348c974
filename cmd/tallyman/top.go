// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/charmbracelet/x/term"

	"tallyman/config"
	"tallyman/internal/machine"
	"tallyman/top"
)

type topCmd struct {
	settings
	All    bool   `short:"a" help:"Stopped containers too."`
	Group  bool   `short:"g" help:"Group by project."`
	Once   bool   `help:"Print the table once, without colours; so it is where the output is no terminal."`
	Alone  bool   `help:"Collect for itself, also when a tallyman runs."`
	Filter string `arg:"" optional:"" help:"Words of name, image, project, host or state."`
}

// Run shows the running tallyman, or collects for itself: with a data directory of its own,
// keeping nothing.
func (c *topCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	base, web, err := running(cfg)
	if err != nil {
		return err
	}
	client := &top.Client{Base: base, Header: tokenHeader(cfg), HTTP: web}
	if c.Alone || !listens(cfg.Listen) {
		var end func() error
		if client, end, err = c.alone(ctx, cfg); err != nil {
			return err
		}
		defer end()
	}
	o := top.Options{Filter: c.Filter, All: c.All, Group: c.Group}
	file, ok := out.(*os.File)
	if c.Once || !ok || !term.IsTerminal(file.Fd()) {
		ctx, stop := context.WithTimeout(ctx, 30*time.Second)
		defer stop()
		return top.Once(ctx, client, o, 160, out)
	}
	return top.Run(ctx, client, o, os.Stdin, out)
}

// listens reports whether anybody takes connections at the configured address.
func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", reachable(address), 2*time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// alone runs a tallyman in this process that keeps nothing, raises no alarm, asks no service
// and listens on a port of the loopback that is free.
func (c *topCmd) alone(ctx context.Context, cfg config.Config) (*top.Client, func() error, error) {
	temporary, err := os.MkdirTemp("", "tallyman-top-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a directory to look with: %w", err)
	}
	here := machine.Here(os.Getenv)
	cfg.Host = hostName(ctx, here, cfg)
	cfg.Data, cfg.Listen, cfg.AllowedHosts = temporary, "127.0.0.1:0", nil
	cfg.Keep.Metrics, cfg.Keep.Logs, cfg.Logs.Push = false, false, false
	cfg.Alarms.Enabled, cfg.Plugins.Enabled, cfg.Receive.Agents, cfg.TLS = false, false, false, config.TLS{}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(temporary))
	}
	a, err := newApp(ctx, cfg, here, slog.New(slog.DiscardHandler), true)
	if err != nil {
		return nil, nil, errors.Join(err, listener.Close(), os.RemoveAll(temporary))
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.run(running, listener, io.Discard) }()
	end := func() error {
		stop()
		err := <-done
		a.close()
		return errors.Join(err, os.RemoveAll(temporary))
	}
	client := &top.Client{Base: "http://" + listener.Addr().String(), Header: tokenHeader(cfg), HTTP: http.DefaultClient}
	client.Settle(ctx, lookFor)
	return client, end, nil
}
