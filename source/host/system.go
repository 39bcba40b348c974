// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/kread"
)

var loads = []*tallyman.Desc{
	gauge("node_load1", "", "Load average over 1 minute"),
	gauge("node_load5", "", "Load average over 5 minutes"),
	gauge("node_load15", "", "Load average over 15 minutes"),
}

var loadCollector = collector{
	name: "loadavg", what: "load", descs: loads,
	open: func(s *Source) reading {
		f := s.file(filepath.Join(s.o.Proc, "loadavg"))
		return func(to *sink) error {
			text, err := f.read(&s.buf)
			if err != nil {
				return err
			}
			for _, d := range loads {
				var w []byte
				w, text = word(text)
				if v, ok := float(string(w)); ok {
					to.Add(d, v)
				}
			}
			return nil
		}
	},
}

var (
	filesAllocated = gauge("node_filefd_allocated", "", "Open file descriptions")
	filesMaximum   = gauge("node_filefd_maximum", "", "Limit of open file descriptions")
)

var filefdCollector = collector{
	name: "filefd", what: "open files", descs: []*tallyman.Desc{filesAllocated, filesMaximum},
	open: func(s *Source) reading {
		f := s.file(filepath.Join(s.o.Proc, "sys/fs/file-nr"))
		return func(to *sink) error {
			text, err := f.read(&s.buf)
			if err != nil {
				return err
			}
			if allocated, maximum, ok := parseFileNr(string(text)); ok {
				to.Add(filesAllocated, allocated)
				to.Add(filesMaximum, maximum)
			}
			return nil
		}
	},
}

// parseFileNr reads the text of /proc/sys/fs/file-nr: allocated, free (always 0
// since Linux 2.6) and the maximum.
func parseFileNr(text string) (allocated, maximum float64, ok bool) {
	f := strings.Fields(text)
	if len(f) != 3 {
		return 0, 0, false
	}
	a, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	m, err := strconv.ParseUint(f[2], 10, 64)
	return float64(a), float64(m), err == nil
}

var vmstatDescs = []*tallyman.Desc{
	untyped("node_vmstat_oom_kill", "Processes that the kernel killed for want of memory, of the host and in containers; since Linux 4.13"),
	untyped("node_vmstat_pgfault", "Page faults"),
	untyped("node_vmstat_pgmajfault", "Page faults for which something was read from a disk"),
	untyped("node_vmstat_pgpgin", "KiB that were read from disks"),
	untyped("node_vmstat_pgpgout", "KiB that were written to disks"),
	untyped("node_vmstat_pswpin", "Pages that were read from swap"),
	untyped("node_vmstat_pswpout", "Pages that were written to swap"),
}

// vmstatWanted reports whether node_exporter gives a line of /proc/vmstat unless told
// otherwise.
func vmstatWanted(key string) bool {
	return strings.HasPrefix(key, "oom_kill") || strings.HasPrefix(key, "pgpg") || strings.HasPrefix(key, "pswp") ||
		strings.HasPrefix(key, "pg") && strings.Contains(key[2:], "fault")
}

var vmstatCollector = collector{
	name: "vmstat", what: "paging", descs: vmstatDescs,
	open: func(s *Source) reading {
		f := s.file(filepath.Join(s.o.Proc, "vmstat"))
		n := newNames(s.o.Descs, tallyman.Untyped, "node_vmstat_", "What /proc/vmstat has as ", vmstatDescs)
		name := func(key string) string {
			if vmstatWanted(key) {
				return key
			}
			return ""
		}
		return func(to *sink) error {
			text, err := f.read(&s.buf)
			if err != nil {
				return err
			}
			for len(text) > 0 {
				var one []byte
				one, text = line(text)
				if len(one) == 0 || one[0] != 'p' && one[0] != 'o' {
					continue // most of some 200 lines
				}
				key, value := word(one)
				if d := n.get(key, name); d != nil {
					value, _ = word(value)
					if v, ok := integer(value); ok {
						to.Add(d, v)
					}
				}
			}
			return nil
		}
	},
}

// pressures are the totals of /proc/pressure. The kernel keeps no meaningful
// stall of the whole for the CPU, and none of the part for interrupts.
var pressures = []struct {
	desc           *tallyman.Desc
	resource, line string
}{
	{counter("node_pressure_cpu_waiting_seconds_total", "seconds", "Time in which some tasks waited for a CPU"), "cpu", "some"},
	{counter("node_pressure_memory_waiting_seconds_total", "seconds", "Time in which some tasks waited for memory"), "memory", "some"},
	{counter("node_pressure_memory_stalled_seconds_total", "seconds", "Time in which all tasks waited for memory"), "memory", "full"},
	{counter("node_pressure_io_waiting_seconds_total", "seconds", "Time in which some tasks waited for IO"), "io", "some"},
	{counter("node_pressure_io_stalled_seconds_total", "seconds", "Time in which all tasks waited for IO"), "io", "full"},
	{counter("node_pressure_irq_stalled_seconds_total", "seconds", "Time in which all tasks waited for interrupts; since Linux 6.1"), "irq", "full"},
}

