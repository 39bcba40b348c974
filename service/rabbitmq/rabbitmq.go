// SPDX-License-Identifier: Apache-2.0

// Package rabbitmq is the plugin RABBITMQ: it reads the broker's own metrics for
// Prometheus, or otherwise its management interface, and gives the same names from both.
//
// Queues are told of one by one up to a bound, and all of them in sums.
package rabbitmq

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const (
	managementPort = 15672
	prometheusPort = 15692
	amqpPort       = 5672
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "RABBITMQ", Summary: "RabbitMQ: queues, messages, connections, alarms, memory and disk",
		Keys: append([]tallyman.ServiceKey{
			{Name: "HOSTNAME", Type: tallyman.TextKey, Help: "host as the container knows it", Default: "localhost"},
			{Name: "PORT", Type: tallyman.PortKey, Help: "TCP port of the management interface", Default: "15672"},
			{Name: "PROMETHEUS PORT", Type: tallyman.PortKey, Help: "TCP port of the metrics for Prometheus", Default: "15692"},
			{Name: "AMQP PORT", Type: tallyman.PortKey, Help: "TCP port that the active check speaks AMQP with", Default: "5672"},
			{Name: "SOURCE", Type: tallyman.TextKey, Help: "prometheus or management", Default: "prometheus, when something listens there"},
			{Name: "VHOST", Type: tallyman.TextKey, Help: "virtual host of QUEUE", Default: "/"},
			{Name: "QUEUE", Type: tallyman.TextKey, Help: "queue of its own into which the active check puts a message and takes it out again", Example: "tallyman-check", Write: true},
		}, ask.LoginKeys()...),
		Metrics: metrics(),
		Charts: []tallyman.ServiceChart{
			{Title: "Messages in queues", Lines: []tallyman.ServiceLine{{Name: "ready", Metric: named("queue_messages_ready")}, {Name: "not acknowledged", Metric: named("queue_messages_unacked")}}},
			{Title: "Longest queues", Lines: []tallyman.ServiceLine{{Name: "messages", Metric: named("detailed_queue_messages"), By: "queue"}}},
			{Title: "Messages", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "received", Metric: named("global_messages_received_total"), Rate: true}, {Name: "delivered", Metric: named("global_messages_delivered_total"), Rate: true}, {Name: "acknowledged", Metric: named("global_messages_acknowledged_total"), Rate: true}, {Name: "delivered again", Metric: named("global_messages_redelivered_total"), Rate: true}}},
			{Title: "Clients", Lines: []tallyman.ServiceLine{{Name: "connections", Metric: named("connections")}, {Name: "channels", Metric: named("channels")}, {Name: "consumers", Metric: named("consumers")}}},
			{Title: "Memory", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "used", Metric: named("process_resident_memory_bytes")}, {Name: "limit", Metric: named("resident_memory_limit_bytes")}}},
			{Title: "Disk", Unit: "bytes", Lines: []tallyman.ServiceLine{{Name: "free", Metric: named("disk_space_available_bytes")}, {Name: "limit", Metric: named("disk_space_available_limit_bytes")}}},
			{Title: "Alarms", Lines: []tallyman.ServiceLine{{Name: "memory", Metric: named("alarms_memory_used_watermark")}, {Name: "disk", Metric: named("alarms_free_disk_space_watermark")}}},
			{Title: "Descriptors", Lines: []tallyman.ServiceLine{{Name: "open", Metric: named("process_open_fds")}, {Name: "allowed", Metric: named("process_max_fds")}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			port := c.Port("PORT", managementPort)
			if !c.Has("PORT") || c.Has("PROMETHEUS PORT") {
				port = c.Port("PROMETHEUS PORT", prometheusPort)
			}
			if ask.Local(c) {
				return port
			}
			return net.JoinHostPort(c.Text("HOSTNAME", ""), port)
		},
		Check: func(c tallyman.ServiceConfig) error {
			if s := c.Text("SOURCE", "prometheus"); s != "prometheus" && s != "management" {
				return fmt.Errorf("SOURCE may be prometheus or management")
			}
			return nil
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `rabbitmq` or `bitnami/rabbitmq`, or a process `beam.smp` has `rabbit` in its arguments.",
			Free: "Everything, from the metrics for Prometheus (port 15692), which the official image has on since 3.8 and which want no login; each queue by itself from 3.10 on. " +
				"Else the management interface (port 15672) with the login of `RABBITMQ_DEFAULT_USER` and `RABBITMQ_DEFAULT_PASS` (`_FILE` as well), `RABBITMQ_USERNAME` and `RABBITMQ_PASSWORD` for bitnami's image, `default_user` and `default_pass` in `rabbitmq.conf`, else `guest`, which is let in from the container itself. " +
				"`rabbitmqctl` is never run: it starts a second Erlang.",
			Account: "```\nrabbitmqctl add_user tallyman PASSWORD\nrabbitmqctl set_user_tags tallyman monitoring\nrabbitmqctl set_permissions -p / tallyman '^$' '^$' '^$'\n```\n\nOr, without any account: `rabbitmq-plugins enable rabbitmq_prometheus`.",
			Notes: "The names are those of RabbitMQ's own plugin for Prometheus, from both sources; both were compared on 3.10.8. What differs:\n\n" +
				"- Of its families those that matter are here; `rabbitmq_build_info`, `rabbitmq_identity_info` and `rabbitmq_alarms_*`, untyped there, are gauges.\n" +
				"- `rabbitmq_global_*` have no labels when they come from the management interface, which counts all protocols in one, and `rabbitmq_exchanges` and `rabbitmq_node_processors` come from there alone.\n" +
				"- The management interface sums queues of the whole cluster, the plugin for Prometheus those of its node.\n" +
				"- The 200 longest queues stand alone, the rest are summed in `queue=\"" + ask.Other + "\"`. One gives way only to another that is more than twice as long, and 200 do in an hour at most: each makes new series.\n" +
				"- The names of kbudde/rabbitmq_exporter are not given.",
			Example: `[{"PluginType":"RABBITMQ","Configuration":{"PORT":["15672"],"USERNAME":["tallyman"],"PASSWORD":["$/run/secrets/tallyman"]}}]`,
		},
	}
}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	rabbit := f.Is("rabbitmq", "bitnami/rabbitmq", "*/rabbitmq") || slices.ContainsFunc(f.Processes, func(p tallyman.ServiceProcess) bool {
		return p.Name == "beam.smp" && strings.Contains(strings.Join(p.Args, " "), "rabbit")
	})
	if !rabbit {
		return nil
	}
	if f.ListensOn(prometheusPort) || !f.ListensOn(managementPort) {
		return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"PROMETHEUS PORT": {fmt.Sprint(prometheusPort)}})}
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"PORT": {fmt.Sprint(managementPort)}})}
}

