// SPDX-License-Identifier: Apache-2.0

// Package metric keeps samples in an embedded Prometheus TSDB
// (github.com/prometheus/prometheus/tsdb). This is the only package that
// writes to it; query reads it through the [Store.Queryable] it hands out, and
// rules put what they find into its [Store.Results].
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
// # Bad days
//
// A block that cannot be opened is moved to Options.Quarantine and the others
// are served; a damaged log is cut off where the damage begins, by the library,
// and kept there as it was.
// When the file system is nearly full (package fsx) the oldest blocks go first,
// and below its floor nothing is taken, so that the log stays whole.
//
// A clock that was wrong by days leaves samples in the future, before which
// the library takes nothing. [Store.Forget] sets those aside.
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
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"tallyman"
	"tallyman/internal/fsx"
)

// Options of a store.
type Options struct {
	// Retention is how long samples are kept, 0 for ever.
	Retention time.Duration
	// Size is how many bytes blocks and log may take, 0 for no limit.
	Size int64
	// OutOfOrder is how much older than the newest sample a late one may be. A
	// block ends at an even hour, which may lie ahead after the clock was set
	// back: three hours take in all that is not of a wrong clock.
	OutOfOrder time.Duration
	// Space is asked before each batch whether there is room; nil is always.
	Space *fsx.Space
	// Quarantine is the directory to which goes what cannot be read; empty
	// makes that an error of Open.
	Quarantine string
	Log        *slog.Logger
}

// Store implements tallyman.SampleStore.
type Store struct {
	dir    string
	o      Options
	series map[*tallyman.Series]*entry

	mu     sync.RWMutex // held by every reader while it reads
	db     *tsdb.DB
	opened uint64 // how often, with another head each time
	closed bool

	refusedSince time.Time // the first of the batches that were refused whole

	freed, quarantined atomic.Uint64
	lastBatch          atomic.Int64 // its time in milliseconds
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
	s := &Store{dir: dir, o: o, series: map[*tallyman.Series]*entry{}}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens the TSDB, with the lock held or before anybody has the store.
func (s *Store) open() error {
	o := s.o
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
	var db *tsdb.DB
	opts.BlocksToDelete = func(blocks []*tsdb.Block) map[ulid.ULID]struct{} { return s.deletable(db, blocks) }
	if err := s.setAsideDamaged(); err != nil {
		return err
	}
	own := prometheus.NewRegistry()
	kept := s.keepLog()
	db, err := tsdb.Open(s.dir, o.Log, own, opts, nil)
	s.leaveLog(kept, err == nil && corruptions(own) == 0)
	if err != nil {
		return fmt.Errorf("open the metric store %s: %w; if it cannot be mended, move that directory away and start again", s.dir, err)
	}
	s.db = db
	s.opened++
	return nil
}

// AppendSamples stores a batch. The samples that the TSDB refuses, because
// they are older than what it has of the series or come twice, are counted.
func (s *Store) AppendSamples(b *tallyman.Batch) (dropped int, err error) {
	if s.o.Space != nil {
		if err := s.o.Space.Check(); err != nil {
			return 0, err
		}
	}
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
	if dropped < len(b.Samples) && !b.Part {
		s.lastBatch.Store(t)
	}
	return dropped, s.mendFuture(b.Time, dropped > 0 && dropped == len(b.Samples))
}

// LastBatch is the time of the round that AppendSamples stored last, zero before the
// first. Unlike Newest it knows nothing of what rules store.
func (s *Store) LastBatch() time.Time {
	if t := s.lastBatch.Load(); t != 0 {
		return time.UnixMilli(t)
	}
	return time.Time{}
}

// futureAfter is for how long all batches are refused before samples that are
// later than now are set aside.
const futureAfter = 2 * time.Minute

// mendFuture finds out that the store holds samples of a future that a wrong
// clock has made, and takes them out.
func (s *Store) mendFuture(now time.Time, refused bool) error {
	if !refused || now.Before(s.refusedSince) {
		s.refusedSince = time.Time{}
	}
	switch {
	case !refused:
		return nil
	case s.refusedSince.IsZero():
		s.refusedSince = now
		return nil
	case now.Sub(s.refusedSince) < futureAfter:
		return nil
	}
	s.refusedSince = time.Time{}
	newest := s.Newest()
	if newest.Sub(now) <= s.o.OutOfOrder {
		return nil // refused for another reason
	}
	s.o.Log.Error("the store has samples of the future, from a clock that was wrong; they are set aside so that those of now can be stored", "newest", newest.UTC(), "now", now.UTC(), "to", s.o.Quarantine)
	return s.Forget(now)
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
	b.Add(model.MetricNameLabel, s.Desc.Name)
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	newest := s.db.Head().MaxTime()
	for _, b := range s.db.Blocks() {
		newest = max(newest, b.MaxTime())
	}
	if newest <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(newest)
}

// Oldest is the time of the oldest sample, zero when there is none.
func (s *Store) Oldest() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	oldest := int64(math.MaxInt64)
	if h := s.db.Head(); h.NumSeries() > 0 {
		oldest = h.MinTime()
	}
	for _, b := range s.db.Blocks() {
		oldest = min(oldest, b.MinTime())
	}
	if oldest <= 0 || oldest == math.MaxInt64 {
		return time.Time{}
	}
	return time.UnixMilli(oldest)
}

// Series is how many series the last hours have.
func (s *Store) Series() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.Head().NumSeries()
}

// Size is what blocks and log take on the disk, in bytes.
func (s *Store) Size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.db.Head().Size()
	for _, b := range s.db.Blocks() {
		n += b.Size()
	}
	return n
}

// Queryable is the store's reading side, for the query package. A querier holds
// the store until it is closed.
func (s *Store) Queryable() storage.SampleAndChunkQueryable { return reader{s} }

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

// SelfMetrics are the store's own numbers.
func (s *Store) SelfMetrics() []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		{Desc: &tallyman.Desc{Name: "tallyman_store_series", Type: tallyman.Gauge, Help: "Series in the head of the metric store"},
			Read: func() float64 { return float64(s.Series()) }},
		{Desc: &tallyman.Desc{Name: "tallyman_store_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the metric store, log and blocks"},
			Read: func() float64 { return float64(s.Size()) }},
		{Desc: &tallyman.Desc{Name: "tallyman_store_freed_bytes_total", Type: tallyman.Counter, Unit: "bytes", Help: "Size of blocks deleted before their time because the file system was nearly full"},
			Read: func() float64 { return float64(s.freed.Load()) }},
		{Desc: &tallyman.Desc{Name: "tallyman_store_quarantined_total", Type: tallyman.Counter, Help: "Blocks and logs set aside because they could not be read"},
			Read: func() float64 { return float64(s.quarantined.Load()) }},
	}
}

// Close flushes and closes the store. Closing twice is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.db.Close()
}
