// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/pipeline"
	"tallyman/query/logql"
	"tallyman/source/containerlog"
	"tallyman/store/record"
)

// BenchmarkRecords takes BENCH_LINES (500,000) lines the whole way, from the files
// that dockerd writes to sealed chunks, and asks the four queries of
// docs/benchmarks: the last thousand lines of a container, a rare word in all,
// an expression over an hour, a count over time.
func BenchmarkRecords(b *testing.B) {
	lines := count(b, "BENCH_LINES", 500_000)
	const containers = 20
	root := b.TempDir()
	raw, file := writeLogs(b, root, containers, lines, 0, 1, 2, 3)
	dir := filepath.Join(b.TempDir(), "records")
	store, err := record.Open(record.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	spent := tail(b, pipeline.NewRecords(store, slog.New(slog.DiscardHandler)).Intake("containerlog"), root, containers, lines)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(lines)/spent.Seconds(), "lines/cpu-s")
	b.ReportMetric(spent.Seconds()*1e3/(float64(raw)/1e6), "ms/MB")
	b.ReportMetric(float64(file)/float64(raw), "file/raw")

	engine := logql.New(store, logql.Options{})
	now := time.Now()
	for _, q := range questions {
		best := least(b, func() time.Duration {
			took, _ := ask(b, engine, q, now)
			return took
		})
		b.ReportMetric(best.Seconds()*1e3, "ms-"+q.what)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(size(b, dir))/float64(raw), "disk/raw")
}

// question is a query over the last span of time.
type question struct {
	what, text string
	span       time.Duration
	limit      int
}

// questions are the four of BenchmarkRecords.
var questions = []question{
	{"last-1000", `{name="c3"}`, 25 * time.Hour, 1000},
	{"needle", `{source="container"} |= "zebra"`, 25 * time.Hour, 1000},
	{"regex-1h", `{source="container"} |~ "id=[0-9a-f]+7[0-9a-f] HTTP"`, time.Hour, 1000},
	{"count", `sum(count_over_time({source="container"}[5m]))`, 24 * time.Hour, 1000},
	{"regex-no-text", `{name=~"c(0|4|8|12|16)"} |~ "[0-9]{3} [0-9]{4}7[0-9]* "`, 6 * time.Hour, 1000},
	{"regex-metric", `sum(count_over_time({source="container"} |~ "(orders|users/me).*[4-9][0-9]{2,}" [5m]))`, 6 * time.Hour, 1000},
	{"json-filter", `{name=~"c(1|5|9|13|17)"} | json | duration_ms > 2990`, 6 * time.Hour, 1000},
	{"json-by", `sum by (level) (count_over_time({name=~"c(1|5|9|13|17)"} | json | status = 200 [5m]))`, 6 * time.Hour, 1000},
	{"logfmt-by", `sum by (queue) (count_over_time({name=~"c(2|6|10|14|18)"} | logfmt | attempt = 2 [5m]))`, 6 * time.Hour, 1000},
	{"quantile", `quantile_over_time(0.95, {name=~"c(1|5|9|13|17)"} | json | unwrap duration_ms [5m]) by (path)`, 6 * time.Hour, 1000},
}

const questionStep = 5 * time.Minute

// ask is the CPU time that an answer takes, and the answer.
func ask(b *testing.B, engine *logql.Engine, q question, now time.Time) (time.Duration, *logql.Result) {
	b.Helper()
	t := processTime()
	r, err := engine.Query(b.Context(), logql.Params{Query: q.text, Start: now.Add(-q.span).UnixNano(), End: now.UnixNano(), Step: questionStep, Limit: q.limit})
	if err != nil {
		b.Fatal(err)
	}
	return processTime() - t, r
}

// least is the least of five.
func least(b *testing.B, f func() time.Duration) (best time.Duration) {
	b.Helper()
	for range 5 {
		if took := f(); best == 0 || took < best {
			best = took
		}
	}
	return best
}

// BenchmarkTail takes lines from the files that dockerd writes to parsed records
// and no further: plain texts, and lines that are JSON themselves, whose quotes
// dockerd escapes. Reading the same files line by line with encoding/json is the
// base.
func BenchmarkTail(b *testing.B) {
	lines := count(b, "BENCH_LINES", 500_000)
	const containers = 4
	for name, kind := range map[string]int{"plain": 3, "json": 1} {
		b.Run(name, func(b *testing.B) {
			root := b.TempDir()
			raw, _ := writeLogs(b, root, containers, lines, kind)
			perMB := func(d time.Duration) float64 { return d.Seconds() * 1e3 / (float64(raw) / 1e6) }
			var own, ratios []float64
			for range runs {
				ours, base := tail(b, recordtest.Nowhere{}, root, containers, lines), decode(b, root, containers)
				own, ratios = append(own, perMB(ours)), append(ratios, float64(ours)/float64(base))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(own), "ms/MB")
			b.ReportMetric(median(ratios), "x-encoding/json")
			if median(ratios) > 0.3 {
				b.Errorf("tailing takes %.2f times what decoding with encoding/json does in the median of %.2f, want at most 0.3", median(ratios), ratios)
			}
		})
	}
}

