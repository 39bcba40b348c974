// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"container/heap"
	"context"

	"tallyman"
)

// logs answers a log query: the streams are merged by time, and no more is
// read of each than the limit needs.
func (r *run) logs(ctx context.Context, l *Log) (*Result, error) {
	limit := r.p.Limit
	switch {
	case limit <= 0:
		limit = 100
	case limit > r.e.o.MaxEntries:
		return nil, tooMuch("the limit is %d entries, at most %d are given; ask for a shorter time", limit, r.e.o.MaxEntries)
	}
	out := &Result{Kind: Streams}
	last, size := int64(-1), int64(0)
	err := r.walk(ctx, l, r.p.Backward, func(p *pipeline) (bool, error) {
		if apart := p.line.time - last; last >= 0 && max(apart, -apart) < int64(r.p.Interval) {
			return true, nil
		}
		last = p.line.time
		if size += int64(len(p.line.text)); size > r.e.o.MaxAnswer {
			return false, tooMuch("the answer has more than %d bytes; lower the limit, or shorten the lines: | line_format …", r.e.o.MaxAnswer)
		}
		out.Entries = append(out.Entries, Entry{Time: p.line.time, Line: string(p.line.text), Labels: p.labels.of(&p.line)})
		return len(out.Entries) < limit, nil
	})
	return out, err
}

// walk gives each record that passes the pipeline, merged by time, until visit
// returns false.
func (r *run) walk(ctx context.Context, l *Log, backward bool, visit func(p *pipeline) (more bool, err error)) error {
	readers, err := r.open(ctx, tallyman.RecordQuery{
		Matchers: l.Matchers, Start: r.p.Start, End: r.p.End, Backward: backward, Contains: literals(l.Stages),
	})
	if err != nil {
		return err
	}
	defer closeAll(readers)
	sets := map[string]*LabelSet{}
	m := &merge{backward: backward}
	for _, c := range readers {
		m.add(c)
	}
	heap.Init(m)
	for m.Len() > 0 {
		top := &m.list[0]
		if len(top.records) == 0 {
			if top.records, err = top.next(ctx); err != nil {
				return err
			}
			if len(top.records) == 0 {
				heap.Pop(m)
				continue
			}
			top.bound = top.records[0].Time
			heap.Fix(m, 0)
			continue
		}
		if top.pipeline == nil {
			if top.pipeline, err = newPipeline(l.Stages, top.c.Stream(), nil, sets); err != nil {
				return err
			}
		}
		if top.pipeline.run(&top.records[0]) {
			more, err := visit(top.pipeline)
			if err != nil || !more {
				return err
			}
		}
		if top.records = top.records[1:]; len(top.records) > 0 {
			top.bound = top.records[0].Time
		} else if bound, ok := top.c.Bound(); ok {
			top.bound = bound
		} else {
			heap.Pop(m)
			continue
		}
		heap.Fix(m, 0)
	}
	return nil
}

// source is a stream in a merge. Its pipeline is made when something is read.
type source struct {
	*reader
	pipeline *pipeline
}

// merge is a heap of streams by the time of what comes next; for one of which
// nothing is read yet that is the bound.
type merge struct {
	backward bool
	list     []source
}

func (m *merge) add(c *reader) {
	if bound, ok := c.c.Bound(); ok {
		c.bound = bound
		m.list = append(m.list, source{reader: c})
	}
}

// Len, Less, Swap, Push and Pop are those of a heap.
func (m *merge) Len() int { return len(m.list) }

// Less has streams that nothing is read of first among those of one time: they
// may hold it as well.
func (m *merge) Less(i, j int) bool {
	a, b := m.list[i], m.list[j]
	if a.bound != b.bound {
		return a.bound < b.bound != m.backward
	}
	if x, y := len(a.records) == 0, len(b.records) == 0; x != y {
		return x
	}
	return a.order < b.order
}

// Swap swaps.
func (m *merge) Swap(i, j int) { m.list[i], m.list[j] = m.list[j], m.list[i] }

// Push is not used: no stream comes later.
func (m *merge) Push(any) {}

// Pop takes the last one away.
func (m *merge) Pop() any {
	m.list = m.list[:len(m.list)-1]
	return nil
}
