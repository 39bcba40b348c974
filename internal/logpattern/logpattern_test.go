// SPDX-License-Identifier: Apache-2.0

package logpattern

import (
	"fmt"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		s := New()
		var p *Pattern
		for i, l := range lines {
			next := s.Add(l)
			if i > 0 && next != p {
				t.Errorf("%q is of another kind than %q", l, lines[0])
			}
			p = next
		}
		if got := p.String(); got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
	f("nothing differs", "nothing differs", "nothing differs")
	f("GET /<_> took <_>", "GET /cart took 12ms", "GET /checkout took 7ms")
	f(`level=info msg="order stored" order=<_> took=<_>`, `level=info msg="order stored" order=1 took=3ms`, `level=info msg="order stored" order=22 took=1.5s`)
	f("user <_> logged in from <_>", "user ann logged in from 10.0.0.1", "user bob logged in from 10.0.0.2")
	f("<_> done", "12 done", "13 done")
	f("", "")
	f("ü <_>", "ü 1", "ü 2")
	f("a"+strings.Repeat("/<_>", 60), "a"+strings.Repeat("/7", 3000), "a"+strings.Repeat("/8", 2000))
}

func TestKinds(t *testing.T) {
	s := New()
	a := s.Add("connection refused by peer")
	for _, other := range []string{"checkpoint complete: wrote buffers now", "connection pool was closed", "connection refused by", "connection=refused by peer"} {
		if s.Add(other) == a {
			t.Errorf("%q is of the kind of %q", other, a)
		}
	}
}

func TestBounded(t *testing.T) {
	s := New()
	for i := range 10_000 {
		word := func(n int) string { return strings.Repeat(string(rune('a'+n%26)), 1+n/26%20) }
		s.Add(fmt.Sprintf("%s %s %s", word(i), word(i*7), word(i*31)))
	}
	if s.n > mostPatterns {
		t.Errorf("%d patterns, want at most %d", s.n, mostPatterns)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add("GET /cart took 12ms")
	s := New()
	f.Fuzz(func(t *testing.T, line string) {
		if p := s.Add(line); p != nil && s.Add(line) != p {
			t.Errorf("%q is of two kinds", line)
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	s := New()
	line := `level=info ts=2026-11-24T12:00:00Z caller=worker.go:12 msg="job done" queue=mail took=12ms`
	b.ReportAllocs()
	for b.Loop() {
		s.Add(line)
	}
}
