// SPDX-License-Identifier: Apache-2.0

package promwrite

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

const (
	mostTries = 64 // requests for what was refused
	ahead     = 5 * time.Minute
	metadata  = time.Hour // between two requests with it to 1.0
	written   = "X-Prometheus-Remote-Write-Samples-Written"
)

// Options are what a sender is made of.
type Options struct {
	// SampleOptions say what is sent. Send needs but their name.
	send.SampleOptions
	// Client posts to the address that takes remote write.
	Client *send.Client
	// External are labels that each series gets that has none of that name.
	External []tallyman.Label
	// Host is that of the probe and of Send.
	Host string
	// Protocol is the version of remote write, 1 or 2; 0 finds it out.
	Protocol int

	patience, again time.Duration // for tests
}

// Sender sends samples.
type Sender struct {
	*send.SampleSender[series]
	opt    Options
	line   *send.Line
	ledger *send.Ledger
	size   *send.Size
	enc    *encoder

	version  int             // of remote write
	since    time.Time       // when it became 1
	believed bool            // the receiver has shown that it knows 2.0
	poison   bool            // the receiver fails for what is old, and for nothing else
	asked    bool            // for the receiver's date
	date     time.Time       // of the receiver, zero when it tells none,
	dateAt   time.Time       // and when it said so
	told     map[string]bool // metrics whose type, unit and help were sent to 1.0,
	toldAt   time.Time       // since then
}

// New makes a sender. It connects to nobody.
func New(o Options) (*Sender, error) {
	o.patience, o.again = cmp.Or(o.patience, 5*time.Minute), cmp.Or(o.again, 24*time.Hour)
	s := &Sender{opt: o, line: send.NewLine(o.Client, o.LineOptions()), ledger: send.NewLedger(o.Name, send.Samples, reasons, o.Logger), size: send.NewPointSize(), enc: newEncoder(o.External), version: 2}
	if o.Protocol == 1 {
		s.version = 1
	}
	var err error
	s.SampleSender, err = send.NewSampleSender(o.SampleOptions, s, s.ledger, s.size)
	return s, err
}

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.opt.Client.Close()
	return s.SampleSender.Run(ctx)
}

// Series implements send.SampleSink.
func (s *Sender) Series(one *spool.Series) *series { return s.enc.series(one) }

// Forget implements send.SampleSink.
func (s *Sender) Forget() { s.enc.newTable() }

// Deliver implements send.SampleSink.
func (s *Sender) Deliver(ctx context.Context, points []point) error {
	err := s.deliver(ctx, points, nil)
	if err == nil && s.version == 1 {
		err = s.tell(ctx, points)
	}
	return err
}

