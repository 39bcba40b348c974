// SPDX-License-Identifier: Apache-2.0

package host

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs/sysfs"
	"github.com/prometheus/procfs/xfs"

	"tallyman"
)

var (
	mdState    = gauge("node_md_state", "", "1 for the state that a RAID of md is in, 0 for the others")
	mdDisks    = gauge("node_md_disks", "", "Disks of a RAID of md that are active, have failed or are spare")
	mdRequired = gauge("node_md_disks_required", "", "Disks that a RAID of md should have")
	mdBlocks   = gauge("node_md_blocks", "", "Blocks of a RAID of md")
	mdSynced   = gauge("node_md_blocks_synced", "", "Blocks of a RAID of md that are in step")
)

// mdStates are the values of the label state, and the words of the library.
var mdStates = [][2]string{{"active", "active"}, {"inactive", "inactive"}, {"recovering", "recovering"}, {"resync", "resyncing"}, {"check", "checking"}}

var mdadmCollector = collector{
	name: "mdadm", what: "RAIDs of md", every: 10 * time.Second, descs: []*tallyman.Desc{mdState, mdDisks, mdRequired, mdBlocks, mdSynced},
	open: func(s *Source) reading {
		return func(to *sink) error {
			all, err := s.fs.MDStat()
			if err != nil {
				return missing(err, "The kernel of this host has no RAIDs of md.")
			}
			for _, m := range all {
				to.Add(mdRequired, float64(m.DisksTotal), "device", m.Name)
				to.Add(mdDisks, float64(m.DisksActive), "device", m.Name, "state", "active")
				to.Add(mdDisks, float64(m.DisksFailed), "device", m.Name, "state", "failed")
				to.Add(mdDisks, float64(m.DisksSpare), "device", m.Name, "state", "spare")
				for _, state := range mdStates {
					to.Add(mdState, number(m.ActivityState == state[1]), "device", m.Name, "state", state[0])
				}
				to.Add(mdBlocks, float64(m.BlocksTotal), "device", m.Name)
				to.Add(mdSynced, float64(m.BlocksSynced), "device", m.Name)
			}
			return nil
		}
	},
}

var nvmeInfo = gauge("node_nvme_info", "", "Always 1; the labels are what an NVMe controller says of itself")

var nvmeCollector = collector{
	name: "nvme", what: "NVMe controllers", every: time.Minute, aside: true, descs: []*tallyman.Desc{nvmeInfo},
	open: func(s *Source) reading {
		return func(to *sink) error {
			dirs, _ := filepath.Glob(filepath.Join(s.o.Sys, "class/nvme/nvme*"))
			for _, dir := range dirs {
				if model, ok := text(filepath.Join(dir, "model")); ok {
					serial, _ := text(filepath.Join(dir, "serial"))
					firmware, _ := text(filepath.Join(dir, "firmware_rev"))
					state, _ := text(filepath.Join(dir, "state"))
					to.Add(nvmeInfo, 1, "device", filepath.Base(dir), "firmware_revision", firmware, "model", model, "serial", serial, "state", state)
				}
			}
			if len(to.samples) == 0 {
				return none("The host has no NVMe controllers.")
			}
			return nil
		}
	},
}

var (
	edacCorrected      = counter("node_edac_correctable_errors_total", "", "Errors of memory that were corrected")
	edacUncorrected    = counter("node_edac_uncorrectable_errors_total", "", "Errors of memory that could not be corrected")
	edacRowCorrected   = counter("node_edac_csrow_correctable_errors_total", "", "Errors of a row of memory that were corrected")
	edacRowUncorrected = counter("node_edac_csrow_uncorrectable_errors_total", "", "Errors of a row of memory that could not be corrected")
)

