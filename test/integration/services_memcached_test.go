// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/memcached"
	"tallyman/service/servicetest"
)

func TestMemcached(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("memcached", "memcached")
	id := d.StartDebian(image, `exec memcached -u root -l 127.0.0.1 -m 32`, nil)
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(memcached.Kind())
	talk := func(text string) string {
		conn, err := c.DialContext(t.Context(), "tcp", "127.0.0.1:11211")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, text+"quit\r\n"); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	talk("set a 0 0 5\r\nhello\r\nset b 0 0 5\r\nhello\r\nget a\r\nget a\r\nget nothing\r\ndelete b\r\nincr nothing 1\r\n")
	stats := func() map[string]float64 {
		m := map[string]float64{}
		for line := range strings.Lines(talk("stats\r\n")) {
			var name string
			var v float64
			if _, err := fmt.Sscanf(line, "STAT %s %g", &name, &v); err == nil {
				m[name] = v
			}
		}
		return m
	}
	before := stats()
	s := c.Scrape(memcached.Kind())
	after := stats()
	for field, series := range map[string]string{
		"bytes": "memcached_current_bytes", "limit_maxbytes": "memcached_limit_bytes", "curr_items": "memcached_current_items", "total_connections": "memcached_connections_total",
		"bytes_read": "memcached_read_bytes_total", "bytes_written": "memcached_written_bytes_total", "rusage_user": "memcached_process_user_cpu_seconds_total", "uptime": "memcached_uptime_seconds",
		"max_connections": "memcached_max_connections",
	} {
		near(t, s, series, before[field], after[field])
	}
	want(t, s, map[string]float64{
		"memcached_up": 1, "memcached_current_items": 1, "memcached_items_total": 2, "memcached_limit_bytes": 32 << 20,
		`memcached_commands_total{command="get",status="hit"}`: 2, `memcached_commands_total{command="get",status="miss"}`: 1, `memcached_commands_total{command="set",status="hit"}`: 2,
		`memcached_commands_total{command="delete",status="hit"}`: 1, `memcached_commands_total{command="incr",status="miss"}`: 1, `memcached_slab_current_items{slab="1"}`: 1,
	})
	t.Logf("%d series", len(s.Values))

	i, err := memcached.Kind().Open(c, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.(tallyman.ServiceChecker).Check(t.Context()); err != nil {
		t.Errorf("the check: %v", err)
	}
	stands(t, d, c, memcached.Kind(), servicetest.Config())

	login := d.StartDebian(image, `printf 'me:words\n' >/tmp/logins; exec memcached -u root -l 127.0.0.1 -Y /tmp/logins`, nil)
	c = servicetest.NewContainer(t, d, login)
	if s := c.Scrape(memcached.Kind()); s.Values["memcached_up"] != 1 {
		t.Error("with the login of its file it is not up")
	}
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(memcached.Kind(), servicetest.Config("USERNAME", "me", "PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault {
		t.Errorf("with a wrong password: %v", err)
	}
}
