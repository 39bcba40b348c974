// SPDX-License-Identifier: Apache-2.0

package promwrite

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decode gives a line for each sample, by the library's own decoder: version, labels, time
// and value.
func decode(r *http.Request, body []byte) (lines []string, err error) {
	plain, err := s2.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	if got := r.Header; got.Get("Content-Encoding") != "snappy" || got.Get("User-Agent") == "" || r.Method != http.MethodPost {
		return nil, fmt.Errorf("headers %v", got)
	}
	add := func(version int, l labels.Labels, t int64, v float64) {
		lines = append(lines, fmt.Sprint(version, " ", l, " ", t, " ", v))
		for i, before := range lines[:len(lines)-1] {
			if before == lines[len(lines)-1] {
				err = fmt.Errorf("line %d comes twice: %s", i, before)
			}
		}
	}
	var b labels.ScratchBuilder
	switch r.Header.Get("Content-Type") + " " + r.Header.Get("X-Prometheus-Remote-Write-Version") {
	case "application/x-protobuf 0.1.0":
		var m prompb.WriteRequest
		if err := m.Unmarshal(plain); err != nil {
			return nil, err
		}
		for _, s := range m.Timeseries {
			l := s.ToLabels(&b, nil)
			if dup, is := l.HasDuplicateLabelNames(); is {
				return nil, fmt.Errorf("label %s twice", dup)
			}
			for _, p := range s.Samples {
				add(1, l, p.Timestamp, p.Value)
			}
		}
	case "application/x-protobuf;proto=io.prometheus.write.v2.Request 2.0.0":
		var m writev2.Request
		if err := m.Unmarshal(plain); err != nil {
			return nil, err
		}
		for _, s := range m.Timeseries {
			l, err := s.ToLabels(&b, m.Symbols)
			if err != nil {
				return nil, err
			}
			for _, p := range s.Samples {
				add(2, l, p.Timestamp, p.Value)
			}
		}
	default:
		err = fmt.Errorf("headers %v", r.Header)
	}
	return lines, err
}

const (
	nTicks  = 4
	nSeries = 8
	all     = nTicks * nSeries
)

var (
	host  = &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Job: "node", Instance: "h:1"}
	desc  = &tallyman.Desc{Name: "m_bytes_total", Help: "Size of what is counted", Unit: "bytes", Type: tallyman.Counter}
	begin = time.Now().Add(-time.Minute).UnixMilli()
)

func makeSeries(n int) (out []*tallyman.Series) {
	for i := range n {
		out = append(out, host.Series(desc, tallyman.Label{Name: "n", Value: fmt.Sprint(i)}))
	}
	return out
}

func at(tick int) int64 { return begin + int64(tick)*1000 }

func line(tick, i int) string {
	return fmt.Sprintf(`{__name__="m_bytes_total", instance="h:1", job="node", n="%d"} %d %v`, i, at(tick), 100*tick+i)
}

// has reports whether one of the lines is of a tick, or of a series; -1 is any.
func has(lines []string, tick, i int) bool {
	return slices.ContainsFunc(lines, func(l string) bool {
		return (tick < 0 || strings.Contains(l, fmt.Sprintf("} %d ", at(tick)))) && (i < 0 || strings.Contains(l, fmt.Sprintf(`n="%d"`, i)))
	})
}

// modern is a receiver of 2.0 that takes all, old one of 1.0.
func modern(w http.ResponseWriter, lines []string) bool {
	if len(lines) > 0 && lines[0][0] == '2' {
		w.Header().Set(written, fmt.Sprint(len(lines)))
	}
	return forwardtest.Take(w, lines)
}

func old(a forwardtest.Answer) forwardtest.Answer {
	return func(w http.ResponseWriter, lines []string) bool {
		if len(lines) > 0 && lines[0][0] == '2' {
			w.WriteHeader(http.StatusNoContent) // and stores nothing
			return false
		}
		return a(w, lines)
	}
}

// say answers with a status and a text.
func say(code int, text string) forwardtest.Answer {
	return func(w http.ResponseWriter, _ []string) bool { http.Error(w, text, code); return false }
}

type run struct {
	spool  *spool.Spool
	sender *Sender
	lines  []string
	bare   []string // without the version, without repeats, sorted
	times  []time.Time
}

