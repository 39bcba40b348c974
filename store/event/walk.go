// SPDX-License-Identifier: Apache-2.0

package event

import (
	"container/heap"
	"context"
	"errors"
	"io"

	"tallyman"
)

// walk goes over the records of all streams at once, the newest first. It reads
// of a stream only when its turn comes.
type walk struct {
	ctx   context.Context
	lanes lanes
	// last is the lane whose record was given; it moves on at the next call,
	// since the record is valid until then.
	last *lane
	n    int
}

// lane is one stream of a walk.
type lane struct {
	cursor tallyman.RecordCursor
	some   []tallyman.Record // read and not given yet
	bound  int64             // no record to come is newer
}

func newWalk(ctx context.Context, store tallyman.RecordReader, q tallyman.RecordQuery) (*walk, error) {
	cursors, err := store.SelectRecords(ctx, q)
	if err != nil {
		return nil, err
	}
	w := &walk{ctx: ctx}
	for _, c := range cursors {
		if t, ok := c.Bound(); ok {
			w.lanes = append(w.lanes, &lane{cursor: c, bound: t})
		} else {
			c.Close()
		}
	}
	heap.Init(&w.lanes)
	return w, nil
}

// next is the next record, valid until the following call; nil at the end.
func (w *walk) next() (*tallyman.Record, error) {
	if w.n%256 == 0 && w.ctx.Err() != nil {
		return nil, w.ctx.Err()
	}
	w.n++
	if l := w.last; l != nil {
		w.last = nil
		l.some = l.some[1:]
		w.settle(l)
	}
	for len(w.lanes) > 0 {
		l := w.lanes[0]
		if len(l.some) > 0 {
			w.last = l
			return &l.some[0], nil
		}
		some, err := l.cursor.Next()
		switch {
		case errors.Is(err, io.EOF):
			l.cursor.Close()
			heap.Pop(&w.lanes)
		case err != nil:
			return nil, err
		default:
			l.some = some
			w.settle(l)
		}
	}
	return nil, nil
}

// settle puts the first lane, l, where it belongs now.
func (w *walk) settle(l *lane) {
	if len(l.some) > 0 {
		l.bound = l.some[0].Time
	} else if t, ok := l.cursor.Bound(); ok {
		l.bound = t
	} else {
		l.cursor.Close()
		heap.Pop(&w.lanes)
		return
	}
	heap.Fix(&w.lanes, 0)
}

func (w *walk) close() {
	for _, l := range w.lanes {
		l.cursor.Close()
	}
	w.lanes = nil
}

// lanes is a heap, the one that may have the newest record on top.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].bound > l[j].bound }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*lane)) }
func (l *lanes) Pop() any {
	x := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return x
}
