// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/alert/book"
)

// fast are the times of tests.
var fast = Times{GroupWait: 20 * time.Millisecond, GroupInterval: 100 * time.Millisecond, Repeat: time.Hour, RepeatCritical: time.Hour, Tick: 50 * time.Millisecond}

// sink is a local webhook.
type sink struct {
	*httptest.Server
	mu      sync.Mutex
	got     []string // status and name of each alert of each message
	headers []string
	names   map[string]map[string]bool // the headers by what was told
	answer  func(w http.ResponseWriter)
	during  map[string]func() // before it answers, by what is told
	asked   int
}

func newSink(t *testing.T) *sink {
	s := &sink{names: map[string]map[string]bool{}, during: map[string]func(){}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Errorf("the payload is not JSON: %v", err)
		}
		s.mu.Lock()
		s.asked++
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, a := range m.Alerts {
			what := a.Status + " " + a.Labels["alertname"]
			s.got = append(s.got, what)
			if s.names[what] == nil {
				s.names[what] = map[string]bool{}
			}
			s.names[what][r.Header.Get("X-Tallyman-Notification")] = true
		}
		for _, a := range m.Alerts {
			if f := s.during[a.Status+" "+a.Labels["alertname"]]; f != nil {
				f()
			}
		}
		s.headers = append(s.headers, r.Header.Get("X-Tallyman-Notification"))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, "; ")
}

func (s *sink) count(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.got {
		if g == what {
			n++
		}
	}
	return n
}

// namesOf are the names of the notifications that told of something.
func (s *sink) namesOf(what string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[what]
}

func (s *sink) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *sink) answers(f func(w http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it does not come", what)
		}
	}
}

func openBook(t *testing.T, dir string) *book.Book {
	t.Helper()
	b, err := book.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// killed is the book as a kill would leave it now, and its directory.
func killed(t *testing.T, dir string) (*book.Book, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "state.log"))
	if err != nil {
		t.Fatal(err)
	}
	there := t.TempDir()
	write(t, filepath.Join(there, "state.log"), string(text))
	return openBook(t, there), there
}

// start runs a router with these alarms put before, and gives a function that ends it.
func start(t *testing.T, o Options, before ...Notice) (*Router, func()) {
	t.Helper()
	if o.Times == (Times{}) {
		o.Times = fast
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Put(t.Context(), before...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	eventually(t, "the start", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.dispatcher != nil })
	return r, stop
}

var began = time.Now().Add(-time.Minute)

func alarm(name, host, severity string) Notice {
	return Notice{
		Labels:      map[string]string{"alertname": name, "host": host, "project": "shop", "workload": "shop/api", "severity": severity},
		Annotations: map[string]string{"summary": name + " is so", "id": name + "-1"}, Started: began,
	}
}

func over(n Notice) Notice {
	n.Ended = time.Now()
	return n
}

func put(t *testing.T, r *Router, n ...Notice) {
	t.Helper()
	if err := r.Put(t.Context(), n...); err != nil {
		t.Fatal(err)
	}
}

// beat sends a marker through the same receiver and waits until it has begun and ended:
// by then every group was looked at, more than once.
func beat(t *testing.T, r *Router, s *sink, name string) {
	t.Helper()
	n := alarm(name, "marker-"+name, "critical")
	put(t, r, n)
	eventually(t, "the marker", func() bool { return s.count("firing "+name) > 0 })
	put(t, r, over(n))
	eventually(t, "the marker's end", func() bool { return s.count("resolved "+name) > 0 })
}

func (s *sink) without(names ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.DeleteFunc(slices.Clone(s.got), func(g string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(g, " "+n) })
	}), "; ")
}

func TestOneFiringOneResolved(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL + "/hook"}})
	n := alarm("Crash", "vm", "critical")
	put(t, r, n)
	eventually(t, "firing", func() bool { return s.count("firing Crash") == 1 })
	put(t, r, n) // it is put again each minute
	beat(t, r, s, "Marker")
	put(t, r, over(n))
	eventually(t, "resolved", func() bool { return s.count("resolved Crash") == 1 })
	beat(t, r, s, "Marker2")
	if got, want := s.without("Marker", "Marker2"), "firing Crash; resolved Crash"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	for _, h := range s.headers {
		if len(strings.Split(h, "-")) != 3 {
			t.Errorf("the header X-Tallyman-Notification is %q", h)
		}
	}
	if got := r.Receivers()[0]; got.Sent < 2 || got.Kind != "http" || got.LastSuccess.IsZero() || got.LastError != "" {
		t.Errorf("the receiver is %+v", got)
	}
	for _, m := range r.SelfMetrics() {
		m.Read()
	}
}

