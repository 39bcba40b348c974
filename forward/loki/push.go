// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

// stream is a stream of Loki's that records of one of the store's go to.
type stream struct {
	labels string           // {name="web", source="container"}
	meta   []tallyman.Label // labels of the store's stream that are no labels there
}

// streamOf makes the stream that records of one of the store's go to.
func streamOf(st *tallyman.Stream, names []string, external []tallyman.Label, host string) *stream {
	out := &stream{}
	labels := slices.Clone(external)
	has := func(name string) bool {
		return slices.ContainsFunc(labels, func(l tallyman.Label) bool { return l.Name == name })
	}
	foreign := st.Label("source") == ""
	for _, l := range st.Labels {
		switch {
		case has(l.Name):
		case slices.Contains(names, l.Name) || foreign && len(labels) < mostLabels:
			labels = append(labels, l)
		default:
			out.meta = append(out.meta, l)
		}
	}
	if !has("host") && host != "" {
		labels = append(labels, tallyman.Label{Name: "host", Value: host})
	}
	slices.SortFunc(labels, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	b := []byte{'{'}
	for i, l := range labels {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(b, labelName(l.Name)...), '=')
		b = strconv.AppendQuote(b, strings.ToValidUTF8(l.Value, "\ufffd"))
	}
	out.labels = string(append(b, '}'))
	return out
}

// labelName is the name of a label as Loki takes it: letters, digits and underscores.
func labelName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, name)
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// appendPush appends the message of a push: streams 1: labels 1, entries 2: time 1 (seconds
// 1, nanoseconds 2), line 2, metadata 3 (name 1, value 2). Items of one stream that
// follow one another share it.
func appendPush(dst []byte, items []item) []byte {
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].To.labels == items[0].To.labels {
			n++
		}
		size := sizeOf(len(items[0].To.labels))
		for i := range items[:n] {
			items[i].Size = measure(&items[i])
			size += sizeOf(items[i].Size)
		}
		dst = append(dst, 1<<3|2)
		dst = binary.AppendUvarint(dst, uint64(size))
		dst = appendText(dst, 1, items[0].To.labels)
		for i := range items[:n] {
			dst = appendEntry(dst, &items[i])
		}
		items = items[n:]
	}
	return dst
}

// metadata calls f for what is structured metadata of the item.
func metadata(i *item, f func(*tallyman.Label)) {
	for j := range i.To.meta {
		f(&i.To.meta[j])
	}
	for j := range i.Meta {
		if len(i.To.meta) == 0 || tallyman.LabelIn(i.To.meta, i.Meta[j].Name) == "" {
			f(&i.Meta[j])
		}
	}
}

// timeSize is that of the message of a time.
func timeSize(t int64) int {
	return 2 + varintSize(uint64(seconds(t))) + varintSize(uint64(nanos(t)))
}

func seconds(t int64) int64 { return (t - nanos(t)) / 1e9 }

func nanos(t int64) int64 { return (t%1e9 + 1e9) % 1e9 }

// measure is the size of the message of the entry.
func measure(i *item) int {
	n := sizeOf(timeSize(i.Time)) + sizeOf(len(i.Line))
	metadata(i, func(l *tallyman.Label) { n += sizeOf(sizeOf(len(l.Name)) + sizeOf(len(l.Value))) })
	return n
}

// appendEntry appends the entry as a field of its stream.
func appendEntry(dst []byte, i *item) []byte {
	t := i.Time
	dst = append(dst, 2<<3|2)
	dst = binary.AppendUvarint(dst, uint64(i.Size))
	dst = append(dst, 1<<3|2, byte(timeSize(t)), 1<<3)
	dst = binary.AppendUvarint(dst, uint64(seconds(t)))
	dst = append(dst, 2<<3)
	dst = binary.AppendUvarint(dst, uint64(nanos(t)))
	dst = appendText(dst, 2, i.Line)
	metadata(i, func(l *tallyman.Label) {
		dst = append(dst, 3<<3|2)
		dst = binary.AppendUvarint(dst, uint64(sizeOf(len(l.Name))+sizeOf(len(l.Value))))
		dst = appendText(dst, 1, l.Name)
		dst = appendText(dst, 2, l.Value)
	})
	return dst
}

func appendText[T string | []byte](dst []byte, field byte, s T) []byte {
	dst = append(dst, field<<3|2)
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// sizeOf is that of a field of n bytes.
func sizeOf(n int) int { return 1 + varintSize(uint64(n)) + n }

func varintSize(v uint64) (n int) {
	for n = 1; v >= 0x80; n++ {
		v >>= 7
	}
	return n
}
