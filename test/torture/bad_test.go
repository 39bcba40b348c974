// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// fault is one thing that goes wrong on the bad day.
type fault struct {
	name string
	rule string
	// of are the alarms about it; it has one of rule, and of others those in stages, which it
	// may have been before.
	of     func(e *testkit.Episode) bool
	stages string
	// happened is when it went wrong, recover mends it and says when that was.
	happened time.Time
	recover  func() time.Time
	// told and cleared are how long it took.
	told, cleared time.Duration
}

// table is what became of the faults, for the log.
type table struct {
	mu   sync.Mutex
	rows []fault
}

func (b *table) add(f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, f)
}

func (b *table) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	fmt.Fprintf(&out, "%-42s %-26s %10s %14s\n", "fault", "alarm", "told after", "cleared after")
	for _, f := range b.rows {
		fmt.Fprintf(&out, "%-42s %-26s %8.1f s %12.1f s\n", f.name, f.rule, f.told.Seconds(), f.cleared.Seconds())
	}
	return out.String()
}

// receivers is a configuration of Alertmanager's with the times of tallyman's own and ten
// receivers, since there is more to tell than one gets in ten minutes: those of projects k0-… to k9-…,
// and one for the rest.
func receivers(t *testing.T, w *testkit.Told) string {
	t.Helper()
	var routes, list strings.Builder
	for i := range 10 {
		fmt.Fprintf(&routes, "  - {matchers: ['project=~\"k%d-.*\"'], receiver: k%d}\n", i, i)
		fmt.Fprintf(&list, "- {name: k%d, webhook_configs: [{url: '%s/k%d'}]}\n", i, w.URL, i)
	}
	name := filepath.Join(t.TempDir(), "alertmanager.yaml")
	text := "route:\n  receiver: rest\n  group_by: [host, project]\n  group_wait: 5s\n  group_interval: 1m\n  repeat_interval: 4h\n  routes:\n  - {matchers: ['severity=\"info\"'], receiver: none}\n" +
		routes.String() + "receivers:\n- {name: none}\n- {name: rest, webhook_configs: [{url: '" + w.URL + "/rest'}]}\n" + list.String()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// follow waits until each fault was told, mends it then, waits until it was cleared, and
// checks that nothing else was told of it.
func follow(t *testing.T, w *testkit.Told, b *table, faults ...*fault) {
	t.Helper()
	recovered := map[*fault]time.Time{}
	done := map[*fault]bool{}
	testkit.Eventually(t, 35*time.Minute, "all faults are told and cleared", func() error {
		var waits []string
		for _, f := range faults {
			if done[f] {
				continue
			}
			is := w.Episodes(func(e *testkit.Episode) bool { return e.Rule == f.rule && f.of(e) && !e.Told.IsZero() })
			all := w.Episodes(f.of)
			switch at := recovered[f]; {
			case len(is) == 0:
			case at.IsZero():
				f.told = is[0].Told.Sub(f.happened)
				recovered[f] = f.recover()
			case !slices.ContainsFunc(all, func(e testkit.Episode) bool { return e.Cleared.IsZero() }):
				f.cleared = is[len(is)-1].Cleared.Sub(at)
				done[f] = true
				b.add(*f)
				t.Logf("%s: %s after %.1f s, cleared after %.1f s", f.name, f.rule, f.told.Seconds(), f.cleared.Seconds())
				if len(is) != 1 {
					t.Errorf("%s: told %d times: %s", f.name, len(is), said(all))
				}
				for _, e := range all {
					if e.Rule != f.rule && !strings.Contains(f.stages, e.Rule) {
						t.Errorf("%s: told %s too: %s", f.name, e.Rule, e.Annotations["summary"])
					}
				}
				continue
			}
			waits = append(waits, f.name+": "+said(all))
		}
		if len(waits) > 0 {
			return fmt.Errorf("%s", strings.Join(waits, "; "))
		}
		return nil
	})
}

func said(list []testkit.Episode) string {
	var out []string
	for _, e := range list {
		text := e.Rule + " firing"
		if !e.Cleared.IsZero() {
			text = e.Rule + " resolved"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// The bad day of docs/alarms.md at length: twenty-two faults, of each of which the right
// alarm is told once, and cleared. Rules over samples whose wait is more than five minutes, or
// as long, have a shorter one here; what they look at, and how long an alarm is kept,
// is as it comes. The table in the log says how long each took.
func TestBadDayAtLength(t *testing.T) {
	atLength(t)
	b := &table{}
	t.Run("faults", func(t *testing.T) {
		t.Run("containers", func(t *testing.T) { badContainers(t, b) })
		t.Run("engine", func(t *testing.T) { badEngine(t, b) })
		t.Run("disk", func(t *testing.T) { badDisk(t, b) })
	})
	t.Logf("%d faults:\n%s", len(b.rows), b)
}

// badContainers are the faults of containers and of the host.
func badContainers(t *testing.T, b *table) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := testkit.NewTold(t)
	disk := testkit.SmallDisk(t, 64)
	device, err := testkit.Run(10*time.Second, nil, "findmnt", "-n", "-o", "SOURCE", disk)
	if err != nil {
		t.Fatal(device)
	}
	// Services are not watched yet, so a rule stands for the certificate: it has ten days, and
	// another eighty as soon as there is a container of that name.
	rules := filepath.Join(t.TempDir(), "certificate.yaml")
	const instance = "https://bad-day.example"
	text := fmt.Sprintf("groups:\n- name: certificate\n  interval: 10s\n  rules:\n  - record: probe_ssl_earliest_cert_expiry\n    expr: time() + 86400 * (10 + 80 * (count(container_last_seen{name=%q}) or vector(0)))\n    labels: {host: %s, workload: shop/web/1, instance: %q}\n",
		d.Name("renewed"), hostname(t), instance)
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.alertmanager_config="+receivers(t, w), "--set", "alarms.rules_files="+rules,
		"--set", "alarms.rules={ContainerMemoryNearLimit: {for: 30s}, ContainerCPUThrottled: {for: 30s}, HostDiskAlmostFull: {for: 30s}, CertificateExpires: {for: 30s}}")

	var faults []*fault
	project := func(name string) string { return fmt.Sprintf("k%d-%s", len(faults)%10, d.Name(name)) }
	remove := func(name string) func() time.Time {
		return func() time.Time {
			d.Cmd("rm", "-f", d.Name(name))
			return time.Now()
		}
	}
	// start makes a service, of which the workload is its own, and prepares the fault; what
	// is not said is put right by who starts it.
	start := func(name, text, rule string, more []string, argv ...string) *fault {
		t.Helper()
		options, workload := testkit.Service(d.Name(name), project(name))
		f := &fault{name: text, rule: rule, of: func(e *testkit.Episode) bool { return e.Workload == workload }, recover: remove(name)}
		faults = append(faults, f)
		d.Start(append(options, more...), argv...)
		f.happened = time.Now()
		return f
	}
	words := func(name, script string) []string {
		return []string{"sh", "-c", "echo first words of " + name + "; sleep 4; echo error: last words of " + name + " >&2; " + script}
	}
	// Those that die have said something.
	start("plain", "exit 3 without policy", "ContainerCrashed", nil, words("plain", "exit 3")...)
	f := start("once", "exit 3 with policy, then well", "ContainerCrashed", []string{"--restart", "always"}, "sh", "-c", "test -e /tmp/again && exec sleep 3600; touch /tmp/again; sleep 4; exit 3")
	f.recover = func() time.Time { return started(t, d, "once") }
	f = start("oom", "killed for want of memory", "ContainerOOMKilled", []string{"-m", "8m", "--memory-swap", "8m", "--restart", "always"},
		"sh", "-c", "test -e /tmp/again && exec sleep 3600; touch /tmp/again; echo last words of oom; sleep 4; x=y; while :; do x=$x$x; done")
	f.recover = func() time.Time { return started(t, d, "oom") }
	start("child", "a child killed for want of memory", "ContainerOOMInside", []string{"-m", "8m", "--memory-swap", "8m"}, "sh", "-c", "sleep 4; (x=y; while :; do x=$x$x; done); sleep 3600")
	start("loop", "loop with exit 1", "ContainerRestartLoop", []string{"--restart", "always"}, "sh", "-c", "echo last words of loop; sleep 0.2; exit 1")
	start("loop-zero", "loop with exit 0", "ContainerRestartLoop", []string{"--restart", "always"}, "sh", "-c", "sleep 0.2; exit 0")
	start("loop-slow", "loop with a life of 40 s", "ContainerRestartLoop", []string{"--restart", "always"}, "sh", "-c", "sleep 40; exit 1").stages = "ContainerCrashed"
	reloaded := start("reloaded", "HUP, then a crash", "ContainerCrashed", nil, "sh", "-c", "trap 'echo last words of reloaded; sleep 2; exit 5' HUP; while :; do sleep 3600 & wait; done")
	killed := start("killed", "kill -9 from the host", "ContainerCrashed", nil, "sh", "-c", "echo last words of killed; sleep 3600")
	sick := start("sick", "unhealthy, flapping, healthy", "ContainerUnhealthy", []string{"--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1"}, "sleep", "3600")
	sick.recover = func() time.Time { return flaps(t, d, "sick") }
	paused := start("paused", "paused for six minutes", "ContainerPaused", nil, "sleep", "3600")
	paused.recover = func() time.Time {
		d.Cmd("unpause", d.Name("paused"))
		return time.Now()
	}
	start("gave-up", "gave up after two starts", "ContainerNotRunning", []string{"--restart", "on-failure:2"}, words("gave-up", "exit 1")...).stages = "ContainerCrashed"
	start("memory", "92 % anonymous memory", "ContainerMemoryNearLimit", []string{"-m", "64m", "--memory-swap", "64m"}, "sh", "-c", "(head -c 62500000 /dev/zero; sleep 3600) | tail")
	start("throttled", "held back by its CPU limit", "ContainerCPUThrottled", []string{"--cpus", "0.05"}, "sh", "-c", "while :; do :; done")
	start("burst", "a burst of errors in a log", "LogErrorBurst", nil, "sh", "-c", "sleep 4; i=0; while [ $i -lt 60 ]; do echo level=error msg=refused; i=$((i+1)); done; sleep 3600")

	// Two that cannot be started.
	fails := func(name, text string, argv ...string) {
		options, workload := testkit.Service(d.Name(name), project(name))
		faults = append(faults, &fault{name: text, rule: "ContainerNotStarted", of: func(e *testkit.Episode) bool { return e.Workload == workload }, recover: remove(name), happened: time.Now()})
		if out, err := d.May(append(append([]string{"run", "-d", "--label", d.Label, "--restart", "always"}, options...), argv...)...); err == nil {
			t.Fatalf("%s was started: %s", name, out)
		}
	}
	fails("no-command", "command not found", testkit.Image, "no-such-command")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	fails("port", "port taken", "-p", taken.Addr().String()+":80", testkit.Image, "sleep", "3600")

	known(t, p, d.Name("killed"), d.Name("reloaded"), d.Name("paused"))
	pid := strings.TrimSpace(d.Cmd("inspect", "-f", "{{.State.Pid}}", d.Name("killed")))
	if out, err := testkit.Run(10*time.Second, nil, "kill", "-9", pid); err != nil {
		t.Fatal(out)
	}
	killed.happened = time.Now()
	d.Cmd("kill", "-s", "HUP", d.Name("reloaded"))
	reloaded.happened = time.Now().Add(2 * time.Second)
	d.Pause(d.Name("paused"))
	paused.happened = time.Now()
	if device != "tmpfs" {
		fill(t, disk+"/full")
		faults = append(faults, &fault{name: "a disk that fills", rule: "HostDiskAlmostFull", of: func(e *testkit.Episode) bool { return e.Labels["device"] == device }, happened: time.Now(),
			recover: func() time.Time {
				if err := os.Remove(disk + "/full"); err != nil {
					t.Error(err)
				}
				return time.Now()
			}})
	} else {
		t.Log("no ext4 in a file: a disk that fills is left out")
	}
	faults = append(faults, &fault{name: "a certificate with ten days", rule: "CertificateExpires", of: func(e *testkit.Episode) bool { return e.Labels["instance"] == instance }, happened: time.Now(),
		recover: func() time.Time {
			d.Start([]string{"--name", d.Name("renewed")}, "sleep", "3600")
			return time.Now()
		}})
	// Deaths are measured from the time that the engine has for them.
	testkit.Eventually(t, time.Minute, "they have died", func() error {
		for _, name := range []string{"plain", "killed"} {
			if at := finished(t, d, name); at.IsZero() {
				return fmt.Errorf("%s has not", name)
			}
		}
		return nil
	})
	faults[0].happened, killed.happened = finished(t, d, "plain"), finished(t, d, "killed")

	follow(t, w, b, faults...)
	if bad := w.Bad(); bad != "" {
		t.Errorf("a message that is none of Alertmanager's: %s", bad)
	}
}

// started is when a container was started last.
func started(t *testing.T, d *testkit.Docker, name string) time.Time {
	t.Helper()
	return moment(t, d, name, "{{.State.StartedAt}}")
}

// finished is when a container ended last, zero when it has not.
func finished(t *testing.T, d *testkit.Docker, name string) time.Time {
	t.Helper()
	return moment(t, d, name, "{{.State.FinishedAt}}")
}

func moment(t *testing.T, d *testkit.Docker, name, of string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(d.Cmd("inspect", "-f", of, d.Name(name))))
	if err != nil {
		t.Fatal(err)
	}
	if at.Year() < 2000 {
		return time.Time{}
	}
	return at
}

// flaps turns a health check well and bad three times, and leaves it well.
func flaps(t *testing.T, d *testkit.Docker, name string) time.Time {
	t.Helper()
	for turn := range 7 {
		want, do := "healthy", "touch"
		if turn%2 == 1 {
			want, do = "unhealthy", "rm"
		}
		d.Cmd("exec", d.Name(name), "/bin/busybox", do, "/tmp/well")
		testkit.Eventually(t, time.Minute, name+" is "+want, func() error {
			if got := strings.TrimSpace(d.Cmd("inspect", "-f", "{{.State.Health.Status}}", d.Name(name))); got != want {
				return fmt.Errorf("it is %s", got)
			}
			return nil
		})
	}
	return time.Now()
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// badEngine kills an engine for 90 s. What it loses at that, since dockerd takes its
// own kill at the start for one that somebody asked for, is a fault of its own.
func badEngine(t *testing.T, b *table) {
	t.Parallel()
	e := testkit.NewEngine(t)
	w := testkit.NewTold(t)
	file := filepath.Join(t.TempDir(), "tallyman.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "engines:\n  - {name: pier, address: %q}\nalarms: {notify: [%q], rules: {HostOOM: off}}\n", e.Socket, w.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--config", file, "--interval", "1s")
	options, workload := testkit.Service(e.Name("lost"), e.Name("lost"))
	e.Start(append(options, "--restart", "unless-stopped"), "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done")
	e.Start([]string{"--name", e.Name("back"), "--restart", "always"}, handles...)
	known(t, p, e.Name("lost"), e.Name("back"))

	e.Kill()
	killed := time.Now()
	down := fault{name: "engine killed for 90 s", rule: "EngineDown", of: func(e *testkit.Episode) bool { return e.Labels["engine"] == "pier" }, happened: killed}
	var again time.Time
	down.recover = func() time.Time {
		time.Sleep(time.Until(killed.Add(90 * time.Second))) // as the fault says
		e.Run()
		again = time.Now()
		return again
	}
	follow(t, w, b, &down)
	if down.told > 75*time.Second || down.cleared > 125*time.Second {
		t.Errorf("the engine: told after %v, cleared after %v; want 75 s and 125 s at most", down.told, down.cleared)
	}
	if state := strings.TrimSpace(e.Cmd("inspect", "-f", "{{.State.Status}}", e.Name("lost"))); state == "running" {
		t.Logf("this engine starts again what its kill ended; nothing was lost")
	} else {
		lost := fault{name: "unless-stopped lost by a killed engine", rule: "ContainerNotRunning", of: func(e *testkit.Episode) bool { return e.Workload == workload }, happened: again}
		lost.recover = func() time.Time {
			e.Cmd("start", e.Name("lost"))
			return time.Now()
		}
		follow(t, w, b, &lost)
	}
	if got := w.Of(e.Name("back")); got != "" {
		t.Errorf("of the container that is back: %s", got)
	}
}

// badDisk fills the disk with tallyman's data.
func badDisk(t *testing.T, b *table) {
	t.Parallel()
	e := testkit.NewEngine(t)
	disk := testkit.SmallDisk(t, 128)
	w := testkit.NewTold(t)
	data := disk + "/data"
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, data, "--docker-host", e.Socket, "--interval", "1s", "--set", "alarms.notify="+w.URL)
	e.Start([]string{"--name", e.Name("busy")}, "sleep", "3600")
	known(t, p, e.Name("busy"))
	f := fault{name: "tallyman's data directory full", rule: "TallymanDiskFull", of: func(e *testkit.Episode) bool { return strings.HasPrefix(e.Rule, "Tallyman") }, happened: time.Now()}
	fill(t, disk+"/full")
	f.recover = func() time.Time {
		if err := os.Remove(disk + "/full"); err != nil {
			t.Error(err)
		}
		return time.Now()
	}
	follow(t, w, b, &f)
}

// How soon a death is told, and that it has cleared: of 32 deaths, the 99th of a hundred. What
// the reason of each says is right: its last words, its figures, what was changed before
// and which sibling died first; with lines of 1 MiB it is not longer than 16 KiB.
func TestDeathsAreToldSoon(t *testing.T) {
	atLength(t)
	d := testkit.NewDocker(t)
	w := testkit.NewTold(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.alertmanager_config="+receivers(t, w))
	const deaths = 32
	workloads := make([]string, deaths)
	name := func(i int) string { return fmt.Sprint("death-", i) }
	for i := range deaths {
		project := fmt.Sprintf("k%d-%s", i%10, d.Name(name(i)))
		if i == 1 { // a sibling of 0, which dies after it
			project = fmt.Sprintf("k%d-%s", 0, d.Name(name(0)))
		}
		var options []string
		options, workloads[i] = testkit.Service(d.Name(name(i)), project)
		if i == 1 {
			options, workloads[i] = append(options, "--label", "com.docker.compose.service=api"), project+"/api/1"
		}
		script := fmt.Sprintf("while ! test -e /tmp/go; do sleep 0.1; done; echo error: last words of %d >&2; exit 3", i)
		if i == 2 { // three lines of a MiB
			script = "while ! test -e /tmp/go; do sleep 0.1; done; for i in 1 2 3; do head -c 1048575 /dev/zero | /bin/busybox tr '\\0' x; echo; done; echo error: last words of 2 >&2; exit 3"
		}
		d.Start(append(options, "-m", "32m", "--memory-swap", "32m"), "sh", "-c", script)
	}
	for i := range deaths {
		known(t, p, d.Name(name(i)))
	}
	lasted(t, p, "there are figures of all", fmt.Sprintf(`count(container_memory_working_set_bytes{name=~"tallyman-test-death-.*%s"}) >= bool %d`, d.Label[strings.LastIndexByte(d.Label, '-')+1:], deaths), "10s")
	d.Cmd("update", "--memory", "48m", "--memory-swap", "48m", d.Name(name(3)))
	lasted(t, p, "its new limit is known", fmt.Sprintf(`container_spec_memory_limit_bytes{name=%q} == bool %d`, d.Name(name(3)), 48<<20), "15s")
	for i := range deaths {
		d.Cmd("exec", d.Name(name(i)), "/bin/busybox", "touch", "/tmp/go")
		testkit.Eventually(t, 30*time.Second, "it dies", func() error {
			if finished(t, d, name(i)).IsZero() {
				return fmt.Errorf("%s lives", name(i))
			}
			return nil
		})
	}
	var told []time.Duration
	for i := range deaths {
		testkit.Eventually(t, time.Minute, workloads[i]+" is told", func() error {
			if got := w.Of(workloads[i]); got != "ContainerCrashed firing" {
				return fmt.Errorf("told %q", got)
			}
			return nil
		})
		e := w.Episodes(func(e *testkit.Episode) bool { return e.Workload == workloads[i] })[0]
		told = append(told, e.Told.Sub(finished(t, d, name(i))))
	}
	slices.Sort(told)
	at := func(list []time.Duration, part float64) time.Duration {
		return list[int(part*float64(len(list)-1)+0.999)]
	}
	t.Logf("%d deaths: told after %.1f s in the middle, %.1f s for 99 of 100, %.1f s at most", deaths, at(told, 0.5).Seconds(), at(told, 0.99).Seconds(), told[len(told)-1].Seconds())
	if p99 := at(told, 0.99); p99 > 12*time.Second*time.Duration(testkit.Slow()) {
		t.Errorf("99 of 100 are told after %v, want 12 s", p99)
	}

	for i := range deaths {
		status, body := p.Get("/api/tallyman/v1/why?container=" + url.QueryEscape(d.Name(name(i))))
		var a struct {
			Why struct {
				Guess  string
				Exit   struct{ Code *int }
				Lines  []struct{ Text string }
				Before []struct {
					Name      string
					Max, Last float64
					Limit     *float64
				}
				Change   *struct{ Text string }
				Siblings []struct {
					Workload string
					Project  bool
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &a); status != http.StatusOK || err != nil {
			t.Fatalf("why of %d: %d %v %s", i, status, err, body)
		}
		y := a.Why
		if len(body) > 16<<10 {
			t.Errorf("why of %d has %d bytes", i, len(body))
		}
		if y.Exit.Code == nil || *y.Exit.Code != 3 {
			t.Errorf("why of %d: exit %v, want 3", i, y.Exit.Code)
		}
		if n := len(y.Lines); n == 0 || !strings.HasSuffix(y.Lines[n-1].Text, "last words of "+strconv.Itoa(i)) {
			t.Errorf("why of %d: its last line is not there: %.300v", i, y.Lines)
		}
		limit := 32.0
		if i == 3 {
			limit = 48
		}
		if j := slices.IndexFunc(y.Before, func(f struct {
			Name      string
			Max, Last float64
			Limit     *float64
		}) bool {
			return f.Name == "memory"
		}); j < 0 || y.Before[j].Limit == nil || *y.Before[j].Limit != limit*1024*1024 || y.Before[j].Max <= 0 || y.Before[j].Max > limit*1024*1024 {
			t.Errorf("why of %d: its memory is %+v, want a limit of %v MiB", i, y.Before, limit)
		}
		if (y.Change != nil) != (i == 3) {
			t.Errorf("why of %d: the change is %+v", i, y.Change)
		}
		if i == 1 && (!strings.Contains(y.Guess, workloads[0]) || !slices.ContainsFunc(y.Siblings, func(s struct {
			Workload string
			Project  bool
		}) bool {
			return s.Workload == workloads[0] && s.Project
		})) {
			t.Errorf("why of the sibling: %q, %+v", y.Guess, y.Siblings)
		}
	}

	// Removed they clear.
	var cleared []time.Duration
	gone := map[string]time.Time{}
	for i := range deaths {
		d.Cmd("rm", "-f", d.Name(name(i)))
		gone[workloads[i]] = time.Now()
	}
	for i := range deaths {
		testkit.Eventually(t, 3*time.Minute, workloads[i]+" is cleared", func() error {
			if got := w.Of(workloads[i]); got != "ContainerCrashed firing, ContainerCrashed resolved" {
				return fmt.Errorf("told %q", got)
			}
			return nil
		})
		e := w.Episodes(func(e *testkit.Episode) bool { return e.Workload == workloads[i] })[0]
		cleared = append(cleared, e.Cleared.Sub(gone[workloads[i]]))
	}
	slices.Sort(cleared)
	t.Logf("cleared %.1f s after the removal in the middle, %.1f s at most", at(cleared, 0.5).Seconds(), cleared[len(cleared)-1].Seconds())
	if most := cleared[len(cleared)-1]; most > 125*time.Second*time.Duration(testkit.Slow()) {
		t.Errorf("cleared after %v, want 125 s", most)
	}
}
