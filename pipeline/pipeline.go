// SPDX-License-Identifier: Apache-2.0

// Package pipeline takes the batches of the collector, keeps the latest value
// of every series, and passes the batches on to the stores.
//
//	collector ──Publish──► latest table ──► /metrics, live page
//	                 └──► outlet (queue, goroutine) ──► store
//
// # Loss
//
// Every store has an outlet with a bounded queue, so that a slow store never
// slows collection. When the queue is full the oldest batch is dropped and
// counted. At any time
//
//	published = stored + dropped{reason} + in flight
//
// holds for the samples of each store.
//
// After a jump of the clock ahead samples are dropped for a while, see clock.go.
// Series beyond the limits are refused before anything else, see limit.go: they
// are neither shown nor stored, and their samples are counted as dropped.
//
// # Ends
//
// A series that was in the last stored batch and is not in this one has ended;
// the outlet tells the store, so that a query does not go on seeing its last
// value.
//
// # Concurrency
//
// Publish is called from one goroutine, Latest from any.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

// Pipeline is the station between the sources and the stores.
type Pipeline struct {
	outlets []*outlet
	log     *slog.Logger
	clock   clock   // Publish's
	limiter limiter // Publish's

	mu         sync.RWMutex
	readings   []tallyman.Reading
	generation uint64
}

var _ tallyman.Readings = (*Pipeline)(nil)

// Outlet names a store.
type Outlet struct {
	Name  string
	Store tallyman.SampleStore
}

// New makes a pipeline into stores.
func New(limits Limits, log *slog.Logger, stores ...Outlet) *Pipeline {
	p := &Pipeline{log: log, clock: newClock(), limiter: limiter{limits: limits}}
	for _, s := range stores {
		p.outlets = append(p.outlets, newOutlet(s.Name, s.Store, log))
	}
	return p
}

// Run moves batches into the stores until ctx ends, then stores what is still
// queued and returns.
func (p *Pipeline) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, o := range p.outlets {
		wg.Go(func() { o.run(ctx) })
	}
	wg.Wait()
	return nil
}

// minSpacing is how far apart two readings must be for a rate, in ms.
const minSpacing = 500

// Publish makes b the latest batch and, if keep is set, queues a copy of it
// for every store. b may be reused after the call; the samples of refused
// series are taken out of it.
//
// A part of a round is stored and is not the latest batch, which has everything.
func (p *Pipeline) Publish(b *tallyman.Batch, keep bool) {
	var refused [fates]int
	if b.Part {
		refused = p.limiter.takePart(b)
	} else {
		p.limit(b)
		p.update(b)
		refused = p.limiter.count
	}
	trusted, changed := p.clock.look(b.Time)
	switch {
	case changed && !trusted:
		p.log.Error("the clock has jumped ahead; samples are shown and not stored until it is set back or has stood for a while: check this machine's clock and NTP",
			"ahead", p.clock.ahead.Round(time.Second), "while", trustAfter)
	case changed:
		p.log.Info("the clock is trusted again; samples are stored")
	}
	if !keep {
		return
	}
	for _, o := range p.outlets {
		o.leaveOut(&refused)
		if trusted {
			o.put(b)
		} else {
			o.refuse(b)
		}
	}
}

// limit takes the series that are too many out of b and says once that there
// are any.
func (p *Pipeline) limit(b *tallyman.Batch) {
	l := &p.limiter
	before := l.count
	changed := l.look(b)
	l.take(b)
	if !changed {
		return
	}
	switch was, is := before[overSeries] > 0, l.count[overSeries] > 0; {
	case is && !was:
		p.log.Error("there are too many series; new ones are refused until others go: raise limits.series or limits.series_per_target, or leave containers out with exclude",
			"kept", l.count[kept], "refused", l.count[overSeries], "first", l.full.ID, "series", l.limits.Series, "series_per_target", l.limits.PerTarget)
	case was && !is:
		p.log.Info("no series is refused any more")
	}
	if l.count[overLabels] > 0 && before[overLabels] == 0 {
		p.log.Warn("series have more or longer labels than allowed and are refused", "refused", l.count[overLabels], "labels", maxLabels, "name", maxName, "value", maxValue)
	}
}

