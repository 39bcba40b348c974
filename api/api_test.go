// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"tallyman/api/auth"
	"tallyman/internal/httpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server that answers, with a route that ends when the test says so.
type served struct {
	t       *testing.T
	url     string
	token   string
	asked   chan struct{} // the route /slow has been asked
	answer  chan struct{} // it may answer
	stop    context.CancelFunc
	stopped chan error
}

func serve(t *testing.T, ready error) *served {
	t.Helper()
	dir := t.TempDir()
	gate, err := auth.Open(dir, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	v := &served{t: t, token: read(t, gate.TokenFile()), asked: make(chan struct{}, 1), answer: make(chan struct{}), stopped: make(chan error, 1)}
	s, err := New(Options{
		Gate: gate, Host: "harbor", AllowedHosts: []string{"dock.example"}, Version: "1", Log: slog.New(slog.DiscardHandler), Ready: func() error { return ready },
		Files: fstest.MapFS{"index.html": {Data: []byte("<page>")}, "login.html": {Data: []byte("<login>")}},
		Routes: []httpx.Route{
			{Pattern: "GET /x", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })},
			{Pattern: "GET /slow", Stream: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				v.asked <- struct{}{}
				select {
				case <-v.answer:
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "done")
			})},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v.url = "http://" + l.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	v.stop = stop
	go func() { v.stopped <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return v
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// ask sends a request with these headers, "Name: value", and gives the status
// and the answer.
func (v *served) ask(path string, headers ...string) (int, string) {
	v.t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.url+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location") + string(b)
}

// Every request passes the guard.
func TestGuard(t *testing.T) {
	v := serve(t, nil)
	in := "Authorization: Bearer " + v.token
	f := func(status int, says, path string, headers ...string) {
		t.Helper()
		if got, text := v.ask(path, headers...); got != status || !strings.Contains(text, says) {
			t.Errorf("%s with %q: %d %s, want %d and %q", path, headers, got, text, status, says)
		}
	}
	f(200, "x", "/x", in)
	f(401, "not_logged_in", "/x")
	f(401, "not_logged_in", "/x", in+"x")
	f(303, "/login#to=%2Fx", "/x", "Accept: text/html")
	f(401, "not_logged_in", "/nothing/there")
	f(200, "<page>", "/nothing/there", in) // the page says what is not there
	f(200, "healthy", "/-/healthy")
	f(200, "is ready", "/-/ready")
	f(400, "secrets do not belong", "/x?token="+v.token)
	f(421, "unknown_host", "/-/healthy", "Host: evil.example")
	for _, host := range []string{"localhost", "harbor:8420", "HARBOR.", "dock.example", "192.0.2.7:8420", "[::1]:8420"} {
		f(200, "x", "/x", in, "Host: "+host)
	}
	f(403, "cross_origin", "/api/tallyman/v1/live", in, "Sec-Fetch-Site: cross-site")
	v = serve(t, errors.New("the store opens"))
	f(503, "is not ready: the store opens", "/-/ready")
}

// The end waits for answers under way, not for ever for streams.
func TestServeEnds(t *testing.T) {
	v := serve(t, nil)
	answer := make(chan string, 1)
	go func() {
		_, text := v.ask("/slow", "Authorization: Bearer "+v.token)
		answer <- text
	}()
	<-v.asked
	v.stop()
	close(v.answer)
	if text := <-answer; text != "done" {
		t.Errorf("the answer under way is %q", text)
	}
	if err := <-v.stopped; err != nil {
		t.Error(err)
	}
	// A port that cannot be listened to any more is an error.
	s := &Server{http: &http.Server{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(t.Context(), l); err == nil {
		t.Error("it serves on a closed port")
	}
}
