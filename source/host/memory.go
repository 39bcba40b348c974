// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"strings"

	"tallyman"
)

// memory is what is known of the lines of /proc/meminfo, in its order. Lines that a
// newer kernel has are given too.
var memory = []*tallyman.Desc{
	gauge("node_memory_MemTotal_bytes", "bytes", "Physical memory that the kernel can use"),
	gauge("node_memory_MemFree_bytes", "bytes", "Memory that is not used at all"),
	gauge("node_memory_MemAvailable_bytes", "bytes", "Memory that new work could get without swapping"),
	gauge("node_memory_Buffers_bytes", "bytes", "Block device buffers"),
	gauge("node_memory_Cached_bytes", "bytes", "Page cache"),
	gauge("node_memory_SwapCached_bytes", "bytes", "Memory that is in swap too"),
	gauge("node_memory_Active_bytes", "bytes", "Memory used lately"),
	gauge("node_memory_Inactive_bytes", "bytes", "Memory not used lately"),
	gauge("node_memory_Active_anon_bytes", "bytes", "Anonymous memory used lately"),
	gauge("node_memory_Inactive_anon_bytes", "bytes", "Anonymous memory not used lately"),
	gauge("node_memory_Active_file_bytes", "bytes", "Page cache used lately"),
	gauge("node_memory_Inactive_file_bytes", "bytes", "Page cache not used lately"),
	gauge("node_memory_Unevictable_bytes", "bytes", "Memory that cannot be taken back"),
	gauge("node_memory_Mlocked_bytes", "bytes", "Memory locked by programs"),
	gauge("node_memory_SwapTotal_bytes", "bytes", "Swap space"),
	gauge("node_memory_SwapFree_bytes", "bytes", "Swap space that is not used"),
	gauge("node_memory_Zswap_bytes", "bytes", "Memory that compressed swap takes"),
	gauge("node_memory_Zswapped_bytes", "bytes", "Memory that lies in compressed swap, before compression"),
	gauge("node_memory_Dirty_bytes", "bytes", "Memory that waits to be written to disk"),
	gauge("node_memory_Writeback_bytes", "bytes", "Memory that is being written to disk"),
	gauge("node_memory_AnonPages_bytes", "bytes", "Anonymous memory that is mapped"),
	gauge("node_memory_Mapped_bytes", "bytes", "Files that are mapped"),
	gauge("node_memory_Shmem_bytes", "bytes", "Shared memory and tmpfs"),
	gauge("node_memory_KReclaimable_bytes", "bytes", "Memory of the kernel that can be taken back, caches and others"),
	gauge("node_memory_Slab_bytes", "bytes", "Caches of the kernel"),
	gauge("node_memory_SReclaimable_bytes", "bytes", "Caches of the kernel that can be taken back"),
	gauge("node_memory_SUnreclaim_bytes", "bytes", "Caches of the kernel that cannot be taken back"),
	gauge("node_memory_KernelStack_bytes", "bytes", "Stacks of the kernel"),
	gauge("node_memory_PageTables_bytes", "bytes", "Page tables"),
	gauge("node_memory_SecPageTables_bytes", "bytes", "Page tables of virtual machines and devices"),
	gauge("node_memory_NFS_Unstable_bytes", "bytes", "NFS pages that are not on stable storage yet"),
	gauge("node_memory_Bounce_bytes", "bytes", "Bounce buffers of block devices"),
	gauge("node_memory_WritebackTmp_bytes", "bytes", "Buffers of FUSE writeback"),
	gauge("node_memory_CommitLimit_bytes", "bytes", "Limit of memory that may be promised"),
	gauge("node_memory_Committed_AS_bytes", "bytes", "Memory that is promised"),
	gauge("node_memory_VmallocTotal_bytes", "bytes", "Address space of vmalloc"),
	gauge("node_memory_VmallocUsed_bytes", "bytes", "Address space of vmalloc that is used"),
	gauge("node_memory_VmallocChunk_bytes", "bytes", "Largest free piece of the address space of vmalloc"),
	gauge("node_memory_Percpu_bytes", "bytes", "Memory of per-CPU data of the kernel"),
	gauge("node_memory_HardwareCorrupted_bytes", "bytes", "Memory that the hardware has spoilt"),
	gauge("node_memory_AnonHugePages_bytes", "bytes", "Anonymous memory in huge pages"),
	gauge("node_memory_FileHugePages_bytes", "bytes", "Page cache in huge pages"),
	gauge("node_memory_FilePmdMapped_bytes", "bytes", "Page cache mapped with huge pages"),
	gauge("node_memory_ShmemHugePages_bytes", "bytes", "Shared memory in huge pages"),
	gauge("node_memory_ShmemPmdMapped_bytes", "bytes", "Shared memory mapped with huge pages"),
	gauge("node_memory_CmaTotal_bytes", "bytes", "Memory set aside for contiguous allocation"),
	gauge("node_memory_CmaFree_bytes", "bytes", "Memory set aside for contiguous allocation that is not used"),
	gauge("node_memory_Unaccepted_bytes", "bytes", "Memory that a confidential guest has not accepted yet"),
	gauge("node_memory_Balloon_bytes", "bytes", "Memory that a virtual machine has given back to its host"),
	gauge("node_memory_Hugepagesize_bytes", "bytes", "Size of a huge page"),
	gauge("node_memory_Hugetlb_bytes", "bytes", "Memory taken by huge pages of all sizes"),
	gauge("node_memory_DirectMap4k_bytes", "bytes", "Memory mapped by the kernel in pages of 4 KiB"),
	gauge("node_memory_DirectMap2M_bytes", "bytes", "Memory mapped by the kernel in pages of 2 MiB"),
	gauge("node_memory_DirectMap1G_bytes", "bytes", "Memory mapped by the kernel in pages of 1 GiB"),
	gauge("node_memory_HugePages_Total", "", "Huge pages in the pool"),
	gauge("node_memory_HugePages_Free", "", "Huge pages in the pool that are not used"),
	gauge("node_memory_HugePages_Rsvd", "", "Huge pages in the pool that are promised"),
	gauge("node_memory_HugePages_Surp", "", "Huge pages beyond the size of the pool"),
}

