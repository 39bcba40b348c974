// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman"
)

// generator makes lines as containers write them: access logs, JSON, application
// lines and logfmt, a quarter of the streams each, with random ids, which is hard
// on the compression. Half of the lines are of 10 of the 100 streams.
type generator struct {
	rnd     *rand.Rand
	streams []*tallyman.Stream
	n       int // lines so far
	step    int64
	text    []byte
	batch   tallyman.RecordBatch
	place   []int // of a stream in the batch, +1
}

const genStart = 1_760_000_000_000_000_000

// newGenerator spreads lines over 24 hours.
func newGenerator(streams, lines int) *generator {
	g := &generator{rnd: rand.New(rand.NewPCG(7, 9)), step: int64(24*time.Hour) / int64(lines), place: make([]int, streams)}
	for i := range streams {
		g.streams = append(g.streams, &tallyman.Stream{Labels: []tallyman.Label{
			{Name: "host", Value: "bench"}, {Name: "image", Value: fmt.Sprintf("registry.example.com/team/app%d:1.%d", i%20, i%7)},
			{Name: "name", Value: fmt.Sprintf("shop-app-%03d", i)}, {Name: "source", Value: "container"}, {Name: "stream", Value: "stdout"},
			{Name: "workload", Value: fmt.Sprintf("shop/app%d/1", i)},
		}})
	}
	return g
}

// next is a batch of n lines, valid until the next call.
func (g *generator) next(n int) *tallyman.RecordBatch {
	g.text = g.text[:0]
	g.batch.Positions = append(g.batch.Positions[:0], tallyman.Position{Key: "containerlog/bench", Value: strconv.Itoa(g.n)})
	groups := g.batch.Streams[:cap(g.batch.Streams)]
	used := 0
	clear(g.place)
	if cap(g.text) < n*400 {
		g.text = make([]byte, 0, n*400)
	}
	for range n {
		i := g.rnd.IntN(len(g.streams))
		if g.rnd.IntN(2) == 0 {
			i = g.rnd.IntN(min(10, len(g.streams)))
		}
		start := len(g.text)
		at := genStart + int64(g.n)*g.step + g.rnd.Int64N(g.step+1)/2
		g.n++
		g.text = g.line(g.text, i, at)
		if g.place[i] == 0 {
			if used == len(groups) {
				groups = append(groups, tallyman.StreamRecords{})
			}
			groups[used] = tallyman.StreamRecords{Stream: g.streams[i], Records: groups[used].Records[:0]}
			used++
			g.place[i] = used
		}
		of := &groups[g.place[i]-1]
		of.Records = append(of.Records, tallyman.Record{Time: at, Line: g.text[start:len(g.text):len(g.text)]})
	}
	g.batch.Streams = groups[:used]
	return &g.batch
}

var (
	genPaths = []string{"/api/v1/orders", "/api/v1/products", "/healthz", "/static/app.js", "/login", "/api/v2/cart/items", "/metrics", "/search"}
	genAgent = []string{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36", "curl/8.5.0", "kube-probe/1.30", "Go-http-client/1.1"}
	genWords = []string{"connection", "established", "timeout", "while", "reading", "response", "from", "upstream", "cache", "miss", "for", "key", "worker", "started", "job", "finished", "queue", "retry", "user", "session", "payment", "accepted", "declined", "database", "query", "slow", "rows", "flushed", "index", "segment", "error", "warning"}
	genLevel = []string{"info", "info", "info", "info", "debug", "warn", "error"}
)

func (g *generator) hex(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, "0123456789abcdef"[g.rnd.IntN(16)])
	}
	return dst
}

func (g *generator) words(dst []byte, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, genWords[g.rnd.IntN(len(genWords))]...)
	}
	return dst
}

