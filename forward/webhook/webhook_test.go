// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman/forward/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hook notes what it is sent, and answers as decide says about the nth request.
type hook struct {
	mu     sync.Mutex
	decide func(w http.ResponseWriter, n int, id string) int
	ids    []string // taken
	seen   []*http.Request
	bodies []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	h.seen, h.bodies = append(h.seen, r), append(h.bodies, string(body))
	code := h.decide(w, len(h.seen), r.Header.Get("X-Tallyman-Message"))
	if code == 0 {
		panic(http.ErrAbortHandler)
	}
	if code/100 == 2 {
		h.ids = append(h.ids, r.Header.Get("X-Tallyman-Message"))
	}
	w.WriteHeader(code)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so within 20 s: %s", what)
		}
	}
}

// start sends n messages to a hook.
func start(t *testing.T, n int, decide func(w http.ResponseWriter, n int, id string) int) (*hook, *queue.Queue, *Sender, *bytes.Buffer) {
	t.Helper()
	h := &hook{decide: decide}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	q, err := queue.Open(queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	for i := range n {
		m := queue.Message{ID: fmt.Sprint(i), Time: time.Now(), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
		if i == 0 {
			m.Flags = queue.Alignment
		}
		if _, err := q.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	s, err := New(Options{URL: strings.Replace(server.URL, "//", "//agent:canary1@", 1) + "/canary2?k=canary3", Queue: q, Log: slog.New(slog.NewTextHandler(&log, nil)),
		least: time.Millisecond, hold: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, secret := range []string{"canary1", "canary2", "canary3"} {
			if strings.Contains(log.String()+fmt.Sprint(s.State()), secret) {
				t.Errorf("%s is told in %s", secret, log.String())
			}
		}
	})
	return h, q, s, &log
}

func TestRequests(t *testing.T) {
	h, q, s, _ := start(t, 2, func(http.ResponseWriter, int, string) int { return 204 })
	eventually(t, "both are taken", func() bool { return q.Stats().Sent == 2 && s.State().Up })
	r := h.seen[0]
	user, password, _ := r.BasicAuth()
	if r.Method != "POST" || r.URL.String() != "/canary2?k=canary3" || r.Header.Get("Content-Type") != "application/json" || user != "agent" || password != "canary1" ||
		r.Header.Get("X-Tallyman-Alignment") != "true" || h.seen[1].Header.Get("X-Tallyman-Alignment") != "" || h.bodies[0] != `{"n":0}` {
		t.Errorf("%s %s %v %s", r.Method, r.URL, r.Header, h.bodies[0])
	}
}

// Whatever it answers, what can be taken is taken, in order, and the rest counted.
func TestAnswers(t *testing.T) {
	for _, code := range []int{0, 301, 401, 403, 404, 408, 429, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			h, q, s, log := start(t, 10, func(_ http.ResponseWriter, n int, _ string) int {
				if n > 3 && n < 8 {
					return code
				}
				return 200
			})
			eventually(t, "all are taken", func() bool { return q.Stats().Length == 0 && s.State().Up })
			h.mu.Lock()
			defer h.mu.Unlock()
			if want := strings.Split("0123456789", ""); !slices.Equal(h.ids, want) {
				t.Errorf("taken %v", h.ids)
			}
			if st := q.Stats(); st.Sent != 10 || st.Repeated < 4 || len(st.Dropped) > 0 {
				t.Errorf("%+v", st)
			}
			if !strings.Contains(log.String(), "they wait on the disk") {
				t.Errorf("the log: %s", log)
			}
		})
	}
	for _, code := range []int{400, 410, 413, 422} {
		h, q, _, _ := start(t, 10, func(_ http.ResponseWriter, _ int, id string) int {
			return map[bool]int{true: code, false: 200}[id == "4"]
		})
		eventually(t, "all are through", func() bool { return q.Stats().Length == 0 })
		if st := q.Stats(); st.Sent != 9 || st.Dropped[queue.Refused].Count != 1 || len(h.seen) != 10 {
			t.Errorf("%d: %+v after %d requests", code, st, len(h.seen))
		}
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "99999999999999": 0, "86400": mostAfter, "soon": 0,
		"Sat, 28 Nov 2026 15:00:30 GMT": 30 * time.Second, "Sat, 28 Nov 2026 14:00:00 GMT": 0,
	} {
		if got := after(text, now); text != "99999999999999" && got != want {
			t.Errorf("Retry-After %q: %s, want %s", text, got, want)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	for _, bad := range []string{"", "canary", "ftp://canary@h/x", "https://u:canary%zz@h", "http:///canary"} {
		if _, err := New(Options{URL: bad}); err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "https://host/path") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
