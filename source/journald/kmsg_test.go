// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tallyman"
	"tallyman/internal/journal/journaltest"
	"tallyman/internal/logrule"
	"tallyman/internal/recordtest"
)

func TestKernelMessages(t *testing.T) {
	for in, want := range map[string]string{
		"6,1,2,-;text of it\n":                               "6 0 1 2 text of it",
		"3,4294967296,9000000,c;a \\xe2\\x82\\xac \\n \\xzz": "3 0 4294967296 9000000 a \u20ac \\n \\xzz",
		"30,7,8,-,caller=T1;of a program\n SUBSYSTEM=x\n":    "6 3 7 8 of a program",
		"4,7,8,-;\n":                   "4 0 7 8 ",
		"no message":                   "",
		"a,1,2,-;x":                    "",
		"1,2;x":                        "",
		"6,-1,2,-;x":                   "",
		"6,1,99999999999999999999,-;x": "",
	} {
		var k kernelMessage
		got := ""
		if k.parse([]byte(in)) {
			got = fmt.Sprintf("%d %d %d %d %s", k.priority, k.facility, k.seqnum, k.since, k.text)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzKernelMessage(f *testing.F) {
	f.Add([]byte("6,1,2,-;text \\x20of it\n SUBSYSTEM=x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k kernelMessage
		if n := len(b); k.parse(b) && (len(k.text) > n || k.priority > 7) {
			t.Errorf("%+v", k)
		}
	})
}

// device gives one message with each read, then an error.
type device struct {
	messages []string
	end      error
}

func (d *device) Read(b []byte) (int, error) {
	if len(d.messages) == 0 {
		return 0, d.end
	}
	m := d.messages[0]
	d.messages = d.messages[1:]
	if m == "" {
		return 0, &os.PathError{Err: syscall.EPIPE}
	}
	return copy(b, m), nil
}

func (*device) Close() error { return nil }

// Over restarts each message comes once; what the kernel has overwritten is told; of
// programs nothing is taken.
func TestKernelMessagesOverRestarts(t *testing.T) {
	store := recordtest.New()
	boot := "id"
	feed := func(boot string, rule *logrule.Rule, messages ...string) *Source {
		s := filesSource(store, t.TempDir(), func(o *Options) { o.Unit = func(string) *logrule.Rule { return rule } })
		s.kernel.load()
		if s.kernel.boot == "" {
			t.Skip("no boot id")
		}
		if boot != "" {
			s.o.Proc = t.TempDir()
			dir := filepath.Join(s.o.Proc, "sys/kernel/random")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "boot_id"), []byte(boot), 0o600); err != nil {
				t.Fatal(err)
			}
			s.kernel = newMessages(s)
			s.kernel.load()
		}
		s.kernel.run(t.Context(), &device{messages, io.EOF})
		if err := s.batch.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	feed(boot, nil, "6,10,1000000,-;one", "12,11,1100000,-;of a program", "nonsense", "3,12,1200000,-;two")
	feed(boot, nil, "6,10,1000000,-;one", "3,12,1200000,-;two", "4,13,1300000,-;three")
	equal(t, "two starts", lines(store), []string{"kernel info one", "kernel error two", "kernel warn three"})
	s := feed(boot, nil, "", "6,20,2000000,-;much later")
	if s.counts.Gaps.Load() != 1 {
		t.Errorf("%d gaps", s.counts.Gaps.Load())
	}
	for _, want := range []string{"kernel warn tallyman: the kernel has overwritten 6 of its messages before they were read", "kernel info much later"} {
		if !slices.Contains(lines(store), want) {
			t.Errorf("%q is missing in %q", want, lines(store))
		}
	}
	if s := feed("another", nil, "6,1,1,-;a new boot"); s.counts.Gaps.Load() != 0 {
		t.Error("a boot is no gap")
	}
	// What a rule joins and is not whole is read again.
	rule, err := logrule.Compile(logrule.Text{Start: `^\S`})
	if err != nil {
		t.Fatal(err)
	}
	feed("another", rule, "6,2,2,-;first", "6,3,3,-; line", "6,4,4,-;second")
	feed("another", rule, "6,2,2,-;first", "6,3,3,-; line", "6,4,4,-;second", "6,5,5,-; line", "6,6,6,-;third")
	var joined []string
	for _, l := range lines(store) {
		if strings.Contains(l, "\n") || strings.Contains(l, "first") || strings.Contains(l, "second") {
			joined = append(joined, l)
		}
	}
	equal(t, "joined", joined, []string{"kernel info first\n line", "kernel info second\n line"})
}

// The kernel's messages come from the device as long as there is no journal; those that
// the journal has too do not come twice, in both directions.
func TestKernelMessagesWithoutAJournal(t *testing.T) {
	f, err := openKmsg(kmsg)
	if err != nil {
		t.Skipf("/dev/kmsg cannot be read: %v", err)
	}
	var b [kmsgSize]byte
	_, err = f.Read(b[:])
	if f.Close(); err != nil {
		t.Skipf("/dev/kmsg cannot be read: %v", err)
	}
	dir := t.TempDir()
	store := recordtest.New()
	s := filesSource(store, dir, func(o *Options) { o.Kmsg = kmsg })
	stop := run(t, s)
	until(t, "messages are stored", func() bool { return len(lines(store)) > 0 })
	until(t, "it says so", func() bool {
		return strings.Contains(absence(s).Reason, "come from /dev/kmsg") && figure(s, "tallyman_journal_way", "kmsg") == 1
	})
	stop()
	// What came after the last commit is read again.
	var since uint64
	var boot string
	stored, _ := store.Position(kmsgKey)
	if _, err := fmt.Sscanf(stored, "1 %s %d %d", &boot, new(uint64), &since); err != nil {
		t.Fatalf("%q: %v", stored, err)
	}
	n := len(lines(store))
	s = filesSource(store, dir, func(o *Options) { o.Kmsg = kmsg })
	stop = run(t, s)
	w, put := file(t, filepath.Join(dir, "system.journal"))
	w.Boot = boot
	w.Add(1_700_000_000_000_000, "MESSAGE=it was read", "_TRANSPORT=kernel", "PRIORITY=6", fmt.Sprint("_SOURCE_MONOTONIC_TIMESTAMP=", since-1))()
	w.Add(1_700_000_000_000_001, "MESSAGE=it was not read", "_TRANSPORT=kernel", "PRIORITY=6", fmt.Sprint("_SOURCE_MONOTONIC_TIMESTAMP=", uint64(1)<<50))()
	put()
	until(t, "the journal is read", func() bool {
		l := lines(store)
		for _, one := range l {
			if one == "kernel info it was not read" {
				return true
			}
		}
		return false
	})
	for _, l := range lines(store) {
		if strings.Contains(l, "it was read") {
			t.Errorf("%q is there twice", l)
		}
	}
	if figure(s, "tallyman_journal_way", Files) != 1 || figure(s, "tallyman_journal_way", "kmsg") != 0 {
		t.Error("it does not read the journal")
	}
	stop()
	if len(lines(store)) < n {
		t.Error("lines have gone")
	}
	// Back again, with no position of messages: from where the journal was left.
	store = recordtest.New()
	if err := store.AppendRecords(&tallyman.RecordBatch{Positions: []tallyman.Position{{Key: key, Value: fmt.Sprintf("1 s=%s;i=1;b=%s;m=%x;t=1;x=1 0", journaltest.Machine, boot, since)}}}); err != nil {
		t.Fatal(err)
	}
	s = filesSource(store, t.TempDir(), func(o *Options) { o.Kmsg = kmsg })
	s.state.load()
	s.kernel.load()
	if s.kernel.next.since != since || s.kernel.open {
		t.Errorf("%+v, want since %d", s.kernel.next, since)
	}
}

// A device that may not be read is said to be.
func TestKernelMessagesThatMayNotBeRead(t *testing.T) {
	s := filesSource(recordtest.New(), t.TempDir(), func(o *Options) { o.Kmsg, o.Image = filepath.Join(t.TempDir(), "kmsg"), true })
	stop := run(t, s)
	until(t, "it says why", func() bool {
		a := absence(s)
		return strings.Contains(a.Reason, "no such file") && strings.Contains(a.Unlock, "SYSLOG")
	})
	stop()
}
