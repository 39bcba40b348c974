// SPDX-License-Identifier: Apache-2.0

package metricsplugin

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = "# TYPE engine_daemon_events_total counter\nengine_daemon_events_total 17\n"

// The managed plugin passes the page on between StartMetrics and StopMetrics.
func TestPlugin(t *testing.T) {
	dir, err := os.MkdirTemp("", "mp") // short: sockets will be there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var asked atomic.Int64
	l, err := net.Listen("unix", dir+"/metrics.sock")
	if err != nil {
		t.Fatal(err)
	}
	engine := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, text)
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = engine.Serve(l) }()
	defer func() { _ = engine.Close(); <-served }()
	m := &Plugin{Socket: dir + "/plugins/1/metrics.sock", Engine: dir + "/metrics.sock", Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		for {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", m.Socket)
			if err == nil || ctx.Err() != nil {
				return conn, err
			}
		}
	}}}
	call := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://plugin/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, strings.TrimSpace(string(b))
	}
	for _, one := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "Plugin.Activate", "", 200, `{"Implements":["MetricsCollector"]}`},
		{"GET", "metrics", "", 503, "the engine has not called StartMetrics, or has called StopMetrics"},
		{"POST", "MetricsCollector.StartMetrics", "", 200, `{"Err":""}`},
		{"GET", "metrics", "", 200, strings.TrimSpace(text)},
		{"POST", "MetricsCollector.StopMetrics", "{}", 200, `{"Err":""}`},
		{"GET", "metrics", "", 503, "the engine has not called StartMetrics, or has called StopMetrics"},
		{"POST", "MetricsCollector.StartMetrics", "{}", 200, `{"Err":""}`},
		{"GET", "metrics", "", 200, strings.TrimSpace(text)},
	} {
		if status, got := call(one.method, one.path, one.body); status != one.status || got != one.says {
			t.Errorf("%s %s gives %d %q, want %d %q", one.method, one.path, status, got, one.status, one.says)
		}
	}
	if asked.Load() != 2 {
		t.Errorf("the engine was asked %d times, want 2", asked.Load())
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
