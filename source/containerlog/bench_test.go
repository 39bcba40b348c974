// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/recordtest"
)

// BenchmarkRead reads the log of a container, lines of 115 bytes, with nothing
// asked for them, with a redaction that seldom finds something, and with entries of
// four lines.
func BenchmarkRead(b *testing.B) {
	const line = `10.0.3.7 - - [25/Nov/2026:22:00:00 +0000] \"GET /api/v1/orders/4711 HTTP/1.1\" 200 5316 \"-\" \"curl/8.5.0\" rt=0.012345`
	var text []byte
	for i := range 50_000 {
		when := time.Unix(1_700_000_000, int64(i)).UTC().Format(time.RFC3339Nano)
		for _, l := range []string{line, " at a", " at b", " at c"} {
			text = fmt.Appendf(text, `{"log":"%s\n","stream":"stdout","time":%q}`+"\n", l, when)
		}
	}
	for name, rule := range map[string]logrule.Text{"off": {}, "redact": {Redact: []string{`password=(\S+)`}}, "secrets": {Redact: []string{"secrets"}}, "entries": {Start: `^\d`}} {
		b.Run(name, func(b *testing.B) {
			root := b.TempDir()
			dir := filepath.Join(root, testID)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, testID+"-json.log"), text, 0o600); err != nil {
				b.Fatal(err)
			}
			r, err := logrule.Compile(rule)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				t := New(Options{Records: recordtest.Nowhere{}, Path: func(string) string { return root }, Log: slog.New(slog.DiscardHandler), Backlog: 1 << 40,
					Rules: func(*tallyman.Container) (*logrule.Rule, error) { return r, nil }})
				t.ObserveEngine(tallyman.EngineStatus{Name: "e", Root: "/r"})
				t.ObserveContainer(&tallyman.Container{ID: testID, Name: "c", Host: "h", Engine: "e", State: tallyman.Running, Pid: 1, LogDriver: "json-file"})
				t.learn()
				for t.counts.Bytes.Load() < 6_000_000 {
					for _, c := range t.tail.Logs {
						c.Due = t.tail.Now
					}
					t.tail.Round(context.Background())
				}
				end(t)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/line")
		})
	}
}
