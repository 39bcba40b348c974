// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // a name or a word of the language
	tokenString           // value is unquoted
	tokenNumber           // begins with a digit: a number, a duration or a size
	tokenSign             // operators and brackets
	tokenFlag             // --strict
)

// token is a piece of a query.
type token struct {
	kind   tokenKind
	text   string // as it stands, of a string what it means
	word   string // of a name and of a sign text in small letters: words of the language may be written in any case
	offset int
}

// describe is how errors call a token.
func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the query"
	case tokenString:
		return "the string " + strconv.Quote(t.text)
	default:
		return strconv.Quote(t.text)
	}
}

// signs are the operators and brackets, longer ones first.
var signs = []string{
	"|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=",
	"{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<", "+", "-", "*", "/", "%", "^",
}

// lex cuts a query into tokens; the last one is tokenEnd. Comments go from # or
// // to the end of the line, or from /* to */.
func lex(query string) ([]token, error) {
	var out []token
	for i := 0; ; {
		var err error
		if i, err = skipSpace(query, i); err != nil {
			return nil, err
		}
		if i >= len(query) {
			return append(out, token{kind: tokenEnd, offset: len(query)}), nil
		}
		t, next, err := lexOne(query, i)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		i = next
	}
}

// skipSpace goes over spaces and comments.
func skipSpace(query string, i int) (int, error) {
	for i < len(query) {
		rest := query[i:]
		switch {
		case strings.IndexByte(" \t\n\r", rest[0]) >= 0:
			i++
		case rest[0] == '#', strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				return len(query), nil
			}
			i += end + 1
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return 0, at(query, i, "the comment has no end; write */")
			}
			i += end + 4
		default:
			return i, nil
		}
	}
	return i, nil
}

func lexOne(query string, i int) (t token, next int, err error) {
	c := query[i]
	rest := query[i:]
	switch {
	case isNameStart(c):
		n := 1
		for n < len(rest) && isNamePart(rest[n]) {
			n++
		}
		return token{tokenName, rest[:n], strings.ToLower(rest[:n]), i}, i + n, nil
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		n := numberLength(rest)
		return token{tokenNumber, rest[:n], "", i}, i + n, nil
	case c == '"':
		return lexQuoted(query, i)
	case c == '`':
		end := strings.IndexByte(rest[1:], '`')
		if end < 0 {
			return t, 0, at(query, i, "the string has no end")
		}
		return token{tokenString, strings.ReplaceAll(rest[1:1+end], "\r", ""), "", i}, i + end + 2, nil
	case strings.HasPrefix(rest, "--") && len(rest) > 2 && isNameStart(rest[2]):
		n := 2
		for n < len(rest) && (isNamePart(rest[n]) || rest[n] == '-') {
			n++
		}
		return token{tokenFlag, rest[:n], "", i}, i + n, nil
	}
	for _, s := range signs {
		if strings.HasPrefix(rest, s) {
			return token{tokenSign, s, s, i}, i + len(s), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return t, 0, at(query, i, "unexpected character %q", r)
}

func lexQuoted(query string, i int) (t token, next int, err error) {
	for n := i + 1; n < len(query); n++ {
		switch query[n] {
		case '\\':
			n++
		case '\n':
			return t, 0, at(query, i, "the string has no end on its line")
		case '"':
			s, err := strconv.Unquote(query[i : n+1])
			if err != nil {
				return t, 0, at(query, i, "the string %s has an escape that does not exist; use backquotes for a string without escapes", query[i:n+1])
			}
			return token{tokenString, s, "", i}, n + 1, nil
		}
	}
	return t, 0, at(query, i, "the string has no end")
}

// numberLength is how far a number, a duration or a size goes: 1.5, 1e-3,
// 1h30m, 10KiB.
func numberLength(s string) int {
	n := 0
	for n < len(s) {
		c := s[n]
		switch {
		case isNamePart(c) || c == '.':
			n++
		case strings.HasPrefix(s[n:], "µ"), strings.HasPrefix(s[n:], "μ"):
			n += 2
		case (c == '+' || c == '-') && n+1 < len(s) && isDigit(s[n+1]) && (s[n-1] == 'e' || s[n-1] == 'E') && strings.Trim(s[:n-1], "0123456789.") == "":
			n++
		default:
			return n
		}
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) }
