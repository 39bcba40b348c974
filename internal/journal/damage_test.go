// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a file in memory.
type memory struct{ *bytes.Reader }

type memoryInfo struct{ size int64 }

func (m memory) Stat() (os.FileInfo, error) { return memoryInfo{m.Reader.Size()}, nil }

func (i memoryInfo) Size() int64      { return i.size }
func (memoryInfo) Name() string       { return "" }
func (memoryInfo) Mode() fs.FileMode  { return 0 }
func (memoryInfo) ModTime() time.Time { return time.Time{} }
func (memoryInfo) IsDir() bool        { return false }
func (memoryInfo) Sys() any           { return nil }

// fileReader reads single files.
func fileReader(t testing.TB) *Reader {
	r := &Reader{most: MaxValue}
	t.Cleanup(r.unpacker.close)
	return r
}

// readAll reads a file in every way, and gives its entries.
func readAll(t testing.TB, r *Reader, b []byte) (lines []line, broken uint64) {
	var count atomic.Uint64
	m, err := ParseMatches([]string{"_SYSTEMD_UNIT=docker.service", "PRIORITY=6", "+", "_SYSTEMD_UNIT=ssh.service"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Matches{m, nil} {
		f, err := openFile(memory{bytes.NewReader(b)}, &r.cache, m, &count)
		if err != nil {
			return nil, 1
		}
		lines = nil
		var e Entry
		steps := 0
		for at := f.after(1); at != 0; at = f.after(at + 1) {
			if steps++; steps > len(b) {
				t.Fatal("it reads without an end")
			}
			if err := r.readEntry(f, at, &e); err != nil {
				count.Add(1)
				continue
			}
			l := line{cursor: e.Cursor.String()}
			for _, field := range e.Fields {
				l.fields = append(l.fields, string(field.Name)+"="+string(field.Value))
			}
			lines = append(lines, l)
		}
		for at := f.until(f.last + 1); at != 0; at = f.until(at) {
			if steps++; steps > 2*len(b)+2 {
				t.Fatal("it reads back without an end")
			}
		}
		for _, c := range []Cursor{e.Cursor, {}, {Series: f.head.series, Seqnum: 7}, {Boot: e.Boot, Monotonic: 1 << 40}} {
			f.after(f.seek(&c))
		}
	}
	return lines, count.Load()
}

// whole are the fields and cursors that may come out of a damaged file.
func whole(lines []line) (fields map[string]bool, cursors []string) {
	fields = map[string]bool{}
	for _, l := range lines {
		cursors = append(cursors, l.cursor)
		for _, f := range l.fields {
			fields[f] = true
		}
	}
	return fields, cursors
}

// step is how far apart what is damaged lies: each place at length, every fifth else.
func step() int {
	if testing.Short() {
		return 5
	}
	return 1
}

// A file that ends at any place: all entries that lie before it, with what belongs to
// them, are read.
func TestTruncated(t *testing.T) {
	const n = 18
	r := fileReader(t)
	for _, compact := range []bool{false, true} {
		w := some(true, compact, n)
		all, broken := readAll(t, r, w.Bytes)
		if len(all) != n || broken != 0 {
			t.Fatalf("%d entries, %d broken", len(all), broken)
		}
		tables := int(u64(w.Bytes, 120) + u64(w.Bytes, 128))
		for size := 0; size < len(w.Bytes); size += step() {
			got, broken := readAll(t, r, w.Bytes[:size])
			k := 0
			if size >= tables {
				for k < n && w.Entries[k]+int(u64(w.Bytes, w.Entries[k]+8)) <= size {
					k++
				}
			}
			// Between an entry and the array that it stands in there may be the
			// values of those after it.
			if len(got) > n || size >= tables && len(got) < k-1 {
				t.Fatalf("of %d bytes %d entries are read, want %d", size, len(got), k)
			}
			if len(got) < n && broken == 0 {
				t.Fatalf("of %d bytes %d entries are read, and nothing is counted as broken", size, len(got))
			}
			compareLines(t, "what is left", got, all[:len(got)])
		}
	}
}

// One bit is wrong, at any place: what is whole is read, and nothing that was never
// written.
func TestFlippedBits(t *testing.T) {
	const n = 14
	r := fileReader(t)
	for _, compact := range []bool{false, true} {
		w := some(!compact, compact, n)
		all, _ := readAll(t, r, w.Bytes)
		fields, cursors := whole(all)
		lost, silent := 0, 0
		tried := 0
		for at := 0; at < len(w.Bytes); at += step() {
			tried++
			b := bytes.Clone(w.Bytes)
			b[at] ^= 1 << (at * 5 % 8)
			got, broken := readAll(t, r, b)
			if len(got) > n+1 {
				t.Fatalf("a bit at %d: %d entries", at, len(got))
			}
			odd := 0
			for _, l := range got {
				if !slices.Contains(cursors, l.cursor) {
					odd++
				}
				for _, f := range l.fields {
					if !fields[f] {
						t.Fatalf("a bit at %d: %q was never written", at, f)
					}
				}
			}
			if odd > 1 && at > 272 {
				t.Fatalf("a bit at %d changes %d cursors", at, odd)
			}
			if len(got) < n-1 {
				lost++
				if broken == 0 {
					silent++
				}
			}
		}
		// Few bits lose more than one entry: those of the header and of the arrays'
		// own headers.
		if lost > tried/10 {
			t.Errorf("%d of %d bits lose more than one entry", lost, tried)
		}
		t.Logf("%d bytes: a bit of %d of %d loses more than one entry, of %d without a count", len(w.Bytes), lost, tried, silent)
	}
}

// The same of what systemd has written: some bits at random, where there are objects.
func TestFlippedBitsOfFixtures(t *testing.T) {
	r := fileReader(t)
	for name := range fixtures {
		b := fixture(t, name)
		b = b[:u64(b, 136)+256] // up to the last object
		all, _ := readAll(t, r, b)
		if len(all) < 29 {
			t.Fatalf("%s: %d entries", name, len(all))
		}
		fields, _ := whole(all)
		random := rand.New(rand.NewPCG(7, 7))
		tables := max(u64(b, 104)+u64(b, 112), u64(b, 120)+u64(b, 128))
		for range 300 / step() {
			at := random.IntN(272)
			if random.IntN(10) > 0 {
				at = int(tables) + random.IntN(len(b)-int(tables))
			}
			bit := byte(1) << random.IntN(8)
			b[at] ^= bit
			got, _ := readAll(t, r, b)
			b[at] ^= bit
			if len(got) > 31 {
				t.Fatalf("%s: a bit at %d: %d entries", name, at, len(got))
			}
			for _, l := range got {
				for _, f := range l.fields {
					if !fields[f] {
						t.Fatalf("%s: a bit at %d: %.100q was never written", name, at, f)
					}
				}
			}
		}
	}
}

// FuzzJournalFile reads files that no journald has written.
func FuzzJournalFile(f *testing.F) {
	for _, keyed := range []bool{false, true} {
		for _, compact := range []bool{false, true} {
			w := some(keyed, compact, 12)
			f.Add(w.Bytes)
			for i, how := range []byte{packedXZ, packedLZ4, packedZSTD} {
				b := bytes.Clone(w.Bytes)
				at := w.Value("PRIORITY=6")
				b[at+1] = how
				b[12] |= map[byte]byte{packedXZ: flagXZ, packedLZ4: flagLZ4, packedZSTD: flagZSTD}[how]
				f.Add(b[:len(b)-i])
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := fileReader(t)
		if len(b) > 1<<20 {
			return
		}
		readAll(t, r, b)
	})
}

// FuzzCursor reads cursors that journalctl has not written.
func FuzzCursor(f *testing.F) {
	f.Add("s=256cb556a87e4fd2ab5306df6ef8b46e;i=a;b=0123456789abcdef0123456789abcdef;m=1001a8;t=60a24181eff68;x=ca8425fbb55af92c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			return
		}
		if again, err := ParseCursor(c.String()); err != nil || again != c {
			t.Errorf("%q: %v, then %v (%v)", text, c, again, err)
		}
	})
}
