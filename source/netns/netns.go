// SPDX-License-Identifier: Apache-2.0

// Package netns reads the network counters of containers: bytes, packets,
// errors and drops of each interface in the container's own network namespace.
//
// It reads /proc/<pid>/net/dev through a kept descriptor. That shows the
// namespace of the process without entering it and without any privilege, and
// it shows exactly what a tool inside the container would see. The cheaper
// dump of all veth peers in the host's namespace mirrors bytes and packets,
// but not errors and drops, which each end of a veth counts for itself; and it
// knows nothing of macvlan, ipvlan and further interfaces.
//
// A container with --network host has no counters of its own (they would be
// the host's), and one with --network container:X would repeat those of X, so
// that sums count twice. Both are left out and say so. The loopback interface
// is left out: it moves nothing over a network.
//
// The machine as a whole (id="/") has the interfaces of the host's process 1,
// as cAdvisor shows them: without the host's ends of the containers' pairs and
// without Docker's bridges, which would count the same bytes again.
//
// # Ownership
//
// An open /proc/<pid>/net/dev keeps the network namespace alive after the
// container has died. Detach must therefore follow every death.
package netns

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"tallyman"
	"tallyman/internal/cadvisor"
	"tallyman/internal/kread"
	"tallyman/internal/nsx"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "netns",
		Summary: "Network counters of each interface of each container, from its network namespace",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget, tallyman.MachineTarget},
		Metrics: table(),
		New:     New,
	}
}

// columns are the metrics in the order of the columns that are taken from
// /proc/<pid>/net/dev; names are cAdvisor's.
var columns = [...]struct {
	desc   *tallyman.Desc
	column int
}{
	{cadvisor.ReceiveBytes, 0},
	{cadvisor.ReceivePackets, 1},
	{cadvisor.ReceiveErrors, 2},
	{cadvisor.ReceiveDropped, 3},
	{cadvisor.TransmitBytes, 8},
	{cadvisor.TransmitPackets, 9},
	{cadvisor.TransmitErrors, 10},
	{cadvisor.TransmitDropped, 11},
}

func table() []*tallyman.Desc {
	t := make([]*tallyman.Desc, len(columns))
	for i, c := range columns {
		t[i] = c.desc
	}
	return t
}

// Source implements tallyman.Source.
type Source struct {
	proc   string
	init   string
	hostNS string // the host's network namespace, empty when it cannot be read
	list   []*container
	buf    []byte
	row    [kread.InterfaceColumns]uint64
	shared map[string]tallyman.Absence // containers without a network of their own, by id
}

var (
	_ tallyman.Source        = (*Source)(nil)
	_ tallyman.PartCollector = (*Source)(nil)
	_ tallyman.Absentee      = (*Source)(nil)
)

type container struct {
	target *tallyman.Target
	dev    kread.File
	ifaces []iface // in the order of the file
}

type iface struct {
	name   []byte
	series [len(columns)]*tallyman.Series
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	s := &Source{proc: o.Proc, init: o.Init, buf: make([]byte, 32<<10), shared: map[string]tallyman.Absence{}}
	if o.Init != "" {
		s.hostNS = nsx.Network(o.Init)
	}
	return s, nil
}

// Attach opens the counters of a container, or of the machine.
func (s *Source) Attach(t *tallyman.Target) error {
	if t.Kind == tallyman.MachineTarget {
		if s.init == "" {
			return errors.New("the host's first process cannot be seen from here, nor so its network; add --pid=host")
		}
		f, err := kread.OpenSlow(filepath.Join(s.init, "net/dev"))
		if err != nil {
			return fmt.Errorf("open the host's network counters: %w", err)
		}
		s.add(&container{target: t, dev: f})
		return nil
	}
	if reason, shared := nsx.Borrowed(s.proc, s.hostNS, t.Container); shared {
		s.shared[t.ID] = tallyman.Absence{Code: tallyman.Shared, What: "network", Reason: reason}
		return nil
	}
	p, err := nsx.Open(s.proc, t.Container.Pid, t.ID)
	if err != nil {
		return err
	}
	defer p.Close()
	f, err := p.File("net/dev")
	if err != nil {
		return err
	}
	s.add(&container{target: t, dev: f})
	return nil
}

func (s *Source) add(c *container) {
	at, _ := s.find(c.target)
	s.list = slices.Insert(s.list, at, c)
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.target.ID, id) })
}

// Detach closes the counters of a container.
func (s *Source) Detach(t *tallyman.Target) {
	delete(s.shared, t.ID)
	if at, ok := s.find(t); ok {
		s.list[at].dev.Close()
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close detaches every container.
func (s *Source) Close() error {
	for _, c := range s.list {
		c.dev.Close()
	}
	s.list = nil
	clear(s.shared)
	return nil
}

// Absences says why a container has no network of its own.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	if a, ok := s.shared[t.ID]; ok {
		return []tallyman.Absence{a}
	}
	return nil
}

// Collect reads the counters of every container once.
func (s *Source) Collect(b *tallyman.Batch) {
	for _, c := range s.list {
		s.collect(c, b)
	}
}

// CollectPart implements tallyman.PartCollector.
func (s *Source) CollectPart(b *tallyman.Batch, targets []*tallyman.Target) {
	for _, t := range targets {
		if at, ok := s.find(t); ok {
			s.collect(s.list[at], b)
		}
	}
}

func (s *Source) collect(c *container, b *tallyman.Batch) {
	text := s.read(c)
	n := 0
	for {
		var name []byte
		var ok bool
		name, text, ok = kread.NextInterface(text, &s.row)
		if !ok {
			break
		}
		if string(name) == "lo" || c.target.Kind == tallyman.MachineTarget && inner(name) {
			continue
		}
		if n >= len(c.ifaces) || !bytes.Equal(c.ifaces[n].name, name) {
			c.settle(n, name)
		}
		for i := range columns {
			b.Add(c.ifaces[n].series[i], float64(s.row[columns[i].column]))
		}
		n++
	}
	if n > 0 { // the others have gone
		clear(c.ifaces[n:])
		c.ifaces = c.ifaces[:n]
	}
}

// read reads the counters of c. A container has few interfaces; the host has one
// more for each container, which is more than the kernel gives at once.
func (s *Source) read(c *container) []byte {
	if c.target.Kind == tallyman.ContainerTarget {
		return c.dev.Read(s.buf)
	}
	return c.dev.ReadGrow(&s.buf, maxBuffer)
}

// maxBuffer bounds what is read of the host's interfaces: some eight thousand.
const maxBuffer = 1 << 20

// inner reports whether an interface of the host leads to containers only.
func inner(name []byte) bool {
	for _, prefix := range []string{"veth", "docker", "br-"} {
		if len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}

// settle puts the interface called name at place n. Interfaces come and go
// with docker network connect and disconnect; a known one is moved, so that it
// keeps its series.
func (c *container) settle(n int, name []byte) {
	for i := n; i < len(c.ifaces); i++ {
		if bytes.Equal(c.ifaces[i].name, name) {
			c.ifaces[n], c.ifaces[i] = c.ifaces[i], c.ifaces[n]
			return
		}
	}
	f := iface{name: bytes.Clone(name)}
	labels := []tallyman.Label{{Name: "interface", Value: string(name)}}
	if c.target.Kind == tallyman.MachineTarget {
		labels = append(labels, tallyman.Label{Name: "id", Value: "/"})
	}
	for i := range columns {
		f.series[i] = c.target.Series(columns[i].desc, labels...)
	}
	c.ifaces = slices.Insert(c.ifaces, n, f)
}
