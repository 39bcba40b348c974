// SPDX-License-Identifier: Apache-2.0

package loglevel

// use says where a word is a level.
type use byte

const (
	plain  use = iota // in any place for a level
	marked            // in capitals, in brackets, before a colon, in a field
	strict            // only in brackets, in capitals before a colon, in a field: it means too much else
	exact             // as strict, and written small before a colon, as .NET does
)

type name struct {
	word, level string
	use         use
}

// names are the words that are used for levels, by their first letter: most
// words of a line are no level, and one look tells.
var names = [26][]name{
	't' - 'a': {{"trace", "trace", plain}, {"trc", "trace", marked}, {"trce", "trace", exact}, {"trac", "trace", marked}},
	'd' - 'a': {{"debug", "debug", plain}, {"dbg", "debug", marked}, {"dbug", "debug", exact}, {"debu", "debug", marked}, {"dpanic", "fatal", marked}},
	'v' - 'a': {{"verbose", "trace", marked}, {"verb", "trace", marked}, {"vrb", "trace", marked}},
	'i' - 'a': {{"info", "info", plain}, {"inf", "info", marked}, {"information", "info", marked}, {"informational", "info", marked}},
	'n' - 'a': {{"notice", "info", marked}, {"note", "info", strict}},
	'l' - 'a': {{"log", "info", strict}},
	's' - 'a': {{"severe", "error", marked}, {"system", "info", strict}, {"success", "info", strict}},
	'w' - 'a': {{"warn", "warn", plain}, {"warning", "warn", plain}, {"wrn", "warn", marked}},
	'e' - 'a': {{"error", "error", plain}, {"err", "error", plain}, {"erro", "error", marked}, {"eror", "error", marked}, {"emerg", "critical", plain}, {"emergency", "critical", marked}},
	'f' - 'a': {{"fatal", "fatal", plain}, {"ftl", "fatal", marked}, {"fata", "fatal", marked}, {"fail", "error", exact}, {"fine", "debug", strict}, {"finer", "trace", strict}, {"finest", "trace", strict}},
	'p' - 'a': {{"panic", "fatal", plain}, {"pani", "fatal", marked}},
	'c' - 'a': {{"critical", "critical", plain}, {"crit", "critical", plain}, {"crt", "critical", marked}, {"config", "debug", strict}},
	0:         {{"alert", "critical", marked}},
}

// Word is the level that a word names in any case, empty when it names none.
func Word(word []byte) string {
	if n := find(word); n != nil {
		return n.level
	}
	return ""
}

func find(word []byte) *name {
	if len(word) < 3 || len(word) > 13 {
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

// byLetter is the level of loggers that write one capital.
func byLetter(c byte) string {
	switch c {
	case 'T', 'V':
		return "trace"
	case 'D':
		return "debug"
	case 'I', 'N':
		return "info"
	case 'W':
		return "warn"
	case 'E':
		return "error"
	case 'F':
		return "fatal"
	case 'C':
		return "critical"
	}
	return ""
}
