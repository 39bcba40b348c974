// SPDX-License-Identifier: Apache-2.0

// Package cgroup reads the samples of containers from the kernel's cgroup
// files: CPU and throttling, memory, faults, OOM kills, tasks, pressure, block IO. It
// knows cgroup v1, the hybrid of both and v2, and whatever driver laid the
// paths: a container's directories are those that /proc/<pid>/cgroup names. The
// machine as a whole is the root cgroup, with the label id="/".
//
// What it does not do: the network (source/netns), and anything about the
// engine, which it never asks.
//
// # Cost
//
// Each file of a container is opened once, when the container is attached, and
// read with one pread into a buffer that all containers share; values go into
// a fixed array and from there as interned series into the batch. A round
// allocates nothing. Per container that keeps 11 to 15 descriptors open, each
// with a 4 KiB buffer in the kernel. The files of block IO are opened only on a
// host that counts it.
//
// # What is absent
//
// A file that is not there (a controller that is off, swap accounting off) and
// a value "max" leave their series out. A container whose cgroup has vanished
// yields nothing until it is detached. The block IO on a device that the kernel
// does not count by cgroup is absent, and never 0 (see blockIO); no rule is ever
// written to make it count.
package cgroup

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/internal/cadvisor"
	"tallyman/internal/kread"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "cgroup",
		Summary: "CPU, memory, tasks, pressure and block IO of each container, from the kernel's cgroup files",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget, tallyman.MachineTarget},
		Metrics: table(),
		New:     New,
	}
}

// parentLimitsEvery is how often the memory limits of the parent cgroups are
// read again on v2 (v1 gives the tightest one in memory.stat). They change
// only when an operator changes them.
const parentLimitsEvery = time.Minute

// Source implements tallyman.Source.
type Source struct {
	proc    string
	memory  uint64
	h       hierarchy
	plan    plan
	readers []reader
	list    []*container // sorted by id, so that rounds are alike
	io      *blockIO
	buf     []byte
	now     time.Time // of the last round
}

var (
	_ tallyman.Source        = (*Source)(nil)
	_ tallyman.PartCollector = (*Source)(nil)
	_ tallyman.Absentee      = (*Source)(nil)
)

// container is what is kept of one attached container, or of the machine.
type container struct {
	target *tallyman.Target
	io     containerIO
	// meminfo is the host's /proc/meminfo, open for a machine whose root
	// cgroup has no memory files.
	meminfo kread.File
	paths   paths
	files   []kread.File
	series  []*tallyman.Series // as direct, then the four derived ones
	values  [values]uint64
	// parentLimit is the tightest memory.max above the container's own
	// cgroup, 0 without one (v2 only).
	parentLimit uint64
	parentsRead time.Time
}

// New makes the source for the cgroup mount of o. It fails when there is no
// cgroup file system at o.Cgroup.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	h, err := detect(o.Cgroup)
	if err != nil {
		return nil, err
	}
	return newSource(h, o), nil
}

func newSource(h hierarchy, o tallyman.SourceOptions) *Source {
	p := newPlan(h)
	return &Source{
		proc: o.Proc, memory: o.Memory, h: h, plan: p,
		readers: newReaders(p.files),
		io:      newBlockIO(h, o),
		buf:     make([]byte, 64<<10),
	}
}

// Attach opens the files of a container, or of the root cgroup.
func (s *Source) Attach(t *tallyman.Target) error {
	p := rootPaths(s.h)
	if t.Kind == tallyman.ContainerTarget {
		var err error
		if p, err = s.h.resolve(s.proc, t.Container.Pid, t.ID); err != nil {
			return err
		}
	}
	c := &container{target: t, paths: p, files: make([]kread.File, len(s.readers))}
	opened := 0
	for i := range s.readers {
		r := &s.readers[i]
		path := r.path(p)
		if path == "" {
			continue
		}
		open := kread.Open
		if r.slow {
			open = kread.OpenSlow
		}
		f, err := open(path)
		if err != nil {
			continue // the row is absent; Absences says so
		}
		c.files[i] = f
		opened++
	}
	if opened == 0 {
		return fmt.Errorf("open the cgroup files of %s %.12s under %s: none of them is there; is that the host's cgroup mount?", t.Kind, t.ID, s.h.root)
	}
	if t.Kind == tallyman.MachineTarget && s.h.unified {
		c.meminfo, _ = kread.OpenSlow(filepath.Join(s.proc, "meminfo"))
	}
	for _, m := range direct {
		c.series = append(c.series, c.make(m.desc, m.extra...))
	}
	for _, d := range derived {
		c.series = append(c.series, c.make(d))
	}
	s.io.open(s.h)
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, c)
	return nil
}

// make interns a series. That of a machine has cAdvisor's label for the whole.
func (c *container) make(d *tallyman.Desc, extra ...tallyman.Label) *tallyman.Series {
	if c.target.Kind == tallyman.MachineTarget {
		extra = append(slices.Clip(extra), tallyman.Label{Name: "id", Value: "/"})
	}
	return c.target.Series(d, extra...)
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.target.ID, id) })
}

