// SPDX-License-Identifier: Apache-2.0

package promwrite

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

const (
	mostTicks  = 6 // of a request
	mostPoints = 30_000
	mostTries  = 64 // requests for what was refused
	gather     = 5 * time.Second
	ahead      = 5 * time.Minute
	written    = "X-Prometheus-Remote-Write-Samples-Written"
)

// Options are what a sender is made of.
type Options struct {
	// Name is what the settings call the destination.
	Name string
	// Client posts to the address that takes remote write.
	Client *send.Client
	// Reader is where samples come from. Send needs none.
	Reader *spool.Reader
	// External are labels that each series gets that has none of that name.
	External []tallyman.Label
	// Keep and Drop are names of metrics, in which * stands for any text: only those that
	// fit Keep, if there is one, and that do not fit Drop.
	Keep, Drop []string
	// Every is the time between the samples of a series at least; 0 sends all.
	Every time.Duration
	// Host is that of the probe and of Send.
	Host string
	// Logger is told when states change; nil is silent.
	Logger *slog.Logger

	gather, patience, again time.Duration // for tests
	line                    send.LineOptions
}

// Sender sends samples.
type Sender struct {
	opt    Options
	line   *send.Line
	enc    *encoder
	wanted map[string]bool // by the name of a metric
	points []point
	most   int   // points in a request
	every  int64 // the last tick that was sent of those that are wanted, in Options.Every

	version  int       // of remote write
	since    time.Time // when it became 1
	believed bool      // the receiver has shown that it knows 2.0
	poison   bool      // the receiver fails for what is old, and for nothing else
	asked    bool      // for the receiver's date
	date     time.Time // of the receiver, zero when it tells none,
	dateAt   time.Time // and when it said so

	read, sent atomic.Uint64
	refused    map[string]*atomic.Uint64
	begun      time.Time
	mu         sync.Mutex
	last       string // words of the last refusal,
	why        string // its reason,
	at         time.Time
}

