// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"tallyman/internal/logrule"
	"tallyman/internal/recordtest"
)

// BenchmarkRead reads lines of 115 bytes, with nothing asked for them, with a
// redaction that seldom finds something, and with entries of four lines.
func BenchmarkRead(b *testing.B) {
	line := `10.0.3.7 - - [25/Nov/2026:22:00:00 +0000] "GET /api/v1/orders/4711 HTTP/1.1" 200 5316 "-" "curl/8.5.0" rt=0.012345` + "\n"
	text := bytes.Repeat([]byte(line+" at a\n at b\n at c\n"), 50_000)
	for name, rule := range map[string]logrule.Text{"off": {}, "redact": {Redact: []string{`password=(\S+)`}}, "secrets": {Redact: []string{"secrets"}}, "entries": {Start: `^\d`}} {
		b.Run(name, func(b *testing.B) {
			root := b.TempDir()
			if err := os.WriteFile(filepath.Join(root, "a.log"), text, 0o600); err != nil {
				b.Fatal(err)
			}
			r, err := logrule.Compile(rule)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				t := New(Options{Records: recordtest.Nowhere{}, Host: "h", Files: []Files{{Pattern: "/a.log", Rule: r}}, Root: func(string) string { return root }, Backlog: 1 << 40})
				for t.tail.Counts.Bytes.Load() < 6_000_000 {
					for _, f := range t.tail.Logs {
						f.Due = t.tail.Now
					}
					t.tail.Round(context.Background())
				}
				t.close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/line")
		})
	}
}
