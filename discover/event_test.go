// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestNormalise(t *testing.T) {
	id := dockertest.ID("web")
	exited := &tallyman.Container{ID: id, Name: "web", State: tallyman.Exited, ExitCode: 3, Started: noon.Add(-time.Hour), Finished: noon.Add(-time.Millisecond)}
	running := &tallyman.Container{ID: id, Name: "web", Image: "nginx:1", State: tallyman.Running, Workload: tallyman.Workload{Key: "shop/web/1"}}
	forged := &tallyman.Container{ID: id, Name: "web", State: tallyman.Running, Labels: map[string]string{"exitCode": "0", "signal": "1", "execID": "x", "oldName": "y"}}
	oom := *exited
	oom.OOMKilled = true
	type attrs = map[string]string
	for _, c := range []struct {
		name        string
		typ, action string
		attributes  attrs
		x           eventContext
		wantAction  string
		want        attrs
	}{
		{"start", "container", "start", attrs{"name": "web", "image": "nginx:1", "a.label": "b"}, eventContext{container: running}, "start", nil},
		{"die, nothing known", "container", "die", attrs{"exitCode": "137", "execDuration": "4"}, eventContext{}, "die", attrs{"exitCode": "137", "execDuration": "4"}},
		{"die, inspected", "container", "die", attrs{"exitCode": "9"}, eventContext{container: exited, fresh: true}, "die", attrs{"exitCode": "3"}},
		{"die, inspected before", "container", "die", attrs{"exitCode": "9"}, eventContext{container: exited}, "die", attrs{"exitCode": "9"}},
		{"die, runs again", "container", "die", attrs{"exitCode": "9"}, eventContext{container: running, fresh: true}, "die", attrs{"exitCode": "9"}},
		{"die, forged and runs again", "container", "die", attrs{"exitCode": "0"}, eventContext{container: forged, fresh: true}, "die", nil},
		{"die, no number", "container", "die", attrs{"exitCode": "<script>"}, eventContext{}, "die", nil},
		{"die, oom event", "container", "die", attrs{"exitCode": "137"}, eventContext{oom: true}, "die", attrs{"exitCode": "137", "oomKilled": "true"}},
		{"die, oom inspected", "container", "die", nil, eventContext{container: &oom, fresh: true}, "die", attrs{"exitCode": "3", "oomKilled": "true"}},
		{"kill", "container", "kill", attrs{"signal": "15"}, eventContext{container: running}, "kill", attrs{"signal": "15"}},
		{"kill, forged", "container", "kill", attrs{"signal": "1"}, eventContext{container: forged}, "kill", nil},
		{"rename", "container", "rename", attrs{"oldName": "/old", "name": "web"}, eventContext{container: running}, "rename", attrs{"oldName": "old"}},
		{"exec_create", "container", "exec_create: sh -c echo --password=x", attrs{"execID": "e"}, eventContext{container: running}, "exec_create", attrs{"execID": "e", "command": "sh -c echo --password=[redacted]"}},
		{"exec_start, a lone word", "container", "exec_start: true ", attrs{"execID": "e"}, eventContext{container: running}, "exec_start", attrs{"execID": "e", "command": "true"}},
		{"exec_die", "container", "exec_die", attrs{"execID": "e", "exitCode": "5"}, eventContext{container: running, command: "true"}, "exec_die", attrs{"execID": "e", "exitCode": "5", "command": "true"}},
		{"exec_die, forged", "container", "exec_die", attrs{"execID": "x", "exitCode": "0"}, eventContext{container: forged}, "exec_die", nil},
		{"health", "container", "health_status: healthy", nil, eventContext{container: running}, "health_status", attrs{"health": "healthy"}},
		{"attributes of others", "container", "attach", attrs{"exitCode": "1", "signal": "2"}, eventContext{container: running}, "attach", nil},
		{"network", "network", "connect", attrs{"name": "bridge", "type": "bridge", "container": id}, eventContext{}, "connect", attrs{"container": id, "driver": "bridge"}},
		{"network, odd id", "network", "connect", attrs{"container": "../x"}, eventContext{}, "connect", nil},
		{"volume", "volume", "mount", attrs{"driver": "local", "container": id, "destination": "/d", "propagation": ""}, eventContext{}, "mount", attrs{"container": id, "driver": "local"}},
		{"image", "image", "pull", attrs{"name": "nginx", "label": "x"}, eventContext{}, "pull", nil},
		{"a type of the future", "wormhole", "open: wide", attrs{"name": "x"}, eventContext{}, "open", nil},
	} {
		raw := dockerapi.Event{Type: c.typ, Action: c.action, Actor: id, Attributes: c.attributes, Time: noon}
		got := normalise(raw, c.x)
		if got.Action != c.wantAction || !reflect.DeepEqual(got.Attributes, c.want) {
			t.Errorf("%s: got %s %v, want %s %v", c.name, got.Action, got.Attributes, c.wantAction, c.want)
		}
		if c.x.container == running && (got.Name != "web" || got.Workload != "shop/web/1" || got.Image != "nginx:1") {
			t.Errorf("%s: got name %q, image %q, workload %q", c.name, got.Name, got.Image, got.Workload)
		}
	}
}

