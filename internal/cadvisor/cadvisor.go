// SPDX-License-Identifier: Apache-2.0

// Package cadvisor describes the metrics of a container that more than one
// source can produce: from the kernel's files, or from the engine's stats API
// where those cannot be reached. Series names, label names and meanings are
// cAdvisor's (github.com/google/cadvisor, docs/storage/prometheus.md), unless
// said. A metric that one source alone produces is described there.
package cadvisor

import "tallyman"

func desc(name string, t tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: t, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return desc(name, tallyman.Counter, unit, help)
}

func bytes(name, help string) *tallyman.Desc { return desc(name, tallyman.Gauge, "bytes", help) }

// CPU. CPUUsage has the label cpu="total".
var (
	CPUUsage            = counter("container_cpu_usage_seconds_total", "seconds", "CPU time used")
	CPUUser             = counter("container_cpu_user_seconds_total", "seconds", "CPU time used in user mode")
	CPUSystem           = counter("container_cpu_system_seconds_total", "seconds", "CPU time used in kernel mode")
	CPUPeriods          = counter("container_cpu_cfs_periods_total", "", "Scheduler periods in which a CPU quota applied")
	CPUThrottledPeriods = counter("container_cpu_cfs_throttled_periods_total", "", "Scheduler periods in which the quota was used up")
	CPUThrottled        = counter("container_cpu_cfs_throttled_seconds_total", "seconds", "Time that runnable threads were held back by the quota")
)

// Memory.
var (
	MemoryUsage        = bytes("container_memory_usage_bytes", "Memory charged to the cgroup, page cache and kernel memory included")
	MemoryLimit        = bytes("container_spec_memory_limit_bytes", "Memory limit, the tightest of the cgroup and its parents; the host's memory without one")
	MemoryCache        = bytes("container_memory_cache", "Page cache, shared memory and tmpfs included")
	MemoryRSS          = bytes("container_memory_rss", "Anonymous memory and swap cache, huge pages included")
	MemorySwap         = bytes("container_memory_swap", "Swap used")
	MemoryMapped       = bytes("container_memory_mapped_file", "Mapped files, shared memory included")
	MemoryInactiveFile = bytes("container_memory_total_inactive_file_bytes", "Page cache on the inactive list")
	MemoryActiveFile   = bytes("container_memory_total_active_file_bytes", "Page cache on the active list")
	MemoryFailures     = counter("container_memory_failures_total", "", "Page faults since the cgroup was made; pgfault holds the major ones too")
	MemoryKernel       = bytes("container_memory_kernel_usage", "Kernel memory charged to the cgroup")
	MemoryFailcnt      = counter("container_memory_failcnt", "", "How often the memory limit was hit")
	OOMEvents          = counter("container_oom_events_total", "", "Processes of the cgroup killed for want of memory")
)

// Fault are the labels of a series of MemoryFailures: kind is pgfault or
// pgmajfault, scope container or hierarchy (child cgroups included).
func Fault(kind, scope string) []tallyman.Label {
	return []tallyman.Label{{Name: "failure_type", Value: kind}, {Name: "scope", Value: scope}}
}

// Derived when collected, in the words of docker stats: "usage" is the
// working set. The last three names are tallyman's own.
var (
	WorkingSet        = bytes("container_memory_working_set_bytes", "Memory that cannot be taken back without pain: usage less inactive page cache, at least 0")
	MemoryPercent     = desc("container_memory_usage_percent", tallyman.Gauge, "", "Working set in percent of the limit, 0 to 100")
	MemoryFree        = bytes("container_memory_free_bytes", "Limit less working set; for a container without a limit not what the host really has free")
	MemoryFreePercent = desc("container_memory_free_percent", tallyman.Gauge, "", "Free memory in percent of the limit, 0 to 100")
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
	Threads    = desc("container_threads", tallyman.Gauge, "", "Tasks (processes and threads) in the cgroup")
	ThreadsMax = desc("container_threads_max", tallyman.Gauge, "", "Limit of tasks; absent without one")
)

// Network, with the label interface.
var (
	ReceiveBytes    = counter("container_network_receive_bytes_total", "bytes", "Bytes received")
	ReceivePackets  = counter("container_network_receive_packets_total", "", "Packets received")
	ReceiveErrors   = counter("container_network_receive_errors_total", "", "Errors while receiving")
	ReceiveDropped  = counter("container_network_receive_packets_dropped_total", "", "Received packets that were dropped")
	TransmitBytes   = counter("container_network_transmit_bytes_total", "bytes", "Bytes sent")
	TransmitPackets = counter("container_network_transmit_packets_total", "", "Packets sent")
	TransmitErrors  = counter("container_network_transmit_errors_total", "", "Errors while sending")
	TransmitDropped = counter("container_network_transmit_packets_dropped_total", "", "Packets to send that were dropped")
)

// Block IO, with the label device.
var (
	ReadBytes  = counter("container_fs_reads_bytes_total", "bytes", "Bytes read from a block device; absent when the kernel does not count it by cgroup")
	WriteBytes = counter("container_fs_writes_bytes_total", "bytes", "Bytes written to a block device; on cgroup v1 only direct and synchronous writes are known to be a container's")
	Reads      = counter("container_fs_reads_total", "", "Reads from a block device")
	Writes     = counter("container_fs_writes_total", "", "Writes to a block device")
)

// FSUsage is of a container its writable layer; of the machine, with the label
// device, a file system.
var FSUsage = bytes("container_fs_usage_bytes", "Space used: of a container by its writable layer without volumes, as old as the setting disk_usage says; of the machine on a file system")
