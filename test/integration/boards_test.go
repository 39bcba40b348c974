// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"tallyman/internal/testkit"
)

// board is what is asked by a dashboard of Grafana.
type board struct {
	name, title string
	variables   []variable
	queries     []string // of panels, as they are written
	labels      []string // that the legends name, each beside its query
	loki        bool
}

type variable struct{ name, query, all string }

// readBoard reads a dashboard's file, of today's form or with rows.
func readBoard(t *testing.T, path string) *board {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		Datasource any
		Panels     []json.RawMessage
		Targets    []struct{ Expr, LegendFormat string }
	}
	var d struct {
		Title        string
		Panels, Rows []json.RawMessage
		Templating   struct {
			List []struct {
				Name, Type, AllValue string
				IncludeAll           bool
				Query                any
			}
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	out := &board{name: strings.TrimSuffix(filepath.Base(path), ".json"), title: d.Title}
	var walk func(all []json.RawMessage)
	walk = func(all []json.RawMessage) {
		for _, one := range all {
			var p panel
			if err := json.Unmarshal(one, &p); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			out.loki = out.loki || strings.Contains(fmt.Sprint(p.Datasource), "loki")
			for _, q := range p.Targets {
				if q.Expr != "" {
					out.queries, out.labels = append(out.queries, q.Expr), append(out.labels, q.LegendFormat)
				}
			}
			walk(p.Panels)
		}
	}
	walk(d.Panels)
	walk(d.Rows)
	for _, v := range d.Templating.List {
		one := variable{name: v.Name}
		if v.IncludeAll {
			one.all = cmp.Or(v.AllValue, ".*")
		}
		switch q := v.Query.(type) {
		case string:
			one.query = q
		case map[string]any:
			one.query, _ = q["query"].(string)
			if label, ok := q["label"].(string); ok { // Loki's
				one.query = strings.TrimSuffix(fmt.Sprintf("label_values(%v, %s)", q["stream"], label), " ")
			}
		}
		if v.Type == "textbox" || v.Type == "constant" {
			one.query = ""
		}
		if v.Type != "datasource" && v.Type != "interval" {
			out.variables = append(out.variables, one)
		}
	}
	return out
}

var (
	labelValues = regexp.MustCompile(`^label_values\((?:(.*),)?\s*([a-zA-Z_]\w*)\s*\)$`)
	legendNames = regexp.MustCompile(`{{\s*([a-zA-Z_]\w*)\s*}}`)
	placeholder = regexp.MustCompile(`\$\{?(\w+)(?::\w+)?\}?|\[\[(\w+)\]\]`)
)

// fill puts values in, as Grafana does.
func fill(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string {
		m := placeholder.FindStringSubmatch(s)
		if v, ok := values[cmp.Or(m[1], m[2])]; ok {
			return v
		}
		return s
	})
}

// boardDifferences are what public boards ask for and do not get; they stand in
// docs/boards.md too.
var boardDifferences = []difference{
	{"-", `node: node_(hwmon|cooling_device|cpu_scaling_frequency|power_supply)_.*`, "a machine without such hardware has none"},
	{"-", `node: node_(schedstat_.*|pressure_irq_.*|memory_HardwareCorrupted_bytes).*`, "the kernel of this machine does not count it"},
	{"-", `node: node_(processes_.*|interrupts_total|tcp_connection_states|kernel_hung_tasks).*`, "node_exporter has it only with a collector that is off by default; what runs in each container is in container_tasks_state and container_network_tcp_usage_total"},
	{"-", `node: node_systemd_.*`, "the units are there where D-Bus is reached; node_exporter has them only with --collector.systemd"},
	{"-", `node: node_network_up{.*operstate.*`, "neither has that label: it is one of node_network_info"},
	{"-", `node: node_netstat_Tcp_MaxConn.*`, "node_exporter leaves it out by default"},
	{"-", `node: node_scrape_collector_.*`, "is about the exporter"},
	{"-", `node: node_textfile_scrape_error.*`, "no folder with files of metrics is set"},
	{"-", `node: process_.*{.*job="node"}`, "is about the exporter's process; that of tallyman has job=\"tallyman\""},
	{"-", `(containers|docker_host): node_filesystem_(free|size)_bytes{fstype="aufs"}`, "the board is of the time of aufs; with overlay2 the file system is that of Docker's root"},
	{"-", `rabbitmq: no values of (namespace|rabbitmq_endpoint)`, "the operator for Kubernetes sets the first, more than one address of the exporter the second; the board works with both empty"},
	{"-", `rabbitmq: rabbitmq_message_size_bytes.*`, "RabbitMQ 3.10 has it not; the plugin does not take it either"},
	{"-", `haproxy: haproxy_process_(current|max)_zlib_memory.*`, "Debian's HAProxy is built without zlib"},
	{"-", `haproxy: haproxy_sticktable_(size|used).*`, "tables are not read: the stats socket tells them with another command, and this HAProxy has none"},
	{"-", `redis: no values of namespace`, "Kubernetes sets it; the board works with it empty"},
	{"-", `redis: the label (input|output) of .*`, "the board writes a word as if it were a label"},
	{"-", `loki-swarm: (no values of|labels of) .*`, "the labels are those that the board's own Promtail makes; ours are host, source, name, workload, image, stream and level"},
}

