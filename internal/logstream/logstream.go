// SPDX-License-Identifier: Apache-2.0

// Package logstream gives log lines their stream: the labels under which they are
// kept, the same whichever way the lines came.
package logstream

import (
	"bytes"
	"slices"
	"time"

	"tallyman"
	"tallyman/internal/loglevel"
)

// Set are the streams of one log, interned: the levels that were met, and of a
// container two outputs. It belongs to one goroutine.
type Set struct {
	labels  []tallyman.Label
	outputs bool
	streams map[key]*tallyman.Stream
	last    *tallyman.Stream // the one that was asked for last, of lastKey
	lastKey key
	// Meta is the metadata of every line: the container's id.
	Meta []tallyman.Label
}

// PieceSize is how long engines let a piece of a line become before they begin the
// next one, in bytes. A shorter piece without a line feed was the last that its
// output had. All pieces of a line have the time of the first.
const PieceSize = 16 << 10

// StartedLate is by how much later than a container's first line an engine may note
// that it was started.
const StartedLate = time.Second

type key struct {
	stderr bool
	level  string
}

// For are the streams of what a container writes to its outputs.
func For(c *tallyman.Container) *Set {
	s := From(c, c.Host, "container")
	s.outputs = true
	return s
}

// Text is a line of a container without the carriage return that its terminal, if
// it has one, puts before each line feed.
func Text(c *tallyman.Container, line []byte) []byte {
	if c.Tty {
		return bytes.TrimSuffix(line, []byte{'\r'})
	}
	return line
}

// From are the streams of another log of a host, or of a container when c is not
// nil, with labels of its own.
func From(c *tallyman.Container, host, source string, own ...tallyman.Label) *Set {
	l := append([]tallyman.Label{{Name: "host", Value: host}, {Name: "source", Value: source}}, own...)
	s := &Set{streams: map[key]*tallyman.Stream{}}
	if c != nil {
		l = append(l, tallyman.Label{Name: "name", Value: c.Name}, tallyman.Label{Name: "workload", Value: c.Workload.Key}, tallyman.Label{Name: "image", Value: c.Image})
		s.Meta = []tallyman.Label{{Name: "container_id", Value: c.ID}}
	}
	s.labels = slices.DeleteFunc(l, func(l tallyman.Label) bool { return l.Value == "" })
	return s
}

// Same reports whether two states of a container have the same streams.
func Same(a, b *tallyman.Container) bool {
	return a.Host == b.Host && a.Name == b.Name && a.Workload.Key == b.Workload.Key && a.Image == b.Image
}

// Of is the stream of a line, whose level is found in its text.
func (s *Set) Of(stderr bool, text []byte) *tallyman.Stream { return s.At(stderr, loglevel.Of(text)) }

// At is the stream of lines of a level.
func (s *Set) At(stderr bool, level string) *tallyman.Stream {
	k := key{stderr, level}
	if s.last != nil && k == s.lastKey { // as most are
		return s.last
	}
	s.last, s.lastKey = s.at(k), k
	return s.last
}

func (s *Set) at(k key) *tallyman.Stream {
	if st := s.streams[k]; st != nil {
		return st
	}
	l := append(slices.Clone(s.labels), tallyman.Label{Name: "level", Value: k.level})
	switch {
	case s.outputs && k.stderr:
		l = append(l, tallyman.Label{Name: "stream", Value: "stderr"})
	case s.outputs:
		l = append(l, tallyman.Label{Name: "stream", Value: "stdout"})
	}
	tallyman.SortLabels(l)
	st := &tallyman.Stream{Labels: l}
	s.streams[k] = st
	return st
}

// With is the metadata of a line that has one thing more to say.
func (s *Set) With(name, value string) []tallyman.Label {
	m := append(slices.Clone(s.Meta), tallyman.Label{Name: name, Value: value})
	tallyman.SortLabels(m)
	return m
}

// Own is the stream of tallyman's own lines about the log.
func (s *Set) Own() *tallyman.Stream { return s.At(s.outputs, "warn") }
