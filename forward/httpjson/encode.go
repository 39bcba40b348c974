// SPDX-License-Identifier: Apache-2.0

package httpjson

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tallyman"
)

// stream is what all records of one have in common.
type stream struct {
	fields []byte           // ,"host":"…","name":"…"
	labels []tallyman.Label // those that are in there
}

// own are the fields that are no labels.
var own = []string{"@timestamp", "message", "id"}

func (s *format) streamOf(labels []tallyman.Label) *stream {
	out := &stream{labels: slices.Clone(labels)}
	for _, l := range s.opt.External {
		if _, ok := tallyman.FindLabel(out.labels, l.Name); !ok {
			out.labels = append(out.labels, l)
		}
	}
	tallyman.SortLabels(out.labels)
	for _, l := range out.labels {
		out.fields = s.appendLabel(out.fields, l)
	}
	return out
}

func (s *format) appendLabel(dst []byte, l tallyman.Label) []byte {
	name := l.Name
	if slices.Contains(own, name) {
		name = "label_" + name
	}
	if s.opt.Format == Bulk {
		name = strings.ReplaceAll(name, ".", "_")
	}
	dst = appendText(append(dst, ','), name)
	return appendText(append(dst, ':'), l.Value)
}

// appendItem appends the object of an item.
func (s *format) appendItem(dst []byte, i *item) []byte {
	dst = append(dst, `{"@timestamp":"`...)
	dst = time.Unix(0, i.Time).UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = appendText(append(dst, `","message":`...), i.Line)
	if s.opt.Format != Bulk && i.Number != 0 {
		dst = append(i.AppendUID(append(dst, `,"id":"`...), s.opt.ID), '"')
	}
	dst = append(dst, i.To.fields...)
	for j, l := range i.Meta {
		_, known := tallyman.FindLabel(i.To.labels, l.Name)
		if !known && l.Name != "" && (j == 0 || i.Meta[j-1].Name != l.Name) {
			dst = s.appendLabel(dst, l)
		}
	}
	return append(dst, '}')
}

// appendText appends a text as JSON has it.
func appendText[T string | []byte](dst []byte, text T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			at++
		case c == '\n':
			dst = append(dst, '\\', 'n')
			at++
		case c == '\t':
			dst = append(dst, '\\', 't')
			at++
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			at++
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			at++
		default:
			r, n := utf8.DecodeRune([]byte(text[at:min(len(text), at+utf8.UTFMax)]))
			dst = utf8.AppendRune(dst, r) // U+FFFD for what is none
			at += n
		}
	}
	return append(dst, '"')
}
