// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tallyman"
)

// TestEventStore holds the store that open makes to the contract of
// tallyman.EventStore. open is called with a folder of its own for each test,
// and again with the same folder after Close to see what was kept.
func TestEventStore(t *testing.T, open func(dir string) (tallyman.EventStore, error)) {
	mustOpen := func(t *testing.T, dir string) tallyman.EventStore {
		t.Helper()
		s, err := open(dir)
		if err != nil {
			t.Fatalf("open %s: %v", dir, err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("round trip", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		want := full()
		mustAppend(t, s, want)
		got := mustQuery(t, s, tallyman.EventQuery{})
		if len(got) != 1 || !same(got[0], want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("empty", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		mustAppend(t, s)
		if got := mustQuery(t, s, tallyman.EventQuery{}); len(got) != 0 {
			t.Errorf("got %d events of an empty store", len(got))
		}
	})
	t.Run("newest first", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		for _, i := range []int{3, 1, 4, 0, 2} { // an inferred event comes late
			mustAppend(t, s, numbered(i))
		}
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{}), 4, 3, 2, 1, 0)
	})
	t.Run("duplicates", func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir)
		mustAppend(t, s, numbered(0), numbered(1), numbered(0))
		mustAppend(t, s, numbered(1), numbered(2))
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{}), 2, 1, 0)
		mustClose(t, s)
		s = mustOpen(t, dir)
		mustAppend(t, s, numbered(2), numbered(0))
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{}), 2, 1, 0)
	})
	t.Run("reopen", func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir)
		mustAppend(t, s, numbered(0), full())
		mustClose(t, s)
		s = mustOpen(t, dir)
		mustAppend(t, s, numbered(1))
		if got := mustQuery(t, s, tallyman.EventQuery{}); len(got) != 3 || !slices.ContainsFunc(got, func(e tallyman.Event) bool { return same(e, full()) }) {
			t.Errorf("got %+v after reopening, want three events with %+v", got, full())
		}
	})
	t.Run("filters", func(t *testing.T) { testFilters(t, mustOpen(t, t.TempDir())) })
	t.Run("time range", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		for i := range 10 {
			mustAppend(t, s, numbered(i))
		}
		at := func(i int) time.Time { return numbered(i).Time }
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{Start: at(7)}), 9, 8, 7)
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{End: at(2)}), 1, 0)
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{Start: at(3), End: at(5)}), 4, 3)
		wantIDs(t, mustQuery(t, s, tallyman.EventQuery{Start: at(5), End: at(3)}))
	})
	t.Run("paging", func(t *testing.T) { testPaging(t, mustOpen(t, t.TempDir())) })
	t.Run("unknown page", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		mustAppend(t, s, numbered(0))
		if _, _, err := s.Events(t.Context(), tallyman.EventQuery{Before: "no such id"}); !errors.Is(err, tallyman.ErrNotFound) {
			t.Errorf("Before an unknown id: got error %v, want ErrNotFound", err)
		}
	})
	t.Run("close twice", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		mustClose(t, s)
		mustClose(t, s)
		if err := s.AppendEvents([]tallyman.Event{numbered(0)}); err == nil {
			t.Error("AppendEvents after Close: got no error")
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 50 {
					if err := s.AppendEvents([]tallyman.Event{numbered(w*50 + i)}); err != nil {
						t.Error(err)
						return
					}
					if _, _, err := s.Events(t.Context(), tallyman.EventQuery{Limit: 5}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := mustQuery(t, s, tallyman.EventQuery{}); len(got) != 200 {
			t.Errorf("got %d events of 200 appended concurrently", len(got))
		}
	})
}

func testFilters(t *testing.T, s tallyman.EventStore) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	mustAppend(t, s,
		event("die", tallyman.Event{Type: "container", Action: "die", Host: "a", Actor: id, Name: "web", Image: "nginx:1", Workload: "shop/web/1", Attributes: map[string]string{"exitCode": "137"}}),
		event("start", tallyman.Event{Type: "container", Action: "start", Host: "a", Actor: id, Name: "web", Image: "nginx:1", Workload: "shop/web/1"}),
		event("other", tallyman.Event{Type: "container", Action: "start", Host: "b", Actor: "f" + id[1:], Name: "DB", Image: "postgres:16"}),
		event("net", tallyman.Event{Type: "network", Action: "connect", Host: "a", Actor: "n1", Name: "bridge", Attributes: map[string]string{"container": id}}),
		event("up", tallyman.Event{Type: "engine", Action: "up", Host: "a", Name: "local"}),
	)
	for _, c := range []struct {
		name string
		q    tallyman.EventQuery
		want []string
	}{
		{"type", tallyman.EventQuery{Types: []string{"network"}}, []string{"net"}},
		{"types", tallyman.EventQuery{Types: []string{"network", "engine"}}, []string{"net", "up"}},
		{"action", tallyman.EventQuery{Actions: []string{"start"}}, []string{"other", "start"}},
		{"host", tallyman.EventQuery{Host: "b"}, []string{"other"}},
		{"container, with what its networks did", tallyman.EventQuery{Container: id}, []string{"die", "net", "start"}},
		{"workload", tallyman.EventQuery{Workload: "shop/web/1"}, []string{"die", "start"}},
		{"image", tallyman.EventQuery{Image: "postgres:16"}, []string{"other"}},
		{"text in a name, other case", tallyman.EventQuery{Text: "db"}, []string{"other"}},
		{"text in an attribute", tallyman.EventQuery{Text: "137"}, []string{"die"}},
		{"text in an action", tallyman.EventQuery{Text: "CONN"}, []string{"net"}},
		{"text in an image", tallyman.EventQuery{Text: "nginx"}, []string{"die", "start"}},
		{"all together", tallyman.EventQuery{Types: []string{"container"}, Actions: []string{"die", "start"}, Host: "a", Workload: "shop/web/1", Text: "137"}, []string{"die"}},
		{"nothing", tallyman.EventQuery{Types: []string{"volume"}}, nil},
	} {
		var got []string
		for _, e := range mustQuery(t, s, c.q) {
			got = append(got, e.ID)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %+v\n got %v\nwant %v", c.name, c.q, got, c.want)
		}
	}
}

