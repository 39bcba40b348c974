// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
)

func TestCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{last: map[string]lastEvents{}, deaths: map[workloadKey][]death{}}
		c := &tallyman.Container{Host: "h", State: tallyman.Running, RestartPolicy: "on-failure"}
		c.Workload.Key = "web"
		happens := func(id, action string, attributes map[string]string) {
			s.ObserveEvent(tallyman.Event{Type: "container", Host: "h", Workload: "web", Actor: id, Action: action, Time: time.Now(), Attributes: attributes})
		}
		want := func(when string, count int, took time.Duration, code string) {
			t.Helper()
			got := s.crashes(c)
			if got == nil {
				if count != 0 {
					t.Errorf("%s: got none, want %d", when, count)
				}
				return
			}
			if got.Count != count || got.Last-got.First != took.Milliseconds() || got.ExitCode != code {
				t.Errorf("%s: got %d within %d ms, exit %s; want %d within %s, exit %s", when, got.Count, got.Last-got.First, got.ExitCode, count, took, code)
			}
		}
		want("before anything", 0, 0, "")
		for _, id := range []string{"a", "a", "b"} { // it may be made anew
			happens(id, "die", map[string]string{"exitCode": "2"})
			happens(id, "start", nil)
			time.Sleep(10 * time.Second)
		}
		want("three deaths", 3, 20*time.Second, "2")
		happens("b", "die", map[string]string{"exitCode": "0"})
		want("it has done its work", 3, 20*time.Second, "2")
		c.RestartPolicy = "always"
		want("it is started again whatever its code", 4, 30*time.Second, "0")
		time.Sleep(crashWindow - 25*time.Second)
		want("the first is long ago", 3, 20*time.Second, "0")
		happens("b", "die", map[string]string{"exitCode": "137", "asked": "signal", "signal": "9"})
		want("after a death that was asked for", 0, 0, "")
		for range 3 {
			happens("b", "die", map[string]string{"exitCode": "1"})
		}
		want("three at once", 3, 0, "1")
		time.Sleep(crashWindow + time.Second)
		want("long after the last", 0, 0, "")
	})
}
