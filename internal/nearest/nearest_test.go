// SPDX-License-Identifier: Apache-2.0

package nearest

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	known := []string{"host", "workload", "start", "end"}
	f := func(word, want string) {
		t.Helper()
		if got := Of(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	f("worklod", "workload")
	f("hots", "host")
	f("Start", "start")
	f("ende", "end")
	f("", "end")
	f(strings.Repeat("x", 1<<20), "host")
	if got := Of("x"); got != "" {
		t.Errorf("got %q of no words", got)
	}
	if got := Within("jsn", 3, []string{"json"}, []string{"jsm"}); got != "json" {
		t.Errorf("got %q, want the first of two that are equally near", got)
	}
	if got := Within("something", 3, known); got != "" {
		t.Errorf("got %q, want nothing that is so far", got)
	}
}