// sendAll sends what fill puts into a spool, until all is answered.
func sendAll(t *testing.T, o Options, fill func(*spool.Spool), answers ...forwardtest.Answer) run {
	t.Helper()
	server := forwardtest.NewServer(t, decode, answers...)
	sp, err := spool.Open(spool.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	if o.Reader, err = sp.Reader("to"); err != nil {
		t.Fatal(err)
	}
	fill(sp)
	if o.Client, err = send.New(send.Options{URL: secret.Text(server.URL)}); err != nil {
		t.Fatal(err)
	}
	o.Name, o.Host, o.Gather, o.patience = "to", "h", time.Millisecond, 30*time.Millisecond
	o.Line = send.LineOptions{Least: time.Millisecond, Hold: 5 * time.Millisecond}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	end := time.Now().Add(time.Minute)
	for s.Stats().Waiting > 0 && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	out := run{spool: sp, sender: s, lines: server.Lines(), times: server.Requests()}
	for _, l := range out.lines {
		out.bare = append(out.bare, l[2:])
	}
	slices.Sort(out.bare)
	out.bare = slices.Compact(out.bare)
	return out
}

func readOf(s *Sender) int {
	read, _, _ := s.ledger.Counts()
	return int(read)
}

func mendOf(reason string) string {
	for _, r := range reasons {
		if r.Name == reason {
			return r.Mend
		}
	}
	return ""
}

func ticks(n, of int) func(*spool.Spool) {
	return func(s *spool.Spool) {
		series := makeSeries(of)
		for tick := range n {
			b := &tallyman.Batch{Time: time.UnixMilli(at(tick))}
			for i, one := range series {
				b.Add(one, float64(100*tick+i))
			}
			if _, err := s.AppendSamples(b); err != nil {
				panic(err)
			}
		}
	}
}

// Each kind of answer, after that to the question for the date.
func TestAnswers(t *testing.T) {
	unless := func(tick, i int, a forwardtest.Answer) forwardtest.Answer {
		return forwardtest.Unless(func(lines []string) bool { return has(lines, tick, i) }, a)
	}
	over := func(most int) func([]string) bool { return func(got []string) bool { return len(got) > most } }
	date := func(d time.Duration, a forwardtest.Answer) forwardtest.Answer {
		return func(w http.ResponseWriter, lines []string) bool {
			w.Header().Set("Date", time.Now().Add(d).UTC().Format(http.TimeFormat))
			return a(w, lines)
		}
	}
	two := func(status, taken int) forwardtest.Answer {
		return func(w http.ResponseWriter, lines []string) bool {
			w.Header().Set(written, fmt.Sprint(taken))
			http.Error(w, "out of order sample", status)
			return true
		}
	}
	now := time.Now()
	later := []string{now.Add(time.Second).UTC().Format(http.TimeFormat), now.UTC().Format(http.TimeFormat)}
	first := forwardtest.Answer(forwardtest.Take)
	for _, c := range []struct {
		name    string
		answers []forwardtest.Answer
		without func(tick, i int) bool
		refused int
		reason  string
		version byte
		most    int           // requests, with the one for the date; 0 for any number
		between time.Duration // the second request and the third, at least
		ticks   int           // of one series, in place of all
	}{
		{name: "2.0", answers: []forwardtest.Answer{first, modern}, version: '2', most: 2},
		{name: "1.0 that says 204 to 2.0", answers: []forwardtest.Answer{first, old(forwardtest.Take)}, version: '1', most: 3},
		{name: "415", answers: []forwardtest.Answer{first, forwardtest.Status(415), forwardtest.Take}, version: '1', most: 3},
		{name: "400 to 2.0 without the header", answers: []forwardtest.Answer{first, forwardtest.Status(400), forwardtest.Take}, version: '1', most: 3},
		{name: "no connection, 5xx, 408", answers: []forwardtest.Answer{forwardtest.Cut(false), first, forwardtest.Cut(false), forwardtest.Status(502), forwardtest.Status(503), forwardtest.Status(408), modern}, version: '2'},
		{name: "500 for all", answers: append(append([]forwardtest.Answer{first}, slices.Repeat([]forwardtest.Answer{forwardtest.Status(500)}, 12)...), modern), version: '2'},
		{name: "taken, and the answer lost", answers: []forwardtest.Answer{first, forwardtest.Cut(true), modern}, version: '2'},
		{name: "429 with seconds", answers: []forwardtest.Answer{first, forwardtest.RetryAfter(429, "1", ""), modern}, version: '2', between: time.Second, most: 3},
		{name: "503 with a date", answers: []forwardtest.Answer{first, forwardtest.RetryAfter(503, later[0], later[1]), modern}, version: '2', between: time.Second, most: 3},
		{name: "401, 403, 404, 302", answers: []forwardtest.Answer{forwardtest.Status(401), first, forwardtest.Status(401), forwardtest.Status(403), forwardtest.Status(404), forwardtest.Status(302), modern}, version: '2'},
		{name: "2.0 and 400: nothing again", answers: []forwardtest.Answer{first, two(400, all-3)}, refused: 3, reason: outOfOrder, version: '2', most: 2},
		{name: "2.0 and 400, all taken: one at least", answers: []forwardtest.Answer{first, two(400, all)}, refused: 1, reason: outOfOrder, version: '2', most: 2},
		{name: "2.0 and 200 for some", answers: []forwardtest.Answer{first, two(200, all-2)}, refused: 2, reason: outOfOrder, version: '2', most: 2},
		{name: "1.0 and 400 for a tick", answers: []forwardtest.Answer{old(unless(0, -1, say(400, "out of bounds")))}, without: func(tick, _ int) bool { return tick == 0 }, refused: nSeries, reason: tooOld, version: '1'},
		{name: "1.0 and 400 for a series", answers: []forwardtest.Answer{old(unless(-1, 5, say(400, "duplicate sample for timestamp")))}, without: func(_, i int) bool { return i == 5 }, refused: nTicks, reason: duplicate, version: '1', most: 3 + 64},
		{name: "1.0 and 400 for one", answers: []forwardtest.Answer{old(unless(2, 3, say(400, "")))}, without: func(tick, i int) bool { return tick == 2 && i == 3 }, refused: 1, reason: send.Otherwise, version: '1'},
		{name: "1.0 and 400 for all", answers: []forwardtest.Answer{first, old(say(400, "out of order sample"))}, without: func(int, int) bool { return true }, refused: all, reason: outOfOrder, most: 3 + 64},
		{name: "1.0 and 400 for one series", answers: []forwardtest.Answer{first, old(say(400, "label"))}, without: func(int, int) bool { return true }, refused: 3, reason: badLabels, most: 3, ticks: 3},
		{name: "1.0 and 409", answers: []forwardtest.Answer{first, old(say(409, "out of bounds"))}, without: func(int, int) bool { return true }, refused: all, reason: tooOld, most: 3},
		{name: "1.0 and 422", answers: []forwardtest.Answer{first, old(say(422, "limit exceeded"))}, without: func(int, int) bool { return true }, refused: all, reason: limit, most: 3},
		{name: "413", answers: []forwardtest.Answer{forwardtest.Unless(over(3), forwardtest.Status(413))}, version: '1'},
		{name: "413 for one", answers: []forwardtest.Answer{old(unless(1, 1, forwardtest.Status(413)))}, without: func(tick, i int) bool { return tick == 1 && i == 1 }, refused: 1, reason: send.TooLarge, version: '1'},
		{name: "500 for what is old", answers: []forwardtest.Answer{old(unless(1, -1, say(500, "too old sample")))}, without: func(tick, _ int) bool { return tick == 1 }, refused: nSeries, reason: tooOld, version: '1'},
		{name: "a clock an hour behind ours", answers: []forwardtest.Answer{date(-time.Hour, modern)}, without: func(int, int) bool { return true }, refused: all, reason: tooNew, most: 1},
		{name: "a clock four minutes behind ours", answers: []forwardtest.Answer{date(-4*time.Minute, modern)}, version: '2', most: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, of := nTicks, nSeries
			if c.ticks > 0 {
				n, of = c.ticks, 1
			}
			got := sendAll(t, Options{}, ticks(n, of), c.answers...)
			var want []string
			for tick := range n {
				for i := range of {
					if c.without == nil || !c.without(tick, i) {
						want = append(want, line(tick, i))
					}
				}
			}
			slices.Sort(want)
			if bare := slices.DeleteFunc(got.bare, func(l string) bool { return strings.Contains(l, "tallyman_forward_probe") }); !slices.Equal(bare, want) {
				t.Errorf("%d arrived, want %d:\n%s", len(bare), len(want), strings.Join(bare, "\n"))
			}
			st := got.sender.Stats()
			if int(st.Refused) != c.refused || int(st.Sent) != n*of-c.refused || st.Waiting != 0 || readOf(got.sender) != n*of {
				t.Errorf("%+v, want %d refused of %d", st, c.refused, n*of)
			}
			_, _, refused := got.sender.ledger.Counts()
			for reason, count := range refused {
				if reason != c.reason && count > 0 {
					t.Errorf("%d for the reason %s, want %s", count, reason, c.reason)
				}
			}
			if c.refused > 0 && (st.Refusal == "" || st.Mend != mendOf(c.reason)) {
				t.Errorf("it says %q, %q", st.Refusal, st.Mend)
			}
			if c.version != 0 && len(got.lines) > 0 && got.lines[len(got.lines)-1][0] != c.version {
				t.Errorf("the last was %s, want remote write %c", got.lines[len(got.lines)-1], c.version)
			}
			most := c.most
			if got.sender.version == 1 {
				most++ // the one with metadata
			}
			if c.most > 0 && len(got.times) > most {
				t.Errorf("%d requests, want %d", len(got.times), most)
			}
			if c.between > 0 && got.times[2].Sub(got.times[1]) < c.between {
				t.Errorf("the third request came after %v, want %v", got.times[2].Sub(got.times[1]), c.between)
			}
		})
	}
}

