// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

func TestSignalNumber(t *testing.T) {
	for name, want := range map[string]string{
		"SIGTERM": "15", "term": "15", "15": "15", " SIGQUIT ": "3", "SIGRTMIN+3": "37", "RTMAX-1": "63", "SIGWINCH": "28",
		"": "", "0": "", "65": "", "SIGNONE": "", "RTMIN+x": "", "RTMIN+40": "", "-1": "",
	} {
		if got := signalNumber(name); got != want {
			t.Errorf("signalNumber(%q) = %q, want %q", name, got, want)
		}
	}
}

// Only signals that end processes explain a death: those that everybody sends, and the
// one that the image is stopped with; for as long as stopping may take.
func TestOnlySignalsThatEndAskForADeath(t *testing.T) {
	e := dockertest.Start(t)
	apache := dockertest.Running("apache", "httpd:2")
	apache.Config.StopSignal = "SIGWINCH"
	slow := dockertest.Running("slow", "db:1")
	seconds := 300
	slow.Config.StopTimeout = &seconds
	web := dockertest.Running("web", "nginx:1")
	for _, d := range []*dockerapi.Details{apache, slow, web} {
		e.Put(d)
	}
	w := watch(t, e, "")
	w.settled()
	at := time.Now()
	die := func(d *dockerapi.Details, signals string, after time.Duration) tallyman.Event {
		n := len(w.of("container", d.ID, "die"))
		if signals != "" {
			kill := dockertest.Event("container", "kill", d.ID, map[string]string{"signal": signals})
			kill.Time = at
			e.Emit(kill)
		}
		death := dockertest.Event("container", "die", d.ID, map[string]string{"exitCode": "5"})
		at = at.Add(after)
		death.Time = at
		e.Emit(death)
		at = at.Add(time.Second)
		return w.wait("container", d.ID, "die", n+1)[n]
	}
	for _, c := range []struct {
		what, signal string
		of           *dockerapi.Details
		after        time.Duration
		asked        bool
	}{
		{"a reload that is survived", "1", web, 3 * time.Second, false},
		{"nothing", "", web, time.Second, false},
		{"SIGTERM", "15", web, 9 * time.Second, true},
		{"SIGKILL", "9", web, time.Second, true},
		{"SIGUSR1", "10", web, time.Second, false},
		{"SIGTERM long ago", "15", web, 2 * time.Minute, false},
		{"SIGTERM within the stop timeout", "15", slow, 4 * time.Minute, true},
		{"the image's own signal", "28", apache, time.Second, true},
		{"another's own signal", "28", web, time.Second, false},
	} {
		if got := die(c.of, c.signal, c.after).Attributes; (got["asked"] != "") != c.asked || c.asked && got["signal"] != c.signal {
			t.Errorf("a death after %s: %v, want asked %v", c.what, got, c.asked)
		}
	}
}
