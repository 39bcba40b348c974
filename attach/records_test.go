// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"tallyman"
)

// lines is a source of records that can read some logs.
type lines struct {
	o tallyman.RecordOptions

	why    map[string]*tallyman.Absence // nil for a log that it can read
	reads  map[string]bool
	seen   []string
	mute   bool // it has no absences
	panics bool
	ends   error
}

func (l *lines) Run(ctx context.Context) error {
	if l.panics {
		panic("no such line")
	}
	if l.ends != nil {
		return l.ends
	}
	<-ctx.Done()
	return nil
}

func (l *lines) ObserveContainer(c *tallyman.Container) { l.seen = append(l.seen, c.ID) }
func (l *lines) ObserveEngine(e tallyman.EngineStatus)  { l.seen = append(l.seen, e.Name) }
func (l *lines) ReadsLog(id string) bool                { return l.reads[id] }
func (l *lines) SelfMetrics() []tallyman.SelfMetric     { return nil }
func (l *lines) Look(ctx context.Context) error {
	l.seen = append(l.seen, "look")
	<-ctx.Done()
	return nil
}
func (l *lines) Absences(t tallyman.TargetKey) []tallyman.Absence {
	if why := l.why[t.ID]; why != nil && !l.mute {
		return []tallyman.Absence{*why}
	}
	return nil
}

func (l *lines) LogAbsence(c *tallyman.Container) (*tallyman.Absence, bool) {
	why, known := l.why[c.ID]
	return why, known
}

type containersOf map[string]*tallyman.Container

func (c containersOf) Containers() []*tallyman.Container { return nil }
func (c containersOf) Engines() []tallyman.EngineStatus  { return nil }
func (c containersOf) Container(id string) (*tallyman.Container, bool) {
	k, ok := c[id]
	return k, ok
}

func recordsOf(inventory containersOf, listed bool) (r *Records, file, journal, engine *lines) {
	all := map[string]*lines{"file": {}, "journal": {}, "engine": {}}
	kind := func(name string, rank int, caveat string) tallyman.RecordKind {
		return tallyman.RecordKind{Name: name, Summary: "Lines of " + name, Rank: rank, Caveat: caveat, New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			l := all[name]
			l.o, l.why, l.reads = o, map[string]*tallyman.Absence{}, map[string]bool{}
			return l, nil
		}}
	}
	r = NewRecords(RecordsOptions{
		Kinds: []tallyman.RecordKind{kind("engine", 3, "It is best effort."), kind("file", 1, ""), kind("journal", 2, ""),
			{Name: "broken", Summary: "Lines of nobody", New: func(tallyman.RecordOptions) (tallyman.RecordSource, error) { return nil, errors.New("no rights") }}},
		Intake: func(string) tallyman.RecordIntake { return nil }, Inventory: inventory, Listed: func() bool { return listed }, Log: slog.New(slog.DiscardHandler),
	})
	return r, all["file"], all["journal"], all["engine"]
}

func elsewhere(reason string) *tallyman.Absence {
	return &tallyman.Absence{Code: tallyman.Elsewhere, What: "log", Reason: reason}
}

// The lowest rank that can reads a log; a reason that is not Elsewhere ends the search.
func TestWhoReadsALog(t *testing.T) {
	gone := &tallyman.Container{ID: "gone", State: tallyman.Gone}
	r, file, journal, engine := recordsOf(containersOf{
		"filed": {ID: "filed"}, "journaled": {ID: "journaled"}, "far": {ID: "far"}, "none": {ID: "none"}, "new": {ID: "new"},
		"kept": {ID: "kept"}, "off": {ID: "off", Disabled: true}, "gone": gone,
	}, false)
	file.why = map[string]*tallyman.Absence{"filed": nil, "journaled": elsewhere("in the journal"), "far": elsewhere("far away"), "kept": elsewhere("in the journal"),
		"none": {Code: tallyman.None, What: "log", Reason: "no log"}, "off": nil}
	journal.why = map[string]*tallyman.Absence{"filed": elsewhere("another driver"), "journaled": nil, "far": elsewhere("another driver"), "kept": nil, "gone": nil}
	engine.why = map[string]*tallyman.Absence{"filed": nil, "journaled": nil, "far": nil, "none": nil, "kept": nil, "new": nil, "gone": {Code: tallyman.None}}
	engine.reads["kept"] = true // it began before the journal was there
	for _, c := range []struct {
		id, reader string
		known      bool
	}{{"filed", "file", true}, {"journaled", "journal", true}, {"far", "engine", true}, {"none", "", true}, {"new", "", false}, {"kept", "", true}, {"off", "", true}, {"gone", "journal", true}} {
		for name, l := range map[string]*lines{"file": file, "journal": journal, "engine": engine} {
			if c.id == "gone" && name == "file" {
				continue // it asks nobody
			}
			k, mine, known := l.o.Logs.Assigned(c.id)
			if k == nil || mine != (name == c.reader) || known != c.known {
				t.Errorf("%s of %s: %v, mine %v, known %v; want it read by %q, known %v", c.id, name, k, mine, known, c.reader, c.known)
			}
		}
	}
	if k, mine, known := journal.o.Logs.Assigned("stranger"); k != nil || !mine || known {
		t.Errorf("of a container that is not listed yet: %v, %v, %v; want that it is not known", k, mine, known)
	}
	journal.mute, engine.mute, engine.reads["far"] = true, true, true
	for id, want := range map[string]string{"filed": "", "journaled": "", "far": "It is best effort. far away", "none": "no log"} {
		got := ""
		for _, a := range r.Absences(containerKey(id)) {
			got += a.Reason
		}
		if got != want {
			t.Errorf("%s: absent %q, want %q", id, got, want)
		}
	}
	if a := r.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}); len(a) != 1 || a[0].Reason != "Lines of nobody: no rights" {
		t.Errorf("of the host absent: %+v, want the source that cannot be made", a)
	}
	r.ObserveContainer(gone)
	r.ObserveEngine(tallyman.EngineStatus{Name: "local"})
	r.ObserveEvent(tallyman.Event{}) // nobody wants it
	if got := strings.Join(engine.seen, " "); got != "gone local" {
		t.Errorf("a source was told of %q, want the container and the engine", got)
	}
}

// A source that ends, by a fault or by itself, ends alone; who comes after it reads.
func TestASourceOfRecordsEndsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, file, journal, engine := recordsOf(containersOf{"a": {ID: "a"}}, true)
		file.panics, journal.ends = true, errors.New("the journal is gone")
		file.why["a"], engine.why["a"] = nil, nil
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		if _, mine, known := engine.o.Logs.Assigned("a"); !mine || !known || r.panics.Load() != 1 {
			t.Errorf("mine %v, known %v, %d panics; want that the next one reads, and one panic", mine, known, r.panics.Load())
		}
		said := ""
		for _, a := range r.Absences(tallyman.TargetKey{Kind: tallyman.HostTarget, ID: "harbor"}) {
			said += a.What + ": " + a.Reason + "\n"
		}
		for _, want := range []string{"file: A fault of tallyman has ended it: no such line.", "journal: It has ended: the journal is gone.", "broken: "} {
			if !strings.Contains(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, stop = context.WithCancel(t.Context())
		go func() { done <- r.Look(ctx) }()
		synctest.Wait()
		stop()
		<-done
		if got := strings.Join(engine.seen, " "); got != "look" {
			t.Errorf("looked: %q", got)
		}
	})
}
