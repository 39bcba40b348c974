// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"slices"
	"strings"

	"tallyman"
)

// cost takes what tallyman costs and drops from its own numbers.
func (d *Doctor) cost(r *Report, readings []tallyman.Reading) {
	c := &r.Cost
	c.Daemons, c.Calls = []Daemon{}, []Call{}
	if d.o.FilesLimit > 0 {
		c.FilesLimit = pointer(float64(d.o.FilesLimit))
	}
	if d.o.MemoryLimit > 0 {
		c.MemoryLimit = pointer(float64(d.o.MemoryLimit))
	}
	fields := map[string]**float64{
		"tallyman_anonymous_memory_bytes":     &c.Memory,
		"process_resident_memory_bytes":       &c.Resident,
		"process_open_fds":                    &c.Files,
		"go_goroutines":                       &c.Goroutines,
		"tallyman_collect_last_round_seconds": &c.RoundSeconds,
		"tallyman_collect_rounds_total":       &c.Rounds,
		"tallyman_collect_late_rounds_total":  &c.LateRounds,
	}
	for i := range readings {
		s := &readings[i]
		if s.Series.Target.Kind != tallyman.SelfTarget {
			continue
		}
		name := s.Series.Desc.Name
		if f := fields[name]; f != nil {
			*f = pointer(s.Value)
		}
		switch {
		case name == "process_cpu_seconds_total":
			c.CPU = rate(s)
		case name == "tallyman_daemon_cpu_seconds_total":
			d := daemon(c, tallyman.LabelIn(s.Series.Labels, "process"))
			d.CPU = rate(s)
		case name == "tallyman_daemon_resident_memory_bytes":
			d := daemon(c, tallyman.LabelIn(s.Series.Labels, "process"))
			d.Memory = pointer(s.Value)
		case name == "tallyman_engine_calls_total" && s.Value > 0:
			c.Calls = append(c.Calls, Call{tallyman.LabelIn(s.Series.Labels, "engine"), tallyman.LabelIn(s.Series.Labels, "call"), s.Value})
		case strings.HasPrefix(name, "tallyman_") && strings.HasSuffix(name, "_dropped_total") && s.Value > 0:
			r.drop(s, name)
		}
	}
	slices.SortFunc(c.Calls, func(a, b Call) int { return cmp.Or(cmp.Compare(a.Engine, b.Engine), cmp.Compare(b.Count, a.Count)) })
	slices.SortFunc(r.Dropped, func(a, b Dropped) int { return cmp.Compare(b.Count, a.Count) })
}

// meant are the reasons for which something is dropped on purpose.
var meant = []string{"duplicate", "health_check", "disabled", "before_start", "inferred_before"}

// next is what to do against a reason.
var next = map[string]string{
	"slow_store":   "the disk is slow: look at its load, or put the data directory on another one",
	"store_failed": "see tallyman's log for the error of the disk",
	"disk_full":    "free some space, or lower retention.metrics.size",
	"clock":        "check this machine's clock and NTP",
	"refused":      "two samples had the same time, or the clock was set back",
	"series_limit": "raise limits.series or limits.series_per_target, or leave containers out with exclude",
	"label_limit":  "a series has more than 30 labels, or one that is too long; shorten them",
	"buffer_full":  "a destination was away for long: mend it, or raise forward.amqp.buffer",
	"too_old":      "a destination was away for long: mend it, or raise forward.amqp.max_age",
	"retention":    "a destination was away for longer than records are kept: mend it, or raise retention.logs",
	"damaged":      "the disk gave back something else than was written; look at its health",
	"too_large":    "a message was larger than forward.amqp.buffer; raise it",
	"overflow":     "too many events at once; what they told was taken from the inventory instead",
}

func (r *Report) drop(s *tallyman.Reading, name string) {
	reason := tallyman.LabelIn(s.Series.Labels, "reason")
	if slices.Contains(meant, reason) {
		return
	}
	what := "events"
	switch {
	case strings.Contains(name, "samples"):
		what = "samples"
	case strings.Contains(name, "forward"):
		what = "messages to others"
	}
	for i := range r.Dropped {
		if d := &r.Dropped[i]; d.What == what && d.Reason == reason {
			d.Count += s.Value
			return
		}
	}
	r.Dropped = append(r.Dropped, Dropped{What: what, Reason: reason, Count: s.Value, Next: next[reason]})
}

func daemon(c *Costs, name string) *Daemon {
	for i := range c.Daemons {
		if c.Daemons[i].Name == name {
			return &c.Daemons[i]
		}
	}
	c.Daemons = append(c.Daemons, Daemon{Name: name})
	return &c.Daemons[len(c.Daemons)-1]
}

func rate(r *tallyman.Reading) *float64 {
	v, ok := r.Rate()
	if !ok {
		return nil
	}
	return &v
}

func pointer(v float64) *float64 { return &v }
