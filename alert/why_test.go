// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/internal/describe"
	"tallyman/internal/recordtest"
)

// history is an event store that a test fills, the newest last.
type history []tallyman.Event

func (h history) AppendEvents([]tallyman.Event) error { return nil }
func (h history) Close() error                        { return nil }
func (h history) Events(_ context.Context, q tallyman.EventQuery) (out []tallyman.Event, more bool, err error) {
	for _, e := range slices.Backward(h) {
		if q.Container != "" && e.Actor != q.Container || q.Workload != "" && e.Workload != q.Workload || len(q.Actions) > 0 && !slices.Contains(q.Actions, e.Action) ||
			!q.Start.IsZero() && e.Time.Before(q.Start) || !q.End.IsZero() && !e.Time.Before(q.End) {
			continue
		}
		if out = append(out, e); len(out) == q.Limit {
			break
		}
	}
	return out, false, nil
}

type several struct{ all []*tallyman.Container }

func (s several) Containers() []*tallyman.Container { return s.all }
func (s several) Engines() []tallyman.EngineStatus  { return nil }
func (s several) Container(id string) (*tallyman.Container, bool) {
	for _, c := range s.all {
		if c.ID == id || c.Name == id {
			return c, true
		}
	}
	return nil, false
}

var died = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// past is a death with all that is around it, which change makes another one.
type past struct {
	events  history
	lines   []string
	level   string
	figures []Figure
	// room is what the host had available, of 16 GiB.
	room float64
}

func event(before time.Duration, actor, action string, attributes ...string) tallyman.Event {
	e := tallyman.Event{Time: died.Add(-before), Host: "harbor", Type: "container", Action: action, Actor: actor, Name: actor, Workload: "shop/" + actor + "/1", Attributes: map[string]string{}}
	for i := 0; i+1 < len(attributes); i += 2 {
		e.Attributes[attributes[i]] = attributes[i+1]
	}
	return e
}

func (p past) why(t *testing.T) (*Why, error) {
	t.Helper()
	store := recordtest.New()
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "level", Value: p.level}, {Name: "source", Value: "container"}, {Name: "stream", Value: "stderr"}, {Name: "workload", Value: "shop/web/1"}}}
	b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st}}}
	for i, l := range p.lines {
		b.Streams[0].Records = append(b.Streams[0].Records, tallyman.Record{Time: died.Add(time.Duration(i-len(p.lines)) * time.Second).UnixNano(), Line: []byte(l), Meta: []tallyman.Label{{Name: "container_id", Value: "web"}}})
	}
	if err := store.AppendRecords(b); err != nil {
		t.Fatal(err)
	}
	w := &Witness{Events: p.events, Records: store, Inventory: several{[]*tallyman.Container{
		{ID: "web", Name: "web", Host: "harbor", Workload: tallyman.Workload{Key: "shop/web/1", Project: "shop"}},
		{ID: "db", Name: "db", Host: "harbor", Workload: tallyman.Workload{Key: "shop/db/1", Project: "shop"}},
		{ID: "other", Name: "other", Host: "harbor", Workload: tallyman.Workload{Key: "shop/other/1"}},
	}}, Figures: func(context.Context, string, time.Time, time.Time) ([]Figure, error) { return p.figures, nil }}
	if p.room > 0 {
		w.Room = func(context.Context, string, time.Time) (float64, float64, error) { return p.room, 16 << 30, nil }
	}
	return w.Why(t.Context(), "web", died.Add(time.Minute))
}

