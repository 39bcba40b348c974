// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
	"tallyman/internal/recordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a folder of logs, and what tails it.
type host struct {
	t     *testing.T
	root  string
	store *recordtest.Store
	rule  *logrule.Rule
}

func newHost(t *testing.T) *host {
	h := &host{t: t, root: t.TempDir(), store: recordtest.New()}
	h.must(os.MkdirAll(filepath.Join(h.root, "var/log"), 0o700))
	return h
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) path(name string) string { return filepath.Join(h.root, "var/log", name) }

// write appends to a file.
func (h *host) write(name, text string) {
	h.t.Helper()
	f, err := os.OpenFile(h.path(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	h.must(err)
	_, err = f.WriteString(text)
	h.must(errors.Join(err, f.Close()))
}

// tail makes a tailer without inotify and without Run.
func (h *host) tail(patterns ...string) *Tailer {
	var files []Files
	for _, p := range patterns {
		files = append(files, Files{Pattern: "/var/log/" + p, Rule: h.rule})
	}
	t := New(Options{Records: recordtest.Intake(h.store), Host: "h", Files: files, Root: func(string) string { return h.root }, Log: slog.New(slog.DiscardHandler)})
	t.linger = -1 // time in a test is shorter
	return t
}

// look gives every file as many turns as it needs, and as much time.
func look(t *Tailer, past time.Duration) {
	at := func() (s string) {
		for _, f := range t.tail.Logs {
			for _, o := range f.files {
				s += fmt.Sprint(o.name, o.Off, " ")
			}
		}
		return s
	}
	for before := "never"; before != at(); {
		before = at()
		for _, p := range t.places {
			p.due = time.Time{}
		}
		for _, f := range t.tail.Logs {
			f.Due = time.Time{}
			for _, o := range f.files {
				if past > 0 {
					when := time.Now().Add(-past)
					_ = os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", o.F.Fd()), when, when)
				}
			}
		}
		t.tail.Round(context.Background())
	}
}

func stored(s *recordtest.Store, filename string) (lines []string) {
	for _, f := range s.Find("filename", filename) {
		lines = append(lines, string(f.Line))
	}
	return lines
}

// rotations are the ways to rotate a file.
var rotations = map[string]func(h *host, n int){
	"renamed": func(h *host, _ int) {
		for i := 6; i > 0; i-- {
			_ = os.Rename(h.path(fmt.Sprint("app.log.", i)), h.path(fmt.Sprint("app.log.", i+1)))
		}
		h.must(os.Rename(h.path("app.log"), h.path("app.log.1")))
	},
	"by date": func(h *host, n int) {
		h.must(os.Rename(h.path("app.log"), h.path(fmt.Sprintf("app.log-202611%02d", n))))
	},
	"into another log": func(h *host, n int) { h.must(os.Rename(h.path("app.log"), h.path(fmt.Sprintf("app-%d.log", n)))) },
	"compressed": func(h *host, n int) {
		h.must(os.Rename(h.path("app.log"), h.path(fmt.Sprint("app.log.", n))))
		if old := h.path(fmt.Sprint("app.log.", n-1)); n > 1 {
			text, err := os.ReadFile(old)
			h.must(err)
			st, err := os.Stat(old)
			h.must(err)
			out, err := os.Create(old + ".gz")
			h.must(err)
			w := gzip.NewWriter(out)
			_, err = w.Write(text)
			h.must(errors.Join(err, w.Close(), out.Close(), os.Chtimes(old+".gz", st.ModTime(), st.ModTime()), os.Remove(old)))
		}
	},
	"copied and emptied": func(h *host, n int) {
		text, err := os.ReadFile(h.path("app.log"))
		h.must(err)
		h.must(os.WriteFile(h.path(fmt.Sprint("app.log.", n)), text, 0o600))
		h.must(os.Truncate(h.path("app.log"), 0))
	},
}

// Lines of all lengths, rotations of all kinds, restarts and crashes at random:
// every line is stored once and in order.
func TestNothingIsMissingOrTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rounds := uint64(6)
	if testing.Short() {
		rounds = 2
	}
	for name, rotate := range rotations {
		for _, start := range []string{"", `^\d`} {
			t.Run(name+" "+start, func(t *testing.T) {
				for round := range rounds {
					random := rand.New(rand.NewPCG(seed, round))
					h := newHost(t)
					var err error
					h.rule, err = logrule.Compile(logrule.Text{Start: start})
					h.must(err)
					tailer := h.tail("*.log")
					want := []string{"0 first"}
					h.write("app.log", "0 first\n")
					look(tailer, 0) // what was rotated away before is not looked for
					n, unseen := 0, 0
					for step := range 100 {
						switch k := random.IntN(20); {
						case k < 10:
							text := fmt.Sprintf("%d %s", step, strings.Repeat("x", []int{0, 3, 80, 5000, 200_000}[random.IntN(5)]))
							if start != "" && random.IntN(2) == 0 {
								text += "\n  and more\n  of it"
							}
							want = append(want, text)
							h.write("app.log", text+"\n")
						case k < 12 && unseen == 0:
							if st, err := os.Stat(h.path("app.log")); err != nil || st.Size() == 0 {
								continue
							}
							n++
							rotate(h, n)
							unseen++
							time.Sleep(10 * time.Millisecond) // files of different times
						case k < 17:
							look(tailer, 0)
							unseen = 0
						default:
							tailer.close() // kill -9 and start again: what is not stored is read once more
							tailer = h.tail("*.log")
							look(tailer, 0)
							unseen = 0
						}
					}
					for range 3 {
						look(tailer, 0)
						time.Sleep(2 * time.Millisecond)
					}
					for _, f := range tailer.tail.Logs {
						f.out.EndEntry()
					}
					h.must(tailer.tail.Batch.Commit(context.Background()))
					tailer.close()
					got := stored(h.store, "/var/log/app.log")
					if name == "into another log" { // which may be taken for a log of its own
						for i := range n {
							got = append(got, stored(h.store, fmt.Sprintf("/var/log/app-%d.log", i+1))...)
						}
						slices.Sort(got)
						slices.Sort(want)
					}
					if d := difference(got, want); d != "" || tailer.tail.Counts.Gaps.Load() != 0 {
						t.Fatalf("seed %d round %d: %s; %d gaps", seed, round, d, tailer.tail.Counts.Gaps.Load())
					}
				}
			})
		}
	}
}

func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Sprintf("%d lines, want %d; the first that is missing is %.60q", len(got), len(want), want[i])
		case i >= len(want):
			return fmt.Sprintf("%d lines, want %d; the first too many is %.60q", len(got), len(want), got[i])
		case got[i] != want[i]:
			return fmt.Sprintf("line %d of %d is %.60q (%d bytes), want %.60q (%d bytes)", i, len(got), got[i], len(got[i]), want[i], len(want[i]))
		}
	}
	return ""
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if d := difference(got, want); d != "" {
		t.Errorf("%s: %s", what, d)
	}
}

