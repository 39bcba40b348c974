// SPDX-License-Identifier: Apache-2.0

package rabbitmq

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

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "15672")) }

func dial(t *testing.T, handler http.HandlerFunc) func(context.Context, string, string) (net.Conn, error) {
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

const text = `# TYPE rabbitmq_connections gauge
rabbitmq_connections 3
# TYPE rabbitmq_alarms_memory_used_watermark untyped
rabbitmq_alarms_memory_used_watermark 0
# TYPE rabbitmq_global_messages_received_total counter
rabbitmq_global_messages_received_total{protocol="amqp091"} 7
# TYPE erlang_vm_atoms gauge
erlang_vm_atoms 9
# TYPE rabbitmq_queue_consumer_utilisation gauge
rabbitmq_queue_consumer_utilisation NaN
`

func TestPrometheus(t *testing.T) {
	for _, details := range []bool{true, false} {
		var asked []string
		s, err := scrape(t, &servicetest.Inside{Dial: dial(t, func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Path)
			if _, _, ok := r.BasicAuth(); ok {
				t.Error("a login is sent where none is wanted")
			}
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			switch {
			case r.URL.Path == "/metrics":
				_, _ = io.WriteString(w, text)
			case !details:
				w.WriteHeader(http.StatusNotFound)
			default:
				for i := range 300 {
					_, _ = fmt.Fprintf(w, "rabbitmq_detailed_queue_messages{vhost=\"/\",queue=\"q%d\"} %d\nrabbitmq_detailed_queue_consumers{vhost=\"/\",queue=\"q%d\"} 1\n", i, i, i)
				}
			}
		})}, "PROMETHEUS PORT", "15692")
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{"rabbitmq_up": 1, "rabbitmq_connections": 3, "rabbitmq_alarms_memory_used_watermark": 0, `rabbitmq_global_messages_received_total{protocol="amqp091"}`: 7} {
			if got, ok := s.Values[name]; !ok || got != want {
				t.Errorf("%s is %v, %v", name, got, ok)
			}
		}
		if s.Types["rabbitmq_alarms_memory_used_watermark"] != tallyman.Gauge {
			t.Error("an alarm has no type")
		}
		n := 4
		if details {
			n += 402
			if rest := s.Values[`rabbitmq_detailed_queue_messages{queue="__other__",vhost="__other__"}`]; rest != 99*100/2 {
				t.Errorf("%v in the rest", rest)
			}
		}
		if len(s.Values) != n || len(asked) != 2 {
			t.Errorf("%d series, asked %v", len(s.Values), asked)
		}
	}
}

func TestManagement(t *testing.T) {
	in := &servicetest.Inside{
		Files: map[string]string{"/etc/rabbitmq/rabbitmq.conf": "default_user = me\ndefault_pass = words\n"},
		Dial: dial(t, func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "me" || password != "words" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			switch r.URL.Path {
			case "/api/overview":
				_, _ = io.WriteString(w, `{"rabbitmq_version":"3.10.8","erlang_version":"25","node":"rabbit@a","cluster_name":"c","object_totals":{"queues":2,"exchanges":7},"churn_rates":{"connection_created":4,"connection_created_details":{"rate":0}},
"queue_totals":{"messages":5,"messages_unacknowledged":1},"message_stats":{"publish":9}}`)
			case "/api/nodes":
				_, _ = io.WriteString(w, `[{"name":"rabbit@b","mem_used":1},{"name":"rabbit@a","mem_used":100,"mem_alarm":true,"disk_free_alarm":false,"uptime":5000,"partitions":[]}]`)
			case "/api/queues":
				_, _ = io.WriteString(w, `{"page_count":1,"items":[{"name":"work","vhost":"/","messages":5,"memory":17},{"name":"new","vhost":"/"}]}`)
			}
		}),
	}
	s, err := scrape(t, in, "SOURCE", "management")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"rabbitmq_up": 1, `rabbitmq_build_info{erlang_version="25",rabbitmq_version="3.10.8"}`: 1, `rabbitmq_identity_info{rabbitmq_cluster="c",rabbitmq_node="rabbit@a"}`: 1,
		"rabbitmq_queues": 2, "rabbitmq_exchanges": 7, "rabbitmq_connections_opened_total": 4, "rabbitmq_queue_messages": 5, "rabbitmq_queue_messages_unacked": 1, "rabbitmq_global_messages_received_total": 9,
		"rabbitmq_process_resident_memory_bytes": 100, "rabbitmq_alarms_memory_used_watermark": 1, "rabbitmq_alarms_free_disk_space_watermark": 0, "rabbitmq_erlang_uptime_seconds": 5,
		`rabbitmq_detailed_queue_messages{queue="work",vhost="/"}`: 5, `rabbitmq_detailed_queue_process_memory_bytes{queue="work",vhost="/"}`: 17,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	in.Files = nil
	var fault *tallyman.ServiceError
	if _, err := scrape(t, in, "SOURCE", "management"); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault || !strings.Contains(fault.Fix, "monitoring") {
		t.Errorf("with guest: %v", err)
	}
}

