// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"sync/atomic"

	"tallyman"
	"tallyman/internal/logtail"
)

// counts are the tailer's own numbers. All only grow.
type counts struct {
	logtail.Counts
	bad, missed atomic.Uint64
}

// SelfMetrics are the tailer's own numbers.
func (t *Tailer) SelfMetrics() []tallyman.SelfMetric {
	return append(t.counts.SelfMetrics("tallyman_log", "the logs of containers"),
		logtail.CounterOf("tallyman_log_bad_entries_total", "", "Pieces of log files that are no entry", &t.counts.bad),
		logtail.CounterOf("tallyman_log_missed_containers_total", "", "Containers that were gone before their log could be opened, or before the engine said whose it was", &t.counts.missed))
}
