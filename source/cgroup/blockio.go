// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/cadvisor"
	"tallyman/internal/kread"
)

// ioDescs are the series of block IO, in the order of a count.
var ioDescs = [ioCounters]*tallyman.Desc{
	ioReadBytes: cadvisor.ReadBytes, ioWriteBytes: cadvisor.WriteBytes, ioReads: cadvisor.Reads, ioWrites: cadvisor.Writes,
}

// The files of block IO. On cgroup v1 two policies count the same IO, each for
// the devices that it is on for: throttling, and the scheduler bfq.
type ioFile struct {
	controller, name string
	slot             int  // of the file's reads; its writes follow
	bfq              bool // counts the devices of bfq, else the others
}

var (
	ioFilesV1 = []ioFile{
		{"blkio", "blkio.throttle.io_service_bytes_recursive", ioReadBytes, false},
		{"blkio", "blkio.throttle.io_serviced_recursive", ioReads, false},
		{"blkio", "blkio.bfq.io_service_bytes_recursive", ioReadBytes, true},
		{"blkio", "blkio.bfq.io_serviced_recursive", ioReads, true},
	}
	ioFilesV2 = []ioFile{{"", "io.stat", 0, false}}
)

// uncountedEvery is how often the host is asked for disks that are not counted.
const uncountedEvery = 30 * time.Second

// blockIO knows which devices the kernel counts by cgroup: those that the root
// cgroup's file has counters for. Where it has none, the number of a container
// is unknown; where it has some, a container without a line has done nothing.
// The set can change at any time: on cgroup v1 the first throttle rule for a
// disk makes the kernel count for every cgroup.
type blockIO struct {
	unified bool
	files   []ioFile
	disks   disks
	root    []kread.File // as files
	found   []accounted
	scratch []accounted

	chosen     []disk
	generation int // grows when chosen changes

	missing   []string // disks that are not counted
	all       int      // how many disks there are
	missingAt time.Time
	refreshed time.Time

	counts [maxDisks]count
}

func newBlockIO(h hierarchy, o tallyman.SourceOptions) *blockIO {
	return &blockIO{unified: h.unified, files: ioFiles(h), disks: disks{proc: o.Proc, sys: o.Sys}}
}

func ioFiles(h hierarchy) []ioFile {
	if h.unified {
		return ioFilesV2
	}
	return ioFilesV1
}

// open opens the root cgroup's files.
func (b *blockIO) open(h hierarchy) {
	if b.root != nil {
		return
	}
	b.root = make([]kread.File, len(b.files))
	for i, f := range b.files {
		b.root[i], _ = kread.OpenSlow(rootPaths(h)[f.controller] + "/" + f.name)
	}
}

func (b *blockIO) close() {
	for i := range b.root {
		b.root[i].Close()
	}
	b.root = nil
}

// refresh finds out which devices are counted now. It allocates when that has
// changed.
func (b *blockIO) refresh(buf []byte) {
	b.refreshed = time.Now()
	b.scratch = b.scratch[:0]
	for i := range b.root {
		if b.files[i].slot != ioReadBytes {
			continue // the operations are of the same devices
		}
		text := b.root[i].Read(buf)
		if b.unified {
			var c count
			for d, rest, ok := nextStat(text, &c); ok; d, rest, ok = nextStat(rest, &c) {
				b.note(d, false, c.busy())
			}
			continue
		}
		for d, op, v, rest, ok := nextOperation(text); ok; d, op, v, rest, ok = nextOperation(rest) {
			b.note(d, b.files[i].bfq, string(op) != "Total" && v > 0)
		}
	}
	slices.SortFunc(b.scratch, func(a, c accounted) int {
		return cmp.Or(cmp.Compare(a.major, c.major), cmp.Compare(a.minor, c.minor))
	})
	if slices.Equal(b.scratch, b.found) {
		return
	}
	b.found = slices.Clone(b.scratch)
	b.missingAt = time.Time{}
	if chosen := b.disks.choose(b.found); !slices.Equal(chosen, b.chosen) {
		b.chosen = chosen
		b.generation++
	}
}

// note takes a device that has counters; the first file to name it counts it.
func (b *blockIO) note(d device, bfq, busy bool) {
	for i := range b.scratch {
		if b.scratch[i].device == d {
			b.scratch[i].busy = b.scratch[i].busy || busy
			return
		}
	}
	b.scratch = append(b.scratch, accounted{d, bfq, busy})
}

// containerIO is the block IO of one container.
type containerIO struct {
	files      []kread.File // as blockIO.files, open only where something is counted
	series     [][ioCounters]*tallyman.Series
	generation int
}

func (c *containerIO) close() {
	for i := range c.files {
		c.files[i].Close()
	}
	*c = containerIO{}
}

