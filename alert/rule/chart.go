// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
)

// Chart is what a rule has looked at for one alarm.
type Chart struct {
	// Expr is the rule's expression without its comparison, and Op and Threshold are that;
	// Op is empty for one that compares with no number.
	Language  string // promql or logql
	Expr      string
	Op        string
	Threshold float64
	Points    []promql.FPoint // in order of time
}

// Line is one line of a log that a rule has looked at.
type Line struct {
	Time time.Time
	Text string
}

// chartSteps is about how many points a chart has.
const chartSteps = 240

// ErrNoChart says that a rule looks at nothing that can be drawn: it is about problems, or is
// no more.
var ErrNoChart = errors.New("there is nothing to draw for this rule")

// of finds the rule of an alarm by its name and labels. A rule whose severity a label has
// changed is found, too.
func (e *Engine) of(name string, alarm map[string]string) (found *rules.AlertingRule) {
	for _, g := range e.RuleGroups() {
		if strings.HasPrefix(g.Name(), problems) {
			continue
		}
		for _, r := range g.AlertingRules() {
			if r.Name() != name {
				continue
			}
			if same(r.Labels(), alarm) {
				return r
			}
			if found == nil {
				found = r
			}
		}
	}
	return found
}

// Chart evaluates the expression of an alarm's rule over a time, with both ends, and gives
// what concerns the alarm's labels. The error wraps ErrNoChart when there is nothing to
// draw.
func (e *Engine) Chart(ctx context.Context, name string, alarm map[string]string, from, to time.Time) (*Chart, error) {
	r := e.of(name, alarm)
	if r == nil {
		return nil, ErrNoChart
	}
	c := &Chart{Language: "promql"}
	text := r.Query().String()
	if logql, ok := strings.CutPrefix(text, mark); ok {
		if e.o.LogQLBare == nil {
			return nil, errors.New("there are no logs")
		}
		if c.Expr, c.Op, c.Threshold, ok = e.o.LogQLBare(logql); !ok {
			return nil, ErrNoChart
		}
		c.Language, text = "logql", mark+c.Expr
	} else {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			return nil, fmt.Errorf("read the expression of %s: %w", name, err)
		}
		bare, op, threshold, ok := bareOf(expr)
		if ok {
			expr, c.Op, c.Threshold = bare, op, threshold
		}
		text = expr.String()
		c.Expr = text
	}
	step := max(to.Sub(from)/chartSteps, time.Second).Truncate(time.Second)
	found, err := e.askRange(ctx, text, from, to, step)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if !concerns(s.Metric, alarm) {
			continue
		}
		for _, p := range s.Floats {
			if !math.IsNaN(p.F) && !math.IsInf(p.F, 0) {
				c.Points = append(c.Points, p)
			}
		}
		break
	}
	return c, nil
}

// Lines are up to limit lines that an alarm's rule over logs looked at from a time on until
// another, the newest of them, in order of time. Of other rules there are none.
func (e *Engine) Lines(ctx context.Context, name string, alarm map[string]string, from, to time.Time, limit int) ([]Line, error) {
	r := e.of(name, alarm)
	if r == nil || e.o.LogQLLines == nil {
		return nil, nil
	}
	logql, ok := strings.CutPrefix(r.Query().String(), mark)
	if !ok {
		return nil, nil
	}
	return e.o.LogQLLines(ctx, logql, alarm, from, to, limit)
}

// concerns reports whether a series is that of an alarm.
func concerns(series labels.Labels, alarm map[string]string) bool {
	ok := true
	series.Range(func(l labels.Label) {
		if of, known := alarm[l.Name]; known && of != l.Value {
			ok = false
		}
	})
	return ok
}

// bareOf takes the comparison with a number out of an expression: what is compared, how and
// with what. Conditions beside it (and, unless, or) are left out.
func bareOf(expr parser.Expr) (bare parser.Expr, op string, threshold float64, ok bool) {
	switch x := expr.(type) {
	case *parser.ParenExpr:
		return bareOf(x.Expr)
	case *parser.AggregateExpr:
		bare, op, threshold, ok = bareOf(x.Expr)
		if !ok {
			return nil, "", 0, false
		}
		whole := *x
		whole.Expr = bare
		return &whole, op, threshold, true
	case *parser.BinaryExpr:
		if x.Op.IsSetOperator() {
			return bareOf(x.LHS)
		}
		n, number := numberOf(x.RHS)
		if x.Op.IsComparisonOperator() && !x.ReturnBool && number {
			return x.LHS, x.Op.String(), n, true
		}
	}
	return nil, "", 0, false
}

// numberOf reads an expression that is a number.
func numberOf(expr parser.Expr) (float64, bool) {
	switch x := expr.(type) {
	case *parser.NumberLiteral:
		return x.Val, true
	case *parser.ParenExpr:
		return numberOf(x.Expr)
	case *parser.UnaryExpr:
		n, ok := numberOf(x.Expr)
		if x.Op == parser.SUB {
			n = -n
		}
		return n, ok
	}
	return 0, false
}
