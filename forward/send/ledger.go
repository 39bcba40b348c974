// SPDX-License-Identifier: Apache-2.0

package send

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/forward/queue"
)

// The reasons that every destination has.
const (
	TooLarge    = "too_large"    // alone it is more than the destination takes
	ServerError = "server_error" // the destination fails for it, and takes others
	Otherwise   = "refused"
)

// Reason is why a destination refuses something.
type Reason struct {
	// Name is the value of the label reason.
	Name string
	// Words are in what the destination says then, in lower case; one of them is enough.
	Words []string
	// Mend is what would help, for a person; empty when that is not known.
	Mend string
}

// Reasons are those of one kind of destination.
type Reasons []Reason

// Of is the name of the first reason whose words are in what a destination said; or is for
// none.
func (r Reasons) Of(said []byte, or string) string {
	lower := bytes.ToLower(said)
	for i := range r {
		for _, text := range r[i].Words {
			if bytes.Contains(lower, []byte(text)) {
				return r[i].Name
			}
		}
	}
	return or
}

// mend is what would help against a reason.
func (r Reasons) mend(name string) string {
	for i := range r {
		if r[i].Name == name {
			return r[i].Mend
		}
	}
	return ""
}

// Stats are how a sender gets on.
type Stats struct {
	queue.State
	// Sent are confirmed, Refused will never be taken, Dropped were gone before they were
	// read, all since the start.
	Sent, Refused, Dropped uint64
	// Waiting is how much is not confirmed, wanted or not; Lag is since when.
	Waiting uint64
	Lag     time.Duration
	// Refusal is what the destination said when it refused something in the last hour, and
	// Mend what would help; empty when it did not, or when that is not known.
	Refusal, Mend string
	// Notice is what else a person should know; empty for nothing.
	Notice string
}

// Ledger counts what becomes of what was read: read = sent + refused + in flight. All of it
// may be used concurrently.
type Ledger struct {
	to, what string
	reasons  Reasons
	log      *slog.Logger

	read, sent, cut, lost atomic.Uint64
	refused               map[string]*atomic.Uint64
	names                 []string
	mu                    sync.Mutex
	last                  string // words of the last refusal,
	why                   string // its reason,
	at                    time.Time
	notice                string
	noticed               time.Time
}

// NewLedger makes one of a destination for what, records or samples. A nil log is silent.
func NewLedger(to, what string, reasons Reasons, log *slog.Logger) *Ledger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{to: to, what: what, reasons: reasons, log: log, refused: map[string]*atomic.Uint64{}}
	for i := range reasons {
		l.reason(reasons[i].Name)
	}
	for _, name := range []string{TooLarge, ServerError, Otherwise} {
		l.reason(name)
	}
	return l
}

func (l *Ledger) reason(name string) {
	if l.refused[name] == nil {
		l.refused[name] = &atomic.Uint64{}
		l.names = append(l.names, name)
	}
}

// Read counts what was read, to be sent.
func (l *Ledger) Read(n int) { l.read.Add(uint64(n)) }

// Sent counts what the destination has confirmed.
func (l *Ledger) Sent(n int) { l.sent.Add(uint64(n)) }

// Cut counts a line of which only the beginning is sent.
func (l *Ledger) Cut() { l.cut.Add(1) }

// Counts are all numbers of now. Refused has an entry for each reason.
func (l *Ledger) Counts() (read, sent uint64, refused map[string]uint64) {
	sent = l.sent.Load() // before read, so that nothing is below zero
	refused = map[string]uint64{}
	for name, n := range l.refused {
		refused[name] = n.Load()
	}
	return l.read.Load(), sent, refused
}

// Refuse counts what the destination will not take. The reason is one of those of
// NewLedger; err is what it said, without secrets, nil when it was not asked.
func (l *Ledger) Refuse(n int, reason string, err error) {
	if n == 0 {
		return
	}
	if l.refused[reason] == nil {
		reason = Otherwise
	}
	l.refused[reason].Add(uint64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = time.Now()
	if l.why == "" {
		l.why = reason
	}
	if err != nil && (err.Error() != l.last || reason != l.why) {
		l.last, l.why = err.Error(), reason
		l.log.Warn("records or samples were refused and are not sent again", l.what, n, "reason", reason, "err", err)
	}
}

// Lost counts that nobody knows any more how far was sent, and tells it.
func (l *Ledger) Lost(notice string) {
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notice, l.noticed = notice, time.Now()
	l.log.Warn("how far was sent is lost", "notice", notice)
}

// Stats are those of now, as far as a ledger knows them.
func (l *Ledger) Stats(state queue.State) Stats {
	out := Stats{State: state}
	_, sent, refused := l.Counts()
	out.Sent = sent
	for _, n := range refused {
		out.Refused += n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < time.Hour {
		out.Refusal, out.Mend = l.last, l.reasons.mend(l.why)
	}
	if time.Since(l.noticed) < 24*time.Hour {
		out.Notice = l.notice
	}
	return out
}

// SelfMetrics are the numbers of the ledger.
func (l *Ledger) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	labels := []tallyman.Label{{Name: "to", Value: l.to}, {Name: "what", Value: l.what}}
	out := []tallyman.SelfMetric{
		queue.SentMetric(l.to, l.what, read(&l.sent)),
		queue.ReadMetric(l.to, l.what, read(&l.read)),
		queue.InFlightMetric(l.to, l.what, func() float64 {
			read, final, refused := l.Counts()
			for _, n := range refused {
				final += n
			}
			return float64(read - final)
		}),
		{Desc: positions, Labels: labels, Read: read(&l.lost)},
	}
	if l.what == Records {
		out = append(out, tallyman.SelfMetric{Desc: shortened, Labels: labels, Read: read(&l.cut)})
	}
	for _, name := range l.names {
		out = append(out, queue.RefusedMetric(l.to, l.what, name, read(l.refused[name])))
	}
	return out
}

// What is sent, as the label what.
const (
	Records = "records"
	Samples = "samples"
)

var (
	shortened = &tallyman.Desc{Name: "tallyman_forward_cut_total", Type: tallyman.Counter, Help: "Lines of which only the beginning was sent on, as they are longer than the destination takes"}
	positions = &tallyman.Desc{Name: "tallyman_forward_positions_lost_total", Type: tallyman.Counter, Help: "How often it was lost how far had been sent, so that it begins anew with what comes"}
)

// wait waits; it reports false when ctx has ended first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
