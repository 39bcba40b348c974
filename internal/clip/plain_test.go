// SPDX-License-Identifier: Apache-2.0

package clip

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "größe 漢字": "größe 漢字", "a\x1b[2Jb": "a\uFFFD[2Jb", "a\nb\tc\x7f\u009b": "a\uFFFDb\uFFFDc\uFFFD\uFFFD", "x\u202ey\u2066z\u200b\u2028": "x\uFFFDy\uFFFDz\uFFFD\uFFFD", "a\xffb": "a\uFFFDb",
	} {
		if got := Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}
