// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// netstatDescs are node_exporter's choice of the fields of netstat, snmp and snmp6.
var netstatDescs = []*tallyman.Desc{
	untyped("node_netstat_Icmp_InErrors", "ICMP messages received with errors"),
	untyped("node_netstat_Icmp_InMsgs", "ICMP messages received"),
	untyped("node_netstat_Icmp_OutMsgs", "ICMP messages sent"),
	untyped("node_netstat_Icmp6_InErrors", "ICMPv6 messages received with errors"),
	untyped("node_netstat_Icmp6_InMsgs", "ICMPv6 messages received"),
	untyped("node_netstat_Icmp6_OutMsgs", "ICMPv6 messages sent"),
	untyped("node_netstat_Ip_Forwarding", "1 when the host forwards packets, 2 when not"),
	untyped("node_netstat_Ip6_InOctets", "Bytes received over IPv6"),
	untyped("node_netstat_Ip6_OutOctets", "Bytes sent over IPv6"),
	untyped("node_netstat_IpExt_InOctets", "Bytes received over IPv4"),
	untyped("node_netstat_IpExt_OutOctets", "Bytes sent over IPv4"),
	untyped("node_netstat_Tcp_ActiveOpens", "TCP connections that were begun from here"),
	untyped("node_netstat_Tcp_CurrEstab", "TCP connections that are established or wait to be closed from here"),
	untyped("node_netstat_Tcp_InErrs", "TCP segments received with errors"),
	untyped("node_netstat_Tcp_InSegs", "TCP segments received"),
	untyped("node_netstat_Tcp_OutRsts", "TCP segments sent that break a connection off"),
	untyped("node_netstat_Tcp_OutSegs", "TCP segments sent"),
	untyped("node_netstat_Tcp_PassiveOpens", "TCP connections that were begun from elsewhere"),
	untyped("node_netstat_Tcp_RetransSegs", "TCP segments that were sent again"),
	untyped("node_netstat_TcpExt_ListenDrops", "TCP connections that were refused because a socket could not take them"),
	untyped("node_netstat_TcpExt_ListenOverflows", "TCP connections that were refused because the queue of a socket was full"),
	untyped("node_netstat_TcpExt_SyncookiesFailed", "SYN cookies that came back wrong"),
	untyped("node_netstat_TcpExt_SyncookiesRecv", "SYN cookies that came back"),
	untyped("node_netstat_TcpExt_SyncookiesSent", "SYN cookies sent"),
	untyped("node_netstat_TcpExt_TCPOFOQueue", "TCP segments that came out of their order and were kept"),
	untyped("node_netstat_TcpExt_TCPRcvQDrop", "TCP segments that were dropped because the queue of a socket was full"),
	untyped("node_netstat_TcpExt_TCPSynRetrans", "SYNs that were sent again"),
	untyped("node_netstat_TcpExt_TCPTimeouts", "Timeouts of TCP connections"),
	untyped("node_netstat_Udp_InDatagrams", "UDP datagrams received"),
	untyped("node_netstat_Udp_InErrors", "UDP datagrams that could not be delivered"),
	untyped("node_netstat_Udp_NoPorts", "UDP datagrams to ports on which nobody listens"),
	untyped("node_netstat_Udp_OutDatagrams", "UDP datagrams sent"),
	untyped("node_netstat_Udp_RcvbufErrors", "UDP datagrams that were dropped because the buffer of a socket was full"),
	untyped("node_netstat_Udp_SndbufErrors", "UDP datagrams that were not sent because the buffer of a socket was full"),
	untyped("node_netstat_Udp6_InDatagrams", "UDP datagrams received over IPv6"),
	untyped("node_netstat_Udp6_InErrors", "UDP datagrams over IPv6 that could not be delivered"),
	untyped("node_netstat_Udp6_NoPorts", "UDP datagrams over IPv6 to ports on which nobody listens"),
	untyped("node_netstat_Udp6_OutDatagrams", "UDP datagrams sent over IPv6"),
	untyped("node_netstat_Udp6_RcvbufErrors", "UDP datagrams over IPv6 that were dropped because the buffer of a socket was full"),
	untyped("node_netstat_Udp6_SndbufErrors", "UDP datagrams over IPv6 that were not sent because the buffer of a socket was full"),
	untyped("node_netstat_UdpLite_InErrors", "UDP-Lite datagrams that could not be delivered"),
	untyped("node_netstat_UdpLite6_InErrors", "UDP-Lite datagrams over IPv6 that could not be delivered"),
}

