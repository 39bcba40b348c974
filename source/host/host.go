// SPDX-License-Identifier: Apache-2.0

// Package host reads the samples of the machine itself. For the host it gives
// node_exporter's names: CPU time by core and mode, memory, load, pressure,
// disks, network, file systems, boot time, uname, what the kernel says of its clock
// and how often it killed for want of memory. They give the page the whole
// of which the containers are parts. For the machine it gives cAdvisor's
// machine_* and the file systems of id="/".
//
// The files are those of the host's /proc (SourceOptions.Proc); parsing is
// github.com/prometheus/procfs, since one machine a round is no hot path, but for
// what grows with the containers: interfaces and mounts. What
// belongs to a namespace (network, mounts) is that of the host's process 1, so
// that an agent in a container with --pid=host sees the host's.
//
// # File systems
//
// statfs on a dead network mount never returns. It is therefore asked for in a
// goroutine per mount, at most one for each and maxFilesystems in all. A round
// waits answerWithin for the answers; a mount that was late once is not waited
// for again: its answer comes with the next round, and until there is one it is
// absent with a reason. Such a goroutine ends when the kernel lets it; nothing
// else can end it.
//
// # What is absent
//
// A file that the kernel has not (pressure) leaves its series out, and so do
// file systems when the host's root directory cannot be reached.
package host

import (
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"

	"tallyman"
	"tallyman/internal/kread"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "host",
		Summary: "CPU, memory, load, pressure, disks, network and file systems of the host, in node_exporter's names, and cAdvisor's machine_*",
		Targets: []tallyman.TargetKind{tallyman.HostTarget, tallyman.MachineTarget},
		Metrics: table(),
		New:     New,
	}
}

func desc(name string, t tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: t, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc { return desc(name, tallyman.Counter, unit, help) }
func gauge(name, unit, help string) *tallyman.Desc   { return desc(name, tallyman.Gauge, unit, help) }

func table() []*tallyman.Desc {
	t := []*tallyman.Desc{cpuSeconds, guestSeconds, uname, networkUp}
	t = append(t, networkColumns[:]...)
	for _, m := range memory {
		t = append(t, m.desc)
	}
	for _, p := range pressures {
		t = append(t, p.desc)
	}
	for _, c := range diskColumns {
		t = append(t, c.desc)
	}
	t = append(t, scalars[:]...)
	t = append(t, filesystemDescs[:]...)
	t = append(t, machineDescs[:]...)
	return append(t, machineFilesystemDescs[:]...)
}

// Source implements tallyman.Source for one host.
type Source struct {
	o       tallyman.SourceOptions
	fs      procfs.FS
	disks   blockdevice.FS
	noDisks error
	files   *filesystems
	dev     kread.File // the host's interfaces
	buf     []byte
	clock   func() (synced bool, maxError float64, err error)
	host    *host
	machine *machine
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

// host is the machine in node_exporter's names, once it is attached.
type host struct {
	target     *tallyman.Target
	scalars    [scalarCount]*tallyman.Series
	uname      *tallyman.Series
	memory     []*tallyman.Series
	pressures  []*tallyman.Series
	cpus       group[int64]
	disks      group[string]
	interfaces group[string]
	up         []tallyman.Sample // of the round
	// What was not there in the last round.
	noPressure bool
	noNetwork  error
	noDisks    error
	noClock    error
}

// New makes the source for the /proc of o.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	fs, err := procfs.NewFS(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("open the host's %s: %w", o.Proc, err)
	}
	s := &Source{o: o, fs: fs, files: newFilesystems(o.Init, o.Root), buf: make([]byte, 16<<10), clock: kernelClock}
	// The library wants a /sys too, of which nothing is read here.
	s.disks, s.noDisks = blockdevice.NewFS(o.Proc, o.Proc)
	return s, nil
}

