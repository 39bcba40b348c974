// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"tallyman"
)

// Results is where rules put what they find: ALERTS, open problems, and what recording
// rules make. It implements storage.Appendable, and may be used concurrently, beside
// AppendSamples too.
//
// What is appended is held in memory until Commit. A sample that cannot be stored is
// counted and is no error of the rule: there is no room, the series would be one too
// many, or the store has a newer one.
type Results struct {
	s     *Store
	limit int // of series at a time, 0 for none

	mu   sync.Mutex
	live map[uint64]struct{} // by the hash of their labels, until their stale marker

	stored, refused, dropped atomic.Uint64
}

var _ storage.Appendable = (*Results)(nil)

// Results makes the way in for rules. At most limit series are live at a time, 0 for no
// limit; a series ends with Prometheus' stale marker.
func (s *Store) Results(limit int) *Results {
	return &Results{s: s, limit: limit, live: map[uint64]struct{}{}}
}

// Appender implements storage.Appendable. The appender is for one goroutine.
func (r *Results) Appender(context.Context) storage.Appender { return &resultAppender{r: r} }

// admit reports whether a sample of a series may be stored.
func (r *Results) admit(l labels.Labels, stale bool) bool {
	hash := l.Hash()
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.live[hash]
	switch {
	case stale:
		delete(r.live, hash)
		return known
	case known:
		return true
	case r.limit > 0 && len(r.live) >= r.limit:
		r.refused.Add(1)
		return false
	}
	r.live[hash] = struct{}{}
	return true
}

// result is one sample that waits for Commit.
type result struct {
	labels    labels.Labels
	t         int64
	v         float64
	histogram *histogram.Histogram
	float     *histogram.FloatHistogram
}

type resultAppender struct {
	r       *Results
	waiting []result
}

// Append implements storage.Appender.
func (a *resultAppender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	if a.r.admit(l, math.Float64bits(v) == value.StaleNaN) {
		a.waiting = append(a.waiting, result{labels: l, t: t, v: v})
	}
	return 0, nil
}

// AppendHistogram implements storage.Appender.
func (a *resultAppender) AppendHistogram(_ storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, f *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if a.r.admit(l, false) {
		a.waiting = append(a.waiting, result{labels: l, t: t, histogram: h, float: f})
	}
	return 0, nil
}

// AppendExemplar implements storage.Appender; rules make none.
func (a *resultAppender) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, nil
}

// UpdateMetadata implements storage.Appender; rules make none.
func (a *resultAppender) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, nil
}

// AppendSTZeroSample implements storage.Appender; rules make none.
func (a *resultAppender) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, nil
}

// AppendHistogramSTZeroSample implements storage.Appender; rules make none.
func (a *resultAppender) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, nil
}

// SetOptions implements storage.Appender.
func (a *resultAppender) SetOptions(*storage.AppendOptions) {}

// Rollback implements storage.Appender.
func (a *resultAppender) Rollback() error {
	a.waiting = nil
	return nil
}

// Commit stores what was appended. An error is the disk's.
func (a *resultAppender) Commit() error {
	waiting := a.waiting
	a.waiting = nil
	if len(waiting) == 0 {
		return nil
	}
	s := a.r.s
	if s.o.Space != nil && s.o.Space.Check() != nil {
		a.r.dropped.Add(uint64(len(waiting)))
		return nil // the store says so itself
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	app := s.db.Appender(context.Background())
	n := 0
	for _, x := range waiting {
		var err error
		if x.histogram != nil || x.float != nil {
			_, err = app.AppendHistogram(0, x.labels, x.t, x.histogram, x.float)
		} else {
			_, err = app.Append(0, x.labels, x.t, x.v)
		}
		switch {
		case err == nil:
			n++
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrDuplicateSampleForTimestamp),
			errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrTooOldSample):
			a.r.dropped.Add(1)
		default:
			return errors.Join(fmt.Errorf("append what a rule found to the metric store: %w", err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("commit what a rule found to the metric store: %w", err)
	}
	a.r.stored.Add(uint64(n))
	return nil
}

// SelfMetrics are the numbers of what rules store.
func (r *Results) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	return []tallyman.SelfMetric{
		{Desc: resultSeries, Read: func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(len(r.live))
		}},
		{Desc: resultsStored, Read: read(&r.stored)},
		{Desc: resultsRefused, Read: read(&r.refused)},
		{Desc: resultsDropped, Read: read(&r.dropped)},
	}
}

var (
	resultSeries   = &tallyman.Desc{Name: "tallyman_rule_series", Type: tallyman.Gauge, Help: "Series that rules and open problems have in the metric store now"}
	resultsStored  = &tallyman.Desc{Name: "tallyman_rule_samples_stored_total", Type: tallyman.Counter, Help: "Samples of rules and open problems that were stored"}
	resultsRefused = &tallyman.Desc{Name: "tallyman_rule_samples_refused_total", Type: tallyman.Counter, Help: "Samples of rules and open problems that were not stored since there were alarms.series series of them already"}
	resultsDropped = &tallyman.Desc{Name: "tallyman_rule_samples_dropped_total", Type: tallyman.Counter, Help: "Samples of rules and open problems that were not stored since there was no room, or a newer one"}
)
