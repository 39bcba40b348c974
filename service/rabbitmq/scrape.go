// SPDX-License-Identifier: Apache-2.0

package rabbitmq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/exposition"
	"tallyman/service/ask"
)

// columns are what is told of each queue.
var columns = []string{"messages", "messages_ready", "messages_unacked", "messages_bytes", "consumers", "process_memory_bytes"}

// queues collects what is told of each queue.
type queues map[[2]string][]float64

func (q queues) set(vhost, queue, column string, v float64) {
	at := slices.Index(columns, column)
	if at < 0 {
		return
	}
	key := [2]string{vhost, queue}
	if q[key] == nil {
		for range columns {
			q[key] = append(q[key], math.NaN())
		}
	}
	q[key][at] = v
}

// give adds the longest queues and the sum of the rest.
func (q queues) give(s tallyman.ServiceSink, k *ask.Ranking) {
	var rows []ask.Row
	for _, key := range slices.SortedFunc(maps.Keys(q), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		size := q[key][0]
		if math.IsNaN(size) {
			size = 0
		}
		rows = append(rows, ask.Row{Labels: []string{key[0], key[1]}, Values: q[key], Size: size})
	}
	for _, r := range k.Top(rows, ask.MaxRows) {
		for i, v := range r.Values {
			if !math.IsNaN(v) {
				s.Add(named("detailed_queue_"+columns[i]), v, "vhost", r.Labels[0], "queue", r.Labels[1])
			}
		}
	}
}

// textSink takes the broker's own text: metrics have the types of the table, and those
// of each queue are collected.
type textSink struct {
	tallyman.ServiceSink
	queues queues
}

func (s *textSink) Desc(name string, _ tallyman.MetricType, _ string) *tallyman.Desc {
	return known[name]
}

func (s *textSink) Add(d *tallyman.Desc, v float64, labels ...string) {
	column, ok := strings.CutPrefix(d.Name, "rabbitmq_detailed_queue_")
	switch {
	case math.IsNaN(v):
	case !ok:
		s.ServiceSink.Add(d, v, labels...)
	default:
		var vhost, queue string
		for i := 0; i+1 < len(labels); i += 2 {
			switch labels[i] {
			case "vhost":
				vhost = labels[i+1]
			case "queue":
				queue = labels[i+1]
			}
		}
		s.queues.set(vhost, queue, column, v)
	}
}

// fromPrometheus reads the broker's metrics for Prometheus.
func (i *instance) fromPrometheus(ctx context.Context, s tallyman.ServiceSink) error {
	sink := &textSink{s, queues{}}
	e := ask.Exposition{Reader: exposition.Reader{Keep: func(name string) bool { return known[name] != nil }}}
	if _, err := e.Scrape(ctx, i.anonymous, i.prometheus+"/metrics", sink); err != nil {
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) && i.in.Facts().Listening != nil && !i.in.Facts().ListensOn(prometheusPort) {
			return tallyman.Faulty(tallyman.ConfigFault, "rabbitmq-plugins enable rabbitmq_prometheus", "the broker gives no metrics: %v", err)
		}
		return err
	}
	if !i.noDetails {
		e.Keep = func(name string) bool { return strings.HasPrefix(name, "rabbitmq_detailed_") && known[name] != nil }
		_, err := e.Scrape(ctx, i.anonymous, i.prometheus+"/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count", sink)
		var fault *tallyman.ServiceError
		switch {
		case errors.As(err, &fault) && fault.Fault == tallyman.ConfigFault:
			i.noDetails = true // before 3.10
		case err != nil:
			return err
		}
	}
	s.Add(named("up"), 1)
	sink.queues.give(s, &i.queues)
	return nil
}

// overview is /api/overview. What is not there stays nil.
type overview struct {
	Node     string   `json:"node"`
	Cluster  string   `json:"cluster_name"`
	Version  string   `json:"rabbitmq_version"`
	Erlang   string   `json:"erlang_version"`
	Objects  counters `json:"object_totals"`
	Churn    counters `json:"churn_rates"`
	Queues   counters `json:"queue_totals"`
	Messages counters `json:"message_stats"`
}

// counters are an object of numbers; what is not a number is left out.
type counters map[string]float64

// UnmarshalJSON implements json.Unmarshaler.
func (c *counters) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil // an empty list stands for nothing there
	}
	*c = counters{}
	for name, v := range raw {
		var n float64
		var yes bool
		switch {
		case json.Unmarshal(v, &n) == nil && string(v) != "null":
			(*c)[name] = n
		case json.Unmarshal(v, &yes) == nil && string(v) != "null":
			if (*c)[name] = 0; yes {
				(*c)[name] = 1
			}
		}
	}
	return nil
}

// give adds numbers by the names of both sides in turns.
func (c counters) give(s tallyman.ServiceSink, names ...string) {
	for i := 0; i+1 < len(names); i += 2 {
		if v, ok := c[names[i]]; ok {
			s.Add(named(names[i+1]), v)
		}
	}
}

const (
	maxPages = 4
	pageSize = 500
)

