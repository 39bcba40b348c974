// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/store/storetest"
)

// clock is a time that tests set.
type clock struct{ nano atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nano.Store(genStart)
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.nano.Load()) }
func (c *clock) add(d time.Duration) { c.nano.Add(int64(d)) }

// fill appends text to a stream until a chunk more is sealed, and seals the rest.
func fill(t *testing.T, s *Store, source string, at int64) {
	t.Helper()
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "source", Value: source}}}
	g := tallyman.StreamRecords{Stream: st}
	for i := range 200 {
		g.Records = append(g.Records, tallyman.Record{Time: at + int64(i), Line: fmt.Appendf(nil, "%d %s", at, strings.Repeat("x", i))})
	}
	if err := s.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{g}}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealAll(func(*head) bool { return true })
}

func expire(s *Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
}

func has(t *testing.T, s *Store, source string) int {
	t.Helper()
	q := storetest.All()
	q.Matchers = []tallyman.Matcher{{Name: "source", Value: source}}
	n := 0
	for _, records := range storetest.Select(t, s, q) {
		n += len(records)
	}
	return n
}

func TestRetentionByTime(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	o := Options{Dir: dir, now: c.now, syncEvery: time.Hour}
	s := mustOpen(t, o)
	fill(t, s, "container", genStart)
	fill(t, s, "audit", genStart)
	for range 8 { // an hour of every day
		c.add(24 * time.Hour)
		fill(t, s, "journal", c.nano.Load())
		expire(s)
	}
	if n := has(t, s, "container"); n != 0 {
		t.Errorf("got %d lines of 8 days ago", n)
	}
	if n := has(t, s, "audit"); n != 200 {
		t.Errorf("got %d audit records of 8 days ago, want 200", n)
	}
	if own(s, "expired_records_total", "age") != 200 || own(s, "expired_segments_total", "age") != 1 {
		t.Errorf("expired: %v records, %v segments, want 200 and 1", own(s, "expired_records_total", "age"), own(s, "expired_segments_total", "age"))
	}
	if own(s, "streams", "") != 2 {
		t.Errorf("got %v streams, want 2: one has no records any more", own(s, "streams", ""))
	}
	want := has(t, s, "journal")
	if s.Oldest("event").UnixNano() != genStart || s.Newest("log").UnixNano() != c.nano.Load()+199 {
		t.Errorf("from %v to %v", s.Oldest("event"), s.Newest("log"))
	}
	s.Close()
	s = mustOpen(t, o)
	if got := has(t, s, "journal"); got != want || has(t, s, "audit") != 200 {
		t.Errorf("opened again: %d and %d records, want %d and 200", got, has(t, s, "audit"), want)
	}
	// A clock that jumps by years takes no more than what two days would.
	c.add(3 * 365 * 24 * time.Hour)
	expire(s)
	if got := has(t, s, "journal"); got < want-600 || got == 0 {
		t.Errorf("after a jump of the clock: %d records of %d", got, want)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.seg")); len(files) != int(own(s, "segments", "")) {
		t.Errorf("got %d files, %v segments", len(files), own(s, "segments", ""))
	}
}

func TestRetentionBySize(t *testing.T) {
	const limit = 200 << 10
	s := mustOpen(t, Options{
		Dir: t.TempDir(), segment: 8 << 10, syncEvery: time.Hour,
		Classes: []Class{{Name: "event", Match: MatchSource("event")}, {Name: "log", RetentionSize: limit}},
	})
	fill(t, s, "event", 1)
	for i := range 3000 {
		fill(t, s, "container", genStart+int64(i)*1000)
	}
	expire(s)
	size := int64(0)
	for _, g := range s.classNamed("log").segments {
		size += g.size
	}
	if size > limit || size < limit*3/4 || has(t, s, "event") != 200 {
		t.Errorf("the log has %d bytes of %d, events %d", size, limit, has(t, s, "event"))
	}
	q := storetest.All()
	q.Start = genStart + 2999*1000
	if got := storetest.Select(t, s, q); len(got) != 1 {
		t.Errorf("the newest are gone: %d streams", len(got))
	}
	if own(s, "expired_bytes_total", "size") == 0 || own(s, "expired_records_total", "age") != 0 {
		t.Error("what was removed is not counted by its reason")
	}
}

