// SPDX-License-Identifier: Apache-2.0

// Package host reads the samples of the machine itself. For the host it gives what
// node_exporter's default collectors give, under the same names and labels. They give
// the page the whole of which the containers are parts. For the machine it gives
// cAdvisor's machine_* and the file systems of id="/".
//
// # Collectors
//
// Each part is a collector: its name, which is node_exporter's, the table of its
// metrics, and a reading that adds what there is to a sink. A collector that fails
// leaves out its own series with its own reason, and the others go on. The sink
// interns series by their labels, so that a round which is like the last one makes
// none; a collector knows nothing of series. A new one is a variable in the list of
// all.
//
// What is read in each round keeps its files open and is parsed here. What hardware
// answers for, and what changes seldom, is read by github.com/prometheus/procfs or
// file by file, every ten seconds or more rarely, and its last values are given in
// between. Files that may make the kernel wait are read aside, in a goroutine each: a
// round waits for them no longer than for file systems, and Close waits for their end.
//
// The files are those of the host's /proc and /sys (SourceOptions.Proc, Sys). What
// belongs to a namespace (network, mounts) is that of the host's process 1, so
// that an agent in a container with --pid=host sees the host's; files below /etc and
// /run are read below the host's root directory.
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
// file systems when the host's root directory cannot be reached. Hardware that a host
// has not is an absence that nobody is told of unless asked (tallyman.None).
package host

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/sysfs"
	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/nearest"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "host",
		Summary: "What node_exporter's default collectors tell of the host, in its names: CPU, memory, load, pressure, disks, network, file systems, clock, sensors and more; and cAdvisor's machine_*",
		Targets: []tallyman.TargetKind{tallyman.HostTarget, tallyman.MachineTarget},
		Metrics: table(),
		Passes:  true,
		Options: defaults,
		New:     New,
	}
}

var defaults = Options{Textfile: "/var/lib/prometheus/node-exporter"}

// Options are the source's own.
type Options struct {
	// Off are collectors that are not read.
	Off []string `yaml:"off" doc:"Collectors of the host that are switched off, by their names in docs/host.md, for example [hwmon, udp_queues]."`
	// Textfile is a folder of the host with files of metrics.
	Textfile string `yaml:"textfile" doc:"Folder of the host whose files *.prom have metrics in Prometheus' text, left there by jobs; empty for none."`
}

// Check finds names that no collector has.
func (o Options) Check() error {
	known := []string{filesystemCollector}
	for _, c := range all() {
		known = append(known, c.name)
	}
	for _, name := range o.Off {
		if !slices.Contains(known, name) {
			return fmt.Errorf("off: no collector is called %q; did you mean %q?", name, nearest.Of(name, known))
		}
	}
	if o.Textfile != "" && !filepath.IsAbs(o.Textfile) {
		return fmt.Errorf("textfile: %q is no path of a folder from the root; write /var/lib/metrics, or nothing", o.Textfile)
	}
	return nil
}

