// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tallyman/internal/testkit"
)

const remote = "/lib/systemd/systemd-journal-remote"

// systemd says which of systemd's own programs is missing.
func systemd(t testing.TB) {
	t.Helper()
	testkit.Need(t, "journalctl", "install Debian's package systemd")
	testkit.Need(t, remote, "install Debian's package systemd-journal-remote")
}

// text is a field in the export format.
func text(name, value string) string {
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' }) {
		return name + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
	}
	return name + "=" + value + "\n"
}

const testBoot, testMachine = "0123456789abcdef0123456789abcdef", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// made is an entry in the export format.
func made(i int, fields ...string) string {
	e := fmt.Sprintf("__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_MACHINE_ID=%s\n", 1_700_000_000_000_000+i*1000, 1_000_000+i*1000, testBoot, testMachine)
	for i := 0; i < len(fields); i += 2 {
		e += text(fields[i], fields[i+1])
	}
	return e + "\n"
}

// someEntries are entries of all sorts.
func someEntries(n int, seed uint64) string { return strings.Join(entryList(n, seed), "") }

func entryList(n int, seed uint64) (list []string) {
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		unit := []string{"docker.service", "containerd.service", "ssh.service"}[random.IntN(3)]
		message := fmt.Sprintf("line %d of %s", i, unit)
		switch random.IntN(20) {
		case 0:
			message += strings.Repeat(" and again", 200+random.IntN(100))
		case 1:
			message += "\nof several lines\x00\x01"
		case 2:
			junk := make([]byte, 3000)
			for i := range junk {
				junk[i] = byte(random.Uint32())
			}
			message += "\n" + string(junk)
		case 3:
			message = ""
		case 4:
			if random.IntN(10) == 0 {
				message += strings.Repeat("0123456789", 20_000+random.IntN(10_000))
			}
		}
		fields := []string{"MESSAGE", message, "_SYSTEMD_UNIT", unit, "PRIORITY", fmt.Sprint(random.IntN(8)), "_HOSTNAME", "host", "_PID", fmt.Sprint(random.IntN(30))}
		if random.IntN(10) == 0 {
			fields = append(fields, "EXTRA", "one", "EXTRA", "two")
		}
		if random.IntN(300) == 0 {
			fields = append(fields, "RARE", "yes")
		}
		list = append(list, made(i, fields...))
	}
	return list
}

// write makes a file of entries, or appends to it, with variables of its environment.
func write(t testing.TB, name, entries string, env ...string) {
	t.Helper()
	compress := "yes"
	if slices.Contains(env, "SYSTEMD_JOURNAL_COMPRESS=0") { // no variable in every version
		compress = "no"
	}
	cmd := exec.Command(remote, "--compress="+compress, "-o", name, "-")
	cmd.Stdin = strings.NewReader(entries)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-journal-remote: %v\n%s", err, out)
	}
}

// line is an entry as it is compared: its cursor, and its fields.
type line struct {
	cursor string
	fields []string
}

func (l line) equal(m line) bool { return l.cursor == m.cursor && slices.Equal(l.fields, m.fields) }

