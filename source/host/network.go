// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"path/filepath"

	"tallyman"
	"tallyman/internal/kread"
)

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

// veth is before the name of the host's end of a container's pair. Hundreds of
// containers would be thousands of series, and the containers' own rows have the
// same numbers; node_exporter has no such default.
const veth = "veth"

// netdevCollector reads the counters of each interface of the host.
var netdevCollector = collector{
	name: "netdev", what: "network", descs: networkColumns[:],
	open: func(s *Source) reading {
		if s.o.Init == "" {
			return func(*sink) error { return errNoInit }
		}
		f := s.file(filepath.Join(s.o.Init, "net/dev")) // of its namespace
		known := map[string]string{}
		return func(to *sink) error {
			text, err := f.read(&s.buf)
			if err != nil {
				return &lack{tallyman.Lacking, "The host's network counters cannot be read: " + err.Error() + ".", "--pid=host"}
			}
			var row [kread.InterfaceColumns]uint64
			for {
				var name []byte
				var ok bool
				if name, text, ok = kread.NextInterface(text, &row); !ok {
					break
				}
				if bytes.HasPrefix(name, []byte(veth)) {
					continue
				}
				device, ok := known[string(name)]
				if !ok {
					if len(known) > maxSamples {
						clear(known)
					}
					device = string(name)
					known[device] = device
				}
				for i := range row {
					to.Add(networkColumns[i], float64(row[i]), "device", device)
				}
			}
			return nil
		}
	},
}

// errOtherNet says that /sys lacks an interface of the host: it shows another network
// namespace, that of whoever mounted it, and what it says of the others means nothing.
var errOtherNet = &lack{tallyman.Lacking, "The interfaces in /sys are those of another network namespace than the host's.", "-v /sys:/host/sys:ro"}

// interfaces are the names of the host's interfaces, if /sys has them all.
func (s *Source) interfaces() (names []string, err error) {
	if s.o.Init == "" {
		return nil, errNoInit
	}
	f, err := kread.OpenSlow(filepath.Join(s.o.Init, "net/dev"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, buffer)
	rest := f.ReadGrow(&buf, maxText)
	var row [kread.InterfaceColumns]uint64
	for {
		var name []byte
		var ok bool
		if name, rest, ok = kread.NextInterface(rest, &row); !ok {
			return names, nil
		}
		if bytes.HasPrefix(name, []byte(veth)) {
			continue
		}
		if _, ok := text(filepath.Join(s.o.Sys, "class/net", string(name), "operstate")); !ok {
			return nil, errOtherNet
		}
		names = append(names, string(name))
	}
}
