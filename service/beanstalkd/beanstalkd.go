// SPDX-License-Identifier: Apache-2.0

// Package beanstalkd is the plugin BEANSTALKD: it asks the work queue beanstalkd for what
// it says of itself and of its tubes, over its own protocol.
//
// It changes nothing: no job is looked at, reserved or put. A scrape is one connection,
// on which it sends stats, list-tubes and stats-tube for each tube. Of an answer no more
// is kept than was announced and is allowed, and no name goes into a command that
// beanstalkd would not take for a tube.
package beanstalkd

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = 11300

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "BEANSTALKD", Aliases: []string{"BEANSTALK"},
		Summary: "beanstalkd: jobs that wait, are reserved or buried, of the server and of each tube; workers, commands, binlog",
		Keys:    append(ask.HostKeys("11300"), ask.SocketKey("/run/beanstalkd.sock")),
		Metrics: metrics(),
		Charts: []tallyman.ServiceChart{
			{Title: "Jobs", Lines: []tallyman.ServiceLine{{Name: "ready", Metric: ready}, {Name: "urgent", Metric: urgent}, {Name: "reserved", Metric: reserved}, {Name: "delayed", Metric: delayed}, {Name: "buried", Metric: buried}}},
			{Title: "What becomes of jobs", Unit: "per second", Lines: []tallyman.ServiceLine{
				{Name: "created", Metric: jobs, Rate: true}, {Name: "deleted", Metric: deletes, Rate: true}, {Name: "released", Metric: releases, Rate: true},
				{Name: "buried", Metric: buries, Rate: true}, {Name: "kicked", Metric: kicks, Rate: true}, {Name: "timed out", Metric: timeouts, Rate: true}}},
			{Title: "Ready in tubes", Lines: []tallyman.ServiceLine{{Name: "tube", Metric: tubeReady, By: "tube"}}},
			{Title: "Buried in tubes", Lines: []tallyman.ServiceLine{{Name: "tube", Metric: tubeBuried, By: "tube"}}},
			{Title: "Created in tubes", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "tube", Metric: tubeJobs, Rate: true, By: "tube"}}},
			{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "open", Metric: connections}, {Name: "producers", Metric: producers}, {Name: "workers", Metric: workers}, {Name: "waiting", Metric: waiting}}},
			{Title: "Binlog", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "records written", Metric: written, Rate: true}, {Name: "records migrated", Metric: migrated, Rate: true}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string { return ask.Where(c, defaultPort) },
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect:  "The image's last part is `beanstalkd` (`schickling/beanstalkd`), or a process is called `beanstalkd`. Port and address are those of `-p` and `-l`, else 11300 on the loopback; with `-l unix:/path` it is the socket.",
			Free:    "Everything.",
			Account: "None: beanstalkd has no logins. Nothing is changed, and no job is touched.",
			Notes: "The names are those of messagebird/beanstalkd_exporter with `beanstalkd_` before them, as there `uptime` and `draining` could be anybody's. What else differs:\n\n" +
				"- Numbers that only grow are counters, gauges there. `beanstalkd_draining` is 1 where the server says true, always 0 there.\n" +
				"- The version is the label of `beanstalkd_version` here, which is tallyman's own, as is `beanstalkd_up`; the exporter's numbers about itself and its mapping of names to labels are left out.\n" +
				"- The 100 tubes that have had the most jobs stand alone, the rest are summed in `tube=\"" + ask.Other + "\"`, without the times of pauses. Of more than 2,000 tubes the first 2,000 of the server's list are asked; `beanstalkd_current_tubes` counts all.\n" +
				"- What tallyman asks is counted by the server too, in `beanstalkd_total_connections`, `beanstalkd_cmd_stats`, `beanstalkd_cmd_list_tubes` and `beanstalkd_cmd_stats_tube`.",
			Example: `[{"PluginType":"BEANSTALKD","Configuration":{"PORT":["11300"]}}]`,
		},
	}
}

func find(in tallyman.Inside) (list []tallyman.ServiceConfig) {
	f := in.Facts()
	if !f.Is("beanstalkd", "*/beanstalkd") && !f.Runs("beanstalkd") {
		return nil
	}
	seen := map[string]bool{}
	add := func(args []string) {
		c := where(args)
		if at := ask.Where(c, defaultPort); !seen[at] {
			seen[at] = true
			list = append(list, c)
		}
	}
	for _, p := range f.Processes {
		if p.Name == "beanstalkd" {
			add(p.Args)
		}
	}
	if len(list) == 0 {
		add(f.Command)
	}
	return list
}

// where is what a command line listens on.
func where(args []string) tallyman.ServiceConfig {
	values := map[string][]string{"PORT": {"11300"}}
	if port, ok := ask.Flag(args, "-p"); ok {
		values["PORT"] = []string{port}
	}
	address, _ := ask.Flag(args, "-l")
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		return tallyman.NewServiceConfig(map[string][]string{"SOCKET": {socket}})
	}
	if ip, err := netip.ParseAddr(address); err == nil && !ip.IsUnspecified() {
		values["HOSTNAME"] = []string{address}
	}
	return tallyman.NewServiceConfig(values)
}

type instance struct {
	in               tallyman.Inside
	network, address string
	tubes            ask.Ranking
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in}
	i.network, i.address = ask.Target(c, defaultPort)
	return i, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	c, err := dial(ctx, i.in, i.network, i.address)
	if err != nil {
		return err
	}
	defer c.close()
	return c.using()
}
