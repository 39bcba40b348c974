// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"

	"tallyman"
	"tallyman/internal/recordwalk"
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
	cursors, err := r.open(ctx, tallyman.RecordQuery{
		Matchers: l.Matchers, Start: r.p.Start, End: r.p.End, Backward: backward, Contains: literals(l.Stages),
	})
	if err != nil {
		return err
	}
	sets := map[string]*LabelSet{}
	pipelines := make([]*pipeline, len(cursors)) // made when something is read
	for f, err := range recordwalk.Merge(ctx, cursors, backward) {
		if err != nil {
			return err
		}
		p := pipelines[f.Of]
		if p == nil {
			if p, err = newPipeline(l.Stages, f.Stream, nil, sets); err != nil {
				return err
			}
			pipelines[f.Of] = p
		}
		if p.run(f.Record) {
			if more, err := visit(p); err != nil || !more {
				return err
			}
		}
	}
	return nil
}
