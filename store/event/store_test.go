// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/store/record"
	"tallyman/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// both is an event store that closes its record store.
type both struct {
	*Store
	records *record.Store
}

func (b *both) Close() error { return errors.Join(b.Store.Close(), b.records.Close()) }

func TestContract(t *testing.T) {
	storetest.TestEventStore(t, func(dir string) (tallyman.EventStore, error) {
		records, err := record.Open(record.Options{Dir: filepath.Join(dir, "records")})
		if err != nil {
			return nil, err
		}
		s, err := Open(Options{Records: records, Old: filepath.Join(dir, "events")})
		return &both{s, records}, err
	})
}

func TestContractInMemory(t *testing.T) {
	kept := map[string]*recordtest.Store{}
	storetest.TestEventStore(t, func(dir string) (tallyman.EventStore, error) {
		if kept[dir] == nil {
			kept[dir] = recordtest.New()
		}
		return Open(Options{Records: kept[dir]})
	})
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Records == nil {
		o.Records = recordtest.New()
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func numbered(i int) tallyman.Event {
	return tallyman.Event{
		ID: fmt.Sprintf("id-%06d", i), Time: time.Date(2026, 3, 1, 0, 0, i, 0, time.UTC),
		Host: "h", Type: "container", Action: "start", Actor: "c", Name: "web",
	}
}

func mustAppend(t *testing.T, s *Store, numbers ...int) {
	t.Helper()
	var events []tallyman.Event
	for _, n := range numbers {
		events = append(events, numbered(n))
	}
	if err := s.AppendEvents(events); err != nil {
		t.Fatal(err)
	}
}

// ids are those of all events, oldest first, page by page.
func ids(t *testing.T, s *Store) []string {
	t.Helper()
	var out []string
	q := tallyman.EventQuery{Limit: 7}
	for {
		events, more, err := s.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			out = append(out, e.ID)
		}
		if !more {
			slices.Reverse(out)
			return out
		}
		q.Before = out[len(out)-1]
	}
}

func wantIDs(t *testing.T, s *Store, numbers ...int) {
	t.Helper()
	var want []string
	for _, n := range numbers {
		want = append(want, numbered(n).ID)
	}
	if got := ids(t, s); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func wantOwn(t *testing.T, s *Store, name, label string, want float64) {
	t.Helper()
	got := 0.0
	for _, m := range s.SelfMetrics() {
		if m.Desc.Name == "tallyman_event_store_"+name && (label == "" || m.Labels[0].Value == label) {
			got += m.Read()
		}
	}
	if got != want {
		t.Errorf("%s{%s} is %v, want %v", name, label, got, want)
	}
}

// What LogQL finds an event by.
func TestRecordOfAnEvent(t *testing.T) {
	records := recordtest.New()
	s := mustOpen(t, Options{Records: records})
	e := numbered(1)
	e.Workload, e.Image = "shop/web/1", "nginx:1"
	net := tallyman.Event{ID: "n", Time: e.Time, Host: "h", Type: "network", Action: "connect", Actor: "abc", Name: "bridge"}
	if err := s.AppendEvents([]tallyman.Event{e, net}); err != nil {
		t.Fatal(err)
	}
	got := map[string]tallyman.Record{}
	cursors, err := records.SelectRecords(t.Context(), tallyman.RecordQuery{End: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cursors {
		r, err := c.Next()
		if err != nil || len(r) != 1 {
			t.Fatal(r, err)
		}
		got[fmt.Sprint(c.Stream().Labels)] = r[0]
	}
	r, ok := got["[{host h} {image nginx:1} {name web} {source event} {workload shop/web/1}]"]
	if want := `{"id":"id-000001","time":"2026-03-01T00:00:01Z","host":"h","type":"container","action":"start","actor":"c","name":"web","image":"nginx:1","workload":"shop/web/1"}`; !ok ||
		string(r.Line) != want || fmt.Sprint(r.Meta) != "[{action start} {actor c} {id id-000001} {type container}]" || r.Time != e.Time.UnixNano() {
		t.Errorf("got %v %s, want %s", r, r.Line, want)
	}
	if _, ok := got["[{host h} {source event}]"]; !ok {
		t.Errorf("a network's event has a stream of its own: %v", got)
	}
}

// narrow refuses events of one name for good, and fails as told.
type narrow struct {
	*recordtest.Store
	refused string
	batches int // left until it fails
}

var errDisk = errors.New("the disk is gone")

func (n *narrow) AppendRecords(b *tallyman.RecordBatch) error {
	if n.batches == 0 {
		return errDisk
	}
	n.batches--
	good := tallyman.RecordBatch{Positions: b.Positions}
	refused := 0
	for _, s := range b.Streams {
		if s.Stream.Label("name") == n.refused {
			refused += len(s.Records)
		} else {
			good.Streams = append(good.Streams, s)
		}
	}
	if err := n.Store.AppendRecords(&good); err != nil || refused == 0 {
		return err
	}
	return &tallyman.RefusedError{Records: refused, Err: tallyman.ErrLimit}
}

// An event that can never be stored is counted, and holds up none of the others.
func TestRefusedEventsHoldNobodyUp(t *testing.T) {
	s := mustOpen(t, Options{Records: &narrow{Store: recordtest.New(), refused: "bad", batches: 1000}})
	var events []tallyman.Event
	for i := range 10 {
		e := numbered(i)
		if i%3 == 0 {
			e.Name = "bad"
		}
		events = append(events, e)
	}
	if err := s.AppendEvents(events); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, s, 1, 2, 4, 5, 7, 8)
	wantOwn(t, s, "refused_total", "", 4)
	wantOwn(t, s, "appended_total", "", 6)
}

func TestAFailedAppendMayBeRepeated(t *testing.T) {
	records := &narrow{Store: recordtest.New(), refused: "-", batches: 1}
	s := mustOpen(t, Options{Records: records})
	var events []tallyman.Event
	for i := range 6 {
		e := numbered(i)
		e.Attributes = map[string]string{"x": strings.Repeat("x", maxBatch/4)}
		events = append(events, e)
	}
	if err := s.AppendEvents(events); !errors.Is(err, errDisk) {
		t.Errorf("got %v, want the store's error", err)
	}
	records.batches = 10
	if err := s.AppendEvents(events); err != nil {
		t.Error(err)
	}
	wantIDs(t, s, 0, 1, 2, 3, 4, 5)
}

func TestRemembersIDs(t *testing.T) {
	records := recordtest.New()
	s := mustOpen(t, Options{Records: records, RememberIDs: 3})
	mustAppend(t, s, 4, 1, 2, 3)
	if len(s.ids.set) != 3 {
		t.Errorf("got %d ids in memory, want 3", len(s.ids.set))
	}
	s = mustOpen(t, Options{Records: records, RememberIDs: 3})
	mustAppend(t, s, 2, 3, 4) // the newest by time
	wantIDs(t, s, 1, 2, 3, 4)
	wantOwn(t, s, "duplicates_total", "", 3)
}

// Many at one moment, in many streams, in pages smaller than they are many.
func TestManyAtOneMoment(t *testing.T) {
	s := mustOpen(t, Options{})
	var want []string
	for i := range 500 {
		e := numbered(i)
		e.Time, e.Name = numbered(i/250).Time, fmt.Sprint("n", i%9)
		if err := s.AppendEvents([]tallyman.Event{e}); err != nil {
			t.Fatal(err)
		}
		want = append(want, e.ID)
	}
	if got := ids(t, s); !slices.Equal(got, want) {
		t.Errorf("got %d events, want 500 in order: %.300v", len(got), got)
	}
}

func TestTimesThatCannotBeTold(t *testing.T) {
	s := mustOpen(t, Options{})
	var events []tallyman.Event
	for i, at := range []time.Time{{}, time.Unix(0, 0), time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		e := numbered(i)
		e.Time = at
		events = append(events, e)
	}
	if err := s.AppendEvents(events); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, s, 0, 1, 2)
}

// Whoever may push may write what is no event.
func TestForeignRecords(t *testing.T) {
	records := recordtest.New()
	s := mustOpen(t, Options{Records: records})
	mustAppend(t, s, 1)
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "source", Value: "event"}}}
	if err := records.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: []tallyman.Record{
		{Time: 5, Line: []byte("no event")}, {Time: 1 << 62, Line: []byte(`{}`)},
	}}}}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, s, 1)
	wantOwn(t, s, "damaged_lines_total", "foreign", 2)
	wantIDs(t, mustOpen(t, Options{Records: records}), 1)
}