// Each death has its sentence, the first that fits.
func TestGuess(t *testing.T) {
	limit := 64.0 * (1 << 20)
	for _, c := range []struct {
		want string
		past past
	}{
		{"Somebody asked for it (SIGTERM).", past{events: history{event(0, "web", "die", "exitCode", "143", "asked", "signal", "signal", "15")}}},
		{"The kernel killed it for want of memory: it used 63.8 MiB of its limit of 64.0 MiB.", past{events: history{event(0, "web", "die", "exitCode", "137", "oomKilled", "true")},
			figures: []Figure{{Name: "memory", Unit: "bytes", Max: 63.8 * (1 << 20), Limit: &limit}}}},
		{"The engine could not start it: port is already allocated.", past{events: history{event(0, "web", "start_failed", "exitCode", "128", "error", "port is already allocated")}}},
		{"Its command was not found (exit 127).", past{events: history{event(0, "web", "die", "exitCode", "127")}}},
		{"It crashed by itself (exit 139).", past{events: history{event(0, "web", "die", "exitCode", "139")}}},
		{"shop/db/1 of the same project died 30 s before it.", past{events: history{event(40*time.Second, "other", "die", "exitCode", "1"), event(30*time.Second, "db", "die", "exitCode", "1"), event(0, "web", "die", "exitCode", "1")}}},
		{"Its configuration was changed 3 min before. Limits changed.", past{events: history{event(3*time.Minute, "web", "update"), event(0, "web", "die", "exitCode", "1")}}},
		{"It was killed from outside of the engine (exit 137): nobody asked the engine, and the kernel told of no want of memory.", past{events: history{event(0, "web", "die", "exitCode", "137")}}},
		{"Its last error: boom", past{events: history{event(0, "web", "die", "exitCode", "1")}, lines: []string{"\x1b[31mboom\x1b[0m"}, level: "error"}},
		{"It ended by itself with exit 3; its last lines may say why.", past{events: history{event(0, "web", "die", "exitCode", "3")}, lines: []string{"bye"}, level: "info"}},
		{"How it ended is not known.", past{events: history{event(0, "web", "die")}}},
	} {
		y, err := c.past.why(t)
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if y.Guess != c.want {
			t.Errorf("got %q, want %q", y.Guess, c.want)
		}
	}
	if _, err := (past{}).why(t); !errors.Is(err, tallyman.ErrNotFound) {
		t.Errorf("without a death: %v, want that there is none", err)
	}
}

