// SPDX-License-Identifier: Apache-2.0

package send

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClassify(t *testing.T) {
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		status int
		header map[string]string
		err    error
		want   Verdict
		after  time.Duration
	}{
		{err: errors.New("cut"), want: Retry},
		{status: 200, want: Done}, {status: 204, want: Done},
		{status: 302, want: Hold, after: time.Minute}, {status: 401, want: Hold, after: time.Minute},
		{status: 403, want: Hold, after: time.Minute}, {status: 404, want: Hold, after: time.Minute}, {status: 407, want: Hold, after: time.Minute},
		{status: 400, want: Refuse}, {status: 409, want: Refuse}, {status: 415, want: Refuse}, {status: 422, want: Refuse},
		{status: 413, want: Split},
		{status: 408, want: Retry}, {status: 425, want: Retry}, {status: 500, want: Retry}, {status: 502, want: Retry}, {status: 100, want: Retry},
		{status: 429, want: Retry},
		{status: 429, header: map[string]string{"Retry-After": "7"}, want: Retry, after: 7 * time.Second},
		{status: 503, header: map[string]string{"Retry-After": "86400"}, want: Retry, after: mostRetryIn},
		{status: 503, header: map[string]string{"Retry-After": "99999999999999999999"}, want: Retry},
		{status: 503, header: map[string]string{"Retry-After": "-3"}, want: Retry},
		{status: 503, header: map[string]string{"Retry-After": "soon"}, want: Retry},
		// The other side's clock is years off; what counts is the difference.
		{status: 429, header: map[string]string{"Retry-After": date(9 * time.Second), "Date": date(0)}, want: Retry, after: 9 * time.Second},
		{status: 429, header: map[string]string{"Retry-After": date(-9 * time.Second), "Date": date(0)}, want: Retry},
		{status: 400, header: map[string]string{"Retry-After": "7"}, want: Refuse},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got, after := Classify(c.status, h, c.err); got != c.want || after != c.after {
			t.Errorf("%d %v %v: got %v after %v, want %v after %v", c.status, c.header, c.err, got, after, c.want, c.after)
		}
	}
}

func serve(t *testing.T, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

func mustNew(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Secrets of files are read again for each request, and none is in what is told of an
// answer that has them all.
func TestWhoAsks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var last atomic.Pointer[http.Request]
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		w.WriteHeader(http.StatusBadRequest)
		_, password, _ := r.BasicAuth()
		fmt.Fprintln(w, "no \x00good:", r.URL, password, r.Header)
	})
	o := Options{URL: secret.Text(strings.Replace(s.URL, "//", "//agent:canary1@", 1) + "/canary2?key=canary3"),
		Headers: map[string]secret.Text{"X-Key": "canary4"}, HeaderFiles: map[string]string{"X-Other": write("other", "canary5")}}
	check := func(a Answer) {
		t.Helper()
		if a.Verdict != Refuse || a.Err == nil || !strings.Contains(a.Err.Error(), "400 Bad Request: no good:") || strings.Contains(fmt.Sprintf("%v %+v %#v", a.Err, o, o), "canary") {
			t.Errorf("got %v %v", a.Verdict, a.Err)
		}
	}
	check(mustNew(t, o).Post(t.Context(), Request{Body: []byte("x"), Header: http.Header{"Content-Type": {"text/plain"}}}))
	r := last.Load()
	if user, password, _ := r.BasicAuth(); user != "agent" || password != "canary1" || r.Header.Get("X-Key") != "canary4" || r.Header.Get("X-Other") != "canary5" || r.UserAgent() != userAgent || r.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %v", r.Header)
	}
	o = Options{URL: secret.Text(s.URL), BearerFile: write("token", "canary6")}
	c := mustNew(t, o)
	check(c.Post(t.Context(), Request{}))
	write("token", "canary7")
	check(c.Post(t.Context(), Request{}))
	if got := last.Load().Header.Get("Authorization"); got != "Bearer canary7" {
		t.Errorf("got %q", got)
	}
	os.Remove(o.BearerFile)
	if a := c.Post(t.Context(), Request{}); a.Verdict != Hold || !strings.Contains(a.Err.Error(), "bearer_file") {
		t.Errorf("without the file: %v %v", a.Verdict, a.Err)
	}
	o = Options{URL: secret.Text(s.URL), User: "u", PasswordFile: write("password", "canary8")}
	check(mustNew(t, o).Post(t.Context(), Request{}))
}

func TestWrongOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{URL: "canary"}, "write https://"},
		{Options{URL: "https://u:canary%zz@h"}, "as %3A"},
		{Options{URL: "http://loki:3100/canary"}, "plain: true"},
		{Options{URL: "http://10.0.0.1"}, "plain: true"},
		{Options{URL: "https://u:p@h", User: "v"}, "leave one out"},
		{Options{URL: "https://h", User: "v", BearerFile: "x"}, "leave one out"},
		{Options{URL: "https://h", Pin: "sha256:12"}, "64 digits"},
		{Options{URL: "https://h", CA: "/nowhere"}, "ca:"},
		{Options{URL: "https://h", CA: os.Args[0]}, "PEM"},
		{Options{URL: "https://h", Cert: "/nowhere"}, "cert and key"},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: got %v, want %s", c.o, err, c.want)
		}
	}
	for _, good := range []secret.Text{"http://localhost:1", "http://127.0.0.1", "http://[::1]:3", "https://h/x?y"} {
		mustNew(t, Options{URL: good})
	}
	mustNew(t, Options{URL: "http://loki:3100", Plain: true})
}

func TestCertificates(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(s.Certificate().Raw)
	pin := "sha256:" + hex.EncodeToString(sum[:])
	sum[0]++
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "certificate"},
		{Options{CA: ca}, ""},
		{Options{Pin: pin}, ""},
		{Options{Pin: "sha256:" + strings.ToUpper(hex.EncodeToString(sum[:]))}, "not the one of the pin: it has " + pin},
	} {
		c.o.URL = secret.Text(s.URL)
		a := mustNew(t, c.o).Post(t.Context(), Request{})
		if c.want == "" && a.Verdict != Done || c.want != "" && (a.Verdict != Retry || !strings.Contains(a.Err.Error(), c.want)) {
			t.Errorf("%+v: got %v %v", c.o, a.Verdict, a.Err)
		}
	}
}

func TestNoRedirect(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if a := mustNew(t, Options{URL: secret.Text(s.URL)}).Post(t.Context(), Request{}); a.Verdict != Hold || !strings.Contains(a.Err.Error(), "redirects are not followed") {
		t.Errorf("got %v %v", a.Verdict, a.Err)
	}
}

// script answers the nth request as the nth function says; the last goes on.
func script(t *testing.T, steps ...http.HandlerFunc) (*Line, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		i := min(int(n.Add(1)), len(steps))
		steps[i-1](w, r)
	})
	return NewLine(mustNew(t, Options{URL: secret.Text(s.URL)}), LineOptions{Name: "x", Least: time.Millisecond, Hold: time.Millisecond}), &n
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// halfAnAnswer promises more than it sends.
func halfAnAnswer(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(code)
		fmt.Fprint(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestLine(t *testing.T) {
	l, n := script(t, abort, status(503), status(429), status(401), halfAnAnswer(500), status(204))
	a, err := l.Send(t.Context(), Request{Body: []byte("x")}, time.Hour)
	if err != nil || a.Verdict != Done || n.Load() != 6 || !l.State().Up {
		t.Errorf("got %v %v after %d requests", a.Verdict, err, n.Load())
	}
	for _, c := range []struct {
		f    http.HandlerFunc
		want Verdict
	}{{halfAnAnswer(200), Done}, {halfAnAnswer(400), Refuse}, {status(413), Split}, {status(409), Refuse}} {
		l, n := script(t, c.f)
		if a, err := l.Send(t.Context(), Request{}, 0); err != nil || a.Verdict != c.want || n.Load() != 1 {
			t.Errorf("got %v %v after %d requests, want %v", a.Verdict, err, n.Load(), c.want)
		}
	}
}

// With patience, one that is answered with Retry is given back; one that is not answered is not.
func TestPatience(t *testing.T) {
	l, n := script(t, abort, abort, status(500), abort, status(500), status(500), status(500))
	if a, err := l.Send(t.Context(), Request{}, time.Nanosecond); err != nil || a.Verdict != Retry || a.Status != 500 || n.Load() != 6 {
		t.Errorf("got %v %v after %d requests", a, err, n.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, _ = script(t, status(500), status(500), func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		cancel()
	})
	if _, err := l.Send(ctx, Request{}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

// Pauses double up to the most, and halve with each success.
func TestPauses(t *testing.T) {
	l := NewLine(mustNew(t, Options{URL: "https://h"}), LineOptions{})
	for want := leastPause; ; want *= 2 {
		want = min(want, mostPause)
		if got := l.pause(); got < want*4/5 || got > want*6/5 {
			t.Fatalf("got %v, want about %v", got, want)
		}
		if want == mostPause {
			break
		}
	}
	good, _ := script(t, status(200))
	good.next = mostPause
	for range 3 {
		if _, err := good.Send(t.Context(), Request{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if good.next != mostPause/8 {
		t.Errorf("after three successes the next pause is %v", good.next)
	}
}
