// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"bytes"
	"regexp/syntax"
	"strings"

	"github.com/grafana/regexp"
)

// lineStage keeps lines by their text.
type lineStage struct {
	tests []func([]byte) bool
	not   bool
}

func (s *lineStage) process(l *line) bool {
	for _, t := range s.tests {
		if t(l.text) {
			return !s.not
		}
	}
	return s.not
}

// test makes the test of one value.
func (f *LineFilter) test(value LineValue) (func([]byte) bool, error) {
	switch {
	case value.IP:
		a, err := parseAddresses(value.Text)
		return a.in, err
	case f.Op == "|=", f.Op == "!=":
		return contains(value.Text), nil
	case f.Op == "|~", f.Op == "!~":
		return fits(value.Text)
	default:
		return patternTest(value.Text)
	}
}

func (f *LineFilter) compile() (processor, error) { return &lineStage{f.tests, f.Op[0] == '!'}, nil }

func contains(s string) func([]byte) bool {
	text := []byte(s)
	return func(b []byte) bool { return bytes.Contains(b, text) }
}

// fits makes the test of an expression anywhere in the line. Texts need no
// expression; texts of which one must be there spare it most lines.
func fits(expression string) (func([]byte) bool, error) {
	if _, err := regexp.Compile(expression); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err
	}
	tree = trimmed(tree.Simplify())
	if texts, fold, ok := alternatives(tree); ok && len(texts) <= 16 {
		return anyOf(texts, fold), nil
	}
	if tree.Op == syntax.OpEmptyMatch {
		return func([]byte) bool { return true }, nil
	}
	re, err := regexp.Compile(tree.String())
	if err != nil {
		return nil, err
	}
	c := chosen(tree)
	if c.worth() == 0 {
		return re.Match, nil
	}
	may := anyOf(c.texts, c.fold)
	return func(b []byte) bool { return may(b) && re.Match(b) }, nil
}

func anyOf(texts []string, fold bool) func([]byte) bool {
	var tests []func([]byte) bool
	for _, s := range texts {
		if fold {
			tests = append(tests, containsFold(s))
		} else {
			tests = append(tests, contains(s))
		}
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return func(b []byte) bool {
		for _, t := range tests {
			if t(b) {
				return true
			}
		}
		return false
	}
}

// containsFold looks for a text of ASCII without regard to case.
func containsFold(s string) func([]byte) bool {
	low := []byte(strings.ToLower(s))
	if len(low) == 0 {
		return func([]byte) bool { return true }
	}
	a, b := low[0], bytes.ToUpper(low[:1])[0]
	return func(text []byte) bool {
		for len(text) >= len(low) {
			window := text[:len(text)-len(low)+1]
			i := bytes.IndexByte(window, a)
			if a != b {
				if i < 0 {
					i = len(window)
				}
				if j := bytes.IndexByte(window[:i], b); j >= 0 {
					i = j
				}
			}
			if i < 0 || i == len(window) {
				return false
			}
			if equalFold(text[i:i+len(low)], low) {
				return true
			}
			text = text[i+1:]
		}
		return false
	}
}

func equalFold(text, low []byte) bool {
	for i := range low {
		if lower(text[i]) != low[i] {
			return false
		}
	}
	return true
}

// colourStage takes ANSI escape sequences out of the line.
type colourStage struct{}

func (colourStage) process(l *line) bool {
	if bytes.IndexByte(l.text, 0x1b) < 0 {
		return true
	}
	l.text = ansi.ReplaceAllLiteral(l.text, nil)
	return true
}

var ansi = regexp.MustCompile("[\u001B\u009B][[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\u0007)|(?:(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]))")

func (*Decolorize) compile() (processor, error) { return colourStage{}, nil }
