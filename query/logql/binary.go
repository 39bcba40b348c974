// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"
	"math"
	"slices"
)

// compute is one operation on two numbers; keep is false when a comparison
// does not hold, which with asBool is 0.
func compute(op string, a, b float64, asBool bool) (v float64, keep bool) {
	var holds bool
	switch op {
	case "+":
		return a + b, true
	case "-":
		return a - b, true
	case "*":
		return a * b, true
	case "/":
		if b == 0 {
			return math.NaN(), true // as Loki; Prometheus says Inf
		}
		return a / b, true
	case "%":
		if b == 0 {
			return math.NaN(), true
		}
		return math.Mod(a, b), true
	case "^":
		return math.Pow(a, b), true
	case "==":
		holds = a == b
	case "!=":
		holds = a != b
	case ">":
		holds = a > b
	case ">=":
		holds = a >= b
	case "<":
		holds = a < b
	case "<=":
		holds = a <= b
	}
	switch {
	case !asBool:
		return a, holds
	case holds:
		return 1, true
	}
	return 0, true
}

// binary computes an operation.
func (r *run) binary(ctx context.Context, e *Binary, g grid) (value, error) {
	left, err := r.eval(ctx, e.Left, g)
	if err != nil {
		return value{}, err
	}
	right, err := r.eval(ctx, e.Right, g)
	if err != nil {
		return value{}, err
	}
	switch {
	case left.scalar && right.scalar:
		v, _ := compute(e.Op, left.number, right.number, true)
		return value{scalar: true, number: v}, nil
	case left.scalar || right.scalar:
		return withNumber(e, left, right), nil
	case isSet(e.Op):
		return setOperation(e, left.columns, right.columns, g.steps), nil
	}
	return vectors(e, left.columns, right.columns, g.steps)
}

// withNumber computes series with a number. A comparison without bool keeps
// the value of the series.
func withNumber(e *Binary, left, right value) value {
	series, number := left.columns, right.number
	if left.scalar {
		series, number = right.columns, left.number
	}
	out := value{}
	for _, c := range series {
		n := newColumn(c.labels, len(c.v))
		for k := range c.v {
			if !c.has[k] {
				continue
			}
			a, b := c.v[k], number
			if left.scalar {
				a, b = b, a
			}
			v, keep := compute(e.Op, a, b, e.Bool)
			if !keep {
				continue
			}
			if precedence[e.Op] == 3 && !e.Bool {
				v = c.v[k]
			}
			n.set(k, v)
		}
		out.columns = append(out.columns, n)
	}
	return out
}

// signature is what two series must have in common.
func signature(l Labels, m *Matching) string {
	if m == nil {
		return l.key()
	}
	return l.only(m.Labels, !m.On).key()
}

// setOperation is and, or, unless.
func setOperation(e *Binary, left, right []*column, steps int) value {
	index := func(list []*column) map[string][]bool {
		out := map[string][]bool{}
		for _, c := range list {
			key := signature(c.labels, e.Matching)
			if out[key] == nil {
				out[key] = make([]bool, steps)
			}
			for k, h := range c.has {
				out[key][k] = out[key][k] || h
			}
		}
		return out
	}
	keep := func(list []*column, other map[string][]bool, want bool) []*column {
		var out []*column
		for _, c := range list {
			there := other[signature(c.labels, e.Matching)]
			n := newColumn(c.labels, steps)
			for k, h := range c.has {
				if h && (there != nil && there[k]) == want {
					n.set(k, c.v[k])
				}
			}
			out = append(out, n)
		}
		return out
	}
	switch e.Op {
	case "and":
		return value{columns: keep(left, index(right), true)}
	case "unless":
		return value{columns: keep(left, index(right), false)}
	}
	rest := keep(right, index(left), false)
	// A series of both sides is one series.
	at := map[string]*column{}
	out := slices.Clone(left)
	for _, c := range left {
		at[c.labels.key()] = c
	}
	for _, c := range rest {
		have := at[c.labels.key()]
		if have == nil {
			out = append(out, c)
			continue
		}
		for k, h := range c.has {
			if h && !have.has[k] {
				have.set(k, c.v[k])
			}
		}
	}
	return value{columns: out}
}

// vectors computes series with series. Of the side that is not the group's one
// series at most may match at each step.
func vectors(e *Binary, left, right []*column, steps int) (value, error) {
	many, one := left, right
	group := ""
	if e.Matching != nil {
		group = e.Matching.Group
	}
	swapped := group == "group_right"
	if swapped {
		many, one = right, left
	}
	index := map[string][]*column{}
	for _, c := range one {
		key := signature(c.labels, e.Matching)
		index[key] = append(index[key], c)
	}
	results := map[string]*column{}
	var out value
	used := map[string][]bool{}
	for _, m := range many {
		key := signature(m.labels, e.Matching)
		for _, o := range index[key] {
			var result *column
			for k := range steps {
				if !m.has[k] || !o.has[k] {
					continue
				}
				for _, other := range index[key] {
					if other != o && other.has[k] {
						return value{}, bad("found duplicate series on the %s hand-side: %s and %s match the same; many-to-one needs group_left or group_right, many-to-many is not possible",
							side(swapped), o.labels, other.labels)
					}
				}
				if group == "" {
					if used[key] == nil {
						used[key] = make([]bool, steps)
					}
					if used[key][k] {
						return value{}, bad("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
					}
					used[key][k] = true
				}
				a, b := m.v[k], o.v[k]
				if swapped {
					a, b = b, a
				}
				v, keep := compute(e.Op, a, b, e.Bool)
				if !keep {
					continue
				}
				if result == nil {
					labels := resultLabels(m.labels, o.labels, e.Matching)
					name := labels.key()
					if result = results[name]; result == nil {
						result = newColumn(labels, steps)
						results[name] = result
						out.columns = append(out.columns, result)
					}
				}
				if result.has[k] {
					return value{}, bad("multiple matches for labels: grouping labels must ensure unique matches")
				}
				result.set(k, v)
			}
		}
	}
	return out, nil
}

func side(swapped bool) string {
	if swapped {
		return "left"
	}
	return "right"
}

// resultLabels are the labels of a result: those in common of one to one, all
// of the many side of many to one.
func resultLabels(many, one Labels, m *Matching) Labels {
	if m == nil {
		return many
	}
	if m.Group == "" {
		return many.only(m.Labels, !m.On)
	}
	out := many
	for _, name := range m.Include {
		out = out.with(name, one.Get(name))
	}
	return out
}