func testPaging(t *testing.T, s tallyman.EventStore) {
	const n = 25
	for i := range n {
		e := numbered(i)
		if i%5 != 0 { // several at one moment
			e.Time = numbered(i / 5 * 5).Time
		}
		mustAppend(t, s, e)
	}
	rows := tallyman.EventQuery{Types: []string{"container"}}
	all := mustQuery(t, s, rows)
	if len(all) != n {
		t.Fatalf("got %d events, want %d", len(all), n)
	}
	for _, limit := range []int{1, 2, 7, n - 1, n, n + 1} {
		var got []tallyman.Event
		q := rows
		q.Limit = limit
		for pages := 0; ; pages++ {
			page, more, err := s.Events(t.Context(), q)
			if err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			got = append(got, page...)
			if want := len(got) < n; more != want {
				t.Fatalf("limit %d: more is %v with %d of %d events", limit, more, len(got), n)
			}
			if !more {
				break
			}
			if len(page) != limit || pages > n {
				t.Fatalf("limit %d: got a page of %d events", limit, len(page))
			}
			q.Before = page[len(page)-1].ID
			// What comes meanwhile is newer and does not disturb.
			mustAppend(t, s, event(fmt.Sprintf("late-%d-%d", limit, pages), tallyman.Event{Type: "engine", Action: "up", Time: numbered(1000 + pages).Time}))
		}
		if !slices.EqualFunc(got, all, same) {
			t.Errorf("limit %d: the pages together differ from the whole", limit)
		}
	}
}

// numbered is the i-th of a row of events, a second apart.
func numbered(i int) tallyman.Event {
	return event(fmt.Sprintf("id-%06d", i), tallyman.Event{
		Time: time.Date(2026, 3, 1, 23, 59, 50, i, time.UTC).Add(time.Duration(i) * time.Second),
		Type: "container", Action: "start", Name: "n", Actor: fmt.Sprint("c", i),
	})
}

func event(id string, e tallyman.Event) tallyman.Event {
	e.ID = id
	if e.Time.IsZero() {
		e.Time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}
	return e
}

// full has every field, and texts that a careless encoding breaks.
func full() tallyman.Event {
	return tallyman.Event{
		ID: "full", Time: time.Date(2026, 3, 1, 8, 15, 30, 123456789, time.UTC), Host: "a", Engine: "local",
		Type: "container", Action: "exec_create", Actor: "c", Name: "na\"me\n\u2028<b>", Image: "i&mage", Workload: "p/s/1",
		Inferred: true, Attributes: map[string]string{"command": "sh -c 'a\tb'\x00…", "k=v": ""},
	}
}

func same(a, b tallyman.Event) bool {
	ta, tb := a.Time, b.Time
	a.Time, b.Time = time.Time{}, time.Time{}
	return ta.Equal(tb) && fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

func mustAppend(t *testing.T, s tallyman.EventStore, events ...tallyman.Event) {
	t.Helper()
	if err := s.AppendEvents(events); err != nil {
		t.Fatalf("AppendEvents: %v", err)
	}
}

func mustQuery(t *testing.T, s tallyman.EventStore, q tallyman.EventQuery) []tallyman.Event {
	t.Helper()
	events, _, err := s.Events(t.Context(), q)
	if err != nil {
		t.Fatalf("Events(%+v): %v", q, err)
	}
	return events
}

func mustClose(t *testing.T, s interface{ Close() error }) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func wantIDs(t *testing.T, got []tallyman.Event, numbers ...int) {
	t.Helper()
	var g, w []string
	for _, e := range got {
		g = append(g, e.ID)
	}
	for _, n := range numbers {
		w = append(w, numbered(n).ID)
	}
	if !slices.Equal(g, w) {
		t.Errorf("got %v, want %v", g, w)
	}
}
