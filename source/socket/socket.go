// SPDX-License-Identifier: Apache-2.0

// Package socket counts the sockets of containers: TCP by state and family, and
// UDP, in the container's own network namespace. Names and states are
// cAdvisor's.
//
// How many sockets there are is in /proc/<pid>/net/sockstat and sockstat6, which need
// no right. The states come from a kept netlink socket in the container's
// network, which takes SYS_ADMIN and SYS_PTRACE to make; without them TCP is absent
// and says so. /proc/<pid>/net/tcp would need no right either, but makes the
// kernel walk the host's whole table of sockets twice for each container, 10 ms
// each time.
//
// # What a sample costs
//
//	no socket at all                         two small files
//	nothing has moved since the last sample  one more file, /proc/<pid>/net/snmp
//	else                                     one walk of the table, both families
//
// "Nothing has moved" means: no segment came or went (the counters of snmp), as
// many sockets as before, and none in a state that a timer alone can end. Then
// the states are those of the last walk.
//
// The walk leaves out ESTABLISHED, so that five thousand connections cost like
// ten: they are what sockstat has more than the walk. With very many sockets in
// TIME_WAIT, which sockstat counts for both families together, only those of one
// family are walked.
//
// A half-open connection (NEW_SYN_RECV) counts as synrecv. Both ends of a
// connection over loopback count. Docker's own DNS listens in every
// container on a network that a user made; it counts as well.
//
// A container in another's network has no sockets of its own, and one in the
// host's would have the host's: both are absent and say so.
//
// # Ownership
//
// The kept descriptors keep the network namespace alive after the container has
// died. Detach must therefore follow every death.
package socket

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/kread"
	"tallyman/internal/nsx"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "socket",
		Summary: "Sockets of each container, TCP by state, from its network namespace",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{tcpUsage[v4], tcpUsage[v6], udpUsage[v4], udpUsage[v6]},
		New:     New,
	}
}

func gauge(name, help, row string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Type: tallyman.Gauge, Help: help, Origin: tallyman.Origin{V1: "sock_diag in its network", Row: row}}
}

var (
	tcpUsage = [families]*tallyman.Desc{
		gauge("container_network_tcp_usage_total", "TCP sockets over IPv4 by state", "23 to 32"),
		gauge("container_network_tcp6_usage_total", "TCP sockets over IPv6 by state, those that speak IPv4 through an IPv6 socket included", "23 to 32"),
	}
	udpUsage = [families]*tallyman.Desc{
		gauge("container_network_udp_usage_total", "UDP sockets over IPv4; the state inuse, which is tallyman's own, has all that have a port", ""),
		gauge("container_network_udp6_usage_total", "UDP sockets over IPv6; the state inuse, which is tallyman's own, has all that have a port", ""),
	}
)

// tcpStates are cAdvisor's names of the kernel's states.
var tcpStates = [...]struct {
	name  string
	state int
}{
	{"established", established}, {"synsent", synSent}, {"synrecv", synRecv}, {"finwait1", finWait1}, {"finwait2", finWait2},
	{"timewait", timeWait}, {"close", 7}, {"closewait", 8}, {"lastack", lastAck}, {"listen", 10}, {"closing", closing},
}

// fewWaiting is how many sockets in TIME_WAIT are walked rather than reckoned.
const fewWaiting = 512

const (
	allStates = 1<<stateCount - 1
	// most are all states but the one that can be thousands.
	most    = allStates &^ (1 << established)
	waiting = 1 << timeWait
)

// unlock is what TCP states need.
const unlock = "--cap-add SYS_ADMIN --cap-add SYS_PTRACE"

// Source implements tallyman.Source.
type Source struct {
	proc   string
	hostNS string
	list   []*container
	buf    []byte
	shared map[string]string // why containers have no sockets of their own, by id

	walkMost, walkFew []byte
	walkWaiting       [families][]byte
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

type container struct {
	target                    *tallyman.Target
	sockstat, sockstat6, snmp kread.File
	diag                      diag
	// failed is why the states are not known, nil when they are.
	failed error

	// states are those of the last walk. They hold as long as settled is set
	// and neither usage nor counters change.
	states   [families][stateCount]uint64
	settled  bool
	used     usage
	counters []byte

	tcp [families][len(tcpStates)]*tallyman.Series
	udp [families]*tallyman.Series
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	s := &Source{
		proc: o.Proc, buf: make([]byte, 32<<10), shared: map[string]string{},
		walkMost: request(most), walkFew: request(most &^ waiting),
		walkWaiting: [families][]byte{requestFamily(waiting, v4), requestFamily(waiting, v6)},
	}
	if o.Init != "" {
		s.hostNS = nsx.Network(o.Init)
	}
	return s, nil
}

// Attach opens what a container's sockets are counted with. Without the rights for
// TCP states it is no failure: UDP is counted.
func (s *Source) Attach(t *tallyman.Target) error {
	if reason, shared := nsx.Borrowed(s.proc, s.hostNS, t.Container); shared {
		s.shared[t.ID] = reason
		return nil
	}
	p, err := nsx.Open(s.proc, t.Container.Pid, t.ID)
	if err != nil {
		return err
	}
	defer p.Close()
	c := &container{target: t}
	if c.sockstat, err = p.File("net/sockstat"); err != nil {
		return err
	}
	c.sockstat6, _ = p.File("net/sockstat6") // there is none where the kernel has no IPv6
	c.snmp, _ = p.File("net/snmp")           // without it every sample walks
	if c.diag, c.failed = openDiag(p); errors.Is(c.failed, tallyman.ErrGone) {
		c.close()
		return tallyman.ErrGone
	}
	label := func(name, value string) tallyman.Label { return tallyman.Label{Name: name, Value: value} }
	for f := range families {
		c.udp[f] = t.Series(udpUsage[f], label("udp_state", "inuse"))
		for i, state := range tcpStates {
			c.tcp[f][i] = t.Series(tcpUsage[f], label("tcp_state", state.name))
		}
	}
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, c)
	return nil
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.target.ID, id) })
}

