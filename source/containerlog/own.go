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

// Own are the tailer's own numbers.
func (t *Tailer) Own() []tallyman.OwnMetric {
	return append(t.counts.Own("tallyman_log", "the logs of containers"),
		logtail.Own("tallyman_log_bad_entries_total", "", "Pieces of log files that are no entry", &t.counts.bad),
		logtail.Own("tallyman_log_missed_containers_total", "", "Containers that were gone before their log could be opened", &t.counts.missed))
}