func (p *Pipeline) update(b *tallyman.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := b.Time.UnixMilli()
	if !sameSeries(p.readings, b.Samples) {
		old := p.readings
		at := make(map[*tallyman.Series]int, len(old)) // made anew, for it is seldom needed
		for i := range old {
			at[old[i].Series] = i
		}
		p.readings = make([]tallyman.Reading, len(b.Samples))
		for i, s := range b.Samples {
			p.readings[i].Series = s.Series
			if j, ok := at[s.Series]; ok {
				p.readings[i] = old[j]
			}
		}
		p.generation++
	}
	for i := range b.Samples {
		r := &p.readings[i]
		if r.Time != 0 && t-r.Time >= minSpacing {
			r.Before, r.BeforeTime = r.Value, r.Time
		}
		r.Value, r.Time = b.Samples[i].Value, t
	}
}

// sameSeries reports whether the samples are of the same series in the same
// order, which they are in the steady state.
func sameSeries(r []tallyman.Reading, s []tallyman.Sample) bool {
	if len(r) != len(s) {
		return false
	}
	for i := range r {
		if r[i].Series != s[i].Series {
			return false
		}
	}
	return true
}

// Latest implements tallyman.Readings.
func (p *Pipeline) Latest(dst []tallyman.Reading) ([]tallyman.Reading, uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return append(dst, p.readings...), p.generation
}

// SelfMetrics are the pipeline's own numbers.
func (p *Pipeline) SelfMetrics() []tallyman.SelfMetric {
	m := []tallyman.SelfMetric{
		{Desc: keptSeries, Read: func() float64 { return float64(p.limiter.count[kept]) }},
		{Desc: refusedSeries, Read: func() float64 { return float64(p.limiter.count[overSeries] + p.limiter.count[overLabels]) }},
	}
	for _, o := range p.outlets {
		m = append(m, o.own()...)
	}
	return m
}

const (
	// queueLength is how many batches wait for a store at most.
	queueLength = 16
	// syncEvery is how often a store is asked to make durable what it has.
	syncEvery = 10 * time.Second
)

// syncer is a store that can be told to reach the disk.
type syncer interface{ Sync() error }

// outlet is the way into one store.
type outlet struct {
	name  string
	store tallyman.SampleStore
	log   *slog.Logger
	wake  chan struct{}

	mu    sync.Mutex
	queue []*tallyman.Batch // oldest first
	spare []*tallyman.Batch
	ledger

	previous []*tallyman.Series            // of the last stored round
	parts    map[*tallyman.Series]struct{} // of the parts stored after it
	failing  bool
}

// ledger counts samples.
type ledger struct {
	published, stored, overflow, refused, failed, full, clock, series, labels uint64
}

func newOutlet(name string, s tallyman.SampleStore, log *slog.Logger) *outlet {
	return &outlet{name: name, store: s, log: log, wake: make(chan struct{}, 1), parts: map[*tallyman.Series]struct{}{}}
}

func (o *outlet) put(b *tallyman.Batch) {
	o.mu.Lock()
	o.published += uint64(len(b.Samples))
	if len(o.queue) == queueLength {
		o.overflow += uint64(len(o.queue[0].Samples))
		o.spare = append(o.spare, o.queue[0])
		o.queue = slices.Delete(o.queue, 0, 1)
	}
	c := &tallyman.Batch{}
	if n := len(o.spare); n > 0 {
		c, o.spare = o.spare[n-1], o.spare[:n-1]
	}
	c.Time, c.Part = b.Time, b.Part
	c.Samples = append(c.Samples[:0], b.Samples...)
	o.queue = append(o.queue, c)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// refuse counts a batch whose time is doubtful.
func (o *outlet) refuse(b *tallyman.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published += uint64(len(b.Samples))
	o.clock += uint64(len(b.Samples))
}

// leaveOut counts the samples of refused series.
func (o *outlet) leaveOut(count *[fates]int) {
	if count[overSeries]+count[overLabels] == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published += uint64(count[overSeries] + count[overLabels])
	o.series += uint64(count[overSeries])
	o.labels += uint64(count[overLabels])
}

func (o *outlet) take() *tallyman.Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	b := o.queue[0]
	o.queue = slices.Delete(o.queue, 0, 1)
	return b
}

func (o *outlet) run(ctx context.Context) {
	synced := time.Now()
	for {
		b := o.take()
		if b == nil {
			select {
			case <-o.wake:
				continue
			case <-ctx.Done():
				if b = o.take(); b == nil {
					o.sync()
					return
				}
			}
		}
		o.keep(b)
		if time.Since(synced) >= syncEvery {
			o.sync()
			synced = time.Now()
		}
	}
}