// A neighbour in a loop is told of once, with how often.
func TestDeathsOfANeighbourAreOne(t *testing.T) {
	y, err := past{events: history{
		event(90*time.Second, "db", "die", "exitCode", "1"), event(60*time.Second, "db", "die", "exitCode", "1"), event(30*time.Second, "db", "die", "exitCode", "2"), event(0, "web", "die", "exitCode", "1"),
	}}.why(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(y.Siblings) != 2 || y.Siblings[0].Times != 2 || y.Siblings[1].Times != 1 || y.Siblings[1].Time.Sub(y.Siblings[0].Time) != time.Minute {
		t.Errorf("%+v, want two deaths with exit 1, the first of which counts, and one with exit 2", y.Siblings)
	}
}

// At most six steps are told: those of the same project, those before it and those near it. Jobs
// that removed themselves do not fill them.
func TestStepsThatMatter(t *testing.T) {
	events := history{event(110*time.Second, "db", "die", "exitCode", "1"), event(100*time.Second, "web", "update")}
	for i := range 20 {
		job := fmt.Sprint("job", i)
		at := time.Duration(90-i) * time.Second
		events = append(events, event(at, job, "die", "exitCode", "1"), event(at-100*time.Millisecond, job, "destroy"))
	}
	for i := range 8 {
		events = append(events, event(time.Duration(60-i)*time.Second, fmt.Sprint("neighbour", i), "die", "exitCode", "1"))
	}
	events = append(events, event(0, "web", "die", "exitCode", "1"), event(-10*time.Second, "other", "die", "exitCode", "1"))
	for i := range events { // of other projects
		if strings.HasPrefix(events[i].Actor, "job") || strings.HasPrefix(events[i].Actor, "neighbour") || events[i].Actor == "other" {
			events[i].Workload = events[i].Actor
		}
	}
	y, err := past{events: events}.why(t)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range y.Siblings {
		got = append(got, s.Workload)
	}
	if want := "shop/db/1 neighbour4 neighbour5 neighbour6 neighbour7"; strings.Join(got, " ") != want || y.Change == nil || !y.Siblings[0].Project {
		t.Errorf("got %q and the change %+v, want %q", got, y.Change, want)
	}
}

// It is bounded whatever a container writes, fit to be shown, and says what is not known.
func TestWhyIsBounded(t *testing.T) {
	var lines []string
	for range 100 {
		lines = append(lines, "\x1b[31m"+strings.Repeat("é\x00\u202e", 1<<14)+"\x1b]0;title\x07")
	}
	events := history{event(90*time.Second, "web", "start")}
	for i := range 500 {
		e := event(time.Minute, fmt.Sprint("other", i), "die", "exitCode", "1")
		e.Time = e.Time.Add(time.Duration(i) * time.Millisecond)
		events = append(events, e)
	}
	change := drift(time.Second)
	for i := range 20 {
		change.Attributes[fmt.Sprint("Config.Labels[\"", i, strings.Repeat("\x1b[31m\u202elong", 60), "\"]")] = strings.Repeat("<", 250) + " → " + strings.Repeat("\"", 250)
	}
	events = append(events, change, event(0, "web", "die"))
	y, err := past{events: events, lines: lines, level: "error"}.why(t)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(y)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 16<<10 || len(y.Lines) == 0 || len(y.Lines) > 20 || len(y.Siblings) != 5 {
		t.Errorf("%d bytes, %d lines, %d siblings; want at most 16 KiB, 20 and 5", len(text), len(y.Lines), len(y.Siblings))
	}
	if i := slices.IndexFunc(y.Chain, func(s Step) bool { return s.Kind == StepChange }); i < 0 || len(y.Chain[i].Changes) != 8 || y.Chain[i].Left != 13 {
		t.Errorf("the chain %+v, want 8 changes of 21", y.Chain)
	}
	if strings.Contains(string(text), "\u202e") || strings.Contains(string(text), `\u202e`) || bytes.ContainsAny(text, "\x1b") || strings.Contains(y.Lines[0].Text, "\u202e") || strings.Contains(y.Lines[0].Text, "title") {
		t.Errorf("a line is not fit to be shown: %q", y.Lines[0].Text)
	}
	if y.Exit.Code != nil || len(y.NotKnown) == 0 || y.Exit.RanFor != 90 {
		t.Errorf("exit %+v, not known %q; want that the code is not known, and 90 s", y.Exit, y.NotKnown)
	}
}

// What the kernel killed in it, and only in it, is told beside.
func TestKilledByTheKernel(t *testing.T) {
	web := strings.Repeat("ab", 32)
	other := strings.Repeat("cd", 32)
	store := recordtest.New()
	line := func(before time.Duration, format string, a ...any) tallyman.Record {
		return tallyman.Record{Time: died.Add(-before).UnixNano(), Line: fmt.Appendf(nil, format, a...)}
	}
	const summary = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/%[1]s,task_memcg=/docker/%[1]s,task=%[2]s,pid=%[3]d,uid=0"
	b := &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{
		Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "harbor"}, {Name: "source", Value: "journal"}, {Name: "unit", Value: "kernel"}}},
		Records: []tallyman.Record{
			line(time.Hour, summary, web, "before", 1),
			line(3*time.Second, summary, other, "another", 2),
			line(2*time.Second, summary, web, "py\x1b[31mthon", 3),
			line(2*time.Second, "Memory cgroup out of memory: Killed process 3 (py\x1b[31mthon) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0"),
		},
	}}}
	if err := store.AppendRecords(b); err != nil {
		t.Fatal(err)
	}
	want := []Killed{{died.Add(-2 * time.Second), "python", 3, 8 << 10, false}}
	// The engine tells of the death before it tells of the want of memory, or never.
	for _, engine := range []string{"true", "false"} {
		w := &Witness{Records: store, Inventory: several{}, Events: history{event(0, web, "die", "exitCode", "137", "oomKilled", engine)}}
		y, err := w.Why(t.Context(), web, died.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(y.Killed, want) || y.Guess != "The kernel killed it for want of memory." {
			t.Errorf("got %+v, %q; want %+v", y.Killed, y.Guess, want)
		}
	}
}

