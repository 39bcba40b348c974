// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"  a  b ":                {"a", "b"},
		`sh -c 'test -e "/a b"'`: {"sh", "-c", `test -e "/a b"`},
		`a "b \" \n $c" d\ e`:    {"a", `b " \n $c`, "d e"},
		`a'b'"c"`:                {"abc"},
		`a "" b`:                 {"a", "", "b"},
		`a | b > c; d && $(e) *`: {"a", "|", "b", ">", "c;", "d", "&&", "$(e)", "*"},
	} {
		got, err := Words(text)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, d)
		}
	}
	for _, text := range []string{`a 'b`, `a "b`, `a \`} {
		if got, err := Words(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`PING\r\n`: "PING\r\n", `say "hi"`: `say "hi"`, `a\\b\0\x41`: "a\\b\x00A", "ü": "ü"} {
		if got, err := Unescape(text); got != want || err != nil {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
	if _, err := Unescape(`a\q`); err == nil {
		t.Error(`\q is read`)
	}
}
