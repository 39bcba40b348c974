// SPDX-License-Identifier: Apache-2.0

package apache

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("STATS URL", "http://localhost/server-status?auto"))
}

const body = `localhost
ServerVersion: Apache/2.4.62 (Debian)
ServerMPM: event
ParentServerConfigGeneration: 2
Load1: 0.50
Total Accesses: 12
Total kBytes: 34
Total Duration: 56
CPUUser: .25
CPUSystem: .5
CPUChildrenUser: .25
CPUChildrenSystem: 0
CPULoad: .1
Uptime: 78
BusyWorkers: 1
IdleWorkers: 2
ConnsTotal: 3
ConnsAsyncKeepAlive: 2
Scoreboard: __W..
`

func dial(t *testing.T, handler http.HandlerFunc) func(context.Context, string, string) (net.Conn, error) {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
}

func scrape(t *testing.T, in tallyman.Inside, pairs ...string) (*servicetest.Sink, error) {
	t.Helper()
	i, err := open(in, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	s := servicetest.NewSink()
	return s, i.Scrape(t.Context(), s)
}

func TestScrape(t *testing.T) {
	in := &servicetest.Inside{
		Files: map[string]string{
			"/usr/local/apache2/conf/httpd.conf":   "ServerRoot \"/usr/local/apache2\"\nListen 127.0.0.1:8001\nListen 443\nInclude conf/extra/*.conf\nInclude conf/httpd.conf\n",
			"/usr/local/apache2/conf/extra/a.conf": "<Location \"/state\">\n  SetHandler server-status\n</Location>\nSetHandler server-status\n",
		},
		Dial: dial(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() != "/state?auto" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = io.WriteString(w, body)
		}),
	}
	s, err := scrape(t, in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"apache_up": 1, "apache_version": 2.04062, `apache_info{mpm="event",version="Apache/2.4.62 (Debian)"}`: 1, `apache_generation{type="config"}`: 2, `apache_load{interval="1min"}`: 0.5,
		"apache_accesses_total": 12, "apache_sent_kilobytes_total": 34, "apache_duration_ms_total": 56, `apache_cpu_time_ms_total{type="user"}`: 500, `apache_cpu_time_ms_total{type="system"}`: 500,
		"apache_cpuload": 0.1, "apache_uptime_seconds_total": 78, `apache_workers{state="busy"}`: 1, `apache_workers{state="idle"}`: 2, `apache_connections{state="total"}`: 3, `apache_connections{state="keepalive"}`: 2,
		`apache_scoreboard{state="idle"}`: 2, `apache_scoreboard{state="reply"}`: 1, `apache_scoreboard{state="open_slot"}`: 2,
	}
	for _, d := range doing {
		if name := `apache_scoreboard{state="` + d.state + `"}`; want[name] == 0 {
			want[name] = 0
		}
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"tcp localhost:8001"}, in.Dialed()); d != "" {
		t.Errorf("dialed (-want +got):\n%s", d)
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		status int
		body   string
		pairs  []string
		want   tallyman.ServiceFault
	}{
		"no page":    {http.StatusNotFound, "", nil, tallyman.ConfigFault},
		"forbidden":  {http.StatusForbidden, "", nil, tallyman.PermissionFault},
		"password":   {http.StatusUnauthorized, "", []string{"STATS URL", "http://localhost/x", "USERNAME", "me"}, tallyman.AuthFault},
		"for people": {http.StatusOK, "<html><dt>Server uptime: 5</dt></html>", []string{"STATS URL", "http://localhost/x"}, tallyman.ParseFault},
	} {
		in := &servicetest.Inside{Dial: dial(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(one.status)
			_, _ = io.WriteString(w, one.body)
		})}
		_, err := scrape(t, in, one.pairs...)
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want || fault.Fix == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The usual address is tried once, not at each scrape.
func TestNoPageIsTriedOnce(t *testing.T) {
	in := &servicetest.Inside{F: tallyman.ServiceFacts{Listening: []tallyman.ServiceSocket{{Network: "tcp", Port: 80}}}, Dial: dial(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })}
	i, err := open(in, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for range 3 {
		if err := i.Scrape(t.Context(), servicetest.NewSink()); err == nil || !strings.Contains(err.Error(), "no page") {
			t.Error(err)
		}
	}
	if got := in.Dialed(); len(got) != 1 {
		t.Errorf("dialed %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(body))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if m, err := parse(b); err == nil {
			give(servicetest.NewSink(), m)
		}
	})
}

// The httpd of busybox is none of Apache's.
func TestFindAnotherHttpd(t *testing.T) {
	in := &servicetest.Inside{F: tallyman.ServiceFacts{Image: "busybox", Processes: []tallyman.ServiceProcess{{Name: "httpd"}}}}
	if found := find(in); len(found) > 0 {
		t.Errorf("busybox' httpd is taken for Apache: %v", found)
	}
	in.Files = map[string]string{"/etc/httpd/conf/httpd.conf": "Listen 80\n"}
	if found := find(in); len(found) != 1 {
		t.Errorf("found %v, want one", found)
	}
}
