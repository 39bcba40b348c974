// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A receiver is away while alarms come and go, one of them silenced and one info, and
// tallyman is killed meanwhile. Back, it has the present state, and what came and went
// once. Another receiver notices nothing of it.
func TestDigestAfterAnOutage(t *testing.T) {
	t.Parallel()
	away, well := newSink(t), newSink(t)
	away.answers(func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) })
	dir := t.TempDir()
	b := openBook(t, dir)
	o := Options{Book: b, Lines: []string{away.URL, well.URL}}
	r, stop := start(t, o)
	if _, err := r.Silence(t.Context(), []string{`alertname="Silenced"`}, time.Now().Add(time.Hour), "test", ""); err != nil {
		t.Fatal(err)
	}
	known := func(name string) Notice { return alarm(name, "vm-"+name, "critical") }
	stays := known("Stays")
	put(t, r, stays)
	eventually(t, "the outage", func() bool { return !r.Receivers()[0].FailingSince.IsZero() })
	comeAndGo := func(r *Router, names ...string) {
		for _, name := range names {
			n := known(name)
			put(t, r, n)
			if name != "Silenced" {
				eventually(t, name+" at the one that is well", func() bool { return well.count("firing "+name) == 1 })
			}
			put(t, r, over(n))
		}
		info := alarm("Info", "vm", "info")
		put(t, r, info, over(info))
	}
	comeAndGo(r, "Gone0", "Silenced", "Gone1", "Gone2")
	open := known("Gone4") // it fires while tallyman is killed
	put(t, r, open)
	eventually(t, "Gone4 at the one that is well", func() bool { return well.count("firing Gone4") == 1 })
	o.Book, _ = killed(t, dir)
	stop()
	r, _ = start(t, o, stays, open)
	put(t, r, over(open))
	comeAndGo(r, "Gone3")
	// Of one that was being told of at the kill nobody knows, and the pipeline tells its end.
	if n := r.Receivers()[0].Missed; n != 5 && n != 4 {
		t.Errorf("%d missed, want 4 or 5", n)
	}
	if got := away.text(); got != "" {
		t.Fatalf("while it is away it is told %s", got)
	}
	away.answers(nil)
	eventually(t, "the present", func() bool { return away.count("firing Stays") > 0 })
	defer func() {
		if t.Failed() {
			t.Logf("told %s; %+v", away.text(), r.Receivers()[0])
		}
	}()
	for i := range 5 {
		eventually(t, "the digest", func() bool { return away.count(fmt.Sprint("resolved Gone", i)) > 0 })
	}
	beat(t, r, away, "Marker")
	for i := range 5 {
		if n := away.count(fmt.Sprintf("resolved Gone%d", i)); n != 1 {
			t.Errorf("Gone%d is told %d times", i, n)
		}
	}
	if got := away.without("Marker", "Gone0", "Gone1", "Gone2", "Gone3", "Gone4"); got != "firing Stays" {
		t.Errorf("besides it is told %s", got)
	}
	if r.Receivers()[0].Missed != 0 || r.Receivers()[1].Missed != 0 {
		t.Errorf("%+v", r.Receivers())
	}
	if got := well.text(); strings.Contains(got, "Silenced") || strings.Contains(got, "Info") {
		t.Errorf("the other one is told %s", got)
	}
}

// A receiver that answers 429 with Retry-After is left alone for as long, by all groups.
func TestRetryAfterHolds(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	s.answers(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "3600")
		http.Error(w, "later", http.StatusTooManyRequests)
	})
	quick := newSink(t)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL, quick.URL}})
	put(t, r, alarm("A", "first", "critical"))
	eventually(t, "the answer", func() bool { return strings.Contains(r.Receivers()[0].LastError, "429") })
	for i := range 4 {
		put(t, r, alarm("B", fmt.Sprint("vm", i), "critical"))
	}
	eventually(t, "the other one", func() bool { return quick.count("firing B") == 4 })
	beat(t, r, quick, "Marker") // by then each group was looked at
	if n := s.requests(); n != 1 {
		t.Errorf("it was asked %d times within its rest", n)
	}
}
