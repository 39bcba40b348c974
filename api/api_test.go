// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	"tallyman/internal/servercert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server that answers, with a route that ends when the test says so.
type served struct {
	t       *testing.T
	gate    *auth.Gate
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
	v := &served{t: t, gate: gate, token: read(t, gate.TokenFile()), asked: make(chan struct{}, 1), answer: make(chan struct{}), stopped: make(chan error, 1)}
	s, err := New(Options{
		Gate: gate, Host: "harbor", AllowedHosts: []string{"dock.example"}, Version: "1", Log: slog.New(slog.DiscardHandler), Ready: func() error { return ready },
		Files: fstest.MapFS{"index.html": {Data: []byte("<page>")}, "login.html": {Data: []byte("<login>")}},
		Routes: []httpx.Route{
			{Pattern: "GET /x", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })},
			{Pattern: "GET /own", Access: httpx.WritersOnly, Handler: http.HandlerFunc(whose)},
			{Pattern: "GET /push", Access: httpx.WritersToo, Handler: http.HandlerFunc(whose)},
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

// whose says in whose name a request writes.
func whose(w http.ResponseWriter, r *http.Request) {
	of, ok := httpx.WriterOf(r)
	fmt.Fprintf(w, "of %q, %v", of.Host, ok)
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

// Over TLS both versions of HTTP are spoken, and the cookie of a session never goes over
// plain http.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, err := servercert.Own(dir, "harbor")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := auth.Open(dir, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Gate: gate, Host: "harbor", TLS: cert.TLS(), Log: slog.New(slog.DiscardHandler), Ready: func() error { return nil },
		Files: fstest.MapFS{"index.html": {Data: []byte("<page>")}, "login.html": {Data: []byte("<login>")}}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		resp, err := (&http.Client{Transport: tr}).Post("https://"+l.Addr().String()+"/api/tallyman/v1/login", "application/json", strings.NewReader(`{"token":"`+read(t, gate.TokenFile())+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
		if resp.StatusCode != http.StatusNoContent || resp.ProtoAtLeast(2, 0) != h2 || len(resp.Cookies()) != 1 || !resp.Cookies()[0].Secure {
			t.Errorf("got %s over %s with the cookies %v; want a secure one, HTTP/2: %v", resp.Status, resp.Proto, resp.Cookies(), h2)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
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

// A token of the role writer opens the routes for writers and nothing else, and says whose
// host it is; where only writers may, nobody else may.
func TestWriters(t *testing.T) {
	v := serve(t, nil)
	token, one, err := v.gate.NewWriter("web-1")
	if err != nil {
		t.Fatal(err)
	}
	in, agent := "Authorization: Bearer "+v.token, "Authorization: Bearer "+token
	f := func(status int, says, path string, headers ...string) {
		t.Helper()
		if got, text := v.ask(path, headers...); got != status || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s, want %d and %q", path, got, text, status, says)
		}
	}
	f(200, `of "web-1", true`, "/own", agent)
	f(200, `of "web-1", true`, "/push", agent)
	f(200, `of "", false`, "/push", in)
	f(403, "only agents send here", "/own", in)
	f(401, "no_writer", "/own")
	f(401, "no_writer", "/own", agent+"x")
	f(401, "not_logged_in", "/push", agent+"x")
	for _, path := range []string{"/x", "/nothing/there", "/api/tallyman/v1/tokens", "/"} {
		f(403, "wrong_role", path, agent)
	}
	if _, err := v.gate.Revoke(one.ID); err != nil {
		t.Fatal(err)
	}
	f(401, "no_writer", "/own", agent)
	f(401, "not_logged_in", "/x", agent)
}

// Tokens are made, listed and revoked by who is logged in; the own host has none.
func TestTokens(t *testing.T) {
	v := serve(t, nil)
	do := func(method, path, body string, status int, says string) string {
		t.Helper()
		req, err := http.NewRequest(method, v.url+"/api/tallyman/v1/tokens"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+v.token)
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status || !strings.Contains(string(b), says) {
			t.Errorf("%s %s: %d %s, %v; want %d and %q", method, path, resp.StatusCode, b, err, status, says)
		}
		return string(b)
	}
	do("GET", "", "", 200, `{"tokens":[]}`)
	do("POST", "", `{"host":"Harbor"}`, 400, "own host")
	do("POST", "", `{"host":"a b"}`, 400, "no name of a host")
	do("POST", "", `web-1`, 400, "no JSON object")
	made := do("POST", "", `{"host":"web-1"}`, 200, `"token":"tallyman_w_`)
	list := do("GET", "", "", 200, `"host":"web-1"`)
	if strings.Contains(list, "tallyman_w_") || !strings.Contains(made, v.gate.Writers()[0].ID) {
		t.Errorf("made %s, listed %s; the list holds no secret", made, list)
	}
	do("DELETE", "/db-1", "", 404, "there is no token")
	do("DELETE", "/web-1", "", 200, v.gate.Writers()[0].ID)
	do("GET", "", "", 200, `{"tokens":[]}`)
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
