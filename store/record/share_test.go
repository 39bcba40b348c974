// SPDX-License-Identifier: Apache-2.0

package record

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/store/storetest"
)

// tight has room for few streams.
func tight(dir string) Options {
	return Options{Dir: dir, Shares: []Share{{Name: "container", Sources: []string{"container"}, Streams: 10}, {Name: "push", Streams: 5}}}
}

func streamOf(pairs ...string) *tallyman.Stream {
	st := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		st.Labels = append(st.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	tallyman.SortLabels(st.Labels)
	return st
}

func mustMatch(t *testing.T, typ tallyman.MatchType, name, value string) tallyman.Matcher {
	t.Helper()
	m, err := tallyman.NewMatcher(typ, name, value)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// found counts the records that matchers select, in every way to ask for them.
func found(t *testing.T, s *Store, matchers ...tallyman.Matcher) int {
	t.Helper()
	n := 0
	for _, q := range []tallyman.RecordQuery{{}, {Backward: true}, {NoLines: true}, {NoMeta: true}, {NoLines: true, NoMeta: true}} {
		q.Matchers, q.Start, q.End = matchers, math.MinInt64, math.MaxInt64
		count := 0
		for _, records := range storetest.Select(t, s, q) {
			count += len(records)
			for _, r := range records {
				if q.NoMeta && r.Meta != nil {
					t.Errorf("%v: got metadata that nobody asked for: %v", matchers, r.Meta)
				}
			}
		}
		if q.Backward || q.NoLines || q.NoMeta {
			if count != n {
				t.Errorf("%v: %d records, and %d when asked in another way (%+v)", matchers, n, count, q)
			}
		}
		n = count
	}
	volumes, err := s.Volume(t.Context(), matchers, math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, v := range volumes {
		sum += v.Records
	}
	if sum != int64(n) {
		t.Errorf("%v: a volume of %d records, want %d", matchers, sum, n)
	}
	return n
}

// push and containers make more streams than there is room for: every line is
// there, before and after it is in chunks, and over a restart.
func TestNoLineIsLostAtTheStreamLimit(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, tight(dir))
	line := func(i int) []tallyman.Record {
		return []tallyman.Record{{Time: int64(i + 1), Line: fmt.Appendf(nil, "line %d", i), Meta: []tallyman.Label{{Name: "name", Value: "own"}, {Name: "trace", Value: "t"}}}}
	}
	known := streamOf("host", "h", "level", "info", "name", "known", "source", "container")
	appendTo := func(st *tallyman.Stream, i int) {
		t.Helper()
		b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: known, Records: line(i)}, {Stream: st, Records: line(i)}},
			Positions: []tallyman.Position{{Key: "k", Value: fmt.Sprint(i)}}}
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
	}
	tail := s.TailRecords([]tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "job-37")})
	defer tail.Close()
	const pushed, jobs = 50, 60
	for i := range pushed {
		appendTo(streamOf("app", fmt.Sprint("a", i), "level", fmt.Sprint("made-up-", i)), i)
	}
	for i := range jobs {
		level := []string{"info", "error"}[i%2]
		appendTo(streamOf("host", "h", "level", level, "name", fmt.Sprint("job-", i), "source", "container"), pushed+i)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, dropped, err := tail.Next(ctx); err != nil || dropped != 0 || len(got) != 1 || len(got[0].Records) != 1 || string(got[0].Records[0].Line) != "line 87" {
		t.Errorf("the tail of one job: %v, %d dropped, %v", got, dropped, err)
	}
	shares := s.Shares()
	if len(shares) != 2 || shares[0].Streams != 10 || shares[0].Overflowed != jobs-9 || shares[0].Since.IsZero() ||
		shares[1].Streams != 5 || shares[1].Overflowed != pushed-5 || shares[1].Memory <= 0 || shares[1].Memory > shares[1].MemoryLimit {
		t.Errorf("got shares %+v", shares)
	}
	check := func(when string) {
		t.Helper()
		for _, c := range []struct {
			want     int
			matchers []tallyman.Matcher
		}{
			{2 * (pushed + jobs), nil},
			{pushed + jobs, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "known")}},
			{1, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "job-3")}},
			{1, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "job-59")}},
			{0, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "job-59"), mustMatch(t, tallyman.MatchEqual, "level", "info")}},
			{1, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "job-59"), mustMatch(t, tallyman.MatchEqual, "level", "error"), mustMatch(t, tallyman.MatchEqual, "host", "h")}},
			{jobs, []tallyman.Matcher{mustMatch(t, tallyman.MatchRegexp, "name", "job-.*")}},
			{jobs - 1, []tallyman.Matcher{mustMatch(t, tallyman.MatchRegexp, "name", "job-.*"), mustMatch(t, tallyman.MatchNotEqual, "name", "job-59")}},
			{1, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "app", "a49")}},
			{1, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "level", "made-up-49")}},
			{pushed, []tallyman.Matcher{mustMatch(t, tallyman.MatchRegexp, "app", ".+")}},
			{0, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "own")}}, // a stream's label wins
			{pushed - 5 + jobs - 9, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "overflow", "streams")}},
			{jobs + pushed, []tallyman.Matcher{mustMatch(t, tallyman.MatchEqual, "name", "known"), mustMatch(t, tallyman.MatchEqual, "overflow", "")}},
		} {
			if len(c.matchers) == 1 && c.matchers[0].Value == "own" { // pushed lines have it as metadata only
				continue
			}
			if n := found(t, s, c.matchers...); n != c.want {
				t.Errorf("%s: %v selects %d records, want %d", when, c.matchers, n, c.want)
			}
		}
		if v, _ := s.Position("k"); v != fmt.Sprint(pushed+jobs-1) {
			t.Errorf("%s: the position is %q", when, v)
		}
	}
	check("in memory")
	for key, records := range storetest.Select(t, s, storetest.All()) {
		if !strings.Contains(key, "overflow") || !strings.Contains(key, "container") {
			continue
		}
		for _, r := range records {
			names := []string{}
			for _, l := range r.Meta {
				names = append(names, l.Name)
			}
			if want := []string{"host", "name", "name_extracted", "trace"}; !slices.Equal(names, want) {
				t.Fatalf("%s: metadata %v, want %v", key, r.Meta, want)
			}
		}
	}
	if n := len(storetest.Select(t, s, storetest.All())); n > 10+5+2+1 {
		t.Errorf("there are %d streams", n)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, tight(dir))
	check("after a restart")
	s.mu.Lock()
	s.sealAll(func(*head) bool { return true })
	s.mu.Unlock()
	check("in chunks")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, tight(dir))
	check("in chunks, after a restart")
}

