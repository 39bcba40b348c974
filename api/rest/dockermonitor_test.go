// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tallyman"
	"tallyman/query"
)

// two are the engines of two hosts.
type two struct {
	fixed
	engines []tallyman.EngineStatus
}

func (t two) Engines() []tallyman.EngineStatus { return t.engines }

// Latest is nothing: no container was measured.
func (t two) Latest([]tallyman.Reading) ([]tallyman.Reading, uint64) { return nil, 0 }

// The answer about one container is that of its own engine.
func TestMonitorOfOneEngine(t *testing.T) {
	now := time.Now()
	good := tallyman.EngineStatus{Name: "good", Up: true, LastGood: now}
	down := tallyman.EngineStatus{Name: "down", Error: "connection refused"}
	slow := tallyman.EngineStatus{Name: "down", Failure: tallyman.EngineSlow, LastGood: now.Add(-time.Minute)}
	list := fixed{
		{ID: "1", Name: "web", Engine: "good", State: tallyman.Exited},
		{ID: "2", Name: "db", Engine: "down", State: tallyman.Exited},
		{ID: "3", Name: "old", Engine: "good", State: tallyman.Gone},
	}
	f := func(name string, engines []tallyman.EngineStatus, code int, want string) {
		t.Helper()
		all := two{list, engines}
		s := &Service{o: Options{Inventory: all, Own: all, Current: query.NewCurrent(all)}}
		mux := http.NewServeMux()
		mux.HandleFunc("GET /metrics/{name}", s.monitorOne)
		mux.HandleFunc("GET /metrics", s.monitorAll)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics"+name, nil))
		if w.Code != code || w.Body.String() != want {
			t.Errorf("%s with %v: %d %s, want %d %s", name, engines, w.Code, w.Body, code, want)
		}
	}
	const web, overloaded = `{"web":{"status":"exited"}}`, `{"error":"The server is overloaded. Try later."}`
	f("/web", []tallyman.EngineStatus{good, down}, http.StatusOK, web)
	f("/web", []tallyman.EngineStatus{down, good}, http.StatusOK, web)
	f("/web", []tallyman.EngineStatus{slow, good}, http.StatusOK, web)
	f("/db", []tallyman.EngineStatus{good, down}, http.StatusInternalServerError, `{"error":"connection refused"}`)
	f("/db", []tallyman.EngineStatus{good, slow}, http.StatusRequestTimeout, overloaded)
	f("/old", []tallyman.EngineStatus{good}, http.StatusNotFound, `{"error":"Resource not found"}`)
	// An engine that does not answer may have it.
	f("/nobody", []tallyman.EngineStatus{good, down}, http.StatusInternalServerError, `{"error":"connection refused"}`)
	f("/nobody", []tallyman.EngineStatus{good}, http.StatusNotFound, `{"error":"Resource not found"}`)
	f("", []tallyman.EngineStatus{good, slow}, http.StatusRequestTimeout, overloaded)
}
