// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tallyman"
	"tallyman/store/storetest"
)

// wantLog wants the records [from, to) of testStream, in that order.
func wantLog(t testing.TB, got storetest.Log, from, to int) {
	t.Helper()
	n := from
	for _, records := range got.Streams {
		for _, r := range records {
			if want := testRecord(n); r.Time != want.Time || !bytes.Equal(r.Line, want.Line) {
				t.Fatalf("got %q, want %q", r.Line, want.Line)
			}
			n++
		}
	}
	if n != to {
		t.Fatalf("got the records up to %d, want %d", n, to)
	}
}

func sealHeads(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealAll(func(*head) bool { return true })
}

// dropOldest removes the oldest segment of lines, as the retention does.
func dropOldest(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(s.classNamed("log"), byAge)
}

// What the retention takes before it was read is told by its number, and what it leaves
// comes as ever.
func TestLogGapOfTheRetention(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), now: c.now, syncEvery: time.Hour})
	mustAppend(t, s, 0, 100)
	r := s.ReadRecords(0, storetest.Any) // before it goes
	defer r.Close()
	sealHeads(s)
	c.add(25 * time.Hour) // a new segment
	mustAppend(t, s, 100, 150)
	sealHeads(s)
	mustAppend(t, s, 150, 170)
	dropOldest(s)
	got := storetest.ReadLog(t, s, 0, storetest.Any)
	wantLog(t, got, 100, 170)
	if len(got.Gaps) != 1 || got.Gaps[0].Records != 100 || got.Mark != 170 {
		t.Errorf("got gaps %v and the mark %d", got.Gaps, got.Mark)
	}
	p, err := r.Next(t.Context(), 1<<20)
	if err != nil || p.Gap.Records != 100 || p.Mark != 170 {
		t.Errorf("the reader that was there gets %+v %v", p.Gap, err)
	}
	if got := storetest.ReadLog(t, s, 120, storetest.Any); len(got.Gaps) > 0 {
		t.Errorf("got gaps %v behind what is missing", got.Gaps)
	} else {
		wantLog(t, got, 120, 170)
	}
	if got := storetest.ReadLog(t, s, 60, storetest.Of("name", "none")); got.Missing() != 40 || got.Mark != 170 {
		t.Errorf("who wants none of it gets %v and the mark %d", got.Gaps, got.Mark)
	}
}

// A part that has begun when the retention takes the rest ends with a gap.
func TestLogLosesWhatItReads(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), now: c.now, syncEvery: time.Hour})
	const n = 5000
	for i := 0; i < n; i += 50 {
		mustAppend(t, s, i, i+50)
	}
	sealHeads(s)
	r := s.ReadRecords(0, storetest.Any)
	defer r.Close()
	p, err := r.Next(t.Context(), 1000)
	if err != nil || p.Mark != 0 {
		t.Fatalf("%+v %v", p, err)
	}
	got := 0
	for _, g := range p.Streams {
		got += len(g.Records)
	}
	c.add(25 * time.Hour)
	mustAppend(t, s, n, n+1)
	sealHeads(s)
	dropOldest(s)
	for p.Mark < n {
		if p, err = r.Next(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
		for _, g := range p.Streams {
			got += len(g.Records)
		}
	}
	if got == 0 || got+int(p.Gap.Records) != n {
		t.Errorf("got %d records and a gap of %d, want %d in all", got, p.Gap.Records, n)
	}
}

// A damaged chunk is a gap with its number of records.
func TestLogGapOfDamage(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir()})
	const n = 10_000
	for i := 0; i < n; i += 50 {
		mustAppend(t, s, i, i+50)
	}
	r := s.index.find(testStream.Labels).chunks[1]
	f, err := os.OpenFile(r.seg.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), int64(r.off+r.size/2)); err != nil {
		t.Fatal(err)
	}
	got := storetest.ReadLog(t, s, 0, storetest.Any)
	if got.Missing() != uint64(r.count) || len(got.Streams[`name="web" `]) != n-int(r.count) {
		t.Errorf("got %d records and %d missing, want %d missing", len(got.Streams[`name="web" `]), got.Missing(), r.count)
	}
}

