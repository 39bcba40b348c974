// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"tallyman"
)

// RecordStore is a whole store of records.
type RecordStore interface {
	tallyman.RecordSink
	tallyman.RecordReader
	Close() error
}

// TestRecordStore holds the store that open makes to the contracts of
// tallyman.RecordSink and tallyman.RecordReader, and to those of tallyman.RecordTailer and tallyman.RecordLog if it is one. open
// is called with a folder of its own for each test, and again with the same
// folder after Close to see what was kept.
func TestRecordStore(t *testing.T, open func(dir string) (RecordStore, error)) {
	mustOpen := func(t *testing.T, dir string) RecordStore {
		t.Helper()
		s, err := open(dir)
		if err != nil {
			t.Fatalf("open %s: %v", dir, err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	run := func(name string, f func(t *testing.T, s RecordStore)) {
		t.Run(name, func(t *testing.T) { f(t, mustOpen(t, t.TempDir())) })
	}
	run("empty", func(t *testing.T, s RecordStore) {
		mustAppendRecords(t, s, &tallyman.RecordBatch{})
		if got := Select(t, s, All()); len(got) != 0 {
			t.Errorf("got %d streams of an empty store", len(got))
		}
		if _, ok := s.Position("k"); ok {
			t.Error("got a position of an empty store")
		}
	})
	run("round trip", testRecordRoundTrip)
	run("the batch belongs to the caller", testRecordOwnership)
	run("order", testRecordOrder)
	run("time range", testRecordRange)
	run("matchers", testRecordMatchers)
	run("contains", testRecordContains)
	run("no lines, no metadata", testRecordLess)
	run("volume", testRecordVolume)
	run("refused as a whole", testRecordRefused)
	run("concurrent", testRecordConcurrent)
	run("cancelled", func(t *testing.T, s RecordStore) {
		mustAppendRecords(t, s, batch(numberedRecords(0, 3)))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cursors, err := s.SelectRecords(ctx, All())
		for _, c := range cursors {
			if err == nil {
				_, err = c.Next()
			}
			c.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want Canceled", err)
		}
	})
	t.Run("reopen", func(t *testing.T) {
		dir := t.TempDir()
		for i := range 5 { // several times: what is in the log, in files, in both
			s := mustOpen(t, dir)
			wantNumbered(t, s, 1000*i)
			if got, _ := s.Position("file"); i > 0 && got != fmt.Sprint(i-1) {
				t.Errorf("got position %q, want %d", got, i-1)
			}
			b := batch(numberedRecords(1000*i, 1000*i+1000))
			b.Positions = []tallyman.Position{{Key: "file", Value: fmt.Sprint(i)}}
			mustAppendRecords(t, s, b)
			wantNumbered(t, s, 1000*i+1000)
			mustClose(t, s)
		}
	})
	t.Run("positions", func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir)
		mustAppendRecords(t, s, &tallyman.RecordBatch{Positions: []tallyman.Position{
			{Key: "log/a", Value: "1"}, {Key: "log/b", Value: "2"}, {Key: "journal", Value: "x\x00y"},
		}})
		mustAppendRecords(t, s, &tallyman.RecordBatch{Positions: []tallyman.Position{{Key: "log/a", Value: "3"}, {Key: "log/b"}}})
		for range 2 {
			if got := s.Positions(""); !slices.Equal(sortPositions(got), []tallyman.Position{{Key: "journal", Value: "x\x00y"}, {Key: "log/a", Value: "3"}}) {
				t.Errorf("got positions %q", got)
			}
			if got := s.Positions("log/"); len(got) != 1 || got[0].Value != "3" {
				t.Errorf("got %q under log/", got)
			}
			if _, ok := s.Position("log/b"); ok {
				t.Error("a position that was forgotten is there")
			}
			mustClose(t, s)
			s = mustOpen(t, dir)
		}
	})
	t.Run("close twice", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		mustClose(t, s)
		mustClose(t, s)
		if err := s.AppendRecords(batch(numberedRecords(0, 1))); err == nil {
			t.Error("AppendRecords after Close: got no error")
		}
	})
	testRecordLog(t, mustOpen)
	t.Run("tail", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		tailer, ok := s.(tallyman.RecordTailer)
		if !ok {
			t.Skip("no RecordTailer")
		}
		testRecordTail(t, s, tailer)
	})
}

