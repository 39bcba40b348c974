// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"strconv"
	"time"

	"github.com/prometheus/procfs"

	"tallyman"
)

var (
	ipvsConnections = counter("node_ipvs_connections_total", "", "Connections that IPVS has balanced")
	ipvsPacketsIn   = counter("node_ipvs_incoming_packets_total", "", "Packets that IPVS received")
	ipvsPacketsOut  = counter("node_ipvs_outgoing_packets_total", "", "Packets that IPVS sent")
	ipvsBytesIn     = counter("node_ipvs_incoming_bytes_total", "bytes", "Bytes that IPVS received")
	ipvsBytesOut    = counter("node_ipvs_outgoing_bytes_total", "bytes", "Bytes that IPVS sent")
	ipvsActive      = gauge("node_ipvs_backend_connections_active", "", "Connections to a backend of IPVS that are active")
	ipvsInactive    = gauge("node_ipvs_backend_connections_inactive", "", "Connections to a backend of IPVS that are not active")
	ipvsWeight      = gauge("node_ipvs_backend_weight", "", "Weight of a backend of IPVS")
)

// ipvsCollector is IPVS in the host's network namespace. The balancers of a swarm have
// namespaces of their own.
var ipvsCollector = collector{
	name: "ipvs", what: "balancing of IPVS", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{ipvsConnections, ipvsPacketsIn, ipvsPacketsOut, ipvsBytesIn, ipvsBytesOut, ipvsActive, ipvsInactive, ipvsWeight},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noNet != nil {
				return s.noNet
			}
			total, err := s.net.IPVSStats()
			if err != nil {
				return missing(err, "The host balances nothing with IPVS.")
			}
			to.Add(ipvsConnections, float64(total.Connections))
			to.Add(ipvsPacketsIn, float64(total.IncomingPackets))
			to.Add(ipvsPacketsOut, float64(total.OutgoingPackets))
			to.Add(ipvsBytesIn, float64(total.IncomingBytes))
			to.Add(ipvsBytesOut, float64(total.OutgoingBytes))
			all, err := s.net.IPVSBackendStatus()
			if err != nil {
				return err
			}
			for i := range all {
				addBackend(to, &all[i])
			}
			return nil
		}
	},
}

func addBackend(to *sink, b *procfs.IPVSBackendStatus) {
	address := func(ip net.IP) string {
		if len(ip) == 0 {
			return "" // of a mark of the firewall
		}
		return ip.String()
	}
	pairs := [...]string{"local_address", address(b.LocalAddress), "local_port", strconv.Itoa(int(b.LocalPort)), "remote_address", address(b.RemoteAddress),
		"remote_port", strconv.Itoa(int(b.RemotePort)), "proto", b.Proto, "local_mark", b.LocalMark}
	to.Add(ipvsActive, float64(b.ActiveConn), pairs[:]...)
	to.Add(ipvsInactive, float64(b.InactConn), pairs[:]...)
	to.Add(ipvsWeight, float64(b.Weight), pairs[:]...)
}
