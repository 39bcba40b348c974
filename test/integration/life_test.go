// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// container is what these tests read of an answer.
type container struct {
	ID, Name, State, Health, Workload, Project string
	ExitCode                                   *int
	OOMKilled                                  bool
	RestartCount                               int
	Started, GoneAt                            int64
	Now                                        *struct{ CPU, Memory *float64 }
	LastEvent                                  *event
	Instances                                  []struct{ ID string }
}

type event struct {
	ID, Type, Action, Actor, Name, Text, Kind, Severity string
	Time                                                int64
	Inferred                                            bool
	Attributes                                          map[string]string
}

func containers(p *testkit.Program) map[string]container {
	var a struct {
		Hosts []struct{ Containers []container }
	}
	p.JSON("/api/tallyman/v1/servers", &a)
	m := map[string]container{}
	for _, h := range a.Hosts {
		for _, c := range h.Containers {
			m[c.ID] = c
		}
	}
	return m
}

// eventsOf are the events of a container, oldest first.
func eventsOf(p *testkit.Program, id string) []event {
	var a struct{ Events []event }
	p.JSON("/api/tallyman/v1/events?type=container&limit=1000&container="+id, &a)
	slices.Reverse(a.Events)
	return a.Events
}

func actions(events []event) string {
	var out []string
	for _, e := range events {
		out = append(out, e.Action)
	}
	return strings.Join(out, " ")
}

// waitFor waits until a container satisfies ok.
func waitFor(t *testing.T, p *testkit.Program, id, what string, ok func(container) bool) container {
	t.Helper()
	var c container
	testkit.Eventually(t, 15*time.Second, what, func() error {
		c = containers(p)[id]
		if !ok(c) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	return c
}

func TestHundredContainersComeAndGo(t *testing.T) {
	const n = 100
	interval := 10 * time.Second
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))

	// They are watched while they start, so that the delay of each is known.
	var mu sync.Mutex
	onPage, inPromQL := map[string]time.Time{}, map[string]time.Time{}
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
			}
			page := containers(p)
			series := p.Query(`container_cpu_usage_seconds_total{id!="/"}`)
			now := time.Now()
			mu.Lock()
			for id, c := range page {
				if _, ok := onPage[id]; !ok && c.State == "running" {
					onPage[id] = now
				}
			}
			for labels := range series {
				_, id, _ := strings.Cut(labels, `"id":"/docker/`)
				if id = id[:64]; inPromQL[id].IsZero() {
					inPromQL[id] = now
				}
			}
			mu.Unlock()
		}
	})
	loads := [][]string{
		{"sh", "-c", "while :; do echo a line of the log; sleep 1; done"},
		{"sh", "-c", "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1; done"},
		{"sh", "-c", "mkdir /www; echo hello >/www/index.html; exec httpd -f -p 80 -h /www"},
	}
	ids := make([]string, n)
	var starters sync.WaitGroup
	for worker := range 4 {
		starters.Go(func() {
			for i := worker; i < n; i += 4 {
				ids[i] = d.Start([]string{"--name", d.Name(strconv.Itoa(i))}, loads[i%3]...)
			}
		})
	}
	starters.Wait()
	for latest := time.Now().Add(2*interval + time.Second); time.Now().Before(latest); time.Sleep(300 * time.Millisecond) {
		mu.Lock()
		all := !slices.ContainsFunc(ids, func(id string) bool { return onPage[id].IsZero() || inPromQL[id].IsZero() })
		mu.Unlock()
		if all {
			break
		}
	}
	close(stop)
	watch.Wait()

	started := map[string]time.Time{}
	for line := range strings.Lines(d.Cmd(append([]string{"inspect", "-f", "{{.Id}} {{.State.StartedAt}}"}, ids...)...)) {
		id, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		started[id] = when
	}
	var slowPage, slowQuery time.Duration
	for _, id := range ids {
		if onPage[id].IsZero() || inPromQL[id].IsZero() {
			t.Errorf("container %.12s: on the page %v, in PromQL %v", id, onPage[id], inPromQL[id])
			continue
		}
		slowPage = max(slowPage, onPage[id].Sub(started[id]))
		slowQuery = max(slowQuery, inPromQL[id].Sub(started[id]))
	}
	t.Logf("%d containers: on the page after at most %v, in PromQL after at most %v", n, slowPage.Round(time.Millisecond), slowQuery.Round(time.Millisecond))
	if slowPage > interval || slowQuery > 2*interval {
		t.Errorf("slowest on the page %v (want %v), in PromQL %v (want %v)", slowPage, interval, slowQuery, 2*interval)
	}

	d.Cmd(append([]string{"rm", "-f"}, ids...)...)
	testkit.Eventually(t, 15*time.Second, "all are gone", func() error {
		page := containers(p)
		for _, id := range ids {
			if c := page[id]; c.State != "gone" || c.GoneAt == 0 {
				return fmt.Errorf("%.12s is %q", id, c.State)
			}
		}
		return nil
	})
	testkit.Eventually(t, 15*time.Second, "their series have ended", func() error {
		for labels := range p.Query(`container_cpu_usage_seconds_total{id!="/"}`) {
			for _, id := range ids {
				if strings.Contains(labels, id) {
					return fmt.Errorf("%s is still current", labels)
				}
			}
		}
		return nil
	})
	// The past is kept: in PromQL, on the charts, among the events.
	past := p.Query("last_over_time(container_cpu_usage_seconds_total[5m])")
	for _, id := range ids {
		if !slices.ContainsFunc(keys(past), func(l string) bool { return strings.Contains(l, id) }) {
			t.Errorf("PromQL has no past of %.12s", id)
		}
	}
	c := containers(p)[ids[0]]
	var h struct{ Series map[string][]*float64 }
	p.JSON("/api/tallyman/v1/history?host="+url.QueryEscape(hostOf(p))+"&workload="+url.QueryEscape(c.Workload)+
		"&start="+strconv.FormatInt(c.Started, 10)+"&points=300", &h)
	for _, column := range []string{"cpuUser", "cpuSystem", "anon", "workingSet", "rx", "tx", "pids"} {
		if !slices.ContainsFunc(h.Series[column], func(v *float64) bool { return v != nil }) {
			t.Errorf("the chart of a gone container has no %s", column)
		}
	}
	if got := actions(eventsOf(p, ids[0])); !strings.Contains(got, "create") || !strings.Contains(got, "start") || !strings.Contains(got, "die") || !strings.HasSuffix(got, "destroy") {
		t.Errorf("events of a gone container: %s", got)
	}

	// And all of it survives a restart.
	p.Stop()
	p = testkit.StartProgram(t, p.Data)
	page := containers(p)
	for _, id := range ids {
		if page[id].State != "gone" {
			t.Errorf("after a restart %.12s is %q, want gone", id, page[id].State)
		}
	}
	if got := actions(eventsOf(p, ids[0])); !strings.HasSuffix(got, "destroy") {
		t.Errorf("after a restart the events of a gone container are: %s", got)
	}
}

