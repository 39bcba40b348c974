// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"encoding/json"
	"fmt"
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

// receiver is a webhook that takes messages, or does with them what answer does.
type receiver struct {
	url string

	mu     sync.Mutex
	answer func(w http.ResponseWriter, asked int) (taken bool)
	asked  []time.Time
	got    []message
}

// message is one that was taken.
type message struct {
	at     time.Time
	alerts []string // "firing A"
}

func newReceiver(t *testing.T, answer func(w http.ResponseWriter, asked int) bool) *receiver {
	r := &receiver{answer: answer}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	at := time.Now()
	var payload struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if err := json.NewDecoder(q.Body).Decode(&payload); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.asked = append(r.asked, at)
	n, answer := len(r.asked), r.answer
	r.mu.Unlock()
	if answer != nil && !answer(w, n) {
		return
	}
	m := message{at: at}
	for _, a := range payload.Alerts {
		m.alerts = append(m.alerts, a.Status+" "+a.Labels["alertname"])
	}
	r.mu.Lock()
	r.got = append(r.got, m)
	r.mu.Unlock()
}

// messages are those that were taken, with an alert, or all without one.
func (r *receiver) messages(alert string) (out []message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		if alert == "" || slices.Contains(m.alerts, alert) {
			out = append(out, m)
		}
	}
	return out
}

// asks are the times of all requests.
func (r *receiver) asks() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// One receiver is away for ten minutes, or for TORTURE_AWAY, while five alarms come and go; one
// asks for two minutes of rest; one takes 30 s for each answer; and one is well, and notices
// nothing of the others. The one that was away is told what fires now, and in one
// message all that came and went.
func TestReceiversAwayAtLength(t *testing.T) {
	atLength(t)
	away := 10 * time.Minute
	if text := os.Getenv("TORTURE_AWAY"); text != "" {
		var err error
		if away, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	back := begin.Add(away)
	const rest = 2 * time.Minute
	gone := newReceiver(t, func(w http.ResponseWriter, _ int) bool {
		if time.Now().Before(back) {
			http.Error(w, "away", http.StatusBadGateway)
			return false
		}
		return true
	})
	resting := newReceiver(t, func(w http.ResponseWriter, n int) bool {
		if n == 1 {
			w.Header().Set("Retry-After", fmt.Sprint(int(rest.Seconds())))
			http.Error(w, "later", http.StatusTooManyRequests)
			return false
		}
		return true
	})
	over := make(chan struct{})
	slow := newReceiver(t, func(http.ResponseWriter, int) bool {
		select {
		case <-time.After(30 * time.Second):
		case <-over:
		}
		return true
	})
	t.Cleanup(func() { close(over) })
	well := newReceiver(t, nil)

	// Five that each fire for a while in the first half of the outage, and one that stays.
	var rules strings.Builder
	rules.WriteString("groups:\n- name: clock\n  interval: 1s\n  rules:\n")
	rules.WriteString("  - {alert: Stays, expr: 'vector(1)', labels: {severity: critical, project: stays}, annotations: {summary: it stays}}\n")
	lasts := away / 12
	fires := map[string]time.Time{}
	for i := range 5 {
		name := fmt.Sprint("Gone", i)
		fires[name] = begin.Add(15*time.Second + time.Duration(i)*lasts)
		fmt.Fprintf(&rules, "  - {alert: %s, expr: '(vector(time()) >= %d) and (vector(time()) < %d)', labels: {severity: critical, project: p%d}, annotations: {summary: it comes and goes}}\n",
			name, fires[name].Unix(), fires[name].Add(lasts).Unix(), i)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "keep.logs=false", "--set", "alarms.defaults=false", "--set", "alarms.rules_files="+file,
		"--set", "alarms.notify="+strings.Join([]string{gone.url, resting.url, slow.url, well.url}, ","))

	worst := time.Duration(0)
	for i := range 5 {
		name := fmt.Sprint("Gone", i)
		for _, status := range []string{"firing ", "resolved "} {
			testkit.Eventually(t, time.Until(fires[name])+lasts+3*time.Minute, status+name+" at the one that is well", func() error {
				if len(well.messages(status+name)) == 0 {
					return fmt.Errorf("not told")
				}
				return nil
			})
		}
		worst = max(worst, well.messages("firing " + name)[0].at.Sub(fires[name].Truncate(time.Second)))
	}
	t.Logf("the one that is well was told after %.1f s at most", worst.Seconds())
	if worst > 12*time.Second*time.Duration(testkit.Slow()) {
		t.Errorf("the one that is well was told after %v, want 12 s", worst)
	}
	if n := len(gone.messages("")); n != 0 {
		t.Errorf("the one that is away took %d messages", n)
	}

	// Rest is rest.
	asks := resting.asks()
	if len(asks) < 2 {
		testkit.Eventually(t, rest+time.Minute, "it is asked again after its rest", func() error {
			if asks = resting.asks(); len(asks) < 2 {
				return fmt.Errorf("%d times", len(asks))
			}
			return nil
		})
	}
	if pause := asks[1].Sub(asks[0]); pause < rest-time.Second {
		t.Errorf("asked again after %v, want %v", pause, rest)
	}
	t.Logf("the one that asked for %v of rest was asked again after %v", rest, asks[1].Sub(asks[0]).Round(time.Second))
	testkit.Eventually(t, 3*time.Minute, "the one that rested is told what stays", func() error {
		if len(resting.messages("firing Stays")) == 0 {
			return fmt.Errorf("not told")
		}
		return nil
	})

	// Back, it has the present and one digest.
	testkit.Eventually(t, time.Until(back)+10*time.Minute, "the digest", func() error {
		if len(gone.messages("resolved Gone4")) == 0 {
			return fmt.Errorf("told %v", gone.messages(""))
		}
		return nil
	})
	if len(gone.messages("firing Stays")) != 1 {
		t.Errorf("what stays was told %d times: %v", len(gone.messages("firing Stays")), gone.messages(""))
	}
	digests := gone.messages("resolved Gone4")
	for i := range 5 {
		name := fmt.Sprint("resolved Gone", i)
		if list := gone.messages(name); len(list) != 1 || !list[0].at.Equal(digests[0].at) {
			t.Errorf("%s was told in %d messages, want the digest alone", name, len(list))
		}
		if list := gone.messages(fmt.Sprint("firing Gone", i)); len(list) != 0 {
			t.Errorf("Gone%d, which is over, is told as firing", i)
		}
	}
	t.Logf("away for %v: the present %.0f s after it was back, the digest with %d alarms after %.0f s; %d tries meanwhile", away, gone.messages("firing Stays")[0].at.Sub(back).Seconds(),
		len(digests[0].alerts), digests[0].at.Sub(back).Seconds(), len(gone.asks())-len(gone.messages("")))
}
