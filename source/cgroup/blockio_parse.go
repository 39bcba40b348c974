// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"

	"tallyman/internal/kread"
)

// device is the kernel's number of a block device.
type device struct{ major, minor uint32 }

// The counters of a device, in the order of a count.
const (
	ioReadBytes = iota
	ioWriteBytes
	ioReads
	ioWrites
	ioCounters // how many there are
)

// count is the block IO of one device.
type count [ioCounters]uint64

func (c *count) busy() bool { return *c != count{} }

// scanDevice parses "major:minor" at the start of b.
func scanDevice(b []byte) (d device, length int) {
	major, n := kread.Uint(b)
	if n == 0 || n >= len(b) || b[n] != ':' || major > 1<<32-1 {
		return device{}, 0
	}
	minor, m := kread.Uint(b[n+1:])
	if m == 0 || minor > 1<<32-1 {
		return device{}, 0
	}
	return device{uint32(major), uint32(minor)}, n + 1 + m
}

// nextOperation parses the next line of a cgroup v1 file of block IO,
//
//	254:0 Read 20971520
//
// and returns the device, the operation, its value and the rest of the text.
// Lines of another form (the sum "Total 0" at the end) and a line that was cut
// off are skipped. ok is false at the end.
func nextOperation(text []byte) (d device, op []byte, v uint64, rest []byte, ok bool) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return device{}, nil, 0, nil, false
		}
		line := text[:end]
		text = text[end+1:]
		d, n := scanDevice(line)
		if n == 0 || n >= len(line) || line[n] != ' ' {
			continue
		}
		line = line[n+1:]
		blank := bytes.IndexByte(line, ' ')
		if blank < 0 {
			continue
		}
		v, digits := kread.Uint(line[blank+1:])
		if digits == 0 || blank+1+digits != len(line) {
			continue
		}
		return d, line[:blank], v, text, true
	}
}

// nextStat parses the next line of io.stat of cgroup v2,
//
//	254:0 rbytes=20971520 wbytes=4096 rios=20 wios=1 dbytes=0 dios=0
//
// into c and returns the device and the rest of the text. Keys that are not
// known are skipped, and so are devices without counters: their number stands
// alone on a line, or on some kernels before that of the next device.
// ok is false at the end.
func nextStat(text []byte, c *count) (d device, rest []byte, ok bool) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return device{}, nil, false
		}
		line := text[:end]
		text = text[end+1:]
		*c = count{}
		found, named := 0, false
		for len(line) > 0 {
			word := line
			if blank := bytes.IndexByte(line, ' '); blank >= 0 {
				word, line = line[:blank], line[blank+1:]
			} else {
				line = nil
			}
			equals := bytes.IndexByte(word, '=')
			if equals < 0 {
				if one, n := scanDevice(word); n > 0 && n == len(word) {
					d, named = one, true
				}
				continue
			}
			slot := -1
			switch string(word[:equals]) {
			case "rbytes":
				slot = ioReadBytes
			case "wbytes":
				slot = ioWriteBytes
			case "rios":
				slot = ioReads
			case "wios":
				slot = ioWrites
			}
			if slot < 0 {
				continue
			}
			if v, digits := kread.Uint(word[equals+1:]); digits > 0 {
				c[slot] = v
				found |= 1 << slot
			}
		}
		if named && found == 1<<ioCounters-1 {
			return d, text, true
		}
	}
}
