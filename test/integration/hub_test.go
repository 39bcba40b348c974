// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman/api/view"
	"tallyman/internal/servercert"
	"tallyman/internal/testkit"
)

// fleet is a hub and an agent of it, over TLS with a pin.
type fleet struct {
	t                testing.TB
	hub, agent       *testkit.Program
	hubData, data    string
	address          string // of the hub
	token, pin, file string
}

const agentHost = "web-1"

// tokens runs tallyman token at the hub, and gives the first line that it prints.
func (f *fleet) tokens(args ...string) string {
	f.t.Helper()
	argv := append([]string{testkit.Binary(f.t), "token"}, args...)
	out, err := testkit.Run(30*time.Second, nil, append(argv, "--listen", f.address, "--data", f.hubData, "--set", "tls.auto=true", "--set", "receive.agents=true")...)
	if err != nil {
		f.t.Fatalf("tallyman token %v: %v\n%s", args, err, out)
	}
	for _, l := range strings.Split(out, "\n") {
		if strings.HasPrefix(l, "tallyman_w_") {
			return l
		}
	}
	return out
}

func (f *fleet) startHub() {
	f.t.Helper()
	f.hub = testkit.StartProgram(f.t, f.hubData, "--listen", f.address, "--host", "hub-1", "--interval", "1s", "--set", "receive.agents=true", "--set", "tls.auto=true",
		"--set", "include=name:there-is-none-of-that-name", "--set", "logs.journal.units=none")
}

func (f *fleet) startAgent(pin string, more ...string) *testkit.Program {
	f.t.Helper()
	env := []string{"TALLYMAN_HUB=https://" + f.address, "TALLYMAN_HUB_TOKEN_FILE=" + f.file, "TALLYMAN_HUB_PIN=" + pin}
	return testkit.StartProgramWith(f.t, env, f.data, append([]string{"--host", agentHost, "--interval", "1s", "--set", "include=name:*hubbed*", "--set", "logs.journal.units=none"}, more...)...)
}

// ready waits until the hub knows the agent's host.
func (f *fleet) known() {
	f.t.Helper()
	testkit.Eventually(f.t, time.Minute, "the hub knows the agent's host", func() error {
		for _, h := range f.servers() {
			if h.Host == agentHost && h.Engine.Up {
				return nil
			}
		}
		return fmt.Errorf("it does not")
	})
}

func (f *fleet) servers() []view.Host {
	f.t.Helper()
	var s view.Servers
	f.hub.JSON("/api/tallyman/v1/servers", &s)
	return s.Hosts
}

