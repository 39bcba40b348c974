// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"math/bits"
	"strconv"
	"strings"
)

// maxCPUs is the most that a kernel can be built for.
const maxCPUs = 8192

// countCPUs is how many CPUs a list such as "0-3,5" names, 0 for one that is
// empty or cannot be read: then it is not known.
func countCPUs(list string) int {
	var set [maxCPUs / 64]uint64
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err != nil || err2 != nil || first > last || last >= maxCPUs {
			return 0
		}
		for i := first; i <= last; i++ {
			set[i/64] |= 1 << (i % 64)
		}
	}
	n := 0
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	return n
}
