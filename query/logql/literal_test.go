// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/grafana/regexp"
)

// What is looked for before an expression is, and what is left of the expression.
func TestWhatAnExpressionNeeds(t *testing.T) {
	for expression, want := range map[string]string{
		".*error.*":                               "error: error",
		"^.*error":                                `(?-s:\A.*error): error`,
		"id=[0-9a-f]+7 HTTP":                      "id=[0-9a-f]+7 HTTP: 7 HTTP",
		"(orders|users/me).*[4-9][0-9]{2,}":       "(?-s:(?:orders|users/me).*[4-9][0-9][0-9]): orders users/me",
		"(?i)timeout after [0-9]+ms":              "(?i:TIMEOUT AFTER [0-9]+MS): TIMEOUT AFTER  anyhow",
		"(?i)(task|error): .*":                    "(?i:(?:TASK|ERROR): ): TA ERROR anyhow",
		"(a|b|c|d|e|f|g|h|i)x+":                   "[a-i]x: x",
		"(one|two|three|four|five|six|ten|0|10)z": "(?:one|t(?:wo|hree)|f(?:our|ive)|six|ten|0|10)z: z",
		"[0-9]{3} ":                               "[0-9][0-9][0-9] :  ",
		"(foo)*":                                  "(?:): ",
		"\\bfoo\\b":                               "\\bfoo\\b: foo",
		"\ufffd":                                  "\ufffd: ",
		"x?y*":                                    "(?:): ",
	} {
		tree, err := syntax.Parse(expression, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		tree = trimmed(tree.Simplify())
		c := chosen(tree)
		got := tree.String() + ": " + strings.Join(c.texts, " ")
		if c.fold {
			got += " anyhow"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
}

// The test of a filter finds what the expression finds.
func FuzzFits(f *testing.F) {
	lines := []string{"", "an error came", "ERROR: task 7", "\u017fk\u212a", "id=7f7 HTTP/1.1 404", "foo bar\nfoo", "\xff\ufffd", "aaab", "orders users/me 512", "x"}
	for _, expression := range []string{".*error.*", "(?i)task|error", "(?i)sk", "^foo$", "(?m)^foo$", "a+b", "(a|ab)+b*", "(orders|users/me).*[4-9][0-9]{2,}", "\\bfoo\\b.*", "(?s).*foo.foo", "\ufffd", "(|x)y*", "[^a]$", "(?U)a+?b?", "x{0}"} {
		for _, line := range lines {
			f.Add(expression, line)
		}
	}
	f.Fuzz(func(t *testing.T, expression, line string) {
		re, err := regexp.Compile(expression)
		if err != nil {
			return
		}
		test, err := fits(expression)
		if err != nil {
			t.Fatalf("%q: %v", expression, err)
		}
		if got, want := test([]byte(line)), re.MatchString(line); got != want {
			t.Errorf("%q on %q: %v, want %v", expression, line, got, want)
		}
	})
}
