// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
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

// lines are the lines of an answer beyond a position.
func lines(t *testing.T, in []byte, tty bool, skip position) (got []string, at position) {
	t.Helper()
	b := &buffer{at: skip, skip: skip, streams: logstream.For(&tallyman.Container{ID: "x", Name: "n"})}
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
	in := bytes.Join([][]byte{
		frame(1, at1+" one\n"), frame(2, at1+" oops\n"), frame(1, at1+" "+strings.Repeat("a", 5)), frame(2, at2+" between\n"), frame(1, at1+" end\n"), frame(1, at2+" without end"),
	}, nil)
	got, at := lines(t, in, false, position{})
	if d := cmp.Diff([]string{"stdout one", "stdout aaaaaend", "stdout without end", "stderr oops", "stderr between"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if at != (position{2, 2}) {
		t.Errorf("the position is %v", at)
	}
	// The same again from the position that two lines of the first time make.
	got, _ = lines(t, in, false, position{1, 2})
	if d := cmp.Diff([]string{"stderr between", "stdout aaaaaend", "stdout without end"}, got); d != "" {
		t.Errorf("from a position (-want +got):\n%s", d)
	}
	got, _ = lines(t, []byte(at1+" one\r\n"+at2+" two"), true, position{})
	if d := cmp.Diff([]string{"stdout one\r", "stdout two"}, got); d != "" {
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
