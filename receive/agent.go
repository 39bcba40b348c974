// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/prometheus/prometheus/model/value"

	"tallyman"
)

// Bounds of labels; tallyman's own series are far below.
const (
	maxLabels = 40
	maxName   = 256  // bytes
	maxValue  = 4096 // bytes
)

// idle is after how long what an agent had is forgotten, when there is to be room.
const idle = 30 * time.Minute

// series is one of an agent, as its labels say it.
type series struct {
	tallyman.RemoteSeries
	claimed []tallyman.Label // as they are sent, in that order
	next    *series          // another with the same hash
	seen    int64            // when its last sample came, milliseconds
	ended   bool             // its last sample is a stale marker
	reading tallyman.Reading // without a series when nobody wants it
}

// agent is what is known of one. Its fields are under mu.
type agent struct {
	host string

	mu      sync.Mutex
	decode  decoder
	series  map[uint64]*series
	count   int
	swept   time.Time // when idle series were forgotten last
	batch   []tallyman.RemoteSample
	of      []*series        // of each sample of batch
	streams map[uint64]int64 // when one came last, milliseconds, by the hash of its labels
	level   float64          // bytes that it may send at once, at the time
	at      time.Time

	container *tallyman.Container // of all its containers' readings: none is needed but that there is one
	targets   map[targetKey]*tallyman.Target
}

type targetKey struct {
	kind tallyman.TargetKind
	id   string
}

// admit takes n bytes off what the agent may send now; when that is used up it says after
// how long there is some again.
func (a *agent) admit(n int, rate float64, now time.Time) (after time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	most := rate * burst
	if a.at.IsZero() {
		a.level = most
	} else {
		a.level = min(most, a.level+rate*now.Sub(a.at).Seconds())
	}
	a.at = now
	if a.level <= 0 {
		return time.Duration((1 - a.level/rate) * float64(time.Second))
	}
	a.level -= float64(n)
	return 0
}

// find is the series of labels, nil for one that is new.
func (a *agent) find(in *incoming) *series {
	for s := a.series[in.hash]; s != nil; s = s.next {
		if s.is(in.labels) {
			return s
		}
	}
	return nil
}

func (s *series) is(labels []pair) bool {
	if len(s.claimed) != len(labels) {
		return false
	}
	for i := range labels {
		if c := &s.claimed[i]; c.Name != string(labels[i].name) || c.Value != string(labels[i].value) {
			return false
		}
	}
	return true
}

// refusal is why something is not taken: a reason that is counted, and its words.
type refusal struct {
	reason string
	words  string
}

