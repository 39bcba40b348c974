// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// posts is a webhook that notes docker-monitor's alarms.
type posts struct {
	mu   sync.Mutex
	away bool
	got  []post
}

type post struct {
	id      string
	aligned bool
	alarm   struct {
		EventTimestamp, Severity string
		PrimarySubject           struct{ Container string }
	}
}

func (p *posts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	one := post{id: r.Header.Get("X-Tallyman-Message"), aligned: r.Header.Get("X-Tallyman-Alignment") != ""}
	if err := json.NewDecoder(r.Body).Decode(&one.alarm); err != nil || one.id == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.got = append(p.got, one)
}

// set says whether it is away.
func (p *posts) set(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// changes are the messages about a container without those of alignments, each once: where
// it came last.
func (p *posts) changes(name string) (out []post) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.got {
		if !one.aligned && one.alarm.PrimarySubject.Container == name {
			out = append(slices.DeleteFunc(out, func(o post) bool { return o.id == one.id }), one)
		}
	}
	return out
}

// Tallyman is killed while a webhook is away and containers change: each change arrives, in
// order.
func TestForwardToAWebhook(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	hook := &posts{}
	server := httptest.NewServer(hook)
	defer server.Close()
	name := d.Name("posted")
	d.Start([]string{"--name", name}, "sleep", "3600")
	data := testkit.DataDir(t)
	start := func() *testkit.Program {
		return testkit.StartProgram(t, data, "--set", "forward.webhook.url="+server.URL+"/alarms", "--set", "include=name:"+d.Name("*"), "--set", "keep.logs=false")
	}
	p := start()
	aligned := func(n int) {
		t.Helper()
		testkit.Eventually(t, time.Minute, "the states are told", func() error {
			hook.mu.Lock()
			defer hook.mu.Unlock()
			seen := 0
			for _, one := range hook.got {
				if one.aligned {
					seen++
				}
			}
			if seen != n {
				return fmt.Errorf("%d are", seen)
			}
			return nil
		})
	}
	aligned(1)
	const rounds = 5
	toggle := func() {
		for range rounds {
			d.Pause(name)
			d.Cmd("unpause", name)
		}
	}
	toggle()
	hook.set(true)
	toggle()
	p.Kill()
	toggle()
	p = start()
	toggle()
	hook.set(false)
	testkit.Eventually(t, 2*time.Minute, "all changes are there", func() error {
		if n := len(hook.changes(name)); n < 8*rounds {
			return fmt.Errorf("%d are there, want %d", n, 8*rounds)
		}
		return nil
	})
	aligned(2)
	if n := sum(t, p, "tallyman_forward_dropped_total"); n != 0 {
		t.Errorf("%v dropped", n)
	}
	var got, want []string
	for _, one := range hook.changes(name) {
		got = append(got, one.id)
	}
	for _, e := range changesIn(p, name) {
		want = append(want, e.ID)
	}
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("posted %v, want the events in their order, %v", got, want)
	}
}
