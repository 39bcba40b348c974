// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// Lines of one time stand as they were written, whichever way they were asked for.
func TestLinesOfOneTime(t *testing.T) {
	f := func(raw string, backward bool) {
		t.Helper()
		lines, err := linesOf([]byte(raw), backward)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines {
			got = append(got, l.Line)
		}
		if want := "before first second third last"; strings.Join(got, " ") != want {
			t.Errorf("backward %v: %q, want %q", backward, got, want)
		}
	}
	f(`[{"stream":{"n":"a"},"values":[["6","third"],["5","second"],["5","first"]]},{"stream":{"n":"b"},"values":[["7","last"],["4","before"]]}]`, true)
	f(`[{"stream":{"n":"a"},"values":[["5","first"],["5","second"],["6","third"]]},{"stream":{"n":"b"},"values":[["4","before"],["7","last"]]}]`, false)
}
