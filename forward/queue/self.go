// SPDX-License-Identifier: Apache-2.0

package queue

import "tallyman"

// SelfMetrics are the queue's own numbers, counted since Open. to is the destination, as
// the settings call it, and what is in the queue.
func (q *Queue) SelfMetrics(to, what string) []tallyman.SelfMetric {
	labels := func(more ...tallyman.Label) []tallyman.Label {
		return append([]tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, more...)
	}
	read := func(of func(s *Stats) float64) func() float64 {
		return func() float64 {
			s := q.Stats()
			return of(&s)
		}
	}
	out := []tallyman.SelfMetric{
		{Desc: queued, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Length) })},
		{Desc: queuedBytes, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Bytes) })},
		{Desc: lag, Labels: labels(), Read: read(func(s *Stats) float64 {
			if s.Oldest.IsZero() {
				return 0
			}
			return max(0, q.opt.Now().Sub(s.Oldest).Seconds())
		})},
		{Desc: sent, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Sent) })},
		{Desc: retries, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Repeated) })},
		{Desc: failures, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Failures) })},
		{Desc: refused, Labels: labels(), Read: read(func(s *Stats) float64 { return float64(s.Dropped[Refused].Count) })},
	}
	for _, why := range Reasons() {
		if why == Refused {
			continue
		}
		out = append(out, tallyman.SelfMetric{Desc: dropped, Labels: labels(tallyman.Label{Name: "reason", Value: string(why)}),
			Read: read(func(s *Stats) float64 { return float64(s.Dropped[why].Count) })})
	}
	return out
}

// LagMetric is the age of the oldest of what waits for a destination.
func LagMetric(to, what string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: lag, Labels: []tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, Read: read}
}

// SentMetric counts what a destination has confirmed.
func SentMetric(to, what string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: sent, Labels: []tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, Read: read}
}

// ReadMetric counts what was read to be sent on, by a forwarder that reads a store.
func ReadMetric(to, what string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: taken, Labels: []tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, Read: read}
}

// InFlightMetric is how much of that is neither confirmed nor refused.
func InFlightMetric(to, what string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: underWay, Labels: []tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, Read: read}
}

// RetriesMetric counts what was sent once more.
func RetriesMetric(to, what string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: retries, Labels: []tallyman.Label{{Name: "to", Value: to}, {Name: "what", Value: what}}, Read: read}
}

// RefusedMetric counts what a destination will never take, for a reason.
func RefusedMetric(to, what, reason string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: refused, Labels: reasoned(to, what, reason), Read: read}
}

// DroppedMetric counts what was lost before it was sent, for a reason.
func DroppedMetric(to, what, reason string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: dropped, Labels: reasoned(to, what, reason), Read: read}
}

func reasoned(to, what, reason string) []tallyman.Label {
	return []tallyman.Label{{Name: "reason", Value: reason}, {Name: "to", Value: to}, {Name: "what", Value: what}}
}

// The metrics of all queues, and of forwarders without one.
var (
	queued      = &tallyman.Desc{Name: "tallyman_forward_queue_messages", Type: tallyman.Gauge, Help: "Messages that wait on the disk for a destination to confirm them"}
	queuedBytes = &tallyman.Desc{Name: "tallyman_forward_queue_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the messages that wait, which the setting buffer bounds"}
	lag         = &tallyman.Desc{Name: "tallyman_forward_lag_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Age of the oldest message, record or sample that waits, 0 without one"}
	sent        = &tallyman.Desc{Name: "tallyman_forward_sent_total", Type: tallyman.Counter, Help: "Messages, records or samples that a destination has confirmed"}
	retries     = &tallyman.Desc{Name: "tallyman_forward_retries_total", Type: tallyman.Counter, Help: "Messages, or records to a syslog server, that were sent once more, as they had not been confirmed"}
	failures    = &tallyman.Desc{Name: "tallyman_forward_write_failures_total", Type: tallyman.Counter, Help: "How often a message could not be written to the disk; it is tried again"}
	refused     = &tallyman.Desc{Name: "tallyman_forward_refused_total", Type: tallyman.Counter, Help: "Messages, records or samples that a destination will never take, and that were left out"}
	dropped     = &tallyman.Desc{Name: "tallyman_forward_dropped_total", Type: tallyman.Counter, Help: "Messages, records or samples that did not get to their destination, by reason"}
	taken       = &tallyman.Desc{Name: "tallyman_forward_read_total", Type: tallyman.Counter, Help: "Records or samples that were read to be sent on: those that were sent, that were refused, and that are under way"}
	underWay    = &tallyman.Desc{Name: "tallyman_forward_in_flight", Type: tallyman.Gauge, Help: "Records or samples that were read to be sent on, and neither confirmed nor refused yet"}
)
