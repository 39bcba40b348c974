// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"tallyman"
)

// column is a series while it is computed: a value for each step, where it has
// one.
type column struct {
	labels Labels
	v      []float64
	has    []bool
}

func newColumn(labels Labels, steps int) *column {
	return &column{labels, make([]float64, steps), make([]bool, steps)}
}

// set gives the step k a value.
func (c *column) set(k int, v float64) { c.v[k], c.has[k] = v, true }

// value is what an expression comes to: a number, or series. The series of a
// sorted one have an order.
type value struct {
	scalar  bool
	number  float64
	columns []*column
	sorted  bool
}

// metrics answers a metric query.
func (r *run) metrics(ctx context.Context, expr Expr) (*Result, error) {
	g := grid{start: r.p.End, step: 1 << 62, steps: 1}
	instant := r.p.Step <= 0
	if !instant {
		if r.p.End < r.p.Start {
			return nil, bad("the end lies before the start")
		}
		g.start = r.p.Start
		n := (r.p.End-r.p.Start)/int64(r.p.Step) + 1
		if n > int64(r.e.o.MaxSteps) {
			return nil, bad("exceeded maximum resolution of %d points per time series. Try increasing the value of the step parameter", r.e.o.MaxSteps)
		}
		if g.steps = int(n); n > 1 {
			g.step = int64(r.p.Step)
		}
	}
	v, err := r.eval(ctx, expr, g)
	if err != nil {
		return nil, err
	}
	return r.result(v, g, instant), nil
}

// result makes series of columns.
func (r *run) result(v value, g grid, instant bool) *Result {
	out := &Result{Kind: Matrix}
	if instant {
		out.Kind = InstantVector
	}
	if v.scalar {
		c := newColumn(nil, g.steps)
		for k := range c.v {
			c.set(k, v.number)
		}
		v.columns = []*column{c}
		if instant {
			out.Kind = Scalar
		}
	}
	for _, c := range v.columns {
		s := Series{Labels: c.labels}
		for k := range c.v {
			if c.has[k] {
				at := g.start
				if k > 0 {
					at = g.at(k)
				}
				s.Points = append(s.Points, Point{at / int64(time.Millisecond), c.v[k]})
			}
		}
		if len(s.Points) > 0 {
			out.Series = append(out.Series, s)
		}
	}
	if !instant || !v.sorted {
		slices.SortFunc(out.Series, func(a, b Series) int { return strings.Compare(a.Labels.key(), b.Labels.key()) })
	}
	return out
}

// eval computes an expression for all steps.
func (r *run) eval(ctx context.Context, expr Expr, g grid) (value, error) {
	if err := ctx.Err(); err != nil {
		return value{}, err
	}
	switch e := expr.(type) {
	case *Number:
		return value{scalar: true, number: e.Value}, nil
	case *Vector:
		c := newColumn(nil, g.steps)
		for k := range c.v {
			c.set(k, e.Value)
		}
		return value{columns: []*column{c}}, nil
	case *RangeAggregation:
		return r.rangeAggregation(ctx, e, g, nil)
	case *VectorAggregation:
		return r.vectorAggregation(ctx, e, g)
	case *Binary:
		return r.binary(ctx, e, g)
	case *LabelReplace:
		return r.labelReplace(ctx, e, g)
	}
	return value{}, bad("a log query cannot be part of a metric query: %s", expr)
}

// rangeAggregation measures windows. group is what a sum around it groups by;
// the sums are computed in one go then.
func (r *run) rangeAggregation(ctx context.Context, e *RangeAggregation, g grid, group *Grouping) (value, error) {
	g.window, g.shift = int64(e.Range.Window), int64(e.Range.Offset)
	if group == nil {
		group = e.Grouping
	}
	if e.Op == opAbsent { // whatever labels there are
		group = &Grouping{}
	}
	sums, err := r.extract(ctx, e, g, group)
	if err != nil {
		return value{}, err
	}
	if e.Op == opAbsent {
		return absent(e.Range.Log.Matchers, sums, g), nil
	}
	var out value
	seconds := e.Range.Window.Seconds()
	for _, s := range sums {
		c := newColumn(s.labels, g.steps)
		if e.Range.Unwrap == nil {
			countColumn(c, s, e.Op, seconds)
		} else if err := sampleColumn(ctx, c, s, e, g); err != nil {
			return value{}, err
		}
		out.columns = append(out.columns, c)
	}
	return out, nil
}

func countColumn(c *column, s *sum, op string, seconds float64) {
	for k := range c.v {
		if s.lines[k] == 0 {
			continue
		}
		switch op {
		case opCount:
			c.set(k, float64(s.lines[k]))
		case opRate:
			c.set(k, float64(s.lines[k])/seconds)
		case opBytes:
			c.set(k, float64(s.bytes[k]))
		case opByteRate:
			c.set(k, float64(s.bytes[k])/seconds)
		}
	}
}

// sampleColumn measures the samples of each window.
func sampleColumn(ctx context.Context, c *column, s *sum, e *RangeAggregation, g grid) error {
	measure := measures[e.Op]
	w := window{seconds: e.Range.Window.Seconds(), param: e.Param}
	low, high := 0, 0
	for k := range c.v {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.end = g.start - g.shift
		if k > 0 {
			w.end += int64(k) * g.step
		}
		w.start = w.end - g.window
		for high < len(s.samples) && s.samples[high].time <= w.end {
			high++
		}
		for low < high && s.samples[low].time <= w.start {
			low++
		}
		if low == high {
			continue
		}
		w.samples = s.samples[low:high]
		if v, ok := measure(&w); ok {
			c.set(k, v)
		}
	}
	return nil
}

