// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/recordwalk"
)

// maxStreams is how many streams are remembered, which saves making their labels.
const maxStreams = 5000

// maxBatch is how many bytes of lines commit together: a record store has a bound.
const maxBatch = 4 << 20

// Options say where to.
type Options struct {
	// Records is the store that keeps the events.
	Records RecordStore
	// Old is the folder of an earlier version's events, empty for none.
	Old string
	// RememberIDs is the number of ids that are known for skipping events
	// stored already, 0 for 100,000 (about 7 MB of memory).
	RememberIDs int
	// Log tells of an import and of damage; nil is silent.
	Log *slog.Logger

	now func() time.Time
}

// RecordStore is what keeps events.
type RecordStore interface {
	tallyman.RecordSink
	tallyman.RecordReader
}

func (o Options) withDefaults() Options {
	if o.RememberIDs <= 0 {
		o.RememberIDs = 100_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("source", "store/event")
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// Store implements tallyman.EventStore.
type Store struct {
	opt   Options
	count counts

	mu      sync.Mutex
	closed  bool
	ids     idSet
	streams map[streamKey]*tallyman.Stream
}

var _ tallyman.EventStore = (*Store)(nil)

// streamKey is what tells streams of events apart.
type streamKey struct{ host, name, workload, image string }

// Open reads the ids of the newest events, and brings in those of an earlier
// version.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Records == nil {
		return nil, errors.New("open event store: no record store given")
	}
	s := &Store{opt: o, ids: idSet{most: o.RememberIDs}, streams: map[streamKey]*tallyman.Stream{}}
	ctx := context.Background()
	if err := s.readIDs(ctx); err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	if err := s.importOld(); err != nil {
		// They stay where they are, and the next start tries again.
		o.Log.Error("the events of an earlier version cannot be brought in now", "folder", o.Old, "err", err)
	}
	return s, nil
}

// ours selects the records of events.
func ours() tallyman.Matcher { return tallyman.Matcher{Name: "source", Value: "event"} }

// all is the metadata of all events, the newest first.
func all() tallyman.RecordQuery {
	return tallyman.RecordQuery{Matchers: []tallyman.Matcher{ours()}, Start: math.MinInt64, End: math.MaxInt64, Backward: true, NoLines: true}
}

// readIDs takes in the ids of the newest events.
func (s *Store) readIDs(ctx context.Context) error {
	type one struct {
		id string
		at int64
	}
	var newest []one
	for f, err := range recordwalk.ByTime(ctx, s.opt.Records, all()) {
		if err != nil {
			return err
		}
		if id := tallyman.LabelIn(f.Record.Meta, "id"); id != "" {
			newest = append(newest, one{id, f.Record.Time})
		}
		if len(newest) >= s.ids.most {
			break
		}
	}
	for i := len(newest) - 1; i >= 0; i-- { // the newest is forgotten last
		s.ids.add(newest[i].id, newest[i].at)
	}
	return nil
}

// AppendEvents implements tallyman.EventStore. After an error some of the events
// may be stored; they may be given again.
func (s *Store) AppendEvents(events []tallyman.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("append events: the store is closed")
	}
	for i := range events {
		if events[i].ID == "" {
			return errors.New("append events: an event without an id")
		}
	}
	for len(events) > 0 {
		n, err := s.append(events, nil)
		if err != nil {
			return fmt.Errorf("append events: %w", err)
		}
		events = events[n:]
	}
	return nil
}

// entry is an event on its way into the record store.
type entry struct {
	e    *tallyman.Event
	at   int64
	line []byte
}

// append stores the first n events, as many as fit into a batch, and position
// with the last of them.
func (s *Store) append(events []tallyman.Event, position *tallyman.Position) (n int, err error) {
	var fresh []entry
	inBatch := make(map[string]bool, len(events))
	size, lost, skipped := 0, 0, uint64(0)
	for n < len(events) && size < maxBatch {
		e := &events[n]
		n++
		if inBatch[e.ID] || s.ids.has(e.ID) {
			skipped++
			continue
		}
		line, err := encode(e)
		if err != nil {
			return 0, err
		}
		inBatch[e.ID] = true
		size += len(line)
		fresh = append(fresh, entry{e, logstream.Nanos(e.Time), line})
	}
	if n < len(events) {
		position = nil
	}
	if len(fresh) > 0 || position != nil {
		err = s.opt.Records.AppendRecords(s.batch(fresh, position))
		refused, ok := errors.AsType[*tallyman.RefusedError](err)
		switch {
		case ok: // it never will be taken, and is not to hold up those behind it
			lost = refused.Records
			s.opt.Log.Error("events were refused by the record store", "events", lost, "err", refused.Err)
		case err != nil:
			return 0, err
		}
	}
	for _, f := range fresh {
		s.ids.add(f.e.ID, f.at)
	}
	s.count.appended.Add(uint64(len(fresh) - lost))
	s.count.refused.Add(uint64(lost))
	s.count.duplicates.Add(skipped)
	return n, nil
}

// batch makes one of events, each in its container's stream or in its host's.
func (s *Store) batch(entries []entry, position *tallyman.Position) *tallyman.RecordBatch {
	b := &tallyman.RecordBatch{}
	at := map[*tallyman.Stream]int{}
	for _, f := range entries {
		st := s.stream(f.e)
		i, ok := at[st]
		if !ok {
			i = len(b.Streams)
			at[st] = i
			b.Streams = append(b.Streams, tallyman.StreamRecords{Stream: st})
		}
		b.Streams[i].Records = append(b.Streams[i].Records, tallyman.Record{Time: f.at, Line: f.line, Meta: metaOf(f.e)})
	}
	if position != nil {
		b.Positions = []tallyman.Position{*position}
	}
	return b
}

func metaOf(e *tallyman.Event) []tallyman.Label {
	out := make([]tallyman.Label, 0, 4)
	for _, l := range [...]tallyman.Label{{Name: "action", Value: e.Action}, {Name: "actor", Value: e.Actor}, {Name: "id", Value: e.ID}, {Name: "type", Value: e.Type}} {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

// stream is where an event belongs. Only containers and what is told of workloads
// have one of their own: names of volumes, networks and images are without number.
func (s *Store) stream(e *tallyman.Event) *tallyman.Stream {
	k := streamKey{host: e.Host}
	if e.Type == "container" || e.Workload != "" {
		k = streamKey{e.Host, e.Name, e.Workload, e.Image}
	}
	if st := s.streams[k]; st != nil {
		return st
	}
	if len(s.streams) >= maxStreams {
		clear(s.streams)
	}
	st := &tallyman.Stream{}
	for _, l := range [...]tallyman.Label{{Name: "host", Value: k.host}, {Name: "image", Value: k.image}, {Name: "name", Value: k.name}, {Name: "source", Value: "event"}, {Name: "workload", Value: k.workload}} {
		if l.Value != "" {
			st.Labels = append(st.Labels, l)
		}
	}
	s.streams[k] = st
	return st
}

// encode is the line of an event, without an end.
func encode(e *tallyman.Event) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Close ends appending. The record store stays open. Calling it again does
// nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
