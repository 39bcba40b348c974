// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"tallyman"
)

// RecordsOptions of the sources of records. All fields but Own are needed.
type RecordsOptions struct {
	Kinds []tallyman.RecordKind
	// Source is what every source gets; Log, Records, Logs and Own are made for each.
	Source tallyman.RecordOptions
	// Own are the options of kinds by name, where they are not the defaults.
	Own map[string]any
	// Intake makes the way of the records of a source.
	Intake    func(source string) tallyman.RecordIntake
	Inventory tallyman.Inventory
	// Listed reports whether every engine was asked for its containers, so that one
	// that is not known by now is known to nobody.
	Listed func() bool
	Log    *slog.Logger
}

// Records runs the sources of records and tells them what discovery finds.
//
// Several can read the log of a container: from its file, from the journal, through the
// engine. The kinds have ranks, and the lowest that can does; one that says Elsewhere is
// passed over, with another reason nobody reads it. One that has begun is left to
// it.
type Records struct {
	o       RecordsOptions
	sources []*recordSource // by rank; those without one last
	missing map[string]error
	panics  atomic.Uint64
}

type recordSource struct {
	tallyman.RecordSource
	kind  tallyman.RecordKind
	ended atomic.Pointer[string] // why it has ended by itself
}

var (
	_ tallyman.ContainerObserver = (*Records)(nil)
	_ tallyman.EngineObserver    = (*Records)(nil)
	_ tallyman.EventObserver     = (*Records)(nil)
	_ tallyman.RecordAbsentee    = (*Records)(nil)
	_ tallyman.LogAssignment     = assignment{}
)

// NewRecords makes the sources. One that cannot be made is logged and absent.
func NewRecords(o RecordsOptions) *Records {
	r := &Records{o: o, missing: map[string]error{}}
	for _, k := range o.Kinds {
		s := &recordSource{kind: k}
		opts := o.Source
		opts.Log, opts.Own = o.Log.With("source", k.Name), o.Own[k.Name]
		opts.Records, opts.Logs = o.Intake(k.Name), assignment{r, s}
		var err error
		if s.RecordSource, err = k.New(opts); err != nil {
			o.Log.Error("a source of records cannot work here; what it gives is absent", "source", k.Name, "err", err)
			r.missing[k.Name] = err
			continue
		}
		r.sources = append(r.sources, s)
	}
	slices.SortStableFunc(r.sources, func(a, b *recordSource) int {
		const last = 1 << 20
		return cmp.Compare(cmp.Or(a.kind.Rank, last), cmp.Or(b.kind.Rank, last))
	})
	return r
}

// ObserveContainer tells the sources of a container.
func (r *Records) ObserveContainer(c *tallyman.Container) {
	tell(r, func(o tallyman.ContainerObserver) { o.ObserveContainer(c) })
}

// ObserveEngine tells the sources of an engine.
func (r *Records) ObserveEngine(e tallyman.EngineStatus) {
	tell(r, func(o tallyman.EngineObserver) { o.ObserveEngine(e) })
}

// ObserveEvent tells the sources of an event.
func (r *Records) ObserveEvent(e tallyman.Event) {
	tell(r, func(o tallyman.EventObserver) { o.ObserveEvent(e) })
}

// tell has every source called that can be.
func tell[T any](r *Records, call func(T)) {
	for _, s := range r.sources {
		if o, ok := s.RecordSource.(T); ok {
			call(o)
		}
	}
}

// Run has every source read until ctx ends. One that ends by itself, or by a fault,
// ends alone and is absent.
func (r *Records) Run(ctx context.Context) error {
	return r.each(ctx, func(s *recordSource) func(context.Context) error { return s.Run })
}

// Look has the sources find out what they could read, until ctx ends, and read nothing.
func (r *Records) Look(ctx context.Context) error {
	return r.each(ctx, func(s *recordSource) func(context.Context) error {
		if l, ok := s.RecordSource.(tallyman.Looker); ok {
			return l.Look
		}
		return nil
	})
}

func (r *Records) each(ctx context.Context, what func(*recordSource) func(context.Context) error) error {
	var wg sync.WaitGroup
	for _, s := range r.sources {
		if run := what(s); run != nil {
			wg.Go(func() { r.run(ctx, s, run) })
		}
	}
	wg.Wait()
	return nil
}

