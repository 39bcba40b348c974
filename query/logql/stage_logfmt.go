// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"bytes"
	"unicode/utf8"
)

// logfmtStage makes labels of key=value pairs. Without strict it goes on behind
// a pair that is broken.
type logfmtStage struct {
	strict, keepEmpty bool
	// Of the paths only these are taken, under these labels; none is all.
	labels, paths []string
	found         []bool
}

func (s *logfmtStage) process(l *line) bool {
	clear(s.found)
	for _, name := range s.labels { // what a stage before has found does not count
		if i := l.field(name); i >= 0 && l.fields[i].from == fromParser {
			l.fields[i].value = ""
		}
	}
	d := logfmt{b: l.text}
	for d.next() {
		if d.broken != "" {
			if s.strict {
				break
			}
			continue
		}
		if len(d.value) == 0 && !s.keepEmpty {
			continue
		}
		if s.paths != nil {
			s.take(l, &d)
			continue
		}
		if name := l.name(l.sanitize(d.key)); name != "" {
			l.add(name, s.text(l, &d))
		}
	}
	if d.broken != "" && s.strict {
		l.fail(errLogfmt, d.broken)
	}
	for i := range s.found {
		if !s.found[i] {
			l.missing(s.labels[i])
		}
	}
	return true
}

// take gives the pair to the labels that ask for it; the last of a name stays.
func (s *logfmtStage) take(l *line, d *logfmt) {
	key := l.sanitize(d.key)
	for i, p := range s.paths {
		if p != key {
			continue
		}
		if name := l.name(s.labels[i]); name != "" {
			l.replace(name, s.text(l, d))
		}
		s.found[i] = true
	}
}

func (s *logfmtStage) text(l *line, d *logfmt) string {
	v := d.value
	if d.escaped {
		return l.unescape(v)
	}
	if !utf8.Valid(v) {
		return l.keep(bytes.ToValidUTF8(v, []byte(" ")))
	}
	return view(v)
}

// logfmt goes over the pairs of a line.
type logfmt struct {
	b          []byte
	at         int
	key, value []byte // value without its quotes
	escaped    bool
	broken     string
}

// next reads a pair; broken says why it is none, and the next call goes on
// behind it.
func (d *logfmt) next() bool {
	d.broken, d.key, d.value, d.escaped = "", nil, nil, false
	for d.at < len(d.b) && d.b[d.at] <= ' ' {
		d.at++
	}
	if d.at >= len(d.b) {
		return false
	}
	start := d.at
	for d.at < len(d.b) && d.b[d.at] > ' ' && d.b[d.at] != '=' && d.b[d.at] != '"' {
		d.at++
	}
	d.key = d.b[start:d.at]
	switch {
	case d.at >= len(d.b) || d.b[d.at] <= ' ':
		return true // a key alone
	case d.b[d.at] == '"':
		return d.skip("unexpected '\"'")
	case len(d.key) == 0:
		return d.skip("unexpected '='")
	}
	d.at++
	if d.at < len(d.b) && d.b[d.at] == '"' {
		return d.quoted()
	}
	start = d.at
	for d.at < len(d.b) && d.b[d.at] > ' ' {
		if c := d.b[d.at]; c == '=' || c == '"' {
			return d.skip("unexpected '" + string(c) + "'")
		}
		d.at++
	}
	d.value = d.b[start:d.at]
	return true
}

func (d *logfmt) quoted() bool {
	end, escaped := jsonText(d.b, d.at)
	if end == 0 {
		d.at = len(d.b)
		d.broken = "unterminated quoted value"
		return true
	}
	d.value, d.escaped = d.b[d.at+1:end-1], escaped
	d.at = end // what follows without a space is the next pair
	return true
}

// skip goes behind the pair.
func (d *logfmt) skip(why string) bool {
	for d.at < len(d.b) && d.b[d.at] > ' ' {
		d.at++
	}
	d.broken = why
	return true
}