func (g *generator) line(dst []byte, stream int, at int64) []byte {
	t := time.Unix(0, at).UTC()
	r := g.rnd
	switch stream % 4 {
	case 0:
		dst = fmt.Appendf(dst, "10.%d.%d.%d - - [", r.IntN(4), r.IntN(256), r.IntN(256))
		dst = t.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
		dst = fmt.Appendf(dst, `] "GET %s/%d HTTP/1.1" %d %d "-" "%s" rt=%.3f rid=`, genPaths[r.IntN(len(genPaths))], r.IntN(100000),
			[]int{200, 200, 200, 304, 404, 500}[r.IntN(6)], r.IntN(50000), genAgent[r.IntN(len(genAgent))], r.Float64())
		dst = g.hex(dst, 32)
	case 1:
		dst = append(dst, `{"ts":"`...)
		dst = t.AppendFormat(dst, time.RFC3339Nano)
		dst = fmt.Appendf(dst, `","level":"%s","logger":"com.example.shop.%s","msg":"`, genLevel[r.IntN(len(genLevel))], genWords[r.IntN(len(genWords))])
		dst = g.words(dst, 4+r.IntN(8))
		dst = append(dst, `","trace_id":"`...)
		dst = g.hex(dst, 32)
		dst = fmt.Appendf(dst, `","user_id":%d,"duration_ms":%d}`, r.IntN(1000000), r.IntN(3000))
	case 2:
		dst = t.AppendFormat(dst, "2006-01-02 15:04:05.000")
		dst = fmt.Appendf(dst, " %-5s [worker-%d] c.e.s.%s - ", strings.ToUpper(genLevel[r.IntN(len(genLevel))]), r.IntN(16), genWords[r.IntN(len(genWords))])
		dst = g.words(dst, 6+r.IntN(14))
		dst = append(dst, " id="...)
		dst = g.hex(dst, 8)
		dst = append(dst, '-')
		dst = g.hex(dst, 4)
		dst = append(dst, "-4"...)
		dst = g.hex(dst, 3)
		dst = append(dst, '-')
		dst = g.hex(dst, 12)
	default:
		dst = append(dst, "time="...)
		dst = t.AppendFormat(dst, time.RFC3339Nano)
		dst = fmt.Appendf(dst, ` level=%s caller=%s.go:%d msg="`, genLevel[r.IntN(len(genLevel))], genWords[r.IntN(len(genWords))], r.IntN(900))
		dst = g.words(dst, 3+r.IntN(9))
		dst = fmt.Appendf(dst, `" request_id=`)
		dst = g.hex(dst, 16)
		dst = fmt.Appendf(dst, " tenant=%d bytes=%d took=%dms", r.IntN(200), r.IntN(1<<20), r.IntN(2000))
	}
	return dst
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rss() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	var kib float64
	fmt.Sscan(after, &kib)
	return kib / 1024
}

// BenchmarkIngest appends b.N lines in batches of 1000. Only the CPU time of the
// store is counted, not that of the generator: -benchtime 2000000x.
func BenchmarkIngest(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	g := newGenerator(100, max(b.N, 1000))
	var cpu time.Duration
	text := 0
	for g.n < b.N {
		batch := g.next(min(1000, b.N-g.n))
		for _, of := range batch.Streams {
			for _, r := range of.Records {
				text += len(r.Line)
			}
		}
		start := cpuTime()
		if err := s.AppendRecords(batch); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - start
	}
	s.syncNow()
	memory := rss()
	s.mu.Lock()
	s.sealAll(func(*head) bool { return true })
	s.mu.Unlock()
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(text)/1e6/cpu.Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(text)/float64(b.N), "B/line")
	b.ReportMetric(float64(s.Size()-s.walSize())/float64(text), "disk/raw")
	b.ReportMetric(memory, "RSS-MiB")
}

// benchStore is filled once; the tests' folders are removed with it.
func benchStore(b *testing.B) (*Store, int) {
	b.Helper()
	lines := 500_000
	if n, err := strconv.Atoi(os.Getenv("TEST_RECORD_LINES")); err == nil {
		lines = n
	}
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	g := newGenerator(100, lines)
	for g.n < lines {
		batch := g.next(min(1000, lines-g.n))
		if g.n >= lines/2 && g.n < lines/2+1000 {
			batch.Streams[0].Records[0].Line = []byte("the one and only reconciliation anomaly in shard 4711")
		}
		if err := s.AppendRecords(batch); err != nil {
			b.Fatal(err)
		}
	}
	s.syncNow()
	runtime.GC()
	return s, lines
}