// After a while 2.0 is asked for again.
func TestAskedAgain(t *testing.T) {
	var requests atomic.Int32
	answer := func(w http.ResponseWriter, lines []string) bool {
		if requests.Add(1) <= 3 {
			return old(forwardtest.Take)(w, lines)
		}
		return modern(w, lines)
	}
	got := sendAll(t, Options{again: time.Nanosecond}, ticks(12, 2), answer)
	if got.lines[0][0] != '1' || got.lines[len(got.lines)-1][0] != '2' {
		t.Errorf("%s", strings.Join(got.lines, "\n"))
	}
}

// With a version that is set no other is tried; 2.0 without its header counts as nothing.
func TestProtocol(t *testing.T) {
	if got := sendAll(t, Options{Protocol: 1}, ticks(3, 2), modern); got.lines[0][0] != '1' || got.lines[len(got.lines)-1][0] != '1' || len(got.bare) != 6 {
		t.Errorf("%s", strings.Join(got.lines, "\n"))
	}
	var requests atomic.Int32
	got := sendAll(t, Options{Protocol: 2}, ticks(3, 2), func(w http.ResponseWriter, lines []string) bool {
		if requests.Add(1) <= 4 {
			return old(forwardtest.Take)(w, lines)
		}
		return modern(w, lines)
	})
	if st := got.sender.Stats(); got.lines[0][0] != '2' || len(got.bare) != 6 || st.Sent != 6 || st.Refused != 0 {
		t.Errorf("%s, %+v", strings.Join(got.lines, "\n"), st)
	}
}

