// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

// HostsOptions are what hosts are made of.
type HostsOptions struct {
	// Own is the inventory of this tallyman.
	Own tallyman.Inventory
	// Wanted are the names of the hosts that may send here; what is known of others is forgotten.
	Wanted func() []string
	// Forget is told of a host of which nothing is wanted any more; nil for nobody.
	Forget func(host string)
	// File keeps when each host was heard last; empty for none.
	File string
	// Silent is after how long without a word a host is silent, 0 for 90 s. Grace is how long
	// after the start nobody is, 0 for the same.
	Silent, Grace time.Duration
	Log           *slog.Logger

	now func() time.Time
}

// saveEvery is how often it is kept when hosts were heard last.
const saveEvery = time.Minute

// Hosts is the inventory of all hosts of a hub. Its methods may be called concurrently;
// observers are told one after the other.
type Hosts struct {
	o     HostsOptions
	began time.Time

	telling sync.Mutex // held while observers are told; before mu

	kept []byte // of File, by Run alone

	mu         sync.Mutex
	hosts      map[string]*host
	containers []tallyman.ContainerObserver
	engines    []tallyman.EngineObserver
}

var _ tallyman.Inventory = (*Hosts)(nil)

// host is what is known of one that sends here.
type host struct {
	name    string
	heard   time.Time // the last request, or the last inventory of the time before
	silent  bool
	told    int64 // the time of the inventory, milliseconds
	parts   map[int]line
	partsOf int64

	engines    []tallyman.EngineStatus // as the host says
	last       []tallyman.EngineStatus // what observers were told
	containers map[string]*tallyman.Container
	absent     map[string][]tallyman.Absence
	shown      map[string]*tallyman.Container // as this tallyman shows them: with what is unknown
}

// NewHosts makes hosts that know nothing but their own.
func NewHosts(o HostsOptions) *Hosts {
	o.Silent = cmp.Or(o.Silent, 90*time.Second)
	o.Grace = cmp.Or(o.Grace, o.Silent)
	if o.now == nil {
		o.now = time.Now
	}
	return &Hosts{o: o, began: o.now(), hosts: map[string]*host{}}
}

// readFile takes in when hosts were heard. A file that cannot be read is as none: a host that
// sends is known again soon.
func (h *Hosts) readFile() {
	b, err := os.ReadFile(h.o.File)
	var heard map[string]time.Time
	if err == nil {
		err = json.Unmarshal(b, &heard)
	}
	if err != nil {
		if h.o.Log != nil && !errors.Is(err, fs.ErrNotExist) {
			h.o.Log.Warn("when hosts were heard last is not known", "file", h.o.File, "err", err)
		}
		return
	}
	for name, at := range heard {
		if h.wanted(name) {
			h.host(name).heard = at
		}
	}
}

// save writes when hosts were heard.
func (h *Hosts) save() {
	if h.o.File == "" {
		return
	}
	heard := map[string]time.Time{}
	h.mu.Lock()
	for name, one := range h.hosts {
		heard[name] = one.heard.UTC().Truncate(time.Second)
	}
	h.mu.Unlock()
	b, err := json.Marshal(heard)
	if err == nil && !bytes.Equal(b, h.kept) {
		if err = fsx.WriteFile(h.o.File, b, 0o600); err == nil {
			h.kept = b
		}
	}
	if err != nil && h.o.Log != nil {
		h.o.Log.Warn("when hosts were heard last cannot be kept", "err", err)
	}
}

// ObserveContainers and ObserveEngines have somebody told of what is on other hosts. They
// come before Run.
func (h *Hosts) ObserveContainers(o tallyman.ContainerObserver) {
	h.containers = append(h.containers, o)
}

// ObserveEngines is for engines what ObserveContainers is for containers.
func (h *Hosts) ObserveEngines(o tallyman.EngineObserver) { h.engines = append(h.engines, o) }

// Restore reads when each host was heard last, and its newest inventory from a store of
// records. It comes before Run.
func (h *Hosts) Restore(ctx context.Context, records tallyman.RecordReader) error {
	if h.o.File != "" {
		h.readFile()
	}
	cursors, err := records.SelectRecords(ctx, tallyman.RecordQuery{
		Matchers: []tallyman.Matcher{{Name: "source", Value: tallyman.SourceInventory}}, Start: math.MinInt64, End: math.MaxInt64, Backward: true})
	if err != nil {
		return fmt.Errorf("read the inventories of hosts: %w", err)
	}
	for _, c := range cursors {
		err := h.restore(c)
		c.Close()
		if err != nil {
			return fmt.Errorf("read the inventory of a host: %w", err)
		}
	}
	return nil
}

