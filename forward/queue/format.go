// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// The format on disk. See the package comment.
const (
	magic      = "tallymanqueue01\n"
	suffix     = ".q"
	header     = 8         // length and checksum
	fixed      = 1 + 21    // kind, and of the payload what every record has
	message    = 1         // kind
	maxRecord  = 1 << 20   // in bytes, with its header
	maxText    = 1<<16 - 1 // of a key and an id
	maxGap     = 1 << 24   // records that may be missing between two
	slotSize   = 20        // of the file ack
	segmentMax = 4 << 20   // in bytes
	segmentMin = 4096      // in bytes
	ackName    = "ack"     // file
	dirMode    = 0o700     // of the directory
	fileMode   = 0o600     // of all files
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordSize is how long the record of a message is in bytes.
func recordSize(m *Message) int { return header + fixed + len(m.Key) + len(m.ID) + len(m.Body) }

// appendRecord appends the record of a message.
func appendRecord(to []byte, seq uint64, m *Message) []byte {
	at := len(to)
	to = binary.LittleEndian.AppendUint32(to, uint32(recordSize(m)-header))
	to = append(to, 0, 0, 0, 0, message)
	to = binary.LittleEndian.AppendUint64(to, seq)
	to = binary.LittleEndian.AppendUint64(to, uint64(m.Time.UnixNano()))
	to = append(to, byte(m.Flags))
	to = binary.LittleEndian.AppendUint16(to, uint16(len(m.Key)))
	to = binary.LittleEndian.AppendUint16(to, uint16(len(m.ID)))
	to = append(append(append(to, m.Key...), m.ID...), m.Body...)
	binary.LittleEndian.PutUint32(to[at+4:], crc32.Checksum(to[at+header:], castagnoli))
	return to
}

// record is one as it is read; key, id and body point into what was read.
type record struct {
	size          int // in bytes, with the header
	seq           uint64
	at            int64 // Unix nanoseconds
	flags         Flag
	key, id, body []byte
}

// message is a copy of it but for the body.
func (r *record) message() Message {
	return Message{ID: string(r.id), Key: string(r.key), Time: time.Unix(0, r.at).UTC(), Flags: r.flags, Body: r.body}
}

// parse reads the record that text begins with. ok is false when there is no whole one.
func parse(text []byte) (r record, ok bool) {
	if len(text) < header+fixed {
		return r, false
	}
	n := int(binary.LittleEndian.Uint32(text))
	if n < fixed || n > maxRecord-header || len(text) < header+n || text[header] != message {
		return r, false
	}
	body := text[header : header+n]
	keyLen, idLen := int(binary.LittleEndian.Uint16(body[18:])), int(binary.LittleEndian.Uint16(body[20:]))
	if fixed+keyLen+idLen > n || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(text[4:]) {
		return r, false
	}
	rest := body[fixed:]
	return record{
		size: header + n, seq: binary.LittleEndian.Uint64(body[1:]), at: int64(binary.LittleEndian.Uint64(body[9:])), flags: Flag(body[17]),
		key: rest[:keyLen], id: rest[keyLen : keyLen+idLen], body: rest[keyLen+idLen:],
	}, true
}

// scan finds all whole records of a segment, also behind damage, whose numbers follow
// last, the greatest before. whole is where the last one ends; without one it is where
// the first would begin, or 0 when not even the magic is whole.
func scan(text []byte, last uint64, found func(r record, at int64)) (whole int64) {
	at := 0
	if bytes.HasPrefix(text, []byte(magic)) {
		at, whole = len(magic), int64(len(magic))
	}
	for at+header+fixed <= len(text) {
		// Before the checksum, which takes long where there are none.
		if seq := binary.LittleEndian.Uint64(text[at+header+1:]); seq > last && seq-last <= maxGap {
			if r, ok := parse(text[at:]); ok {
				found(r, int64(at))
				last = r.seq
				at += r.size
				whole = int64(at)
				continue
			}
		}
		at++ // the next record begins somewhere behind the damage
	}
	return whole
}

// appendSlot appends a slot of the file ack.
func appendSlot(to []byte, generation, seq uint64) []byte {
	at := len(to)
	to = binary.LittleEndian.AppendUint64(to, generation)
	to = binary.LittleEndian.AppendUint64(to, seq)
	return binary.LittleEndian.AppendUint32(to, crc32.Checksum(to[at:], castagnoli))
}

// parseAck reads the file ack. A file of which nothing is whole is one at 0.
func parseAck(text []byte) (generation, seq uint64) {
	for len(text) >= slotSize {
		slot := text[:slotSize]
		text = text[slotSize:]
		g := binary.LittleEndian.Uint64(slot)
		if crc32.Checksum(slot[:16], castagnoli) == binary.LittleEndian.Uint32(slot[16:]) && g > generation {
			generation, seq = g, binary.LittleEndian.Uint64(slot[8:])
		}
	}
	return generation, seq
}