// A node without statistics says less, and some versions say [] for nothing.
func TestManagementWithoutStatistics(t *testing.T) {
	s, err := scrape(t, &servicetest.Inside{Dial: dial(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/overview":
			_, _ = io.WriteString(w, `{"rabbitmq_version":"4.0","node":"n","object_totals":[],"queue_totals":null,"message_stats":"x"}`)
		case "/api/nodes":
			_, _ = io.WriteString(w, `[]`)
		default:
			_, _ = io.WriteString(w, `{"page_count":0,"items":[]}`)
		}
	})}, "SOURCE", "management")
	if err != nil || len(s.Values) != 3 {
		t.Errorf("%v, %v", s.Values, err)
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		status int
		body   string
		want   tallyman.ServiceFault
	}{
		"something else": {http.StatusOK, "{}", tallyman.ParseFault},
		"a page":         {http.StatusOK, "<html>", tallyman.ParseFault},
		"broken":         {http.StatusInternalServerError, "", tallyman.ParseFault},
	} {
		_, err := scrape(t, &servicetest.Inside{Dial: dial(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(one.status)
			_, _ = io.WriteString(w, one.body)
		})}, "SOURCE", "management")
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFind(t *testing.T) {
	listen := func(port uint16) []tallyman.ServiceSocket {
		return []tallyman.ServiceSocket{{Network: "tcp", Port: 5672}, {Network: "tcp", Port: port}}
	}
	for want, f := range map[string]tallyman.ServiceFacts{
		"":                      {Image: "redis"},
		"PROMETHEUS PORT=15692": {Image: "rabbitmq", Listening: listen(15692)},
		"PORT=15672":            {Image: "bitnami/rabbitmq", Listening: listen(15672)},
	} {
		got := ""
		for _, c := range find(&servicetest.Inside{F: f}) {
			got += c.Keys()[0] + "=" + c.Text(c.Keys()[0], "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCheckOverAMQP(t *testing.T) {
	for answer, well := range map[string]bool{"\x01\x00\x00\x00\x00\x01\xf0\x00\x0a\x00\x0a": true, "AMQP\x00\x00\x09\x01xxx": false, "short": false} {
		in := &servicetest.Inside{Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				b := make([]byte, 8)
				if _, err := io.ReadFull(there, b); err == nil && string(b) == "AMQP\x00\x00\x09\x01" {
					_, _ = io.WriteString(there, answer)
				}
			}()
			return here, nil
		}}
		i, err := open(in, servicetest.Config())
		if err != nil {
			t.Fatal(err)
		}
		if err := i.(tallyman.ServiceChecker).Check(t.Context()); (err == nil) != well {
			t.Errorf("%q: %v", answer, err)
		}
		i.Close()
	}
}
