// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"context"
	"errors"
	"fmt"
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
	servicetest.Run(t, Kind(), servicetest.Config("STATS URL", "http://localhost:8404/metrics"))
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

// dial serves pages over TCP and answers lines on unix sockets.
func dial(t *testing.T, pages http.HandlerFunc, line func(string) string) func(context.Context, string, string) (net.Conn, error) {
	s := httptest.NewServer(pages)
	t.Cleanup(s.Close)
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if network == "tcp" {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
		}
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			b := make([]byte, 100)
			if n, err := there.Read(b); err == nil {
				_, _ = io.WriteString(there, line(strings.TrimSpace(string(b[:n]))))
			}
		}()
		return here, nil
	}
}

const text = "# pxname,svname,qcur,scur,stot,status,weight,type,check_status,check_duration,hrsp_2xx,rtime,\n" +
	"web,FRONTEND,,3,9,OPEN,,0,,,8,,\n" +
	"web,sock-1,,3,9,OPEN,,3,,,,,\n" +
	"api,a,1,2,7,UP 1/3,5,2,* L4OK,12,7,250,\n" +
	"api,b,0,0,0,no check,1,2,,,,,\n" +
	"api,BACKEND,1,2,7,UP,6,1,,,7,250,\n"

var wanted = map[string]float64{
	"haproxy_up": 1, `haproxy_frontend_current_sessions{proxy="web"}`: 3, `haproxy_frontend_sessions_total{proxy="web"}`: 9, `haproxy_frontend_http_responses_total{code="2xx",proxy="web"}`: 8,
	`haproxy_frontend_status{proxy="web",state="UP"}`: 1, `haproxy_frontend_status{proxy="web",state="DOWN"}`: 0,
	`haproxy_server_current_queue{proxy="api",server="a"}`: 1, `haproxy_server_current_sessions{proxy="api",server="a"}`: 2, `haproxy_server_sessions_total{proxy="api",server="a"}`: 7, `haproxy_server_weight{proxy="api",server="a"}`: 5,
	`haproxy_server_check_status{proxy="api",server="a",state="L4OK"}`: 1, `haproxy_server_check_duration_seconds{proxy="api",server="a"}`: 0.012, `haproxy_server_http_responses_total{code="2xx",proxy="api",server="a"}`: 7, `haproxy_server_response_time_average_seconds{proxy="api",server="a"}`: 0.25,
	`haproxy_server_status{proxy="api",server="a",state="UP"}`: 1, `haproxy_server_status{proxy="api",server="a",state="DOWN"}`: 0, `haproxy_server_status{proxy="api",server="a",state="MAINT"}`: 0, `haproxy_server_status{proxy="api",server="a",state="DRAIN"}`: 0, `haproxy_server_status{proxy="api",server="a",state="NOLB"}`: 0,
	`haproxy_server_current_queue{proxy="api",server="b"}`: 0, `haproxy_server_current_sessions{proxy="api",server="b"}`: 0, `haproxy_server_sessions_total{proxy="api",server="b"}`: 0, `haproxy_server_weight{proxy="api",server="b"}`: 1,
	`haproxy_server_status{proxy="api",server="b",state="UP"}`: 1, `haproxy_server_status{proxy="api",server="b",state="DOWN"}`: 0, `haproxy_server_status{proxy="api",server="b",state="MAINT"}`: 0, `haproxy_server_status{proxy="api",server="b",state="DRAIN"}`: 0, `haproxy_server_status{proxy="api",server="b",state="NOLB"}`: 0,
	`haproxy_backend_current_queue{proxy="api"}`: 1, `haproxy_backend_current_sessions{proxy="api"}`: 2, `haproxy_backend_sessions_total{proxy="api"}`: 7, `haproxy_backend_weight{proxy="api"}`: 6, `haproxy_backend_http_responses_total{code="2xx",proxy="api"}`: 7,
	`haproxy_backend_response_time_average_seconds{proxy="api"}`: 0.25, `haproxy_backend_status{proxy="api",state="UP"}`: 1, `haproxy_backend_status{proxy="api",state="DOWN"}`: 0,
}

