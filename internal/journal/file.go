// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"tallyman/internal/journal/hash"
)

// Types of objects.
const (
	dataObject  = 1
	entryObject = 3
	arrayObject = 6
)

// Sizes and places in the format, in bytes.
const (
	objectHeader = 16
	headerSize   = 208 // of the oldest version
	dataHeader   = 64
	compactData  = 72
	entryHeader  = 64
	arrayHeader  = 24
	bucket       = 16
)

// Flags of a file that a reader must know.
const (
	flagXZ      = 1 << 0
	flagLZ4     = 1 << 1
	flagKeyed   = 1 << 2
	flagZSTD    = 1 << 3
	flagCompact = 1 << 4
	flagsKnown  = flagXZ | flagLZ4 | flagKeyed | flagZSTD | flagCompact
)

const archived = 2 // the state of a file that will not be written to again

const (
	// mostArrays is how many arrays a list may have; each is twice as long as the
	// one before.
	mostArrays = 1 << 12
	// mostItems is how many fields an entry may have; journald's bound is 1024.
	mostItems = 4096
	// mostChain is how many objects with one hash are looked through.
	mostChain = 1 << 16
	// mostName is the longest name of a field, which is 64 by journald's rules.
	mostName = 256
	// mostShared and sharedSize bound the values that many entries share, which are
	// kept in memory.
	mostShared, sharedSize = 1024, 256
)

var (
	// errFormat is of a file that is none of a journal, or of one of a later version.
	errFormat = errors.New("no journal file that can be read")
	// errLater is of a file in a form that is not known here.
	errLater = errors.New("it needs a later version")
	// errBroken is of a part that cannot be as it is.
	errBroken = errors.New("broken")
)

// header is what of a file's header is used.
type header struct {
	flags                  uint32
	state                  byte
	id, machine, series    ID
	size, arena            uint64 // of the header, and of all behind it
	table, tableSize       uint64 // of hashes of data
	entries, entryArray    uint64
	headSeqnum, tailSeqnum uint64
}

// source is where the bytes come from.
type source interface {
	io.ReaderAt
	Stat() (os.FileInfo, error)
}

// file is one file of a journal. What it has read is of the moment of the last refresh,
// or later. It belongs to one goroutine.
type file struct {
	in     source
	broken *atomic.Uint64 // counts what was broken

	size       uint64
	raw        [headerSize]byte
	head       header
	cache      *windows
	generation uint64 // of its windows
	joined     []byte // parts of two windows

	all    list
	values values
	// last is the newest entry; its lists may not be complete.
	last  uint64
	items []uint64

	// shared are fields that many entries have, by their place; those that are not
	// wanted have no name.
	shared map[uint64]shared
}

// shared is a field that is kept in memory.
type shared struct{ name, value []byte }

// openFile reads the header of a file.
func openFile(in source, cache *windows, m Matches, broken *atomic.Uint64) (*file, error) {
	f := &file{in: in, cache: cache, broken: broken, values: m.values(), shared: map[uint64]shared{}}
	if err := f.refresh(); err != nil {
		return nil, err
	}
	return f, nil
}

// readHeader reads the header again and reports whether it has changed.
func (f *file) readHeader() (changed bool, err error) {
	var raw [headerSize]byte
	if _, err := f.in.ReadAt(raw[:], 0); err != nil {
		return false, fmt.Errorf("%w: the header: %w", errFormat, err)
	}
	if raw == f.raw {
		return false, nil
	}
	if string(raw[:8]) != "LPKSHHRH" {
		return false, fmt.Errorf("%w: it begins in another way", errFormat)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at:]) }
	h := header{flags: binary.LittleEndian.Uint32(raw[12:]), state: raw[16], size: u64(88), table: u64(104), tableSize: u64(112),
		entries: u64(152), tailSeqnum: u64(160), arena: u64(96), headSeqnum: u64(168), entryArray: u64(176)}
	copy(h.id[:], raw[24:])
	copy(h.machine[:], raw[40:])
	copy(h.series[:], raw[72:])
	switch {
	case h.flags&^flagsKnown != 0:
		return false, fmt.Errorf("%w: %w (flags %#x)", errFormat, errLater, h.flags)
	case h.state > archived:
		return false, fmt.Errorf("%w: state %d", errFormat, h.state)
	case h.size < headerSize || h.size > 1<<20 || h.size%8 != 0:
		return false, fmt.Errorf("%w: a header of %d bytes", errFormat, h.size)
	case f.head.size != 0 && h.id != f.head.id:
		return false, fmt.Errorf("%w: it has become another file", errFormat)
	}
	f.raw, f.head = raw, h
	return true, nil
}

