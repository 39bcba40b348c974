// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path/filepath"

	"tallyman"
)

// The metrics of a machine, in cAdvisor's names.
const (
	machineCores = iota
	machinePhysicalCores
	machineSockets
	machineMemory
	machineSwap
	machineError
	machineVersion
	machineCount
)

var machineDescs = [machineCount]*tallyman.Desc{
	machineCores:         gauge("machine_cpu_cores", "", "Logical CPUs that are online"),
	machinePhysicalCores: gauge("machine_cpu_physical_cores", "", "Physical cores that are online"),
	machineSockets:       gauge("machine_cpu_sockets", "", "Sockets with a CPU that is online"),
	machineMemory:        gauge("machine_memory_bytes", "bytes", "Physical memory that the kernel can use"),
	machineSwap:          gauge("machine_swap_bytes", "bytes", "Swap space"),
	machineError:         gauge("machine_scrape_error", "", "1 when the machine's metrics could not be read, else 0"),
	machineVersion:       gauge("cadvisor_version_info", "", "Always 1; boards of cAdvisor find the machines by it. The labels are the kernel's release and the name of the system"),
}

// machine is the machine as cAdvisor shows it, once it is attached.
type machine struct {
	target *tallyman.Target
	series [machineCount]*tallyman.Series
	// The topology is read when the number of CPUs changes.
	cpus           int
	cores, sockets int
}

func newMachine(s *Source, t *tallyman.Target) *machine {
	m := &machine{target: t}
	var labels []tallyman.Label
	if release, ok := text(filepath.Join(s.o.Proc, "sys/kernel/osrelease")); ok {
		labels = append(labels, tallyman.Label{Name: "kernelVersion", Value: release})
	}
	if r, err := s.release(); err == nil && r["PRETTY_NAME"] != "" {
		labels = append(labels, tallyman.Label{Name: "osVersion", Value: r["PRETTY_NAME"]})
	}
	for i, d := range machineDescs {
		if i == machineVersion {
			m.series[i] = t.Series(d, labels...)
		} else {
			m.series[i] = t.Series(d)
		}
	}
	return m
}

func (m *machine) collect(s *Source, st *procStat, mem *memInfo, b *tallyman.Batch) {
	if n := len(st.cpus); n != m.cpus {
		m.cpus = n
		var cpus []string
		for _, c := range st.cpus {
			cpus = append(cpus, c.cpu)
		}
		m.cores, m.sockets = topology(s.o.Sys, cpus)
	}
	if m.cpus > 0 {
		b.Add(m.series[machineCores], float64(m.cpus))
	}
	if m.cpus > 0 && m.sockets > 0 {
		b.Add(m.series[machinePhysicalCores], float64(m.cores))
		b.Add(m.series[machineSockets], float64(m.sockets))
	}
	if mem.total >= 0 {
		b.Add(m.series[machineMemory], mem.total)
	}
	if mem.swap >= 0 {
		b.Add(m.series[machineSwap], mem.swap)
	}
	b.Add(m.series[machineVersion], 1)
	b.Add(m.series[machineError], number(st.err != nil || mem.err != nil))
}

// topology counts the cores and sockets of CPUs, 0 when the kernel does not
// tell them.
func topology(sys string, cpus []string) (cores, sockets int) {
	seen := map[[3]string]bool{}
	packages := map[string]bool{}
	for _, n := range cpus {
		dir := filepath.Join(sys, "devices/system/cpu/cpu"+n, "topology")
		read := func(name string) string {
			value, _ := text(filepath.Join(dir, name))
			return value
		}
		where := [3]string{read("physical_package_id"), read("die_id"), read("core_id")}
		if where[0] == "" || where[2] == "" {
			return 0, 0
		}
		seen[where] = true
		packages[where[0]] = true
	}
	return len(seen), len(packages)
}