func TestSources(t *testing.T) {
	config := func(file string) *servicetest.Inside {
		return &servicetest.Inside{
			Files: map[string]string{"/usr/local/etc/haproxy/haproxy.cfg": file},
			Dial: dial(t, func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				if r.URL.Path != "/s;csv" || user != "me" || password != "words" {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				_, _ = io.WriteString(w, text)
			}, func(line string) string {
				if line == "show info" {
					return "Name: HAProxy\nVersion: 2.6.12\nCurrConns: 4\nIdle_pct: 99\n\n"
				}
				return text + "\n"
			}),
		}
	}
	page, err := scrape(t, config("listen st\n bind :8404 # here\n stats uri /s?stats\n stats auth me:words\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wanted, page.Values); d != "" {
		t.Errorf("of the page (-want +got):\n%s", d)
	}
	socket, err := scrape(t, config("global\n stats socket /run/h.sock mode 660 level admin\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"haproxy_process_current_connections": 4, "haproxy_process_idle_time_percent": 99, `haproxy_process_build_info{version="2.6.12"}`: 1} {
		if socket.Values[name] != want {
			t.Errorf("%s is %v", name, socket.Values[name])
		}
		delete(socket.Values, name)
	}
	if d := cmp.Diff(wanted, socket.Values); d != "" {
		t.Errorf("of the socket (-want +got):\n%s", d)
	}
	var fault *tallyman.ServiceError
	if _, err := scrape(t, config("frontend web\n bind :80\n")); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "prometheus-exporter") {
		t.Errorf("with nothing to ask: %v", err)
	}
}

func TestRead(t *testing.T) {
	for name, one := range map[string]struct {
		text string
		want places
	}{
		"exporter": {"frontend f\n bind *:8405\n http-request use-service prometheus-exporter if { path /m }\nfrontend g\n bind :80\n", places{exporter: "http://127.0.0.1:8405/m"}},
		"secure":   {"frontend f\n bind [::]:8405 ssl crt /x\n http-request use-service prometheus-exporter\n", places{exporter: "https://localhost:8405/metrics"}},
		"defaults": {"defaults\n stats uri /s\n stats auth a:b\nfrontend f\n bind 10.0.0.1:80\n", places{page: "http://10.0.0.1:80/s", login: "a:b"}},
		"enabled":  {"listen f\n bind :80\n stats enable\n", places{page: "http://127.0.0.1:80/haproxy"}},
		"socket":   {"global\n stats socket unix@/run/a.sock\n stats socket /run/b.sock\n", places{socket: "/run/a.sock"}},
		"net":      {"global\n stats socket ipv4@127.0.0.1:9999\n", places{}},
		"backend":  {"backend b\n stats uri /s\n", places{}},
		"quotes":   {"listen 'my stats'\n bind \":81\"\n stats uri \"/a b\" # x\n", places{page: "http://127.0.0.1:81/a b"}},
	} {
		if got := read(one.text); got != one.want {
			t.Errorf("%s: %+v, want %+v", name, got, one.want)
		}
	}
}

func TestManyServers(t *testing.T) {
	all := "# pxname,svname,stot,smax,type,\n"
	for i := range 1000 {
		all += fmt.Sprintf("api,s%d,%d,5,2,\n", i, i)
	}
	var o objects
	if err := statistics(all, &o); err != nil {
		t.Fatal(err)
	}
	s := servicetest.NewSink()
	o.give(s)
	if v := s.Values[`haproxy_server_sessions_total{proxy="__other__",server="__other__"}`]; v != 799*800/2 {
		t.Errorf("%v in the rest", v)
	}
	if _, ok := s.Values[`haproxy_server_max_sessions{proxy="__other__",server="__other__"}`]; ok || len(s.Values) != 402 {
		t.Errorf("%d series", len(s.Values))
	}
}

func TestManyOfEverything(t *testing.T) {
	var o objects
	all := "# " + "pxname,svname,type,stot"
	for _, f := range fields {
		if f.column != "stot" {
			all += "," + f.column
		}
	}
	all += "\n"
	for i := range 500 {
		for kind := range 3 {
			all += fmt.Sprintf("p%d,s%d,%d,%d", i, i, kind, i) + strings.Repeat(",1", len(fields)-1) + "\n"
		}
	}
	if err := statistics(all, &o); err != nil {
		t.Fatal(err)
	}
	s := servicetest.NewSink()
	o.give(s)
	if len(s.Values) > 1950 || len(s.Values) < 1700 {
		t.Errorf("%d series", len(s.Values))
	}
	if v := s.Values[`haproxy_frontend_sessions_total{proxy="__other__"}`]; v == 0 {
		t.Error("the frontends have no rest")
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		answer string
		want   tallyman.ServiceFault
	}{
		"denied":   {"Permission denied\n", tallyman.PermissionFault},
		"nonsense": {"hello\n", tallyman.ParseFault},
		"nothing":  {"", tallyman.ParseFault},
	} {
		_, err := scrape(t, &servicetest.Inside{Dial: dial(t, nil, func(string) string { return one.answer })}, "SOCKET", "/x")
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzStatistics(f *testing.F) {
	f.Add(text)
	f.Fuzz(func(_ *testing.T, text string) {
		var o objects
		_ = statistics(text, &o)
		o.give(servicetest.NewSink())
	})
}

func FuzzRead(f *testing.F) {
	f.Add("listen a\n bind :80\n stats uri /x\n")
	f.Fuzz(func(_ *testing.T, text string) { read(text) })
}
