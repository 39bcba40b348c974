// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind is what a JSON value is.
type jsonKind uint8

const (
	jsonBroken jsonKind = iota
	jsonString
	jsonNumber
	jsonBool
	jsonNull
	jsonObject
	jsonArray
)

// maxJSONDepth is how deeply values may be nested.
const maxJSONDepth = 64

func jsonSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// jsonText finds the end of the string that begins at b[i], behind its last
// quote, and whether it has escapes; 0 when it has no end.
func jsonText(b []byte, i int) (end int, escaped bool) {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			i++
		}
	}
	return 0, false
}

// jsonValue finds the end of the value that begins at b[i].
func jsonValue(b []byte, i, depth int) (end int, kind jsonKind) {
	if i >= len(b) || depth > maxJSONDepth {
		return 0, jsonBroken
	}
	switch c := b[i]; {
	case c == '"':
		end, _ = jsonText(b, i)
		if end == 0 {
			return 0, jsonBroken
		}
		return end, jsonString
	case c == '{' || c == '[':
		return jsonSkip(b, i, depth)
	case c == '-' || isDigit(c):
		for end = i + 1; end < len(b) && strings.IndexByte("0123456789.eE+-", b[end]) >= 0; end++ {
		}
		return end, jsonNumber
	}
	for word, kind := range jsonWords {
		if len(b)-i >= len(word) && view(b[i:i+len(word)]) == word {
			return i + len(word), kind
		}
	}
	return 0, jsonBroken
}

var jsonWords = map[string]jsonKind{"true": jsonBool, "false": jsonBool, "null": jsonNull}

// jsonSkip finds the end of an object or an array.
func jsonSkip(b []byte, i, depth int) (end int, kind jsonKind) {
	kind, last := jsonObject, byte('}')
	if b[i] == '[' {
		kind, last = jsonArray, ']'
	}
	for i = jsonSpace(b, i+1); i < len(b); {
		if b[i] == last {
			return i + 1, kind
		}
		if kind == jsonObject {
			if _, _, i = jsonKey(b, i); i == 0 {
				return 0, jsonBroken
			}
		}
		var k jsonKind
		if i, k = jsonValue(b, i, depth+1); k == jsonBroken {
			return 0, jsonBroken
		}
		if i = jsonComma(b, i, last); i == 0 {
			return 0, jsonBroken
		}
	}
	return 0, jsonBroken
}

// jsonKey reads a key and the colon; next is where its value begins, 0 when
// there is none.
func jsonKey(b []byte, i int) (key []byte, escaped bool, next int) {
	if i >= len(b) || b[i] != '"' {
		return nil, false, 0
	}
	end, escaped := jsonText(b, i)
	if end == 0 {
		return nil, false, 0
	}
	next = jsonSpace(b, end)
	if next >= len(b) || b[next] != ':' {
		return nil, false, 0
	}
	return b[i+1 : end-1], escaped, jsonSpace(b, next+1)
}

// jsonComma goes over the comma behind a value, or stays at the end of the
// object or array; 0 when there is neither.
func jsonComma(b []byte, i int, last byte) int {
	i = jsonSpace(b, i)
	switch {
	case i >= len(b):
		return 0
	case b[i] == ',':
		if i = jsonSpace(b, i+1); i >= len(b) || b[i] == last {
			return 0
		}
		return i
	case b[i] == last:
		return i
	}
	return 0
}

// unescape puts the text of a string between its quotes into the arena.
func (l *line) unescape(b []byte) string {
	n := len(l.arena)
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			l.arena = append(l.arena, b[i])
			continue
		}
		i++
		if at := strings.IndexByte(`"\/bfnrt`, b[i]); at >= 0 {
			l.arena = append(l.arena, "\"\\/\b\f\n\r\t"[at])
			continue
		}
		if b[i] != 'u' || i+4 >= len(b) {
			l.arena = append(l.arena, '\\', b[i])
			continue
		}
		r, ok := hexRune(b[i+1:])
		if !ok {
			l.arena = append(l.arena, '\\', 'u')
			continue
		}
		i += 4
		if utf16.IsSurrogate(r) && i+6 < len(b) && b[i+1] == '\\' && b[i+2] == 'u' {
			if low, ok := hexRune(b[i+3:]); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					r = both
					i += 6
				}
			}
		}
		l.arena = utf8.AppendRune(l.arena, r)
	}
	return view(l.arena[n:])
}

func hexRune(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(view(b[:4]), 16, 32)
	return rune(v), err == nil
}

// jsonContent is the text of a value: of a string without quotes and escapes.
func (l *line) jsonContent(b []byte, kind jsonKind) string {
	if kind != jsonString {
		return view(b)
	}
	b = b[1 : len(b)-1]
	if strings.IndexByte(view(b), '\\') < 0 {
		return view(b)
	}
	return l.unescape(b)
}

