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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/kread"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "netns",
		Summary: "Network counters of each interface of each container, from its network namespace",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
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
	{counter("container_network_receive_bytes_total", "bytes", "Bytes received"), 0},
	{counter("container_network_receive_packets_total", "", "Packets received"), 1},
	{counter("container_network_receive_errors_total", "", "Errors while receiving"), 2},
	{counter("container_network_receive_packets_dropped_total", "", "Received packets that were dropped"), 3},
	{counter("container_network_transmit_bytes_total", "bytes", "Bytes sent"), 8},
	{counter("container_network_transmit_packets_total", "", "Packets sent"), 9},
	{counter("container_network_transmit_errors_total", "", "Errors while sending"), 10},
	{counter("container_network_transmit_packets_dropped_total", "", "Packets to send that were dropped"), 11},
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: tallyman.Counter, Unit: unit, Help: help}
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
	hostNS string // the host's network namespace, empty when it cannot be read
	list   []*container
	buf    []byte
	row    [lineColumns]uint64
	shared map[string]tallyman.Absence // containers without a network of their own, by id
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
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
	s := &Source{proc: o.Proc, buf: make([]byte, 32<<10), shared: map[string]tallyman.Absence{}}
	s.hostNS, _ = os.Readlink(filepath.Join(o.Proc, "1/ns/net"))
	return s, nil
}

// Attach opens the counters of a container.
func (s *Source) Attach(t *tallyman.Target) error {
	if a, shared := s.borrowed(t.Container); shared {
		s.shared[t.ID] = a
		return nil
	}
	pid := strconv.Itoa(t.Container.Pid)
	f, err := kread.OpenSlow(filepath.Join(s.proc, pid, "net/dev"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return tallyman.ErrGone
	}
	if err != nil {
		return fmt.Errorf("open the network counters of container %.12s: %w", t.ID, err)
	}
	// The descriptor is bound to the namespace of the process that had the
	// pid when it was opened: prove now that it is the container's.
	text, err := os.ReadFile(filepath.Join(s.proc, pid, "cgroup"))
	if err != nil || !bytes.Contains(text, []byte(t.ID)) {
		f.Close()
		return tallyman.ErrGone
	}
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, &container{target: t, dev: f})
	return nil
}

// borrowed reports whether the container has no network namespace of its own.
// The namespace itself is asked where that is allowed (it needs ptrace
// rights), else the engine's word is taken.
func (s *Source) borrowed(c *tallyman.Container) (tallyman.Absence, bool) {
	if of, ok := strings.CutPrefix(c.NetworkMode, "container:"); ok {
		return tallyman.Absence{What: "network", Reason: fmt.Sprintf("It shares the network of container %.12s; see there.", of)}, true
	}
	ns, err := os.Readlink(filepath.Join(s.proc, strconv.Itoa(c.Pid), "ns/net"))
	if c.NetworkMode == "host" || err == nil && s.hostNS != "" && ns == s.hostNS {
		return tallyman.Absence{What: "network", Reason: "It shares the network of the host; the kernel does not count its part."}, true
	}
	return tallyman.Absence{}, false
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
		text := c.dev.Read(s.buf)
		for n := 0; ; {
			var name []byte
			var ok bool
			name, text, ok = nextLine(text, &s.row)
			if !ok {
				break
			}
			if string(name) == "lo" {
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
	}
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
	for i := range columns {
		f.series[i] = c.target.Series(columns[i].desc, tallyman.Label{Name: "interface", Value: string(name)})
	}
	c.ifaces = slices.Insert(c.ifaces, n, f)
}
