// SPDX-License-Identifier: Apache-2.0

package send

import (
	"context"
	"time"

	"tallyman"
	"tallyman/forward/spool"
)

// PostOptions are how a format's requests are posted.
type PostOptions struct {
	Client  *Client
	Reasons Reasons
	// Host is the host of what tallyman sends of itself.
	Host string
	// Most is how many records or samples are in a request; 0 for as many as fit.
	Most int
	// Halve is that of [Deliverer].
	Halve bool
	// Patience is for tests.
	Patience time.Duration
}

// RecordFormat is how one kind of destination is asked to take records over HTTP, and how its
// answers are read.
type RecordFormat[S any] interface {
	// Stream is that of [RecordSink].
	Stream(s *tallyman.Stream) (to *S, group string)
	// Request makes the request of items. It is good until the next one.
	Request(items []Item[S]) Request
	// Outcome reads an answer that is Done or Refuse.
	Outcome(a *Answer, items []Item[S]) Outcome[Item[S]]
}

// RecordForwarder sends records to whom a format is for.
type RecordForwarder[S any] struct {
	*RecordSender[S]
	RecordFormat[S]
	post    PostOptions
	line    *Line
	deliver Deliverer[Item[S]]
}

// NewRecordForwarder makes one. It connects to nobody.
func NewRecordForwarder[S any](o RecordOptions, p PostOptions, f RecordFormat[S]) *RecordForwarder[S] {
	size := NewTextSize()
	r := &RecordForwarder[S]{RecordFormat: f, post: p, line: NewLine(p.Client, o.LineOptions())}
	ledger := NewLedger(o.Name, Records, p.Reasons, o.Logger)
	r.RecordSender = NewRecordSender(o, r, ledger, size)
	r.deliver = Deliverer[Item[S]]{Line: r.line, Ledger: ledger, Patience: p.Patience, Halve: p.Halve, Request: f.Request, Outcome: f.Outcome, Passed: size.Passed,
		Probe: func() Item[S] { return OwnItem(r, p.Host, "tallyman-probe", ProbeLine) },
		Smaller: func(items []Item[S]) {
			n := 0
			for i := range items {
				n += len(items[i].Line)
			}
			size.Refused(n)
		}}
	return r
}

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (r *RecordForwarder[S]) Run(ctx context.Context) error {
	defer r.post.Client.Close()
	return r.RecordSender.Run(ctx)
}

// Deliver implements RecordSink.
func (r *RecordForwarder[S]) Deliver(ctx context.Context, items []Item[S], confirmed func()) error {
	for len(items) > 0 {
		n := len(items)
		if r.post.Most > 0 {
			n = min(n, r.post.Most)
		}
		if err := r.deliver.Deliver(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	confirmed()
	return nil
}

// Send posts one line beside the log, once, and tells what came back.
func (r *RecordForwarder[S]) Send(ctx context.Context, id string) (string, error) {
	items := []Item[S]{TestItem(r, r.post.Host, id)}
	return try(ctx, r.post.Client, r.Request(items), func(a *Answer) Outcome[Item[S]] { return r.Outcome(a, items) })
}

// Stats are those of now.
func (r *RecordForwarder[S]) Stats() Stats { return r.RecordSender.Stats(r.line.State()) }

// SelfMetrics are the forwarder's own numbers.
func (r *RecordForwarder[S]) SelfMetrics() []tallyman.SelfMetric {
	return append(r.line.SelfMetrics(), r.RecordSender.SelfMetrics()...)
}

// SampleFormat is how one kind of destination is asked to take samples over HTTP, and how its
// answers are read.
type SampleFormat[S any] interface {
	// Series and Forget are those of [SampleSink].
	Series(s *spool.Series) *S
	Forget()
	// Request makes the request of points. It is good until the next one.
	Request(points []Point[S]) Request
	// Outcome reads an answer that is Done or Refuse.
	Outcome(a *Answer, points []Point[S]) Outcome[Point[S]]
}

// SampleForwarder sends samples to whom a format is for.
type SampleForwarder[S any] struct {
	*SampleSender[S]
	SampleFormat[S]
	opt     SampleOptions
	post    PostOptions
	line    *Line
	deliver Deliverer[Point[S]]
}

// NewSampleForwarder makes one. It connects to nobody.
func NewSampleForwarder[S any](o SampleOptions, p PostOptions, f SampleFormat[S]) (*SampleForwarder[S], error) {
	size := NewPointSize()
	if p.Most > 0 {
		size = NewSize(p.Most, 1)
	}
	s := &SampleForwarder[S]{SampleFormat: f, opt: o, post: p, line: NewLine(p.Client, o.LineOptions())}
	ledger := NewLedger(o.Name, Samples, p.Reasons, o.Logger)
	s.deliver = Deliverer[Point[S]]{Line: s.line, Ledger: ledger, Patience: p.Patience, Halve: p.Halve, Request: f.Request, Outcome: f.Outcome, Passed: size.Passed,
		Probe: func() Point[S] { return s.own("tallyman_forward_probe") }, Smaller: func(points []Point[S]) { size.Refused(len(points)) }}
	var err error
	s.SampleSender, err = NewSampleSender(o, s, ledger, size)
	return s, err
}

// own is a sample that is in no spool.
func (s *SampleForwarder[S]) own(name string) Point[S] {
	one := &spool.Series{Name: name, Type: tallyman.Gauge, Labels: []tallyman.Label{{Name: "host", Value: s.post.Host}, {Name: "to", Value: s.opt.Name}}}
	return Point[S]{Series: s.Series(one), Time: time.Now().UnixMilli(), Value: 1}
}

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (s *SampleForwarder[S]) Run(ctx context.Context) error {
	defer s.post.Client.Close()
	return s.SampleSender.Run(ctx)
}

// Deliver implements SampleSink.
func (s *SampleForwarder[S]) Deliver(ctx context.Context, points []Point[S]) error {
	return s.deliver.Deliver(ctx, points)
}

// Send posts one sample beside the spool, once, and tells what came back.
func (s *SampleForwarder[S]) Send(ctx context.Context, _ string) (string, error) {
	points := []Point[S]{s.own("tallyman_test")}
	return try(ctx, s.post.Client, s.Request(points), func(a *Answer) Outcome[Point[S]] { return s.Outcome(a, points) })
}

// try posts once, for a person.
func try[T any](ctx context.Context, c *Client, r Request, outcome func(*Answer) Outcome[T]) (string, error) {
	defer c.Close()
	a := c.Post(ctx, r)
	if a.Err != nil {
		return "", a.Err
	}
	return a.Words(), outcome(&a).Err
}

// Stats are those of now.
func (s *SampleForwarder[S]) Stats() Stats { return s.SampleSender.Stats(s.line.State()) }

// SelfMetrics are the forwarder's own numbers.
func (s *SampleForwarder[S]) SelfMetrics() []tallyman.SelfMetric {
	return append(s.line.SelfMetrics(), s.SampleSender.SelfMetrics()...)
}
