// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("STATS URL", "http://localhost:9100/metrics"))
}

func TestScrape(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); r.URL.Path == "/private" && (user != "me" || password != "secret") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "# TYPE a counter\na 1\n# TYPE b gauge\nb{x=\"y\"} 2\n")
	}))
	defer server.Close()
	scrape := func(pairs ...string) (*servicetest.Sink, error) {
		i, err := open(&servicetest.Inside{}, servicetest.Config(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		s := servicetest.NewSink()
		return s, i.Scrape(t.Context(), s)
	}
	s, err := scrape("STATS URL", server.URL+"/metrics", "DROP", "a", "PREFIX", "shop_")
	if err != nil || s.Values[`shop_b{x="y"}`] != 2 || len(s.Values) != 4 || s.Values["scrape_samples_scraped"] != 2 || s.Values["up"] != 1 {
		t.Errorf("%v, %v", s.Values, err)
	}
	var fault *tallyman.ServiceError
	if _, err = scrape("STATS URL", server.URL+"/private"); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault {
		t.Errorf("without login: %v", err)
	}
	if _, err = scrape("STATS URL", server.URL+"/private", "USERNAME", "me", "PASSWORD", "secret"); err != nil {
		t.Errorf("with login: %v", err)
	}
}

func TestFind(t *testing.T) {
	in := &servicetest.Inside{F: tallyman.ServiceFacts{Image: "caddy", Listening: []tallyman.ServiceSocket{{Network: "tcp", IP: "127.0.0.1", Port: 2019}}}}
	if found := find(in); len(found) != 1 || found[0].Text("STATS URL", "") != "http://localhost:2019/metrics" {
		t.Errorf("found %v", found)
	}
	in.F.Listening = []tallyman.ServiceSocket{}
	if found := find(in); len(found) != 0 {
		t.Errorf("found %v where nothing listens", found)
	}
}