// New makes a sender. It connects to nobody.
func New(o Options) (*Sender, error) {
	for _, one := range slices.Concat(o.Keep, o.Drop) {
		if _, err := path.Match(one, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern of names; write for example container_*", one)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.gather, o.patience, o.again = cmp.Or(o.gather, gather), cmp.Or(o.patience, 5*time.Minute), cmp.Or(o.again, 24*time.Hour)
	o.line.Name, o.line.Log = o.Name, o.Logger
	s := &Sender{opt: o, line: send.NewLine(o.Client, o.line), enc: newEncoder(o.External), wanted: map[string]bool{}, most: mostPoints,
		version: 2, begun: time.Now(), refused: map[string]*atomic.Uint64{}}
	for _, reason := range reasons() {
		s.refused[reason] = &atomic.Uint64{}
	}
	return s, nil
}

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.opt.Client.Close()
	for {
		ticks, err := s.opt.Reader.Next(ctx, spool.Part{Ticks: mostTicks, Samples: mostPoints})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.opt.Logger.Error("samples cannot be read, to be sent on; they are tried again", "err", err)
			if !wait(ctx, 2*s.opt.gather) {
				return nil
			}
			continue
		}
		begin := time.Now()
		points := s.take(ticks)
		for rest := points; len(rest) > 0; {
			n := min(len(rest), s.most)
			if err := s.deliver(ctx, rest[:n], nil); err != nil {
				return nil
			}
			rest = rest[n:]
		}
		if err := s.opt.Reader.Commit(); err != nil {
			s.opt.Logger.Warn("how far was sent cannot be kept; after a restart some is sent again", "err", err)
		}
		if len(ticks) < mostTicks && len(points) < mostPoints/2 && !wait(ctx, s.opt.gather-time.Since(begin)) {
			return nil
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// take is what of ticks is wanted. It is valid until the next call.
func (s *Sender) take(ticks []spool.Tick) []point {
	most := 0
	for i := range ticks {
		most = max(most, len(ticks[i].Series))
	}
	s.enc.forget(most)
	s.points = s.points[:0]
	for i := range ticks {
		t := &ticks[i]
		ended := len(t.Values) > 0 && t.Values[0] != t.Values[0]
		if every := s.opt.Every.Milliseconds(); every > 0 && !ended {
			turn := t.Time / every
			if turn == s.every {
				continue
			}
			s.every = turn
		}
		for j, one := range t.Series {
			if s.want(one.Name) {
				s.points = append(s.points, point{s.enc.series(one), t.Time, t.Values[j]})
			}
		}
	}
	s.read.Add(uint64(len(s.points)))
	return s.points
}

// want says whether samples of a metric are sent.
func (s *Sender) want(name string) bool {
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

// request is the request of points. It is valid until the next one.
func (s *Sender) request(points []point, part bool) send.Request {
	h := http.Header{"Content-Encoding": {"snappy"}, "Content-Type": {"application/x-protobuf"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"}}
	if s.version == 2 {
		h["Content-Type"], h["X-Prometheus-Remote-Write-Version"] = []string{"application/x-protobuf;proto=io.prometheus.write.v2.Request"}, []string{"2.0.0"}
	}
	return send.Request{Body: s.enc.encode(points, s.version, part), Header: h}
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
	if s.version == 1 && time.Since(s.since) >= s.opt.again {
		s.version, s.believed = 2, false
	}
	for {
		if points = s.notAhead(points); len(points) == 0 {
			return nil
		}
		a, err := s.post(ctx, points, tries != nil || s.most < mostPoints)
		switch {
		case err != nil:
			return err
		case s.disbelieve(&a):
			continue
		case a.Verdict == send.Split && len(points) > 1:
			s.most = max(1, len(points)/2)
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
	is := func(p point) bool { return p.time > latest }
	if !slices.ContainsFunc(points, is) {
		return points
	}
	rest := slices.DeleteFunc(slices.Clone(points), is)
	s.refuse(len(points)-len(rest), tooNew, fmt.Errorf("%s has another time: samples are more than five minutes ahead of it", s.opt.Client.Host()))
	return rest
}

// mixed reports whether there are several series.
func mixed(points []point) bool {
	return slices.ContainsFunc(points, func(p point) bool { return p.series != points[0].series })
}

// halves calls f with both halves of points: between two ticks if there are several, else
// between two series.
func (s *Sender) halves(points []point, f func(half []point) error) error {
	same := func(i int) bool { return points[i].time == points[i-1].time }
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
	}
	s.sent.Add(uint64(n - bad))
	if bad > 0 {
		reason := otherwise
		if a.Verdict == send.Split {
			reason = tooLarge
		}
		s.refuse(bad, reasonOf(a.Body, reason), cmp.Or(a.Err, fmt.Errorf("%s says that it has taken %d of %d samples", s.opt.Client.Host(), taken, n)))
	}
}

// refuse counts samples that the destination will not take.
func (s *Sender) refuse(n int, reason string, err error) {
	s.refused[reason].Add(uint64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Now()
	if err.Error() != s.last || reason != s.why {
		s.last, s.why = err.Error(), reason
		s.opt.Logger.Warn("samples were refused and are not sent again", "samples", n, "reason", reason, "err", err)
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
	return point{one, time.Now().UnixMilli(), 1}
}

// isolate refuses what the receiver fails for, and sends the rest; a is its answer to all of
// points.
func (s *Sender) isolate(ctx context.Context, points []point, a send.Answer, tries *int) error {
	if *tries < 2 || !mixed(points) {
		s.refuse(len(points), reasonOf(a.Body, serverError), a.Err)
		return nil
	}
	return s.halves(points, func(half []point) error {
		if *tries--; *tries < 0 {
			s.refuse(len(half), reasonOf(a.Body, serverError), a.Err)
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
func (s *Sender) Send(ctx context.Context) (string, error) {
	one := []point{s.own("tallyman_test")}
	a := s.opt.Client.Post(ctx, s.request(one, true))
	if s.disbelieve(&a) {
		a = s.opt.Client.Post(ctx, s.request(one, true))
	}
	if a.Err != nil {
		return "", a.Err
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))) + fmt.Sprintf(" to remote write %d.0", s.version), nil
}

// Stats are how a sender gets on.
type Stats struct {
	queue.State
	Sent, Refused, Dropped uint64
	// Waiting are the samples that are not confirmed, wanted or not; Lag is since when.
	Waiting uint64
	Lag     time.Duration
	// Refusal is what the receiver said when it refused something in the last hour, and Mend
	// what would help; empty when it did not, or when that is not known.
	Refusal, Mend string
}

// Stats are those of now.
func (s *Sender) Stats() Stats {
	in := s.opt.Reader.Stats()
	out := Stats{State: s.line.State(), Sent: s.sent.Load(), Waiting: in.Waiting, Lag: s.lag(in)}
	for _, n := range in.Dropped {
		out.Dropped += n
	}
	for _, n := range s.refused {
		out.Refused += n.Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < time.Hour {
		out.Refusal, out.Mend = s.last, mends[s.why]
	}
	return out
}

// lag is for how long something waits.
func (s *Sender) lag(in spool.Stats) time.Duration {
	switch {
	case in.Waiting == 0:
		return 0
	case in.Confirmed.IsZero():
		return time.Since(s.begun)
	}
	return max(0, time.Since(in.Confirmed))
}

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	const what = "samples"
	name := s.opt.Name
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	out := append(s.line.SelfMetrics(),
		queue.LagMetric(name, what, func() float64 { return s.lag(s.opt.Reader.Stats()).Seconds() }),
		queue.SentMetric(name, what, read(&s.sent)),
		queue.ReadMetric(name, what, read(&s.read)),
		queue.InFlightMetric(name, what, func() float64 {
			final := s.sent.Load() // before read, so that it is not below zero
			for _, n := range s.refused {
				final += n.Load()
			}
			return float64(s.read.Load() - final)
		}))
	for _, reason := range spool.Reasons() {
		out = append(out, queue.DroppedMetric(name, what, reason, func() float64 { return float64(s.opt.Reader.Stats().Dropped[reason]) }))
	}
	for _, reason := range reasons() {
		out = append(out, queue.RefusedMetric(name, what, reason, read(s.refused[reason])))
	}
	return out
}