func drain(b *testing.B, s *Store, q tallyman.RecordQuery, most int, check func(tallyman.Record) bool) (records int, read int64) {
	b.Helper()
	cursors, err := s.SelectRecords(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cursors {
		n := 0
		for n < most {
			got, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			for i := range got {
				if check == nil || check(got[i]) {
					n++
				}
			}
		}
		records += n
		read += c.Read()
		c.Close()
	}
	return records, read
}

// BenchmarkQuery asks what a person asks. raw is the text of all lines.
func BenchmarkQuery(b *testing.B) {
	s, lines := benchStore(b)
	var raw int64
	volumes, err := s.Volume(b.Context(), nil, math.MinInt64, math.MaxInt64)
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range volumes {
		raw += v.Bytes
	}
	all := tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64}
	one, err := tallyman.NewMatcher(tallyman.MatchEqual, "name", "shop-app-042")
	if err != nil {
		b.Fatal(err)
	}
	with := func(text string) tallyman.RecordQuery {
		q := all
		q.Contains = []string{text}
		return q
	}
	holds := func(text string) func(tallyman.Record) bool {
		return func(r tallyman.Record) bool { return bytes.Contains(r.Line, []byte(text)) }
	}
	last := all
	last.Backward = true
	lastOne := last
	lastOne.Matchers = []tallyman.Matcher{one}
	count := all
	count.NoLines, count.NoMeta = true, true
	for _, c := range []struct {
		name string
		q    tallyman.RecordQuery
		most int
		want int
		ok   func(tallyman.Record) bool
	}{
		{"last1000ofOne", lastOne, 1000, -1, nil},
		{"last1000ofAll", last, 10, -1, nil}, // what a merge of 100 streams takes at least
		{"needle", with("reconciliation anomaly"), lines, 1, nil},
		{"absentWord", with("unforeseeable"), lines, 0, nil},
		{"absentHex", with("deadbeefdeadbeef"), lines, 0, nil},
		{"commonWord", with("declined"), lines, -1, holds("declined")},
		{"count", count, lines, lines, nil},
		{"everything", all, lines, lines, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			var read int64
			n := 0
			start := cpuTime()
			for range b.N {
				n, read = drain(b, s, c.q, c.most, c.ok)
			}
			cpu := cpuTime() - start
			if c.want >= 0 && n != c.want {
				b.Fatalf("got %d records, want %d", n, c.want)
			}
			b.ReportMetric(float64(n), "records")
			b.ReportMetric(float64(read)/1e6, "MB-unpacked")
			b.ReportMetric(float64(raw)*float64(b.N)/1e9/cpu.Seconds(), "raw-GB/cpu-s")
		})
	}
}

// BenchmarkManyStreams is what 10,000 streams of a few lines cost.
func BenchmarkManyStreams(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	runtime.GC()
	before := rss()
	g := newGenerator(10_000, 100_000)
	for g.n < 100_000 {
		if err := s.AppendRecords(g.next(1000)); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	open := rss() - before
	s.mu.Lock()
	s.sealAll(func(*head) bool { return true })
	s.mu.Unlock()
	runtime.GC()
	m, err := tallyman.NewMatcher(tallyman.MatchEqual, "name", "shop-app-4242")
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		drain(b, s, tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64, Matchers: []tallyman.Matcher{m}}, 1000, nil)
	}
	b.ReportMetric(open, "RSS-MiB-open")
	b.ReportMetric(rss()-before, "RSS-MiB-idle")
}

// BenchmarkOpen opens what a kill left: segments, and a full WAL.
func BenchmarkOpen(b *testing.B) {
	s, _ := benchStore(b)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(Options{Dir: s.opt.Dir, syncEvery: time.Hour})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
