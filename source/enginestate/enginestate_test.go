// SPDX-License-Identifier: Apache-2.0

package enginestate

import (
	"log/slog"
	"testing"
	"time"

	"tallyman"
)

// pings is what discovery's pings tell.
type pings struct {
	tallyman.Engines
	tell  func(engine string) (bool, time.Duration, time.Duration, bool)
	clock func(engine string) (time.Duration, bool)
}

func (p pings) EngineOOMs(string) uint64 { return 7 }

func (p pings) EngineClock(engine string) (time.Duration, bool) { return p.clock(engine) }

func (p pings) EngineUp(engine string) (bool, time.Duration, time.Duration, bool) {
	return p.tell(engine)
}

// The ratio is that of the last interval, whatever rounds come between.
func TestRatio(t *testing.T) {
	var upFor, knownFor time.Duration
	isUp, known := true, false
	var ahead time.Duration
	timed := false
	s, err := New(tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Interval: 10 * time.Second,
		Engines: pings{tell: func(engine string) (bool, time.Duration, time.Duration, bool) {
			if engine != "local" {
				t.Fatalf("asked for %q", engine)
			}
			return isUp, upFor, knownFor, known
		}, clock: func(engine string) (time.Duration, bool) { return ahead, timed }}})
	if err != nil {
		t.Fatal(err)
	}
	target := &tallyman.Target{Kind: tallyman.EngineTarget, ID: "local", Labels: []tallyman.Label{{Name: "engine", Value: "local"}, {Name: "host", Value: "h"}}}
	if err := s.Attach(target); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	f := func(what string, addUp, add time.Duration, up bool, want ...float64) {
		t.Helper()
		upFor, knownFor, isUp = upFor+addUp, knownFor+add, up
		b.Reset(time.Now())
		s.Collect(&b)
		if len(b.Samples) != len(want) {
			t.Fatalf("%s: %d samples, want %d", what, len(b.Samples), len(want))
		}
		for i, w := range want {
			if got := b.Samples[i].Value; got != w {
				t.Errorf("%s: %s = %v, want %v", what, b.Samples[i].Series.Desc.Name, got, w)
			}
		}
	}
	f("before the first ping", 0, 0, false)
	known = true
	f("at once", 0, 0, true, 1, 1, 7)
	f("a tick", 10*time.Second, 10*time.Second, true, 1, 1, 7)
	f("down for half of it", 5*time.Second, 10*time.Second, false, 0, 0.5, 7)
	f("a round between", 0, 5*time.Second, false, 0, 5.0/15, 7)
	f("the tick after it", 5*time.Second, 5*time.Second, true, 1, 0.5, 7)
	f("up again", 10*time.Second, 10*time.Second, true, 1, 1, 7)
	ahead, timed = -90*time.Second, true
	f("its clock is known", 10*time.Second, 10*time.Second, true, 1, 1, 7, -90)
	timed = false
	f("and no more", 5*time.Second, 10*time.Second, false, 0, 0.5, 7)
	s.Detach(target)
	f("detached", 0, time.Second, true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
