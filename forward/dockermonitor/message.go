// SPDX-License-Identifier: Apache-2.0

package dockermonitor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strconv"
	"time"

	"tallyman"
)

// alarm is one message. The receiving side takes exactly these members; a further one is
// an error there.
type alarm struct {
	Namespace      string     `json:"namespace"`
	Domain         string     `json:"domain"`
	EventTimestamp string     `json:"eventTimestamp"`
	Description    string     `json:"description"`
	Severity       string     `json:"severity"`
	PrimarySubject subject    `json:"primarySubject"`
	AdditionalData additional `json:"additionalData"`
}

// subject is what an alarm is about. The receiving side finds the alarm that a Clear
// ends by domain and subject.
type subject struct {
	Container string `json:"container"`
	Image     string `json:"image"`
}

type additional struct {
	ExitCode string `json:"exitCode"`
	ImageID  string `json:"imageId"`
}

const (
	unknown   = "Unknown"                  // an image, or its id
	none      = "NA"                       // an exit code
	timeForm  = "2006-01-02T15:04:05.000Z" // of UTC
	major     = "Major"
	clearWord = "Clear"
)

// words say how a change of state is told.
type words struct{ severity, description string }

// changes are the events that are told, by their action.
var changes = map[string]words{
	"die":     {major, "container went down"},
	"stop":    {major, "container went down"},
	"start":   {clearWord, "container went up"},
	"pause":   {major, "container processes were paused"},
	"unpause": {clearWord, "container processes were unpaused"},
}

// actions are the keys of changes.
func actions() []string { return []string{"die", "stop", "start", "pause", "unpause"} }

// of is the alarm that an event is, about a container that is nil when nobody knows it.
// ok is false for an event that is none.
func of(e *tallyman.Event, c *tallyman.Container) (a alarm, ok bool) {
	w, ok := changes[e.Action]
	if !ok || e.Type != "container" {
		return a, false
	}
	a = alarm{EventTimestamp: e.Time.UTC().Format(timeForm), Description: w.description, Severity: w.severity,
		PrimarySubject: subject{e.Name, e.Image}, AdditionalData: additional{none, unknown}}
	if e.Action == "die" {
		a.AdditionalData.ExitCode = cmp.Or(e.Attributes["exitCode"], none)
	}
	if c != nil {
		a.PrimarySubject.Container = cmp.Or(a.PrimarySubject.Container, c.Name)
		a.PrimarySubject.Image = cmp.Or(a.PrimarySubject.Image, c.Image)
		a.AdditionalData.ImageID = cmp.Or(c.ImageID, unknown)
	}
	a.PrimarySubject.Image = cmp.Or(a.PrimarySubject.Image, unknown)
	return a, true
}

// state is the alarm that tells the state of a container, and since when it is in it. ok
// is false for one that has none to tell: it was never started, or is gone.
func state(c *tallyman.Container) (a alarm, since time.Time, ok bool) {
	action := ""
	switch c.State {
	case tallyman.Running:
		action, since = "start", c.Started
	case tallyman.Paused:
		action, since = "pause", c.Started
	case tallyman.Exited, tallyman.Dead, tallyman.Restarting:
		action, since = "die", c.Finished
	default:
		return a, since, false
	}
	e := tallyman.Event{Type: "container", Action: action, Time: since, Name: c.Name, Image: c.Image}
	if action == "die" && !c.Finished.IsZero() && !c.ExitUnknown {
		e.Attributes = map[string]string{"exitCode": strconv.Itoa(c.ExitCode)}
	}
	a, ok = of(&e, c)
	return a, since, ok
}

// encode is the message as it is sent.
func (a *alarm) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(a) // strings only
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// TestContainer is the container that a test message is about.
const TestContainer = "tallyman-test"

// Test is a message that says of a container which there is not that it went up: it shows
// whether messages arrive, and raises no alarm.
func Test(namespace, domain string, now time.Time) []byte {
	a := alarm{Namespace: namespace, Domain: domain, EventTimestamp: now.UTC().Format(timeForm), Description: "this is a test of tallyman", Severity: clearWord,
		PrimarySubject: subject{TestContainer, unknown}, AdditionalData: additional{none, unknown}}
	return a.encode()
}