// Detach closes what is open of a container.
func (s *Source) Detach(t *tallyman.Target) {
	delete(s.shared, t.ID)
	if at, ok := s.find(t); ok {
		s.list[at].close()
		s.list = slices.Delete(s.list, at, at+1)
	}
}

func (c *container) close() {
	c.sockstat.Close()
	c.sockstat6.Close()
	c.snmp.Close()
	c.diag.close()
}

// Close detaches every container.
func (s *Source) Close() error {
	for _, c := range s.list {
		c.close()
	}
	s.list = nil
	clear(s.shared)
	return nil
}

// Absences says why the TCP states of a container are not known.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	a := tallyman.Absence{What: "TCP states"}
	if reason, ok := s.shared[t.ID]; ok {
		a.Code, a.Reason = tallyman.Shared, reason
		return []tallyman.Absence{a}
	}
	at, ok := s.find(t)
	if !ok || s.list[at].failed == nil {
		return nil
	}
	switch err := s.list[at].failed; {
	case nsx.Denied(err):
		a.Reason = "Its TCP sockets cannot be asked for: " + err.Error() + "."
		a.Unlock = unlock
	case errors.Is(err, unix.ENOENT):
		a.Reason = "The kernel of this host cannot list TCP sockets: the module tcp_diag is missing."
		a.Unlock = "modprobe tcp_diag"
	default:
		a.Reason = "Its TCP sockets cannot be listed: " + err.Error() + "."
	}
	return []tallyman.Absence{a}
}

// Collect counts the sockets of every container once.
func (s *Source) Collect(b *tallyman.Batch) {
	for _, c := range s.list {
		var u usage
		if !u.parse4(c.sockstat.Read(s.buf)) {
			continue // it has gone
		}
		has := [families]bool{true, u.parse6(c.sockstat6.Read(s.buf))}
		for f := range families {
			if has[f] {
				b.Add(c.udp[f], float64(u.udp[f]))
			}
		}
		if !c.diag.isOpen() {
			continue
		}
		if c.failed = s.count(c, u); c.failed != nil {
			continue
		}
		for f := range families {
			if !has[f] {
				continue
			}
			for i := range tcpStates {
				b.Add(c.tcp[f][i], float64(c.states[f][tcpStates[i].state]))
			}
		}
	}
}

// count brings the states of c up to date.
func (s *Source) count(c *container, u usage) error {
	if u.tcp[v4]+u.tcp[v6]+u.tw == 0 {
		c.states, c.settled = [families][stateCount]uint64{}, false
		return nil
	}
	// What moves during the walk must be seen to have moved by the next
	// sample, so the counters are read first.
	now := counters(c.snmp.Read(s.buf))
	if c.settled && now != nil && u.tcp == c.used.tcp && u.tw == c.used.tw && bytes.Equal(now, c.counters) {
		return nil
	}
	c.counters = append(c.counters[:0], now...)
	c.used = u
	return s.walk(c)
}

// walk asks the kernel for the states of c.
func (s *Source) walk(c *container) error {
	c.settled = false
	var t tally
	few := c.used.tw <= fewWaiting
	req := s.walkMost
	if !few {
		req = s.walkFew
	}
	if err := c.diag.walk(req, s.buf, &t); err != nil {
		return err
	}
	if !few {
		less, more := v6, v4
		if c.states[v4][timeWait] < c.states[v6][timeWait] {
			less, more = v4, v6
		}
		if err := c.diag.walk(s.walkWaiting[less], s.buf, &t); err != nil {
			return err
		}
		t.states[less][timeWait] = min(t.states[less][timeWait], c.used.tw)
		t.states[more][timeWait] = minus(c.used.tw, t.small[v4]+t.small[v6]+t.states[less][timeWait])
	}
	for f := range families {
		others := uint64(0) // that sockstat counts too
		for state, n := range t.states[f] {
			if state != timeWait && state != synRecv {
				others += n
			}
		}
		t.states[f][established] = minus(c.used.tcp[f], others-t.small[f])
	}
	c.states = t.states
	c.settled = true
	for f := range families {
		// A timer can end these without a segment, or leave their number as
		// it is while they become something else.
		for _, state := range [...]int{synSent, synRecv, finWait1, finWait2, lastAck, closing} {
			c.settled = c.settled && t.states[f][state] == 0
		}
	}
	return nil
}

// minus is a less b, at least 0.
func minus(a, b uint64) uint64 { return a - min(a, b) }
