// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/forward/send"
)

const (
	mostLabels = 12      // Loki takes 15, and adds some
	mostText   = 1 << 20 // of a request, unpacked
	leastText  = 16 << 10
	ahead      = 5 * time.Minute
	mostTries  = 64 // requests to find what the other side fails for
)

// Options are what a sender is made of.
type Options struct {
	// Name is what the settings call the destination; its mark is kept under it.
	Name string
	// Client posts to …/loki/api/v1/push.
	Client *send.Client
	// Log is where records come from. Send needs none.
	Log tallyman.RecordLog
	// Labels are the names of labels that streams have there; empty for host, source, name,
	// workload and stream. External are set beside them, and win.
	Labels   []string
	External []tallyman.Label
	// Only selects streams: those that all matchers of one of them select; empty for all.
	Only [][]tallyman.Matcher
	// Host is the label host of streams that have none.
	Host string
	// Gap is told what was lost before it was read; nil for nobody.
	Gap func(tallyman.Gap)
	// Logger is told when states change; nil is silent.
	Logger *slog.Logger

	every, patience, again time.Duration // for tests
	line                   send.LineOptions
}

// Sender sends records.
type Sender struct {
	opt  Options
	line *send.Line
	most int                  // bytes of text in a request
	full map[string]time.Time // Loki's streams that it has no room for, and when that was tried
	to   map[*tallyman.Stream]*stream
	all  []item
	buf  []byte
	pack []byte
	// proof is something that was taken. To send it again shows whether anything is, and
	// leaves nothing behind.
	proof item

	read, sent, dropped, cuts atomic.Uint64
	refused                   map[string]*atomic.Uint64
	mark                      atomic.Uint64
	clean                     atomic.Int64 // all that was appended before is sent, nanoseconds
	mu                        sync.Mutex
	last                      string // words of the last refusal,
	why                       string // its reason,
	at                        time.Time
}

// New makes a sender. It connects to nobody.
func New(o Options) (*Sender, error) {
	if len(o.Labels) == 0 {
		o.Labels = []string{"host", "source", "name", "workload", "stream"}
	}
	if n := len(o.Labels) + len(o.External); n > mostLabels {
		return nil, fmt.Errorf("%d labels are too many for Loki; at most %d may be", n, mostLabels)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.every, o.patience, o.again = cmp.Or(o.every, time.Second), cmp.Or(o.patience, 5*time.Minute), cmp.Or(o.again, time.Minute)
	o.line.Name, o.line.Log = o.Name, o.Logger
	s := &Sender{opt: o, line: send.NewLine(o.Client, o.line), most: mostText, full: map[string]time.Time{}, to: map[*tallyman.Stream]*stream{}, refused: map[string]*atomic.Uint64{}}
	for _, reason := range reasons() {
		s.refused[reason] = &atomic.Uint64{}
	}
	return s, nil
}

// Run sends until ctx ends. Loki may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.opt.Client.Close()
	mark, known := s.opt.Log.Mark(s.opt.Name)
	if !known {
		mark = s.opt.Log.LastMark() // a new destination begins now
		s.commit(mark)
	}
	s.mark.Store(uint64(mark))
	s.clean.Store(time.Now().UnixNano())
	r := s.opt.Log.ReadRecords(mark, s.want)
	defer r.Close()
	committed, first := mark, true
	for {
		begin, last := time.Now(), s.opt.Log.LastMark()
		p, err := r.Next(ctx, s.most)
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return nil
		case err != nil:
			s.opt.Logger.Error("records cannot be read, to be sent on; they are tried again", "err", err)
			if !wait(ctx, 10*s.opt.every) {
				return nil
			}
			continue
		}
		items, bytes := s.items(p.Streams)
		if first && len(items) > 0 {
			first = false
			if t := items[0].time; known && t < s.clean.Load() {
				s.clean.Store(t)
			}
		}
		if err := s.deliver(ctx, items); err != nil {
			return nil
		}
		if p.Gap.Records > 0 {
			s.dropped.Add(p.Gap.Records)
			s.opt.Logger.Warn("records were gone before they could be sent on", "records", p.Gap.Records)
			if s.opt.Gap != nil {
				s.opt.Gap(p.Gap)
			}
		}
		// Without records the mark may wait: what is read again then costs little.
		if p.Mark != committed && (len(items) > 0 || p.Gap.Records > 0 || p.Mark-committed > 1000) {
			if s.commit(p.Mark) {
				committed = p.Mark
			}
		}
		s.mark.Store(uint64(p.Mark))
		if p.Mark >= last {
			s.clean.Store(begin.UnixNano())
		}
		if bytes < s.most/2 && p.Mark >= last && !wait(ctx, s.opt.every) {
			return nil
		}
	}
}

