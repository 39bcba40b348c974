// SPDX-License-Identifier: Apache-2.0

package nginx

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
	servicetest.Run(t, Kind(), servicetest.Config("STATS URL", "http://localhost/nginx_status"))
}

const body = "Active connections: 2 \nserver accepts handled requests\n 9 8 12 \nReading: 0 Writing: 1 Waiting: 1 \n"

func serve(t *testing.T, handler http.HandlerFunc) func(context.Context, string, string) (net.Conn, error) {
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

func TestThePageIsFoundInTheConfiguration(t *testing.T) {
	in := &servicetest.Inside{
		Files: map[string]string{
			"/etc/nginx/nginx.conf":           "user nginx; # {\nevents { worker_connections 10; }\nhttp {\n log_format main '$remote_addr \"$request\" {';\n include conf.d/*.conf;\n include /etc/nginx/missing.conf;\n}\n",
			"/etc/nginx/conf.d/a.conf":        "server { listen 80; server_name _; location / { return 200; } }",
			"/etc/nginx/conf.d/b.conf":        "server { listen [::]:8081 ssl; listen 8082 default_server; server_name *.x ~^y$ status.local; include snippets/status.conf; }",
			"/etc/nginx/snippets/status.conf": "location = /state { stub_status on; allow 127.0.0.1; deny all; }",
		},
		Dial: serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/state" || r.Host != "status.local" {
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
	want := map[string]float64{"nginx_up": 1, "nginx_connections_active": 2, "nginx_connections_reading": 0, "nginx_connections_writing": 1, "nginx_connections_waiting": 1,
		"nginx_connections_accepted": 9, "nginx_connections_handled": 8, "nginx_http_requests_total": 12}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"tcp 127.0.0.1:8082"}, in.Dialed()); d != "" {
		t.Errorf("dialed (-want +got):\n%s", d)
	}
}

func TestPages(t *testing.T) {
	for name, one := range map[string]struct{ text, want string }{
		"default listen":   {"http { server { location /s { stub_status; } } }", "http://127.0.0.1:80/s"},
		"address":          {"http { server { listen 10.0.0.1:81; location /s { stub_status; } } }", "http://10.0.0.1:81/s"},
		"six":              {"http { server { listen [::]:81; location /s { stub_status; } } }", "http://localhost:81/s"},
		"tls alone":        {"http { server { listen 443 ssl; location /s { stub_status; } } }", "https://127.0.0.1:443/s"},
		"in the server":    {"http { server { listen 81; stub_status; } }", "http://127.0.0.1:81/"},
		"nested":           {"http { server { listen 81; location /a { location /a/s { stub_status; } } } }", "http://127.0.0.1:81/a/s"},
		"expression":       {`http { server { listen 81; location ~ ^/s$ { stub_status; } } }`, "http://127.0.0.1:81/s"},
		"wide expression":  {`http { server { listen 81; location ~ ^/(a|b)$ { stub_status; } } }`, ""},
		"socket":           {"http { server { listen unix:/run/n.sock; location /s { stub_status; } } }", "http://127.0.0.1:80/s"},
		"lua":              {"http { server { listen 81; content_by_lua_block { if x then { } } location /s { stub_status; } } }", "http://127.0.0.1:81/s"},
		"comment":          {"http { server { # location /s { stub_status; }\n } }", ""},
		"includes itself":  {"include /etc/nginx/nginx.conf; http { server { location /s { stub_status; } } }", "http://127.0.0.1:80/s"},
		"breaks off":       {"http { server { location /s { stub_status", ""},
		"another protocol": {"stream { server { listen 81; } }", ""},
	} {
		var got []string
		for _, p := range pages(&servicetest.Inside{Files: map[string]string{"/etc/nginx/nginx.conf": one.text}}, "/etc/nginx/nginx.conf") {
			got = append(got, p.url)
		}
		if strings.Join(got, " ") != one.want {
			t.Errorf("%s: %v, want %s", name, got, one.want)
		}
	}
}

func TestNoPage(t *testing.T) {
	in := &servicetest.Inside{
		F:    tallyman.ServiceFacts{Listening: []tallyman.ServiceSocket{{Network: "tcp", Port: 80}}},
		Dial: serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }),
	}
	i, err := open(in, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for range 2 {
		var fault *tallyman.ServiceError
		if err := i.Scrape(t.Context(), servicetest.NewSink()); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "stub_status;") {
			t.Errorf("got %v", err)
		}
	}
	// A configuration that has none is believed.
	in.Files = map[string]string{"/etc/nginx/nginx.conf": "http { server { listen 80; } }"}
	before := len(in.Dialed())
	if err := i.Scrape(t.Context(), servicetest.NewSink()); err == nil || len(in.Dialed()) != before {
		t.Errorf("%v, dialed %v", err, in.Dialed())
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		status int
		body   string
		want   tallyman.ServiceFault
	}{
		"forbidden":  {http.StatusForbidden, "", tallyman.PermissionFault},
		"a page":     {http.StatusOK, "<html>Active connections: many</html>", tallyman.ParseFault},
		"breaks off": {http.StatusOK, body[:60], tallyman.ParseFault},
	} {
		_, err := scrape(t, &servicetest.Inside{Dial: serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(one.status)
			_, _ = io.WriteString(w, one.body)
		})}, "STATS URL", "http://localhost/s")
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(body))
	f.Add([]byte("Active connections: 1\nserver accepts handled requests request_time\n 1 1 1 5\nReading: 0 Writing: 1 Waiting: 0\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parse(b) })
}

func FuzzPages(f *testing.F) {
	f.Add("http { server { listen 80; location = \"/a b\" { stub_status; } } }")
	f.Add("a ${b} 'c' \\; } { {{")
	f.Fuzz(func(_ *testing.T, text string) {
		pages(&servicetest.Inside{Files: map[string]string{"/n.conf": text}}, "/n.conf")
	})
}
