// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TEST_APPEND_UNTIL_KILLED"); dir != "" {
		appendUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func TestContract(t *testing.T) {
	storetest.TestEventStore(t, func(dir string) (tallyman.EventStore, error) {
		return Open(Options{Dir: dir})
	})
}

func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func numbered(i int) tallyman.Event {
	return tallyman.Event{
		ID: fmt.Sprintf("id-%06d", i), Time: time.Date(2026, 3, 1, 0, 0, i, 0, time.UTC),
		Type: "container", Action: "start", Actor: "c", Name: "web",
	}
}

func mustAppend(t *testing.T, s *Store, numbers ...int) {
	t.Helper()
	var events []tallyman.Event
	for _, n := range numbers {
		events = append(events, numbered(n))
	}
	if err := s.AppendEvents(events); err != nil {
		t.Fatal(err)
	}
}

// ids are those of all events, oldest first.
func ids(t *testing.T, s *Store) []string {
	t.Helper()
	var out []string
	q := tallyman.EventQuery{Limit: MaxLimit}
	for {
		events, more, err := s.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			out = append(out, e.ID)
		}
		if !more {
			slices.Reverse(out)
			return out
		}
		q.Before = out[len(out)-1]
	}
}

func wantIDs(t *testing.T, s *Store, numbers ...int) {
	t.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, numbered(n).ID)
	}
	if got := ids(t, s); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func own(s *Store, name, label string) (sum float64) {
	for _, m := range s.Own() {
		if m.Desc.Name == "tallyman_event_store_"+name && (label == "" || m.Labels[0].Value == label) {
			sum += m.Read()
		}
	}
	return sum
}

func wantOwn(t *testing.T, s *Store, name, label string, want float64) {
	t.Helper()
	if got := own(s, name, label); got != want {
		t.Errorf("%s{%s} is %v, want %v", name, label, got, want)
	}
}

// clock is a time that tests set.
type clock struct{ nano atomic.Int64 }

func at(t time.Time) *clock {
	c := &clock{}
	c.set(t)
	return c
}

func (c *clock) set(t time.Time) { c.nano.Store(t.UnixNano()) }
func (c *clock) now() time.Time  { return time.Unix(0, c.nano.Load()).UTC() }

func day(n int) time.Time { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC) }

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	s := mustOpen(t, Options{Dir: dir})
	mustAppend(t, s, 1)
	for name, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, filepath.Join(dir, time.Now().UTC().Format(time.DateOnly)+".jsonl"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: got %v %v, want mode %v", name, info, err, want)
		}
	}
}

