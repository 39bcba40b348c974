// SPDX-License-Identifier: Apache-2.0

// Package book keeps the small state of alarms over kill -9: what is pending and
// firing, what was notified, silences, open problems. It is one file, that every change is
// appended to before [Book.Put] returns, and in memory by kind and key where in it each
// value is:
//
//	state.log = "tallymanalarms1\n" entry*
//	entry     = length uint32 | crc32c uint32 | kind uint8 | deleted uint8 | key length uint16 | key | value
//
// Numbers are little-endian; length is that of what follows the checksum. A change that
// was written survives a kill of the process, and a second later a power cut. A torn or
// damaged end is cut off when the file is opened; of what is damaged before that the
// entries behind it are lost and counted. When the file is more than four times what is
// in it, it is written anew under another name and renamed.
//
// All of it may be used concurrently.
package book

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Kind sorts what is kept. The numbers stand in the file.
type Kind uint8

// The kinds of state.
const (
	Alarms        Kind = 1 // pending and firing
	Notified      Kind = 2 // the notification log
	Silences      Kind = 3
	Problems      Kind = 4
	Receivers     Kind = 5 // outages
	Acknowledged  Kind = 6
	lastKind           = Acknowledged
	magic              = "tallymanalarms1\n"
	header             = 8
	fixed              = 4
	maxEntry           = 4 << 20
	rewriteFactor      = 4
	rewriteLeast       = 256 << 10
)

// Book is the state. Close it when done.
type Book struct {
	name string

	mu    sync.Mutex
	file  *os.File
	state map[Kind]map[string]place
	size  int64 // of the file
	live  int64 // of what is in it
	dirty bool

	errors, cut atomic.Uint64
}

// place is where a value is: in the entry of the file that begins at a byte, or only in
// memory, if it could not be written.
type place struct {
	at     int64
	size   int // of the entry
	unkept []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open reads or makes the book in a directory.
func Open(dir string) (*Book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of alarms: %w", err)
	}
	b := &Book{name: filepath.Join(dir, "state.log"), state: map[Kind]map[string]place{}}
	for k := Alarms; k <= lastKind; k++ {
		b.state[k] = map[string]place{}
	}
	text, err := os.ReadFile(b.name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the state of alarms: %w", err)
	}
	whole := b.read(text)
	if b.file, err = os.OpenFile(b.name, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("open the state of alarms: %w", err)
	}
	if whole == 0 {
		_, err = b.file.WriteAt([]byte(magic), 0)
		whole = int64(len(magic))
	}
	if err = errors.Join(err, b.file.Truncate(whole)); err != nil {
		return nil, errors.Join(fmt.Errorf("mend the state of alarms: %w", err), b.file.Close())
	}
	b.size = whole
	return b, nil
}

// read takes all whole entries, and returns where they end.
func (b *Book) read(text []byte) (whole int64) {
	if !bytes.HasPrefix(text, []byte(magic)) {
		if len(text) > 0 {
			b.cut.Add(1)
		}
		return 0
	}
	at := len(magic)
	for {
		kind, deleted, key, _, n := parse(text[at:])
		if n == 0 {
			break
		}
		if m := b.state[kind]; m != nil { // one of a later version is left out
			b.set(m, string(key), place{at: int64(at), size: n}, deleted)
		}
		at += n
	}
	if at < len(text) {
		b.cut.Add(1)
	}
	return int64(at)
}

// parse takes an entry apart, whose parts are of text; its size is 0 if it is not whole.
func parse(text []byte) (kind Kind, deleted bool, key, value []byte, size int) {
	if len(text) < header+fixed {
		return 0, false, nil, nil, 0
	}
	n := int(binary.LittleEndian.Uint32(text))
	if n < fixed || n > maxEntry || len(text) < header+n || crc32.Checksum(text[header:header+n], castagnoli) != binary.LittleEndian.Uint32(text[4:]) {
		return 0, false, nil, nil, 0
	}
	body := text[header : header+n]
	to := fixed + int(binary.LittleEndian.Uint16(body[2:]))
	if to > n {
		return 0, false, nil, nil, 0
	}
	return Kind(body[0]), body[1] != 0, body[fixed:to], body[to:], header + n
}

// set changes the map, and keeps count of what is in it.
func (b *Book) set(m map[string]place, key string, p place, deleted bool) {
	if old, ok := m[key]; ok {
		b.live -= int64(old.size)
		delete(m, key)
	}
	if !deleted {
		m[key] = p
		b.live += int64(p.size)
	}
}

// value reads one, with the lock held.
func (b *Book) value(p place) ([]byte, error) {
	if p.unkept != nil {
		return p.unkept, nil
	}
	if b.file == nil {
		return nil, os.ErrClosed
	}
	entry := make([]byte, p.size)
	if _, err := b.file.ReadAt(entry, p.at); err != nil {
		return nil, fmt.Errorf("read the state of alarms: %w", err)
	}
	_, _, _, value, n := parse(entry)
	if n == 0 {
		return nil, fmt.Errorf("read the state of alarms: it is damaged at byte %d", p.at)
	}
	return value, nil
}

