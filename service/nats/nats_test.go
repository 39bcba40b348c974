// SPDX-License-Identifier: Apache-2.0

package nats

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("STATS URL", "http://localhost:8222"))
}

func scrape(t *testing.T, pages map[string]string, pairs ...string) (*servicetest.Sink, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := pages[r.URL.RequestURI()]; ok {
			_, _ = io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	i, err := open(&servicetest.Inside{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}}, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	s := servicetest.NewSink()
	return s, i.Scrape(t.Context(), s)
}

const streams = "/jsz?accounts=true&streams=true"

func TestScrape(t *testing.T) {
	s, err := scrape(t, map[string]string{
		"/varz": `{"server_id":"A","connections":2,"in_msgs":7,"mem":100,"cpu":null,"routes":"x"}`,
		streams: `{"streams":1,"messages":3,"memory":0,"config":{"max_memory":50},"account_details":[{"name":"shop","stream_detail":[{"name":"orders","state":{"messages":3,"bytes":40,"consumer_count":1}},{"name":"odd"}]}]}`,
	})
	want := map[string]float64{"gnatsd_up": 1, "gnatsd_varz_connections": 2, "gnatsd_varz_in_msgs": 7, "gnatsd_varz_mem": 100, "jetstream_server_total_streams": 1, "jetstream_server_total_messages": 3, "jetstream_server_used_memory": 0,
		"jetstream_server_max_memory": 50, `jetstream_stream_total_messages{account="shop",stream_name="orders"}`: 3, `jetstream_stream_total_bytes{account="shop",stream_name="orders"}`: 40, `jetstream_stream_consumer_count{account="shop",stream_name="orders"}`: 1}
	if d := cmp.Diff(want, s.Values); d != "" || err != nil {
		t.Errorf("%v, values (-want +got):\n%s", err, d)
	}
	for name, page := range map[string]string{"disabled": `{"disabled":true,"streams":0}`, "": ""} {
		pages := map[string]string{"/varz": `{"server_id":"A"}`, streams: page}
		if page == "" {
			delete(pages, streams)
		}
		if s, err := scrape(t, pages); err != nil || len(s.Values) != 1 {
			t.Errorf("%s: %v, %v", name, s.Values, err)
		}
	}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]tallyman.ServiceFault{"<html>": tallyman.ParseFault, "{}": tallyman.ParseFault} {
		_, err := scrape(t, map[string]string{"/varz": text})
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	var fault *tallyman.ServiceError
	if _, err := scrape(t, nil); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault {
		t.Errorf("without pages: %v", err)
	}
}

func TestFind(t *testing.T) {
	for want, in := range map[string]*servicetest.Inside{
		"":                      {F: tallyman.ServiceFacts{Image: "redis"}},
		"http://localhost:8222": {F: tallyman.ServiceFacts{Image: "nats"}},
		"http://localhost:9000": {F: tallyman.ServiceFacts{Image: "nats", Command: []string{"nats-server", "-m", "9000"}}},
		"http://localhost:9001": {F: tallyman.ServiceFacts{Image: "nats", Command: []string{"nats-server", "--config", "/n.conf"}}, Files: map[string]string{"/n.conf": "port: 4222\nmonitor_port: 9001\n"}},
		"http://localhost:9002": {F: tallyman.ServiceFacts{Image: "nats", Command: []string{"nats-server", "-c", "/n.conf"}}, Files: map[string]string{"/n.conf": "http: \"127.0.0.1:9002\"\n"}},
	} {
		got := ""
		for _, c := range find(in) {
			got += c.Text("STATS URL", "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
