// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tallyman"
)

// grid is the times at which values are wanted, and how far each looks back.
// With a single one the step is longer than any time.
type grid struct {
	start, step   int64
	steps         int
	window, shift int64 // shift is the offset
}

// at is the time of a step.
func (g *grid) at(k int) int64 { return g.start + int64(k)*g.step }

// reach are the steps first ≤ k < last whose windows hold the time t. A window
// is open at its beginning and closed at its end.
func (g *grid) reach(t int64) (first, last int) {
	t += g.shift
	first = int(max(0, ceilDiv(t-g.start, g.step)))
	last = int(max(0, min(int64(g.steps), ceilDiv(t+g.window-g.start, g.step))))
	return min(first, last), last
}

func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

// sum is what is known of a series while records are read: the number of
// records and their bytes by step, as differences between one step and the
// next, or the samples.
type sum struct {
	labels       Labels
	lines, bytes []int64
	samples      []sample
}

// sample is a value at a time in nanoseconds.
type sample struct {
	time  int64
	value float64
}

// extraction is what a range aggregation needs of records.
type extraction struct {
	r    *run
	agg  *RangeAggregation
	grid grid
	// group is the only thing that matters of the labels; nil is all.
	group *Grouping
	// byError is whether series are grouped by the errors of lines.
	byError bool
	// lines is whether records and bytes are counted, else samples are kept.
	lines bool
	query tallyman.RecordQuery
	// fixed is whether all records of a stream are of one series.
	fixed  bool
	wanted []string
	// stages are those of the query that matter.
	stages []Stage
	series atomic.Int64
}

