// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// builder makes a file in memory, as journald would, but small.
type builder struct {
	b              []byte
	keyed, compact bool
	data           map[string]int
	tails          map[int][2]int // of the list of an object: its last array, and what that holds
	seqnum         int
	entries        []int  // their places
	stored         []byte // what a file has of it
}

const testTable = 31 // buckets

func newBuilder(keyed, compact bool) *builder {
	w := &builder{keyed: keyed, compact: compact, data: map[string]int{}, tails: map[int][2]int{}}
	w.b = make([]byte, 272)
	copy(w.b, "LPKSHHRH")
	flags := uint32(0)
	if keyed {
		flags |= flagKeyed
	}
	if compact {
		flags |= flagCompact
	}
	binary.LittleEndian.PutUint32(w.b[12:], flags)
	w.b[16] = 1 // online
	for i := range 16 {
		w.b[24+i], w.b[40+i], w.b[72+i] = byte(i+1), 0xaa, 0x33
	}
	w.put(88, 272)
	for _, at := range []int{104, 120} {
		table := w.object(byte(4+at/120), testTable*bucket)
		w.put(at, uint64(table+objectHeader))
		w.put(at+8, testTable*bucket)
	}
	return w
}

func (w *builder) put(at int, n uint64) { binary.LittleEndian.PutUint64(w.b[at:], n) }
func (w *builder) get(at int) int       { return int(u64(w.b, at)) }
func (w *builder) id() (id ID)          { copy(id[:], w.b[24:]); return id }

// object appends one with a payload of so many bytes.
func (w *builder) object(kind byte, size int) (at int) {
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	at = len(w.b)
	w.b = append(w.b, make([]byte, objectHeader+size)...)
	w.b[at] = kind
	w.put(at+8, uint64(objectHeader+size))
	w.put(96, uint64((len(w.b)+7)&^7-w.get(88))) // the arena
	w.put(136, uint64(at))
	w.put(144, uint64(w.get(144)+1))
	return at
}

func (w *builder) value(text string) int {
	if at := w.data[text]; at != 0 {
		return at
	}
	head := dataHeader
	if w.compact {
		head = compactData
	}
	at := w.object(dataObject, head-objectHeader+len(text))
	copy(w.b[at+head:], text)
	hash := jenkins([]byte(text))
	if w.keyed {
		hash = siphash(w.id(), []byte(text))
	}
	w.put(at+16, hash)
	slot := w.get(104) + int(hash%testTable)*bucket
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
func (w *builder) link(head, number, inline, entry int) {
	n := w.get(number)
	step := 8
	if w.compact {
		step = 4
	}
	if n > 0 || inline == 0 {
		tail := w.tails[head]
		if tail[0] == 0 || tail[1] == (w.get(tail[0]+8)-arrayHeader)/step {
			next := w.object(arrayObject, 8+step*max(4, 2*tail[1]))
			if tail[0] == 0 {
				w.put(head, uint64(next))
			} else {
				w.put(tail[0]+objectHeader, uint64(next))
			}
			tail = [2]int{next, 0}
		}
		at := tail[0] + arrayHeader + tail[1]*step
		if w.compact {
			binary.LittleEndian.PutUint32(w.b[at:], uint32(entry))
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

// add appends an entry. The last step, which is that into the lists of its values, is given
// back.
func (w *builder) add(realtime uint64, fields ...string) (finish func()) {
	var items []int
	hash := uint64(0)
	fields = append(fields, "_BOOT_ID="+testBoot)
	for _, f := range fields {
		items = append(items, w.value(f))
		hash ^= jenkins([]byte(f))
	}
	slices.Sort(items)
	step := 16
	if w.compact {
		step = 4
	}
	at := w.object(entryObject, entryHeader-objectHeader+step*len(items))
	w.seqnum++
	boot, _ := ParseID(testBoot)
	w.put(at+16, uint64(w.seqnum))
	w.put(at+24, realtime)
	w.put(at+32, realtime/2)
	copy(w.b[at+40:], boot[:])
	copy(w.b[56:], boot[:])
	w.put(at+56, hash)
	for i, item := range items {
		if w.compact {
			binary.LittleEndian.PutUint32(w.b[at+entryHeader+4*i:], uint32(item))
		} else {
			w.put(at+entryHeader+16*i, uint64(item))
			w.put(at+entryHeader+16*i+8, u64(w.b, item+16))
		}
	}
	w.entries = append(w.entries, at)
	w.link(176, 152, 0, at)
	w.put(160, uint64(w.seqnum))
	if w.seqnum == 1 {
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

// save writes the file.
func (w *builder) save(t testing.TB, name string) {
	t.Helper()
	b := w.b
	b = append(bytes.Clone(b), make([]byte, -len(b)&7)...)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// some makes a small file.
func some(keyed, compact bool, n int) *builder {
	w := newBuilder(keyed, compact)
	for i := range n {
		w.add(uint64(1_700_000_000_000_000+i), "MESSAGE=message "+string(rune('a'+i%26))+" of the file", "_SYSTEMD_UNIT="+[]string{"docker.service", "ssh.service"}[i%2], "PRIORITY=6")()
	}
	return w
}

// What the tests make is what journalctl reads, too.
func TestBuilderMakesJournals(t *testing.T) {
	systemd(t)
	for _, keyed := range []bool{false, true} {
		for _, compact := range []bool{false, true} {
			dir := t.TempDir()
			some(keyed, compact, 100).save(t, filepath.Join(dir, "a.journal"))
			for _, m := range [][]string{nil, {"_SYSTEMD_UNIT=ssh.service"}} {
				want := journalctl(t, dir, m...)
				compareLines(t, "built", ours(open(t, dir, m...)), want)
				if len(want) < 50 {
					t.Errorf("%d entries", len(want))
				}
			}
		}
	}
}
