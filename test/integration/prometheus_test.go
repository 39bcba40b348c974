// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// measured starts a container and a tallyman, and waits until the store has
// half a dozen samples of it.
func measured(t *testing.T) (p *testkit.Program, name string) {
	t.Helper()
	d := testkit.NewDocker(t)
	name = d.Name("measured")
	d.Start([]string{"--name", name, "-m", "64m", "--cpus", "0.1"}, "sh", "-c", "while :; do :; done")
	p = testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "plugins.enabled=false", "--set", "sources.enginemetrics.every=0") // the names of services and of the engine are not ours
	testkit.Eventually(t, 20*time.Second, "six samples are stored", func() error {
		for _, points := range p.Query(`container_cpu_usage_seconds_total{name="` + name + `"}[1m]`) {
			if len(points) >= 6 {
				return nil
			}
		}
		return fmt.Errorf("fewer")
	})
	return p, name
}

// promtool runs a query of promtool against p. A promtool that can send a
// token does; for an older one somebody between the two adds it.
func promtool(t *testing.T, p *testkit.Program, query string, rest ...string) string {
	t.Helper()
	help, _ := testkit.Run(10*time.Second, nil, "promtool", "query", query, "--help") // its status differs between releases
	argv, server := []string{"promtool", "query", query}, p.URL
	if strings.Contains(help, "--http.config.file") {
		file := filepath.Join(t.TempDir(), "http.yaml")
		text := "authorization:\n  credentials_file: " + filepath.Join(p.Data, "token") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, "--http.config.file", file)
	} else {
		to, err := url.Parse(p.URL)
		if err != nil {
			t.Fatal(err)
		}
		between := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Set("Authorization", "Bearer "+p.Token)
		}})
		defer between.Close()
		server = between.URL
	}
	var options, arguments []string
	for _, a := range rest {
		if strings.HasPrefix(a, "--") {
			options = append(options, a)
		} else {
			arguments = append(arguments, a)
		}
	}
	argv = append(append(append(argv, options...), server), arguments...)
	out, err := testkit.Run(30*time.Second, nil, argv...)
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

func TestPromtoolQueries(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "promtool", "install Debian's package prometheus")
	p, name := measured(t)
	selector := `container_cpu_usage_seconds_total{name="` + name + `"}`

	if out := promtool(t, p, "instant", "1 + 1"); !strings.Contains(out, "2") {
		t.Errorf("1 + 1: %s", out)
	}
	out := promtool(t, p, "instant", `sum(rate(`+selector+`[10s]))`)
	// {} => 0.2987 @[1790000000.123]
	_, value, ok := strings.Cut(out, "=> ")
	cores, err := strconv.ParseFloat(strings.Fields(value + " ?")[0], 64)
	if !ok || err != nil || cores <= 0 || cores > 0.5 { // on a busy machine it gets much less
		t.Errorf("the rate of a container that may use 0.3 cores: %s", out)
	}
	end := time.Now()
	out = promtool(t, p, "range", "--start="+strconv.FormatInt(end.Add(-5*time.Second).Unix(), 10), "--end="+strconv.FormatInt(end.Unix(), 10), "--step=1s", selector)
	if n := strings.Count(out, "@["); !strings.Contains(out, name) || n < 4 {
		t.Errorf("a range of 5 s: %d values, want 4 or more\n%s", n, out)
	}
	if out = promtool(t, p, "series", "--match="+selector); strings.Count(out, `name="`+name+`"`) != 1 {
		t.Errorf("series: %s", out)
	}
	names := strings.Fields(promtool(t, p, "labels", "name"))
	if !slices.Contains(names, name) {
		t.Errorf("the values of the label name: %v", names)
	}
	metrics := strings.Fields(promtool(t, p, "labels", "--match="+`{name="`+name+`"}`, "__name__"))
	if !slices.Contains(metrics, "container_memory_working_set_bytes") || slices.Contains(metrics, "node_load1") {
		t.Errorf("the names of the container's metrics: %v", metrics)
	}
}

