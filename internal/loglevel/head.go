// SPDX-License-Identifier: Apache-2.0

package loglevel

import "bytes"

// head is a walk over what loggers write before the text: times, brackets, names
// and the level.
type head struct {
	line   []byte
	inside bool // of brackets
	time   bool // a time was met
	other  bool // something that is no time was
	groups int
	names  int
}

const (
	mostParts = 16 // of a head
	mostNames = 3  // that are no time and stand in no brackets
	groupEnds = 96 // bytes that brackets may hold
)

// level is the level that the head has, empty without one. objectAt is where a
// JSON object begins behind the head, 0 without one.
func (h *head) level() (level string, objectAt int) {
	if level := h.special(); level != "" {
		return level, 0
	}
	line := h.line
	dash := false // the part before was a dash or a bar
	for i, parts := 0, 0; parts < mostParts; parts++ {
		for i < len(line) && is(line[i], gap) {
			i++
		}
		if i >= len(line) {
			return "", 0
		}
		c := line[i]
		if c == '{' && !h.inside && isObject(line[i:]) {
			return "", i
		}
		if is(c, opens) {
			end := closes(line, i)
			if end < 0 {
				return "", 0
			}
			if level := h.group(c, line[i+1:end]); level != "" {
				return level, 0
			}
			h.groups++
			dash = false
			if i = end + 1; i < len(line) && line[i] == ':' {
				i++
			}
			continue
		}
		if is(c, dashes) {
			from := i
			for i < len(line) && is(line[i], dashes) {
				i++
			}
			if i < len(line) && !isSpace(line[i]) && c != '|' && c != '=' && !isOneOf(line[i], "[(") || i-from > 4 {
				return "", 0
			}
			dash = true
			continue
		}
		if isLetter(c) {
			if level := h.wordAt(i, dash); level != "" {
				return level, 0
			}
		}
		end := h.token(i)
		token := line[i:end]
		switch {
		case isDigit(c) || c == '+':
			switch {
			case isTime(token):
				h.time, h.names = true, 0
			case len(token) >= 9 && digits(token[:9]): // of seconds since 1970
				h.time = true
			case h.time && (c == '+' || digits(token)): // a zone, a process
			default:
				h.other = true
			}
			if level := h.redis(i, end); level != "" {
				return level, 0
			}
		case isCalendar(token, h.time):
		case bytes.IndexByte(token, '=') > 0:
			if parts == 0 { // logfmt begins here
				return "", 0
			}
			sign := bytes.IndexByte(token, '=')
			if level := pair(line, i, i+sign); level != "" {
				return level, 0
			}
			if h.names++; h.names > mostNames {
				return "", 0
			}
			if sign+1 < len(token) && token[sign+1] == '"' {
				if end = closing(line, i+sign+2) + 1; end <= 0 {
					return "", 0
				}
			}
			h.other = true
		case h.isName(token, i, end, dash):
			if token[len(token)-1] == ':' && IsField(token[:len(token)-1]) { // level: error
				next := skipSpace(line, end)
				return Field(token[:len(token)-1], line[next:h.token(next)]), 0
			}
			if level := ofChannel(token); level != "" {
				return level, 0
			}
			if level := ofProgram(token, line[end:]); level != "" {
				return level, 0
			}
			if h.names++; h.names > mostNames {
				return "", 0
			}
			h.other = true
		default:
			return "", 0
		}
		dash = false
		i = end
	}
	return "", 0
}

// token is where the token that begins at i ends.
func (h *head) token(i int) int {
	for i < len(h.line) && !is(h.line[i], tokenEnd) {
		i++
	}
	return i
}

// word is where the letters that begin at i end.
func (h *head) word(i int) int {
	for i < len(h.line) && isLetter(h.line[i]) {
		i++
	}
	return i
}

