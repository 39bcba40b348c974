// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/describe"
	"tallyman/internal/oomkill"
)

// Step is one of those that led to a death.
type Step struct {
	Kind StepKind `json:"kind"`
	// Time is when it was, From when it began if it took a while.
	Time time.Time `json:"time"`
	From time.Time `json:"from,omitzero"`
	// Title is what happened, Text what more is known of it.
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
	// Changes are the settings that a change changed, Left how many more there were.
	Changes []describe.Changed `json:"changes,omitempty"`
	Left    int                `json:"left,omitempty"`
}

// StepKind is what a step is about.
type StepKind string

// The kinds of steps.
const (
	StepStart    StepKind = "start"
	StepChange   StepKind = "change"
	StepGrowth   StepKind = "growth"
	StepHealth   StepKind = "health"
	StepDeaths   StepKind = "deaths" // earlier ones of the same workload
	StepSignal   StepKind = "signal"
	StepKilled   StepKind = "killed" // a process of it, by the kernel
	StepHost     StepKind = "host"
	StepSiblings StepKind = "siblings"
	StepLine     StepKind = "line"
)

// Values are all kinds.
func (StepKind) Values() []string {
	return []string{string(StepChange), string(StepDeaths), string(StepGrowth), string(StepHealth), string(StepHost), string(StepKilled), string(StepLine), string(StepSiblings), string(StepSignal), string(StepStart)}
}

// The bounds of a chain.
const (
	chainSteps   = 6
	chainChanges = 8
	// chainStrangers are the workloads of other projects.
	chainStrangers = 2
	chainText      = 240 // bytes of a text, chainValue of a value
	chainValue     = 80
	grownBy        = 1.2      // times as much is growth
	hostShort      = 0.1      // of its memory available is little
	unlimited      = 16 << 20 // bytes that are growth where there is no limit
)

// found is what was found of a death besides its Why.
type found struct {
	started time.Time
	change  *tallyman.Event
	// kills are those of the kernel elsewhere on the host, the newest first.
	kills []oomkill.Kill
}