// What the settings choose goes out; a series that has ended gets a stale marker.
func TestChoice(t *testing.T) {
	other := &tallyman.Desc{Name: "other", Type: tallyman.Gauge}
	fill := func(s *spool.Spool) {
		series := append(makeSeries(1), host.Series(other, tallyman.Label{Name: "dc", Value: "own"}), host.Series(&tallyman.Desc{Name: "other_dropped"}), host.Series(&tallyman.Desc{Name: "third"}))
		for tick := range 6 {
			b := &tallyman.Batch{Time: time.UnixMilli(begin - begin%2000 + int64(tick)*1000)}
			for _, one := range series {
				b.Add(one, float64(tick))
			}
			if _, err := s.AppendSamples(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.EndSeries(time.UnixMilli(begin), series[:1]); err != nil {
			t.Fatal(err)
		}
	}
	got := sendAll(t, Options{External: []tallyman.Label{{Name: "dc", Value: "fra"}}, SampleOptions: send.SampleOptions{Keep: []string{"m_*", "other*"}, Drop: []string{"*_dropped"}, Every: 2 * time.Second}}, fill, modern)
	from := begin - begin%2000
	var want []string
	for tick := int64(0); tick < 6; tick += 2 {
		want = append(want, fmt.Sprintf(`{__name__="m_bytes_total", dc="fra", instance="h:1", job="node", n="0"} %d %d`, from+tick*1000, tick),
			fmt.Sprintf(`{__name__="other", dc="own", instance="h:1", job="node"} %d %d`, from+tick*1000, tick))
	}
	want = append(want, fmt.Sprintf(`{__name__="m_bytes_total", dc="fra", instance="h:1", job="node", n="0"} %d NaN`, begin))
	slices.Sort(want)
	if !slices.Equal(got.bare, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got.bare, "\n"), strings.Join(want, "\n"))
	}
	client, err := send.New(send.Options{URL: "https://h"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Client: client, SampleOptions: send.SampleOptions{Keep: []string{"["}}}); err == nil || !strings.Contains(err.Error(), "container_*") {
		t.Errorf("got %v", err)
	}
}

