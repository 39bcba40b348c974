// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/prometheus/procfs"

	"tallyman"
)

// memory is the fields of /proc/meminfo, in its order.
var memory = []struct {
	desc  *tallyman.Desc
	field func(*procfs.Meminfo) *uint64
}{
	{gauge("node_memory_MemTotal_bytes", "bytes", "Physical memory that the kernel can use"), func(m *procfs.Meminfo) *uint64 { return m.MemTotalBytes }},
	{gauge("node_memory_MemFree_bytes", "bytes", "Memory that is not used at all"), func(m *procfs.Meminfo) *uint64 { return m.MemFreeBytes }},
	{gauge("node_memory_MemAvailable_bytes", "bytes", "Memory that new work could get without swapping"), func(m *procfs.Meminfo) *uint64 { return m.MemAvailableBytes }},
	{gauge("node_memory_Buffers_bytes", "bytes", "Block device buffers"), func(m *procfs.Meminfo) *uint64 { return m.BuffersBytes }},
	{gauge("node_memory_Cached_bytes", "bytes", "Page cache"), func(m *procfs.Meminfo) *uint64 { return m.CachedBytes }},
	{gauge("node_memory_SwapCached_bytes", "bytes", "Memory that is in swap too"), func(m *procfs.Meminfo) *uint64 { return m.SwapCachedBytes }},
	{gauge("node_memory_Active_bytes", "bytes", "Memory used lately"), func(m *procfs.Meminfo) *uint64 { return m.ActiveBytes }},
	{gauge("node_memory_Inactive_bytes", "bytes", "Memory not used lately"), func(m *procfs.Meminfo) *uint64 { return m.InactiveBytes }},
	{gauge("node_memory_Active_anon_bytes", "bytes", "Anonymous memory used lately"), func(m *procfs.Meminfo) *uint64 { return m.ActiveAnonBytes }},
	{gauge("node_memory_Inactive_anon_bytes", "bytes", "Anonymous memory not used lately"), func(m *procfs.Meminfo) *uint64 { return m.InactiveAnonBytes }},
	{gauge("node_memory_Active_file_bytes", "bytes", "Page cache used lately"), func(m *procfs.Meminfo) *uint64 { return m.ActiveFileBytes }},
	{gauge("node_memory_Inactive_file_bytes", "bytes", "Page cache not used lately"), func(m *procfs.Meminfo) *uint64 { return m.InactiveFileBytes }},
	{gauge("node_memory_Unevictable_bytes", "bytes", "Memory that cannot be taken back"), func(m *procfs.Meminfo) *uint64 { return m.UnevictableBytes }},
	{gauge("node_memory_Mlocked_bytes", "bytes", "Memory locked by programs"), func(m *procfs.Meminfo) *uint64 { return m.MlockedBytes }},
	{gauge("node_memory_SwapTotal_bytes", "bytes", "Swap space"), func(m *procfs.Meminfo) *uint64 { return m.SwapTotalBytes }},
	{gauge("node_memory_SwapFree_bytes", "bytes", "Swap space that is not used"), func(m *procfs.Meminfo) *uint64 { return m.SwapFreeBytes }},
	{gauge("node_memory_Zswap_bytes", "bytes", "Memory that compressed swap takes"), func(m *procfs.Meminfo) *uint64 { return m.ZswapBytes }},
	{gauge("node_memory_Zswapped_bytes", "bytes", "Memory that lies in compressed swap, before compression"), func(m *procfs.Meminfo) *uint64 { return m.ZswappedBytes }},
	{gauge("node_memory_Dirty_bytes", "bytes", "Memory that waits to be written to disk"), func(m *procfs.Meminfo) *uint64 { return m.DirtyBytes }},
	{gauge("node_memory_Writeback_bytes", "bytes", "Memory that is being written to disk"), func(m *procfs.Meminfo) *uint64 { return m.WritebackBytes }},
	{gauge("node_memory_AnonPages_bytes", "bytes", "Anonymous memory that is mapped"), func(m *procfs.Meminfo) *uint64 { return m.AnonPagesBytes }},
	{gauge("node_memory_Mapped_bytes", "bytes", "Files that are mapped"), func(m *procfs.Meminfo) *uint64 { return m.MappedBytes }},
	{gauge("node_memory_Shmem_bytes", "bytes", "Shared memory and tmpfs"), func(m *procfs.Meminfo) *uint64 { return m.ShmemBytes }},
	{gauge("node_memory_Slab_bytes", "bytes", "Caches of the kernel"), func(m *procfs.Meminfo) *uint64 { return m.SlabBytes }},
	{gauge("node_memory_SReclaimable_bytes", "bytes", "Caches of the kernel that can be taken back"), func(m *procfs.Meminfo) *uint64 { return m.SReclaimableBytes }},
	{gauge("node_memory_SUnreclaim_bytes", "bytes", "Caches of the kernel that cannot be taken back"), func(m *procfs.Meminfo) *uint64 { return m.SUnreclaimBytes }},
	{gauge("node_memory_KernelStack_bytes", "bytes", "Stacks of the kernel"), func(m *procfs.Meminfo) *uint64 { return m.KernelStackBytes }},
	{gauge("node_memory_PageTables_bytes", "bytes", "Page tables"), func(m *procfs.Meminfo) *uint64 { return m.PageTablesBytes }},
	{gauge("node_memory_SecPageTables_bytes", "bytes", "Page tables of virtual machines and devices"), func(m *procfs.Meminfo) *uint64 { return m.SecPageTablesBytes }},
	{gauge("node_memory_NFS_Unstable_bytes", "bytes", "NFS pages that are not on stable storage yet"), func(m *procfs.Meminfo) *uint64 { return m.NFSUnstableBytes }},
	{gauge("node_memory_Bounce_bytes", "bytes", "Bounce buffers of block devices"), func(m *procfs.Meminfo) *uint64 { return m.BounceBytes }},
	{gauge("node_memory_WritebackTmp_bytes", "bytes", "Buffers of FUSE writeback"), func(m *procfs.Meminfo) *uint64 { return m.WritebackTmpBytes }},
	{gauge("node_memory_CommitLimit_bytes", "bytes", "Limit of memory that may be promised"), func(m *procfs.Meminfo) *uint64 { return m.CommitLimitBytes }},
	{gauge("node_memory_Committed_AS_bytes", "bytes", "Memory that is promised"), func(m *procfs.Meminfo) *uint64 { return m.CommittedASBytes }},
	{gauge("node_memory_VmallocTotal_bytes", "bytes", "Address space of vmalloc"), func(m *procfs.Meminfo) *uint64 { return m.VmallocTotalBytes }},
	{gauge("node_memory_VmallocUsed_bytes", "bytes", "Address space of vmalloc that is used"), func(m *procfs.Meminfo) *uint64 { return m.VmallocUsedBytes }},
	{gauge("node_memory_VmallocChunk_bytes", "bytes", "Largest free piece of the address space of vmalloc"), func(m *procfs.Meminfo) *uint64 { return m.VmallocChunkBytes }},
	{gauge("node_memory_Percpu_bytes", "bytes", "Memory of per-CPU data of the kernel"), func(m *procfs.Meminfo) *uint64 { return m.PercpuBytes }},
	{gauge("node_memory_HardwareCorrupted_bytes", "bytes", "Memory that the hardware has spoilt"), func(m *procfs.Meminfo) *uint64 { return m.HardwareCorruptedBytes }},
	{gauge("node_memory_AnonHugePages_bytes", "bytes", "Anonymous memory in huge pages"), func(m *procfs.Meminfo) *uint64 { return m.AnonHugePagesBytes }},
	{gauge("node_memory_FileHugePages_bytes", "bytes", "Page cache in huge pages"), func(m *procfs.Meminfo) *uint64 { return m.FileHugePagesBytes }},
	{gauge("node_memory_ShmemHugePages_bytes", "bytes", "Shared memory in huge pages"), func(m *procfs.Meminfo) *uint64 { return m.ShmemHugePagesBytes }},
	{gauge("node_memory_ShmemPmdMapped_bytes", "bytes", "Shared memory mapped with huge pages"), func(m *procfs.Meminfo) *uint64 { return m.ShmemPmdMappedBytes }},
	{gauge("node_memory_CmaTotal_bytes", "bytes", "Memory set aside for contiguous allocation"), func(m *procfs.Meminfo) *uint64 { return m.CmaTotalBytes }},
	{gauge("node_memory_CmaFree_bytes", "bytes", "Memory set aside for contiguous allocation that is not used"), func(m *procfs.Meminfo) *uint64 { return m.CmaFreeBytes }},
	{gauge("node_memory_Unaccepted_bytes", "bytes", "Memory that a confidential guest has not accepted yet"), func(m *procfs.Meminfo) *uint64 { return m.UnacceptedBytes }},
	{gauge("node_memory_Hugepagesize_bytes", "bytes", "Size of a huge page"), func(m *procfs.Meminfo) *uint64 { return m.HugepagesizeBytes }},
	{gauge("node_memory_Hugetlb_bytes", "bytes", "Memory taken by huge pages of all sizes"), func(m *procfs.Meminfo) *uint64 { return m.HugetlbBytes }},
	{gauge("node_memory_DirectMap4k_bytes", "bytes", "Memory mapped by the kernel in pages of 4 KiB"), func(m *procfs.Meminfo) *uint64 { return m.DirectMap4kBytes }},
	{gauge("node_memory_DirectMap2M_bytes", "bytes", "Memory mapped by the kernel in pages of 2 MiB"), func(m *procfs.Meminfo) *uint64 { return m.DirectMap2MBytes }},
	{gauge("node_memory_DirectMap1G_bytes", "bytes", "Memory mapped by the kernel in pages of 1 GiB"), func(m *procfs.Meminfo) *uint64 { return m.DirectMap1GBytes }},
	{gauge("node_memory_HugePages_Total", "", "Huge pages in the pool"), func(m *procfs.Meminfo) *uint64 { return m.HugePagesTotal }},
	{gauge("node_memory_HugePages_Free", "", "Huge pages in the pool that are not used"), func(m *procfs.Meminfo) *uint64 { return m.HugePagesFree }},
	{gauge("node_memory_HugePages_Rsvd", "", "Huge pages in the pool that are promised"), func(m *procfs.Meminfo) *uint64 { return m.HugePagesRsvd }},
	{gauge("node_memory_HugePages_Surp", "", "Huge pages beyond the size of the pool"), func(m *procfs.Meminfo) *uint64 { return m.HugePagesSurp }},
}