func (o *outlet) keep(b *tallyman.Batch) {
	if ended := o.ended(b); len(ended) > 0 {
		// One millisecond before the batch: a series that goes on under a new
		// target has its next sample in the batch itself.
		o.report(o.store.EndSeries(b.Time.Add(-time.Millisecond), ended))
	}
	dropped, err := o.store.AppendSamples(b)
	o.report(err)
	n := uint64(len(b.Samples))
	_, full := errors.AsType[*fsx.ErrFull](err)
	o.mu.Lock()
	switch {
	case full:
		o.full += n
	case err != nil:
		o.failed += n
	default:
		o.stored += n - uint64(dropped)
		o.refused += uint64(dropped)
	}
	o.spare = append(o.spare, b)
	o.mu.Unlock()
}

// ended returns the series of the previous round and of the parts after it that are not
// in b, and remembers those of b.
func (o *outlet) ended(b *tallyman.Batch) []*tallyman.Series {
	if b.Part {
		for _, s := range b.Samples {
			o.parts[s.Series] = struct{}{}
		}
		return nil
	}
	same := len(o.parts) == 0 && len(o.previous) == len(b.Samples)
	for i := 0; same && i < len(o.previous); i++ {
		same = o.previous[i] == b.Samples[i].Series
	}
	if same {
		return nil
	}
	now := make(map[*tallyman.Series]struct{}, len(b.Samples))
	for _, s := range b.Samples {
		now[s.Series] = struct{}{}
	}
	var ended []*tallyman.Series
	for _, s := range o.previous {
		if _, ok := now[s]; !ok {
			ended = append(ended, s)
			delete(o.parts, s)
		}
	}
	for s := range o.parts {
		if _, ok := now[s]; !ok {
			ended = append(ended, s)
		}
	}
	clear(o.parts)
	o.previous = o.previous[:0]
	for _, s := range b.Samples {
		o.previous = append(o.previous, s.Series)
	}
	return ended
}

// report logs the first failure of the store and its recovery.
func (o *outlet) report(err error) {
	switch {
	case err != nil && !o.failing:
		o.log.Error("the store takes no samples; they are dropped and counted until it does", "store", o.name, "err", err)
	case err == nil && o.failing:
		o.log.Info("the store takes samples again", "store", o.name)
	}
	o.failing = err != nil
}

func (o *outlet) sync() {
	if s, ok := o.store.(syncer); ok {
		if err := s.Sync(); err != nil {
			o.log.Warn("what the store has is not on the disk yet", "store", o.name, "err", err)
		}
	}
}

func (o *outlet) own() []tallyman.SelfMetric {
	store := tallyman.Label{Name: "store", Value: o.name}
	read := func(f func(*ledger) uint64) func() float64 {
		return func() float64 {
			o.mu.Lock()
			defer o.mu.Unlock()
			return float64(f(&o.ledger))
		}
	}
	dropped := func(reason string, f func(*ledger) uint64) tallyman.SelfMetric {
		return tallyman.SelfMetric{Desc: droppedSamples, Labels: []tallyman.Label{store, {Name: "reason", Value: reason}}, Read: read(f)}
	}
	return []tallyman.SelfMetric{
		{Desc: publishedSamples, Labels: []tallyman.Label{store}, Read: read(func(l *ledger) uint64 { return l.published })},
		{Desc: storedSamples, Labels: []tallyman.Label{store}, Read: read(func(l *ledger) uint64 { return l.stored })},
		dropped("slow_store", func(l *ledger) uint64 { return l.overflow }),
		dropped("refused", func(l *ledger) uint64 { return l.refused }),
		dropped("store_failed", func(l *ledger) uint64 { return l.failed }),
		dropped("disk_full", func(l *ledger) uint64 { return l.full }),
		dropped("clock", func(l *ledger) uint64 { return l.clock }),
		dropped("series_limit", func(l *ledger) uint64 { return l.series }),
		dropped("label_limit", func(l *ledger) uint64 { return l.labels }),
	}
}

var (
	keptSeries       = &tallyman.Desc{Name: "tallyman_series", Type: tallyman.Gauge, Help: "Series that are shown and stored now"}
	refusedSeries    = &tallyman.Desc{Name: "tallyman_series_refused", Type: tallyman.Gauge, Help: "Series that are refused now because there are too many, or for their labels"}
	publishedSamples = &tallyman.Desc{Name: "tallyman_samples_published_total", Type: tallyman.Counter, Help: "Samples handed to the way into a store"}
	storedSamples    = &tallyman.Desc{Name: "tallyman_samples_stored_total", Type: tallyman.Counter, Help: "Samples that a store took"}
	droppedSamples   = &tallyman.Desc{Name: "tallyman_samples_dropped_total", Type: tallyman.Counter, Help: "Samples that did not reach a store, by reason"}
)