// Killed, the next process sends nothing again, and what ended while nobody ran is told.
func TestAfterAKill(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	dir := t.TempDir()
	o := Options{Book: openBook(t, dir), Lines: []string{s.URL + "/hook"}}
	r, stop := start(t, o)
	a, b := alarm("Crash", "vm", "critical"), alarm("Paused", "vm", "critical")
	put(t, r, a, b)
	eventually(t, "firing", func() bool { return s.count("firing Crash") > 0 && s.count("firing Paused") > 0 })
	beat(t, r, s, "Marker0")
	had, beside := s.count("firing Crash"), s.count("firing Paused")
	o.Book, dir = killed(t, dir)
	stop()
	r, stop = start(t, o, a, b)
	beat(t, r, s, "Marker")
	if s.count("firing Crash") != had || s.count("firing Paused") != beside {
		t.Errorf("after a kill it was sent again: %s", s.text())
	}
	// One ends at the moment of the kill: its end was put, and not sent.
	stop()
	o.Book, dir = killed(t, dir)
	r2, err := New(Options{Book: o.Book, Lines: o.Lines, Times: fast, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	put(t, r2, over(a))
	o.Book, _ = killed(t, dir)
	start(t, o, b)
	eventually(t, "the end that was not sent", func() bool { return s.count("resolved Crash") == 1 })
	if s.count("firing Crash") != had || s.count("resolved Paused") != 0 {
		t.Errorf("with the end came %s", s.text())
	}
}

// Killed while it tells of an alarm, the next process may be killed again, or the alarm may
// end, before it is told once more: its end is told in any case.
func TestEndsAfterTwoKills(t *testing.T) {
	t.Parallel()
	for name, endsMeanwhile := range map[string]bool{"killed again": false, "over before it is told again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t)
			dir := t.TempDir()
			asked, answer := make(chan struct{}), make(chan struct{})
			s.during["firing Crash"] = sync.OnceFunc(func() { close(asked); <-answer })
			o := Options{Book: openBook(t, dir), Lines: []string{s.URL + "/hook"}}
			n := alarm("Crash", "vm", "critical")
			_, stop := start(t, o, n)
			<-asked // the receiver has it, and has not answered
			o.Book, dir = killed(t, dir)
			close(answer)
			stop()

			slow := fast
			slow.GroupWait = time.Hour
			o.Times = slow
			n.Started = time.Now().Add(time.Hour) // so that it waits for its group
			r, stop := start(t, o, n)
			if endsMeanwhile {
				put(t, r, over(n))
			}
			o.Book, _ = killed(t, dir)
			stop()
			had := s.count("firing Crash")

			o.Times = fast
			_, _ = start(t, o, over(n))
			eventually(t, "the end", func() bool { return s.count("resolved Crash") > 0 })
			if n := s.count("firing Crash"); n != had {
				t.Errorf("told %d times that it fires, and %d times at the end", had, n)
			}
		})
	}
}