var edacCollector = collector{
	name: "edac", what: "errors of memory", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{edacCorrected, edacUncorrected, edacRowCorrected, edacRowUncorrected},
	open: func(s *Source) reading {
		return func(to *sink) error {
			all, _ := filepath.Glob(filepath.Join(s.o.Sys, "devices/system/edac/mc/mc[0-9]*"))
			for _, dir := range all {
				n := strings.TrimPrefix(filepath.Base(dir), "mc")
				addFile(to, edacCorrected, filepath.Join(dir, "ce_count"), 1, "controller", n)
				addFile(to, edacRowCorrected, filepath.Join(dir, "ce_noinfo_count"), 1, "controller", n, "csrow", "unknown")
				addFile(to, edacUncorrected, filepath.Join(dir, "ue_count"), 1, "controller", n)
				addFile(to, edacRowUncorrected, filepath.Join(dir, "ue_noinfo_count"), 1, "controller", n, "csrow", "unknown")
				rows, _ := filepath.Glob(filepath.Join(dir, "csrow[0-9]*"))
				for _, row := range rows {
					r := strings.TrimPrefix(filepath.Base(row), "csrow")
					addFile(to, edacRowCorrected, filepath.Join(row, "ce_count"), 1, "controller", n, "csrow", r)
					addFile(to, edacRowUncorrected, filepath.Join(row, "ue_count"), 1, "controller", n, "csrow", r)
				}
			}
			if len(all) == 0 {
				return none("The memory controllers of this host count no errors, or their driver is missing.")
			}
			return nil
		}
	},
}

