// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"strings"

	"tallyman"
	"tallyman/internal/cadvisor"
)

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
	memPeak
	memOOMKills
	tasks
	tasksLimit
	cpuWaiting // microseconds, like all pressure
	cpuStalled
	memWaiting
	memStalled
	ioWaiting
	ioStalled
	values // how many there are
)

// metric is one row of the source's table: which value it is, and in which
// labels beside those of the container it comes.
type metric struct {
	desc  *tallyman.Desc
	from  value
	extra []tallyman.Label
}

// direct are the rows that are one value each.
var direct = []metric{
	{cadvisor.CPUUsage, cpuUsage, []tallyman.Label{{Name: "cpu", Value: "total"}}},
	{cadvisor.CPUUser, cpuUser, nil},
	{cadvisor.CPUSystem, cpuSystem, nil},
	{cadvisor.CPUPeriods, cpuPeriods, nil},
	{cadvisor.CPUThrottledPeriods, cpuThrottledPeriods, nil},
	{cadvisor.CPUThrottled, cpuThrottled, nil},
	{cadvisor.MemoryUsage, memUsage, nil},
	{cadvisor.MemoryLimit, memLimit, nil},
	{cadvisor.MemoryCache, memCache, nil},
	{cadvisor.MemoryRSS, memRSS, nil},
	{cadvisor.MemorySwap, memSwap, nil},
	{cadvisor.MemoryMapped, memMapped, nil},
	{cadvisor.MemoryInactiveFile, memInactiveFile, nil},
	{cadvisor.MemoryActiveFile, memActiveFile, nil},
	{cadvisor.MemoryFailures, memOwnFaults, cadvisor.Fault("pgfault", "container")},
	{cadvisor.MemoryFailures, memFaults, cadvisor.Fault("pgfault", "hierarchy")},
	{cadvisor.MemoryFailures, memOwnMajorFaults, cadvisor.Fault("pgmajfault", "container")},
	{cadvisor.MemoryFailures, memMajorFaults, cadvisor.Fault("pgmajfault", "hierarchy")},
	{cadvisor.MemoryKernel, memKernel, nil},
	{cadvisor.MemoryFailcnt, memFailures, nil},
	{cadvisor.MemoryPeak, memPeak, nil},
	{cadvisor.OOMEvents, memOOMKills, nil},
	{cadvisor.Threads, tasks, nil},
	{cadvisor.ThreadsMax, tasksLimit, nil},
	{cpuPressureWaiting, cpuWaiting, nil},
	{cpuPressureStalled, cpuStalled, nil},
	{memPressureWaiting, memWaiting, nil},
	{memPressureStalled, memStalled, nil},
	{ioPressureWaiting, ioWaiting, nil},
	{ioPressureStalled, ioStalled, nil},
}

// Pressure comes from the kernel alone: the engine's API does not tell it. The
// names are cAdvisor's.
var (
	cpuPressureWaiting = pressure("cpu_waiting", "Time in which some tasks of the container waited for a CPU")
	cpuPressureStalled = pressure("cpu_stalled", "Time in which all tasks of the container that had work waited for a CPU")
	memPressureWaiting = pressure("memory_waiting", "Time in which some tasks of the container waited for memory")
	memPressureStalled = pressure("memory_stalled", "Time in which all tasks of the container that had work waited for memory")
	ioPressureWaiting  = pressure("io_waiting", "Time in which some tasks of the container waited for IO")
	ioPressureStalled  = pressure("io_stalled", "Time in which all tasks of the container that had work waited for IO")
)

func pressure(what, help string) *tallyman.Desc {
	of, _, _ := strings.Cut(what, "_")
	file := of + ".pressure"
	return &tallyman.Desc{Name: "container_pressure_" + what + "_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: help,
		Origin: tallyman.Origin{V1: "hybrid: " + file, V2: file}}
}

// derived are the rows that cadvisor.Derive makes of them.
var derived = []*tallyman.Desc{cadvisor.WorkingSet, cadvisor.MemoryPercent, cadvisor.MemoryFree, cadvisor.MemoryFreePercent}

// table is every metric of the source.
func table() []*tallyman.Desc {
	var t []*tallyman.Desc
	for _, m := range direct {
		if len(t) == 0 || t[len(t)-1] != m.desc {
			t = append(t, m.desc)
		}
	}
	return append(append(t, derived...), ioDescs[:]...)
}
