// SPDX-License-Identifier: Apache-2.0

// Package loglevel tells the level of a log line by its structure: from the
// priority of syslog before it, from a field of a JSON object or of logfmt, else
// from a word or letter at a place where loggers write one.
//
//	{"level":30,"msg":"an error"}                   info
//	time=… level=warn msg="an error"                warn
//	2026-11-24 12:00:00 ERROR no connection         error
//	[12:00:00 INF] an error                         info
//	E1124 12:00:00.000000 1 main.go:5] no pods      error
//	no error here                                   unknown
//
// A field is one of the object itself, or a key outside of quotes. Places for a
// word are the start of the line, brackets at its start, and what follows the
// time, with the name of a program, a thread or a module between. There a word
// in capitals is a level, and one in other letters when something marks it: a
// colon, a bracket, a tab. What stands in the text behind is text. Colours of
// terminals are left out.
//
// Only the beginning of a line is looked at. Nothing is allocated, and any
// number of goroutines may ask at once.
package loglevel

import "bytes"

// Unknown is the level of a line that has none.
const Unknown = "unknown"

// How much of a line is looked at, in bytes.
const (
	objectWithin = 16 << 10 // of a JSON object
	textWithin   = 1024     // of logfmt and of a text
)

// Of is the level of a line: trace, debug, info, warn, error, fatal, critical or
// unknown.
func Of(line []byte) string {
	line = trimLeft(line)
	if len(line) == 0 {
		return Unknown
	}
	if line[0] == '{' && isObject(line) {
		return known(object(line[:min(len(line), objectWithin)]))
	}
	text := line[:min(len(line), textWithin)]
	if bytes.IndexByte(text, 0x1b) >= 0 {
		return known(coloured(text))
	}
	return known(ofText(line, text))
}

func known(level string) string {
	if level == "" {
		return Unknown
	}
	return level
}

// coloured is the level of a text with the sequences that steer a terminal. They
// are left out in a copy on the stack, which lines without them do not pay for.
func coloured(text []byte) string {
	var buf [textWithin]byte
	n := 0
	for i := 0; i < len(text); i++ {
		if text[i] != 0x1b {
			buf[n] = text[i]
			n++
			continue
		}
		if i++; i < len(text) && text[i] == '[' {
			for i++; i < len(text) && (text[i] < '@' || text[i] > '~'); i++ {
			}
		}
	}
	plain := trimLeft(buf[:n])
	return ofText(plain, plain)
}

// ofText is the level of a line that is no JSON object; text is its beginning.
func ofText(line, text []byte) string {
	if pri, ok := priority(text); ok {
		return ofSyslog(pri & 7)
	}
	first, second := text, []byte(nil)
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		first, second = text[:i], text[i+1:]
	}
	h := head{line: first}
	level, objectAt := h.level()
	switch {
	case level != "":
		return level
	case objectAt > 0:
		return object(line[objectAt:min(len(line), objectWithin)])
	}
	if level := logfmt(first); level != "" {
		return level
	}
	if h.time && len(second) > 0 { // java.util.logging has it at the start of the second line
		h = head{line: second}
		if w := h.word(0); w < len(second) && w > 0 && second[w] == ':' && upper(second[:w]) {
			return Word(second[:w])
		}
	}
	return ""
}

// priority is the number of <34> at the start of a message of syslog.
func priority(line []byte) (n int, ok bool) {
	if len(line) == 0 || line[0] != '<' {
		return 0, false
	}
	i := 1
	for ; i < len(line) && i < 5 && isDigit(line[i]); i++ {
		n = n*10 + int(line[i]-'0')
	}
	return n, i > 1 && i < len(line) && line[i] == '>' && n < 192
}

// ofSyslog is the level of a severity of syslog.
func ofSyslog(severity int) string {
	return [...]string{"critical", "critical", "critical", "error", "warn", "info", "info", "debug"}[severity&7]
}

// Priority is the level of a priority of syslog without a facility, as journald
// has it, empty when it is none.
func Priority(p []byte) string {
	if len(p) != 1 || p[0] < '0' || p[0] > '7' {
		return ""
	}
	return ofSyslog(int(p[0] - '0'))
}

func trimLeft(line []byte) []byte {
	for len(line) > 0 && (isSpace(line[0]) || line[0] == '\r' || line[0] == '\n') {
		line = line[1:]
	}
	return bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
}

// What a byte may be.
const (
	space byte = 1 << iota
	digit
	letter
	key      // part of the name of a field
	gap      // between the parts of a head
	opens    // brackets
	dashes   // part of what parts names from levels
	tokenEnd // the end of a part of a head
)

// classes are what each byte is.
var classes = func() (t [256]byte) {
	set := func(class byte, list string) {
		for i := range len(list) {
			t[list[i]] |= class
		}
	}
	for c := range t {
		b := byte(c)
		switch {
		case b-'0' < 10:
			t[c] = digit | key
		case b|0x20-'a' < 26:
			t[c] = letter | key
		case b >= 0x80:
			t[c] = key
		}
	}
	set(space, " \t")
	set(key, "_.-@")
	set(gap, " \t,;]")
	set(opens, "[({<")
	set(dashes, "-|:*#>=")
	set(tokenEnd, " \t|[(<,;")
	return t
}()

func is(c, class byte) bool { return classes[c]&class != 0 }

func isSpace(c byte) bool  { return c == ' ' || c == '\t' }
func isDigit(c byte) bool  { return c-'0' < 10 }
func isLetter(c byte) bool { return c|0x20-'a' < 26 }
func isUpper(c byte) bool  { return c-'A' < 26 }

// upper reports whether a word is written in capitals.
func upper(word []byte) bool {
	for _, c := range word {
		if !isUpper(c) {
			return false
		}
	}
	return true
}
