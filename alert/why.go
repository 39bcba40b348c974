// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/describe"
	"tallyman/internal/oomkill"
	"tallyman/internal/recordwalk"
)

// Why is everything that is known of a death, in at most 16 KiB: what the exit code
// says, the steps that led to it, the last lines, the figures of the five minutes before,
// what was changed, what else happened on that host, and one sentence that puts it together.
type Why struct {
	Container string    `json:"container"`
	Name      string    `json:"name"`
	Host      string    `json:"host"`
	Workload  string    `json:"workload"`
	Image     string    `json:"image"`
	At        time.Time `json:"at"` // of the death
	// Guess is one sentence: the first of a fixed list of causes that fits.
	Guess string `json:"guess"`
	Exit  Exit   `json:"exit"`
	// Chain is how it came to this: at most six steps before it, the oldest first.
	Chain []Step `json:"chain,omitempty"`
	// Killed are the processes of it that the kernel killed for want of memory.
	Killed []Killed `json:"killed,omitempty"`
	// Lines are its last ones before the death.
	Lines    []WhyLine `json:"lines,omitempty"`
	Before   []Figure  `json:"before,omitempty"`
	Change   *Happened `json:"change,omitempty"`
	Siblings []Sibling `json:"siblings,omitempty"`
	// NotKnown says what could not be found out, and why.
	NotKnown []string `json:"notKnown,omitempty"`
}

// Exit is how a container ended.
type Exit struct {
	// Code is nil when nobody saw it.
	Code  *int   `json:"code"`
	Words string `json:"words"`
	// Meaning is what the code says, as far as it says something.
	Meaning string `json:"meaning,omitempty"`
	Signal  string `json:"signal,omitempty"`
	OOM     bool   `json:"oom,omitempty"`
	// Asked is set for a death that somebody asked for.
	Asked bool `json:"asked,omitempty"`
	// RanFor is in seconds, 0 when not known.
	RanFor   float64 `json:"ranFor,omitempty"`
	Restarts int     `json:"restarts,omitempty"`
}

// Killed is a process, as the kernel's messages tell of it.
type Killed struct {
	Time time.Time `json:"time"`
	Task string    `json:"task"`
	Pid  int       `json:"pid"`
	// Anonymous is the memory that it had for itself, in bytes; 0 when not known.
	Anonymous int64 `json:"anonymous,omitempty"`
	// Machine is set when the whole machine had no memory left.
	Machine bool `json:"machine,omitempty"`
}

// WhyLine is one line of the log.
type WhyLine struct {
	Time   time.Time `json:"time"`
	Stream string    `json:"stream,omitempty"`
	Level  string    `json:"level,omitempty"`
	Text   string    `json:"text"`
}

// Figure is a number over the five minutes before a death.
type Figure struct {
	Name string `json:"name"`
	// Unit is cores, bytes or percent.
	Unit  string  `json:"unit"`
	First float64 `json:"first"`
	// Since is when First was; it is zero where that is not known.
	Since time.Time `json:"since,omitzero"`
	Max   float64   `json:"max"`
	Last  float64   `json:"last"`
	Limit *float64  `json:"limit,omitempty"`
}

// Happened is an event in words.
type Happened struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Sibling is what happened to another workload of that host within two minutes.
type Sibling struct {
	Happened
	Workload string `json:"workload"`
	// Project is set for one of the same project.
	Project bool `json:"project,omitempty"`
	// Times says how often; Time is that of the first.
	Times int `json:"times,omitempty"`
}

// The bounds of a Why.
const (
	whyLines   = 20
	whyLine    = 400     // bytes of one
	whyText    = 6 << 10 // of all
	whySteps   = 6       // what was changed and what happened to others, together
	whyNear    = 2 * time.Minute
	whyChange  = 24 * time.Hour
	whyRecent  = 10 * time.Minute
	whyTime    = 2 * time.Second
	whyKilled  = 3                // processes
	whyKernel  = 30 * time.Second // before its death that the kernel killed in it
	jobRemoved = 5 * time.Second  // after its death, of one that removes itself
)