// xfsColumns are the numbers of an XFS file system.
var xfsColumns = []struct {
	desc  *tallyman.Desc
	value func(*xfs.Stats) float64
}{
	{counter("node_xfs_extent_allocation_extents_allocated_total", "", "Extents allocated"), func(s *xfs.Stats) float64 { return float64(s.ExtentAllocation.ExtentsAllocated) }},
	{counter("node_xfs_extent_allocation_blocks_allocated_total", "", "Blocks allocated"), func(s *xfs.Stats) float64 { return float64(s.ExtentAllocation.BlocksAllocated) }},
	{counter("node_xfs_extent_allocation_extents_freed_total", "", "Extents freed"), func(s *xfs.Stats) float64 { return float64(s.ExtentAllocation.ExtentsFreed) }},
	{counter("node_xfs_extent_allocation_blocks_freed_total", "", "Blocks freed"), func(s *xfs.Stats) float64 { return float64(s.ExtentAllocation.BlocksFreed) }},
	{counter("node_xfs_allocation_btree_lookups_total", "", "Lookups in the tree of free space"), func(s *xfs.Stats) float64 { return float64(s.AllocationBTree.Lookups) }},
	{counter("node_xfs_allocation_btree_compares_total", "", "Comparisons in the tree of free space"), func(s *xfs.Stats) float64 { return float64(s.AllocationBTree.Compares) }},
	{counter("node_xfs_allocation_btree_records_inserted_total", "", "Entries put into the tree of free space"), func(s *xfs.Stats) float64 { return float64(s.AllocationBTree.RecordsInserted) }},
	{counter("node_xfs_allocation_btree_records_deleted_total", "", "Entries taken out of the tree of free space"), func(s *xfs.Stats) float64 { return float64(s.AllocationBTree.RecordsDeleted) }},
	{counter("node_xfs_block_mapping_reads_total", "", "Maps of blocks for reading"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.Reads) }},
	{counter("node_xfs_block_mapping_writes_total", "", "Maps of blocks for writing"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.Writes) }},
	{counter("node_xfs_block_mapping_unmaps_total", "", "Maps of blocks that were taken away"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.Unmaps) }},
	{counter("node_xfs_block_mapping_extent_list_insertions_total", "", "Entries put into lists of extents"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.ExtentListInsertions) }},
	{counter("node_xfs_block_mapping_extent_list_deletions_total", "", "Entries taken out of lists of extents"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.ExtentListDeletions) }},
	{counter("node_xfs_block_mapping_extent_list_lookups_total", "", "Lookups in lists of extents"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.ExtentListLookups) }},
	{counter("node_xfs_block_mapping_extent_list_compares_total", "", "Comparisons in lists of extents"), func(s *xfs.Stats) float64 { return float64(s.BlockMapping.ExtentListCompares) }},
	{counter("node_xfs_block_map_btree_lookups_total", "", "Lookups in trees of blocks"), func(s *xfs.Stats) float64 { return float64(s.BlockMapBTree.Lookups) }},
	{counter("node_xfs_block_map_btree_compares_total", "", "Comparisons in trees of blocks"), func(s *xfs.Stats) float64 { return float64(s.BlockMapBTree.Compares) }},
	{counter("node_xfs_block_map_btree_records_inserted_total", "", "Entries put into trees of blocks"), func(s *xfs.Stats) float64 { return float64(s.BlockMapBTree.RecordsInserted) }},
	{counter("node_xfs_block_map_btree_records_deleted_total", "", "Entries taken out of trees of blocks"), func(s *xfs.Stats) float64 { return float64(s.BlockMapBTree.RecordsDeleted) }},
	{counter("node_xfs_directory_operation_lookup_total", "", "Lookups of names in directories that the kernel had not cached"), func(s *xfs.Stats) float64 { return float64(s.DirectoryOperation.Lookups) }},
	{counter("node_xfs_directory_operation_create_total", "", "Names made in directories"), func(s *xfs.Stats) float64 { return float64(s.DirectoryOperation.Creates) }},
	{counter("node_xfs_directory_operation_remove_total", "", "Names removed from directories"), func(s *xfs.Stats) float64 { return float64(s.DirectoryOperation.Removes) }},
	{counter("node_xfs_directory_operation_getdents_total", "", "Readings of directories"), func(s *xfs.Stats) float64 { return float64(s.DirectoryOperation.Getdents) }},
	{counter("node_xfs_inode_operation_attempts_total", "", "Lookups in the cache of inodes"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Attempts) }},
	{counter("node_xfs_inode_operation_found_total", "", "Lookups in the cache of inodes that found one"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Found) }},
	{counter("node_xfs_inode_operation_recycled_total", "", "Inodes that were found while they were being recycled"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Recycle) }},
	{counter("node_xfs_inode_operation_missed_total", "", "Lookups in the cache of inodes that found none"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Missed) }},
	{counter("node_xfs_inode_operation_duplicates_total", "", "Inodes that somebody else had put into the cache meanwhile"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Duplicate) }},
	{counter("node_xfs_inode_operation_reclaims_total", "", "Inodes taken out of the cache for want of memory"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.Reclaims) }},
	{counter("node_xfs_inode_operation_attribute_changes_total", "", "Changes of attributes of inodes"), func(s *xfs.Stats) float64 { return float64(s.InodeOperation.AttributeChange) }},
	{counter("node_xfs_read_calls_total", "", "Calls of read"), func(s *xfs.Stats) float64 { return float64(s.ReadWrite.Read) }},
	{counter("node_xfs_write_calls_total", "", "Calls of write"), func(s *xfs.Stats) float64 { return float64(s.ReadWrite.Write) }},
	{counter("node_xfs_vnode_active_total", "", "Vnodes that are on no list of free ones"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Active) }},
	{counter("node_xfs_vnode_allocate_total", "", "Vnodes allocated"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Allocate) }},
	{counter("node_xfs_vnode_get_total", "", "Vnodes fetched"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Get) }},
	{counter("node_xfs_vnode_hold_total", "", "Vnodes held"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Hold) }},
	{counter("node_xfs_vnode_release_total", "", "Vnodes released"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Release) }},
	{counter("node_xfs_vnode_reclaim_total", "", "Vnodes reclaimed"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Reclaim) }},
	{counter("node_xfs_vnode_remove_total", "", "Vnodes removed"), func(s *xfs.Stats) float64 { return float64(s.Vnode.Remove) }},
}

