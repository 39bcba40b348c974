// SPDX-License-Identifier: Apache-2.0

package enginestats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/cadvisor"
)

// answer is one sample of GET /containers/{id}/stats. What an engine leaves
// out is nil or empty: absent, not zero. Field names are those of API 1.41; 1.52
// and later have the same and more.
type answer struct {
	// Read is when it was taken, RFC 3339; "0001-01-01T00:00:00Z" for a
	// container that does not run.
	Read string `json:"read"`
	CPU  struct {
		Usage struct {
			Total  *uint64 `json:"total_usage"`         // nanoseconds
			User   *uint64 `json:"usage_in_usermode"`   // nanoseconds
			Kernel *uint64 `json:"usage_in_kernelmode"` // nanoseconds
		} `json:"cpu_usage"`
		Throttling struct {
			Periods          *uint64 `json:"periods"`
			ThrottledPeriods *uint64 `json:"throttled_periods"`
			ThrottledTime    *uint64 `json:"throttled_time"` // nanoseconds
		} `json:"throttling_data"`
	} `json:"cpu_stats"`
	Memory struct {
		Usage *uint64 `json:"usage"` // bytes
		Limit *uint64 `json:"limit"` // bytes, at most the host's memory
		// Failcnt is on cgroup v2 the engine's name for another counter.
		Failcnt  *uint64           `json:"failcnt"`
		MaxUsage *uint64           `json:"max_usage"` // bytes, of cgroup v1
		Stats    map[string]uint64 `json:"stats"`     // the keys of memory.stat, of cgroup v1 or v2
	} `json:"memory_stats"`
	Pids struct {
		Current *uint64 `json:"current"`
		Limit   *uint64 `json:"limit"`
	} `json:"pids_stats"`
	// Networks are by interface; missing for none, host and container:….
	Networks map[string]network `json:"networks"`
	BlockIO  struct {
		Bytes      []blockIO `json:"io_service_bytes_recursive"`
		Operations []blockIO `json:"io_serviced_recursive"`
	} `json:"blkio_stats"`
}

// network are the counters of one interface, from inside the container.
type network struct {
	RxBytes   *uint64 `json:"rx_bytes"`
	RxPackets *uint64 `json:"rx_packets"`
	RxErrors  *uint64 `json:"rx_errors"`
	RxDropped *uint64 `json:"rx_dropped"`
	TxBytes   *uint64 `json:"tx_bytes"`
	TxPackets *uint64 `json:"tx_packets"`
	TxErrors  *uint64 `json:"tx_errors"`
	TxDropped *uint64 `json:"tx_dropped"`
}

// blockIO is one counter of one device; Op is "Read" or "read", by the
// engine's cgroup version.
type blockIO struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

// The bounds of what one answer may hold.
const (
	maxInterfaces = 64
	maxDevices    = 64
)

// taken reports whether the answer is a sample of a running container.
func (a *answer) taken() bool {
	return a.Read != "" && !strings.HasPrefix(a.Read, "0001-01-01")
}

// unified reports whether memory.stat is that of cgroup v2.
func (a *answer) unified() bool {
	_, ok := a.Memory.Stats["total_rss"]
	return !ok
}

// memoryKeys are the keys of memory.stat on v1 and on v2; an empty key is not
// there.
var memoryKeys = []struct {
	desc   *tallyman.Desc
	extra  []tallyman.Label
	v1, v2 string
}{
	{cadvisor.MemoryCache, nil, "total_cache", "file"},
	{cadvisor.MemoryRSS, nil, "total_rss", "anon"},
	{cadvisor.MemoryMapped, nil, "total_mapped_file", "file_mapped"},
	{cadvisor.MemoryInactiveFile, nil, "total_inactive_file", "inactive_file"},
	{cadvisor.MemoryActiveFile, nil, "total_active_file", "active_file"},
	{cadvisor.MemoryKernel, nil, "", "kernel"},
	{cadvisor.MemoryFailures, cadvisor.Fault("pgfault", "container"), "pgfault", "pgfault"},
	{cadvisor.MemoryFailures, cadvisor.Fault("pgfault", "hierarchy"), "total_pgfault", "pgfault"},
	{cadvisor.MemoryFailures, cadvisor.Fault("pgmajfault", "container"), "pgmajfault", "pgmajfault"},
	{cadvisor.MemoryFailures, cadvisor.Fault("pgmajfault", "hierarchy"), "total_pgmajfault", "pgmajfault"},
}

// networkRows are the counters of an interface.
var networkRows = []struct {
	desc *tallyman.Desc
	of   func(*network) *uint64
}{
	{cadvisor.ReceiveBytes, func(n *network) *uint64 { return n.RxBytes }},
	{cadvisor.ReceivePackets, func(n *network) *uint64 { return n.RxPackets }},
	{cadvisor.ReceiveErrors, func(n *network) *uint64 { return n.RxErrors }},
	{cadvisor.ReceiveDropped, func(n *network) *uint64 { return n.RxDropped }},
	{cadvisor.TransmitBytes, func(n *network) *uint64 { return n.TxBytes }},
	{cadvisor.TransmitPackets, func(n *network) *uint64 { return n.TxPackets }},
	{cadvisor.TransmitErrors, func(n *network) *uint64 { return n.TxErrors }},
	{cadvisor.TransmitDropped, func(n *network) *uint64 { return n.TxDropped }},
}

