// SPDX-License-Identifier: Apache-2.0

package loglevel

import (
	"strings"
	"testing"
)

func TestForms(t *testing.T) {
	loggers := map[string]bool{}
	for _, f := range forms {
		loggers[f.logger] = true
		if got := Of([]byte(f.line)); got != f.want {
			t.Errorf("%s: %q is %q, want %q", f.logger, f.line, got, f.want)
		}
	}
	t.Logf("%d lines of %d loggers", len(forms), len(loggers))
}

// A line that is cut off anywhere is told without looking behind its end, and
// nothing is allocated for any.
func TestOfIsBounded(t *testing.T) {
	for _, f := range forms {
		line := []byte(f.line)
		for i := range line {
			Of(line[:i:i])
		}
		if n := testing.AllocsPerRun(10, func() { Of(line) }); n > 0 {
			t.Errorf("%q costs %v allocations", f.line, n)
		}
	}
	long := []byte(`{"msg":"` + strings.Repeat(`\\"`, 1<<20) + `","level":"error"}`)
	Of(long)
}

func TestField(t *testing.T) {
	f := func(key, value, want string) {
		t.Helper()
		if got := Field([]byte(key), []byte(value)); got != want {
			t.Errorf("%s=%s is %q, want %q", key, value, got, want)
		}
	}
	f("LEVEL", "WARNING", "warn")
	f("Severity", "3", "error")
	f("severity_number", "9", "info")
	f("SeverityNumber", "24", "fatal")
	f("severity_number", "25", "")
	f("level", "20000", "info")
	f("level", "999999", "")
	f("level", "", "")
	f("PRIORITY", "6", "info")
	f("priority", "6", "")
	f("msg", "error", "")
}

func FuzzOf(f *testing.F) {
	for _, form := range forms {
		f.Add([]byte(form.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if Of(line) == "" {
			t.Errorf("%q has no level, not even unknown", line)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	for _, c := range []struct{ name, line string }{
		{"access", `10.0.0.1 - - [24/Nov/2026:12:00:00 +0000] "GET /index.html HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; Linux x86_64)"`},
		{"log4j", `2026-11-24 12:00:00,123 [http-nio-8080-exec-1] INFO  org.example.shop.Orders - order 4711 of customer 42 was stored`},
		{"json", `{"time":"2026-11-24T12:00:00.123Z","msg":"order stored","order":4711,"customer":{"id":42,"name":"ann"},"level":"info"}`},
		{"logfmt", `ts=2026-11-24T12:00:00.123Z caller=orders.go:42 msg="order stored" order=4711 customer=42 level=info took=12ms`},
		{"text", `the order 4711 of customer 42 was stored in 12 ms, and nothing at all went wrong while that was done here`},
		{"coloured", "\x1b[90m12:00PM\x1b[0m \x1b[32mINF\x1b[0m order stored \x1b[36mcustomer=\x1b[0m42 \x1b[36morder=\x1b[0m4711 \x1b[36mtook=\x1b[0m12ms"},
	} {
		b.Run(c.name, func(b *testing.B) {
			line := []byte(c.line)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				Of(line)
			}
		})
	}
}
