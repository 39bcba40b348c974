// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/internal/journal/journaltest"
)

const patience = 60 * time.Second

// Two files of one series of numbers are written to, rotated and deleted while they are
// read, also those entries that are not in the lists of their values yet: each comes
// once, in order.
func TestFollowWhatIsWritten(t *testing.T) {
	for _, matches := range [][]string{nil, {"_SYSTEMD_UNIT=a", "+", "_SYSTEMD_UNIT=b", "PRIORITY=6", "+", "_SYSTEMD_UNIT=c"}} {
		dir := t.TempDir()
		const total = 2000
		r := open(t, dir, matches...)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var wg sync.WaitGroup
		var read sync.Mutex // held by what may delete files
		newest := 0
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, 2))
			type live struct {
				w    *journaltest.File
				f    *os.File
				name string
			}
			var old []string
			seqnum := 0
			start := func(name string) *live {
				f, err := os.Create(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
					return nil
				}
				w := journaltest.New(true, true)
				w.Bytes[24] = byte(random.Uint32())
				return &live{w, f, name}
			}
			files := []*live{start("system.journal"), start("user-1000.journal")}
			for seqnum < total {
				l := files[random.IntN(2)]
				l.w.Seqnum = seqnum
				finish := l.w.Add(uint64(1_700_000_000_000_000+seqnum), fmt.Sprint("MESSAGE=", seqnum), "_SYSTEMD_UNIT="+string(rune('a'+random.IntN(3))), "PRIORITY=6")
				seqnum = l.w.Seqnum
				err := l.w.Store(l.f)
				if random.IntN(5) == 0 {
					time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
				}
				finish()
				if err = errors.Join(err, l.w.Store(l.f)); err != nil {
					t.Error(err)
					return
				}
				if random.IntN(100) == 0 { // rotate
					for i, l := range files {
						name := filepath.Join(dir, fmt.Sprintf("%s@%d.journal", strings.TrimSuffix(l.name, ".journal"), seqnum))
						err := os.Rename(l.f.Name(), name)
						l.w.Bytes[16] = archived
						if err = errors.Join(err, l.w.Store(l.f), l.f.Close()); err != nil {
							t.Error(err)
						}
						old = append(old, name)
						files[i] = start(l.name)
					}
				}
				if len(old) > 6 { // vacuum what was read
					read.Lock()
					if newest > seqnum-300 {
						_ = os.Remove(old[0])
						old = old[1:]
					}
					read.Unlock()
				}
			}
			for _, l := range files {
				_ = l.f.Close()
			}
		})
		var e Entry
		next := 1
		for next <= total && ctx.Err() == nil && !t.Failed() {
			for r.Next(&e) {
				if int(e.Seqnum) != next {
					t.Errorf("entry %d, want %d", e.Seqnum, next)
				}
				next++
			}
			read.Lock()
			newest = next
			read.Unlock()
			if next <= total {
				r.Wait(ctx)
			}
		}
		wg.Wait()
		if next != total+1 {
			t.Errorf("%d of %d entries with %v: %+v", next-1, total, matches, r.Counts())
		}
		r.Look()
		if c := r.Counts(); c.Files > 6 || c.Broken > 0 {
			t.Errorf("at the end: %+v", c)
		}
	}
}

// journald starts a systemd-journald that writes into a folder, and gives its process
// and its socket.
func journald(t testing.TB, dir string) (pid int, to *net.UnixConn) {
	t.Helper()
	systemd(t)
	if os.Getuid() != 0 {
		t.Skip("a journald of one's own needs root")
	}
	sockets, err := os.MkdirTemp("", "journald")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	script := fmt.Sprintf(`mount --make-rprivate / && mount --bind %s /mnt && mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal &&
		mount --bind %s /run/systemd/journal && mount --bind /mnt /run/log/journal && exec /lib/systemd/systemd-journald`, dir, sockets)
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script)
	var text strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &text
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		to, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: filepath.Join(sockets, "socket"), Net: "unixgram"})
		if found, _ := filepath.Glob(dir + "/*/system.journal"); err == nil && len(found) > 0 {
			break
		}
		select {
		case <-done:
			t.Fatalf("systemd-journald has ended: %s", text.String())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("no systemd-journald: %v", err)
		}
	}
	t.Cleanup(func() { _ = to.Close() })
	return cmd.Process.Pid, to
}

