// SPDX-License-Identifier: Apache-2.0

package clip

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	f := func(s string, n int, want string) {
		t.Helper()
		if got := Text(s, n); got != want {
			t.Errorf("%q in %d bytes is %q, want %q", s, n, got, want)
		}
	}
	f("", 3, "")
	f("abcde", 5, "abcde")
	f("abcdef", 5, "ab…")
	f("äöü", 6, "äöü")
	f("äöü!", 6, "ä…") // half of ö would have fitted
	f("äöü!", 5, "ä…")
	f("äöü!", 3, "…")
	f("a\xffb", 9, "a\ufffdb")
	f("\xff\xff\xff\xff", 6, "\ufffd")
	f("a\x00b", 9, "a\x00b")
}

func FuzzText(f *testing.F) {
	f.Add("äöü", 4)
	f.Add("\xe2\x80", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = 3 + max(n, -n)&0xff
		got := Text(s, n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Errorf("%q in %d bytes is %q", s, n, got)
		}
		if head, cut := strings.CutSuffix(got, "…"); cut && !strings.HasPrefix(strings.ToValidUTF8(s, "\ufffd"), head) || !cut && got != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q in %d bytes is %q, which it does not begin with", s, n, got)
		}
	})
}
