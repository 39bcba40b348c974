// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tallyman"
	"tallyman/store/storetest"
)

var testStream = &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "web"}}}

func testRecord(i int) tallyman.Record {
	r := tallyman.Record{Time: genStart + int64(i)*1_000_007, Line: fmt.Appendf(nil, "line %07d %x", i, uint32(i)*2654435761)}
	if i%5 == 0 {
		r.Meta = []tallyman.Label{{Name: "id", Value: fmt.Sprint(i / 50)}}
	}
	return r
}

// testBatch has the records [from, to), and says so in its position.
func testBatch(from, to int) *tallyman.RecordBatch {
	g := tallyman.StreamRecords{Stream: testStream}
	for i := from; i < to; i++ {
		g.Records = append(g.Records, testRecord(i))
	}
	return &tallyman.RecordBatch{
		Streams:   []tallyman.StreamRecords{g},
		Positions: []tallyman.Position{{Key: "test", Value: strconv.Itoa(to)}},
	}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustAppend(t testing.TB, s *Store, from, to int) {
	t.Helper()
	if err := s.AppendRecords(testBatch(from, to)); err != nil {
		t.Fatal(err)
	}
}

// stored is how many records there are; it wants them to be the first ones, in
// order, and the position to agree.
func stored(t testing.TB, s *Store) int {
	t.Helper()
	n := 0
	for _, records := range storetest.Select(t, s, storetest.All()) {
		for i, r := range records {
			want := testRecord(i)
			if r.Time != want.Time || !bytes.Equal(r.Line, want.Line) || !slices.Equal(r.Meta, want.Meta) {
				t.Fatalf("record %d of %d is %q %v, want %q %v", i, len(records), r.Line, r.Meta, want.Line, want.Meta)
			}
		}
		n += len(records)
	}
	position, _ := s.Position("test")
	if position == "" {
		position = "0"
	}
	if position != strconv.Itoa(n) {
		t.Fatalf("there are %d records, and the position is %s", n, position)
	}
	return n
}

func wantStored(t testing.TB, s *Store, n int) {
	t.Helper()
	if got := stored(t, s); got != n {
		t.Fatalf("got %d records, want %d", got, n)
	}
}

func own(s *Store, name, label string) (sum float64) {
	for _, m := range s.SelfMetrics() {
		if m.Desc.Name == "tallyman_record_store_"+name && (label == "" || m.Labels[0].Value == label) {
			sum += m.Read()
		}
	}
	return sum
}

// smallFiles makes many files of little.
func smallFiles(dir string) Options {
	return Options{Dir: dir, walFile: 32 << 10, segment: 64 << 10, syncEvery: 5 * time.Millisecond}
}

// TestKill appends from another process, kills it at a random moment, and looks
// whether everything is there that it was told is stored, once, in order, and
// whether the position agrees.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	next, rounds := 0, 25
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TEST_APPEND_UNTIL_KILLED="+dir, fmt.Sprint("TEST_FROM=", next))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := next
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			fmt.Sscan(lines.Text(), &acknowledged)
			if n == 5+round*37%200 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		s := mustOpen(t, smallFiles(dir))
		got := stored(t, s)
		if got < acknowledged {
			t.Fatalf("round %d: %d records, %d are acknowledged", round, got, acknowledged)
		}
		read := storetest.ReadLog(t, s, tallyman.Mark(next), storetest.Any)
		wantLog(t, read, next, got)
		if len(read.Gaps) > 0 {
			t.Fatalf("round %d: gaps %v", round, read.Gaps)
		}
		if round%3 == 0 { // what Open made of it is stored as well
			mustAppend(t, s, got, got+7)
			got += 7
		}
		s.Close()
		next = got
	}
	t.Logf("%d kills, %d records, none missing, none doubled", rounds, next)
}

func appendUntilKilled(dir string) {
	s, err := Open(smallFiles(dir))
	if err != nil {
		panic(err)
	}
	from, _ := strconv.Atoi(os.Getenv("TEST_FROM"))
	for {
		to := from + 1 + from*7%90
		if err := s.AppendRecords(testBatch(from, to)); err != nil {
			panic(err)
		}
		fmt.Println(to)
		from = to
	}
}

