// SPDX-License-Identifier: Apache-2.0

// Command tallyman monitors Docker hosts: see README.md. This package only
// wires the stations of the flow together; every subcommand has a file.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/prometheus/common/version"

	"tallyman/alert/notify"
	"tallyman/config"
)

// settings are the flags that every subcommand which needs the configuration
// shares. An empty flag is one that was not given.
type settings struct {
	Config     string            `help:"Configuration file. Default /etc/tallyman/tallyman.yaml when it exists." placeholder:"FILE"`
	Listen     string            `help:"Address and port of the page and the APIs. Default 127.0.0.1:8420." placeholder:"ADDR"`
	Data       string            `help:"Directory of everything that is kept. Default /var/lib/tallyman." placeholder:"DIR"`
	Interval   string            `help:"Time between stored samples. Default 10s." placeholder:"TIME"`
	Host       string            `help:"Name of this host. Default the host name." placeholder:"NAME"`
	NoAuth     bool              `help:"No login at all; every page says so."`
	DockerHost string            `help:"Address of the engine. Default $DOCKER_HOST, else the local socket." placeholder:"URL"`
	LogLevel   string            `help:"debug, info, warn or error. Default info." placeholder:"LEVEL"`
	Set        map[string]string `help:"Any setting by its key, for example --set retention.metrics.time=14d." placeholder:"KEY=VALUE"`
}

// load puts file, environment and flags together.
func (s *settings) load() (config.Config, error) {
	flags := map[string]string{}
	for k, v := range s.Set {
		flags[k] = v
	}
	for k, v := range map[string]string{
		"listen": s.Listen, "data": s.Data, "interval": s.Interval, "host": s.Host, "docker.host": s.DockerHost, "log_level": s.LogLevel,
	} {
		if v != "" {
			flags[k] = v
		}
	}
	if s.NoAuth {
		flags["no_auth"] = "true"
	}
	host, _ := os.Hostname() // without one, config asks for the setting
	return config.Load(config.Input{File: s.Config, Environ: os.Environ(), Flags: flags, Hostname: host})
}

type cli struct {
	Run     runCmd     `cmd:"" default:"withargs" help:"Collect, keep and serve. This is the default."`
	Check   checkCmd   `cmd:"" help:"Check something without running it."`
	Health  healthCmd  `cmd:"" help:"Ask a running tallyman whether it is ready; exit 1 if it is not."`
	Logs    logsCmd    `cmd:"" help:"Show log lines of a running tallyman, by LogQL or the name of a container."`
	Top     topCmd     `cmd:"" help:"Show hosts and containers in the terminal, live; of a running tallyman, or by itself."`
	Token   tokenCmd   `cmd:"" help:"Make, list and revoke the tokens of agents, at a running tallyman that is their hub."`
	Rules   rulesCmd   `cmd:"" help:"Show the rules of alarms."`
	Doctor  doctorCmd  `cmd:"" help:"Say what works on this machine, what does not, and what unlocks it; exit 1 if something does not."`
	Plugin  pluginCmd  `cmd:"" help:"Be the managed plugin that Docker gives its own metrics to; docker plugin enable runs it."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// alertmanagerVersion is the release whose packages are linked in.
const alertmanagerVersion = "0.35.0"

func main() {
	syscall.Umask(0o077) // nothing that is kept is for other users
	// Libraries that send notifications use these: without proxies of the environment,
	// and without redirects to another host.
	http.DefaultTransport, http.DefaultClient.CheckRedirect = notify.Transport(nil), notify.SameHost
	version.Version = alertmanagerVersion // what amtool is told
	var c cli
	parser := kong.Must(&c, kong.Name("tallyman"), kong.Description("A comprehensive monitor for Docker hosts."), kong.UsageOnError())
	k, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	k.BindTo(os.Stdout, (*io.Writer)(nil))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tallyman:", err)
		os.Exit(1)
	}
}
