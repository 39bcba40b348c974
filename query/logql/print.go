// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"math"
	"strconv"
	"strings"

	"tallyman"
)

var matchSigns = [...]string{"=", "!=", "=~", "!~"}

func printMatcher(m tallyman.Matcher) string {
	return m.Name + matchSigns[m.Type] + quote(m.Value)
}

// quote prefers backquotes where a string would be full of escapes.
func quote(s string) string {
	if strings.ContainsAny(s, `\"`) && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

func printSelector(matchers []tallyman.Matcher) string {
	list := make([]string, len(matchers))
	for i, m := range matchers {
		list[i] = printMatcher(m)
	}
	return "{" + strings.Join(list, ", ") + "}"
}

// String prints the query.
func (e *Log) String() string {
	var b strings.Builder
	b.WriteString(printSelector(e.Matchers))
	for _, s := range e.Stages {
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	return b.String()
}

// String prints the window with its query.
func (r *Range) String() string {
	s := r.Log.String()
	if u := r.Unwrap; u != nil {
		if u.Convert != "" {
			s += " | unwrap " + u.Convert + "(" + u.Label + ")"
		} else {
			s += " | unwrap " + u.Label
		}
		for _, f := range u.Filters {
			s += " " + f.String()
		}
	}
	s += " [" + formatDuration(r.Window) + "]"
	if r.Offset != 0 {
		s += " offset " + formatDuration(r.Offset)
	}
	return s
}

// String prints by (…) or without (…).
func (g *Grouping) String() string {
	word := "by"
	if g.Without {
		word = "without"
	}
	return word + " (" + strings.Join(g.Labels, ", ") + ")"
}

// String prints the aggregation.
func (e *RangeAggregation) String() string {
	s := e.Op + "("
	if e.Op == opQuantile {
		s += formatNumber(e.Param) + ", "
	}
	s += e.Range.String() + ")"
	if e.Grouping != nil {
		s += " " + e.Grouping.String()
	}
	return s
}

// String prints the aggregation.
func (e *VectorAggregation) String() string {
	s := e.Op
	if e.Grouping != nil {
		s += " " + e.Grouping.String() + " "
	}
	s += "("
	if takesCount(e.Op) {
		s += strconv.Itoa(e.Param) + ", "
	}
	return s + e.Expr.String() + ")"
}

// String prints the operation, with brackets around operands that are
// operations themselves.
func (e *Binary) String() string {
	side := func(x Expr) string {
		if _, ok := x.(*Binary); ok {
			return "(" + x.String() + ")"
		}
		return x.String()
	}
	s := side(e.Left) + " " + e.Op
	if e.Bool {
		s += " bool"
	}
	if m := e.Matching; m != nil {
		word := " ignoring ("
		if m.On {
			word = " on ("
		}
		s += word + strings.Join(m.Labels, ", ") + ")"
		if m.Group != "" {
			s += " " + m.Group + " (" + strings.Join(m.Include, ", ") + ")"
		}
	}
	return s + " " + side(e.Right)
}

// String prints the number.
func (e *Number) String() string {
	switch {
	case math.IsInf(e.Value, 1):
		return "Inf"
	case math.IsInf(e.Value, -1):
		return "-Inf"
	}
	return formatNumber(e.Value)
}

// String prints vector(n).
func (e *Vector) String() string { return "vector(" + (&Number{e.Value}).String() + ")" }

// String prints the call.
func (e *LabelReplace) String() string {
	return "label_replace(" + e.Expr.String() + ", " + quote(e.Dst) + ", " + quote(e.Replacement) + ", " + quote(e.Src) + ", " + quote(e.Exp) + ")"
}

// String prints the filter.
func (s *LineFilter) String() string {
	list := make([]string, len(s.Values))
	for i, v := range s.Values {
		if list[i] = quote(v.Text); v.IP {
			list[i] = "ip(" + list[i] + ")"
		}
	}
	return s.Op + " " + strings.Join(list, " or ")
}

// String prints the parser.
func (s *Parser) String() string {
	out := "| " + s.Kind
	if s.Strict {
		out += " --strict"
	}
	if s.KeepEmpty {
		out += " --keep-empty"
	}
	if s.Kind == "pattern" || s.Kind == "regexp" {
		return out + " " + quote(s.Expression)
	}
	for i, f := range s.Fields {
		if i > 0 {
			out += ","
		}
		out += " " + f.Label + "=" + quote(f.Path)
	}
	return out
}

// String prints the filter as a stage.
func (s *StringFilter) String() string { return "| " + s.text() }

// String prints the filter as a stage.
func (s *NumberFilter) String() string { return "| " + s.text() }

// String prints the filter as a stage.
func (s *AddressFilter) String() string { return "| " + s.text() }

// String prints the filter as a stage.
func (s *BinaryFilter) String() string { return "| " + s.text() }

func (s *StringFilter) text() string { return printMatcher(s.Matcher) }

func (s *NumberFilter) text() string {
	v := formatNumber(s.Value)
	switch s.Kind {
	case Duration:
		v = formatDuration(durationOf(s.Value))
	case Bytes:
		v = strconv.FormatFloat(s.Value, 'f', -1, 64) + "B"
	}
	return s.Label + " " + s.Op + " " + v
}

func (s *AddressFilter) text() string {
	sign := "="
	if s.Not {
		sign = "!="
	}
	return s.Label + sign + "ip(" + quote(s.Text) + ")"
}

func (s *BinaryFilter) text() string {
	side := func(f LabelFilter) string {
		switch f := f.(type) {
		case *StringFilter:
			return f.text()
		case *NumberFilter:
			return f.text()
		case *AddressFilter:
			return f.text()
		default:
			return "(" + f.(*BinaryFilter).text() + ")"
		}
	}
	word := " and "
	if s.Or {
		word = " or "
	}
	return side(s.Left) + word + side(s.Right)
}

// String prints the stage.
func (s *LineFormat) String() string { return "| line_format " + quote(s.Template) }

// String prints the stage.
func (s *LabelFormat) String() string {
	list := make([]string, len(s.Formats))
	for i, f := range s.Formats {
		v := f.Value
		if f.Template {
			v = quote(v)
		}
		list[i] = f.Label + "=" + v
	}
	return "| label_format " + strings.Join(list, ", ")
}

// String prints the stage.
func (s *Choice) String() string {
	list := make([]string, len(s.Names))
	for i, n := range s.Names {
		list[i] = n.Name
		if n.Matcher != nil {
			list[i] = printMatcher(*n.Matcher)
		}
	}
	word := "drop "
	if s.Keep {
		word = "keep "
	}
	return "| " + word + strings.Join(list, ", ")
}

// String prints the stage.
func (s *Decolorize) String() string { return "| decolorize" }