// chain is how it came to a death: of what is known the six steps that matter most, in
// order of time.
func (w *Witness) chain(ctx context.Context, y *Why, p *found) []Step {
	var steps []Step
	var weights []int
	// The less weight, the sooner it is told.
	add := func(weight int, s Step) {
		s.Time, s.From = s.Time.UTC(), s.From.UTC()
		s.Title, s.Text = plainIn(s.Title, chainText), plainIn(s.Text, chainText)
		steps, weights = append(steps, s), append(weights, weight)
	}
	if !p.started.IsZero() && p.started.Before(y.At) {
		add(4, Step{Kind: StepStart, Time: p.started, Title: "Started", Text: y.Image})
	}
	if p.change != nil {
		add(1, changed(p.change))
	}
	for _, f := range y.Before {
		if s, ok := grown(&f, y.At); ok {
			add(2, s)
		}
	}
	w.before(ctx, y, p, add)
	for i, k := range slices.Backward(y.Killed) {
		text := ""
		if k.Anonymous > 0 {
			text = "It had " + describe.Bytes(float64(k.Anonymous)) + " for itself"
		}
		add(1+2*(len(y.Killed)-1-i), Step{Kind: StepKilled, Time: k.Time, Title: fmt.Sprintf("The kernel killed %s (process %d)", k.Task, k.Pid), Text: text})
	}
	w.host(ctx, y, p, add)
	strangers := 0
	for _, s := range slices.Backward(y.Siblings) { // the nearest first
		if !s.Project {
			strangers++
		}
		if !s.Time.Before(y.At) || !s.Project && strangers > chainStrangers {
			continue
		}
		text := inWords(y.At.Sub(s.Time)) + " before"
		if s.Times > 1 {
			text = fmt.Sprintf("%d times, the first %s before", s.Times, inWords(y.At.Sub(s.Time)))
		}
		weight := 4
		if s.Project {
			weight = 2
		}
		add(weight, Step{Kind: StepSiblings, Time: s.Time, Title: s.Workload + ": " + s.Text, Text: text})
	}
	if l, level := lastWords(y.Lines); l != nil {
		title := "Its last line"
		if level {
			title = "Its last error"
		}
		add(2, Step{Kind: StepLine, Time: l.Time, Title: title, Text: l.Text})
	}

	order := make([]int, len(steps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	out := []Step{}
	for _, i := range order[:min(len(order), chainSteps)] {
		out = append(out, steps[i])
	}
	slices.SortStableFunc(out, func(a, b Step) int { return a.Time.Compare(b.Time) })
	return out
}

// before is what the events tell of the container itself, and of its workload.
func (w *Witness) before(ctx context.Context, y *Why, p *found, add func(int, Step)) {
	q := tallyman.EventQuery{Host: y.Host, Workload: y.Workload, Actions: []string{"die", "start_failed", "health_status", "kill"}, Start: y.At.Add(-whyRecent), End: y.At, Limit: 200}
	events, _, err := w.Events.Events(ctx, q)
	if err != nil {
		y.NotKnown = append(y.NotKnown, "what happened to it before: "+err.Error())
		return
	}
	deaths, first, words := 0, time.Time{}, ""
	health, signal := false, false
	for i := range events { // the newest first
		e := &events[i]
		d := describe.Event(e)
		switch {
		case e.Action == "kill":
			if !signal && e.Actor == y.Container && y.Exit.Asked && y.At.Sub(e.Time) < whyNear {
				signal = true
				add(1, Step{Kind: StepSignal, Time: e.Time, Title: d.Text, Text: "Somebody asked the engine for it"})
			}
		case e.Action == "health_status":
			if !health && e.Actor == y.Container && !e.Time.Before(p.started) {
				health = true
				if d.Severity == "critical" {
					add(2, Step{Kind: StepHealth, Time: e.Time, Title: d.Text, Text: inWords(y.At.Sub(e.Time)) + " before"})
				}
			}
		case d.Severity == "critical":
			deaths++
			first, words = e.Time, d.Text
		}
	}
	if deaths > 0 {
		title := words
		if deaths > 1 {
			title = fmt.Sprintf("It had died %d times, the first time: %s", deaths, words)
		}
		add(2, Step{Kind: StepDeaths, Time: first, Title: title, Text: "The same workload, within " + inWords(y.At.Sub(first)) + " before"})
	}
}

// host is whether the machine was short of memory.
func (w *Witness) host(ctx context.Context, y *Why, p *found, add func(int, Step)) {
	var parts []string
	at, weight := y.At, 3
	title := "The host had memory left"
	if n := len(p.kills); n > 0 {
		at = p.kills[n-1].Time
		title = fmt.Sprintf("The kernel killed %s elsewhere", processes(n))
		parts = append(parts, "for want of memory, first "+p.kills[n-1].Task)
	}
	short := slices.ContainsFunc(y.Killed, func(k Killed) bool { return k.Machine })
	if w.Room != nil {
		available, total, err := w.Room(ctx, y.Host, y.At)
		switch {
		case err != nil:
			y.NotKnown = append(y.NotKnown, "the memory of the host: "+err.Error())
		case total <= 0:
			y.NotKnown = append(y.NotKnown, "the memory of the host: no sample of that time is kept")
		default:
			if available < hostShort*total {
				short = true
			}
			if short || y.Exit.OOM || len(y.Killed) > 0 || len(parts) > 0 {
				parts = append(parts, fmt.Sprintf("%s of the host's memory of %s were available", describe.Bytes(available), describe.Bytes(total)))
			}
		}
	}
	if len(parts) == 0 {
		return
	}
	if short {
		title, weight = "The host was short of memory", 2
	}
	text := strings.Join(parts, "; ")
	add(weight, Step{Kind: StepHost, Time: at, Title: title, Text: strings.ToUpper(text[:1]) + text[1:]})
}

// changed tells a change of the configuration with its settings.
func changed(e *tallyman.Event) Step {
	s := Step{Kind: StepChange, Time: e.Time, Title: "Its configuration was changed"}
	if e.Action == "update" {
		s.Title = "Its limits were changed"
		return s
	}
	changes, n := describe.Changes(e.Attributes)
	changes = changes[:min(len(changes), chainChanges)]
	for i := range changes {
		c := &changes[i]
		c.Path, c.Setting = plainIn(c.Path, chainValue), plainIn(c.Setting, chainValue)
		c.Before, c.After = plainIn(c.Before, chainValue), plainIn(c.After, chainValue)
	}
	s.Changes, s.Left = changes, n-len(changes)
	return s
}

// memoryLimit is how a change changed the limit of memory.
func memoryLimit(e *tallyman.Event) (c describe.Changed, ok bool) {
	if e == nil {
		return c, false
	}
	changes, _ := describe.Changes(e.Attributes)
	i := slices.IndexFunc(changes, func(c describe.Changed) bool { return c.Path == describe.MemoryLimit })
	if i < 0 {
		return c, false
	}
	return changes[i], true
}

// grown tells of a figure that grew, as far as that is a step.
func grown(f *Figure, at time.Time) (s Step, ok bool) {
	by := f.Max - f.First
	least := float64(unlimited)
	if f.Limit != nil && *f.Limit > 0 {
		least = *f.Limit / 10
	}
	if f.Unit != "bytes" || f.Since.IsZero() || by < least || f.Max < f.First*grownBy {
		return s, false
	}
	s = Step{Kind: StepGrowth, Time: at, From: f.Since, Title: fmt.Sprintf("%s grew from %s to %s", strings.ToUpper(f.Name[:1])+f.Name[1:], describe.Bytes(f.First), describe.Bytes(f.Max))}
	if took := at.Sub(f.Since); took >= time.Minute {
		s.Text = fmt.Sprintf("%s a minute over %s", describe.Bytes(by/took.Minutes()), inWords(took))
	} else {
		s.Text = "Within " + inWords(took)
	}
	if f.Limit != nil && *f.Limit > 0 {
		s.Text += fmt.Sprintf("; the limit is %s", describe.Bytes(*f.Limit))
	}
	return s, true
}

// lastWords are the last error of some lines, or else the last line; level says which.
func lastWords(lines []WhyLine) (l *WhyLine, level bool) {
	for i := range slices.Backward(lines) {
		switch lines[i].Level {
		case "error", "critical", "fatal":
			return &lines[i], true
		}
	}
	if len(lines) == 0 {
		return nil, false
	}
	return &lines[len(lines)-1], false
}

func processes(n int) string {
	if n == 1 {
		return "one process"
	}
	return fmt.Sprintf("%d processes", n)
}
