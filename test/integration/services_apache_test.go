// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/apache"
	"tallyman/service/servicetest"
)

func TestApache(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("apache", "apache2")
	start := func(status string) *servicetest.Container {
		id := d.StartDebian(image, `mkdir -p /var/log/apache2 /run/apache2 /var/www
M=/usr/lib/apache2/modules; mkdir -p /etc/apache2/mods-enabled
printf "ServerRoot /etc/apache2\nPidFile /run/a.pid\nServerName shop\nListen 8077\nUser nobody\nGroup nogroup\nErrorLog /dev/stderr\nDocumentRoot /var/www\nLoadModule mpm_event_module $M/mod_mpm_event.so\nLoadModule authz_core_module $M/mod_authz_core.so\nLoadModule authz_host_module $M/mod_authz_host.so\n<Directory /var/www>\nRequire all granted\n</Directory>\nIncludeOptional mods-enabled/*.conf\n" >/etc/apache2/apache2.conf
printf "`+status+`" >/etc/apache2/mods-enabled/s.conf
echo hello >/var/www/index.txt
exec apache2 -d /etc/apache2 -f /etc/apache2/apache2.conf -D FOREGROUND`, nil)
		return servicetest.NewContainer(t, d, id)
	}
	c := start(`LoadModule status_module $M/mod_status.so\n<Location /numbers>\nSetHandler server-status\nRequire local\n</Location>\n`)
	c.Scrape(apache.Kind())
	for range 3 {
		get(t, c, "http://localhost:8077/index.txt")
	}
	number := func(name string) float64 {
		for line := range strings.Lines(get(t, c, "http://localhost:8077/numbers?auto")) {
			var v float64
			if rest, ok := strings.CutPrefix(line, name+": "); ok {
				if _, err := fmt.Sscan(rest, &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("the page has no %s", name)
		return 0
	}
	accesses, idle := number("Total Accesses"), number("IdleWorkers")
	s := c.Scrape(apache.Kind())
	near(t, s, "apache_accesses_total", accesses, number("Total Accesses"))
	later := number("IdleWorkers") // a server that has just begun makes more of them
	near(t, s, `apache_workers{state="idle"}`, min(idle, later)-5, max(idle, later)+5)
	near(t, s, "apache_uptime_seconds_total", 0, number("Uptime"))
	// One is busy with the plugin's own request; a connection of the test's may still be closing.
	near(t, s, `apache_workers{state="busy"}`, 1, 3)
	near(t, s, `apache_scoreboard{state="reply"}`, 1, 3)
	want(t, s, map[string]float64{"apache_up": 1, `apache_generation{type="config"}`: 1})
	t.Logf("%d series, %v requests, version %v", len(s.Values), s.Values["apache_accesses_total"], s.Values["apache_version"])
	sameAsExporter(t, d, c, s, "9117", nil, []string{"prometheus-apache-exporter", "--scrape_uri", "http://127.0.0.1:8077/numbers?auto", "--telemetry.address", ":9117"},
		difference{"-", "apache_exporter_build_info .*", "about the exporter itself"},
	)

	stands(t, d, c, apache.Kind(), servicetest.Config())
	none := start(``)
	testkit.Eventually(t, waitForServer, "Apache listens", func() error {
		none.Look()
		if !none.F.ListensOn(8077) {
			return errors.New("not yet")
		}
		return nil
	})
	var fault *tallyman.ServiceError
	if _, err := none.ScrapeWith(apache.Kind(), servicetest.Config()); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "server-status") {
		t.Errorf("without the page: %v", err)
	}
}