func TestQueryIsCancelled(t *testing.T) {
	s := mustOpen(t, Options{})
	mustAppend(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Events(ctx, tallyman.EventQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want Canceled", err)
	}
}

// A query with a limit does not read what it does not need, and tells the record
// store what it looks for.
func TestQueriesNarrow(t *testing.T) {
	records := recordtest.New()
	s := mustOpen(t, Options{Records: records})
	mustAppend(t, s, 1, 2, 3)
	id := strings.Repeat("ab", 32)
	_, _, err := s.Events(t.Context(), tallyman.EventQuery{Container: id, Actions: []string{"di\"e"}, Workload: "a+b", Host: "h", Start: time.Unix(5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	q := records.LastQuery()
	if want := []string{`"workload":"a+b"`, `"action":"di\"e"`, `"` + id + `"`}; !slices.Equal(q.Contains, want) || q.Start != 5e9 || len(q.Matchers) != 3 || !q.Matchers[2].Matches("a+b") || !q.Matchers[2].Matches("") {
		t.Errorf("it asks for %+v", q)
	}
}

func BenchmarkQueryNewest(b *testing.B) {
	records, err := record.Open(record.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer records.Close()
	s := mustOpen(b, Options{Records: records})
	var events []tallyman.Event
	for i := range 50_000 {
		e := numbered(i)
		e.Name = fmt.Sprint("web-", i%100)
		events = append(events, e)
	}
	if err := s.AppendEvents(events); err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]tallyman.EventQuery{"newest": {Limit: 100}, "rare": {Types: []string{"network"}}, "all": {Limit: MaxLimit}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Events(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
