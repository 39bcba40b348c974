// SPDX-License-Identifier: Apache-2.0

// Package enginelog follows the logs of containers through the engine's API,
// where their files cannot be reached: on another machine, or without the mount
// of the folder that they lie in. It is best effort: an engine that rotates a
// log while it is followed loses lines and repeats some, and each line costs it
// about a hundred times as much as reading the file does.
//
// A position is the time of the newest line and how many lines had that time:
// the log is asked for again from that time on, and as many lines left out. It
// commits with the lines. Records are those of source/containerlog.
//
// Each container that is followed has a goroutine and a connection, at most
// [Options.Most]; a container beyond that is absent with its reason.
package enginelog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
)

// Options of a follower. All fields but Most and Rules are needed.
type Options struct {
	Store tallyman.RecordStore
	// Open follows a container's log from a time on.
	Open func(ctx context.Context, engine, id string, since time.Time) (io.ReadCloser, error)
	// Wants reports whether a container's log is to be had in no better way.
	Wants func(c *tallyman.Container) bool
	// Most is how many are followed at once, 0 for 200.
	Most int
	// Rules say what is asked for the lines of a container, nil for nothing;
	// with logrule.ErrRedact its log is not followed.
	Rules func(c *tallyman.Container) (*logrule.Rule, error)
	Log   *slog.Logger
}

const (
	keyPrefix = "enginelog/"
	// graceful is how long a container may be found in a better way.
	graceful = 3 * time.Second
	// gather is how long lines wait for others before they are stored.
	gather = 250 * time.Millisecond
	// commitAt is how many bytes of lines are stored together at most.
	commitAt = 256 << 10
	// retryMin and retryMax are between two attempts to follow.
	retryMin = time.Second
	retryMax = 30 * time.Second
)

// Follower implements tallyman.Observer.
type Follower struct {
	o       Options
	lines   atomic.Uint64 // stored
	refused atomic.Uint64 // by the store
	fails   atomic.Uint64

	mu      sync.Mutex
	ctx     context.Context // of Run, nil before
	wg      sync.WaitGroup
	known   map[string]*tallyman.Container
	running map[string]*follow
	absent  map[string]tallyman.Absence
}

var _ tallyman.Observer = (*Follower)(nil)

// follow is one container that is followed.
type follow struct {
	stop  context.CancelFunc
	reads atomic.Bool // it is to be had in no better way
	mu    sync.Mutex
	c     *tallyman.Container
}

func (f *follow) container() *tallyman.Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.c
}

// New makes a follower; nothing is followed before Run.
func New(o Options) *Follower {
	if o.Most <= 0 {
		o.Most = 200
	}
	return &Follower{o: o, known: map[string]*tallyman.Container{}, running: map[string]*follow{}, absent: map[string]tallyman.Absence{}}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	f.mu.Lock()
	f.ctx = ctx
	known := f.known
	f.known = nil
	f.mu.Unlock()
	for _, c := range known {
		f.ObserveContainer(c)
	}
	<-ctx.Done()
	f.wg.Wait()
	return nil
}

// ObserveEngine does nothing.
func (f *Follower) ObserveEngine(tallyman.EngineStatus) {}

// ObserveEvent does nothing.
func (f *Follower) ObserveEvent(tallyman.Event) {}

// ObserveContainer begins to follow a container that runs, and ends when it goes.
func (f *Follower) ObserveContainer(c *tallyman.Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil {
		f.known[c.ID] = c
		return
	}
	r := f.running[c.ID]
	switch {
	case c.Disabled || c.State == tallyman.Gone:
		if r != nil {
			r.stop()
		}
		delete(f.running, c.ID)
		delete(f.absent, c.ID)
	case r != nil:
		r.mu.Lock()
		r.c = c
		r.mu.Unlock()
	case c.LogDriver == "none" || f.ctx.Err() != nil:
	case len(f.running) >= f.o.Most:
		f.absent[c.ID] = tallyman.Absence{What: "log", Reason: fmt.Sprintf("%d logs are followed through the engine's API already, which is the most.", f.o.Most)}
	default:
		ctx, stop := context.WithCancel(f.ctx)
		r := &follow{stop: stop, c: c}
		f.running[c.ID] = r
		f.wg.Go(func() { f.follow(ctx, r) })
	}
}

// Absences say why a log is not followed.
func (f *Follower) Absences(id string) []tallyman.Absence {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.absent[id]; ok {
		return []tallyman.Absence{a}
	}
	return nil
}

