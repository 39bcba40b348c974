// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"tallyman"
)

// scalar is one of the metrics that the host has once.
type scalar int

const (
	load1 scalar = iota
	load5
	load15
	now
	bootTime
	contextSwitches
	interrupts
	forks
	running
	blocked
	filesAllocated
	filesMaximum
	clockSynced
	clockMaxError
	oomKills
	scalarCount
)

var scalars = [scalarCount]*tallyman.Desc{
	load1:           gauge("node_load1", "", "Load average over 1 minute"),
	load5:           gauge("node_load5", "", "Load average over 5 minutes"),
	load15:          gauge("node_load15", "", "Load average over 15 minutes"),
	now:             gauge("node_time_seconds", "seconds", "Unix time of the host's clock"),
	bootTime:        gauge("node_boot_time_seconds", "seconds", "Unix time of the boot"),
	contextSwitches: counter("node_context_switches_total", "", "Context switches"),
	interrupts:      counter("node_intr_total", "", "Interrupts served"),
	forks:           counter("node_forks_total", "", "Processes and threads that were started"),
	running:         gauge("node_procs_running", "", "Threads that run or could run"),
	blocked:         gauge("node_procs_blocked", "", "Threads that wait for IO"),
	filesAllocated:  gauge("node_filefd_allocated", "", "Open file descriptions"),
	filesMaximum:    gauge("node_filefd_maximum", "", "Limit of open file descriptions"),
	clockSynced:     gauge("node_timex_sync_status", "", "Whether the kernel's clock is kept right by a program for that: 1 or 0"),
	clockMaxError:   gauge("node_timex_maxerror_seconds", "seconds", "By how much the clock may be wrong at most, as the kernel reckons"),
	oomKills:        desc("node_vmstat_oom_kill", tallyman.Untyped, "", "Processes that the kernel killed for want of memory, of the host and in containers; since Linux 4.13"),
}

var uname = gauge("node_uname_info", "", "Always 1; the labels are what uname says of the host")

// unameSeries interns the series of uname. The name of the node is the host's:
// in a container uname would give the container's.
func unameSeries(t *tallyman.Target) *tallyman.Series {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil
	}
	label := func(name string, value []byte) tallyman.Label {
		return tallyman.Label{Name: name, Value: unix.ByteSliceToString(value)}
	}
	return t.Series(uname, label("sysname", u.Sysname[:]), label("release", u.Release[:]), label("version", u.Version[:]),
		label("machine", u.Machine[:]), label("domainname", u.Domainname[:]), tallyman.Label{Name: "nodename", Value: t.ID})
}

// pressures are the totals of /proc/pressure. The kernel keeps no meaningful
// stall of the whole for the CPU.
var pressures = []struct {
	desc     *tallyman.Desc
	resource string
	line     func(*procfs.PSIStats) *procfs.PSILine
}{
	{counter("node_pressure_cpu_waiting_seconds_total", "seconds", "Time in which some tasks waited for a CPU"), "cpu", some},
	{counter("node_pressure_memory_waiting_seconds_total", "seconds", "Time in which some tasks waited for memory"), "memory", some},
	{counter("node_pressure_memory_stalled_seconds_total", "seconds", "Time in which all tasks waited for memory"), "memory", full},
	{counter("node_pressure_io_waiting_seconds_total", "seconds", "Time in which some tasks waited for IO"), "io", some},
	{counter("node_pressure_io_stalled_seconds_total", "seconds", "Time in which all tasks waited for IO"), "io", full},
}

func some(p *procfs.PSIStats) *procfs.PSILine { return p.Some }
func full(p *procfs.PSIStats) *procfs.PSILine { return p.Full }

// system adds what the host has once.
func (h *host) system(s *Source, b *tallyman.Batch) {
	if h.uname != nil {
		b.Add(h.uname, 1)
	}
	b.Add(h.scalars[now], float64(b.Time.UnixMilli())/1000)
	if l, err := s.fs.LoadAvg(); err == nil {
		b.Add(h.scalars[load1], l.Load1)
		b.Add(h.scalars[load5], l.Load5)
		b.Add(h.scalars[load15], l.Load15)
	}
	if text, err := os.ReadFile(filepath.Join(s.o.Proc, "sys/fs/file-nr")); err == nil {
		if allocated, maximum, ok := parseFileNr(string(text)); ok {
			b.Add(h.scalars[filesAllocated], allocated)
			b.Add(h.scalars[filesMaximum], maximum)
		}
	}
	synced, maxError, err := s.clock()
	if h.noClock = err; err == nil {
		b.Add(h.scalars[clockSynced], number(synced))
		b.Add(h.scalars[clockMaxError], maxError)
	}
	if text, err := os.ReadFile(filepath.Join(s.o.Proc, "vmstat")); err == nil {
		if n, ok := parseVmstat(text, "oom_kill"); ok {
			b.Add(h.scalars[oomKills], float64(n))
		}
	}
	h.noPressure = true
	var stats procfs.PSIStats
	read := ""
	for i, p := range pressures {
		if p.resource != read {
			read = p.resource
			var err error
			if stats, err = s.fs.PSIStatsForResource(read); err != nil {
				stats = procfs.PSIStats{}
			}
		}
		if l := p.line(&stats); l != nil {
			h.noPressure = false
			b.Add(h.pressures[i], float64(l.Total)/1e6)
		}
	}
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

// kernelClock asks the kernel about its clock, and changes nothing, for which no right is
// needed. maxError is in seconds.
func kernelClock() (synced bool, maxError float64, err error) {
	var t unix.Timex // modes 0
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, 0, fmt.Errorf("adjtimex: %w", err)
	}
	return state != unix.TIME_ERROR, float64(t.Maxerror) / 1e6, nil
}

// parseVmstat finds a number in the text of /proc/vmstat, lines of a name and a number.
func parseVmstat(text []byte, name string) (n uint64, ok bool) {
	for line := range bytes.Lines(text) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if !found || len(rest) == 0 || rest[0] != ' ' {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(rest)), 10, 64)
		return n, err == nil
	}
	return 0, false
}