// fromManagement asks the management interface.
func (i *instance) fromManagement(ctx context.Context, s tallyman.ServiceSink) error {
	var o overview
	if err := i.get(ctx, "/api/overview", &o); err != nil {
		return err
	}
	if o.Version == "" {
		return tallyman.Faulty(tallyman.ParseFault, "Set PORT to that of the management interface.", "it is not RabbitMQ's management interface")
	}
	s.Add(named("up"), 1)
	s.Add(named("build_info"), 1, "rabbitmq_version", o.Version, "erlang_version", o.Erlang)
	s.Add(named("identity_info"), 1, "rabbitmq_node", o.Node, "rabbitmq_cluster", o.Cluster)
	o.Objects.give(s, "connections", "connections", "channels", "channels", "consumers", "consumers", "queues", "queues", "exchanges", "exchanges")
	o.Churn.give(s, "connection_created", "connections_opened_total", "connection_closed", "connections_closed_total", "channel_created", "channels_opened_total", "channel_closed", "channels_closed_total",
		"queue_declared", "queues_declared_total", "queue_created", "queues_created_total", "queue_deleted", "queues_deleted_total")
	o.Queues.give(s, "messages", "queue_messages", "messages_ready", "queue_messages_ready", "messages_unacknowledged", "queue_messages_unacked")
	o.Messages.give(s, "publish", "global_messages_received_total", "confirm", "global_messages_confirmed_total", "deliver_get", "global_messages_delivered_total", "redeliver", "global_messages_redelivered_total",
		"ack", "global_messages_acknowledged_total", "return_unroutable", "global_messages_unroutable_returned_total", "drop_unroutable", "global_messages_unroutable_dropped_total", "get_empty", "global_messages_get_empty_total")

	var nodes []json.RawMessage
	if err := i.get(ctx, "/api/nodes", &nodes); err != nil {
		return err
	}
	for _, raw := range nodes {
		var name struct{ Name string }
		var n counters
		if json.Unmarshal(raw, &name) != nil || name.Name != o.Node || json.Unmarshal(raw, &n) != nil {
			continue
		}
		if v, ok := n["uptime"]; ok {
			n["uptime"] = v / 1000
		}
		n.give(s, "mem_used", "process_resident_memory_bytes", "mem_limit", "resident_memory_limit_bytes", "disk_free", "disk_space_available_bytes", "disk_free_limit", "disk_space_available_limit_bytes",
			"fd_used", "process_open_fds", "fd_total", "process_max_fds", "sockets_used", "process_open_tcp_sockets", "sockets_total", "process_max_tcp_sockets",
			"mem_alarm", "alarms_memory_used_watermark", "disk_free_alarm", "alarms_free_disk_space_watermark", "proc_used", "erlang_processes_used", "proc_total", "erlang_processes_limit",
			"uptime", "erlang_uptime_seconds", "run_queue", "erlang_scheduler_run_queue", "net_ticktime", "erlang_net_ticktime_seconds", "processors", "node_processors",
			"io_read_bytes", "io_read_bytes_total", "io_write_bytes", "io_write_bytes_total", "io_read_count", "io_read_ops_total", "io_write_count", "io_write_ops_total", "io_sync_count", "io_sync_ops_total")
	}
	return i.managedQueues(ctx, s)
}

func (i *instance) managedQueues(ctx context.Context, s tallyman.ServiceSink) error {
	q := queues{}
	for page, pages := 1, 1; page <= min(pages, maxPages); page++ {
		var answer struct {
			Pages int `json:"page_count"`
			Items []struct {
				Name, Vhost string
				Messages    *float64
				Ready       *float64 `json:"messages_ready"`
				Unacked     *float64 `json:"messages_unacknowledged"`
				Bytes       *float64 `json:"message_bytes"`
				Consumers   *float64
				Memory      *float64
			}
		}
		path := fmt.Sprintf("/api/queues?page=%d&page_size=%d&sort=messages&sort_reverse=true&columns=name,vhost,messages,messages_ready,messages_unacknowledged,message_bytes,consumers,memory", page, pageSize)
		if err := i.get(ctx, path, &answer); err != nil {
			return err
		}
		pages = answer.Pages
		for _, one := range answer.Items {
			for at, v := range []*float64{one.Messages, one.Ready, one.Unacked, one.Bytes, one.Consumers, one.Memory} {
				if v != nil {
					q.set(one.Vhost, one.Name, columns[at], *v)
				}
			}
		}
	}
	q.give(s, &i.queues)
	return nil
}

func (i *instance) get(ctx context.Context, path string, into any) error {
	a, err := i.client.Get(ctx, i.management+path)
	if err != nil {
		return explain(err)
	}
	if json.Unmarshal(a.Body, into) != nil {
		return tallyman.Faulty(tallyman.ParseFault, "Set PORT to that of the management interface.", "%s is not what it should be", strings.SplitN(path, "?", 2)[0])
	}
	return nil
}

// explain says how to get an account.
func explain(err error) error {
	var fault *tallyman.ServiceError
	if errors.As(err, &fault) && fault.Fault == tallyman.AuthFault {
		return &tallyman.ServiceError{Fault: fault.Fault, Err: fault.Err, Fix: "Make an account with the tag monitoring and set USERNAME and PASSWORD, or enable rabbitmq_prometheus."}
	}
	return err
}

func (i *instance) post(ctx context.Context, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.management+path, bytes.NewReader(b))
	if err != nil {
		return tallyman.Faulty(tallyman.ConfigFault, "", "QUEUE or VHOST cannot be put into an address")
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth(i.client.User, i.client.Password)
	a, err := i.client.Do(r)
	if err != nil {
		return errors.Unwrap(err) // the URL stays inside
	}
	defer a.Body.Close()
	switch a.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return tallyman.Faulty(tallyman.AuthFault, "Let the account write to and read from the queue that QUEUE names.", "the active check answers %s", a.Status)
	default:
		return tallyman.Faulty(tallyman.ConfigFault, "Make the queue that QUEUE names.", "the active check answers %s", a.Status)
	}
	if err := json.NewDecoder(io.LimitReader(a.Body, 1<<20)).Decode(into); err != nil {
		return tallyman.Faulty(tallyman.ParseFault, "", "the active check is answered with something else")
	}
	return nil
}
