// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"bytes"
	"slices"
	"unsafe"

	"tallyman"
)

// Labels that the language itself sets.
const (
	errorLabel   = "__error__"
	detailsLabel = "__error_details__"
)

// The values of __error__.
const (
	errJSON     = "JSONParserErr"
	errLogfmt   = "LogfmtParserErr"
	errFilter   = "LabelFilterErr"
	errTemplate = "TemplateFormatErr"
	errSample   = "SampleExtractionErr"
)

// duplicate is what a name gets that is there already.
const duplicate = "_extracted"

// origin is where a label comes from.
type origin uint8

const (
	fromStream origin = iota
	fromMeta
	fromParser
)

// field is a label of one line. Name and value may point into the line or into
// the pipeline's buffers: they are good until the next line.
type field struct {
	name, value string
	from        origin
}

// line is a record on its way through a pipeline.
type line struct {
	time int64
	text []byte
	// base are the stream's labels, gone says which of them this line lost.
	base []tallyman.Label
	gone []bool
	// lost is whether any is gone.
	lost   bool
	fields []field
	// err and details are __error__ and __error_details__.
	err, details string
	// wantedErr is whether a filter has looked at the error and let it pass: then
	// it is no error of the query.
	wantedErr bool
	// arena holds texts that are not in the line as such.
	arena []byte
	// wanted are the only parsed names that anybody asks for later; nil is all.
	wanted []string
}

// reset begins a record.
func (l *line) reset(time int64, text []byte, meta []tallyman.Label) {
	l.time, l.text = time, text
	if l.lost {
		clear(l.gone)
		l.lost = false
	}
	l.fields = l.fields[:0]
	l.arena = l.arena[:0]
	l.err, l.details, l.wantedErr = "", "", false
	for i := range meta {
		name := meta[i].Name
		if l.inBase(name) {
			name = l.suffixed(name)
		}
		l.fields = append(l.fields, field{name, meta[i].Value, fromMeta})
	}
}

// view makes a string of bytes that stay as they are until the next line.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// keep puts bytes that will change into the arena. What the arena held before
// stays good when it grows: the old array lives as long as somebody looks at it.
func (l *line) keep(b []byte) string {
	n := len(l.arena)
	l.arena = append(l.arena, b...)
	return view(l.arena[n:])
}

func (l *line) suffixed(name string) string {
	n := len(l.arena)
	l.arena = append(append(l.arena, name...), duplicate...)
	return view(l.arena[n:])
}

func (l *line) inBase(name string) bool {
	for i := range l.base {
		if l.base[i].Name == name {
			return true
		}
	}
	return false
}

func (l *line) field(name string) int {
	for i := range l.fields {
		if l.fields[i].name == name {
			return i
		}
	}
	return -1
}

// get is the value of a label as it is now.
func (l *line) get(name string) (string, bool) {
	switch name {
	case errorLabel:
		return l.err, l.err != ""
	case detailsLabel:
		return l.details, l.details != ""
	}
	if i := l.field(name); i >= 0 {
		return l.fields[i].value, true
	}
	for i := range l.base {
		if l.base[i].Name == name && !l.gone[i] {
			return l.base[i].Value, true
		}
	}
	return "", false
}

// set gives a label a value, whatever it had before.
func (l *line) set(name, value string) {
	switch name {
	case errorLabel:
		l.err = value
		return
	case detailsLabel:
		l.details = value
		return
	}
	if i := l.field(name); i >= 0 {
		l.fields[i].value, l.fields[i].from = value, fromParser
		return
	}
	l.loseBase(name)
	l.fields = append(l.fields, field{name, value, fromParser})
}

// remove takes a label away.
func (l *line) remove(name string) {
	switch name {
	case errorLabel:
		l.err = ""
		return
	case detailsLabel:
		l.details = ""
		return
	}
	if i := l.field(name); i >= 0 {
		l.fields = slices.Delete(l.fields, i, i+1)
	}
	l.loseBase(name)
}

func (l *line) loseBase(name string) {
	for i := range l.base {
		if l.base[i].Name == name {
			l.gone[i], l.lost = true, true
		}
	}
}

// name is the name under which a parser adds what it has found: with a suffix
// when the stream or the metadata has it, empty when nobody wants it.
func (l *line) name(name string) string {
	if l.taken(name) {
		name = l.suffixed(name)
	}
	if l.wanted != nil && !slices.Contains(l.wanted, name) {
		return ""
	}
	return name
}

// add adds what a parser has found; the first of two values stays.
func (l *line) add(name, value string) {
	i := l.field(name)
	if i < 0 {
		l.fields = append(l.fields, field{name, value, fromParser})
	} else if l.fields[i].from == fromMeta { // metadata with a suffix of its own
		l.fields[i].value, l.fields[i].from = value, fromParser
	}
}

// replace is add where the last value stays: of what is asked for by its path.
func (l *line) replace(name, value string) {
	if i := l.field(name); i >= 0 {
		l.fields[i].value, l.fields[i].from = value, fromParser
		return
	}
	l.fields = append(l.fields, field{name, value, fromParser})
}

// missing gives a label that was asked for and is not there the empty value.
func (l *line) missing(name string) {
	if _, ok := l.get(name); !ok && (l.wanted == nil || slices.Contains(l.wanted, name)) {
		l.add(name, "")
	}
}

// taken is whether the stream or the metadata has the name.
func (l *line) taken(name string) bool {
	if l.inBase(name) {
		return true
	}
	i := l.field(name)
	return i >= 0 && l.fields[i].from == fromMeta
}

// fail marks the line; the last error stays.
func (l *line) fail(err, details string) {
	if l.err = err; details != "" {
		l.details = details
	}
}

// each calls f with every label but the errors.
func (l *line) each(f func(name, value string, from origin)) {
	for i := range l.base {
		if !l.gone[i] {
			f(l.base[i].Name, l.base[i].Value, fromStream)
		}
	}
	for i := range l.fields {
		f(l.fields[i].name, l.fields[i].value, l.fields[i].from)
	}
}

// sanitize makes a name of a key: what cannot stand in a name is _, and a
// digit cannot begin one. A key that is a name already is not copied.
func (l *line) sanitize(key []byte) string {
	fine := len(key) > 0 && !isDigit(key[0])
	for i := 0; fine && i < len(key); i++ {
		fine = nameBytes[key[i]]
	}
	if fine {
		return view(key)
	}
	key = bytes.TrimSpace(key)
	n := len(l.arena)
	l.appendName(key, true)
	return view(l.arena[n:])
}

// nameBytes are those that may stand in a name.
var nameBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = isNamePart(byte(c))
	}
	return t
}()

// appendName appends a key to the arena as a name, or (first is false) as the
// rest of one.
func (l *line) appendName(key []byte, first bool) {
	if first && len(key) > 0 && isDigit(key[0]) {
		l.arena = append(l.arena, '_')
	}
	for _, r := range view(key) {
		if r < 0x80 && isNamePart(byte(r)) {
			l.arena = append(l.arena, byte(r))
		} else {
			l.arena = append(l.arena, '_')
		}
	}
}