// absent has a value where there is none: with the labels that the selector
// tells.
func absent(matchers []tallyman.Matcher, sums []*sum, g grid) value {
	var labels Labels
	seen := map[string]int{}
	for _, m := range matchers {
		seen[m.Name]++
	}
	for _, m := range matchers {
		if m.Type == tallyman.MatchEqual && seen[m.Name] == 1 && m.Value != "" {
			labels = append(labels, tallyman.Label{Name: m.Name, Value: m.Value})
		}
	}
	c := newColumn(sortLabels(labels), g.steps)
	there := make([]bool, g.steps)
	for _, s := range sums {
		for k := range there {
			there[k] = there[k] || s.lines != nil && s.lines[k] > 0
		}
		for _, x := range s.samples {
			first, last := g.reach(x.time)
			for k := first; k < last; k++ {
				there[k] = true
			}
		}
	}
	for k := range there {
		if !there[k] {
			c.set(k, 1)
		}
	}
	return value{columns: []*column{c}}
}

// window is the samples of one step.
type window struct {
	samples        []sample
	start, end     int64
	seconds, param float64
}

// measures are the functions over samples; each has at least one.
var measures = map[string]func(*window) (float64, bool){
	"sum_over_time": func(w *window) (float64, bool) { return total(w), true },
	opRate:          func(w *window) (float64, bool) { return total(w) / w.seconds, true },
	opCounter:       counterRate,
	"avg_over_time": func(w *window) (float64, bool) {
		mean, n := 0.0, 0.0
		for _, s := range w.samples {
			n++
			mean = nextMean(mean, s.value, n)
		}
		return mean, true
	},
	"min_over_time": func(w *window) (float64, bool) {
		out := w.samples[0].value
		for _, s := range w.samples {
			if s.value < out || math.IsNaN(out) {
				out = s.value
			}
		}
		return out, true
	},
	"max_over_time": func(w *window) (float64, bool) {
		out := w.samples[0].value
		for _, s := range w.samples {
			if s.value > out || math.IsNaN(out) {
				out = s.value
			}
		}
		return out, true
	},
	"first_over_time":  func(w *window) (float64, bool) { return w.samples[0].value, true },
	"last_over_time":   func(w *window) (float64, bool) { return w.samples[len(w.samples)-1].value, true },
	"stdvar_over_time": func(w *window) (float64, bool) { return variance(w), true },
	"stddev_over_time": func(w *window) (float64, bool) { return math.Sqrt(variance(w)), true },
	opQuantile: func(w *window) (float64, bool) {
		values := make([]float64, len(w.samples))
		for i, s := range w.samples {
			values[i] = s.value
		}
		return quantile(w.param, values), true
	},
}

// nextMean is the mean when the n-th value comes to it. Of an infinite one finite
// values change nothing.
func nextMean(mean, v, n float64) float64 {
	if math.IsInf(mean, 0) && !math.IsNaN(v) && (!math.IsInf(v, 0) || (mean > 0) == (v > 0)) {
		return mean
	}
	return mean + v/n - mean/n
}

func total(w *window) float64 {
	out := 0.0
	for _, s := range w.samples {
		out += s.value
	}
	return out
}

func variance(w *window) float64 {
	n, mean, sum := 0.0, 0.0, 0.0
	for _, s := range w.samples {
		n++
		delta := s.value - mean
		mean += delta / n
		sum += delta * (s.value - mean)
	}
	return sum / n
}

// quantile interpolates between the two nearest values.
func quantile(q float64, values []float64) float64 {
	switch {
	case len(values) == 0 || math.IsNaN(q):
		return math.NaN()
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(1)
	}
	slices.Sort(values)
	rank := q * float64(len(values)-1)
	low := math.Floor(rank)
	weight := rank - low
	high := min(int(low)+1, len(values)-1)
	return values[int(low)]*(1-weight) + values[high]*weight
}

// counterRate is the increase of a counter per second, extrapolated to the
// edges of the window as Prometheus' rate does it.
func counterRate(w *window) (float64, bool) {
	if len(w.samples) < 2 {
		return 0, false
	}
	first, last := w.samples[0], w.samples[len(w.samples)-1]
	increase := last.value - first.value
	previous := first.value
	for _, s := range w.samples[1:] {
		if s.value < previous {
			increase += previous
		}
		previous = s.value
	}
	toStart := float64(first.time-w.start) / 1e9
	toEnd := float64(w.end-last.time) / 1e9
	sampled := float64(last.time-first.time) / 1e9
	between := sampled / float64(len(w.samples)-1)
	if increase > 0 && first.value >= 0 {
		toStart = min(toStart, sampled*first.value/increase) // it did not go below 0
	}
	far := between * 1.1
	reach := sampled
	for _, d := range []float64{toStart, toEnd} {
		if d < far {
			reach += d
		} else {
			reach += between / 2
		}
	}
	return increase * reach / sampled / w.seconds, true
}
