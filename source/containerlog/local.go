// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"encoding/binary"
	"hash/crc32"

	"google.golang.org/protobuf/encoding/protowire"
)

// local is the format of Docker's driver local, which the engine also keeps
// beside other drivers so that docker logs works (container-cached.log):
//
//	├ length 4 ┼ message ┼ length 4 ┤    big endian
//
//	message: 1 source, text · 2 time in ns, varint · 3 line, bytes without its
//	line feed · 4 partial, bool · 5 more about parts, a message
//
// (moby/moby, api/types/plugins/logdriver/entry.proto)
var local = format{next: nextLocal, resync: resync, limit: maxLocal}

// maxLocal is the largest entry; dockerd cuts lines into pieces of 16 KiB.
const maxLocal = 64 << 10

func nextLocal(b []byte, _ *scratch, e *entry) (n int, err error) {
	if len(b) < 4 {
		return 0, errMore
	}
	size := int(binary.BigEndian.Uint32(b))
	if size > maxLocal-8 {
		return resync(b), errBad
	}
	if len(b) < size+8 {
		return 0, errMore
	}
	n = size + 8
	if int(binary.BigEndian.Uint32(b[4+size:])) != size {
		return resync(b), errBad
	}
	*e = entry{}
	for m := b[4 : 4+size]; len(m) > 0; {
		number, typ, w := protowire.ConsumeTag(m)
		if w < 0 {
			return n, errBad
		}
		m = m[w:]
		w = protowire.ConsumeFieldValue(number, typ, m)
		if w < 0 {
			return n, errBad
		}
		switch {
		case number == 1 && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(m)
			e.stderr = string(v) == "stderr"
		case number == 2 && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(m)
			e.time = int64(v)
		case number == 3 && typ == protowire.BytesType:
			e.text, _ = protowire.ConsumeBytes(m)
		case number == 4 && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(m)
			e.partial = v != 0
		case number == 5 && typ == protowire.BytesType:
			// The last part of a line has the mark and says that it is the last.
			v, _ := protowire.ConsumeBytes(m)
			var last bool
			last, e.part = partOf(v)
			e.partial = e.partial && !last
		}
		m = m[w:]
	}
	if e.time == 0 {
		return n, errBad
	}
	return n, nil
}

// resync is where behind a damaged entry one begins that is whole: its two
// lengths are equal, and it begins with its source.
func resync(b []byte) int {
	for i := 1; i+8 <= len(b); i++ {
		size := int(binary.BigEndian.Uint32(b[i:]))
		if size > 2 && size <= maxLocal-8 && i+8+size <= len(b) && b[i+4] == 1<<3|byte(protowire.BytesType) &&
			int(binary.BigEndian.Uint32(b[i+4+size:])) == size {
			return i
		}
	}
	return max(len(b)-8, 1)
}

// partOf reads the message about a part: field 1 says that it is the last of its
// line, field 2 is the id that all parts of the line have.
func partOf(m []byte) (last bool, id uint32) {
	for len(m) > 0 {
		number, typ, w := protowire.ConsumeTag(m)
		if w < 0 {
			return last, id
		}
		m = m[w:]
		switch {
		case number == 1 && typ == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(m)
			last = v != 0
		case number == 2 && typ == protowire.BytesType:
			if v, _ := protowire.ConsumeBytes(m); len(v) > 0 {
				id = max(crc32.Checksum(v, castagnoli), 1)
			}
		}
		if w = protowire.ConsumeFieldValue(number, typ, m); w < 0 {
			return last, id
		}
		m = m[w:]
	}
	return last, id
}