// decode is the CPU time in which encoding/json reads the files.
func decode(b *testing.B, root string, containers int) time.Duration {
	b.Helper()
	start := processTime()
	for i := range containers {
		f, err := os.Open(filepath.Join(root, id(i), id(i)+"-json.log"))
		if err != nil {
			b.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			var entry struct {
				Log, Stream string
				Time        time.Time
			}
			if err := json.Unmarshal(s.Bytes(), &entry); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return processTime() - start
}

// tail is the CPU time in which all lines are read, parsed and given to a store.
func tail(b *testing.B, to tallyman.RecordIntake, root string, containers, lines int) time.Duration {
	b.Helper()
	tailer := containerlog.New(containerlog.Options{Records: to, Backlog: 1 << 40, Path: func(string) string { return root }, Log: slog.New(slog.DiscardHandler)})
	tailer.ObserveEngine(tallyman.EngineStatus{Name: "e", Root: "/"})
	for i := range containers {
		tailer.ObserveContainer(&tallyman.Container{ID: id(i), Name: fmt.Sprint("c", i), Host: "h", Engine: "e", State: tallyman.Running, Pid: 1, LogDriver: "json-file"})
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	start := processTime()
	go func() { done <- tailer.Run(ctx) }()
	stored := func() float64 {
		for _, m := range tailer.SelfMetrics() {
			if m.Desc.Name == "tallyman_log_lines_read_total" {
				return m.Read()
			}
		}
		return 0
	}
	for stored() < float64(lines) {
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return processTime() - start
}

func id(i int) string { return fmt.Sprintf("%064x", i+1) }

// browsers are what clients of the access logs say they are.
var browsers = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"curl/8.14.1", "kube-probe/1.33", "Go-http-client/1.1",
}

// writeLogs writes logs as dockerd does: access logs, JSON, logfmt and texts of
// one day, of about 170 bytes, with ids and figures that do not repeat; one line in
// a hundred thousand has the word zebra. The kinds are those of the containers in
// turn.
func writeLogs(b *testing.B, root string, containers, lines int, kinds ...int) (raw, file int64) {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now().Add(-24 * time.Hour)
	step := 24 * time.Hour / time.Duration(lines)
	var out []*bufio.Writer
	var files []*os.File
	for i := range containers {
		dir := filepath.Join(root, id(i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, id(i)+"-json.log"))
		if err != nil {
			b.Fatal(err)
		}
		files, out = append(files, f), append(out, bufio.NewWriterSize(f, 1<<16))
	}
	paths := strings.Fields("/ /index.html /api/v1/orders /api/v1/users/me /static/app.js /healthz /login /cart")
	for n := range lines {
		i := random.IntN(containers)
		if random.IntN(2) == 0 {
			i = random.IntN(containers/10 + 1) // a tenth writes half of it
		}
		at := begin.Add(time.Duration(n) * step).UTC()
		var text string
		path, id := paths[random.IntN(len(paths))], random.Uint64()
		switch kinds[i%len(kinds)] {
		case 0:
			text = fmt.Sprintf(`10.%d.%d.%d - - [%s] \"GET %s?id=%x HTTP/1.1\" %d %d \"https://shop.example.com%s\" \"%s\"`, random.IntN(256), random.IntN(256), random.IntN(256),
				at.Format("02/Jan/2006:15:04:05 -0700"), path, id, []int{200, 200, 200, 304, 404, 500}[random.IntN(6)], random.IntN(100000), paths[random.IntN(len(paths))], browsers[random.IntN(len(browsers))])
		case 1:
			text = fmt.Sprintf(`{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"request handled\",\"service\":\"orders\",\"method\":\"GET\",\"path\":\"%s\",\"status\":200,\"duration_ms\":%d,\"user\":%d,\"trace_id\":\"%016x\"}`,
				at.Format(time.RFC3339Nano), []string{"info", "info", "warn", "error"}[random.IntN(4)], path, random.IntN(3000), random.IntN(1e5), id)
		case 2:
			text = fmt.Sprintf(`ts=%s level=info caller=worker.go:%d component=queue msg=\"job done\" queue=mail attempt=%d job=%x took=%dms path=%s worker=worker-%d`, at.Format(time.RFC3339Nano), random.IntN(900), random.IntN(3), id, random.IntN(5000), path, random.IntN(16))
		default:
			text = fmt.Sprintf("%s INFO  [http-nio-8080-exec-%d] com.example.orders.service.OrderService - processed order %d for customer %d (correlation %08x) in %d ms, path %s, cache hit", at.Format("2006-01-02 15:04:05,000"), random.IntN(20), random.IntN(1e6), random.IntN(1e5), uint32(id), random.IntN(900), path)
		}
		if n%100_000 == 50_000 {
			text += " zebra"
		}
		raw += int64(len(text) - strings.Count(text, `\"`))
		k, err := fmt.Fprintf(out[i], `{"log":"%s\n","stream":"stdout","time":"%s"}`+"\n", text, at.Format(time.RFC3339Nano))
		if err != nil {
			b.Fatal(err)
		}
		file += int64(k)
	}
	for i, w := range out {
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := files[i].Close(); err != nil {
			b.Fatal(err)
		}
	}
	return raw, file
}

// size is how many bytes the files under dir have.
func size(b *testing.B, dir string) (sum int64) {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		st, err := e.Info()
		sum += st.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}
