// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/pipeline"
	"tallyman/query/logql"
	"tallyman/store/record"
	"tallyman/store/storetest"
)

// BenchmarkLoki asks the questions of BenchmarkRecords of this program's store
// and of a real Loki over the same BENCH_LINES (500,000) lines, in one run.
// BENCH_LOKI names Loki's program; without it nothing is measured. The answers
// must be the same, and ours take at most half of Loki's CPU time.
func BenchmarkLoki(b *testing.B) {
	program := os.Getenv("BENCH_LOKI")
	if program == "" {
		b.Skip("BENCH_LOKI names no program of Loki's")
	}
	lines := count(b, "BENCH_LINES", 500_000)
	const containers = 20
	root := b.TempDir()
	writeLogs(b, root, containers, lines, 0, 1, 2, 3)
	store, err := record.Open(record.Options{Dir: filepath.Join(b.TempDir(), "records"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	tail(b, pipeline.NewRecords(store, slog.New(slog.DiscardHandler)).Intake("containerlog"), root, containers, lines)

	dir := b.TempDir()
	conf := testkit.ReadText(b, "../../query/logql/testdata/loki.yaml")
	write(b, filepath.Join(dir, "loki.yaml"), strings.ReplaceAll(conf, "/tmp/loki-run", dir))
	loki := launch(b, dir, program, "-config.file="+filepath.Join(dir, "loki.yaml"))
	const base = "http://127.0.0.1:13100"
	testkit.Eventually(b, 2*time.Minute, "Loki is ready", func() error {
		resp, err := http.Get(base + "/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	pushed := push(b, base, store)
	if pushed != lines {
		b.Fatalf("%d lines were pushed, want %d", pushed, lines)
	}
	if resp, err := http.Post(base+"/flush", "", nil); err != nil || resp.Body.Close() != nil || resp.StatusCode/100 != 2 {
		b.Fatalf("flush: %v %v", resp, err)
	}
	time.Sleep(5 * time.Second)

	idle := treeCPU(b, loki.pid)
	time.Sleep(5 * time.Second)
	idle = (treeCPU(b, loki.pid) - idle) / 5 // by itself, per second

	engine, now := logql.New(store, logql.Options{}), time.Now()
	b.ReportMetric(0, "ns/op")
	for _, q := range questions {
		var answer string
		ours := least(b, func() time.Duration {
			took, r := ask(b, engine, q, now)
			answer = summary(r)
			return took
		})
		// The kernel counts hundredths of a second.
		const times = 10
		before, begin := treeCPU(b, loki.pid), time.Now()
		var theirs string
		for range times {
			theirs = lokiAnswers(b, base, q, now)
		}
		spent := max(treeCPU(b, loki.pid)-before-idle*time.Since(begin).Seconds(), 0.01) / times
		b.ReportMetric(ours.Seconds()*1e3, "ms-"+q.what)
		b.ReportMetric(spent*1e3, "loki-ms-"+q.what)
		if answer != theirs {
			b.Errorf("%s: ours is %s, Loki's %s", q.text, answer, theirs)
		}
		if ours.Seconds() > spent/2 {
			b.Errorf("%s takes %v of CPU, Loki %.1f ms; want at most half", q.text, ours, spent*1e3)
		}
	}
}

// push gives all records of a store to a Loki.
func push(b *testing.B, base string, store tallyman.RecordReader) (n int) {
	b.Helper()
	cursors, err := store.SelectRecords(b.Context(), storetest.All())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range cursors {
		labels := map[string]string{}
		for _, l := range c.Stream().Labels {
			labels[l.Name] = l.Value
		}
		var values [][2]string
		size := 0
		send := func() {
			if len(values) == 0 {
				return
			}
			body, err := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": labels, "values": values}}})
			if err != nil {
				b.Fatal(err)
			}
			resp, err := http.Post(base+"/loki/api/v1/push", "application/json", bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body) // for the message alone
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				b.Fatalf("push: %s %s", resp.Status, text)
			}
			n, values, size = n+len(values), values[:0], 0
		}
		for {
			records, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range records {
				values = append(values, [2]string{strconv.FormatInt(r.Time, 10), string(r.Line)})
				if size += len(r.Line) + 24; size > 2<<20 {
					send()
				}
			}
		}
		send()
		c.Close()
	}
	return n
}

// summary is an answer in short: how many lines, or the sum of all values.
func summary(r *logql.Result) string {
	sum := 0.0
	for _, s := range r.Series {
		for _, p := range s.Points {
			sum += p.Value
		}
	}
	return fmt.Sprintf("%d lines, sum %.9g", len(r.Entries), sum)
}

func lokiAnswers(b *testing.B, base string, q question, now time.Time) string {
	b.Helper()
	var a struct {
		Data struct {
			ResultType string
			Result     []struct{ Values [][]any }
		}
	}
	text := get(b, base+"/loki/api/v1/query_range?"+url.Values{"query": {q.text}, "start": {fmt.Sprint(now.Add(-q.span).UnixNano())},
		"end": {fmt.Sprint(now.UnixNano())}, "step": {questionStep.String()}, "limit": {fmt.Sprint(q.limit)}}.Encode())
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		b.Fatalf("%v in %.500s", err, text)
	}
	lines, sum := 0, 0.0
	for _, s := range a.Data.Result {
		for _, v := range s.Values {
			if a.Data.ResultType == "streams" {
				lines++
				continue
			}
			f, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += f
		}
	}
	return fmt.Sprintf("%d lines, sum %.9g", lines, sum)
}
