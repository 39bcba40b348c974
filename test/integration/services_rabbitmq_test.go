// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/ask"
	"tallyman/service/rabbitmq"
	"tallyman/service/servicetest"
)

func TestRabbitMQ(t *testing.T) {
	if os.Getenv("TEST_RABBITMQ") == "" {
		t.Skip("a real RabbitMQ is used with TEST_RABBITMQ=1 only")
	}
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("rabbitmq", "rabbitmq-server")
	id := d.StartDebian(image, `export HOME=/root RABBITMQ_LOGS=- RABBITMQ_NODENAME=rabbit@rabbit RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins
mkdir -p /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq
echo '[rabbitmq_management,rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins; printf 'management.tcp.port = 15672\nmanagement_agent.disable_metrics_collector = false\ncollect_statistics_interval = 1000\n' >/etc/rabbitmq/rabbitmq.conf
exec /usr/lib/rabbitmq/bin/rabbitmq-server`, []string{"rabbitmq"}, "--hostname", "rabbit")
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(rabbitmq.Kind())
	ctl := func(words ...string) string {
		return d.Cmd(append([]string{"exec", "-e", "HOME=/root", id, "/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", "rabbit@rabbit"}, words...)...)
	}
	client := ask.NewClient(c, nil)
	defer client.Close()
	put := func(path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://localhost:15672"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("guest", "guest")
		testkit.Eventually(t, waitForServer, path+" is made", func() error {
			r.Body = io.NopCloser(strings.NewReader(body))
			a, err := client.Do(r)
			if err != nil {
				return err
			}
			defer a.Body.Close()
			if a.StatusCode >= 300 {
				return errors.New(a.Status)
			}
			return nil
		})
	}
	put("/api/queues/%2F/work", `{"durable":true}`)
	put("/api/users/tallyman", `{"password":"words","tags":"monitoring"}`)
	put("/api/permissions/%2F/tallyman", `{"configure":"^$","write":"^$","read":"^$"}`)

	config := servicetest.Config("SOURCE", "management", "QUEUE", "work")
	i, err := rabbitmq.Kind().Open(c, config)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	testkit.Eventually(t, waitForServer, "a message goes through the queue", func() error {
		return i.(tallyman.ServiceChecker).Check(t.Context())
	})
	plain, err := rabbitmq.Kind().Open(c, servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.(tallyman.ServiceChecker).Check(t.Context()); err != nil {
		t.Errorf("the check over AMQP: %v", err)
	}
	queue := `{queue="work",vhost="/"}`
	var prometheus, management *servicetest.Sink
	testkit.Eventually(t, waitForServer, "both sources know of the queue", func() error {
		prometheus = c.Scrape(rabbitmq.Kind())
		var err error
		if management, err = c.ScrapeWith(rabbitmq.Kind(), servicetest.Config("SOURCE", "management")); err != nil {
			return err
		}
		for _, s := range []*servicetest.Sink{prometheus, management} {
			if _, ok := s.Values["rabbitmq_detailed_queue_messages"+queue]; !ok {
				return errors.New("a queue is missing")
			}
		}
		if management.Values["rabbitmq_global_messages_received_total"] < 1 || management.Values["rabbitmq_process_resident_memory_bytes"] == 0 {
			return errors.New("statistics are missing")
		}
		return nil
	})
	t.Logf("%d series of Prometheus, %d of the management interface", len(prometheus.Values), len(management.Values))
	want(t, prometheus, map[string]float64{"rabbitmq_up": 1, "rabbitmq_queues": 1, "rabbitmq_alarms_memory_used_watermark": 0, "rabbitmq_detailed_queue_messages" + queue: 0, "rabbitmq_detailed_queue_consumers" + queue: 0})
	// What stands still is the same from both, and what the management interface has
	// beside it is known.
	for _, name := range []string{"rabbitmq_connections", "rabbitmq_channels", "rabbitmq_queues", "rabbitmq_consumers", "rabbitmq_queue_messages", "rabbitmq_resident_memory_limit_bytes", "rabbitmq_disk_space_available_limit_bytes", "rabbitmq_process_max_fds", "rabbitmq_process_max_tcp_sockets", "rabbitmq_erlang_processes_limit", "rabbitmq_erlang_net_ticktime_seconds", "rabbitmq_alarms_memory_used_watermark", "rabbitmq_alarms_free_disk_space_watermark", "rabbitmq_queues_created_total", "rabbitmq_detailed_queue_messages" + queue, "rabbitmq_detailed_queue_consumers" + queue} {
		a, ok := prometheus.Values[name]
		b, there := management.Values[name]
		if a != b || !ok || !there {
			t.Errorf("%s is %v (%v) for Prometheus, %v (%v) for the management interface", name, a, ok, b, there)
		}
	}
	extra := []string{"rabbitmq_exchanges", "rabbitmq_node_processors", "rabbitmq_detailed_queue_messages_bytes", "rabbitmq_detailed_queue_process_memory_bytes"}
	for name, shape := range shapes(management) {
		if other, ok := shapes(prometheus)[name]; !ok && !slices.Contains(extra, name) {
			t.Errorf("Prometheus has no %s", name)
		} else if ok && other != shape && !strings.HasPrefix(name, "rabbitmq_global_") && !strings.HasSuffix(name, "_info") {
			t.Errorf("%s is %s and %s", name, other, shape)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shapes(prometheus))) {
		if _, ok := shapes(management)[name]; !ok {
			t.Logf("the management interface has no %s", name)
		}
	}
	// ctl says the same.
	if out := ctl("list_queues", "name", "messages"); !strings.Contains(out, "work\t0") {
		t.Errorf("rabbitmqctl says %q", out)
	}
	least, err := c.ScrapeWith(rabbitmq.Kind(), servicetest.Config("SOURCE", "management", "USERNAME", "tallyman", "PASSWORD", "words"))
	if err != nil || least.Values["rabbitmq_queues"] != 1 {
		t.Errorf("with the least rights: %v", err)
	}
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(rabbitmq.Kind(), servicetest.Config("SOURCE", "management", "USERNAME", "tallyman", "PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault {
		t.Errorf("with a wrong password: %v", err)
	}
}
