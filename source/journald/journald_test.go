// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
	"tallyman/internal/recordtest"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("JOURNAL"); name != "" {
		journalctl(name, os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	id1 = "1111111111111111111111111111111111111111111111111111111111111111"
	id2 = "2222222222222222222222222222222222222222222222222222222222222222"
)

// printed is entries in the export format, with their cursors.
type printed struct {
	n       int
	entries []string
	cursors []string
}

func (j *printed) add(text string, fields ...string) {
	j.n++
	c := fmt.Sprintf("s=aa;i=%x;b=bb;m=1;t=%x;x=1", j.n, 1000+j.n)
	e := fmt.Sprintf("__CURSOR=%s\n__REALTIME_TIMESTAMP=%d\n", c, 1_000_000+j.n)
	if strings.ContainsAny(text, "\n\x00") {
		e += "MESSAGE\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))) + text + "\n"
	} else {
		e += "MESSAGE=" + text + "\n"
	}
	j.entries, j.cursors = append(j.entries, e+strings.Join(fields, "\n")+"\n\n"), append(j.cursors, c)
}

// of adds a line of a container, cut into pieces of 5 bytes.
func (j *printed) of(id, text string, stderr bool) {
	p := "PRIORITY=6"
	if stderr {
		p = "PRIORITY=3"
	}
	fields := []string{p, "CONTAINER_ID_FULL=" + id, "CONTAINER_NAME=n" + id[:1], "_COMM=dockerd", "_UID=0", "_SYSTEMD_UNIT=docker.service"}
	for ; len(text) > 5; text = text[5:] {
		j.add(text[:5], append(fields, "CONTAINER_PARTIAL_MESSAGE=true")...)
	}
	j.add(text, fields...)
}

func (j *printed) unit(unit, text, transport string, p int) {
	j.add(text, "_SYSTEMD_UNIT="+unit, "_TRANSPORT="+transport, fmt.Sprint("PRIORITY=", p))
}

// from is what journalctl prints from a cursor on.
func (j *printed) from(cursor string, to int) string {
	at := max(slices.Index(j.cursors, cursor), 0)
	return strings.Join(j.entries[at:to], "")
}

func testSource(store tallyman.RecordSink, rule *logrule.Rule) *Source {
	s := New(Options{Records: recordtest.Intake(store), Host: "h", Units: []string{"docker.service", "kernel"}, Log: slog.New(slog.DiscardHandler),
		Container: func(id string) (*tallyman.Container, bool, bool) {
			return &tallyman.Container{ID: id, Host: "h", Name: "n" + id[:1]}, false, true
		},
		Rules: func(*tallyman.Container) (*logrule.Rule, error) { return rule, nil }, Unit: func(string) *logrule.Rule { return nil }})
	s.state.load()
	return s
}

// feed is one run of journalctl that ends after so many entries.
func feed(t *testing.T, s *Source, j *printed, to int) {
	t.Helper()
	s.state.first = true
	err := s.read(context.Background(), &reader{bufio.NewReaderSize(strings.NewReader(j.from(s.state.from(), to)), 4096)})
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

func stored(s *recordtest.Store, name, value string) (lines []string) {
	for _, f := range s.Find(name, value) {
		lines = append(lines, f.Label("stream")+f.Label("level")+" "+string(f.Line))
	}
	return lines
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestLines(t *testing.T) {
	j := &printed{}
	j.unit("docker.service", `level=warning msg="something"`, "stdout", 6)
	j.unit("docker.service", "in several\nlines\x00and binary", "journal", 3)
	j.unit("ssh.service", "not wanted", "syslog", 6)
	j.add("of the kernel, no error", "_TRANSPORT=kernel", "PRIORITY=4")
	j.add("Started Docker.", "UNIT=docker.service", "_PID=1", "_SYSTEMD_UNIT=init.scope", "PRIORITY=6")
	j.of(id1, "ERROR in a line of some length", false)
	j.of(id1, "oops", true)
	j.add("forged", "CONTAINER_ID_FULL="+id1, "_COMM=evil", "_UID=1000", "_SYSTEMD_UNIT=user.slice")
	j.add("forged too", "CONTAINER_ID_FULL=../"+id1[3:], "_COMM=dockerd", "_UID=0", "_SYSTEMD_UNIT=x.service")
	store := recordtest.New()
	s := testSource(store, nil)
	feed(t, s, j, j.n)
	s.batch.Commit(context.Background())
	equal(t, "docker.service", stored(store, "unit", "docker.service"), []string{`warn level=warning msg="something"`, "error in several\nlines\x00and binary", "info Started Docker."})
	equal(t, "kernel", stored(store, "unit", "kernel"), []string{"warn of the kernel, no error"})
	equal(t, "a container", stored(store, "name", "n1"), []string{"stdouterror ERROR in a line of some length", "stderrunknown oops"})
	equal(t, "all units", stored(store, "source", "journal"), []string{`warn level=warning msg="something"`, "error in several\nlines\x00and binary", "warn of the kernel, no error", "info Started Docker."})
}

// Pieces and entries of several containers between each other; journalctl and
// tallyman end at any place.
func TestNothingIsMissingOrTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, start := range []string{"", `^\d`} {
		rule, err := logrule.Compile(logrule.Text{Start: start})
		if err != nil {
			t.Fatal(err)
		}
		for round := range uint64(60) {
			random := rand.New(rand.NewPCG(seed, round))
			j := &printed{}
			want := map[string][]string{}
			var pieces []func()
			open := map[string]bool{}
			for i := range 60 {
				id := []string{id1, id2}[random.IntN(2)]
				stderr := random.IntN(3) == 0
				k := fmt.Sprint(id, stderr)
				text := fmt.Sprintf("%d%s", i, strings.Repeat("y", random.IntN(20)))
				if start != "" && random.IntN(2) == 0 && open[k] {
					text = " " + text
				}
				open[k] = true
				pieces = append(pieces, func() { j.of(id, text, stderr) })
				if w := want[k]; start != "" && text[0] == ' ' {
					w[len(w)-1] += "\n" + text
				} else {
					want[k] = append(w, text)
				}
			}
			for _, p := range pieces {
				p()
			}
			// Pieces of different outputs get between each other.
			for range 200 {
				i := random.IntN(j.n - 1)
				a, b := j.entries[i], j.entries[i+1]
				if log := func(e string) string {
					return fmt.Sprint(strings.Contains(e, id1), strings.Contains(e, "PRIORITY=3"))
				}; log(a) != log(b) {
					swap := func(e, c string) string { // only the cursor stays
						_, rest, _ := strings.Cut(e, "\nMESSAGE")
						head, _, _ := strings.Cut(c, "\nMESSAGE")
						return head + "\nMESSAGE" + rest
					}
					j.entries[i], j.entries[i+1] = swap(b, a), swap(a, b)
				}
			}
			store := recordtest.New()
			s := testSource(store, rule)
			for to := 0; to < j.n; {
				to = min(to+random.IntN(20), j.n)
				feed(t, s, j, to)
				switch random.IntN(3) {
				case 0:
					s.batch.Commit(context.Background())
				case 1: // kill -9
					s = testSource(store, rule)
				}
			}
			feed(t, s, j, j.n)
			feed(t, s, j, j.n)
			for _, l := range slices.Clone(s.state.pending) {
				s.state.end(l)
			}
			s.batch.Commit(context.Background())
			for k, w := range want {
				out := "stdout"
				if strings.HasSuffix(k, "true") {
					out = "stderr"
				}
				var got []string
				for _, l := range stored(store, "name", "n"+k[:1]) {
					if text, ok := strings.CutPrefix(l, out+"unknown "); ok {
						got = append(got, text)
					}
				}
				if !slices.Equal(got, w) {
					t.Fatalf("seed %d round %d start %q, %s: %q, want %q", seed, round, start, k, got, w)
				}
			}
			if n := s.counts.Gaps.Load(); n != 0 {
				t.Fatalf("seed %d round %d: %d gaps", seed, round, n)
			}
		}
	}
}

// A journal that was rotated beyond the position: a line says so.
func TestGap(t *testing.T) {
	j := &printed{}
	for i := range 10 {
		j.unit("docker.service", fmt.Sprint(i), "journal", 6)
	}
	store := recordtest.New()
	s := testSource(store, nil)
	feed(t, s, j, 3)
	s.batch.Commit(context.Background())
	j.entries, j.cursors = j.entries[5:], j.cursors[5:]
	s = testSource(store, nil)
	feed(t, s, j, 5)
	s.batch.Commit(context.Background())
	if n := s.counts.Gaps.Load(); n != 1 {
		t.Errorf("%d gaps, want 1", n)
	}
	if got := stored(store, "source", "journal"); len(got) != 9 {
		t.Errorf("%q, want 8 lines and one that says that some are missing", got)
	}
}

// A command that ends, one that says nonsense, and one that is not there.
func TestTheCommand(t *testing.T) {
	store := recordtest.New()
	dir := t.TempDir()
	script := filepath.Join(dir, "journalctl")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho 'no such luck' >&2\nprintf 'nonsense\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := testSource(store, nil)
	s.o.Command = script
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if a := s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget}); len(a) != 1 || s.Active() || s.starts.Load() != 1 || s.ended.Load() != 1 {
		t.Errorf("%v, run %d times", a, s.starts.Load())
	}
	s.o.Command = filepath.Join(dir, "none")
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if a := s.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget}); len(a) != 1 || !strings.Contains(a[0].Reason, "no such file") {
		t.Errorf("%v", a)
	}
}

