// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ID is a 128 bit id: of a file, a machine, a boot, or a series of sequence numbers.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads 32 hexadecimal digits.
func ParseID(text string) (id ID, err error) {
	if len(text) != 2*len(id) {
		return ID{}, fmt.Errorf("%q is no id: it has not 32 digits", text)
	}
	_, err = hex.Decode(id[:], []byte(text))
	return id, err
}

// Cursor is the place of an entry in the journal, the same as journalctl's.
type Cursor struct {
	// Series is the series of sequence numbers that Seqnum is of.
	Series ID
	Seqnum uint64
	Boot   ID
	// Monotonic is in microseconds since the boot, Realtime in microseconds since
	// the epoch.
	Monotonic, Realtime uint64
	// Hash is the XOR of the hashes of the entry's fields.
	Hash uint64
}

// Append writes the cursor as journalctl does.
func (c *Cursor) Append(b []byte) []byte {
	b = hex.AppendEncode(append(b, "s="...), c.Series[:])
	b = strconv.AppendUint(append(b, ";i="...), c.Seqnum, 16)
	b = hex.AppendEncode(append(b, ";b="...), c.Boot[:])
	b = strconv.AppendUint(append(b, ";m="...), c.Monotonic, 16)
	b = strconv.AppendUint(append(b, ";t="...), c.Realtime, 16)
	return strconv.AppendUint(append(b, ";x="...), c.Hash, 16)
}

func (c Cursor) String() string { return string(c.Append(nil)) }

var errCursor = errors.New("no cursor of a journal")

// ParseCursor reads a cursor that has all of its parts, in any order.
func ParseCursor(text string) (c Cursor, err error) {
	var have int
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		var bad error
		number := func() (n uint64) {
			n, bad = strconv.ParseUint(value, 16, 64)
			return n
		}
		bit := strings.Index("sibmtx", name)
		if len(name) != 1 || bit < 0 {
			continue // of a later version
		}
		switch name {
		case "s":
			c.Series, bad = ParseID(value)
		case "i":
			c.Seqnum = number()
		case "b":
			c.Boot, bad = ParseID(value)
		case "m":
			c.Monotonic = number()
		case "t":
			c.Realtime = number()
		case "x":
			c.Hash = number()
		}
		if bad != nil {
			return Cursor{}, fmt.Errorf("%w: %.200q: %w", errCursor, text, bad)
		}
		have |= 1 << bit
	}
	if have != 1<<6-1 {
		return Cursor{}, fmt.Errorf("%w: %.200q has not all parts", errCursor, text)
	}
	return c, nil
}

// compare is the order of entries: by sequence number in one series, else by the time
// since one boot, else by the time.
func (c *Cursor) compare(d *Cursor) int {
	if c.Series == d.Series {
		if n := cmp.Compare(c.Seqnum, d.Seqnum); n != 0 {
			return n
		}
	}
	if c.Boot == d.Boot {
		if n := cmp.Compare(c.Monotonic, d.Monotonic); n != 0 {
			return n
		}
	}
	return cmp.Or(cmp.Compare(c.Realtime, d.Realtime), cmp.Compare(c.Hash, d.Hash), bytes.Compare(c.Series[:], d.Series[:]))
}

// same reports whether two entries are one, in two files.
func (c *Cursor) same(d *Cursor) bool {
	return c.Hash == d.Hash && c.Realtime == d.Realtime && c.Monotonic == d.Monotonic && c.Boot == d.Boot && (c.Series != d.Series || c.Seqnum == d.Seqnum)
}
