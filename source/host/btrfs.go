// SPDX-License-Identifier: Apache-2.0

package host

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs/btrfs"

	"tallyman"
)

var (
	btrfsInfo        = gauge("node_btrfs_info", "", "Always 1; the label of a btrfs file system")
	btrfsReserve     = gauge("node_btrfs_global_rsv_size_bytes", "bytes", "Global reserve of a btrfs file system")
	btrfsCommits     = counter("node_btrfs_commits_total", "", "Commits of a btrfs file system")
	btrfsLastCommit  = gauge("node_btrfs_last_commit_seconds", "seconds", "How long the last commit took")
	btrfsMaxCommit   = gauge("node_btrfs_max_commit_seconds", "seconds", "How long the longest commit took")
	btrfsCommitTime  = counter("node_btrfs_commit_seconds_total", "seconds", "How long all commits took")
	btrfsDevice      = gauge("node_btrfs_device_size_bytes", "bytes", "Size of a device of a btrfs file system")
	btrfsReserved    = gauge("node_btrfs_reserved_bytes", "bytes", "Space that is reserved for a kind of data")
	btrfsUsed        = gauge("node_btrfs_used_bytes", "bytes", "Space that a kind of data takes in a layout")
	btrfsSize        = gauge("node_btrfs_size_bytes", "bytes", "Space for a kind of data in a layout")
	btrfsRatio       = gauge("node_btrfs_allocation_ratio", "", "Space on disks for each byte of data in a layout")
	btrfsKindsOfData = []string{"data", "metadata", "system"}
)

// btrfsCollector is what /sys says of btrfs. Errors of devices are told by a call on the
// mounted file system only, which needs more rights.
var btrfsCollector = collector{
	name: "btrfs", what: "btrfs file systems", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{btrfsInfo, btrfsReserve, btrfsCommits, btrfsLastCommit, btrfsMaxCommit, btrfsCommitTime, btrfsDevice, btrfsReserved, btrfsUsed, btrfsSize, btrfsRatio},
	open: func(s *Source) reading {
		return func(to *sink) error {
			f, err := btrfs.NewFS(s.o.Sys)
			if err != nil {
				return missing(err, "There is no /sys.")
			}
			all, err := f.Stats()
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return none("The host has no btrfs file systems.")
			}
			slices.SortFunc(all, func(a, b *btrfs.Stats) int { return strings.Compare(a.UUID, b.UUID) })
			for _, one := range all {
				addBtrfs(to, one)
			}
			return nil
		}
	},
}

func addBtrfs(to *sink, one *btrfs.Stats) {
	to.Add(btrfsInfo, 1, "uuid", one.UUID, "label", one.Label)
	to.Add(btrfsReserve, float64(one.Allocation.GlobalRsvSize), "uuid", one.UUID)
	to.Add(btrfsCommits, float64(one.CommitStats.Commits), "uuid", one.UUID)
	to.Add(btrfsLastCommit, float64(one.CommitStats.LastCommitMs)/1000, "uuid", one.UUID)
	to.Add(btrfsMaxCommit, float64(one.CommitStats.MaxCommitMs)/1000, "uuid", one.UUID)
	to.Add(btrfsCommitTime, float64(one.CommitStats.TotalCommitMs)/1000, "uuid", one.UUID)
	for i, a := range []*btrfs.AllocationStats{one.Allocation.Data, one.Allocation.Metadata, one.Allocation.System} {
		if a == nil {
			continue
		}
		kind := btrfsKindsOfData[i]
		to.Add(btrfsReserved, float64(a.ReservedBytes), "uuid", one.UUID, "block_group_type", kind)
		for _, mode := range slices.Sorted(maps.Keys(a.Layouts)) {
			l := a.Layouts[mode]
			to.Add(btrfsUsed, float64(l.UsedBytes), "uuid", one.UUID, "block_group_type", kind, "mode", mode)
			to.Add(btrfsSize, float64(l.TotalBytes), "uuid", one.UUID, "block_group_type", kind, "mode", mode)
			to.Add(btrfsRatio, l.Ratio, "uuid", one.UUID, "block_group_type", kind, "mode", mode)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(one.Devices)) {
		if d := one.Devices[name]; d != nil {
			to.Add(btrfsDevice, float64(d.Size), "uuid", one.UUID, "device", name)
		}
	}
}
