// SPDX-License-Identifier: Apache-2.0

// Package phpfpm is the plugin PHPFPM: it asks the pools of PHP-FPM for their status, over
// FastCGI, as the web server before them would.
package phpfpm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

func desc(name string, typ tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "phpfpm_" + name, Type: typ, Unit: unit, Help: help}
}

var (
	up      = desc("up", tallyman.Gauge, "", "1 when the pool has told its status")
	queue   = desc("listen_queue", tallyman.Gauge, "", "Requests that wait for a process")
	active  = desc("active_processes", tallyman.Gauge, "", "Processes that are at work")
	idle    = desc("idle_processes", tallyman.Gauge, "", "Processes that wait for a request")
	total   = desc("total_processes", tallyman.Gauge, "", "Processes")
	reached = desc("max_children_reached", tallyman.Counter, "", "Times that there could be no more processes")
	served  = desc("accepted_connections", tallyman.Counter, "", "Requests accepted")
	slow    = desc("slow_requests", tallyman.Counter, "", "Requests that took longer than request_slowlog_timeout")
)

// fields are those of the status and their metrics.
var fields = []struct {
	name string
	desc *tallyman.Desc
}{
	{"accepted conn", served}, {"listen queue", queue}, {"idle processes", idle}, {"active processes", active}, {"total processes", total},
	{"max children reached", reached}, {"slow requests", slow},
	{"max listen queue", desc("max_listen_queue", tallyman.Gauge, "", "Most requests that have waited for a process since the start")},
	{"listen queue len", desc("listen_queue_length", tallyman.Gauge, "", "Requests that may wait for a process")},
	{"max active processes", desc("max_active_processes", tallyman.Gauge, "", "Most processes at work since the start")},
	{"start since", desc("start_since", tallyman.Counter, "seconds", "Time since the pool started")},
}

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up}
	for _, f := range fields {
		list = append(list, f.desc)
	}
	return list
}

// snippet is what to add where there is no status.
const snippet = "pm.status_path = /status"

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "PHPFPM", Summary: "PHP-FPM: requests, processes and queues of each pool",
		Keys: append(ask.HostKeys("9000"), ask.SocketKey("/run/php/php-fpm.sock"),
			tallyman.ServiceKey{Name: "STATS PATH", Type: tallyman.TextKey, Help: "path of the status, as pm.status_path has it", Default: "/status"}),
		Metrics: metrics(),
		Charts: []tallyman.ServiceChart{
			{Title: "Requests", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "pool", Metric: served, Rate: true, By: "pool"}}},
			{Title: "Processes", Lines: []tallyman.ServiceLine{{Name: "at work", Metric: active}, {Name: "idle", Metric: idle}}},
			{Title: "Waiting", Lines: []tallyman.ServiceLine{{Name: "pool", Metric: queue, By: "pool"}}},
			{Title: "Out of processes, slow", Unit: "per second", Lines: []tallyman.ServiceLine{{Name: "out of processes", Metric: reached, Rate: true}, {Name: "slow", Metric: slow, Rate: true}}},
		},
		Every: 15 * time.Second,
		Find:  find,
		Where: func(c tallyman.ServiceConfig) string {
			if c.Has("PORT") || c.Has("SOCKET") || c.Has("HOSTNAME") {
				return ask.Where(c, 9000)
			}
			return "pools"
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect:  "The image is `php`, `wordpress`, `drupal` or `nextcloud` with a tag that names fpm, or `bitnami/php-fpm`, or a process is called `php-fpm`.",
			Free:    "All pools whose configuration inside of the container has `pm.status_path`; it is asked for at the pool's own `listen`, or at `pm.status_listen`, port or socket.",
			Account: "None. The images have no status from the start: add this to the section of the pool, as in `/usr/local/etc/php-fpm.d/zz-status.conf`:\n\n```ini\n[www]\n" + snippet + "\n```\n\nThe web server should not hand that path on.",
			Notes: "The names are those of hipages/php-fpm_exporter; its label `scrape_uri` and the numbers of single processes are left out.\n\n" +
				"The pool answers by one of its own processes. When all of them are busy the status waits with all else; `pm.status_listen` (PHP 8.0) has a process of its own.",
			Example: `[{"PluginType":"PHPFPM","Configuration":{"PORT":["9000"],"STATS PATH":["/status"]}}]`,
		},
	}
}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	image := f.Is("bitnami/php-fpm") || f.Is("php", "wordpress", "drupal", "nextcloud") && strings.Contains(f.Tag, "fpm")
	runs := slices.ContainsFunc(f.Processes, func(p tallyman.ServiceProcess) bool { return strings.HasPrefix(p.Name, "php-fpm") })
	if !image && !runs {
		return nil
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{})}
}

