// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/ask"
	"tallyman/service/servicetest"
)

// difference is one between a plugin and the exporter whose names it has, which was
// looked at and is as it should be.
type difference struct {
	// side is "-" for what the exporter alone has, "+" for what the plugin alone has, "!"
	// for what both have in different ways; what is all of a line after it. "label" leaves
	// one of the exporter's labels out everywhere.
	side, what string
	because    string
}

// sameAsExporter runs Debian's exporter beside a container, in its network, and compares
// what both say: names, types and labels.
func sameAsExporter(t *testing.T, d *testkit.Docker, c *servicetest.Container, ours *servicetest.Sink, port string, options []string, argv []string, reviewed ...difference) {
	t.Helper()
	if os.Getenv("TEST_EXPORTERS") == "" {
		t.Log("the exporter is compared with TEST_EXPORTERS=1 only")
		return
	}
	image := d.Debian("exporters", "prometheus-redis-exporter", "prometheus-nginx-exporter", "prometheus-apache-exporter", "prometheus-mysqld-exporter",
		"prometheus-postgres-exporter", "prometheus-haproxy-exporter", "prometheus-blackbox-exporter")
	args := append([]string{"run", "-d", "--label", d.Label, "--network", "container:" + c.C.ID}, options...)
	id := d.Cmd(append(append(args, image), argv...)...)
	theirs := servicetest.NewSink()
	client := ask.NewClient(c, nil)
	defer client.Close()
	testkit.Eventually(t, 20*time.Second, "the exporter answers", func() error {
		theirs = servicetest.NewSink()
		address := "http://127.0.0.1:" + port
		if !strings.Contains(port, "/") {
			address += "/metrics"
		}
		_, err := ask.Exposition{}.Scrape(t.Context(), client, address, theirs)
		if err != nil {
			out, _ := d.May("logs", id)
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	a, b := shapes(theirs), shapes(ours)
	for series, v := range ours.Values { // what stands still is the same
		if other, ok := theirs.Values[series]; ok && other != v && (strings.HasSuffix(series, "_version") || strings.HasSuffix(series, "_bytes_limit")) {
			t.Errorf("%s is %v, the exporter says %v", series, v, other)
		}
	}
	for _, r := range reviewed {
		for name := range a {
			if r.side == "label" {
				a[name] = regexp.MustCompile(`([{,])`+r.what+`(,|})`).ReplaceAllStringFunc(a[name], func(m string) string {
					return strings.ReplaceAll(strings.Replace(m, r.what+",", "", 1), ","+r.what, "")
				})
				a[name] = strings.Replace(a[name], "{"+r.what+"}", "{}", 1)
			}
		}
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		switch {
		case strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "promhttp_"):
		case b[name] == "":
			lines = append(lines, "- "+name+" "+a[name])
		case b[name] != a[name]:
			lines = append(lines, "! "+name+" "+a[name]+" | "+b[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if a[name] == "" {
			lines = append(lines, "+ "+name+" "+b[name])
		}
	}
	used := make([]bool, len(reviewed))
	for _, line := range lines {
		at := slices.IndexFunc(reviewed, func(r difference) bool {
			return line[:1] == r.side && regexp.MustCompile(`^(?:`+r.what+`)$`).MatchString(line[2:])
		})
		if at < 0 {
			t.Errorf("not reviewed: %s", line)
			continue
		}
		used[at] = true
	}
	for i, r := range reviewed {
		if !used[i] && r.side != "label" {
			t.Errorf("reviewed, but there is no such difference: %s %s", r.side, r.what)
		}
	}
	t.Logf("%d families of the exporter, %d of the plugin, %d differences", len(a), len(b), len(lines))
}

// shapes are the types and label names of metrics, by name.
func shapes(s *servicetest.Sink) map[string]string {
	labels := map[string]map[string]bool{}
	name := regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)
	for series := range s.Values {
		metric, rest, _ := strings.Cut(series, "{")
		if labels[metric] == nil {
			labels[metric] = map[string]bool{}
		}
		for _, m := range name.FindAllStringSubmatch(rest, -1) {
			labels[metric][m[1]] = true
		}
	}
	out := map[string]string{}
	for metric, set := range labels {
		out[metric] = s.Types[metric].String() + "{" + strings.Join(slices.Sorted(maps.Keys(set)), ",") + "}"
	}
	return out
}

// waitForServer is how long a server may take to start on a busy machine.
const waitForServer = 60 * time.Second

// near compares a value of a scrape with what the server's own client said just before
// and just after.
func near(t *testing.T, s *servicetest.Sink, series string, before, after float64) {
	t.Helper()
	got, ok := s.Values[series]
	if !ok || got < min(before, after) || got > max(before, after) {
		t.Errorf("%s is %v (there: %v), the server says %v and then %v", series, got, ok, before, after)
	}
}

// want says that a value is exactly so.
func want(t *testing.T, s *servicetest.Sink, values map[string]float64) {
	t.Helper()
	for _, series := range slices.Sorted(maps.Keys(values)) {
		if got, ok := s.Values[series]; !ok || got != values[series] {
			t.Errorf("%s is %v (there: %v), want %v", series, got, ok, values[series])
		}
	}
}

// stands scrapes by one instance, while its server is well, while it is stopped and when
// it goes on: a scrape ends with its time, and what was kept does not hold up the next one.
func stands(t *testing.T, d *testkit.Docker, c *servicetest.Container, k tallyman.ServiceKind, config tallyman.ServiceConfig) {
	t.Helper()
	i, err := k.Open(c, config)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	scrape := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return i.Scrape(ctx, servicetest.NewSink())
	}
	if err := scrape(10 * time.Second); err != nil {
		t.Errorf("%s: a second instance: %v", k.Name, err)
	}
	d.Pause(c.C.ID)
	begin := time.Now()
	if err := scrape(300 * time.Millisecond); err == nil {
		t.Errorf("%s: a stopped server answers", k.Name)
	}
	if took := time.Since(begin); took > 5*time.Second*time.Duration(testkit.Slow()) {
		t.Errorf("%s: a scrape of a stopped server took %s", k.Name, took)
	}
	d.Cmd("unpause", c.C.ID)
	testkit.Eventually(t, waitForServer, k.Name+" answers again", func() error { return scrape(5 * time.Second) })
}

// get asks for a page from inside of a container.
func get(t *testing.T, c *servicetest.Container, url string) string {
	t.Helper()
	client := ask.NewClient(c, nil)
	defer client.Close()
	a, err := client.Get(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return string(a.Body)
}