// What strangers may put into a folder of logs is not opened.
func TestOnlyRegularFiles(t *testing.T) {
	h := newHost(t)
	h.write("secret", "not for the log\n")
	h.must(os.Symlink("secret", h.path("link.log")))
	h.must(os.Symlink("/etc/passwd", h.path("far.log")))
	h.must(syscall.Mkfifo(h.path("pipe.log"), 0o600))
	h.must(os.Mkdir(h.path("folder.log"), 0o700))
	if err := syscall.Mknod(h.path("zero.log"), syscall.S_IFCHR|0o600, 1<<8|5); err != nil {
		t.Logf("without a device: %v", err)
	}
	h.write("good.log", "a line\n")
	tailer := h.tail("*.log", "link.log", "pipe.log", "zero.log")
	done := make(chan bool)
	go func() { look(tailer, 0); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it waits for something")
	}
	tailer.close()
	if got := slices.Collect(func(yield func(string) bool) {
		for k := range tailer.tail.Logs {
			yield(k)
		}
	}); len(got) != 1 || got[0] != "hostlog//var/log/good.log" {
		t.Errorf("%q are followed", got)
	}
	equal(t, "good.log", stored(h.store, "/var/log/good.log"), []string{"a line"})
	if len(tailer.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget})) != 3 {
		t.Errorf("%v is said to be absent, want a reason for each pattern that names one of them", tailer.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget}))
	}
}