var xfsCollector = collector{
	name: "xfs", what: "XFS file systems", every: 10 * time.Second, aside: true, descs: func() (all []*tallyman.Desc) {
		for _, c := range xfsColumns {
			all = append(all, c.desc)
		}
		return all
	}(),
	open: func(s *Source) reading {
		return func(to *sink) error {
			f, err := xfs.NewFS(s.o.Proc, s.o.Sys)
			if err != nil {
				return err
			}
			all, err := f.SysStats()
			if err != nil {
				return missing(err, "The host has no XFS file systems.")
			}
			if len(all) == 0 {
				return none("The host has no XFS file systems.")
			}
			slices.SortFunc(all, func(a, b *xfs.Stats) int { return strings.Compare(a.Name, b.Name) })
			for _, one := range all {
				for _, c := range xfsColumns {
					to.Add(c.desc, c.value(one), "device", one.Name)
				}
			}
			return nil
		}
	},
}

// tapeColumns are the numbers of a tape drive.
var tapeColumns = []struct {
	desc  *tallyman.Desc
	value func(*sysfs.SCSITapeCounters) float64
}{
	{gauge("node_tape_io_now", "", "Requests in progress"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.InFlight) }},
	{counter("node_tape_io_time_seconds_total", "seconds", "Time spent by all requests"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.IoNs) / 1e9 }},
	{counter("node_tape_io_others_total", "", "Requests other than reads and writes"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.OtherCnt) }},
	{counter("node_tape_read_bytes_total", "bytes", "Bytes read"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.ReadByteCnt) }},
	{counter("node_tape_reads_completed_total", "", "Reads completed"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.ReadCnt) }},
	{counter("node_tape_read_time_seconds_total", "seconds", "Time spent by reads"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.ReadNs) / 1e9 }},
	{counter("node_tape_residual_total", "", "Reads and writes that did not do all of their bytes"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.ResidCnt) }},
	{counter("node_tape_written_bytes_total", "bytes", "Bytes written"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.WriteByteCnt) }},
	{counter("node_tape_writes_completed_total", "", "Writes completed"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.WriteCnt) }},
	{counter("node_tape_write_time_seconds_total", "seconds", "Time spent by writes"), func(c *sysfs.SCSITapeCounters) float64 { return float64(c.WriteNs) / 1e9 }},
}

var tapeCollector = collector{
	name: "tapestats", what: "tape drives", every: 10 * time.Second, aside: true, descs: func() (all []*tallyman.Desc) {
		for _, c := range tapeColumns {
			all = append(all, c.desc)
		}
		return all
	}(),
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			all, err := s.sys.SCSITapeClass()
			if err != nil {
				return missing(err, "The host has no tape drives.")
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				t := all[name]
				for _, c := range tapeColumns {
					to.Add(c.desc, c.value(&t.Counters), "device", t.Name)
				}
			}
			return nil
		}
	},
}

var (
	ibInfo     = gauge("node_infiniband_info", "", "Always 1; the labels are what an InfiniBand device says of itself")
	ibState    = gauge("node_infiniband_state_id", "", "State of a port: 1 down, 2 init, 3 armed, 4 active, 5 active and to be deferred")
	ibPhysical = gauge("node_infiniband_physical_state_id", "", "State of the wire of a port, 5 when its link is up")
	ibRate     = gauge("node_infiniband_rate_bytes_per_second", "bytes", "Bytes per second that a port can carry")
)