// A stream that the retention has emptied makes room.
func TestRoomForStreamsAgain(t *testing.T) {
	c := newClock()
	o := tight(t.TempDir())
	o.now, o.syncEvery = c.now, time.Hour
	s := mustOpen(t, o)
	for i := range 20 {
		b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: streamOf("name", fmt.Sprint(i), "source", "container"), Records: []tallyman.Record{{Time: c.nano.Load(), Line: []byte("x")}}}}}
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
	}
	if shares := s.Shares(); shares[0].Since.IsZero() || shares[0].Overflowed != 10 {
		t.Fatalf("got %+v", shares)
	}
	s.mu.Lock()
	s.sealAll(func(*head) bool { return true })
	s.mu.Unlock()
	for range 10 {
		c.add(25 * time.Hour)
		fill(t, s, "container", c.nano.Load())
		expire(s)
	}
	shares := s.Shares()
	if shares[0].Streams != 1 || !shares[0].Since.IsZero() {
		t.Errorf("got %+v", shares)
	}
	if shares[0].Memory > 5000 {
		t.Errorf("%d bytes are counted for one stream", shares[0].Memory)
	}
}

// Streams with long labels take no more memory than their share has, and leave
// that of the others alone.
func TestLongLabelsLeaveRoom(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), StreamMemory: 1 << 20,
		Shares: []Share{{Name: "container", Sources: []string{"container"}, Streams: 100}, {Name: "push", Streams: 100}}})
	for i := range 100 {
		b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{
			{Stream: streamOf("app", fmt.Sprint(i, strings.Repeat("x", maxLabelValue-10))), Records: []tallyman.Record{{Time: 1, Line: []byte("x")}}}}}
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{
			{Stream: streamOf("name", fmt.Sprint(i), "source", "container"), Records: []tallyman.Record{{Time: 1, Line: []byte("x")}}}}}
		if err := s.AppendRecords(b); err != nil {
			t.Fatal(err)
		}
	}
	shares := s.Shares()
	if shares[0].Overflowed != 0 || shares[1].Overflowed == 0 || shares[1].Memory > 1<<19 {
		t.Errorf("got %+v", shares)
	}
	if n := found(t, s); n != 200 {
		t.Errorf("%d records, want 200", n)
	}
}

// What is counted for a stream is what it takes.
func TestStreamMemory(t *testing.T) {
	const n = 20_000
	s := mustOpen(t, Options{Dir: t.TempDir(), Shares: []Share{{Name: "all"}}, StreamMemory: math.MaxInt64})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	s.mu.Lock()
	for i := range n {
		st := streamOf("host", "build-1", "image", "registry/ci/runner:2026", "level", "info", "name", fmt.Sprint("runner-abc-project-", i), "source", "container", "stream", "stdout", "workload", fmt.Sprint("runner-abc-project-", i))
		if _, err := s.stream(st.Labels); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Unlock()
	took := heap() - before
	counted := s.Shares()[0].Memory
	t.Logf("%d bytes for each stream, counted as %d", took/n, counted/n)
	if took > counted*5/4 || took < counted/2 {
		t.Errorf("%d streams take %d bytes and are counted as %d", n, took, counted)
	}
	runtime.KeepAlive(s)
}