func refuse(reason, format string, args ...any) *refusal {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// make makes the series of labels, or says why it is refused.
func (a *agent) make(in *incoming, wants func(metric string) bool) (*series, *refusal) {
	if len(in.labels) > maxLabels {
		return nil, refuse(badLabels, "a series has %d labels, at most %d are taken", len(in.labels), maxLabels)
	}
	s := &series{}
	metric, host := "", ""
	for _, p := range in.labels {
		if len(p.name) > maxName || len(p.value) > maxValue {
			return nil, refuse(badLabels, "the label %.60q has a name of %d bytes and a value of %d; at most %d and %d are taken", p.name, len(p.name), len(p.value), maxName, maxValue)
		}
		if !utf8.Valid(p.name) || !utf8.Valid(p.value) || len(p.name) == 0 {
			return nil, refuse(badLabels, "the label %.60q is not UTF-8, or has no name", p.name)
		}
		l := tallyman.Label{Name: unique.Make(string(p.name)).Value(), Value: unique.Make(string(p.value)).Value()}
		s.claimed = append(s.claimed, l)
		switch {
		case l.Value == "": // is none
			continue
		case l.Name == "__name__":
			metric = l.Value
		case l.Name == "host":
			host = l.Value
			continue
		}
		s.Labels = append(s.Labels, l)
	}
	switch {
	case metric == "":
		return nil, refuse(badLabels, "a series has no name")
	case host != "" && host != a.host:
		return nil, refuse(foreignHost, "%.100s is of the host %.100q, and the token is for %q alone", metric, host, a.host)
	}
	s.Labels = append(s.Labels, tallyman.Label{Name: "host", Value: a.host})
	tallyman.SortLabels(s.Labels)
	for i := range s.Labels[1:] {
		if s.Labels[i].Name == s.Labels[i+1].Name {
			return nil, refuse(badLabels, "%.100s has the label %.60q twice", metric, s.Labels[i].Name)
		}
	}
	if wants != nil && wants(metric) {
		if t := a.target(s.Labels); t != nil {
			typ := tallyman.Gauge
			if in.counter || strings.HasSuffix(metric, "_total") {
				typ = tallyman.Counter
			}
			s.reading.Series = &tallyman.Series{Desc: &tallyman.Desc{Name: metric, Type: typ}, Target: t, Labels: s.Labels}
		}
	}
	s.next = a.series[in.hash]
	a.series[in.hash] = s
	a.count++
	return s, nil
}

// target is what a series is about, nil for what is not shown beside queries.
func (a *agent) target(labels []tallyman.Label) *tallyman.Target {
	var key targetKey
	switch tallyman.LabelIn(labels, "job") {
	case "node":
		key = targetKey{tallyman.HostTarget, a.host}
	case "tallyman":
		key = targetKey{tallyman.SelfTarget, a.host}
	case "cadvisor":
		id, ok := strings.CutPrefix(tallyman.LabelIn(labels, "id"), "/docker/")
		if !ok {
			return nil
		}
		key = targetKey{tallyman.ContainerTarget, id}
	default:
		return nil
	}
	t := a.targets[key]
	if t == nil {
		t = &tallyman.Target{Kind: key.kind, ID: key.id, Instance: a.host}
		if key.kind == tallyman.ContainerTarget {
			t.Container = a.container
		}
		a.targets[key] = t
	}
	return t
}

// note keeps a sample as the latest of its series.
func (s *series) note(t int64, v float64) {
	r := &s.reading
	if r.Series == nil || t <= r.Time {
		return
	}
	if r.Time != 0 && t-r.Time >= minSpacing {
		r.Before, r.BeforeTime = r.Value, r.Time
	}
	r.Value, r.Time = v, t
}

// minSpacing is how far apart two readings must be for a rate, in milliseconds.
const minSpacing = 500

// forget takes series out that have ended, or are idle.
func (a *agent) forget(is func(*series) bool) {
	for hash, first := range a.series {
		var kept *series
		n := 0
		for s := first; s != nil; {
			next := s.next
			if is(s) {
				n++
			} else {
				s.next, kept = kept, s
			}
			s = next
		}
		if n == 0 {
			a.series[hash] = kept
			continue
		}
		a.count -= n
		if kept == nil {
			delete(a.series, hash)
		} else {
			a.series[hash] = kept
		}
	}
	used := map[*tallyman.Target]bool{}
	for _, first := range a.series {
		for s := first; s != nil; s = s.next {
			if s.reading.Series != nil {
				used[s.reading.Series.Target] = true
			}
		}
	}
	for key, t := range a.targets {
		if !used[t] {
			delete(a.targets, key)
		}
	}
}

func isStale(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// latest appends the readings that are not older than a time.
func (a *agent) latest(dst []tallyman.Reading, oldest int64) []tallyman.Reading {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, first := range a.series {
		for s := first; s != nil; s = s.next {
			if s.reading.Series != nil && s.reading.Time >= oldest {
				dst = append(dst, s.reading)
			}
		}
	}
	return dst
}

// takeStreams takes the streams out of a batch that are more than the agent may have, and
// returns how many records went with them.
func (a *agent) takeStreams(b *tallyman.RecordBatch, most int, now time.Time) (refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.Streams = slices.DeleteFunc(b.Streams, func(s tallyman.StreamRecords) bool {
		key := a.decode.hashOf(s.Stream.Labels)
		if _, known := a.streams[key]; !known && len(a.streams) >= most {
			for old, at := range a.streams {
				if now.UnixMilli()-at > idle.Milliseconds() {
					delete(a.streams, old)
				}
			}
			if len(a.streams) >= most {
				refused += len(s.Records)
				return true
			}
		}
		a.streams[key] = now.UnixMilli()
		return false
	})
	return refused
}