// drift is a change of the limit of memory, so long before the death.
func drift(before time.Duration) tallyman.Event {
	e := event(before, "web", "drift", "container", "web", "from", "1", "to", "2", describe.MemoryLimit, "805306368 → 67108864")
	e.Type = "tallyman"
	return e
}

// How it came to a death is told in at most six steps, in order of time: what matters most of
// what is known.
func TestChain(t *testing.T) {
	limit := 64.0 * (1 << 20)
	grew := []Figure{{Name: "memory", Unit: "bytes", First: 12 << 20, Since: died.Add(-4 * time.Minute), Max: 63 << 20, Last: 63 << 20, Limit: &limit}}
	for _, c := range []struct {
		name  string
		past  past
		want  []string
		guess string
	}{
		{"of a limit that was lowered", past{
			events: history{event(30*time.Minute, "web", "start"), drift(28 * time.Minute), event(3*time.Minute, "web", "health_status", "health", "unhealthy"),
				event(time.Minute, "db", "die", "exitCode", "1"), event(0, "web", "die", "exitCode", "137", "oomKilled", "true")},
			lines: []string{"all is well", "cannot allocate"}, level: "error", figures: grew, room: 12 << 30,
		}, []string{
			"change: Its configuration was changed: memory limit 768.0 MiB → 64.0 MiB",
			"health: Health: unhealthy: 3 min before",
			"siblings: shop/db/1: Died, exit 1: 60 s before",
			"line: Its last error: cannot allocate",
			"growth: Memory grew from 12.0 MiB to 63.0 MiB: 12.8 MiB a minute over 4 min; the limit is 64.0 MiB",
			"host: The host had memory left: 12.0 GiB of the host's memory of 16.0 GiB were available",
		}, "The kernel killed it for want of memory: it used 63.0 MiB of its limit of 64.0 MiB (768.0 MiB until 28 min before)."},
		{"of one that dies again and again", past{
			events: history{event(80*time.Second, "web", "start"), event(60*time.Second, "web", "die", "exitCode", "7"), event(50*time.Second, "web", "start"), event(40*time.Second, "web", "die", "exitCode", "7"),
				event(30*time.Second, "web", "start"), event(0, "web", "die", "exitCode", "7")}, room: 1 << 30,
		}, []string{
			"deaths: It had died 2 times, the first time: Died, exit 7: The same workload, within 60 s before",
			"start: Started",
			"host: The host was short of memory: 1.0 GiB of the host's memory of 16.0 GiB were available",
		}, "It ended by itself with exit 7; its last lines may say why."},
		{"that was asked for", past{events: history{event(3*time.Second, "web", "kill", "signal", "15"), event(0, "web", "die", "exitCode", "143", "asked", "signal", "signal", "15")}},
			[]string{"signal: Was sent SIGTERM: Somebody asked the engine for it"}, "Somebody asked for it (SIGTERM)."},
	} {
		y, err := c.past.why(t)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, s := range y.Chain {
			text := string(s.Kind) + ": " + s.Title
			for _, x := range s.Changes {
				text += ": " + x.Setting + " " + x.Before + " → " + x.After
			}
			if s.Text != "" {
				text += ": " + s.Text
			}
			got = append(got, text)
		}
		if d := cmp.Diff(c.want, got); d != "" || y.Guess != c.guess {
			t.Errorf("%s: %q, want %q; (-want +got)\n%s", c.name, y.Guess, c.guess, d)
		}
	}
}
