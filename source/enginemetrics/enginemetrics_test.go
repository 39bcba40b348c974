// SPDX-License-Identifier: Apache-2.0

package enginemetrics

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = `# HELP engine_daemon_container_actions_seconds The number of seconds it takes to process each container action
# TYPE engine_daemon_container_actions_seconds histogram
engine_daemon_container_actions_seconds_bucket{action="start",le="0.5"} 3
engine_daemon_container_actions_seconds_bucket{action="start",le="+Inf"} 4
engine_daemon_container_actions_seconds_sum{action="start"} 2.5
engine_daemon_container_actions_seconds_count{action="start"} 4
# TYPE engine_daemon_events_total counter
engine_daemon_events_total 17
# TYPE engine_daemon_engine_info gauge
engine_daemon_engine_info{host="theirs",instance="x",version="20.10.24"} 1
# TYPE go_goroutines gauge
go_goroutines 80
`

// engines is one engine of this machine, or of another.
type engines struct {
	tallyman.Engines
	address string
}

func (e engines) EngineAddress(string) string { return e.address }
func (e engines) EngineRemote(string) bool    { return !strings.HasPrefix(e.address, "unix://") }

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.EngineTarget, ID: "local", Job: "docker", Instance: "h", Labels: []tallyman.Label{{Name: "engine", Value: "local"}, {Name: "host", Value: "h"}}}
}

// serve gives a page at a socket.
func serve(t *testing.T, socket string, h http.HandlerFunc) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, body)
	}
}

// short is a folder for sockets, whose paths may not be long.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("", "em")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func open(t *testing.T, address string, own Options) *page {
	t.Helper()
	if own.Every == 0 {
		own.Every = defaults.Every
	}
	s, err := New(tallyman.SourceOptions{Engines: engines{address: address}, Path: func(name string) string {
		if _, err := os.Stat(name); err != nil {
			return ""
		}
		return name
	}, Descs: tallyman.NewDescs(nil), Own: own})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Open(target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p.(*page)
}

// values are those of a poll, by name and labels.
func values(t *testing.T, p *page) (map[string]float64, error) {
	t.Helper()
	var b tallyman.Batch
	err := p.Poll(t.Context(), &b)
	out := map[string]float64{}
	for _, s := range b.Samples {
		key := s.Series.Desc.Name
		for _, l := range s.Series.Labels {
			key += " " + l.Name + "=" + l.Value
		}
		out[key] = s.Value
	}
	return out, err
}

func TestContract(t *testing.T) {
	dir := short(t)
	serve(t, dir+"/docker/metrics.sock", says(text))
	sourcetest.RunPoller(t, Kind(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		return open(t, "unix://"+dir+"/docker.sock", Options{}).s, []*tallyman.Target{target()}
	})
}

// The page is passed on as it is, with the labels of the engine.
func TestPage(t *testing.T) {
	dir := short(t)
	serve(t, dir+"/docker/metrics.sock", says(text))
	p := open(t, "unix://"+dir+"/docker.sock", Options{})
	got, err := values(t, p)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"engine_daemon_container_actions_seconds_bucket action=start engine=local host=h le=+Inf": 4, "engine_daemon_events_total engine=local host=h": 17, "go_goroutines engine=local host=h": 80,
		"engine_daemon_engine_info engine=local exported_host=theirs exported_instance=x host=h version=20.10.24": 1, "docker_metrics_scrape_samples engine=local host=h": 7,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v; there are %v", name, v, ok, want, got)
		}
	}
	if a := p.Absences(); len(a) > 0 {
		t.Errorf("absent: %v", a)
	}
}

// Whatever stands in for the page is said, and nothing of it is taken.
func TestNoPage(t *testing.T) {
	dir := short(t)
	none := open(t, "unix://"+dir+"/docker.sock", Options{})
	if got, err := values(t, none); err == nil || len(got) > 0 || !strings.Contains(none.Absences()[0].Unlock, "/host/run/docker") {
		t.Errorf("without a socket: %v, %v, %v", got, err, none.Absences())
	}
	far := open(t, "tcp://10.0.0.1:2376", Options{})
	if _, err := values(t, far); err == nil || !strings.Contains(far.Absences()[0].Reason, "another machine") {
		t.Errorf("of another machine: %v, %v", err, far.Absences())
	}
	off := open(t, "unix://"+dir+"/docker.sock", Options{Every: 1})
	off.s.own.Every = 0
	if a := off.Absences(); len(a) != 1 || !strings.Contains(a[0].Reason, "switches it off") {
		t.Errorf("switched off: %v", a)
	}
	var many strings.Builder
	for i := range maxSeries + 1 {
		fmt.Fprintf(&many, "m{n=\"%d\"} 1\n", i)
	}
	for name, h := range map[string]http.HandlerFunc{
		"error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) },
		"page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		},
		"broken": says("a 1\nb{"), "many": says(many.String()),
		"large": func(w http.ResponseWriter, _ *http.Request) {
			for range maxPage>>10 + 2 {
				if _, err := w.Write([]byte(strings.Repeat("#", 1023) + "\n")); err != nil {
					return
				}
			}
		},
	} {
		dir := filepath.Join(short(t), name)
		serve(t, dir+"/docker/metrics.sock", h)
		p := open(t, "unix://"+dir+"/docker.sock", Options{})
		if got, err := values(t, p); err == nil || len(got) > 0 || len(p.Absences()) != 1 {
			t.Errorf("%s: %v, %v, %v", name, got, err, p.Absences())
		}
	}
}

// An address that is set is the only one that is asked; the plugin's is asked when the
// engine's own socket does not answer.
func TestWays(t *testing.T) {
	dir := short(t)
	serve(t, dir+"/docker/plugins/1/metrics.sock", says("way 2\n"))
	p := open(t, "unix://"+dir+"/docker.sock", Options{})
	if got, err := values(t, p); err != nil || got["way engine=local host=h"] != 2 {
		t.Errorf("by the plugin: %v, %v", got, err)
	}
	serve(t, dir+"/docker/metrics.sock", says("way 1\n"))
	if got, _ := values(t, p); got["way engine=local host=h"] != 2 {
		t.Errorf("what worked is left: %v", got)
	}
	serve(t, dir+"/elsewhere", says("way 3\n"))
	for address, want := range map[string]float64{"unix://" + dir + "/elsewhere": 3, "local=unix://" + dir + "/elsewhere": 3, "other=unix://" + dir + "/elsewhere": 1} {
		if got, err := values(t, open(t, "unix://"+dir+"/docker.sock", Options{Addresses: []string{address}})); err != nil || got["way engine=local host=h"] != want {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	for _, bad := range []string{"", "nonsense", "unix://x", "ftp://a/b", "a=b"} {
		if (Options{Addresses: []string{bad}}).Check() == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
	if (Options{Every: 1}).Check() == nil || (Options{Every: defaults.Every, Addresses: []string{"a=http://b:9323/metrics"}}).Check() != nil {
		t.Error("options are judged wrongly")
	}
}