// All is the query for everything.
func All() tallyman.RecordQuery {
	return tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64}
}

// Select reads all that q selects, by the text of the streams' labels. It
// fails the test when a cursor breaks its promises.
func Select(t testing.TB, s tallyman.RecordReader, q tallyman.RecordQuery) map[string][]tallyman.Record {
	t.Helper()
	cursors, err := s.SelectRecords(t.Context(), q)
	if err != nil {
		t.Fatalf("SelectRecords(%+v): %v", q, err)
	}
	out := map[string][]tallyman.Record{}
	for _, c := range cursors {
		key := streamText(c.Stream())
		if _, ok := out[key]; ok {
			t.Errorf("two cursors for %s", key)
		}
		var all []tallyman.Record
		for {
			bound, some := c.Bound()
			records, err := c.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: Next: %v", key, err)
			}
			if len(records) == 0 || !some {
				t.Fatalf("%s: Next gives %d records after Bound gave %v", key, len(records), some)
			}
			for _, r := range records {
				if q.Backward && r.Time > bound || !q.Backward && r.Time < bound {
					t.Fatalf("%s: a record of %d beyond the bound %d", key, r.Time, bound)
				}
				if r.Time < q.Start || r.Time >= q.End {
					t.Fatalf("%s: a record of %d outside of [%d, %d)", key, r.Time, q.Start, q.End)
				}
				r.Line = bytes.Clone(r.Line)
				r.Meta = slices.Clone(r.Meta)
				all = append(all, r)
			}
		}
		if _, some := c.Bound(); some {
			t.Errorf("%s: a bound at the end", key)
		}
		c.Close()
		if len(all) > 0 {
			out[key] = all
		}
	}
	return out
}

func streamText(s *tallyman.Stream) string {
	var b strings.Builder
	for _, l := range s.Labels {
		fmt.Fprintf(&b, "%s=%q ", l.Name, l.Value)
	}
	return b.String()
}

