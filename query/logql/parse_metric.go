// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"math"
	"slices"
	"strings"
)

// precedence of binary operators; those of ^ bind to the right.
var precedence = map[string]int{
	"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, ">=": 3, "<": 3, "<=": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}

// expression reads operands and the operators between them that bind at least
// as tightly as low.
func (p *parser) expression(low int) (Expr, error) {
	done, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer done()
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	for {
		op := p.peek()
		prec := precedence[op.word]
		if (op.kind != tokenSign && op.kind != tokenName) || prec == 0 || prec < low {
			return left, nil
		}
		p.next()
		b := &Binary{Op: op.word, Left: left}
		if err := p.modifiers(b, op); err != nil {
			return nil, err
		}
		tighter := prec + 1
		if op.word == "^" {
			tighter = prec
		}
		if b.Right, err = p.expression(tighter); err != nil {
			return nil, err
		}
		if left, err = p.binary(b, op); err != nil {
			return nil, err
		}
	}
}

// modifiers reads bool, on, ignoring, group_left and group_right.
func (p *parser) modifiers(b *Binary, op token) (err error) {
	if p.accept("bool") {
		if precedence[b.Op] != 3 {
			return at(p.query, op.offset, "bool goes with a comparison, not with %q", b.Op)
		}
		b.Bool = true
	}
	if !p.is("on") && !p.is("ignoring") {
		return nil
	}
	b.Matching = &Matching{On: p.next().word == "on"}
	if b.Matching.Labels, err = p.names(); err != nil {
		return err
	}
	if p.is("group_left") || p.is("group_right") {
		if isSet(b.Op) {
			return p.wrong("%s does not go with the set operator %q", p.peek().text, b.Op)
		}
		b.Matching.Group = p.next().word
		// A bracket may be that of the operand too: a list of names it is
		// when it is empty, or a name with a comma or the bracket's end.
		if second := p.ahead(2); p.is("(") && (p.ahead(1).text == ")" || p.ahead(1).kind == tokenName && (second.text == "," || second.text == ")")) {
			if b.Matching.Include, err = p.names(); err != nil {
				return err
			}
		}
	}
	return nil
}

func isSet(op string) bool { return op == "and" || op == "or" || op == "unless" }

// binary checks the operands and computes what consists of literals.
func (p *parser) binary(b *Binary, op token) (Expr, error) {
	for _, side := range []Expr{b.Left, b.Right} {
		if _, ok := side.(*Log); ok {
			return nil, at(p.query, op.offset, "%q needs metrics on both sides, this is a log query: %s", b.Op, side)
		}
	}
	l, left := b.Left.(*Number)
	r, right := b.Right.(*Number)
	if isSet(b.Op) && (left || right) {
		return nil, at(p.query, op.offset, "the set operator %q needs series on both sides, not a number", b.Op)
	}
	if left && right {
		v, _ := compute(b.Op, l.Value, r.Value, true)
		return &Number{v}, nil
	}
	return b, nil
}

// names reads (a, b).
func (p *parser) names() ([]string, error) {
	out := []string{}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for !p.accept(")") {
		if len(out) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		n, err := p.expectKind(tokenName, "the name of a label")
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// operand reads one operand: brackets, a selector, a call or a number.
func (p *parser) operand() (Expr, error) {
	t := p.peek()
	switch {
	case t.kind == tokenNumber:
		p.next()
		v, ok := parseNumber(t.text)
		if !ok {
			return nil, at(p.query, t.offset, "%q is no number", t.text)
		}
		return &Number{v}, nil
	case p.is("-") || p.is("+"):
		return p.signed()
	case p.is("("):
		return p.bracketed()
	case p.is("{"):
		return p.log()
	case t.kind == tokenName:
		return p.call()
	}
	return nil, p.wrong("unexpected %s, expected a selector, a number or a function", t.describe())
}

func (p *parser) signed() (Expr, error) {
	sign := p.next()
	if n, ok := p.number(); ok {
		if sign.text == "-" {
			n = -n
		}
		return &Number{n}, nil
	}
	return nil, p.wrong("a sign goes with a number only, not with %s", p.peek().describe())
}

// number takes a number if one is next; Inf and NaN are such too.
func (p *parser) number() (float64, bool) {
	t := p.peek()
	switch {
	case t.kind == tokenNumber:
		if v, ok := parseNumber(t.text); ok {
			p.next()
			return v, true
		}
	case t.kind == tokenName && strings.EqualFold(t.text, "inf"):
		p.next()
		return math.Inf(1), true
	case t.kind == tokenName && strings.EqualFold(t.text, "nan"):
		p.next()
		return math.NaN(), true
	}
	return 0, false
}

func (p *parser) bracketed() (Expr, error) {
	p.next()
	e, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	return e, p.expect(")")
}

// Words of the language.
const (
	opQuantile = "quantile_over_time"
	opAbsent   = "absent_over_time"
	opCount    = "count_over_time"
	opRate     = "rate"
	opBytes    = "bytes_over_time"
	opByteRate = "bytes_rate"
	opCounter  = "rate_counter"
)

var (
	vectorOps = []string{"sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc"}
	// rangeOps: those that may measure lines, and those that may measure a
	// label's value; of the latter which may be grouped.
	lineOps   = []string{opCount, opRate, opBytes, opByteRate, opAbsent}
	unwrapOps = []string{opRate, opCounter, opQuantile, opAbsent, "sum_over_time", "avg_over_time", "min_over_time", "max_over_time",
		"stdvar_over_time", "stddev_over_time", "first_over_time", "last_over_time"}
	groupedOps = []string{opQuantile, "avg_over_time", "min_over_time", "max_over_time", "stdvar_over_time", "stddev_over_time", "first_over_time", "last_over_time"}
)

func takesCount(op string) bool { return op == "topk" || op == "bottomk" || op == "approx_topk" }

// call reads an aggregation or a function.
func (p *parser) call() (Expr, error) {
	t := p.peek()
	switch {
	case slices.Contains(vectorOps, t.word):
		return p.vectorAggregation()
	case slices.Contains(lineOps, t.word) || slices.Contains(unwrapOps, t.word):
		return p.rangeAggregation()
	case t.word == "vector":
		p.next()
		if err := p.expect("("); err != nil {
			return nil, err
		}
		neg := p.accept("-")
		v, ok := p.number()
		if !ok {
			return nil, p.wrong("vector takes a number, not %s", p.peek().describe())
		}
		if neg {
			v = -v
		}
		return &Vector{v}, p.expect(")")
	case t.word == "label_replace":
		return p.labelReplace()
	case strings.EqualFold(t.word, "inf") || strings.EqualFold(t.word, "nan"):
		v, _ := p.number()
		return &Number{v}, nil
	}
	return nil, p.wrong("there is no function %q%s", t.text, suggest(t.word, vectorOps, lineOps, unwrapOps, []string{"vector", "label_replace"}))
}

func (p *parser) labelReplace() (Expr, error) {
	start := p.next()
	if err := p.expect("("); err != nil {
		return nil, err
	}
	inner, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	e := &LabelReplace{Expr: inner}
	var exp token
	dst := p.ahead(1)
	for _, s := range []*string{&e.Dst, &e.Replacement, &e.Src, &e.Exp} {
		if err := p.expect(","); err != nil {
			return nil, err
		}
		exp = p.peek()
		if *s, err = p.expectKind(tokenString, "a string"); err != nil {
			return nil, err
		}
	}
	if _, err := replaceExp(e.Exp); err != nil {
		return nil, at(p.query, exp.offset, "label_replace: %v", err)
	}
	if e.Dst == "" {
		return nil, at(p.query, dst.offset, "label_replace: the name of the label is empty")
	}
	switch inner.(type) {
	case *Log:
		return nil, at(p.query, start.offset, "label_replace needs a metric query, this is a log query: %s", inner)
	case *Number:
		return nil, at(p.query, start.offset, "label_replace needs series, not a number")
	}
	return e, p.expect(")")
}

// grouping takes by (…) or without (…) if it is next.
func (p *parser) grouping() (*Grouping, error) {
	if !p.is("by") && !p.is("without") {
		return nil, nil
	}
	g := &Grouping{Without: p.next().word == "without"}
	var err error
	if g.Labels, err = p.names(); err != nil {
		return nil, err
	}
	return g, nil
}

func (p *parser) vectorAggregation() (Expr, error) {
	start := p.next()
	e := &VectorAggregation{Op: start.word}
	g, err := p.grouping()
	if err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if takesCount(e.Op) {
		t := p.peek()
		n, ok := p.number()
		if !ok || n != math.Trunc(n) || n < 1 || n > 1e6 {
			return nil, at(p.query, t.offset, "%s takes a whole number from 1 first: %s(10, …)", e.Op, e.Op)
		}
		e.Param = int(n)
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
	inner := p.peek()
	if e.Expr, err = p.expression(0); err != nil {
		return nil, err
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	switch e.Expr.(type) {
	case *Log:
		return nil, at(p.query, inner.offset, "%s needs a metric, this is a log query; count its lines: count_over_time(%s [5m])", e.Op, e.Expr)
	case *Number:
		return nil, at(p.query, inner.offset, "%s needs series, not a number", e.Op)
	}
	after, err := p.grouping()
	if err != nil {
		return nil, err
	}
	if after != nil {
		if g != nil {
			return nil, p.wrong("%s is grouped twice", e.Op)
		}
		g = after
	}
	if g != nil && strings.HasPrefix(e.Op, "sort") {
		return nil, at(p.query, start.offset, "%s cannot be grouped", e.Op)
	}
	e.Grouping = g
	return e, nil
}

func (p *parser) rangeAggregation() (Expr, error) {
	start := p.next()
	e := &RangeAggregation{Op: start.word}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if e.Op == opQuantile {
		neg := p.accept("-")
		v, ok := p.number()
		if !ok {
			return nil, p.wrong("%s takes the quantile first: %s(0.99, …)", e.Op, e.Op)
		}
		if neg {
			v = -v
		}
		e.Param = v
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
	var err error
	if e.Range, err = p.rangeOf(); err != nil {
		return nil, err
	}
	if e.Range.Window == 0 {
		return nil, p.wrong("unexpected %s, expected a window of time such as [5m]", p.peek().describe())
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if e.Grouping, err = p.grouping(); err != nil {
		return nil, err
	}
	switch {
	case e.Range.Unwrap == nil && !slices.Contains(lineOps, e.Op):
		return nil, at(p.query, start.offset, "%s measures a label: end its pipeline with | unwrap <label>", e.Op)
	case e.Range.Unwrap != nil && !slices.Contains(unwrapOps, e.Op):
		return nil, at(p.query, start.offset, "%s measures lines; take the unwrap out", e.Op)
	case e.Grouping != nil && (!slices.Contains(groupedOps, e.Op)):
		return nil, at(p.query, start.offset, "%s cannot be grouped; put it into sum %s (…)", e.Op, e.Grouping)
	}
	return e, nil
}

// rangeOf reads what a range aggregation measures. The window may stand after
// the selector or after the pipeline, and all may be in brackets.
func (p *parser) rangeOf() (*Range, error) {
	done, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer done()
	var r *Range
	if p.accept("(") {
		if r, err = p.rangeOf(); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
		if p.is("[") {
			if r.Window != 0 {
				return nil, p.wrong("the window of time comes twice")
			}
			if err := p.window(r); err != nil {
				return nil, err
			}
		}
	} else if r, err = p.plainRange(); err != nil {
		return nil, err
	}
	return r, nil
}

// plainRange reads a range without brackets around it.
func (p *parser) plainRange() (*Range, error) {
	r := &Range{Log: &Log{}}
	var err error
	if r.Log.Matchers, err = p.selector(true); err != nil {
		return nil, err
	}
	if p.is("[") {
		if err := p.window(r); err != nil {
			return nil, err
		}
	}
	if r.Log.Stages, err = p.stages(); err != nil {
		return nil, err
	}
	if p.is("|") && p.ahead(1).word == "unwrap" {
		p.at += 2
		if r.Unwrap, err = p.unwrap(); err != nil {
			return nil, err
		}
	}
	if p.is("[") {
		if r.Window != 0 {
			return nil, p.wrong("the window of time comes twice")
		}
		if err := p.window(r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// window reads [5m] and an offset.
func (p *parser) window(r *Range) error {
	p.next()
	t := p.peek()
	d, ok := ParseDuration(t.text)
	if t.kind != tokenNumber || !ok || d <= 0 {
		return p.wrong("unexpected %s, expected a duration such as 5m", t.describe())
	}
	p.next()
	if err := p.expect("]"); err != nil {
		return err
	}
	r.Window = d
	if !p.accept("offset") {
		return nil
	}
	neg := p.accept("-")
	t = p.peek()
	if d, ok = ParseDuration(t.text); t.kind != tokenNumber || !ok {
		return p.wrong("unexpected %s, expected a duration such as 5m", t.describe())
	}
	p.next()
	if r.Offset = d; neg {
		r.Offset = -d
	}
	return nil
}
