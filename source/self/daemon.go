// SPDX-License-Identifier: Apache-2.0

package self

import (
	"bytes"
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/procfs"

	"tallyman"
	"tallyman/internal/kread"
)

var (
	daemonCPU    = &tallyman.Desc{Name: "tallyman_daemon_cpu_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: "CPU time used by the processes of the engine on this machine, by name"}
	daemonMemory = &tallyman.Desc{Name: "tallyman_daemon_resident_memory_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Resident memory of the processes of the engine on this machine, by name"}
)

// daemons are the processes whose cost tallyman may be the cause of.
var daemons = []string{"dockerd", "containerd", "podman"}

// findEvery is how often the processes are looked for: that opens a file of each
// process of the host. One that is known is missed at once when it has ended.
const findEvery = 5 * time.Minute

// engine reads what the engine on this machine costs.
type engine struct {
	fs    procfs.FS
	proc  string
	found time.Time
	procs []daemon
	// series are kept over a restart of a daemon.
	series map[string][2]*tallyman.Series
}

type daemon struct {
	name string
	proc procfs.Proc
}

// collect adds the cost of each daemon, those of one name together.
func (e *engine) collect(t *tallyman.Target, b *tallyman.Batch) {
	if b.Time.Sub(e.found) >= findEvery || b.Time.Before(e.found) {
		e.find(b.Time)
	}
	for i := 0; i < len(e.procs); {
		name := e.procs[i].name
		cpu, memory, known := 0.0, 0.0, false
		for ; i < len(e.procs) && e.procs[i].name == name; i++ {
			st, err := e.procs[i].proc.Stat()
			if err != nil || st.Comm != name {
				e.found = time.Time{} // it has ended: look again in the next round
				continue
			}
			cpu, memory, known = cpu+st.CPUTime(), memory+float64(st.ResidentMemory()), true
		}
		if known {
			s := e.of(t, name)
			b.Add(s[0], cpu)
			b.Add(s[1], memory)
		}
	}
}

func (e *engine) of(t *tallyman.Target, name string) [2]*tallyman.Series {
	s, ok := e.series[name]
	if !ok {
		l := tallyman.Label{Name: "process", Value: name}
		s = [2]*tallyman.Series{t.Series(daemonCPU, l), t.Series(daemonMemory, l)}
		e.series[name] = s
	}
	return s
}

// find looks through all processes of the host that can be seen.
func (e *engine) find(now time.Time) {
	e.found, e.procs = now, e.procs[:0]
	all, err := e.fs.AllProcs()
	if err != nil {
		return
	}
	var buf [64]byte
	for _, p := range all {
		f, err := kread.Open(filepath.Join(e.proc, strconv.Itoa(p.PID), "comm"))
		if err != nil {
			continue
		}
		name := string(bytes.TrimSpace(f.Read(buf[:])))
		f.Close()
		if slices.Contains(daemons, name) {
			e.procs = append(e.procs, daemon{name, p})
		}
	}
	slices.SortFunc(e.procs, func(a, b daemon) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.proc.PID, b.proc.PID)) })
}
