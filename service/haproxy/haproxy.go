// SPDX-License-Identifier: Apache-2.0

// Package haproxy is the plugin HAPROXY: it asks HAProxy's own exporter, its stats socket
// or its stats page, whichever its configuration has, and gives the same names from each.
package haproxy

import (
	"context"
	"crypto/tls"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

// snippet is what to add where there is nothing to ask.
const snippet = "frontend stats\n  bind 127.0.0.1:8404\n  mode http\n  http-request use-service prometheus-exporter if { path /metrics }"

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "HAPROXY", Summary: "HAProxy: sessions, requests, errors, queues and states of frontends, backends and servers",
		Keys: append([]tallyman.ServiceKey{
			{Name: "STATS URL", Type: tallyman.URLKey, Help: "address of the exporter or of the stats page", Example: "http://localhost:8404/metrics"},
			{Name: "SOCKET", Type: tallyman.PathKey, Help: "stats socket in the container, in place of the address", Example: "/run/haproxy/admin.sock"},
			{Name: "URL CHECK", Type: tallyman.URLKey, Help: "address that the active check asks for", Example: "http://localhost/"},
			{Name: "FILE", Type: tallyman.TextKey, Help: "log of requests; taken, and not used yet", List: true},
		}, ask.LoginKeys()...),
		Metrics: metrics(),
		Charts: []tallyman.ServiceChart{
			{Title: "Requests", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "frontend", Metric: metric("frontend", "http_requests_total"), Rate: true, By: "proxy"}}},
			{Title: "Answers", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "answers", Metric: metric("backend", "http_responses_total"), Rate: true, By: "code"}}},
			{Title: "Sessions", Lines: []tallyman.ServiceLine{{Name: "frontend", Metric: metric("frontend", "current_sessions"), By: "proxy"}, {Name: "backend", Metric: metric("backend", "current_sessions"), By: "proxy"}}},
			{Title: "Time to answer", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "backend", Metric: metric("backend", "response_time_average_seconds"), By: "proxy"}}},
			{Title: "Servers up", Lines: []tallyman.ServiceLine{{Name: "backend", Metric: metric("backend", "active_servers"), By: "proxy"}}},
			{Title: "Waiting", Lines: []tallyman.ServiceLine{{Name: "backend", Metric: metric("backend", "current_queue"), By: "proxy"}}},
			{Title: "Errors", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "requests", Metric: metric("frontend", "request_errors_total"), Rate: true}, {Name: "connections", Metric: metric("backend", "connection_errors_total"), Rate: true}, {Name: "answers", Metric: metric("backend", "response_errors_total"), Rate: true}}},
			{Title: "Network", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "in", Metric: metric("frontend", "bytes_in_total"), Rate: true}, {Name: "out", Metric: metric("frontend", "bytes_out_total"), Rate: true}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			switch {
			case c.Has("STATS URL"):
				return ask.Shown(c.Text("STATS URL", ""))
			case c.Has("SOCKET"):
				return c.Text("SOCKET", "")
			}
			return "stats"
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `haproxy`, `haproxytech/haproxy-*` or `bitnami/haproxy`, or a process is called `haproxy`.",
			Free: "What the configuration inside of the container has (the file of `-f`, else the usual places), in this order: the built-in exporter (`http-request use-service prometheus-exporter`), the stats socket (`stats socket`; its level `user` is enough), the stats page (`stats uri`, with the login of `stats auth`). " +
				"A page that the program of another container serves is not found.",
			Account: "None for the socket. Where there is nothing to ask, add this to the configuration; it can be reached from inside of the container alone:\n\n```\n" + snippet + "\n```",
			Notes: "The names are those of HAProxy's built-in exporter, from all three sources; values of all three were compared on HAProxy 2.6. What differs from its page:\n\n" +
				"- `haproxy_up` is added, and of its families those that matter are here.\n" +
				"- Sessions and requests of the last second, which the page and the socket have, are left out as the exporter leaves them out: they are the rate of a counter.\n" +
				"- `haproxy_*_time_average_seconds` are the average of the last 1024 requests. Of fewer requests the exporter of 2.6 gives too little, for it divides by 1024 all the same; socket and page do not.\n" +
				"- `haproxy_server_check_status` has the series of the present state alone.\n" +
				"- The 200 servers with the most sessions stand alone, and fewer when there would be too many series (of all numbers there are, some 50 servers); the rest are summed in `proxy=\"" + ask.Other + "\"`; averages and maxima are left out of that sum.\n" +
				"- prometheus/haproxy_exporter, which is no longer kept, has other labels (`frontend`, `backend`): its names are not used.\n" +
				"- `haproxy_process_*` cannot be had from the stats page.",
			Example: `[{"PluginType":"HAPROXY","Configuration":{"STATS URL":["http://localhost:8404/metrics"]}}]`,
		},
	}
}

