// SPDX-License-Identifier: Apache-2.0

package endpointchecker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("ENDPOINT", "http://localhost/health"))
}

func handler(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ok":
		_, _ = io.WriteString(w, "all is well")
	case "/login":
		if user, password, _ := r.BasicAuth(); user != "me" || password != "words" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	case "/header":
		if r.Header.Get("X-Shop") != "a: b" || r.Host != "shop" {
			w.WriteHeader(http.StatusBadRequest)
		}
	case "/here":
		http.Redirect(w, r, "/ok", http.StatusFound)
	case "/round":
		http.Redirect(w, r, "/round", http.StatusFound)
	case "/elsewhere":
		http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
	case "/post":
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != "hello" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusBadRequest)
		}
	case "/large":
		_, _ = io.WriteString(w, strings.Repeat("x", maxMatch)+"the end")
	case "/breaks":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "x")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func scrape(t *testing.T, s *httptest.Server, pairs ...string) (*servicetest.Sink, error) {
	t.Helper()
	in := &servicetest.Inside{Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		if s == nil {
			return nil, errors.New("refused")
		}
		if strings.HasPrefix(address, "elsewhere") {
			return nil, fmt.Errorf("elsewhere: %w", tallyman.ErrForbidden)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}}
	i, err := open(in, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	sink := servicetest.NewSink()
	return sink, i.Scrape(t.Context(), sink)
}

func TestScrape(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(handler))
	defer s.Close()
	for name, one := range map[string]struct {
		pairs    []string
		ok, code float64
	}{
		"ok":               {[]string{"ENDPOINT", "http://localhost/ok"}, 1, 200},
		"not found":        {[]string{"ENDPOINT", "http://localhost/x"}, 0, 404},
		"not found wanted": {[]string{"ENDPOINT", "http://localhost/x", "STATUS", "200, 404-410"}, 1, 404},
		"match":            {[]string{"ENDPOINT", "http://localhost/ok", "BODY MATCH", "is w.ll$"}, 1, 200},
		"no match":         {[]string{"ENDPOINT", "http://localhost/ok", "BODY MATCH", "ill"}, 0, 200},
		"match too late":   {[]string{"ENDPOINT", "http://localhost/large", "BODY MATCH", "the end"}, 0, 200},
		"login":            {[]string{"ENDPOINT", "http://me:words@localhost/login"}, 1, 200},
		"no login":         {[]string{"ENDPOINT", "http://localhost/login"}, 0, 401},
		"header":           {[]string{"ENDPOINT", "http://localhost/header", "HEADER", "X-Shop: a: b", "HEADER", "Host: shop"}, 1, 200},
		"redirect":         {[]string{"ENDPOINT", "http://localhost/here"}, 1, 200},
		"redirect strict":  {[]string{"ENDPOINT", "http://localhost/here", "STATUS", "200"}, 0, 302},
		"round":            {[]string{"ENDPOINT", "http://localhost/round"}, 1, 302},
		"elsewhere":        {[]string{"ENDPOINT", "http://localhost/elsewhere"}, 1, 302},
		"post":             {[]string{"ENDPOINT", "http://localhost/post", "METHOD", "POST", "BODY", "hello"}, 1, 200},
		"breaks":           {[]string{"ENDPOINT", "http://localhost/breaks"}, 0, 200},
	} {
		sink, err := scrape(t, s, one.pairs...)
		if err != nil || sink.Values["probe_success"] != one.ok || sink.Values["probe_http_status_code"] != one.code {
			t.Errorf("%s: %v, %v", name, sink.Values, err)
		}
	}
	sink, err := scrape(t, s, "ENDPOINT", "http://localhost/ok")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"probe_http_content_length": 11, "probe_http_uncompressed_body_length": 11, "probe_http_version": 1.1, "probe_http_ssl": 0, "probe_http_redirects": 0} {
		if got, ok := sink.Values[name]; !ok || got != want {
			t.Errorf("%s is %v, %v", name, got, ok)
		}
	}
	for _, phase := range []string{"connect", "processing", "transfer"} {
		if _, ok := sink.Values[`probe_http_duration_seconds{phase="`+phase+`"}`]; !ok {
			t.Errorf("no phase %s", phase)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	sink, err := scrape(t, nil, "ENDPOINT", "http://localhost/ok")
	if v, ok := sink.Values["probe_success"]; err != nil || !ok || v != 0 || sink.Values["probe_http_status_code"] != 0 {
		t.Errorf("%v, %v", sink.Values, err)
	}
	s := httptest.NewServer(http.HandlerFunc(handler))
	defer s.Close()
	if _, err := scrape(t, s, "ENDPOINT", "http://elsewhere.example/"); !errors.Is(err, tallyman.ErrForbidden) {
		t.Errorf("elsewhere: %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	sink, err := scrape(t, s, "ENDPOINT", "https://localhost/ok")
	if err != nil || sink.Values["probe_success"] != 1 || sink.Values["probe_http_ssl"] != 1 || sink.Values["probe_ssl_earliest_cert_expiry"] != float64(s.Certificate().NotAfter.Unix()) {
		t.Errorf("%v, %v", sink.Values, err)
	}
	if _, ok := sink.Values[`probe_http_duration_seconds{phase="tls"}`]; !ok {
		t.Error("no phase tls")
	}
	if sink, err := scrape(t, s, "ENDPOINT", "https://localhost/ok", "TLS VERIFY", "true"); err != nil || sink.Values["probe_success"] != 0 {
		t.Errorf("with a certificate of nobody: %v, %v", sink.Values, err)
	}
}

func TestRead(t *testing.T) {
	for _, pairs := range [][]string{nil, {"ENDPOINT", "localhost"}, {"ENDPOINT", "ftp://a/"}, {"ENDPOINT", "http://a/", "STATUS", "x"}, {"ENDPOINT", "http://a/", "STATUS", "300-200"},
		{"ENDPOINT", "http://a/", "BODY MATCH", "("}, {"ENDPOINT", "http://a/", "HEADER", "x"}, {"ENDPOINT", "http://a/", "HEADER", "x: y\r\nz: q"}, {"ENDPOINT", "http://a/", "METHOD", "GET x"}} {
		if _, err := read(servicetest.Config(pairs...)); err == nil {
			t.Errorf("%v is taken", pairs)
		}
	}
}
