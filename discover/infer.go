// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"
	"strconv"
	"time"

	"tallyman"
)

// mark is one start or death of a container that is accounted for: an event was
// told to the observers.
type mark struct {
	Time  time.Time `json:"t"`
	Start bool      `json:"start,omitempty"`
}

// base is what was accounted for at the last inventory. Everything that an
// inventory shows and that is neither in the base nor in the marks since was
// missed.
type base struct {
	Valid    bool      `json:"valid,omitempty"`
	Alive    bool      `json:"alive,omitempty"`
	Deaths   int       `json:"deaths,omitempty"` // of this run, see deathsOf
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	// InferredStarts and InferredDeaths are how many of those before the base
	// nobody saw: a real event that comes late after all is one of them.
	InferredStarts int `json:"inferredStarts,omitempty"`
	InferredDeaths int `json:"inferredDeaths,omitempty"`
}

// life is a container's history as far as inference needs it.
type life struct {
	Base  base   `json:"base"`
	Marks []mark `json:"marks,omitempty"` // since the base, in the order of the stream
	Lost  bool   `json:"lost,omitempty"`  // there were more marks than are kept
}

// maxMarks bounds the starts and deaths of one container between two
// inventories. Past it nothing is inferred for it until the next one.
const maxMarks = 1024

// baseOf is the base that c itself makes.
func baseOf(c *tallyman.Container) base {
	return base{
		Valid: true, Alive: isUp(c), Deaths: deathsOf(c), Started: c.Started, Finished: c.Finished,
	}
}

// isUp reports whether the container's process exists.
func isUp(c *tallyman.Container) bool {
	return c.State == tallyman.Running || c.State == tallyman.Paused
}

// deathsOf is how many deaths c shows since somebody started it: the engine
// counts each restart of its own in RestartCount, and sets it to zero when a
// person starts the container. The last death, after which it gave up, or after
// which it has not restarted yet, is counted in RestartCount only while the
// state is "restarting".
func deathsOf(c *tallyman.Container) int {
	n := c.RestartCount
	if ended(c) && c.State != tallyman.Restarting {
		n++
	}
	return n
}

// ended reports that c has run and does not now. The times do not tell: of a
// process that ends at once the engine notes a start later than the end.
func ended(c *tallyman.Container) bool {
	switch c.State {
	case tallyman.Exited, tallyman.Dead, tallyman.Restarting, tallyman.Removing, tallyman.Gone:
		return !c.Finished.IsZero()
	}
	return false
}

// split is the number of marks that c already shows; the others happened after
// it was inspected. Only the engine's own times are compared: an event is made
// after the state it tells of is committed. A process that ends at once may have
// ended before the event of its start is made.
func (l *life) split(c *tallyman.Container) int {
	switch {
	case isUp(c):
		for i, m := range l.Marks {
			if m.Time.Before(c.Started) {
				continue
			}
			if m.Start {
				return i + 1 // the start that c shows
			}
			return i
		}
	case ended(c):
		started := !l.Base.Started.Before(c.Started) // the start that c shows is told
		for i, m := range l.Marks {
			switch {
			case m.Time.Before(c.Finished):
				started = started || m.Start && !m.Time.Before(c.Started)
			case m.Start && !started:
				started = true
			case m.Start:
				return i
			default:
				return i + 1 // the death that c shows
			}
		}
	default:
		return 0 // never ran
	}
	return len(l.Marks)
}

// happening is what was missed.
type happening struct {
	action string
	at     time.Time
	// ordinal tells several of one kind apart, so that each has an id.
	ordinal string
	// exact is false when the time is only the latest possible one.
	exact bool
	// last marks the death that the container's state shows.
	last bool
}