var pressureCollector = collector{
	name: "pressure", what: "pressure", descs: func() (all []*tallyman.Desc) {
		for _, p := range pressures {
			all = append(all, p.desc)
		}
		return all
	}(),
	open: func(s *Source) reading {
		files := map[string]*file{}
		for _, p := range pressures {
			if files[p.resource] == nil {
				files[p.resource] = s.file(filepath.Join(s.o.Proc, "pressure", p.resource))
			}
		}
		return func(to *sink) error {
			var text []byte
			read := ""
			for _, p := range pressures {
				if p.resource != read {
					read = p.resource
					text, _ = files[read].read(&s.buf) // most kernels have no irq
				}
				if us, ok := parsePressure(text, p.line); ok {
					to.Add(p.desc, float64(us)/1e6)
				}
			}
			if len(to.samples) == 0 {
				return &lack{tallyman.Lacking, "The kernel of this host keeps no pressure statistics.", "boot the host with psi=1"}
			}
			return nil
		}
	},
}

// parsePressure finds the total in microseconds of a line of a file of /proc/pressure,
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=0
func parsePressure(text []byte, name string) (us uint64, ok bool) {
	for len(text) > 0 {
		var one []byte
		one, text = line(text)
		first, rest := word(one)
		if string(first) != name {
			continue
		}
		at := bytes.Index(rest, []byte("total="))
		if at < 0 {
			return 0, false
		}
		v, digits := kread.Uint(rest[at+len("total="):])
		return v, digits > 0
	}
	return 0, false
}

var uname = gauge("node_uname_info", "", "Always 1; the labels are what uname says of the host")

// unameCollector has the host's name for the node: in a container uname would give
// the container's. Nothing else of it changes while the machine runs.
var unameCollector = collector{
	name: "uname", what: "uname", every: time.Hour, descs: []*tallyman.Desc{uname},
	open: func(*Source) reading {
		return func(to *sink) error {
			var u unix.Utsname
			if err := unix.Uname(&u); err != nil {
				return err
			}
			word := unix.ByteSliceToString
			to.Add(uname, 1, "sysname", word(u.Sysname[:]), "release", word(u.Release[:]), "version", word(u.Version[:]),
				"machine", word(u.Machine[:]), "domainname", word(u.Domainname[:]), "nodename", to.target.ID)
			return nil
		}
	},
}

var (
	entropyBits = gauge("node_entropy_available_bits", "", "Entropy that the kernel has gathered, in bits; since Linux 5.18 always 256")
	entropyPool = gauge("node_entropy_pool_size_bits", "", "Size of the pool of entropy, in bits")
)

var entropyCollector = collector{
	name: "entropy", what: "entropy", every: 10 * time.Second, descs: []*tallyman.Desc{entropyBits, entropyPool},
	open: func(s *Source) reading {
		dir := filepath.Join(s.o.Proc, "sys/kernel/random")
		return func(to *sink) error {
			if !addFile(to, entropyBits, filepath.Join(dir, "entropy_avail"), 1) {
				return none("The kernel does not tell about its entropy.")
			}
			addFile(to, entropyPool, filepath.Join(dir, "poolsize"), 1)
			return nil
		}
	},
}

var scheduling = []*tallyman.Desc{
	counter("node_schedstat_running_seconds_total", "seconds", "Time in which a CPU ran tasks"),
	counter("node_schedstat_waiting_seconds_total", "seconds", "Time that tasks waited for a CPU"),
	counter("node_schedstat_timeslices_total", "", "Turns that a CPU gave to tasks"),
}

var schedstatCollector = collector{
	name: "schedstat", what: "scheduling", descs: scheduling,
	open: func(s *Source) reading {
		return func(to *sink) error {
			all, err := s.fs.Schedstat()
			if err != nil {
				return missing(err, "The kernel keeps no statistics of its scheduler (CONFIG_SCHEDSTATS).")
			}
			for _, c := range all.CPUs {
				to.Add(scheduling[0], float64(c.RunningNanoseconds)/1e9, "cpu", c.CPUNum)
				to.Add(scheduling[1], float64(c.WaitingNanoseconds)/1e9, "cpu", c.CPUNum)
				to.Add(scheduling[2], float64(c.RunTimeslices), "cpu", c.CPUNum)
			}
			return nil
		}
	},
}