func stream(pairs ...string) *tallyman.Stream {
	s := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

func batch(groups ...tallyman.StreamRecords) *tallyman.RecordBatch {
	return &tallyman.RecordBatch{Streams: groups}
}

var web = stream("name", "web", "source", "container")

func numberedRecord(i int) tallyman.Record {
	r := tallyman.Record{Time: 1_700_000_000_000_000_000 + int64(i)*1_000_003, Line: fmt.Appendf(nil, "line %06d with a text of some length, id=%x", i, i*2654435761)}
	if i%3 == 0 {
		r.Meta = []tallyman.Label{{Name: "container_id", Value: "c0ffee"}, {Name: "n", Value: fmt.Sprint(i / 100)}}
	}
	return r
}

func numberedRecords(from, to int) tallyman.StreamRecords {
	g := tallyman.StreamRecords{Stream: web}
	for i := from; i < to; i++ {
		g.Records = append(g.Records, numberedRecord(i))
	}
	return g
}

func mustAppendRecords(t *testing.T, s RecordStore, b *tallyman.RecordBatch) {
	t.Helper()
	if err := s.AppendRecords(b); err != nil {
		t.Fatalf("AppendRecords: %v", err)
	}
}

func sameRecord(a, b tallyman.Record) bool {
	return a.Time == b.Time && bytes.Equal(a.Line, b.Line) && slices.Equal(a.Meta, b.Meta)
}

func wantRecords(t *testing.T, what string, got, want []tallyman.Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if !sameRecord(got[i], want[i]) {
			t.Fatalf("%s: record %d is\n%+v %q, want\n%+v %q", what, i, got[i], got[i].Line, want[i], want[i].Line)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: got %d records, want %d", what, len(got), len(want))
	}
}

// wantNumbered wants the first n records of web, and nothing else.
func wantNumbered(t *testing.T, s RecordStore, n int) {
	t.Helper()
	got := Select(t, s, All())
	if n > 0 && len(got) != 1 || n == 0 && len(got) != 0 {
		t.Fatalf("got %d streams", len(got))
	}
	wantRecords(t, "all", got[streamText(web)], numberedRecords(0, n).Records)
}

func sortPositions(p []tallyman.Position) []tallyman.Position {
	slices.SortFunc(p, func(a, b tallyman.Position) int { return cmp.Compare(a.Key, b.Key) })
	return p
}

func testRecordRoundTrip(t *testing.T, s RecordStore) {
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	want := []tallyman.Record{
		{Time: math.MinInt64},
		{Time: -1, Line: []byte("before the epoch")},
		{Time: 0, Line: binary, Meta: []tallyman.Label{{Name: "", Value: ""}, {Name: "é", Value: "\x00\xff"}}},
		{Time: 0, Line: []byte("")},
		{Time: 0, Line: bytes.Repeat([]byte("long"), 50_000)},
		{Time: 5, Line: []byte("with\nline feeds\r\n")},
		{Time: math.MaxInt64 - 1, Line: []byte("the end of time")},
	}
	st := stream("a", "ü\x00=\"", "source", "file")
	for _, r := range want {
		mustAppendRecords(t, s, batch(tallyman.StreamRecords{Stream: st, Records: []tallyman.Record{r}}))
	}
	got := Select(t, s, All())
	wantRecords(t, "round trip", got[streamText(st)], want)
	q := All()
	q.Backward = true
	slices.Reverse(want)
	wantRecords(t, "backward", Select(t, s, q)[streamText(st)], want)
	streams, err := s.Streams(t.Context(), nil, math.MinInt64, math.MaxInt64)
	if err != nil || len(streams) != 1 || streamText(streams[0]) != streamText(st) {
		t.Errorf("got streams %v %v", streams, err)
	}
}

func testRecordOwnership(t *testing.T, s RecordStore) {
	b := batch(numberedRecords(0, 2000))
	b.Streams[0].Stream = stream("name", "web", "source", "container")
	mustAppendRecords(t, s, b)
	for _, r := range b.Streams[0].Records {
		clear(r.Line)
		clear(r.Meta)
	}
	clear(b.Streams[0].Stream.Labels)
	wantNumbered(t, s, 2000)
}

// testRecordOrder appends records out of order, over several chunks and with
// many of one time, and compares with a plain stable sort.
func testRecordOrder(t *testing.T, s RecordStore) {
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[string][]tallyman.Record{}
	streams := []*tallyman.Stream{web, stream("name", "db", "source", "container"), stream("name", "late")}
	n := 0
	for round := range 200 {
		b := batch()
		for i, st := range streams {
			g := tallyman.StreamRecords{Stream: st}
			for range rnd.IntN(60) {
				at := int64(round * 100)
				switch i {
				case 0:
					at += rnd.Int64N(100) / 10 * 10 // nearly in order, with many at a time
				case 1:
					at -= rnd.Int64N(2000)
				case 2:
					at = rnd.Int64N(20_000) // no order at all
				}
				n++
				g.Records = append(g.Records, tallyman.Record{Time: at, Line: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", rnd.IntN(200)))})
			}
			want[streamText(st)] = append(want[streamText(st)], g.Records...)
			b.Streams = append(b.Streams, g)
		}
		mustAppendRecords(t, s, b)
	}
	for key, records := range want {
		slices.SortStableFunc(records, func(a, b tallyman.Record) int { return cmp.Compare(a.Time, b.Time) })
		for range 20 {
			q := tallyman.RecordQuery{Start: rnd.Int64N(20_000), End: rnd.Int64N(20_000)}
			if rnd.IntN(5) == 0 {
				q = All()
			}
			part := slices.DeleteFunc(slices.Clone(records), func(r tallyman.Record) bool { return r.Time < q.Start || r.Time >= q.End })
			wantRecords(t, fmt.Sprintf("%s in %d-%d", key, q.Start, q.End), Select(t, s, q)[key], part)
			q.Backward = true
			slices.Reverse(part)
			wantRecords(t, fmt.Sprintf("%s in %d-%d backward", key, q.Start, q.End), Select(t, s, q)[key], part)
		}
	}
}

func testRecordRange(t *testing.T, s RecordStore) {
	const n = 3000
	mustAppendRecords(t, s, batch(numberedRecords(0, n)))
	key := streamText(web)
	all := numberedRecords(0, n).Records
	for _, c := range [][2]int{{0, n}, {0, 1}, {n - 1, n}, {10, 11}, {500, 2500}, {7, 7}, {20, 10}} {
		q := tallyman.RecordQuery{Start: numberedRecord(c[0]).Time, End: numberedRecord(c[1]).Time}
		var want []tallyman.Record
		if c[0] < c[1] {
			want = all[c[0]:c[1]]
		}
		wantRecords(t, fmt.Sprint(c), Select(t, s, q)[key], want)
		streams, err := s.Streams(t.Context(), nil, q.Start, q.End)
		if err != nil || len(want) > 0 && len(streams) != 1 {
			t.Errorf("%v: got %d streams, %v", c, len(streams), err)
		}
	}
	for _, q := range []tallyman.RecordQuery{{Start: math.MinInt64, End: all[0].Time}, {Start: all[n-1].Time + 1, End: math.MaxInt64}} {
		if got := Select(t, s, q); len(got) != 0 {
			t.Errorf("got %d streams outside of all times", len(got))
		}
		if streams, err := s.Streams(t.Context(), nil, q.Start, q.End); err != nil || len(streams) != 0 {
			t.Errorf("got %d streams outside of all times, %v", len(streams), err)
		}
	}
}

func testRecordMatchers(t *testing.T, s RecordStore) {
	for _, st := range []*tallyman.Stream{
		stream("name", "web", "source", "container"), stream("name", "db", "source", "container"),
		stream("name", "web", "source", "event"), stream("source", "audit"),
	} {
		mustAppendRecords(t, s, batch(tallyman.StreamRecords{Stream: st, Records: []tallyman.Record{numberedRecord(1)}}))
	}
	m := func(typ tallyman.MatchType, name, value string) tallyman.Matcher {
		out, err := tallyman.NewMatcher(typ, name, value)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		matchers []tallyman.Matcher
		want     int
	}{
		{nil, 4},
		{[]tallyman.Matcher{m(tallyman.MatchEqual, "name", "web")}, 2},
		{[]tallyman.Matcher{m(tallyman.MatchEqual, "name", "web"), m(tallyman.MatchEqual, "source", "event")}, 1},
		{[]tallyman.Matcher{m(tallyman.MatchNotEqual, "name", "web")}, 2},
		{[]tallyman.Matcher{m(tallyman.MatchEqual, "name", "")}, 1},
		{[]tallyman.Matcher{m(tallyman.MatchRegexp, "source", "cont.*|audit")}, 3},
		{[]tallyman.Matcher{m(tallyman.MatchRegexp, "source", "cont")}, 0},
		{[]tallyman.Matcher{m(tallyman.MatchNotRegexp, "name", ".+")}, 1},
	} {
		q := All()
		q.Matchers = c.matchers
		if got := Select(t, s, q); len(got) != c.want {
			t.Errorf("%v: got %d streams, want %d", c.matchers, len(got), c.want)
		}
		if streams, err := s.Streams(t.Context(), c.matchers, q.Start, q.End); err != nil || len(streams) != c.want {
			t.Errorf("%v: Streams gives %d, %v, want %d", c.matchers, len(streams), err, c.want)
		}
	}
}

// testRecordContains wants every line that holds the texts; others may be there.
func testRecordContains(t *testing.T, s RecordStore) {
	const n = 5000
	all := numberedRecords(0, n)
	all.Records[4321].Line = []byte("the needle")
	all.Records[77].Line = []byte("xy")
	mustAppendRecords(t, s, batch(all))
	for _, texts := range [][]string{{"needle"}, {"needle", "the "}, {"xy"}, {"000123"}, {"line 0001", "id="}, {"line"}, {"absent needle"}, {""}, {"9"}, {"\xff"}} {
		for _, backward := range []bool{false, true} {
			holds := func(r tallyman.Record) bool {
				for _, text := range texts {
					if !bytes.Contains(r.Line, []byte(text)) {
						return false
					}
				}
				return true
			}
			q := All()
			q.Contains, q.Backward = texts, backward
			got := slices.DeleteFunc(Select(t, s, q)[streamText(web)], func(r tallyman.Record) bool { return !holds(r) })
			want := slices.DeleteFunc(slices.Clone(all.Records), func(r tallyman.Record) bool { return !holds(r) })
			if backward {
				slices.Reverse(want)
			}
			wantRecords(t, fmt.Sprintf("%q", texts), got, want)
		}
	}
}

func testRecordLess(t *testing.T, s RecordStore) {
	const n = 3000
	mustAppendRecords(t, s, batch(numberedRecords(0, n)))
	for _, q := range []tallyman.RecordQuery{{NoLines: true}, {NoMeta: true}, {NoLines: true, NoMeta: true}} {
		q.Start, q.End = All().Start, All().End
		got := Select(t, s, q)[streamText(web)]
		if len(got) != n {
			t.Fatalf("got %d records, want %d", len(got), n)
		}
		for i, r := range got {
			want := numberedRecord(i)
			if q.NoMeta && r.Meta != nil || !q.NoMeta && !slices.Equal(r.Meta, want.Meta) {
				t.Fatalf("%+v: record %d has metadata %v", q, i, r.Meta)
			}
			if r.Time != want.Time || len(r.Line) != len(want.Line) || !q.NoLines && !bytes.Equal(r.Line, want.Line) {
				t.Fatalf("%+v: record %d is %+v", q, i, r)
			}
		}
	}
}

func testRecordVolume(t *testing.T, s RecordStore) {
	const n = 5000
	all := numberedRecords(0, n)
	mustAppendRecords(t, s, batch(all))
	mustAppendRecords(t, s, batch(tallyman.StreamRecords{Stream: stream("name", "db"), Records: []tallyman.Record{numberedRecord(0)}}))
	m, err := tallyman.NewMatcher(tallyman.MatchEqual, "name", "web")
	if err != nil {
		t.Fatal(err)
	}
	volume := func(start, end int64) tallyman.StreamVolume {
		t.Helper()
		v, err := s.Volume(t.Context(), []tallyman.Matcher{m}, start, end)
		if err != nil || len(v) != 1 {
			t.Fatalf("got %d volumes, %v", len(v), err)
		}
		return v[0]
	}
	size := 0
	for _, r := range all.Records {
		size += len(r.Line)
	}
	if v := volume(math.MinInt64, math.MaxInt64); v.Records != n || v.Bytes != int64(size) || v.Chunks == 0 || streamText(v.Stream) != streamText(web) {
		t.Errorf("got %+v, want %d records and %d bytes", v, n, size)
	}
	if v := volume(all.Records[n/4].Time, all.Records[n/2].Time); v.Records < n/5 || v.Records > n/3 || v.Bytes < int64(size/5) || v.Bytes > int64(size/3) {
		t.Errorf("got %+v for a quarter of %d records and %d bytes", v, n, size)
	}
}

// testRecordRefused gives good groups and a position with one that cannot be
// stored: it takes nothing along.
func testRecordRefused(t *testing.T, s RecordStore) {
	mustAppendRecords(t, s, batch(numberedRecords(0, 3)))
	n := 3
	for _, bad := range []*tallyman.Stream{{}, stream("b", "1", "a", "2"), stream("a", "1", "a", "2"), stream("", "x")} {
		b := batch(numberedRecords(n, n+3), tallyman.StreamRecords{Stream: bad, Records: []tallyman.Record{numberedRecord(1)}}, numberedRecords(n+3, n+5))
		n += 5
		b.Positions = []tallyman.Position{{Key: "k", Value: fmt.Sprint(n)}}
		refused, ok := errors.AsType[*tallyman.RefusedError](s.AppendRecords(b))
		if !ok || refused.Records != 1 || refused.Err == nil {
			t.Errorf("%v: got %v, want one record refused", bad.Labels, refused)
		}
		wantNumbered(t, s, n)
		if v, _ := s.Position("k"); v != fmt.Sprint(n) {
			t.Errorf("%v: the position was not stored: %q", bad.Labels, v)
		}
	}
	mustAppendRecords(t, s, batch(numberedRecords(n, n+3)))
	wantNumbered(t, s, n+3)
}

func testRecordConcurrent(t *testing.T, s RecordStore) {
	var wg sync.WaitGroup
	const writers, rounds, each = 4, 40, 50
	for w := range writers {
		wg.Go(func() {
			g := tallyman.StreamRecords{Stream: stream("name", fmt.Sprint("w", w))}
			for i := range rounds {
				g.Records = numberedRecords(i*each, i*each+each).Records
				b := batch(g)
				b.Positions = []tallyman.Position{{Key: fmt.Sprint("w", w), Value: fmt.Sprint(i)}}
				if err := s.AppendRecords(b); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				q := All()
				q.Backward = w%2 == 0
				for key, records := range Select(t, s, q) {
					if len(records)%each != 0 {
						t.Errorf("%s: got %d records, batches have %d", key, len(records), each)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	got := Select(t, s, All())
	if len(got) != writers {
		t.Fatalf("got %d streams, want %d", len(got), writers)
	}
	for key, records := range got {
		wantRecords(t, key, records, numberedRecords(0, rounds*each).Records)
	}
}

func testRecordTail(t *testing.T, s RecordStore, tailer tallyman.RecordTailer) {
	mustAppendRecords(t, s, batch(numberedRecords(0, 1)))
	m, err := tallyman.NewMatcher(tallyman.MatchEqual, "name", "web")
	if err != nil {
		t.Fatal(err)
	}
	tail := tailer.TailRecords([]tallyman.Matcher{m})
	defer tail.Close()
	b := batch(numberedRecords(1, 4), tallyman.StreamRecords{Stream: stream("name", "db"), Records: []tallyman.Record{numberedRecord(9)}})
	mustAppendRecords(t, s, b)
	clear(b.Streams[0].Records[0].Line)
	got, dropped, err := tail.Next(t.Context())
	if err != nil || dropped != 0 || len(got) != 1 || streamText(got[0].Stream) != streamText(web) {
		t.Fatalf("got %v, %d dropped, %v", got, dropped, err)
	}
	wantRecords(t, "tail", got[0].Records, numberedRecords(1, 4).Records)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := tail.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want Canceled", err)
	}
	// A reader who does not read loses, is told how much, and holds nobody up.
	sent := 0
	for range 200 {
		b := batch(numberedRecords(0, 1000))
		mustAppendRecords(t, s, b)
		sent += 1000
	}
	received, lost := 0, 0
	for received+lost < sent {
		got, dropped, err := tail.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lost += dropped
		for _, g := range got {
			received += len(g.Records)
		}
	}
	if lost == 0 || received == 0 || received+lost != sent {
		t.Errorf("received %d, lost %d of %d", received, lost, sent)
	}
	tail.Close()
	if _, _, err := tail.Next(t.Context()); err != io.EOF {
		t.Errorf("after Close: got error %v, want EOF", err)
	}
}
