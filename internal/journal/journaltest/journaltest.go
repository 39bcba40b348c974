// SPDX-License-Identifier: Apache-2.0

// Package journaltest makes files of a journal for tests, as a journald would, but small: without
// packed values, with few buckets, and only what a reader needs.
package journaltest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"slices"
	"testing"

	"tallyman/internal/journal/hash"
)

// File is a file in memory.
type File struct {
	// Bytes are what it has. Entries are the places of its entries.
	Bytes   []byte
	Entries []int

	keyed, compact bool
	data           map[string]int
	tails          map[int][2]int // of the list of an object: its last array, and what that holds
	// Boot is that of the entries that are added.
	Boot string
	// Seqnum is the number of the last entry.
	Seqnum int
	stored []byte // what a file has of it
}

// Sizes in bytes, and how many buckets a hash table has.
const (
	headerSize   = 272
	objectHeader = 16
	dataHeader   = 64
	compactData  = 72
	entryHeader  = 64
	arrayHeader  = 24
	bucket       = 16
	buckets      = 31
)

// Types of objects, of which a hash table's is one of two.
const (
	dataObject  = 1
	entryObject = 3
	tableObject = 4
	arrayObject = 6
)

// Boot is that of all entries unless another is set, Machine that of all files.
const (
	Boot    = "0123456789abcdef0123456789abcdef"
	Machine = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// New makes a file without entries; keyed and compact are how journald makes it since systemd 246
// and 252.
func New(keyed, compact bool) *File {
	w := &File{Boot: Boot, keyed: keyed, compact: compact, data: map[string]int{}, tails: map[int][2]int{}}
	w.Bytes = make([]byte, headerSize)
	copy(w.Bytes, "LPKSHHRH")
	flags := uint32(0)
	if keyed {
		flags |= 1 << 2
	}
	if compact {
		flags |= 1 << 4
	}
	binary.LittleEndian.PutUint32(w.Bytes[12:], flags)
	w.Bytes[16] = 1 // online
	for i := range 16 {
		w.Bytes[24+i], w.Bytes[40+i], w.Bytes[72+i] = byte(i+1), 0xaa, 0x33
	}
	w.put(88, headerSize)
	for i, at := range []int{104, 120} { // of data, and of fields
		table := w.object(byte(tableObject+i), buckets*bucket)
		w.put(at, uint64(table+objectHeader))
		w.put(at+8, buckets*bucket)
	}
	return w
}

func (w *File) put(at int, n uint64) { binary.LittleEndian.PutUint64(w.Bytes[at:], n) }
func (w *File) get(at int) int       { return int(binary.LittleEndian.Uint64(w.Bytes[at:])) }

// object appends one with a payload of so many bytes.
func (w *File) object(kind byte, size int) (at int) {
	for len(w.Bytes)%8 != 0 {
		w.Bytes = append(w.Bytes, 0)
	}
	at = len(w.Bytes)
	w.Bytes = append(w.Bytes, make([]byte, objectHeader+size)...)
	w.Bytes[at] = kind
	w.put(at+8, uint64(objectHeader+size))
	w.put(96, uint64((len(w.Bytes)+7)&^7-w.get(88))) // the arena
	w.put(136, uint64(at))
	w.put(144, uint64(w.get(144)+1))
	return at
}

// Value gives the place of a value, NAME=value, which is added if it is missing.
func (w *File) Value(text string) int {
	if at := w.data[text]; at != 0 {
		return at
	}
	head := dataHeader
	if w.compact {
		head = compactData
	}
	at := w.object(dataObject, head-objectHeader+len(text))
	copy(w.Bytes[at+head:], text)
	h := hash.Jenkins([]byte(text))
	if w.keyed {
		h = hash.Sip([16]byte(w.Bytes[24:40]), []byte(text))
	}
	w.put(at+16, h)
	slot := w.get(104) + int(h%buckets)*bucket
	if tail := w.get(slot + 8); tail != 0 {
		w.put(tail+24, uint64(at))
	} else {
		w.put(slot, uint64(at))
	}
	w.put(slot+8, uint64(at))
	w.data[text] = at
	return at
}

// link appends an entry to a list whose first array and number stand at places.
func (w *File) link(head, number, inline, entry int) {
	n := w.get(number)
	step := 8
	if w.compact {
		step = 4
	}
	if n > 0 || inline == 0 {
		tail := w.tails[head]
		if tail[0] == 0 || tail[1] == (w.get(tail[0]+8)-arrayHeader)/step {
			next := w.object(arrayObject, arrayHeader-objectHeader+step*max(4, 2*tail[1]))
			if tail[0] == 0 {
				w.put(head, uint64(next))
			} else {
				w.put(tail[0]+objectHeader, uint64(next))
			}
			tail = [2]int{next, 0}
		}
		at := tail[0] + arrayHeader + tail[1]*step
		if w.compact {
			binary.LittleEndian.PutUint32(w.Bytes[at:], uint32(entry))
		} else {
			w.put(at, uint64(entry))
		}
		tail[1]++
		w.tails[head] = tail
	} else {
		w.put(inline, uint64(entry))
	}
	w.put(number, uint64(n+1))
}

// Add appends an entry with a time in microseconds since the epoch, and fields as NAME=value. It
// gives the last step back, which puts it into the lists of its values.
func (w *File) Add(realtime uint64, fields ...string) (finish func()) {
	var items []int
	boot, _ := hex.DecodeString(w.Boot)
	xor := uint64(0)
	fields = append(fields, "_BOOT_ID="+w.Boot)
	for _, f := range fields {
		items = append(items, w.Value(f))
		xor ^= hash.Jenkins([]byte(f))
	}
	slices.Sort(items)
	step := 16
	if w.compact {
		step = 4
	}
	at := w.object(entryObject, entryHeader-objectHeader+step*len(items))
	w.Seqnum++
	w.put(at+16, uint64(w.Seqnum))
	w.put(at+24, realtime)
	w.put(at+32, realtime/2)
	copy(w.Bytes[at+40:], boot)
	copy(w.Bytes[56:], boot)
	w.put(at+56, xor)
	for i, item := range items {
		if w.compact {
			binary.LittleEndian.PutUint32(w.Bytes[at+entryHeader+4*i:], uint32(item))
		} else {
			w.put(at+entryHeader+16*i, uint64(item))
			w.put(at+entryHeader+16*i+8, uint64(w.get(item+16)))
		}
	}
	w.Entries = append(w.Entries, at)
	w.link(176, 152, 0, at)
	w.put(160, uint64(w.Seqnum))
	if w.Seqnum == 1 {
		w.put(168, 1)
		w.put(184, realtime)
	}
	w.put(192, realtime)
	w.put(200, realtime/2)
	return func() {
		for _, item := range items {
			w.link(item+48, item+56, item+40, at)
		}
	}
}

// Save writes the file.
func (w *File) Save(t testing.TB, name string) {
	t.Helper()
	b := w.Bytes
	b = append(bytes.Clone(b), make([]byte, -len(b)&7)...)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Store writes what is new to a file that is read meanwhile, in journald's
// order: each object before what points to it, which lies before it, and at last the
// header.
func (w *File) Store(f *os.File) error {
	b := append(slices.Clone(w.Bytes), make([]byte, -len(w.Bytes)&7)...)
	const step = 8
	for end := len(b); end > 0; {
		from := end
		for from > 0 && (from > len(w.stored) || !bytes.Equal(b[from-step:from], w.stored[from-step:from])) {
			from -= step
			if from < len(w.stored) {
				break
			}
		}
		if from == end {
			end -= step
			continue
		}
		if _, err := f.WriteAt(b[from:end], int64(from)); err != nil {
			return err
		}
		end = from
	}
	w.stored = b
	return nil
}
