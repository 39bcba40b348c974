// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/recordtest"
)

// still is a reader whose position does not move.
type still struct{}

func (*still) Position() tallyman.Position { return tallyman.Position{Key: "k", Value: "v"} }

// testOutput is the output of a container into a store.
func testOutput(t *testing.T, start string) (*Output[int], *recordtest.Store) {
	t.Helper()
	rule, err := logrule.Compile(logrule.Text{Start: start})
	if err != nil {
		t.Fatal(err)
	}
	store := recordtest.New()
	streams := logstream.From(nil, "h", "container")
	return &Output[int]{Batch: NewBatch(recordtest.Intake(store)), Counts: &Counts{}, Of: &still{}, Streams: streams, Rule: rule}, store
}

// wantStored commits and compares what is stored, with the metadata of each line.
func wantStored(t *testing.T, o *Output[int], s *recordtest.Store, want ...string) {
	t.Helper()
	if err := o.Batch.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range s.Find("source", "container") {
		got = append(got, fmt.Sprint(f.Time, " ", f.Label("level"), " ", string(f.Line), f.Meta))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func wantBegin(t *testing.T, o *Output[int], want int) {
	t.Helper()
	if at, open := o.Begin(); at != want || open != (want != 0) {
		t.Errorf("what is not whole begins at %d (%v), want %d", at, open, want)
	}
}

// Pieces become lines, lines entries; until they are whole their position is where
// they begin.
func TestOutput(t *testing.T) {
	o, store := testOutput(t, `^\S`)
	now := time.Now()
	take := func(text string, at int, more bool) {
		if l := o.Piece(&Line[int]{Text: []byte(text), Time: int64(at), At: at}, more); l != nil {
			o.Line(l, now)
		}
	}
	take("warn: o", 1, true)
	wantBegin(t, o, 1)
	take("ne", 2, false)
	wantBegin(t, o, 1)
	take(" and mo", 3, true)
	take("re", 4, false)
	o.EndOld(now.Add(logrule.Wait / 2))
	wantStored(t, o, store)
	take("two", 5, false)
	wantBegin(t, o, 5)
	wantStored(t, o, store, "1 warn warn: one\n and more[]")
	take(" without an end", 6, true)
	wantBegin(t, o, 5)
	o.EndOld(now.Add(logrule.Wait))
	wantBegin(t, o, 6)
	if l := o.End(); l == nil || string(l.Text) != " without an end" || l.At != 6 {
		t.Errorf("the line that has no end is %+v", l)
	}
	wantBegin(t, o, 0)
	o.Line(&Line[int]{Text: []byte("of the kernel"), Level: "error", At: 7, Time: 7}, now)
	o.EndEntry()
	wantStored(t, o, store, "1 warn warn: one\n and more[]", "5 unknown two[]", "7 error of the kernel[]")
	if o.Newest != 7 || o.Counts.Lines.Load() != 3 {
		t.Errorf("the newest is of %d, %d lines are counted", o.Newest, o.Counts.Lines.Load())
	}
}

// A line without an end stays within its bound, whole or in pieces.
func TestLongLines(t *testing.T) {
	for _, pieces := range []int{1, 2, 400} {
		o, store := testOutput(t, "")
		text := []byte(strings.Repeat("y", 3*MaxLine/pieces))
		for i := range pieces {
			if l := o.Piece(&Line[int]{Text: text, Lost: i % 2}, i < pieces-1); l != nil {
				if want := len(text)*pieces - MaxLine + pieces/2; len(l.Text) != MaxLine || l.Lost != want {
					t.Errorf("%d pieces: %d bytes, %d lost, want %d and %d", pieces, len(l.Text), l.Lost, MaxLine, want)
				}
				o.Line(l, time.Now())
			}
			if n := cap(o.line.Text); n > 2*MaxLine {
				t.Fatalf("%d bytes are kept of an endless line", n)
			}
		}
		if o.line.Text != nil {
			t.Errorf("%d pieces: %d bytes stay behind the line", pieces, cap(o.line.Text))
		}
		if err := o.Batch.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := store.Find("source", "container"); len(got) != 1 || len(got[0].Meta) != 1 || o.Counts.Cut.Load() != 1 {
			t.Errorf("%d pieces: %d lines, %d cut", pieces, len(got), o.Counts.Cut.Load())
		}
	}
}

// full is a store that takes nothing for a while.
type full struct {
	tallyman.RecordIntake
	is bool
}

func (f *full) TakeRecords(ctx context.Context, b *tallyman.RecordBatch) error {
	if f.is {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.RecordIntake.TakeRecords(ctx, b)
}

// Behind a batch that was dropped nothing is stored: its position would lie behind
// what was dropped.
func TestNothingIsStoredBehindADroppedBatch(t *testing.T) {
	store := recordtest.New()
	to := &full{recordtest.Intake(store), true}
	b := NewBatch(to)
	b.Touch(&still{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Commit(over); !errors.Is(err, context.Canceled) {
		t.Errorf("a store that takes nothing: %v", err)
	}
	to.is = false
	b.Touch(&still{})
	if err := b.Commit(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("behind that: %v", err)
	}
	if p := store.Positions(""); len(p) != 0 {
		t.Errorf("%v is stored", p)
	}
}