func TestSilenceHoldsBackAndSurvives(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	dir := t.TempDir()
	o := Options{Book: openBook(t, dir), Lines: []string{s.URL + "/hook"}}
	r, stop := start(t, o)
	id, err := r.Silence(t.Context(), []string{`host="vm"`, `workload=~"shop/.*"`}, time.Now().Add(time.Hour), "me", "maintenance")
	if err != nil {
		t.Fatal(err)
	}
	n := alarm("Crash", "vm", "critical")
	put(t, r, n)
	beat(t, r, s, "Marker")
	o.Book, _ = killed(t, dir)
	stop()
	r, _ = start(t, o, n)
	beat(t, r, s, "Marker2")
	if got := s.without("Marker", "Marker2"); got != "" {
		t.Errorf("silenced, and sent: %s", got)
	}
	if got := r.SilencedBy(n.Labels); !slices.Equal(got, []string{id}) {
		t.Errorf("silenced by %v, want %s", got, id)
	}
	list, err := r.Silences(t.Context())
	if err != nil || len(list) != 1 || list[0].State != "active" || !slices.Equal(list[0].Matchers, []string{`host="vm"`, `workload=~"shop/.*"`}) {
		t.Errorf("the silences are %+v, %v", list, err)
	}
	if err := r.Expire(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alarm after the silence", func() bool { return s.count("firing Crash") == 1 })
	for _, bad := range [][]string{nil, {"host"}, {`host=~"("`}} {
		if _, err := r.Silence(t.Context(), bad, time.Now().Add(time.Hour), "me", ""); err == nil {
			t.Errorf("the matchers %q were taken", bad)
		}
	}
	if _, err := r.Silence(t.Context(), []string{`a="b"`}, time.Now(), "me", ""); err == nil {
		t.Error("a silence that ends now was taken")
	}
}

// Alertmanager forgets what ends while it is silenced; the receiver would think for ever
// that it fires.
func TestEndWhileSilenced(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL}})
	n := alarm("Crash", "vm", "critical")
	put(t, r, n)
	eventually(t, "firing", func() bool { return s.count("firing Crash") == 1 })
	id, err := r.Silence(t.Context(), []string{`host="vm"`}, time.Now().Add(time.Hour), "me", "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, r, over(n))
	beat(t, r, s, "Marker")
	if s.count("resolved Crash") != 0 {
		t.Fatalf("silenced, and sent: %s", s.text())
	}
	if err := r.Expire(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end, after the silence", func() bool { return s.count("resolved Crash") == 1 })
	beat(t, r, s, "Marker2")
	if got := s.count("resolved Crash"); got != 1 {
		t.Errorf("the end was sent %d times", got)
	}
	eventually(t, "the end is forgotten", func() bool {
		for key := range r.o.Book.All(book.Notified) {
			if strings.HasPrefix(key, endedKey) {
				return false
			}
		}
		return true
	})
}

func TestAcknowledgedIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	times := fast
	times.RepeatCritical = 150 * time.Millisecond
	dir := t.TempDir()
	o := Options{Book: openBook(t, dir), Lines: []string{s.URL}, Times: times}
	r, stop := start(t, o)
	known, other := alarm("Known", "a", "critical"), alarm("Other", "b", "critical")
	put(t, r, known, other)
	eventually(t, "a repeat", func() bool { return s.count("firing Known") > 1 })
	if err := r.Acknowledge("Known-1", true); err != nil {
		t.Fatal(err)
	}
	had, beside := s.count("firing Known"), s.count("firing Other")
	eventually(t, "repeats of the other", func() bool { return s.count("firing Other") > beside+3 })
	o.Book, _ = killed(t, dir)
	stop()
	r, _ = start(t, o, known, other)
	beside = s.count("firing Other")
	eventually(t, "repeats of the other, after a kill", func() bool { return s.count("firing Other") > beside+3 })
	if got := s.count("firing Known"); got > had+1 { // one may have been under way
		t.Errorf("acknowledged, and repeated: %d, before %d", got, had)
	}
	put(t, r, over(known))
	eventually(t, "the end of an acknowledged one", func() bool { return s.count("resolved Known") == 1 })
	if got := o.Book.All(book.Acknowledged); len(got) != 0 {
		t.Errorf("after the end the acknowledgement is kept: %v", got)
	}
	if err := r.Acknowledge("nobody", true); err == nil {
		t.Error("an alarm that is none was acknowledged")
	}
	if err := r.Acknowledge("Other-1", true); err != nil {
		t.Error(err)
	}
	if err := r.Acknowledge("Other-1", false); err != nil {
		t.Error(err)
	}
}