func keys(m map[string][]testkit.Point) []string {
	var k []string
	for s := range m {
		k = append(k, s)
	}
	return k
}

func hostOf(p *testkit.Program) string {
	var s struct{ Host string }
	p.JSON("/api/tallyman/v1/session", &s)
	return s.Host
}

func TestEveryTurnOfALifeAppearsRight(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))

	id := d.Start([]string{"--name", d.Name("life")}, "sleep", "600")
	waitFor(t, p, id, "it runs", func(c container) bool { return c.State == "running" })
	d.Cmd("rename", d.Name("life"), d.Name("renamed"))
	waitFor(t, p, id, "it has its new name", func(c container) bool { return c.Name == d.Name("renamed") })
	d.Pause(id)
	waitFor(t, p, id, "it is paused", func(c container) bool { return c.State == "paused" })
	d.Cmd("unpause", id)
	waitFor(t, p, id, "it goes on", func(c container) bool { return c.State == "running" })
	d.Cmd("stop", "-t", "0", id)
	c := waitFor(t, p, id, "it is stopped", func(c container) bool { return c.State == "exited" })
	if c.ExitCode == nil || *c.ExitCode != 137 {
		t.Errorf("exit code = %v, want 137", c.ExitCode)
	}
	testkit.Eventually(t, 10*time.Second, "all events are there", func() error {
		got := actions(eventsOf(p, id))
		at := 0
		for _, want := range strings.Fields("create start rename pause unpause kill die stop") {
			i := strings.Index(got[at:], want)
			if i < 0 {
				return fmt.Errorf("%q is missing in %q", want, got)
			}
			at += i + len(want)
		}
		return nil
	})
	for _, e := range eventsOf(p, id) {
		if e.Inferred {
			t.Errorf("%s is marked inferred, but was seen", e.Action)
		}
		if e.Action == "die" && (e.Attributes["exitCode"] != "137" || e.Severity != "" || !strings.HasPrefix(e.Text, "Killed as asked")) {
			t.Errorf("die: %q %q %v, want exit code 137, as asked, and no alarm", e.Severity, e.Text, e.Attributes)
		}
	}

	died := d.Start(nil, "sh", "-c", "exit 3")
	c = waitFor(t, p, died, "it has died", func(c container) bool { return c.State == "exited" })
	if c.ExitCode == nil || *c.ExitCode != 3 {
		t.Errorf("exit code = %v, want 3", c.ExitCode)
	}
	testkit.Eventually(t, 5*time.Second, "its last event says so", func() error {
		if c := containers(p)[died]; c.LastEvent == nil || c.LastEvent.Text != "Died, exit 3" || c.LastEvent.Severity != "critical" {
			return fmt.Errorf("%+v", c.LastEvent)
		}
		return nil
	})

	loop := d.Start([]string{"--restart", "on-failure:3"}, "sh", "-c", "sleep 0.3; exit 7")
	waitFor(t, p, loop, "it has given up", func(c container) bool { return c.State == "exited" && c.RestartCount == 3 })
	testkit.Eventually(t, 10*time.Second, "four deaths of a restart loop", func() error {
		n := 0
		for _, e := range eventsOf(p, loop) {
			if e.Action == "die" && e.Attributes["exitCode"] == "7" {
				n++
			}
		}
		if n != 4 {
			return fmt.Errorf("%d deaths with exit code 7: %s", n, actions(eventsOf(p, loop)))
		}
		return nil
	})

	hog := d.OutOfMemory()
	c = waitFor(t, p, hog, "it was killed for its memory", func(c container) bool { return c.State == "exited" })
	if !c.OOMKilled || c.ExitCode == nil || *c.ExitCode != 137 {
		t.Errorf("OOM: killed %v, exit %v; want true, 137", c.OOMKilled, c.ExitCode)
	}
	testkit.Eventually(t, 10*time.Second, "the death says out of memory", func() error {
		for _, e := range eventsOf(p, hog) {
			if e.Action == "die" && e.Text == "Out of memory: the kernel killed it, exit 137" && e.Severity == "critical" {
				return nil
			}
		}
		return fmt.Errorf("%+v", eventsOf(p, hog))
	})
}

