// SPDX-License-Identifier: Apache-2.0

// Package recordwalk goes over the records that a query selects: by time, all streams
// at once, or stream by stream.
//
//	for f, err := range recordwalk.ByTime(ctx, store, q) {
//		if err != nil {
//			return err
//		}
//		use(f.Stream, f.Record)
//	}
//
// By time a stream is read when its turn comes and not before, so whoever leaves the
// loop early has paid for what it saw; each stream that has begun holds what it
// read. Stream by stream there is one of them at a time: better where all is wanted
// and the order is not.
//
// A record is valid until the next step of the loop. The cursors are closed when the
// loop ends, however that is. A loop belongs to one goroutine.
package recordwalk

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"iter"

	"tallyman"
)

// Found is a record with its stream.
type Found struct {
	Stream *tallyman.Stream
	Record *tallyman.Record
	// Of is which of the cursors gave it.
	Of int
}

// ByTime goes over the records of all streams in the direction of the query. An error
// is the last step.
func ByTime(ctx context.Context, store tallyman.RecordReader, q tallyman.RecordQuery) iter.Seq2[Found, error] {
	return over(ctx, store, q, func(cursors []tallyman.RecordCursor) iter.Seq2[Found, error] {
		return Merge(ctx, cursors, q.Backward)
	})
}

// ByStream goes over the records of one stream after the other. An error is the last
// step.
func ByStream(ctx context.Context, store tallyman.RecordReader, q tallyman.RecordQuery) iter.Seq2[Found, error] {
	return over(ctx, store, q, func(cursors []tallyman.RecordCursor) iter.Seq2[Found, error] {
		return InTurn(ctx, cursors)
	})
}

// over opens the cursors when the loop begins.
func over(ctx context.Context, store tallyman.RecordReader, q tallyman.RecordQuery, walk func([]tallyman.RecordCursor) iter.Seq2[Found, error]) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		cursors, err := store.SelectRecords(ctx, q)
		if err != nil {
			yield(Found{}, err)
			return
		}
		walk(cursors)(yield)
	}
}

// InTurn is ByStream for cursors that are open.
func InTurn(ctx context.Context, cursors []tallyman.RecordCursor) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		defer closeAll(cursors)
		for i, c := range cursors {
			f := Found{Stream: c.Stream(), Of: i}
			for {
				some, err := read(ctx, c)
				if err != nil {
					yield(Found{}, err)
					return
				}
				if some == nil {
					break
				}
				for j := range some {
					if f.Record = &some[j]; !yield(f, nil) {
						return
					}
				}
			}
			c.Close()
		}
	}
}

// Merge is ByTime for cursors that are open, of a query in that direction. Records of
// one time come in the order of the cursors.
func Merge(ctx context.Context, cursors []tallyman.RecordCursor, backward bool) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		defer closeAll(cursors)
		m := &merge{backward: backward}
		for i, c := range cursors {
			if bound, ok := c.Bound(); ok {
				m.lanes = append(m.lanes, lane{Found: Found{Stream: c.Stream(), Of: i}, cursor: c, bound: bound})
			}
		}
		heap.Init(m)
		for len(m.lanes) > 0 {
			top := &m.lanes[0]
			if len(top.some) > 0 {
				top.Record = &top.some[0]
				if !yield(top.Found, nil) {
					return
				}
				top.some = top.some[1:]
			} else {
				some, err := read(ctx, top.cursor)
				if err != nil {
					yield(Found{}, err)
					return
				}
				top.some = some
			}
			m.settle()
		}
	}
}

// read gives what a cursor has next, nil at its end.
func read(ctx context.Context, c tallyman.RecordCursor) ([]tallyman.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	some, err := c.Next()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return some, err
}

func closeAll(cursors []tallyman.RecordCursor) {
	for _, c := range cursors {
		c.Close()
	}
}

// lane is one stream of a merge.
type lane struct {
	Found
	cursor tallyman.RecordCursor
	some   []tallyman.Record // read and not given yet
	bound  int64             // of what comes next
}

// merge is a heap of streams by what comes next of them.
type merge struct {
	lanes    []lane
	backward bool
}

// settle puts the first lane where it belongs now, or takes it away.
func (m *merge) settle() {
	top := &m.lanes[0]
	if len(top.some) > 0 {
		top.bound = top.some[0].Time
	} else if t, ok := top.cursor.Bound(); ok {
		top.bound = t
	} else {
		top.cursor.Close()
		heap.Pop(m)
		return
	}
	heap.Fix(m, 0)
}

// Len, Less, Swap, Push and Pop are those of a heap.
func (m *merge) Len() int { return len(m.lanes) }

// Less has streams that nothing is read of first among those of one time: they may
// hold it as well.
func (m *merge) Less(i, j int) bool {
	a, b := &m.lanes[i], &m.lanes[j]
	if a.bound != b.bound {
		return a.bound < b.bound != m.backward
	}
	if x, y := len(a.some) == 0, len(b.some) == 0; x != y {
		return x
	}
	return a.Of < b.Of
}

// Swap swaps.
func (m *merge) Swap(i, j int) { m.lanes[i], m.lanes[j] = m.lanes[j], m.lanes[i] }

// Push is not used: no stream comes later.
func (m *merge) Push(any) {}

// Pop takes the last one away.
func (m *merge) Pop() any {
	m.lanes = m.lanes[:len(m.lanes)-1]
	return nil
}
