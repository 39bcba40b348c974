// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tallyman"
	"tallyman/query"
)

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// What is not known is left out; it is never 0.
func TestUnknownIsLeftOut(t *testing.T) {
	f := func(v any, want string) {
		t.Helper()
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
	f(NowOf(nil), "null")
	f(NowOf(&query.Now{Time: epoch, Memory: query.Value{V: 0, Known: true}}), fmt.Sprintf(`{"t":%d,"memory":0}`, epoch.UnixMilli()))
	f(FiguresOf(nil), "{}")
	f(FiguresOf(&query.HostNow{Load1: query.Value{V: 0.5, Known: true}}), `{"load1":0.5,"self":{}}`)
	f(DetailOf(&tallyman.Container{}, nil), `{"instances":[]}`) // a list that is always there is not null
	f(EngineOf(&tallyman.EngineStatus{Name: "local", Address: "tcp://db:2376", Remote: true}), `{"name":"local","address":"tcp://db:2376","up":false,"remote":true}`)
}

// A container that runs, and one whose end nobody saw, have no exit code.
func TestExitCode(t *testing.T) {
	f := func(c tallyman.Container, want string) {
		t.Helper()
		got := "none"
		if v := ContainerOf(&c).ExitCode; v != nil {
			got = fmt.Sprint(*v)
		}
		if got != want {
			t.Errorf("%+v: exit code %s, want %s", c, got, want)
		}
	}
	f(tallyman.Container{State: tallyman.Running}, "none")
	f(tallyman.Container{State: tallyman.Exited, Finished: epoch}, "0")
	f(tallyman.Container{State: tallyman.Exited, Finished: epoch, ExitCode: 3}, "3")
	f(tallyman.Container{State: tallyman.Gone, Finished: epoch, ExitUnknown: true}, "none")
}

// The instances of a workload stand in the order of their starts.
func TestInstances(t *testing.T) {
	at := func(id string, minute int, state tallyman.State) *tallyman.Container {
		c := &tallyman.Container{ID: id, State: state, Started: epoch.Add(time.Duration(minute) * time.Minute)}
		if state == tallyman.Running {
			c.Pid = 1
		} else {
			c.GoneAt = c.Started.Add(time.Minute)
		}
		return c
	}
	now := at("b", 5, tallyman.Running)
	got := ""
	for _, i := range DetailOf(now, []*tallyman.Container{now, at("c", 0, tallyman.Gone), at("a", 0, tallyman.Gone)}).Instances {
		got += fmt.Sprint(i.ID, " ", (i.Started-epoch.UnixMilli())/1000, " ", max(0, i.Ended-epoch.UnixMilli())/1000, " ", i.Current, "; ")
	}
	if want := "a 0 60 false; c 0 60 false; b 300 0 true; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
