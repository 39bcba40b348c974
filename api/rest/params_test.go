// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tallyman"
)

// Every route refuses a parameter that it does not have, and names the nearest
// that it has.
func TestUnknownParameters(t *testing.T) {
	k := newKept(t, &tallyman.Container{ID: "1", Name: "web", Host: "h"})
	s, err := New(t.Context(), Options{Inventory: fixed(nil), Own: fixed(nil), Events: k.events, Records: k.records})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string) (int, string) {
		w := httptest.NewRecorder()
		k.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for _, r := range s.Routes() {
		if strings.Contains(r.Pattern, "/docker-monitor/") {
			continue // whose answers are laid down, and know no parameters
		}
		path := strings.NewReplacer("{ref}", "web", "{hash}", "x", "{name}", "web").Replace(strings.TrimPrefix(r.Pattern, "GET "))
		for _, query := range []string{"nonsense=1", "host=h&nonsense=", "Workload=x", "a=%zz", "=x"} {
			if code, text := ask(path + "?" + query); code != http.StatusBadRequest {
				t.Errorf("%s?%s: %d %s, want 400", path, query, code, text)
			}
		}
		for _, p := range r.Doc.Params { // a letter too many
			code, text := ask(path + "?" + p.Name + "x=1")
			if code != http.StatusBadRequest || !strings.Contains(text, `did you mean \"`+p.Name+`\"?`) {
				t.Errorf("%s?%sx=1: %d %s, want 400 with the nearest", path, p.Name, code, text)
			}
		}
	}
	code, text := ask("/api/tallyman/v1/events?serverity=critical")
	want := `{"error":{"code":"bad_parameter","message":"there is no parameter \"serverity\"; did you mean \"severity\"?","next":"there are host, container,`
	if code != http.StatusBadRequest || !strings.HasPrefix(text, want) {
		t.Errorf("%d %s\nwant %s …", code, text, want)
	}
	if code, text := ask("/docker-monitor/api/v1.0/metrics/nobody?_=1"); code != http.StatusNotFound || text != `{"error":"Resource not found"}` {
		t.Errorf("docker-monitor: %d %s", code, text)
	}
}

// A name that is on several hosts is found on the one that is asked for.
func TestContainerOnHost(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef"
	k := newKept(t, &tallyman.Container{ID: "1", Name: "web", Host: "a"}, &tallyman.Container{ID: id, Name: "web", Host: "b", State: tallyman.Running},
		&tallyman.Container{ID: "3", Name: "web", Host: "b", State: tallyman.Gone})
	all := fixed{{ID: "1", Name: "web", Host: "a"}, {ID: "3", Name: "web", Host: "b", State: tallyman.Gone}, {ID: id, Name: "web", Host: "b", State: tallyman.Running}}
	s, err := New(t.Context(), Options{Inventory: all, Own: all, Events: k.events, Records: k.records})
	if err != nil {
		t.Fatal(err)
	}
	f := func(ref, host, want string) {
		t.Helper()
		c, ok := s.find(ref, host)
		if ok != (want != "") || ok && c.ID != want {
			b, _ := json.Marshal(c)
			t.Errorf("%s on %q: got %s, want %q", ref, host, b, want)
		}
	}
	f("web", "", "1")
	f("web", "a", "1")
	f("web", "b", id)
	f("3", "b", "3")
	f(id[:12], "b", id)
	f(id[:11], "b", "")
	f("1", "b", "")
	f("web", "c", "")
}
