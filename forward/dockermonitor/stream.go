// SPDX-License-Identifier: Apache-2.0

package dockermonitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/forward/queue"
)

const (
	// Remember is how many messages the queue must remember for a stream.
	Remember = 1000
	// maxPending is how many events wait in memory at most.
	maxPending = 8192
	// maxKnown is how many ids are known at most; at the start it is those that the
	// queue remembers.
	maxKnown   = 20_000
	overlap    = 5 * time.Minute // of the store and the queue, at the start
	window     = 6 * time.Hour   // of one question to the store
	retryEvery = time.Second     // after the disk took nothing
	lookEvery  = 250 * time.Millisecond
	sinceFile  = "since"
	maxOpen    = 10_000 // alarms whose image is remembered
)

// Options are what a stream is made of. All are needed but Log.
type Options struct {
	// Queue is where messages go. It remembers [Remember] of them at least.
	Queue *queue.Queue
	// Dir is the queue's directory, where the stream notes since when it is there.
	Dir       string
	Events    tallyman.EventStore
	Inventory tallyman.Inventory
	// Namespace and Domain stand in each message.
	Namespace, Domain string
	// Align tells the state of each container once after the start.
	Align bool
	// Log is told when states change; nil is silent.
	Log *slog.Logger
}

// Stream turns events into messages.
type Stream struct {
	opt     Options
	started time.Time
	wake    chan struct{}

	mu      sync.Mutex
	pending []tallyman.Event
	left    string // id of the newest event that had no room in pending; the store has it
	failing bool

	// The rest is Run's.
	since   time.Time // nothing before it is told
	newest  time.Time // of the events in the queue
	known   map[string]bool
	order   []string          // of known, the oldest first
	open    map[string]string // image of the newest Major by engine and name
	aligned map[string]bool   // engines
}

var (
	_ tallyman.EventObserver  = (*Stream)(nil)
	_ tallyman.EngineObserver = (*Stream)(nil)
)

// New makes a stream, and reads what the queue remembers.
func New(o Options) (*Stream, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stream{opt: o, started: time.Now(), wake: make(chan struct{}, 1), known: map[string]bool{}, open: map[string]string{}, aligned: map[string]bool{}}
	recent, err := o.Queue.Recent(Remember)
	if err != nil {
		return nil, err
	}
	if s.since, err = s.readSince(); err != nil {
		return nil, err
	}
	for i := range recent {
		m := &recent[i]
		var a alarm
		if json.Unmarshal(m.Body, &a) != nil {
			continue // of another version
		}
		s.note(m.Key, &a)
		if m.Flags&queue.Alignment == 0 {
			s.remember(m.ID, m.Time)
		}
	}
	return s, nil
}

// readSince is when the stream was there first.
func (s *Stream) readSince() (time.Time, error) {
	name := filepath.Join(s.opt.Dir, sinceFile)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, fmt.Errorf("read since when events are forwarded: %w", err)
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text))); err == nil {
		return t, nil
	}
	if err := os.WriteFile(name, []byte(s.started.UTC().Format(time.RFC3339Nano)+"\n"), 0o600); err != nil {
		return time.Time{}, fmt.Errorf("note since when events are forwarded: %w", err)
	}
	return s.started, nil
}

// ObserveEvent takes an event. It does not wait.
func (s *Stream) ObserveEvent(e tallyman.Event) {
	if _, ok := changes[e.Action]; !ok || e.Type != "container" {
		return
	}
	s.mu.Lock()
	if len(s.pending) < maxPending {
		s.pending = append(s.pending, e)
	} else {
		s.left = e.ID
	}
	s.mu.Unlock()
	s.signal()
}

// ObserveEngine hears that an engine may have its first inventory soon.
func (s *Stream) ObserveEngine(tallyman.EngineStatus) { s.signal() }

