// SPDX-License-Identifier: Apache-2.0

package alarm

import (
	"tallyman/alert"
	"tallyman/api/view"
	"tallyman/internal/describe"
)

// Why is what is known of a death, for the page.
type Why struct {
	Container string     `json:"container"`
	Name      string     `json:"name"`
	Host      string     `json:"host"`
	Workload  string     `json:"workload"`
	Image     string     `json:"image"`
	At        int64      `json:"at" doc:"When it died"`
	Guess     string     `json:"guess" doc:"One sentence: the first cause of a fixed list that fits"`
	Exit      alert.Exit `json:"exit"`
	Chain     []Step     `json:"chain" doc:"How it came to this: at most six steps before it, the oldest first"`
	Killed    []Killed   `json:"killed,omitempty" doc:"Processes of it that the kernel killed for want of memory"`
	Lines     []Line     `json:"lines" doc:"The last ones before the death, the newest last"`
	Before    []Figure   `json:"before" doc:"Numbers of the five minutes before"`
	Change    *Happened  `json:"change,omitempty" doc:"The last change of its configuration within a day before"`
	Siblings  []Sibling  `json:"siblings" doc:"What happened to other workloads of that host within two minutes"`
	NotKnown  []string   `json:"notKnown" doc:"What could not be found out, and why"`
}

// Killed is a process that the kernel killed.
type Killed struct {
	Time      int64  `json:"time"`
	Task      string `json:"task" doc:"What it called itself"`
	Pid       int    `json:"pid" doc:"On the host"`
	Anonymous int64  `json:"anonymous,omitempty" doc:"Bytes that it had for itself"`
	Machine   bool   `json:"machine,omitempty" doc:"The whole machine had no memory left"`
}

// Step is one of those that led to a death.
type Step struct {
	Kind    alert.StepKind     `json:"kind"`
	Time    int64              `json:"time"`
	From    int64              `json:"from,omitempty" doc:"When it began, if it took a while"`
	Title   string             `json:"title" doc:"What happened"`
	Text    string             `json:"text,omitempty" doc:"What more is known of it"`
	Changes []describe.Changed `json:"changes,omitempty" doc:"Of a change of the configuration: what was changed"`
	Left    int                `json:"left,omitempty" doc:"How many changes more there were"`
}

// Line is one line of the log.
type Line struct {
	Time   int64  `json:"time"`
	Stream string `json:"stream,omitempty"`
	Level  string `json:"level,omitempty"`
	Text   string `json:"text"`
}

// Figure is a number over a time.
type Figure struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit" doc:"cores, bytes, or none"`
	First float64  `json:"first"`
	Since int64    `json:"since,omitempty" doc:"When it was first"`
	Max   float64  `json:"max"`
	Last  float64  `json:"last"`
	Limit *float64 `json:"limit,omitempty"`
}

// Happened is an event in words.
type Happened struct {
	Time int64  `json:"time"`
	Text string `json:"text"`
}

// Sibling is what happened to another workload.
type Sibling struct {
	Time     int64  `json:"time"`
	Text     string `json:"text"`
	Workload string `json:"workload"`
	Project  bool   `json:"project,omitempty" doc:"Whether it is of the same project"`
	Times    int    `json:"times,omitempty" doc:"How often, the first time at time"`
}

func whyOf(y *alert.Why) *Why {
	if y == nil {
		return nil
	}
	v := &Why{Container: y.Container, Name: y.Name, Host: y.Host, Workload: y.Workload, Image: y.Image, At: view.Millis(y.At), Guess: y.Guess, Exit: y.Exit,
		Chain: []Step{}, Lines: []Line{}, Before: []Figure{}, Siblings: []Sibling{}, NotKnown: append([]string{}, y.NotKnown...)}
	for _, k := range y.Killed {
		v.Killed = append(v.Killed, Killed{view.Millis(k.Time), k.Task, k.Pid, k.Anonymous, k.Machine})
	}
	for _, s := range y.Chain {
		v.Chain = append(v.Chain, Step{s.Kind, view.Millis(s.Time), view.Millis(s.From), s.Title, s.Text, s.Changes, s.Left})
	}
	for _, l := range y.Lines {
		v.Lines = append(v.Lines, Line{view.Millis(l.Time), l.Stream, l.Level, l.Text})
	}
	for _, f := range y.Before {
		v.Before = append(v.Before, Figure{f.Name, f.Unit, f.First, view.Millis(f.Since), f.Max, f.Last, f.Limit})
	}
	for _, s := range y.Siblings {
		v.Siblings = append(v.Siblings, Sibling{view.Millis(s.Time), s.Text, s.Workload, s.Project, s.Times})
	}
	if y.Change != nil {
		v.Change = &Happened{view.Millis(y.Change.Time), y.Change.Text}
	}
	return v
}
