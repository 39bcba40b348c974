// SPDX-License-Identifier: Apache-2.0

package send

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"path"
	"slices"
	"time"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/forward/spool"
)

const (
	mostTicks  = 6 // of a part
	mostPoints = 30_000
	gather     = 5 * time.Second
)

// SampleOptions say which samples are sent, and from where.
type SampleOptions struct {
	// Name is what the settings call the destination.
	Name string
	// Reader is where samples come from.
	Reader *spool.Reader
	// Keep and Drop are names of metrics, in which * stands for any text: only those that
	// fit Keep, if there is one, and that do not fit Drop.
	Keep, Drop []string
	// Host is the only one whose series are sent; empty for all.
	Host string
	// Every is the time between the samples of a series at least; 0 sends all.
	Every time.Duration
	// Values leaves out what is no number: NaN, the infinite, and the end of a series.
	Values bool
	// Logger is told when states change; nil is silent.
	Logger *slog.Logger
	// Gather is the time from one part to the next while nothing waits, 0 for 5 s. Line is for
	// tests.
	Gather time.Duration
	Line   LineOptions
}

// LineOptions are those of the line to the destination.
func (o *SampleOptions) LineOptions() LineOptions {
	return o.Line.of(o.Name, o.Logger)
}

// Point is a sample on its way. S is what a sink makes of a series.
type Point[S any] struct {
	Series *S
	Time   int64 // Unix milliseconds
	Value  float64
}

// SampleSink sends samples to one kind of destination.
type SampleSink[S any] interface {
	// Series makes what samples of a series have in common there; nil leaves them out.
	Series(s *spool.Series) *S
	// Forget is called when what Series gave before is not asked for any more.
	Forget()
	// Deliver sends points until the destination has taken or refused each, which the sink
	// counts. Points are of at most mostTicks ticks, oldest first; with a series that has
	// ended comes Prometheus' stale marker. The error is that ctx has ended.
	Deliver(ctx context.Context, points []Point[S]) error
}

// SampleSender reads samples and hands them to a sink.
type SampleSender[S any] struct {
	opt    SampleOptions
	sink   SampleSink[S]
	ledger *Ledger
	size   *Size
	of     map[*spool.Series]*S
	wanted map[string]bool // by the name of a metric
	points []Point[S]
	turn   int64 // the last tick that was sent of those that are wanted, in Options.Every
	begun  time.Time
}

// NewPointSize is the usual size of requests, in samples.
func NewPointSize() *Size { return NewSize(mostPoints, 1) }

// NewSampleSender makes one. The size is that of requests, in samples.
func NewSampleSender[S any](o SampleOptions, sink SampleSink[S], ledger *Ledger, size *Size) (*SampleSender[S], error) {
	for _, one := range slices.Concat(o.Keep, o.Drop) {
		if _, err := path.Match(one, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern of names; write for example container_*", one)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Gather = cmp.Or(o.Gather, gather)
	return &SampleSender[S]{opt: o, sink: sink, ledger: ledger, size: size, of: map[*spool.Series]*S{}, wanted: map[string]bool{}, begun: time.Now()}, nil
}

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (s *SampleSender[S]) Run(ctx context.Context) error {
	if notice := s.opt.Reader.Notice(); notice != "" {
		s.ledger.Lost(notice)
	}
	for {
		ticks, err := s.opt.Reader.Next(ctx, spool.Part{Ticks: mostTicks, Samples: mostPoints})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.opt.Logger.Error("samples cannot be read, to be sent on; they are tried again", "err", err)
			if !wait(ctx, 2*s.opt.Gather) {
				return nil
			}
			continue
		}
		begin := time.Now()
		points := s.take(ticks)
		for rest := points; len(rest) > 0; {
			n := min(len(rest), s.size.Now())
			if err := s.sink.Deliver(ctx, rest[:n]); err != nil {
				return nil
			}
			rest = rest[n:]
		}
		if err := s.opt.Reader.Commit(); err != nil {
			s.opt.Logger.Warn("how far was sent cannot be kept; after a restart some is sent again", "err", err)
		}
		if len(ticks) < mostTicks && len(points) < mostPoints/2 && !wait(ctx, s.opt.Gather-time.Since(begin)) {
			return nil
		}
	}
}

// take is what of ticks is wanted. It is valid until the next call.
func (s *SampleSender[S]) take(ticks []spool.Tick) []Point[S] {
	most := 0
	for i := range ticks {
		most = max(most, len(ticks[i].Series))
	}
	if len(s.of) > 2*most+1000 { // those of a new segment are others
		clear(s.of)
		s.sink.Forget()
	}
	s.points = s.points[:0]
	for i := range ticks {
		t := &ticks[i]
		if s.opt.Values && t.Ended() {
			continue
		}
		if every := s.opt.Every.Milliseconds(); every > 0 && !t.Ended() {
			turn := t.Time / every
			if turn == s.turn {
				continue
			}
			s.turn = turn
		}
		for j, one := range t.Series {
			if v := t.Values[j]; s.opt.Values && (math.IsNaN(v) || math.IsInf(v, 0)) {
				continue
			}
			if to := s.series(one); to != nil {
				s.points = append(s.points, Point[S]{to, t.Time, t.Values[j]})
			}
		}
	}
	s.ledger.Read(len(s.points))
	return s.points
}

// series is what a sink made of one, nil when it is not wanted.
func (s *SampleSender[S]) series(one *spool.Series) *S {
	to, known := s.of[one]
	if !known {
		if s.want(one.Name) && (s.opt.Host == "" || tallyman.LabelIn(one.Labels, "host") == s.opt.Host) {
			to = s.sink.Series(one)
		}
		s.of[one] = to
	}
	return to
}

// want says whether samples of a metric are sent.
func (s *SampleSender[S]) want(name string) bool {
	if len(s.opt.Keep) == 0 && len(s.opt.Drop) == 0 {
		return true
	}
	is, known := s.wanted[name]
	if !known {
		fits := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
		is = (len(s.opt.Keep) == 0 || slices.ContainsFunc(s.opt.Keep, fits)) && !slices.ContainsFunc(s.opt.Drop, fits)
		s.wanted[name] = is
	}
	return is
}

// Counts are those of the [Ledger].
func (s *SampleSender[S]) Counts() (read, sent uint64, refused map[string]uint64) {
	return s.ledger.Counts()
}

// Stats are those of now.
func (s *SampleSender[S]) Stats(state queue.State) Stats {
	out := s.ledger.Stats(state)
	if s.opt.Reader == nil {
		return out
	}
	in := s.opt.Reader.Stats()
	out.Waiting, out.Lag = in.Waiting, s.lag(in)
	for _, n := range in.Dropped {
		out.Dropped += n
	}
	return out
}

// lag is for how long something waits.
func (s *SampleSender[S]) lag(in spool.Stats) time.Duration {
	switch {
	case in.Waiting == 0:
		return 0
	case in.Confirmed.IsZero():
		return time.Since(s.begun)
	}
	return max(0, time.Since(in.Confirmed))
}

// SelfMetrics are the sender's own numbers.
func (s *SampleSender[S]) SelfMetrics() []tallyman.SelfMetric {
	out := append(s.ledger.SelfMetrics(), queue.LagMetric(s.opt.Name, Samples, func() float64 { return s.lag(s.opt.Reader.Stats()).Seconds() }))
	for _, reason := range spool.Reasons() {
		out = append(out, queue.DroppedMetric(s.opt.Name, Samples, reason, func() float64 { return float64(s.opt.Reader.Stats().Dropped[reason]) }))
	}
	return out
}