// settle opens what the present devices need and interns their series.
func (b *blockIO) settle(c *container) {
	old, series := b.chosenOf(c), c.io.series
	c.io.series = make([][ioCounters]*tallyman.Series, len(b.chosen))
	for i, d := range b.chosen {
		if at := slices.Index(old, d.label); at >= 0 {
			c.io.series[i] = series[at]
			continue
		}
		for slot, one := range ioDescs {
			c.io.series[i][slot] = c.make(one, tallyman.Label{Name: "device", Value: d.label})
		}
	}
	if c.io.files == nil {
		c.io.files = make([]kread.File, len(b.files))
	}
	for i, f := range b.files {
		switch needed := slices.ContainsFunc(b.chosen, func(d disk) bool { return d.bfq == f.bfq }); {
		case !needed:
			c.io.files[i].Close()
		case !c.io.files[i].IsOpen():
			if dir, ok := c.paths[f.controller]; ok {
				c.io.files[i], _ = kread.Open(dir + "/" + f.name) // Absences says what is not there
			}
		}
	}
	c.io.generation = b.generation
}

// chosenOf are the labels of the devices that a container has series for.
func (b *blockIO) chosenOf(c *container) (labels []string) {
	for _, one := range c.io.series {
		if device, ok := tallyman.FindLabel(one[0].Labels, "device"); ok {
			labels = append(labels, device)
		}
	}
	return labels
}

// collect adds the block IO of a container whose cgroup is there.
func (b *blockIO) collect(c *container, buf []byte, batch *tallyman.Batch) {
	if c.io.generation != b.generation {
		b.settle(c)
	}
	if len(b.chosen) == 0 {
		return
	}
	var known [2]uint8 // slots that were read, for devices of the throttle policy and of bfq
	for i := range b.chosen {
		b.counts[i] = count{}
	}
	for i := range b.files {
		text, ok := c.io.files[i].ReadEmpty(buf)
		if !ok || len(text) == len(buf) {
			continue // gone, or cut: a device without a line might have one
		}
		f := &b.files[i]
		if b.unified {
			known[0] = 1<<ioCounters - 1
			b.takeStat(text)
			continue
		}
		at := 0
		if f.bfq {
			at = 1
		}
		known[at] |= 0b11 << f.slot
		b.takeOperations(text, f)
	}
	for i := range b.chosen {
		slots := known[0]
		if b.chosen[i].bfq {
			slots = known[1]
		}
		for slot := range ioDescs {
			if slots&(1<<slot) != 0 {
				batch.Add(c.io.series[i][slot], float64(b.counts[i][slot]))
			}
		}
	}
}

func (b *blockIO) at(d device) int {
	for i := range b.chosen {
		if b.chosen[i].device == d {
			return i
		}
	}
	return -1
}

func (b *blockIO) takeStat(text []byte) {
	var c count
	for d, rest, ok := nextStat(text, &c); ok; d, rest, ok = nextStat(rest, &c) {
		if i := b.at(d); i >= 0 {
			b.counts[i] = c
		}
	}
}

func (b *blockIO) takeOperations(text []byte, f *ioFile) {
	for d, op, v, rest, ok := nextOperation(text); ok; d, op, v, rest, ok = nextOperation(rest) {
		i := b.at(d)
		if i < 0 || b.chosen[i].bfq != f.bfq {
			continue
		}
		switch string(op) {
		case "Read":
			b.counts[i][f.slot] = v
		case "Write":
			b.counts[i][f.slot+1] = v
		}
	}
}

// absence says what of a container's block IO is not known.
func (b *blockIO) absence(c *container, now time.Time) (a tallyman.Absence, absent bool) {
	if b.missingAt.IsZero() || now.Sub(b.missingAt) >= uncountedEvery || now.Before(b.missingAt) {
		b.missing, b.all = b.disks.uncounted(b.found)
		b.missingAt = now
	}
	if c.io.generation != b.generation {
		b.settle(c)
	}
	a.What = "block IO"
	controller := b.files[0].controller
	_, has := c.paths[controller]
	switch {
	case !b.root[0].IsOpen() && !b.unified:
		a.Reason = "The kernel of this host has no blkio controller."
	case !b.root[0].IsOpen():
		a.Reason = "The kernel of this host has no io controller."
	case len(b.chosen) > 0 && b.unified && !c.io.files[0].IsOpen():
		a.Reason = "The io controller is not on for the cgroup of the container."
		a.Unlock = "echo +io > cgroup.subtree_control in each cgroup above it, or IOAccounting=yes in its systemd slice"
	case !has:
		a.Reason = "The container is in no cgroup of the blkio controller."
	case len(b.chosen) == 0 && b.all == 0:
		a.Reason = "This host has no disk that its kernel could count block IO on."
	case len(b.chosen) == 0 || len(b.missing) > 0 && !b.unified:
		a.Reason = fmt.Sprintf("The kernel of this host does not count the block IO of cgroups on %s.", strings.Join(b.missing[:min(len(b.missing), 8)], ", "))
		if !b.unified && len(b.missing) > 0 {
			a.Reason += " On cgroup v1 it begins when any container gets a throttle rule for that disk, and then counts for all of them."
			a.Unlock = fmt.Sprintf("start one container with `--device-read-bps %s:10gb`, once after each boot: a limit that never binds", b.missing[0])
		}
	default:
		return tallyman.Absence{}, false
	}
	return a, true
}
