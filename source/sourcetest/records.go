// SPDX-License-Identifier: Apache-2.0

package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
)

// World is what a source of records is tested on.
type World struct {
	// Options are given to the source. Log, Host, Records, Stored, Emit and Logs are
	// those of the suite.
	Options tallyman.RecordOptions
	// Engine and Containers are what discovery tells of, all of them the source's to
	// read.
	Engine     tallyman.EngineStatus
	Containers []*tallyman.Container
	// Write makes one record appear whose line holds text. s is the source that runs,
	// nil while none does.
	Write func(s tallyman.RecordSource, text string)
}

// patience is how long is waited for what should come at once, on a busy machine.
const patience = 30 * time.Second

// RunRecords checks the contract of tallyman.RecordSource. open returns a new world.
func RunRecords(t *testing.T, kind tallyman.RecordKind, open func(t *testing.T) *World) {
	t.Run("its table is of its own metrics", func(t *testing.T) {
		u := newUnder(t, kind, open(t))
		s := u.make()
		m, ok := s.(tallyman.SelfMetered)
		if !ok {
			t.Fatal("it keeps no numbers about itself")
		}
		var told []string
		for _, one := range m.SelfMetrics() {
			if one.Read() < 0 {
				t.Errorf("%s is below 0", one.Desc.Name)
			}
			if !slices.ContainsFunc(kind.Metrics, func(d *tallyman.Desc) bool { return d.Name == one.Desc.Name && d.Type == one.Desc.Type }) {
				t.Errorf("%s is not in the kind's table", one.Desc.Name)
			}
			told = append(told, one.Desc.Name)
		}
		for _, d := range kind.Metrics {
			if !slices.Contains(told, d.Name) || !strings.HasPrefix(d.Name, "tallyman_") {
				t.Errorf("%s is in the table, and the source does not tell it as its own", d.Name)
			}
		}
	})
	t.Run("every record is read once, over restarts too", func(t *testing.T) {
		u := newUnder(t, kind, open(t))
		s, stop := u.run()
		u.write(s, "marked-1.")
		u.wait("marked-1.")
		stop()
		u.write(nil, "marked-2.")
		s, stop = u.run()
		u.wait("marked-2.")
		u.write(s, "marked-3.")
		u.wait("marked-3.")
		stop()
		s, stop = u.run()
		u.write(s, "marked-4.")
		u.wait("marked-4.") // what would be read again was by now
		stop()
		for _, text := range []string{"marked-1.", "marked-2.", "marked-3.", "marked-4."} {
			if n := len(u.found(text)); n != 1 {
				t.Errorf("%q is stored %d times, want once", text, n)
			}
		}
		u.wellFormed()
	})
	t.Run("a store that takes nothing loses nothing, and keeps it from nothing", func(t *testing.T) {
		u := newUnder(t, kind, open(t))
		u.store.fail.Store(true)
		s, stop := u.run()
		u.write(s, "marked-1.")
		u.until("a batch was refused", func() bool { return u.store.refused.Load() > 0 })
		stop()
		if len(u.found("marked-1.")) > 0 {
			t.Error("it is stored although the store took nothing")
		}
		u.store.fail.Store(false)
		_, stop = u.run()
		u.wait("marked-1.")
		stop()
		if n := len(u.found("marked-1.")); n != 1 {
			t.Errorf("it is stored %d times, want once", n)
		}
	})
	t.Run("it may be told and asked from anywhere, before, during and after", func(t *testing.T) {
		u := newUnder(t, kind, open(t))
		s := u.make()
		end := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-time.After(time.Millisecond):
					u.ask(s)
				}
			}
		})
		stop := u.start(s)
		u.write(s, "marked-1.")
		u.wait("marked-1.")
		stop()
		u.ask(s)
		close(end)
		wg.Wait()
	})
	t.Run("no descriptor is left", func(t *testing.T) {
		u := newUnder(t, kind, open(t))
		_, stop := u.run()
		stop()
		before := descriptors(t)
		for range 3 {
			_, stop := u.run()
			stop()
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

// under is a source under test.
type under struct {
	t     *testing.T
	kind  tallyman.RecordKind
	world *World
	store *moodyStore
}

// moodyStore takes nothing while it fails.
type moodyStore struct {
	*recordtest.Store
	fail    atomic.Bool
	refused atomic.Int64
}

func (s *moodyStore) AppendRecords(b *tallyman.RecordBatch) error {
	if s.fail.Load() {
		s.refused.Add(1)
		return errors.New("the disk is full")
	}
	return s.Store.AppendRecords(b)
}

func newUnder(t *testing.T, kind tallyman.RecordKind, w *World) *under {
	u := &under{t: t, kind: kind, world: w, store: &moodyStore{Store: recordtest.New()}}
	o := &w.Options
	o.Log, o.Host, o.Stored = slog.New(slog.DiscardHandler), "harbor", u.store
	o.Records, o.Emit, o.Logs = recordtest.Intake(u.store), func(tallyman.Event) {}, u
	return u
}

// Assigned implements tallyman.LogAssignment: all is the source's.
func (u *under) Assigned(id string) (*tallyman.Container, bool, bool) {
	for _, c := range u.world.Containers {
		if c.ID == id {
			return c, true, true
		}
	}
	return nil, true, true
}

func (u *under) make() tallyman.RecordSource {
	u.t.Helper()
	s, err := u.kind.New(u.world.Options)
	if err != nil {
		u.t.Fatal(err)
	}
	if o, ok := s.(tallyman.EngineObserver); ok {
		o.ObserveEngine(u.world.Engine)
	}
	u.tell(s)
	return s
}

func (u *under) tell(s tallyman.RecordSource) {
	if o, ok := s.(tallyman.ContainerObserver); ok {
		for _, c := range u.world.Containers {
			o.ObserveContainer(c)
		}
	}
}

// ask calls whatever may be called at any time.
func (u *under) ask(s tallyman.RecordSource) {
	u.tell(s)
	for _, c := range u.world.Containers {
		if a, ok := s.(tallyman.RecordAbsentee); ok {
			a.Absences(c.Key())
		}
		if r, ok := s.(tallyman.LogReader); ok {
			r.LogAbsence(c)
			r.ReadsLog(c.ID)
		}
	}
	if a, ok := s.(tallyman.RecordAbsentee); ok {
		for _, x := range a.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}) {
			if x.What == "" || x.Reason == "" {
				u.t.Errorf("absent %+v: want what, and the reason", x)
			}
		}
	}
	for _, m := range s.(tallyman.SelfMetered).SelfMetrics() {
		m.Read()
	}
}

func (u *under) run() (s tallyman.RecordSource, stop func()) {
	u.t.Helper()
	s = u.make()
	return s, u.start(s)
}

func (u *under) start(s tallyman.RecordSource) (stop func()) {
	ctx, cancel := context.WithCancel(u.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				u.t.Errorf("Run ended with %v, want nil", err)
			}
		case <-time.After(patience):
			u.t.Fatal("Run goes on after its context has ended")
		}
	})
}

