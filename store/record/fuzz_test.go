// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/store/storetest"
)

// FuzzWALRecord gives payloads whose checksum fits: nothing panics, and what is
// read is written again the same.
func FuzzWALRecord(f *testing.F) {
	for _, b := range folderOf(f, 60, 20) {
		for at := headerSize; at < len(b); {
			payload, size, ok := walRecord(b[at:])
			if !ok {
				f.Fatal("no record")
			}
			f.Add(payload)
			at += size
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		names := walStreams{1: testStream}
		p, err := parseWALPayload(payload, names)
		if err != nil {
			return
		}
		s := &Store{seq: p.seq - 1, positions: map[string]string{}}
		var streams []*stream
		for _, g := range p.batch.Streams {
			streams = append(streams, &stream{pub: g.Stream, labels: appendLabels(nil, g.Stream.Labels)})
		}
		again, err := parseWALPayload(s.appendBatch(nil, &p.batch, streams, &walFile{}), walStreams{})
		if err != nil || again.seq != p.seq || len(again.batch.Streams) != len(p.batch.Streams) || !slices.Equal(again.batch.Positions, p.batch.Positions) {
			t.Fatalf("written again it is %v %+v, want %+v", err, again, p)
		}
		for i, g := range p.batch.Streams {
			wantSame(t, again.batch.Streams[i].Records, g.Records)
		}
	})
}

func wantSame(t *testing.T, got, want []tallyman.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Time != want[i].Time || !bytes.Equal(got[i].Line, want[i].Line) || !slices.Equal(got[i].Meta, want[i].Meta) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// FuzzWAL opens a store with any WAL.
func FuzzWAL(f *testing.F) {
	for _, b := range folderOf(f, 60, 20) {
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(append(slices.Clone(b), b[headerSize:]...))
	}
	f.Fuzz(func(t *testing.T, b []byte) { openAny(t, "00000001.wal", b) })
}

// FuzzSegment opens a store with any segment, and reads all of it.
func FuzzSegment(f *testing.F) {
	for name, b := range segmentsOf(f) {
		f.Add(b)
		f.Add(b[:len(b)-10])
		_ = name
	}
	for name, b := range filesOf(f, filepath.Join("testdata", "version2")) {
		if strings.HasSuffix(name, ".seg") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) { openAny(t, "log-00000001.seg", b) })
}

