// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"strings"

	"tallyman/internal/kread"
)

// file is one cgroup file that is read each round.
type file struct {
	controller, name string
	// slots are the values that the keys of the file go to; a file of one
	// number has one slot and no keys.
	keys  []string
	slots []value
	// slow files take the kernel long to write.
	slow bool
	// pressure files have lines of their own form; the slots are some and full.
	pressure bool
}

// plan is the set of files of one kind of hierarchy, and the factor that turns
// each value into its metric's unit.
type plan struct {
	files []file
	scale [values]float64
	// alias copies a value that this hierarchy does not know apart.
	alias [][2]value // to, from
}

// peakV2 came later than the other files of cgroup v2.
const peakV2 = "memory.peak"

const (
	nano  = 1e-9
	micro = 1e-6
	tick  = 0.01 // USER_HZ is 100 on every Linux that Docker runs on
)

// The keys of cpu.stat in a cgroup v2 hierarchy. In hybrid mode the unified
// hierarchy has the file without any controller, with a finer user and system
// time than cpuacct.stat and all three numbers of one moment.
var usage = file{controller: "", name: "cpu.stat",
	keys: []string{"usage_usec", "user_usec", "system_usec"}, slots: []value{cpuUsage, cpuUser, cpuSystem}}

// pressures belong to no controller, so the unified hierarchy has them in
// hybrid mode too; cgroup v1 alone knows no pressure of a container. They are
// there when the kernel was built with it (CONFIG_PSI) and it is not switched
// off. Before Linux 5.13 cpu.pressure has no line "full".
var pressures = []file{
	{name: "cpu.pressure", slots: []value{cpuWaiting, cpuStalled}, pressure: true},
	{name: "memory.pressure", slots: []value{memWaiting, memStalled}, pressure: true},
	{name: "io.pressure", slots: []value{ioWaiting, ioStalled}, pressure: true},
}

func one(controller, name string, v value) file {
	return file{controller: controller, name: name, slots: []value{v}}
}

// newPlan says what is read where in hierarchy h; the units are those of
// docs.kernel.org/admin-guide/cgroup-v1 and cgroup-v2.
func newPlan(h hierarchy) plan {
	p := plan{}
	for i := range p.scale {
		p.scale[i] = 1
	}
	for v := cpuWaiting; v <= ioStalled; v++ {
		p.scale[v] = micro
	}
	if h.unified {
		p.scale[cpuUsage], p.scale[cpuUser], p.scale[cpuSystem], p.scale[cpuThrottled] = micro, micro, micro, micro
		cpu := usage
		cpu.keys = append(cpu.keys[:3:3], "nr_periods", "nr_throttled", "throttled_usec")
		cpu.slots = append(cpu.slots[:3:3], cpuPeriods, cpuThrottledPeriods, cpuThrottled)
		p.files = []file{
			cpu,
			one("", "memory.current", memUsage),
			{name: "memory.stat", slow: true,
				keys:  []string{"anon", "file", "kernel", "file_mapped", "inactive_file", "active_file", "pgfault", "pgmajfault"},
				slots: []value{memRSS, memCache, memKernel, memMapped, memInactiveFile, memActiveFile, memFaults, memMajorFaults}},
			one("", "memory.max", memLimit),
			one("", peakV2, memPeak),
			one("", "memory.swap.current", memSwap),
			{name: "memory.events", keys: []string{"max", "oom_kill"}, slots: []value{memFailures, memOOMKills}},
			one("", "pids.current", tasks),
			one("", "pids.max", tasksLimit),
		}
		p.files = append(p.files, pressures...)
		p.alias = [][2]value{{memOwnFaults, memFaults}, {memOwnMajorFaults, memMajorFaults}}
		return p
	}
	p.scale[cpuThrottled] = nano
	cpu := []file{usage}
	if h.hybrid {
		p.scale[cpuUsage], p.scale[cpuUser], p.scale[cpuSystem] = micro, micro, micro
	} else {
		p.scale[cpuUsage], p.scale[cpuUser], p.scale[cpuSystem] = nano, tick, tick
		cpu = []file{
			one("cpuacct", "cpuacct.usage", cpuUsage),
			{controller: "cpuacct", name: "cpuacct.stat", keys: []string{"user", "system"}, slots: []value{cpuUser, cpuSystem}},
		}
	}
	p.files = append(cpu, []file{
		{controller: "cpu", name: "cpu.stat",
			keys: []string{"nr_periods", "nr_throttled", "throttled_time"}, slots: []value{cpuPeriods, cpuThrottledPeriods, cpuThrottled}},
		one("memory", "memory.usage_in_bytes", memUsage),
		{controller: "memory", name: "memory.stat", slow: true,
			keys: []string{"pgfault", "pgmajfault", "hierarchical_memory_limit", "total_cache", "total_rss", "total_mapped_file",
				"total_swap", "total_pgfault", "total_pgmajfault", "total_inactive_file", "total_active_file"},
			slots: []value{memOwnFaults, memOwnMajorFaults, memLimit, memCache, memRSS, memMapped,
				memSwap, memFaults, memMajorFaults, memInactiveFile, memActiveFile}},
		one("memory", "memory.kmem.usage_in_bytes", memKernel),
		one("memory", "memory.failcnt", memFailures),
		one("memory", "memory.max_usage_in_bytes", memPeak),
		{controller: "memory", name: "memory.oom_control", keys: []string{"oom_kill"}, slots: []value{memOOMKills}},
		one("pids", "pids.current", tasks),
		one("pids", "pids.max", tasksLimit),
	}...)
	if h.hybrid {
		p.files = append(p.files, pressures...)
	}
	return p
}

// reader reads one kind of file of any container: it knows the file's layout.
type reader struct {
	file
	layout  *kread.Layout // nil for a file of one number
	scratch []uint64
}

func newReaders(files []file) []reader {
	r := make([]reader, len(files))
	for i, f := range files {
		r[i] = reader{file: f}
		if len(f.keys) > 0 {
			r[i].layout = kread.NewLayout(f.keys...)
			r[i].scratch = make([]uint64, len(f.keys))
		}
	}
	return r
}

// parse takes the values of the file's text b into out and returns the set of
// values found, bit v for value v.
func (r *reader) parse(b []byte, out *[values]uint64) (found uint64) {
	if r.pressure {
		some, full, known := parsePressure(b)
		for i, v := range [...]uint64{some, full} {
			if known&(1<<i) != 0 {
				out[r.slots[i]] = v
				found |= 1 << r.slots[i]
			}
		}
		return found
	}
	if r.layout == nil {
		if v, d := kread.Uint(b); d > 0 {
			out[r.slots[0]] = v
			return 1 << r.slots[0]
		}
		return 0
	}
	hit := r.layout.Scan(b, r.scratch)
	for i, slot := range r.slots {
		if hit&(1<<i) != 0 {
			out[slot] = r.scratch[i]
			found |= 1 << slot
		}
	}
	return found
}

// path is where the file lies for a container, empty when the container is in
// no such hierarchy.
func (f file) path(p paths) string {
	dir, ok := p[f.controller]
	if !ok {
		return ""
	}
	return strings.TrimSuffix(dir, "/") + "/" + f.name
}