// refresh takes notice of what was written since the last time. After an error the file
// is as it was before.
func (f *file) refresh() error {
	changed, err := f.readHeader()
	if err != nil {
		return err
	}
	st, err := f.in.Stat()
	if err != nil {
		return err
	}
	if !changed && uint64(st.Size()) == f.size {
		return nil
	}
	if f.size = uint64(max(st.Size(), 0)); f.size < f.head.size+min(f.head.arena, 1<<62) {
		f.broken.Add(1) // its end is missing
	}
	f.generation = f.cache.next()
	f.all.head, f.all.n = f.head.entryArray, f.head.entries
	f.load(&f.all)
	// What lies behind the newest whole entry was not written to its end.
	f.last = 0
	for f.last == 0 && f.all.n > 0 {
		if f.last = f.item(&f.all, f.all.n-1); !f.isEntry(f.last) {
			f.last = 0
			f.all.n--
			f.broken.Add(1)
		}
	}
	for _, group := range f.values {
		for _, field := range group {
			for _, v := range field {
				f.find(v)
			}
		}
	}
	return nil
}

// read gives bytes of the file, which are valid until the next read.
func (f *file) read(at, n uint64) ([]byte, error) {
	if at > f.size || n > f.size-at {
		return nil, fmt.Errorf("%w: %d bytes at %d of %d", errBroken, n, at, f.size)
	}
	if at/windowSize == (at+n-1)/windowSize || n == 0 {
		data, err := f.window(at / windowSize)
		if err != nil {
			return nil, err
		}
		return part(data, at%windowSize, n)
	}
	if uint64(cap(f.joined)) < n || cap(f.joined) > 4*windowSize && n <= windowSize {
		f.joined = make([]byte, n, max(n, windowSize))
	}
	b := f.joined[:n]
	if n > windowSize {
		if _, err := f.in.ReadAt(b, int64(at)); err != nil {
			return nil, fmt.Errorf("%w: %d bytes at %d: %w", errBroken, n, at, err)
		}
		return b, nil
	}
	for done := uint64(0); done < n; {
		data, err := f.window((at + done) / windowSize)
		if err != nil {
			return nil, err
		}
		off := (at + done) % windowSize
		if data, err = part(data, off, min(n-done, windowSize-off)); err != nil {
			return nil, err
		}
		done += uint64(copy(b[done:], data))
	}
	return b, nil
}

func part(data []byte, at, n uint64) ([]byte, error) {
	if at+n > uint64(len(data)) {
		return nil, fmt.Errorf("%w: the file has become shorter", errBroken)
	}
	return data[at : at+n], nil
}

func (f *file) window(number uint64) ([]byte, error) { return f.cache.get(f.in, f.generation, number) }

func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// object checks that an object of a type and of a least size is at a place, and gives
// its flags and size.
func (f *file) object(at uint64, kind byte, least uint64) (flags byte, size uint64, err error) {
	if at%8 != 0 || at < f.head.size {
		return 0, 0, fmt.Errorf("%w: no object can be at %d", errBroken, at)
	}
	b, err := f.read(at, objectHeader)
	if err != nil {
		return 0, 0, err
	}
	flags, size = b[1], u64(b, 8)
	if b[0] != kind || size < least || size > f.size-at {
		return 0, 0, fmt.Errorf("%w: an object of type %d and %d bytes at %d, not of type %d", errBroken, b[0], size, at, kind)
	}
	return flags, size, nil
}

func (f *file) isEntry(at uint64) bool {
	if at == 0 {
		return false
	}
	_, _, err := f.object(at, entryObject, entryHeader)
	return err == nil
}

// place is the cursor of an entry.
func (f *file) place(at uint64) (c Cursor, err error) {
	if _, _, err := f.object(at, entryObject, entryHeader); err != nil {
		return c, err
	}
	b, err := f.read(at, entryHeader)
	if err != nil {
		return c, err
	}
	c = Cursor{Series: f.head.series, Seqnum: u64(b, 16), Realtime: u64(b, 24), Monotonic: u64(b, 32), Hash: u64(b, 56)}
	copy(c.Boot[:], b[40:])
	return c, nil
}

// fields are the places of an entry's data, valid until the next call.
func (f *file) fields(at uint64) ([]uint64, error) {
	_, size, err := f.object(at, entryObject, entryHeader)
	if err != nil {
		return nil, err
	}
	step := uint64(16)
	if f.head.flags&flagCompact != 0 {
		step = 4
	}
	n := (size - entryHeader) / step
	if n > mostItems {
		return nil, fmt.Errorf("%w: an entry of %d fields at %d", errBroken, n, at)
	}
	b, err := f.read(at+entryHeader, n*step)
	if err != nil {
		return nil, err
	}
	f.items = f.items[:0]
	for ; len(b) > 0; b = b[step:] {
		if step == 4 {
			f.items = append(f.items, uint64(binary.LittleEndian.Uint32(b)))
		} else {
			f.items = append(f.items, u64(b, 0))
		}
	}
	return f.items, nil
}

// hash is that of data in this file.
func (f *file) hash(data []byte) uint64 {
	if f.head.flags&flagKeyed != 0 {
		return hash.Sip(f.head.id, data)
	}
	return hash.Jenkins(data)
}

// data gives what is in a data object, NAME=value, as far as it is packed or not, and its
// flags.
func (f *file) data(at uint64) (flags byte, start, size uint64, err error) {
	start = dataHeader
	if f.head.flags&flagCompact != 0 {
		start = compactData
	}
	flags, size, err = f.object(at, dataObject, start)
	return flags, at + start, size - start, err
}