// faults are what fails, with what.
type faults struct {
	write, truncate, sync, open error
	short                       int  // bytes of a failing write that come through
	whole                       bool // the failing write comes through as a whole
}

// brokenDisk fails as told.
type brokenDisk struct {
	only  string // what files are meant, by their extension
	syncs atomic.Int64
	told  atomic.Pointer[faults]
	slow  sync.RWMutex // held by who has syncs wait
}

type brokenFile struct {
	*os.File
	d *brokenDisk
}

func (d *brokenDisk) fail(f faults) { d.told.Store(&f) }

func (d *brokenDisk) heal() { d.told.Store(nil) }

// faults are those of a file.
func (d *brokenDisk) faults(name string) faults {
	if f := d.told.Load(); f != nil && (d.only == "" || filepath.Ext(name) == d.only) {
		return *f
	}
	return faults{}
}

func (d *brokenDisk) openFile(name string, flag int, mode fs.FileMode) (file, error) {
	if err := d.faults(name).open; err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, flag, mode)
	return &brokenFile{f, d}, err
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if now := f.d.faults(f.Name()); now.write != nil {
		n := min(now.short, len(p))
		if now.whole {
			n = len(p)
		}
		n, _ = f.File.Write(p[:n])
		return n, now.write
	}
	return f.File.Write(p)
}

func (f *brokenFile) Truncate(n int64) error {
	if err := f.d.faults(f.Name()).truncate; err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func (f *brokenFile) Sync() error {
	f.d.syncs.Add(1)
	f.d.slow.RLock()
	defer f.d.slow.RUnlock()
	if err := f.d.faults(f.Name()).sync; err != nil {
		return err
	}
	return f.File.Sync()
}

// strictDisk knows what a power cut leaves: of each file what was synced, and
// of the rest as much as it likes.
type strictDisk struct {
	mu     sync.Mutex
	synced map[string]int64
}

type strictFile struct {
	*os.File
	d *strictDisk
}

func (d *strictDisk) openFile(name string, flag int, mode fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.synced[name]; !ok {
		d.synced[name] = 0
	}
	return &strictFile{f, d}, nil
}

func (f *strictFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	info, err := f.Stat()
	if err == nil {
		f.d.synced[f.Name()] = info.Size()
	}
	return err
}

func (f *strictFile) Truncate(n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.synced[f.Name()] = min(f.d.synced[f.Name()], n)
	return f.File.Truncate(n)
}

// cut is what of the folder a power cut leaves. What was not synced is there up
// to some byte, or as zeros, as file systems have it that note the size first.
func (d *strictDisk) cut(t testing.TB, dir string, r *rand.Rand) map[string][]byte {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	files := filesOf(t, dir)
	for name, b := range files {
		synced := int(d.synced[filepath.Join(dir, name)])
		end := synced + r.IntN(len(b)-synced+1)
		files[name] = b[:end]
		if r.IntN(3) == 0 {
			clear(b[synced+r.IntN(end-synced+1) : end])
		}
	}
	return files
}

// TestPowerCut cuts the power hundreds of times over two thousand appends. What was synced
// is there, nothing is given that was not appended, and what is read again from
// the position on, as a reader of logs does, makes it whole.
func TestPowerCut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	disk := &strictDisk{synced: map[string]int64{}}
	o := smallFiles(t.TempDir())
	o.open, o.syncEvery = disk.openFile, time.Hour
	s := mustOpen(t, o)
	const appends, each = 2000, 7
	seldom := 6
	if testing.Short() {
		seldom = 24
	}
	safe, cuts, repeated, most := 0, 0, 0, 0
	for i := range appends {
		mustAppend(t, s, i*each, (i+1)*each)
		if r.IntN(20) == 0 {
			if err := s.syncNow(); err != nil {
				t.Fatal(err)
			}
			safe = (i + 1) * each
		}
		if r.IntN(seldom) > 0 {
			continue
		}
		cuts++
		after := smallFiles(t.TempDir())
		writeFiles(t, after.Dir, disk.cut(t, o.Dir, r))
		left, err := Open(after)
		if err != nil {
			t.Fatalf("after append %d: %v", i, err)
		}
		position, _ := left.Position("test")
		from, err := strconv.Atoi(cmp.Or(position, "0"))
		if err != nil || from < safe || from > (i+1)*each {
			t.Fatalf("after append %d: the position is %q, want at least %d", i, position, safe)
		}
		next := 0
		for _, records := range storetest.Select(t, left, storetest.All()) {
			for _, got := range records {
				want := testRecord(next)
				if got.Time != want.Time || !bytes.Equal(got.Line, want.Line) || !slices.Equal(got.Meta, want.Meta) {
					t.Fatalf("after append %d: record %d is %q, want %q", i, next, got.Line, want.Line)
				}
				next++
			}
		}
		// A chunk may have what the WAL has not yet: that is read again.
		if next < from {
			t.Fatalf("after append %d: %d records, and the position is %d", i, next, from)
		}
		if next > from {
			repeated++
			most = max(most, next-from)
		}
		left.Close()
		os.RemoveAll(after.Dir)
	}
	t.Logf("%d cuts; %d times a chunk had more than the WAL, at most %d records", cuts, repeated, most)
}