// Attach takes the host, or the machine, as the target; there is one of each.
func (s *Source) Attach(t *tallyman.Target) error {
	if t.Kind == tallyman.MachineTarget {
		s.machine = newMachine(t)
		return nil
	}
	h := &host{target: t, uname: unameSeries(t)}
	for i, d := range scalars {
		h.scalars[i] = t.Series(d)
	}
	for _, m := range memory {
		h.memory = append(h.memory, t.Series(m.desc))
	}
	for _, p := range pressures {
		h.pressures = append(h.pressures, t.Series(p.desc))
	}
	s.host = h
	return nil
}

// Detach forgets the target.
func (s *Source) Detach(t *tallyman.Target) {
	if s.host != nil && s.host.target.ID == t.ID && t.Kind == tallyman.HostTarget {
		s.host = nil
	}
	if s.machine != nil && s.machine.target.ID == t.ID && t.Kind == tallyman.MachineTarget {
		s.machine = nil
	}
}

// Close forgets everything. It does not wait for file systems that hang.
func (s *Source) Close() error {
	s.host, s.machine = nil, nil
	s.dev.Close()
	s.files.close()
	return nil
}

// Collect reads the host once.
func (s *Source) Collect(b *tallyman.Batch) {
	if s.host == nil && s.machine == nil {
		return
	}
	s.files.ask(b.Time)
	stat, noStat := s.fs.Stat()
	mem, noMemory := s.fs.Meminfo()
	if h := s.host; h != nil {
		h.system(s, b)
		if noStat == nil {
			h.stat(&stat, b)
		}
		if noMemory == nil {
			for i := range memory {
				if v := memory[i].field(&mem); v != nil {
					b.Add(h.memory[i], float64(*v))
				}
			}
		}
		h.disk(s, b)
		h.network(s, b)
	}
	s.files.wait()
	if h := s.host; h != nil {
		s.files.collectHost(h.target, b)
	}
	if m := s.machine; m != nil {
		m.collect(s, &stat, noStat, &mem, noMemory, b)
		s.files.collectMachine(m.target, b)
	}
}

// Absences says what of the host cannot be known, as of the last round.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	a := s.files.absences(time.Now())
	h := s.host
	if t.Kind != tallyman.HostTarget || h == nil {
		return a
	}
	if h.noPressure {
		a = append(a, tallyman.Absence{What: "pressure", Reason: "The kernel of this host keeps no pressure statistics.", Unlock: "boot the host with psi=1"})
	}
	if h.noNetwork != nil {
		a = append(a, tallyman.Absence{What: "network", Reason: "The host's network counters cannot be read: " + h.noNetwork.Error() + ".", Unlock: "--pid=host"})
	}
	if h.noClock != nil {
		a = append(a, tallyman.Absence{What: "clock", Reason: "The kernel does not tell about its clock: " + h.noClock.Error() + ".", Unlock: "a seccomp profile that allows adjtimex, as Docker's own does"})
	}
	if h.noDisks != nil {
		a = append(a, tallyman.Absence{What: "disks", Reason: "The host's disk counters cannot be read: " + h.noDisks.Error() + "."})
	}
	return a
}

// group interns the series of things that come and go: CPUs, disks, interfaces.
type group[K comparable] struct {
	of    map[K]*member
	round uint64
}

type member struct {
	series []*tallyman.Series
	round  uint64
}

// get returns the series of k, which intern makes when it is new.
func (g *group[K]) get(k K, intern func() []*tallyman.Series) []*tallyman.Series {
	m := g.of[k]
	if m == nil {
		if g.of == nil {
			g.of = map[K]*member{}
		}
		m = &member{series: intern()}
		g.of[k] = m
	}
	m.round = g.round
	return m.series
}

// sweep forgets what was not there since the last sweep.
func (g *group[K]) sweep() {
	for k, m := range g.of {
		if m.round != g.round {
			delete(g.of, k)
		}
	}
	g.round++
}

// diskExcluded is node_exporter's default: parts of disks, and what is not a disk.
var diskExcluded = regexp.MustCompile(`^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`)
