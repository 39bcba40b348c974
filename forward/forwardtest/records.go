// SPDX-License-Identifier: Apache-2.0

package forwardtest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
)

// Counts are what a forwarder says of itself.
type Counts struct{ Read, Sent, Refused, Dropped uint64 }

// Forwarder is what the suite is about.
type Forwarder struct {
	// New makes one that reads a log under the name forwardtest.Name, posts to url, and has
	// short pauses and little patience.
	New func(t *testing.T, url string, log tallyman.RecordLog) (run func(context.Context) error, counts func() Counts)
	// Decode gives the lines of a request.
	Decode func(*http.Request, []byte) ([]string, error)
	// Halves says that after a 4xx it sends halves.
	Halves bool
}

// Name is that of the destination.
const Name = "suite"

var web = &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "web"}, {Name: "source", Value: "container"}}}

func line(i int) string { return fmt.Sprintf("line %05d", i) }

func fill(l *Log, from, to int) {
	for i := from; i < to; i++ {
		l.Append(web, tallyman.Record{Time: time.Now().UnixNano(), Line: []byte(line(i))})
	}
}

func lines(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, line(i))
	}
	return out
}

// ours are the lines of the log that were taken: a forwarder may send some of its own.
func ours(s *Server) []string {
	return slices.DeleteFunc(s.Lines(), func(l string) bool { return !strings.HasPrefix(l, "line ") })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so within a minute: %s", what)
		}
	}
}