// A write to the WAL that fails is taken back, whatever came through of it, and
// the same batch may be given again.
func TestWALWriteFails(t *testing.T) {
	for _, c := range []struct {
		name string
		disk faults
	}{
		{"full", faults{write: syscall.ENOSPC}},
		{"some bytes", faults{write: syscall.ENOSPC, short: 30}},
		{"torn for good", faults{write: syscall.EIO, short: 30, truncate: syscall.EIO}},
		{"all, and it stays", faults{write: syscall.EIO, whole: true, truncate: syscall.EIO}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := &brokenDisk{}
			o := smallFiles(t.TempDir())
			o.open = disk.openFile
			s := mustOpen(t, o)
			mustAppend(t, s, 0, 10)
			disk.fail(c.disk)
			for range 3 {
				if err := s.AppendRecords(testBatch(10, 20)); !errors.Is(err, c.disk.write) {
					t.Errorf("got error %v, want %v", err, c.disk.write)
				}
			}
			wantStored(t, s, 10)
			disk.heal()
			mustAppend(t, s, 10, 20)
			mustAppend(t, s, 20, 25)
			wantStored(t, s, 25)
			s.Close()
			s = mustOpen(t, o)
			wantStored(t, s, 25)
			mustAppend(t, s, 25, 30)
			wantStored(t, s, 30)
		})
	}
}

// When segments cannot be written nothing is lost: the WAL and the heads hold
// what comes, until there is too much of it.
func TestSegmentWriteFails(t *testing.T) {
	for _, c := range []faults{
		{write: syscall.ENOSPC}, {write: syscall.ENOSPC, short: 300}, {write: syscall.EIO, short: 300, truncate: syscall.EIO}, {open: syscall.EMFILE},
	} {
		disk := &brokenDisk{only: ".seg"}
		clock := &atomic.Int64{}
		clock.Store(genStart)
		o := smallFiles(t.TempDir())
		o.open, o.now = disk.openFile, func() time.Time { return time.Unix(0, clock.Load()) }
		s := mustOpen(t, o)
		n := 0
		more := func(rounds int) (err error) {
			for range rounds {
				if err = s.AppendRecords(testBatch(n, n+100)); err != nil {
					return err
				}
				n += 100
			}
			return nil
		}
		if err := more(50); err != nil {
			t.Fatal(err)
		}
		s.syncNow() // what was not removed yet counts as well
		disk.fail(c)
		err := more(1000)
		if c.open == nil && !errors.Is(err, c.write) || c.open != nil && !errors.Is(err, c.open) {
			t.Errorf("%+v: got error %v", c, err)
		}
		if size := s.walSize(); size > 3*s.opt.walTotal {
			t.Errorf("the WAL has %d bytes, want no more than %d", size, 3*s.opt.walTotal)
		}
		wantStored(t, s, n)
		disk.heal()
		clock.Add(int64(2 * sealPause))
		if err := more(50); err != nil {
			t.Errorf("after healing: %v", err)
		}
		wantStored(t, s, n)
		s.Close()
		s = mustOpen(t, o)
		wantStored(t, s, n)
		if torn := own(s, "damaged_total", "chunk"); torn != 0 {
			t.Errorf("%v chunks count as damaged", torn)
		}
		s.Close()
	}
}

