// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/recordtest"
)

// lines is the simplest log: plain lines, and files that are named 0, 1, 2 … as the
// log is rotated.
type lines struct {
	Log
	tail  *Tail[*lines]
	dir   string
	next  int // the file to open
	files []*File
	out   Output[int64]
	whole bool // nothing more comes
	bad   []error
}

func (l *lines) Lead() {
	for {
		f, err := Open(filepath.Join(l.dir, fmt.Sprint(l.next)))
		if err != nil {
			return
		}
		l.files = append(l.files, f)
		l.next++
	}
}

func (l *lines) First() (*File, bool) {
	if len(l.files) == 0 {
		return nil, false
	}
	return l.files[0], len(l.files) == 1
}

func (l *lines) Look(size int64, _ time.Time) bool {
	f := l.files[0]
	if size >= f.Off {
		return false
	}
	l.tail.Missing(l, Gap{Text: "it was emptied", Bytes: f.Off})
	f.Go(0)
	return true
}

func (l *lines) MayGrow() bool { return len(l.files) == 1 && !l.whole }

func (l *lines) Decode(b []byte, more bool) (took int) {
	f := l.files[0]
	for len(b) > took {
		text, _, whole := bytes.Cut(b[took:], []byte{'\n'})
		if !whole && more {
			break
		}
		p := Line[int64]{Text: text, Time: l.tail.Now.UnixNano(), At: f.Off}
		l.out.Line(l.out.Piece(&p, false), l.tail.Now)
		n := len(text)
		if whole {
			n++
		}
		took += n
		f.Off += int64(n)
	}
	return took
}

func (l *lines) Drop() {
	l.files[0].Close()
	l.files = l.files[1:]
}

func (l *lines) Bad(err error)         { l.bad = append(l.bad, err) }
func (l *lines) Gather() time.Duration { return time.Millisecond }

func (l *lines) Serve(context.Context) bool {
	took := l.tail.Turn(l)
	l.tail.Rest(l, took, false)
	return len(l.files) > 0
}

func (l *lines) Position() tallyman.Position {
	p := tallyman.Position{Key: "lines"}
	if len(l.files) > 0 {
		p.Value = fmt.Sprint(l.next, l.files[0].Off)
	}
	return p
}

// testTail has one log of lines, and inotify.
func testTail(t *testing.T) (*lines, *recordtest.Store) {
	t.Helper()
	store := recordtest.New()
	l := &lines{dir: t.TempDir()}
	far := func() time.Time { return time.Now().Add(time.Hour) }
	l.tail = NewTail[*lines](Source{Learn: far, Saw: func(Seen) {}, Close: func() {}, Log: slog.New(slog.DiscardHandler)}, recordtest.Intake(store), &Counts{}, 4096)
	l.Streams = logstream.From(nil, "h", "lines")
	l.out = Output[int64]{Batch: l.tail.Batch, Counts: l.tail.Counts, Of: l, Streams: l.Streams}
	l.tail.Logs["a"] = l
	var err error
	if l.tail.Watch, err = NewWatch(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.tail.Watch.Close)
	return l, store
}

// write appends to a file of the log.
func (l *lines) write(t *testing.T, name int, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, fmt.Sprint(name)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// round is a round in which the log is due; it gives how long the log rests then.
func (l *lines) round(t *testing.T) time.Duration {
	t.Helper()
	l.Due = time.Time{}
	l.tail.Round(t.Context())
	return l.Due.Sub(l.tail.Now)
}

// rest gives the log turns until it is quiet.
func (l *lines) rest(t *testing.T) {
	t.Helper()
	for range 10 {
		if l.round(t) == LookEvery {
			return
		}
	}
	t.Fatalf("it is not quiet, but rests %v", l.round(t))
}

func wantLines(t *testing.T, s *recordtest.Store, want ...string) {
	t.Helper()
	var got []string
	for _, f := range s.Find("source", "lines") {
		got = append(got, string(f.Line))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// woken waits until inotify tells that the log is written to.
func (l *lines) woken(t *testing.T) {
	t.Helper()
	later := time.Now().Add(time.Hour)
	l.Due = later
	for end := time.After(time.Minute); l.Due.Equal(later); {
		select {
		case <-l.tail.Watch.Wake(): // perhaps of what was taken up before
			l.tail.woken()
		case <-end:
			t.Fatal("nobody tells that it is written to")
		}
	}
}

// The more a log gives, the sooner it has its next turn; when it is quiet, inotify
// tells, also of the file that has come with a rotation.
func TestRest(t *testing.T) {
	l, store := testTail(t)
	l.write(t, 0, "one\n")
	if d := l.round(t); d != 100*time.Millisecond {
		t.Errorf("after a line it rests %v", d)
	}
	l.rest(t)
	l.write(t, 0, "two\nand ha")
	l.woken(t)
	l.round(t)
	l.rest(t)
	l.write(t, 1, "") // it is rotated, and written to only later
	l.rest(t)
	l.write(t, 1, "three\n")
	l.woken(t)
	l.round(t)
	wantLines(t, store, "one", "two", "and ha", "three")
	if err := os.Truncate(filepath.Join(l.dir, "1"), 0); err != nil {
		t.Fatal(err)
	}
	l.round(t)
	l.write(t, 1, "four")
	l.whole = true
	l.round(t)
	l.round(t)
	wantLines(t, store, "one", "two", "and ha", "three", "tallyman: it was emptied (about 6 bytes)", "four")
	if n := l.tail.Counts.Gaps.Load(); n != 1 || len(l.bad) > 0 || len(l.files) > 0 {
		t.Errorf("%d gaps, %v, %d files are open", n, l.bad, len(l.files))
	}
}

// A turn takes a buffer, so that one log delays others by little.
func TestTurnTakesABuffer(t *testing.T) {
	l, store := testTail(t)
	text := bytes.Repeat([]byte("0123456789abcde\n"), 1024)
	l.write(t, 0, string(text))
	for n := range 4 {
		l.round(t)
		if got, want := len(store.Find("source", "lines")), (n+1)*256; got != want {
			t.Errorf("%d turns give %d lines, want %d", n+1, got, want)
		}
	}
}

// sizes are files of which nothing is known but their size.
type size int64

func (s size) Size() (int64, time.Time, error) { return int64(s), time.Time{}, nil }

func TestWithin(t *testing.T) {
	files := []size{100, 10, 20, 30}
	for most, want := range map[int64][2]int64{1000: {0, 0}, 160: {0, 0}, 159: {0, 1}, 60: {0, 100}, 59: {1, 1}, 30: {2, 20}, 1: {3, 29}} {
		first, skip := Within(files, most)
		if got := [2]int64{int64(first), skip}; got != want {
			t.Errorf("the last %d bytes of %v begin in %d, behind %d; want %v", most, files, first, skip, want)
		}
	}
}
