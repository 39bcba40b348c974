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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/internal/journal/journaltest"
	"tallyman/internal/testkit"
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

// journald starts a systemd-journald that writes into a folder, with variables of its
// environment, and gives its process and its socket. It takes all that it is told, and
// keeps it, in files of 8 MiB.
func journald(t testing.TB, dir string, env ...string) (pid int, to *net.UnixConn) {
	t.Helper()
	systemd(t)
	if os.Getuid() != 0 {
		testkit.Missing(t, "a journald of one's own needs root")
	}
	sockets, err := os.MkdirTemp("", "journald")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	compress := "yes"
	if slices.Contains(env, "SYSTEMD_JOURNAL_COMPRESS=0") { // no variable in every version
		compress = "no"
	}
	script := fmt.Sprintf(`mount --make-rprivate / && mount --bind %s /mnt && mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal /etc/systemd && mount -t tmpfs none /etc/systemd &&
		printf '[Journal]\nRateLimitIntervalSec=0\nRuntimeMaxUse=4G\nRuntimeKeepFree=1M\nRuntimeMaxFileSize=8M\nCompress=%s\n' >/etc/systemd/journald.conf &&
		mount --bind %s /run/systemd/journal && mount --bind /mnt /run/log/journal && exec /lib/systemd/systemd-journald`, dir, compress, sockets)
	cmd := exec.Command("unshare", "--mount", "sh", "-c", script)
	cmd.Env = append(os.Environ(), env...)
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

// What a journald has written, 2,000 entries or TEST_JOURNAL of them, is what journalctl
// reads: entry by entry, field by field and cursor by cursor, in each form and packed in
// each way. This journald packs with Zstandard only; for the others its long values are
// packed anew.
func TestWhatJournaldWrites(t *testing.T) {
	total := 2000
	if text := os.Getenv("TEST_JOURNAL"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"PRIORITY=0", "PRIORITY=1", "PRIORITY=2", "PRIORITY=3", "PRIORITY=4", "PRIORITY=5", "PRIORITY=6", "PRIORITY=7"}
	for _, x := range []struct {
		name          string
		pack, compact string
		how           byte
	}{{"zstd", "1", "0", 0}, {"zstd, compact", "1", "1", 0}, {"not packed, compact", "0", "1", 0}, {"lz4", "0", "0", packedLZ4}, {"xz, compact", "0", "1", packedXZ}} {
		t.Run(x.name, func(t *testing.T) {
			dir := t.TempDir()
			pid, to := journald(t, dir, "SYSTEMD_JOURNAL_COMPRESS="+x.pack, "SYSTEMD_JOURNAL_COMPACT="+x.compact)
			random := rand.New(rand.NewPCG(3, uint64(x.how)))
			var e Entry
			for i := range total {
				long := ""
				if random.IntN(8) == 0 {
					long = fmt.Sprint(" ", strings.Repeat(fmt.Sprint(i, " is a long text; "), 40+random.IntN(80)))
				}
				if _, err := fmt.Fprintf(to, "MESSAGE=number %d%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=shop-%d\nREQUEST_ID=%016x\nCODE_LINE=%d\n", i, long, random.IntN(8), random.IntN(30), random.Uint64(), random.IntN(900)); err != nil {
					t.Fatal(err)
				}
				if i == total/2 {
					if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil { // rotate
						t.Fatal(err)
					}
				}
			}
			// On a busy machine journald itself leaves out one entry of ten thousand, so
			// that what is awaited is written until it is there.
			r, n, marked := open(t, dir, all...), 0, false
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var sent time.Time
			for !marked && ctx.Err() == nil {
				if time.Since(sent) > time.Second {
					sent = time.Now()
					if _, err := fmt.Fprint(to, "MESSAGE=the last\nPRIORITY=6\n"); err != nil {
						t.Fatal(err)
					}
				}
				for r.Next(&e) {
					for _, f := range e.Fields {
						switch {
						case string(f.Name) == "REQUEST_ID":
							n++
						case string(f.Name) == "MESSAGE" && string(f.Value) == "the last":
							marked = true
						}
					}
				}
				soon, stop := context.WithTimeout(ctx, time.Second)
				r.Wait(soon)
				stop()
			}
			if !marked || n < total-total/1000 {
				t.Fatalf("%d of %d entries, the last one %v: %+v", n, total, marked, r.Counts())
			}
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(dir + "/*/*.journal")
			if err != nil {
				t.Fatal(err)
			}
			size, packs := int64(0), 0
			for _, name := range files {
				if x.how != 0 {
					packs += packIn(t, name, x.how)
				}
				st, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				size += st.Size()
			}
			if x.how != 0 && packs < total/10 {
				t.Errorf("%d values were packed", packs)
			}
			spent := func(of int) time.Duration {
				var u syscall.Rusage
				if err := syscall.Getrusage(of, &u); err != nil {
					t.Fatal(err)
				}
				return time.Duration(u.Utime.Nano() + u.Stime.Nano())
			}
			const self, children = syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN
			theirs := spent(children)
			if out, err := exec.Command("journalctl", "--directory="+dir, "--output=export", "--no-pager", "--all").Output(); err != nil || len(out) == 0 {
				t.Fatalf("%d bytes, %v", len(out), err)
			}
			theirs = spent(children) - theirs
			mine, read := spent(self), open(t, dir)
			for read.Next(&e) {
			}
			mine = spent(self) - mine
			want := journalctl(t, dir)
			compareLines(t, x.name, ours(open(t, dir)), want)
			if c := read.Counts(); c.Broken > 0 || len(want) < total {
				t.Errorf("%d entries, %+v", len(want), c)
			}
			there := 0
			for _, l := range want {
				if slices.ContainsFunc(l.fields, func(f string) bool { return strings.HasPrefix(f, "REQUEST_ID=") }) {
					there++
				}
			}
			if there != n {
				t.Errorf("%d entries were read while they were written, journalctl has %d", n, there)
			}
			mib := float64(size) / (1 << 20)
			t.Logf("%d entries, of %d written %d, in %d files, %.0f MiB: equal; CPU %.1f ms a MiB to read them, journalctl %.1f", len(want), total, n, len(files), mib,
				float64(mine.Microseconds())/1000/mib, float64(theirs.Microseconds())/1000/mib)
		})
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
