// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
	"tallyman/internal/inspect"
)

// Options is everything it may use. All but Log are needed.
type Options struct {
	// Records is where snapshots go.
	Records tallyman.RecordIntake
	// Stored finds those that were kept before.
	Stored tallyman.RecordReader
	// Container and Image ask an engine for an inspection; they block.
	Container func(ctx context.Context, engine, id string) (json.RawMessage, error)
	Image     func(ctx context.Context, engine, id string) (json.RawMessage, error)
	// Emit takes an event.
	Emit func(tallyman.Event)
	// Key hides the values of variables, see [Key].
	Key []byte
	// Log tells what fails; nil is silent.
	Log *slog.Logger

	timing timing
}

// timing holds every interval, so that tests need not wait.
type timing struct {
	gather   time.Duration // from an event to the question
	settle   time.Duration // from a snapshot to the comparison
	settleIn time.Duration // at most, while others follow
	retry    time.Duration // to the first repetition
}

func (t timing) withDefaults() timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.gather, 300*time.Millisecond)
	def(&t.settle, 2*time.Second)
	def(&t.settleIn, 10*time.Second)
	def(&t.retry, 5*time.Second)
	return t
}

// The bounds of what is kept in memory.
const (
	maxWaiting = 5000
	maxKnown   = 20_000
	maxTries   = 10
)

// Source takes snapshots. It is an Observer.
type Source struct {
	o     Options
	count counts
	wake  chan struct{}

	mu      sync.Mutex
	seen    map[string]*subject // containers that exist, by id
	waiting int
	failing bool // the last question failed, for logging once

	// Of Run alone:
	stored map[string]string     // hash of the newest snapshot by id of a container
	images map[string]bool       // ids of stored images
	last   map[workload]snapshot // by workload, what was compared last
	fresh  map[workload]*pending // what is to be compared
}

var (
	_ tallyman.ContainerObserver = (*Source)(nil)
	_ tallyman.EventObserver     = (*Source)(nil)
)

type workload struct{ host, key string }

// subject is a container that exists.
type subject struct {
	c     *tallyman.Container
	print string
	due   time.Time // zero when nothing is to be asked
	tries int
}

// snapshot is one that is stored.
type snapshot struct {
	id, hash string
	at       int64
	created  time.Time // of the container, zero when it was before this process
}

// pending waits for the workload to settle.
type pending struct {
	snapshot
	line       []byte
	c          *tallyman.Container
	since, due time.Time
}

// New reads which snapshots are stored.
func New(o Options) (*Source, error) {
	o.timing = o.timing.withDefaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("source", "snapshot")
	s := &Source{
		o: o, wake: make(chan struct{}, 1), seen: map[string]*subject{},
		stored: map[string]string{}, images: map[string]bool{}, last: map[workload]snapshot{}, fresh: map[workload]*pending{},
	}
	if err := s.load(context.Background()); err != nil {
		return nil, fmt.Errorf("read the stored snapshots: %w", err)
	}
	return s, nil
}

// ObserveContainer has a container asked for that is new or was changed.
func (s *Source) ObserveContainer(c *tallyman.Container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.seen[c.ID]
	if c.State == tallyman.Gone || c.Disabled {
		if known != nil {
			s.settled(known)
			delete(s.seen, c.ID)
		}
		return
	}
	print := fingerprint(c)
	if known == nil {
		known = &subject{c: c, print: print}
		s.seen[c.ID] = known
		s.ask(known, 0)
		return
	}
	known.c = c
	if known.print != print {
		known.print = print
		s.ask(known, s.o.timing.gather)
	}
}

// fingerprint is what of a container only an event would have changed.
func fingerprint(c *tallyman.Container) string {
	var networks []string
	for _, n := range c.Networks {
		networks = append(networks, n.Name)
	}
	return fmt.Sprint(c.Name, "|", c.ImageID, "|", c.Started.UnixNano(), "|", c.RestartPolicy, "|", c.CPULimit, c.CPUQuota, c.CPUPeriod, c.CPUShares,
		c.MemoryLimit, c.MemoryReservation, c.MemorySwap, c.PidsLimit, c.CPUSet, "|", networks)
}

