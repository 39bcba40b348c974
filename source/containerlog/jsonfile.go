// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"tallyman/internal/logstream"
)

// jsonFile is the format of Docker's driver json-file: one JSON object a line,
//
//	{"log":"text\n","stream":"stdout","time":"2026-11-24T12:00:00.123456789Z"}
//
// with an optional "attrs" between. A text without its line feed goes on in the
// next entry: dockerd cuts lines into pieces of 16 KiB, all with one time. What
// is written in another order is read by the slow way.
var jsonFile = format{next: nextJSON, resync: resyncJSON, last: anyJSON, limit: 256 << 10}

var (
	jsonLog    = []byte(`{"log":"`)
	jsonStdout = []byte(`","stream":"stdout",`)
	jsonStderr = []byte(`","stream":"stderr",`)
	jsonTime   = []byte(`"time":"`)
	jsonEnd    = []byte(`"}`)

	jsonAttributes = []byte(`"attrs":`)
)

func nextJSON(b []byte, s *scratch, e *entry) (n int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, errMore
	}
	line := b[:end]
	if anyJSON(line, s, e) {
		return end + 1, nil
	}
	// An entry may stand behind what is damaged: behind the NUL bytes of a power
	// cut, or behind an entry of which a kill left the beginning. In a text its
	// beginning cannot stand, since quotes are escaped there.
	for at := 1; ; at++ {
		i := bytes.Index(line[min(at, end):], jsonLog)
		if i < 0 {
			return end + 1, errBad
		}
		at += i
		if anyJSON(line[at:], s, e) {
			return at, errBad
		}
	}
}

// anyJSON reads a line, whatever the order of its members.
func anyJSON(line []byte, s *scratch, e *entry) bool {
	*e = entry{}
	return fastJSON(line, s, e) || slowJSON(line, s, e)
}

// resyncJSON leaves what begins like an entry.
func resyncJSON(b []byte) int {
	if i := bytes.LastIndex(b[1:], jsonLog); i >= 0 {
		return i + 1
	}
	// The beginning may be cut, too.
	for n := min(len(jsonLog), len(b)) - 1; n > 0; n-- {
		if bytes.HasSuffix(b, jsonLog[:n]) {
			return len(b) - n
		}
	}
	return len(b)
}

// fastJSON reads a line in the order in which dockerd writes it. It begins at
// the end, where all but the text is.
func fastJSON(line []byte, s *scratch, e *entry) bool {
	rest, ok := bytes.CutPrefix(line, jsonLog)
	if !ok {
		return false
	}
	rest, ok = bytes.CutSuffix(rest, jsonEnd)
	if !ok {
		return false
	}
	time := bytes.LastIndexByte(rest, '"') + 1
	if e.time, ok = logstream.ParseTime(rest[time:]); !ok {
		return false
	}
	if rest, ok = bytes.CutSuffix(rest[:time], jsonTime); !ok {
		return false
	}
	text, ok := bytes.CutSuffix(rest, jsonStdout)
	if e.stderr = !ok; !ok {
		if text, ok = bytes.CutSuffix(rest, jsonStderr); !ok {
			if text, ok = beforeAttributes(rest, e); !ok {
				return false
			}
		}
	}
	e.partial = !bytes.HasSuffix(text, []byte(`\n`))
	if !e.partial {
		text = text[:len(text)-2]
		// An escaped backslash before an n is no line feed.
		back := 0
		for back < len(text) && text[len(text)-1-back] == '\\' {
			back++
		}
		if back%2 == 1 {
			text, e.partial = text[:len(text)+2], true
		}
	}
	if bytes.IndexByte(text, '\\') < 0 {
		e.text = text
		return bytes.IndexByte(text, '"') < 0 // else it is two entries in one
	}
	e.text, ok = s.unescape(text)
	return ok
}

// beforeAttributes is the text of an entry that has attributes, which stand
// between stream and time: it ends at the first quote that no backslash escapes.
func beforeAttributes(rest []byte, e *entry) (text []byte, ok bool) {
	for quote := 0; ; quote++ {
		i := bytes.IndexByte(rest[quote:], '"')
		if i < 0 {
			return nil, false
		}
		quote += i
		back := 0
		for back < quote && rest[quote-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			text, rest = rest[:quote], rest[quote:]
			break
		}
	}
	attributes, isStdout := bytes.CutPrefix(rest, jsonStdout)
	isStderr := false
	if e.stderr = !isStdout; e.stderr {
		attributes, isStderr = bytes.CutPrefix(rest, jsonStderr)
	}
	// They are looked at, since of two entries in one line only the second is whole.
	attributes, ok = bytes.CutPrefix(attributes, jsonAttributes)
	attributes, comma := bytes.CutSuffix(attributes, []byte{','})
	return text, ok && comma && (isStdout || isStderr) && json.Valid(attributes)
}

// unescape undoes the escapes of a JSON string. A quote without one is an error.
func (s *scratch) unescape(text []byte) ([]byte, bool) {
	out := slices.Grow(s.b[:0], len(text)) // no escape stands for more bytes than it has
	for i := 0; i < len(text); {
		c := text[i]
		if c == '"' {
			return nil, false
		}
		if i++; c != '\\' {
			out = append(out, c)
			continue
		}
		if i == len(text) {
			return nil, false
		}
		c = text[i]
		i++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u':
			r, ok := hex4(text[i:])
			if !ok {
				return nil, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				second, ok := rune(0), false
				if len(text) >= i+6 && text[i] == '\\' && text[i+1] == 'u' {
					second, ok = hex4(text[i+2:])
				}
				if r2 := utf16.DecodeRune(r, second); ok && r2 != utf8.RuneError {
					r, i = r2, i+6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, false
		}
	}
	s.b = out
	return out, true
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// slowJSON reads any JSON object that has the members.
func slowJSON(line []byte, s *scratch, e *entry) bool {
	var o struct {
		Log    *string `json:"log"`
		Stream string  `json:"stream"`
		Time   string  `json:"time"`
	}
	if json.Unmarshal(line, &o) != nil || o.Log == nil {
		return false
	}
	var ok bool
	if e.time, ok = logstream.ParseTime([]byte(o.Time)); !ok {
		return false
	}
	e.stderr = o.Stream == "stderr"
	s.b = append(s.b[:0], *o.Log...)
	e.text = s.b
	e.partial = true
	if n := len(e.text); n > 0 && e.text[n-1] == '\n' {
		e.text, e.partial = e.text[:n-1], false
	}
	return true
}
