// SPDX-License-Identifier: Apache-2.0

// Package nats is the plugin NATS: it reads the monitoring pages of a NATS server, and
// what JetStream keeps.
package nats

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = "8222"

func desc(name string, typ tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: typ, Unit: unit, Help: help}
}

const (
	c = tallyman.Counter
	g = tallyman.Gauge
)

var (
	up          = desc("gnatsd_up", g, "", "1 when the last scrape was good")
	connections = desc("gnatsd_varz_connections", g, "", "Connections")
	inMsgs      = desc("gnatsd_varz_in_msgs", c, "", "Messages received")
	outMsgs     = desc("gnatsd_varz_out_msgs", c, "", "Messages sent")
	inBytes     = desc("gnatsd_varz_in_bytes", c, "bytes", "Bytes of the messages received")
	outBytes    = desc("gnatsd_varz_out_bytes", c, "bytes", "Bytes of the messages sent")
	slow        = desc("gnatsd_varz_slow_consumers", c, "", "Clients that were cut off because they were too slow")
	memory      = desc("gnatsd_varz_mem", g, "bytes", "Memory of the server")
	messages    = desc("jetstream_server_total_messages", g, "", "Messages that JetStream keeps")
	streamMsgs  = desc("jetstream_stream_total_messages", g, "", "Messages in each stream")
	streamBytes = desc("jetstream_stream_total_bytes", g, "bytes", "Bytes in each stream")
	streamUsers = desc("jetstream_stream_consumer_count", g, "", "Consumers of each stream")
)

type field struct {
	name string
	desc *tallyman.Desc
}

var (
	ofServer = []field{
		{"connections", connections}, {"in_msgs", inMsgs}, {"out_msgs", outMsgs}, {"in_bytes", inBytes}, {"out_bytes", outBytes}, {"slow_consumers", slow}, {"mem", memory},
		{"total_connections", desc("gnatsd_varz_total_connections", c, "", "Connections since the start")},
		{"subscriptions", desc("gnatsd_varz_subscriptions", g, "", "Subscriptions")},
		{"cpu", desc("gnatsd_varz_cpu", g, "", "CPU that the server uses in percent of one")},
		{"routes", desc("gnatsd_varz_routes", g, "", "Routes to other servers of the cluster")},
		{"remotes", desc("gnatsd_varz_remotes", g, "", "Other servers of the cluster")},
		{"leafnodes", desc("gnatsd_varz_leafnodes", g, "", "Leaf nodes")},
		{"max_connections", desc("gnatsd_varz_max_connections", g, "", "Connections that are allowed")},
		{"max_payload", desc("gnatsd_varz_max_payload", g, "bytes", "Size of a message that is allowed")},
		{"max_pending", desc("gnatsd_varz_max_pending", g, "bytes", "Bytes that may wait for a client")},
		{"cores", desc("gnatsd_varz_cores", g, "", "CPUs that the server sees")},
	}
	ofStreams = []field{
		{"streams", desc("jetstream_server_total_streams", g, "", "Streams")},
		{"consumers", desc("jetstream_server_total_consumers", g, "", "Consumers of streams")},
		{"messages", messages},
		{"bytes", desc("jetstream_server_total_message_bytes", g, "bytes", "Bytes of the messages that JetStream keeps")},
		{"memory", desc("jetstream_server_used_memory", g, "bytes", "Memory that JetStream uses")},
		{"storage", desc("jetstream_server_used_storage", g, "bytes", "Disk that JetStream uses")},
	}
	ofLimits = []field{
		{"max_memory", desc("jetstream_server_max_memory", g, "bytes", "Memory that JetStream may use")},
		{"max_storage", desc("jetstream_server_max_storage", g, "bytes", "Disk that JetStream may use")},
	}
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	list := []*tallyman.Desc{up, streamMsgs, streamBytes, streamUsers}
	for _, fields := range [][]field{ofServer, ofStreams, ofLimits} {
		for _, f := range fields {
			list = append(list, f.desc)
		}
	}
	return tallyman.ServiceKind{
		Name: "NATS", Summary: "NATS: messages, connections, slow consumers, JetStream",
		Keys: []tallyman.ServiceKey{
			{Name: "STATS URL", Type: tallyman.URLKey, Help: "address of the monitoring pages", Default: "http://localhost:8222", Example: "http://localhost:8222"},
			{Name: "USERNAME", Type: tallyman.TextKey, Help: "name of a login, where a proxy wants one"},
			{Name: "PASSWORD", Type: tallyman.SecretKey, Help: "password of that login"},
		},
		Metrics: list,
		Charts: []tallyman.ServiceChart{
			{Title: "Messages", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "in", Metric: inMsgs, Rate: true}, {Name: "out", Metric: outMsgs, Rate: true}}},
			{Title: "Bytes", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "in", Metric: inBytes, Rate: true}, {Name: "out", Metric: outBytes, Rate: true}}},
			{Title: "Connections", Lines: []tallyman.ServiceLine{{Name: "open", Metric: connections}}},
			{Title: "Too slow", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "clients cut off", Metric: slow, Rate: true}}},
			{Title: "Messages in streams", Lines: []tallyman.ServiceLine{{Name: "stream", Metric: streamMsgs, By: "stream_name"}}},
			{Title: "Memory", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "server", Metric: memory}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			return ask.Shown(c.Text("STATS URL", "http://localhost:"+defaultPort))
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect:  "The image is `nats` or `bitnami/nats`, or a process is called `nats-server`. The port is that of `-m`, of `http_port` or `monitor_port` in the configuration file, else 8222.",
			Free:    "Everything, where monitoring is on, as in the official image.",
			Account: "None. Where monitoring is off, start the server with `-m 8222 -a 127.0.0.1`, or write `http: \"127.0.0.1:8222\"` into its configuration; it can be reached from inside of the container alone then.",
			Notes: "The names are those of nats-io/prometheus-nats-exporter; its labels for the server are left out, for `instance` says that. Numbers that only grow are counters, gauges there. " +
				"`gnatsd_up` and `jetstream_server_used_*` are tallyman's own. The 200 largest streams stand alone, the rest are summed in `stream_name=\"" + ask.Other + "\"`.",
			Example: `[{"PluginType":"NATS","Configuration":{"STATS URL":["http://localhost:8222"]}}]`,
		},
	}
}