type instance struct {
	in         tallyman.Inside
	client     *ask.Client // of the management interface
	anonymous  *ask.Client // of the metrics, which want no login
	prometheus string      // their address, empty for the management interface
	management string
	amqp       string
	vhost      string
	queue      string
	noDetails  bool // before 3.10
	queues     ask.Ranking
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	host := c.Text("HOSTNAME", "localhost")
	i := &instance{in: in, vhost: c.Text("VHOST", "/"), queue: c.Text("QUEUE", ""),
		management: "http://" + net.JoinHostPort(host, c.Port("PORT", managementPort)), amqp: net.JoinHostPort(host, c.Port("AMQP PORT", amqpPort))}
	source := c.Text("SOURCE", "")
	switch {
	case source == "prometheus", source == "" && c.Has("PROMETHEUS PORT"), source == "" && !c.Has("PORT"), source == "" && ask.Local(c) && in.Facts().Listening != nil && in.Facts().ListensOn(prometheusPort):
		i.prometheus = "http://" + net.JoinHostPort(host, c.Port("PROMETHEUS PORT", prometheusPort))
	case source != "" && source != "management":
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Use prometheus or management.", "SOURCE is none that is known")
	}
	i.client, i.anonymous = ask.NewClient(in, nil), ask.NewClient(in, nil)
	i.client.User, i.client.Password = c.Text("USERNAME", ""), c.Text("PASSWORD", "")
	if i.client.User == "" && ask.Local(c) {
		i.client.User, i.client.Password = login(in)
	}
	return i, nil
}

// login is the one that the container has.
func login(in tallyman.Inside) (user, password string) {
	if user = ask.FirstEnv(in, "RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME"); user != "" {
		return user, ask.FirstEnv(in, "RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD")
	}
	user, password = "guest", "guest"
	names := append([]string{"/etc/rabbitmq/rabbitmq.conf", "/opt/bitnami/rabbitmq/etc/rabbitmq/rabbitmq.conf"}, in.Glob("/etc/rabbitmq/conf.d/*.conf")...)
	for _, name := range names[:min(len(names), 64)] {
		text, err := in.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			k, v, _ := strings.Cut(line, "=")
			switch v = strings.Trim(strings.TrimSpace(v), `'"`); strings.TrimSpace(k) {
			case "default_user":
				user = v
			case "default_pass":
				password = v
			}
		}
	}
	return user, password
}

// Close implements tallyman.Service.
func (i *instance) Close() {
	i.client.Close()
	i.anonymous.Close()
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	if i.prometheus != "" {
		return i.fromPrometheus(ctx, s)
	}
	return i.fromManagement(ctx, s)
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	if i.queue != "" {
		return i.throughQueue(ctx)
	}
	// A client's first words; the broker answers with the method connection.start.
	c, err := i.in.DialContext(ctx, "tcp", i.amqp)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(c, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	var b [11]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return err
	}
	if b[0] != 1 || b[7] != 0 || b[8] != 10 || b[9] != 0 || b[10] != 10 {
		return tallyman.Faulty(tallyman.ParseFault, "Set AMQP PORT.", "it does not answer in AMQP")
	}
	return nil
}

// throughQueue puts a message into a queue and takes one out.
func (i *instance) throughQueue(ctx context.Context) error {
	vhost, queue := url.PathEscape(i.vhost), url.PathEscape(i.queue)
	var routed struct{ Routed bool }
	err := i.post(ctx, "/api/exchanges/"+vhost+"/amq.default/publish", map[string]any{"properties": map[string]any{}, "routing_key": i.queue, "payload": "tallyman", "payload_encoding": "string"}, &routed)
	if err != nil {
		return err
	}
	if !routed.Routed {
		return tallyman.Faulty(tallyman.ConfigFault, "Make the queue that QUEUE names.", "there is no such queue")
	}
	var messages []struct{ Payload string }
	if err := i.post(ctx, "/api/queues/"+vhost+"/"+queue+"/get", map[string]any{"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto", "truncate": 100}, &messages); err != nil {
		return err
	}
	if len(messages) == 0 {
		return tallyman.Faulty(tallyman.ParseFault, "", "the message did not come back")
	}
	return nil
}
