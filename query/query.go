// SPDX-License-Identifier: Apache-2.0

// Package query reads what was stored and what is known now:
//
//   - [Engine] answers PromQL over the metric store (Prometheus' own engine);
//   - [Engine.History] gives the columns of a container's charts, computed from
//     the raw samples;
//   - [Current] tells the present figures of containers and hosts from the
//     latest readings, without touching a store.
//
// All of it may be called concurrently.
package query

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Limits of a query.
const (
	maxSamples = 5_000_000
	timeout    = 10 * time.Second
	concurrent = 8
	lookback   = 5 * time.Minute
)

// Engine answers queries over one metric store.
type Engine struct {
	promql    func() *promql.Engine // made when it is first asked
	parser    parser.Parser
	queryable storage.SampleAndChunkQueryable
	interval  time.Duration
}

// New makes an engine over q, whose samples come every interval; without a q
// there is no history. Close it when done.
func New(q storage.SampleAndChunkQueryable, interval time.Duration, log *slog.Logger) *Engine {
	if q == nil {
		q = nothing{}
	}
	p := parser.NewParser(parser.Options{})
	return &Engine{
		queryable: q,
		interval:  interval,
		parser:    p,
		promql: sync.OnceValue(func() *promql.Engine {
			return promql.NewEngine(promql.EngineOpts{
				Logger:               log,
				MaxSamples:           maxSamples,
				Timeout:              timeout,
				ActiveQueryTracker:   make(gate, concurrent),
				LookbackDelta:        lookback,
				EnableAtModifier:     true,
				EnableNegativeOffset: true,
				Parser:               p,
				// Of a subquery without a step; it is Prometheus' default.
				NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			})
		}),
	}
}

// PromQL is the engine behind the Prometheus HTTP API, with its parser, the
// store it reads and its look-back.
func (e *Engine) PromQL() (promql.QueryEngine, parser.Parser, storage.SampleAndChunkQueryable, time.Duration) {
	return e.promql(), e.parser, e.queryable, lookback
}

// Instant evaluates a PromQL expression at t and returns the value of each
// series by its labels.
func (e *Engine) Instant(ctx context.Context, expr string, t time.Time) (promql.Vector, error) {
	q, err := e.promql().NewInstantQuery(ctx, e.queryable, nil, expr, t)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", expr, err)
	}
	defer q.Close()
	v, err := q.Exec(ctx).Vector()
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", expr, err)
	}
	return append(promql.Vector(nil), v...), nil
}

// Close ends the engine; queries that run are cancelled.
func (e *Engine) Close() error { return e.promql().Close() }

// nothing is a store without samples.
type nothing struct{}

// Querier finds nothing.
func (nothing) Querier(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil }

// ChunkQuerier finds nothing.
func (nothing) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return storage.NoopChunkedQuerier(), nil
}

// gate lets so many queries run at once; the others wait.
type gate chan struct{}

var _ promql.QueryTracker = gate(nil)

// GetMaxConcurrent is how many may run at once.
func (g gate) GetMaxConcurrent() int { return cap(g) }

// Insert waits for a place or for ctx.
func (g gate) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case g <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Delete gives the place back.
func (g gate) Delete(int) { <-g }

// Close has nothing to close.
func (g gate) Close() error { return nil }

// Spark is the recent past of a container: CPU in cores and working set in
// bytes, NaN where there is nothing.
type Spark struct{ CPU, Memory []float64 }

// Sparks are the recent pasts of all containers by id, in n steps over the
// window before end.
func (e *Engine) Sparks(ctx context.Context, end time.Time, window time.Duration, n int) (map[string]Spark, error) {
	step := window / time.Duration(n)
	rate := max(2*step, 5*e.interval/2).Round(time.Second)
	out := map[string]Spark{}
	for _, q := range []struct {
		expr string
		line func(*Spark) *[]float64
	}{
		{fmt.Sprintf("sum by (id) (rate(container_cpu_usage_seconds_total{id!=\"/\"}[%s]))", rate), func(s *Spark) *[]float64 { return &s.CPU }},
		{`sum by (id) (container_memory_working_set_bytes{id!="/"})`, func(s *Spark) *[]float64 { return &s.Memory }},
	} {
		start := end.Add(-window + step)
		r, err := e.promql().NewRangeQuery(ctx, e.queryable, promql.NewPrometheusQueryOpts(false, e.maxGap()), q.expr, start, end, step)
		if err != nil {
			return nil, fmt.Errorf("query %q: %w", q.expr, err)
		}
		m, err := r.Exec(ctx).Matrix()
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("query %q: %w", q.expr, err)
		}
		for _, series := range m {
			id := strings.TrimPrefix(series.Metric.Get("id"), "/docker/")
			s, ok := out[id]
			if !ok {
				s = Spark{CPU: nans(n), Memory: nans(n)}
			}
			line := *q.line(&s)
			for _, p := range series.Floats {
				if i := int((p.T - start.UnixMilli()) / step.Milliseconds()); i >= 0 && i < n {
					line[i] = p.F
				}
			}
			out[id] = s
		}
		r.Close()
	}
	return out, nil
}

func nans(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}