func (u *under) write(s tallyman.RecordSource, text string) { u.world.Write(s, text) }

// found are the stored records whose line holds text.
func (u *under) found(text string) (out []recordtest.Found) {
	for _, source := range u.kind.Sources {
		for _, f := range u.store.Find("source", source) {
			if bytes.Contains(f.Line, []byte(text)) {
				out = append(out, f)
			}
		}
	}
	return out
}

func (u *under) wait(text string) {
	u.t.Helper()
	u.until(text+" is stored", func() bool { return len(u.found(text)) > 0 })
}

func (u *under) until(what string, ok func() bool) {
	u.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			u.t.Fatalf("waited %v in vain until %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// wellFormed checks the records of a source, and the keys of its positions.
func (u *under) wellFormed() {
	sorted := func(l []tallyman.Label) bool {
		return slices.IsSortedFunc(l, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	}
	for _, f := range u.found("") {
		var host bool
		for _, l := range f.Stream.Labels {
			host = host || l.Name == "host" && l.Value == "harbor"
		}
		if !host || !sorted(f.Stream.Labels) || !sorted(f.Meta) {
			u.t.Errorf("labels %v, metadata %v: want them sorted, and the host among the labels", f.Stream.Labels, f.Meta)
		}
		if f.Time <= 0 || len(f.Line) > 1<<20 {
			u.t.Errorf("a record of %d with %d bytes", f.Time, len(f.Line))
		}
	}
	for _, p := range u.store.Positions("") {
		if !strings.HasPrefix(p.Key, u.kind.Name) {
			u.t.Errorf("the position %q does not begin with %q", p.Key, u.kind.Name)
		}
	}
}
