// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"

	"tallyman/internal/testkit"
	"tallyman/service/nats"
	"tallyman/service/servicetest"
)

func TestNATS(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("nats", "nats-server")
	id := d.StartDebian(image, `printf 'http: "127.0.0.1:8299"\njetstream { store_dir: /tmp/js }\n' >/tmp/n.conf; exec nats-server -a 127.0.0.1 -c /tmp/n.conf`, nil)
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(nats.Kind())
	var conn net.Conn // clients are let in after the pages are there
	testkit.Eventually(t, waitForServer, "clients are let in", func() (err error) {
		conn, err = c.DialContext(t.Context(), "tcp", "127.0.0.1:4222")
		return err
	})
	defer conn.Close()
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB $JS.API.STREAM.CREATE.orders answer 41\r\n{\"name\":\"orders\",\"subjects\":[\"orders.*\"]}\r\nPUB orders.a 5\r\nhello\r\nPUB orders.a 5\r\nhello\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "PONG") {
			break
		}
	}
	varz := func() (m map[string]any) {
		if err := json.Unmarshal([]byte(get(t, c, "http://127.0.0.1:8299/varz")), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	var s *servicetest.Sink
	testkit.Eventually(t, waitForServer, "the stream has its messages", func() error {
		s = c.Scrape(nats.Kind())
		if s.Values[`jetstream_stream_total_messages{account="$G",stream_name="orders"}`] != 2 {
			return io.ErrNoProgress
		}
		return nil
	})
	m := varz()
	for field, series := range map[string]string{"in_msgs": "gnatsd_varz_in_msgs", "in_bytes": "gnatsd_varz_in_bytes", "connections": "gnatsd_varz_connections", "total_connections": "gnatsd_varz_total_connections", "max_payload": "gnatsd_varz_max_payload"} {
		v, _ := m[field].(float64)
		near(t, s, series, v, v)
	}
	want(t, s, map[string]float64{"gnatsd_up": 1, "gnatsd_varz_connections": 1, "gnatsd_varz_slow_consumers": 0, "jetstream_server_total_streams": 1, "jetstream_server_total_messages": 2})
	t.Logf("%d series", len(s.Values))
	stands(t, d, c, nats.Kind(), servicetest.Config("STATS URL", "http://localhost:8299"))
}
