// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"context"
	"fmt"

	"tallyman"
)

// Tail gives the entries of a log query as they come in.
type Tail struct {
	tail      tallyman.RecordTail
	log       *Log
	pipelines map[*tallyman.Stream]*pipeline
	sets      map[string]*LabelSet
}

// maxTailed is how many streams and sets of labels a tail remembers.
const maxTailed = 4096

// NewTail follows a log query. Close it when done.
func NewTail(t tallyman.RecordTailer, query string) (*Tail, error) {
	expr, err := Parse(query)
	if err != nil {
		return nil, err
	}
	l, ok := expr.(*Log)
	if !ok {
		return nil, bad("only log queries can be followed, this is a metric query: %s", expr)
	}
	out := &Tail{log: l}
	out.forget()
	out.tail = t.TailRecords(l.Matchers)
	return out, nil
}

func (t *Tail) forget() {
	t.pipelines, t.sets = map[*tallyman.Stream]*pipeline{}, map[string]*LabelSet{}
}

// Next waits for entries until ctx ends. There may be none when all records
// that came were filtered out. dropped is how many were lost because the reader
// is too slow.
func (t *Tail) Next(ctx context.Context) (entries []Entry, dropped int, err error) {
	batches, dropped, err := t.tail.Next(ctx)
	if err != nil {
		return nil, dropped, fmt.Errorf("follow %s: %w", t.log, err)
	}
	if len(t.pipelines) > maxTailed || len(t.sets) > maxTailed {
		t.forget()
	}
	for _, b := range batches {
		p, ok := t.pipelines[b.Stream]
		if !ok {
			if p, err = newPipeline(t.log.Stages, b.Stream, nil, t.sets); err != nil {
				return nil, dropped, err
			}
			t.pipelines[b.Stream] = p
		}
		for i := range b.Records {
			if p.run(&b.Records[i]) {
				entries = append(entries, Entry{Time: p.line.time, Line: string(p.line.text), Labels: p.labels.of(&p.line)})
			}
		}
	}
	return entries, dropped, nil
}

// Close ends the tail.
func (t *Tail) Close() { t.tail.Close() }