// pool is where a pool is asked.
type pool struct{ network, address, path string }

const (
	maxFiles = 64
	maxPools = 16
)

// pools are those of the configuration that have a status.
func pools(in tallyman.Inside) (list []pool) {
	type section struct{ listen, path, own string }
	sections := map[string]*section{}
	var order []string
	files := 0
	for _, pattern := range []string{"/usr/local/etc/php-fpm.conf", "/usr/local/etc/php-fpm.d/*.conf", "/etc/php/*/fpm/pool.d/*.conf", "/etc/php*/php-fpm.d/*.conf", "/etc/php-fpm.d/*.conf", "/opt/bitnami/php/etc/php-fpm.d/*.conf"} {
		names := []string{pattern}
		if strings.Contains(pattern, "*") {
			names = in.Glob(pattern)
		}
		for _, name := range names {
			if files++; files > maxFiles {
				break
			}
			text, err := in.ReadFile(name)
			if err != nil {
				continue
			}
			current := ""
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "[") && strings.Contains(line, "]") {
					current = line[1:strings.IndexByte(line, ']')]
					if sections[current] == nil && current != "global" {
						sections[current] = &section{}
						order = append(order, current)
					}
					continue
				}
				k, v, ok := strings.Cut(line, "=")
				s := sections[current]
				if !ok || s == nil || strings.HasPrefix(line, ";") || strings.HasPrefix(line, "#") {
					continue
				}
				v, _, _ = strings.Cut(v, ";")
				v = strings.ReplaceAll(strings.Trim(strings.TrimSpace(v), `"'`), "$pool", current)
				switch strings.TrimSpace(k) {
				case "listen":
					s.listen = v
				case "pm.status_path":
					s.path = v
				case "pm.status_listen":
					s.own = v
				}
			}
		}
	}
	for _, name := range order {
		s := sections[name]
		at := s.listen
		if s.own != "" {
			at = s.own
		}
		network, address := listen(at)
		if strings.HasPrefix(s.path, "/") && address != "" && len(list) < maxPools {
			list = append(list, pool{network, address, s.path})
		}
	}
	return list
}

// listen is where a listen directive can be reached from inside.
func listen(text string) (network, address string) {
	if strings.HasPrefix(text, "/") {
		return "unix", text
	}
	if text != "" && strings.Trim(text, "0123456789") == "" {
		return "tcp", net.JoinHostPort("localhost", text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || port == "" || strings.Trim(port, "0123456789") != "" {
		return "", ""
	}
	switch host {
	case "", "0.0.0.0", "*":
		host = "127.0.0.1"
	case "::":
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port)
}

type instance struct {
	in  tallyman.Inside
	one []pool // what is configured
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in}
	if c.Has("PORT") || c.Has("SOCKET") || c.Has("HOSTNAME") {
		p := pool{path: c.Text("STATS PATH", "/status")}
		p.network, p.address = ask.Target(c, 9000)
		if !strings.HasPrefix(p.path, "/") {
			return nil, tallyman.Faulty(tallyman.ConfigFault, "", "STATS PATH does not begin with /")
		}
		i.one = []pool{p}
	}
	return i, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	list := i.one
	if list == nil {
		list = pools(i.in)
	}
	if len(list) == 0 {
		return tallyman.Faulty(tallyman.ConfigFault, "Add "+snippet+" to the section of the pool.", "no pool of PHP-FPM has a status")
	}
	for _, p := range list {
		if err := i.ask(ctx, p, s); err != nil {
			return err
		}
	}
	return nil
}

func (i *instance) ask(ctx context.Context, p pool, s tallyman.ServiceSink) error {
	conn, err := i.in.DialContext(ctx, p.network, p.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	head, body, err := request(conn, p.path, "json")
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil || raw["pool"] == nil {
		if strings.Contains(head, "Status: 4") || len(body) < 200 {
			return tallyman.Faulty(tallyman.ConfigFault, "Add "+snippet+" to the section of the pool.", "the pool has no status at %s", p.path)
		}
		return tallyman.Faulty(tallyman.ParseFault, "Set STATS PATH as pm.status_path has it.", "the answer is not a status of PHP-FPM")
	}
	var name string
	if json.Unmarshal(raw["pool"], &name) != nil {
		name = fmt.Sprint(p.address)
	}
	s.Add(up, 1, "pool", name)
	for _, f := range fields {
		var v float64
		if raw[f.name] != nil && json.Unmarshal(raw[f.name], &v) == nil {
			s.Add(f.desc, v, "pool", name)
		}
	}
	return nil
}
