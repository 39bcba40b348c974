// SPDX-License-Identifier: Apache-2.0

package loglevel

import "testing"

func TestOf(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if got := Of([]byte(line)); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
	f("", Unknown)
	f("nothing to see", Unknown)
	f("2026-11-24 12:00:00 ERROR could not connect", "error")
	f("[warn] low", "warn")
	f("W1124 glog says no level", Unknown)
	f(`{"msg":"error rate is fine","level":"info"}`, "info")
	f(`{"msg":"x","severity": "CRITICAL"}`, "critical")
	f(`time=now level=warn msg="an error"`, "warn")
	f(`level is 3, error`, "error")
	f(`{"level":30,"msg":"debug me"}`, "debug")
	f("0 errors, 12 warnings", Unknown)
	f("panic: runtime error", "fatal")
	f("GET /error HTTP/1.1", Unknown)
	f("CRIT", Unknown)
	f(`{"Severity":"Warning"}`, "warn")
	f("severity_text=info error", "info")
	f("lvl=dbg", "debug")
}

func BenchmarkOf(b *testing.B) {
	line := []byte(`10.0.0.1 - - [24/Nov/2026:12:00:00 +0000] "GET /index.html HTTP/1.1" 200 612 "-" "Mozilla/5.0 (X11; Linux x86_64)"`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		Of(line)
	}
}
