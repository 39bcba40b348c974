// SPDX-License-Identifier: Apache-2.0

package clip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes a text harmless for a terminal: what controls it, or changes the direction of
// what follows, or cannot be seen, becomes U+FFFD.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
