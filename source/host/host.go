// SPDX-License-Identifier: Apache-2.0

// Package host reads the samples of the machine itself, under the names of
// node_exporter: CPU time by core and mode, memory, load, boot time. They give
// the page the whole of which the containers are parts.
//
// The files are those of the host's /proc (SourceOptions.Proc); parsing is
// github.com/prometheus/procfs, since one machine a round is no hot path.
package host

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/prometheus/procfs"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "host",
		Summary: "CPU, memory, load and boot time of the host, in node_exporter's names",
		Targets: []tallyman.TargetKind{tallyman.HostTarget},
		Metrics: table(),
		New:     New,
	}
}

var (
	cpuSeconds = &tallyman.Desc{Name: "node_cpu_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: "Seconds that a CPU spent in a mode"}
	load1      = &tallyman.Desc{Name: "node_load1", Type: tallyman.Gauge, Help: "Load average over 1 minute"}
	load5      = &tallyman.Desc{Name: "node_load5", Type: tallyman.Gauge, Help: "Load average over 5 minutes"}
	load15     = &tallyman.Desc{Name: "node_load15", Type: tallyman.Gauge, Help: "Load average over 15 minutes"}
	bootTime   = &tallyman.Desc{Name: "node_boot_time_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time of the boot"}
)

// memory is which fields of /proc/meminfo are taken.
var memory = []struct {
	desc  *tallyman.Desc
	field func(*procfs.Meminfo) *uint64
}{
	{bytes("node_memory_MemTotal_bytes", "Physical memory that the kernel can use"), func(m *procfs.Meminfo) *uint64 { return m.MemTotalBytes }},
	{bytes("node_memory_MemFree_bytes", "Memory that is not used at all"), func(m *procfs.Meminfo) *uint64 { return m.MemFreeBytes }},
	{bytes("node_memory_MemAvailable_bytes", "Memory that new work could get without swapping"), func(m *procfs.Meminfo) *uint64 { return m.MemAvailableBytes }},
	{bytes("node_memory_Buffers_bytes", "Block device buffers"), func(m *procfs.Meminfo) *uint64 { return m.BuffersBytes }},
	{bytes("node_memory_Cached_bytes", "Page cache"), func(m *procfs.Meminfo) *uint64 { return m.CachedBytes }},
	{bytes("node_memory_SwapTotal_bytes", "Swap space"), func(m *procfs.Meminfo) *uint64 { return m.SwapTotalBytes }},
	{bytes("node_memory_SwapFree_bytes", "Swap space that is not used"), func(m *procfs.Meminfo) *uint64 { return m.SwapFreeBytes }},
}

func bytes(name, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: tallyman.Gauge, Unit: "bytes", Help: help}
}

// modes are the columns of a cpu line in /proc/stat; guest time is within user
// time already and is left out here, as in node_exporter's default sum.
var modes = []struct {
	name  string
	field func(*procfs.CPUStat) float64
}{
	{"user", func(c *procfs.CPUStat) float64 { return c.User }},
	{"nice", func(c *procfs.CPUStat) float64 { return c.Nice }},
	{"system", func(c *procfs.CPUStat) float64 { return c.System }},
	{"idle", func(c *procfs.CPUStat) float64 { return c.Idle }},
	{"iowait", func(c *procfs.CPUStat) float64 { return c.Iowait }},
	{"irq", func(c *procfs.CPUStat) float64 { return c.IRQ }},
	{"softirq", func(c *procfs.CPUStat) float64 { return c.SoftIRQ }},
	{"steal", func(c *procfs.CPUStat) float64 { return c.Steal }},
}

func table() []*tallyman.Desc {
	t := []*tallyman.Desc{cpuSeconds, load1, load5, load15, bootTime}
	for _, m := range memory {
		t = append(t, m.desc)
	}
	return t
}

// Source implements tallyman.Source for one host.
type Source struct {
	fs     procfs.FS
	target *tallyman.Target
	cpus   map[int64][]*tallyman.Series
	order  []int64 // of the CPUs
	memory []*tallyman.Series
	loads  []*tallyman.Series
	boot   *tallyman.Series
}

var _ tallyman.Source = (*Source)(nil)

// New makes the source for the /proc of o.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	fs, err := procfs.NewFS(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("open the host's %s: %w", o.Proc, err)
	}
	return &Source{fs: fs}, nil
}

// Attach takes the host as the target; there is only one.
func (s *Source) Attach(t *tallyman.Target) error {
	s.target = t
	s.cpus = map[int64][]*tallyman.Series{}
	s.memory, s.loads = nil, nil
	for _, m := range memory {
		s.memory = append(s.memory, t.Series(m.desc))
	}
	for _, d := range []*tallyman.Desc{load1, load5, load15} {
		s.loads = append(s.loads, t.Series(d))
	}
	s.boot = t.Series(bootTime)
	return nil
}

// Detach forgets the host.
func (s *Source) Detach(t *tallyman.Target) {
	if s.target != nil && s.target.ID == t.ID {
		s.target = nil
	}
}

// Close forgets the host.
func (s *Source) Close() error {
	s.target = nil
	return nil
}

// Collect reads the host once.
func (s *Source) Collect(b *tallyman.Batch) {
	if s.target == nil {
		return
	}
	if st, err := s.fs.Stat(); err == nil {
		// The parser gives a map; rounds must be alike.
		s.order = s.order[:0]
		for n := range st.CPU {
			s.order = append(s.order, n)
		}
		slices.Sort(s.order)
		for _, n := range s.order {
			c := st.CPU[n]
			series := s.cpus[n]
			if series == nil {
				for _, m := range modes {
					series = append(series, s.target.Series(cpuSeconds,
						tallyman.Label{Name: "cpu", Value: strconv.FormatInt(n, 10)}, tallyman.Label{Name: "mode", Value: m.name}))
				}
				s.cpus[n] = series
			}
			for i, m := range modes {
				b.Add(series[i], m.field(&c))
			}
		}
		b.Add(s.boot, float64(st.BootTime))
	}
	if m, err := s.fs.Meminfo(); err == nil {
		for i := range memory {
			if v := memory[i].field(&m); v != nil {
				b.Add(s.memory[i], float64(*v))
			}
		}
	}
	if l, err := s.fs.LoadAvg(); err == nil {
		b.Add(s.loads[0], l.Load1)
		b.Add(s.loads[1], l.Load5)
		b.Add(s.loads[2], l.Load15)
	}
}
