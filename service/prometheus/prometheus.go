// SPDX-License-Identifier: Apache-2.0

// Package prometheus is the plugin PROMETHEUS: it scrapes what gives its metrics in
// Prometheus' text, from inside of its container.
//
// Detection knows which images do that and where ([known]); it asks no port at random.
package prometheus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

// The metrics that are about a scrape, as Prometheus names them.
var (
	up      = &tallyman.Desc{Name: "up", Type: tallyman.Gauge, Help: "1 when the last scrape was good"}
	scraped = &tallyman.Desc{Name: "scrape_samples_scraped", Type: tallyman.Gauge, Help: "Samples that the last scrape had"}
	took    = &tallyman.Desc{Name: "scrape_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the last scrape took"}
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "PROMETHEUS", Aliases: []string{"OPENMETRICS"}, Summary: "Scrapes any address that gives metrics in Prometheus' text",
		Keys: []tallyman.ServiceKey{
			{Name: "STATS URL", Type: tallyman.URLKey, Help: "address of the metrics, several for several instances", Example: "http://localhost:9100/metrics"},
			{Name: "KEEP", Type: tallyman.TextKey, Help: "regular expression of the names that are kept", Example: "http_.*|process_.*"},
			{Name: "DROP", Type: tallyman.TextKey, Help: "regular expression of the names that are left out"},
			{Name: "PREFIX", Type: tallyman.TextKey, Help: "text before each name", Example: "shop_"},
			{Name: "BEARER TOKEN", Type: tallyman.SecretKey, Help: "token of the login", Example: "${env:METRICS_TOKEN}"},
			{Name: "USERNAME", Type: tallyman.TextKey, Help: "name of the login"},
			{Name: "PASSWORD", Type: tallyman.SecretKey, Help: "password of the login", Example: "$METRICS_PASSWORD"},
			{Name: "TLS VERIFY", Type: tallyman.BoolKey, Help: "false takes any certificate", Default: "true"},
		},
		Metrics: []*tallyman.Desc{up, scraped, took},
		Charts: []tallyman.ServiceChart{
			{Title: "Samples of a scrape", Lines: []tallyman.ServiceLine{{Name: "samples", Metric: scraped}}},
			{Title: "Time of a scrape", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "time", Metric: took}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string { return ask.Shown(c.Text("STATS URL", "")) },
		Check: check,
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect:  "The image is one of the table below, or a label of the container asks for it: `prometheus.io/scrape=true` with `prometheus.io/port` and `prometheus.io/path`, also as `prometheus.scrape` and so on.\n\n" + table(),
			Free:    "What listens as its image does from the start. No port has to be published: the scrape comes from inside of the container's network.",
			Account: "None, where the metrics are open to the container itself; else `BEARER TOKEN`, or `USERNAME` and `PASSWORD`.",
			Notes:   "Histograms and summaries stay as their series. Times beside values are left out: a value has the time of the round. A text with more series than the limit is refused as a whole, for a part of it misleads: name what matters with `KEEP`.",
			Example: `[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["http://localhost:9100/metrics"]}}]`,
		},
	}
}