// container is one as the hub shows it.
func (f *fleet) container(name string) (view.Container, error) {
	f.t.Helper()
	status, text := f.hub.Get("/api/tallyman/v1/containers/" + name + "?host=" + agentHost)
	var c view.Container
	if status != http.StatusOK {
		return c, fmt.Errorf("%d %s", status, text)
	}
	return c, json.Unmarshal([]byte(text), &c)
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{t: t, hubData: testkit.DataDir(t), data: testkit.DataDir(t), address: testkit.FreeAddress(t), file: filepath.Join(t.TempDir(), "token")}
	f.startHub()
	f.token = f.tokens("agent", agentHost)
	if err := os.WriteFile(f.file, []byte(f.token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, err := servercert.Open(servercert.File(f.hubData), servercert.File(f.hubData))
	if err != nil {
		t.Fatal(err)
	}
	f.pin = cert.Pin()
	return f
}

// lines are those of a container here, in order.
func linesOfContainer(c *testkit.Program, name string) []string {
	return c.Lines(`{source="container", name="` + name + `"}`)
}

// Two tallymen on one machine, the one the hub of the other, over TLS with a pin: what the
// agent has of its host the hub has too, by count, whichever of them is killed, and shows it
// under the agent's host; the agent's container that dies is an alarm there, its silence too.
func TestHub(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	f := newFleet(t)
	f.agent = f.startAgent(f.pin)
	name := d.Name("hubbed")
	canary := make([]byte, 10)
	_, _ = rand.Read(canary)
	secret := "cnry" + hex.EncodeToString(canary)
	options, workload := testkit.Service(name, "shop"+name[len(name)-6:])
	d.Start(append(options, "-e", "DB_PASSWORD="+secret, "--label", "com.example.token="+secret), "sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.1; done", "x", "--password="+secret)
	f.known()
	testkit.Eventually(t, time.Minute, "the hub shows the container with its numbers", func() error {
		c, err := f.container(name)
		switch {
		case err != nil:
			return err
		case c.State != "running" || c.Now == nil || c.Now.Memory == nil || c.Host != agentHost || c.Detail == nil || len(c.Instances) != 1 || c.Workload != workload:
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	for i, kill := range []string{"the agent", "the hub", "both"} {
		n := len(linesOfContainer(f.agent, name))
		testkit.Eventually(t, time.Minute, "there are more lines", func() error {
			if now := len(linesOfContainer(f.agent, name)); now < n+30 {
				return fmt.Errorf("%d", now-n)
			}
			return nil
		})
		t.Logf("kill %d: %s", i+1, kill)
		if kill != "the agent" {
			f.hub.Kill()
		}
		if kill != "the hub" {
			f.agent.Kill()
			f.agent = f.startAgent(f.pin)
		}
		if kill != "the agent" {
			f.startHub()
		}
	}
	f.known()
	// The agent's own history is what the hub has to have; what comes meanwhile comes later.
	end := time.Now()
	testkit.Eventually(t, time.Minute, "there are lines behind the last kill", func() error {
		if f.agent.Count(`{source="container", name="`+name+`"}`) == 0 || time.Since(end) < 5*time.Second {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	d.Cmd("stop", "-t", "0", name)
	want := 0
	testkit.Eventually(t, 90*time.Second, "the hub has each line of the agent, once, and in order", func() error {
		here, there := linesOfContainer(f.agent, name), linesOfContainer(f.hub, name)
		want = len(here)
		if len(here) == 0 || !slices.Equal(here, there) {
			return fmt.Errorf("here %d, there %d", len(here), len(there))
		}
		for i, l := range here {
			if l != fmt.Sprintf("line %d", i) {
				return fmt.Errorf("line %d is %q", i, l)
			}
		}
		return nil
	})
	if n := f.hub.Count(`{source="container", name="` + name + `", host="` + agentHost + `"}`); n != want {
		t.Errorf("counted there are %d lines, want %d: some are there twice", n, want)
	}
	// Streams and records are as on the agent, levels and events with them.
	for _, query := range []string{`{source="event", name="` + name + `"}`, `{source="snapshot", name="` + name + `"}`} {
		testkit.Eventually(t, time.Minute, "the hub has the records of "+query, func() error {
			if here, there := f.agent.Lines(query), f.hub.Lines(query); len(here) == 0 || !slices.Equal(here, there) {
				return fmt.Errorf("here %d, there %d", len(here), len(there))
			}
			return nil
		})
	}
	sameSamples(t, f, `container_memory_working_set_bytes{name="`+name+`"}`)
	sameSamples(t, f, `node_load1{host="`+agentHost+`"}`)
	// No secret of the container is there.
	for what, text := range map[string]string{
		"records": strings.Join(f.hub.Lines(`{host="`+agentHost+`"}`), "\n"), "container": body(f.hub, "/api/tallyman/v1/containers/"+name+"?host="+agentHost),
		"series": body(f.hub, "/api/v1/series?"+url.Values{"match[]": {`{host="` + agentHost + `"}`}}.Encode()), "hub's log": f.hub.Log(), "agent's log": f.agent.Log(),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, f.token) {
			t.Errorf("a secret is in the %s of the hub", what)
		}
		if len(text) < 10 && !strings.HasSuffix(what, "log") {
			t.Errorf("the %s are empty", what)
		}
	}
	// The events page of the hub has them under the agent's host.
	var events struct{ Events []view.Event }
	f.hub.JSON("/api/tallyman/v1/events?host="+agentHost+"&type=container&limit=500", &events)
	if !slices.ContainsFunc(events.Events, func(e view.Event) bool { return e.Name == name && e.Action == "die" }) {
		t.Errorf("the events of the host have no death of %s: %d events", name, len(events.Events))
	}
	var history struct{ Series map[string][]*float64 }
	f.hub.JSON("/api/tallyman/v1/history?"+url.Values{"host": {agentHost}, "workload": {workload}, "start": {fmt.Sprint(time.Now().Add(-10 * time.Minute).UnixMilli())}}.Encode(), &history)
	if !slices.ContainsFunc(history.Series["workingSet"], func(v *float64) bool { return v != nil }) {
		t.Errorf("the chart of its memory is empty: %v", slices.Collect(maps.Keys(history.Series)))
	}
	// A silent host: nothing of it runs as far as anybody knows, and it is an alarm.
	d.Start([]string{"--name", name + "-2"}, "sleep", "600")
	testkit.Eventually(t, time.Minute, "the hub shows the second container", func() error {
		c, err := f.container(name + "-2")
		if err == nil && c.State != "running" {
			err = fmt.Errorf("it is %s", c.State)
		}
		return err
	})
	f.agent.Stop()
	testkit.Eventually(t, 4*time.Minute, "the silent host is an alarm, and nothing of it runs", func() error {
		c, err := f.container(name + "-2")
		if err != nil || c.State != "unknown" || c.Now != nil {
			return fmt.Errorf("%s, %v", c.State, err)
		}
		if text := body(f.hub, "/api/tallyman/v1/alarms"); !strings.Contains(text, "HostSilent") || !strings.Contains(text, agentHost) {
			return fmt.Errorf("there is no alarm: %s", text)
		}
		return nil
	})
	i := slices.IndexFunc(f.servers(), func(h view.Host) bool { return h.Host == agentHost })
	if e := f.servers()[i].Engine; e.Up || e.Failure != "silent" || e.Since == 0 || !strings.Contains(body(f.hub, "/api/tallyman/v1/doctor"), "agent/"+agentHost) {
		t.Errorf("the engine of the silent host is %+v", e)
	}
	f.agent = f.startAgent(f.pin)
	testkit.Eventually(t, 2*time.Minute, "it is heard again", func() error {
		c, err := f.container(name + "-2")
		if err == nil && c.State != "running" {
			err = fmt.Errorf("it is %s", c.State)
		}
		return err
	})
}

func body(p *testkit.Program, path string) string {
	_, text := p.Get(path)
	return text
}

// sameSamples says that the hub has each sample of a series that the agent has, and no other,
// up to a moment that both have passed.
func sameSamples(t *testing.T, f *fleet, series string) {
	t.Helper()
	end := time.Now().Add(-5 * time.Second).UnixMilli()
	values := func(c *testkit.Program) (out []string) {
		for _, points := range c.Query(series + "[1h]") {
			for _, p := range points {
				if p.Time.UnixMilli() <= end {
					out = append(out, fmt.Sprint(p.Time.UnixMilli(), " ", p.Value))
				}
			}
		}
		slices.Sort(out)
		return out
	}
	testkit.Eventually(t, time.Minute, "the hub has the samples of "+series, func() error {
		here, there := values(f.agent), values(f.hub)
		missing, more := 0, 0
		for _, v := range here {
			if _, ok := slices.BinarySearch(there, v); !ok {
				missing++
			}
		}
		for _, v := range there {
			if _, ok := slices.BinarySearch(here, v); !ok {
				more++
			}
		}
		// A tick is put into both stores at once; a kill may come between.
		if len(here) < 8 || missing > 2 || more > 2 || slices.Contains(repeated(there), true) {
			return fmt.Errorf("here %d, there %d; %d missing, %d more", len(here), len(there), missing, more)
		}
		t.Logf("%s: %d samples here, %d there, %d missing, %d more", series, len(here), len(there), missing, more)
		return nil
	})
}

func repeated(sorted []string) (out []bool) {
	for i := 1; i < len(sorted); i++ {
		out = append(out, sorted[i] == sorted[i-1])
	}
	return out
}

// A wrong pin, a revoked token and another host's name: nothing goes out, or nothing is
// taken, the doctor of the agent says why, and nothing is lost.
func TestHubRefuses(t *testing.T) {
	t.Parallel()
	testkit.NewDocker(t)
	f := newFleet(t)
	doctor := func(p *testkit.Program, words string) func() error {
		return func() error {
			if text := body(p, "/api/tallyman/v1/doctor"); !strings.Contains(text, words) {
				return fmt.Errorf("the doctor does not say %q", words)
			}
			return nil
		}
	}
	received := func() float64 {
		for _, points := range f.hub.Query("tallyman_receive_samples_total") {
			return points[0].Value
		}
		return 0
	}
	wrong := "sha256:" + strings.Repeat("ab", 32)
	f.agent = f.startAgent(wrong)
	testkit.Eventually(t, time.Minute, "the wrong pin is told", doctor(f.agent, "the certificate is not the one of the pin: it has "+f.pin))
	if n := received(); n != 0 {
		t.Errorf("with a wrong pin %v samples were sent", n)
	}
	f.agent.Stop()

	f.agent = f.startAgent(f.pin)
	f.known()
	load := `node_load1{host="` + agentHost + `"}`
	testkit.Eventually(t, time.Minute, "samples are there", func() error {
		if len(f.hub.Query(load)) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	f.tokens("revoke", agentHost)
	if list := f.tokens("list"); strings.Contains(list, agentHost) {
		t.Errorf("the list has %s", list)
	}
	testkit.Eventually(t, 100*time.Second, "the revoked token is told", doctor(f.agent, "the token is not known here"))
	// What had come before is counted a round later.
	last := -1.0
	testkit.Eventually(t, time.Minute, "nothing is taken any more", func() error {
		before := last
		last = received()
		time.Sleep(3 * time.Second)
		if now := received(); now != last || before != last {
			return fmt.Errorf("%v, %v and %v samples", before, last, now)
		}
		return nil
	})
	testkit.Eventually(t, time.Minute, "the host has left the page", func() error {
		if slices.ContainsFunc(f.servers(), func(h view.Host) bool { return h.Host == agentHost }) {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	f.agent.Stop()

	// The name of another host: nothing is taken, and all waits until that is mended.
	other := f.tokens("agent", "db-1")
	if err := os.WriteFile(f.file, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	f.agent = f.startAgent(f.pin)
	testkit.Eventually(t, 100*time.Second, "that the name is another's is told", doctor(f.agent, `and the token is for \"db-1\" alone`))
	testkit.Eventually(t, time.Minute, "it is counted", func() error {
		for _, points := range f.hub.Query(`tallyman_receive_samples_refused_total{reason="foreign_host"}`) {
			if points[0].Value > 0 {
				return nil
			}
		}
		return fmt.Errorf("it is not")
	})
	if got := f.hub.Query(`node_load1{host="db-1"}`); len(got) != 0 {
		t.Errorf("the agent of another name has written as db-1: %v", got)
	}
	// An address without TLS is refused before anything is sent.
	if said := testkit.RefusesToStart(t, "--data", testkit.DataDir(t), "--listen", "127.0.0.1:0", "--set", "forward.to=[{hub: 'http://hub.example:8420', token_file: /t}]"); !strings.Contains(said, "is not encrypted") {
		t.Errorf("it says %s", said)
	}
}