// After a failed sync the file is left, and the WAL keeps what may not be on the
// disk.
func TestSyncFails(t *testing.T) {
	for _, only := range []string{".wal", ".seg", ""} {
		disk := &brokenDisk{only: only}
		o := smallFiles(t.TempDir())
		o.open, o.syncEvery = disk.openFile, time.Hour
		s := mustOpen(t, o)
		n := 0
		for range 60 {
			mustAppend(t, s, n, n+100)
			n += 100
		}
		disk.fail(faults{sync: syscall.EIO})
		if err := s.syncNow(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%q: got error %v, want EIO", only, err)
		}
		if own(s, "errors_total", "sync") == 0 {
			t.Errorf("%q: the failure is not counted", only)
		}
		disk.heal()
		files := len(s.wal)
		for range 30 {
			mustAppend(t, s, n, n+100)
			n += 100
		}
		if err := s.syncNow(); err != nil {
			t.Errorf("%q: %v", only, err)
		}
		if only != ".wal" && len(s.wal) < files {
			t.Errorf("%q: the WAL of a segment that could not be synced is gone", only)
		}
		wantStored(t, s, n)
		s.Close()
		s = mustOpen(t, o)
		wantStored(t, s, n)
		s.Close()
	}
}

func TestSyncsOnTimerAndClose(t *testing.T) {
	disk := &brokenDisk{}
	s := mustOpen(t, Options{Dir: t.TempDir(), open: disk.openFile, syncEvery: time.Hour})
	s.syncNow()
	before := disk.syncs.Load()
	s.syncNow()
	if n := disk.syncs.Load() - before; n != 0 {
		t.Errorf("got %d syncs of nothing", n)
	}
	mustAppend(t, s, 0, 1)
	s.syncNow()
	s.syncNow()
	if n := disk.syncs.Load() - before; n != 1 {
		t.Errorf("got %d syncs after one append, want 1", n)
	}
	mustAppend(t, s, 1, 2)
	s.Close()
	if n := disk.syncs.Load() - before; n != 2 {
		t.Errorf("got %d syncs after Close, want 2", n)
	}
}

// folderOf makes a store of n records, each so many in a batch, and gives its
// files. The WAL is all there, as if nothing had been synced.
func folderOf(t testing.TB, n, each int) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	o := smallFiles(dir)
	o.syncEvery = time.Hour
	s := mustOpen(t, o)
	for i := 0; i < n; i += each {
		mustAppend(t, s, i, i+each)
	}
	s.mu.Lock()
	s.keepWAL()
	s.mu.Unlock()
	s.Close()
	return filesOf(t, dir)
}

func filesOf(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = b
	}
	return files
}

func writeFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTornWAL cuts the last file of the WAL at every byte: what is there is the
// first so many batches.
func TestTornWAL(t *testing.T) {
	files := folderOf(t, 120, 10)
	name := "00000001.wal"
	whole := files[name]
	if len(files) != 1 || len(whole) > 40<<10 {
		t.Fatalf("got %d files, the WAL has %d bytes", len(files), len(whole))
	}
	step := 1
	if testing.Short() {
		step = 101
	}
	dir := t.TempDir()
	for cut := 0; cut < len(whole); cut += step {
		clearFolder(t, dir)
		files[name] = whole[:cut]
		writeFiles(t, dir, files)
		o := smallFiles(dir)
		o.syncEvery = time.Hour
		s, err := Open(o)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		n := 0
		if cut%40 == 0 {
			if n = stored(t, s); n%10 != 0 {
				t.Fatalf("cut at %d: %d records, not whole batches", cut, n)
			}
		} else {
			p, _ := s.Position("test")
			n, _ = strconv.Atoi(p)
		}
		if want := float64(120*cut/len(whole)) - 15; float64(n) < want {
			t.Fatalf("cut at %d: %d records, want %v", cut, n, want)
		}
		mustAppend(t, s, n, n+3)
		s.Close()
		if cut%400 == 0 {
			s = mustOpen(t, o)
			wantStored(t, s, n+3)
			s.Close()
		}
	}
}

