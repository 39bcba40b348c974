// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
)

var (
	networkUp    = gauge("node_network_up", "", "1 when the interface is operational, else 0")
	networkInfo  = gauge("node_network_info", "", "Always 1; the labels are what /sys says of an interface")
	networkSpeed = gauge("node_network_speed_bytes", "bytes", "Bytes per second that the interface can carry, as its driver says")
)

// netclassColumns are the numbers in the folder of an interface.
var netclassColumns = []struct {
	desc *tallyman.Desc
	file string
}{
	{gauge("node_network_address_assign_type", "", "Where the address of an interface is from (NET_ADDR_* of the kernel)"), "addr_assign_type"},
	{gauge("node_network_carrier", "", "1 when an interface has a carrier, else 0"), "carrier"},
	{counter("node_network_carrier_changes_total", "", "Changes of the carrier"), "carrier_changes"},
	{counter("node_network_carrier_up_changes_total", "", "How often the carrier came"), "carrier_up_count"},
	{counter("node_network_carrier_down_changes_total", "", "How often the carrier went"), "carrier_down_count"},
	{gauge("node_network_device_id", "", "Number that tells interfaces apart which share an address"), "dev_id"},
	{gauge("node_network_dormant", "", "1 when an interface waits for something outside of it, else 0"), "dormant"},
	{gauge("node_network_flags", "", "Flags of an interface (IFF_* of the kernel)"), "flags"},
	{gauge("node_network_iface_id", "", "Index of an interface"), "ifindex"},
	{gauge("node_network_iface_link", "", "Index of the interface that this one stands on"), "iflink"},
	{gauge("node_network_iface_link_mode", "", "How an interface comes up: 0 by itself, 1 when it was told"), "link_mode"},
	{gauge("node_network_mtu_bytes", "bytes", "Largest packet"), "mtu"},
	{gauge("node_network_name_assign_type", "", "Where the name of an interface is from (NET_NAME_* of the kernel)"), "name_assign_type"},
	{gauge("node_network_net_dev_group", "", "Group of an interface"), "netdev_group"},
	{gauge("node_network_transmit_queue_length", "", "Packets that the queue for sending takes"), "tx_queue_len"},
	{gauge("node_network_protocol_type", "", "Kind of an interface (ARPHRD_* of the kernel)"), "type"},
	{counter("node_network_receive_nohandler_total", "", "Received packets that nobody on this host handles"), "statistics/rx_nohandler"},
}

// netclassCollector reads the folders of interfaces, of the same ones as netdev. Some
// files make the kernel wait for its lock over interfaces.
var netclassCollector = collector{
	name: "netclass", what: "state of interfaces", every: 10 * time.Second, aside: true,
	descs: func() (all []*tallyman.Desc) {
		for _, c := range netclassColumns {
			all = append(all, c.desc)
		}
		return append(all, networkUp, networkInfo, networkSpeed)
	}(),
	open: func(s *Source) reading {
		return func(to *sink) error {
			all, err := s.interfaces()
			if err != nil {
				return err
			}
			for _, name := range all {
				dir, err := unix.Open(filepath.Join(s.o.Sys, "class/net", name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
				if err != nil {
					continue // it went meanwhile
				}
				addInterface(to, dir, name)
				_ = unix.Close(dir)
			}
			return nil
		}
	},
}

func addInterface(to *sink, dir int, name string) {
	state, known := textAt(dir, "operstate")
	if known {
		to.Add(networkUp, number(state == "up"), "device", name)
	}
	flags, admin := int64(0), "unknown"
	for _, c := range netclassColumns {
		value, ok := textAt(dir, c.file)
		if !ok {
			continue // an interface that is down has no carrier
		}
		v, err := strconv.ParseInt(value, 0, 64)
		if err != nil {
			continue
		}
		if c.file == "flags" {
			if flags, admin = v, "down"; flags&unix.IFF_UP != 0 {
				admin = "up"
			}
		}
		to.Add(c.desc, float64(v), "device", name)
	}
	// A driver that does not know says -1.
	if value, ok := textAt(dir, "speed"); ok {
		if mbit, err := strconv.ParseInt(value, 10, 64); err == nil && mbit >= 0 {
			to.Add(networkSpeed, float64(mbit)*1e6/8, "device", name)
		}
	}
	address, _ := textAt(dir, "address")
	broadcast, _ := textAt(dir, "broadcast")
	duplex, _ := textAt(dir, "duplex")
	alias, _ := textAt(dir, "ifalias")
	to.Add(networkInfo, 1, "device", name, "address", address, "broadcast", broadcast, "duplex", duplex, "operstate", state, "adminstate", admin, "ifalias", alias)
}

var (
	bondingSlaves = gauge("node_bonding_slaves", "", "Interfaces that a bond has")
	bondingActive = gauge("node_bonding_active", "", "Interfaces of a bond that have a link")
)

var bondingCollector = collector{
	name: "bonding", what: "bonds of interfaces", every: 10 * time.Second, aside: true, descs: []*tallyman.Desc{bondingSlaves, bondingActive},
	open: func(s *Source) reading {
		return func(to *sink) error {
			net := filepath.Join(s.o.Sys, "class/net")
			masters, ok := text(filepath.Join(net, "bonding_masters"))
			if !ok {
				return none("The host has no bonds of interfaces.")
			}
			if _, err := s.interfaces(); err != nil {
				return err
			}
			for _, master := range strings.Fields(masters) {
				slaves, ok := text(filepath.Join(net, master, "bonding/slaves"))
				if !ok {
					continue // it went meanwhile
				}
				all := strings.Fields(slaves)
				up := 0
				for _, slave := range all {
					for _, prefix := range []string{"lower_", "slave_"} { // the second in old kernels
						if state, ok := text(filepath.Join(net, master, prefix+slave, "bonding_slave/mii_status")); ok {
							if state == "up" {
								up++
							}
							break
						}
					}
				}
				to.Add(bondingSlaves, float64(len(all)), "master", master)
				to.Add(bondingActive, float64(up), "master", master)
			}
			return nil
		}
	},
}
