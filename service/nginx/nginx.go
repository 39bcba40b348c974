// SPDX-License-Identifier: Apache-2.0

// Package nginx is the plugin NGINX: it reads the page of stub_status, which it finds in
// the configuration inside of the container.
package nginx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

var (
	up       = &tallyman.Desc{Name: "nginx_up", Type: tallyman.Gauge, Help: "1 when the last scrape was good"}
	active   = &tallyman.Desc{Name: "nginx_connections_active", Type: tallyman.Gauge, Help: "Connections of clients, waiting ones too"}
	reading  = &tallyman.Desc{Name: "nginx_connections_reading", Type: tallyman.Gauge, Help: "Connections on which a request is being read"}
	writing  = &tallyman.Desc{Name: "nginx_connections_writing", Type: tallyman.Gauge, Help: "Connections on which an answer is being written"}
	waiting  = &tallyman.Desc{Name: "nginx_connections_waiting", Type: tallyman.Gauge, Help: "Connections that are kept and wait for a request"}
	accepted = &tallyman.Desc{Name: "nginx_connections_accepted", Type: tallyman.Counter, Help: "Connections accepted"}
	handled  = &tallyman.Desc{Name: "nginx_connections_handled", Type: tallyman.Counter, Help: "Connections handled: fewer than accepted when a limit was reached"}
	requests = &tallyman.Desc{Name: "nginx_http_requests_total", Type: tallyman.Counter, Help: "Requests of clients"}
)

// snippet is what to add where there is no page.
const snippet = "server { listen 127.0.0.1:8080; location = /stub_status { stub_status; } }"

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "NGINX", Summary: "nginx: connections and requests, as its page stub_status has them",
		Keys: append([]tallyman.ServiceKey{
			{Name: "STATS URL", Type: tallyman.URLKey, Help: "address of the page of stub_status", Example: "http://localhost/nginx_status"},
			{Name: "HOST HEADER", Type: tallyman.TextKey, Help: "name of the virtual server, when the address does not tell it"},
			{Name: "URL CHECK", Type: tallyman.URLKey, Help: "address that the active check asks for in place of the page", Example: "http://localhost/"},
			{Name: "FILE", Type: tallyman.TextKey, Help: "access log and its format; taken, and not used yet", List: true},
		}, ask.LoginKeys()...),
		Metrics: []*tallyman.Desc{up, active, reading, writing, waiting, accepted, handled, requests},
		Charts: []tallyman.ServiceChart{
			{Title: "Requests", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "requests", Metric: requests, Rate: true}}},
			{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "active", Metric: active}, {Name: "waiting", Metric: waiting}}},
			{Title: "New connections", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "accepted", Metric: accepted, Rate: true}, {Name: "handled", Metric: handled, Rate: true}}},
			{Title: "At work", Lines: []tallyman.ServiceLine{{Name: "reading", Metric: reading}, {Name: "writing", Metric: writing}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			if c.Has("STATS URL") {
				return ask.Shown(c.Text("STATS URL", ""))
			}
			return "stub_status"
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `nginx`, `nginxinc/nginx-unprivileged`, `bitnami/nginx`, `openresty/openresty` or one called `angie`, or a process is called `nginx`.",
			Free: "The page of `stub_status`, wherever the configuration inside of the container has it: `nginx.conf` and what it includes are read (64 files at most), and the page is asked for at its own `listen`, with its own `server_name`. " +
				"When the configuration cannot be read, `/nginx_status`, `/stub_status` and `/basic_status` are tried once each on the ports that nginx listens on.",
			Account: "None. Where there is no page, add this to the configuration, in `http`; it can be reached from inside of the container alone:\n\n```\n" + snippet + "\n```",
			Notes: "The names and types are those of nginx-prometheus-exporter, compared with version 0.11. What differs: `nginxexporter_build_info` is about the exporter and left out.\n\n" +
				"The API of NGINX Plus is not read. Pages of the modules vts and of OpenResty's exporters are for the plugin PROMETHEUS. A status page on a unix socket alone is not asked.",
			Example: `[{"PluginType":"NGINX","Configuration":{"STATS URL":["http://localhost/nginx_status"]}}]`,
		},
	}
}

// configs are where nginx has its configuration when its command line does not say.
var configs = []string{"/etc/nginx/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf", "/opt/bitnami/nginx/conf/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/etc/angie/angie.conf"}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	if !f.Is("nginx", "nginxinc/nginx-unprivileged", "bitnami/nginx", "openresty/openresty", "*/angie", "*/nginx") && !f.Runs("nginx", "angie", "openresty") {
		return nil
	}
	// The page is looked for at each scrape until it is found: configurations change.
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{})}
}

// configured are the pages that the configuration has; read is false when it could not be
// read.
func configured(in tallyman.Inside) (list []page, read bool) {
	names := slices.Clone(configs)
	for _, args := range commands(in) {
		name, ok := ask.Flag(args, "-c")
		prefix, _ := ask.Flag(args, "-p")
		if !ok && prefix != "" {
			name, ok = "conf/nginx.conf", true
		}
		if ok {
			if !path.IsAbs(name) {
				name = path.Join(prefix, name)
			}
			names = slices.Insert(names, 0, name)
		}
	}
	for _, name := range names {
		if _, err := in.ReadFile(name); err == nil {
			return pages(in, name), true
		}
	}
	return nil, false
}

