// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"sync/atomic"

	"tallyman"
)

// counts are read without the lock, by whoever shows them.
type counts struct{ containers, images, drifts, failed, dropped atomic.Uint64 }

// SelfMetrics are the source's own numbers.
func (s *Source) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	of := func(what string) []tallyman.Label { return []tallyman.Label{{Name: "of", Value: what}} }
	c := &s.count
	return []tallyman.SelfMetric{
		{Desc: stored, Labels: of("container"), Read: read(&c.containers)},
		{Desc: stored, Labels: of("image"), Read: read(&c.images)},
		{Desc: drifts, Read: read(&c.drifts)},
		{Desc: failures, Read: read(&c.failed)},
		{Desc: dropped, Read: read(&c.dropped)},
		{Desc: waiting, Read: func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(s.waiting)
		}},
	}
}

var (
	stored   = counter("tallyman_snapshots_stored_total", "Snapshots of containers and images stored")
	drifts   = counter("tallyman_snapshot_drifts_total", "Times that the configuration of a workload changed")
	failures = counter("tallyman_snapshot_failures_total", "Snapshots that the engine did not answer or the store did not take; they are tried again")
	dropped  = counter("tallyman_snapshot_dropped_total", "Snapshots not taken since too many containers waited")
	waiting  = &tallyman.Desc{Name: "tallyman_snapshots_waiting", Help: "Containers that the engine is to be asked about", Type: tallyman.Gauge}
)

func counter(name, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Type: tallyman.Counter}
}