func (s *Stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run puts messages into the queue until ctx ends, and then what is still waiting.
func (s *Stream) Run(ctx context.Context) error {
	behind, left := true, "" // the store may have what the queue has not, up to an event
	var again <-chan time.Time
	for {
		var err error
		if behind {
			if err = s.catchUp(ctx); err == nil {
				behind = left != "" && !s.known[left]
			}
		}
		if err == nil {
			err = s.take()
		}
		if l := s.leftOut(); l != "" {
			behind, left = true, l
		}
		if err == nil {
			err = s.align(ctx)
		}
		s.tell(err)
		switch {
		case err != nil || behind: // the store gets its events a moment later
			again = time.After(retryEvery)
		case s.opt.Align && s.soon():
			again = time.After(lookEvery)
		default:
			again = nil
		}
		select {
		case <-s.wake:
		case <-again:
		case <-ctx.Done():
			s.tell(s.take())
			return nil // what is left is in the event store
		}
	}
}

// tell logs when the queue begins to take nothing, and when it does again.
func (s *Stream) tell(err error) {
	failing := err != nil && !errors.Is(err, context.Canceled)
	s.mu.Lock()
	changed := failing != s.failing
	s.failing = failing
	s.mu.Unlock()
	if !changed {
		return
	}
	if failing {
		s.opt.Log.Error("events to forward cannot be queued; they wait until they can", "err", err)
	} else {
		s.opt.Log.Info("events to forward are queued again")
	}
}

// take queues what is pending, one after the other.
func (s *Stream) take() error {
	for {
		s.mu.Lock()
		if len(s.pending) == 0 {
			s.pending = nil
			s.mu.Unlock()
			return nil
		}
		e := s.pending[0]
		s.mu.Unlock()
		if err := s.put(&e); err != nil {
			return err
		}
		s.mu.Lock()
		s.pending = s.pending[1:]
		s.mu.Unlock()
	}
}

// leftOut is the newest event that had no room since it was asked last, empty for none.
func (s *Stream) leftOut() (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, s.left = s.left, ""
	return id
}

// catchUp queues the events of the store that the queue has not.
func (s *Stream) catchUp(ctx context.Context) error {
	from := s.newest.Add(-overlap)
	if from.Before(s.since) {
		from = s.since
	}
	for end := time.Now().Add(time.Hour); from.Before(end); from = from.Add(window) { // a clock may have been ahead
		events, err := s.stored(ctx, from, from.Add(window))
		if err != nil {
			return err
		}
		for i := range events {
			if err := s.put(&events[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// stored are the events of the store in a window, in order.
func (s *Stream) stored(ctx context.Context, from, to time.Time) (out []tallyman.Event, err error) {
	q := tallyman.EventQuery{Start: from, End: to, Types: []string{"container"}, Actions: actions(), Limit: 1000}
	for more := true; more; {
		var page []tallyman.Event
		if page, more, err = s.opt.Events.Events(ctx, q); err != nil {
			return nil, fmt.Errorf("read the events to forward: %w", err)
		}
		for i := range page {
			if s.own(&page[i]) {
				out = append(out, page[i])
			}
		}
		if len(page) == 0 {
			break
		}
		q.Before = page[len(page)-1].ID
	}
	slices.Reverse(out)
	return out, nil
}

// own reports whether an event is of one of the engines here: a hub has those of other hosts
// in its store, too.
func (s *Stream) own(e *tallyman.Event) bool {
	engines := s.opt.Inventory.Engines()
	return len(engines) == 0 || slices.ContainsFunc(engines, func(x tallyman.EngineStatus) bool { return x.Host == e.Host })
}

// put queues the message of an event, unless the queue has it.
func (s *Stream) put(e *tallyman.Event) error {
	if s.known[e.ID] {
		return nil
	}
	c, _ := s.opt.Inventory.Container(e.Actor)
	if c != nil && c.ID != e.Actor {
		c = nil // one of that name
	}
	a, ok := of(e, c)
	if !ok {
		return nil
	}
	if err := s.append(&a, queue.Message{ID: e.ID, Key: key(e.Engine, e.Name), Time: e.Time}); err != nil {
		return err
	}
	s.remember(e.ID, e.Time)
	return nil
}

// append queues an alarm. One that is too large for the queue is counted there and left
// out.
func (s *Stream) append(a *alarm, m queue.Message) error {
	a.Namespace, a.Domain = s.opt.Namespace, s.opt.Domain
	if image, ok := s.open[m.Key]; ok && a.Severity == clearWord {
		a.PrimarySubject.Image = image
	}
	m.Body = a.encode()
	if _, err := s.opt.Queue.Append(m); err != nil && !errors.Is(err, queue.ErrTooLarge) {
		return err
	}
	s.note(m.Key, a)
	return nil
}

// key is what a message is about.
func key(engine, name string) string { return engine + "/" + name }

// note keeps with which image an alarm was raised.
func (s *Stream) note(key string, a *alarm) {
	switch {
	case a.Severity == clearWord:
		delete(s.open, key)
	case len(s.open) < maxOpen:
		s.open[key] = a.PrimarySubject.Image
	}
}

// remember keeps the id of an event that is in the queue.
func (s *Stream) remember(id string, at time.Time) {
	if at.After(s.newest) {
		s.newest = at
	}
	if s.known[id] {
		return
	}
	s.known[id] = true
	s.order = append(s.order, id)
	if len(s.order) > maxKnown {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
}

// soon reports whether an engine will have its first inventory in a moment.
func (s *Stream) soon() bool {
	return slices.ContainsFunc(s.opt.Inventory.Engines(), func(e tallyman.EngineStatus) bool { return e.Up && !s.aligned[e.Name] })
}

// align tells the states of the containers of each engine that has its first inventory
// now.
func (s *Stream) align(ctx context.Context) error {
	if !s.opt.Align {
		return nil
	}
	for _, e := range s.opt.Inventory.Engines() {
		if s.aligned[e.Name] || e.Listed.IsZero() {
			continue
		}
		for _, c := range s.opt.Inventory.Containers() {
			if c.Engine != e.Name || c.Disabled {
				continue
			}
			a, since, ok := state(c)
			if !ok {
				continue
			}
			id := fmt.Sprintf("alignment-%d-%s", s.started.UnixNano(), c.ID)
			if s.known[id] { // told before the disk was full
				continue
			}
			if c.State == tallyman.Paused {
				since = s.paused(ctx, c)
			}
			// How old the state is says nothing about how old the message is.
			m := queue.Message{ID: id, Key: key(c.Engine, c.Name), Time: time.Now(), Flags: queue.Alignment}
			a.EventTimestamp = since.UTC().Format(timeForm)
			if err := s.append(&a, m); err != nil {
				return err
			}
			s.known[id] = true
		}
		for _, c := range s.opt.Inventory.Containers() {
			delete(s.known, fmt.Sprintf("alignment-%d-%s", s.started.UnixNano(), c.ID))
		}
		s.aligned[e.Name] = true
	}
	return nil
}

// paused is when a container was paused, as far as the store knows, else when it was
// started: the engine does not say.
func (s *Stream) paused(ctx context.Context, c *tallyman.Container) time.Time {
	found, _, err := s.opt.Events.Events(ctx, tallyman.EventQuery{Container: c.ID, Actions: []string{"pause"}, Limit: 1})
	if err != nil || len(found) == 0 || found[0].Time.Before(c.Started) {
		return c.Started
	}
	return found[0].Time
}
