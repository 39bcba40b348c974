// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"slices"
	"strconv"
	"time"

	"tallyman"
)

// processor is a compiled stage. It belongs to one pipeline, so it may keep
// buffers.
type processor interface {
	// process changes the line, or returns false to drop it.
	process(l *line) bool
}

// pipeline sends the records of one stream through the stages. It is used by
// one goroutine.
type pipeline struct {
	stages []processor
	line   line
	labels *interner
}

// newPipeline compiles the stages for a stream. wanted are the only parsed
// labels that matter, nil for all.
func newPipeline(stages []Stage, s *tallyman.Stream, wanted []string, sets map[string]*LabelSet) (*pipeline, error) {
	p := &pipeline{labels: newInterner(sets)}
	p.line.base, p.line.gone, p.line.wanted = s.Labels, make([]bool, len(s.Labels)), wanted
	for _, s := range stages {
		c, err := s.compile()
		if err != nil {
			return nil, err
		}
		p.stages = append(p.stages, c)
	}
	return p, nil
}

// run sends a record through the stages. What p.line holds then is good until
// the next run.
func (p *pipeline) run(r *tallyman.Record) bool {
	l := &p.line
	l.reset(r.Time, r.Line, r.Meta)
	for _, s := range p.stages {
		if !s.process(l) {
			return false
		}
	}
	return true
}

func (s *Parser) compile() (processor, error) {
	switch s.Kind {
	case "json":
		if len(s.Fields) == 0 {
			return &jsonStage{}, nil
		}
		out := &pathStage{}
		for _, f := range s.Fields {
			path, err := parsePath(f.Path)
			if err != nil {
				return nil, err
			}
			out.labels, out.paths = append(out.labels, f.Label), append(out.paths, path)
		}
		return out, nil
	case "logfmt":
		out := &logfmtStage{strict: s.Strict, keepEmpty: s.KeepEmpty}
		for _, f := range s.Fields {
			out.labels, out.paths = append(out.labels, f.Label), append(out.paths, f.Path)
		}
		out.found = make([]bool, len(out.paths))
		return out, nil
	case "pattern":
		parts, err := parsePattern(s.Expression, true)
		return &patternStage{parts}, err
	case "regexp":
		return &regexpStage{s.re, s.re.SubexpNames()}, nil
	default:
		return unpackStage{}, nil
	}
}

// unwrapper turns a label into a sample.
type unwrapper struct {
	u       *Unwrap
	filters []processor
	keep    bool // the label
}

func newUnwrapper(u *Unwrap, group *Grouping) (*unwrapper, error) {
	out := &unwrapper{u: u, keep: group != nil && !group.Without && slices.Contains(group.Labels, u.Label)}
	for _, f := range u.Filters {
		c, err := f.compile()
		if err != nil {
			return nil, err
		}
		out.filters = append(out.filters, c)
	}
	return out, nil
}

// sample is the value of the line; ok is false when it has none, an empty one
// too, or is filtered out. The label goes away unless series are grouped by it.
func (u *unwrapper) sample(l *line) (v float64, ok bool) {
	text, _ := l.get(u.u.Label)
	if text == "" {
		return 0, false
	}
	switch u.u.Convert {
	case "bytes":
		v, ok = parseBytes(text)
	case "duration", "duration_seconds":
		var d time.Duration
		var err error
		d, err = time.ParseDuration(text)
		v, ok = d.Seconds(), err == nil
	default:
		var err error
		v, err = strconv.ParseFloat(text, 64)
		ok = err == nil
	}
	if !ok {
		l.fail(errSample, "the label "+u.u.Label+" cannot be read as a number: "+strconv.Quote(text))
	}
	for _, f := range u.filters {
		if !f.process(l) {
			return 0, false
		}
	}
	if !u.keep {
		l.remove(u.u.Label)
	}
	return v, true
}

// wantedBy are the parsed labels that a pipeline and what follows it read; nil
// when that cannot be told.
func wantedBy(stages []Stage, after []string) []string {
	out := append([]string{}, after...)
	for _, s := range stages {
		switch s := s.(type) {
		case *LineFilter, *Parser, *Decolorize:
		case LabelFilter:
			out = append(out, filterNames(s)...)
		case *Choice:
			if s.Keep {
				return nil
			}
			for _, n := range s.Names {
				out = append(out, n.Name)
			}
		default:
			return nil
		}
	}
	return out
}

func filterNames(f LabelFilter) []string {
	switch f := f.(type) {
	case *StringFilter:
		return []string{f.Name}
	case *NumberFilter:
		return []string{f.Label}
	case *AddressFilter:
		return []string{f.Label}
	case *BinaryFilter:
		return append(filterNames(f.Left), filterNames(f.Right)...)
	}
	return nil
}