// A file that comes later, one that has its last line without an end, one that
// goes, and one that is back.
func TestFilesComeAndGo(t *testing.T) {
	h := newHost(t)
	tailer := h.tail("*.log")
	look(tailer, 0)
	if a := tailer.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget}); len(a) != 1 || !strings.Contains(a[0].Reason, "/var/log/*.log") {
		t.Errorf("without a file: %v", a)
	}
	h.write("a.log", "1\n2\nhalf")
	look(tailer, 0)
	equal(t, "with half a line", stored(h.store, "/var/log/a.log"), []string{"1", "2"})
	h.write("a.log", " and half\n\xff\x00binary\r\nlast")
	look(tailer, 0)
	h.must(os.Remove(h.path("a.log")))
	look(tailer, time.Hour)
	equal(t, "removed", stored(h.store, "/var/log/a.log"), []string{"1", "2", "half and half", "\xff\x00binary\r", "last"})
	if len(tailer.tail.Logs) != 0 || len(h.store.Positions(keyPrefix)) != 0 {
		t.Errorf("%d followers and %v are left", len(tailer.tail.Logs), h.store.Positions(keyPrefix))
	}
	h.write("a.log", "new\n")
	look(tailer, 0)
	if got := stored(h.store, "/var/log/a.log"); len(got) != 6 || got[5] != "new" {
		t.Errorf("back again: %q", got)
	}
	tailer.close()
}

// What was there before tallyman is read from its last bytes on; a gap is said.
func TestBacklogAndGaps(t *testing.T) {
	h := newHost(t)
	for i := range 1000 {
		h.write("a.log", fmt.Sprintf("line %03d\n", i))
	}
	tailer := h.tail("a.log")
	tailer.o.Backlog = 95
	look(tailer, 0)
	got := stored(h.store, "/var/log/a.log")
	if len(got) != 11 || got[9] != "line 999" && got[10] != "line 999" || tailer.tail.Counts.Gaps.Load() != 1 || tailer.tail.Counts.GapBytes.Load() != 8910 {
		t.Errorf("%d lines, %d gaps of %d bytes", len(got), tailer.tail.Counts.Gaps.Load(), tailer.tail.Counts.GapBytes.Load())
	}
	h.must(os.Truncate(h.path("a.log"), 0))
	h.write("a.log", "after\n")
	look(tailer, 0)
	tailer.close()
	h.must(os.Remove(h.path("a.log")))
	h.write("a.log", "another\n")
	tailer = h.tail("a.log")
	look(tailer, 0)
	tailer.close()
	gaps := 0
	for _, l := range stored(h.store, "/var/log/a.log") {
		if strings.HasPrefix(l, "tallyman: ") {
			gaps++
		}
	}
	if gaps != 3 {
		t.Errorf("%d lines say that something is missing, want 3", gaps)
	}
}

// A file that is just being compressed is there twice, once in part.
func TestHalfCompressed(t *testing.T) {
	h := newHost(t)
	tailer := h.tail("a.log")
	look(tailer, 0)
	h.write("a.log", "1\n2\n3\n")
	look(tailer, 0)
	h.write("a.log", "4\n")
	tailer.close()
	h.must(os.Rename(h.path("a.log"), h.path("a.log.1")))
	h.write("a.log", "5\n")
	out, err := os.Create(h.path("a.log.1.gz"))
	h.must(err)
	w := gzip.NewWriter(out)
	_, err = w.Write([]byte("1\n2\n"))
	h.must(errors.Join(err, w.Flush(), out.Close()))
	tailer = h.tail("a.log")
	look(tailer, 0)
	tailer.close()
	equal(t, "a.log", stored(h.store, "/var/log/a.log"), []string{"1", "2", "3", "4", "5"})
}