// extract reads what a range aggregation is about.
func (r *run) extract(ctx context.Context, agg *RangeAggregation, g grid, group *Grouping) ([]*sum, error) {
	x := &extraction{r: r, agg: agg, grid: g, group: group, lines: agg.Range.Unwrap == nil}
	if err := x.plan(ctx); err != nil {
		return nil, err
	}
	cursors, err := r.open(ctx, x.query)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range cursors {
			c.Close()
		}
	}()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tables := make([]*table, max(1, min(r.e.o.Parallel, len(cursors))))
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range tables {
		tables[i] = &table{x: x, sums: map[string]*sum{}, sets: map[string]*LabelSet{}}
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(cursors); n = int(next.Add(1)) - 1 {
				if err := tables[i].stream(ctx, cursors[n]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return x.join(tables)
}

// plan decides what is asked of the store: neither texts nor metadata when
// they do not matter.
func (x *extraction) plan(ctx context.Context) error {
	rg, g := x.agg.Range, &x.grid
	x.stages = rg.Log.Stages
	byLabels := x.group != nil && !x.group.Without
	x.byError = byLabels && slices.Contains(x.group.Labels, errorLabel)
	if byLabels {
		after := slices.Clone(x.group.Labels)
		if u := rg.Unwrap; u != nil {
			after = append(after, u.Label)
			for _, f := range u.Filters {
				after = append(after, filterNames(f)...)
			}
		}
		if x.wanted = wantedBy(x.stages, after); x.wanted != nil && len(x.wanted) == 0 {
			x.stages = slices.DeleteFunc(slices.Clone(x.stages), onlyParses)
		}
	}
	x.query = tallyman.RecordQuery{
		Matchers: rg.Log.Matchers,
		Start:    g.start - g.window - g.shift + 1, End: g.at(g.steps-1) - g.shift + 1,
		Contains: literals(x.stages),
	}
	x.query.NoLines = !slices.ContainsFunc(x.stages, readsLine)
	if !byLabels {
		return nil
	}
	// Metadata cannot change what is grouped by the labels of streams that all
	// have them: the stream's label wins.
	if rg.Unwrap != nil || slices.ContainsFunc(x.stages, func(s Stage) bool { _, ok := s.(*LineFilter); return !ok }) {
		return nil
	}
	if len(x.group.Labels) > 0 {
		streams, err := x.r.e.store.Streams(ctx, x.query.Matchers, x.query.Start, x.query.End)
		if err != nil {
			return err
		}
		for _, s := range streams {
			for _, name := range x.group.Labels {
				if s.Label(name) == "" {
					return nil
				}
			}
		}
	}
	x.query.NoMeta, x.fixed = true, true
	return nil
}

// onlyParses tells a stage that makes labels and does nothing else. Where nobody
// wants any, it is left out, and its errors with it, as in Loki.
func onlyParses(s Stage) bool {
	p, ok := s.(*Parser)
	return ok && p.Kind != "unpack"
}

func readsLine(s Stage) bool {
	switch s.(type) {
	case LabelFilter, *Choice:
		return false
	}
	return true
}

// table is the series that one goroutine has found.
type table struct {
	x    *extraction
	sums map[string]*sum
	sets map[string]*LabelSet
}

// of is the series of these labels.
func (t *table) of(labels Labels) (*sum, error) {
	key := labels.key()
	if s, ok := t.sums[key]; ok {
		return s, nil
	}
	x := t.x
	if n := x.series.Add(1); n > int64(x.r.e.o.MaxSeries) {
		return nil, tooMuch("the query makes more than %d series; select fewer streams, or aggregate by fewer labels: sum by (…) (…)", x.r.e.o.MaxSeries)
	}
	s := &sum{labels: labels}
	if x.lines {
		if n := x.r.values.Add(int64(x.grid.steps)); n > int64(x.r.e.o.MaxSamples) {
			return nil, x.tooManySamples()
		}
		s.lines, s.bytes = make([]int64, x.grid.steps+1), make([]int64, x.grid.steps+1)
	}
	t.sums[key] = s
	return s, nil
}

func (x *extraction) tooManySamples() error {
	return tooMuch("the query makes more than %d samples; ask for a shorter time, a longer step, or aggregate by fewer labels", x.r.e.o.MaxSamples)
}

// stream reads all records of a stream.
func (t *table) stream(ctx context.Context, c tallyman.RecordCursor) error {
	x := t.x
	p, err := newPipeline(x.stages, c.Stream(), x.wanted, t.sets)
	if err != nil {
		return err
	}
	var unwrap *unwrapper
	if u := x.agg.Range.Unwrap; u != nil {
		if unwrap, err = newUnwrapper(u, x.group); err != nil {
			return err
		}
	}
	classify := &classifier{t: t, group: x.group, labels: p.labels}
	if x.fixed {
		if classify.fixed, err = t.of(Labels(c.Stream().Labels).only(x.group.Labels, false)); err != nil {
			return err
		}
	}
	w := writer{grid: &x.grid}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		records, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if x.lines && classify.fixed != nil && len(p.stages) == 0 {
			w.addAll(classify.fixed, records)
			continue
		}
		for i := range records {
			// What no step sees need not be looked at, whatever is in it.
			if first, last := w.steps(records[i].Time); first >= last || !p.run(&records[i]) {
				continue
			}
			value := 0.0
			if unwrap != nil {
				var ok bool
				if value, ok = unwrap.sample(&p.line); !ok {
					continue
				}
			}
			// An error may be wanted where grouping takes it away, or of a parser be what is
			// grouped by; any other series cannot have one.
			wanted := p.line.wantedErr && x.group != nil && !x.group.Without || x.byError && (p.line.err == errJSON || p.line.err == errLogfmt)
			if p.line.err != "" && !wanted {
				return pipelineError(&p.line, p.labels)
			}
			s := classify.fixed
			if s == nil {
				if s, err = classify.of(&p.line); err != nil {
					return err
				}
			}
			if x.lines {
				w.add(s, p.line.time, int64(len(p.line.text)))
				continue
			}
			if x.r.values.Add(1) > int64(x.r.e.o.MaxSamples) {
				return x.tooManySamples()
			}
			s.samples = append(s.samples, sample{p.line.time, value})
		}
	}
}

// pipelineError is the error of a metric over a line on which a stage failed.
func pipelineError(l *line, in *interner) error {
	return &Error{Kind: BadPipeline, Message: fmt.Sprintf("pipeline error: '%s' for series: '%s'.\n"+
		"Use a label filter to intentionally skip this error. (e.g | __error__!=\"%s\").\n"+
		"To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"+
		"The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n", l.err, in.of(l).All, l.err)}
}

// writer adds records to the steps that see them. Records come in order, so
// the steps are computed again only where they change.
type writer struct {
	grid        *grid
	from, until int64 // first and last are right for from ≤ t < until
	first, last int
}

func (w *writer) steps(t int64) (first, last int) {
	if t < w.from || t >= w.until {
		g := w.grid
		w.first, w.last = g.reach(t)
		at := t + g.shift
		w.from = t
		w.until = min(nextEdge(at, g.start, g.step), nextEdge(at+g.window, g.start, g.step)-g.window) - g.shift
	}
	return w.first, w.last
}

// nextEdge is the first time behind t at which the number of steps up to it
// changes: one behind a step.
func nextEdge(t, start, step int64) int64 { return start + ceilDiv(t-start, step)*step + 1 }

func (w *writer) add(s *sum, t, bytes int64) {
	first, last := w.steps(t)
	if first < last {
		s.lines[first]++
		s.lines[last]--
		s.bytes[first] += bytes
		s.bytes[last] -= bytes
	}
}

// addAll adds records that all belong to s.
func (w *writer) addAll(s *sum, records []tallyman.Record) {
	for i := 0; i < len(records); {
		first, last := w.steps(records[i].Time)
		n := i
		var bytes int64
		for n < len(records) && records[n].Time >= w.from && records[n].Time < w.until {
			bytes += int64(len(records[n].Line))
			n++
		}
		if first < last {
			s.lines[first] += int64(n - i)
			s.lines[last] -= int64(n - i)
			s.bytes[first] += bytes
			s.bytes[last] -= bytes
		}
		i = n
	}
}

// join brings the series of all goroutines together.
func (x *extraction) join(tables []*table) ([]*sum, error) {
	all := tables[0].sums
	for _, t := range tables[1:] {
		for key, s := range t.sums {
			have, ok := all[key]
			if !ok {
				all[key] = s
				continue
			}
			for i := range s.lines {
				have.lines[i] += s.lines[i]
				have.bytes[i] += s.bytes[i]
			}
			have.samples = append(have.samples, s.samples...)
		}
	}
	out := make([]*sum, 0, len(all))
	for _, s := range all {
		slices.SortStableFunc(s.samples, func(a, b sample) int {
			switch {
			case a.time < b.time:
				return -1
			case a.time > b.time:
				return 1
			}
			return 0
		})
		for k := 1; k < len(s.lines); k++ {
			s.lines[k] += s.lines[k-1]
			s.bytes[k] += s.bytes[k-1]
		}
		out = append(out, s)
	}
	// In one order, so that sums of floating point numbers are always the same.
	slices.SortFunc(out, func(a, b *sum) int { return strings.Compare(a.labels.key(), b.labels.key()) })
	return out, nil
}