// memInfo is /proc/meminfo.
type memInfo struct {
	text        []byte
	buf         []byte
	err         error
	total, swap float64 // bytes, -1 when not known
}

// memoryName makes of Active(anon) what node_exporter makes of it. Sizes are in kB.
func memoryName(key string) string {
	name, size := strings.CutSuffix(key, " kB")
	name = strings.NewReplacer("(", "_", ")", "").Replace(name)
	if size {
		name += "_bytes"
	}
	return name
}

// nextMemory takes the next line off the text of /proc/meminfo,
//
//	MemTotal:       24627988 kB
//
// key is its name, with the unit behind it for a size; bytes is its value.
func nextMemory(text []byte, key []byte) (name []byte, bytesOf float64, rest []byte, ok bool) {
	for len(text) > 0 {
		var one []byte
		one, text = line(text)
		colon := bytes.IndexByte(one, ':')
		if colon <= 0 {
			continue
		}
		value, unit := word(one[colon+1:])
		v, isNumber := integer(value)
		if !isNumber {
			continue
		}
		key = append(key[:0], one[:colon]...)
		if unit, _ = word(unit); string(unit) == "kB" {
			key = append(key, " kB"...)
			v *= 1024
		}
		return key, v, text, true
	}
	return nil, 0, nil, false
}

// parse keeps the text and finds what a machine needs.
func (m *memInfo) parse(text []byte) {
	m.text, m.total, m.swap = text, -1, -1
	var key [64]byte
	for {
		name, v, rest, ok := nextMemory(text, key[:0])
		if !ok {
			return
		}
		text = rest
		switch string(name) {
		case "MemTotal kB":
			m.total = v
		case "SwapTotal kB":
			m.swap = v
		}
		if m.total >= 0 && m.swap >= 0 {
			return
		}
	}
}

var meminfoCollector = collector{
	name: "meminfo", what: "memory", descs: memory,
	open: func(s *Source) reading {
		n := newNames(s.o.Descs, tallyman.Gauge, "node_memory_", "What /proc/meminfo has as ", memory)
		var key []byte
		return func(to *sink) error {
			m := s.memory()
			text := m.text
			for {
				name, v, rest, ok := nextMemory(text, key)
				if !ok {
					return m.err
				}
				if text, key = rest, name; len(key) > 64 {
					continue
				}
				if d := n.get(name, memoryName); d != nil {
					to.Add(d, v)
				}
			}
		}
	},
}