// inherited are the names that are not as promtool would have them, because
// they are those of the program whose place tallyman takes.
var inherited = map[string]string{
	"container_fs_inodes_total":          "cAdvisor", // a gauge there, too
	"container_memory_failcnt":           "cAdvisor",
	"node_entropy_available_bits":        "node_exporter",
	"node_entropy_pool_size_bits":        "node_exporter",
	"container_network_tcp_usage_total":  "cAdvisor",
	"container_network_tcp6_usage_total": "cAdvisor",
	"container_network_udp_usage_total":  "cAdvisor",
	"container_network_udp6_usage_total": "cAdvisor",
	"cadvisor_version_info":              "cAdvisor",
}

// kernelNames are before names that node_exporter makes of the kernel's own words.
var kernelNames = []string{"node_memory_", "node_netstat_", "node_sockstat_", "node_vmstat_", "node_hwmon_"}

func TestPromtoolChecksMetrics(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "promtool", "install Debian's package prometheus")
	p, _ := measured(t)
	status, text := p.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, text)
	}
	out, _ := testkit.Run(20*time.Second, []byte(text), "promtool", "check", "metrics") // 3 for complaints
	if strings.Contains(out, "error while linting") {
		t.Fatalf("promtool cannot read /metrics: %s", out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		name, complaint, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[name] = true
		if inherited[name] == "" && !slices.ContainsFunc(kernelNames, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			t.Errorf("%s is not as it should be: %s", name, complaint)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(inherited)) {
		if !seen[name] && strings.Contains(text, "\n"+name+" ") {
			t.Errorf("%s of %s is as it should be; take it off the list", name, inherited[name])
		}
	}
}

// grafana sends what Grafana's Prometheus data source sends: its proxy forwards
// a request of the browser with the data source's own headers.
func grafana(t *testing.T, p *testkit.Program, method, path string, params url.Values) (status int, data json.RawMessage) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(params.Encode())
	} else if len(params) > 0 {
		path += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Grafana/11.6.0")
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	req.Header.Set("X-Grafana-Org-Id", "1")
	req.Header.Set("X-Datasource-Uid", "tallyman")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("%s %s: the content type is %q", method, path, got)
	}
	var a struct {
		Status, ErrorType, Error string
		Data                     json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if (resp.StatusCode == http.StatusOK) != (a.Status == "success") || a.Status == "error" && (a.ErrorType == "" || a.Error == "") {
		t.Errorf("%s %s: %d with %+v", method, path, resp.StatusCode, a)
	}
	return resp.StatusCode, a.Data
}