func desc(name string, t tallyman.MetricType, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: t, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc { return desc(name, tallyman.Counter, unit, help) }
func gauge(name, unit, help string) *tallyman.Desc   { return desc(name, tallyman.Gauge, unit, help) }
func untyped(name, help string) *tallyman.Desc       { return desc(name, tallyman.Untyped, "", help) }

// all are the collectors, in the order of their samples. File systems are not among
// them: they serve the machine too.
func all() []*collector {
	return []*collector{
		&timeCollector, &loadCollector, &statCollector, &cpuCollector, &meminfoCollector, &vmstatCollector, &pressureCollector, &filefdCollector,
		&diskCollector, &netdevCollector, &netstatCollector, &sockstatCollector, &softnetCollector, &conntrackCollector, &schedstatCollector, &timexCollector,
		&arpCollector, &udpCollector, &netclassCollector, &bondingCollector, &entropyCollector, &unameCollector, &osCollector, &dmiCollector, &selinuxCollector,
		&zoneCollector, &topologyCollector, &cpuInfoCollector, &cpufreqCollector, &thermalCollector, &hwmonCollector, &raplCollector, &supplyCollector,
		&edacCollector, &diskInfoCollector, &mdadmCollector, &nvmeCollector, &xfsCollector, &tapeCollector, &btrfsCollector, &infinibandCollector, &fibrechannelCollector,
		&nfsCollector, &nfsdCollector, &ipvsCollector,
		&textfileCollector, &systemdCollector,
	}
}

// table is every metric that is known before a kernel was seen.
func table() (t []*tallyman.Desc) {
	for _, c := range all() {
		t = append(t, c.descs...)
	}
	t = append(t, filesystemDescs[:]...)
	t = append(t, machineDescs[:]...)
	return append(t, machineFilesystemDescs[:]...)
}

// Source implements tallyman.Source for one host.
type Source struct {
	o     tallyman.SourceOptions
	own   Options
	fs    procfs.FS
	sys   sysfs.FS
	noSys error
	net   procfs.FS // of the network namespace of the host's first process
	noNet error
	files *filesystems
	kept  []*file
	buf   []byte // a text's; of collectors that are not read aside
	clock func(*unix.Timex) (state int, err error)
	// ownNames are the metrics that no file of a stranger may have.
	ownNames map[string]bool
	host     *host
	machine  *machine
	running  sync.WaitGroup // what is read aside
	within   time.Duration  // how long a round waits for it

	// Of the round: its time, and what several read, once it is read.
	now      time.Time
	statFile *file
	statText procStat
	statRead bool
	memFile  *file
	mem      memInfo
	memRead  bool
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

// filesystemCollector is the name of what filesystems gives.
const filesystemCollector = "filesystem"

func switchedOff(what string) tallyman.Absence {
	return tallyman.Absence{Code: tallyman.None, What: what, Reason: "The setting sources.host.off switches it off."}
}

// host is the machine in node_exporter's names, once it is attached.
type host struct {
	target  *tallyman.Target
	runners []*runner
}

// New makes the source for the /proc of o.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	fs, err := procfs.NewFS(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("open the host's %s: %w", o.Proc, err)
	}
	s := &Source{o: o, own: tallyman.Own(o.Own, defaults), fs: fs, files: newFilesystems(o.Init, o.Root), buf: make([]byte, 16<<10),
		clock: unix.Adjtimex, within: answerWithin, ownNames: map[string]bool{}}
	if s.sys, s.noSys = sysfs.NewFS(o.Sys); s.noSys != nil {
		s.noSys = missing(s.noSys, "There is no /sys.")
	}
	s.noNet = errNoInit
	if o.Init != "" {
		s.net, s.noNet = procfs.NewFS(o.Init)
	}
	s.files.off = slices.Contains(s.own.Off, filesystemCollector)
	for _, d := range table() {
		s.ownNames[d.Name] = true
	}
	s.statFile, s.memFile = s.file(filepath.Join(o.Proc, "stat")), s.file(filepath.Join(o.Proc, "meminfo"))
	return s, nil
}

// stat is /proc/stat of this round.
func (s *Source) stat() *procStat {
	if !s.statRead {
		s.statRead = true
		text, err := s.statFile.read(&s.buf)
		s.statText.parse(text)
		if err != nil {
			s.statText.err = err
		}
	}
	return &s.statText
}

// memory is /proc/meminfo of this round.
func (s *Source) memory() *memInfo {
	if !s.memRead {
		s.memRead = true
		if s.mem.buf == nil {
			s.mem.buf = make([]byte, buffer)
		}
		text, err := s.memFile.read(&s.mem.buf)
		s.mem.parse(text)
		s.mem.err = err
	}
	return &s.mem
}

// Attach takes the host, or the machine, as the target; there is one of each.
func (s *Source) Attach(t *tallyman.Target) error {
	if t.Kind == tallyman.MachineTarget {
		s.machine = newMachine(s, t)
		return nil
	}
	s.host = &host{target: t}
	for _, c := range all() {
		if !slices.Contains(s.own.Off, c.name) {
			s.host.runners = append(s.host.runners, &runner{collector: c, read: c.open(s), in: sink{target: t}, done: make(chan error, 1)})
		}
	}
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
	s.running.Wait()
	for _, f := range s.kept {
		f.kept.Close()
	}
	s.files.close()
	return nil
}

// Collect reads the host once.
func (s *Source) Collect(b *tallyman.Batch) {
	if s.host == nil && s.machine == nil {
		return
	}
	s.now, s.statRead, s.memRead = b.Time, false, false
	s.files.ask(b.Time)
	if h := s.host; h != nil {
		h.start(s, b.Time)
	}
	s.files.wait()
	if h := s.host; h != nil {
		h.wait(s)
		for _, r := range h.runners {
			b.Samples = append(b.Samples, r.out...)
		}
		s.files.collectHost(h.target, b)
	}
	if m := s.machine; m != nil {
		m.collect(s, s.stat(), s.memory(), b)
		s.files.collectMachine(m.target, b)
	}
}

// Absences says what of the host cannot be known, as of the last round.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	a := s.files.absences(time.Now())
	if h := s.host; t.Kind == tallyman.HostTarget && h != nil {
		a = append(a, h.absences(time.Now())...)
		for _, c := range all() {
			if slices.Contains(s.own.Off, c.name) {
				a = append(a, switchedOff(c.what))
			}
		}
	}
	return a
}
