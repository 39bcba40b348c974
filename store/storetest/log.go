// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"tallyman"
)

// Log is what was read of a tallyman.RecordLog.
type Log struct {
	Streams map[string][]tallyman.Record // by the text of the streams' labels
	Mark    tallyman.Mark
	Gaps    []tallyman.Gap
	Parts   int
}

// Missing is how many records the gaps have.
func (l *Log) Missing() (n uint64) {
	for _, g := range l.Gaps {
		n += g.Records
	}
	return n
}

// ReadLog reads what is behind a mark, until there is no more. It fails the test when
// the reader breaks its promises.
func ReadLog(t testing.TB, s tallyman.RecordLog, after tallyman.Mark, want func(*tallyman.Stream) (string, bool)) Log {
	t.Helper()
	r := s.ReadRecords(after, want)
	defer r.Close()
	out := Log{Streams: map[string][]tallyman.Record{}, Mark: after}
	out.read(t, r, s.LastMark())
	return out
}

// read reads up to a mark.
func (l *Log) read(t testing.TB, r tallyman.RecordLogReader, to tallyman.Mark) {
	t.Helper()
	for l.Mark < to {
		p, err := r.Next(t.Context(), 20<<10)
		if err != nil {
			t.Fatalf("Next after %d: %v", l.Mark, err)
		}
		if p.Mark < l.Mark || p.Mark == l.Mark && len(p.Streams) == 0 {
			t.Fatalf("the mark was %d, and is %d with %d streams", l.Mark, p.Mark, len(p.Streams))
		}
		if g := p.Gap; g.Records > 0 {
			if g.After < l.Mark || g.To > p.Mark || uint64(g.To-g.After) < g.Records {
				t.Fatalf("the gap %+v does not lie between the marks %d and %d", g, l.Mark, p.Mark)
			}
			l.Gaps = append(l.Gaps, g)
		}
		l.Mark = p.Mark
		l.Parts++
		for _, of := range p.Streams {
			key := streamText(of.Stream)
			if len(of.Records) == 0 {
				t.Fatalf("%s comes without records", key)
			}
			if len(of.Numbers) != len(of.Records) {
				t.Fatalf("%d records of %s have %d numbers", len(of.Records), key, len(of.Numbers))
			}
			for _, r := range of.Records {
				r.Line, r.Meta = bytes.Clone(r.Line), slices.Clone(r.Meta)
				l.Streams[key] = append(l.Streams[key], r)
			}
		}
	}
}

// Any wants all streams, each for itself.
func Any(s *tallyman.Stream) (string, bool) { return streamText(s), true }

// Of wants the streams with that label.
func Of(name, value string) func(*tallyman.Stream) (string, bool) {
	return func(s *tallyman.Stream) (string, bool) { return streamText(s), s.Label(name) == value }
}

