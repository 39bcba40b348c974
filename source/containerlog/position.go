// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"fmt"
	"strconv"
	"strings"
)

// keyPrefix is before a container's id in the key of its position.
const keyPrefix = "containerlog/"

// place is a place in a log file.
type place struct {
	mark mark
	off  int64
}

// position is how far a container's log was stored. Of each stream, stdout and
// stderr, it says where the line begins of which only the first parts were
// read: they are read once more, and what was stored since is left out.
type position struct {
	place
	time int64 // of the newest line stored
	open [2]place
}

// String is the form in which it is stored: version, then mark:offset and the
// time, and mark:offset of each stream's unfinished line.
func (p position) String() string {
	return fmt.Sprintf("1 %x:%d %d %x:%d %x:%d", uint32(p.mark), p.off, p.time,
		uint32(p.open[0].mark), p.open[0].off, uint32(p.open[1].mark), p.open[1].off)
}

func parsePosition(text string) (p position, ok bool) {
	f := strings.Fields(text)
	if len(f) != 5 || f[0] != "1" {
		return p, false
	}
	var err error
	if p.time, err = strconv.ParseInt(f[2], 10, 64); err != nil {
		return p, false
	}
	for i, to := range []*place{&p.place, &p.open[0], &p.open[1]} {
		m, o, _ := strings.Cut([]string{f[1], f[3], f[4]}[i], ":")
		v, err1 := strconv.ParseUint(m, 16, 32)
		off, err2 := strconv.ParseInt(o, 10, 64)
		if err1 != nil || err2 != nil || off < 0 {
			return p, false
		}
		*to = place{mark(v), off}
	}
	return p, true
}
