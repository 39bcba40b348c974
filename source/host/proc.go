// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"strconv"

	"tallyman"
	"tallyman/internal/kread"
)

// names are descriptions of metrics that the kernel names: lines of meminfo, fields of
// snmp. Those that are known have a text of their own, others one that says where they
// are from.
type names struct {
	prefix, help string
	typ          tallyman.MetricType
	of           *tallyman.Descs
	by           map[string]*tallyman.Desc
	known        map[string]*tallyman.Desc
}

// maxNames bounds the names that a file may make.
const maxNames = 1000

// newNames begins with known ones.
func newNames(of *tallyman.Descs, typ tallyman.MetricType, prefix, help string, known []*tallyman.Desc) *names {
	n := &names{prefix: prefix, help: help, typ: typ, of: of, by: map[string]*tallyman.Desc{}, known: map[string]*tallyman.Desc{}}
	for _, d := range known {
		n.known[d.Name] = d
	}
	return n
}

// get is the description of a key; name makes the rest of a metric's name of it. It is
// nil for a key that name gives none for.
func (n *names) get(key []byte, name func(string) string) *tallyman.Desc {
	if d, ok := n.by[string(key)]; ok {
		return d
	}
	if len(n.by) >= maxNames {
		return nil
	}
	k := string(key)
	var d *tallyman.Desc
	if rest := name(k); rest != "" {
		full := n.prefix + valid(rest)
		switch d = n.known[full]; {
		case d != nil:
		case n.of != nil:
			d = n.of.Of(full, n.typ, n.help+k)
		default:
			d = &tallyman.Desc{Name: full, Type: n.typ, Help: n.help + k}
		}
		n.known[full] = d
	}
	n.by[k] = d
	return d
}

// valid makes a part of a metric's name of a text.
func valid(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			b[i] = '_'
		}
	}
	return string(b)
}

// line takes the next line off a text, without its end.
func line(text []byte) (one, rest []byte) {
	one, rest, _ = bytes.Cut(text, []byte{'\n'})
	return one, rest
}

// word takes the next word off a line.
func word(line []byte) (one, rest []byte) {
	i := 0
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	line = line[i:]
	for i = 0; i < len(line) && line[i] != ' ' && line[i] != '\t'; i++ {
	}
	return line[:i], line[i:]
}

// integer reads a whole number, which may be negative; ok is false for anything else.
func integer(b []byte) (v float64, ok bool) {
	minus := len(b) > 0 && b[0] == '-'
	if minus {
		b = b[1:]
	}
	n, digits := kread.Uint(b)
	if digits == 0 || digits != len(b) {
		return 0, false
	}
	if minus {
		return -float64(n), true
	}
	return float64(n), true
}

// float reads a number.
func float(text string) (v float64, ok bool) {
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}
