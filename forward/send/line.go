// SPDX-License-Identifier: Apache-2.0

package send

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/forward/queue"
)

const (
	leastPause = 200 * time.Millisecond
	mostPause  = 30 * time.Second
)

// LineOptions are what a line is made of.
type LineOptions struct {
	// Name is what the settings call the destination.
	Name string
	// Log is told when the state changes; nil is silent.
	Log *slog.Logger
	// Limit is how many bytes of requests may go in a second, packed; 0 for any number.
	Limit int64
	// Least and Hold are for tests: the first pause, and the one after a Hold.
	Least, Hold time.Duration
}

// of are the options of a destination.
func (o LineOptions) of(name string, log *slog.Logger) LineOptions {
	o.Name, o.Log = name, log
	return o
}

// Line posts requests one after the other.
type Line struct {
	opt    LineOptions
	client *Client
	to     *queue.Destination
	rate   Rate
	next   time.Duration // pause

	requests, retries, cut, status atomic.Uint64
	spent                          atomic.Int64 // nanoseconds in requests
}

// NewLine makes a line of a client.
func NewLine(c *Client, o LineOptions) *Line {
	o.Least = cmp.Or(o.Least, leastPause)
	return &Line{opt: o, client: c, rate: Rate{PerSecond: o.Limit}, to: queue.NewDestination(c.Host(), o.Least, mostPause, o.Log), next: o.Least}
}

// State is that of now.
func (l *Line) State() queue.State { return l.to.State() }

// Send posts a request until the answer is no Retry and no Hold. An answer that the
// other side gives with Retry for longer than a patience over 0 is returned as it is.
// The error is that ctx has ended.
func (l *Line) Send(ctx context.Context, r Request, patience time.Duration) (Answer, error) {
	var since time.Time // of answers with Retry without any other
	for n := 0; ; n++ {
		if n > 0 {
			l.retries.Add(1)
		}
		a := l.once(ctx, r)
		if ctx.Err() != nil && a.Verdict != Done {
			return a, ctx.Err()
		}
		pause := a.After
		switch a.Verdict {
		case Done, Split, Refuse:
			return a, nil
		case Hold:
			pause, since = cmp.Or(l.opt.Hold, pause), time.Time{}
		default:
			pause = max(pause, l.pause())
			switch {
			case a.Status == 0:
				since = time.Time{}
			case since.IsZero():
				since = time.Now()
			case patience > 0 && time.Since(since) >= patience:
				return a, nil
			}
		}
		if !wait(ctx, pause) {
			return a, ctx.Err()
		}
	}
}

// Once posts a request once, whatever the answer is. The error is that ctx has ended.
func (l *Line) Once(ctx context.Context, r Request) (Answer, error) {
	a := l.once(ctx, r)
	if a.Verdict != Done && ctx.Err() != nil {
		return a, ctx.Err()
	}
	return a, nil
}

func (l *Line) once(ctx context.Context, r Request) Answer {
	if !l.rate.Wait(ctx, len(r.Body)) {
		return Answer{Verdict: Retry, Err: ctx.Err()}
	}
	begin := time.Now()
	a := l.client.Post(ctx, r)
	l.requests.Add(1)
	l.spent.Add(int64(time.Since(begin)))
	switch {
	case a.Verdict == Done:
		l.next = max(l.opt.Least, l.next/2)
		l.to.Up()
	case ctx.Err() != nil:
	case a.Status == 0:
		l.cut.Add(1)
		l.to.Down(a.Err.Error())
	default:
		l.status.Add(1)
		if a.Verdict == Retry || a.Verdict == Hold {
			l.to.Down(a.Err.Error())
		}
	}
	return a
}

// Pause waits before the next try of what the other side did not take, and reports false
// when ctx has ended first.
func (l *Line) Pause(ctx context.Context) bool { return wait(ctx, l.pause()) }

// Held notes that an answer of 2xx was none, for a reason that a person has to mend, and
// waits as after Hold. It reports false when ctx has ended first.
func (l *Line) Held(ctx context.Context, err error) bool {
	l.to.Down(err.Error())
	return wait(ctx, cmp.Or(l.opt.Hold, holdFor))
}

// pause is how long to wait before the next try, give or take a fifth.
func (l *Line) pause() time.Duration {
	t := l.next
	l.next = min(2*t, mostPause)
	return t*4/5 + rand.N(t*2/5)
}

// SelfMetrics are the line's own numbers.
func (l *Line) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	to := []tallyman.Label{{Name: "to", Value: l.opt.Name}}
	return []tallyman.SelfMetric{
		l.to.SelfMetric(l.opt.Name),
		queue.FailureMetric(l.opt.Name, "cut", read(&l.cut)),
		queue.FailureMetric(l.opt.Name, "status", read(&l.status)),
		{Desc: requests, Labels: to, Read: read(&l.requests)},
		{Desc: repeated, Labels: to, Read: read(&l.retries)},
		{Desc: seconds, Labels: to, Read: func() float64 { return time.Duration(l.spent.Load()).Seconds() }},
	}
}

// The metrics of all lines.
var (
	requests = &tallyman.Desc{Name: "tallyman_forward_requests_total", Type: tallyman.Counter, Help: "Requests to a destination, repeated ones too"}
	repeated = &tallyman.Desc{Name: "tallyman_forward_repeated_requests_total", Type: tallyman.Counter, Help: "Requests that were sent once more, as the destination had not taken them"}
	seconds  = &tallyman.Desc{Name: "tallyman_forward_request_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: "Time that requests to a destination took"}
)