// netstatName is the name of a field, empty for those that node_exporter leaves out.
func netstatName(key string) string {
	if strings.HasSuffix(key, "_InErrors") || strings.HasSuffix(key, "_InErrs") ||
		strings.HasPrefix(key, "TcpExt_Listen") || strings.HasPrefix(key, "TcpExt_Syncookies") {
		return key
	}
	for _, d := range netstatDescs {
		if strings.TrimPrefix(d.Name, netstatPrefix) == key {
			return key
		}
	}
	return ""
}

const netstatPrefix = "node_netstat_"

var netstatCollector = collector{
	name: "netstat", what: "protocols of the network", descs: netstatDescs,
	open: func(s *Source) reading {
		if s.o.Init == "" {
			return func(*sink) error { return errNoInit }
		}
		pairs := []*file{s.file(filepath.Join(s.o.Init, "net/netstat")), s.file(filepath.Join(s.o.Init, "net/snmp"))}
		six := s.file(filepath.Join(s.o.Init, "net/snmp6"))
		n := newNames(s.o.Descs, tallyman.Untyped, netstatPrefix, "What /proc/net has as ", netstatDescs)
		var key []byte
		return func(to *sink) error {
			add := func(v []byte) {
				if d := n.get(key, netstatName); d != nil {
					if v, ok := integer(v); ok {
						to.Add(d, v)
					}
				}
			}
			for _, f := range pairs {
				text, err := f.read(&s.buf)
				if err != nil {
					return err
				}
				for len(text) > 0 {
					var heads, values []byte
					heads, text = line(text)
					values, text = line(text)
					protocol, heads := word(heads)
					again, values := word(values)
					if len(protocol) < 2 || !bytes.Equal(protocol, again) {
						return errors.New(f.path + " has no line of values for each line of names")
					}
					for {
						var head, value []byte
						head, heads = word(heads)
						value, values = word(values)
						if len(head) == 0 || len(value) == 0 {
							break
						}
						key = append(append(append(key[:0], protocol[:len(protocol)-1]...), '_'), head...)
						add(value)
					}
				}
			}
			text, err := six.read(&s.buf)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // without IPv6
				return err
			}
			for len(text) > 0 {
				var one []byte
				one, text = line(text)
				name, value := word(one)
				i := bytes.IndexByte(name, '6')
				if i < 0 {
					continue
				}
				key = append(append(append(key[:0], name[:i+1]...), '_'), name[i+1:]...)
				value, _ = word(value)
				add(value)
			}
			return nil
		}
	},
}

var sockstatDescs = []*tallyman.Desc{
	gauge("node_sockstat_sockets_used", "", "Sockets that are used"),
	gauge("node_sockstat_TCP_inuse", "", "TCP sockets that are used"),
	gauge("node_sockstat_TCP_orphan", "", "TCP sockets that belong to no process any more"),
	gauge("node_sockstat_TCP_tw", "", "TCP connections in the state TIME_WAIT"),
	gauge("node_sockstat_TCP_alloc", "", "TCP sockets in any state"),
	gauge("node_sockstat_TCP_mem", "", "Pages that TCP sockets take"),
	gauge("node_sockstat_TCP_mem_bytes", "bytes", "Memory that TCP sockets take"),
	gauge("node_sockstat_UDP_inuse", "", "UDP sockets that are used"),
	gauge("node_sockstat_UDP_mem", "", "Pages that UDP sockets take"),
	gauge("node_sockstat_UDP_mem_bytes", "bytes", "Memory that UDP sockets take"),
	gauge("node_sockstat_UDPLITE_inuse", "", "UDP-Lite sockets that are used"),
	gauge("node_sockstat_RAW_inuse", "", "Raw sockets that are used"),
	gauge("node_sockstat_FRAG_inuse", "", "IPv4 packets that wait for missing fragments"),
	gauge("node_sockstat_FRAG_memory", "bytes", "Memory of IPv4 packets that wait for missing fragments"),
	gauge("node_sockstat_TCP6_inuse", "", "TCP sockets over IPv6 that are used"),
	gauge("node_sockstat_UDP6_inuse", "", "UDP sockets over IPv6 that are used"),
	gauge("node_sockstat_UDPLITE6_inuse", "", "UDP-Lite sockets over IPv6 that are used"),
	gauge("node_sockstat_RAW6_inuse", "", "Raw sockets over IPv6 that are used"),
	gauge("node_sockstat_FRAG6_inuse", "", "IPv6 packets that wait for missing fragments"),
	gauge("node_sockstat_FRAG6_memory", "bytes", "Memory of IPv6 packets that wait for missing fragments"),
}

