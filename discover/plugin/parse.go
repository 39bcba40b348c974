// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of one label.
const (
	maxLabel   = 64 << 10 // bytes
	maxEntries = 32
	maxDepth   = 4
	maxValues  = 64 // of one key
)

// node is a JSON value with its place.
type node struct {
	kind   byte // one of [ { s n b, and 0 for null
	text   string
	at     int // where it ends
	items  []node
	fields []field
}

type field struct {
	key   string
	value node
}

// fault is a mistake at a place.
type fault struct {
	at   int
	text string
}

func (f *fault) Error() string { return f.text }

// read reads the JSON of a label. twice are the keys that stand more than once in one
// object; their last value counts.
func read(text string) (n node, twice []string, err error) {
	if len(text) > maxLabel {
		return n, nil, &fault{-1, fmt.Sprintf("it is longer than %d KiB", maxLabel>>10)}
	}
	r := &reader{d: json.NewDecoder(strings.NewReader(text))}
	r.d.UseNumber()
	if n, err = r.value(0); err == nil {
		if _, err = r.d.Token(); errors.Is(err, io.EOF) {
			return n, r.twice, nil
		}
		err = &fault{int(r.d.InputOffset()), "there is text behind its end"}
	}
	var f *fault
	if errors.As(err, &f) {
		return n, nil, f
	}
	at := int(r.d.InputOffset())
	var s *json.SyntaxError
	if errors.As(err, &s) {
		at = int(s.Offset) - 1
	}
	return n, nil, &fault{max(at, 0), "it is no JSON; " + hint(text)}
}

// hint is what people most often do wrong.
func hint(text string) string {
	switch t := strings.TrimSpace(text); {
	case t == "":
		return "it is empty"
	case strings.Contains(t, "&quot;"):
		return `it has &quot; where a double quote belongs`
	case strings.ContainsAny(t, "“”„‘’"):
		return "it has typographic quotes; write straight double quotes"
	case strings.Contains(t, "'"):
		return "it has single quotes; JSON wants double quotes inside, and the shell single ones around all of it"
	case strings.Count(t, "[") != strings.Count(t, "]"), strings.Count(t, "{") != strings.Count(t, "}"):
		return "a bracket is missing"
	case !strings.Contains(t, `"`):
		return "its double quotes are gone, perhaps eaten by the shell: put single quotes around all of it"
	}
	return `write [{"PluginType":"REDIS","Configuration":{"PORT":["6379"]}}]`
}

type reader struct {
	d     *json.Decoder
	twice []string
}

func (r *reader) value(depth int) (node, error) {
	t, err := r.d.Token()
	if err != nil {
		return node{}, err
	}
	n := node{at: int(r.d.InputOffset())}
	switch t := t.(type) {
	case json.Delim:
		if depth++; depth > maxDepth {
			return n, &fault{n.at, fmt.Sprintf("it is nested deeper than %d", maxDepth)}
		}
		n.kind = byte(t)
		for r.d.More() {
			if n.kind == '[' {
				item, err := r.value(depth)
				if err != nil {
					return n, err
				}
				n.items = append(n.items, item)
				continue
			}
			key, err := r.d.Token()
			if err != nil {
				return n, err
			}
			name, _ := key.(string)
			value, err := r.value(depth)
			if err != nil {
				return n, err
			}
			if i := slices.IndexFunc(n.fields, func(f field) bool { return f.key == name }); i >= 0 {
				r.twice = append(r.twice, name)
				n.fields = slices.Delete(n.fields, i, i+1)
			}
			n.fields = append(n.fields, field{name, value})
		}
		_, err := r.d.Token() // the closing one
		return n, err
	case string:
		n.kind, n.text = 's', t
	case json.Number:
		n.kind, n.text = 'n', t.String()
	case bool:
		n.kind, n.text = 'b', fmt.Sprint(t)
	}
	return n, nil
}

// texts are the values of a key: an array of scalars, or one scalar.
func (n *node) texts() ([]string, error) {
	items := []node{*n}
	if n.kind == '[' {
		items = n.items
	}
	if len(items) > maxValues {
		return nil, &fault{n.at, fmt.Sprintf("has more than %d values", maxValues)}
	}
	var out []string
	for _, one := range items {
		if !strings.ContainsRune("snb", rune(one.kind)) || one.kind == 0 {
			return nil, &fault{one.at, "is neither a text nor a list of texts"}
		}
		out = append(out, one.text)
	}
	return out, nil
}

// canonical is a key as the plugins know it: in capitals, with single spaces.
func canonical(key string) string {
	return strings.Join(strings.FieldsFunc(strings.ToUpper(key), func(r rune) bool { return strings.ContainsRune(" _.-", r) }), " ")
}
