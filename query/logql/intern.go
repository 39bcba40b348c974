// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"hash/maphash"
	"strings"

	"tallyman"
)

// interner turns the labels of lines into label sets. One belongs to one
// pipeline; the sets themselves are shared by the query.
type interner struct {
	seed  maphash.Seed
	known map[uint64]*LabelSet
	sets  map[string]*LabelSet
	plain *LabelSet // of lines with nothing but the stream's labels
}

// maxKnown is how many sets of labels a pipeline remembers by their hash.
const maxKnown = 1 << 14

// maxSets is how many sets of labels a query remembers; beyond that equal ones
// may be two.
const maxSets = 1 << 16

func newInterner(sets map[string]*LabelSet) *interner {
	return &interner{seed: maphash.MakeSeed(), known: map[uint64]*LabelSet{}, sets: sets}
}

// of is the set of the labels of a line.
func (in *interner) of(l *line) *LabelSet {
	if len(l.fields) == 0 && !l.lost && l.err == "" {
		if in.plain == nil {
			in.plain = in.make(l)
		}
		return in.plain
	}
	var h maphash.Hash
	h.SetSeed(in.seed)
	for i := range l.fields {
		f := &l.fields[i]
		_, _ = h.WriteString(f.name) // never fails
		_ = h.WriteByte(byte(f.from))
		_, _ = h.WriteString(f.value)
		_ = h.WriteByte(0xff)
	}
	_, _ = h.WriteString(l.err)
	_, _ = h.WriteString(l.details)
	if l.lost {
		for _, g := range l.gone {
			if g {
				_ = h.WriteByte(1)
			} else {
				_ = h.WriteByte(0)
			}
		}
	}
	sum := h.Sum64()
	if s, ok := in.known[sum]; ok && l.is(s) {
		return s
	}
	s := in.make(l)
	if len(in.known) >= maxKnown {
		clear(in.known)
	}
	in.known[sum] = s
	return s
}

// is reports whether the line has the labels of a set.
func (l *line) is(s *LabelSet) bool {
	n := 0
	for i := range l.base {
		if !l.gone[i] {
			if s.Stream.Get(l.base[i].Name) != l.base[i].Value {
				return false
			}
			n++
		}
	}
	if n != len(s.Stream) {
		return false
	}
	for i := range l.fields {
		f := &l.fields[i]
		list := s.Parsed
		if f.from == fromMeta {
			list = s.Meta
		}
		if v, ok := tallyman.FindLabel(list, f.name); v != f.value || !ok && f.from == fromParser {
			return false
		}
		if f.value != "" || f.from == fromParser {
			n++
		}
	}
	if s.All.Get(errorLabel) != l.err || s.All.Get(detailsLabel) != l.details {
		return false
	}
	if l.err != "" {
		n++
	}
	if l.details != "" {
		n++
	}
	return n == len(s.All)
}

// make copies the labels of a line.
func (in *interner) make(l *line) *LabelSet {
	s := &LabelSet{}
	add := func(name, value string, from origin) {
		if value == "" && (from != fromParser || name == errorLabel || name == detailsLabel) {
			return // only what was parsed may be empty
		}
		one := tallyman.Label{Name: strings.Clone(name), Value: strings.ToValidUTF8(strings.Clone(value), "\uFFFD")}
		s.All = append(s.All, one)
		switch from {
		case fromStream:
			s.Stream = append(s.Stream, one)
		case fromMeta:
			s.Meta = append(s.Meta, one)
		default:
			s.Parsed = append(s.Parsed, one)
		}
	}
	l.each(add)
	add(errorLabel, l.err, fromParser)
	add(detailsLabel, l.details, fromParser)
	for _, list := range []*Labels{&s.All, &s.Stream, &s.Meta, &s.Parsed} {
		*list = sortLabels(*list)
	}
	key := s.Stream.appendKey(nil)
	key = s.Meta.appendKey(append(key, 0xfe))
	key = s.Parsed.appendKey(append(key, 0xfe))
	s.key = string(key)
	if known, ok := in.sets[s.key]; ok {
		return known
	}
	if len(in.sets) >= maxSets {
		clear(in.sets)
	}
	in.sets[s.key] = s
	return s
}
