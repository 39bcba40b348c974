// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// delivery is one alert of one message.
type delivery struct {
	status  string
	started time.Time
	at      time.Time
}

// hook is a receiver that takes its time, so that a kill can fall into a send.
type hook struct {
	mu   sync.Mutex
	said map[string][]delivery // by alert
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var payload struct {
		Alerts []struct {
			Status   string
			StartsAt time.Time
			Labels   map[string]string
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &payload) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	for _, a := range payload.Alerts {
		h.said[a.Labels["alertname"]] = append(h.said[a.Labels["alertname"]], delivery{a.Status, a.StartsAt.UTC(), time.Now()})
	}
	h.mu.Unlock()
	time.Sleep(rand.N(200 * time.Millisecond))
}

// of are the deliveries of an alert, and last is the status of the newest.
func (h *hook) of(name string) []delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.said[name])
}

func (h *hook) last(name string) string {
	d := h.of(name)
	if len(d) == 0 {
		return ""
	}
	return d[len(d)-1].status
}

// silence has nobody told of what fits, for an hour.
func silence(t *testing.T, p *testkit.Program, matcher string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"matchers": []string{matcher}, "until": time.Now().Add(time.Hour).UnixMilli(), "comment": "test"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/tallyman/v1/alarms/silences", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		t.Fatalf("silence: %s %s", answer.Status, text)
	}
}

// Alarms over kills at random: what fires, ends, waits, is kept or silenced while
// tallyman is killed again and again is told once, and its end is told.
func TestAlarmsOverKills(t *testing.T) {
	t.Parallel()
	h := &hook{said: map[string][]delivery{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	begin := time.Now()
	// They fire and clear by the clock, each with a period of its own.
	periods := []int{16, 19, 23, 29}
	up := func(i int, at time.Time) bool { return at.Unix()/int64(periods[i])%2 == 1 }
	var rules strings.Builder
	rules.WriteString("groups:\n- name: clock\n  interval: 1s\n  rules:\n")
	for i, p := range periods {
		fmt.Fprintf(&rules, "  - {alert: Square%d, expr: 'floor(vector(time()) / %d) %% 2 == 1', labels: {severity: warning}}\n", i, p)
	}
	waits, keeps := begin.Add(40*time.Second), begin.Add(40*time.Second)
	fmt.Fprintf(&rules, "  - {alert: Steady, expr: vector(1), labels: {severity: warning}}\n  - {alert: Silenced, expr: vector(1), labels: {severity: warning}}\n"+
		"  - {alert: Waits, expr: vector(1), for: 40s, labels: {severity: warning}}\n"+
		"  - {alert: Kept, expr: 'vector(time()) < %d', keep_firing_for: 20s, labels: {severity: warning}}\n", keeps.Unix())
	data := testkit.DataDir(t)
	args := []string{"--interval", "1s", "--set", "keep.logs=false", "--set", "alarms.defaults=false", "--set", "alarms.rules_files=" + write("rules.yaml", rules.String()),
		"--set", "alarms.alertmanager_config=" + write("alertmanager.yaml", "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\n"+
			"receivers: [{name: hook, webhook_configs: [{url: '"+server.URL+"'}]}]\n")}
	p := testkit.StartProgram(t, data, args...)
	silence(t, p, `alertname="Silenced"`)
	testkit.Eventually(t, 60*time.Second, "what is there at the start is told", func() error {
		for _, name := range []string{"Steady", "Kept"} {
			if h.last(name) != "firing" {
				return fmt.Errorf("%s is not", name)
			}
		}
		return nil
	})
	var kills []time.Time
	often := times(8, 100)
	for range often {
		testkit.Eventually(t, 60*time.Second, "rules are evaluated", func() error {
			var a struct{ Rules []struct{ Evaluated int64 } }
			p.JSON("/api/tallyman/v1/alarms/rules", &a)
			if len(a.Rules) == 0 || a.Rules[0].Evaluated == 0 {
				return fmt.Errorf("rules %+v", a.Rules)
			}
			return nil
		})
		time.Sleep(rand.N(4 * time.Second)) // any moment
		kills = append(kills, time.Now())
		p.Kill()
		if rand.IntN(3) == 0 { // some of them fire or end meanwhile
			time.Sleep(rand.N(12 * time.Second))
		}
		p = testkit.StartProgram(t, data, args...)
	}
	// It is left alone, until all is told as it is.
	testkit.Eventually(t, 2*time.Minute, "what was and is there is told", func() error {
		for _, w := range [][2]string{{"Steady", "firing"}, {"Waits", "firing"}, {"Kept", "resolved"}} {
			if got := h.last(w[0]); got != w[1] {
				_, history := p.Get("/api/tallyman/v1/alarms/history")
				return fmt.Errorf("%s is %q, want %q: %v; the history is %s", w[0], got, w[1], h.of(w[0]), history)
			}
		}
		return nil
	})
	for i := range periods {
		name := fmt.Sprint("Square", i)
		testkit.Eventually(t, 2*time.Minute, name+" is told as it is", func() error {
			want := map[bool]string{true: "firing", false: "resolved"}[up(i, time.Now())]
			if got := h.last(name); got != want {
				return fmt.Errorf("it is %q, want %q", got, want)
			}
			return nil
		})
	}

	if d := h.of("Silenced"); len(d) > 0 {
		t.Errorf("what is silenced was told: %v", d)
	}
	told, repeated := 0, 0
	// once checks that an alert was told in turns, firing and resolved. What is told
	// again was being told at a kill.
	once := func(name string) (firings []delivery) {
		var before delivery
		for _, d := range h.of(name) {
			told++
			switch {
			case d.status != before.status && (d.status == "firing" || before.status == "firing"):
				if d.status == "firing" {
					firings = append(firings, d)
				}
			case d.status == before.status && d.started.Equal(before.started) && slices.ContainsFunc(kills, func(k time.Time) bool {
				// A message under way arrives a moment after the kill was noted.
				return k.Sub(before.at) > -time.Second && k.Sub(before.at) < 2*time.Second && k.Before(d.at)
			}):
				repeated++
			default:
				next := slices.IndexFunc(kills, func(k time.Time) bool { return k.After(before.at.Add(-time.Second)) })
				t.Errorf("%s: %s from %v at %v follows on %s from %v at %v; kill %d of %d comes next", name, d.status, d.started, d.at, before.status, before.started, before.at, next, len(kills))
				if next >= 0 {
					t.Logf("that kill was %v after it", kills[next].Sub(before.at))
				}
			}
			before = d
		}
		return firings
	}
	for i := range periods {
		if n := len(once(fmt.Sprint("Square", i))); n < 1 {
			t.Errorf("Square%d was told %d times", i, n)
		}
	}
	for _, name := range []string{"Steady", "Waits", "Kept"} {
		if n := len(once(name)); n != 1 {
			t.Errorf("%s fired %d times, want once", name, n)
		}
	}
	// A kill neither starts the wait anew nor ends what is kept.
	if at := h.of("Waits")[0].at; at.Before(waits.Add(-2*time.Second)) || at.After(waits.Add(25*time.Second)) {
		t.Errorf("Waits was told %v after the begin, want 40 s", at.Sub(begin))
	}
	d := h.of("Kept")
	if at := d[len(d)-1].at; at.Before(keeps.Add(18 * time.Second)) {
		t.Errorf("Kept ended %v after the begin, want about 60 s or later", at.Sub(begin))
	}
	t.Logf("%d kills in %v: %d told, %d of them again after a kill", often, time.Since(begin).Round(time.Second), told, repeated)
}