// A journald writes, rotates and deletes: all is read once and in order, and what is in
// its files at the end is what journalctl reads.
func TestFollowJournald(t *testing.T) {
	dir := t.TempDir()
	pid, to := journald(t, dir)
	r := open(t, dir, "TEST=yes")
	const total = 4000
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range total {
			if _, err := fmt.Fprintf(to, "MESSAGE=number %d%s\nTEST=yes\nPRIORITY=6\n", i, strings.Repeat(" long", i%200)); err != nil {
				t.Error(err)
				return
			}
			if i%700 == 699 {
				if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil { // rotate
					t.Error(err)
				}
			}
		}
	})
	var e Entry
	var got []string
	var cursors []string
	for len(got) < total && ctx.Err() == nil {
		for r.Next(&e) {
			for _, f := range e.Fields {
				if string(f.Name) == "MESSAGE" {
					n, _, _ := strings.Cut(strings.TrimPrefix(string(f.Value), "number "), " ")
					got = append(got, n)
				}
			}
			cursors = append(cursors, e.Cursor.String())
		}
		if len(got) < total {
			r.Wait(ctx)
		}
	}
	wg.Wait()
	if len(got) != total {
		t.Fatalf("%d of %d entries: %+v", len(got), total, r.Counts())
	}
	for i, n := range got {
		if n != fmt.Sprint(i) {
			t.Fatalf("entry %d is number %s", i, n)
		}
	}
	want := journalctl(t, dir, "TEST=yes")
	if len(want) != total {
		t.Fatalf("journalctl reads %d entries", len(want))
	}
	for i, l := range want {
		if l.cursor != cursors[i] {
			t.Fatalf("cursor %d is %s, journalctl has %s", i, cursors[i], l.cursor)
		}
	}
	compareLines(t, "all at the end", ours(open(t, dir, "TEST=yes")), want)
	if found, _ := filepath.Glob(dir + "/*/system@*.journal"); len(found) < 2 {
		t.Errorf("journald did not rotate: %v", found)
	}
	// What was deleted is not held open.
	if out, err := exec.Command("journalctl", "--directory="+dir, "--vacuum-files=1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for r.Look(); ; r.Wait(ctx) {
		for r.Next(&e) {
		}
		if r.Counts().Files == 1 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%+v", r.Counts())
		}
	}
}

// A header that tells of fewer entries' numbers than there are holds nothing back.
func TestNumbersThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	w := some(true, true, 20)
	clear(w.Bytes[160:168]) // the number of the last entry
	w.Save(t, filepath.Join(dir, "a.journal"))
	r := open(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n := 0
	for n < 20 && ctx.Err() == nil {
		if n += len(ours(r)); n < 20 {
			r.Wait(ctx)
		}
	}
	if n != 20 {
		t.Errorf("%d entries, want 20", n)
	}
}

// What is in /run is copied to /var, while it is read: it comes once.
func TestFlushedJournal(t *testing.T) {
	dir := t.TempDir()
	add := func(w *journaltest.File, i int) {
		w.Add(uint64(1_700_000_000_000_000+i), fmt.Sprint("MESSAGE=", i))()
	}
	run, flushed := journaltest.New(true, true), journaltest.New(true, true)
	flushed.Bytes[72]++ // another series
	for i := range 50 {
		add(run, i)
	}
	run.Save(t, filepath.Join(dir, "run.journal"))
	r := open(t, dir)
	if n := len(ours(r)); n != 50 {
		t.Fatalf("%d entries", n)
	}
	f, err := os.Create(filepath.Join(dir, "var.journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []line
	for i := range 60 {
		add(flushed, i)
		if err := flushed.Store(f); err != nil {
			t.Fatal(err)
		}
		r.Look()
		got = append(got, ours(r)...)
	}
	if len(got) != 10 || !slices.Contains(got[0].fields, "MESSAGE=50") {
		t.Errorf("%d entries come after those that were read, want 10", len(got))
	}
}

// A file that becomes shorter, and one that vanishes, end neither the reader nor the
// others.
func TestFilesThatShrinkAndVanish(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.journal")
	some(true, true, 500).Save(t, name)
	b := some(true, false, 40)
	b.Bytes[72] = 9
	b.Save(t, filepath.Join(dir, "b.journal"))
	r := open(t, dir)
	var e Entry
	for range 10 {
		if !r.Next(&e) {
			t.Fatal("no entry")
		}
	}
	if err := os.Truncate(name, 9000); err != nil {
		t.Fatal(err)
	}
	r.Look()
	n := 0
	for r.Next(&e) {
		n++
	}
	if c := r.Counts(); c.Broken == 0 || n < 30 { // what is in both comes once
		t.Errorf("%d more entries, %+v", n, c)
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	r.Look()
	if c := r.Counts(); c.Files != 1 || c.Why == "" {
		t.Errorf("an empty file: %+v", c)
	}
	some(true, true, 20).Save(t, name)
	for r.Look(); r.Next(&e); {
		n++
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for r.Look(); r.Next(&e); {
		t.Errorf("entry %v of nothing", e.Cursor)
	}
	if c := r.Counts(); c.Files != 0 {
		t.Errorf("all is deleted: %+v", c)
	}
}
