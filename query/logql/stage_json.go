// SPDX-License-Identifier: Apache-2.0

package logql

import "unsafe"

// jsonStage makes a label of every value of a JSON object; the names of nested
// objects are joined with _, lists are left out.
type jsonStage struct {
	prefix []byte
	// found is told of each label and the keys that lead to it, if anybody
	// wants to know; keys are those of the object that is read.
	found func(name string, keys []string)
	keys  []string
}

func (s *jsonStage) process(l *line) bool {
	b := l.text
	if i := jsonSpace(b, 0); i < len(b) {
		s.prefix = s.prefix[:0]
		if b[i] == '{' {
			if end := s.object(l, b, i, 0); end > 0 && jsonSpace(b, end) <= len(b) {
				return true
			}
		}
	}
	l.fail(errJSON, "the line is no JSON object")
	return true
}

// object reads the object at b[i]; what it returns is its end, 0 when it is
// broken.
func (s *jsonStage) object(l *line, b []byte, i, depth int) int {
	if depth > maxJSONDepth {
		return 0
	}
	for i = jsonSpace(b, i+1); i < len(b); {
		if b[i] == '}' {
			return i + 1
		}
		key, escaped, next := jsonKey(b, i)
		if next == 0 || next >= len(b) {
			return 0
		}
		if escaped {
			key = []byte(l.unescape(key)) // rare
		}
		i = next
		if b[i] == '{' {
			n := len(s.prefix)
			s.prefix = l.join(s.prefix, key)
			if s.found != nil {
				s.keys = append(s.keys, string(key))
			}
			from, had := i, len(l.fields)
			i = s.object(l, b, i, depth+1)
			if i == 0 && jsonBlock(b, from) == 0 { // it is cut off: nothing of it counts
				l.fields = l.fields[:had]
			}
			s.prefix = s.prefix[:n]
			if s.found != nil {
				s.keys = s.keys[:len(s.keys)-1]
			}
			if i == 0 {
				return 0
			}
		} else {
			end, kind := jsonValue(b, i, depth)
			switch kind {
			case jsonBroken:
				return 0
			case jsonString, jsonNumber, jsonBool:
				s.leaf(l, key, b[i:end], kind)
			}
			i = end
		}
		if i = jsonComma(b, i, '}'); i == 0 {
			return 0
		}
	}
	return 0
}

func (s *jsonStage) leaf(l *line, key, value []byte, kind jsonKind) {
	var name string
	if len(s.prefix) == 0 {
		name = l.sanitize(key)
	} else {
		n := len(l.arena)
		l.arena = append(append(l.arena, s.prefix...), '_')
		l.appendName(key, false)
		name = view(l.arena[n:])
	}
	if name = l.name(name); name != "" {
		l.add(name, l.jsonContent(value, kind))
		if s.found != nil {
			s.found(name, append(s.keys, string(key)))
		}
	}
}

// join is a prefix with one more key.
func (l *line) join(prefix, key []byte) []byte {
	n := len(l.arena)
	first := len(prefix) == 0
	if !first {
		prefix = append(prefix, '_')
	}
	l.appendName(key, first)
	prefix = append(prefix, l.arena[n:]...)
	l.arena = l.arena[:n]
	return prefix
}

// pathStage takes values of a JSON object by their paths.
type pathStage struct {
	labels []string
	paths  [][]pathStep
}

// As in Loki the line need not be whole: what is found is taken. An error is a
// value that is found and broken.
func (s *pathStage) process(l *line) bool {
	b := l.text
	if len(b) == 0 {
		return true
	}
	if b[0] != '{' && b[0] != '[' && b[0] != '"' {
		l.fail(errJSON, "")
		return true
	}
	for n, label := range s.labels {
		value, kind, found := l.jsonFind(b, 0, s.paths[n])
		if found && kind == jsonBroken {
			l.fail(errJSON, "the value of "+label+" is broken")
		}
		if kind == jsonBroken || kind == jsonNull {
			l.missing(label)
		} else if label = l.name(label); label != "" {
			l.replace(label, l.jsonContent(value, kind))
		}
	}
	return true
}

// unpackStage undoes Promtail's pack: strings become labels, _entry the line.
type unpackStage struct{}

func (s unpackStage) process(l *line) bool {
	b, i := l.text, 0
	if len(b) == 0 {
		return true
	}
	if b[0] != '{' {
		return s.broken(l)
	}
	if _, kind := jsonValue(b, i, 0); kind == jsonBroken {
		return s.broken(l)
	}
	if _, kind, _ := l.jsonFind(b, i, entryPath); kind != jsonString {
		return true // it is not packed
	}
	var entry string
	for i = jsonSpace(b, i+1); b[i] != '}'; { // it is whole
		key, escaped, next := jsonKey(b, i)
		end, kind := jsonValue(b, next, 0)
		if kind == jsonString {
			if escaped {
				key = []byte(l.unescape(key))
			}
			value := l.jsonContent(b[next:end], kind)
			if view(key) == "_entry" {
				entry = value
			} else if name := l.name(l.sanitize(key)); name != "" {
				l.add(name, value)
			}
		}
		i = jsonComma(b, end, '}')
	}
	l.text = unsafe.Slice(unsafe.StringData(entry), len(entry))
	return true
}

// broken marks a line, unless nobody wants a label of it.
func (unpackStage) broken(l *line) bool {
	if l.wanted == nil || len(l.wanted) > 0 {
		l.fail(errJSON, "the line is no JSON object")
	}
	return true
}

var entryPath = []pathStep{{key: "_entry"}}