func TestTornTail(t *testing.T) {
	for _, tail := range []string{"{", `{"id":"x","time":"2026-03-01T00:00:09Z"`, strings.Repeat("x", 2*maxLine)} {
		dir := t.TempDir()
		s := mustOpen(t, Options{Dir: dir})
		mustAppend(t, s, 1, 2)
		s.Close()
		name := filepath.Join(dir, s.files[0].name)
		appendTo(t, name, tail)
		s = mustOpen(t, Options{Dir: dir})
		wantOwn(t, s, "damaged_lines_total", "torn", 1)
		mustAppend(t, s, 3)
		wantIDs(t, s, 1, 2, 3)
		s.Close()
		s = mustOpen(t, Options{Dir: dir})
		wantOwn(t, s, "damaged_lines_total", "", 0)
		wantIDs(t, s, 1, 2, 3)
	}
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestCorruptMiddle(t *testing.T) {
	for _, line := range []string{
		"no event\n", "{}\n", "\x00\x00\x00\n", `{"id":"x","time":"yesterday"}` + "\n", `{"id":"x","time":"2026-03-01T00:00:09Z","type":` + "\n",
		strings.Repeat("y", maxLine+5) + "\n",
	} {
		dir := t.TempDir()
		s := mustOpen(t, Options{Dir: dir})
		mustAppend(t, s, 1)
		s.Close()
		name := filepath.Join(dir, s.files[0].name)
		appendTo(t, name, line)
		s = mustOpen(t, Options{Dir: dir})
		if len(line) <= maxLine {
			wantOwn(t, s, "damaged_lines_total", "corrupt", 1)
		}
		mustAppend(t, s, 2)
		wantIDs(t, s, 1, 2)
	}
}

// TestForeignOrder reads lines that another program wrote.
func TestForeignOrder(t *testing.T) {
	dir := t.TempDir()
	line := `{"type":"container", "time":"2026-03-01T00:00:01Z", "id":"id-000001"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "2026-03-01.jsonl"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, Options{Dir: dir, now: at(day(1)).now})
	mustAppend(t, s, 1, 2)
	wantIDs(t, s, 1, 2)
}

func TestOtherFilesStay(t *testing.T) {
	dir := t.TempDir()
	other := []string{"README", "2026-13-01.jsonl", "2026-01-01.jsonl.gz", "x2026-01-01.jsonl", "2026-01-01.abc.jsonl"}
	for _, name := range other {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, Options{Dir: dir, RetentionTime: time.Hour})
	mustAppend(t, s, 1)
	s.expire()
	for _, name := range other {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s is not the store's and must stay: %v", name, err)
		}
	}
}

func TestDays(t *testing.T) {
	c := at(day(1))
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir, now: c.now})
	for n := 1; n <= 4; n++ {
		c.set(day(n))
		mustAppend(t, s, 10*n, 10*n-9) // the second tells of the day before
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if len(names) != 4 {
		t.Errorf("got files %v, want one for each of four days", names)
	}
	wantIDs(t, s, 1, 10, 11, 20, 21, 30, 31, 40)
	s.Close()
	s = mustOpen(t, Options{Dir: dir, now: c.now})
	wantIDs(t, s, 1, 10, 11, 20, 21, 30, 31, 40)
}

func TestRetentionByTime(t *testing.T) {
	c := at(day(1))
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir, RetentionTime: 3 * 24 * time.Hour, now: c.now})
	for n := 1; n <= 6; n++ {
		c.set(day(n))
		mustAppend(t, s, n)
	}
	wantIDs(t, s, 3, 4, 5, 6)
	wantOwn(t, s, "expired_files_total", "", 2)
	// A jump of the clock does not remove everything.
	c.set(day(6).AddDate(10, 0, 0))
	mustAppend(t, s, 7)
	if got := ids(t, s); len(got) < 3 {
		t.Errorf("after a jump of ten years only %v are left", got)
	}
}

func TestRetentionBySize(t *testing.T) {
	c := at(day(1))
	dir := t.TempDir()
	const limit = 8 << 10
	s := mustOpen(t, Options{Dir: dir, RetentionSize: limit, now: c.now})
	for i := range 400 {
		if i == 200 {
			c.set(day(2))
		}
		mustAppend(t, s, i)
	}
	var total int64
	names, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > limit+limit/8 {
		t.Errorf("got %d bytes in %d files, want at most %d", total, len(names), limit+limit/8)
	}
	got := ids(t, s)
	if len(got) < 20 || got[len(got)-1] != numbered(399).ID {
		t.Errorf("got %d events up to %s, want the newest of them", len(got), got[len(got)-1])
	}
	if int(own(s, "expired_files_total", "")) == 0 || own(s, "bytes", "") != float64(total) {
		t.Errorf("expired files %v, bytes %v, want some and %d", own(s, "expired_files_total", ""), own(s, "bytes", ""), total)
	}
	s.Close()
	s = mustOpen(t, Options{Dir: dir, RetentionSize: limit, now: c.now})
	mustAppend(t, s, 400)
	if again := ids(t, s); len(again) < 20 || again[len(again)-1] != numbered(400).ID {
		t.Errorf("after opening again: %v", again)
	}
}

// brokenFile fails as told.
type brokenFile struct {
	*os.File
	d *brokenDisk
}

type brokenDisk struct {
	write, truncate, sync, open error
	short                       int // bytes of a failing write that come through
	syncs                       int
}

func (d *brokenDisk) openFile(name string, flag int, mode fs.FileMode) (file, error) {
	if d.open != nil {
		return nil, d.open
	}
	f, err := os.OpenFile(name, flag, mode)
	return &brokenFile{f, d}, err
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if f.d.write != nil {
		n, _ := f.File.Write(p[:min(f.d.short, len(p))])
		return n, f.d.write
	}
	return f.File.Write(p)
}

func (f *brokenFile) Truncate(n int64) error {
	if f.d.truncate != nil {
		return f.d.truncate
	}
	return f.File.Truncate(n)
}

func (f *brokenFile) Sync() error {
	f.d.syncs++
	if f.d.sync != nil {
		return f.d.sync
	}
	return f.File.Sync()
}

func TestDiskErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		disk brokenDisk
	}{
		{"full", brokenDisk{write: syscall.ENOSPC}},
		{"full in the middle of a line", brokenDisk{write: syscall.ENOSPC, short: 30}},
		{"full between lines", brokenDisk{write: syscall.ENOSPC, short: 110}},
		{"write and truncate", brokenDisk{write: syscall.EIO, short: 30, truncate: syscall.EIO}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := &brokenDisk{}
			dir := t.TempDir()
			o := Options{Dir: dir, open: disk.openFile, syncEvery: time.Hour}
			s := mustOpen(t, o)
			mustAppend(t, s, 1)
			*disk = c.disk
			err := s.AppendEvents([]tallyman.Event{numbered(2), numbered(3)})
			if !errors.Is(err, c.disk.write) {
				t.Errorf("got error %v, want %v", err, c.disk.write)
			}
			wantIDs(t, s, 1)
			wantOwn(t, s, "errors_total", "write", 1)
			*disk = brokenDisk{}
			mustAppend(t, s, 2, 3, 4) // the same again, once there is room
			wantIDs(t, s, 1, 2, 3, 4)
			s.Close()
			s = mustOpen(t, o)
			wantIDs(t, s, 1, 2, 3, 4)
		})
	}
	t.Run("cannot make a file", func(t *testing.T) {
		disk := &brokenDisk{open: syscall.EMFILE}
		s := mustOpen(t, Options{Dir: t.TempDir(), open: disk.openFile})
		if err := s.AppendEvents([]tallyman.Event{numbered(1)}); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("got error %v, want EMFILE", err)
		}
		disk.open = nil
		mustAppend(t, s, 1)
		wantIDs(t, s, 1)
	})
	t.Run("sync", func(t *testing.T) {
		disk := &brokenDisk{sync: syscall.EIO}
		s := mustOpen(t, Options{Dir: t.TempDir(), open: disk.openFile, syncEvery: time.Hour})
		mustAppend(t, s, 1)
		s.syncNow()
		wantOwn(t, s, "errors_total", "sync", 1)
		disk.sync = nil
		mustAppend(t, s, 2)
		if len(s.files) != 2 {
			t.Errorf("got %d files, want a new one after the failed sync", len(s.files))
		}
		wantIDs(t, s, 1, 2)
	})
}

func TestSyncsOnTimerAndClose(t *testing.T) {
	disk := &brokenDisk{}
	s := mustOpen(t, Options{Dir: t.TempDir(), open: disk.openFile, syncEvery: time.Hour})
	s.syncNow()
	if disk.syncs != 0 {
		t.Errorf("got %d syncs of nothing", disk.syncs)
	}
	mustAppend(t, s, 1)
	s.syncNow()
	s.syncNow()
	if disk.syncs != 1 {
		t.Errorf("got %d syncs after one append, want 1", disk.syncs)
	}
	mustAppend(t, s, 2)
	s.Close()
	if disk.syncs != 2 {
		t.Errorf("got %d syncs after Close, want 2", disk.syncs)
	}
}

func TestRemembersIDs(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), RememberIDs: 3})
	mustAppend(t, s, 1, 2, 3, 4)
	mustAppend(t, s, 2, 3, 4)
	wantIDs(t, s, 1, 2, 3, 4)
	if len(s.ids.set) != 3 {
		t.Errorf("got %d ids in memory, want 3", len(s.ids.set))
	}
}

func TestQueryIsCancelled(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	mustAppend(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Events(ctx, tallyman.EventQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want Canceled", err)
	}
}

// TestKill appends from another process, kills it at a random moment, and looks
// whether everything is there that it was told is stored.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	next, rounds := 0, 20
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
			if n == 20+round*7 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		s := mustOpen(t, Options{Dir: dir})
		got := ids(t, s)
		s.Close()
		for i := range acknowledged {
			if i >= len(got) || got[i] != numbered(i).ID {
				t.Fatalf("round %d: event %d of %d acknowledged ones is missing or out of order", round, i, acknowledged)
			}
		}
		next = len(got)
	}
	t.Logf("%d kills, %d events, none missing, none doubled", rounds, next)
}

func appendUntilKilled(dir string) {
	s, err := Open(Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	var from int
	fmt.Sscan(os.Getenv("TEST_FROM"), &from)
	for i := from; ; i += 3 {
		if err := s.AppendEvents([]tallyman.Event{numbered(i), numbered(i + 1), numbered(i + 2)}); err != nil {
			panic(err)
		}
		os.Stdout.WriteString(fmt.Sprintln(i + 3))
	}
}

func FuzzOpen(f *testing.F) {
	line, _ := json.Marshal(numbered(1))
	f.Add(append(line, '\n'))
	f.Add([]byte("{\"id\":\"a\\u0041\",\"time\":\"2026-03-01T00:00:01Z\"}\n\n\x00\n{"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		name := time.Now().UTC().Format(time.DateOnly) + ".jsonl"
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		before, _, err := s.Events(t.Context(), tallyman.EventQuery{})
		if err != nil {
			t.Fatal(err)
		}
		e := numbered(1)
		e.ID = "an id that no fuzzer finds"
		if err := s.AppendEvents([]tallyman.Event{e}); err != nil {
			t.Fatal(err)
		}
		after, _, err := s.Events(t.Context(), tallyman.EventQuery{})
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("got %d events after appending one to %d: %v", len(after), len(before), err)
		}
	})
}

func BenchmarkQueryNewest(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var events []tallyman.Event
	for i := range 50_000 {
		events = append(events, numbered(i))
	}
	if err := s.AppendEvents(events); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Events(b.Context(), tallyman.EventQuery{Limit: 100}); err != nil {
			b.Fatal(err)
		}
	}
}
