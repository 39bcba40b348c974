// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"tallyman"
)

// Options are the bounds of an engine; zero values stand for the defaults.
type Options struct {
	// MaxBytes is how much text one query may unpack (16 GiB).
	MaxBytes int64
	// MaxSeries is how many series a metric query may make (10,000), MaxSamples
	// how many values in all (4 million).
	MaxSeries, MaxSamples int
	// MaxEntries is the highest limit of a log query (5,000), MaxAnswer how many
	// bytes its lines may have (64 MiB).
	MaxEntries int
	MaxAnswer  int64
	// MaxSteps is how many points one series may have (11,000).
	MaxSteps int
	// Timeout ends a query (1 min).
	Timeout time.Duration
	// Concurrent is how many queries run at once (4), Parallel how many
	// streams one of them reads at once (the number of CPUs).
	Concurrent, Parallel int
}

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, 16<<30)
	o.MaxSeries = cmp.Or(o.MaxSeries, 10_000)
	o.MaxSamples = cmp.Or(o.MaxSamples, 4_000_000)
	o.MaxEntries = cmp.Or(o.MaxEntries, 5_000)
	o.MaxAnswer = cmp.Or(o.MaxAnswer, 64<<20)
	o.MaxSteps = cmp.Or(o.MaxSteps, 11_000)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Concurrent = cmp.Or(o.Concurrent, 4)
	o.Parallel = cmp.Or(o.Parallel, runtime.GOMAXPROCS(0))
	return o
}

// Engine answers queries over one store. It may be used concurrently.
type Engine struct {
	store tallyman.RecordReader
	o     Options
	gate  chan struct{}
}

// New makes an engine.
func New(store tallyman.RecordReader, o Options) *Engine {
	o = o.withDefaults()
	return &Engine{store: store, o: o, gate: make(chan struct{}, o.Concurrent)}
}

// Options are the bounds with the defaults filled in.
func (e *Engine) Options() Options { return e.o }

// Params say what to answer.
type Params struct {
	Query string
	// Start and End are in nanoseconds. Of a log query Start belongs to the
	// range and End does not; a metric query has values at both.
	Start, End int64
	// Step is the time between two values; 0 is one value, at End.
	Step time.Duration
	// Limit and Backward (the newest first) are those of a log query, and so is
	// Interval: of the entries within it only the first is given.
	Limit    int
	Backward bool
	Interval time.Duration
}

// Kind is what a result is.
type Kind uint8

// The kinds of results.
const (
	Streams Kind = iota
	InstantVector
	Matrix
	Scalar
)

// Entry is a line of a log query.
type Entry struct {
	Time   int64
	Line   string
	Labels *LabelSet
}

// Point is a value of a series, its time in milliseconds.
type Point struct {
	Time  int64
	Value float64
}

// Series is a series of a metric query; one point of an instant vector.
type Series struct {
	Labels Labels
	Points []Point
}

// Result is an answer.
type Result struct {
	Kind Kind
	// Entries are those of a log query, in its order.
	Entries []Entry
	// Series are those of a metric query, sorted by their labels unless the
	// query sorts.
	Series []Series
	Stats  Stats
}

// Stats tell what a query took.
type Stats struct {
	Bytes, Lines int64 // read
	Entries      int64 // given
	Streams      int64
	Queue, Exec  time.Duration
}

// run is one query under way.
type run struct {
	e     *Engine
	p     Params
	bytes atomic.Int64
	lines atomic.Int64
	count atomic.Int64
	// values are those of all parts of a metric query.
	values atomic.Int64
}

// Query answers a query.
func (e *Engine) Query(ctx context.Context, p Params) (*Result, error) {
	expr, err := Parse(p.Query)
	if err != nil {
		return nil, err
	}
	return e.Evaluate(ctx, expr, p)
}

// Evaluate answers a parsed query; p.Query is not looked at.
func (e *Engine) Evaluate(ctx context.Context, expr Expr, p Params) (out *Result, err error) {
	asked := time.Now()
	err = e.within(ctx, p, func(ctx context.Context, r *run) error {
		began := time.Now()
		if out, err = r.evaluate(ctx, expr); err != nil {
			return err
		}
		out.Stats = Stats{
			Bytes: r.bytes.Load(), Lines: r.lines.Load(), Streams: r.count.Load(), Entries: int64(len(out.Entries)),
			Queue: began.Sub(asked), Exec: time.Since(began),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Walk gives every entry of a log query, however many there are, in the order of
// the query, until visit returns false. Line and Labels are good until it returns.
func (e *Engine) Walk(ctx context.Context, l *Log, p Params, visit func(time int64, line []byte, labels *LabelSet) (more bool)) error {
	return e.within(ctx, p, func(ctx context.Context, r *run) error {
		return r.walk(ctx, l, p.Backward, func(p *pipeline) (bool, error) {
			return visit(p.line.time, p.line.text, p.labels.of(&p.line)), nil
		})
	})
}

// within runs a query in its turn and its time.
func (e *Engine) within(ctx context.Context, p Params, f func(context.Context, *run) error) error {
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	select {
	case e.gate <- struct{}{}:
		defer func() { <-e.gate }()
	case <-ctx.Done():
		return e.timeout(ctx, "the query waited for others until its time was over; ask again, or for less at once")
	}
	err := f(ctx, &run{e: e, p: p})
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return e.timeout(ctx, "the query takes longer than "+e.o.Timeout.String()+"; ask for a shorter time, fewer streams, or filter by a text")
	}
	return err
}

func (e *Engine) timeout(ctx context.Context, message string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: TooLong, Message: message}
	}
	return ctx.Err()
}

func (r *run) evaluate(ctx context.Context, expr Expr) (*Result, error) {
	if l, ok := expr.(*Log); ok {
		return r.logs(ctx, l)
	}
	return r.metrics(ctx, expr)
}

// open opens the cursors of a query.
func (r *run) open(ctx context.Context, q tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	cursors, err := r.e.store.SelectRecords(ctx, q)
	if err != nil {
		return nil, err
	}
	r.count.Add(int64(len(cursors)))
	for i, c := range cursors {
		cursors[i] = &reader{RecordCursor: c, run: r}
	}
	return cursors, nil
}

// reader is a cursor whose reading is counted, and bounded for the whole query.
type reader struct {
	tallyman.RecordCursor
	run  *run
	read int64
}

// Next reads on.
func (c *reader) Next() ([]tallyman.Record, error) {
	records, err := c.RecordCursor.Next()
	n := c.Read()
	if total := c.run.bytes.Add(n - c.read); total > c.run.e.o.MaxBytes {
		return nil, tooMuch("the query reads more than %d bytes of text; ask for a shorter time, fewer streams, or filter by a text", c.run.e.o.MaxBytes)
	}
	c.read = n
	c.run.lines.Add(int64(len(records)))
	return records, err
}