// ObserveEvent has a container asked for that an event may have changed.
func (s *Source) ObserveEvent(e tallyman.Event) {
	id := ""
	switch {
	case e.Type == "container" && (e.Action == "create" || e.Action == "start" || e.Action == "update" || e.Action == "rename"):
		id = e.Actor
	case e.Type == "network" && (e.Action == "connect" || e.Action == "disconnect"):
		id = e.Attributes["container"]
	default:
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.seen[id]; known != nil {
		s.ask(known, s.o.timing.gather)
	}
}

// ask has the engine asked about a container, with the lock held.
func (s *Source) ask(u *subject, in time.Duration) {
	if u.due.IsZero() {
		if s.waiting >= maxWaiting {
			s.count.dropped.Add(1)
			return
		}
		s.waiting++
		u.due = time.Now().Add(in)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// settled takes a container off the list, with the lock held.
func (s *Source) settled(u *subject) {
	if !u.due.IsZero() {
		s.waiting--
		u.due = time.Time{}
	}
}

// Run asks, stores and compares until ctx ends; what is to be compared then is
// compared at once.
func (s *Source) Run(ctx context.Context) error {
	defer s.compareAll(context.WithoutCancel(ctx), func(*pending) bool { return true })
	for {
		c, wait := s.next()
		if c == nil {
			now := time.Now()
			s.compareAll(ctx, func(p *pending) bool { return !now.Before(p.due) })
			for _, p := range s.fresh {
				wait = min(wait, time.Until(p.due))
			}
			t := time.NewTimer(max(wait, time.Millisecond))
			select {
			case <-ctx.Done():
				t.Stop()
				return nil
			case <-s.wake:
				t.Stop()
			case <-t.C:
			}
			continue
		}
		began := time.Now()
		s.take(ctx, c)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(4*time.Since(began), time.Second)):
		}
	}
}

// next is the container to ask about now, or how long there is none.
func (s *Source) next() (*tallyman.Container, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first *subject
	if s.waiting > 0 {
		for _, u := range s.seen {
			if !u.due.IsZero() && (first == nil || u.due.Before(first.due)) {
				first = u
			}
		}
	}
	if first == nil {
		return nil, time.Hour
	}
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait
	}
	s.settled(first)
	return first.c, 0
}

// take asks about a container and stores what is new.
func (s *Source) take(ctx context.Context, c *tallyman.Container) {
	raw, err := s.o.Container(ctx, c.Engine, c.ID)
	if err == nil {
		err = s.keep(ctx, c, raw)
	}
	switch {
	case err == nil:
		s.mu.Lock()
		if u := s.seen[c.ID]; u != nil {
			u.tries = 0
		}
		back := s.failing
		s.failing = false
		s.mu.Unlock()
		if back {
			s.o.Log.Info("snapshots are taken again")
		}
	case errors.Is(err, dockerapi.ErrNotFound) || ctx.Err() != nil:
	default:
		s.count.failed.Add(1)
		s.mu.Lock()
		if u := s.seen[c.ID]; u != nil && u.tries < maxTries && !errors.Is(err, errContent) {
			u.tries++
			s.ask(u, min(s.o.timing.retry<<(u.tries-1), 10*time.Minute))
		}
		news := !s.failing
		s.failing = true
		s.mu.Unlock()
		if news {
			s.o.Log.Warn("no snapshot of a container; it is tried again", "container", c.Name, "err", err)
		}
	}
}

// errContent is what asking again does not help against.
var errContent = errors.New("the answer cannot be used")

// keep stores an inspection unless it is stored already.
func (s *Source) keep(ctx context.Context, c *tallyman.Container, raw json.RawMessage) error {
	doc, err := inspect.Container(raw, s.o.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", errContent, err)
	}
	line := inspect.Encode(doc)
	hash := inspect.Hash(line)
	if s.stored[c.ID] != hash {
		now := time.Now()
		meta := []tallyman.Label{{Name: "container_id", Value: c.ID}, {Name: "hash", Value: hash}}
		if err := s.store(ctx, labels(c.Host, c.Name, c.Workload.Key, c.Image), tallyman.Record{Time: now.UnixNano(), Line: line, Meta: meta}); err != nil {
			return err
		}
		s.count.containers.Add(1)
		bound(s.stored)
		s.stored[c.ID] = hash
		s.await(ctx, c, snapshot{c.ID, hash, now.UnixNano(), c.Created}, line, now)
	}
	return s.keepImage(ctx, c)
}

// keepImage stores the configuration of a container's image once.
func (s *Source) keepImage(ctx context.Context, c *tallyman.Container) error {
	key := c.Host + " " + c.ImageID
	if c.ImageID == "" || s.images[key] {
		return nil
	}
	bound(s.images)
	s.images[key] = true
	raw, err := s.o.Image(ctx, c.Engine, c.ImageID)
	switch {
	case err == nil:
	case errors.Is(err, dockerapi.ErrNotFound): // it was removed behind its container
		return nil
	case dockerapi.FailureOf(err) == dockerapi.Answered: // a proxy that does not let it through
		s.count.failed.Add(1)
		s.o.Log.Warn("no snapshot of an image", "image", c.Image, "err", err)
		return nil
	default:
		delete(s.images, key)
		return err
	}
	doc, err := inspect.Image(raw, s.o.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", errContent, err)
	}
	line := inspect.Encode(doc)
	meta := []tallyman.Label{{Name: "hash", Value: inspect.Hash(line)}, {Name: "image_id", Value: c.ImageID}}
	if err := s.store(ctx, labels(c.Host, "", "", c.Image), tallyman.Record{Time: time.Now().UnixNano(), Line: line, Meta: meta}); err != nil {
		delete(s.images, key)
		return err
	}
	s.count.images.Add(1)
	return nil
}