// restore reads backward until the newest inventory is whole.
func (h *Hosts) restore(c tallyman.RecordCursor) error {
	name := c.Stream().Label("host")
	for read := 0; read < 2*maxParts; {
		records, err := c.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range records {
			read++
			l, err := parse(records[i].Line)
			if err != nil || !h.wanted(name) {
				continue
			}
			if h.take(name, &l, time.UnixMilli(l.Time)) {
				return nil
			}
		}
	}
	return nil
}

func (h *Hosts) wanted(name string) bool { return slices.Contains(h.o.Wanted(), name) }

// Heard notes that a host has sent something.
func (h *Hosts) Heard(name string) {
	h.mu.Lock()
	one := h.host(name)
	one.heard = h.o.now()
	back := one.silent
	h.mu.Unlock()
	if back {
		h.look()
	}
}

// host is the one of a name, new when it is not known.
func (h *Hosts) host(name string) *host {
	one := h.hosts[name]
	if one == nil {
		one = &host{name: name}
		h.hosts[name] = one
	}
	return one
}

// Take reads a record of a host with source="inventory". What is none is an error.
func (h *Hosts) Take(name string, record []byte) error {
	l, err := parse(record)
	if err != nil {
		return err
	}
	if h.take(name, &l, h.o.now()) {
		h.look()
	}
	return nil
}

// take puts parts together, and reports whether that is a whole and news.
func (h *Hosts) take(name string, l *line, heard time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.host(name)
	if heard.After(one.heard) {
		one.heard = heard
	}
	switch l.Time {
	case one.told: // once more
		return false
	case one.partsOf:
	default: // records come in the order in which they were made, so what there is of another time stays half
		one.parts, one.partsOf = map[int]line{}, l.Time
	}
	one.parts[l.Part] = *l
	if len(one.parts) < l.Parts {
		return false
	}
	one.told = l.Time
	one.engines, one.containers, one.absent = nil, map[string]*tallyman.Container{}, map[string][]tallyman.Absence{}
	for i := 1; i <= l.Parts; i++ {
		p, ok := one.parts[i]
		if !ok {
			continue
		}
		if e := engineOf(&p, name); !slices.ContainsFunc(one.engines, func(x tallyman.EngineStatus) bool { return x.Name == e.Name }) {
			one.engines = append(one.engines, e)
		}
		for j := range p.Containers {
			v := &p.Containers[j]
			if v.ID == "" || len(one.containers) >= maxContainers {
				continue
			}
			one.containers[v.ID] = containerOf(v, name)
			if len(v.Absent) > 0 {
				one.absent[v.ID] = v.Absent
			}
		}
	}
	one.parts, one.partsOf = nil, 0
	return true
}

// Run looks for hosts that are silent, until ctx ends.
func (h *Hosts) Run(ctx context.Context) error {
	defer h.save()
	h.look()
	every := time.NewTicker(min(5*time.Second, h.o.Silent/4))
	defer every.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
			h.look()
		case <-save.C:
			h.save()
		}
	}
}

// look finds out what has changed, and tells.
func (h *Hosts) look() {
	h.telling.Lock()
	defer h.telling.Unlock()
	now := h.o.now()
	wanted := h.o.Wanted()
	var engines []tallyman.EngineStatus
	var containers []*tallyman.Container
	h.mu.Lock()
	for name, one := range h.hosts {
		if !slices.Contains(wanted, name) {
			delete(h.hosts, name)
			if h.o.Forget != nil {
				h.o.Forget(name)
			}
			for _, c := range one.shown {
				gone := c.Clone()
				gone.State, gone.GoneAt = tallyman.Gone, now.UTC()
				containers = append(containers, gone)
			}
			continue
		}
		was := one.silent
		one.silent = now.Sub(one.heard) > h.o.Silent && now.Sub(h.began) > h.o.Grace
		if one.silent != was && h.o.Log != nil {
			if one.silent {
				h.o.Log.Warn("a host is silent: nothing comes from its tallyman", "host", name, "since", one.heard.UTC().Format(time.RFC3339))
			} else {
				h.o.Log.Info("a host is heard again", "host", name)
			}
		}
		states := one.states()
		if !slices.EqualFunc(states, one.last, sameState) {
			engines = append(engines, states...)
			one.last = states
		}
		before := one.shown
		one.show()
		for id, c := range one.shown {
			if old := before[id]; old != c && (old == nil || !reflect.DeepEqual(old, c)) {
				containers = append(containers, c)
			} else {
				one.shown[id] = old
			}
		}
		for id, c := range before {
			if one.shown[id] == nil && c.State != tallyman.Gone {
				gone := c.Clone()
				gone.State, gone.GoneAt = tallyman.Gone, now.UTC()
				containers = append(containers, gone)
			}
		}
	}
	h.mu.Unlock()
	slices.SortFunc(containers, byHostAndName)
	for _, e := range engines {
		for _, o := range h.engines {
			o.ObserveEngine(e)
		}
	}
	for _, c := range containers {
		for _, o := range h.containers {
			o.ObserveContainer(c)
		}
	}
}