// known are the images that give metrics, where, and whether they do from the start.
var known = []struct {
	images []string
	port   uint16
	path   string
}{
	{[]string{"caddy"}, 2019, "/metrics"},
	{[]string{"envoyproxy/envoy*"}, 9901, "/stats/prometheus"},
	{[]string{"traefik"}, 8080, "/metrics"},
	{[]string{"*/etcd", "etcd"}, 2379, "/metrics"},
	{[]string{"coredns/coredns"}, 9153, "/metrics"},
	{[]string{"cockroachdb/cockroach"}, 8080, "/_status/vars"},
	{[]string{"scylladb/scylla"}, 9180, "/metrics"},
	{[]string{"*/redpanda"}, 9644, "/public_metrics"},
	{[]string{"clickhouse", "clickhouse/clickhouse-server", "yandex/clickhouse-server"}, 9363, "/metrics"},
	{[]string{"apachepulsar/pulsar*"}, 8080, "/metrics"},
	{[]string{"influxdb"}, 8086, "/metrics"},
	{[]string{"grafana/grafana*"}, 3000, "/metrics"},
	{[]string{"prom/prometheus", "*/prometheus"}, 9090, "/metrics"},
	{[]string{"prom/alertmanager", "*/alertmanager"}, 9093, "/metrics"},
	{[]string{"prom/pushgateway"}, 9091, "/metrics"},
	{[]string{"grafana/loki", "grafana/promtail"}, 3100, "/metrics"},
	{[]string{"grafana/tempo"}, 3200, "/metrics"},
	{[]string{"grafana/mimir"}, 8080, "/metrics"},
	{[]string{"victoriametrics/victoria-metrics"}, 8428, "/metrics"},
	{[]string{"*/cadvisor"}, 8080, "/metrics"},
	{[]string{"*/node-exporter", "*/node_exporter"}, 9100, "/metrics"},
	{[]string{"*/redis_exporter"}, 9121, "/metrics"},
	{[]string{"*/mysqld-exporter"}, 9104, "/metrics"},
	{[]string{"*/postgres-exporter", "*/postgres_exporter"}, 9187, "/metrics"},
	{[]string{"*/blackbox-exporter"}, 9115, "/metrics"},
	{[]string{"*/nginx-prometheus-exporter"}, 9113, "/metrics"},
	{[]string{"*/statsd-exporter"}, 9102, "/metrics"},
	{[]string{"qdrant/qdrant"}, 6333, "/metrics"},
	{[]string{"getmeili/meilisearch"}, 7700, "/metrics"},
}

// table is known for people.
func table() string {
	text := "| image | asked at |\n| --- | --- |\n"
	for _, k := range known {
		for _, image := range k.images {
			text += fmt.Sprintf("| `%s` | `:%d%s` |\n", image, k.port, k.path)
		}
	}
	return text
}

func find(in tallyman.Inside) (list []tallyman.ServiceConfig) {
	f := in.Facts()
	for _, k := range known {
		if f.Is(k.images...) && f.ListensOn(k.port) {
			list = append(list, tallyman.NewServiceConfig(map[string][]string{"STATS URL": {"http://localhost:" + strconv.Itoa(int(k.port)) + k.path}}))
		}
	}
	return list
}

func check(c tallyman.ServiceConfig) error {
	if !c.Has("STATS URL") {
		return errors.New("STATS URL is missing; write the address of the metrics, as http://localhost:9100/metrics")
	}
	for _, key := range []string{"KEEP", "DROP"} {
		if _, err := regexp.Compile(c.Text(key, "")); err != nil {
			return fmt.Errorf("%s is no regular expression", key)
		}
	}
	return nil
}

type instance struct {
	client *ask.Client
	url    string
	take   ask.Exposition
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	address := c.Text("STATS URL", "")
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Set STATS URL.", "STATS URL is no URL")
	}
	i := &instance{url: address, client: ask.NewClient(in, &tls.Config{InsecureSkipVerify: !c.Bool("TLS VERIFY", true)})}
	i.client.User, i.client.Password, i.client.Token = c.Text("USERNAME", ""), c.Text("PASSWORD", ""), c.Text("BEARER TOKEN", "")
	var keep, drop *regexp.Regexp
	for key, to := range map[string]**regexp.Regexp{"KEEP": &keep, "DROP": &drop} {
		if c.Has(key) {
			re, err := regexp.Compile("^(?:" + c.Text(key, "") + ")$")
			if err != nil {
				return nil, tallyman.Faulty(tallyman.ConfigFault, "", "%s is no regular expression", key)
			}
			*to = re
		}
	}
	i.take.Keep = func(name string) bool {
		return (keep == nil || keep.MatchString(name)) && (drop == nil || !drop.MatchString(name))
	}
	if prefix := c.Text("PREFIX", ""); prefix != "" {
		i.take.Rename = func(name string) string { return prefix + name }
	}
	return i, nil
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	begin := time.Now()
	n, err := i.take.Scrape(ctx, i.client, i.url, s)
	if err != nil {
		return err
	}
	s.Add(up, 1)
	s.Add(scraped, float64(n))
	s.Add(took, time.Since(begin).Seconds())
	return nil
}

// Close implements tallyman.Service.
func (i *instance) Close() { i.client.Close() }
