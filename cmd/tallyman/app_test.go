// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tallyman/config"
	"tallyman/internal/httpx"
	"tallyman/internal/machine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testApp is the whole program without an engine and without a port.
func testApp(t *testing.T, change func(*config.Config)) *app {
	t.Helper()
	c := config.Default()
	c.Data, c.Host = filepath.Join(t.TempDir(), "data"), "harbor"
	if err := os.Mkdir(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Docker.Host = "unix:///does/not/exist"
	if change != nil {
		change(&c)
	}
	a, err := newApp(t.Context(), c, machine.Here(os.Getenv), slog.New(slog.DiscardHandler), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

func ask(a *app, method, path string, header map[string]string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8420"
	for k, v := range header {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	a.server.Handler().ServeHTTP(w, r)
	return w
}

// open is every route that needs no login. A new one must be added here with
// its reason.
var open = []string{
	"GET /-/healthy",              // for a supervisor
	"GET /-/ready",                // for a supervisor
	"GET /ready",                  // the same for those that ask as of Loki
	"GET /login",                  // the way in
	"GET /assets/",                // what the login page is made of; no data
	"GET /favicon.svg",            // no data
	"POST /api/tallyman/v1/login", // the way in
}

func TestEveryOtherRouteNeedsALogin(t *testing.T) {
	a := testApp(t, nil)
	parameter := regexp.MustCompile(`\{[^}]*\}`)
	for _, r := range a.server.Routes() {
		if slices.Contains(open, r.Pattern) != (r.Access == httpx.Open) {
			t.Errorf("%s: the table says open = %v", r.Pattern, r.Access == httpx.Open)
		}
		method, path, _ := strings.Cut(r.Pattern, " ")
		path = parameter.ReplaceAllString(path, "x")
		got := ask(a, method, path, nil, "").Code
		if r.Access == httpx.Open && got == http.StatusUnauthorized && method == http.MethodGet {
			t.Errorf("%s: 401, but it is open", r.Pattern)
		}
		if r.Access != httpx.Open && got != http.StatusUnauthorized {
			t.Errorf("%s without a login: %d, want 401", r.Pattern, got)
		}
	}
	for _, path := range []string{"/api/v1/admin/tsdb/delete_series", "/api/v1/status/config", "/api/v1/write", "/no/such/page", "/debug/pprof/"} {
		if got := ask(a, "GET", path, nil, "").Code; got != http.StatusUnauthorized {
			t.Errorf("GET %s without a login: %d, want 401", path, got)
		}
	}
}

func bearer(t *testing.T, a *app) map[string]string {
	t.Helper()
	b, err := os.ReadFile(a.gate.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"Authorization": "Bearer " + strings.TrimSpace(string(b))}
}

func TestOnlyAllowedRoutesOfThePrometheusAPI(t *testing.T) {
	a := testApp(t, nil)
	h := bearer(t, a)
	for path, want := range map[string]int{
		"/api/v1/query?query=1%2B1":                http.StatusOK,
		"/api/v1/labels":                           http.StatusOK,
		"/api/v1/label/__name__/values":            http.StatusOK,
		"/api/v1/series?match%5B%5D=up":            http.StatusOK,
		"/api/v1/metadata":                         http.StatusOK,
		"/api/v1/status/buildinfo":                 http.StatusOK,
		"/api/v1/query?query=%28":                  http.StatusBadRequest,
		"/api/v1/status/config":                    http.StatusNotFound,
		"/api/v1/status/flags":                     http.StatusNotFound,
		"/api/v1/targets":                          http.StatusNotFound,
		"/api/v1/read":                             http.StatusNotFound,
		"/api/tallyman/v1/nothing":                 http.StatusNotFound,
		"/api/tallyman/v1/containers/nobody":       http.StatusNotFound,
		"/api/tallyman/v1/events?limit=0":          http.StatusBadRequest,
		"/api/tallyman/v1/events?start=yesterday":  http.StatusBadRequest,
		"/api/tallyman/v1/history":                 http.StatusBadRequest,
		"/api/tallyman/v1/live?view=everything":    http.StatusBadRequest,
		"/api/tallyman/v1/servers?token=tallyman_": http.StatusBadRequest, // secrets do not belong into addresses
	} {
		if got := ask(a, "GET", path, h, ""); got.Code != want {
			t.Errorf("GET %s: %d %s, want %d", path, got.Code, got.Body, want)
		}
	}
	form := map[string]string{"Authorization": h["Authorization"], "Content-Type": "application/x-www-form-urlencoded"}
	if got := ask(a, "POST", "/api/v1/query", form, "query=1%2B1"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"2"`) {
		t.Errorf("POST query 1+1: %d %s", got.Code, got.Body)
	}
}

func TestGuard(t *testing.T) {
	a := testApp(t, nil)
	h := bearer(t, a)
	with := func(more ...string) map[string]string {
		m := map[string]string{"Authorization": h["Authorization"]}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	f := func(what, method, path string, header map[string]string, want int) {
		t.Helper()
		if got := ask(a, method, path, header, "").Code; got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	f("a foreign name (DNS rebinding)", "GET", "/metrics", with("Host", "evil.example"), http.StatusMisdirectedRequest)
	f("the host's own name", "GET", "/api/tallyman/v1/session", with("Host", "harbor:8420"), http.StatusOK)
	f("an IPv6 address", "GET", "/api/tallyman/v1/session", with("Host", "[::1]:8420"), http.StatusOK)
	f("a forged POST", "POST", "/api/tallyman/v1/logout", with("Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"), http.StatusForbidden)
	f("a foreign stream", "GET", "/api/tallyman/v1/live?view=servers", with("Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	f("a wrong token", "GET", "/metrics", map[string]string{"Authorization": "Bearer tallyman_x"}, http.StatusUnauthorized)
	f("no scheme", "GET", "/metrics", map[string]string{"Authorization": strings.TrimPrefix(h["Authorization"], "Bearer ")}, http.StatusUnauthorized)
	if w := ask(a, "GET", "/", map[string]string{"Accept": "text/html"}, ""); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("a person without a login: %d %s, want the login page", w.Code, w.Header().Get("Location"))
	}
	if w := ask(a, "GET", "/container?host=h&workload=a%2Fb", map[string]string{"Accept": "text/html"}, ""); w.Header().Get("Location") != "/login#to=%2Fcontainer%3Fhost%3Dh%26workload%3Da%252Fb" {
		t.Errorf("a shared link leads to %s, want the login page that knows it", w.Header().Get("Location"))
	}
	if w := ask(a, "GET", "/", h, ""); !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page has the policy %q", w.Header().Get("Content-Security-Policy"))
	}
	for _, p := range []string{"/assets/../token", "/assets/%2e%2e/token", "/assets/%00", "/assets//etc/passwd"} {
		if w := ask(a, "GET", p, h, ""); w.Code == http.StatusOK && strings.Contains(w.Body.String(), "tallyman_") {
			t.Errorf("GET %s gives a file that is none of the page's", p)
		}
	}
}

func TestLoginByLinkOnceAndByToken(t *testing.T) {
	a := testApp(t, nil)
	login := func(body string) *httptest.ResponseRecorder {
		return ask(a, "POST", "/api/tallyman/v1/login", map[string]string{"Content-Type": "application/json"}, body)
	}
	code := a.gate.NewCode()
	w := login(`{"code":"` + code + `"}`)
	if w.Code != http.StatusNoContent || len(w.Result().Cookies()) != 1 {
		t.Fatalf("the link: %d %s", w.Code, w.Body)
	}
	c := w.Result().Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
		t.Errorf("cookie %+v, want HttpOnly, SameSite=Strict, Path=/", c)
	}
	session := map[string]string{"Cookie": c.Name + "=" + c.Value}
	if got := ask(a, "GET", "/api/tallyman/v1/session", session, "").Code; got != http.StatusOK {
		t.Errorf("with the session: %d, want 200", got)
	}
	if got := login(`{"code":"` + code + `"}`).Code; got != http.StatusUnauthorized {
		t.Errorf("the link a second time: %d, want 401", got)
	}
	if got := ask(a, "POST", "/api/tallyman/v1/logout", session, "").Code; got != http.StatusNoContent {
		t.Errorf("logout: %d", got)
	}
	if got := ask(a, "GET", "/api/tallyman/v1/session", session, "").Code; got != http.StatusUnauthorized {
		t.Errorf("after logout: %d, want 401", got)
	}
	token := strings.TrimPrefix(bearer(t, a)["Authorization"], "Bearer ")
	if got := login(`{"token":"` + token + `"}`).Code; got != http.StatusNoContent {
		t.Errorf("the token: %d, want 204", got)
	}
	for range 4 {
		login(`{"token":"wrong"}`)
	}
	if got := login(`{"token":"wrong"}`).Code; got != http.StatusTooManyRequests {
		t.Errorf("the sixth failure within a minute: %d, want 429", got)
	}
}

func TestNoAuthSaysSo(t *testing.T) {
	a := testApp(t, func(c *config.Config) { c.NoAuth = true })
	w := ask(a, "GET", "/api/tallyman/v1/session", nil, "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"auth":false`) {
		t.Errorf("session with --no-auth: %d %s", w.Code, w.Body)
	}
}

func TestASecondProcessNamesTheFirst(t *testing.T) {
	dir := t.TempDir()
	cmd := &runCmd{settings{Data: dir, Listen: "127.0.0.1:0", Host: "harbor", DockerHost: "unix:///does/not/exist"}}
	first, second := make(chan error, 1), make(chan error, 1)
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		err := cmd.Run(ctx, w)
		w.CloseWithError(err) // or the reader waits for a line that never comes
		first <- err
	}()
	line := make([]byte, 200)
	n, err := r.Read(line)
	if err != nil || !strings.HasPrefix(string(line[:n]), "http://127.0.0.1:") {
		t.Fatalf("the first line is %q, want the link", line[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	go func() { second <- cmd.Run(t.Context(), io.Discard) }()
	if err := <-second; err == nil || !strings.Contains(err.Error(), "in use by the process") {
		t.Errorf("a second process: %v, want an error with the pid of the first", err)
	}
	stop()
	if err := <-first; err != nil {
		t.Errorf("the first ended with %v", err)
	}
}

// With destinations that are not there all works, and their passwords are told nowhere.
func TestForwarding(t *testing.T) {
	a := testApp(t, func(c *config.Config) {
		c.Forward.AMQP.URL, c.Forward.Webhook.URL = "amqp://agent:canary-1@127.0.0.1:1/", "https://agent:canary-1@127.0.0.1:1/canary-1"
	})
	for _, path := range []string{"/api/tallyman/v1/doctor", "/metrics", "/api/tallyman/v1/openapi.json"} {
		w := ask(a, "GET", path, bearer(t, a), "")
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "canary-1") {
			t.Errorf("%s: %d, or it has the password", path, w.Code)
		}
	}
	if w := ask(a, "GET", "/api/tallyman/v1/doctor", bearer(t, a), ""); !strings.Contains(w.Body.String(), `"forward/amqp"`) || !strings.Contains(w.Body.String(), `"forward/webhook"`) {
		t.Errorf("the doctor says nothing of it: %s", w.Body)
	}
}
