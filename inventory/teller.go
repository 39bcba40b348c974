// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"time"

	"tallyman"
	"tallyman/api/view"
)

// TellerOptions are what a teller is made of.
type TellerOptions struct {
	// Host is the own one, and the only one that is told of.
	Host      string
	Inventory tallyman.Inventory
	// Absences say what cannot be known of a container; nil for nothing.
	Absences func(tallyman.TargetKey) []tallyman.Absence
	Records  tallyman.RecordIntake
	// After is how long after a change it is told of, 0 for 10 s, Every how often without any,
	// 0 for 5 min.
	After, Every time.Duration
	Log          *slog.Logger
}

// Teller makes records of what there is on a host. It observes containers and engines.
type Teller struct {
	o      TellerOptions
	stream *tallyman.Stream
	wake   chan struct{}
	last   []byte // what was told, but for its time
}

var (
	_ tallyman.ContainerObserver = (*Teller)(nil)
	_ tallyman.EngineObserver    = (*Teller)(nil)
)

// NewTeller makes one.
func NewTeller(o TellerOptions) *Teller {
	o.After, o.Every = cmp.Or(o.After, 10*time.Second), cmp.Or(o.Every, 5*time.Minute)
	return &Teller{o: o, wake: make(chan struct{}, 1), stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: o.Host}, {Name: "source", Value: tallyman.SourceInventory}}}}
}

// ObserveContainer implements tallyman.ContainerObserver.
func (t *Teller) ObserveContainer(*tallyman.Container) { t.poke() }

// ObserveEngine implements tallyman.EngineObserver.
func (t *Teller) ObserveEngine(tallyman.EngineStatus) { t.poke() }

func (t *Teller) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	t.tell(ctx, true)
	every := time.NewTicker(t.o.Every)
	defer every.Stop()
	var after <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
			if after == nil {
				after = time.After(t.o.After)
			}
		case <-after:
			after = nil
			t.tell(ctx, false)
		case <-every.C:
			t.tell(ctx, true)
		}
	}
}

// tell makes records of what there is, when it is not what was told last, or always.
func (t *Teller) tell(ctx context.Context, always bool) {
	hosts := t.hosts()
	if len(hosts) == 0 {
		return
	}
	same, err := lines(hosts, time.Time{})
	if err != nil {
		t.o.Log.Error("the inventory cannot be told", "err", err)
		return
	}
	now := time.Now()
	b, err := lines(hosts, now)
	if err != nil {
		return // as before
	}
	sum := bytes.Join(same, []byte("\n"))
	if !always && bytes.Equal(sum, t.last) {
		return
	}
	batch := tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: t.stream}}}
	for i, line := range b {
		batch.Streams[0].Records = append(batch.Streams[0].Records, tallyman.Record{Time: now.UnixNano() + int64(i), Line: line})
	}
	if t.o.Records.TakeRecords(ctx, &batch) == nil {
		t.last = sum
	}
}

// hosts are the own host's engines with their containers, without what changes by itself.
func (t *Teller) hosts() (out []view.Host) {
	at := map[string]int{}
	for _, e := range t.o.Inventory.Engines() {
		if e.Host != t.o.Host || e.Listed.IsZero() && e.Failure == "" {
			continue // one that was not asked yet has nothing to tell
		}
		h := view.Host{Host: e.Host, Engine: view.EngineOf(&e), Containers: []view.Container{}}
		if e.Up {
			h.Engine.LastGood = 0
		}
		if e.CPUs > 0 {
			cores, memory := float64(e.CPUs), float64(e.Memory)
			h.Cores, h.Memory = &cores, &memory
		}
		at[e.Name] = len(out)
		out = append(out, h)
	}
	for _, c := range t.o.Inventory.Containers() {
		i, ok := at[c.Engine]
		if !ok {
			continue
		}
		v := view.ContainerOf(c)
		v.Detail = view.DetailOf(c, nil)
		if t.o.Absences != nil && c.Alive() {
			v.Absent = t.o.Absences(c.Key())
		}
		out[i].Containers = append(out[i].Containers, v)
	}
	return out
}
