// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tallyman"
)

const (
	facility  = 1 // user
	mostValue = 1024
	element   = "tallyman@32473"
)

// stream is what all messages of one have in common.
type stream struct {
	pri    int
	head   string // between the time and the structured data
	data   []byte // parameters
	labels []tallyman.Label
}

// placed are the labels that have a place of their own.
var placed = []string{"host", "name", "source"}

func streamOf(labels, external []tallyman.Label, host string) *stream {
	out := &stream{labels: slices.Clone(labels)}
	for _, l := range external {
		if _, ok := tallyman.FindLabel(out.labels, l.Name); !ok {
			out.labels = append(out.labels, l)
		}
	}
	of := func(name, or string) string {
		if v := tallyman.LabelIn(out.labels, name); v != "" {
			return v
		}
		return or
	}
	out.pri = facility<<3 | severity(of("level", ""), of("stream", ""))
	out.head = " " + word(of("host", host), 255) + " " + word(of("name", ""), 48) + " - " + word(of("source", ""), 32) + " "
	for _, l := range out.labels {
		if !slices.Contains(placed, l.Name) {
			out.data = appendParameter(out.data, l)
		}
	}
	return out
}

// severity is that of a level; without one that is known what came on stderr is an error.
func severity(level, stream string) int {
	switch strings.ToLower(level) {
	case "emerg", "emergency", "panic":
		return 0
	case "alert":
		return 1
	case "crit", "critical", "fatal":
		return 2
	case "err", "error", "severe":
		return 3
	case "warn", "warning":
		return 4
	case "notice":
		return 5
	case "info", "information":
		return 6
	case "debug", "trace", "verbose":
		return 7
	}
	if stream == "stderr" {
		return 3
	}
	return 6
}

// word is a text as a field of the header takes it.
func word(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), most)]
}

// appendParameter appends a parameter of the structured data, unless it is empty.
func appendParameter(dst []byte, l tallyman.Label) []byte {
	name := strings.Map(func(r rune) rune {
		if r < '!' || r > '~' || r == '=' || r == ']' || r == '"' {
			return '_'
		}
		return r
	}, l.Name)
	if name == "" || l.Value == "" {
		return dst
	}
	dst = append(append(append(dst, ' '), name[:min(len(name), 32)]...), '=', '"')
	value := l.Value
	if len(value) > mostValue {
		value = strings.ToValidUTF8(value[:mostValue], "") + "…"
	}
	for _, r := range value { // U+FFFD for what is no UTF-8
		switch {
		case r == '"' || r == '\\' || r == ']':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// appendFrame appends a message with its length before it; scratch is for the message.
func appendFrame(dst, scratch []byte, i *item) (frames, message []byte) {
	m := append(scratch[:0], '<')
	m = strconv.AppendInt(m, int64(i.To.pri), 10)
	m = append(m, ">1 "...)
	m = time.Unix(0, i.Time).UTC().AppendFormat(m, "2006-01-02T15:04:05.000000Z")
	m = append(append(m, i.To.head...), '[')
	m = append(append(m, element...), i.To.data...)
	for j, l := range i.Meta {
		_, known := tallyman.FindLabel(i.To.labels, l.Name)
		if !known && (j == 0 || i.Meta[j-1].Name != l.Name) {
			m = appendParameter(m, l)
		}
	}
	m = append(append(m, ']', ' '), i.Line...)
	dst = strconv.AppendInt(dst, int64(len(m)), 10)
	return append(append(dst, ' '), m...), m
}
