// SPDX-License-Identifier: Apache-2.0

package loglevel

import "bytes"

// field is what the name of a field promises.
type field byte

const (
	noField   field = iota
	levelName       // a word, or a number of pino, bunyan, Monolog or log4j
	severity        // a word, or a severity of syslog
	number          // a number of OpenTelemetry
	pythonNo        // a number of Python
	prioField       // a priority of journald
)

// fieldOf tells what a name is, in any case and with or without _ - and dots.
func fieldOf(key []byte) field {
	var buf [16]byte
	n := 0
	if len(key) > 20 || len(key) < 2 || !isOneOf(key[0]|0x20, "lspe") && key[0] != '@' { // most end here
		return noField
	}
	for _, c := range key {
		switch {
		case c == '_' || c == '-' || c == '.':
			continue
		case isUpper(c):
			c |= 0x20
		}
		if n == len(buf) {
			return noField
		}
		buf[n] = c
		n++
	}
	switch string(buf[:n]) {
	case "level", "lvl", "loglevel", "levelname", "@level", "@l":
		return levelName
	case "severity", "sev", "severitytext", "logseverity", "errorseverity", "syslogseverity":
		return severity
	case "severitynumber":
		return number
	case "levelno":
		return pythonNo
	case "priority":
		if string(key) == "PRIORITY" {
			return prioField
		}
	}
	return noField
}

// Field is the level that a field of this name tells, empty when it tells none.
func Field(key, value []byte) string {
	f := fieldOf(key)
	if f == noField {
		return ""
	}
	return valueOf(f, bytes.TrimSpace(value))
}

// IsField reports whether fields of this name tell a level.
func IsField(key []byte) bool { return fieldOf(key) != noField }

// valueOf is the level in the value of a field: a word, INFO+2 of Go's slog, a
// capital, a number.
func valueOf(f field, v []byte) string {
	if n, ok := decimal(v); ok {
		return ofNumber(f, n)
	}
	if rest, ok := bytes.CutPrefix(v, []byte(`\u001b[`)); ok { // coloured in JSON
		i := bytes.IndexByte(rest, 'm')
		v = rest[i+1:]
		if i = bytes.IndexByte(v, '\\'); i >= 0 {
			v = v[:i]
		}
	}
	end := 0
	for end < len(v) && isLetter(v[end]) {
		end++
	}
	switch rest := v[end:]; {
	case len(rest) == 0:
	case len(rest) > 1 && (rest[0] == '+' || rest[0] == '-') && isDigit(rest[1]):
	case len(bytes.TrimSpace(rest)) > 0:
		return ""
	}
	if end == 1 && isUpper(v[0]) {
		return byLetter(v[0])
	}
	return Word(v[:end])
}

