// SPDX-License-Identifier: Apache-2.0

// Package metricsplugin is a managed plugin of Docker's with the interface
// docker.metricscollector/1.0, to which an engine gives its own metrics.
package metricsplugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// maxPage is how much of the engine's page is passed on, in bytes.
const maxPage = 8 << 20

// Plugin passes the engine's page of metrics on, as /metrics on the socket on which the
// engine speaks to it, between StartMetrics and StopMetrics.
//
// The protocol is at https://docs.docker.com/engine/extend/plugins_metrics/. Engines send
// StartMetrics with an empty body or {}, and none calls Plugin.Activate of a managed plugin.
type Plugin struct {
	// Socket is the plugin's own, Engine is the engine's.
	Socket, Engine string
	Log            *slog.Logger

	started atomic.Bool
	client  *http.Client
}

// Run serves until ctx ends.
func (m *Plugin) Run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(m.Socket), 0o755); err != nil {
		return err
	}
	if err := os.Remove(m.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of one that was killed
	}
	l, err := net.Listen("unix", m.Socket)
	if err != nil {
		return err
	}
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", m.Engine)
	}, MaxIdleConns: 2, IdleConnTimeout: time.Minute}
	defer t.CloseIdleConnections()
	m.client = &http.Client{Transport: t}
	server := &http.Server{Handler: m.handler(), ReadHeaderTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	m.Log.Info("waits for StartMetrics", "socket", m.Socket)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		_ = server.Close() // a reader that does not read
	}
	<-done
	return nil
}

func (m *Plugin) handler() http.Handler {
	mux := http.NewServeMux()
	call := func(name string, answer func() any) {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10)) // it may be empty; nothing of it matters
			m.Log.Info("the engine calls", "method", name)
			w.Header().Set("Content-Type", "application/vnd.docker.plugins.v1.2+json")
			_ = json.NewEncoder(w).Encode(answer())
		})
	}
	type result struct{ Err string }
	call("Plugin.Activate", func() any { return map[string][]string{"Implements": {"MetricsCollector"}} })
	call("MetricsCollector.StartMetrics", func() any { m.started.Store(true); return result{} })
	call("MetricsCollector.StopMetrics", func() any { m.started.Store(false); return result{} })
	mux.HandleFunc("GET /metrics", m.pass)
	return mux
}

// pass passes the engine's page on.
func (m *Plugin) pass(w http.ResponseWriter, r *http.Request) {
	if !m.started.Load() {
		http.Error(w, "the engine has not called StartMetrics, or has called StopMetrics", http.StatusServiceUnavailable)
		return
	}
	answer, err := m.page(r)
	if err != nil {
		http.Error(w, "the engine's page cannot be read: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(answer.Body, maxPage)) // who asks notices that it breaks off
}

func (m *Plugin) page(r *http.Request) (*http.Response, error) {
	to, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://docker/metrics", nil)
	if err != nil {
		return nil, err
	}
	to.Header.Set("Accept", r.Header.Get("Accept"))
	answer, err := m.client.Do(to)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", m.Engine, errors.Unwrap(err))
	}
	return answer, nil
}
