// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman"
)

// sim is a container as an engine runs it: it keeps the state, and makes the
// events, of which some are lost.
type sim struct {
	c      tallyman.Container
	t      time.Time
	events []mark
}

func newSim() *sim {
	return &sim{t: noon, c: tallyman.Container{ID: "c", State: tallyman.Created}}
}

func (s *sim) tick(r *rand.Rand) time.Time {
	s.t = s.t.Add(time.Duration(1+r.IntN(1000)) * time.Millisecond)
	return s.t
}

func (s *sim) start(r *rand.Rand, byHand bool) {
	if byHand {
		s.c.RestartCount = 0
	}
	s.c.State, s.c.Started = tallyman.Running, s.tick(r)
	s.t = s.t.Add(time.Duration(r.IntN(5)) * time.Millisecond) // the event is made a little later
	s.events = append(s.events, mark{s.t, true})
}

func (s *sim) die(r *rand.Rand, again bool) {
	s.c.Finished = s.tick(r)
	if r.IntN(8) == 0 { // it ended before the engine noted its start
		s.c.Finished = s.c.Started.Add(-time.Millisecond)
	}
	if s.t = s.t.Add(time.Duration(r.IntN(5)) * time.Millisecond); !s.t.After(s.c.Started) {
		s.t = s.c.Started.Add(time.Millisecond)
	}
	if again {
		s.c.RestartCount++
		s.c.State = tallyman.Restarting
	} else {
		s.c.State = tallyman.Exited
	}
	s.events = append(s.events, mark{s.t, false})
}

// step is one thing that can happen now.
func (s *sim) step(r *rand.Rand) {
	switch s.c.State {
	case tallyman.Running:
		s.die(r, r.IntN(3) > 0)
	case tallyman.Restarting:
		s.start(r, false)
	default:
		s.start(r, true)
	}
}

func count(hs []happening) (starts, deaths int) {
	for _, h := range hs {
		if h.action == "start" {
			starts++
		} else {
			deaths++
		}
	}
	return
}

// TestInferNothing gives every event: nothing must be inferred, whenever the
// inventories are taken and however late they are looked at.
func TestInferNothing(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, l := newSim(), &life{}
		var snapshot *tallyman.Container
		given := 0
		for range 30 {
			s.step(r)
			if snapshot == nil && r.IntN(3) == 0 {
				snapshot = s.c.Clone()
			}
			for ; given < len(s.events); given++ {
				l.account(s.events[given].Start, s.events[given].Time, s.c.Clone(), true)
			}
			if snapshot != nil && r.IntN(2) == 0 {
				if hs := l.infer(snapshot); len(hs) != 0 {
					t.Fatalf("seed %d: inferred %v with every event given", seed, hs)
				}
				snapshot = nil
			}
		}
	}
}

// TestInferLost loses all events between two inventories. Without a start by
// hand the numbers must be exact; with one they must not be more than what
// happened, and not fewer than what can be seen.
func TestInferLost(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 2))
		s, l := newSim(), &life{}
		s.start(r, true)
		l.account(true, s.events[0].Time, s.c.Clone(), true)
		l.infer(s.c.Clone())
		for range 5 {
			before := len(s.events)
			reset := false
			for range r.IntN(8) {
				reset = reset || s.c.State == tallyman.Exited
				s.step(r)
			}
			var starts, deaths int
			for _, m := range s.events[before:] {
				if m.Start {
					starts++
				} else {
					deaths++
				}
			}
			hs := l.infer(s.c.Clone())
			gotStarts, gotDeaths := count(hs)
			exact := !reset
			if exact && (gotStarts != starts || gotDeaths != deaths) || gotStarts > starts || gotDeaths > deaths ||
				min(starts, 1) > gotStarts && isUp(&s.c) || min(deaths, 1) > gotDeaths {
				t.Fatalf("seed %d: inferred %d starts and %d deaths of %d and %d (exact %v)", seed, gotStarts, gotDeaths, starts, deaths, exact)
			}
			last, seen := time.Time{}, map[string]bool{}
			for i, h := range hs {
				if h.at.Before(last) || seen[h.ordinal] {
					t.Fatalf("seed %d: not in order or twice the same: %v", seed, hs)
				}
				last, seen[h.ordinal] = h.at, true
				if i > 0 && exact && h.action == hs[i-1].action {
					t.Fatalf("seed %d: two %s in a row: %v", seed, h.action, hs)
				}
			}
			// The same inventory again says nothing new.
			if hs := l.infer(s.c.Clone()); len(hs) != 0 {
				t.Fatalf("seed %d: inferred twice: %v", seed, hs)
			}
		}
	}
}

