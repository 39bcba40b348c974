// SPDX-License-Identifier: Apache-2.0

package forwardtest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/forward/spool"
)

// SampleForwarder is what the suite of samples is about.
type SampleForwarder struct {
	// New makes one that reads samples under the name forwardtest.Name, posts to url, and has
	// short pauses and little patience.
	New func(t *testing.T, url string, r *spool.Reader) (run func(context.Context) error, counts func() Counts)
	// Decode gives a line for each sample of a request: SampleLine for those of the suite.
	Decode func(*http.Request, []byte) ([]string, error)
	// Halves says that after a 4xx it sends halves.
	Halves bool
}

// SampleLine is how a sample of the suite is written: of the series m_bytes_total{n="i"}.
func SampleLine(n string, milliseconds int64, value float64) string {
	return fmt.Sprintf("sample %s %d %v", n, milliseconds, value)
}

const (
	sampleTicks  = 4
	sampleSeries = 8
)

// Desc and Host are those of the suite's samples.
var (
	Desc = &tallyman.Desc{Name: "m_bytes_total", Help: "Size of what is counted", Unit: "bytes", Type: tallyman.Counter}
	Host = &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Job: "node", Instance: "h:1"}
)

// NewSpool makes a spool, until the test ends, and a reader of it for Name.
func NewSpool(t *testing.T) (*spool.Spool, *spool.Reader) {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader(Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, r
}

// TestSamples holds a forwarder of samples over HTTP to what docs/forwarding.md promises.
func TestSamples(t *testing.T, f SampleForwarder) {
	const n = sampleTicks * sampleSeries
	begin := time.Now().Add(-time.Minute).UnixMilli()
	line := func(tick, i int) string {
		return SampleLine(fmt.Sprint(i), begin+int64(tick)*1000, float64(100*tick+i))
	}
	has := func(tick, i int) func([]string) bool {
		return func(got []string) bool { return slices.Contains(got, line(tick, i)) }
	}
	over := func(most int) func([]string) bool { return func(got []string) bool { return len(got) > most } }
	for _, c := range []struct {
		name    string
		answers []Answer
		refused int
		without string // the line that is refused
		most    int    // requests, 0 for any number
	}{
		{name: "204", answers: []Answer{Take}, most: 2},
		{name: "no connection, 5xx, 408, 429", answers: []Answer{Cut(false), Status(500), Status(503), Status(408), RetryAfter(429, "0", ""), Take}},
		{name: "taken, and the answer lost", answers: []Answer{Cut(true), Take}},
		{name: "401, 403, 404, 302", answers: []Answer{Status(401), Status(403), Status(404), Status(302), Take}},
		{name: "400", answers: []Answer{Status(400), Take}, refused: n},
		{name: "413", answers: []Answer{Unless(over(3), Status(413))}},
		{name: "413 for one", answers: []Answer{Unless(has(1, 1), Status(413))}, refused: 1, without: line(1, 1)},
		{name: "500 for one", answers: []Answer{Unless(has(2, 3), Status(500))}, refused: 1, without: line(2, 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if f.Halves && c.refused == n {
				c.refused = 0 // the halves are taken
			}
			s, r := NewSpool(t)
			var series []*tallyman.Series
			for i := range sampleSeries {
				series = append(series, Host.Series(Desc, tallyman.Label{Name: "n", Value: fmt.Sprint(i)}))
			}
			var want []string
			for tick := range sampleTicks {
				b := &tallyman.Batch{Time: time.UnixMilli(begin + int64(tick)*1000)}
				for i, one := range series {
					b.Add(one, float64(100*tick+i))
					if l := line(tick, i); l != c.without && c.refused != n {
						want = append(want, l)
					}
				}
				if _, err := s.AppendSamples(b); err != nil {
					t.Fatal(err)
				}
			}
			server := NewServer(t, f.Decode, c.answers...)
			run, counts := f.New(t, server.URL, r)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- run(ctx) }()
			eventually(t, "all is read and answered", func() bool { return r.Stats().Waiting == 0 })
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			got := slices.DeleteFunc(server.Lines(), func(l string) bool { return !strings.HasPrefix(l, "sample ") })
			slices.Sort(got)
			slices.Sort(want)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("%d arrived, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
			}
			if now := counts(); now != (Counts{Read: n, Sent: uint64(n - c.refused), Refused: uint64(c.refused)}) {
				t.Errorf("it counts %+v, want %d read and %d refused", now, n, c.refused)
			}
			if at := server.Requests(); c.most > 0 && len(at) > c.most {
				t.Errorf("there were %d requests, want %d", len(at), c.most)
			}
		})
	}
}