// Files of version 2 have no numbers in their chunks: all of a chunk comes where its last
// record does, nothing is told of gaps there, and nothing more is appended to them.
func TestLogOfVersion2(t *testing.T) {
	dir := t.TempDir()
	files := filesOf(t, filepath.Join("testdata", "version2"))
	writeFiles(t, dir, files)
	s := mustOpen(t, Options{Dir: dir, syncEvery: time.Hour})
	wantStored(t, s, 160)
	wantLog(t, storetest.ReadLog(t, s, 0, storetest.Any), 0, 160)
	wantLog(t, storetest.ReadLog(t, s, 10, storetest.Any), 0, 160)
	wantLog(t, storetest.ReadLog(t, s, 40, storetest.Any), 40, 160)
	wantLog(t, storetest.ReadLog(t, s, 130, storetest.Any), 130, 160) // of the WAL
	mustAppend(t, s, 160, 200)
	sealHeads(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range filesOf(t, dir) {
		if before, ok := files[name]; ok && filepath.Ext(name) == ".seg" && len(b) > len(before) && le.Uint32(b[len(b)-4:]) != footerMagic {
			t.Errorf("%s was appended to", name)
		}
	}
	s = mustOpen(t, Options{Dir: dir, syncEvery: time.Hour})
	wantStored(t, s, 200)
	got := storetest.ReadLog(t, s, 0, storetest.Any)
	wantLog(t, got, 0, 200)
	if len(got.Gaps) > 0 || got.Mark != 200 {
		t.Errorf("got gaps %v and the mark %d", got.Gaps, got.Mark)
	}
}

// A reader that takes ranges one after the other gives the same as one that takes all at
// once, of many streams, and reads a chunk that reaches over the end of a range for each.
func TestLogInRanges(t *testing.T) {
	const logRange = 5000
	s := mustOpen(t, Options{Dir: t.TempDir(), syncEvery: time.Hour, logRange: logRange})
	g := newGenerator(20, 6*logRange)
	want := map[string]int{}
	for g.n < 6*logRange-500 {
		b := g.next(100)
		for _, of := range b.Streams {
			want[of.Stream.Label("name")] += len(of.Records)
		}
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []tallyman.Mark{0, 1, logRange / 2} {
		for _, name := range []string{"", "shop-app-003"} {
			n := 0
			got := storetest.ReadLog(t, s, after, func(st *tallyman.Stream) (string, bool) {
				return st.Label("name"), name == "" || st.Label("name") == name
			})
			for key, records := range got.Streams {
				n += len(records)
				last := int64(0)
				for _, r := range records {
					if r.Time < last {
						t.Fatalf("%s is not in order", key)
					}
					last = r.Time
				}
			}
			if len(got.Gaps) > 0 || name == "" && n != g.n-int(after) || name != "" && after == 0 && n != want[name] {
				t.Errorf("after %d of %q: got %d records of %d, gaps %v", after, name, n, g.n, got.Gaps)
			}
		}
	}
}

// BenchmarkReadLog reads what was appended, behind: from chunks, and at the end from heads.
func BenchmarkReadLog(b *testing.B) {
	s, lines := benchStore(b)
	b.ReportAllocs()
	var cpu time.Duration
	text := 0
	for b.Loop() {
		start := cpuTime()
		r := s.ReadRecords(0, storetest.Any)
		n := 0
		for mark := tallyman.Mark(0); mark < s.LastMark(); {
			p, err := r.Next(b.Context(), 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			mark = p.Mark
			for _, g := range p.Streams {
				n += len(g.Records)
				for i := range g.Records {
					text += len(g.Records[i].Line)
				}
			}
		}
		r.Close()
		cpu += cpuTime() - start
		if n != lines {
			b.Fatalf("got %d records, want %d", n, lines)
		}
	}
	b.ReportMetric(cpu.Seconds()*1e3/(float64(text)/1e6), "cpu-ms/MB")
	b.ReportMetric(rss(), "RSS-MiB")
}

// BenchmarkIngestRead is BenchmarkIngest with somebody who reads the log behind it, once a
// second; the CPU time of both is counted.
func BenchmarkIngestRead(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	g := newGenerator(100, max(b.N, 1000))
	r := s.ReadRecords(0, storetest.Any)
	defer r.Close()
	var cpu time.Duration
	text, n := 0, 0
	for g.n < b.N {
		batch := g.next(min(1000, b.N-g.n))
		for _, of := range batch.Streams {
			for _, r := range of.Records {
				text += len(r.Line)
			}
		}
		start := cpuTime()
		if err := s.AppendRecords(batch); err != nil {
			b.Fatal(err)
		}
		for mark := tallyman.Mark(0); g.n%20_000 == 0 && mark < s.LastMark(); {
			p, err := r.Next(b.Context(), 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			mark = p.Mark
			for _, g := range p.Streams {
				n += len(g.Records)
			}
		}
		cpu += cpuTime() - start
	}
	if n < b.N-20_000 {
		b.Fatalf("read %d of %d", n, b.N)
	}
	b.ReportMetric(float64(b.N)/cpu.Seconds(), "lines/cpu-s")
	b.ReportMetric(float64(text)/1e6/cpu.Seconds(), "MB/cpu-s")
	b.ReportMetric(rss(), "RSS-MiB")
}

// FuzzRuns makes runs of any order and reads them again; other bytes make no panic, and no
// number that cannot be.
func FuzzRuns(f *testing.F) {
	f.Add([]byte{1, 1, 5, 1, 200, 1}, []byte{0, 3, 1})
	f.Add([]byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, steps, raw []byte) {
		h := &head{}
		var numbers []uint64
		n := uint64(0)
		for i, step := range steps {
			n += max(1, uint64(step))
			numbers = append(numbers, n)
			h.append(&tallyman.Record{Time: int64(steps[len(steps)-1-i])}, n)
		}
		if len(numbers) > 0 {
			order := h.order()
			head := &chunkHeader{count: uint32(len(numbers)), seq: n}
			runs, err := unpackRuns(appendRuns(nil, h, order), head, nil)
			if err != nil || firstOf(runs) != h.first() {
				t.Fatalf("%v: %v, the first is %d", numbers, err, firstOf(runs))
			}
			var got []uint64
			for _, r := range runs {
				for i := range uint64(r.n) {
					got = append(got, r.first+i)
				}
			}
			for i, number := range got {
				want := numbers[i]
				if order != nil {
					want = numbers[order[i]]
				}
				if number != want {
					t.Fatalf("the number of record %d is %d, want %d", i, number, want)
				}
			}
		}
		head := &chunkHeader{count: uint32(len(steps)), seq: 1000}
		if runs, err := unpackRuns(raw, head, nil); err == nil && len(raw) > 0 {
			if sum := within(runs, 0, 1000); sum != uint64(len(steps)) {
				t.Fatalf("%d numbers of %d records: %v", sum, len(steps), fmt.Sprint(runs))
			}
		}
	})
}
