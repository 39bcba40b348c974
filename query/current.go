// SPDX-License-Identifier: Apache-2.0

package query

import (
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
)

// Value is a number that may be unknown.
type Value struct {
	V     float64
	Known bool
}

func known(v float64) Value { return Value{v, true} }

func (v *Value) add(x float64) { v.V, v.Known = v.V+x, true }

// Now is what a container does at present. CPU is in cores (seconds per
// second), Throttled in seconds per second, memory in bytes, Rx and Tx in
// bytes per second over all interfaces, BlkRead and BlkWrite over all disks.
type Now struct {
	Time time.Time

	CPU, CPUUser, CPUSystem, Throttled       Value
	Memory, MemoryUsage, Anon, Cache, Kernel Value
	Swap, MemoryLimit, MemoryPercent, Rx, Tx Value
	Tasks, BlkRead, BlkWrite                 Value
}

// HostNow is what a host does at present, and what tallyman costs there. CPU
// is in cores, memory in bytes; MemoryUsed is what is not available. The disk is
// the fullest of the file systems that can be written to and lie on one.
type HostNow struct {
	Time                    time.Time
	CPU, Cores, Load1       Value
	MemoryTotal, MemoryUsed Value
	DiskUsed, DiskSize      Value
	DiskAvail               Value  // what users other than root may still write
	DiskMount               string // its mount point
	SelfCPU, SelfMemory     Value

	all   Value // CPU time of all modes, per second
	files map[string]*fileSystem
}

// fileSystem is what is known of one mount point.
type fileSystem struct {
	size, free, avail Value
	leftOut           bool
}

// Present is the present of everything, by container id and by host name.
type Present struct {
	Containers map[string]*Now
	Hosts      map[string]*HostNow
}

// Current computes the present figures from the latest readings.
type Current struct {
	readings []tallyman.Readings
	buf      sync.Pool
}

// NewCurrent makes one over the readings of all of r, which are of different hosts.
func NewCurrent(r ...tallyman.Readings) *Current {
	return &Current{readings: r, buf: sync.Pool{New: func() any { return new([]tallyman.Reading) }}}
}

// rule says what a metric contributes to a container's present.
type rule struct {
	field func(*Now) *Value
	rate  bool
}

var rules = map[string]rule{
	"container_cpu_usage_seconds_total":         {func(n *Now) *Value { return &n.CPU }, true},
	"container_cpu_user_seconds_total":          {func(n *Now) *Value { return &n.CPUUser }, true},
	"container_cpu_system_seconds_total":        {func(n *Now) *Value { return &n.CPUSystem }, true},
	"container_cpu_cfs_throttled_seconds_total": {func(n *Now) *Value { return &n.Throttled }, true},
	"container_memory_working_set_bytes":        {func(n *Now) *Value { return &n.Memory }, false},
	"container_memory_usage_bytes":              {func(n *Now) *Value { return &n.MemoryUsage }, false},
	"container_memory_rss":                      {func(n *Now) *Value { return &n.Anon }, false},
	"container_memory_cache":                    {func(n *Now) *Value { return &n.Cache }, false},
	"container_memory_kernel_usage":             {func(n *Now) *Value { return &n.Kernel }, false},
	"container_memory_swap":                     {func(n *Now) *Value { return &n.Swap }, false},
	"container_spec_memory_limit_bytes":         {func(n *Now) *Value { return &n.MemoryLimit }, false},
	"container_memory_usage_percent":            {func(n *Now) *Value { return &n.MemoryPercent }, false},
	"container_network_receive_bytes_total":     {func(n *Now) *Value { return &n.Rx }, true},
	"container_network_transmit_bytes_total":    {func(n *Now) *Value { return &n.Tx }, true},
	"container_threads":                         {func(n *Now) *Value { return &n.Tasks }, false},
	"container_fs_reads_bytes_total":            {func(n *Now) *Value { return &n.BlkRead }, true},
	"container_fs_writes_bytes_total":           {func(n *Now) *Value { return &n.BlkWrite }, true},
}

// hostMetrics are those that the present of a host is made of.
var hostMetrics = []string{"node_cpu_seconds_total", "node_load1", "node_filesystem_size_bytes", "node_filesystem_free_bytes", "node_filesystem_avail_bytes", "node_filesystem_readonly",
	"node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes", "process_cpu_seconds_total", "process_resident_memory_bytes"}

// Shows reports whether the present of anything is made of a metric.
func Shows(metric string) bool {
	_, ok := rules[metric]
	return ok || slices.Contains(hostMetrics, metric)
}

// sinceStart is how soon after its start a container's first counter value may
// be read as a mean since the start: every counter of a container begins at 0.
const sinceStart = 15 * time.Second

