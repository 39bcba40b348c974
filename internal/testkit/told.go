// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Told is a receiver of alarms, a webhook in Alertmanager's form, that notes what it is
// told. Every path below its URL is one.
type Told struct {
	URL string

	mu       sync.Mutex
	episodes []*Episode
	posts    int
	bad      string
}

// Episode is one alarm from its begin to its end, as a receiver sees it.
type Episode struct {
	Rule, Severity, Host, Workload string
	Labels, Annotations            map[string]string
	// Started is when it began, as the alarm says.
	Started time.Time
	// Told and Cleared are when the first messages of its begin and its end came, zero
	// for none so far.
	Told, Cleared time.Time
}

// NewTold starts a receiver, which ends with the test.
func NewTold(t testing.TB) *Told {
	w := &Told{}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// ServeHTTP takes a message. One of a group names what was told before, too.
func (w *Told) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var payload struct {
		Version string
		Alerts  []struct {
			Status              string
			Labels, Annotations map[string]string
			StartsAt            time.Time
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || json.Unmarshal(body, &payload) != nil || payload.Version != "4" {
		w.bad = string(body)
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	w.posts++
	now := time.Now()
	for _, a := range payload.Alerts {
		key := fmt.Sprint(a.Labels)
		i := slices.IndexFunc(w.episodes, func(e *Episode) bool { return e.Started.Equal(a.StartsAt) && fmt.Sprint(e.Labels) == key })
		if i < 0 {
			i = len(w.episodes)
			w.episodes = append(w.episodes, &Episode{Rule: a.Labels["alertname"], Severity: a.Labels["severity"], Host: a.Labels["host"], Workload: a.Labels["workload"],
				Labels: a.Labels, Started: a.StartsAt})
		}
		e := w.episodes[i]
		e.Annotations = a.Annotations
		if a.Status == "firing" && e.Told.IsZero() {
			e.Told = now
		}
		if a.Status == "resolved" && e.Cleared.IsZero() {
			e.Cleared = now
		}
	}
}

// Episodes are those of which it was told so far and that are wanted, the oldest first.
func (w *Told) Episodes(want func(e *Episode) bool) (out []Episode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.episodes {
		if want(e) {
			out = append(out, *e)
		}
	}
	return out
}

// Forget forgets what was told of a workload.
func (w *Told) Forget(workload string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.episodes = slices.DeleteFunc(w.episodes, func(e *Episode) bool { return e.Workload == workload })
}

// Of is what was told of a workload, as "ContainerCrashed firing, ContainerCrashed
// resolved".
func (w *Told) Of(workload string) string {
	type word struct {
		at   time.Time
		text string
	}
	var words []word
	for _, e := range w.Episodes(func(e *Episode) bool { return e.Workload == workload }) {
		words = append(words, word{e.Told, e.Rule + " firing"}, word{e.Cleared, e.Rule + " resolved"})
	}
	words = slices.DeleteFunc(words, func(w word) bool { return w.at.IsZero() })
	slices.SortStableFunc(words, func(a, b word) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var texts []string
	for _, x := range words {
		texts = append(texts, x.text)
	}
	return strings.Join(texts, ", ")
}

// Bad is the last message that was none of Alertmanager's, empty for none.
func (w *Told) Bad() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bad
}

// Posts is how many messages came.
func (w *Told) Posts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.posts
}