func clearFolder(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		os.Remove(filepath.Join(dir, e.Name()))
	}
}

// TestTornSegment cuts a segment that was being written to, while the WAL still
// has its records, as after a power cut: nothing is missing.
func TestTornSegment(t *testing.T) {
	const n = 5000
	files := folderOf(t, n, 100)
	name := "log-00000001.seg"
	whole := files[name]
	if len(whole) == 0 {
		t.Fatal("no segment was made")
	}
	cuts := 60
	if testing.Short() {
		cuts = 15
	}
	for cut := 0; cut < len(whole); cut += 1 + len(whole)/cuts {
		dir := t.TempDir()
		files[name] = whole[:cut]
		writeFiles(t, dir, files)
		s := mustOpen(t, smallFiles(dir))
		wantStored(t, s, n)
		mustAppend(t, s, n, n+100)
		wantStored(t, s, n+100)
		s.Close()
		s = mustOpen(t, smallFiles(dir))
		wantStored(t, s, n+100)
		s.Close()
	}
}

// TestFlippedBytes flips one bit anywhere: the store opens, gives nothing that
// was not written, and loses no more than one chunk or batch.
func TestFlippedBytes(t *testing.T) {
	dir := t.TempDir()
	o := smallFiles(dir)
	o.syncEvery = time.Hour
	s := mustOpen(t, o)
	const n = 12_000
	for i := 0; i < n; i += 50 {
		mustAppend(t, s, i, i+50)
		s.syncNow() // WAL that is not needed goes
	}
	s.Close()
	files := filesOf(t, dir)
	wanted := map[string]bool{}
	for i := range n {
		r := testRecord(i)
		wanted[fmt.Sprint(r.Time, string(r.Line), r.Meta)] = true
	}
	most := 0 // records in a chunk
	for _, r := range s.index.find(testStream.Labels).chunks {
		most = max(most, int(r.count))
	}
	tried := 0
	for name, b := range files {
		step := len(b)/80 + 1
		if testing.Short() {
			step = len(b)/5 + 1
		}
		for at := 0; at < len(b); at += step {
			if at > headerSize && len(b)-at > 3*trailerSize && at+step >= len(b) {
				at = len(b) - trailerSize - 1 // the footer's end as well
			}
			dir := t.TempDir()
			b[at] ^= 1 << (at % 8)
			writeFiles(t, dir, files)
			b[at] ^= 1 << (at % 8)
			s, err := Open(Options{Dir: dir, syncEvery: time.Hour})
			if err != nil {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
			got := 0
			for _, records := range storetest.Select(t, s, storetest.All()) {
				for _, r := range records {
					if !wanted[fmt.Sprint(r.Time, string(r.Line), r.Meta)] {
						t.Fatalf("%s, byte %d: got a record that was never written: %+v", name, at, r)
					}
				}
				got += len(records)
			}
			damaged := own(s, "damaged_total", "")
			read := storetest.ReadLog(t, s, 0, storetest.Any)
			if told := len(read.Streams[`name="web" `]) + int(read.Missing()); told != int(s.LastMark()) || len(read.Streams[`name="web" `]) != got {
				t.Errorf("%s, byte %d: in their order come %d records and a gap of %d, with %d there of %d", name, at, len(read.Streams[`name="web" `]), read.Missing(), got, s.LastMark())
			}
			s.Close()
			if got > n || got < n-most {
				t.Errorf("%s, byte %d: %d records of %d", name, at, got, n)
			}
			if got < n && damaged == 0 {
				t.Errorf("%s, byte %d: %d records are missing and nothing is counted", name, at, n-got)
			}
			tried++
		}
	}
	t.Logf("%d bits in %d files", tried, len(files))
}

func TestNewerVersion(t *testing.T) {
	for name, magic := range map[string]string{"00000001.wal": walMagic, "log-00000001.seg": segmentMagic} {
		dir := t.TempDir()
		b := appendHeader(nil, magic, fileHeader{created: 1})
		le.PutUint16(b[8:], version+1)
		le.PutUint32(b[28:], checksum(b[:28]))
		writeFiles(t, dir, map[string][]byte{name: b})
		_, err := Open(Options{Dir: dir})
		newer, ok := errors.AsType[*ErrVersion](err)
		if !ok || newer.Version != version+1 || filepath.Base(newer.File) != name {
			t.Errorf("%s: got error %v, want ErrVersion", name, err)
		}
		if got := filesOf(t, dir); len(got) != 1 || !bytes.Equal(got[name], b) {
			t.Errorf("%s: the file was touched", name)
		}
	}
}

func TestOtherFilesStay(t *testing.T) {
	dir := t.TempDir()
	other := map[string][]byte{"notes.txt": []byte("x"), "log-1.seg": []byte("x"), "1.wal": []byte("y"), "log-00000001.seg.bak": []byte("z")}
	writeFiles(t, dir, other)
	s := mustOpen(t, smallFiles(dir))
	mustAppend(t, s, 0, 100)
	s.Close()
	got := filesOf(t, dir)
	for name, b := range other {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s was changed", name)
		}
	}
}

