// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

// Labels are sorted by name.
type Labels []tallyman.Label

// Get is the value of a label, empty without one.
func (l Labels) Get(name string) string {
	return tallyman.LabelIn(l, name)
}

// String prints them as a selector: {a="b", c="d"}.
func (l Labels) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range l {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l[i].Name)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l[i].Value))
	}
	b.WriteByte('}')
	return b.String()
}

// Map is a copy as a map.
func (l Labels) Map() map[string]string {
	m := make(map[string]string, len(l))
	for i := range l {
		m[l[i].Name] = l[i].Value
	}
	return m
}

// appendKey appends what no other labels have.
func (l Labels) appendKey(b []byte) []byte {
	for i := range l {
		b = append(b, l[i].Name...)
		b = append(b, 0xff)
		b = append(b, l[i].Value...)
		b = append(b, 0xff)
	}
	return b
}

func (l Labels) key() string { return string(l.appendKey(nil)) }

// sortLabels sorts by name; of equal names the last stays.
func sortLabels(l Labels) Labels {
	slices.SortStableFunc(l, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	out := l[:0]
	for i := range l {
		if i+1 < len(l) && l[i].Name == l[i+1].Name {
			continue
		}
		out = append(out, l[i])
	}
	return out
}

// with is a copy in which a label has this value; the empty one removes it.
func (l Labels) with(name, value string) Labels {
	out := make(Labels, 0, len(l)+1)
	for _, x := range l {
		if x.Name != name {
			out = append(out, x)
		}
	}
	if value != "" {
		out = append(out, tallyman.Label{Name: name, Value: value})
	}
	return sortLabels(out)
}

// only is a copy with these labels, or (without) with all but these.
func (l Labels) only(names []string, without bool) Labels {
	var out Labels
	for _, x := range l {
		if slices.Contains(names, x.Name) != without {
			out = append(out, x)
		}
	}
	return out
}

// nonEmpty leaves out labels without a value, in place.
func (l Labels) nonEmpty() Labels {
	return slices.DeleteFunc(l, func(x tallyman.Label) bool { return x.Value == "" })
}

// LabelSet is the labels of a line, kept apart by where they come from. It is
// interned: equal sets of one query are the same pointer (as a rule: a query with
// very many may have two of some).
type LabelSet struct {
	// All are the labels of the three kinds together.
	All Labels
	// Stream, Meta and Parsed are All by origin.
	Stream, Meta, Parsed Labels
	key                  string
}