// 1.0 is told type, unit and help in a request without samples.
func TestMetadata(t *testing.T) {
	e := newEncoder(nil)
	of := []*series{e.series(&spool.Series{Name: "a_total", Help: "Help", Unit: "bytes", Type: tallyman.Counter}), e.series(&spool.Series{Name: "b", Type: tallyman.Gauge})}
	plain, err := s2.Decode(nil, e.metadata(of))
	var m prompb.WriteRequest
	if err == nil {
		err = m.Unmarshal(plain)
	}
	if err != nil || len(m.Timeseries) != 0 || len(m.Metadata) != 2 {
		t.Fatalf("%+v %v", m, err)
	}
	if a, b := m.Metadata[0], m.Metadata[1]; a.MetricFamilyName != "a_total" || a.Type != prompb.MetricMetadata_COUNTER || a.Help != "Help" || a.Unit != "bytes" || b.MetricFamilyName != "b" || b.Type != prompb.MetricMetadata_GAUGE {
		t.Errorf("%+v", m.Metadata)
	}
	var told atomic.Int32
	got := sendAll(t, Options{Protocol: 1}, ticks(3, 2), func(w http.ResponseWriter, lines []string) bool {
		if len(lines) == 0 && told.Add(1) > 1 { // the first asks for the date
			w.WriteHeader(http.StatusBadRequest)
			return false
		}
		return forwardtest.Take(w, lines)
	})
	if st := got.sender.Stats(); told.Load() != 2 || st.Sent != 6 || st.Refused != 0 {
		t.Errorf("told %d times, %+v", told.Load(), st)
	}
}

// Beside the samples 2.0 has type, help, unit and start; a table of symbols that is kept
// fits as well as one made anew.
func TestEncode(t *testing.T) {
	e := newEncoder(nil)
	one := e.series(&spool.Series{Name: "a_total", Help: "Help", Unit: "bytes", Type: tallyman.Counter, Start: 50, Labels: []tallyman.Label{{Name: "z", Value: "1"}}})
	two := e.series(&spool.Series{Name: "b", Type: tallyman.Gauge})
	stale := math.Float64frombits(0x7ff0000000000002)
	points := []point{{Series: one, Time: 40, Value: 1.5}, {Series: two, Time: 40, Value: -1}, {Series: one, Time: 60}, {Series: two, Time: 60, Value: stale}}
	for range 3 {
		for _, part := range []bool{false, true} {
			plain, err := s2.Decode(nil, e.encode(points, 2, part))
			if err != nil {
				t.Fatal(err)
			}
			var m writev2.Request
			if err := m.Unmarshal(plain); err != nil || len(m.Timeseries) != 2 || m.Symbols[0] != "" {
				t.Fatalf("%+v %v", m, err)
			}
			a, b := m.Timeseries[0], m.Timeseries[1]
			if a.Metadata.Type != writev2.Metadata_METRIC_TYPE_COUNTER || m.Symbols[a.Metadata.HelpRef] != "Help" || m.Symbols[a.Metadata.UnitRef] != "bytes" || b.Metadata.Type != writev2.Metadata_METRIC_TYPE_GAUGE {
				t.Errorf("%+v %+v", a.Metadata, b.Metadata)
			}
			if s := a.Samples; len(s) != 2 || s[0].StartTimestamp != 0 || s[1].StartTimestamp != 50 || s[0].Value != 1.5 || s[1].Timestamp != 60 {
				t.Errorf("%+v", s)
			}
			if math.Float64bits(b.Samples[1].Value) != math.Float64bits(stale) {
				t.Error("the stale marker is another number")
			}
		}
	}
	if n := len(e.texts); n > 50 {
		t.Errorf("%d bytes of symbols, want those of one table", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, version := range []int{1, 2} {
		b.Run(fmt.Sprint(version), func(b *testing.B) {
			e := newEncoder(nil)
			var points []point
			for i := range 6000 {
				s := &spool.Series{Name: fmt.Sprintf("container_metric_%d_total", i%60), Help: "Help of it", Type: tallyman.Counter}
				for _, l := range []string{"container_label_com_docker_compose_project", "host", "id", "image", "instance", "job", "name", "source", "workload"} {
					s.Labels = append(s.Labels, tallyman.Label{Name: l, Value: fmt.Sprintf("%s-of-container-%040d", l, i/60)})
				}
				points = append(points, point{Series: e.series(s), Time: 1000, Value: float64(i * 12345)})
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range points {
					points[i].Time += 10_000
				}
				n += len(e.encode(points, version, false))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(points)), "ns/sample")
			b.ReportMetric(float64(n)/float64(b.N*len(points)), "B/sample")
		})
	}
}