// store stores one record.
func (s *Source) store(ctx context.Context, st *tallyman.Stream, r tallyman.Record) error {
	b := tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: []tallyman.Record{r}}}}
	err := s.o.Records.TakeRecords(ctx, &b)
	if refused, ok := errors.AsType[*tallyman.RefusedError](err); ok {
		return fmt.Errorf("store a snapshot: %w: %w", errContent, refused)
	}
	if err != nil {
		return fmt.Errorf("store a snapshot: %w", err)
	}
	return nil
}

func labels(host, name, workload, image string) *tallyman.Stream {
	st := &tallyman.Stream{}
	for _, l := range [...]tallyman.Label{{Name: "host", Value: host}, {Name: "image", Value: image}, {Name: "name", Value: name}, {Name: "source", Value: "snapshot"}, {Name: "workload", Value: workload}} {
		if l.Value != "" {
			st.Labels = append(st.Labels, l)
		}
	}
	return st
}

// bound makes room in what is known of things that may be gone. What is forgotten
// is at worst stored once more.
func bound[V any](m map[string]V) {
	for k := range m {
		if len(m) < maxKnown {
			return
		}
		delete(m, k)
	}
}

// await notes a snapshot that is to be compared.
func (s *Source) await(ctx context.Context, c *tallyman.Container, n snapshot, line []byte, now time.Time) {
	w := workload{c.Host, c.Workload.Key}
	p := s.fresh[w]
	switch {
	case p != nil && n.id != p.id && n.created.Before(p.created):
		return // of the one that it takes the place of
	case p == nil && s.last[w].id != n.id && n.created.Before(s.last[w].created):
		return
	case p != nil && n.id != p.id: // made anew before the first had settled
		s.compareAll(ctx, func(o *pending) bool { return o == p })
		p = nil
	}
	if p == nil {
		p = &pending{since: now}
		s.fresh[w] = p
	}
	p.snapshot, p.line, p.c = n, slices.Clone(line), c
	p.due = now.Add(s.o.timing.settle)
	if end := p.since.Add(s.o.timing.settleIn); p.due.After(end) {
		p.due = end
	}
}

// compareAll compares what is ready with what was compared last.
func (s *Source) compareAll(ctx context.Context, ready func(*pending) bool) {
	for w, p := range s.fresh {
		if !ready(p) {
			continue
		}
		delete(s.fresh, w)
		before, ok := s.last[w]
		if len(s.last) >= maxKnown {
			for k := range s.last {
				delete(s.last, k) // any
				break
			}
		}
		s.last[w] = p.snapshot
		// One run of docker compose run is not what the one before has become.
		if ok && before.hash != p.hash && !(p.c.Workload.OneOff && before.id != p.id) {
			s.compare(ctx, w, before, p)
		}
	}
}

// maxPaths is how many changed paths an event names.
const maxPaths = 20

// compare tells the drift from before to p, if there is one.
func (s *Source) compare(ctx context.Context, w workload, before snapshot, p *pending) {
	old, err := s.read(ctx, w, before)
	if err != nil || old == nil {
		if err != nil {
			s.o.Log.Warn("a snapshot cannot be compared", "workload", w.key, "err", err)
		}
		return // its time may be over
	}
	changes, err := inspect.Diff(old, p.line, inspect.Drift)
	if err != nil || len(changes) == 0 {
		return
	}
	s.count.drifts.Add(1)
	e := tallyman.Event{
		ID: fmt.Sprintf("drift-%.8s-%.8s-%d", before.hash, p.hash, p.at), Time: time.Unix(0, p.at).UTC(), Host: p.c.Host, Engine: p.c.Engine, Type: "tallyman", Action: "drift",
		Actor: p.id, Name: p.c.Name, Image: p.c.Image, Workload: w.key,
		Attributes: map[string]string{"container": p.id, "from": before.hash, "to": p.hash},
	}
	for i, c := range changes {
		if i == maxPaths {
			e.Attributes["more"] = fmt.Sprint(len(changes) - maxPaths)
			break
		}
		e.Attributes[clip.Text(c.Path, 256)] = clip.Text(c.String(), 512)
	}
	s.o.Emit(e)
}
