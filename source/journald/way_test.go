// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/journal/journaltest"
	"tallyman/internal/logrule"
	"tallyman/internal/recordtest"
	"tallyman/internal/testkit"
)

const soon = 30 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it was waited in vain until %s", what)
		}
	}
}

// filesSource reads the files of a folder.
func filesSource(store tallyman.RecordSink, dir string, change func(*Options)) *Source {
	o := Options{Records: recordtest.Intake(store), Host: "h", Units: []string{"docker.service", "kernel"}, Log: slog.New(slog.DiscardHandler), Folders: []string{dir},
		Container: func(id string) (*tallyman.Container, bool, bool) {
			return &tallyman.Container{ID: id, Host: "h", Name: "n" + id[:1]}, false, true
		},
		Rules: func(*tallyman.Container) (*logrule.Rule, error) { return nil, nil }, Unit: func(string) *logrule.Rule { return nil }}
	if change != nil {
		change(&o)
	}
	return New(o)
}

// run runs a source until the function that it gives is called.
func run(t *testing.T, s *Source) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended: %v", err)
		}
	}
}

// file makes a journal that can be added to.
func file(t *testing.T, name string) (w *journaltest.File, store func()) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	w = journaltest.New(true, true)
	return w, func() {
		t.Helper()
		if err := w.Store(f); err != nil {
			t.Fatal(err)
		}
	}
}

func absence(s *Source) tallyman.Absence {
	if a := s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget}); len(a) == 1 {
		return a[0]
	}
	return tallyman.Absence{}
}

func figure(s *Source, name, way string) float64 {
	for _, m := range s.SelfMetrics() {
		if m.Desc.Name == name && (way == "" || m.Labels[0].Value == way) {
			return m.Read()
		}
	}
	return -1
}

func lines(store *recordtest.Store) (out []string) {
	for _, f := range store.Find("source", "journal") {
		out = append(out, f.Label("unit")+" "+f.Label("level")+" "+string(f.Line))
	}
	return out
}

// One position leads from files to journalctl and back: every line once, whichever way
// reads.
func TestFilesAndJournalctlGoOnWhereTheOtherWas(t *testing.T) {
	testkit.Need(t, "journalctl", "install Debian's package systemd")
	dir := t.TempDir()
	w, put := file(t, filepath.Join(dir, "system.journal"))
	store := recordtest.New()
	var want, wantContainer []string
	n := 0
	for _, via := range []string{Files, Journalctl, Files, Files, Journalctl, Journalctl, Auto} {
		for range 50 {
			n++
			w.Add(uint64(1_700_000_000_000_000+n), fmt.Sprint("MESSAGE=number ", n), "_SYSTEMD_UNIT="+[]string{"docker.service", "other.service"}[n%2], "PRIORITY=4", "_TRANSPORT=journal")()
			if n%2 == 0 {
				want = append(want, fmt.Sprint("docker.service warn number ", n))
			}
			fields := []string{fmt.Sprint("MESSAGE=of a container ", n), "CONTAINER_ID_FULL=" + id1, "CONTAINER_NAME=n1", "_COMM=dockerd", "_UID=0", "PRIORITY=6"}
			if n%5 == 0 {
				fields = append(fields, "CONTAINER_PARTIAL_MESSAGE=true")
			}
			n++
			w.Add(uint64(1_700_000_000_000_000+n), fields...)()
			if text := fmt.Sprint("of a container ", n-1); len(wantContainer) > 0 && strings.HasSuffix(wantContainer[len(wantContainer)-1], "+") {
				last := &wantContainer[len(wantContainer)-1]
				*last = strings.TrimSuffix(*last, "+") + text
			} else {
				wantContainer = append(wantContainer, "stdoutunknown "+text)
			}
			if (n-1)%5 == 0 {
				wantContainer[len(wantContainer)-1] += "+"
			}
		}
		n++ // what comes last is whole
		w.Add(uint64(1_700_000_000_000_000+n), "MESSAGE=the end", "CONTAINER_ID_FULL="+id1, "CONTAINER_NAME=n1", "_COMM=dockerd", "_UID=0", "PRIORITY=6")()
		if last := &wantContainer[len(wantContainer)-1]; strings.HasSuffix(*last, "+") {
			*last = strings.TrimSuffix(*last, "+") + "the end"
		} else {
			wantContainer = append(wantContainer, "stdoutunknown the end")
		}
		put()
		s := filesSource(store, dir, func(o *Options) { o.Via, o.Directory = via, dir })
		stop := run(t, s)
		until(t, "all is stored by "+via, func() bool { return len(stored(store, "name", "n1")) >= len(wantContainer) })
		if way := map[string]string{Auto: Files}[via]; figure(s, "tallyman_journal_way", Files) != 1 && (via == Files || way == Files) || figure(s, "tallyman_journal_way", Journalctl) != 1 && via == Journalctl {
			t.Errorf("with %s it reads in another way", via)
		}
		stop()
		if g := s.counts.Gaps.Load(); g != 0 {
			t.Errorf("%d gaps", g)
		}
	}
	equal(t, "a unit", lines(store), want)
	equal(t, "a container", stored(store, "name", "n1"), wantContainer)
}

