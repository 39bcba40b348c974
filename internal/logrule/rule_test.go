// SPDX-License-Identifier: Apache-2.0

package logrule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tallyman"
)

func compile(t *testing.T, text Text) *Rule {
	t.Helper()
	r, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRedact(t *testing.T) {
	f := func(text, want string, patterns ...string) {
		t.Helper()
		r := compile(t, Text{Redact: patterns})
		if got := string(r.Redact([]byte(text))); got != want {
			t.Errorf("%q of %q: %q, want %q", patterns, text, got, want)
		}
	}
	f("pw=abc out", "pw=[redacted] out", `pw=(\S+)`)
	f("pw=abc pw=def", "[redacted] [redacted]", `pw=\S+`)
	f("a=1 b=2", "a=[redacted] b=[redacted]", `a=(\d) b=(\d)`)
	f("a=1", "a=[redacted]", `a=(\d)|b=(\d)`)
	f("nothing", "nothing", `pw=(\S+)`)
	f("a 4111111111111111 b pw=x", "a [redacted] b pw=[redacted]", `\d{16}`, `pw=(\S+)`)
	f("a\x00\xffpw=x\xff", "a\x00\xffpw=[redacted]", `pw=([^ ]+)`)
	f("token=abcdef and AKIAABCDEFGHIJKLMNOP", "token=[redacted] and [redacted]", "secrets")
	f("", "", "x+")
}

func TestEntry(t *testing.T) {
	r := compile(t, Text{Start: `^\d`})
	var e Entry
	now := time.Unix(1000, 0)
	var got []string
	for i, line := range []string{"1", " a", " b", "2", "3", " c"} {
		if r.Ends(&e, []byte(line)) {
			got = append(got, string(e.Take()))
		}
		r.Add(&e, int64(i), []byte(line), 0, now)
	}
	if e.Old(now) || !e.Old(now.Add(Wait)) || e.Time != 4 {
		t.Errorf("the last one: %+v", e)
	}
	got = append(got, string(e.Take()))
	if s := strings.Join(got, "|"); s != "1\n a\n b|2|3\n c" {
		t.Errorf("entries: %q", s)
	}
	// Lines that never begin an entry are bounded, and none is left out.
	lines, entries := 0, 0
	for range 3*MaxLines + 10 {
		if r.Ends(&e, []byte("x")) {
			entries++
			lines += strings.Count(string(e.Take()), "x")
		}
		r.Add(&e, 0, []byte("x"), 0, now)
	}
	if lines += strings.Count(string(e.Take()), "x"); lines != 3*MaxLines+10 || entries != 3 {
		t.Errorf("%d lines, %d entries", lines, entries)
	}
	long := []byte(strings.Repeat("y", MaxBytes-1))
	r.Add(&e, 0, []byte("x"), 0, now)
	if !r.Ends(&e, long) {
		t.Error("an entry grows beyond its bound")
	}
}

func TestWhatIsWrongSaysWhatToDo(t *testing.T) {
	f := func(text Text, redact bool, want ...string) {
		t.Helper()
		_, err := Compile(text)
		if err == nil || errors.Is(err, ErrRedact) != redact {
			t.Errorf("%+v: %v", text, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v; want it to say %q", text, err, w)
			}
		}
	}
	f(Text{Redact: []string{"("}}, true, "redact:", `"("`, "RE2")
	f(Text{Redact: []string{"a*"}}, true, "matches a text of nothing")
	f(Text{Redact: []string{strings.Repeat("a", maxPattern+1)}}, true, "512 bytes")
	f(Text{Redact: []string{`(?=x)`}}, true, "RE2")
	f(Text{Start: "["}, false, "start:")
	f(Text{Start: ".*"}, false, "every line", `^\d{4}-`)
	f(Text{Level: `\w+`}, false, "no group")
	f(Text{Files: []string{"var/log"}}, false, "slash")
	f(Text{Files: []string{"/var/**/x"}}, false, "**")
	f(Text{Files: []string{"/var/[x"}}, false, "]")
	f(Text{Files: []string{"/var/log/"}}, false, "/var/log/*.log")
	if r, err := Compile(Text{}); r != nil || err != nil {
		t.Errorf("nothing is %v, %v", r, err)
	}
}

func TestBook(t *testing.T) {
	b := NewBook([]Matched{
		{Rule: compile(t, Text{Files: []string{"/b"}, Start: "^b", Redact: []string{"b+"}}), Container: func(c *tallyman.Container) bool { return c.Name == "x" }},
		{Rule: compile(t, Text{Redact: []string{"u+"}}), Unit: func(u string) bool { return u == "ssh.service" }},
	})
	c := &tallyman.Container{Name: "x", Labels: map[string]string{
		"tallyman.logs": "/a/*.log, /a2;/a3", "tallyman.logs.start": "^a", "tallyman.logs.redact": "a+", "tallyman.logs.redact.more": "m+", "other": "x"}}
	r, err := b.Container(c)
	if err != nil || strings.Join(r.Files, " ") != "/a/*.log /a2 /a3 /b" || !r.start.MatchString("a") || string(r.Redact([]byte("a b m u"))) != "[redacted] [redacted] [redacted] u" {
		t.Errorf("%+v %v", r, err)
	}
	if n := b.counts.redactions.Load(); n != 3 {
		t.Errorf("%d redactions are counted", n)
	}
	if r, err := b.Container(&tallyman.Container{Name: "y"}); r != nil || err != nil {
		t.Errorf("nothing is %v, %v", r, err)
	}
	if r := b.Unit("ssh.service"); string(r.Redact([]byte("b u"))) != "b [redacted]" {
		t.Errorf("of a unit: %+v", r)
	}
	c.Labels["tallyman.logs.strat"] = "x"
	if _, err := b.Container(c); err == nil || !strings.Contains(err.Error(), "tallyman.logs.start") || errors.Is(err, ErrRedact) {
		t.Errorf("an unknown label: %v", err)
	}
	c.Labels["tallyman.logs.redact"] = "("
	if _, err := b.Container(c); !errors.Is(err, ErrRedact) || !strings.Contains(Fault(err).Reason, "nothing of it is kept") {
		t.Errorf("a wrong redaction: %v", err)
	}
}

func TestFixed(t *testing.T) {
	for pattern, want := range map[string]string{"/a/b.log": "/a b.log", "/a/*.log": "/a *.log", "/*/x": "/ */x", "/a/b*/c": "/a b*/c", "/x": "/ x"} {
		if dir, rest := Fixed(pattern); dir+" "+rest != want {
			t.Errorf("Fixed(%s) = %s %s", pattern, dir, rest)
		}
	}
}

func FuzzLabels(f *testing.F) {
	f.Add("/var/log/*.log", "^\\d", "pw=(\\S+)", "2026 pw=x\n at y")
	f.Fuzz(func(t *testing.T, files, start, redact, line string) {
		text, err := Of(map[string]string{label: files, label + ".start": start, label + ".redact": redact})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Compile(text)
		if r == nil {
			return
		}
		for _, f := range r.Files {
			if CheckPath(f) != nil && f != "/" {
				t.Errorf("%q is taken", f)
			}
			Fixed(f)
		}
		var e Entry
		for _, l := range strings.Split(line, "\n") {
			r.Ends(&e, []byte(l))
			r.Add(&e, 0, []byte(l), 0, time.Time{})
		}
		if got := r.Redact([]byte(line)); len(r.redact) == 0 && string(got) != line {
			t.Errorf("%q became %q without a redaction (%v)", line, got, err)
		}
		r.Level([]byte(line))
	})
}