// ibColumns are the counters of a port.
var ibColumns = []column[sysfs.InfiniBandCounters, uint64]{
	{counter("node_infiniband_legacy_multicast_packets_received_total", "", "Multicast packets received, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortMulticastRcvPackets }},
	{counter("node_infiniband_legacy_multicast_packets_transmitted_total", "", "Multicast packets sent, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortMulticastXmitPackets }},
	{counter("node_infiniband_legacy_data_received_bytes_total", "bytes", "Bytes received, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortRcvData64 }},
	{counter("node_infiniband_legacy_packets_received_total", "", "Packets received, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortRcvPackets64 }},
	{counter("node_infiniband_legacy_unicast_packets_received_total", "", "Unicast packets received, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortUnicastRcvPackets }},
	{counter("node_infiniband_legacy_unicast_packets_transmitted_total", "", "Unicast packets sent, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortUnicastXmitPackets }},
	{counter("node_infiniband_legacy_data_transmitted_bytes_total", "bytes", "Bytes sent, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortXmitData64 }},
	{counter("node_infiniband_legacy_packets_transmitted_total", "", "Packets sent, of old counters"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LegacyPortXmitPackets64 }},
	{counter("node_infiniband_excessive_buffer_overrun_errors_total", "", "How often buffers overran for long"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.ExcessiveBufferOverrunErrors }},
	{counter("node_infiniband_link_downed_total", "", "How often the link did not come back from an error"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LinkDowned }},
	{counter("node_infiniband_link_error_recovery_total", "", "How often the link came back from an error"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LinkErrorRecovery }},
	{counter("node_infiniband_local_link_integrity_errors_total", "", "How often there were too many errors of the wire"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.LocalLinkIntegrityErrors }},
	{counter("node_infiniband_multicast_packets_received_total", "", "Multicast packets received"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.MulticastRcvPackets }},
	{counter("node_infiniband_multicast_packets_transmitted_total", "", "Multicast packets sent"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.MulticastXmitPackets }},
	{counter("node_infiniband_port_constraint_errors_received_total", "", "Received packets that the switch discarded by its rules"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvConstraintErrors }},
	{counter("node_infiniband_port_constraint_errors_transmitted_total", "", "Packets that the switch did not send by its rules"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortXmitConstraintErrors }},
	{counter("node_infiniband_port_data_received_bytes_total", "bytes", "Bytes received"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvData }},
	{counter("node_infiniband_port_data_transmitted_bytes_total", "bytes", "Bytes sent"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortXmitData }},
	{counter("node_infiniband_port_discards_received_total", "", "Received packets that were discarded"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvDiscards }},
	{counter("node_infiniband_port_discards_transmitted_total", "", "Packets to send that were discarded"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortXmitDiscards }},
	{counter("node_infiniband_port_errors_received_total", "", "Received packets with an error"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvErrors }},
	{counter("node_infiniband_port_packets_received_total", "", "Packets received"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvPackets }},
	{counter("node_infiniband_port_packets_transmitted_total", "", "Packets sent"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortXmitPackets }},
	{counter("node_infiniband_port_transmit_wait_total", "", "Ticks in which there was something to send and nothing was sent"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortXmitWait }},
	{counter("node_infiniband_unicast_packets_received_total", "", "Unicast packets received"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.UnicastRcvPackets }},
	{counter("node_infiniband_unicast_packets_transmitted_total", "", "Unicast packets sent"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.UnicastXmitPackets }},
	{counter("node_infiniband_port_receive_remote_physical_errors_total", "", "Received packets that were marked as broken elsewhere"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvRemotePhysicalErrors }},
	{counter("node_infiniband_port_receive_switch_relay_errors_total", "", "Packets that the switch could not pass on"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.PortRcvSwitchRelayErrors }},
	{counter("node_infiniband_symbol_error_total", "", "Small errors of the wire"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.SymbolError }},
	{counter("node_infiniband_vl15_dropped_total", "", "Packets of management that were dropped"), func(c *sysfs.InfiniBandCounters) *uint64 { return c.VL15Dropped }},
}

var infinibandCollector = collector{
	name: "infiniband", what: "InfiniBand", every: 10 * time.Second, aside: true, descs: descsOf(ibColumns, ibInfo, ibState, ibPhysical, ibRate),
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			all, err := s.sys.InfiniBandClass()
			if err != nil {
				return missing(err, "The host has no InfiniBand.")
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				d := all[name]
				to.Add(ibInfo, 1, "device", d.Name, "board_id", d.BoardID, "firmware_version", d.FirmwareVersion, "hca_type", d.HCAType)
				for _, n := range slices.Sorted(maps.Keys(d.Ports)) {
					p := d.Ports[n]
					port := strconv.FormatUint(uint64(p.Port), 10)
					to.Add(ibState, float64(p.StateID), "device", p.Name, "port", port)
					to.Add(ibPhysical, float64(p.PhysStateID), "device", p.Name, "port", port)
					to.Add(ibRate, float64(p.Rate), "device", p.Name, "port", port)
					addColumns(to, ibColumns, &p.Counters, 1, "device", p.Name, "port", port)
				}
			}
			return nil
		}
	},
}

var fcInfo = gauge("node_fibrechannel_info", "", "Always 1; the labels are what a Fibre Channel adapter says of itself")

// fcColumns are the counters of an adapter.
var fcColumns = []column[sysfs.FibreChannelCounters, uint64]{
	{counter("node_fibrechannel_dumped_frames_total", "", "Frames that were lost for want of resources"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.DumpedFrames }},
	{counter("node_fibrechannel_error_frames_total", "", "Frames with errors"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.ErrorFrames }},
	{counter("node_fibrechannel_invalid_crc_total", "", "Frames with a wrong checksum"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.InvalidCRCCount }},
	{counter("node_fibrechannel_rx_frames_total", "", "Frames received"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.RXFrames }},
	{counter("node_fibrechannel_rx_words_total", "", "Words received"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.RXWords }},
	{counter("node_fibrechannel_tx_frames_total", "", "Frames sent"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.TXFrames }},
	{counter("node_fibrechannel_tx_words_total", "", "Words sent"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.TXWords }},
	{counter("node_fibrechannel_seconds_since_last_reset_total", "seconds", "Seconds since the counters began"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.SecondsSinceLastReset }},
	{counter("node_fibrechannel_invalid_tx_words_total", "", "Words sent that were not valid"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.InvalidTXWordCount }},
	{counter("node_fibrechannel_link_failure_total", "", "Failures of the link"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.LinkFailureCount }},
	{counter("node_fibrechannel_loss_of_sync_total", "", "Losses of synchronisation"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.LossOfSyncCount }},
	{counter("node_fibrechannel_loss_of_signal_total", "", "Losses of the signal"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.LossOfSignalCount }},
	{counter("node_fibrechannel_nos_total", "", "Sequences that say that the link does not work"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.NosCount }},
	{counter("node_fibrechannel_fcp_packet_aborts_total", "", "Packets that were broken off"), func(c *sysfs.FibreChannelCounters) *uint64 { return c.FCPPacketAborts }},
}

var fibrechannelCollector = collector{
	name: "fibrechannel", what: "Fibre Channel", every: 10 * time.Second, aside: true, descs: descsOf(fcColumns, fcInfo),
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			all, err := s.sys.FibreChannelClass()
			if err != nil {
				return missing(err, "The host has no Fibre Channel.")
			}
			word := func(s *string) string {
				if s == nil {
					return ""
				}
				return *s
			}
			for _, name := range slices.Sorted(maps.Keys(all)) {
				h := all[name]
				to.Add(fcInfo, 1, "fc_host", name, "speed", word(h.Speed), "port_state", word(h.PortState), "port_type", word(h.PortType), "port_id", word(h.PortID),
					"port_name", word(h.PortName), "fabric_name", word(h.FabricName), "symbolic_name", word(h.SymbolicName), "supported_classes", word(h.SupportedClasses),
					"supported_speeds", word(h.SupportedSpeeds), "dev_loss_tmo", word(h.DevLossTMO))
				if h.Counters == nil {
					continue
				}
				for _, c := range fcColumns {
					// All bits are set in a counter that the adapter does not keep.
					if v := c.value(h.Counters); v != nil && *v != 1<<64-1 {
						to.Add(c.desc, float64(*v), "fc_host", name)
					}
				}
			}
			return nil
		}
	},
}