// segmentsOf are some with a footer and one without.
func segmentsOf(f testing.TB) map[string][]byte {
	f.Helper()
	dir := f.TempDir()
	s, err := Open(Options{Dir: dir, segment: 300, syncEvery: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := s.AppendRecords(testBatch(i*10, i*10+10)); err != nil {
			f.Fatal(err)
		}
		s.mu.Lock()
		s.sealAll(func(*head) bool { return true })
		s.mu.Unlock()
	}
	s.Close()
	files := filesOf(f, dir)
	for name := range files {
		if !strings.HasSuffix(name, ".seg") {
			delete(files, name)
		}
	}
	return files
}

// openAny opens a store with one file in it, reads it in several ways, appends,
// and opens it again.
func openAny(t *testing.T, name string, b []byte) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir, syncEvery: time.Hour})
	if err != nil {
		return
	}
	defer s.Close()
	all := storetest.Select(t, s, storetest.All())
	q := storetest.All()
	q.Backward, q.NoLines, q.Contains = true, true, []string{"line 0000001"}
	storetest.Select(t, s, q)
	storetest.Select(t, s, tallyman.RecordQuery{Start: genStart, End: genStart + 10_000_000, NoMeta: true})
	if mark := s.LastMark(); mark < 2_000_000 { // a number may be any
		read := storetest.ReadLog(t, s, 0, storetest.Any)
		for key, records := range all {
			if n := len(read.Streams[key]); n < len(records) {
				t.Fatalf("%s: %d records come in the order of their numbers, and %d in that of time", key, n, len(records))
			}
		}
		storetest.ReadLog(t, s, mark/2, storetest.Of("name", "web"))
	}
	if _, err := s.Volume(t.Context(), nil, -5, 1<<62); err != nil {
		t.Fatal(err)
	}
	fresh := &tallyman.Stream{Labels: []tallyman.Label{{Name: "fresh", Value: "yes"}}}
	if all[`fresh="yes" `] != nil {
		return
	}
	records := []tallyman.Record{{Time: 1, Line: []byte("fresh")}}
	if err := s.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: fresh, Records: records}}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, err = Open(Options{Dir: dir, syncEvery: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	again := storetest.Select(t, s, storetest.All())
	wantSame(t, again[`fresh="yes" `], records)
	if own(s, "damaged_total", "torn") != 0 {
		t.Error("something torn is left after the first Open")
	}
	for key, want := range all {
		if len(again[key]) != len(want) {
			t.Errorf("%s: got %d records when opened again, want %d", key, len(again[key]), len(want))
		}
	}
}

// FuzzChunk makes a chunk of any lines and reads it again; then the fuzzer's
// other bytes are put over it, with good checksums, and nothing panics.
func FuzzChunk(f *testing.F) {
	f.Add([]byte("a\nlog\nof lines"), int64(5), int64(1<<33), []byte{})
	f.Add([]byte("\n\n"), int64(-1), int64(-7), []byte{40, 2, 80, 7})
	f.Add(bytes.Repeat([]byte("the same again\n"), 200), int64(1<<62), int64(1<<55), []byte{8, 200})
	pack, err := newPacker(func(cause any) { f.Error(cause) })
	if err != nil {
		f.Fatal(err)
	}
	unpack, err := newUnpacker()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, start, step int64, over []byte) {
		h := &head{}
		for i, line := range bytes.Split(text, []byte("\n")) {
			r := tallyman.Record{Time: start + int64(i)*step, Line: line}
			if i%3 == 1 {
				r.Meta = []tallyman.Label{{Name: "first", Value: string(line[:min(1, len(line))])}}
			}
			h.append(&r, uint64(2*i+1))
		}
		labels := appendLabels(nil, testStream.Labels)
		m := chunkMaker{pack: pack}
		packed, _ := m.chunk(h, labels)
		read := func(b []byte, q tallyman.RecordQuery) ([]tallyman.Record, error) {
			path := filepath.Join(t.TempDir(), "x.seg")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			head, _, err := parseChunkHeader(b)
			if err != nil {
				return nil, err
			}
			if int(head.size) > len(b) || int(head.lead()) > len(b) {
				return nil, errDamaged
			}
			seg := &segment{path: path}
			if err := seg.acquire(); err != nil {
				t.Fatal(err)
			}
			defer seg.release()
			s := &Store{unpack: unpack}
			c := &cursor{q: newQuery(t.Context(), s, &q), seg: seg}
			r := chunkOf(seg, 0, &head)
			k := &unpacked{}
			err = c.fill(k, &r, new([]byte))
			return k.records, err
		}
		q := storetest.All()
		q.End = 1<<63 - 1
		got, err := read(packed, q)
		if err != nil {
			t.Fatalf("its own chunk: %v", err)
		}
		c := &cursor{q: newQuery(t.Context(), nil, &q)}
		k := &unpacked{}
		c.fromHead(k, h)
		wantSame(t, got, k.records)
		for _, line := range bytes.Split(text, []byte("\n")) { // its filter has no line left out
			if len(line) < 3 {
				continue
			}
			q := q
			q.Contains = []string{string(line[:3]), string(line)}
			if found, err := read(packed, q); err != nil || len(found) == 0 && len(got) > 0 && h.max < q.End {
				t.Fatalf("%q is not found: %v", line, err)
			}
			break
		}
		for i := 0; i+1 < len(over); i += 2 {
			packed[8+int(over[i])%(len(packed)-8)] = over[i+1]
		}
		if head, _, err := parseChunkHeader(fixed(packed)); err == nil {
			at := uint64(chunkFixed) + uint64(head.labels)
			for i, s := range head.sections() { // so that the readers behind the checksums are reached
				if at+uint64(s.size) <= uint64(len(packed)) {
					le.PutUint32(packed[44+12*i+8:], checksum(packed[at:at+uint64(s.size)]))
				}
				at += uint64(s.size)
			}
			read(fixed(packed), storetest.All())
		}
	})
}

// fixed is a chunk whose header has a good checksum.
func fixed(b []byte) []byte {
	if n := chunkFixed + uint64(le.Uint32(b[40:])); n <= uint64(len(b)) {
		le.PutUint32(b[4:], checksum(b[8:n]))
	}
	return b
}

// FuzzFooter gives footers whose checksum fits.
func FuzzFooter(f *testing.F) {
	for _, b := range segmentsOf(f) {
		n := int(le.Uint32(b[len(b)-trailerSize:]))
		if le.Uint32(b[len(b)-4:]) == footerMagic {
			f.Add(b[len(b)-trailerSize-n:len(b)-trailerSize], int64(len(b)-trailerSize-n))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, start int64) {
		if len(b) >= footerFixed {
			le.PutUint32(b, footerMagic)
			le.PutUint32(b[8:], uint32(len(b)))
			le.PutUint32(b[4:], checksum(b[8:]))
		}
		last, streams, err := parseFooter(b, max(0, start%(1<<31)))
		if err != nil {
			return
		}
		again := footer(nil, last, streams)
		l, s, err := parseFooter(again[:len(again)-trailerSize], max(0, start%(1<<31)))
		if err != nil || l != last || len(s) != len(streams) {
			t.Fatalf("written again: %v, %d streams of %d", err, len(s), len(streams))
		}
		for i := range s {
			if !slices.Equal(s[i].chunks, streams[i].chunks) || !bytes.Equal(s[i].labels, streams[i].labels) {
				t.Fatalf("stream %d is %+v, want %+v", i, s[i], streams[i])
			}
		}
	})
}
