// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/describe"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// changesAnswer is the answer of /changes.
type changesAnswer struct {
	Before       int64        `json:"before" doc:"Where the range before starts, which ends where the range starts"`
	Start        int64        `json:"start" doc:"Where the range starts"`
	End          int64        `json:"end"`
	Step         int64        `json:"step" doc:"Milliseconds of a step"`
	Sample       int64        `json:"sample" doc:"Milliseconds of each step that were read, from its beginning on; of long ranges not all"`
	Watched      []WatchedFor `json:"watched" doc:"By host; one without samples in either range is not there"`
	Happened     []Happening  `json:"happened" doc:"The gravest first"`
	HappenedLeft int          `json:"happenedLeft" doc:"How many more there were"`
	Since        int64        `json:"since,omitempty" doc:"From when on events were looked at, where there are too many to look at all"`
	Moved        []Moved      `json:"moved" doc:"Those that moved most first"`
	MovedLeft    int          `json:"movedLeft" doc:"How many more moved"`
	Compared     int          `json:"compared" doc:"How many numbers were compared"`
	ComparedLeft int          `json:"comparedLeft,omitempty" doc:"How many were too many to be compared"`
}

// WatchedFor is how long a host was watched.
type WatchedFor struct {
	Host   string  `json:"host"`
	Before float64 `json:"before" doc:"Seconds of the range before that have samples of anything of it"`
	After  float64 `json:"after" doc:"Seconds of the range that have"`
}

// Happening is what happened in a range: the same of one workload once.
type Happening struct {
	Kind      describe.Kind      `json:"kind"`
	Severity  describe.Severity  `json:"severity" doc:"Empty for a plain one"`
	Text      string             `json:"text"`
	Time      int64              `json:"time" doc:"The first time in the range"`
	Last      int64              `json:"last" doc:"The last time"`
	Times     int                `json:"times" doc:"How often in the range"`
	Before    int                `json:"before" doc:"How often in the range before"`
	Host      string             `json:"host"`
	Workload  string             `json:"workload,omitempty"`
	Container string             `json:"container,omitempty" doc:"The id of the last one"`
	Name      string             `json:"name,omitempty"`
	Changes   []describe.Changed `json:"changes,omitempty" doc:"Of a change of the configuration: the settings, those that matter most first"`
	Left      int                `json:"left,omitempty" doc:"How many more settings were changed"`
}

// measureName is what moved.
type measureName string

// Values are all measures.
func (measureName) Values() []string { return query.MeasureNames() }

// Moved is how one number moved.
type Moved struct {
	Measure   measureName `json:"measure" doc:"Those of a host begin with host. CPU is in cores, memory and space in bytes, rates in bytes or packets per second, throttled and pressure in seconds per second"`
	Part      string      `json:"part,omitempty" doc:"Which of several: a device, a mount point, a state of connections"`
	Host      string      `json:"host"`
	Workload  string      `json:"workload,omitempty" doc:"Absent for the host's own"`
	Container string      `json:"container,omitempty" doc:"The id of the last one"`
	Name      string      `json:"name,omitempty"`
	Before    *float64    `json:"before" doc:"What was usual in the range before, the median; null where it did not run then"`
	After     *float64    `json:"after" doc:"What was usual in the range"`
	Peak      bool        `json:"peak,omitempty" doc:"What was usual moved less than what was high: before and after are what one step in ten is above"`
	Score     float64     `json:"score" doc:"How many times further it moved than it did before, and than is worth a word"`
	Points    []*float64  `json:"points" doc:"The means of the steps of both ranges, null where there is no sample"`
}

const (
	// changeSettings bounds the settings of one change, happenedMost and movedMost the items.
	changeSettings = 12
	happenedMost   = 50
	movedMost      = 30
	// comparedLeast and comparedMost are how long a range may be that is compared.
	comparedLeast = time.Second
	comparedMost  = 31 * 24 * time.Hour
)

// compared reads the range of a question, and the one before that it is compared with.
func compared(r *http.Request) (before, start, end time.Time, err error) {
	if start, end, err = stretch(r); err != nil {
		return before, start, end, err
	}
	switch length := end.Sub(start); {
	case start.IsZero() || length < comparedLeast:
		return before, start, end, httpx.Bad("start", "a start is needed, at least a second before the end", "give start and end in milliseconds since 1970")
	case length > comparedMost:
		return before, start, end, httpx.Bad("start", "the range is longer than 31 days", "give a later start")
	}
	return start.Add(-end.Sub(start)), start, end, nil
}

