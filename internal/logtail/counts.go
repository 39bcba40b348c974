// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"fmt"
	"sync/atomic"

	"tallyman"
)

// Counts are the numbers that every reader of logs has. All only grow.
type Counts struct {
	Lines, Bytes, Cut, Errors, Gaps, GapBytes atomic.Uint64
}

// Line counts a line that was read; lost is by how many bytes it was too long.
func (n *Counts) Line(size, lost int) {
	n.Lines.Add(1)
	n.Bytes.Add(uint64(size))
	if lost > 0 {
		n.Cut.Add(1)
	}
}

// SelfMetrics are the numbers as metrics named prefix_…; logs says of what they are
// ("the logs of containers"). What became of the lines is told by the way into the
// store.
func (n *Counts) SelfMetrics(prefix, logs string) []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		CounterOf(prefix+"_lines_read_total", "", "Lines read from "+logs, &n.Lines),
		CounterOf(prefix+"_bytes_read_total", "bytes", "Text of the lines read from "+logs, &n.Bytes),
		CounterOf(prefix+"_cut_lines_total", "", "Lines of "+logs+" longer than 256 KiB, of which the rest was left out", &n.Cut),
		CounterOf(prefix+"_read_errors_total", "", "Failed attempts to read "+logs, &n.Errors),
		CounterOf(prefix+"_gaps_total", "", "Places in "+logs+" where lines are missing", &n.Gaps),
		CounterOf(prefix+"_gap_bytes_total", "bytes", "About how much is missing there, where it can be told", &n.GapBytes),
	}
}

// CounterOf is a counter as a metric.
func CounterOf(name, unit, help string, v *atomic.Uint64, labels ...tallyman.Label) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: &tallyman.Desc{Name: name, Type: tallyman.Counter, Unit: unit, Help: help}, Labels: labels,
		Read: func() float64 { return float64(v.Load()) }}
}

// Gap is told in the log itself, where lines are missing.
type Gap struct {
	Text  string
	Bytes int64 // about how many, 0 is not known
}

// Gap counts a place where lines are missing.
func (n *Counts) Gap(g Gap) {
	n.Gaps.Add(1)
	n.GapBytes.Add(uint64(max(g.Bytes, 0)))
}

// Line is what stands at that place.
func (g Gap) Line() []byte {
	if g.Bytes > 0 {
		return fmt.Appendf(nil, "tallyman: %s (about %d bytes)", g.Text, g.Bytes)
	}
	return []byte("tallyman: " + g.Text)
}
