// SPDX-License-Identifier: Apache-2.0

package logql

import "strings"

// lineFormatStage writes the line anew. When the template fails the line stays
// and gets an error.
type lineFormatStage struct {
	t   *lineTemplate
	out []byte
}

func (s *lineFormatStage) process(l *line) bool {
	var err error
	// What labels point into is the line before, so its buffer is another one.
	if s.out, err = s.t.append(s.out[:0], l); err != nil {
		l.err, l.details = errTemplate, err.Error()
		return true
	}
	l.text = s.out
	return true
}

func (s *LineFormat) compile() (processor, error) {
	t, err := newTemplate(s.Template)
	return &lineFormatStage{t: t}, err
}

// labelFormatStage renames labels and writes them anew, one after the other.
// All templates see the labels as they are when the first of them is reached.
type labelFormatStage struct {
	formats   []Format
	templates []*lineTemplate // nil for a renaming
	values    []string        // of the templates, where good
	good      []bool
	buf       []byte
}

func (s *labelFormatStage) process(l *line) bool {
	filled := false
	for i := range s.formats {
		f := &s.formats[i]
		switch {
		case s.templates[i] != nil:
			if !filled {
				s.fill(l, i)
				filled = true
			}
			if s.good[i] {
				l.set(f.Label, s.values[i])
			}
		case f.Label == f.Value:
		default:
			if v, ok := l.get(f.Value); ok {
				l.set(f.Label, v)
				l.remove(f.Value)
			}
		}
	}
	return true
}

// fill computes the templates from one on.
func (s *labelFormatStage) fill(l *line, from int) {
	for i := from; i < len(s.templates); i++ {
		if s.templates[i] == nil {
			continue
		}
		var err error
		if s.buf, err = s.templates[i].append(s.buf[:0], l); err != nil {
			l.err, l.details = errTemplate, err.Error()
		}
		s.values[i], s.good[i] = l.keep(s.buf), err == nil
	}
}

func (s *LabelFormat) compile() (processor, error) {
	out := &labelFormatStage{formats: s.Formats, templates: make([]*lineTemplate, len(s.Formats)), values: make([]string, len(s.Formats)), good: make([]bool, len(s.Formats))}
	for i, f := range s.Formats {
		if !f.Template {
			continue
		}
		var err error
		if out.templates[i], err = newTemplate(f.Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// isPlain tells templates that are their own text.
func isPlain(s string) bool { return !strings.Contains(s, "{{") }
