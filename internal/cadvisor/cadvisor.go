// SPDX-License-Identifier: Apache-2.0

// Package cadvisor describes the metrics of a container that more than one
// source can produce: from the kernel's files, or from the engine's stats API
// where those cannot be reached. Series names, label names and meanings are
// cAdvisor's (github.com/google/cadvisor, docs/storage/prometheus.md), unless
// said. A metric that one source alone produces is described there.
package cadvisor

import "tallyman"

func desc(name string, t tallyman.MetricType, unit, help string, from tallyman.Origin) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: t, Unit: unit, Help: help, Origin: from}
}

func counter(name, unit, help string, from tallyman.Origin) *tallyman.Desc {
	return desc(name, tallyman.Counter, unit, help, from)
}

func bytes(name, help string, from tallyman.Origin) *tallyman.Desc {
	return desc(name, tallyman.Gauge, "bytes", help, from)
}

// from is an origin; an empty v2 is the file of v1.
func from(v1, v2, api, row string) tallyman.Origin {
	return tallyman.Origin{V1: v1, V2: v2, API: api, Row: row}
}

// CPU. CPUUsage has the label cpu="total".
var (
	CPUUsage = counter("container_cpu_usage_seconds_total", "seconds", "CPU time used",
		from("cpuacct.usage; hybrid: cpu.stat usage_usec", "cpu.stat usage_usec", "cpu_stats.cpu_usage.total_usage", "1"))
	CPUUser = counter("container_cpu_user_seconds_total", "seconds", "CPU time used in user mode",
		from("cpuacct.stat user; hybrid: cpu.stat user_usec", "cpu.stat user_usec", "cpu_stats.cpu_usage.usage_in_usermode", "3"))
	CPUSystem = counter("container_cpu_system_seconds_total", "seconds", "CPU time used in kernel mode",
		from("cpuacct.stat system; hybrid: cpu.stat system_usec", "cpu.stat system_usec", "cpu_stats.cpu_usage.usage_in_kernelmode", "2"))
	CPUPeriods = counter("container_cpu_cfs_periods_total", "", "Scheduler periods in which a CPU quota applied",
		from("cpu.stat nr_periods", "", "cpu_stats.throttling_data.periods", ""))
	CPUThrottledPeriods = counter("container_cpu_cfs_throttled_periods_total", "", "Scheduler periods in which the quota was used up",
		from("cpu.stat nr_throttled", "", "cpu_stats.throttling_data.throttled_periods", ""))
	CPUThrottled = counter("container_cpu_cfs_throttled_seconds_total", "seconds", "Time that runnable threads were held back by the quota",
		from("cpu.stat throttled_time", "cpu.stat throttled_usec", "cpu_stats.throttling_data.throttled_time", ""))
)

// Memory.
var (
	MemoryUsage = bytes("container_memory_usage_bytes", "Memory charged to the cgroup, page cache and kernel memory included",
		from("memory.usage_in_bytes", "memory.current", "memory_stats.usage", ""))
	MemoryLimit = bytes("container_spec_memory_limit_bytes", "Memory limit, the tightest of the cgroup and its parents; the host's memory without one",
		from("memory.stat hierarchical_memory_limit", "memory.max of the cgroup and its parents", "memory_stats.limit", "7"))
	MemoryCache = bytes("container_memory_cache", "Page cache, shared memory and tmpfs included",
		from("memory.stat total_cache", "memory.stat file", "memory_stats.stats total_cache or file", "11"))
	MemoryRSS = bytes("container_memory_rss", "Anonymous memory and swap cache, huge pages included",
		from("memory.stat total_rss", "memory.stat anon", "memory_stats.stats total_rss or anon", "12"))
	MemorySwap = bytes("container_memory_swap", "Swap used",
		from("memory.stat total_swap", "memory.swap.current", "", "13"))
	MemoryMapped = bytes("container_memory_mapped_file", "Mapped files, shared memory included",
		from("memory.stat total_mapped_file", "memory.stat file_mapped", "memory_stats.stats total_mapped_file or file_mapped", ""))
	MemoryInactiveFile = bytes("container_memory_total_inactive_file_bytes", "Page cache on the inactive list",
		from("memory.stat total_inactive_file", "memory.stat inactive_file", "memory_stats.stats total_inactive_file or inactive_file", ""))
	MemoryActiveFile = bytes("container_memory_total_active_file_bytes", "Page cache on the active list",
		from("memory.stat total_active_file", "memory.stat active_file", "memory_stats.stats total_active_file or active_file", ""))
	MemoryFailures = counter("container_memory_failures_total", "", "Page faults since the cgroup was made; pgfault holds the major ones too",
		from("memory.stat pgfault, pgmajfault, total_*", "memory.stat pgfault, pgmajfault", "memory_stats.stats, the same", "15, 16"))
	MemoryKernel = bytes("container_memory_kernel_usage", "Kernel memory charged to the cgroup",
		from("memory.kmem.usage_in_bytes", "memory.stat kernel", "memory_stats.stats kernel", ""))
	MemoryFailcnt = counter("container_memory_failcnt", "", "How often the memory limit was hit",
		from("memory.failcnt", "memory.events max", "memory_stats.failcnt", ""))
	MemoryPeak = bytes("container_memory_max_usage_bytes", "Most memory that was ever charged to the cgroup; on cgroup v2 since Linux 5.19",
		from("memory.max_usage_in_bytes", "memory.peak", "memory_stats.max_usage", ""))
	OOMEvents = counter("container_oom_events_total", "", "Processes of the cgroup killed for want of memory",
		from("memory.oom_control oom_kill", "memory.events oom_kill", "", ""))
)