func decimal(v []byte) (n int, ok bool) {
	if len(v) == 0 || len(v) > 6 {
		return 0, false
	}
	for _, c := range v {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// ofNumber is the level of a number. A small one is a level of syslog only where
// the field says so: a level of 3 is anything.
func ofNumber(f field, n int) string {
	switch {
	case f == number:
		if n < 1 || n > 24 {
			return ""
		}
		return [...]string{"trace", "debug", "info", "warn", "error", "fatal"}[(n-1)/4]
	case f == prioField || f == severity:
		if n > 7 {
			return ""
		}
		return ofSyslog(n)
	case f == pythonNo:
		return pick(n, 10, [...]string{"debug", "info", "warn", "error", "critical", "critical"})
	case n < 10:
		return ""
	case n < 100: // pino and bunyan
		return pick(n, 10, [...]string{"trace", "debug", "info", "warn", "error", "fatal"})
	case n == 250: // Monolog's notice
		return "info"
	case n < 1000:
		return pick(n, 100, [...]string{"debug", "info", "warn", "error", "critical", "critical"})
	case n == 5000: // log4j and logback
		return "trace"
	}
	return pick(n, 10000, [...]string{"debug", "info", "warn", "error", "fatal", ""})
}

func pick(n, unit int, levels [6]string) string {
	if i := n/unit - 1; i >= 0 && i < len(levels) {
		return levels[i]
	}
	return ""
}

// isObject reports whether a line that begins with { is an object of JSON.
func isObject(line []byte) bool {
	i := skipSpace(line, 1)
	return i < len(line) && line[i] == '"'
}

// object is the level that a field of a JSON object itself tells, not one of an
// object in it. What is cut off or broken is read as far as it goes.
func object(b []byte) string {
	var seen struct{ t, gelf, clef, text bool }
	small := -1 // a level below 10
	for i := 1; ; {
		for i < len(b) && (b[i] <= ' ' || b[i] == ',') {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			break
		}
		end := closing(b, i+1)
		if end < 0 {
			break
		}
		key := b[i+1 : end]
		if i = skipSpace(b, end+1); i >= len(b) || b[i] != ':' {
			break
		}
		i = skipSpace(b, i+1)
		next := skipValue(b, i)
		if f := fieldOf(key); f != noField {
			v := unquote(b[i:next])
			if level := valueOf(f, v); level != "" {
				return level
			}
			if n, ok := decimal(v); ok && f == levelName {
				small = n
			}
		}
		switch string(key) {
		case "t":
			seen.t = true
		case "s": // of mongod
			if v := unquote(b[i:next]); seen.t && len(v) > 0 && len(v) < 3 {
				return byLetter(v[0])
			}
		case "log": // of Elastic's common schema
			if i < next && b[i] == '{' {
				if level := object(b[i:next]); level != "" {
					return level
				}
			}
		case "short_message":
			seen.gelf = true
		case "@t":
			seen.clef = true
		case "@m", "@mt":
			seen.text = true
		}
		i = next
	}
	switch {
	case seen.gelf && small >= 0 && small < 8:
		return ofSyslog(small)
	case seen.clef && seen.text: // Serilog leaves this level out
		return "info"
	}
	return ""
}

// unquote is a value without its quotes and the spaces around.
func unquote(v []byte) []byte {
	v = bytes.TrimSpace(v)
	if len(v) > 0 && v[0] == '"' {
		v = v[1:]
		if len(v) > 0 && v[len(v)-1] == '"' {
			v = v[:len(v)-1]
		}
	}
	return bytes.TrimSpace(v)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' {
		i++
	}
	return i
}

// skipValue is where the value of a field ends.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			end := closing(b, i+1)
			if end < 0 {
				return len(b)
			}
			i = end
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// closing is where the quotes that are open at from are closed, below 0 when
// nowhere.
func closing(b []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		back := i
		for back > from && b[back-1] == '\\' {
			back--
		}
		if (i-back)%2 == 0 {
			return i
		}
		i++
	}
}

// logfmt is the level that a key outside of quotes tells.
func logfmt(line []byte) string {
	for at := 0; ; {
		sign := bytes.IndexByte(line[at:], '=')
		if sign < 0 {
			return ""
		}
		sign += at
		if q := bytes.IndexByte(line[at:sign], '"'); q >= 0 {
			at += q + 1
			if end := closing(line, at); end >= 0 {
				at = end + 1
			}
			continue
		}
		from := sign
		for from > at && is(line[from-1], key) {
			from--
		}
		if from < sign && (from == 0 || isSpace(line[from-1]) || isOneOf(line[from-1], ",;|[({")) {
			if level := pair(line, from, sign); level != "" {
				return level
			}
		}
		at = sign + 1
	}
}

// pair is the level that key=value tells.
func pair(line []byte, from, sign int) string {
	f := fieldOf(line[from:sign])
	if f == noField {
		return ""
	}
	v := line[sign+1:]
	if len(v) > 0 && v[0] == '"' {
		end := closing(v, 1)
		if end < 0 {
			end = len(v)
		}
		return valueOf(f, bytes.TrimSpace(v[1:end]))
	}
	end := 0
	for end < len(v) && !isSpace(v[end]) && !isOneOf(v[end], ",;|])}") {
		end++
	}
	return valueOf(f, v[:end])
}

func isOneOf(c byte, list string) bool {
	for i := range len(list) {
		if list[i] == c {
			return true
		}
	}
	return false
}
