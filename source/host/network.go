// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"path/filepath"

	"tallyman"
	"tallyman/internal/kread"
)

var networkUp = gauge("node_network_up", "", "1 when the interface is operational, else 0")

// networkColumns are the numbers of a line of /proc/net/dev in its order.
var networkColumns = [kread.InterfaceColumns]*tallyman.Desc{
	counter("node_network_receive_bytes_total", "bytes", "Bytes received"),
	counter("node_network_receive_packets_total", "", "Packets received"),
	counter("node_network_receive_errs_total", "", "Errors while receiving"),
	counter("node_network_receive_drop_total", "", "Received packets that were dropped"),
	counter("node_network_receive_fifo_total", "", "Received packets lost in a full queue of the device"),
	counter("node_network_receive_frame_total", "", "Received frames that were malformed"),
	counter("node_network_receive_compressed_total", "", "Compressed packets received"),
	counter("node_network_receive_multicast_total", "", "Multicast frames received"),
	counter("node_network_transmit_bytes_total", "bytes", "Bytes sent"),
	counter("node_network_transmit_packets_total", "", "Packets sent"),
	counter("node_network_transmit_errs_total", "", "Errors while sending"),
	counter("node_network_transmit_drop_total", "", "Packets to send that were dropped"),
	counter("node_network_transmit_fifo_total", "", "Packets to send lost in a full queue of the device"),
	counter("node_network_transmit_colls_total", "", "Collisions while sending"),
	counter("node_network_transmit_carrier_total", "", "Losses of the carrier while sending"),
	counter("node_network_transmit_compressed_total", "", "Compressed packets sent"),
}

var errNoInit = errors.New("the host's first process cannot be seen from here")

// maxInterfaces bounds what is read of the host's interfaces, in bytes: some eight
// thousand of them.
const maxInterfaces = 1 << 20

// veth is before the name of the host's end of a container's pair. Hundreds of
// containers would be thousands of series, and the containers' own rows have the
// same numbers; node_exporter has no such default.
const veth = "veth"

// network adds the counters of each interface of the host.
func (h *host) network(s *Source, b *tallyman.Batch) {
	if h.noNetwork = errNoInit; s.o.Init == "" {
		return
	}
	if !s.dev.IsOpen() {
		var err error
		s.dev, err = kread.OpenSlow(filepath.Join(s.o.Init, "net/dev")) // of its namespace
		if h.noNetwork = err; err != nil {
			return
		}
	}
	h.noNetwork = nil
	text := s.dev.ReadGrow(&s.buf, maxInterfaces)
	if text == nil {
		h.noNetwork = errors.New("its file cannot be read any more")
		s.dev.Close()
	}
	var row [kread.InterfaceColumns]uint64
	h.up = h.up[:0]
	known := true
	for {
		var name []byte
		var ok bool
		if name, text, ok = kread.NextInterface(text, &row); !ok {
			break
		}
		if bytes.HasPrefix(name, []byte(veth)) {
			continue
		}
		one := h.interfaces.get(string(name), func() (all []*tallyman.Series) {
			device := tallyman.Label{Name: "device", Value: string(name)}
			for _, d := range networkColumns {
				all = append(all, h.target.Series(d, device))
			}
			return append(all, h.target.Series(networkUp, device))
		})
		for i := range row {
			b.Add(one[i], float64(row[i]))
		}
		up, ok := s.isUp(string(name))
		known = known && ok
		h.up = append(h.up, tallyman.Sample{Series: one[len(row)], Value: number(up)})
	}
	h.interfaces.sweep()
	// When /sys lacks an interface of the host it shows another network namespace,
	// that of whoever mounted it, and what it says of the others means nothing.
	if known {
		b.Samples = append(b.Samples, h.up...)
	}
}

// isUp reports what /sys says of an interface, if anything.
func (s *Source) isUp(name string) (up, known bool) {
	f, err := kread.Open(filepath.Join(s.o.Sys, "class/net", name, "operstate"))
	if err != nil {
		return false, false
	}
	defer f.Close()
	return string(bytes.TrimSpace(f.Read(s.buf[:64]))) == "up", true
}
