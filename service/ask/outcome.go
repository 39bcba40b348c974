// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"strconv"
	"time"

	"tallyman"
)

// CheckFailed is what a check comes to: one bad outcome is none yet.
var CheckFailed = &tallyman.Desc{Name: "check_failed", Type: tallyman.Gauge, Help: "1 from as many bad outcomes in a row as FAILURES says, to as many good ones as SUCCESSES says"}

// CheckKeys are the keys of plugins that check something.
func CheckKeys() []tallyman.ServiceKey {
	return []tallyman.ServiceKey{
		{Name: "FAILURES", Type: tallyman.NumberKey, Help: "bad outcomes in a row after which the check has failed", Default: "3"},
		{Name: "SUCCESSES", Type: tallyman.NumberKey, Help: "good outcomes in a row after which it is good again", Default: "1"},
	}
}

// Outcome follows what comes of a check, and tells an event when that changes.
type Outcome struct {
	name              string // the label check
	failures, success int    // that are needed
	bad, good         int    // in a row
	failed            bool
}

// NewOutcome follows the check of a configuration; what names it where that gives no name.
func NewOutcome(c tallyman.ServiceConfig, what string) *Outcome {
	return &Outcome{name: c.Text("NAME", what), failures: int(max(c.Number("FAILURES", 3), 1)), success: int(max(c.Number("SUCCESSES", 1), 1))}
}

// Labels are those of the check's series.
func (o *Outcome) Labels() []string { return []string{"check", o.name} }

// Took takes one outcome. The attributes say what it was; they belong to the event that
// there may be.
func (o *Outcome) Took(s tallyman.ServiceSink, good bool, attributes map[string]string) {
	if good {
		o.good, o.bad = o.good+1, 0
	} else {
		o.good, o.bad = 0, o.bad+1
	}
	action := ""
	switch {
	case !o.failed && o.bad >= o.failures:
		o.failed, action = true, "down"
	case o.failed && o.good >= o.success:
		o.failed, action = false, "up"
	}
	v := 0.0
	if o.failed {
		v = 1
	}
	s.Add(CheckFailed, v, o.Labels()...)
	if action == "" {
		return
	}
	a := map[string]string{"check": o.name}
	if action == "down" {
		a["failures"] = strconv.Itoa(o.bad)
	}
	for k, text := range attributes {
		a[k] = text
	}
	s.Event("check", action, time.Now(), a)
}