// TestDamagedChunk is left out of the answer and counted, others are there.
func TestDamagedChunk(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	const n = 10_000
	mustAppend(t, s, 0, n)
	st := s.index.find(testStream.Labels)
	if len(st.chunks) < 3 {
		t.Fatalf("got %d chunks", len(st.chunks))
	}
	r := st.chunks[1]
	f, err := os.OpenFile(r.seg.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), int64(r.off+r.size/2)); err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, records := range storetest.Select(t, s, tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64}) {
		got += len(records)
	}
	if got != n-int(r.count) || own(s, "damaged_total", "chunk") != 1 {
		t.Errorf("got %d records and %v damaged chunks, want %d and 1", got, own(s, "damaged_total", "chunk"), n-int(r.count))
	}
}

// While a sync waits for the disk, lines are stored and found, over the end of files
// of the WAL and of segments too. Only when too much waits does an append fail.
func TestNobodyWaitsForASync(t *testing.T) {
	t.Parallel()
	disk := &brokenDisk{}
	o := smallFiles(t.TempDir())
	o.open, o.syncEvery, o.segment, o.patience = disk.openFile, time.Hour, 16<<10, 50*time.Millisecond
	s := mustOpen(t, o)
	mustAppend(t, s, 0, 100)
	n := 100
	before := disk.syncs.Load()
	disk.slow.Lock()
	release := sync.OnceFunc(disk.slow.Unlock)
	defer release()
	synced := make(chan error)
	go func() { synced <- s.syncNow() }()
	for deadline := time.Now().Add(time.Minute); disk.syncs.Load() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is synced")
		}
	}
	over := make(chan error)
	go func() {
		for {
			s.mu.Lock()
			files, ended := len(s.wal), len(s.ended)
			s.mu.Unlock()
			if files > 1 && ended > 1 {
				break
			}
			if err := s.AppendRecords(testBatch(n, n+100)); err != nil {
				over <- err
				return
			}
			n += 100
		}
		for range 10 {
			if cursors, err := s.SelectRecords(context.Background(), storetest.All()); err != nil || len(cursors) != 1 {
				over <- fmt.Errorf("%d cursors: %w", len(cursors), err)
				return
			}
		}
		over <- nil
	}()
	select {
	case err := <-over:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for the disk")
	}
	wantStored(t, s, n)
	var err error
	for err == nil && int64(n) < o.walFile {
		if err = s.AppendRecords(testBatch(n, n+100)); err == nil {
			n += 100
		}
	}
	if err == nil || !strings.Contains(err.Error(), "does not keep up") {
		t.Errorf("with %d KiB that wait for the disk: %v", s.unsynced()>>10, err)
	}
	release()
	if err := <-synced; err != nil {
		t.Error(err)
	}
	mustAppend(t, s, n, n+100)
	n += 100
	wantStored(t, s, n)
	s.Close()
	s = mustOpen(t, o)
	wantStored(t, s, n)
}