// TestInferLate gives the events after they were inferred: none of them is new.
func TestInferLate(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, l := newSim(), &life{}
		s.start(r, true)
		l.account(true, s.events[0].Time, s.c.Clone(), true)
		l.infer(s.c.Clone())
		before := len(s.events)
		for n := 1 + r.IntN(6); n > 0 && s.c.State != tallyman.Exited; n-- {
			s.step(r)
		}
		starts, deaths := count(l.infer(s.c.Clone()))
		if starts+deaths != len(s.events)-before {
			t.Fatalf("seed %d: inferred %d of %d", seed, starts+deaths, len(s.events)-before)
		}
		for _, m := range s.events[before:] {
			if !l.account(m.Start, m.Time, s.c.Clone(), true) {
				t.Fatalf("seed %d: %+v came late and counts as new; base %+v", seed, m, l.Base)
			}
		}
		if len(l.Marks) != 0 {
			t.Fatalf("seed %d: late events are marks: %v", seed, l.Marks)
		}
	}
}

// TestInferCases are the ones that are easy to read: a base, marks, a state.
func TestInferCases(t *testing.T) {
	sec := func(n int) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return noon.Add(time.Duration(n) * time.Second)
	}
	c := func(state tallyman.State, started, finished, restarts int) *tallyman.Container {
		return &tallyman.Container{State: state, Started: sec(started), Finished: sec(finished), RestartCount: restarts}
	}
	for _, k := range []struct {
		name  string
		base  *tallyman.Container
		marks string // "s10 d20"
		now   *tallyman.Container
		want  string
	}{
		{"nothing happened", c("running", 1, 0, 0), "", c("running", 1, 0, 0), ""},
		{"died", c("running", 1, 0, 0), "", c("exited", 1, 5, 0), "d5"},
		{"died and was told", c("running", 1, 0, 0), "d5", c("exited", 1, 5, 0), ""},
		{"restarted by hand", c("running", 1, 0, 0), "", c("running", 6, 5, 0), "d5 s6"},
		{"three restarts", c("running", 1, 0, 0), "", c("running", 9, 8, 3), "d s d s d8 s9"},
		{"three restarts, one told", c("running", 1, 0, 0), "d3 s4", c("running", 9, 8, 3), "d s d8 s9"},
		{"gave up", c("running", 1, 0, 2), "", c("exited", 7, 8, 3), "d s7 d8"},
		{"from created", c("created", 0, 0, 0), "", c("exited", 4, 5, 0), "s4 d5"},
		{"ended before its start was noted", c("created", 0, 0, 0), "", c("exited", 5, 4, 0), "s d4"},
		{"started again", c("exited", 1, 5, 0), "", c("running", 7, 5, 0), "s7"},
		{"only the death was lost", c("running", 1, 0, 0), "s7", c("running", 6, 5, 0), "d5"},
		{"only the start was lost", c("running", 1, 0, 0), "d5", c("running", 6, 5, 0), "s6"},
		{"told after the inventory", c("running", 1, 0, 0), "d5 s6", c("running", 1, 0, 0), ""},
		{"waits to restart", c("running", 1, 0, 0), "", c("restarting", 1, 5, 1), "d5"},
		{"created", c("created", 0, 0, 0), "", c("created", 0, 0, 0), ""},
	} {
		l := life{Base: baseOf(k.base)}
		for m := range strings.FieldsSeq(k.marks) {
			n, _ := strconv.Atoi(m[1:])
			l.Marks = append(l.Marks, mark{sec(n).Add(time.Millisecond), m[0] == 's'})
		}
		var got []string
		for _, h := range l.infer(k.now) {
			s := h.action[:1]
			if h.exact && h.at.Equal(h.at.Truncate(time.Second)) {
				s += fmt.Sprint(int(h.at.Sub(noon) / time.Second))
			}
			got = append(got, s)
		}
		if g := strings.Join(got, " "); g != k.want {
			t.Errorf("%s: got %q, want %q", k.name, g, k.want)
		}
	}
}
