// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	f := func(in string, wantFailed bool, want ...string) {
		t.Helper()
		var out strings.Builder
		failed, err := report(strings.NewReader(in), &out)
		if err != nil || failed != wantFailed {
			t.Errorf("report(%s) = %v, %v; want %v", in, failed, err, wantFailed)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("report(%s) says\n%s\nwant it to hold %q", in, out.String(), w)
			}
		}
	}
	pass := `{"Action":"pass","Package":"p","Test":"A"}` + "\n" + `{"Action":"pass","Package":"p","Elapsed":1}`
	f(pass, false, "1 passed, 0 failed, 0 skipped")
	f(`{"Action":"pass","Package":"p","Test":"A","Elapsed":30}`, false, "slow  A", "30.0 s")
	f(`{"Action":"output","Package":"p","Test":"B","Output":"    x_test.go:1: no engine\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"pass","Package":"p","Test":"A"}`, false, "skipped: p B: x_test.go:1: no engine", "1 passed, 0 failed, 1 skipped")
	f(`{"Action":"output","Package":"p","Test":"C","Output":"got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"C"}
{"Action":"fail","Package":"p"}`, true, "got 1, want 2", "1 failed")
	f(`{"Action":"run","Package":"p","Test":"D"}
{"Action":"fail","Package":"p"}`, true, "p D did not end")
	f("go: cannot find module\n", true, "go: cannot find module", "no test has run")
	f(`{"Action":"build-output","ImportPath":"p","Output":"syntax error\n"}
{"Action":"build-fail","ImportPath":"p"}`, true, "syntax error")
}