func (s *Service) changes(w http.ResponseWriter, r *http.Request) error {
	before, start, end, err := compared(r)
	if err != nil {
		return err
	}
	limit, err := httpx.Int(r, "limit", movedMost, 1, 500)
	if err != nil {
		return err
	}
	host, workload := r.FormValue("host"), r.FormValue("workload")
	if workload != "" && host == "" {
		return httpx.Bad("host", "a workload needs its host", "give that of a container, as /containers has it")
	}
	out := changesAnswer{Before: before.UnixMilli(), Start: start.UnixMilli(), End: end.UnixMilli(), Watched: []WatchedFor{}, Moved: []Moved{}}
	if out.Happened, out.HappenedLeft, out.Since, err = s.happened(r.Context(), host, workload, before, start, end); err != nil {
		return err
	}
	m, err := s.o.Query.Moved(r.Context(), query.MovedQuery{Host: host, Workload: workload, Start: start, End: end})
	if err != nil {
		return err
	}
	out.Step, out.Sample, out.Compared, out.ComparedLeft = m.Step.Milliseconds(), m.Sample.Milliseconds(), m.Compared, m.Left
	for name, w := range m.Watched {
		out.Watched = append(out.Watched, WatchedFor{name, w[0].Seconds(), w[1].Seconds()})
	}
	slices.SortFunc(out.Watched, func(a, b WatchedFor) int { return strings.Compare(a.Host, b.Host) })
	out.MovedLeft = max(0, len(m.Series)-limit)
	for i := range m.Series[:min(len(m.Series), limit)] {
		x := &m.Series[i]
		v := Moved{Measure: measureName(x.Measure), Part: x.Part, Host: x.Host, Workload: x.Workload, Container: x.ID, Name: x.Name, Before: number(x.Before), After: number(x.After), Peak: x.Peak, Score: short(x.Score)}
		if c, ok := s.o.Inventory.Container(x.ID); ok && x.ID != "" {
			v.Name = c.Name // it may have another name by now
		}
		for i, p := range x.Points {
			x.Points[i] = short(p)
		}
		v.Points = nullable(x.Points)
		out.Moved = append(out.Moved, v)
	}
	httpx.WriteJSON(w, out)
	return nil
}

// number is a value, nil where there is none.
func number(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	v = short(v)
	return &v
}

// toldOf are the kinds of events that say what happened; others come with them.
var toldOf = []describe.Kind{"death", "oom", "drift", "start", "health", "pause", "unpause", "rename", "engine", "gap"}

// happened is what happened in a range: of a workload, of a host or of all, and how many
// more there was.
func (s *Service) happened(ctx context.Context, host, workload string, before, start, end time.Time) (out []Happening, left int, since int64, err error) {
	type key struct {
		host, workload, text string
		kind                 describe.Kind
	}
	by := map[key]*Happening{}
	earlier := map[key]int{}
	var oldest time.Time
	last, err := s.walkEvents(ctx, tallyman.EventQuery{Host: host, Start: before, End: end, Limit: walkPage}, func(e *tallyman.Event) bool {
		oldest = e.Time
		if workload != "" && e.Workload != workload && (e.Workload != "" || e.Type == "container" || e.Type == "image" || e.Type == "volume" || e.Type == "network") {
			return true // what is told of the engine and of tallyman concerns all
		}
		words := describe.Event(e)
		if !slices.Contains(toldOf, words.Kind) && e.Action != "update" || e.Action == "restart" || e.Type != "container" && e.Type != "engine" && e.Type != "tallyman" && e.Type != "daemon" {
			return true
		}
		k := key{e.Host, e.Workload, words.Text, words.Kind}
		if e.Time.Before(start) {
			earlier[k]++
			return true
		}
		h := by[k]
		if h == nil { // the newest first
			h = &Happening{Kind: words.Kind, Severity: words.Severity, Text: words.Text, Last: e.Time.UnixMilli(), Host: e.Host, Workload: e.Workload, Container: e.Actor, Name: e.Name}
			if e.Type != "container" {
				h.Container = ""
			}
			if words.Kind == "drift" {
				changes, n := describe.Changes(e.Attributes)
				h.Changes = changes[:min(len(changes), changeSettings)]
				h.Left = n - len(h.Changes)
			}
			by[k] = h
		}
		h.Time = e.Time.UnixMilli()
		h.Times++
		return true
	})
	if err != nil {
		return nil, 0, 0, err
	}
	if last != "" {
		since = oldest.UnixMilli()
	}
	out = []Happening{}
	for k, h := range by {
		h.Before = earlier[k]
		out = append(out, *h)
	}
	grave := func(h *Happening) int {
		switch {
		case h.Severity == "critical":
			return 0
		case h.Kind == "drift":
			return 1
		case h.Severity == "warning":
			return 2
		default:
			return 3
		}
	}
	slices.SortFunc(out, func(a, b Happening) int {
		return cmp.Or(cmp.Compare(grave(&a), grave(&b)), cmp.Compare(a.Time, b.Time), strings.Compare(a.Host, b.Host), strings.Compare(a.Workload, b.Workload), strings.Compare(a.Text, b.Text))
	})
	kept := out[:min(len(out), happenedMost)]
	return kept, len(out) - len(kept), since, nil
}