// Present reads the latest readings once.
func (c *Current) Present() Present {
	p := Present{Containers: map[string]*Now{}, Hosts: map[string]*HostNow{}}
	buf := c.buf.Get().(*[]tallyman.Reading)
	defer c.buf.Put(buf)
	*buf = (*buf)[:0]
	for _, r := range c.readings {
		*buf, _ = r.Latest(*buf)
	}
	for i := range *buf {
		r := &(*buf)[i]
		switch t := r.Series.Target; t.Kind {
		case tallyman.ContainerTarget:
			rule, ok := rules[r.Series.Desc.Name]
			if !ok {
				continue
			}
			n := p.Containers[t.ID]
			if n == nil {
				n = &Now{Time: time.UnixMilli(r.Time)}
				p.Containers[t.ID] = n
			}
			if !rule.rate {
				rule.field(n).add(r.Value)
			} else if v, ok := rate(r, t.Container.Started); ok {
				rule.field(n).add(v)
			}
		case tallyman.HostTarget:
			p.host(r).takeHost(r)
		case tallyman.SelfTarget:
			p.host(r).takeSelf(r)
		}
	}
	for _, h := range p.Hosts {
		// The kernel counts in ticks, not quite at the moment of the round: the
		// share of busy time is right where the sum of all modes is not.
		if h.all.V > 0 {
			h.CPU.V *= h.Cores.V / h.all.V
		}
		h.chooseDisk()
	}
	return p
}

// rate is a counter's change per second; for a container that has only just
// started, its first value over its age.
func rate(r *tallyman.Reading, started time.Time) (float64, bool) {
	if v, ok := r.Rate(); ok || r.BeforeTime != 0 {
		return v, ok
	}
	age := time.UnixMilli(r.Time).Sub(started)
	if started.IsZero() || age < 100*time.Millisecond || age > sinceStart {
		return 0, false
	}
	return r.Value / age.Seconds(), true
}

func (p *Present) host(r *tallyman.Reading) *HostNow {
	name := r.Series.Target.Instance
	h := p.Hosts[name]
	if h == nil {
		h = &HostNow{Time: time.UnixMilli(r.Time)}
		p.Hosts[name] = h
	}
	return h
}

func (h *HostNow) takeHost(r *tallyman.Reading) {
	switch r.Series.Desc.Name {
	case "node_cpu_seconds_total":
		mode := tallyman.LabelIn(r.Series.Labels, "mode")
		if mode == "idle" {
			h.Cores.add(1)
		}
		v, ok := r.Rate()
		if !ok || strings.HasPrefix(mode, "guest") {
			return
		}
		h.all.add(v)
		if mode == "idle" || mode == "iowait" {
			v = 0
		}
		h.CPU.add(v)
	case "node_load1":
		h.Load1 = known(r.Value)
	case "node_filesystem_size_bytes":
		h.file(r).size = known(r.Value)
	case "node_filesystem_free_bytes":
		h.file(r).free = known(r.Value)
	case "node_filesystem_avail_bytes":
		h.file(r).avail = known(r.Value)
	case "node_filesystem_readonly":
		if r.Value == 1 {
			h.file(r).leftOut = true
		}
	case "node_memory_MemTotal_bytes":
		h.MemoryTotal = known(r.Value)
		h.MemoryUsed.add(r.Value)
	case "node_memory_MemAvailable_bytes":
		h.MemoryUsed.add(-r.Value)
	}
}

// file is the file system of a reading. One in memory is left out: the page
// shows how full the disks are.
func (h *HostNow) file(r *tallyman.Reading) *fileSystem {
	point, memory := "", false
	for _, l := range r.Series.Labels {
		switch l.Name {
		case "mountpoint":
			point = l.Value
		case "fstype":
			memory = l.Value == "tmpfs" || l.Value == "ramfs"
		}
	}
	f := h.files[point]
	if f == nil {
		if h.files == nil {
			h.files = map[string]*fileSystem{}
		}
		f = &fileSystem{leftOut: memory}
		h.files[point] = f
	}
	return f
}

// chooseDisk takes the fullest file system, as df counts: what is used of what
// users other than root may use. Of equal ones, which are one disk mounted
// twice, the shortest mount point is taken.
func (h *HostNow) chooseDisk() {
	fullest := -1.0
	for point, f := range h.files {
		if f.leftOut || !f.size.Known || !f.free.Known || !f.avail.Known {
			continue
		}
		used := f.size.V - f.free.V
		if used+f.avail.V <= 0 {
			continue
		}
		share := used / (used + f.avail.V)
		if share > fullest || share == fullest && (len(point) < len(h.DiskMount) || len(point) == len(h.DiskMount) && point < h.DiskMount) {
			fullest = share
			h.DiskUsed, h.DiskSize, h.DiskAvail, h.DiskMount = known(used), known(f.size.V), known(f.avail.V), point
		}
	}
	h.files = nil
}

func (h *HostNow) takeSelf(r *tallyman.Reading) {
	switch r.Series.Desc.Name {
	case "process_cpu_seconds_total":
		if v, ok := r.Rate(); ok {
			h.SelfCPU = known(v)
		}
	case "process_resident_memory_bytes":
		h.SelfMemory = known(r.Value)
	}
}
