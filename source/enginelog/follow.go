// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
)

// follow is one container that is followed.
type follow struct {
	f     *Follower
	stop  context.CancelFunc
	reads atomic.Bool // it is to be had in no better way
	mu    sync.Mutex
	c     *tallyman.Container

	gone    atomic.Bool // what is under way is read to its end, and no more
	nothing int         // attempts in a row that gave nothing
	opened  bool        // the engine gave its log once
}

func (r *follow) container() *tallyman.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.c
}

// end ends it: at once, or when what the engine has sent was read.
func (r *follow) end(atOnce bool) {
	const patience = 2 * time.Second
	r.gone.Store(!atOnce)
	if atOnce {
		r.stop()
	} else {
		time.AfterFunc(patience, r.stop)
	}
}

// sleep waits; false says that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// wanted waits until it is known whether the log is to be had in a better way.
func (r *follow) wanted(ctx context.Context) bool {
	patience := r.f.o.timing.known
	for {
		wants, known := r.f.o.Wants(r.container())
		if known || patience <= 0 {
			return wants
		}
		if !sleep(ctx, r.f.o.timing.look) {
			return wants
		}
		patience -= r.f.o.timing.look
	}
}

// run asks again and again until the container has gone, or has stopped and was
// read to its end.
func (r *follow) run(ctx context.Context) {
	f, timing := r.f, &r.f.o.timing
	defer r.stop()
	if !r.wanted(ctx) {
		f.leave(r, time.Time{})
		return
	}
	r.reads.Store(true)
	defer func() {
		if !r.opened && r.gone.Load() {
			f.count.missed.Add(1)
		}
	}()
	retry := timing.retryMin
	for {
		c := r.container()
		n, err := r.once(ctx, c)
		r.judge(c, n, err)
		switch {
		case ctx.Err() != nil || r.gone.Load():
			return
		case !c.Alive() && (err == nil || r.nothing >= suspicious):
			if f.leave(r, c.Started) {
				return
			}
			continue
		case err == nil && n > 0:
			retry = timing.retryMin
		case err != nil:
			f.count.fails.Add(1)
			f.o.Log.Debug("the engine gives no log", "container", c.Name, "err", err)
			retry = min(2*retry, timing.retryMax)
		}
		if !sleep(ctx, retry) {
			return
		}
	}
}

// judge notes whether the engine gives the log: all of one that has stopped, and
// of one that runs an answer that does not end.
func (r *follow) judge(c *tallyman.Container, lines int, err error) {
	now := r.container()
	if lines > 0 || !now.Started.Equal(c.Started) || err == nil && !now.Alive() {
		r.nothing = 0
		r.f.healthy(c.ID)
		return
	}
	if r.nothing++; r.nothing < suspicious {
		return
	}
	cause := "it ends the answer although the container runs"
	if err != nil {
		cause = strings.TrimSuffix(err.Error(), ".")
	}
	r.f.sick(c.ID, fmt.Sprintf("The engine does not give this log any more: %s. Its file may be damaged; docker logs shows the same. It is asked again.", cause))
}

// once follows one answer to its end, and gives how many lines were new.
func (r *follow) once(ctx context.Context, c *tallyman.Container) (lines int, err error) {
	f := r.f
	var rule *logrule.Rule
	if f.o.Rules != nil {
		r, err := f.o.Rules(c)
		if errors.Is(err, logrule.ErrRedact) {
			return 0, err
		}
		if r.Lines() {
			rule = r
		}
	}
	text, _ := f.o.Records.Position(keyPrefix + c.ID)
	at := parsePosition(text)
	var since time.Time
	if at.time > 0 {
		since = time.Unix(0, at.time)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := f.o.Open(ctx, c.Engine, c.ID, since)
	if err != nil {
		return 0, err
	}
	r.opened = true
	b := newBuffer(f.o.Records, &f.count.Counts, c, at, rule)
	began, quiet := time.Now(), true
	stop := b.batch.Gather(ctx, f.o.timing.gather, &b.mu, func(now time.Time) {
		b.endOld(now)
		if quiet && now.Sub(began) > f.o.timing.healthy {
			quiet = false
			f.healthy(c.ID)
		}
	}, cancel) // it is read once more
	in := newReader(body, c)
	in.restarted = func(after int64) int64 { return r.restarted(ctx, after) }
	err = f.consume(ctx, in, b)
	stop()
	_ = body.Close()
	b.flush()
	err = errors.Join(err, b.commit(ctx))
	return b.lines, err
}

// restarted gives the start of the container after a time, in nanoseconds; it waits a
// moment for the news, and gives 0 when it does not come.
func (r *follow) restarted(ctx context.Context, after int64) int64 {
	for wait := r.f.o.timing.known; ; wait -= r.f.o.timing.look {
		if c := r.container(); !c.Started.IsZero() && logstream.Nanos(c.Started) > after {
			return logstream.Nanos(c.Started)
		}
		if wait <= 0 || !sleep(ctx, r.f.o.timing.look) {
			return 0
		}
	}
}

// newReader reads an answer about a container.
func newReader(body io.Reader, c *tallyman.Container) *reader {
	r := &reader{in: bufio.NewReaderSize(body, 64<<10), tty: c.Tty}
	if !c.Started.IsZero() {
		r.started = logstream.Nanos(c.Started)
	}
	return r
}

// consume takes lines until the answer ends.
func (f *Follower) consume(ctx context.Context, r *reader, b *buffer) error {
	var p piece
	for {
		if err := r.next(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if b.take(&p) >= commitAt {
			if err := b.commit(ctx); err != nil {
				return err
			}
		}
	}
}

// commit stores what has come, with the position.
func (b *buffer) commit(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.batch.Commit(ctx)
}
