// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

// inventoryFile is inventory.json, see the package comment.
type inventoryFile struct {
	dir    string
	dirty  atomic.Bool // something that a restart must not lose
	lazily atomic.Bool // the position in the event stream alone
	marked chan struct{}
	errors atomic.Uint64
}

// mark notes, as dirty or lazily, that the file is to be written.
func (f *inventoryFile) mark(as *atomic.Bool) {
	as.Store(true)
	select {
	case f.marked <- struct{}{}:
	default:
	}
}

const (
	inventoryName    = "inventory.json"
	inventoryVersion = 1
	maxInventoryFile = 256 << 20
)

// savedInventory is the file.
type savedInventory struct {
	Version int           `json:"version"`
	Saved   time.Time     `json:"saved"`
	Engines []savedEngine `json:"engines"`
}

type savedEngine struct {
	Name       string       `json:"name"`
	Up         *bool        `json:"up,omitempty"`
	Facts      engineFacts  `json:"facts,omitzero"`
	Listed     time.Time    `json:"listed,omitzero"`
	LastEvent  time.Time    `json:"lastEvent,omitzero"`
	LastKey    string       `json:"lastKey,omitempty"`
	Keys       []string     `json:"keys,omitempty"`
	Containers []savedTrack `json:"containers"`
}

type savedTrack struct {
	Container *tallyman.Container `json:"container"`
	Life      *life               `json:"life,omitempty"`
	Created   bool                `json:"created,omitempty"`
	Inferred  bool                `json:"createInferred,omitempty"`
	Destroyed bool                `json:"destroyed,omitempty"`
	Paused    bool                `json:"paused,omitempty"`
	Name      string              `json:"name,omitempty"`
	OOM       time.Time           `json:"oom,omitzero"`
}

// persist writes the inventory when it has changed: within a second, or later
// when a write takes long, so that writing never costs more than a twentieth of
// the time.
func (d *Discovery) persist(stop <-chan struct{}) {
	if d.opt.DataDir == "" {
		<-stop
		return
	}
	t := d.opt.timing
	wait, last := t.persist, time.Now()
	var due time.Time // zero when nothing is to be written
	failing := false
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-d.store.marked:
			at := time.Now().Add(wait)
			if later := last.Add(t.persistLazily); !d.store.dirty.Load() && at.Before(later) {
				at = later
			}
			if due.IsZero() || at.Before(due) {
				due = at
				timer.Reset(time.Until(due))
			}
			continue
		case <-timer.C:
		}
		due = time.Time{}
		begin := time.Now()
		err := d.save()
		last = time.Now()
		wait = max(t.persist, 20*last.Sub(begin))
		if (err != nil) != failing {
			failing = err != nil
			if failing {
				d.log.Error("the inventory cannot be written", "err", err)
			} else {
				d.log.Info("the inventory can be written again")
			}
		}
	}
}

// save writes the inventory, once the store has what was told until now. When that takes
// too long it writes nothing and is called again.
func (d *Discovery) save() (err error) {
	if d.opt.DataDir == "" {
		return nil
	}
	d.store.dirty.Store(false)
	d.store.lazily.Store(false)
	defer func() {
		if err != nil {
			d.store.errors.Add(1)
			d.store.mark(&d.store.dirty)
			err = fmt.Errorf("write inventory: %w", err)
		}
	}()
	s := savedInventory{Version: inventoryVersion, Saved: time.Now().UTC()}
	for _, e := range d.engines {
		s.Engines = append(s.Engines, e.saved())
	}
	if d.opt.Settle != nil && !d.opt.Settle(d.opt.timing.stored) {
		d.store.mark(&d.store.dirty) // soon again
		return nil
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.opt.DataDir, 0o700); err != nil {
		return err
	}
	return fsx.WriteFile(filepath.Join(d.opt.DataDir, inventoryName), data, 0o600)
}