// table is every metric of the source.
func table() []*tallyman.Desc {
	t := []*tallyman.Desc{
		cadvisor.CPUUsage, cadvisor.CPUUser, cadvisor.CPUSystem, cadvisor.CPUPeriods, cadvisor.CPUThrottledPeriods, cadvisor.CPUThrottled,
		cadvisor.MemoryUsage, cadvisor.MemoryLimit, cadvisor.MemoryFailcnt, cadvisor.MemoryPeak, cadvisor.WorkingSet, cadvisor.MemoryPercent, cadvisor.MemoryFree,
		cadvisor.MemoryFreePercent, cadvisor.Threads, cadvisor.ThreadsMax, cadvisor.ReadBytes, cadvisor.WriteBytes, cadvisor.Reads, cadvisor.Writes,
	}
	for _, r := range memoryKeys {
		if !slices.Contains(t, r.desc) {
			t = append(t, r.desc)
		}
	}
	for _, r := range networkRows {
		t = append(t, r.desc)
	}
	return t
}

// samples appends the values of an answer, always in the same order.
func (c *container) samples(out []tallyman.Sample, a *answer) []tallyman.Sample {
	add := func(v *uint64, scale float64, d *tallyman.Desc, label string, extra ...tallyman.Label) {
		if v != nil {
			out = append(out, tallyman.Sample{Series: c.of(d, label, extra...), Value: float64(*v) * scale})
		}
	}
	const nano = 1e-9
	u, th := &a.CPU.Usage, &a.CPU.Throttling
	add(u.Total, nano, cadvisor.CPUUsage, "", tallyman.Label{Name: "cpu", Value: "total"})
	add(u.User, nano, cadvisor.CPUUser, "")
	add(u.Kernel, nano, cadvisor.CPUSystem, "")
	add(th.Periods, 1, cadvisor.CPUPeriods, "")
	add(th.ThrottledPeriods, 1, cadvisor.CPUThrottledPeriods, "")
	add(th.ThrottledTime, nano, cadvisor.CPUThrottled, "")

	m := &a.Memory
	unified := a.unified()
	add(m.Usage, 1, cadvisor.MemoryUsage, "")
	if !unified {
		add(m.Failcnt, 1, cadvisor.MemoryFailcnt, "")
		add(m.MaxUsage, 1, cadvisor.MemoryPeak, "")
	}
	for _, r := range memoryKeys {
		k := r.v1
		if unified {
			k = r.v2
		}
		if v, ok := m.Stats[k]; ok && k != "" {
			scope := ""
			for _, l := range r.extra {
				scope += l.Value
			}
			add(&v, 1, r.desc, scope, r.extra...)
		}
	}
	out = c.derived(a, unified, out)
	add(a.Pids.Current, 1, cadvisor.Threads, "")
	if l := a.Pids.Limit; l != nil && *l != 0 && *l != math.MaxUint64 {
		add(l, 1, cadvisor.ThreadsMax, "")
	}
	if c.shared == "" {
		names := make([]string, 0, len(a.Networks))
		for name := range a.Networks {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names[:min(len(names), maxInterfaces)] {
			n := a.Networks[name]
			for _, r := range networkRows {
				add(r.of(&n), 1, r.desc, name, tallyman.Label{Name: "interface", Value: name})
			}
		}
	}
	out = c.devices(a.BlockIO.Bytes, cadvisor.ReadBytes, cadvisor.WriteBytes, out)
	return c.devices(a.BlockIO.Operations, cadvisor.Reads, cadvisor.Writes, out)
}

// derived appends the working set and what follows from it.
func (c *container) derived(a *answer, unified bool, out []tallyman.Sample) []tallyman.Sample {
	m := &a.Memory
	inactive, ok := m.Stats["total_inactive_file"]
	if unified {
		inactive, ok = m.Stats["inactive_file"]
	}
	if !ok || m.Usage == nil {
		return out
	}
	limit := uint64(0)
	if m.Limit != nil {
		limit = *m.Limit
	}
	add := func(d *tallyman.Desc, v float64) {
		out = append(out, tallyman.Sample{Series: c.of(d, ""), Value: v})
	}
	set, percent, free, freePercent := cadvisor.Derive(*m.Usage, inactive, limit)
	add(cadvisor.WorkingSet, set)
	if limit > 0 {
		add(cadvisor.MemoryLimit, float64(limit))
		add(cadvisor.MemoryPercent, percent)
		add(cadvisor.MemoryFree, free)
		add(cadvisor.MemoryFreePercent, freePercent)
	}
	return out
}

// devices appends the reads and writes of each device. The API names devices
// by number alone: the label is "8:0".
func (c *container) devices(list []blockIO, read, write *tallyman.Desc, out []tallyman.Sample) []tallyman.Sample {
	list = slices.Clone(list[:min(len(list), 8*maxDevices)])
	slices.SortFunc(list, func(a, b blockIO) int {
		return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor), cmp.Compare(strings.ToLower(a.Op), strings.ToLower(b.Op)))
	})
	for _, e := range list {
		d := read
		switch strings.ToLower(e.Op) {
		case "read":
		case "write":
			d = write
		default:
			continue // sync, async and total overlap the two
		}
		device := fmt.Sprintf("%d:%d", e.Major, e.Minor)
		out = append(out, tallyman.Sample{Series: c.of(d, device, tallyman.Label{Name: "device", Value: device}), Value: float64(e.Value)})
	}
	return out
}