func appendEntry(to []byte, kind Kind, key string, value []byte, deleted bool) []byte {
	n := fixed + len(key) + len(value)
	at := len(to)
	to = binary.LittleEndian.AppendUint32(to, uint32(n))
	to = append(to, 0, 0, 0, 0, byte(kind), 0)
	if deleted {
		to[len(to)-1] = 1
	}
	to = binary.LittleEndian.AppendUint16(to, uint16(len(key)))
	to = append(append(to, key...), value...)
	binary.LittleEndian.PutUint32(to[at+4:], crc32.Checksum(to[at+header:], castagnoli))
	return to
}

// Put keeps a value. With an error it is in memory, and will be gone after a restart.
func (b *Book) Put(kind Kind, key string, value []byte) error {
	return b.write(kind, key, value, false)
}

// Delete forgets one.
func (b *Book) Delete(kind Kind, key string) error {
	b.mu.Lock()
	_, ok := b.state[kind][key]
	b.mu.Unlock()
	if !ok {
		return nil
	}
	return b.write(kind, key, nil, true)
}

func (b *Book) write(kind Kind, key string, value []byte, deleted bool) error {
	if len(key) > 1<<16-1 || len(value) > maxEntry/2 {
		return fmt.Errorf("keep the state of alarms: a value of %d bytes is too long", len(value))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	entry := appendEntry(nil, kind, key, value, deleted)
	p := place{at: b.size, size: len(entry), unkept: append([]byte{}, value...)}
	b.set(b.state[kind], key, p, deleted)
	if b.file == nil {
		return os.ErrClosed
	}
	// At a fixed place: what a failed write has left is written over.
	if _, err := b.file.WriteAt(entry, b.size); err != nil {
		b.errors.Add(1)
		return fmt.Errorf("keep the state of alarms: %w", err)
	}
	b.size += int64(len(entry))
	b.dirty = true
	if !deleted {
		p.unkept = nil
		b.state[kind][key] = p
	}
	if b.size > rewriteLeast && b.size > rewriteFactor*b.live {
		if err := b.rewrite(); err != nil {
			b.errors.Add(1)
			return err
		}
	}
	return nil
}

// rewrite writes what is kept and can be read into a new file, with the lock held.
func (b *Book) rewrite() error {
	text, places := []byte(magic), map[Kind]map[string]place{}
	for _, kind := range slices.Sorted(maps.Keys(b.state)) {
		places[kind] = make(map[string]place, len(b.state[kind]))
		for _, key := range slices.Sorted(maps.Keys(b.state[kind])) {
			value, err := b.value(b.state[kind][key])
			if err != nil {
				b.errors.Add(1)
				continue // which takes none of the others along
			}
			at := len(text)
			text = appendEntry(text, kind, key, value, false)
			places[kind][key] = place{at: int64(at), size: len(text) - at}
		}
	}
	next, err := os.OpenFile(b.name+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the state of alarms anew: %w", err)
	}
	_, err = next.Write(text)
	if err = errors.Join(err, next.Sync()); err == nil {
		err = os.Rename(next.Name(), b.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the state of alarms anew: %w", err), next.Close(), os.Remove(next.Name()))
	}
	_ = b.file.Close()
	b.file, b.state, b.size, b.live, b.dirty = next, places, int64(len(text)), int64(len(text)-len(magic)), false
	return nil
}

// Get is a value, nil without one, and when it cannot be read, which is counted.
func (b *Book) Get(kind Kind, key string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.state[kind][key]
	if !ok {
		return nil
	}
	value, err := b.value(p)
	if err != nil {
		b.errors.Add(1)
	}
	return value
}

// All are the values of a kind by key, without those that cannot be read, which are
// counted. The values that could not be written must not be changed.
func (b *Book) All(kind Kind) map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[string][]byte, len(b.state[kind]))
	for key, p := range b.state[kind] {
		value, err := b.value(p)
		if err != nil {
			b.errors.Add(1)
			continue
		}
		all[key] = value
	}
	return all
}

// Run brings what was written to the disk once a second, until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return b.sync()
		case <-tick.C:
			if err := b.sync(); err != nil {
				b.errors.Add(1)
			}
		}
	}
}

func (b *Book) sync() error {
	b.mu.Lock()
	file, dirty := b.file, b.dirty
	b.dirty = false
	b.mu.Unlock()
	if file == nil || !dirty {
		return nil
	}
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // it was written anew meanwhile
		return fmt.Errorf("bring the state of alarms to the disk: %w", err)
	}
	return nil
}

// Failures are how many changes could not be written or values not read, and how often a
// damaged end was cut off.
func (b *Book) Failures() (writes, cuts uint64) { return b.errors.Load(), b.cut.Load() }

// Close brings everything to the disk.
func (b *Book) Close() error {
	err := b.sync()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	err = errors.Join(err, b.file.Close())
	b.file = nil
	return err
}