// start runs a forwarder until stop.
func (f Forwarder) start(t *testing.T, url string, log tallyman.RecordLog) (counts func() Counts, stop func()) {
	t.Helper()
	run, counts := f.New(t, url, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return counts, stop
}

// TestRecords holds a forwarder of records over HTTP to what docs/forwarding.md promises.
func TestRecords(t *testing.T, f Forwarder) {
	const n = 40
	second := time.Now().Add(-24 * time.Hour)
	date := func(d time.Duration) string { return second.Add(d).UTC().Format(http.TimeFormat) }
	poison := func(bad ...int) func([]string) bool {
		return func(got []string) bool {
			return slices.ContainsFunc(bad, func(i int) bool { return slices.Contains(got, line(i)) })
		}
	}
	over := func(most int) func([]string) bool { return func(got []string) bool { return len(got) > most } }
	// All but refused lines arrive, repeats left out, in order.
	for _, c := range []struct {
		name    string
		answers []Answer
		refused int
		without []int
		between time.Duration // at least, the first two requests
		most    int           // requests, 0 for any number
		lines   int           // 0 for n
	}{
		{name: "204", answers: []Answer{Take}},
		{name: "no connection, 5xx, 408", answers: []Answer{Cut(false), Cut(false), Status(500), Status(502), Status(408), Take}},
		{name: "taken, and the answer lost", answers: []Answer{Cut(true), Take}},
		{name: "429", answers: []Answer{Status(429), Status(429), Take}},
		{name: "429 with seconds", answers: []Answer{RetryAfter(429, "1", ""), Take}, between: time.Second},
		{name: "429 with a date", answers: []Answer{RetryAfter(429, date(time.Second), date(0)), Take}, between: time.Second},
		{name: "429 with nonsense", answers: []Answer{RetryAfter(429, "tomorrow", ""), Take}},
		{name: "401, 403, 404, 302", answers: []Answer{Status(401), Status(403), Status(404), Status(302), Take}},
		{name: "slow", answers: []Answer{Slow(100*time.Millisecond, Take)}},
		{name: "half an answer", answers: []Answer{Half(500), Half(429), Half(204), Take}},
		{name: "the date is wrong", answers: []Answer{RetryAfter(204, "", date(0)), Take}, without: nil, refused: 0},
		{name: "400", answers: []Answer{Status(400), Take}, refused: n, most: 1},
		{name: "409", answers: []Answer{Status(409), Take}, refused: n, most: 1},
		{name: "413", answers: []Answer{Unless(over(3), Status(413))}},
		{name: "413 for one", answers: []Answer{Unless(poison(7), Status(413))}, refused: 1, without: []int{7}},
		{name: "500 for one", answers: []Answer{Unless(poison(11), Status(500))}, refused: 1, without: []int{11}},
		{name: "500 for the only one that there is", answers: []Answer{Unless(poison(0), Status(500))}, refused: 1, without: []int{0}, lines: 1},
		{name: "500 for some", answers: []Answer{Unless(poison(0, 1, n-1), Status(500))}, refused: 3, without: []int{0, 1, n - 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f.Halves && c.refused == n && c.most == 1 { // and the halves are taken
				c.refused, c.most = 0, 3
			}
			log := NewLog()
			if err := log.CommitMark(Name, 0); err != nil {
				t.Fatal(err)
			}
			n := cmp.Or(c.lines, n)
			fill(log, 0, n)
			s := NewServer(t, f.Decode, c.answers...)
			if c.name == "the date is wrong" {
				s.answers = []Answer{func(w http.ResponseWriter, l []string) bool { w.Header().Set("Date", date(0)); return Take(w, l) }}
			}
			counts, stop := f.start(t, s.URL, log)
			eventually(t, "all is read and answered", func() bool {
				mark, _ := log.Mark(Name)
				return mark == tallyman.Mark(n)
			})
			stop()
			got := ours(s)
			want := slices.DeleteFunc(lines(0, n), func(l string) bool {
				return c.refused == n || slices.ContainsFunc(c.without, func(i int) bool { return line(i) == l })
			})
			if unique := slices.Compact(slices.Sorted(slices.Values(got))); !slices.Equal(unique, want) {
				t.Errorf("got %d lines %v, want %d", len(unique), unique, len(want))
			}
			if now := counts(); now != (Counts{Read: uint64(n), Sent: uint64(n - c.refused), Refused: uint64(c.refused)}) {
				t.Errorf("it counts %+v, want %d read and %d refused", now, n, c.refused)
			}
			at := s.Requests()
			if c.between > 0 && at[1].Sub(at[0]) < c.between {
				t.Errorf("the second request came after %v, want %v", at[1].Sub(at[0]), c.between)
			}
			if c.most > 0 && len(at) > c.most {
				t.Errorf("there were %d requests, want %d", len(at), c.most)
			}
		})
	}
	t.Run("restart", func(t *testing.T) {
		log := NewLog()
		fill(log, 0, 10) // before the destination was known
		s := NewServer(t, f.Decode, Take)
		_, stop := f.start(t, s.URL, log)
		eventually(t, "it begins", func() bool { _, ok := log.Mark(Name); return ok })
		fill(log, 10, 30)
		eventually(t, "what came later is sent", func() bool { return len(ours(s)) >= 20 })
		stop()
		fill(log, 30, 50)
		_, stop = f.start(t, s.URL, log)
		eventually(t, "what came meanwhile is sent", func() bool { mark, _ := log.Mark(Name); return mark == 50 })
		stop()
		if got := slices.Compact(slices.Sorted(slices.Values(ours(s)))); !slices.Equal(got, lines(10, 50)) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("away for long", func(t *testing.T) {
		log := NewLog()
		if err := log.CommitMark(Name, 5); err != nil {
			t.Fatal(err)
		}
		fill(log, 0, 30)
		log.Drop(20)
		s := NewServer(t, f.Decode, Take)
		counts, stop := f.start(t, s.URL, log)
		eventually(t, "the rest is sent", func() bool { mark, _ := log.Mark(Name); return mark == 30 })
		stop()
		if got := ours(s); !slices.Equal(got, lines(20, 30)) || counts().Dropped != 15 {
			t.Errorf("got %s, and %d dropped", strings.Join(got, " "), counts().Dropped)
		}
	})
	t.Run("no answer at the end", func(t *testing.T) {
		log := NewLog()
		if err := log.CommitMark(Name, 0); err != nil {
			t.Fatal(err)
		}
		fill(log, 0, 3)
		s := NewServer(t, f.Decode, Status(503))
		_, stop := f.start(t, s.URL, log)
		eventually(t, "it is tried", func() bool { return len(s.Requests()) > 0 })
		stop()
		if mark, _ := log.Mark(Name); mark != 0 {
			t.Errorf("the mark is %d and nothing was taken", mark)
		}
	})
}
