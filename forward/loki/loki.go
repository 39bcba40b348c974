// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/forward/send"
)

const (
	mostLabels = 12 // Loki takes 15, and adds some
	mostLine   = 256 << 10
	ahead      = 5 * time.Minute
)

// Options are what a sender is made of.
type Options struct {
	// RecordOptions say what is sent. Send needs but their name.
	send.RecordOptions
	// Client posts to …/loki/api/v1/push.
	Client *send.Client
	// Labels are the names of labels that streams have there; empty for host, source, name,
	// workload and stream. External are set beside them, and win.
	Labels   []string
	External []tallyman.Label
	// Host is the label host of streams that have none.
	Host string

	patience, again time.Duration // for tests
}

// item is a record on its way.
type item = send.Item[stream]

// Sender sends records.
type Sender struct {
	*send.RecordSender[stream]
	opt     Options
	line    *send.Line
	ledger  *send.Ledger
	size    *send.Size
	deliver send.Deliverer[item]
	full    map[string]time.Time // Loki's streams that it has no room for, and when that was tried
	buf     []byte
	pack    []byte
}

// New makes a sender. It connects to nobody.
func New(o Options) (*Sender, error) {
	if len(o.Labels) == 0 {
		o.Labels = []string{"host", "source", "name", "workload", "stream"}
	}
	if n := len(o.Labels) + len(o.External); n > mostLabels {
		return nil, fmt.Errorf("%d labels are too many for Loki; at most %d may be", n, mostLabels)
	}
	o.MostLine = mostLine
	o.again = cmp.Or(o.again, time.Minute)
	s := &Sender{opt: o, line: send.NewLine(o.Client, o.LineOptions()), ledger: send.NewLedger(o.Name, send.Records, reasons, o.Logger), size: send.NewTextSize(), full: map[string]time.Time{}}
	s.RecordSender = send.NewRecordSender(o.RecordOptions, s, s.ledger, s.size)
	s.deliver = send.Deliverer[item]{Line: s.line, Ledger: s.ledger, Patience: o.patience, Request: s.request, Outcome: outcome, Probe: s.probe,
		Crowded: s.byStream, Smaller: func([]item) { s.shrink() }, Passed: s.size.Passed}
	return s, nil
}

// Run sends until ctx ends. Loki may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.opt.Client.Close()
	return s.RecordSender.Run(ctx)
}

// Stream implements send.RecordSink.
func (s *Sender) Stream(st *tallyman.Stream) (*stream, string) {
	to := streamOf(st, s.opt.Labels, s.opt.External, s.opt.Host)
	return to, to.labels
}

// Deliver implements send.RecordSink.
func (s *Sender) Deliver(ctx context.Context, items []item, confirmed func()) error {
	notAhead(items)
	items, err := s.withoutFull(ctx, items)
	if err == nil {
		err = s.deliver.Deliver(ctx, items)
	}
	if err == nil {
		confirmed()
	}
	return err
}

// notAhead sets times that Loki takes.
func notAhead(items []item) {
	latest := time.Now().Add(ahead).UnixNano()
	for i := range items {
		items[i].Time = min(items[i].Time, latest)
	}
}

// request is the request of items. It is valid until the next one.
func (s *Sender) request(items []item) send.Request {
	s.buf = appendPush(s.buf[:0], items)
	if n := s2.MaxEncodedLen(len(s.buf)); cap(s.pack) < n {
		s.pack = make([]byte, n)
	}
	return send.Request{Body: s2.EncodeSnappy(s.pack[:cap(s.pack)], s.buf), Header: http.Header{"Content-Type": {"application/x-protobuf"}}}
}

// outcome is what a final answer says of items.
func outcome(a *send.Answer, items []item) (out send.Outcome[item]) {
	if a.Verdict == send.Refuse {
		out.Refused, out.Reason = refusedOf(a.Body, items), reasons.Of(a.Body, send.Otherwise)
	}
	return out
}

// byStream sends the items of each stream for itself, as 429 lasts. Those of streams that
// Loki has no room for are refused; when it is the rate, in halves at last, as one request
// may be more than Loki takes at once.
func (s *Sender) byStream(ctx context.Context, items []item) error {
	return each(items, func(of []item) error { return s.squeeze(ctx, of, 3) })
}

// squeeze sends the items of one stream, and halves of them when that was tried so often.
func (s *Sender) squeeze(ctx context.Context, of []item, often int) error {
	for n := 1; len(of) > 0; n++ {
		a, err := s.line.Send(ctx, s.request(of), time.Nanosecond)
		switch {
		case err != nil:
			return err
		case a.Verdict == send.Split && len(of) > 1:
			return s.deliver.Deliver(ctx, of)
		case a.Verdict != send.Retry:
			if of, err = s.deliver.Settle(ctx, &a, of); err != nil {
				return err
			}
		case a.Status != http.StatusTooManyRequests:
			return s.deliver.Deliver(ctx, of)
		case isFull(&a):
			s.refuseFull(of, a.Err)
			return nil
		case n >= often && len(of) > 1:
			s.shrink()
			half := len(of) / 2
			if err := s.squeeze(ctx, of[:half], 1); err != nil {
				return err
			}
			return s.squeeze(ctx, of[half:], 1)
		}
	}
	return nil
}

// isFull reports whether Loki has no room for the stream that it was sent.
func isFull(a *send.Answer) bool {
	return a.Status == http.StatusTooManyRequests && reasons.Of(a.Body, "") == streamLimit
}

// refuseFull refuses items of such a stream.
func (s *Sender) refuseFull(of []item, err error) {
	s.full[of[0].To.labels] = time.Now()
	s.ledger.Refuse(len(of), streamLimit, err)
}

// shrink makes requests smaller than the last one.
func (s *Sender) shrink() { s.size.Refused(len(s.buf)) }

// withoutFull takes the items out whose streams Loki has no room for: now and then one try
// is made of each.
func (s *Sender) withoutFull(ctx context.Context, items []item) ([]item, error) {
	if len(s.full) == 0 {
		return items, nil
	}
	var rest []item
	err := each(items, func(of []item) error {
		tried, is := s.full[of[0].To.labels]
		switch {
		case !is:
			rest = append(rest, of...)
		case time.Since(tried) < s.opt.again:
			s.ledger.Refuse(len(of), streamLimit, nil)
		default:
			a, err := s.line.Once(ctx, s.request(of))
			if err != nil {
				return err
			}
			if isFull(&a) {
				s.refuseFull(of, a.Err)
				return nil
			}
			delete(s.full, of[0].To.labels)
			if a.Verdict == send.Done || a.Verdict == send.Refuse {
				of, err = s.deliver.Settle(ctx, &a, of)
			}
			rest = append(rest, of...)
			return err
		}
		return nil
	})
	return rest, err
}

// each calls f with the items of each stream, which follow one another.
func each(items []item, f func(of []item) error) error {
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].To.labels == items[0].To.labels {
			n++
		}
		if err := f(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// probe is a line that asks whether Loki takes anything.
func (s *Sender) probe() item {
	return send.OwnItem(s, s.opt.Host, "tallyman-probe", send.ProbeLine)
}

// Send pushes one line beside the log, once, and tells what came back.
func (s *Sender) Send(ctx context.Context, id string) (string, error) {
	return s.opt.Client.Try(ctx, s.request([]item{send.TestItem(s, s.opt.Host, id)}))
}

// Stats are those of now.
func (s *Sender) Stats() send.Stats { return s.RecordSender.Stats(s.line.State()) }

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	return append(s.line.SelfMetrics(), s.RecordSender.SelfMetrics()...)
}