// Files come, are broken, need a later version, go: it is said, and taken up when it can
// be.
func TestFilesThatCannotBeRead(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no journalctl
	dir := filepath.Join(t.TempDir(), "journal")
	store := recordtest.New()
	s := filesSource(store, dir, nil)
	if err := s.Look(t.Context()); err != nil || absence(s).Code != tallyman.None || s.Active() {
		t.Errorf("no folder: %v, %+v", err, absence(s))
	}
	stop := run(t, s)
	until(t, "it says that there is no journal", func() bool { return strings.Contains(absence(s).Reason, "It has no journal") })
	stop()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "system.journal")
	if err := os.WriteFile(name, []byte(strings.Repeat("not a journal", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	s = filesSource(store, dir, nil)
	stop = run(t, s)
	until(t, "it says what is wrong", func() bool {
		a := absence(s)
		return a.Code == tallyman.Lacking && strings.Contains(a.Reason, "no journal file that can be read") && figure(s, "tallyman_journal_refused_files_total", "") == 1
	})
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	w, put := file(t, name)
	w.Add(1_700_000_000_000_000, "MESSAGE=at last", "_SYSTEMD_UNIT=docker.service", "PRIORITY=6")()
	put()
	until(t, "the line is stored", func() bool { return len(lines(store)) == 1 })
	if !s.Active() || absence(s).Reason != "" || figure(s, "tallyman_journal_files", "") != 1 {
		t.Errorf("it is read: %+v", absence(s))
	}
	// A form that comes with a later systemd, beside one that is known.
	late, putLate := file(t, filepath.Join(dir, "user-1.journal"))
	late.Add(1_700_000_000_000_001, "MESSAGE=of the future", "_SYSTEMD_UNIT=docker.service")()
	late.Bytes[13] = 0x80
	putLate()
	until(t, "it says that a form is not known", func() bool { return strings.Contains(absence(s).Reason, "a form that is not known") })
	if !s.Active() {
		t.Error("the others are not read any more")
	}
	stop()
}

// As another user some files may not be read: it is said, and the others are.
func TestFilesThatMayNotBeRead(t *testing.T) {
	dir, err := os.MkdirTemp("", "journal")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for _, name := range []string{"system.journal", "user-1000.journal"} {
		w, put := file(t, filepath.Join(dir, name))
		w.Add(1_700_000_000_000_000, "MESSAGE=of "+name, "_SYSTEMD_UNIT=docker.service", "PRIORITY=6")()
		put()
	}
	if err := os.Chmod(filepath.Join(dir, "system.journal"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // who may read everything
		if err := syscall.Seteuid(65534); err != nil {
			t.Skip(err)
		}
		defer func() { _ = syscall.Seteuid(0) }()
	}
	store := recordtest.New()
	s := filesSource(store, dir, func(o *Options) { o.Via = Files })
	stop := run(t, s)
	until(t, "the line is stored", func() bool { return slices.Equal(lines(store), []string{"docker.service info of user-1000.journal"}) })
	until(t, "it says what is missing", func() bool { return strings.Contains(absence(s).Reason, "may not be read") && s.Active() })
	stop()
}

// Where files need a later version and there is a journalctl, it is run.
func TestJournalctlReadsWhatFilesDoNot(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\nprintf '__CURSOR=s=1;i=1;b=1;m=1;t=1;x=1\\n__REALTIME_TIMESTAMP=1700000000000000\\nMESSAGE=of the future\\n_SYSTEMD_UNIT=docker.service\\n\\n'\nexec sleep 600\n"
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	w, put := file(t, filepath.Join(dir, "system.journal"))
	w.Bytes[13] = 0x80
	put()
	store := recordtest.New()
	s := filesSource(store, dir, nil)
	stop := run(t, s)
	until(t, "the line is stored", func() bool { return slices.Equal(lines(store), []string{"docker.service unknown of the future"}) })
	if figure(s, "tallyman_journal_way", Journalctl) != 1 || !s.Active() {
		t.Errorf("another way: %+v", absence(s))
	}
	stop()
}

// Files were deleted beyond the position: a line says so, and all that is left is read.
func TestFilesRotatedBeyondThePosition(t *testing.T) {
	dir := t.TempDir()
	store := recordtest.New()
	n := 0
	fill := func(name string, lines int) {
		w, put := file(t, filepath.Join(dir, name))
		w.Seqnum = n
		for range lines {
			n++
			w.Add(uint64(1_700_000_000_000_000+n), fmt.Sprint("MESSAGE=number ", n), "_SYSTEMD_UNIT=docker.service", "PRIORITY=6")()
		}
		put()
	}
	fill("system@1.journal", 10)
	stop := run(t, filesSource(store, dir, nil))
	until(t, "all is stored", func() bool { return len(lines(store)) == 10 })
	stop()
	fill("system@2.journal", 10)
	fill("system.journal", 10)
	for _, name := range []string{"system@1.journal", "system@2.journal"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := filesSource(store, dir, nil)
	stop = run(t, s)
	until(t, "the rest is stored", func() bool { return len(lines(store)) == 21 })
	stop()
	if g := s.counts.Gaps.Load(); g != 1 || !slices.Contains(lines(store), "docker.service info number 30") || slices.Contains(lines(store), "docker.service info number 15") {
		t.Errorf("%d gaps, %q", g, lines(store))
	}
}

// A position that is none of a journal: it begins with the last entries, and says so.
func TestPositionThatIsNone(t *testing.T) {
	dir := t.TempDir()
	w, put := file(t, filepath.Join(dir, "system.journal"))
	w.Add(1_700_000_000_000_000, "MESSAGE=a line", "_SYSTEMD_UNIT=docker.service", "PRIORITY=6")()
	put()
	store := recordtest.New()
	s := filesSource(store, dir, nil)
	if err := store.AppendRecords(&tallyman.RecordBatch{Positions: []tallyman.Position{{Key: key, Value: fmt.Sprintf("1 s=1;i=2 %x", s.asked())}}}); err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	until(t, "both lines are stored", func() bool { return len(lines(store)) == 2 })
	stop()
	if s.counts.Gaps.Load() != 1 {
		t.Errorf("%q", lines(store))
	}
}

func TestVia(t *testing.T) {
	for _, via := range []string{"", Auto, Files, Journalctl} {
		if err := (Options{Via: via}).Check(); err != nil {
			t.Error(err)
		}
	}
	if err := (Options{Via: "telepathy"}).Check(); err == nil {
		t.Error("no error")
	}
}

// Where a container finds its host's journal.
func TestFoldersOfTheHost(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"run/log/journal", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte(journaltest.Machine+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := func(name string) string {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			return ""
		}
		return filepath.Join(root, name)
	}
	made := func(container bool, own Options) *Source {
		s, err := Kind().New(tallyman.RecordOptions{InContainer: container, Path: path, Own: own})
		if err != nil {
			t.Fatal(err)
		}
		return s.(*Source)
	}
	in := made(true, Options{})
	if !slices.Equal(in.o.Folders, []string{root + "/run/log/journal"}) || in.o.Machine.String() != journaltest.Machine {
		t.Errorf("in a container: %q, %s", in.o.Folders, in.o.Machine)
	}
	if on := made(false, Options{}); !slices.Equal(on.o.Folders, []string{"/var/log/journal", "/run/log/journal"}) {
		t.Errorf("on a host: %q", on.o.Folders)
	}
	if set := made(true, Options{Directory: "/x"}); !slices.Equal(set.o.Folders, []string{"/x"}) || set.o.Machine.String() == journaltest.Machine {
		t.Errorf("a folder that is set: %q", set.o.Folders)
	}
	bare := made(true, Options{})
	bare.o.Folders = nil
	if err := bare.Look(t.Context()); err != nil || absence(bare).Code != tallyman.Lacking || !strings.Contains(absence(bare).Unlock, "/var/log/journal") {
		t.Errorf("%v, %+v", err, absence(bare))
	}
}