// pathStep is one step of a path: into a key, or into the list.
type pathStep struct {
	key   string
	index int
	list  bool
}

// parsePath reads a.b[0]["c d"].
func parsePath(s string) ([]pathStep, error) {
	var out []pathStep
	wrong := func() ([]pathStep, error) {
		return nil, bad("the path %q cannot be read; write it as a.b[0][\"c\"]", s)
	}
	for i := 0; i < len(s); {
		switch {
		case s[i] == '[' && i+1 < len(s) && s[i+1] == '"':
			end, _ := jsonText([]byte(s), i+1)
			if end == 0 || end >= len(s) || s[end] != ']' {
				return wrong()
			}
			key, err := strconv.Unquote(s[i+1 : end])
			if err != nil {
				return wrong()
			}
			out = append(out, pathStep{key: key})
			i = end + 1
		case s[i] == '[':
			end := strings.IndexByte(s[i:], ']')
			if end < 0 {
				return wrong()
			}
			n, err := strconv.Atoi(s[i+1 : i+end])
			if err != nil || n < 0 {
				return wrong()
			}
			out = append(out, pathStep{index: n, list: true})
			i += end + 1
		default:
			if s[i] == '.' {
				if len(out) == 0 {
					return wrong()
				}
				i++
			} else if len(out) > 0 {
				return wrong()
			}
			n := i
			for n < len(s) && s[n] != '.' && s[n] != '[' {
				if s[n] == '"' || s[n] == ']' || s[n] == ' ' {
					return wrong()
				}
				n++
			}
			if n == i {
				return wrong()
			}
			out = append(out, pathStep{key: s[i:n]})
			i = n
		}
	}
	if len(out) == 0 {
		return wrong()
	}
	return out, nil
}

// jsonFind is the value at a path of the value that begins at b[i]. found is
// whether it is there at all: it may be broken. What is broken before it is gone
// over, as Loki does.
func (l *line) jsonFind(b []byte, i int, path []pathStep) (value []byte, kind jsonKind, found bool) {
	for n, step := range path {
		if step.list {
			i = jsonItem(b, i, step.index)
		} else {
			i = l.jsonMember(b, i, step.key, n == 0)
		}
		if i == 0 {
			return nil, jsonBroken, false
		}
	}
	end, kind := jsonWhole(b, i)
	return b[min(i, len(b)):max(end, min(i, len(b)))], kind, true
}

// jsonWhole finds the end of a value; what is in an object or a list is not
// looked at.
func jsonWhole(b []byte, i int) (end int, kind jsonKind) {
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		if end = jsonBlock(b, i); end == 0 {
			return 0, jsonBroken
		}
		if b[i] == '[' {
			return end, jsonArray
		}
		return end, jsonObject
	}
	return jsonValue(b, i, 0)
}

// jsonBlock finds the end of the object or list that begins at b[i] by its
// brackets, 0 when it has none.
func jsonBlock(b []byte, i int) int {
	open, last, depth := b[i], b[i]+2, 0 // { and [ stand two places before their closing ones
	for i < len(b) {
		switch b[i] {
		case '"':
			if i, _ = jsonText(b, i); i == 0 {
				return 0
			}
			continue
		case open:
			depth++
		case last:
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return 0
}

// jsonMember is where the value of a key begins, 0 when it is not there. The line
// itself (top) is looked through to its end, an object in it to its own.
func (l *line) jsonMember(b []byte, i int, want string, top bool) int {
	if i >= len(b) || b[i] != '{' {
		return 0
	}
	for i++; i < len(b); {
		switch {
		case b[i] == '}' && !top:
			return 0
		case b[i] != '"':
			i++
			continue
		}
		end, escaped := jsonText(b, i)
		if end == 0 {
			return 0
		}
		key := b[i+1 : end-1]
		if i = jsonSpace(b, end); i >= len(b) || b[i] != ':' {
			continue
		}
		i = jsonSpace(b, i+1)
		name := view(key)
		if escaped {
			name = l.unescape(key)
		}
		if name == want {
			return i
		}
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			if i = jsonBlock(b, i); i == 0 {
				return 0
			}
		}
	}
	return 0
}

// jsonItem is where an item of a list begins, 0 when it is not there.
func jsonItem(b []byte, i, want int) int {
	if i >= len(b) || b[i] != '[' {
		return 0
	}
	i = jsonSpace(b, i+1)
	for n := 0; i < len(b) && b[i] != ']'; n++ {
		if n == want {
			return i
		}
		end, kind := jsonValue(b, i, 0)
		if kind == jsonBroken {
			return 0
		}
		if i = jsonComma(b, end, ']'); i == 0 {
			return 0
		}
	}
	return 0
}