func TestGrafanaDataSource(t *testing.T) {
	t.Parallel()
	p, name := measured(t)
	selector := `container_cpu_usage_seconds_total{name="` + name + `"}`
	now := float64(time.Now().UnixMilli()) / 1000
	at := func(seconds float64) string { return strconv.FormatFloat(now+seconds, 'f', -1, 64) }
	window := func(more ...string) url.Values {
		v := url.Values{"start": {at(-3600)}, "end": {at(0)}}
		for i := 0; i < len(more); i += 2 {
			v.Add(more[i], more[i+1])
		}
		return v
	}
	ok := func(method, path string, params url.Values, into any) {
		t.Helper()
		status, data := grafana(t, p, method, path, params)
		if status != http.StatusOK {
			t.Errorf("%s %s: %d", method, path, status)
			return
		}
		if err := json.Unmarshal(data, into); err != nil {
			t.Errorf("%s %s: %v in %s", method, path, err, data)
		}
	}
	type result struct {
		ResultType string
		Result     json.RawMessage
	}

	// "Save & test": 1+1 at four seconds after 1970, and the release.
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		var r result
		ok(method, "/api/v1/query", url.Values{"query": {"1+1"}, "time": {"4"}}, &r)
		if r.ResultType != "scalar" || string(r.Result) != `[4,"2"]` {
			t.Errorf("the health query: %+v %s", r.ResultType, r.Result)
		}
	}
	var build struct {
		Version  string
		Features map[string]string
	}
	ok(http.MethodGet, "/api/v1/status/buildinfo", nil, &build)
	if !strings.HasPrefix(build.Version, "3.") || len(build.Features) > 0 {
		t.Errorf("buildinfo %+v: Grafana would not take this for a Prometheus", build)
	}

	// A panel and a single number.
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		var r result
		ok(method, "/api/v1/query_range", url.Values{"query": {"rate(" + selector + "[4s])"}, "start": {at(-60)}, "end": {at(0)}, "step": {"1"}}, &r)
		var matrix []struct {
			Metric map[string]string
			Values [][2]any
		}
		if err := json.Unmarshal(r.Result, &matrix); err != nil || r.ResultType != "matrix" || len(matrix) != 1 || len(matrix[0].Values) < 3 || matrix[0].Metric["name"] != name {
			t.Errorf("%s query_range: %s %v", method, r.Result, err)
		}
		ok(method, "/api/v1/query", url.Values{"query": {selector}, "time": {at(0)}}, &r)
		var vector []struct {
			Metric map[string]string
			Value  [2]any
		}
		if err := json.Unmarshal(r.Result, &vector); err != nil || r.ResultType != "vector" || len(vector) != 1 || vector[0].Metric["__name__"] != "container_cpu_usage_seconds_total" {
			t.Errorf("%s query: %s %v", method, r.Result, err)
		}
	}

	// What the editor offers.
	var labels []string
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		ok(method, "/api/v1/labels", window("match[]", selector, "limit", "40000"), &labels)
		if !slices.Contains(labels, "__name__") || !slices.Contains(labels, "name") || slices.Contains(labels, "device") {
			t.Errorf("%s labels of %s: %v", method, selector, labels)
		}
	}
	ok(http.MethodGet, "/api/v1/label/__name__/values", window("match[]", `{name="`+name+`"}`, "limit", "40000"), &labels)
	if !slices.Contains(labels, "container_memory_rss") || slices.Contains(labels, "node_load1") {
		t.Errorf("the names of its metrics: %v", labels)
	}
	ok(http.MethodGet, "/api/v1/label/name/values", window(), &labels)
	if !slices.Contains(labels, name) {
		t.Errorf("the names of containers: %v", labels)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		var series []map[string]string
		ok(method, "/api/v1/series", window("match[]", selector, "limit", "40000"), &series)
		if len(series) != 1 || series[0]["name"] != name {
			t.Errorf("%s series: %v", method, series)
		}
	}
	var metadata map[string][]struct{ Type, Help, Unit string }
	ok(http.MethodGet, "/api/v1/metadata", nil, &metadata)
	if m := metadata["container_cpu_usage_seconds_total"]; len(m) != 1 || m[0].Type != "counter" || m[0].Help == "" {
		t.Errorf("metadata: %v", m)
	}

	var rules struct {
		Groups []struct{ Rules []struct{ Name, Type string } }
	}
	ok(http.MethodGet, "/api/v1/rules", nil, &rules)
	if !slices.ContainsFunc(rules.Groups, func(g struct{ Rules []struct{ Name, Type string } }) bool {
		return slices.Contains(g.Rules, struct{ Name, Type string }{"ContainerCrashed", "alerting"})
	}) {
		t.Errorf("rules: %+v, want the rules of the house", rules)
	}

	// What tallyman has none of.
	var alerts struct{ Alerts []any }
	ok(http.MethodGet, "/api/v1/alerts", nil, &alerts)
	var exemplars []any
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		ok(method, "/api/v1/query_exemplars", window("query", selector), &exemplars)
	}
	if exemplars == nil || len(exemplars) > 0 {
		t.Errorf("exemplars: %v, want an empty list", exemplars)
	}

	// A mistake in the editor is told with its place.
	if status, _ := grafana(t, p, http.MethodPost, "/api/v1/query_range", url.Values{"query": {"rate("}, "start": {at(-60)}, "end": {at(0)}, "step": {"15"}}); status != http.StatusBadRequest {
		t.Errorf("a wrong expression: %d, want 400", status)
	}
}
