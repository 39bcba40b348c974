// SPDX-License-Identifier: Apache-2.0

// Package clip bounds texts of strangers: names, labels, messages. What comes out is
// valid UTF-8.
package clip

import (
	"strings"
	"unicode/utf8"
)

// mark stands for what is left out.
const mark = "…"

// Text is s in no more than n bytes, cut between two characters, with … at the end
// when something is left out. What is not UTF-8 becomes U+FFFD. n is at least 3.
func Text(s string, n int) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if len(s) <= n {
		return s
	}
	n -= len(mark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
