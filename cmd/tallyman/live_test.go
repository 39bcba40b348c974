// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman"
)

// stream opens the live stream and returns a function that waits for the next
// message of a kind.
func stream(t *testing.T, a *app, query string) (next func(event string) string, ended <-chan struct{}) {
	t.Helper()
	server := httptest.NewServer(a.server.Handler())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/tallyman/v1/live?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range bearer(t, a) {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	messages, done := make(chan [2]string, 100), make(chan struct{})
	go func() {
		defer close(done)
		event := ""
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if v, ok := strings.CutPrefix(line, "event: "); ok {
				event = strings.TrimSpace(v)
			}
			if v, ok := strings.CutPrefix(line, "data: "); ok {
				messages <- [2]string{event, v}
			}
		}
	}()
	return func(event string) string {
		t.Helper()
		for {
			select {
			case m := <-messages:
				if m[0] == event {
					return m[1]
				}
			case <-time.After(time.Minute):
				t.Fatalf("no %s within a minute", event)
			}
		}
	}, done
}

func TestLiveStream(t *testing.T) {
	a := testApp(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	collecting := make(chan struct{})
	go func() {
		defer close(collecting)
		if err := a.supervisor.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-collecting
	})
	if got := a.supervisor.Interval(); got != 10*time.Second {
		t.Errorf("the interval is %v before anybody watches, want 10s", got)
	}
	next, ended := stream(t, a, "view=servers")
	if first := next("snapshot"); !strings.Contains(first, `"host":"harbor"`) || !strings.Contains(first, `"auth":true`) {
		t.Errorf("snapshot = %s", first)
	}
	if got := a.supervisor.Interval(); got != time.Second {
		t.Errorf("the interval is %v while somebody watches, want 1s", got)
	}
	next("tick")
	if tick := next("tick"); !strings.Contains(tick, `"cpu":`) || !strings.Contains(tick, `"memoryUsed":`) {
		t.Errorf("tick = %s, want the host's figures", tick)
	}
	c := &tallyman.Container{ID: strings.Repeat("ab", 32), Name: "<img src=x>", Host: "harbor", Engine: "local", State: tallyman.Exited,
		Workload: tallyman.Workload{Key: "w", Origin: "name"}}
	a.hub.ObserveContainer(c)
	if got := next("container"); !strings.Contains(got, `"state":"exited"`) || strings.Contains(got, "<img") {
		t.Errorf("container = %s, want it with its name escaped", got)
	}
	a.hub.ObserveEvent(tallyman.Event{ID: "1", Type: "container", Action: "die", Actor: c.ID, Host: "harbor", Workload: "w", Attributes: map[string]string{"exitCode": "3"}})
	if got := next("event"); !strings.Contains(got, "Died, exit 3") {
		t.Errorf("event = %s", got)
	}
	a.hub.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the stream goes on after the end")
	}
	deadline := time.Now().Add(time.Minute)
	for a.supervisor.Interval() != 10*time.Second && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := a.supervisor.Interval(); got != 10*time.Second {
		t.Errorf("the interval is %v after the watcher left, want 10s", got)
	}
}

// A page that does not read gets a new snapshot instead of what it missed.
func TestASlowPageGetsASnapshot(t *testing.T) {
	a := testApp(t, nil)
	next, _ := stream(t, a, "view=container&host=harbor&workload=w")
	if first := next("snapshot"); !strings.Contains(first, `"container":null`) {
		t.Errorf("the snapshot of an unknown workload = %s", first)
	}
	// More than the sockets take in, however fast the server writes.
	name := strings.Repeat("n", 16<<10)
	for range 5000 {
		a.hub.ObserveEvent(tallyman.Event{ID: "1", Type: "engine", Action: "up", Host: "harbor", Name: name})
	}
	next("snapshot")
}
