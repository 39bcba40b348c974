// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/grafana/regexp"
)

// vectorAggregation brings series together.
func (r *run) vectorAggregation(ctx context.Context, e *VectorAggregation, g grid) (value, error) {
	var in value
	var err error
	inner, ok := e.Expr.(*RangeAggregation)
	if ok && e.Op == "sum" && (inner.Op == opCount || inner.Op == opRate || inner.Op == opBytes || inner.Op == opByteRate || inner.Op == "sum_over_time") {
		group := e.Grouping
		if group == nil {
			group = &Grouping{}
		}
		// A sum of counts is the count of all: no series of its parts is made.
		return r.rangeAggregation(ctx, inner, g, group)
	}
	if in, err = r.eval(ctx, e.Expr, g); err != nil {
		return value{}, err
	}
	if in.scalar {
		return value{}, bad("%s needs series, not a number", e.Op)
	}
	switch {
	case strings.HasPrefix(e.Op, "sort"):
		return sorted(in.columns, e.Op == "sort_desc"), nil
	case takesCount(e.Op):
		return top(in.columns, e, g.steps), nil
	}
	out := value{}
	for _, members := range groups(in.columns, e.Grouping) {
		c := newColumn(groupLabels(members[0].labels, e.Grouping), g.steps)
		for k := range g.steps {
			if v, ok := aggregate(e.Op, members, k); ok {
				c.set(k, v)
			}
		}
		out.columns = append(out.columns, c)
	}
	return out, nil
}

func groupLabels(l Labels, g *Grouping) Labels {
	if g == nil {
		return nil
	}
	return l.only(g.Labels, g.Without).nonEmpty()
}

// groups are the columns that belong together, in the order of their first.
func groups(columns []*column, g *Grouping) [][]*column {
	var out [][]*column
	at := map[string]int{}
	for _, c := range columns {
		key := groupLabels(c.labels, g).key()
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

func aggregate(op string, members []*column, k int) (out float64, ok bool) {
	n, mean, square, average := 0.0, 0.0, 0.0, 0.0
	for _, c := range members {
		if !c.has[k] {
			continue
		}
		v := c.v[k]
		n++
		average = nextMean(average, v, n)
		if n == 1 { // one alone does not deviate, an infinite one neither
			mean = v
		} else {
			delta := v - mean
			mean += delta / n
			square += delta * (v - mean)
		}
		switch {
		case op == "sum":
			out += v
		case n == 1:
			out = v
		case op == "max" && (v > out || math.IsNaN(out)), op == "min" && (v < out || math.IsNaN(out)):
			out = v
		}
	}
	switch op {
	case "avg":
		out = average
	case "count":
		out = n
	case "stdvar":
		out = square / n
	case "stddev":
		out = math.Sqrt(square / n)
	}
	return out, n > 0
}

// sorted orders the series by their first value.
func sorted(columns []*column, descending bool) value {
	slices.SortStableFunc(columns, func(a, b *column) int {
		if descending {
			a, b = b, a
		}
		return compareValues(a.v[0], b.v[0])
	})
	return value{columns: columns, sorted: true}
}

// compareValues has NaN first.
func compareValues(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a) || a < b:
		return -1
	case math.IsNaN(b) || a > b:
		return 1
	}
	return 0
}

// top keeps the highest or lowest of each group at each step.
func top(columns []*column, e *VectorAggregation, steps int) value {
	lowest := e.Op == "bottomk"
	out := map[*column]*column{}
	var order []*column
	// Among equal values the labels decide, so that an answer is always the same.
	slices.SortFunc(columns, func(a, b *column) int { return strings.Compare(a.labels.key(), b.labels.key()) })
	for _, members := range groups(columns, e.Grouping) {
		for k := range steps {
			var there []*column
			for _, c := range members {
				if c.has[k] {
					there = append(there, c)
				}
			}
			slices.SortStableFunc(there, func(a, b *column) int {
				x, y := a.v[k], b.v[k]
				switch {
				case math.IsNaN(x) || math.IsNaN(y): // last in any case
					return -compareValues(x, y)
				case lowest:
					return compareValues(x, y)
				}
				return compareValues(y, x)
			})
			for _, c := range there[:min(e.Param, len(there))] {
				if out[c] == nil {
					out[c] = newColumn(c.labels, steps)
					order = append(order, out[c])
				}
				out[c].set(k, c.v[k])
			}
		}
	}
	return value{columns: order, sorted: true}
}

// replaceExp compiles the expression of label_replace.
func replaceExp(s string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(s); err != nil { // as it was written
		return nil, err
	}
	return regexp.Compile("^(?:" + s + ")$")
}

// labelReplace writes a label anew where another one fits.
func (r *run) labelReplace(ctx context.Context, e *LabelReplace, g grid) (value, error) {
	in, err := r.eval(ctx, e.Expr, g)
	if err != nil || in.scalar {
		return in, err
	}
	re, err := replaceExp(e.Exp)
	if err != nil {
		return value{}, bad("label_replace: %v", err)
	}
	seen := map[string]bool{}
	for i, c := range in.columns {
		src := c.labels.Get(e.Src)
		if at := re.FindStringSubmatchIndex(src); at != nil {
			v := re.ExpandString(nil, e.Replacement, src, at)
			in.columns[i] = &column{c.labels.with(e.Dst, string(v)), c.v, c.has}
		}
		key := in.columns[i].labels.key()
		if seen[key] {
			return value{}, bad("label_replace makes two series %s", in.columns[i].labels)
		}
		seen[key] = true
	}
	return in, nil
}
