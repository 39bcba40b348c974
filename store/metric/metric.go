// SPDX-License-Identifier: Apache-2.0

// Package metric keeps samples in an embedded Prometheus TSDB
// (github.com/prometheus/prometheus/tsdb). This is the only package that
// writes to it; query reads it through the [Store.Queryable] it hands out.
//
// # On disk
//
// The TSDB's own format, under one directory: a write-ahead log of the last
// two to three hours and immutable blocks of two hours and more
// (prometheus/prometheus, tsdb/docs/format). Retention is by time and by size,
// whichever comes first, and removes whole blocks.
//
// # Durability
//
// A batch is in the log, so in the page cache, when AppendSamples returns: a
// kill of the process loses nothing that was committed. The log is fsynced
// when a segment of it is full and, by [Store.Sync], once per interval of the
// caller's choice, since the library has no call for it: a power cut can lose
// what came after.
//
// # Settings
//
// They follow measurements (6,000 series at 10 s): a stripe size of 512 saves
// 10 MiB, two-hour blocks, a snappy log, no write queue, isolation on.
package metric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"tallyman"
)

// Options of a store.
type Options struct {
	// Retention is how long samples are kept, 0 for ever.
	Retention time.Duration
	// Size is how many bytes blocks and log may take, 0 for no limit.
	Size int64
	// OutOfOrder is how much older than the newest sample a late one may be.
	OutOfOrder time.Duration
	Log        *slog.Logger
}

// Store implements tallyman.SampleStore.
type Store struct {
	db     *tsdb.DB
	series map[*tallyman.Series]*entry
	close  func() error
}

var _ tallyman.SampleStore = (*Store)(nil)

// entry is what the store keeps of an interned series.
type entry struct {
	ref    storage.SeriesRef
	labels labels.Labels
}

// Open opens or makes the store in dir.
func Open(dir string, o Options) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the metric store's directory: %w", err)
	}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = o.Retention.Milliseconds()
	opts.MaxBytes = o.Size
	opts.StripeSize = 512
	opts.HeadChunksWriteQueueSize = 0
	opts.OutOfOrderTimeWindow = o.OutOfOrder.Milliseconds()
	opts.NoLockfile = true // the data directory has one lock for all of it
	// Blocks grow to a tenth of the retention, so that the oldest block is
	// never much more than is to be kept.
	if o.Retention > 0 {
		opts.MaxBlockDuration = max(opts.MinBlockDuration, min(o.Retention/10, 31*24*time.Hour).Milliseconds())
	}
	db, err := tsdb.Open(dir, o.Log, prometheus.NewRegistry(), opts, nil)
	if err != nil {
		return nil, fmt.Errorf("open the metric store %s: %w", dir, err)
	}
	return &Store{db: db, series: map[*tallyman.Series]*entry{}, close: sync.OnceValue(db.Close)}, nil
}

// AppendSamples stores a batch. The samples that the TSDB refuses, because
// they are older than what it has of the series or come twice, are counted.
func (s *Store) AppendSamples(b *tallyman.Batch) (dropped int, err error) {
	app := s.db.AppenderV2(context.Background())
	t := b.Time.UnixMilli()
	for i := range b.Samples {
		sample := &b.Samples[i]
		e := s.series[sample.Series]
		if e == nil {
			e = &entry{labels: fullLabels(sample.Series)}
			s.series[sample.Series] = e
		}
		ref, err := app.Append(e.ref, e.labels, 0, t, sample.Value, nil, nil, storage.AOptions{})
		switch {
		case err == nil:
			e.ref = ref
		case errors.Is(err, storage.ErrOutOfOrderSample), errors.Is(err, storage.ErrDuplicateSampleForTimestamp),
			errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrTooOldSample):
			dropped++
		default:
			return 0, errors.Join(fmt.Errorf("append to the metric store: %w", err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return 0, fmt.Errorf("commit to the metric store: %w", err)
	}
	return dropped, nil
}

// EndSeries writes Prometheus' stale marker to series at t and forgets them.
func (s *Store) EndSeries(t time.Time, series []*tallyman.Series) error {
	app := s.db.AppenderV2(context.Background())
	stale := math.Float64frombits(value.StaleNaN)
	for _, one := range series {
		e := s.series[one]
		if e == nil {
			continue
		}
		delete(s.series, one)
		// A marker that the TSDB refuses ends nothing, and nothing is lost: the
		// series then ends by the look-back.
		_, _ = app.Append(e.ref, e.labels, 0, t.UnixMilli(), stale, nil, nil, storage.AOptions{})
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("end %d series in the metric store: %w", len(series), err)
	}
	return nil
}

// fullLabels are a series' labels as they are stored: with name, job and
// instance.
func fullLabels(s *tallyman.Series) labels.Labels {
	b := labels.NewScratchBuilder(len(s.Labels) + 3)
	b.Add(labels.MetricName, s.Desc.Name)
	b.Add("job", s.Target.Job)
	b.Add("instance", s.Target.Instance)
	for _, l := range s.Labels {
		if l.Value != "" { // an empty label is no label
			b.Add(l.Name, l.Value)
		}
	}
	b.Sort()
	return b.Labels()
}

// Newest is the time of the newest sample, zero when there is none.
func (s *Store) Newest() time.Time {
	newest := s.db.Head().MaxTime()
	for _, b := range s.db.Blocks() {
		newest = max(newest, b.MaxTime())
	}
	if newest <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(newest)
}

// Queryable is the store's reading side, for the query package.
func (s *Store) Queryable() storage.SampleAndChunkQueryable { return s.db }

// Sync fsyncs the newest segment of the write-ahead log.
func (s *Store) Sync() error {
	names, err := filepath.Glob(filepath.Join(s.db.Dir(), "wal", "[0-9]*"))
	if err != nil || len(names) == 0 {
		return err
	}
	f, err := os.Open(slices.Max(names))
	if errors.Is(err, os.ErrNotExist) {
		return nil // truncated meanwhile
	}
	if err != nil {
		return fmt.Errorf("sync the metric store: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync the metric store: %w", err)
	}
	return nil
}

// Own are the store's own numbers.
func (s *Store) Own() []tallyman.OwnMetric {
	return []tallyman.OwnMetric{
		{Desc: &tallyman.Desc{Name: "tallyman_store_series", Type: tallyman.Gauge, Help: "Series in the head of the metric store"},
			Read: func() float64 { return float64(s.db.Head().NumSeries()) }},
		{Desc: &tallyman.Desc{Name: "tallyman_store_blocks_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the metric store's blocks"},
			Read: func() float64 {
				var n int64
				for _, b := range s.db.Blocks() {
					n += b.Size()
				}
				return float64(n)
			}},
	}
}

// Close flushes and closes the store. Closing twice is harmless.
func (s *Store) Close() error { return s.close() }
