// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"cmp"
	"slices"
	"time"
)

// Label is one name and value of a series. Names match [a-zA-Z_][a-zA-Z0-9_]*.
type Label struct {
	Name, Value string
}

// MetricType says how the numbers of a metric are to be read.
type MetricType uint8

// The metric types. An Untyped metric makes no promise.
const (
	Untyped MetricType = iota
	Counter
	Gauge
)

// String is the type's word in the Prometheus text format.
func (t MetricType) String() string {
	switch t {
	case Counter:
		return "counter"
	case Gauge:
		return "gauge"
	default:
		return "unknown"
	}
}

// Desc describes one metric family. A Desc is declared once, in the metric
// table of the source that produces it, and is compared by pointer.
type Desc struct {
	// Name is the full metric name in base units, as the exporter has it
	// whose place tallyman takes (cAdvisor, node_exporter …).
	Name string
	// Help is one sentence without a full stop, with the unit.
	Help string
	// Unit is the base unit ("bytes", "seconds"), empty for plain counts.
	Unit string
	Type MetricType
	// Origin says where the number is read, for the reference.
	Origin Origin
}

// Origin is where a number is read: a file of the kernel on cgroup v1 and on
// v2 (V2 is empty when it is the same), and a field of the engine's stats API,
// empty when that has none. Row is the row of the table of the mission.
type Origin struct {
	V1, V2, API, Row string
}

// Series is one metric of one target with all its labels, interned: the same
// series has the same pointer for as long as its target stays attached.
type Series struct {
	Desc   *Desc
	Target *Target
	// Labels are sorted by name and hold neither the metric's name nor job
	// and instance (those come from the target when a sample is stored).
	Labels []Label
}

// Sample is a number at a time; the time is that of the batch it travels in.
type Sample struct {
	Series *Series
	Value  float64
}

// Batch carries the samples of one round of collection. All of them share one
// timestamp.
type Batch struct {
	// Time is the moment of the round, to the millisecond.
	Time    time.Time
	Samples []Sample
	// Part is set for samples of some targets between two rounds: what is not in the
	// batch has not ended.
	Part bool
}

// Reset empties the batch for a round at t and keeps its memory.
func (b *Batch) Reset(t time.Time) {
	b.Time, b.Part = t, false
	b.Samples = b.Samples[:0]
}

// Add appends a sample. It allocates only while the batch grows to its
// steady-state size.
func (b *Batch) Add(s *Series, v float64) {
	b.Samples = append(b.Samples, Sample{s, v})
}

// FindLabel is the value of a label of a set; ok is false when it is not there.
func FindLabel(labels []Label, name string) (value string, ok bool) {
	for i := range labels {
		if labels[i].Name == name {
			return labels[i].Value, true
		}
	}
	return "", false
}

// LabelIn is the value of a label of a set, empty without one.
func LabelIn(labels []Label, name string) string {
	value, _ := FindLabel(labels, name)
	return value
}

// SortLabels sorts labels by name, in place.
func SortLabels(labels []Label) {
	slices.SortFunc(labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
}

// Reading is the latest value of a series together with the one before it, so
// that a rate can be told. Times are in milliseconds since the epoch.
type Reading struct {
	Series *Series
	Value  float64
	Time   int64
	// Before and BeforeTime are the value at least half a second earlier;
	// BeforeTime is 0 when there is none.
	Before     float64
	BeforeTime int64
}

// Rate is the change per second since the reading before; ok is false without
// one, and when a counter has gone back.
func (r *Reading) Rate() (perSecond float64, ok bool) {
	if r.BeforeTime == 0 || r.Time <= r.BeforeTime || r.Value < r.Before {
		return 0, false
	}
	return (r.Value - r.Before) / (float64(r.Time-r.BeforeTime) / 1000), true
}

// Readings is the latest value of everything.
type Readings interface {
	// Latest appends all current readings to dst. The order is the same from
	// call to call until generation changes, which it does when a series has
	// come or gone.
	Latest(dst []Reading) (readings []Reading, generation uint64)
}