// What a program still writes into a file that was renamed is read.
func TestLingering(t *testing.T) {
	h := newHost(t)
	tailer := h.tail("a.log")
	tailer.linger = 3 * time.Second
	look(tailer, 0)
	h.write("a.log", "1\n")
	look(tailer, 0)
	h.must(os.Rename(h.path("a.log"), h.path("a.log.1")))
	h.write("a.log", "3\n")
	look(tailer, 0)
	h.write("a.log.1", "2\n")
	look(tailer, 0)
	equal(t, "while it may go on", stored(h.store, "/var/log/a.log"), []string{"1", "2"})
	look(tailer, time.Hour)
	tailer.close()
	equal(t, "afterwards", stored(h.store, "/var/log/a.log"), []string{"1", "2", "3"})
}

// A line without an end stays within its bound, and a hole is no line.
func TestEndlessLineAndHole(t *testing.T) {
	h := newHost(t)
	tailer := h.tail("a.log")
	f, err := os.Create(h.path("a.log"))
	h.must(err)
	defer f.Close()
	for range 20 {
		_, err := f.WriteString(strings.Repeat("y", 100_000))
		h.must(err)
		look(tailer, 0)
	}
	_, err = f.WriteString("\nnext\n")
	h.must(err)
	look(tailer, 0)
	h.must(f.Truncate(0)) // its writer does not append: a hole is before what it writes next
	_, err = f.WriteString("behind a hole\n")
	h.must(err)
	look(tailer, 0)
	tailer.close()
	got := stored(h.store, "/var/log/a.log")
	got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "tallyman: ") })
	if len(got) != 3 || len(got[0]) != logtail.MaxLine || got[1] != "next" || got[2] != "behind a hole" || tailer.tail.Counts.Cut.Load() != 1 {
		t.Errorf("%d lines, %d cut", len(got), tailer.tail.Counts.Cut.Load())
	}
}

// An entry that waits for its next line is stored after a while; after a crash
// before that it is read once more.
func TestEntriesWait(t *testing.T) {
	h := newHost(t)
	var err error
	h.rule, err = logrule.Compile(logrule.Text{Start: `^\S`, Redact: []string{`key=(\w+)`}})
	h.must(err)
	h.write("a.log", "boom key=abc\n  at one\n  at two key=def\n")
	tailer := h.tail("a.log")
	look(tailer, 0)
	tailer.close()
	if got := stored(h.store, "/var/log/a.log"); len(got) != 0 {
		t.Errorf("%q is stored of an entry that may go on", got)
	}
	tailer = h.tail("a.log")
	look(tailer, 0)
	h.write("a.log", "  at three\n")
	look(tailer, 0)
	for _, f := range tailer.tail.Logs {
		f.out.WaitAnew(time.Now().Add(-time.Minute))
	}
	for _, f := range tailer.tail.Logs {
		f.Due = time.Time{}
	}
	tailer.tail.Round(context.Background())
	tailer.close()
	want := []string{"boom key=[redacted]\n  at one\n  at two key=[redacted]\n  at three"}
	equal(t, "an entry", stored(h.store, "/var/log/a.log"), want)
	tailer = h.tail("a.log")
	look(tailer, 0)
	tailer.close()
	equal(t, "after a restart", stored(h.store, "/var/log/a.log"), want)
}