// commands are the command lines of nginx: the master's title holds its own.
func commands(in tallyman.Inside) (lines [][]string) {
	for _, p := range in.Processes() {
		if title, ok := strings.CutPrefix(strings.Join(p.Args, " "), "nginx: master process "); ok {
			lines = append(lines, strings.Fields(title))
		}
	}
	return append(lines, in.Facts().Command)
}

type instance struct {
	in     tallyman.Inside
	client *ask.Client
	url    string // empty while it is looked for
	host   string
	check  string
	tried  bool
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, url: c.Text("STATS URL", ""), host: c.Text("HOST HEADER", ""), check: c.Text("URL CHECK", "")}
	for _, address := range []string{i.url, i.check} {
		if u, err := url.Parse(address); err != nil || address != "" && u.Host == "" {
			return nil, tallyman.Faulty(tallyman.ConfigFault, "Write it as http://localhost/nginx_status.", "STATS URL or URL CHECK is no URL")
		}
	}
	i.client = ask.NewClient(in, &tls.Config{InsecureSkipVerify: ask.OnLoopback(i.url)})
	i.client.User, i.client.Password = c.Text("USERNAME", ""), c.Text("PASSWORD", "")
	return i, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() { i.client.Close() }

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	if i.url != "" {
		status, err := i.get(ctx, page{i.url, i.host})
		if err != nil {
			return err
		}
		return status.give(s)
	}
	list, read := configured(i.in)
	var last error
	for _, p := range list {
		status, err := i.get(ctx, p)
		if err == nil {
			i.url, i.host = p.url, p.host
			return status.give(s)
		}
		last = err
		if ctx.Err() != nil {
			return err
		}
	}
	if last != nil {
		return last
	}
	if !read && !i.tried {
		i.tried = true
		for _, p := range i.guesses() {
			if status, err := i.get(ctx, p); err == nil {
				i.url = p.url
				return status.give(s)
			}
			if ctx.Err() != nil {
				i.tried = false
				return ctx.Err()
			}
		}
	}
	return tallyman.Faulty(tallyman.ConfigFault, "Add this in http of the configuration: "+snippet, "nginx has no page of stub_status")
}

// guesses are the usual addresses on the ports that are listened on.
func (i *instance) guesses() (list []page) {
	var ports []uint16
	for _, s := range i.in.Facts().Listening {
		if s.Network == "tcp" && !slices.Contains(ports, s.Port) && s.Port != 443 && len(ports) < 4 {
			ports = append(ports, s.Port)
		}
	}
	if i.in.Facts().Listening == nil {
		ports = []uint16{80, 8080}
	}
	for _, port := range ports {
		for _, at := range []string{"/nginx_status", "/stub_status", "/basic_status"} {
			list = append(list, page{fmt.Sprintf("http://localhost:%d%s", port, at), ""})
		}
	}
	return list
}

func (i *instance) get(ctx context.Context, p page) (status, error) {
	i.client.Host = p.host
	a, err := i.client.Get(ctx, p.url)
	var fault *tallyman.ServiceError
	if errors.As(err, &fault) && fault.Fault == tallyman.AuthFault && i.client.User == "" {
		return status{}, tallyman.Faulty(tallyman.PermissionFault, "Allow 127.0.0.1 at that location, or set USERNAME and PASSWORD.", "%v", err)
	}
	if err != nil {
		return status{}, err
	}
	return parse(a.Body)
}

// status is what the page says.
type status struct{ active, accepted, handled, requests, reading, writing, waiting float64 }

// parse reads the page:
//
//	Active connections: 2
//	server accepts handled requests
//	 9 9 12
//	Reading: 0 Writing: 1 Waiting: 1
func parse(body []byte) (s status, err error) {
	wrong := tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the location that has stub_status.", "the page is not that of stub_status")
	if len(body) > 4096 {
		return s, wrong
	}
	fields := bytes.Fields(body)
	at := func(i int, word string) bool { return i < len(fields) && string(fields[i]) == word }
	number := func(i int) float64 {
		v := 0.0
		if i < len(fields) {
			n, e := strconv.ParseUint(string(fields[i]), 10, 64)
			if v = float64(n); e == nil {
				return v
			}
		}
		err = wrong
		return 0
	}
	if !at(0, "Active") || !at(1, "connections:") || !at(3, "server") {
		return s, wrong
	}
	s.active = number(2)
	i := 4
	for i < len(fields) && fields[i][0] >= 'a' { // Tengine has a fourth name
		i++
	}
	s.accepted, s.handled, s.requests = number(i), number(i+1), number(i+2)
	for i += 3; i < len(fields) && !at(i, "Reading:"); i++ {
	}
	if !at(i, "Reading:") || !at(i+2, "Writing:") || !at(i+4, "Waiting:") {
		return s, wrong
	}
	s.reading, s.writing, s.waiting = number(i+1), number(i+3), number(i+5)
	return s, err
}

func (st status) give(s tallyman.ServiceSink) error {
	s.Add(up, 1)
	s.Add(active, st.active)
	s.Add(reading, st.reading)
	s.Add(writing, st.writing)
	s.Add(waiting, st.waiting)
	s.Add(accepted, st.accepted)
	s.Add(handled, st.handled)
	s.Add(requests, st.requests)
	return nil
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	address := i.check
	if address == "" {
		address = i.url
	}
	if address == "" {
		return tallyman.Faulty(tallyman.ConfigFault, "Set URL CHECK.", "there is nothing to ask for")
	}
	i.client.Host = i.host
	_, err := i.client.Get(ctx, address)
	return err
}