// wordAt is the level of the word or the letter at i.
func (h *head) wordAt(i int, dash bool) string {
	line := h.line
	end := h.word(i)
	rest := line[end:]
	if end == i+1 {
		return h.letter(line[i], rest)
	}
	n := find(line[i:end])
	if n == nil {
		return ""
	}
	capitals := upper(line[i:end])
	switch {
	case len(rest) == 0:
		if capitals && n.use < strict && !h.other || n.use == plain && (i == 0 || h.inside) || h.inside && capitals {
			return n.level
		}
		return ""
	case rest[0] == ':':
		if len(rest) > 1 && (rest[1] == ':' || rest[1] == '/' || !capitals && !isSpace(rest[1])) {
			return ""
		}
		if n.use < strict || capitals || n.use == exact && !isUpper(line[i]) && !h.time {
			return n.level
		}
		return ""
	case rest[0] == '[':
		if end-i <= 4 && capitals || n.use < strict && capitals {
			return n.level
		}
		return ""
	case rest[0] == '/' && h.inside, rest[0] == '(', rest[0] == '!':
		if capitals && n.use < strict {
			return n.level
		}
		return ""
	case rest[0] == ',' || rest[0] == ';': // of values with commas between
		if capitals && n.use < strict && h.time {
			return n.level
		}
		return ""
	case rest[0] == '|':
		return n.level
	case !isSpace(rest[0]):
		return ""
	}
	next := skipBlank(rest)
	switch {
	case next == len(rest):
		if capitals && n.use < strict && !h.other {
			return n.level
		}
		return ""
	case bytes.HasPrefix(rest, []byte(" error:")) && n.level == "fatal": // Go's and PHP's
		return n.level
	case capitals && n.level == "trace" && (rest[next] == '/' || bytes.HasPrefix(rest[next:], []byte("http"))): // a request
		return ""
	case capitals && n.use < strict:
		return n.level
	case rest[0] == '\t' || rest[next] == '[' || rest[next] == '|' || next > 1 && h.time,
		isOneOf(rest[next], "-:") && next+1 < len(rest) && isSpace(rest[next+1]):
		if n.use < strict || capitals {
			return n.level
		}
	case isUpper(line[i]) || n.use != plain:
	case h.time && !h.other && h.names == 0: // behind the time
		return n.level
	case !h.time && !h.other && h.groups == 0 && !dash && isUpper(rest[next]): // error An unexpected …
		return n.level
	case h.inside && h.time:
		return n.level
	}
	return ""
}

// letter is the level of a capital alone: E! of Telegraf, E: of apt, E of mongod.
func (h *head) letter(c byte, rest []byte) string {
	if !isUpper(c) || len(rest) < 2 {
		return ""
	}
	switch {
	case rest[0] == '!' && isSpace(rest[1]) && h.time:
		return byLetter(c)
	case rest[0] == ':' && isSpace(rest[1]) && !h.time && !h.other && isOneOf(c, "EWIN"):
		return byLetter(c)
	case rest[0] == ',' && bytes.HasPrefix(rest, []byte(", [")): // Ruby
		return byLetter(c)
	case isSpace(rest[0]) && h.time && !h.other && isOneOf(c, "DIWEF"):
		next := skipBlank(rest)
		if next+1 < len(rest) && (isUpper(rest[next]) && isUpper(rest[next+1]) || rest[next] == '-' && isSpace(rest[next+1])) {
			return byLetter(c)
		}
	}
	return ""
}

// group is the level in brackets.
func (h *head) group(open byte, in []byte) string {
	in = bytes.TrimSpace(in)
	if len(in) == 0 {
		return ""
	}
	if open == '[' && isUpper(in[0]) {
		if len(in) == 1 && isOneOf(in[0], "DIWEF") {
			return byLetter(in[0])
		}
		if len(in) > 2 && isSpace(in[1]) && isDigit(in[2]) { // Jupyter and Tornado
			h.time = true
			return byLetter(in[0])
		}
	}
	if n := find(in); n != nil {
		if n.use < strict && (open == '[' || open == '<' && (h.time || h.groups > 0)) || isUpper(in[0]) && (open == '[' || upper(in)) {
			return n.level
		}
		return ""
	}
	if open != '[' || h.inside {
		return ""
	}
	for i := len(in) - 1; i > 0 && i > len(in)-12; i-- { // [core:error], [Server thread/INFO]
		if in[i] == ':' || in[i] == '/' {
			if n := find(in[i+1:]); n != nil && n.use < strict && (in[i] == ':' || upper(in[i+1:])) {
				return n.level
			}
			break
		}
	}
	inner := head{line: in, inside: true}
	level, _ := inner.level()
	h.time = h.time || inner.time
	return level
}

// ofChannel is the level of app.ERROR: as Monolog writes it, and of log4j:WARN.
func ofChannel(token []byte) string {
	between := byte(':')
	if last := len(token) - 1; token[last] == ':' {
		between, token = '.', token[:last]
	}
	at := bytes.LastIndexByte(token, between)
	if at < 0 || !upper(token[at+1:]) {
		return ""
	}
	return Word(token[at+1:])
}

// ofProgram is the level that some programs write behind their name in words of
// their own.
func ofProgram(program, rest []byte) string {
	rest = rest[skipBlank(rest):]
	switch string(program) {
	case "npm":
		for _, word := range [...]string{"error", "warn", "notice"} {
			if bytes.HasPrefix(rest, []byte(word)) && len(rest) > len(word) && isSpace(rest[len(word)]) {
				return Word(rest[:len(word)])
			}
		}
	case "PHP":
		switch {
		case bytes.HasPrefix(rest, []byte("Parse error:")):
			return "error"
		case bytes.HasPrefix(rest, []byte("Deprecated:")):
			return "warn"
		}
	}
	return ""
}