var sockstatCollector = collector{
	name: "sockstat", what: "sockets", descs: sockstatDescs,
	open: func(s *Source) reading {
		if s.o.Init == "" {
			return func(*sink) error { return errNoInit }
		}
		files := []*file{s.file(filepath.Join(s.o.Init, "net/sockstat")), s.file(filepath.Join(s.o.Init, "net/sockstat6"))}
		n := newNames(s.o.Descs, tallyman.Gauge, "node_sockstat_", "What /proc/net/sockstat has as ", sockstatDescs)
		name := func(key string) string { return key }
		page := float64(os.Getpagesize())
		var key []byte
		return func(to *sink) error {
			for _, f := range files {
				text, err := f.read(&s.buf)
				if errors.Is(err, fs.ErrNotExist) {
					continue // without IPv6
				}
				if err != nil {
					return err
				}
				for len(text) > 0 {
					var one []byte
					one, text = line(text)
					protocol, one := word(one)
					protocol, ok := bytes.CutSuffix(protocol, []byte{':'})
					for ok {
						var what, value []byte
						what, one = word(one)
						value, one = word(one)
						v, isNumber := integer(value)
						if !isNumber {
							break
						}
						key = append(append(append(key[:0], protocol...), '_'), what...)
						if d := n.get(key, name); d != nil {
							to.Add(d, v)
						}
						if string(what) == "mem" {
							key = append(key, "_bytes"...)
							if d := n.get(key, name); d != nil {
								to.Add(d, v*page)
							}
						}
					}
				}
			}
			return nil
		}
	},
}

var softnetDescs = []*tallyman.Desc{
	counter("node_softnet_processed_total", "", "Packets that a CPU has handled"),
	counter("node_softnet_dropped_total", "", "Packets that were dropped because the queue of a CPU was full"),
	counter("node_softnet_times_squeezed_total", "", "How often a CPU had packets left when its turn was over"),
	counter("node_softnet_cpu_collision_total", "", "How often a CPU had to wait for the lock of a device"),
	counter("node_softnet_received_rps_total", "", "How often a CPU was woken to handle packets for another"),
	counter("node_softnet_flow_limit_count_total", "", "Packets that were dropped because one flow had too many"),
	gauge("node_softnet_backlog_len", "", "Packets that wait for a CPU; since Linux 5.10"),
}

var softnetCollector = collector{
	name: "softnet", what: "packets by CPU", descs: softnetDescs,
	open: func(s *Source) reading {
		var cpus []string
		return func(to *sink) error {
			if s.noNet != nil {
				return s.noNet
			}
			all, err := s.net.NetSoftnetStat()
			if err != nil {
				return err
			}
			for i := range all {
				c := &all[i]
				for len(cpus) <= int(c.Index) && len(cpus) < maxCPUs {
					cpus = append(cpus, strconv.Itoa(len(cpus)))
				}
				if int(c.Index) >= len(cpus) {
					continue
				}
				for n, v := range [...]uint32{c.Processed, c.Dropped, c.TimeSqueezed, c.CPUCollision, c.ReceivedRps, c.FlowLimitCount, c.SoftnetBacklogLen} {
					to.Add(softnetDescs[n], float64(v), "cpu", cpus[c.Index])
				}
			}
			return nil
		}
	},
}

var arpEntries = gauge("node_arp_entries", "", "IPv4 neighbours that an interface knows")