// A file of the WAL that was begun before the one before it was synced: when that has
// lost its end nothing of it is read, since its position speaks of what is missing;
// when that was only killed all is there. With a checkpoint it stands for itself.
func TestWALBehindALostEnd(t *testing.T) {
	dir := t.TempDir()
	o := smallFiles(dir)
	o.syncEvery = time.Hour
	s := mustOpen(t, o)
	n, first := 0, 0 // records, and those in the first file
	for len(s.wal) < 2 || n < first+200 {
		if len(s.wal) < 2 {
			first = n
		}
		mustAppend(t, s, n, n+20)
		n += 20
	}
	unsynced := filesOf(t, dir)
	for range 2 {
		if err := s.syncNow(); err != nil {
			t.Fatal(err)
		}
	}
	synced := filesOf(t, dir)
	s.Close()
	const one, two = "00000001.wal", "00000002.wal"
	again := func(what string, files map[string][]byte, want int) {
		t.Helper()
		o := smallFiles(t.TempDir())
		writeFiles(t, o.Dir, files)
		s := mustOpen(t, o)
		wantStored(t, s, want)
		for range 3 { // and from there on
			mustAppend(t, s, want, want+20)
			want += 20
			s.Close()
			s = mustOpen(t, o)
			wantStored(t, s, want)
		}
		if torn := own(s, "damaged_total", "torn"); torn != 0 {
			t.Errorf("%s: it is found torn again", what)
		}
	}
	again("killed", unsynced, n)
	whole := unsynced[one]
	for _, lost := range []int{1, 500, len(whole) / 2} {
		unsynced[one] = whole[:len(whole)-lost]
		s := mustOpen(t, Options{Dir: writeTemp(t, unsynced)})
		left := stored(t, s)
		s.Close()
		if left >= first || left < first-2*20-lost/20 {
			t.Errorf("%d bytes are lost: %d records are left of %d in the file", lost, left, first)
		}
		again(fmt.Sprint(lost, " bytes are lost"), unsynced, left)
	}
	if bytes.Equal(synced[two], unsynced[two]) || len(synced[one]) == 0 {
		t.Fatalf("%d and %d bytes: no checkpoint was written", len(synced[two]), len(unsynced[two]))
	}
	synced[one] = slices.Clone(whole)
	synced[one][len(whole)-1] ^= 1 // damage in the last batch
	s = mustOpen(t, Options{Dir: writeTemp(t, synced)})
	got := 0
	for _, records := range storetest.Select(t, s, storetest.All()) {
		got += len(records)
	}
	if p, _ := s.Position("test"); got != n-20 || p != strconv.Itoa(n) {
		t.Errorf("with a damaged batch there are %d records and the position is %s, want %d and %d", got, p, n-20, n)
	}
}

// What a killed store has left is synced at Open, before a checkpoint speaks of it.
func TestOpenSyncsWhatAKillLeft(t *testing.T) {
	o := smallFiles(t.TempDir())
	o.syncEvery = time.Hour
	s := mustOpen(t, o)
	mustAppend(t, s, 0, 100)
	left := filesOf(t, o.Dir)
	disk := &strictDisk{synced: map[string]int64{}}
	o.Dir, o.open = writeTemp(t, left), disk.openFile
	mustOpen(t, o)
	disk.mu.Lock()
	defer disk.mu.Unlock()
	for name, b := range left {
		if n := disk.synced[filepath.Join(o.Dir, name)]; n != int64(len(b)) {
			t.Errorf("%s: %d of %d bytes are synced", name, n, len(b))
		}
	}
}

// writeTemp writes files into a folder of their own.
func writeTemp(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, files)
	return dir
}

// Syncs at the same time do not remove the same files of the WAL.
func TestSyncsAtOnce(t *testing.T) {
	o := smallFiles(t.TempDir())
	s := mustOpen(t, o)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					s.syncNow()
				}
			}
		})
	}
	for i := range 300 {
		mustAppend(t, s, i*50, i*50+50)
	}
	close(stop)
	wg.Wait()
	wantStored(t, s, 300*50)
}
