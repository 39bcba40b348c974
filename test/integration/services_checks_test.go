// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/endpointchecker"
	"tallyman/service/execcheck"
	"tallyman/service/filecheck"
	"tallyman/service/pidcheck"
	"tallyman/service/servicetest"
	"tallyman/service/tcpcheck"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := d.Start(nil, "sh", "-c", `mkdir -p /w; echo all well >/w/index.html; echo 1 >/tmp/a.pid; exec httpd -f -p 127.0.0.1:8055 -h /w`)
	c := servicetest.NewContainer(t, d, id)
	check := func(k tallyman.ServiceKind, up string, want float64, pairs ...string) *servicetest.Sink {
		t.Helper()
		s, err := c.ScrapeWith(k, servicetest.Config(pairs...))
		if v, ok := s.Values[up]; err != nil || !ok || v != want {
			t.Errorf("%s %v: %v, %v", k.Name, pairs, s.Values, err)
		}
		return s
	}
	testkit.Eventually(t, waitForServer, "httpd listens", func() error {
		_, err := c.DialContext(t.Context(), "tcp", "127.0.0.1:8055")
		return err
	})
	c.Look()
	s := check(endpointchecker.Kind(), "probe_success", 1, "ENDPOINT", "http://127.0.0.1:8055/", "BODY MATCH", "all well")
	check(endpointchecker.Kind(), "probe_success", 0, "ENDPOINT", "http://127.0.0.1:8055/missing")
	check(endpointchecker.Kind(), "probe_success", 0, "ENDPOINT", "http://127.0.0.1:8056/")
	check(tcpcheck.Kind(), "probe_success", 1, "PORT", "8055", "SEND", `GET / HTTP/1.0\r\n\r\n`, "EXPECT", "200 OK")
	check(tcpcheck.Kind(), "probe_success", 0, "PORT", "8056")
	check(filecheck.Kind(), "file_check_up", 1, "PATH", "/w/index.html", "MAX AGE", "1h", "CONTAINS", "well")
	check(filecheck.Kind(), "file_check_up", 0, "PATH", "/w/index.html", "MIN SIZE", "100")
	check(pidcheck.Kind(), "process_check_up", 1, "PROCESS", "httpd")
	check(pidcheck.Kind(), "process_check_up", 1, "PID FILE", "/tmp/a.pid")
	check(pidcheck.Kind(), "process_check_up", 0, "PROCESS", "nginx")
	check(execcheck.Kind(), `check_up{check="test -e /w/index.html"}`, 1, "COMMAND", "test -e /w/index.html")
	check(execcheck.Kind(), `check_up{check="missing"}`, 0, "COMMAND", "test -e /w/missing", "NAME", "missing")
	check(execcheck.Kind(), `check_failed{check="missing"}`, 1, "COMMAND", "test -e /w/missing", "NAME", "missing", "FAILURES", "1")

	sameAsExporter(t, d, c, s, "9115/probe?module=http_2xx&target=http://127.0.0.1:8055/", nil, []string{"prometheus-blackbox-exporter", "--config.file=/etc/prometheus/blackbox.yml"},
		difference{"+", "check_failed .*", "what a check comes to, after several outcomes"},
		difference{"-", "probe_(dns_lookup_time_seconds|ip_addr_hash|ip_protocol) .*", "names are looked up by the container's own ways"},
	)
}