// run runs one source, and notes when it ends by itself.
func (r *Records) run(ctx context.Context, s *recordSource, run func(context.Context) error) {
	defer func() {
		if p := recover(); p != nil {
			r.panics.Add(1)
			why := fmt.Sprintf("A fault of tallyman has ended it: %v. Its log has the details.", p)
			s.ended.Store(&why)
			r.o.Log.Error("a fault has ended a source of records", "source", s.kind.Name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		why := "It has ended: " + err.Error() + "."
		s.ended.Store(&why)
		r.o.Log.Error("a source of records has ended", "source", s.kind.Name, "err", err)
	}
}

// reader is who is to read the log of a container, nil for nobody; known is false as
// long as that is not found out.
func (r *Records) reader(c *tallyman.Container) (reader *recordSource, known bool) {
	for _, s := range r.sources {
		l, ok := s.RecordSource.(tallyman.LogReader)
		if !ok || s.ended.Load() != nil {
			continue
		}
		why, known := l.LogAbsence(c)
		switch {
		case !known:
			return nil, false
		case why == nil:
			return s, true
		case why.Code != tallyman.Elsewhere:
			return nil, true
		}
	}
	return nil, true
}

// read reports whether another source than one reads the log of a container.
func (r *Records) read(id string, but *recordSource) bool {
	return slices.ContainsFunc(r.sources, func(s *recordSource) bool {
		l, ok := s.RecordSource.(tallyman.LogReader)
		return ok && s != but && l.ReadsLog(id)
	})
}

// assignment is what one source is told.
type assignment struct {
	r  *Records
	of *recordSource
}

// Assigned implements tallyman.LogAssignment. What nobody knows, or has gone, belongs
// to whoever still has lines of it.
func (a assignment) Assigned(id string) (c *tallyman.Container, mine, known bool) {
	c, ok := a.r.o.Inventory.Container(id)
	switch {
	case !ok:
		return nil, true, a.r.o.Listed()
	case c.Disabled:
		return c, false, true
	case c.State == tallyman.Gone:
		l, ok := a.of.RecordSource.(tallyman.LogReader)
		if !ok {
			return c, true, true
		}
		why, _ := l.LogAbsence(c)
		return c, why == nil && !a.r.read(id, a.of), true
	}
	reader, known := a.r.reader(c)
	return c, known && reader == a.of && !a.r.read(id, a.of), known
}

// Absences are the records of a container, or of the host, that cannot be had. That a
// log comes in another way than the best is one, when that way lacks something.
func (r *Records) Absences(t tallyman.TargetKey) (out []tallyman.Absence) {
	var reader *recordSource
	if t.Kind == tallyman.ContainerTarget {
		if c, ok := r.o.Inventory.Container(t.ID); ok {
			reader, _ = r.reader(c)
		}
	}
	for _, s := range r.sources {
		if why := s.ended.Load(); why != nil && t.Kind == tallyman.HostTarget {
			out = append(out, tallyman.Absence{What: s.kind.Name, Reason: *why})
		}
		a, ok := s.RecordSource.(tallyman.RecordAbsentee)
		if !ok {
			continue
		}
		for _, x := range a.Absences(t) {
			if x.Code == tallyman.Elsewhere && reader != nil && reader != s {
				if reader.kind.Caveat == "" {
					continue
				}
				if reader.RecordSource.(tallyman.LogReader).ReadsLog(t.ID) {
					x.Reason = reader.kind.Caveat + " " + x.Reason
				}
			}
			out = append(out, x)
		}
	}
	if t.Kind == tallyman.HostTarget {
		for _, k := range r.o.Kinds {
			if err := r.missing[k.Name]; err != nil {
				out = append(out, tallyman.Absence{What: k.Name, Reason: k.Summary + ": " + err.Error()})
			}
		}
	}
	return out
}

// SelfMetrics are the numbers of all sources, and how many have ended by a fault.
func (r *Records) SelfMetrics() (out []tallyman.SelfMetric) {
	tell(r, func(m tallyman.SelfMetered) { out = append(out, m.SelfMetrics()...) })
	return append(out, tallyman.SelfMetric{Desc: recordPanics, Read: func() float64 { return float64(r.panics.Load()) }})
}

var recordPanics = &tallyman.Desc{Name: "tallyman_record_source_panics_total", Type: tallyman.Counter, Help: "Faults of tallyman that have ended a source of records"}