// sameState reports whether nothing has changed of an engine but when it answered last.
func sameState(a, b tallyman.EngineStatus) bool {
	a.LastGood, a.Listed = b.LastGood, b.Listed
	return a == b
}

// show makes what is shown of the containers: of a silent host nobody knows their state.
func (one *host) show() {
	out := make(map[string]*tallyman.Container, len(one.containers))
	for id, c := range one.containers {
		if one.silent && c.State != tallyman.Gone {
			c = c.Clone()
			c.State, c.Health = tallyman.Unknown, ""
		}
		out[id] = c
	}
	one.shown = out
}

// states are the engines as they are shown: those of a silent host do not answer.
func (one *host) states() (out []tallyman.EngineStatus) {
	out = slices.Clone(one.engines)
	if len(out) == 0 { // it has a token, and has told nothing yet
		out = []tallyman.EngineStatus{{Name: EngineName(one.name, "local"), Host: one.name, Remote: true, Error: "the host has not told yet what is on it"}} // which is no failure
	}
	for i := range out {
		e := &out[i]
		if one.silent {
			e.Up, e.Failure, e.Since, e.LastGood = false, tallyman.EngineSilent, one.heard.UTC(), one.heard.UTC()
			e.Error = "nothing comes from the tallyman of this host since " + one.heard.UTC().Format("2006-01-02 15:04:05 MST")
		} else if e.Up {
			e.LastGood = one.heard.UTC()
		}
	}
	return out
}

func byHostAndName(a, b *tallyman.Container) int {
	return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}

// Containers implements tallyman.Inventory.
func (h *Hosts) Containers() []*tallyman.Container {
	out := slices.Clone(h.o.Own.Containers())
	h.mu.Lock()
	for _, one := range h.hosts {
		for _, c := range one.shown {
			out = append(out, c)
		}
	}
	h.mu.Unlock()
	slices.SortStableFunc(out, byHostAndName)
	return out
}

// Container implements tallyman.Inventory. What is on the own host wins.
func (h *Hosts) Container(ref string) (found *tallyman.Container, ok bool) {
	if c, ok := h.o.Own.Container(ref); ok {
		return c, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.hosts {
		if c := one.shown[ref]; c != nil {
			return c, true
		}
		for _, c := range one.shown {
			if c.Name != ref && (len(ref) < 12 || !strings.HasPrefix(c.ID, ref)) {
				continue
			}
			if found == nil || better(c, found) {
				found = c
			}
		}
	}
	return found, found != nil
}

// better reports whether a is meant rather than b: one that is there, of those the newer.
func better(a, b *tallyman.Container) bool {
	if gone := b.State == tallyman.Gone; gone != (a.State == tallyman.Gone) {
		return gone
	}
	return a.Created.After(b.Created)
}

// Engines implements tallyman.Inventory: the own ones first.
func (h *Hosts) Engines() []tallyman.EngineStatus {
	out := slices.Clone(h.o.Own.Engines())
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.hosts))
	for name := range h.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, h.hosts[name].states()...)
	}
	return out
}

// Absences are what the host of a container says that it cannot know of it; known is false
// for what is not on another host.
func (h *Hosts) Absences(id string) (absent []tallyman.Absence, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.hosts {
		if one.shown[id] != nil {
			return one.absent[id], true
		}
	}
	return nil, false
}

// Host is how one of the others is.
type Host struct {
	Name   string
	Heard  time.Time // zero when nothing ever came
	Silent bool
}

// List is how the others are, by name: all that may send here.
func (h *Hosts) List() (out []Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range h.o.Wanted() {
		if slices.ContainsFunc(out, func(x Host) bool { return x.Name == name }) {
			continue
		}
		one := Host{Name: name}
		if k := h.hosts[name]; k != nil {
			one.Heard, one.Silent = k.heard, k.silent
		}
		out = append(out, one)
	}
	return out
}
