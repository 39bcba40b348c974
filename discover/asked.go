// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// A death counts as asked for when somebody had the engine send a signal that ends
// processes shortly before. A reload by SIGHUP and a crash three seconds later is a
// crash.

const (
	// askedFor is for how long after such a signal a death counts as asked for, at
	// least: longer than most stop timeouts.
	askedFor = time.Minute
	// stopping is how much longer than the container's stop timeout the engine may
	// take to end it.
	stopping = 15 * time.Second
)

// killed is the last signal that the engine was asked to send to a container.
type killed struct {
	signal string
	at     time.Time
}

// asks reports whether a signal asks the container to end: TERM, KILL, INT, QUIT, or
// the one that its image stops it with.
func asks(signal string, c *tallyman.Container) bool {
	switch signal {
	case "2", "3", "9", "15":
		return true
	}
	return signal != "" && signal == signalNumber(c.StopSignal)
}

// explains reports whether the signal explains a death at t.
func (k killed) explains(t time.Time, c *tallyman.Container) bool {
	window := max(askedFor, time.Duration(c.StopTimeout)*time.Second+stopping)
	return !k.at.IsZero() && t.Sub(k.at) < window
}

// signals are the numbers of the signals that images stop their containers with, as
// signal(7) has them for x86 and ARM.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13,
	"ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25,
	"VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31, "RTMIN": 34, "RTMAX": 64,
}

// signalNumber is the number of a signal as images name them (SIGQUIT, quit, 3,
// SIGRTMIN+3), empty for what is none.
func signalNumber(name string) string {
	name = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "SIG")
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= 64 {
		return strconv.Itoa(n)
	}
	base, offset := name, 0
	if i := strings.IndexAny(name, "+-"); i > 0 {
		n, err := strconv.Atoi(name[i:])
		if err != nil {
			return ""
		}
		base, offset = name[:i], n
	}
	n, ok := signals[base]
	if n += offset; !ok || n < 1 || n > 64 {
		return ""
	}
	return strconv.Itoa(n)
}
