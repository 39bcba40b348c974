// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/nginx"
	"tallyman/service/servicetest"
)

func TestNginx(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("nginx", "nginx-light")
	start := func(server string) *servicetest.Container {
		id := d.StartDebian(image, `mkdir -p /var/log/nginx /var/lib/nginx /etc/n/conf.d
echo 'user root; pid /tmp/nginx.pid; events {} http { access_log /dev/stdout; error_log stderr; include conf.d/*.conf; }' >/etc/n/n.conf
echo '`+server+`' >/etc/n/conf.d/a.conf
exec nginx -c /etc/n/n.conf -g "daemon off;"`, nil)
		return servicetest.NewContainer(t, d, id)
	}
	c := start(`server { listen 8088; server_name shop; location / { return 200 hello; } location = /numbers { stub_status; allow 127.0.0.1; deny all; } }`)
	c.Scrape(nginx.Kind())
	for range 3 {
		get(t, c, "http://localhost:8088/")
	}
	s := c.Scrape(nginx.Kind())
	page := strings.Fields(get(t, c, "http://localhost:8088/numbers"))
	t.Logf("the page: %q, the plugin: %v", page, s.Values)
	// Each request of the test has a connection of its own; ours is in what the page says.
	// One that the server has not closed yet may be beside it.
	near(t, s, "nginx_connections_active", 1, 3)
	near(t, s, "nginx_connections_writing", 1, 3)
	want(t, s, map[string]float64{"nginx_up": 1, "nginx_connections_reading": 0, "nginx_connections_waiting": 0,
		"nginx_connections_accepted": 5, "nginx_connections_handled": 5, "nginx_http_requests_total": 5})
	if page[7] != "6" || page[9] != "6" {
		t.Errorf("the page counts %v", page)
	}
	sameAsExporter(t, d, c, s, "9113", nil, []string{"prometheus-nginx-exporter", "-nginx.scrape-uri", "http://127.0.0.1:8088/numbers", "-web.listen-address", ":9113"},
		difference{"-", "nginxexporter_build_info .*", "about the exporter itself"},
	)

	stands(t, d, c, nginx.Kind(), servicetest.Config())
	none := start(`server { listen 8088; location / { return 200 hello; } }`)
	testkit.Eventually(t, waitForServer, "nginx listens", func() error {
		none.Look()
		if !none.F.ListensOn(8088) {
			return errors.New("not yet")
		}
		return nil
	})
	var fault *tallyman.ServiceError
	if _, err := none.ScrapeWith(nginx.Kind(), servicetest.Config()); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "stub_status;") {
		t.Errorf("without the page: %v", err)
	}
}