func TestEventID(t *testing.T) {
	base := dockerapi.Event{Type: "container", Action: "exec_create: a b", Actor: "c", Time: noon, Attributes: map[string]string{"execID": "e", "label": "x"}}
	x := eventContext{host: "h", engine: "l"}
	id := normalise(base, x).ID
	if again := normalise(base, eventContext{host: "h", engine: "l", command: "other", oom: true}).ID; again != id {
		t.Errorf("the same event has the ids %s and %s", id, again)
	}
	seen := map[string]string{id: "base"}
	for name, change := range map[string]func(e *dockerapi.Event, x *eventContext){
		"time":   func(e *dockerapi.Event, _ *eventContext) { e.Time = e.Time.Add(1) },
		"type":   func(e *dockerapi.Event, _ *eventContext) { e.Type = "image" },
		"tail":   func(e *dockerapi.Event, _ *eventContext) { e.Action = "exec_create: a c" },
		"actor":  func(e *dockerapi.Event, _ *eventContext) { e.Actor = "d" },
		"exec":   func(e *dockerapi.Event, _ *eventContext) { e.Attributes = map[string]string{"execID": "f"} },
		"host":   func(_ *dockerapi.Event, x *eventContext) { x.host = "i" },
		"engine": func(_ *dockerapi.Event, x *eventContext) { x.engine = "m" },
	} {
		e, y := base, x
		change(&e, &y)
		other := normalise(e, y).ID
		if was, same := seen[other]; same {
			t.Errorf("another %s gives the same id as %s", name, was)
		}
		seen[other] = name
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add([]byte(`{"Type":"container","Action":"die","Actor":"c","Attributes":{"exitCode":"1","name":"n"}}`))
	f.Add([]byte(`{"Type":"container","Action":"exec_create: mysql -px","Attributes":{"execID":"e"}}`))
	f.Add([]byte(`{"Type":"volume","Action":"::","Attributes":{"driver":"\u0000"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var raw dockerapi.Event
		if json.Unmarshal(data, &raw) != nil {
			return
		}
		c := fromEvent("h", "e", raw)
		for _, x := range []eventContext{{}, {container: c, fresh: true}, {container: c, command: "x", oom: true}} {
			e := normalise(raw, x)
			for _, s := range append([]string{e.Type, e.Action, e.Actor, e.Name, e.Image}, values(e.Attributes)...) {
				if len(s) > maxValue || !utf8.ValidString(s) {
					t.Errorf("not bounded or not UTF-8: %q", s)
				}
			}
			for k := range e.Attributes {
				if !strings.Contains("exitCode asked signal execID oldName execDuration oomKilled command health container driver", k) {
					t.Errorf("attribute %q is not one of the list", k)
				}
			}
			if len(e.ID) != 32 {
				t.Errorf("id %q", e.ID)
			}
			if _, err := json.Marshal(e); err != nil && e.Time.Year() < 10000 && e.Time.Year() >= 0 {
				t.Error(err)
			}
		}
	})
}

func values(m map[string]string) (out []string) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// A busy engine may tell of a death before it tells why.
func TestOOMBehindADeath(t *testing.T) {
	at := time.Unix(1000, 0)
	event := func(action, actor string, after time.Duration) dockerapi.Event {
		return dockerapi.Event{Type: "container", Action: action, Actor: actor, Time: at.Add(after)}
	}
	for name, x := range map[string]struct {
		behind []dockerapi.Event
		want   bool
	}{
		"nothing":                  {nil, false},
		"its oom":                  {[]dockerapi.Event{event("start", "b", 1), event("oom", "a", time.Millisecond)}, true},
		"another's":                {[]dockerapi.Event{event("oom", "b", 0)}, false},
		"of the next life":         {[]dockerapi.Event{event("start", "a", 0), event("oom", "a", 1)}, false},
		"much later":               {[]dockerapi.Event{event("oom", "a", time.Minute)}, false},
		"an event of another type": {[]dockerapi.Event{{Type: "network", Action: "oom", Actor: "a", Time: at}}, false},
	} {
		if got := oomBehind(x.behind, event("die", "a", 0)); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
