// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/haproxy"
	"tallyman/service/servicetest"
)

func TestHAProxy(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("haproxy", "haproxy")
	start := func(global, stats string) *servicetest.Container {
		id := d.StartDebian(image, `printf 'global\n`+global+`defaults\n mode http\n timeout connect 1s\n timeout client 5s\n timeout server 5s\n`+stats+
			`frontend shop\n bind :8000\n default_backend api\nbackend api\n server a 127.0.0.1:8001 check inter 100ms\n server gone 127.0.0.1:8002 check inter 100ms\n server off 127.0.0.1:8003 disabled\nfrontend behind\n bind :8001\n http-request return status 200 if { path / }\n http-request return status 404\n' >/tmp/h.cfg
exec haproxy -f /tmp/h.cfg`, nil)
		return servicetest.NewContainer(t, d, id)
	}
	c := start(` stats socket /tmp/h.sock level user\n`, `frontend st\n bind 127.0.0.1:8404\n http-request use-service prometheus-exporter if { path /prom }\n stats enable\n stats uri /stats\n stats auth me:words\n`)
	c.Scrape(haproxy.Kind()) // by the exporter
	testkit.Eventually(t, waitForServer, "the checks are done", func() error {
		s := c.Scrape(haproxy.Kind())
		if s.Values[`haproxy_server_status{proxy="api",server="a",state="UP"}`] != 1 || s.Values[`haproxy_server_status{proxy="api",server="gone",state="DOWN"}`] != 1 || s.Values["haproxy_backend_active_servers{proxy=\"api\"}"] != 1 {
			return errors.New("not yet")
		}
		return nil
	})
	for range 4 {
		get(t, c, "http://127.0.0.1:8000/")
	}
	scrape := func(pairs ...string) *servicetest.Sink {
		s, err := c.ScrapeWith(haproxy.Kind(), servicetest.Config(pairs...))
		if err != nil {
			t.Fatalf("%v: %v", pairs, err)
		}
		return s
	}
	testkit.Eventually(t, waitForServer, "the sessions have ended", func() error {
		if s := scrape(); s.Values[`haproxy_frontend_current_sessions{proxy="shop"}`]+s.Values[`haproxy_frontend_current_sessions{proxy="behind"}`] != 0 {
			return errors.New("not yet")
		}
		return nil
	})
	exporter := scrape()
	socket := scrape("SOCKET", "/tmp/h.sock")
	page := scrape("STATS URL", "http://127.0.0.1:8404/stats", "USERNAME", "me", "PASSWORD", "words")
	want(t, exporter, map[string]float64{
		"haproxy_up": 1, `haproxy_frontend_http_requests_total{proxy="shop"}`: 4, `haproxy_backend_http_responses_total{code="2xx",proxy="api"}`: 4,
		`haproxy_server_sessions_total{proxy="api",server="a"}`: 4, `haproxy_server_status{proxy="api",server="off",state="MAINT"}`: 1, `haproxy_server_check_status{proxy="api",server="a",state="L4OK"}`: 1,
	})
	t.Logf("%d series of the exporter, %d of the socket, %d of the page", len(exporter.Values), len(socket.Values), len(page.Values))

	// The three sources say the same, but for what goes on meanwhile: the scrapes
	// themselves, and time.
	moving := func(series string) bool {
		return strings.Contains(series, `proxy="st"`) || strings.HasPrefix(series, "haproxy_process_") || strings.Contains(series, "downtime") || strings.Contains(series, "check_duration") || strings.Contains(series, "check_failures") || strings.Contains(series, "last_change") || strings.Contains(series, "last_session") || strings.Contains(series, "_rate") || strings.Contains(series, "_average_") // divided by 1024 in the exporter
	}
	for name, s := range map[string]*servicetest.Sink{"socket": socket, "page": page} {
		for _, series := range slices.Sorted(maps.Keys(exporter.Values)) {
			v, ok := s.Values[series]
			switch {
			case !ok && name == "page" && strings.HasPrefix(series, "haproxy_process_"):
			case !ok:
				t.Errorf("the %s has no %s, the exporter says %v", name, series, exporter.Values[series])
			case !moving(series) && v != exporter.Values[series]:
				t.Errorf("%s is %v from the %s, %v from the exporter", series, v, name, exporter.Values[series])
			}
		}
		for _, series := range slices.Sorted(maps.Keys(s.Values)) {
			if _, ok := exporter.Values[series]; !ok {
				t.Errorf("the exporter has no %s, the %s says %v", series, name, s.Values[series])
			}
		}
	}
	// The types are those that the exporter's own page gives.
	for line := range strings.Lines(get(t, c, "http://127.0.0.1:8404/prom")) {
		if w := strings.Fields(line); len(w) == 4 && w[1] == "TYPE" {
			for _, desc := range haproxy.Kind().Metrics {
				if desc.Name == w[2] && desc.Type.String() != w[3] {
					t.Errorf("%s is a %s for the exporter, a %s here", w[2], w[3], desc.Type)
				}
			}
		}
	}
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(haproxy.Kind(), servicetest.Config("STATS URL", "http://127.0.0.1:8404/stats", "USERNAME", "me", "PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault {
		t.Errorf("with a wrong password: %v", err)
	}

	stands(t, d, c, haproxy.Kind(), servicetest.Config())
	stands(t, d, c, haproxy.Kind(), servicetest.Config("SOCKET", "/tmp/h.sock"))
	c = start(``, `frontend st\n bind :8404\n stats enable\n stats uri /s\n stats auth me:words\n`)
	if s := c.Scrape(haproxy.Kind()); s.Values["haproxy_up"] != 1 || len(s.Values) < 100 {
		t.Errorf("by the page that was found: %d series", len(s.Values))
	}
	c = start(` stats socket /tmp/h.sock level user\n`, ``)
	if s := c.Scrape(haproxy.Kind()); s.Values["haproxy_process_max_connections"] == 0 {
		t.Error("the socket was not found")
	}
}
