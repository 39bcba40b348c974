// SPDX-License-Identifier: Apache-2.0

package cgroup

import "tallyman"

// value is one number read from a cgroup file, in the kernel's unit.
type value uint8

// The values, in the order of the slots of a container.
const (
	cpuUsage value = iota // nanoseconds on v1 without hybrid, else microseconds
	cpuUser               // ticks of 1/100 s on v1 without hybrid, else microseconds
	cpuSystem
	cpuPeriods
	cpuThrottledPeriods
	cpuThrottled // nanoseconds on v1, microseconds on v2
	memUsage
	memLimit
	memCache
	memRSS
	memSwap
	memMapped
	memInactiveFile
	memActiveFile
	memOwnFaults // without child cgroups; v2 does not tell them apart
	memFaults
	memOwnMajorFaults
	memMajorFaults
	memKernel
	memFailures
	memOOMKills
	tasks
	tasksLimit
	values // how many there are
)

// metric is one row of the source's table: which value it is, and in which
// labels beside those of the container it comes.
type metric struct {
	desc  *tallyman.Desc
	from  value
	extra []tallyman.Label
}

func desc(name string, t tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: t, Unit: unit, Help: help}
}

func fault(kind, scope string) []tallyman.Label {
	return []tallyman.Label{{Name: "failure_type", Value: kind}, {Name: "scope", Value: scope}}
}

// Series names, label names and meanings are cAdvisor's
// (github.com/google/cadvisor, docs/storage/prometheus.md), unless said.
var (
	failures = desc("container_memory_failures_total", tallyman.Counter, "", "Page faults since the cgroup was made; pgfault holds the major ones too")

	direct = []metric{
		{desc("container_cpu_usage_seconds_total", tallyman.Counter, "seconds", "CPU time used"), cpuUsage, []tallyman.Label{{Name: "cpu", Value: "total"}}},
		{desc("container_cpu_user_seconds_total", tallyman.Counter, "seconds", "CPU time used in user mode"), cpuUser, nil},
		{desc("container_cpu_system_seconds_total", tallyman.Counter, "seconds", "CPU time used in kernel mode"), cpuSystem, nil},
		{desc("container_cpu_cfs_periods_total", tallyman.Counter, "", "Scheduler periods in which a CPU quota applied"), cpuPeriods, nil},
		{desc("container_cpu_cfs_throttled_periods_total", tallyman.Counter, "", "Scheduler periods in which the quota was used up"), cpuThrottledPeriods, nil},
		{desc("container_cpu_cfs_throttled_seconds_total", tallyman.Counter, "seconds", "Time that runnable threads were held back by the quota"), cpuThrottled, nil},
		{desc("container_memory_usage_bytes", tallyman.Gauge, "bytes", "Memory charged to the cgroup, page cache and kernel memory included"), memUsage, nil},
		{desc("container_spec_memory_limit_bytes", tallyman.Gauge, "bytes", "Memory limit, the tightest of the cgroup and its parents; the host's memory without one"), memLimit, nil},
		{desc("container_memory_cache", tallyman.Gauge, "bytes", "Page cache, shared memory and tmpfs included"), memCache, nil},
		{desc("container_memory_rss", tallyman.Gauge, "bytes", "Anonymous memory and swap cache, huge pages included"), memRSS, nil},
		{desc("container_memory_swap", tallyman.Gauge, "bytes", "Swap used"), memSwap, nil},
		{desc("container_memory_mapped_file", tallyman.Gauge, "bytes", "Mapped files, shared memory included"), memMapped, nil},
		{desc("container_memory_total_inactive_file_bytes", tallyman.Gauge, "bytes", "Page cache on the inactive list"), memInactiveFile, nil},
		{desc("container_memory_total_active_file_bytes", tallyman.Gauge, "bytes", "Page cache on the active list"), memActiveFile, nil},
		{failures, memOwnFaults, fault("pgfault", "container")},
		{failures, memFaults, fault("pgfault", "hierarchy")},
		{failures, memOwnMajorFaults, fault("pgmajfault", "container")},
		{failures, memMajorFaults, fault("pgmajfault", "hierarchy")},
		{desc("container_memory_kernel_usage", tallyman.Gauge, "bytes", "Kernel memory charged to the cgroup"), memKernel, nil},
		{desc("container_memory_failcnt", tallyman.Counter, "", "How often the memory limit was hit"), memFailures, nil},
		{desc("container_oom_events_total", tallyman.Counter, "", "Processes of the cgroup killed for want of memory"), memOOMKills, nil},
		{desc("container_threads", tallyman.Gauge, "", "Tasks (processes and threads) in the cgroup"), tasks, nil},
		{desc("container_threads_max", tallyman.Gauge, "", "Limit of tasks; absent without one"), tasksLimit, nil},
	}

	// Derived when collected, in the words of docker stats: "usage" is the
	// working set. The last three names are tallyman's own.
	workingSet    = desc("container_memory_working_set_bytes", tallyman.Gauge, "bytes", "Memory that cannot be taken back without pain: usage less inactive page cache, at least 0")
	usagePercent  = desc("container_memory_usage_percent", tallyman.Gauge, "", "Working set in percent of the limit, 0 to 100")
	memoryFree    = desc("container_memory_free_bytes", tallyman.Gauge, "bytes", "Limit less working set; for a container without a limit not what the host really has free")
	memoryFreePct = desc("container_memory_free_percent", tallyman.Gauge, "", "Free memory in percent of the limit, 0 to 100")
)

// table is every metric of the source.
func table() []*tallyman.Desc {
	var t []*tallyman.Desc
	for _, m := range direct {
		if len(t) == 0 || t[len(t)-1] != m.desc {
			t = append(t, m.desc)
		}
	}
	return append(t, workingSet, usagePercent, memoryFree, memoryFreePct)
}