// Follows reports whether the log of a container comes this way.
func (f *Follower) Follows(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id] != nil
}

// Reads reports whether the log of a container was found to be had in no better
// way, and is read.
func (f *Follower) Reads(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running[id] != nil && f.running[id].reads.Load()
}

// leave ends the following of a container that is read in a better way.
func (f *Follower) leave(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, id)
}

// follow asks again and again until the container has gone. A container that
// has stopped is asked again when it runs.
func (f *Follower) follow(ctx context.Context, r *follow) {
	sleep := func(d time.Duration) bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(d):
			return true
		}
	}
	if !sleep(graceful) {
		return
	}
	id := r.container().ID
	if !f.o.Wants(r.container()) {
		f.leave(id)
		return
	}
	r.reads.Store(true)
	retry := retryMin
	var seen time.Time // the start up to which the log was read
	for ctx.Err() == nil {
		c := r.container()
		if !c.Alive() && seen.Equal(c.Started) {
			if !sleep(retryMin) {
				return
			}
			continue
		}
		err := f.once(ctx, c)
		if err == nil || errors.Is(err, io.EOF) {
			seen, retry = c.Started, retryMin // it has stopped, or the engine has ended the answer
		} else if ctx.Err() == nil {
			f.fails.Add(1)
			f.o.Log.Debug("the engine gives no log", "container", c.Name, "err", err)
			retry = min(2*retry, retryMax)
		}
		if !sleep(retry) {
			return
		}
	}
}

// position is the newest line that was stored: its time, and how many there were
// at that time.
type position struct {
	time  int64
	count int
}

func (p position) String() string { return fmt.Sprintf("1 %d %d", p.time, p.count) }

func parsePosition(text string) (p position) {
	var version int
	if n, err := fmt.Sscanf(text, "%d %d %d", &version, &p.time, &p.count); n != 3 || err != nil || version != 1 || p.count < 0 {
		return position{}
	}
	return p
}

// once follows one answer to its end.
func (f *Follower) once(ctx context.Context, c *tallyman.Container) error {
	key := keyPrefix + c.ID
	var rule *logrule.Rule
	if f.o.Rules != nil {
		r, err := f.o.Rules(c)
		if errors.Is(err, logrule.ErrRedact) {
			return err
		}
		if r.Lines() {
			rule = r
		}
	}
	text, _ := f.o.Store.Position(key)
	at := parsePosition(text)
	var since time.Time
	if at.time > 0 {
		since = time.Unix(0, at.time)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := f.o.Open(ctx, c.Engine, c.ID, since)
	if err != nil {
		return err
	}
	b := &buffer{key: key, at: at, ahead: at, skip: at, streams: logstream.For(c), rule: rule}
	// Lines wait a moment for others; the reading goes on meanwhile.
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(gather)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.endOld(time.Now())
				if err := f.commit(b); err != nil {
					cancel() // it is read once more
					return
				}
			}
		}
	})
	err = f.read(&reader{in: bufio.NewReaderSize(body, 64<<10), tty: c.Tty}, b)
	close(done)
	wg.Wait()
	_ = body.Close()
	b.flush()
	return errors.Join(err, f.commit(b))
}

// read takes lines until the answer ends.
func (f *Follower) read(r *reader, b *buffer) error {
	var p piece
	for {
		if err := r.next(&p); err != nil {
			return err
		}
		if b.take(&p) >= commitAt {
			if err := f.commit(b); err != nil {
				return err
			}
		}
	}
}

// commit stores what has come, with the position.
func (f *Follower) commit(b *buffer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == 0 {
		return nil
	}
	b.batch.Positions = append(b.batch.Positions[:0], tallyman.Position{Key: b.key, Value: b.at.String()})
	err := f.o.Store.AppendRecords(&b.batch)
	if refused, ok := errors.AsType[*tallyman.RefusedError](err); ok {
		n := min(refused.Records, b.lines)
		f.refused.Add(uint64(n))
		b.lines -= n
		f.o.Log.Error("log lines were refused by the store", "lines", n, "err", refused.Err)
	} else if err != nil {
		return fmt.Errorf("store the log: %w", err)
	}
	f.lines.Add(uint64(b.lines))
	b.batch.Streams, b.lines, b.bytes = nil, 0, 0
	b.index = nil
	return nil
}

