// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/logstream"
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
	c := &tallyman.Container{ID: "x", Name: "n", Tty: tty}
	b := &buffer{at: skip, skip: skip, c: c, streams: logstream.For(c)}
	r := &reader{in: bufio.NewReader(bytes.NewReader(in)), tty: tty}
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
	b.flush()
	for _, s := range b.batch.Streams {
		for _, rec := range s.Records {
			got = append(got, s.Stream.Label("stream")+" "+string(rec.Line))
		}
	}
	return got, b.at
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
	b := &buffer{c: &tallyman.Container{}, streams: logstream.For(&tallyman.Container{ID: "x", Name: "n"})}
	for range maxLine/logstream.PieceSize + 2 {
		b.take(&piece{time: 1, text: []byte(full)})
	}
	b.flush()
	r := b.batch.Streams[0].Records[0]
	if len(r.Line) != maxLine || b.cut != 1 || !slices.Contains(r.Meta, tallyman.Label{Name: "tallyman_cut_bytes", Value: fmt.Sprint(2 * logstream.PieceSize)}) {
		t.Errorf("a line of %d bytes with %v, %d cut", len(r.Line), r.Meta, b.cut)
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
		c := &tallyman.Container{ID: "x", Name: "n", Tty: true}
		b := &buffer{c: c, streams: logstream.For(c)}
		r := &reader{in: bufio.NewReader(strings.NewReader(in)), tty: true, started: started}
		var p piece
		for {
			if err := r.next(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			b.take(&p)
		}
		b.flush()
		var got []string
		for _, s := range b.batch.Streams {
			for _, rec := range s.Records {
				got = append(got, string(rec.Line))
			}
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
}
