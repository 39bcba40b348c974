// SPDX-License-Identifier: Apache-2.0

package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"tallyman"
)

// version is that of both kinds of file. Version 1 had no sameMeta in the WAL;
// before version 3 chunks did not know the numbers of their records.
const version = 3

// The first bytes of the files, and of what they hold.
const (
	walMagic     = "tallyWAL"
	segmentMagic = "tallySEG"

	walRecordMagic = 0xf1524c57 // "WLR\xf1": no text has that byte there
	chunkMagic     = 0xf14b4c42 // "BLK\xf1"
	footerMagic    = 0xf2544f46 // "FOT\xf2"
	footerMagic2   = 0xf1544f46 // up to version 2: chunks have no first number
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// errDamaged says that bytes are not what was written.
var errDamaged = errors.New("damaged")

// fileHeader begins each file.
type fileHeader struct {
	version int
	created int64  // nanoseconds
	seq     uint64 // WAL: number of the first record that may be in it
}

// headerSize: magic 8, version 2, zero 2, created 8, seq 8, CRC 4.
const headerSize = 32

func appendHeader(dst []byte, magic string, h fileHeader) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = le.AppendUint16(dst, version)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint64(dst, uint64(h.created))
	dst = le.AppendUint64(dst, h.seq)
	return le.AppendUint32(dst, checksum(dst[start:]))
}

// ErrVersion says that a file was written by a newer tallyman.
type ErrVersion struct {
	File    string
	Version int
}

// Error says what to do.
func (e *ErrVersion) Error() string {
	return fmt.Sprintf("%s has format version %d, this tallyman knows versions up to %d: use a newer tallyman, or move the file away", e.File, e.Version, version)
}

// parseHeader reads a file's header: errDamaged when it is none, *ErrVersion
// when it is whole and of a later version.
func parseHeader(b []byte, magic, name string) (fileHeader, error) {
	if len(b) < headerSize || string(b[:8]) != magic || checksum(b[:28]) != le.Uint32(b[28:]) {
		return fileHeader{}, errDamaged
	}
	if v := le.Uint16(b[8:]); v > version {
		return fileHeader{}, &ErrVersion{File: name, Version: int(v)}
	}
	return fileHeader{version: int(le.Uint16(b[8:])), created: int64(le.Uint64(b[12:])), seq: le.Uint64(b[20:])}, nil
}

// reader takes a payload apart. After the first thing that does not fit, bad is
// set and everything is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length is a count of things that take at least size bytes each.
func (r *reader) length(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bytes() []byte {
	n := r.length(1)
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fail() { r.b, r.bad = nil, true }

// done reports whether all was read and fitted.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendLabels(dst []byte, labels []tallyman.Label) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(labels)))
	for i := range labels {
		dst = appendText(dst, labels[i].Name)
		dst = appendText(dst, labels[i].Value)
	}
	return dst
}

// labels reads what appendLabels wrote.
func (r *reader) labels() []tallyman.Label {
	n := r.length(2)
	if n == 0 {
		return nil
	}
	out := make([]tallyman.Label, n)
	for i := range out {
		out[i].Name, out[i].Value = string(r.bytes()), string(r.bytes())
	}
	if r.bad {
		return nil
	}
	return out
}

func timeOf(nano int64) time.Time { return time.Unix(0, nano) }
