// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"strings"
)

// Matches select entries: those that one of the groups selects. A group selects the
// entries that have, for each of its fields, one of the values. No group selects all.
type Matches [][]Alternatives

// Alternatives are the values of one field, each as NAME=value.
type Alternatives []string

// ParseMatches reads what one would write behind journalctl: NAME=value for each match,
// and + between groups. Different fields of a group must all match, of one field one
// value.
func ParseMatches(words []string) (m Matches, err error) {
	var group []Alternatives
	for _, w := range words {
		if w == "+" {
			if group != nil {
				m, group = append(m, group), nil
			}
			continue
		}
		name, _, ok := strings.Cut(w, "=")
		if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			return nil, fmt.Errorf("%q matches no field: write NAME=value", w)
		}
		at := -1
		for i, a := range group {
			if strings.HasPrefix(a[0], name+"=") {
				at = i
			}
		}
		if at < 0 {
			group = append(group, Alternatives{w})
		} else {
			group[at] = append(group[at], w)
		}
	}
	if group != nil {
		m = append(m, group)
	}
	return m, nil
}

// value is one of the values that are looked for in one file. Its list is empty while
// the file has it not.
type value struct {
	text []byte
	list list
}

// values are the matches for one file.
type values [][][]*value

func (m Matches) values() (v values) {
	for _, group := range m {
		var g [][]*value
		for _, field := range group {
			var f []*value
			for _, text := range field {
				f = append(f, &value{text: []byte(text)})
			}
			g = append(g, f)
		}
		v = append(v, g)
	}
	return v
}

// next is the first entry from a place on that matches, 0 when there is none; before one is
// the last up to a place.
func (f *file) next(from uint64) (at uint64) {
	if len(f.values) == 0 {
		return f.from(&f.all, from)
	}
	for _, group := range f.values {
		if n := f.nextOf(group, from); n != 0 && (at == 0 || n < at) {
			at = n
		}
	}
	return at
}

func (f *file) nextOf(group [][]*value, from uint64) uint64 {
	for again := true; again; {
		again = false
		for _, field := range group {
			at := uint64(0)
			for _, v := range field {
				if n := f.from(&v.list, from); n != 0 && (at == 0 || n < at) {
					at = n
				}
			}
			if at == 0 {
				return 0
			}
			if at > from {
				from, again = at, len(group) > 1
			}
		}
	}
	return from
}

func (f *file) before(to uint64) (at uint64) {
	if len(f.values) == 0 {
		return f.upTo(&f.all, to)
	}
	for _, group := range f.values {
		at = max(at, f.beforeOf(group, to))
	}
	return at
}

func (f *file) beforeOf(group [][]*value, to uint64) uint64 {
	for again := true; again; {
		again = false
		for _, field := range group {
			at := uint64(0)
			for _, v := range field {
				at = max(at, f.upTo(&v.list, to))
			}
			if at == 0 {
				return 0
			}
			if at < to {
				to, again = at, len(group) > 1
			}
		}
	}
	return to
}

// matches looks at an entry itself, whose lists may not be complete yet.
func (f *file) matches(items []uint64) bool {
	if len(f.values) == 0 {
		return true
	}
	for _, group := range f.values {
		all := true
		for _, field := range group {
			one := false
			for _, v := range field {
				for _, data := range items {
					one = one || v.list.data != 0 && data == v.list.data
				}
			}
			all = all && one
		}
		if all {
			return true
		}
	}
	return false
}
