// SPDX-License-Identifier: Apache-2.0

// Package loglevel tells the level of a log line from its text: from a field
// level, lvl or severity in JSON or logfmt, else from the first word that is a
// level. It looks at the beginning of the line only and allocates nothing.
package loglevel

import "bytes"

// Unknown is the level of a line that has none.
const Unknown = "unknown"

type name struct {
	word, level string
	// text is set for words that tell the level where they stand in a text; the
	// others mean too much else, and do only as the value of a field.
	text bool
}

// names are the words that are used for levels, by their first letter: most
// words of a line are no level, and one look tells.
var names = [26][]name{
	't' - 'a': {{"trace", "trace", true}, {"trc", "trace", false}},
	'd' - 'a': {{"debug", "debug", true}, {"dbg", "debug", false}},
	'i' - 'a': {{"info", "info", true}, {"inf", "info", false}, {"information", "info", false}},
	'n' - 'a': {{"notice", "info", false}},
	'w' - 'a': {{"warn", "warn", true}, {"warning", "warn", true}, {"wrn", "warn", false}},
	'e' - 'a': {{"error", "error", true}, {"err", "error", true}, {"emerg", "critical", false}},
	'f' - 'a': {{"fatal", "fatal", true}},
	'p' - 'a': {{"panic", "fatal", true}},
	'c' - 'a': {{"critical", "critical", true}, {"crit", "critical", false}},
	0:         {{"alert", "critical", false}},
}

// fields hold a level, as they stand in JSON and logfmt: what is before and
// behind a v, which is a rare letter.
var fields = [...]struct{ before, behind string }{{"le", "el"}, {"l", "l"}, {"se", "erity"}, {"se", "erity_text"}, {"se", ""}}

const (
	fieldWithin = 1024 // bytes in which a field is looked for
	wordWithin  = 96   // bytes in which a word is
)

// Of is the level of a line: trace, debug, info, warn, error, fatal, critical or
// unknown.
func Of(line []byte) string {
	if level := field(line[:min(len(line), fieldWithin)]); level != "" {
		return level
	}
	line = line[:min(len(line), wordWithin)]
	start := -1
	for i, c := range line {
		switch {
		case letter(c):
			if start < 0 {
				start = i
			}
		case start >= 0:
			if level := inText(line, start, i); level != "" {
				return level
			}
			start = -1
		}
	}
	if start >= 0 {
		if level := inText(line, start, len(line)); level != "" {
			return level
		}
	}
	return Unknown
}

// field is the level that a field of the line names, empty without one.
func field(line []byte) string {
	for at := 0; ; at++ {
		i := bytes.IndexByte(line[at:], 'v')
		if i < 0 {
			return ""
		}
		at += i // names with a capital V are written by nobody
		for _, f := range fields {
			before, behind := line[:at], line[at+1:]
			if len(before) < len(f.before) || len(behind) < len(f.behind) ||
				!equalFold(before[at-len(f.before):], f.before) || !equalFold(behind[:len(f.behind)], f.behind) {
				continue
			}
			if level := valueOf(behind[len(f.behind):]); level != "" {
				return level
			}
		}
	}
}

// valueOf is the level in what follows the name of a field: =info, ":"info",
// ": "info", ="info".
func valueOf(rest []byte) string {
	n, sign := 0, false
	for n < len(rest) && n < 5 && (rest[n] == '"' || rest[n] == ':' || rest[n] == '=' || rest[n] == ' ') {
		sign = sign || rest[n] == ':' || rest[n] == '='
		n++
	}
	if !sign {
		return ""
	}
	end := n
	for end < len(rest) && letter(rest[end]) {
		end++
	}
	return Word(rest[n:end])
}

// inText is the level that a word of a text tells; a part of a path is no word.
func inText(line []byte, from, to int) string {
	if from > 0 && line[from-1] == '/' {
		return ""
	}
	if n := find(line[from:to]); n != nil && n.text {
		return n.level
	}
	return ""
}

// Word is the level that a word names in any case, empty when it names none.
func Word(word []byte) string {
	if n := find(word); n != nil {
		return n.level
	}
	return ""
}

func find(word []byte) *name {
	if len(word) < 3 || len(word) > 11 {
		return nil
	}
	first := word[0] | 0x20 - 'a'
	if first >= 26 {
		return nil
	}
	list := names[first]
	for i := range list {
		if w := list[i].word; len(w) == len(word) && equalFold(word, w) {
			return &list[i]
		}
	}
	return nil
}

func equalFold(word []byte, lower string) bool {
	for i, c := range word {
		if c|0x20 != lower[i] {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c|0x20-'a' < 26 }
