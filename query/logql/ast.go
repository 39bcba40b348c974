// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"time"

	"github.com/grafana/regexp"

	"tallyman"
)

// Expr is a parsed query. Its String can be parsed again and is then the same.
type Expr interface {
	String() string
	expr()
}

// Log is a log query: a selector and a pipeline.
type Log struct {
	Matchers []tallyman.Matcher
	Stages   []Stage
}

// Range is a log query over a window of time, with the label whose value is
// measured when there is one.
type Range struct {
	Log    *Log
	Unwrap *Unwrap
	Window time.Duration
	Offset time.Duration
}

// Unwrap names the label whose value is the sample.
type Unwrap struct {
	Label string
	// Convert is empty, bytes, duration or duration_seconds.
	Convert string
	// Filters come after it.
	Filters []LabelFilter
}

// RangeAggregation measures what is in a window: count_over_time and the like.
type RangeAggregation struct {
	Op       string
	Param    float64 // of quantile_over_time
	Range    *Range
	Grouping *Grouping
}

// VectorAggregation brings series together: sum by (a) (…).
type VectorAggregation struct {
	Op       string
	Param    int // of topk, bottomk and approx_topk
	Expr     Expr
	Grouping *Grouping
}

// Grouping is by or without labels.
type Grouping struct {
	Without bool
	Labels  []string
}

// Binary is an operation on two expressions.
type Binary struct {
	Op          string
	Bool        bool
	Matching    *Matching
	Left, Right Expr
}

// Matching says which series of two sides belong together.
type Matching struct {
	On     bool // else ignoring
	Labels []string
	// Group is empty, group_left or group_right; Include are its labels.
	Group   string
	Include []string
}

// Number is a literal.
type Number struct{ Value float64 }

// Vector is vector(n): one series without labels.
type Vector struct{ Value float64 }

// LabelReplace is label_replace of PromQL.
type LabelReplace struct {
	Expr                       Expr
	Dst, Replacement, Src, Exp string
}

func (*Log) expr()               {}
func (*RangeAggregation) expr()  {}
func (*VectorAggregation) expr() {}
func (*Binary) expr()            {}
func (*Number) expr()            {}
func (*Vector) expr()            {}
func (*LabelReplace) expr()      {}

// Stage is one step of a pipeline.
type Stage interface {
	String() string
	// compile makes a processor of its own for one pipeline.
	compile() (processor, error)
}

// LineFilter keeps lines by their text. Several values are alternatives; of a
// negated filter none may fit.
type LineFilter struct {
	Op     string // |= != |~ !~ |> !>
	Values []LineValue
	tests  []func([]byte) bool // compiled by the parser, used by all
}

// LineValue is a text, an expression or a pattern; with IP an address, a network
// or a range of addresses.
type LineValue struct {
	Text string
	IP   bool
}

// Parser is json, logfmt, pattern, regexp or unpack.
type Parser struct {
	Kind string
	// Expression is that of pattern and regexp.
	Expression string
	// Fields are what json and logfmt are to take; none is everything.
	Fields            []Field
	Strict, KeepEmpty bool
	re                *regexp.Regexp // compiled by the parser, used by all
}

// Field is a label and where its value is.
type Field struct{ Label, Path string }

// LabelFilter keeps lines by their labels.
type LabelFilter interface {
	Stage
	filter()
}

// StringFilter compares a label with a text.
type StringFilter struct{ tallyman.Matcher }

// NumberKind is what a label is read as for a comparison.
type NumberKind uint8

// The kinds of numbers.
const (
	Plain NumberKind = iota
	Duration
	Bytes
)

// NumberFilter compares a label with a number, a duration or a size.
type NumberFilter struct {
	Label, Op string
	Kind      NumberKind
	Value     float64 // of a duration in nanoseconds
}

// AddressFilter keeps lines whose label holds an address: addr=ip("10.0.0.0/8").
type AddressFilter struct {
	Label string
	Not   bool
	Text  string
}

// BinaryFilter is two filters with and, or or.
type BinaryFilter struct {
	Or          bool
	Left, Right LabelFilter
}

// LineFormat writes the line anew.
type LineFormat struct{ Template string }

// LabelFormat renames labels and writes them anew.
type LabelFormat struct{ Formats []Format }

// Format is one assignment of label_format.
type Format struct {
	Label string
	// Value is another label's name, or a template.
	Value    string
	Template bool
}

// Choice is drop or keep.
type Choice struct {
	Keep  bool
	Names []Choose
}

// Choose is a label, with a condition on its value unless Matcher is nil.
type Choose struct {
	Name    string
	Matcher *tallyman.Matcher
}

// Decolorize takes ANSI colours out of the line.
type Decolorize struct{}

func (*StringFilter) filter()  {}
func (*NumberFilter) filter()  {}
func (*AddressFilter) filter() {}
func (*BinaryFilter) filter()  {}
