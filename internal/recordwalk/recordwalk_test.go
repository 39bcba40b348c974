// SPDX-License-Identifier: Apache-2.0

package recordwalk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tallyman"
	"tallyman/internal/recordtest"
)

// counting is a store that counts which of its cursors are open.
type counting struct {
	*recordtest.Store
	open  int
	reads int
	fail  error // of the third read
}

type counted struct {
	tallyman.RecordCursor
	s      *counting
	closed bool
}

func (s *counting) SelectRecords(ctx context.Context, q tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	cursors, err := s.Store.SelectRecords(ctx, q)
	for i, c := range cursors {
		cursors[i] = &counted{RecordCursor: c, s: s}
	}
	s.open += len(cursors)
	return cursors, err
}

func (c *counted) Next() ([]tallyman.Record, error) {
	if c.s.reads++; c.s.reads == 3 && c.s.fail != nil {
		return nil, c.s.fail
	}
	return c.RecordCursor.Next()
}

func (c *counted) Close() {
	if !c.closed {
		c.closed = true
		c.s.open--
	}
	c.RecordCursor.Close()
}

// testStore has five streams with some records of one time.
func testStore(t *testing.T) (*counting, []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	s := &counting{Store: recordtest.New()}
	var all []string
	for i := range 5 {
		g := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "n", Value: fmt.Sprint(i)}}}}
		at := int64(0)
		for range 40 {
			at += random.Int64N(3)
			g.Records = append(g.Records, tallyman.Record{Time: at, Line: fmt.Appendf(nil, "%d", random.Int())})
			all = append(all, fmt.Sprintf("%d %d %s", i, at, g.Records[len(g.Records)-1].Line))
		}
		if err := s.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{g}}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	return s, all
}

func query(backward bool) tallyman.RecordQuery {
	return tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64, Backward: backward}
}

// walks are all ways over a store.
var walks = map[string]func(ctx context.Context, s tallyman.RecordReader) iter.Seq2[Found, error]{
	"by time": func(ctx context.Context, s tallyman.RecordReader) iter.Seq2[Found, error] {
		return ByTime(ctx, s, query(false))
	},
	"backward": func(ctx context.Context, s tallyman.RecordReader) iter.Seq2[Found, error] {
		return ByTime(ctx, s, query(true))
	},
	"by stream": func(ctx context.Context, s tallyman.RecordReader) iter.Seq2[Found, error] {
		return ByStream(ctx, s, query(false))
	},
}

// Every record comes once, in order, with its stream; nothing stays open.
func TestAll(t *testing.T) {
	for name, walk := range walks {
		s, want := testStore(t)
		var got []string
		last, of := int64(math.MinInt64), 0
		for f, err := range walk(t.Context(), s) {
			if err != nil {
				t.Fatal(err)
			}
			at := f.Record.Time
			if name == "backward" {
				at = -at
			}
			if name != "by stream" && at < last || name == "by stream" && f.Of < of {
				t.Fatalf("%s: a record of %d in stream %d comes behind one of %d in %d", name, f.Record.Time, f.Of, last, of)
			}
			last, of = at, f.Of
			got = append(got, fmt.Sprintf("%s %d %s", f.Stream.Label("n"), f.Record.Time, f.Record.Line))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d records, want %d", name, len(got), len(want))
		}
		if s.open != 0 {
			t.Errorf("%s: %d cursors are open", name, s.open)
		}
	}
}

// Whoever leaves early, fails, or is told to end leaves nothing open, and has read no
// more than it saw.
func TestEarlyEnds(t *testing.T) {
	for name, walk := range walks {
		s, _ := testStore(t)
		for range walk(t.Context(), s) {
			break
		}
		if s.open != 0 || s.reads > 5 {
			t.Errorf("%s: left at once, with %d reads; %d cursors are open", name, s.reads, s.open)
		}

		s, _ = testStore(t)
		s.fail = errors.New("broken")
		var last error
		for _, err := range walk(t.Context(), s) {
			last = err
		}
		if !errors.Is(last, s.fail) || s.open != 0 {
			t.Errorf("%s: the last step is %v; %d cursors are open", name, last, s.open)
		}

		s, _ = testStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for _, err := range walk(ctx, s) {
			last = err
			if n++; n == 10 {
				cancel()
			}
		}
		cancel()
		if !errors.Is(last, context.Canceled) || s.open != 0 {
			t.Errorf("%s: told to end, the last step is %v; %d cursors are open", name, last, s.open)
		}
	}
}
