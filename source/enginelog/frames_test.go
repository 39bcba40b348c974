// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func frame(output byte, text string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{output, 0, 0, 0}, uint32(len(text)))
	return append(b, text...)
}

const at1, at2 = "1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000002Z"

// linesOf are the lines of an answer beyond a position.
func linesOf(t *testing.T, in []byte, tty bool, skip position) (got []string, at position) {
	t.Helper()
	return read(t, &reader{in: bufio.NewReader(bytes.NewReader(in)), tty: tty}, skip)
}

// read are the lines that a reader gives beyond a position.
func read(t *testing.T, r *reader, skip position) (got []string, at position) {
	t.Helper()
	var all taken
	b := newBuffer(&all, &logtail.Counts{}, &tallyman.Container{ID: "x", Name: "n", Tty: r.tty}, skip, nil)
	var p piece
	for {
		err := r.next(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b.take(&p)
	}
	all.flush(t, b)
	return all.lines, all.at
}

// taken is what a store was given.
type taken struct {
	tallyman.RecordIntake
	lines []string
	meta  [][]tallyman.Label
	at    position
}

// flush gives it what a buffer still has.
func (a *taken) flush(t *testing.T, b *buffer) {
	t.Helper()
	b.flush()
	if err := b.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (a *taken) TakeRecords(_ context.Context, b *tallyman.RecordBatch) error {
	for _, s := range b.Streams {
		for _, rec := range s.Records {
			a.lines, a.meta = append(a.lines, s.Stream.Label("stream")+" "+string(rec.Line)), append(a.meta, rec.Meta)
		}
	}
	for _, p := range b.Positions {
		a.at = parsePosition(p.Value)
	}
	return nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("a", logstream.PieceSize)
	in := bytes.Join([][]byte{
		frame(1, at1+" one\n"), frame(2, at1+" oops\n"), frame(1, at1+" "+long), frame(2, at2+" between\n"), frame(1, at1+" end\n"), frame(1, at2+" without end"),
	}, nil)
	got, at := linesOf(t, in, false, position{})
	if d := cmp.Diff([]string{"stdout one", "stdout " + long + "end", "stdout without end", "stderr oops", "stderr between"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if at != (position{2, 2}) {
		t.Errorf("the position is %v", at)
	}
	// The same again from the position that two lines of the first time make.
	got, _ = linesOf(t, in, false, position{1, 2})
	if d := cmp.Diff([]string{"stderr between", "stdout " + long + "end", "stdout without end"}, got); d != "" {
		t.Errorf("from a position (-want +got):\n%s", d)
	}
	got, _ = linesOf(t, []byte(at1+" one\r\n"+at2+" two"), true, position{})
	if d := cmp.Diff([]string{"stdout one", "stdout two"}, got); d != "" {
		t.Errorf("with a terminal (-want +got):\n%s", d)
	}
}

func TestPosition(t *testing.T) {
	if got := parsePosition(position{7, 3}.String()); got != (position{7, 3}) {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "2 7 3", "1 7", "1 7 -3", "x"} {
		if got := parsePosition(bad); got != (position{}) {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(1, at1+" one\n"), false)
	f.Add([]byte(at1+" one\r\n"), true)
	f.Fuzz(func(t *testing.T, in []byte, tty bool) {
		r := &reader{in: bufio.NewReaderSize(bytes.NewReader(in), 64), tty: tty}
		var p piece
		for range len(in) + 2 {
			if r.next(&p) != nil {
				return
			}
			if len(p.text) > len(in) {
				t.Fatalf("%d bytes of text in %d", len(p.text), len(in))
			}
		}
		t.Fatal("it does not end")
	})
}

// The last line of a run that has no end is not joined to the next run, and the
// cut of a long line is told.
func TestRuns(t *testing.T) {
	full := strings.Repeat("f", logstream.PieceSize)
	for _, last := range []string{"unfinished", full, full + "and more"} {
		var in []byte
		for text := last; text != ""; text = text[min(len(text), logstream.PieceSize):] {
			in = append(in, frame(1, at1+" "+text[:min(len(text), logstream.PieceSize)])...)
		}
		in = append(in, frame(1, at2+" first of the next\n")...)
		got, _ := linesOf(t, in, false, position{})
		if d := cmp.Diff([]string{"stdout " + last, "stdout first of the next"}, got); d != "" {
			t.Errorf("(-want +got):\n%.200s", d)
		}
	}
	var all taken
	var n logtail.Counts
	b := newBuffer(&all, &n, &tallyman.Container{ID: "x", Name: "n"}, position{}, nil)
	for range logtail.MaxLine/logstream.PieceSize + 2 {
		b.take(&piece{time: 1, text: []byte(full)})
	}
	all.flush(t, b)
	if size := len(all.lines[0]) - len("stdout "); size != logtail.MaxLine || n.Cut.Load() != 1 || !slices.Contains(all.meta[0], tallyman.Label{Name: "tallyman_cut_bytes", Value: fmt.Sprint(2 * logstream.PieceSize)}) {
		t.Errorf("a line of %d bytes with %v, %d cut", size, all.meta[0], n.Cut.Load())
	}
}

// A terminal's answer has the engine's time before each piece of a long line, and
// the next run behind a line without an end.
func TestTerminal(t *testing.T) {
	const before, begun = "2026-03-01T08:15:30.000000001Z", "2026-03-01T09:00:00.000000002Z"
	long := strings.Repeat("x", 2*logstream.PieceSize) + "end"
	pieces := func(stamp, text string) (out string) {
		for ; len(text) > logstream.PieceSize; text = text[logstream.PieceSize:] {
			out += stamp + " " + text[:logstream.PieceSize]
		}
		return out + stamp + " " + text
	}
	started, _ := logstream.ParseTime([]byte("2026-03-01T09:00:00.000000000Z"))
	f := func(in string, want ...string) {
		t.Helper()
		got, _ := read(t, &reader{in: bufio.NewReader(strings.NewReader(in)), tty: true, started: started}, position{})
		for i := range want {
			want[i] = "stdout " + want[i]
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%.300s", d)
		}
	}
	f(pieces(before, long+"\r\n")+begun+" two\r\n", long, "two")
	f(before+" prompt> "+begun+" first of the next\r\n"+begun+" second\r\n", "prompt> ", "first of the next", "second")
	f(before+" it says "+before+" itself\r\n", "it says "+before+" itself")
	f(begun+" later "+begun+" is text\r\n", "later "+begun+" is text")
	f(before+" no end", "no end")

	// That it was started again may be heard later than its lines come. One that says a later
	// time by itself is asked about once.
	for _, c := range []struct {
		known int64
		asked int
		want  []string
	}{
		{started, 1, []string{"stdout unfinished", "stdout first of the next", "stdout " + begun + " second"}},
		{0, 1, []string{"stdout unfinished" + begun + " first of the next", "stdout again " + begun + " says"}},
	} {
		asked := 0
		r := &reader{tty: true, started: started - int64(time.Hour), restarted: func(int64) int64 { asked++; return c.known }}
		second := before + " again " + begun + " says\r\n"
		if c.known != 0 {
			second = begun + " " + begun + " second\r\n"
		}
		r.in = bufio.NewReader(strings.NewReader(before + " unfinished" + begun + " first of the next\r\n" + second))
		got, _ := read(t, r, position{})
		if d := cmp.Diff(c.want, got); d != "" || asked != c.asked {
			t.Errorf("asked %d times (-want +got):\n%s", asked, d)
		}
	}
}
