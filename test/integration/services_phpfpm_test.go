// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/phpfpm"
	"tallyman/service/servicetest"
)

func TestPHPFPM(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("phpfpm", "php8.2-fpm")
	start := func(pool string) *servicetest.Container {
		id := d.StartDebian(image, `mkdir -p /run/php /var/log /etc/php/8.2/fpm/pool.d
printf '[www]\nuser = nobody\ngroup = nogroup\n`+pool+`pm = static\npm.max_children = 3\n' >/etc/php/8.2/fpm/pool.d/www.conf
exec php-fpm8.2 -F -O`, nil)
		return servicetest.NewContainer(t, d, id)
	}
	tcp := start(`listen = 127.0.0.1:9000\npm.status_path = /numbers\n`)
	socket := start(`listen = /run/php/fpm.sock\npm.status_path = /numbers\n`)
	none := start(`listen = 127.0.0.1:9000\n`)
	for name, c := range map[string]*servicetest.Container{"port": tcp, "socket": socket} {
		first := c.Scrape(phpfpm.Kind())
		s := c.Scrape(phpfpm.Kind())
		want(t, s, map[string]float64{`phpfpm_up{pool="www"}`: 1, `phpfpm_total_processes{pool="www"}`: 3,
			`phpfpm_accepted_connections{pool="www"}`: first.Values[`phpfpm_accepted_connections{pool="www"}`] + 1, `phpfpm_slow_requests{pool="www"}`: 0})
		// The one that answers, and one that may not be done with the request before.
		near(t, s, `phpfpm_active_processes{pool="www"}`, 1, 2)
		near(t, s, `phpfpm_idle_processes{pool="www"}`, 1, 2)
		t.Logf("%s: %d series", name, len(s.Values))
		stands(t, d, c, phpfpm.Kind(), servicetest.Config())
	}
	var fault *tallyman.ServiceError
	if _, err := none.ScrapeWith(phpfpm.Kind(), servicetest.Config()); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "pm.status_path") {
		t.Errorf("without a status: %v", err)
	}
	testkit.Eventually(t, waitForServer, "the pool says that it has no status", func() error {
		if _, err := none.ScrapeWith(phpfpm.Kind(), servicetest.Config("PORT", "9000")); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault {
			return errors.Join(errors.New("another error"), err)
		}
		return nil
	})
}
