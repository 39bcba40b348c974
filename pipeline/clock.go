// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"time"

	"golang.org/x/sys/unix"
)

// A clock that is suddenly hours ahead is more often wrong than right, and a
// store that has once taken samples of next year refuses those of today. So
// after such a jump samples are shown and not stored until the time is sure:
// the kernel says that it is synchronised, the clock has stood for trustAfter,
// or it is set back.
const (
	jumpAhead  = 30 * time.Minute
	trustAfter = 10 * time.Minute
)

// clock watches the time of batches.
type clock struct {
	// elapsed is the time since the machine was started, with the time that
	// it slept.
	elapsed func() time.Duration
	// synchronised reports whether the kernel's clock is kept by NTP or PTP.
	synchronised func() bool

	last     time.Time
	lastAt   time.Duration
	doubtful bool
	since    time.Duration // of the jump
	ahead    time.Duration // by how much it jumped
}

func newClock() clock {
	return clock{
		elapsed: func() time.Duration {
			var ts unix.Timespec
			if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
				return 0
			}
			return time.Duration(ts.Nano())
		},
		synchronised: func() bool {
			var tx unix.Timex
			state, err := unix.Adjtimex(&tx)
			return err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
		},
	}
}

// look takes a batch's time and reports whether it may be trusted; changed is
// set when that is news.
func (c *clock) look(t time.Time) (trusted, changed bool) {
	now := c.elapsed()
	first := c.last.IsZero()
	jump := t.Sub(c.last) - (now - c.lastAt)
	c.last, c.lastAt = t, now
	was := c.doubtful
	switch {
	case first:
	case jump > jumpAhead && !c.synchronised():
		c.doubtful, c.since = true, now
		c.ahead += jump
	case c.doubtful && jump < -jumpAhead:
		if c.ahead += jump; c.ahead < jumpAhead {
			c.doubtful, c.ahead = false, 0
		}
	case c.doubtful && (now-c.since >= trustAfter || c.synchronised()):
		c.doubtful, c.ahead = false, 0
	}
	return !c.doubtful, was != c.doubtful
}