// A file that fits several patterns is read once, as the first of them says,
// whichever is told first that it is there.
func TestFirstPatternWins(t *testing.T) {
	secret, err := logrule.Compile(logrule.Text{Redact: []string{`key=(\w+)`}})
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"/var/log/app/*.log", "/var/log/app/a.log", "/var/log/*/a.log"} {
		h := newHost(t)
		tail := New(Options{Records: recordtest.Intake(h.store), Host: "h", Root: func(string) string { return h.root }, Log: slog.New(slog.DiscardHandler),
			Files: []Files{{Pattern: first, Rule: secret}, {Pattern: "/var/log/*/*.log"}, {Pattern: "/var/log/app/?.log"}}})
		tail.tail.Round(context.Background()) // there is nothing yet
		h.must(os.Mkdir(h.path("app"), 0o700))
		h.write("app/a.log", "key=abc\n")
		tail.places[len(tail.places)-1].woken()
		tail.tail.Round(context.Background())
		look(tail, 0)
		tail.close()
		equal(t, first, stored(h.store, "/var/log/app/a.log"), []string{"key=[redacted]"})
	}

	h := newHost(t)
	h.write("app.log", "one\n")
	tail := h.tail("app.log", "app-*.log")
	look(tail, 0)
	h.must(os.Rename(h.path("app.log"), h.path("app-1.log")))
	h.write("app-1.log", "two\n")
	h.write("app.log", "three\n")
	look(tail, 0)
	h.write("app-1.log", "four\n")
	look(tail, time.Minute)
	tail.close()
	equal(t, "the log", stored(h.store, "/var/log/app.log"), []string{"one", "two", "three"})
	equal(t, "what it was renamed to", stored(h.store, "/var/log/app-1.log"), []string{"four"})
}

// Lines that are read at once are of several streams, by their levels; their
// times keep them in order, over a restart too.
func TestOrder(t *testing.T) {
	h := newHost(t)
	want := []string{"error: one", "\tat two", "info three", "\tat two", "error: four"}
	h.write("a.log", strings.Join(want, "\n")+"\n")
	when := time.Now().Add(-time.Hour)
	h.must(os.Chtimes(h.path("a.log"), when, when))
	for range 2 {
		tailer := h.tail("a.log")
		look(tailer, time.Hour)
		tailer.close()
		equal(t, "the lines by time", stored(h.store, "/var/log/a.log"), want)
		h.write("a.log", "\tat five\nwarn six\n")
		want = append(want, "\tat five", "warn six")
	}
	if got := h.store.Find("filename", "/var/log/a.log")[0].Time; got != when.UnixNano() {
		t.Errorf("the first line is of %d, want %d, when the file was written to", got, when.UnixNano())
	}
}

// A file that is rotated at the very moment at which it is opened is read once,
// and in its place.
func TestRotatedWhileOpened(t *testing.T) {
	rotate := func(h *host, to string) {
		h.must(os.Rename(h.path("app.log"), h.path(to)))
		time.Sleep(20 * time.Millisecond) // the clock of files is coarse
	}
	for name, between := range map[string]func(h *host){
		"once":        func(h *host) { rotate(h, "app.log.1"); h.write("app.log", "b\n") },
		"nothing new": func(h *host) { rotate(h, "app.log.1") },
		"twice": func(h *host) {
			rotate(h, "app.log.2")
			h.write("app.log", "b\n")
			rotate(h, "app.log.1")
			h.write("app.log", "c\n")
		},
		"twice, nothing": func(h *host) { rotate(h, "app.log.2"); h.write("app.log", "b\n"); rotate(h, "app.log.1") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.write("app.log", "old\n")
			rotate(h, "app.log.7")
			h.write("app.log", "a\n")
			tail := h.tail("app.log")
			for _, p := range tail.places {
				h.must(p.reach())
				f := &follower{p: p, name: "/var/log/app.log", dir: "/var/log", rest: "app.log"}
				o, err := f.openName(f.rest)
				h.must(err)
				between(h)
				files, newest := f.older(time.Time{}, o)
				if f.files = files; newest != nil {
					f.files = append(files, newest)
				}
				var got string
				for _, o := range f.files {
					b := make([]byte, 10)
					n, err := o.Fill(b)
					h.must(err)
					got += string(b[:n])
				}
				want := "old\na\n"
				for _, more := range []string{"app.log.1", "app.log"} {
					if b, err := os.ReadFile(h.path(more)); err == nil && string(b) != "a\n" {
						want += string(b)
					}
				}
				if got != want {
					t.Errorf("read %q, want %q", got, want)
				}
				f.close()
				p.close()
			}
		})
	}
}

