// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
)

// Records is the one way of records into their store: of every source, of events
// and of what others push. Each has an [Intake] of its own, so that it can be told
// what became of its records:
//
//	received = stored + dropped{reason} + in flight
//
// There is no queue. A store that takes nothing makes sources wait, whose files are
// the buffer, and refuses what is pushed, which is sent again.
type Records struct {
	sink tallyman.RecordSink
	log  *slog.Logger

	mu      sync.Mutex
	intakes []*Intake
}

// NewRecords makes the way into sink.
func NewRecords(sink tallyman.RecordSink, log *slog.Logger) *Records {
	return &Records{sink: sink, log: log}
}

// Intake is the way of the records of one source. It may be used concurrently.
type Intake struct {
	records *Records
	source  string

	received, stored, refused, again atomic.Uint64
}

var (
	_ tallyman.RecordIntake = (*Intake)(nil)
	_ tallyman.RecordSink   = (*Intake)(nil)
)

// Intake makes the way of a source; its name is the label source of the metrics.
func (r *Records) Intake(source string) *Intake {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := &Intake{records: r, source: source}
	r.intakes = append(r.intakes, in)
	return in
}

// TakeRecords implements tallyman.RecordIntake.
func (in *Intake) TakeRecords(ctx context.Context, b *tallyman.RecordBatch) error {
	n := count(b)
	in.received.Add(n)
	for failing := false; ; {
		err := in.records.sink.AppendRecords(b)
		if _, refused := errors.AsType[*tallyman.RefusedError](err); err == nil || refused {
			in.settle(n, err)
			if failing {
				in.records.log.Info("the record store takes records again", "source", in.source)
			}
			return err
		}
		if !failing {
			failing = true
			in.records.log.Error("the record store takes nothing; logs wait in their files", "source", in.source, "err", err)
		}
		select {
		case <-ctx.Done():
			in.again.Add(n)
			return ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// AppendRecords stores a batch, or gives the error of the store: whoever sent it
// has to send it again.
func (in *Intake) AppendRecords(b *tallyman.RecordBatch) error {
	err := in.records.sink.AppendRecords(b)
	if _, refused := errors.AsType[*tallyman.RefusedError](err); err == nil || refused {
		n := count(b)
		in.received.Add(n)
		in.settle(n, err)
	}
	return err
}

// Position implements tallyman.RecordIntake.
func (in *Intake) Position(key string) (string, bool) { return in.records.sink.Position(key) }

// Positions implements tallyman.RecordIntake.
func (in *Intake) Positions(prefix string) []tallyman.Position {
	return in.records.sink.Positions(prefix)
}

// settle counts a batch of n records that the store has taken, but for what it
// refused.
func (in *Intake) settle(n uint64, err error) {
	if refused, ok := errors.AsType[*tallyman.RefusedError](err); ok {
		lost := min(uint64(refused.Records), n)
		in.refused.Add(lost)
		n -= lost
		in.records.log.Error("records were refused by the store", "source", in.source, "records", lost, "err", refused.Err)
	}
	in.stored.Add(n)
}

func count(b *tallyman.RecordBatch) (n uint64) {
	for i := range b.Streams {
		n += uint64(len(b.Streams[i].Records))
	}
	return n
}

// SelfMetrics are the numbers of all intakes that were made.
func (r *Records) SelfMetrics() (out []tallyman.SelfMetric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.intakes {
		labels := func(more ...tallyman.Label) []tallyman.Label {
			l := append(more, tallyman.Label{Name: "source", Value: in.source})
			tallyman.SortLabels(l)
			return l
		}
		read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
		out = append(out,
			tallyman.SelfMetric{Desc: receivedRecords, Labels: labels(), Read: read(&in.received)},
			tallyman.SelfMetric{Desc: storedRecords, Labels: labels(), Read: read(&in.stored)},
			tallyman.SelfMetric{Desc: droppedRecords, Labels: labels(tallyman.Label{Name: "reason", Value: "limit"}), Read: read(&in.refused)},
			tallyman.SelfMetric{Desc: droppedRecords, Labels: labels(tallyman.Label{Name: "reason", Value: "read_again"}), Read: read(&in.again)},
			tallyman.SelfMetric{Desc: flyingRecords, Labels: labels(), Read: func() float64 {
				done := in.stored.Load() + in.refused.Load() + in.again.Load() // before what is received, or it could be less
				return float64(in.received.Load() - done)
			}})
	}
	return out
}

var (
	receivedRecords = &tallyman.Desc{Name: "tallyman_records_received_total", Type: tallyman.Counter, Help: "Records given to the way into the record store, by source"}
	storedRecords   = &tallyman.Desc{Name: "tallyman_records_stored_total", Type: tallyman.Counter, Help: "Records that the record store took, by source"}
	droppedRecords  = &tallyman.Desc{Name: "tallyman_records_dropped_total", Type: tallyman.Counter, Help: "Records that the record store did not take, by source and reason; those of read_again are read once more after the next start"}
	flyingRecords   = &tallyman.Desc{Name: "tallyman_records_in_flight", Type: tallyman.Gauge, Help: "Records that wait for the record store, by source"}
)