func testRecordLog(t *testing.T, open func(t *testing.T, dir string) RecordStore) {
	run := func(name string, f func(t *testing.T, dir string, s RecordStore, log tallyman.RecordLog)) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			log, ok := s.(tallyman.RecordLog)
			if !ok {
				t.Skip("no RecordLog")
			}
			f(t, dir, s, log)
		})
	}
	run("log", func(t *testing.T, _ string, s RecordStore, log tallyman.RecordLog) {
		if log.LastMark() != 0 {
			t.Errorf("an empty store has the mark %d", log.LastMark())
		}
		mustAppendRecords(t, s, batch(numberedRecords(0, 10)))
		mark := log.LastMark()
		if mark != 10 {
			t.Errorf("got the mark %d after 10 records", mark)
		}
		db := numberedRecords(0, 7)
		db.Stream = stream("name", "db")
		mustAppendRecords(t, s, batch(numberedRecords(10, 3000), db, numberedRecords(3000, 5000)))
		got := ReadLog(t, log, 0, Any)
		wantRecords(t, "all", got.Streams[streamText(web)], numberedRecords(0, 5000).Records)
		wantRecords(t, "the other", got.Streams[streamText(db.Stream)], db.Records)
		if got.Mark != 5007 || len(got.Gaps) > 0 || got.Parts < 5 {
			t.Errorf("got the mark %d, gaps %v in %d parts", got.Mark, got.Gaps, got.Parts)
		}
		got = ReadLog(t, log, mark, Of("name", "web"))
		wantRecords(t, "behind a mark", got.Streams[streamText(web)], numberedRecords(10, 5000).Records)
		if len(got.Streams) != 1 || len(got.Gaps) > 0 {
			t.Errorf("got %d streams, gaps %v", len(got.Streams), got.Gaps)
		}
		got = ReadLog(t, log, 0, Of("name", "nobody"))
		if len(got.Streams) > 0 || got.Mark != 5007 || len(got.Gaps) > 0 {
			t.Errorf("of nobody: got %d streams, the mark %d, gaps %v", len(got.Streams), got.Mark, got.Gaps)
		}
		if got := ReadLog(t, log, log.LastMark()+9, Any); len(got.Streams) > 0 {
			t.Errorf("behind the end: got %d streams", len(got.Streams))
		}
	})
	run("log waits", func(t *testing.T, _ string, s RecordStore, log tallyman.RecordLog) {
		r := log.ReadRecords(0, Any)
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := r.Next(ctx, 1)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want Canceled", err)
		}
		go func() {
			p, err := r.Next(t.Context(), 1)
			if err == nil && (len(p.Streams) != 1 || len(p.Streams[0].Records) != 1) {
				err = fmt.Errorf("got %d streams", len(p.Streams))
			}
			done <- err
		}()
		mustAppendRecords(t, s, batch(numberedRecords(0, 2)))
		if err := <-done; err != nil {
			t.Error(err)
		}
		l := Log{Streams: map[string][]tallyman.Record{}}
		l.read(t, r, 2)
		wantRecords(t, "the second", l.Streams[streamText(web)], numberedRecords(1, 2).Records)
		go func() {
			_, err := r.Next(t.Context(), 1)
			done <- err
		}()
		mustClose(t, s)
		if err := <-done; err != io.EOF {
			t.Errorf("got error %v after Close, want EOF", err)
		}
	})
	run("log over restarts", func(t *testing.T, dir string, s RecordStore, log tallyman.RecordLog) {
		testLogRestarts(t, dir, s, open)
	})
	run("log in groups", func(t *testing.T, _ string, s RecordStore, log tallyman.RecordLog) {
		rnd := rand.New(rand.NewPCG(11, 13))
		n := 0
		var streams []*tallyman.Stream
		for i := range 5 {
			streams = append(streams, stream("level", fmt.Sprint(i), "name", fmt.Sprint(i%2)))
		}
		for range 300 {
			b := batch()
			for range 1 + rnd.IntN(3) {
				g := tallyman.StreamRecords{Stream: streams[rnd.IntN(len(streams))]}
				for range 1 + rnd.IntN(30) {
					n++
					g.Records = append(g.Records, tallyman.Record{Time: rnd.Int64N(1000), Line: fmt.Appendf(nil, "%07d %s", n, strings.Repeat("z", rnd.IntN(200)))})
				}
				b.Streams = append(b.Streams, g)
			}
			mustAppendRecords(t, s, b)
		}
		r := log.ReadRecords(0, func(s *tallyman.Stream) (string, bool) { return s.Label("name"), true })
		defer r.Close()
		last, total := map[string]string{}, 0
		for mark := tallyman.Mark(0); mark < log.LastMark(); {
			p, err := r.Next(t.Context(), 30<<10)
			if err != nil {
				t.Fatal(err)
			}
			mark = p.Mark
			for _, g := range p.Streams {
				for _, r := range g.Records {
					number := string(r.Line[:7])
					if name := g.Stream.Label("name"); number <= last[name] {
						t.Fatalf("record %s comes after %s", number, last[name])
					} else {
						last[name] = number
					}
					total++
				}
			}
		}
		if total != n {
			t.Errorf("got %d records, want %d", total, n)
		}
	})
	run("log while appended", func(t *testing.T, _ string, s RecordStore, log tallyman.RecordLog) {
		const writers, rounds, each = 4, 50, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				g := tallyman.StreamRecords{Stream: stream("name", fmt.Sprint("w", w))}
				for i := range rounds {
					g.Records = numberedRecords(i*each, i*each+each).Records
					if err := s.AppendRecords(batch(g)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		r := log.ReadRecords(0, Any)
		defer r.Close()
		l := Log{Streams: map[string][]tallyman.Record{}}
		l.read(t, r, writers*rounds*each)
		wg.Wait()
		for w := range writers {
			wantRecords(t, fmt.Sprint("writer ", w), l.Streams[streamText(stream("name", fmt.Sprint("w", w)))], numberedRecords(0, rounds*each).Records)
		}
		if len(l.Gaps) > 0 {
			t.Errorf("gaps %v", l.Gaps)
		}
	})
}

// testLogRestarts appends records in no order of time, reads by several names, commits now and
// then, and opens the store again: what is read from the marks on is what was
// appended behind them, in that order.
func testLogRestarts(t *testing.T, dir string, s RecordStore, open func(t *testing.T, dir string) RecordStore) {
	rnd := rand.New(rand.NewPCG(3, 5))
	streams := []*tallyman.Stream{web, stream("name", "db", "source", "container"), stream("name", "web", "source", "event")}
	type reading struct {
		want func(*tallyman.Stream) (string, bool)
		mark tallyman.Mark // committed
		got  map[string][]tallyman.Record
	}
	names := map[string]*reading{"all": {want: Any}, "web": {want: Of("name", "web")}, "event": {want: Of("source", "event")}}
	for _, one := range names {
		one.got = map[string][]tallyman.Record{}
	}
	all := map[string][]tallyman.Record{}
	n := 0
	for range 12 {
		for range rnd.IntN(60) {
			b := batch()
			for _, st := range streams {
				if rnd.IntN(3) == 0 {
					continue
				}
				g := tallyman.StreamRecords{Stream: st}
				for range 1 + rnd.IntN(50) {
					n++
					g.Records = append(g.Records, tallyman.Record{Time: int64(n) - rnd.Int64N(3)*rnd.Int64N(500), Line: fmt.Appendf(nil, "%d %s", n, strings.Repeat("y", rnd.IntN(100)))})
				}
				all[streamText(st)] = append(all[streamText(st)], g.Records...)
				b.Streams = append(b.Streams, g)
			}
			mustAppendRecords(t, s, b)
		}
		log := s.(tallyman.RecordLog)
		for name, one := range names {
			mark, ok := log.Mark(name)
			if mark != one.mark || ok != (one.mark > 0) {
				t.Fatalf("%s: the mark is %d, %v, and was committed as %d", name, mark, ok, one.mark)
			}
			if rnd.IntN(3) == 0 {
				continue
			}
			got := ReadLog(t, log, mark, one.want)
			if len(got.Gaps) > 0 {
				t.Fatalf("%s: gaps %v", name, got.Gaps)
			}
			for key, records := range got.Streams {
				wantRecords(t, name+" of "+key, append(slices.Clone(one.got[key]), records...), all[key])
			}
			if rnd.IntN(3) == 0 {
				continue // a kill before the mark was committed
			}
			if err := log.CommitMark(name, got.Mark); err != nil {
				t.Fatal(err)
			}
			one.mark = got.Mark
			for key, records := range got.Streams {
				one.got[key] = append(one.got[key], records...)
			}
		}
		mustClose(t, s)
		s = open(t, dir)
	}
}