// commit keeps the mark. When that fails what follows is sent again after a restart.
func (s *Sender) commit(m tallyman.Mark) bool {
	err := s.opt.Log.CommitMark(s.opt.Name, m)
	if err != nil {
		s.opt.Logger.Warn("how far was sent cannot be kept; after a restart some is sent again", "err", err)
	}
	return err == nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// want says whether records of a stream are sent, and to which stream of Loki's.
func (s *Sender) want(st *tallyman.Stream) (string, bool) {
	mixed := st.Label("overflow") != ""
	if len(s.opt.Only) > 0 && !mixed && !slices.ContainsFunc(s.opt.Only, st.Matches) {
		return "", false
	}
	return streamOf(st, s.opt.Labels, s.opt.External, s.opt.Host).labels, true
}

// fits reports whether a record of a stream that others fell into is wanted.
func (s *Sender) fits(st *tallyman.Stream, r *tallyman.Record) bool {
	return slices.ContainsFunc(s.opt.Only, func(matchers []tallyman.Matcher) bool {
		return !slices.ContainsFunc(matchers, func(m tallyman.Matcher) bool { return !m.Matches(tallyman.LabelOf(st, r.Meta, m.Name)) })
	})
}

// items are the records of a part, as they go out. They are valid until the next call.
func (s *Sender) items(groups []tallyman.StreamRecords) (items []item, bytes int) {
	items = s.all[:0]
	latest := time.Now().Add(ahead).UnixNano()
	if len(s.to) > 50_000 {
		clear(s.to)
	}
	for _, g := range groups {
		to := s.to[g.Stream]
		if to == nil {
			to = streamOf(g.Stream, s.opt.Labels, s.opt.External, s.opt.Host)
			s.to[g.Stream] = to
		}
		sift := len(s.opt.Only) > 0 && g.Stream.Label("overflow") != ""
		for i := range g.Records {
			r := &g.Records[i]
			if sift && !s.fits(g.Stream, r) {
				continue
			}
			line, short := cut(r.Line)
			if short {
				s.cuts.Add(1)
			}
			bytes += len(line)
			items = append(items, item{stream: to, time: min(r.Time, latest), line: line, meta: r.Meta})
		}
	}
	s.all = items
	s.read.Add(uint64(len(items)))
	return items, bytes
}

// request is the request of items. It is valid until the next one.
func (s *Sender) request(items []item) send.Request {
	s.buf = appendPush(s.buf[:0], items)
	if n := s2.MaxEncodedLen(len(s.buf)); cap(s.pack) < n {
		s.pack = make([]byte, n)
	}
	return send.Request{Body: s2.EncodeSnappy(s.pack[:cap(s.pack)], s.buf), Header: http.Header{"Content-Type": {"application/x-protobuf"}}}
}

// deliver sends items until each is sent or refused. The error is that ctx has ended.
func (s *Sender) deliver(ctx context.Context, items []item) error {
	items, err := s.withoutFull(ctx, items)
	if err != nil || len(items) == 0 {
		return err
	}
	for {
		a, err := s.line.Send(ctx, s.request(items), s.opt.patience)
		if err != nil {
			return err
		}
		switch {
		case a.Verdict == send.Split && len(items) > 1:
			s.shrink()
			half := len(items) / 2
			if err := s.deliver(ctx, items[:half]); err != nil {
				return err
			}
			return s.deliver(ctx, items[half:])
		case a.Verdict != send.Retry:
			s.settle(a, items)
			return nil
		case a.Status == http.StatusTooManyRequests:
			return s.byStream(ctx, items)
		}
		left, err := s.isolate(ctx, items)
		if err != nil || len(left) == 0 {
			return err
		}
		items = left
	}
}

// settle counts items whose answer is final.
func (s *Sender) settle(a send.Answer, items []item) {
	n := len(items)
	if a.Verdict == send.Done {
		s.sent.Add(uint64(n))
		s.prove(&items[0])
		return
	}
	bad, reason := n, tooLarge
	if a.Verdict == send.Refuse {
		bad, reason = refusedOf(a.Body, items), reasonOf(a.Body)
	}
	s.sent.Add(uint64(n - bad))
	s.refuse(bad, reason, a.Err)
}

// prove keeps a copy of what was taken.
func (s *Sender) prove(i *item) {
	if len(i.line) > 4<<10 {
		return
	}
	s.proof = item{stream: i.stream, time: i.time, line: append(s.proof.line[:0], i.line...), meta: i.meta}
}

// refuse counts records that Loki will not take.
func (s *Sender) refuse(n int, reason string, err error) {
	s.refused[reason].Add(uint64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why, s.at = reason, time.Now()
	if err != nil && err.Error() != s.last {
		s.last = err.Error()
		s.opt.Logger.Warn("records were refused and are not sent again", "records", n, "reason", reason, "err", err)
	}
}

// byStream sends the items of each stream for itself, as 429 lasts. Those of streams that
// Loki has no room for are refused; when it is the rate, in halves at last, as one request
// may be more than Loki takes at once.
func (s *Sender) byStream(ctx context.Context, items []item) error {
	return each(items, func(of []item) error { return s.squeeze(ctx, of, 3) })
}

// squeeze sends the items of one stream, and halves of them when that was tried so often.
func (s *Sender) squeeze(ctx context.Context, of []item, often int) error {
	for n := 1; ; n++ {
		a, err := s.line.Send(ctx, s.request(of), time.Nanosecond)
		switch {
		case err != nil:
			return err
		case a.Verdict == send.Split && len(of) > 1:
			return s.deliver(ctx, of)
		case a.Verdict != send.Retry:
			s.settle(a, of)
			return nil
		case a.Status != http.StatusTooManyRequests:
			return s.deliver(ctx, of)
		case reasonOf(a.Body) == streamLimit:
			s.full[of[0].labels] = time.Now()
			s.refuse(len(of), streamLimit, a.Err)
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
}

// shrink makes requests smaller than the last one.
func (s *Sender) shrink() { s.most = max(leastText, min(s.most, len(s.buf))/2) }

// withoutFull takes the items out whose streams Loki has no room for: now and then one try
// is made of each.
func (s *Sender) withoutFull(ctx context.Context, items []item) ([]item, error) {
	if len(s.full) == 0 {
		return items, nil
	}
	var rest []item
	err := each(items, func(of []item) error {
		tried, is := s.full[of[0].labels]
		switch {
		case !is:
			rest = append(rest, of...)
		case time.Since(tried) < s.opt.again:
			s.refuse(len(of), streamLimit, nil)
		default:
			a, err := s.line.Once(ctx, s.request(of))
			if err != nil {
				return err
			}
			if a.Status == http.StatusTooManyRequests && reasonOf(a.Body) == streamLimit {
				s.full[of[0].labels] = time.Now()
				s.refuse(len(of), streamLimit, a.Err)
				return nil
			}
			delete(s.full, of[0].labels)
			if a.Verdict == send.Done || a.Verdict == send.Refuse {
				s.settle(a, of)
			} else {
				rest = append(rest, of...)
			}
		}
		return nil
	})
	return rest, err
}

// each calls f with the items of each stream, which follow one another.
func each(items []item, f func(of []item) error) error {
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].labels == items[0].labels {
			n++
		}
		if err := f(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// isolate looks for what makes the other side fail with 5xx. First something that it has
// taken before is sent again, which shows whether it takes anything. Then come halves
// of the items, and halves of those that fail: one that fails alone, while others pass, is
// refused. What is left is given back.
func (s *Sender) isolate(ctx context.Context, items []item) (left []item, err error) {
	passed, tries := false, mostTries
	post := func(items []item) (a send.Answer, err error) {
		tries--
		a, err = s.line.Once(ctx, s.request(items))
		passed = passed || a.Verdict == send.Done
		return a, err
	}
	if s.proof.stream != nil {
		if _, err := post([]item{s.proof}); err != nil {
			return nil, err
		}
	}
	var look func(items []item) error // of items that have failed
	look = func(items []item) error {
		if len(items) == 1 || tries <= 0 {
			if passed && len(items) == 1 {
				s.refuse(1, serverError, fmt.Errorf("%s fails for one record and takes others", s.opt.Client.Host()))
			} else {
				left = append(left, items...)
			}
			return nil
		}
		var failed [][]item
		for _, half := range [][]item{items[:len(items)/2], items[len(items)/2:]} {
			a, err := post(half)
			switch {
			case err != nil:
				return err
			case a.Verdict == send.Done || a.Verdict == send.Refuse:
				s.settle(a, half)
			case a.Status/100 == 5:
				failed = append(failed, half)
			default:
				left = append(left, half...)
			}
		}
		for _, half := range failed {
			if err := look(half); err != nil {
				return err
			}
		}
		return nil
	}
	if !passed && len(items) == 1 {
		return items, nil
	}
	err = look(items)
	return left, err
}

// Send pushes one line beside the log, once, and tells what came back.
func (s *Sender) Send(ctx context.Context, id, line string) (string, error) {
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: s.opt.Host}, {Name: "name", Value: "tallyman-test"}, {Name: "source", Value: "tallyman"}}}
	to := streamOf(st, s.opt.Labels, s.opt.External, s.opt.Host)
	a := s.opt.Client.Post(ctx, s.request([]item{{stream: to, time: time.Now().UnixNano(), line: []byte(line), meta: []tallyman.Label{{Name: "id", Value: id}}}}))
	if a.Err != nil {
		return "", a.Err
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))), nil
}