// isName reports whether a token may stand before the level: a program or a
// module, marked as one, or a host behind the time.
func (h *head) isName(token []byte, from, end int, dash bool) bool {
	if isOneOf(token[0], `"'/`) && token[0] != '/' {
		return false
	}
	rest := h.line[end:]
	last := token[len(token)-1]
	switch {
	case last == ':' || last == '.' || last == '!' || last == '?':
		return last == ':'
	case bytes.IndexByte(token, '@') > 0 || bytes.IndexByte(token, '.') > 0 || bytes.IndexByte(token, ':') > 0:
		return true
	case len(rest) > 0 && (rest[0] == '[' || rest[0] == '|'):
		return true
	case h.inside:
		return false
	}
	switch string(token) {
	case "PHP", "npm", "stdout", "stderr", "F", "P":
		return true
	}
	next := skipBlank(rest)
	if next < len(rest) && isOneOf(rest[next], "-|") && next+1 < len(rest) && isSpace(rest[next+1]) {
		return dash || rest[next] == '|'
	}
	if h.time && h.names == 0 && next < len(rest) && isLetter(rest[next]) { // a host before a program
		program := h.token(end + next)
		return h.line[program-1] == ':' || program < len(h.line) && h.line[program] == '['
	}
	return false
}

// special is the level of lines that are known by how they begin.
func (h *head) special() string {
	line := h.line
	if len(line) < 6 || h.inside {
		return ""
	}
	switch line[0] {
	case 'T':
		if bytes.HasPrefix(line, []byte("Traceback (most recent call last)")) {
			return "error"
		}
	case 'E':
		if bytes.HasPrefix(line, []byte(`Exception in thread "`)) {
			return "error"
		}
	case 'U':
		if bytes.HasPrefix(line, []byte("Unhandled exception")) {
			return "error"
		}
	case 't':
		if bytes.HasPrefix(line, []byte("thread '")) && bytes.Contains(line, []byte("' panicked at ")) {
			return "fatal"
		}
	}
	if !isOneOf(line[0], "IWEFD") { // klog and glog: E1124 12:00:00, or with a year
		return ""
	}
	n := 1
	for n < len(line) && isDigit(line[n]) {
		n++
	}
	if (n == 5 || n == 7 || n == 9) && n+3 < len(line) && line[n] == ' ' && isDigit(line[n+1]) && isDigit(line[n+2]) && line[n+3] == ':' {
		return byLetter(line[0])
	}
	return ""
}

// redis is the level of 1:M 24 Nov 2026 12:00:00.000 * Ready, when the token from
// i to end is its last number.
func (h *head) redis(i, end int) string {
	line := h.line
	if i == 0 || !h.time || end+2 >= len(line) || line[end] != ' ' || line[end+2] != ' ' || !isOneOf(line[end+1], ".-*#") {
		return ""
	}
	n := 0
	for n < len(line) && isDigit(line[n]) {
		n++
	}
	if n == 0 || n+2 >= len(line) || line[n] != ':' || !isOneOf(line[n+1], "XCSM") || line[n+2] != ' ' {
		return ""
	}
	switch line[end+1] {
	case '#':
		return "warn"
	case '*':
		return "info"
	}
	return "debug"
}

// closes is where the brackets that open at i close, below 0 when not soon.
func closes(line []byte, i int) int {
	var c byte
	switch line[i] {
	case '[':
		c = ']'
	case '(':
		c = ')'
	case '{':
		c = '}'
	default:
		c = '>'
	}
	n := bytes.IndexByte(line[i:min(len(line), i+groupEnds)], c)
	if n < 0 {
		return -1
	}
	return i + n
}

func skipBlank(b []byte) int {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func digits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// isTime reports whether a token that begins with a digit is a date or a time of
// day; an address with a port is none.
func isTime(t []byte) bool {
	for i := 1; i+2 < len(t); i++ {
		if t[i] != ':' || !isDigit(t[i-1]) || !isDigit(t[i+1]) || !isDigit(t[i+2]) || i+3 < len(t) && isDigit(t[i+3]) {
			continue
		}
		from := i - 1
		for from > 0 && isDigit(t[from-1]) {
			from--
		}
		if i-from <= 2 && (from == 0 || t[from-1] != '.') {
			return true
		}
	}
	switch {
	case len(t) >= 10 && digits(t[:4]) && isOneOf(t[4], "-/.") && isDigit(t[5]) && t[7] == t[4]:
		return true
	case len(t) >= 10 && digits(t[:2]) && isOneOf(t[2], "-/.") && t[5] == t[2] && digits(t[6:10]):
		return true
	}
	return len(t) >= 11 && digits(t[:2]) && isOneOf(t[2], "-/") && isLetter(t[3]) && t[6] == t[2]
}

// isCalendar reports whether a token is the name of a month or a day, or behind
// a time of a zone.
func isCalendar(t []byte, behindTime bool) bool {
	switch string(t) {
	case "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
		"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	case "UTC", "GMT", "Z", "AM", "PM", "CET", "CEST", "EET", "EEST", "WET", "WEST", "MSK", "BST", "IST", "JST", "KST", "SGT", "HKT",
		"EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "AEST", "AEDT", "NZST", "NZDT", "BRT":
		return behindTime
	}
	return false
}
