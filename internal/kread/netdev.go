// SPDX-License-Identifier: Apache-2.0

package kread

import "bytes"

// InterfaceColumns is how many numbers a line of /proc/net/dev has: eight of the
// receiving side, then eight of the sending side.
const InterfaceColumns = 16

// NextInterface parses the next interface of text in the format of /proc/net/dev,
//
//	eth0:     736       8    0    0    0     0          0         0        0 …
//
// into row, and returns the interface's name and the rest of the text. The two
// head lines hold no colon after the first word and are skipped; so is a line
// that was cut off by the end of the buffer. ok is false at the end.
func NextInterface(text []byte, row *[InterfaceColumns]uint64) (name, rest []byte, ok bool) {
	for {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return nil, nil, false
		}
		line := text[:end]
		text = text[end+1:]
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		name = bytes.TrimLeft(line[:colon], " ")
		line = line[colon+1:]
		i := 0
		for ; i < InterfaceColumns; i++ {
			for len(line) > 0 && line[0] == ' ' {
				line = line[1:]
			}
			v, d := Uint(line)
			if d == 0 {
				break
			}
			row[i] = v
			line = line[d:]
		}
		if i == InterfaceColumns {
			return name, text, true
		}
	}
}
