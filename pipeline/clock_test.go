// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type step struct {
		passes  time.Duration // in truth
		jump    time.Duration // and the clock beside that
		trusted bool
	}
	f := func(name string, sync bool, steps ...step) {
		t.Run(name, func(t *testing.T) {
			var truth time.Duration
			wall := begin
			c := clock{elapsed: func() time.Duration { return truth }, synchronised: func() bool { return sync }}
			c.look(wall)
			for i, s := range steps {
				truth += s.passes
				wall = wall.Add(s.passes + s.jump)
				if trusted, _ := c.look(wall); trusted != s.trusted {
					t.Errorf("step %d (%v and a jump of %v): trusted = %v", i, s.passes, s.jump, trusted)
				}
			}
		})
	}
	const s, m, h = time.Second, time.Minute, time.Hour
	f("even", false, step{10 * s, 0, true}, step{10 * s, s, true}, step{10 * s, -s, true})
	f("a night's sleep", false, step{10 * h, 0, true})
	f("two hours ahead, and back", false, step{10 * s, 2 * h, false}, step{10 * s, 0, false}, step{10 * s, -2 * h, true}, step{10 * s, 0, true})
	f("ten years ahead, for good", false, step{10 * s, 87600 * h, false}, step{5 * m, 0, false}, step{6 * m, 0, true})
	f("set right by NTP", true, step{10 * s, 87600 * h, true})
	f("two hours back", false, step{10 * s, -2 * h, true})
	f("ahead twice", false, step{10 * s, 2 * h, false}, step{10 * s, 2 * h, false}, step{10 * s, -2 * h, false}, step{10 * s, -2 * h, true})
}
