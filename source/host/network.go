// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"

	"tallyman"
)

var networkUp = gauge("node_network_up", "", "1 when the interface is operational, else 0")

// networkColumns are the numbers of a line of /proc/net/dev in its order.
var networkColumns = []struct {
	desc  *tallyman.Desc
	value func(*procfs.NetDevLine) uint64
}{
	{counter("node_network_receive_bytes_total", "bytes", "Bytes received"), func(l *procfs.NetDevLine) uint64 { return l.RxBytes }},
	{counter("node_network_receive_packets_total", "", "Packets received"), func(l *procfs.NetDevLine) uint64 { return l.RxPackets }},
	{counter("node_network_receive_errs_total", "", "Errors while receiving"), func(l *procfs.NetDevLine) uint64 { return l.RxErrors }},
	{counter("node_network_receive_drop_total", "", "Received packets that were dropped"), func(l *procfs.NetDevLine) uint64 { return l.RxDropped }},
	{counter("node_network_receive_fifo_total", "", "Received packets lost in a full queue of the device"), func(l *procfs.NetDevLine) uint64 { return l.RxFIFO }},
	{counter("node_network_receive_frame_total", "", "Received frames that were malformed"), func(l *procfs.NetDevLine) uint64 { return l.RxFrame }},
	{counter("node_network_receive_compressed_total", "", "Compressed packets received"), func(l *procfs.NetDevLine) uint64 { return l.RxCompressed }},
	{counter("node_network_receive_multicast_total", "", "Multicast frames received"), func(l *procfs.NetDevLine) uint64 { return l.RxMulticast }},
	{counter("node_network_transmit_bytes_total", "bytes", "Bytes sent"), func(l *procfs.NetDevLine) uint64 { return l.TxBytes }},
	{counter("node_network_transmit_packets_total", "", "Packets sent"), func(l *procfs.NetDevLine) uint64 { return l.TxPackets }},
	{counter("node_network_transmit_errs_total", "", "Errors while sending"), func(l *procfs.NetDevLine) uint64 { return l.TxErrors }},
	{counter("node_network_transmit_drop_total", "", "Packets to send that were dropped"), func(l *procfs.NetDevLine) uint64 { return l.TxDropped }},
	{counter("node_network_transmit_fifo_total", "", "Packets to send lost in a full queue of the device"), func(l *procfs.NetDevLine) uint64 { return l.TxFIFO }},
	{counter("node_network_transmit_colls_total", "", "Collisions while sending"), func(l *procfs.NetDevLine) uint64 { return l.TxCollisions }},
	{counter("node_network_transmit_carrier_total", "", "Losses of the carrier while sending"), func(l *procfs.NetDevLine) uint64 { return l.TxCarrier }},
	{counter("node_network_transmit_compressed_total", "", "Compressed packets sent"), func(l *procfs.NetDevLine) uint64 { return l.TxCompressed }},
}

var errNoInit = errors.New("the host's first process cannot be seen from here")

// network adds the counters of each interface of the host.
func (h *host) network(s *Source, b *tallyman.Batch) {
	if h.noNetwork = errNoInit; s.o.Init == "" {
		return
	}
	first, err := procfs.NewFS(s.o.Init) // its net/dev is that of its namespace
	if h.noNetwork = err; err != nil {
		return
	}
	dev, err := first.NetDev()
	if h.noNetwork = err; err != nil {
		return
	}
	maps.DeleteFunc(dev, func(name string, _ procfs.NetDevLine) bool { return interfaceExcluded.MatchString(name) })
	names := slices.Sorted(maps.Keys(dev))
	for _, name := range names {
		line := dev[name]
		series := h.interfaces.get(name, func() (all []*tallyman.Series) {
			for _, c := range networkColumns {
				all = append(all, h.target.Series(c.desc, tallyman.Label{Name: "device", Value: name}))
			}
			return all
		})
		for i, c := range networkColumns {
			b.Add(series[i], float64(c.value(&line)))
		}
	}
	h.interfaces.sweep()
	h.states(s.o.Sys, names, b)
}

// states adds which interfaces are up. /sys shows the network namespace of
// whoever mounted it: when it lacks an interface of the host it is another
// one's, and what it says of the others means nothing.
func (h *host) states(sys string, names []string, b *tallyman.Batch) {
	states := make([]string, len(names))
	for i, name := range names {
		text, err := os.ReadFile(filepath.Join(sys, "class/net", name, "operstate"))
		if err != nil {
			return
		}
		states[i] = strings.TrimSpace(string(text))
	}
	for i, name := range names {
		series := h.up.get(name, func() []*tallyman.Series {
			return []*tallyman.Series{h.target.Series(networkUp, tallyman.Label{Name: "device", Value: name})}
		})
		up := 0.0
		if states[i] == "up" {
			up = 1
		}
		b.Add(series[0], up)
	}
	h.up.sweep()
}
