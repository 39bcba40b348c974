// SPDX-License-Identifier: Apache-2.0

package dockermonitor

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

const sha = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"

var at = time.Date(2026, 11, 28, 16, 16, 21, 101_900_000, time.FixedZone("", 3600))

func TestMessages(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	known := &tallyman.Container{ID: id, Name: "api", Image: "shop/api:1.2", ImageID: sha}
	f := func(e tallyman.Event, c *tallyman.Container, want string) {
		t.Helper()
		e.Time = at
		a, ok := of(&e, c)
		if ok != (want != "") {
			t.Errorf("%s %s: told = %v", e.Type, e.Action, ok)
			return
		}
		a.Namespace, a.Domain = "dojot.docker.container", "docker container status change"
		// Members, their order and their values.
		want = `{"namespace":"dojot.docker.container","domain":"docker container status change","eventTimestamp":"2026-11-28T15:16:21.101Z",` + want + `}`
		if got := string(a.encode()); ok && got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", e.Action, got, want)
		}
	}
	event := func(action string, attributes map[string]string) tallyman.Event {
		return tallyman.Event{Type: "container", Action: action, Actor: id, Name: "api", Image: "shop/api:1.2", Attributes: attributes}
	}
	subject := `"primarySubject":{"container":"api","image":"shop/api:1.2"},`
	data := func(exit string) string {
		return `"additionalData":{"exitCode":"` + exit + `","imageId":"` + sha + `"}`
	}
	f(event("die", map[string]string{"exitCode": "3"}), known, `"description":"container went down","severity":"Major",`+subject+data("3"))
	f(event("die", map[string]string{"exitCode": "137", "oomKilled": "true"}), known, `"description":"container went down","severity":"Major",`+subject+data("137"))
	f(event("die", nil), known, `"description":"container went down","severity":"Major",`+subject+data("NA"))
	f(event("stop", map[string]string{"exitCode": "0"}), known, `"description":"container went down","severity":"Major",`+subject+data("NA"))
	f(event("start", nil), known, `"description":"container went up","severity":"Clear",`+subject+data("NA"))
	f(event("pause", nil), known, `"description":"container processes were paused","severity":"Major",`+subject+data("NA"))
	f(event("unpause", nil), known, `"description":"container processes were unpaused","severity":"Clear",`+subject+data("NA"))
	// The event's image, whatever the tag stands for now.
	f(event("start", nil), &tallyman.Container{ID: id, Name: "api", Image: sha, ImageID: sha}, `"description":"container went up","severity":"Clear",`+subject+data("NA"))
	f(event("start", nil), nil, `"description":"container went up","severity":"Clear",`+subject+`"additionalData":{"exitCode":"NA","imageId":"Unknown"}`)
	f(tallyman.Event{Type: "container", Action: "start", Name: "api"}, &tallyman.Container{}, `"description":"container went up","severity":"Clear","primarySubject":{"container":"api","image":"Unknown"},"additionalData":{"exitCode":"NA","imageId":"Unknown"}`)
	for _, e := range []tallyman.Event{event("kill", nil), event("restart", nil), event("create", nil), event("oom", nil), {Type: "tallyman", Action: "start"}, {Type: "image", Action: "die"}} {
		f(e, known, "")
	}
	// Strangers' names stay data.
	e := event("start", nil)
	e.Name = "a\"},{\x1b[31m<b>"
	a, _ := of(&e, nil)
	var back alarm
	if err := json.Unmarshal(a.encode(), &back); err != nil || back.PrimarySubject.Container != e.Name || strings.ContainsRune(string(a.encode()), 0x1b) {
		t.Errorf("%q came back as %q, %v", e.Name, back.PrimarySubject.Container, err)
	}
}

func TestStates(t *testing.T) {
	started, finished := at.Add(-time.Hour), at.Add(-time.Minute)
	f := func(s tallyman.State, exitUnknown bool, severity, description, exit string, when time.Time) {
		t.Helper()
		c := &tallyman.Container{Name: "api", Image: "shop/api:1.2", ImageID: sha, State: s, Started: started, Finished: finished, ExitCode: 3, ExitUnknown: exitUnknown}
		a, since, ok := state(c)
		if severity == "" {
			if ok {
				t.Errorf("%s: told %+v, want nothing", s, a)
			}
			return
		}
		want := alarm{EventTimestamp: when.UTC().Format(timeForm), Description: description, Severity: severity, PrimarySubject: subject{"api", "shop/api:1.2"}, AdditionalData: additional{exit, sha}}
		if d := cmp.Diff(want, a, cmp.AllowUnexported()); d != "" || !since.Equal(when) || !ok {
			t.Errorf("%s (-want +got):\n%s", s, d)
		}
	}
	f(tallyman.Running, true, "Clear", "container went up", "NA", started)
	f(tallyman.Paused, false, "Major", "container processes were paused", "NA", started)
	f(tallyman.Exited, false, "Major", "container went down", "3", finished)
	f(tallyman.Exited, true, "Major", "container went down", "NA", finished)
	f(tallyman.Dead, false, "Major", "container went down", "3", finished)
	f(tallyman.Restarting, false, "Major", "container went down", "3", finished)
	f(tallyman.Created, false, "", "", "", at)
	f(tallyman.Gone, false, "", "", "", at)
	f(tallyman.Removing, false, "", "", "", at)
}
