// SPDX-License-Identifier: Apache-2.0

package host

import (
	"maps"
	"slices"
	"strconv"

	"github.com/prometheus/procfs"

	"tallyman"
)

var (
	cpuSeconds   = counter("node_cpu_seconds_total", "seconds", "Seconds that a CPU spent in a mode")
	guestSeconds = counter("node_cpu_guest_seconds_total", "seconds", "Seconds that a CPU spent in virtual machines; they are within user and nice of node_cpu_seconds_total too")
)

// modes are the columns of a cpu line in /proc/stat. Guest time is within user
// and nice already, so it is a metric of its own, as in node_exporter: the sum
// over the modes of one metric is the time that passed.
var modes = []struct {
	desc  *tallyman.Desc
	name  string
	field func(*procfs.CPUStat) float64
}{
	{cpuSeconds, "user", func(c *procfs.CPUStat) float64 { return c.User }},
	{cpuSeconds, "nice", func(c *procfs.CPUStat) float64 { return c.Nice }},
	{cpuSeconds, "system", func(c *procfs.CPUStat) float64 { return c.System }},
	{cpuSeconds, "idle", func(c *procfs.CPUStat) float64 { return c.Idle }},
	{cpuSeconds, "iowait", func(c *procfs.CPUStat) float64 { return c.Iowait }},
	{cpuSeconds, "irq", func(c *procfs.CPUStat) float64 { return c.IRQ }},
	{cpuSeconds, "softirq", func(c *procfs.CPUStat) float64 { return c.SoftIRQ }},
	{cpuSeconds, "steal", func(c *procfs.CPUStat) float64 { return c.Steal }},
	{guestSeconds, "user", func(c *procfs.CPUStat) float64 { return c.Guest }},
	{guestSeconds, "nice", func(c *procfs.CPUStat) float64 { return c.GuestNice }},
}

// stat adds what /proc/stat holds.
func (h *host) stat(st *procfs.Stat, b *tallyman.Batch) {
	// The parser gives a map; rounds must be alike.
	for _, n := range slices.Sorted(maps.Keys(st.CPU)) {
		c := st.CPU[n]
		series := h.cpus.get(n, func() (all []*tallyman.Series) {
			cpu := tallyman.Label{Name: "cpu", Value: strconv.FormatInt(n, 10)}
			for _, m := range modes {
				all = append(all, h.target.Series(m.desc, cpu, tallyman.Label{Name: "mode", Value: m.name}))
			}
			return all
		})
		for i, m := range modes {
			b.Add(series[i], m.field(&c))
		}
	}
	h.cpus.sweep()
	b.Add(h.scalars[bootTime], float64(st.BootTime))
	b.Add(h.scalars[contextSwitches], float64(st.ContextSwitches))
	b.Add(h.scalars[interrupts], float64(st.IRQTotal))
	b.Add(h.scalars[forks], float64(st.ProcessCreated))
	b.Add(h.scalars[running], float64(st.ProcessesRunning))
	b.Add(h.scalars[blocked], float64(st.ProcessesBlocked))
}