// Stats are how a sender gets on.
type Stats struct {
	queue.State
	Sent, Refused, Dropped uint64
	// Waiting is how many records of the store are behind the mark, wanted or not; Lag is
	// since when.
	Waiting uint64
	Lag     time.Duration
	// Refusal is what Loki said when it refused something in the last hour, and Mend the
	// setting of Loki's that would help; empty when it did not, or when there is none.
	Refusal, Mend string
}

// Stats are those of now.
func (s *Sender) Stats() Stats {
	out := Stats{State: s.line.State(), Sent: s.sent.Load(), Dropped: s.dropped.Load(), Lag: s.lag()}
	if last := uint64(s.opt.Log.LastMark()); last > s.mark.Load() {
		out.Waiting = last - s.mark.Load()
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
func (s *Sender) lag() time.Duration {
	clean := s.clean.Load()
	if clean == 0 || uint64(s.opt.Log.LastMark()) <= s.mark.Load() {
		return 0
	}
	return max(0, time.Since(time.Unix(0, clean)))
}

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	const what = "records"
	name := s.opt.Name
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	labels := []tallyman.Label{{Name: "to", Value: name}, {Name: "what", Value: what}}
	out := append(s.line.SelfMetrics(),
		queue.LagMetric(name, what, func() float64 { return s.lag().Seconds() }),
		queue.SentMetric(name, what, read(&s.sent)),
		queue.DroppedMetric(name, what, "retention", read(&s.dropped)),
		queue.ReadMetric(name, what, read(&s.read)),
		queue.InFlightMetric(name, what, func() float64 {
			final := s.sent.Load() // before read, so that it is not below zero
			for _, n := range s.refused {
				final += n.Load()
			}
			return float64(s.read.Load() - final)
		}),
		tallyman.SelfMetric{Desc: shortened, Labels: labels, Read: read(&s.cuts)})
	for _, reason := range reasons() {
		out = append(out, queue.RefusedMetric(name, what, reason, read(s.refused[reason])))
	}
	return out
}

var shortened = &tallyman.Desc{Name: "tallyman_forward_cut_total", Type: tallyman.Counter, Help: "Lines of which only the beginning was sent on, as they are longer than the destination takes"}