// Fault are the labels of a series of MemoryFailures: kind is pgfault or
// pgmajfault, scope container or hierarchy (child cgroups included).
func Fault(kind, scope string) []tallyman.Label {
	return []tallyman.Label{{Name: "failure_type", Value: kind}, {Name: "scope", Value: scope}}
}

// Derived when collected, in the words of docker stats: "usage" is the
// working set. The last three names are tallyman's own.
var (
	WorkingSet = bytes("container_memory_working_set_bytes", "Memory that cannot be taken back without pain: usage less inactive page cache, at least 0",
		from("usage less memory.stat total_inactive_file", "usage less memory.stat inactive_file", "the same of memory_stats", "6, 14"))
	MemoryPercent = desc("container_memory_usage_percent", tallyman.Gauge, "", "Working set in percent of the limit, 0 to 100",
		from("working set of the limit", "", "the same", "8"))
	MemoryFree = bytes("container_memory_free_bytes", "Limit less working set; for a container without a limit not what the host really has free",
		from("limit less working set", "", "the same", "9"))
	MemoryFreePercent = desc("container_memory_free_percent", tallyman.Gauge, "", "Free memory in percent of the limit, 0 to 100",
		from("100 less the percentage used", "", "the same", "10"))
)

// Memory in words of docker stats.
//
//	working set = usage - inactive file, at least 0
//	percent     = 100 * working set / limit
//
// Derive is the working set and, where limit is not 0, the other three.
func Derive(usage, inactiveFile, limit uint64) (workingSet, percent, free, freePercent float64) {
	set := uint64(0)
	if usage > inactiveFile {
		set = usage - inactiveFile
	}
	if limit == 0 {
		return float64(set), 0, 0, 0
	}
	percent = 100 * float64(set) / float64(limit)
	return float64(set), percent, float64(limit) - float64(set), 100 - percent
}

// Tasks.
var (
	Threads = desc("container_threads", tallyman.Gauge, "", "Tasks (processes and threads) in the cgroup",
		from("pids.current", "", "pids_stats.current", ""))
	ThreadsMax = desc("container_threads_max", tallyman.Gauge, "", "Limit of tasks; absent without one",
		from("pids.max", "", "pids_stats.limit", ""))
)

// Network, with the label interface.
var (
	ReceiveBytes = counter("container_network_receive_bytes_total", "bytes", "Bytes received",
		from("/proc/PID/net/dev", "", "networks rx_bytes", "17"))
	ReceivePackets = counter("container_network_receive_packets_total", "", "Packets received",
		from("/proc/PID/net/dev", "", "networks rx_packets", ""))
	ReceiveErrors = counter("container_network_receive_errors_total", "", "Errors while receiving",
		from("/proc/PID/net/dev", "", "networks rx_errors", "18"))
	ReceiveDropped = counter("container_network_receive_packets_dropped_total", "", "Received packets that were dropped",
		from("/proc/PID/net/dev", "", "networks rx_dropped", "19"))
	TransmitBytes = counter("container_network_transmit_bytes_total", "bytes", "Bytes sent",
		from("/proc/PID/net/dev", "", "networks tx_bytes", "20"))
	TransmitPackets = counter("container_network_transmit_packets_total", "", "Packets sent",
		from("/proc/PID/net/dev", "", "networks tx_packets", ""))
	TransmitErrors = counter("container_network_transmit_errors_total", "", "Errors while sending",
		from("/proc/PID/net/dev", "", "networks tx_errors", "21"))
	TransmitDropped = counter("container_network_transmit_packets_dropped_total", "", "Packets to send that were dropped",
		from("/proc/PID/net/dev", "", "networks tx_dropped", "22"))
)

// Block IO, with the label device.
var (
	ReadBytes = counter("container_fs_reads_bytes_total", "bytes", "Bytes read from a block device; absent when the kernel does not count it by cgroup",
		from("blkio.throttle.io_service_bytes_recursive Read", "io.stat rbytes", "blkio_stats.io_service_bytes_recursive", "4"))
	WriteBytes = counter("container_fs_writes_bytes_total", "bytes", "Bytes written to a block device; on cgroup v1 only direct and synchronous writes are known to be a container's",
		from("blkio.throttle.io_service_bytes_recursive Write", "io.stat wbytes", "blkio_stats.io_service_bytes_recursive", "5"))
	Reads = counter("container_fs_reads_total", "", "Reads from a block device",
		from("blkio.throttle.io_serviced_recursive Read", "io.stat rios", "blkio_stats.io_serviced_recursive", ""))
	Writes = counter("container_fs_writes_total", "", "Writes to a block device",
		from("blkio.throttle.io_serviced_recursive Write", "io.stat wios", "blkio_stats.io_serviced_recursive", ""))
)

// FSUsage is of a container its writable layer; of the machine, with the label
// device, a file system.
var FSUsage = bytes("container_fs_usage_bytes", "Space used: of a container by its writable layer without volumes, as old as the setting sources.diskusage.every says; of the machine on a file system",
	from("inspect SizeRw; statfs", "", "", ""))