// journalctl gives the entries of a folder as journalctl does.
func journalctl(t testing.TB, dir string, args ...string) (lines []line) {
	t.Helper()
	cmd := exec.Command("journalctl", append([]string{"--directory=" + dir, "--output=export", "--no-pager", "--all"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) > 0 {
		t.Fatalf("journalctl: %v\n%s", err, stderr.Bytes())
	}
	return parseExport(t, out)
}

// parseExport reads the export format.
func parseExport(t testing.TB, out []byte) (lines []line) {
	t.Helper()
	var l line
	for len(out) > 0 {
		row, rest, ok := bytes.Cut(out, []byte{'\n'})
		if !ok {
			t.Fatalf("journalctl's output ends with %q", out)
		}
		out = rest
		if len(row) == 0 {
			slices.Sort(l.fields)
			lines, l = append(lines, l), line{}
			continue
		}
		name, value, textual := bytes.Cut(row, []byte{'='})
		if !textual {
			n := binary.LittleEndian.Uint64(out)
			value, out = out[8:8+n], out[8+n+1:]
		}
		switch {
		case string(name) == "__CURSOR":
			l.cursor = string(value)
		case !bytes.HasPrefix(name, []byte("__")):
			l.fields = append(l.fields, string(name)+"="+string(value))
		}
	}
	return lines
}

// ours gives the entries that a reader has left.
func ours(r *Reader) (lines []line) {
	var e Entry
	for r.Next(&e) {
		l := line{cursor: e.Cursor.String()}
		for _, f := range e.Fields {
			if string(f.Name) == "_BOOT_ID" { // journalctl writes it once, first
				continue
			}
			l.fields = append(l.fields, string(f.Name)+"="+string(f.Value))
		}
		l.fields = append(l.fields, "_BOOT_ID="+e.Boot.String())
		slices.Sort(l.fields)
		lines = append(lines, l)
	}
	return lines
}

// open opens a folder.
func open(t testing.TB, dir string, matches ...string) *Reader {
	t.Helper()
	m, err := ParseMatches(matches)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(Options{Folders: []string{dir}, Matches: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func compareLines(t testing.TB, what string, got, want []line) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !got[i].equal(want[i]) {
			t.Fatalf("%s: entry %d is\n%.300q\nwant\n%.300q", what, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
}

// kinds are the sorts of files that a journald can write.
func kinds(t *testing.T, do func(t *testing.T, env []string)) {
	for _, compress := range []string{"1", "0"} {
		for _, keyed := range []string{"1", "0"} {
			for _, compact := range []string{"1", "0"} {
				t.Run(fmt.Sprintf("compressed=%s keyed=%s compact=%s", compress, keyed, compact), func(t *testing.T) {
					do(t, []string{"SYSTEMD_JOURNAL_COMPRESS=" + compress, "SYSTEMD_JOURNAL_KEYED_HASH=" + keyed, "SYSTEMD_JOURNAL_COMPACT=" + compact})
				})
			}
		}
	}
}

// Entries are those that journalctl reads, field by field and cursor by cursor.
func TestEntriesAreJournalctls(t *testing.T) {
	systemd(t)
	kinds(t, func(t *testing.T, env []string) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.journal"), someEntries(1000, 1), env...)
		want := journalctl(t, dir)
		if len(want) != 1000 {
			t.Fatalf("journalctl reads %d entries", len(want))
		}
		r := open(t, dir)
		compareLines(t, "all", ours(r), want)
		if c := r.Counts(); c.Broken != 0 || c.Refused != 0 || c.Entries != 1000 {
			t.Errorf("%+v", c)
		}
	})
}

// Places are journalctl's in both directions, of matches and of all.
func TestSeek(t *testing.T) {
	systemd(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.journal"), someEntries(1000, 2))
	for _, matches := range [][]string{nil, {"_SYSTEMD_UNIT=docker.service"}, {"RARE=yes"}} {
		all := journalctl(t, dir, matches...)
		r := open(t, dir, matches...)
		for i := 0; i < len(all); i += 1 + len(all)/12 {
			c, err := ParseCursor(all[i].cursor)
			if err != nil {
				t.Fatal(err)
			}
			r.SeekCursor(c)
			compareLines(t, "from "+all[i].cursor, ours(r), all[i:])
			compareLines(t, "journalctl from our cursor", journalctl(t, dir, append([]string{"--cursor=" + c.String()}, matches...)...), all[i:])
			n := len(all) - i
			r.SeekTail(n)
			compareLines(t, fmt.Sprint("the last ", n), ours(r), all[i:])
		}
		r.SeekHead()
		compareLines(t, "from the head", ours(r), all)
		r.SeekTail(1 << 30)
		compareLines(t, "the last of all", ours(r), all)
		r.SeekTail(0)
		compareLines(t, "the last none", ours(r), nil)
	}
}

func TestMatches(t *testing.T) {
	systemd(t)
	kinds(t, func(t *testing.T, env []string) {
		if slices.Contains(env, "SYSTEMD_JOURNAL_COMPRESS=0") {
			return // values that can be matched are never packed
		}
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.journal"), someEntries(1000, 3), env...)
		write(t, filepath.Join(dir, "b.journal"), someEntries(300, 4), env...)
		for _, m := range []string{
			"_SYSTEMD_UNIT=docker.service", "RARE=yes", "PRIORITY=3 PRIORITY=4", "PRIORITY=3 _PID=7 _PID=8", "NONE=x",
			"PRIORITY=3 NONE=x", "PRIORITY=3 _PID=7 + RARE=yes + NONE=x + _SYSTEMD_UNIT=ssh.service PRIORITY=1 _PID=3", "EXTRA=one EXTRA=two", "+ EXTRA=two +",
			"_HOSTNAME=host", "MESSAGE=line 5 of docker.service",
		} {
			words := strings.Split(m, " ")
			if strings.HasPrefix(m, "MESSAGE") {
				words = []string{m}
			}
			compareLines(t, m, ours(open(t, dir, words...)), journalctl(t, dir, slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "+" && strings.HasPrefix(m, "+") })...))
		}
	})
}

// Several files, of several machines, series and boots, come in journalctl's order.
func TestOrder(t *testing.T) {
	systemd(t)
	dir := t.TempDir()
	machine := filepath.Join(dir, strings.Repeat("b", 32))
	if err := os.Mkdir(machine, 0o755); err != nil {
		t.Fatal(err)
	}
	parts := entryList(900, 5)
	for i, name := range []string{"a.journal", "b@x.journal", "user-1000.journal", machine + "/system.journal", machine + "/c.journal~"} {
		var b strings.Builder
		for k, p := range parts {
			if k%5 == i {
				if i%2 == 1 {
					p = strings.Replace(p, testBoot, strings.Repeat("c", 32), 1)
				}
				b.WriteString(p)
			}
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		to := strings.TrimSuffix(name, "~")
		write(t, to, b.String())
		if to != name {
			if err := os.Rename(to, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied, err := os.ReadFile(filepath.Join(dir, "a.journal"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "copied.journal"), copied, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := journalctl(t, dir)
	compareLines(t, "several files", ours(open(t, dir)), want)
	if len(want) != 900 { // what is copied is not there twice
		t.Errorf("%d entries", len(want))
	}
	r := open(t, dir)
	for i := 0; i < len(want); i += 61 {
		c, _ := ParseCursor(want[i].cursor)
		r.SeekCursor(c)
		compareLines(t, "from "+want[i].cursor, ours(r), journalctl(t, dir, "--cursor="+want[i].cursor))
		r.SeekTail(i)
		compareLines(t, fmt.Sprint("the last ", i), ours(r), want[len(want)-i:])
	}
}