func TestReceiverThatFailsAndRecovers(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	s.answers(func(w http.ResponseWriter) { // asked to wait, then failing
		if w.Header().Set("Retry-After", "0"); s.requests() == 1 {
			http.Error(w, "later", http.StatusTooManyRequests)
			return
		}
		http.Error(w, "no", http.StatusInternalServerError)
	})
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL + "/canary-in-the-path"}})
	put(t, r, alarm("Crash", "vm", "critical"))
	eventually(t, "the failure", func() bool {
		return strings.Contains(r.Receivers()[0].LastError, "500") && !r.Receivers()[0].FailingSince.IsZero()
	})
	if got := r.Receivers()[0].LastError; !strings.Contains(got, "500") || strings.Contains(got, "canary") {
		t.Errorf("the last error is %q", got)
	}
	s.answers(nil)
	eventually(t, "the message", func() bool { return s.count("firing Crash") == 1 })
	beat(t, r, s, "Marker")
	if got := s.count("firing Crash"); got != 1 {
		t.Errorf("it was sent %d times", got)
	}
	if got := r.Receivers()[0]; !got.FailingSince.IsZero() {
		t.Errorf("it is still failing: %+v", got)
	}
}

func TestSlowReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	slow, quick := newSink(t), newSink(t)
	release := make(chan struct{})
	slow.answers(func(http.ResponseWriter) { <-release })
	t.Cleanup(func() { close(release) })
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{slow.URL, quick.URL}})
	n := alarm("Crash", "vm", "critical")
	put(t, r, n)
	eventually(t, "the slow one was asked", func() bool { return slow.requests() > 0 })
	eventually(t, "the quick one", func() bool { return quick.count("firing Crash") == 1 })
	put(t, r, over(n))
	eventually(t, "the end at the quick one", func() bool { return quick.count("resolved Crash") == 1 })
	if slow.requests() != 1 {
		t.Errorf("the slow one was asked %d times, while it blocks", slow.requests())
	}
}

func TestInfoGoesToNobody(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL}})
	n := alarm("JobFailed", "vm", "info")
	put(t, r, n)
	beat(t, r, s, "Marker")
	put(t, r, over(n))
	beat(t, r, s, "Marker2")
	if got := s.without("Marker", "Marker2"); got != "" {
		t.Errorf("severity info was sent: %s", got)
	}
}

func TestQuietHours(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	now := time.Now()
	hours := now.Add(-time.Hour).Format("15:04") + "-" + now.Add(time.Hour).Format("15:04")
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL}, QuietHours: hours})
	put(t, r, alarm("Paused", "vm", "warning"), alarm("Crash", "vm", "critical"))
	beat(t, r, s, "Marker")
	if got, want := s.without("Marker"), "firing Crash"; got != want {
		t.Errorf("in the quiet hours %s it sent %q, want %q", hours, got, want)
	}
	for text, want := range map[string]string{"22:00-07:00": "1320-1440 0-420", "00:00-06:30": "0-390", "22:00-24:00": "1320-1440", "23:00-00:00": "1380-1440", "24:00-07:00": "0-420"} {
		q, err := quietHours(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, one := range q.Times {
			got = append(got, fmt.Sprintf("%d-%d", one.StartMinute, one.EndMinute))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
	for _, bad := range []string{"22-7", "22:00", "25:00-07:00", "22:60-07:00", "22:00-22:00", "a:b-c:d", "22:0-07:00"} {
		if _, err := quietHours(bad); err == nil || !strings.Contains(err.Error(), "22:00-07:00") {
			t.Errorf("%s: %v, want an error that says what to write", bad, err)
		}
	}
}

// What fires again at the same place, with a start before its own last end, fires.
func TestFiresAgain(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{s.URL}})
	n := alarm("Crash", "vm", "critical")
	put(t, r, n)
	eventually(t, "firing", func() bool { return s.count("firing Crash") == 1 })
	put(t, r, over(n))
	eventually(t, "resolved", func() bool { return s.count("resolved Crash") == 1 })
	n.Started = began.Add(time.Second)
	put(t, r, n)
	eventually(t, "firing again", func() bool { return s.count("firing Crash") == 2 })
}