// Values are bounded, whichever way they are written.
func TestBounds(t *testing.T) {
	var b bytes.Buffer
	long := strings.Repeat("z", logtail.MaxLine+1000)
	fmt.Fprintf(&b, "MESSAGE=%s\n_COMM=%s\nOTHER=%s\n\n", long, long, long)
	fmt.Fprintf(&b, "MESSAGE\n%s%s\nMESSAGE=second\n\n", binary.LittleEndian.AppendUint64(nil, uint64(len(long))), long)
	r := &reader{bufio.NewReaderSize(&b, 4096)}
	var e entry
	for range 2 {
		if err := r.next(&e); err != nil {
			t.Fatal(err)
		}
		if len(e.values[message]) != logtail.MaxLine || e.lost != 1000 || len(e.values[comm]) > maxValue {
			t.Errorf("a message of %d bytes, %d lost, a name of %d", len(e.values[message]), e.lost, len(e.values[comm]))
		}
	}
	if err := r.next(&e); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	for _, bad := range []string{"A=b", "A\n\x01", "A\n\x02\x00\x00\x00\x00\x00\x00\x00xyz\n", "A\n\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("n", 10000), "A=b\n"} {
		if err := (&reader{bufio.NewReaderSize(strings.NewReader(bad), 4096)}).next(&e); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// FuzzExport writes what was read once more and reads it again.
func FuzzExport(f *testing.F) {
	f.Add([]byte("__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=5\nMESSAGE=x\nPRIORITY=3\n\nMESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\n\n"))
	f.Add([]byte("\n\nA=b\n_UID=0\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &reader{bufio.NewReaderSize(bytes.NewReader(in), 256)}
		var e, again entry
		for r.next(&e) == nil {
			var b []byte
			for i, v := range e.values {
				b = append(append(b, names[i]...), '\n')
				b = append(append(binary.LittleEndian.AppendUint64(b, uint64(len(v))), v...), '\n')
			}
			if err := (&reader{bufio.NewReaderSize(bytes.NewReader(append(b, '\n')), 256)}).next(&again); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
			for i := range e.values {
				if !bytes.Equal(e.values[i], again.values[i]) {
					t.Fatalf("%s is %q and then %q", names[i], e.values[i], again.values[i])
				}
			}
			e.container()
			e.time()
		}
	})
}

// FuzzPosition reads positions that were not written by tallyman.
func FuzzPosition(f *testing.F) {
	f.Add("1 s=1;i=2 " + strconv.FormatUint(7, 16) + " oabc=s=1;i=1")
	f.Fuzz(func(t *testing.T, text string) {
		store := recordtest.New()
		if err := store.AppendRecords(&tallyman.RecordBatch{Positions: []tallyman.Position{{Key: key, Value: text}}}); err != nil {
			return
		}
		s := testSource(store, nil)
		s.state.from()
		s.state.Position()
	})
}

// A run that ends within a line is not joined to the next run: the pieces of each
// have an id.
func TestPiecesHaveIDs(t *testing.T) {
	j := &printed{}
	piece := func(text, id string, more bool) {
		fields := []string{"PRIORITY=6", "CONTAINER_ID_FULL=" + id1, "CONTAINER_NAME=n1", "_COMM=dockerd", "_UID=0", "CONTAINER_PARTIAL_ID=" + id}
		if more {
			fields = append(fields, "CONTAINER_PARTIAL_MESSAGE=true")
		}
		j.add(text, fields...)
	}
	piece("unfinished", "a", true)
	piece("two ", "b", true)
	piece("pieces", "b", false)
	store := recordtest.New()
	s := testSource(store, nil)
	feed(t, s, j, j.n)
	s.batch.Commit(t.Context())
	want := []string{"stdoutunknown unfinished", "stdoutunknown two pieces"}
	if got := stored(store, "name", "n1"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