var portLine = regexp.MustCompile(`(?m)^\s*(?:http_port|monitor_port|http)\s*[:=]?\s*"?(?:[^\s"]*:)?(\d{1,5})"?\s*$`)

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	if !f.Is("nats", "bitnami/nats", "*/nats", "*/nats-server") && !f.Runs("nats-server") {
		return nil
	}
	port := ""
	lines := [][]string{f.Command}
	for _, p := range f.Processes {
		if p.Name == "nats-server" {
			lines = append(lines, p.Args)
		}
	}
	for _, args := range lines {
		if v, ok := ask.Flag(args, "-m", "--http_port", "-http_port"); ok && port == "" {
			port = v
		}
		file, ok := ask.Flag(args, "-c", "--config", "-config")
		if !ok || !path.IsAbs(file) {
			continue
		}
		if text, err := in.ReadFile(file); err == nil && port == "" {
			if m := portLine.FindSubmatch(text); m != nil {
				port = string(m[1])
			}
		}
	}
	if port == "" || strings.Trim(port, "0123456789") != "" {
		port = defaultPort
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"STATS URL": {"http://localhost:" + port}})}
}

type instance struct {
	client *ask.Client
	url    string
	plain  bool // it has no JetStream

	streams ask.Ranking
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{url: strings.TrimRight(c.Text("STATS URL", "http://localhost:"+defaultPort), "/")}
	if u, err := url.Parse(i.url); err != nil || u.Host == "" {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Write it as http://localhost:8222.", "STATS URL is no URL")
	}
	i.client = ask.NewClient(in, &tls.Config{InsecureSkipVerify: ask.OnLoopback(i.url)})
	i.client.User, i.client.Password = c.Text("USERNAME", ""), c.Text("PASSWORD", "")
	return i, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() { i.client.Close() }

// numbers are an object of JSON, of which numbers are taken and all else is left out.
type numbers map[string]json.RawMessage

func (n numbers) give(s tallyman.ServiceSink, fields []field) {
	for _, f := range fields {
		var v float64
		if raw := n[f.name]; raw != nil && string(raw) != "null" && json.Unmarshal(raw, &v) == nil {
			s.Add(f.desc, v)
		}
	}
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	var server numbers
	if err := i.get(ctx, "/varz", &server); err != nil {
		return err
	}
	if server["server_id"] == nil {
		return tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the address of the monitoring pages.", "it is not the monitoring of a NATS server")
	}
	s.Add(up, 1)
	server.give(s, ofServer)
	if i.plain {
		return nil
	}
	var streams numbers
	err := i.get(ctx, "/jsz?accounts=true&streams=true", &streams)
	var fault *tallyman.ServiceError
	switch {
	case errors.As(err, &fault) && fault.Fault == tallyman.ConfigFault: // before 2.2
		i.plain = true
		return nil
	case err != nil:
		return err
	}
	if off := string(streams["disabled"]); off == "true" {
		return nil
	}
	streams.give(s, ofStreams)
	var limits numbers
	if json.Unmarshal(streams["config"], &limits) == nil {
		limits.give(s, ofLimits)
	}
	var accounts []struct {
		Name    string `json:"name"`
		Streams []struct {
			Name  string `json:"name"`
			State struct {
				Messages  *float64 `json:"messages"`
				Bytes     *float64 `json:"bytes"`
				Consumers *float64 `json:"consumer_count"`
			} `json:"state"`
		} `json:"stream_detail"`
	}
	if json.Unmarshal(streams["account_details"], &accounts) != nil {
		return nil
	}
	var rows []ask.Row
	for _, a := range accounts {
		for _, one := range a.Streams {
			if st := one.State; st.Messages != nil && st.Bytes != nil && st.Consumers != nil {
				rows = append(rows, ask.Row{Labels: []string{a.Name, one.Name}, Values: []float64{*st.Messages, *st.Bytes, *st.Consumers}, Size: *st.Bytes})
			}
		}
	}
	for _, r := range i.streams.Top(rows, ask.MaxRows) {
		for at, d := range []*tallyman.Desc{streamMsgs, streamBytes, streamUsers} {
			s.Add(d, r.Values[at], "account", r.Labels[0], "stream_name", r.Labels[1])
		}
	}
	return nil
}

func (i *instance) get(ctx context.Context, at string, into any) error {
	a, err := i.client.Get(ctx, i.url+at)
	if err != nil {
		return err
	}
	if json.Unmarshal(a.Body, into) != nil {
		return tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the address of the monitoring pages.", "the answer is not what it should be")
	}
	return nil
}
