// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"

	"tallyman/internal/kread"
)

// parseMeminfo takes the memory of a whole machine from the text of
// /proc/meminfo into out and returns the set of values found, bit v for value v.
// The root cgroup of v2 has no memory.current; as in cAdvisor its usage is what
// is not free.
func parseMeminfo(text []byte, out *[values]uint64) (found uint64) {
	var total, free, swapTotal, swapFree uint64
	seen := 0
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			break
		}
		line := text[:end]
		text = text[end+1:]
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		v, digits := kread.Uint(bytes.TrimLeft(line[colon+1:], " "))
		if digits == 0 || v > 1<<53 {
			continue
		}
		v <<= 10 // kB
		switch string(line[:colon]) {
		case "MemTotal":
			total = v
			seen |= 1
		case "MemFree":
			free = v
			seen |= 2
		case "SwapTotal":
			swapTotal = v
			seen |= 4
		case "SwapFree":
			swapFree = v
			seen |= 8
		case "AnonPages":
			out[memRSS] = v
			found |= 1 << memRSS
		case "Cached":
			out[memCache] = v
			found |= 1 << memCache
		case "Inactive(file)":
			out[memInactiveFile] = v
			found |= 1 << memInactiveFile
		}
	}
	if seen&3 == 3 && total >= free {
		out[memUsage] = total - free
		found |= 1 << memUsage
	}
	if seen&12 == 12 && swapTotal >= swapFree {
		out[memSwap] = swapTotal - swapFree
		found |= 1 << memSwap
	}
	return found
}
