// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestJSONFile(t *testing.T) {
	f := func(line, text string, stderr, partial bool) {
		t.Helper()
		var e entry
		var s scratch
		n, err := nextJSON([]byte(line+"\nrest"), &s, &e)
		if err != nil || n != len(line)+1 || string(e.text) != text || e.stderr != stderr || e.partial != partial || e.time != 1 {
			t.Errorf("%s: %d %v, %q stderr %v partial %v at %d; want %q %v %v", line, n, err, e.text, e.stderr, e.partial, e.time, text, stderr, partial)
		}
	}
	const at = `"time":"1970-01-01T00:00:00.000000001Z"}`
	f(`{"log":"hello\n","stream":"stdout",`+at, "hello", false, false)
	f(`{"log":"\n","stream":"stderr",`+at, "", true, false)
	f(`{"log":"no end","stream":"stdout",`+at, "no end", false, true)
	f(`{"log":"","stream":"stdout",`+at, "", false, true)
	f(`{"log":"back\\n","stream":"stdout",`+at, `back\n`, false, true)
	f(`{"log":"back\\\n","stream":"stdout",`+at, `back\`, false, false)
	f(`{"log":"quote\" and \\\"\n","stream":"stdout",`+at, `quote" and \"`, false, false)
	f(`{"log":"\u001b[31mred\u001b[0m \u0000 \ud83d\ude00 \u00e9\r\n","stream":"stdout",`+at, "\x1b[31mred\x1b[0m \x00 😀 é\r", false, false)
	f(`{"log":"x\n","stream":"stdout","attrs":{"a":"\",\"time\":\""},`+at, "x", false, false)
	f(`{"time":"1970-01-01T00:00:00.000000001Z","stream":"stderr","log":"other order\n"}`, "other order", true, false)
	for _, line := range []string{"", "x", "{}", `{"log":"x\n","stream":"stdout","time":"soon"}`, `{"log":"x`, "\x00\x00"} {
		var e entry
		var s scratch
		if n, err := nextJSON([]byte(line+"\n"), &s, &e); !errors.Is(err, errBad) || n != len(line)+1 {
			t.Errorf("%q: %d %v, want that it is skipped", line, n, err)
		}
	}
}

// localEntry is what the driver local writes.
func localEntry(e entry) []byte {
	source := "stdout"
	if e.stderr {
		source = "stderr"
	}
	m := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), source)
	m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), uint64(e.time))
	m = protowire.AppendBytes(protowire.AppendTag(m, 3, protowire.BytesType), e.text)
	if e.partial {
		m = protowire.AppendVarint(protowire.AppendTag(m, 4, protowire.VarintType), 1)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(m)))
	return binary.BigEndian.AppendUint32(append(b, m...), uint32(len(m)))
}

func TestLocal(t *testing.T) {
	var b []byte
	want := []entry{{time: 1, text: []byte("one")}, {time: 2, stderr: true, text: []byte("two")}, {time: 3, text: []byte(strings.Repeat("x", 16384)), partial: true}}
	for _, e := range want {
		b = append(b, localEntry(e)...)
	}
	check := func(b []byte, want []entry) {
		t.Helper()
		for _, w := range want {
			var e entry
			var s scratch
			n, err := nextLocal(b, &s, &e)
			if err != nil || e.time != w.time || e.stderr != w.stderr || string(e.text) != string(w.text) || e.partial != w.partial {
				t.Fatalf("%d %v %+v, want %+v", n, err, e, w)
			}
			b = b[n:]
		}
	}
	check(b, want)
	// Behind a damaged entry the next one is found.
	b[0] = 0xff
	var e entry
	n, err := nextLocal(b, nil, &e)
	if !errors.Is(err, errBad) || n != len(localEntry(want[0])) {
		t.Errorf("a damaged entry: %d %v", n, err)
	}
	check(b[n:], want[1:])
}

func FuzzJSONFile(f *testing.F) {
	f.Add([]byte(`{"log":"hello\n","stream":"stdout","time":"2026-11-24T12:00:00.123456789Z"}`))
	f.Add([]byte(`{"log":"\ud83d\ude00\u0000\"\\","stream":"stderr","attrs":{"a":"b"},"time":"2026-11-24T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if strings.ContainsRune(string(line), '\n') {
			return
		}
		var fast, slow entry
		var s1, s2 scratch
		if !fastJSON(line, &s1, &fast) || !json.Valid(line) {
			return // what is no JSON may be read all the same: nothing of it is lost
		}
		if strings.Count(string(line), `"log"`) > 1 || strings.Count(string(line), `"time"`) > 1 || strings.Count(string(line), `"stream"`) > 1 ||
			strings.Count(strings.ToLower(string(line)), `\u`) > 0 && strings.Contains(string(line), `"\u`) {
			return // members twice
		}
		if slowJSON(line, &s2, &slow) && (fast.time != slow.time || fast.partial != slow.partial || string(fast.text) != string(slow.text)) {
			if strings.ContainsRune(string(slow.text), '\uFFFD') {
				return // text that is no UTF-8 is kept as it is
			}
			t.Errorf("%s: fast %+v, slow %+v", line, fast, slow)
		}
	})
}

func FuzzLocal(f *testing.F) {
	f.Add(localEntry(entry{time: 1, text: []byte("x"), partial: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			var e entry
			n, err := nextLocal(b, nil, &e)
			if errors.Is(err, errMore) {
				return
			}
			if n <= 0 || n > len(b) {
				t.Fatalf("took %d of %d bytes, %v", n, len(b), err)
			}
			b = b[n:]
		}
	})
}

func BenchmarkJSONFile(b *testing.B) {
	line := []byte(`{"log":"` + strings.Repeat("GET /index.html 200 ", 6) + `1234567\n","stream":"stdout","time":"2026-11-24T12:00:00.123456789Z"}` + "\n")
	var e entry
	var s scratch
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nextJSON(line, &s, &e); err != nil {
			b.Fatal(err)
		}
	}
}
