// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"

	"tallyman"
	"tallyman/internal/kread"
)

// The lines of a pressure file, as bits.
const (
	someKnown = 1 << iota
	fullKnown
)

// parsePressure takes the totals, in microseconds, from the text of a pressure
// file,
//
//	some avg10=0.00 avg60=0.00 avg300=0.00 total=27047
//	full avg10=0.00 avg60=0.00 avg300=0.00 total=25132
//
// and says which of them are there. Other lines, and one that was cut off, are
// skipped.
func parsePressure(text []byte) (some, full uint64, known int) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return some, full, known
		}
		line := text[:end]
		text = text[end+1:]
		at := bytes.Index(line, []byte(" total="))
		if at < 0 {
			continue
		}
		digits := line[at+len(" total="):]
		v, n := kread.Uint(digits)
		if n == 0 || n != len(digits) {
			continue
		}
		switch {
		case bytes.HasPrefix(line, []byte("some ")):
			some = v
			known |= someKnown
		case bytes.HasPrefix(line, []byte("full ")):
			full = v
			known |= fullKnown
		}
	}
}

// noPressure says why the pressure of a container is not known. The files of a
// kernel whose pressure is switched off may be there and give nothing.
func (s *Source) noPressure(c *container) (a tallyman.Absence, absent bool) {
	for i := range s.readers {
		if s.readers[i].pressure && c.files[i].Read(s.buf) != nil {
			return tallyman.Absence{}, false
		}
	}
	a.What = "pressure"
	if _, unified := c.paths[""]; !unified {
		a.Reason = "The kernel counts the pressure of a container on cgroup v2 only, and this one is in no such cgroup."
		a.Unlock = "boot the host with systemd.unified_cgroup_hierarchy=1"
		return a, true
	}
	a.Reason = "The kernel of this host does not count the pressure of cgroups."
	a.Unlock = "boot the host with psi=1"
	return a, true
}