var arpCollector = collector{
	name: "arp", what: "neighbours", every: 10 * time.Second, descs: []*tallyman.Desc{arpEntries},
	open: func(s *Source) reading {
		if s.o.Init == "" {
			return func(*sink) error { return errNoInit }
		}
		f := s.file(filepath.Join(s.o.Init, "net/arp"))
		return func(to *sink) error {
			text, err := f.read(&s.buf)
			if err != nil {
				return err
			}
			var devices []string
			count := map[string]int{}
			_, text = line(text) // of heads
			for len(text) > 0 {
				var one []byte
				one, text = line(text)
				w := bytes.Fields(one)
				if len(w) < 6 {
					continue
				}
				device := string(w[len(w)-1])
				if count[device] == 0 {
					devices = append(devices, device)
				}
				count[device]++
			}
			for _, d := range devices {
				to.Add(arpEntries, float64(count[d]), "device", d)
			}
			return nil
		}
	},
}

var udpQueues = gauge("node_udp_queues", "bytes", "Memory of UDP datagrams that wait in sockets")

// udpCollector goes through all UDP sockets of the host, which the kernel writes out.
var udpCollector = collector{
	name: "udp_queues", what: "queues of UDP", every: 10 * time.Second, aside: true, descs: []*tallyman.Desc{udpQueues},
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noNet != nil {
				return s.noNet
			}
			four, err := s.net.NetUDPSummary()
			if err == nil {
				to.Add(udpQueues, float64(four.TxQueueLength), "queue", "tx", "ip", "v4")
				to.Add(udpQueues, float64(four.RxQueueLength), "queue", "rx", "ip", "v4")
			}
			six, err6 := s.net.NetUDP6Summary()
			if err6 == nil {
				to.Add(udpQueues, float64(six.TxQueueLength), "queue", "tx", "ip", "v6")
				to.Add(udpQueues, float64(six.RxQueueLength), "queue", "rx", "ip", "v6")
			} else if !errors.Is(err6, fs.ErrNotExist) {
				return err6
			}
			return missing(err, "The host has no UDP.")
		}
	},
}

var conntrackDescs = []*tallyman.Desc{
	gauge("node_nf_conntrack_entries", "", "Connections that netfilter follows"),
	gauge("node_nf_conntrack_entries_limit", "", "Connections that netfilter can follow"),
	gauge("node_nf_conntrack_stat_found", "", "Lookups that found a connection"),
	gauge("node_nf_conntrack_stat_invalid", "", "Packets that cannot be followed"),
	gauge("node_nf_conntrack_stat_ignore", "", "Packets that belonged to a connection already"),
	gauge("node_nf_conntrack_stat_insert", "", "Connections that were put into the table"),
	gauge("node_nf_conntrack_stat_insert_failed", "", "Connections that could not be put into the table"),
	gauge("node_nf_conntrack_stat_drop", "", "Packets that were dropped because their connection could not be followed"),
	gauge("node_nf_conntrack_stat_early_drop", "", "Connections that were dropped to make room for others"),
	gauge("node_nf_conntrack_stat_search_restart", "", "Lookups that were begun anew because the table had changed"),
}

// conntrackCollector takes the number of connections from the statistics, which are
// those of the host; its file below /proc/sys would be that of the reader's namespace.
var conntrackCollector = collector{
	name: "conntrack", what: "connections of netfilter", descs: conntrackDescs,
	open: func(s *Source) reading {
		limit := filepath.Join(s.o.Proc, "sys/net/netfilter/nf_conntrack_max")
		return func(to *sink) error {
			if s.noNet != nil {
				return s.noNet
			}
			all, err := s.net.ConntrackStat()
			if err != nil {
				return missing(err, "Netfilter follows no connections on this host.")
			}
			if len(all) == 0 {
				return none("Netfilter follows no connections on this host.")
			}
			var sum [8]uint64
			for i := range all {
				c := &all[i]
				for n, v := range [...]uint64{c.Found, c.Invalid, c.Ignore, c.Insert, c.InsertFailed, c.Drop, c.EarlyDrop, c.SearchRestart} {
					sum[n] += v
				}
			}
			to.Add(conntrackDescs[0], float64(all[0].Entries)) // of all CPUs, in each line
			addFile(to, conntrackDescs[1], limit, 1)
			for n, v := range sum {
				to.Add(conntrackDescs[2+n], float64(v))
			}
			return nil
		}
	},
}
