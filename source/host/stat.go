// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"strconv"

	"tallyman"
	"tallyman/internal/kread"
)

// cpuTimes is a line cpu<n> of /proc/stat: clock ticks by mode, in the order of modes.
type cpuTimes struct {
	cpu   string
	ticks [modeCount]uint64
}

// procStat is /proc/stat. Its many interrupts by number are not kept.
type procStat struct {
	cpus []cpuTimes
	// The lines that are one number, by statLines; known has bit i for line i.
	lines [statCount]uint64
	known uint64
	err   error
}

const (
	statInterrupts = iota
	statSwitches
	statBoot
	statForks
	statRunning
	statBlocked
	statCount
)

var statLines = [statCount]struct {
	key  string
	desc *tallyman.Desc
}{
	statInterrupts: {"intr ", counter("node_intr_total", "", "Interrupts served")},
	statSwitches:   {"ctxt ", counter("node_context_switches_total", "", "Context switches")},
	statBoot:       {"btime ", gauge("node_boot_time_seconds", "seconds", "Unix time of the boot")},
	statForks:      {"processes ", counter("node_forks_total", "", "Processes started")},
	statRunning:    {"procs_running ", gauge("node_procs_running", "", "Processes that can run")},
	statBlocked:    {"procs_blocked ", gauge("node_procs_blocked", "", "Processes that wait for IO")},
}

var errNoCPU = errors.New("/proc/stat names no CPU")

// parse reads the text of /proc/stat and keeps the memory of the last time.
func (p *procStat) parse(text []byte) {
	known := p.cpus
	p.cpus, p.known, p.err = p.cpus[:0], 0, nil
	for len(text) > 0 {
		var one []byte
		one, text = line(text)
		if of, ok := bytes.CutPrefix(one, []byte("cpu")); ok {
			name, rest := word(of)
			if len(name) == 0 || of[0] == ' ' || len(p.cpus) == maxSamples/modeCount {
				continue // of all CPUs
			}
			c := cpuTimes{}
			if n := len(p.cpus); n < len(known) && known[n].cpu == string(name) {
				c.cpu = known[n].cpu
			} else if _, err := strconv.ParseUint(string(name), 10, 32); err != nil {
				continue
			} else {
				c.cpu = string(name)
			}
			for i := range c.ticks {
				var w []byte
				w, rest = word(rest)
				c.ticks[i], _ = kread.Uint(w) // old kernels have fewer
			}
			p.cpus = append(p.cpus, c)
			continue
		}
		for i := range statLines {
			if rest, ok := bytes.CutPrefix(one, []byte(statLines[i].key)); ok {
				w, _ := word(rest)
				if v, digits := kread.Uint(w); digits > 0 {
					p.lines[i] = v
					p.known |= 1 << i
				}
				break
			}
		}
	}
	if len(p.cpus) == 0 {
		p.err = errNoCPU
	}
}

// statCollector is what /proc/stat has once.
var statCollector = collector{
	name: "stat", what: "boot time and context switches", descs: func() (all []*tallyman.Desc) {
		for _, l := range statLines {
			all = append(all, l.desc)
		}
		return all
	}(),
	open: func(s *Source) reading {
		return func(to *sink) error {
			st := s.stat()
			for i, l := range statLines {
				if st.known&(1<<i) != 0 {
					to.Add(l.desc, float64(st.lines[i]))
				}
			}
			if st.known == 0 {
				return st.err
			}
			return nil
		}
	},
}