// load reads the last known inventory. One that cannot be used is renamed to
// inventory.json.bad, so that nobody's data is lost by starting.
func (d *Discovery) load() error {
	if d.opt.DataDir == "" {
		return nil
	}
	name := filepath.Join(d.opt.DataDir, inventoryName)
	s, err := readInventory(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return errors.Join(err, os.Rename(name, name+".bad"))
	}
	for _, saved := range s.Engines {
		for _, e := range d.engines {
			if e.name == saved.Name {
				e.restore(saved)
			}
		}
	}
	return nil
}

func readInventory(name string) (*savedInventory, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxInventoryFile {
		return nil, fmt.Errorf("%s: %d bytes is more than an inventory has", name, info.Size())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var s savedInventory
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s.Version != inventoryVersion {
		return nil, fmt.Errorf("%s: version %d, this program knows %d", name, s.Version, inventoryVersion)
	}
	return &s, nil
}

// saved is what a restart needs of this engine.
func (e *engine) saved() savedEngine {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := savedEngine{
		Name: e.name, Listed: e.inventoried, LastEvent: e.lastEvent, Facts: e.facts,
		Containers: make([]savedTrack, 0, len(e.tracks)),
	}
	if e.stateKnown {
		up := e.status.Up
		s.Up = &up
	}
	if e.lastKey != (key{}) {
		s.LastKey = hex.EncodeToString(e.lastKey[:])
	}
	// Events that are taken but not told yet must come again after a crash.
	keys := e.seen.last(keptKeys + e.untold)
	for _, k := range keys[:max(len(keys)-e.untold, 0)] {
		s.Keys = append(s.Keys, hex.EncodeToString(k[:]))
	}
	for _, t := range e.tracks {
		st := savedTrack{
			Container: t.c, Created: t.created, Inferred: t.createInferred, Destroyed: t.destroyed, Paused: t.paused, Name: t.name, OOM: t.oom,
		}
		if t.c.State != tallyman.Gone || !t.destroyed {
			l := t.life
			l.Marks = append([]mark(nil), l.Marks...)
			st.Life = &l
		}
		s.Containers = append(s.Containers, st)
	}
	return s
}

// restore takes over what was saved.
func (e *engine) restore(s savedEngine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inventoried, e.lastEvent = s.Listed, s.LastEvent
	e.wasUp, e.facts = s.Up, s.Facts
	if k, ok := parseKey(s.LastKey); ok {
		e.lastKey = k
	}
	for _, h := range s.Keys {
		if k, ok := parseKey(h); ok {
			e.seen.add(k)
		}
	}
	for _, st := range s.Containers {
		if st.Container == nil || st.Container.ID == "" {
			continue
		}
		c := st.Container
		// The names of this run, should the configuration have changed.
		if c.Host != e.host || c.Engine != e.name {
			c.Host, c.Engine = e.host, e.name
		}
		c.Disabled = disabled(c.Labels)
		e.choose(c)
		t := &track{c: c, created: st.Created, createInferred: st.Inferred, destroyed: st.Destroyed, paused: st.Paused, name: st.Name, oom: st.OOM, failure: failureOf(c)}
		if st.Life != nil {
			t.life = *st.Life
		}
		e.tracks[c.ID] = t
	}
}

func parseKey(s string) (k key, ok bool) {
	n, err := hex.Decode(k[:], []byte(s[:min(len(s), 2*len(k))]))
	return k, err == nil && n == len(k)
}

// keyRing remembers the last maxKeys events.
type keyRing struct {
	set  map[key]struct{}
	ring []key
	next int
}

// add reports whether k was not known yet.
func (r *keyRing) add(k key) bool {
	if _, known := r.set[k]; known {
		return false
	}
	if r.set == nil {
		r.set = make(map[key]struct{})
	}
	r.set[k] = struct{}{}
	if len(r.ring) < maxKeys {
		r.ring = append(r.ring, k)
		return true
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = k
	r.next = (r.next + 1) % maxKeys
	return true
}

// last is the newest n keys, oldest first.
func (r *keyRing) last(n int) []key {
	n = min(n, len(r.ring))
	out := make([]key, 0, n)
	for i := len(r.ring) - n; i < len(r.ring); i++ {
		out = append(out, r.ring[(r.next+i)%len(r.ring)])
	}
	return out
}
