// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/prometheus/procfs/blockdevice"

	"tallyman"
)

// sector is the unit of /proc/diskstats, whatever the disk's own may be.
const sector = 512

// diskColumns are the numbers of a line of /proc/diskstats in its order. Older
// kernels have fewer of them.
var diskColumns = []struct {
	desc  *tallyman.Desc
	value func(*blockdevice.Diskstats) float64
}{
	{counter("node_disk_reads_completed_total", "", "Reads completed"), func(d *blockdevice.Diskstats) float64 { return float64(d.ReadIOs) }},
	{counter("node_disk_reads_merged_total", "", "Reads that were merged with a neighbour"), func(d *blockdevice.Diskstats) float64 { return float64(d.ReadMerges) }},
	{counter("node_disk_read_bytes_total", "bytes", "Bytes read"), func(d *blockdevice.Diskstats) float64 { return float64(d.ReadSectors) * sector }},
	{counter("node_disk_read_time_seconds_total", "seconds", "Time spent by all reads"), func(d *blockdevice.Diskstats) float64 { return float64(d.ReadTicks) / 1000 }},
	{counter("node_disk_writes_completed_total", "", "Writes completed"), func(d *blockdevice.Diskstats) float64 { return float64(d.WriteIOs) }},
	{counter("node_disk_writes_merged_total", "", "Writes that were merged with a neighbour"), func(d *blockdevice.Diskstats) float64 { return float64(d.WriteMerges) }},
	{counter("node_disk_written_bytes_total", "bytes", "Bytes written"), func(d *blockdevice.Diskstats) float64 { return float64(d.WriteSectors) * sector }},
	{counter("node_disk_write_time_seconds_total", "seconds", "Time spent by all writes"), func(d *blockdevice.Diskstats) float64 { return float64(d.WriteTicks) / 1000 }},
	{gauge("node_disk_io_now", "", "Requests in progress"), func(d *blockdevice.Diskstats) float64 { return float64(d.IOsInProgress) }},
	{counter("node_disk_io_time_seconds_total", "seconds", "Time in which the disk had requests"), func(d *blockdevice.Diskstats) float64 { return float64(d.IOsTotalTicks) / 1000 }},
	{counter("node_disk_io_time_weighted_seconds_total", "seconds", "Time in which the disk had requests, times how many it had"), func(d *blockdevice.Diskstats) float64 { return float64(d.WeightedIOTicks) / 1000 }},
	{counter("node_disk_discards_completed_total", "", "Discards completed"), func(d *blockdevice.Diskstats) float64 { return float64(d.DiscardIOs) }},
	{counter("node_disk_discards_merged_total", "", "Discards that were merged with a neighbour"), func(d *blockdevice.Diskstats) float64 { return float64(d.DiscardMerges) }},
	{counter("node_disk_discarded_sectors_total", "", "Sectors of 512 bytes that were discarded"), func(d *blockdevice.Diskstats) float64 { return float64(d.DiscardSectors) }},
	{counter("node_disk_discard_time_seconds_total", "seconds", "Time spent by all discards"), func(d *blockdevice.Diskstats) float64 { return float64(d.DiscardTicks) / 1000 }},
	{counter("node_disk_flush_requests_total", "", "Flushes completed"), func(d *blockdevice.Diskstats) float64 { return float64(d.FlushRequestsCompleted) }},
	{counter("node_disk_flush_requests_time_seconds_total", "seconds", "Time spent by all flushes"), func(d *blockdevice.Diskstats) float64 { return float64(d.TimeSpentFlushing) / 1000 }},
}

// head is how many fields of a line come before the numbers.
const head = 3

// disk adds the counters of each disk.
func (h *host) disk(s *Source, b *tallyman.Batch) {
	if h.noDisks = s.noDisks; h.noDisks != nil {
		return
	}
	all, err := s.disks.ProcDiskstats()
	if h.noDisks = err; err != nil {
		return
	}
	for i := range all {
		d := &all[i]
		if diskExcluded.MatchString(d.DeviceName) {
			continue
		}
		series := h.disks.get(d.DeviceName, func() (all []*tallyman.Series) {
			for _, c := range diskColumns {
				all = append(all, h.target.Series(c.desc, tallyman.Label{Name: "device", Value: d.DeviceName}))
			}
			return all
		})
		for n, c := range diskColumns {
			if n < d.IoStatsCount-head {
				b.Add(series[n], c.value(d))
			}
		}
	}
	h.disks.sweep()
}