// A container that lives for three seconds between two rounds leaves its numbers, and one in
// which the kernel kills leaves its kill and its peak, which are gone with its cgroup. The
// engine may be too late with its word on a busy machine: then another one is looked at.
func TestEvidenceOfShortLives(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "20s")
	value := func(expr string) float64 {
		for _, points := range p.Query(expr) {
			return points[0].Value
		}
		return -1
	}
	for try := 1; ; try++ {
		id := d.Start([]string{"-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 3; exec tail /dev/zero")
		of := fmt.Sprintf(`{id=~".*%s"}[5m]`, id)
		waitFor(t, p, id, "it is dead", func(c container) bool { return c.State == "exited" })
		var ended map[string][]testkit.Point
		testkit.Eventually(t, 90*time.Second, "its series end with the next round", func() error {
			if ended = p.Query(fmt.Sprintf(`container_memory_usage_bytes{id=~".*%s"}`, id)); len(ended) > 0 {
				return fmt.Errorf("%v", ended)
			}
			return nil
		})
		samples, peak, kills := value("count_over_time(container_memory_usage_bytes"+of+")"), value("max_over_time(container_memory_max_usage_bytes"+of+")"), value("max_over_time(container_oom_events_total"+of+")")
		cpu := value("count_over_time(container_cpu_usage_seconds_total" + of + ")")
		t.Logf("%d: %v samples of its memory, %v of its CPU, at most %v bytes, %v kills", try, samples, cpu, peak, kills)
		if samples >= 3 && cpu >= 3 && peak == 16<<20 && kills == 1 {
			var why struct {
				Why struct {
					Before   []struct{ Name string }
					NotKnown []string
				}
			}
			p.JSON("/api/tallyman/v1/why?container="+id, &why)
			if len(why.Why.Before) == 0 {
				t.Errorf("why it died has no figures of its life: %v", why.Why.NotKnown)
			}
			return
		}
		if try == 5 {
			t.Fatal("it has left too little each time")
		}
	}
}

