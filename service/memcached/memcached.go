// SPDX-License-Identifier: Apache-2.0

// Package memcached is the plugin MEMCACHED: it asks memcached for its statistics in the
// text protocol.
package memcached

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = 11211

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "MEMCACHED", Aliases: []string{"MCACHE"},
		Summary: "Memcached: items, memory, hits and misses, evictions, connections, slabs",
		Keys: append(append(ask.HostKeys("11211"), ask.SocketKey("/run/memcached/memcached.sock")), append(ask.LoginKeys(),
			tallyman.ServiceKey{Name: "COMMAND CHECK", Type: tallyman.CommandKey, Help: "command that the active check sends in place of version: get, gets or mn", Example: "get health", Write: true},
		)...),
		Metrics: metrics(),
		Charts: []tallyman.ServiceChart{
			{Title: "Commands", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "commands", Metric: commands, Rate: true, By: "command"}}},
			{Title: "Lookups", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "get", Metric: commands, Rate: true, Where: []tallyman.Label{{Name: "command", Value: "get"}}, By: "status"}}},
			{Title: "Memory", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "used", Metric: bytesNow}, {Name: "limit", Metric: bytesLimit}}},
			{Title: "Items gone", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "evicted", Metric: evicted, Rate: true}, {Name: "reclaimed", Metric: reclaimed, Rate: true}}},
			{Title: "Items", Lines: []tallyman.ServiceLine{{Name: "items", Metric: items}}},
			{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "open", Metric: connections}, {Name: "allowed", Metric: maxConnections}}},
			{Title: "Network", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "in", Metric: bytesRead, Rate: true}, {Name: "out", Metric: bytesWritten, Rate: true}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string { return ask.Where(c, defaultPort) },
		Check: func(c tallyman.ServiceConfig) error {
			_, err := check(c)
			return err
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect:  "The image is `memcached` or `bitnami/memcached`, or a process is called `memcached`. The port is that of `-p`, else 11211; with `-s` it is the socket.",
			Free:    "Everything. With a file of logins (`-Y`) set `USERNAME` and `PASSWORD`, or let tallyman take the first line of that file.",
			Account: "Memcached has no rights to give: any line of the file of `-Y` will do.",
			Notes: "The names are those of prometheus/memcached_exporter. What differs:\n\n" +
				"- SASL (`-S`) needs the binary protocol, which is not spoken here: use `-Y`.\n" +
				"- `memcached_{hash_bytes,threads,connection_structures,reserved_fds,auth_commands_total,auth_errors_total,evicted_unfetched_total,expired_unfetched_total}` are tallyman's own.\n" +
				"- The numbers of the external store and of the proxy are left out.",
			Example: `[{"PluginType":"MEMCACHED","Configuration":{"PORT":["11211"]}}]`,
		},
	}
}

func find(in tallyman.Inside) (list []tallyman.ServiceConfig) {
	f := in.Facts()
	if !f.Is("memcached", "bitnami/memcached") && !f.Runs("memcached") {
		return nil
	}
	seen := map[string]bool{}
	add := func(args []string) {
		key, value := "PORT", "11211"
		if port, ok := ask.Flag(args, "-p", "--port"); ok {
			value = port
		}
		if path, ok := ask.Flag(args, "-s", "--unix-socket"); ok {
			key, value = "SOCKET", path
		}
		if value != "0" && !seen[value] {
			seen[value] = true
			list = append(list, tallyman.NewServiceConfig(map[string][]string{key: {value}}))
		}
	}
	for _, p := range f.Processes {
		if p.Name == "memcached" {
			add(p.Args)
		}
	}
	if len(list) == 0 {
		add(f.Command)
	}
	return list
}

// options are the command lines of memcached in a container.
func options(in tallyman.Inside) (lines [][]string) {
	for _, p := range in.Processes() {
		if p.Name == "memcached" {
			lines = append(lines, p.Args)
		}
	}
	return append(lines, in.Facts().Command)
}

// check is the command of the active check.
func check(c tallyman.ServiceConfig) (string, error) {
	text := c.Text("COMMAND CHECK", "version")
	words := strings.Fields(text)
	if len(words) == 0 || strings.ContainsAny(text, "\r\n") || len(text) > 1024 {
		return "", fmt.Errorf("COMMAND CHECK is no command of one line")
	}
	switch words[0] {
	case "version", "get", "gets", "mn":
		return strings.Join(words, " "), nil
	}
	return "", fmt.Errorf("COMMAND CHECK may be get, gets or mn alone")
}

type instance struct {
	in               tallyman.Inside
	network, address string
	user, password   string
	check            string
	binary           bool
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, user: c.Text("USERNAME", ""), password: c.Text("PASSWORD", "")}
	i.network, i.address = ask.Target(c, defaultPort)
	var err error
	if i.check, err = check(c); err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	if !ask.Local(c) {
		return i, nil
	}
	for _, args := range options(in) {
		for _, arg := range args {
			i.binary = i.binary || arg == "-S" || arg == "--enable-sasl"
		}
		file, ok := ask.Flag(args, "-Y", "--auth-file")
		if !ok || i.user != "" {
			continue
		}
		if text, err := in.ReadFile(file); err == nil {
			first, _, _ := strings.Cut(string(text), "\n")
			i.user, i.password, _ = strings.Cut(strings.TrimSpace(first), ":")
		}
	}
	return i, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	c, err := i.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.ask(i.check)
	return err
}