// TestBoards sends every query and every template variable of the dashboards in a folder
// to tallyman, with the servers that they are about beside it.
func TestBoards(t *testing.T) {
	folder := os.Getenv("TEST_BOARDS")
	if folder == "" {
		t.Skip("dashboards of Grafana are read from the folder TEST_BOARDS only")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboard in %s: %v", folder, err)
	}
	d := testkit.NewDocker(t)
	start := func(name, image, script string, users []string, options ...string) {
		d.StartDebian(image, script, users, append([]string{"--name", d.Name(name), "--label", "tallyman.enable=true"}, options...)...)
	}
	start("redis", d.Debian("redis", "redis-server", "redis-tools"), `(while :; do redis-cli set a b EX 1000; redis-cli get a; sleep 1; done >/dev/null 2>&1) & exec redis-server --save ''`, nil)
	start("postgresql", d.Debian("postgresql", "postgresql-15"), `mkdir -p /data /var/run/postgresql; chown postgres /data /var/run/postgresql; B=/usr/lib/postgresql/15/bin
printf words >/tmp/pw; su postgres -c "$B/initdb -D /data -A scram-sha-256 --pwfile /tmp/pw -E UTF8 --locale=C -N"
(while :; do PGPASSWORD=words $B/psql -h 127.0.0.1 -U postgres -c 'CREATE DATABASE shop'; sleep 2; done) &
exec su postgres -c "exec $B/postgres -D /data -c listen_addresses=127.0.0.1 -c fsync=off"`, []string{"postgres"}, "-e", "POSTGRES_PASSWORD=words")
	start("haproxy", d.Debian("haproxy", "haproxy"), `printf 'global\n stats socket /tmp/h.sock level user\ndefaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\nfrontend a\n bind :80\n default_backend b\nbackend b\n server s 127.0.0.1:81 check\n' >/tmp/h.cfg; exec haproxy -f /tmp/h.cfg`, nil)
	start("rabbitmq", d.Debian("rabbitmq", "rabbitmq-server"), `export HOME=/root RABBITMQ_LOGS=- RABBITMQ_NODENAME=rabbit@rabbit RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
mkdir -p /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq
echo '[rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins
exec /usr/lib/rabbitmq/bin/rabbitmq-server`, []string{"rabbitmq"}, "--hostname", "rabbit")
	d.Start([]string{"--name", d.Name("talks"), "--memory", "64m"}, "sh", "-c", "while :; do echo level=info msg=hello; sleep 1; done")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for _, metric := range []string{`redis_up == 1`, `pg_up == 1`, `haproxy_up == 1`, `rabbitmq_identity_info`, `pg_stat_database_tup_fetched{datname="shop"}`, `engine_daemon_engine_info`} {
		testkit.Eventually(t, 2*time.Minute, metric+" is there", func() error {
			if len(p.Query(metric)) == 0 {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	}
	time.Sleep(time.Minute) // the range of their rates

	lacks := map[string]bool{} // board, then what it asks for in vain
	for _, path := range paths {
		b := readBoard(t, path)
		asked, answered, empty := 0, 0, 0
		lack := func(format string, args ...any) { lacks[b.name+": "+fmt.Sprintf(format, args...)] = true }
		values := map[string]string{"__rate_interval": "1m", "__interval": "15s", "interval": "1m", "__range": "5m", "__range_s": "300", "__interval_ms": "15000", "__auto": "1m", "resolution": "1"}
		api := "/api/v1"
		if b.loki {
			api = "/loki/api/v1"
		}
		now := time.Now()
		span := url.Values{"start": {fmt.Sprint(now.Add(-5 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}}
		get := func(path string, form url.Values) (list []json.RawMessage, failed string) {
			all := maps.Clone(span)
			maps.Copy(all, form)
			status, body := p.Get(api + path + "?" + url.Values(all).Encode())
			if status != http.StatusOK {
				return nil, body
			}
			var a struct{ Data json.RawMessage }
			if err := json.Unmarshal([]byte(body), &a); err != nil {
				t.Fatal(err)
			}
			if json.Unmarshal(a.Data, &list) != nil {
				var r struct{ Result []json.RawMessage }
				if err := json.Unmarshal(a.Data, &r); err != nil {
					t.Fatal(err)
				}
				list = r.Result
			}
			return list, ""
		}
		for _, v := range b.variables {
			if v.query == "" {
				values[v.name] = cmp.Or(values[v.name], v.all)
				continue
			}
			m := labelValues.FindStringSubmatch(fill(v.query, values))
			if m == nil {
				t.Errorf("%s: the variable %s asks for %q, which the test does not understand", b.name, v.name, v.query)
				continue
			}
			form := url.Values{}
			if m[1] != "" {
				form[map[bool]string{false: "match[]", true: "query"}[b.loki]] = []string{m[1]}
			}
			asked++
			list, failed := get("/label/"+m[2]+"/values", form)
			switch {
			case failed != "":
				t.Errorf("%s: the variable %s: %s", b.name, v.name, failed)
			case len(list) == 0:
				lack("no values of %s", m[2])
				values[v.name] = "" // as Grafana does: what has no such label is meant
			default:
				answered++
				var texts []string
				for _, one := range list {
					var s string
					if err := json.Unmarshal(one, &s); err != nil {
						t.Fatal(err)
					}
					texts = append(texts, s)
				}
				values[v.name] = cmp.Or(v.all, texts[len(texts)-1])
			}
		}
		for i, q := range b.queries {
			q = fill(q, values)
			asked++
			list, failed := get("/query_range", url.Values{"query": {q}, "step": {"15"}})
			if failed != "" && b.loki && strings.Contains(failed, "does not fit an absent label") {
				lack("labels of %s", b.queries[i]) // Loki refuses it too
				continue
			}
			if failed != "" {
				t.Errorf("%s: %s: %s", b.name, q, failed)
				continue
			}
			if len(list) > 0 {
				answered++
			} else {
				empty++
			}
			for _, m := range legendNames.FindAllStringSubmatch(b.labels[i], -1) {
				if len(list) > 0 && !slices.ContainsFunc(list, func(one json.RawMessage) bool { return strings.Contains(string(one), `"`+m[1]+`":`) }) {
					lack("the label %s of %s", m[1], q)
				}
			}
			if b.loki {
				if len(list) == 0 {
					lack("no lines for %s", q)
				}
				continue
			}
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(q)
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				s, ok := n.(*parser.VectorSelector)
				if !ok {
					return nil
				}
				one := *s
				one.OriginalOffset, one.Offset, one.Timestamp, one.StartOrEnd = 0, 0, nil, 0
				if found, failed := get("/series", url.Values{"match[]": {one.String()}}); failed != "" || len(found) == 0 {
					lack("%s", one.String())
				}
				return nil
			})
		}
		t.Logf("%s (%s): %d queries and variables, %d with an answer, %d panels' queries without", b.title, b.name, asked, answered, empty)
	}
	for _, one := range slices.Sorted(maps.Keys(lacks)) {
		if !slices.ContainsFunc(boardDifferences, func(r difference) bool { return regexp.MustCompile("^" + r.what + "$").MatchString(one) }) {
			t.Errorf("in vain: %s", one)
		}
	}
}