// tell sends type, unit and help of metrics to a receiver of 1.0, each once in an hour, in a
// request without samples. A receiver that refuses it is asked again after an hour.
func (s *Sender) tell(ctx context.Context, points []point) error {
	if time.Since(s.toldAt) >= metadata {
		s.told, s.toldAt = map[string]bool{}, time.Now()
	}
	var fresh []*series
	for i := range points {
		if one := points[i].Series; !s.told[one.name] {
			s.told[one.name] = true
			fresh = append(fresh, one)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	_, err := s.line.Once(ctx, send.Request{Body: s.enc.metadata(fresh), Header: header(1)})
	return err
}

// request is the request of points. It is valid until the next one.
func (s *Sender) request(points []point, part bool) send.Request {
	return send.Request{Body: s.enc.encode(points, s.version, part), Header: header(s.version)}
}

func header(version int) http.Header {
	h := http.Header{"Content-Encoding": {"snappy"}, "Content-Type": {"application/x-protobuf"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"}}
	if version == 2 {
		h["Content-Type"], h["X-Prometheus-Remote-Write-Version"] = []string{"application/x-protobuf;proto=io.prometheus.write.v2.Request"}, []string{"2.0.0"}
	}
	return h
}

// deliver sends points until each is sent or refused. tries is how many requests there may
// still be for points that were refused, nil for those that were not. The error is that ctx
// has ended.
func (s *Sender) deliver(ctx context.Context, points []point, tries *int) error {
	if !s.asked {
		if err := s.askDate(ctx); err != nil {
			return err
		}
	}
	if s.version == 1 && s.opt.Protocol == 0 && time.Since(s.since) >= s.opt.again {
		s.version, s.believed = 2, false
	}
	for {
		if points = s.notAhead(points); len(points) == 0 {
			return nil
		}
		a, err := s.post(ctx, points, tries != nil || !s.size.Whole())
		switch {
		case err != nil:
			return err
		case s.disbelieve(&a):
			continue
		case a.Verdict == send.Hold: // nothing else comes here with it
			if !s.line.Held(ctx, a.Err) {
				return ctx.Err()
			}
			continue
		case a.Verdict == send.Split && len(points) > 1:
			s.size.Refused(len(points))
			return s.halves(points, func(half []point) error { return s.deliver(ctx, half, tries) })
		case a.Verdict == send.Refuse && a.Status == http.StatusBadRequest && s.version == 1 && mixed(points):
			if tries == nil {
				tries = new(int)
				*tries = mostTries
			}
			if *tries < 2 {
				break
			}
			return s.halves(points, func(half []point) error {
				if *tries--; *tries < 0 {
					s.settle(a, half)
					return nil
				}
				return s.deliver(ctx, half, tries)
			})
		case a.Verdict == send.Retry || a.Verdict == send.Hold:
			passes := s.poison && a.Status == http.StatusInternalServerError
			if a.Status == http.StatusInternalServerError && !passes {
				if passes, err = s.probe(ctx); err != nil {
					return err
				}
			}
			if s.poison = passes; !passes {
				continue
			}
			left := mostTries
			return s.isolate(ctx, points, a, &left)
		}
		s.settle(a, points)
		return nil
	}
}

// post posts points until there is an answer that says more than to wait, or one with 5xx for
// long. When it is known that what is old makes the receiver fail it posts once.
func (s *Sender) post(ctx context.Context, points []point, part bool) (a send.Answer, err error) {
	if s.poison {
		a, err = s.line.Once(ctx, s.request(points, part))
	} else {
		a, err = s.line.Send(ctx, s.request(points, part), s.opt.patience)
	}
	s.note(&a)
	return a, err
}

// disbelieve goes back to 1.0 when an answer to 2.0 does not show that it is known.
func (s *Sender) disbelieve(a *send.Answer) bool {
	if s.version == 1 || a.Verdict == send.Retry || a.Verdict == send.Hold || a.Verdict == send.Split {
		return false
	}
	_, knows := writtenOf(a)
	s.believed = s.believed || knows
	if knows || s.believed && a.Verdict == send.Refuse && a.Status != http.StatusUnsupportedMediaType {
		return false
	}
	if s.opt.Protocol == 2 {
		a.Verdict, a.Err = send.Hold, fmt.Errorf("%s does not show that it knows remote write 2.0, and may have stored nothing; leave protocol out, or set protocol: 1", s.opt.Client.Host())
		return false
	}
	s.version, s.since = 1, time.Now()
	return true
}

// writtenOf is how many samples an answer says were taken; ok is false when it does not.
func writtenOf(a *send.Answer) (n int, ok bool) {
	n, err := strconv.Atoi(a.Header.Get(written))
	return n, err == nil && n >= 0
}

// note notes the receiver's date.
func (s *Sender) note(a *send.Answer) {
	if d, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		s.date, s.dateAt = d, time.Now()
	}
}

// askDate asks for the date of the receiver, with a request of nothing.
func (s *Sender) askDate(ctx context.Context) error {
	version := s.version
	s.version = 1
	a, err := s.line.Send(ctx, s.request(nil, false), time.Nanosecond)
	s.version = version
	s.note(&a)
	s.asked = true
	return err
}

// notAhead takes out what is too far ahead of the receiver's clock.
func (s *Sender) notAhead(points []point) []point {
	if s.date.IsZero() {
		return points
	}
	latest := s.date.Add(time.Since(s.dateAt) + ahead).UnixMilli()
	is := func(p point) bool { return p.Time > latest }
	if !slices.ContainsFunc(points, is) {
		return points
	}
	rest := slices.DeleteFunc(slices.Clone(points), is)
	s.ledger.Refuse(len(points)-len(rest), tooNew, fmt.Errorf("%s has another time: samples are more than five minutes ahead of it", s.opt.Client.Host()))
	return rest
}

// mixed reports whether there are several series.
func mixed(points []point) bool {
	return slices.ContainsFunc(points, func(p point) bool { return p.Series != points[0].Series })
}

// halves calls f with both halves of points: between two ticks if there are several, else
// between two series.
func (s *Sender) halves(points []point, f func(half []point) error) error {
	same := func(i int) bool { return points[i].Time == points[i-1].Time }
	middle := len(points) / 2
	at := middle
	for at < len(points) && same(at) {
		at++
	}
	if at == len(points) {
		for at = middle; at > 0 && same(at); {
			at--
		}
	}
	at = cmp.Or(at, middle)
	if err := f(points[:at]); err != nil {
		return err
	}
	return f(points[at:])
}

// settle counts points whose answer is final.
func (s *Sender) settle(a send.Answer, points []point) {
	n := len(points)
	bad := 0
	taken, says := writtenOf(&a)
	switch {
	case a.Verdict == send.Done && says && s.version == 2:
		bad = max(0, n-taken)
	case a.Verdict == send.Done:
	case says && s.version == 2:
		bad = min(n, max(1, n-taken))
	default:
		bad = n
	}
	if a.Verdict == send.Done {
		s.poison = false
		s.size.Passed()
	}
	s.ledger.Sent(n - bad)
	if bad > 0 {
		reason := send.Otherwise
		if a.Verdict == send.Split {
			reason = send.TooLarge
		}
		s.ledger.Refuse(bad, reasons.Of(a.Body, reason), cmp.Or(a.Err, fmt.Errorf("%s says that it has taken %d of %d samples", s.opt.Client.Host(), taken, n)))
	}
}

// probe reports whether the receiver takes a sample of now, in a series of its own.
func (s *Sender) probe(ctx context.Context) (passes bool, err error) {
	a, err := s.line.Once(ctx, s.request(s.notAhead([]point{s.own("tallyman_forward_probe")}), true))
	if err != nil {
		return false, err
	}
	s.note(&a)
	_, knows := writtenOf(&a)
	return a.Verdict == send.Done && (s.version == 1 || knows), nil
}

// own is a sample that is in no spool.
func (s *Sender) own(name string) point {
	one := s.enc.make(name, []tallyman.Label{{Name: "host", Value: s.opt.Host}, {Name: "to", Value: s.opt.Name}})
	return point{Series: one, Time: time.Now().UnixMilli(), Value: 1}
}

// isolate refuses what the receiver fails for, and sends the rest; a is its answer to all of
// points.
func (s *Sender) isolate(ctx context.Context, points []point, a send.Answer, tries *int) error {
	if *tries < 2 || !mixed(points) {
		s.ledger.Refuse(len(points), reasons.Of(a.Body, send.ServerError), a.Err)
		return nil
	}
	return s.halves(points, func(half []point) error {
		if *tries--; *tries < 0 {
			s.ledger.Refuse(len(half), reasons.Of(a.Body, send.ServerError), a.Err)
			return nil
		}
		b, err := s.line.Once(ctx, s.request(half, true))
		if err != nil {
			return err
		}
		s.note(&b)
		switch {
		case b.Status == http.StatusInternalServerError:
			return s.isolate(ctx, half, b, tries)
		case b.Verdict == send.Done:
			poison := s.poison
			s.settle(b, half)
			s.poison = poison
			return nil
		}
		return s.deliver(ctx, half, nil)
	})
}

// Send sends one sample beside the spool and tells what came back.
func (s *Sender) Send(ctx context.Context, _ string) (string, error) {
	defer s.opt.Client.Close()
	one := []point{s.own("tallyman_test")}
	a := s.opt.Client.Post(ctx, s.request(one, true))
	if s.disbelieve(&a) {
		a = s.opt.Client.Post(ctx, s.request(one, true))
	}
	if a.Err != nil {
		return "", a.Err
	}
	return fmt.Sprintf("%s to remote write %d.0", a.Words(), s.version), nil
}

// Stats are those of now.
func (s *Sender) Stats() send.Stats { return s.SampleSender.Stats(s.line.State()) }

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	return append(s.line.SelfMetrics(), s.SampleSender.SelfMetrics()...)
}
