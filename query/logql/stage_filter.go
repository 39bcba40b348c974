// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"strconv"
	"time"
	"unsafe"

	"tallyman"
)

// stringStage compares a label with a text.
type stringStage struct{ m tallyman.Matcher }

func (s *stringStage) process(l *line) bool {
	v, _ := l.get(s.m.Name)
	if !s.m.Matches(v) {
		return false
	}
	if l.err != "" && (s.m.Name == errorLabel || s.m.Name == detailsLabel) {
		l.wantedErr = true
	}
	return true
}

func (f *StringFilter) compile() (processor, error) { return &stringStage{f.Matcher}, nil }

// numberStage compares a label with a number. A line without the label does
// not fit; one whose label is no number stays and gets an error, unless it has
// one already.
type numberStage struct{ f *NumberFilter }

func (s *numberStage) process(l *line) bool {
	text, ok := l.get(s.f.Label)
	if !ok || s.f.Label == errorLabel || s.f.Label == detailsLabel { // an error is no number
		return false
	}
	v, ok := readNumber(text, s.f.Kind)
	if !ok && l.err != "" {
		return true
	}
	if !ok {
		l.fail(errFilter, "the label "+s.f.Label+" cannot be read as "+numberKinds[s.f.Kind]+": "+strconv.Quote(text))
		return true
	}
	switch s.f.Op {
	case "==":
		return v == s.f.Value
	case "!=":
		return v != s.f.Value
	case ">":
		return v > s.f.Value
	case ">=":
		return v >= s.f.Value
	case "<":
		return v < s.f.Value
	default:
		return v <= s.f.Value
	}
}

var numberKinds = [...]string{"a number", "a duration", "a size"}

func readNumber(s string, kind NumberKind) (float64, bool) {
	switch kind {
	case Duration:
		d, err := time.ParseDuration(s)
		return float64(d), err == nil
	case Bytes:
		return parseBytes(s)
	default:
		v, err := strconv.ParseFloat(s, 64)
		return v, err == nil
	}
}

func (f *NumberFilter) compile() (processor, error) { return &numberStage{f}, nil }

// addressStage looks for addresses in a label. Lines that have an error stay.
type addressStage struct {
	f    *AddressFilter
	test func([]byte) bool
}

func (s *addressStage) process(l *line) bool {
	if l.err != "" {
		return true
	}
	v, ok := l.get(s.f.Label)
	return ok && s.test(unsafe.Slice(unsafe.StringData(v), len(v))) != s.f.Not
}

func (f *AddressFilter) compile() (processor, error) {
	a, err := parseAddresses(f.Text)
	return &addressStage{f, a.in}, err
}

// bothStage and eitherStage join two filters.
type bothStage struct{ left, right processor }

// Of both the second is looked at in any case: what it cannot read is an error.
func (s *bothStage) process(l *line) bool {
	left := s.left.process(l)
	return s.right.process(l) && left
}

type eitherStage struct{ left, right processor }

func (s *eitherStage) process(l *line) bool { return s.left.process(l) || s.right.process(l) }

func (f *BinaryFilter) compile() (processor, error) {
	left, err := f.Left.compile()
	if err != nil {
		return nil, err
	}
	right, err := f.Right.compile()
	if err != nil {
		return nil, err
	}
	if f.Or {
		return &eitherStage{left, right}, nil
	}
	return &bothStage{left, right}, nil
}