// buffer puts pieces together to lines and lines to a batch.
type buffer struct {
	mu      sync.Mutex
	key     string
	streams *logstream.Set
	at      position // of the newest line in the batch
	ahead   position // of the newest line that came; an entry may wait
	skip    position // lines up to here were stored before
	passed  int      // lines seen at the time of skip
	open    [2]struct {
		on   bool
		time int64
		text []byte
	}
	rule  *logrule.Rule // what is asked for the lines; nil for nothing
	entry logrule.Entry // that waits for more lines, of the output below
	of    int
	batch tallyman.RecordBatch
	index map[*tallyman.Stream]int
	lines int
	bytes int
}

// take takes one piece and gives how many bytes wait.
func (b *buffer) take(p *piece) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := 0
	if p.stderr {
		i = 1
	}
	o := &b.open[i]
	if !o.on {
		o.on, o.time, o.text = true, p.time, o.text[:0]
	}
	o.text = append(o.text, p.text[:min(len(p.text), maxLine-len(o.text))]...)
	if p.end {
		b.line(i)
	}
	return b.bytes
}

// flush ends lines that have no end.
func (b *buffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.open {
		if b.open[i].on {
			b.line(i)
		}
	}
	b.endEntry()
}

// endOld ends an entry that has waited long enough.
func (b *buffer) endOld(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entry.Old(now) {
		b.endEntry()
	}
}

// endEntry gives out the entry that waits. There is one at most: a line of the
// other output ends it, so that a position is between lines that came and lines
// that did not.
func (b *buffer) endEntry() {
	if b.entry.Open {
		b.store(b.of, b.entry.Time, b.entry.Take())
	}
}

func (b *buffer) line(i int) {
	o := &b.open[i]
	o.on = false
	if o.time < b.skip.time {
		return
	}
	if o.time == b.skip.time {
		if b.passed++; b.passed <= b.skip.count {
			return
		}
	}
	if !b.rule.Joins() || b.of != i || b.rule.Ends(&b.entry, o.text) {
		b.endEntry()
	}
	if o.time == b.ahead.time {
		b.ahead.count++
	} else if o.time > b.ahead.time {
		b.ahead = position{o.time, 1}
	}
	if !b.rule.Joins() {
		b.store(i, o.time, o.text)
		return
	}
	b.of = i
	b.rule.Add(&b.entry, o.time, o.text, 0, time.Now())
}

// store adds one text to the batch, which then has all that came so far.
func (b *buffer) store(i int, at int64, text []byte) {
	text = append([]byte(nil), b.rule.Redact(text)...)
	s := b.streams.At(i == 1, b.rule.Level(text))
	n, ok := b.index[s]
	if !ok {
		if b.index == nil {
			b.index = map[*tallyman.Stream]int{}
		}
		n = len(b.batch.Streams)
		b.index[s] = n
		b.batch.Streams = append(b.batch.Streams, tallyman.StreamRecords{Stream: s})
	}
	b.batch.Streams[n].Records = append(b.batch.Streams[n].Records, tallyman.Record{Time: at, Line: text, Meta: b.streams.Meta})
	b.at = b.ahead
	b.lines++
	b.bytes += len(text)
}

// Own are the follower's own numbers.
func (f *Follower) Own() []tallyman.OwnMetric {
	return []tallyman.OwnMetric{
		{Desc: stored, Read: func() float64 { return float64(f.lines.Load()) }},
		{Desc: dropped, Labels: []tallyman.Label{{Name: "reason", Value: "limit"}}, Read: func() float64 { return float64(f.refused.Load()) }},
		{Desc: failed, Read: func() float64 { return float64(f.fails.Load()) }},
		{Desc: followed, Read: func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return float64(len(f.running))
		}},
	}
}

var (
	dropped  = &tallyman.Desc{Name: "tallyman_engine_log_lines_dropped_total", Type: tallyman.Counter, Help: "Lines that came through the engine's API and were not stored, by reason"}
	stored   = &tallyman.Desc{Name: "tallyman_engine_log_lines_stored_total", Type: tallyman.Counter, Help: "Lines that came through the engine's API and were stored"}
	failed   = &tallyman.Desc{Name: "tallyman_engine_log_failures_total", Type: tallyman.Counter, Help: "Attempts to follow a log through the engine's API that failed"}
	followed = &tallyman.Desc{Name: "tallyman_engine_logs_followed", Type: tallyman.Gauge, Help: "Logs that are followed through the engine's API"}
)