var configs = []string{"/usr/local/etc/haproxy/haproxy.cfg", "/etc/haproxy/haproxy.cfg", "/bitnami/haproxy/conf/haproxy.cfg", "/opt/bitnami/haproxy/conf/haproxy.cfg"}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	if !f.Is("haproxy", "haproxytech/haproxy-*", "bitnami/haproxy", "*/haproxy") && !f.Runs("haproxy") {
		return nil
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{})}
}

// files are the configuration's, by the command lines of HAProxy.
func files(in tallyman.Inside) (list []string) {
	lines := [][]string{in.Facts().Command}
	for _, p := range in.Processes() {
		if p.Name == "haproxy" {
			lines = append(lines, p.Args)
		}
	}
	add := func(name string) {
		if !path.IsAbs(name) || slices.Contains(list, name) || len(list) >= 64 {
			return
		}
		if st, err := in.Stat(name); err == nil && st.IsDir() {
			for _, one := range in.Glob(path.Join(name, "*.cfg")) {
				if !slices.Contains(list, one) && len(list) < 64 {
					list = append(list, one)
				}
			}
			return
		}
		list = append(list, name)
	}
	for _, args := range lines {
		for i, arg := range args {
			if arg == "-f" && i+1 < len(args) {
				add(args[i+1])
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, name := range configs {
		if _, err := in.Stat(name); err == nil {
			return []string{name}
		}
	}
	return nil
}

type instance struct {
	in       tallyman.Inside
	client   *ask.Client
	url      string
	csv      bool // the URL is that of the stats page
	socket   string
	check    string
	login    bool // is configured
	explicit bool
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, url: c.Text("STATS URL", ""), socket: c.Text("SOCKET", ""), check: c.Text("URL CHECK", ""), login: c.Has("USERNAME")}
	i.explicit = i.url != "" || i.socket != ""
	if i.url != "" {
		u, err := url.Parse(i.url)
		if err != nil || u.Host == "" {
			return nil, tallyman.Faulty(tallyman.ConfigFault, "Write it as http://localhost:8404/metrics.", "STATS URL is no URL")
		}
		if !strings.HasSuffix(u.Path, "/metrics") {
			i.url, i.csv = page(i.url), true
		}
	}
	i.client = ask.NewClient(in, &tls.Config{InsecureSkipVerify: ask.OnLoopback(i.url)})
	i.client.User, i.client.Password = c.Text("USERNAME", ""), c.Text("PASSWORD", "")
	return i, nil
}

// page is the address of the stats page as CSV.
func page(address string) string {
	if strings.Contains(address, ";csv") {
		return address
	}
	return strings.TrimSuffix(address, "?stats") + ";csv"
}

// Close implements tallyman.Service.
func (i *instance) Close() { i.client.Close() }

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	if !i.explicit {
		if err := i.locate(); err != nil {
			return err
		}
	}
	var all objects
	var err error
	switch {
	case i.socket != "":
		all, err = i.fromSocket(ctx)
	case i.csv:
		all, err = i.fromPage(ctx)
	default:
		all, err = i.fromExporter(ctx)
	}
	if err != nil {
		return err
	}
	all.give(s)
	return nil
}

// locate finds out what the configuration has to ask; it may change.
func (i *instance) locate() error {
	var text strings.Builder
	for _, name := range files(i.in) {
		if b, err := i.in.ReadFile(name); err == nil {
			text.Write(b)
			text.WriteByte('\n')
		}
	}
	found := read(text.String())
	i.url, i.socket, i.csv = "", "", false
	switch {
	case found.exporter != "":
		i.url = found.exporter
	case found.socket != "":
		i.socket = found.socket
	case found.page != "":
		i.url, i.csv = found.page+";csv", true
		if !i.login {
			i.client.User, i.client.Password, _ = strings.Cut(found.login, ":")
		}
	default:
		return tallyman.Faulty(tallyman.ConfigFault, "Add this to the configuration: "+strings.ReplaceAll(snippet, "\n ", ";"), "HAProxy has no exporter, no stats socket and no stats page")
	}
	return nil
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	if i.check != "" {
		_, err := i.client.Get(ctx, i.check)
		return err
	}
	for _, s := range i.in.Facts().Listening {
		if s.Network == "tcp" {
			c, err := i.in.DialContext(ctx, "tcp", ask.Join(s.IP, s.Port))
			if err != nil {
				return err
			}
			return c.Close()
		}
	}
	return tallyman.Faulty(tallyman.ConfigFault, "Set URL CHECK.", "nothing is known to listen")
}
