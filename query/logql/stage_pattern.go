// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"bytes"
	"slices"
	"strings"

	"github.com/grafana/regexp"
)

// patternPart is a piece of a pattern: a literal, or a capture whose name may
// be empty (<_>).
type patternPart struct {
	literal []byte
	name    string
}

// parsePattern reads "<ip> - <_> [<ts>]". Captures cannot touch. Of a parser
// (named) at least one capture has a name, of a filter none.
func parsePattern(s string, named bool) ([]patternPart, error) {
	var out []patternPart
	names := 0
	for rest := s; rest != ""; {
		name, length := captureAt(rest)
		if length > 0 {
			if len(out) > 0 && out[len(out)-1].literal == nil {
				return nil, bad("the pattern %q has two captures without a text between them", s)
			}
			if name == "_" {
				name = ""
			} else {
				names++
				if slices.ContainsFunc(out, func(p patternPart) bool { return p.name == name }) {
					return nil, bad("the pattern %q has two captures %q", s, name)
				}
			}
			out = append(out, patternPart{name: name})
			rest = rest[length:]
			continue
		}
		end := 1
		for end < len(rest) {
			if _, n := captureAt(rest[end:]); n > 0 {
				break
			}
			end++
		}
		out = append(out, patternPart{literal: []byte(rest[:end])})
		rest = rest[end:]
	}
	switch {
	case len(out) == 0 && named:
		return nil, bad("the pattern is empty")
	case named && names == 0:
		return nil, bad("the pattern %q captures nothing; name one: <status>", s)
	case !named && names > 0:
		return nil, bad("the pattern %q of a filter cannot name captures; write <_>", s)
	}
	return out, nil
}

// captureAt reads <name> at the beginning of s; length is 0 when it is none.
func captureAt(s string) (name string, length int) {
	if len(s) < 3 || s[0] != '<' || !isNameStart(s[1]) {
		return "", 0
	}
	n := 2
	for n < len(s) && isNamePart(s[n]) {
		n++
	}
	if n == len(s) || s[n] != '>' {
		return "", 0
	}
	return s[1:n], n + 1
}

// patternStage makes labels of what stands between literals. When a literal
// does not come, what was found before it stays.
type patternStage struct{ parts []patternPart }

func (s *patternStage) process(l *line) bool {
	rest := l.text
	parts := s.parts
	if len(rest) == 0 { // it has nothing to capture
		return true
	}
	if parts[0].literal != nil {
		i := bytes.Index(rest, parts[0].literal)
		if i != 0 {
			return true
		}
		rest, parts = rest[len(parts[0].literal):], parts[1:]
	}
	for len(parts) > 0 {
		value, more := rest, false
		if len(parts) > 1 {
			i := bytes.Index(rest, parts[1].literal)
			if i < 0 {
				return s.capture(l, parts[0].name, rest)
			}
			value, rest, more = rest[:i], rest[i+len(parts[1].literal):], true
		}
		s.capture(l, parts[0].name, value)
		if !more {
			break
		}
		parts = parts[2:]
	}
	return true
}

func (s *patternStage) capture(l *line, name string, value []byte) bool {
	if name != "" {
		if name = l.name(name); name != "" {
			l.add(name, view(value))
		}
	}
	return true
}

// patternTest makes the test of |> and !>.
func patternTest(pattern string) (func([]byte) bool, error) {
	parts, err := parsePattern(pattern, false)
	if err != nil {
		return nil, err
	}
	return func(b []byte) bool {
		if len(parts) == 0 {
			return len(b) == 0
		}
		open := false // whether a capture stands before what comes next
		for i, p := range parts {
			if p.literal == nil {
				open = true
				continue
			}
			at := bytes.Index(b, p.literal)
			if i == len(parts)-1 {
				at = bytes.LastIndex(b, p.literal)
				if at+len(p.literal) != len(b) {
					return false
				}
			}
			// As in Loki a text may stand before the first literal.
			if at < 0 || !open && at != 0 && i > 0 || open && at == 0 {
				return false
			}
			b = b[at+len(p.literal):]
			open = false
		}
		return open && len(b) > 0 || !open && len(b) == 0
	}, nil
}

// regexpStage makes labels of the named groups of an expression.
type regexpStage struct {
	re    *regexp.Regexp
	names []string
}

// namedRegexp compiles an expression that has a named group.
func namedRegexp(s string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, n := range re.SubexpNames() {
		switch {
		case n == "":
		case seen[n]:
			return nil, bad("the expression has two groups %q", n)
		case strings.IndexFunc(n, func(r rune) bool { return r >= 0x80 || !isNamePart(byte(r)) }) >= 0 || isDigit(n[0]):
			return nil, bad("the group %q is no name of a label", n)
		default:
			seen[n] = true
		}
	}
	if len(seen) == 0 {
		return nil, bad("the expression has no named group; write (?P<name>…)")
	}
	return re, nil
}

func (s *regexpStage) process(l *line) bool {
	at := s.re.FindSubmatchIndex(l.text)
	if at == nil {
		return true
	}
	for i, n := range s.names {
		if n == "" {
			continue
		}
		value := ""
		if at[2*i] >= 0 {
			value = view(l.text[at[2*i]:at[2*i+1]])
		}
		if n = l.name(n); n != "" {
			l.add(n, value)
		}
	}
	return true
}
