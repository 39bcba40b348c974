// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// watched is a tallyman that tells a webhook.
func watched(t *testing.T) (*testkit.Program, *testkit.Told) {
	t.Helper()
	w := testkit.NewTold(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.notify="+w.URL+"/hook")
	return p, w
}

// alarmsOf are the alarms of a workload that fire or are pending, but for those that
// nobody is told of: a changed limit is one.
func alarmsOf(p *testkit.Program, workload string) (out []string) {
	var a struct {
		Alarms []struct{ Rule, State, Severity, Workload string }
	}
	p.JSON("/api/tallyman/v1/alarms", &a)
	for _, x := range a.Alarms {
		if x.Workload == workload && x.Severity != "info" {
			out = append(out, x.Rule+" "+x.State)
		}
	}
	return out
}

// service is a container of a name in a project of its own.
func service(name string) (options []string, workload string) { return testkit.Service(name, name) }

// What people ask for, and what is over before it is a problem, tells nobody anything.
func TestCalmDay(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p, w := watched(t)
	forever := []string{"sh", "-c", "trap 'exit 143' TERM; while :; do sleep 3600 & wait; done"}
	deaf := []string{"sh", "-c", "trap '' TERM; exec sleep 3600"}
	always := func(name string, more ...string) []string {
		return append([]string{"--name", d.Name(name), "--restart", "always"}, more...)
	}
	d.Start(always("stops"), forever...)
	d.Start(always("deaf"), deaf...)
	d.Start(always("restarts"), forever...)
	d.Start(always("renewed"), forever...)
	d.Start(always("removed"), forever...)
	d.Start(always("reloads"), "sh", "-c", "trap 'true' HUP; while :; do sleep 3600 & wait; done")
	d.Start(always("pauses"), forever...)
	d.Start(always("limited"), forever...)
	d.Start(always("checked", "--health-cmd", "test -e /tmp/up", "--health-interval", "1s", "--health-start-period", "6s", "--health-retries", "1"), "sh", "-c", "sleep 4; touch /tmp/up; while :; do sleep 3600 & wait; done")
	names := []string{"stops", "deaf", "restarts", "renewed", "removed", "reloads", "pauses", "limited", "checked"}
	testkit.Eventually(t, 30*time.Second, "all are known", func() error {
		for _, name := range names {
			if len(p.Query(`container_last_seen{name="`+d.Name(name)+`"}`)) == 0 {
				return fmt.Errorf("%s is not", name)
			}
		}
		return nil
	})

	d.Cmd("stop", d.Name("stops"))
	d.Cmd("stop", "-t", "1", d.Name("deaf"))
	d.Cmd("restart", "-t", "1", d.Name("restarts"))
	d.Cmd("rm", "-f", d.Name("renewed"))
	d.Start(always("renewed"), forever...)
	d.Cmd("rm", "-f", d.Name("removed"))
	d.Cmd("kill", "-s", "HUP", d.Name("reloads"))
	d.Pause(d.Name("pauses"))
	d.Cmd("update", "--memory", "64m", "--memory-swap", "64m", d.Name("limited"))
	for i := range 12 {
		_, _ = d.May("run", "--rm", "--name", d.Name(fmt.Sprint("job-", i)), "--label", d.Label, testkit.Image, "sh", "-c", fmt.Sprintf("exit %d", i%4))
	}
	d.Cmd("unpause", d.Name("pauses"))
	testkit.Eventually(t, 60*time.Second, "the checked one is healthy", func() error {
		if out := d.Cmd("inspect", "-f", "{{.State.Health.Status}}", d.Name("checked")); !strings.Contains(out, "healthy") || strings.Contains(out, "unhealthy") {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
	// What would have been told has had its time when a crash that comes later was told.
	options, crash := service(d.Name("crash"))
	d.Start(options, "sh", "-c", "exit 3")
	testkit.Eventually(t, 60*time.Second, "a crash is told", func() error {
		if got := w.Of(crash); got != "ContainerCrashed firing" {
			return fmt.Errorf("told %q", got)
		}
		return nil
	})
	for _, name := range names {
		if got := w.Of(d.Name(name)); got != "" {
			t.Errorf("%s: told %q, want nothing", name, got)
		}
		if got := alarmsOf(p, d.Name(name)); len(got) > 0 {
			t.Errorf("%s: alarms %v, want none", name, got)
		}
	}
	for i := range 12 {
		if got := w.Of(d.Name(fmt.Sprint("job-", i))); got != "" {
			t.Errorf("job %d: told %q, want nothing", i, got)
		}
	}
	if bad := w.Bad(); bad != "" {
		t.Errorf("a message that is none of Alertmanager's: %s", bad)
	}
}

// What breaks is told once, by the right name, and cleared.
func TestBadDay(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p, w := watched(t)
	workload := map[string]string{}
	start := func(name string, more []string, argv ...string) {
		options, w := service(d.Name(name))
		workload[name] = w
		d.Start(append(options, more...), argv...)
	}
	start("plain", nil, "sh", "-c", "sleep 1; exit 3")
	start("once", []string{"--restart", "always"}, "sh", "-c", "test -e /tmp/again && exec sleep 600; touch /tmp/again; sleep 1; exit 3")
	start("loop", []string{"--restart", "always"}, "sh", "-c", "sleep 0.2; exit 1")
	start("loop-zero", []string{"--restart", "always"}, "sh", "-c", "sleep 0.2; exit 0")
	start("gave-up", []string{"--restart", "on-failure:2"}, "sh", "-c", "sleep 0.1; exit 1")
	start("killed", nil, "sleep", "600")
	start("reloaded", nil, "sh", "-c", "trap 'sleep 2; exit 5' HUP; while :; do sleep 3600 & wait; done")
	start("oom", []string{"-m", "8m", "--memory-swap", "8m"}, "sh", "-c", "sleep 1; x=y; while :; do x=$x$x; done")
	start("sick", []string{"--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1"}, "sleep", "600")
	workload["no-command"] = d.Name("no-command")
	_, _ = d.May("run", "-d", "--label", d.Label, "--name", d.Name("no-command"), "--restart", "always", testkit.Image, "no-such-command")
	testkit.Eventually(t, 30*time.Second, "the containers run", func() error {
		for _, name := range []string{"killed", "reloaded"} {
			if out := d.Cmd("inspect", "-f", "{{.State.Running}}", d.Name(name)); !strings.Contains(out, "true") {
				return fmt.Errorf("%s does not run", name)
			}
			if len(p.Query(`container_last_seen{name="`+d.Name(name)+`"}`)) == 0 {
				return fmt.Errorf("%s is not known", name)
			}
		}
		return nil
	})
	pid := strings.TrimSpace(d.Cmd("inspect", "-f", "{{.State.Pid}}", d.Name("killed")))
	if _, err := testkit.Run(10*time.Second, nil, "kill", "-9", pid); err != nil {
		t.Fatal(err)
	}
	d.Cmd("kill", "-s", "HUP", d.Name("reloaded"))

	for name, rule := range map[string]string{
		"plain": "ContainerCrashed", "once": "ContainerCrashed", "loop": "ContainerRestartLoop", "loop-zero": "ContainerRestartLoop", "gave-up": "ContainerNotRunning",
		"killed": "ContainerCrashed", "reloaded": "ContainerCrashed", "oom": "ContainerOOMKilled", "sick": "ContainerUnhealthy", "no-command": "ContainerNotStarted",
	} {
		testkit.Eventually(t, 120*time.Second, name+" is told", func() error {
			if got := w.Of(workload[name]); !strings.Contains(got, rule+" firing") {
				return fmt.Errorf("told %q, want %s; alarms %v", got, rule, alarmsOf(p, workload[name]))
			}
			return nil
		})
	}
	// One that came to itself clears by itself, the others when they are removed.
	for _, name := range []string{"plain", "loop", "loop-zero", "gave-up", "killed", "reloaded", "oom", "sick", "no-command"} {
		d.Cmd("rm", "-f", d.Name(name))
	}
	testkit.Eventually(t, 240*time.Second, "the one that runs again is told of", func() error {
		if got := w.Of(workload["once"]); got != "ContainerCrashed firing, ContainerCrashed resolved" {
			return fmt.Errorf("told %q", got)
		}
		return nil
	})
	for _, name := range []string{"plain", "loop", "loop-zero", "gave-up", "killed", "reloaded", "oom", "sick", "no-command"} {
		testkit.Eventually(t, 180*time.Second, name+" is cleared", func() error {
			got := w.Of(workload[name])
			if !strings.HasSuffix(got, "resolved") || strings.Count(got, "firing") != strings.Count(got, "resolved") {
				return fmt.Errorf("told %q; alarms %v", got, alarmsOf(p, workload[name]))
			}
			return nil
		})
		t.Logf("%s: %s", name, w.Of(workload[name]))
	}
}

// A container that is not to be alarmed of is not, when it says so itself; an image may
// only have it told less gravely.
func TestAlarmLabels(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p, w := watched(t)
	image := strings.ToLower(d.Name("quiet")) + ":1"
	d.Start([]string{"--name", d.Name("base")}, "sleep", "600")
	d.Cmd("commit", "-c", "LABEL tallyman.alarms=false", d.Name("base"), image)
	t.Cleanup(func() { _, _ = d.May("rmi", "-f", image) })
	dies := []string{"sh", "-c", "sleep 2; exit 3"}
	options, off := service(d.Name("off"))
	d.Start(append(options, "--label", "tallyman.alarms=false", "--label", "tallyman.alarms.crsh=off"), dies...)
	options, kind := service(d.Name("kind"))
	d.Start(append(options, "--label", "tallyman.alarms.crash=off"), dies...)
	options, theirs := service(d.Name("theirs"))
	d.Cmd(append(append([]string{"run", "-d", "--label", d.Label}, options...), append([]string{image}, dies...)...)...)
	options, plain := service(d.Name("plain"))
	d.Start(options, dies...)
	for _, workload := range []string{theirs, plain} {
		testkit.Eventually(t, 90*time.Second, workload+" is told", func() error {
			if got := w.Of(workload); got != "ContainerCrashed firing" {
				return fmt.Errorf("told %q", got)
			}
			return nil
		})
	}
	for _, workload := range []string{off, kind} { // they died before
		if got := w.Of(workload); got != "" {
			t.Errorf("%s: told %q, want nothing", workload, got)
		}
	}
	var a struct {
		Alarms []struct{ ID, Workload, Severity string }
	}
	p.JSON("/api/tallyman/v1/alarms", &a)
	got := map[string]string{}
	for _, x := range a.Alarms {
		got[x.Workload] = x.Severity
		if x.Workload == plain {
			// By its id it is found alone; of a death nothing can be drawn.
			var one struct {
				Alarm struct{ ID, Workload string }
				Chart *struct{}
				Lines []struct{}
			}
			if p.JSON("/api/tallyman/v1/alarms/"+x.ID, &one); one.Alarm.ID != x.ID || one.Alarm.Workload != plain || one.Chart != nil || one.Lines == nil {
				t.Errorf("by its id it is %+v", one)
			}
		}
	}
	if status, body := p.Get("/api/tallyman/v1/alarms/0-0"); status != http.StatusNotFound {
		t.Errorf("an id that there is not: %d %s", status, body)
	}
	if got[theirs] != "warning" || got[plain] != "critical" || got[off]+got[kind] != "" {
		t.Errorf("the severities are %v", got)
	}
	var c struct {
		Choices []struct {
			Workload      string
			Asked, Faults []string
		}
	}
	p.JSON("/api/tallyman/v1/alarms/choices?workload="+url.QueryEscape(off), &c)
	if len(c.Choices) != 1 || len(c.Choices[0].Asked) != 1 || len(c.Choices[0].Faults) != 1 || !strings.Contains(c.Choices[0].Faults[0], `did you mean "crash"`) {
		t.Errorf("the choices are %+v", c.Choices)
	}
	// They are series, and what a rule would have done is told of them.
	testkit.Eventually(t, 60*time.Second, "alarms and problems are series", func() error {
		for _, q := range []string{`ALERTS{alertname="ContainerCrashed",workload="` + plain + `"}`, `container_problem{kind="crash",workload="` + plain + `"}`} {
			if len(p.Query(q)) != 1 {
				return fmt.Errorf("%s is none", q)
			}
		}
		return nil
	})
	var tried struct {
		Trials []struct {
			Fired    int
			Severity string
			Episodes []struct{ Labels map[string]string }
		}
	}
	testkit.Eventually(t, 60*time.Second, "what the rule would have done", func() error {
		p.JSON("/api/tallyman/v1/alarms/rules/ContainerCrashed/test", &tried)
		for _, x := range tried.Trials {
			for _, e := range x.Episodes {
				if e.Labels["workload"] == plain && x.Severity == "critical" {
					return nil
				}
			}
		}
		return fmt.Errorf("%+v", tried.Trials)
	})
}

// An alarm goes to a real RabbitMQ as one of docker-monitor's, and its end as a Clear with
// the same subject.
func TestAlarmsToRabbitMQ(t *testing.T) {
	d := testkit.NewDocker(t)
	r := d.StartRabbit()
	c := &consumer{t: t, r: r}
	c.declare()
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.notify=amqp://guest:guest@"+r.Address+"/")
	options, workload := service(d.Name("crash"))
	d.Start(options, "sh", "-c", "sleep 2; exit 3")
	mine := func(m *delivery) bool { return m.alarm.PrimarySubject.Container == d.Name("crash") }
	c.wait(1, mine)
	d.Cmd("rm", "-f", d.Name("crash"))
	c.wait(2, mine)
	var got []string
	ids := map[string]bool{}
	for _, m := range c.got {
		if mine(&m) && !ids[m.id] {
			ids[m.id] = true
			got = append(got, m.alarm.Severity+" "+m.alarm.Description+" "+m.alarm.PrimarySubject.Image)
		}
	}
	text := " " + workload + " crashed: exit 3 " + testkit.Image
	if want := []string{"Critical" + text, "Clear" + text}; strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	var a struct {
		Receivers []struct {
			Kind, Host string
			Sent       int
		}
	}
	p.JSON("/api/tallyman/v1/alarms/receivers", &a)
	if len(a.Receivers) != 1 || a.Receivers[0].Kind != "amqp" || a.Receivers[0].Host != r.Address || a.Receivers[0].Sent < 2 {
		t.Errorf("the receivers are %+v", a.Receivers)
	}
}