// Detach closes the files of a container.
func (s *Source) Detach(t *tallyman.Target) {
	if at, ok := s.find(t); ok {
		s.list[at].close()
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close detaches every container.
func (s *Source) Close() error {
	for _, c := range s.list {
		c.close()
	}
	s.list = nil
	s.io.close()
	return nil
}

func (c *container) close() {
	for i := range c.files {
		c.files[i].Close()
	}
	c.meminfo.Close()
	c.io.close()
}

// Collect reads every file of every container once.
func (s *Source) Collect(b *tallyman.Batch) {
	s.now = b.Time
	if len(s.list) > 0 {
		s.io.refresh(s.buf)
	}
	for _, c := range s.list {
		s.collect(c, b)
	}
}

// CollectPart implements tallyman.PartCollector.
func (s *Source) CollectPart(b *tallyman.Batch, targets []*tallyman.Target) {
	s.io.refresh(s.buf)
	for _, t := range targets {
		if at, ok := s.find(t); ok {
			s.collect(s.list[at], b)
		}
	}
}

func (s *Source) collect(c *container, b *tallyman.Batch) {
	var found uint64
	for i := range s.readers {
		if text := c.files[i].Read(s.buf); text != nil {
			found |= s.readers[i].parse(text, &c.values)
		}
	}
	if found == 0 {
		return // the cgroup is gone; so will the container be
	}
	s.io.collect(c, s.buf, b)
	if text := c.meminfo.Read(s.buf); text != nil {
		found |= parseMeminfo(text, &c.values)
	}
	for _, a := range s.plan.alias {
		if found&(1<<a[1]) != 0 {
			c.values[a[0]] = c.values[a[1]]
			found |= 1 << a[0]
		}
	}
	found = s.limit(c, found, b.Time)
	for i := range direct {
		v := direct[i].from
		if found&(1<<v) != 0 {
			b.Add(c.series[i], float64(c.values[v])*s.plan.scale[v])
		}
	}
	const need = 1<<memUsage | 1<<memInactiveFile
	if found&need != need {
		return
	}
	limit := c.values[memLimit]
	if found&(1<<memLimit) == 0 {
		limit = 0
	}
	set, percent, free, freePercent := cadvisor.Derive(c.values[memUsage], c.values[memInactiveFile], limit)
	series := c.series[len(direct):]
	b.Add(series[0], set)
	if limit > 0 {
		b.Add(series[1], percent)
		b.Add(series[2], free)
		b.Add(series[3], freePercent)
	}
}

// limit puts the memory limit in force into the container's values: the
// tightest of its own, its parents' and the host's memory.
func (s *Source) limit(c *container, found uint64, now time.Time) uint64 {
	l := s.memory
	if found&(1<<memLimit) != 0 && (l == 0 || c.values[memLimit] < l) {
		l = c.values[memLimit]
	}
	if s.h.unified {
		if now.Sub(c.parentsRead) >= parentLimitsEvery || now.Before(c.parentsRead) {
			c.parentLimit, c.parentsRead = s.readParentLimit(c), now
		}
		if c.parentLimit > 0 && (l == 0 || c.parentLimit < l) {
			l = c.parentLimit
		}
	}
	if l == 0 || found&(1<<memUsage) == 0 {
		return found &^ (1 << memLimit)
	}
	c.values[memLimit] = l
	return found | 1<<memLimit
}

// readParentLimit walks from the container's cgroup up to the mount and
// returns the tightest memory.max on the way, 0 when none is set.
func (s *Source) readParentLimit(c *container) (tightest uint64) {
	for dir := filepath.Dir(c.paths[""]); len(dir) > len(s.h.root); dir = filepath.Dir(dir) {
		f, err := kread.Open(dir + "/memory.max")
		if err != nil {
			continue
		}
		if v, d := kread.Uint(f.Read(s.buf)); d > 0 && (tightest == 0 || v < tightest) {
			tightest = v
		}
		f.Close()
	}
	return tightest
}

// asked is how old an answer may be when many containers are asked about, one
// after the other.
const asked = 20 * time.Millisecond

// Absences names the rows whose files are not there.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	at, ok := s.find(t)
	if !ok {
		return nil
	}
	var a []tallyman.Absence
	c := s.list[at]
	if time.Since(s.io.refreshed) > asked {
		s.io.refresh(s.buf) // the start of this very container may have begun the count
	}
	if one, absent := s.io.absence(c, s.now); absent {
		a = append(a, one)
	}
	if t.Kind == tallyman.MachineTarget {
		return a // the root cgroup lacks many files by design
	}
	if one, absent := s.noPressure(c); absent {
		a = append(a, one)
	}
	for i := range s.readers {
		if !c.files[i].IsOpen() && !s.readers[i].pressure {
			f := s.readers[i].file
			code := tallyman.Lacking
			if f.name == peakV2 {
				code = tallyman.None
			}
			a = append(a, tallyman.Absence{
				Code:   code,
				What:   f.name,
				Reason: fmt.Sprintf("The kernel of this host has no file %s for the container.", f.name),
				Unlock: unlock(f),
			})
		}
	}
	return a
}

func unlock(f file) string {
	switch {
	case f.name == peakV2:
		return "run Linux 5.19 or later"
	case f.name == "memory.swap.current":
		return "boot the host with swapaccount=1"
	case f.controller == "memory" || f.controller == "" && f.name[0] == 'm':
		return "boot the host with cgroup_enable=memory"
	default:
		return ""
	}
}