// Below the reserve the oldest lines go, below the floor what is precious too.
func TestMakesRoom(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), now: c.now, syncEvery: time.Hour})
	for range 4 {
		fill(t, s, "audit", c.nano.Load())
		fill(t, s, "container", c.nano.Load())
		c.add(25 * time.Hour)
	}
	room := func(free uint64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.makeRoom(fsx.Usage{Size: 100 << 20, Free: free, Reserve: 4 << 20})
	}
	room(4<<20 - 1)
	if has(t, s, "container") != 600 || has(t, s, "audit") != 800 {
		t.Errorf("just below the reserve: %d lines and %d audit records, want 600 and 800", has(t, s, "container"), has(t, s, "audit"))
	}
	room(2 << 20)
	if has(t, s, "container") != 200 || has(t, s, "audit") != 800 {
		t.Errorf("below the reserve: %d lines and %d audit records, want 200 and 800", has(t, s, "container"), has(t, s, "audit"))
	}
	room(0)
	if has(t, s, "container") != 200 || has(t, s, "audit") != 200 {
		t.Errorf("below the floor: %d lines and %d audit records, want 200 each, in segments written to", has(t, s, "container"), has(t, s, "audit"))
	}
	if own(s, "expired_records_total", "space") != 1200 {
		t.Errorf("%v records count as removed for space, want 1200", own(s, "expired_records_total", "space"))
	}
}

// A class that is in the options no more keeps what it has, as the last class.
func TestClassesChange(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir, Classes: []Class{{Name: "old", Match: MatchSource("a")}}})
	fill(t, s, "a", 1)
	fill(t, s, "b", 1)
	s.Close()
	s = mustOpen(t, Options{Dir: dir, Classes: []Class{{Name: "fresh"}}})
	fill(t, s, "a", 1)
	if got := has(t, s, "a"); got != 400 {
		t.Errorf("got %d records, want 400", got)
	}
	if got := has(t, s, "b"); got != 200 {
		t.Errorf("got %d records of the class log, want 200", got)
	}
	for _, bad := range [][]Class{{{Name: "A"}}, {{}}, {{Name: "a", Match: MatchSource("x")}, {Name: "a"}}} {
		if _, err := Open(Options{Dir: t.TempDir(), Classes: bad}); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
}

// A query that is under way when the retention takes its segments ends early,
// or still reads them; nothing counts as damaged.
func TestRetentionDuringQuery(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), now: c.now, syncEvery: time.Hour})
	for range 4 {
		fill(t, s, "container", c.nano.Load())
		c.add(25 * time.Hour)
	}
	cursors, err := s.SelectRecords(t.Context(), storetest.All())
	if err != nil || len(cursors) != 1 {
		t.Fatal(len(cursors), err)
	}
	defer cursors[0].Close()
	if _, err := cursors[0].Next(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c.add(25 * time.Hour)
		fill(t, s, "journal", c.nano.Load())
		expire(s)
	}
	for {
		if _, err := cursors[0].Next(); err != nil {
			break
		}
	}
	if own(s, "damaged_total", "") != 0 || own(s, "errors_total", "") != 0 {
		t.Error("what the retention took counts as damage")
	}
}

