// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strconv"
	"time"

	"tallyman"
	"tallyman/internal/clip"
)

// failureOf is why a container's last start failed, empty when it did not: the
// engine forgets the error of a start with the next one that succeeds.
func failureOf(c *tallyman.Container) string {
	if isUp(c) || c.State == tallyman.Gone {
		return ""
	}
	return c.Error
}

// startFailed is the event of a start that failed, which engines do not tell: no
// such command, a port that is taken, a mount that is missing. again says that an
// attempt was seen, at that time, so that the same failure as before is another one.
func (e *engine) startFailed(t *track, c *tallyman.Container, at time.Time, again bool) (ev tallyman.Event, failed bool) {
	why := failureOf(c)
	if t == nil || why == "" || t.c.Disabled || why == t.failure && !again {
		return ev, false
	}
	t.failure = why
	return tallyman.Event{
		ID:   eventID(e.host, e.name, at.UnixNano(), "container", "start_failed", c.ID),
		Time: at.UTC(), Host: e.host, Engine: e.name, Type: "container", Action: "start_failed",
		Actor: c.ID, Name: c.Name, Image: c.Image, Workload: c.Workload.Key, Inferred: !again,
		Attributes: map[string]string{"exitCode": strconv.Itoa(c.ExitCode), "error": clip.Text(why, maxValue)},
	}, true
}

// byTrack is what is known of a container, nil without.
func (e *engine) byTrack(id string) *track {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.tracks[id]
}