func TestRotatedNames(t *testing.T) {
	for name, want := range map[string]bool{
		"app.log.1": true, "app.log.12.gz": true, "app.log-20261125": true, "app.log-20261125.gz": true, "app-20261125.log": true, "app.1.log": true, "app-2026-11-25.log.gz": true,
		"app.log.old": true, "app.log.gz": true, "app.log2": false, "app.log.bak": false, "app-error.log": false, "other.log.1": false, "app.logs": false,
	} {
		if got := rotated("app.log", name); got != want {
			t.Errorf("rotated(app.log, %s) = %v, want %v", name, got, want)
		}
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add(identity{9, sum{1, 2}, sum{3, 4}, 5, 6}.String())
	f.Add("1 -1 1:2 3:4 5 6")
	f.Fuzz(func(t *testing.T, text string) {
		i, ok := parseIdentity(text)
		if !ok {
			return
		}
		if again, ok := parseIdentity(i.String()); !ok || again != i {
			t.Errorf("%q is %+v, which is %+v again", text, i, again)
		}
	})
}

// A file that was opened and not read yet, and was rotated away more than once
// meanwhile: what came in between is not taken for a copy of it.
func TestRotatedBeforeItWasRead(t *testing.T) {
	for _, compress := range []bool{false, true} {
		h := newHost(t)
		h.write("app.log", "")
		tail := h.tail("app.log")
		look(tail, 0)
		begun := time.Now().Add(-time.Minute)
		for i, text := range []string{"one\n", "two\n", "three\n"} {
			h.write("app.log", text)
			when := begun.Add(time.Duration(i+1) * time.Second) // not within one tick of the clock
			h.must(os.Chtimes(h.path("app.log"), when, when))
			name := fmt.Sprint("app.log.", i+1)
			h.must(os.Rename(h.path("app.log"), h.path(name)))
			if compress && i == 0 {
				packed, err := os.Create(h.path(name + ".gz"))
				h.must(err)
				w := gzip.NewWriter(packed)
				_, err = w.Write([]byte(text))
				h.must(errors.Join(err, w.Close(), packed.Close(), os.Chtimes(h.path(name+".gz"), when, when), os.Remove(h.path(name))))
			}
		}
		h.write("app.log", "four\n")
		look(tail, 0)
		if got, want := strings.Join(stored(h.store, "/var/log/app.log"), " "), "one two three four"; got != want {
			t.Errorf("compressed %v: %q, want %q", compress, got, want)
		}
	}
}

// A file that came after a look and was rotated before the next one: all that it had
// is read, and nothing of what was there before.
func TestRotatedBeforeItWasFound(t *testing.T) {
	h := newHost(t)
	long := time.Now().Add(-time.Hour)
	h.write("app.log.7", "long ago\n")
	h.must(os.Chtimes(h.path("app.log.7"), long, long))
	tail := h.tail("app.log")
	look(tail, 0)
	for i, text := range []string{"one\n", "two\n", "three\n"} {
		h.write("app.log", text)
		when := time.Now().Add(time.Duration(i-5) * 10 * time.Millisecond) // not within one tick of the clock
		h.must(os.Chtimes(h.path("app.log"), when, when))
		h.must(os.Rename(h.path("app.log"), h.path(fmt.Sprint("app.log.", i+1))))
	}
	h.write("app.log", "four\n")
	look(tail, 0)
	equal(t, "rotated before it was found", stored(h.store, "/var/log/app.log"), []string{"one", "two", "three", "four"})
	// It goes, and what it was is read to its end; one that comes under its name is new.
	h.must(os.Rename(h.path("app.log"), h.path("app.log.4")))
	look(tail, time.Hour)
	h.write("app.log", "five\n")
	look(tail, 0)
	equal(t, "back again", stored(h.store, "/var/log/app.log"), []string{"one", "two", "three", "four", "five"})
	tail.close()
}