// What a Compose file makes is grouped by its project, whoever else has such
// names, and a re-created container goes on in the history of its workload.
func TestWorkloadSurvivesReCreation(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	labels := []string{"--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=api", "--label", "com.docker.compose.container-number=1"}
	first := d.Start(append(labels, "--name", d.Name("api")), "sleep", "600")
	c := waitFor(t, p, first, "it runs", func(c container) bool { return c.Now != nil && c.Now.Memory != nil })
	if c.Workload != "shop/api/1" || c.Project != "shop" {
		t.Errorf("workload %q, project %q; want shop/api/1, shop", c.Workload, c.Project)
	}
	time.Sleep(2 * time.Second)
	d.Cmd("rm", "-f", first)
	second := d.Start(append(labels, "--name", d.Name("api")), "sleep", "600")
	waitFor(t, p, second, "the second runs", func(c container) bool { return c.Now != nil && c.Now.Memory != nil })
	var detail container
	p.JSON("/api/tallyman/v1/containers/"+second, &detail)
	if len(detail.Instances) != 2 || detail.Instances[0].ID != first || detail.Instances[1].ID != second {
		t.Errorf("instances = %+v, want the first and the second", detail.Instances)
	}
	got := p.Query(`count by (id) (last_over_time(container_memory_rss{workload="shop/api/1",container_label_com_docker_compose_project="shop"}[1m]))`)
	if len(got) != 2 {
		t.Errorf("PromQL has %d containers of the workload, want 2: %v", len(got), got)
	}
}

// A start that fails is an event, with its exit code and the engine's words, within
// seconds; and the container says so.
func TestStartsThatFail(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	taken := d.Start([]string{"-p", "127.0.0.1::80"}, "sleep", "600")
	port := d.Cmd("port", taken, "80")
	for name, c := range map[string]struct {
		options []string
		argv    string
		code    string
		says    string
	}{
		"command": {nil, "nosuchcommand", "127", "nosuchcommand"},
		"port":    {[]string{"-p", port + ":80"}, "sleep", "128", "already"},
	} {
		full := d.Name("fails-" + name)
		args := append(append([]string{"run", "-d", "--label", d.Label, "--name", full}, c.options...), testkit.Image, c.argv, "600")
		if out, err := d.May(args...); err == nil {
			t.Fatalf("%s: it started: %s", name, out)
		}
		testkit.Eventually(t, 60*time.Second, name+" is told", func() error {
			var answer struct {
				Events []struct {
					Action, Severity, Text string
					Attributes             map[string]string
				}
			}
			p.JSON("/api/tallyman/v1/events?container="+d.Cmd("inspect", "-f", "{{.Id}}", full), &answer)
			for _, e := range answer.Events {
				if e.Action == "start_failed" {
					if e.Severity != "critical" || e.Attributes["exitCode"] != c.code || !strings.Contains(e.Text, c.says) {
						return fmt.Errorf("it is told as %+v", e)
					}
					return nil
				}
			}
			return fmt.Errorf("%+v", answer.Events)
		})
	}
}

// What the inventory knows of a container outlives its cgroup, and goes when it is
// removed.
func TestFactsOfAStoppedContainer(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	id := d.Start([]string{"--restart", "on-failure:2"}, "sh", "-c", "sleep 2; exit 7")
	is := func(expr string, want ...float64) func() error {
		return func() error {
			var got []float64
			for _, points := range p.Query(expr) {
				got = append(got, points[0].Value)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("%s is %v, want %v", expr, got, want)
			}
			return nil
		}
	}
	of := func(metric string) string { return metric + `{id="/docker/` + id + `"}` }
	d.Cmd("wait", id)
	for _, c := range []struct {
		expr string
		want []float64
	}{
		{of("container_restarts_total"), []float64{2}}, {of("container_last_exit_code"), []float64{7}}, {`container_state{id="/docker/` + id + `",state="exited"}`, []float64{1}},
		{of("container_cpu_usage_seconds_total"), nil},
	} {
		testkit.Eventually(t, 30*time.Second, c.expr, is(c.expr, c.want...))
	}
	d.Cmd("rm", "-f", id)
	testkit.Eventually(t, 20*time.Second, "they go with the container", is(of("container_last_exit_code")))
}