// infer is what c shows of starts and deaths and nobody told, oldest first. It
// moves the base to c.
func (l *life) infer(c *tallyman.Container) []happening {
	was := l.Base
	n := l.split(c)
	var deaths, starts int
	var sawDeath, sawStart bool
	for _, m := range l.Marks[:n] {
		switch {
		case m.Start:
			starts++
			sawStart = sawStart || !m.Time.Before(c.Started)
		default:
			deaths++
			sawDeath = sawDeath || !m.Time.Before(c.Finished)
		}
	}
	sawDeath = sawDeath || c.Finished.IsZero() || !c.Finished.After(was.Finished)
	sawStart = sawStart || c.Started.IsZero() || !c.Started.After(was.Started)

	// How many deaths the counts tell of.
	shown := deathsOf(c)
	total := shown - was.Deaths
	if shown < was.Deaths { // somebody started it anew, which resets the count
		total = shown
		if was.Alive {
			total++
		}
	}
	missedDeaths := max(total-deaths, 0)
	if !sawDeath {
		missedDeaths = max(missedDeaths, 1)
	}
	missedStarts := 0
	if !c.Started.IsZero() {
		missedStarts = max(deaths+missedDeaths+toInt(isUp(c))-toInt(was.Alive)-starts, 0)
	}
	if !sawStart {
		missedStarts = max(missedStarts, 1)
	}

	out := between(c, missedDeaths, missedStarts, sawDeath, sawStart)

	l.Base = baseOf(c)
	l.Base.InferredDeaths, l.Base.InferredStarts = missedDeaths, missedStarts
	l.Marks = slices.Clone(l.Marks[n:])
	return out
}

// rebase makes c the base without inferring anything.
func (l *life) rebase(c *tallyman.Container) {
	n := l.split(c)
	l.Base = baseOf(c)
	l.Marks = slices.Clone(l.Marks[n:])
}

// between lays the missed deaths and starts out in time, oldest first. The last
// of each has the time that the state shows. Of the others only the order and
// the latest possible time are known: they alternate, a nanosecond apart.
func between(c *tallyman.Container, deaths, starts int, sawDeath, sawStart bool) []happening {
	var known []happening
	edge := c.Finished
	if edge.IsZero() || !c.Started.IsZero() && c.Started.Before(edge) {
		edge = c.Started
	}
	if deaths > 0 && !sawDeath {
		deaths--
		known = append(known, happening{action: "die", at: c.Finished, exact: true, last: true, ordinal: stamp(c.Finished)})
	}
	if starts > 0 && !sawStart {
		starts--
		known = append(known, happening{action: "start", at: c.Started, exact: true, ordinal: stamp(c.Started)})
	}
	if len(known) == 2 && !isUp(c) { // it started before it ended, whatever the times say
		slices.Reverse(known)
		if !known[0].at.Before(known[1].at) {
			known[0].at = known[1].at.Add(-1)
		}
	}
	die := len(known) == 0 || known[0].action == "start" // what comes right before
	if len(known) > 0 {
		edge = known[0].at
	}
	var out []happening
	for i := 1; deaths+starts > 0; i++ {
		h := happening{action: "start", at: edge.Add(-time.Duration(i)), ordinal: stamp(edge) + "-" + strconv.Itoa(i)}
		if die && deaths > 0 || starts == 0 {
			h.action = "die"
			deaths--
		} else {
			starts--
		}
		die = h.action == "start"
		out = append(out, h)
	}
	slices.Reverse(out)
	return append(out, known...)
}

// account notes a start or a death that an event tells of. c is the container,
// fresh when it was inspected after the event. It reports how the event stands
// to what is known: seen before by inference, or new.
func (l *life) account(start bool, t time.Time, c *tallyman.Container, fresh bool) (inferred bool) {
	if l.Base.Valid && l.before(start, t, c, fresh) {
		n := &l.Base.InferredDeaths
		if start {
			n = &l.Base.InferredStarts
		}
		if *n > 0 {
			*n--
			return true
		}
		return false
	}
	if len(l.Marks) < maxMarks {
		l.Marks = append(l.Marks, mark{t, start})
	} else {
		l.Lost = true
	}
	return false
}

// before reports whether an event at t belongs to what the base shows already.
func (l *life) before(start bool, t time.Time, c *tallyman.Container, fresh bool) bool {
	b := l.Base
	if b.Alive {
		if t.Before(b.Started) {
			return true
		}
		// The base's own start, unless a death lies between.
		return start && len(l.Marks) == 0 && !(fresh && c.Started.After(b.Started) && !t.Before(c.Started))
	}
	if b.Finished.IsZero() {
		return false // never ran
	}
	if t.Before(b.Finished) {
		return true
	}
	if len(l.Marks) > 0 {
		return false
	}
	if start {
		if fresh {
			return !c.Started.After(b.Started) // no other start is known
		}
		// Gone meanwhile. The event is made a little after the start.
		return b.InferredStarts > 0 && t.Sub(b.Started) < 2*time.Second
	}
	// The base's own death, unless its next start was missed.
	return !(fresh && c.Started.After(b.Started))
}

// up reports whether the container was last known to run, by what was told.
func (l *life) up() bool {
	if n := len(l.Marks); n > 0 {
		return l.Marks[n-1].Start
	}
	return l.Base.Alive
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