// What is too large is left out, and takes nothing along.
func TestLimits(t *testing.T) {
	label := func(value string) *tallyman.Stream {
		return &tallyman.Stream{Labels: []tallyman.Label{{Name: "n", Value: value}}}
	}
	line := tallyman.Record{Time: 1, Line: []byte("x")}
	for _, c := range []struct {
		what     string
		bad      []tallyman.StreamRecords
		position string
		records  int // refused
	}{
		{what: "line", bad: []tallyman.StreamRecords{{Stream: label("good"), Records: []tallyman.Record{{Line: make([]byte, 1001)}}}}, records: 1},
		{what: "value of the label n", bad: []tallyman.StreamRecords{{Stream: label(strings.Repeat("x", maxLabelValue+1)), Records: []tallyman.Record{line, line}}}, records: 2},
		{what: "metadata of a line", bad: []tallyman.StreamRecords{{Stream: label("good"), Records: []tallyman.Record{{Meta: []tallyman.Label{{Name: "m", Value: strings.Repeat("x", maxMeta)}}}}}}, records: 1},
		{what: "position", position: strings.Repeat("k", maxPosition+1)},
	} {
		s := mustOpen(t, Options{Dir: t.TempDir(), MaxLine: 1000})
		b := &tallyman.RecordBatch{Positions: []tallyman.Position{{Key: "before", Value: "1"}}}
		b.Streams = append(b.Streams, tallyman.StreamRecords{Stream: label("good"), Records: []tallyman.Record{line}})
		b.Streams = append(b.Streams, c.bad...)
		b.Streams = append(b.Streams, tallyman.StreamRecords{Stream: label("good"), Records: []tallyman.Record{line, line}})
		if c.position != "" {
			b.Positions = append(b.Positions, tallyman.Position{Key: c.position, Value: "1"})
		}
		b.Positions = append(b.Positions, tallyman.Position{Key: "behind", Value: "2"})
		err := s.AppendRecords(b)
		refused, _ := errors.AsType[*tallyman.RefusedError](err)
		limit, ok := errors.AsType[*LimitError](err)
		if !ok || refused == nil || refused.Records != c.records || limit.What != c.what || !errors.Is(err, tallyman.ErrLimit) || limit.Got <= limit.Limit {
			t.Errorf("%s: got error %v", c.what, err)
		}
		got := storetest.Select(t, s, storetest.All())
		if len(got) != 1 || len(s.Positions("")) != 2 {
			t.Errorf("%s: got %v and %v", c.what, got, s.Positions(""))
		}
		for _, records := range got {
			if len(records) != 3 {
				t.Errorf("%s: %d records, want 3", c.what, len(records))
			}
		}
		if n := own(s, "refused_total", ""); n != float64(c.records) {
			t.Errorf("%s: %v counted as refused, want %d", c.what, n, c.records)
		}
	}

	s := mustOpen(t, Options{Dir: t.TempDir(), MaxBatch: 50_000})
	b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: label("a"), Records: make([]tallyman.Record, 20_000)}},
		Positions: []tallyman.Position{{Key: "k", Value: "v"}}}
	refused, _ := errors.AsType[*tallyman.RefusedError](s.AppendRecords(b))
	if refused == nil || refused.Records != 20_000 {
		t.Errorf("a batch that is too large: got %v", refused)
	}
	if v, _ := s.Position("k"); v != "v" || len(storetest.Select(t, s, storetest.All())) != 0 {
		t.Errorf("a batch that is too large: position %q", v)
	}
}

// Streams that fall silent are sealed, and cost no buffers.
func TestSealsWhatIsOld(t *testing.T) {
	c := newClock()
	s := mustOpen(t, Options{Dir: t.TempDir(), now: c.now, syncEvery: time.Hour})
	b := &tallyman.RecordBatch{}
	for i := range 500 {
		b.Streams = append(b.Streams, tallyman.StreamRecords{
			Stream:  &tallyman.Stream{Labels: []tallyman.Label{{Name: "n", Value: fmt.Sprint(i)}}},
			Records: []tallyman.Record{{Time: genStart, Line: []byte("one line")}},
		})
	}
	if err := s.AppendRecords(b); err != nil {
		t.Fatal(err)
	}
	s.sealOld()
	if n := own(s, "open_chunks", ""); n != 500 {
		t.Errorf("got %v open chunks at once, want 500", n)
	}
	b.Streams = b.Streams[:100]
	for range 13 { // these go on
		c.add(5 * time.Minute)
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
		s.sealOld()
	}
	if n := own(s, "open_chunks", ""); n != 100 {
		t.Errorf("got %v open chunks, want 100", n)
	}
	if n := own(s, "chunks_total", ""); n != 500 {
		t.Errorf("got %v chunks, want those of 400 idle streams and, after an hour, of 100", n)
	}
	// Nothing holds the old WAL any more but the open ones.
	s.mu.Lock()
	s.sealAll(func(*head) bool { return true })
	_, err := s.rotate()
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	s.syncNow() // gives the new file its checkpoint,
	s.syncNow() // which is synced now
	if len(s.wal) != 1 {
		t.Errorf("got %d files of the WAL, want 1", len(s.wal))
	}
	streams, err := s.Streams(t.Context(), nil, math.MinInt64, math.MaxInt64)
	if err != nil || len(streams) != 500 {
		t.Errorf("got %d streams, %v", len(streams), err)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	s := mustOpen(t, Options{Dir: dir})
	fill(t, s, "container", 1)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: mode %v %v", e.Name(), info.Mode(), err)
		}
	}
}