// call asks API v2 as amtool does.
func call(t *testing.T, r *Router, method, path, body string) (int, string) {
	t.Helper()
	q := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	q.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.APIv2().ServeHTTP(w, q)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func TestAPIv2(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	b := openBook(t, t.TempDir())
	r, stop := start(t, Options{Book: b, Lines: []string{s.URL + "/canary-path"}})
	put(t, r, alarm("Crash", "vm", "critical"))
	eventually(t, "firing", func() bool { return s.count("firing Crash") == 1 })

	code, text := call(t, r, "GET", "/api/v2/alerts?filter=host%3D%22vm%22", "")
	if code != 200 || !strings.Contains(text, `"Crash"`) {
		t.Errorf("alerts: %d %s", code, text)
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	code, text = call(t, r, "POST", "/api/v2/silences", `{"matchers":[{"name":"host","value":"vm","isRegex":false,"isEqual":true}],"startsAt":"`+
		time.Now().UTC().Format(time.RFC3339Nano)+`","endsAt":"`+until+`","createdBy":"amtool","comment":"c"}`)
	var made struct{ SilenceID string }
	if err := json.Unmarshal([]byte(text), &made); err != nil || code != 200 || made.SilenceID == "" {
		t.Fatalf("add a silence: %d %s", code, text)
	}
	if got := b.All(book.Silences); len(got) != 1 {
		t.Errorf("the book has %d silences", len(got))
	}
	code, text = call(t, r, "GET", "/api/v2/silences", "")
	if code != 200 || !strings.Contains(text, made.SilenceID) || !strings.Contains(text, `"state":"active"`) {
		t.Errorf("list silences: %d %s", code, text)
	}
	if _, text = call(t, r, "GET", "/api/v2/alerts", ""); !strings.Contains(text, `"suppressed"`) {
		t.Errorf("the silenced alert is %s", text)
	}
	if code, text = call(t, r, "DELETE", "/api/v2/silence/"+made.SilenceID, ""); code != 200 {
		t.Errorf("expire a silence: %d %s", code, text)
	}
	if _, text = call(t, r, "GET", "/api/v2/silences", ""); !strings.Contains(text, `"expired"`) {
		t.Errorf("after the end: %s", text)
	}
	code, text = call(t, r, "POST", "/api/v2/alerts", `[{"labels":{"alertname":"FromAPI","host":"x","severity":"critical"}}]`)
	if code != 200 {
		t.Errorf("post an alert: %d %s", code, text)
	}
	eventually(t, "the posted alert", func() bool { return s.count("firing FromAPI") == 1 })
	for _, path := range []string{"/api/v2/status", "/api/v2/receivers", "/api/v2/alerts/groups"} {
		if code, text := call(t, r, "GET", path, ""); code != 200 || strings.Contains(text, "canary") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	if code, _ := call(t, r, "POST", "/api/v2/alerts", `[{"labels":{"alertname":"`+strings.Repeat("x", 2<<20)+`"}}]`); code < 400 {
		t.Errorf("2 MiB were taken: %d", code)
	}
	stop()
	if code, _ := call(t, r, "GET", "/api/v2/alerts", ""); code != 503 {
		t.Errorf("after the end it answers %d, want 503", code)
	}
	if err := r.Put(t.Context(), alarm("Late", "vm", "critical")); err == nil {
		t.Error("after the end an alarm was taken")
	}
}

// A file of Alertmanager's holds as it would there, behind the lines.
func TestFile(t *testing.T) {
	t.Parallel()
	line, file, rest := newSink(t), newSink(t), newSink(t)
	name := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, name, `
route:
  receiver: rest
  group_wait: 10ms
  group_interval: 100ms
  routes:
    - receiver: team
      matchers: [ 'host="vm"' ]
receivers:
  - name: rest
    webhook_configs: [ { url: "`+rest.URL+`/canary-of-the-file" } ]
  - name: team
    webhook_configs: [ { url: "`+file.URL+`" } ]
`)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{line.URL}, File: name})
	put(t, r, alarm("Crash", "vm", "critical"), alarm("Info", "elsewhere", "info"))
	eventually(t, "the line", func() bool { return line.text() == "firing Crash" })
	eventually(t, "the file's route", func() bool { return file.text() == "firing Crash" })
	eventually(t, "the file's root", func() bool { return rest.text() == "firing Info" })
	got := r.Receivers()
	if len(got) != 3 || got[0].File || !got[1].File || got[1].Kind != "webhook" {
		t.Errorf("the receivers are %+v", got)
	}
	rest.answers(func(w http.ResponseWriter) { http.Error(w, "see /canary-of-the-file", http.StatusForbidden) })
	if _, err := r.Test(t.Context(), 2); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the test of a receiver that refuses: %v", err)
	}
	if answer, err := r.Test(t.Context(), 1); err != nil || !strings.Contains(answer, "took it") {
		t.Errorf("the test of the line: %q, %v", answer, err)
	}
	if line.count("firing TallymanTest") != 1 {
		t.Errorf("the line got %s", line.text())
	}
	if _, err := r.Test(t.Context(), 4); err == nil {
		t.Error("a receiver that is none was tested")
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatNewRefuses(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.yml")
	write(t, bad, "route: {receiver: none}\n")
	worse := filepath.Join(t.TempDir(), "worse.yml")
	write(t, worse, "route: {receiver: a, group_wait: 1s, continue: canary}\nreceivers: [{name: a, webhook_configs: [{url: 'https://a.example/canary', max_alerts: canary}]}]\n")
	for want, o := range map[string]Options{
		"receiver 2: ntfy":            {Lines: []string{"https://a.example/x", "ntfy://"}},
		"receiver 1: its scheme":      {Lines: []string{"canary-scheme://a"}},
		"same as receiver 1":          {Lines: []string{"https://a.example/canary", "https://a.example/canary"}},
		"22:00-07:00":                 {QuietHours: "always"},
		"undefined receiver":          {File: bad},
		"read Alertmanager's config":  {File: bad + "-that-is-not-there"},
		"a value into":                {File: worse},
		"101 receivers are too many;": {Lines: slices.Repeat([]string{"https://a.example"}, 101)},
	} {
		o.Book, o.Log = openBook(t, t.TempDir()), slog.New(slog.DiscardHandler)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// Receivers keep their names when a line is put before them: the notification log knows
// them by name. And what is being sent when it is told to stop is noted.
func TestNamesStay(t *testing.T) {
	t.Parallel()
	s, first := newSink(t), newSink(t)
	dir := t.TempDir()
	o := Options{Book: openBook(t, dir), Lines: []string{s.URL}}
	n := alarm("Crash", "vm", "critical")
	_, stop := start(t, o, n)
	eventually(t, "firing", func() bool { return s.count("firing Crash") == 1 })
	stop()
	o.Book, o.Lines = openBook(t, dir), []string{first.URL, s.URL}
	r, _ := start(t, o, n)
	eventually(t, "the new one", func() bool { return first.count("firing Crash") == 1 })
	beat(t, r, s, "Marker")
	if s.count("firing Crash") != 1 {
		t.Errorf("the old one was told again: %s", s.text())
	}
}

// Another Alertmanager is told at once and each minute; silences here do not matter.
func TestForward(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var alerts []struct {
			Labels map[string]string
			EndsAt time.Time
		}
		if err := json.NewDecoder(q.Body).Decode(&alerts); err != nil || q.URL.Path != "/api/v2/alerts" {
			t.Errorf("%s: %v", q.URL, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, a := range alerts {
			state := "fires"
			if !a.EndsAt.After(time.Now()) {
				state = "ended"
			} else if d := time.Until(a.EndsAt); a.Labels["alertname"] == "Crash" && (d < 3*time.Minute || d > 4*time.Minute) {
				t.Errorf("it ends in %s", d)
			}
			got = append(got, a.Labels["alertname"]+" "+state)
		}
	}))
	t.Cleanup(other.Close)
	r, _ := start(t, Options{Book: openBook(t, t.TempDir()), Lines: []string{"alertmanager+" + other.URL}})
	n := alarm("Crash", "vm", "critical")
	put(t, r, n, alarm("Info", "vm", "info"))
	has := func(what string) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return slices.Contains(got, what) }
	}
	eventually(t, "firing", has("Crash fires"))
	put(t, r, over(n))
	eventually(t, "ended", has("Crash ended"))
	if has("Info fires")() {
		t.Error("severity info was forwarded")
	}
	if answer, err := r.Test(t.Context(), 1); err != nil {
		t.Errorf("the test: %q, %v", answer, err)
	}
	eventually(t, "the numbers", func() bool { return r.Receivers()[0].Sent >= 2 })
}