// Witness finds out why a container died. All fields but Figures and Room are needed.
type Witness struct {
	Inventory tallyman.Inventory
	Events    tallyman.EventStore
	Records   tallyman.RecordReader
	// Figures are those of a container over a time; nil without a store of samples.
	Figures func(ctx context.Context, id string, from, to time.Time) ([]Figure, error)
	// Room is how much memory of a host was available at a time, in bytes; both are 0 when
	// it is not known. Nil without a store of samples.
	Room func(ctx context.Context, host string, at time.Time) (available, total float64, err error)
}

// ErrNoDeath says that a container has not died, as far as is known.
var ErrNoDeath = fmt.Errorf("no death of this container is known: %w", tallyman.ErrNotFound)

// Why finds out about the last death of a container at or before a time. Parts that
// cannot be read are named in NotKnown.
func (w *Witness) Why(ctx context.Context, ref string, at time.Time) (*Why, error) {
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	c, ok := w.Inventory.Container(ref)
	id := ref
	if ok {
		id = c.ID
	}
	events, _, err := w.Events.Events(ctx, tallyman.EventQuery{Container: id, Actions: []string{"die", "start_failed"}, End: at.Add(time.Millisecond), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, ErrNoDeath
	}
	e := &events[0]
	y := &Why{Container: id, Name: e.Name, Host: e.Host, Workload: cmp.Or(e.Workload, e.Name), Image: e.Image, At: e.Time}
	started := w.exit(ctx, y, e, c)
	kills := w.kills(ctx, y)
	w.lines(ctx, y)
	if w.Figures == nil {
		y.NotKnown = append(y.NotKnown, "figures: samples are not kept (keep.metrics)")
	} else if y.Before, err = w.Figures(ctx, id, y.At.Add(-5*time.Minute), y.At); err != nil {
		y.NotKnown = append(y.NotKnown, "figures: "+err.Error())
	} else if len(y.Before) == 0 {
		y.NotKnown = append(y.NotKnown, "figures: no sample of the five minutes before is kept")
	}
	change := w.around(ctx, y, c)
	y.Chain = w.chain(ctx, y, &found{started, change, kills})
	limit := int64(0)
	if c != nil {
		limit = c.MemoryLimit
	}
	y.Guess = guess(y, e, change, limit)
	return y, nil
}

// exit tells how it ended, and gives when it had started, zero when that is not known.
func (w *Witness) exit(ctx context.Context, y *Why, e *tallyman.Event, c *tallyman.Container) (started time.Time) {
	y.Exit.Words = describe.Event(e).Text
	y.Exit.Asked = describe.Asked(e.Attributes)
	y.Exit.Signal = describe.Signal(e.Attributes["signal"])
	y.Exit.OOM = e.Attributes["oomKilled"] == "true"
	if n, err := strconv.Atoi(e.Attributes["exitCode"]); err == nil {
		y.Exit.Code, y.Exit.Meaning = &n, describe.Exit(n)
	} else {
		y.NotKnown = append(y.NotKnown, "exit code: tallyman was away, and the engine no longer has it")
	}
	if c != nil {
		y.Exit.Restarts = c.RestartCount
	}
	starts, _, err := w.Events.Events(ctx, tallyman.EventQuery{Container: y.Container, Actions: []string{"start"}, End: e.Time, Limit: 1})
	if err == nil && len(starts) > 0 {
		started = starts[0].Time
	} else if c != nil && c.Started.Before(e.Time) {
		started = c.Started
	}
	if !started.IsZero() && e.Action == "die" {
		y.Exit.RanFor = e.Time.Sub(started).Seconds()
	}
	return started
}

var (
	colours = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(\x07|\x1b\\\\)?|\x1b.")
	unseen  = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
)

// plain makes a line fit to be shown: without colours and control characters, and short.
func plain(line []byte) string { return plainIn(string(line[:min(len(line), 4*whyLine)]), whyLine) }

// plainIn does so for a text, in at most n bytes.
func plainIn(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = unseen.ReplaceAllString(colours.ReplaceAllString(text, ""), "")
	return clip.Text(text, n)
}

// kills finds the processes that the kernel killed in it before it died, and gives those
// that it killed elsewhere on that host. Where the kernel's messages are not read nothing is
// said: the engine told of the want of memory itself.
func (w *Witness) kills(ctx context.Context, y *Why) (elsewhere []oomkill.Kill) {
	if y.Exit.Asked {
		return nil
	}
	kills, err := oomkill.Find(ctx, w.Records, y.Host, y.At.Add(-whyNear), y.At.Add(2*time.Second))
	if err != nil {
		y.NotKnown = append(y.NotKnown, "what the kernel killed: "+err.Error())
		return nil
	}
	killed := y.Exit.OOM || y.Exit.Code != nil && *y.Exit.Code == 137
	for _, k := range slices.Backward(kills) {
		switch {
		case !slices.Contains(k.Containers, y.Container):
			elsewhere = append(elsewhere, k)
		case killed && y.At.Sub(k.Time) < whyKernel && len(y.Killed) < whyKilled:
			y.Killed = append(y.Killed, Killed{k.Time.UTC(), plain([]byte(k.Task)), k.Pid, k.Anonymous, k.Machine})
		}
	}
	slices.Reverse(y.Killed)
	return elsewhere
}

// lines are the last ones before the death.
func (w *Witness) lines(ctx context.Context, y *Why) {
	q := tallyman.RecordQuery{Start: y.At.Add(-24 * time.Hour).UnixNano(), End: y.At.Add(2 * time.Second).UnixNano(), Backward: true,
		Matchers: []tallyman.Matcher{{Name: "source", Value: tallyman.SourceContainer}, {Name: "host", Value: y.Host}, {Name: "workload", Value: y.Workload}}}
	size := 0
	for f, err := range recordwalk.ByTime(ctx, w.Records, q) { // the newest first
		if err != nil {
			y.NotKnown = append(y.NotKnown, "lines: "+err.Error())
			break
		}
		label := func(name string) string { return tallyman.LabelOf(f.Stream, f.Record.Meta, name) }
		if label("container_id") != y.Container || label("tallyman_gap") != "" {
			continue
		}
		l := WhyLine{time.Unix(0, f.Record.Time).UTC(), label("stream"), label("level"), plain(f.Record.Line)}
		if size += len(l.Text); size > whyText {
			break
		}
		if y.Lines = append(y.Lines, l); len(y.Lines) == whyLines {
			break
		}
	}
	slices.Reverse(y.Lines)
	if len(y.Lines) == 0 {
		y.NotKnown = append(y.NotKnown, "lines: it wrote none that are kept")
	}
}

// around is what was changed before, whose event it gives, and what else happened on that host.
func (w *Witness) around(ctx context.Context, y *Why, c *tallyman.Container) (change *tallyman.Event) {
	changes, _, err := w.Events.Events(ctx, tallyman.EventQuery{Host: y.Host, Workload: y.Workload, Actions: []string{"drift", "update"}, Start: y.At.Add(-whyChange), End: y.At, Limit: 1})
	if err != nil {
		y.NotKnown = append(y.NotKnown, "what was changed: "+err.Error())
	}
	if len(changes) > 0 {
		change = &changes[0]
		y.Change = &Happened{change.Time, plainIn(describe.Event(change).Text, chainText)}
	}
	events, _, err := w.Events.Events(ctx, tallyman.EventQuery{Host: y.Host, Start: y.At.Add(-whyNear), End: y.At.Add(whyNear), Limit: 2000})
	if err != nil {
		y.NotKnown = append(y.NotKnown, "what happened around it: "+err.Error())
		return change
	}
	project := ""
	if c != nil {
		project = c.Workload.Project
	}
	removed := map[string]time.Time{} // when containers were removed, which is told after their death
	for i := range events {           // the newest first
		e := &events[i]
		words := describe.Event(e)
		switch {
		case e.Workload == y.Workload:
		case e.Type != "container" || e.Time.Sub(y.At).Abs() > whyNear:
		case e.Action == "destroy":
			removed[e.Actor] = e.Time
		case e.Action == "die" && words.Severity == "critical", e.Action == "health_status" && words.Severity == "critical", e.Action == "start_failed":
			s := Sibling{Happened{e.Time, words.Text}, e.Workload, false, 1}
			if project != "" {
				o, ok := w.Inventory.Container(e.Actor)
				s.Project = ok && o.Workload.Project == project || !ok && strings.HasPrefix(e.Workload, project+"/")
			}
			// A job ends for reasons of its own: one that removes itself at once is none of ours.
			if at, gone := removed[e.Actor]; gone && !s.Project && at.Sub(e.Time) < jobRemoved {
				continue
			}
			if i := slices.IndexFunc(y.Siblings, func(x Sibling) bool { return x.Workload == s.Workload && x.Text == s.Text }); i >= 0 {
				s.Times += y.Siblings[i].Times
				y.Siblings[i] = s
			} else {
				y.Siblings = append(y.Siblings, s)
			}
		}
	}
	y.shorten()
	return change
}

// shorten leaves of what happened to others what is likely to matter: of the same project,
// before it, near it. They are in order of time then.
func (y *Why) shorten() {
	most := whySteps
	if y.Change != nil {
		most--
	}
	after := func(s Sibling) bool { return !s.Time.Before(y.At) }
	slices.SortStableFunc(y.Siblings, func(a, b Sibling) int {
		return cmp.Or(-compareBool(a.Project, b.Project), compareBool(after(a), after(b)), cmp.Compare(a.Time.Sub(y.At).Abs(), b.Time.Sub(y.At).Abs()))
	})
	y.Siblings = y.Siblings[:min(len(y.Siblings), most)]
	slices.SortStableFunc(y.Siblings, func(a, b Sibling) int { return a.Time.Compare(b.Time) })
}

// compareBool has false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// guess is the first cause of a fixed list that fits. limit is that of the container's
// memory, 0 without one.
func guess(y *Why, e, change *tallyman.Event, limit int64) string {
	code := -1
	if y.Exit.Code != nil {
		code = *y.Exit.Code
	}
	memory := ""
	if limit > 0 {
		memory = ": its limit is " + describe.Bytes(float64(limit))
	}
	machine := slices.ContainsFunc(y.Killed, func(k Killed) bool { return k.Machine })
	for _, f := range y.Before {
		if f.Unit == "bytes" && f.Limit != nil && *f.Limit > 0 {
			limit := describe.Bytes(*f.Limit)
			if c, ok := memoryLimit(change); ok {
				limit += fmt.Sprintf(" (%s until %s before)", plainIn(c.Before, chainValue), inWords(y.At.Sub(change.Time)))
			}
			if memory = fmt.Sprintf(": it used %s of its limit of %s", describe.Bytes(f.Max), limit); f.Max < 0.8**f.Limit {
				memory = fmt.Sprintf(": its limit is %s; the last sample before had %s", limit, describe.Bytes(f.Last))
			}
		}
	}
	if machine {
		memory = ": the whole machine had none left"
	}
	first := func() (s Sibling, ok bool) {
		i := slices.IndexFunc(y.Siblings, func(s Sibling) bool { return s.Time.Before(y.At) && s.Project })
		if i < 0 {
			return s, false
		}
		return y.Siblings[i], true
	}
	last, isError := lastWords(y.Lines)
	sibling, died := first()
	switch {
	case y.Exit.Asked:
		return "Somebody asked for it" + map[bool]string{true: " (" + y.Exit.Signal + ")"}[y.Exit.Signal != ""] + "."
	case e.Action == "start_failed":
		return "The engine could not start it: " + strings.TrimSuffix(plain([]byte(e.Attributes["error"])), ".") + "."
	// The engine may tell of the death before it tells of the want of memory.
	case y.Exit.OOM, code == 137 && len(y.Killed) > 0:
		return "The kernel killed it for want of memory" + memory + "."
	case code == 127:
		return "Its command was not found (exit 127)."
	case code == 126:
		return "Its command may not be executed (exit 126)."
	case code == 139 || code == 134:
		return fmt.Sprintf("It crashed by itself (exit %d).", code)
	case died:
		return fmt.Sprintf("%s of the same project died %s before it.", sibling.Workload, inWords(y.At.Sub(sibling.Time)))
	case y.Change != nil && y.At.Sub(y.Change.Time) < whyRecent:
		return fmt.Sprintf("Its configuration was changed %s before. %s.", inWords(y.At.Sub(y.Change.Time)), y.Change.Text)
	case code == 137:
		return "It was killed from outside of the engine (exit 137): nobody asked the engine, and the kernel told of no want of memory."
	case code == 143:
		return "It was ended from outside of the engine (exit 143): nobody asked the engine."
	case isError:
		return "Its last error: " + last.Text
	case code == 0:
		return "It ended by itself without an error (exit 0)."
	case code > 0:
		return fmt.Sprintf("It ended by itself with exit %d; its last lines may say why.", code)
	}
	return "How it ended is not known."
}
