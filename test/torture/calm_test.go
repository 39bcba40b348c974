// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// atLength skips what takes many minutes, unless make torture asks for it.
func atLength(t *testing.T) {
	t.Helper()
	if !long() {
		t.Skip("it takes many minutes; make torture runs it, and a short form is in test/integration")
	}
	t.Parallel()
}

// handles ends when it is told to, deaf does not.
var (
	handles = []string{"sh", "-c", "trap 'exit 143' TERM; while :; do sleep 3600 & wait; done"}
	deaf    = []string{"sh", "-c", "trap '' TERM; exec sleep 3600"}
)

// quiet checks that nothing was told of a test's own containers, nor of tallyman or an
// engine. What else happens on the machine, as in tests beside this one, is not its business.
func quiet(t *testing.T, w *testkit.Told, mine string) {
	t.Helper()
	for _, e := range w.Episodes(func(*testkit.Episode) bool { return true }) {
		if strings.Contains(e.Workload, mine) || strings.HasPrefix(e.Rule, "Engine") || strings.HasPrefix(e.Rule, "Tallyman") {
			t.Errorf("told %s of %s%s: %s", e.Rule, e.Workload, e.Labels["engine"], e.Annotations["summary"])
		} else {
			t.Logf("beside the test: %s of %s%s", e.Rule, e.Host, e.Workload)
		}
	}
	if bad := w.Bad(); bad != "" {
		t.Errorf("a message that is none of Alertmanager's: %s", bad)
	}
}

// proof crashes a container, and waits until that is told: who hears that has heard all
// before.
func proof(t *testing.T, d *testkit.Docker, w *testkit.Told) {
	t.Helper()
	name := "proof-" + d.Name("")
	options, workload := testkit.Service(name, name)
	d.Start(options, "sh", "-c", "sleep 1; exit 3")
	testkit.Eventually(t, 2*time.Minute, "a crash is told", func() error {
		if got := w.Of(workload); got != "ContainerCrashed firing" {
			return fmt.Errorf("told %q", got)
		}
		return nil
	})
	w.Forget(workload)
}

// known waits until tallyman has numbers of containers.
func known(t *testing.T, p *testkit.Program, names ...string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, "all are known", func() error {
		for _, name := range names {
			if len(p.Query(`container_last_seen{name="`+name+`"}`)) == 0 {
				return fmt.Errorf("%s is not", name)
			}
		}
		return nil
	})
}

// lasted waits until something has been so at each second of a time, as tallyman saw it
// once a second.
func lasted(t *testing.T, p *testkit.Program, what, condition, span string) {
	t.Helper()
	seconds, err := time.ParseDuration(span)
	if err != nil {
		t.Fatal(err)
	}
	expr := fmt.Sprintf("min_over_time((%s)[%s:1s]) == 1 and count_over_time((%s)[%s:1s]) >= %d", condition, span, condition, span, int(seconds.Seconds())-5)
	testkit.Eventually(t, 10*time.Minute, what, func() error {
		if len(p.Query(expr)) == 0 {
			return fmt.Errorf("not yet: %v", p.Query(condition))
		}
		time.Sleep(time.Second) // the question costs more than most
		return nil
	})
}

// compose is the command for Compose, nil where there is none.
func compose() []string {
	if _, err := testkit.Run(20*time.Second, nil, "docker", "compose", "version"); err == nil {
		return []string{"docker", "compose"}
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		return []string{"docker-compose"}
	}
	return nil
}

// upAndDown has a project come and go, and come with another configuration between. Without
// Compose the same is done by hand: the labels and the order of what is asked of the engine
// are Compose's.
func upAndDown(t *testing.T, d *testkit.Docker, p *testkit.Program, project string) {
	t.Helper()
	names := []string{project + "-db-1", project + "-web-1"}
	argv := compose()
	if argv == nil {
		t.Log("no docker-compose: its labels and calls are made by hand")
		up := func(name, service, memory string) {
			d.Start([]string{"--name", name, "--restart", "unless-stopped", "-m", memory, "--label", "com.docker.compose.project=" + project,
				"--label", "com.docker.compose.service=" + service, "--label", "com.docker.compose.container-number=1", "--label", "com.docker.compose.oneoff=False"}, handles...)
		}
		up(names[0], "db", "64m")
		up(names[1], "web", "64m")
		known(t, p, names...)
		d.Cmd("stop", "-t", "1", names[1])
		d.Cmd("rm", names[1])
		up(names[1], "web", "32m")
		known(t, p, names...)
		d.Cmd("stop", "-t", "1", names[1])
		d.Cmd("stop", "-t", "1", names[0])
		d.Cmd("rm", names[1], names[0])
		return
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	key, value, _ := strings.Cut(d.Label, "=")
	run := func(memory string, args ...string) {
		t.Helper()
		var b strings.Builder
		b.WriteString("version: \"2.4\"\nservices:\n")
		for _, service := range []string{"db", "web"} {
			fmt.Fprintf(&b, "  %s:\n    image: %s\n    restart: unless-stopped\n    mem_limit: %s\n    container_name: %s-%s-1\n    network_mode: none\n    labels: {%s: %q}\n    command: [sh, -c, \"trap 'exit 143' TERM; while :; do sleep 3600 & wait; done\"]\n",
				service, testkit.Image, memory, project, service, key, value)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := testkit.Run(3*time.Minute, nil, append(append(argv, "-p", project, "-f", file), args...)...); err != nil {
			t.Fatalf("%s %s: %v\n%s", strings.Join(argv, " "), strings.Join(args, " "), err, out)
		}
	}
	run("64m", "up", "-d")
	known(t, p, names...)
	run("32m", "up", "-d", "-t", "2") // made anew
	known(t, p, names...)
	run("32m", "down", "-t", "2")
}

// The calm day of docs/alarms.md at length: sixteen things that people and engines do, none
// of which anybody is told of. What would be told at once has had its time when a crash
// that comes later was told. Rules over samples have a shorter wait than they come with
// where that makes them quicker to tell.
func TestCalmDayAtLength(t *testing.T) {
	atLength(t)
	t.Run("one engine", calmContainers)
	t.Run("engines that restart", calmRestarts)
	t.Run("a host that boots", calmBoot)
}

func calmContainers(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	w := testkit.NewTold(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.notify="+w.URL, "--set", "alarms.rules={ContainerMemoryNearLimit: {for: 30s}, ContainerMemoryStalls: {for: 30s}}")
	mine := d.Label[strings.LastIndexByte(d.Label, '-')+1:]
	always := func(name string, more ...string) []string {
		return append([]string{"--name", d.Name(name), "--restart", "always"}, more...)
	}
	d.Start(always("stops"), handles...)
	d.Start(always("deaf"), deaf...)
	d.Start(always("restarts"), handles...)
	updated, _ := testkit.Service(d.Name("updated"), d.Name("updated"))
	d.Start(append(updated, "--restart", "always"), handles...)
	d.Start(always("removed"), deaf...)
	d.Start(always("reloads"), "sh", "-c", "trap 'true' HUP; while :; do sleep 3600 & wait; done")
	d.Start(always("pauses"), handles...)
	d.Start(always("limited"), handles...)
	d.Start(always("checked", "--health-cmd", "test -e /tmp/up", "--health-interval", "2s", "--health-start-period", "20s", "--health-retries", "1"),
		"sh", "-c", "sleep 18; touch /tmp/up; while :; do sleep 3600 & wait; done")
	// A backup reads and writes more than its memory, so that the page cache takes all of it.
	volume := t.TempDir()
	d.Start(always("backup", "-m", "48m", "--memory-swap", "48m", "-v", volume+":/data"),
		"sh", "-c", "while :; do dd if=/dev/zero of=/data/f bs=64k count=1600 conv=notrunc; cat /data/f >/dev/null; done")
	known(t, p, d.Name("stops"), d.Name("deaf"), d.Name("restarts"), d.Name("updated"), d.Name("removed"), d.Name("reloads"), d.Name("pauses"), d.Name("limited"), d.Name("checked"), d.Name("backup"))

	d.Pause(d.Name("pauses"))
	paused := time.Now()
	d.Cmd("stop", d.Name("stops"))
	d.Cmd("stop", "-t", "2", d.Name("deaf"))
	d.Cmd("restart", "-t", "2", d.Name("restarts"))
	upAndDown(t, d, p, "calm-"+mine)
	// An update takes the container away, and makes one of the new image under its name.
	image := strings.ToLower(d.Name("image")) + ":2"
	d.Cmd("commit", d.Name("updated"), image)
	t.Cleanup(func() { _, _ = d.May("rmi", "-f", image) })
	d.Cmd("stop", "-t", "2", d.Name("updated"))
	d.Cmd("rm", d.Name("updated"))
	d.Cmd(append(append([]string{"run", "-d", "--label", d.Label, "--restart", "always"}, updated...), append([]string{image}, handles...)...)...)
	d.Cmd("rm", "-f", d.Name("removed"))
	d.Cmd("kill", "-s", "HUP", d.Name("reloads"))
	d.Cmd("update", "--memory", "64m", "--memory-swap", "64m", d.Name("limited"))

	// Three hundred jobs, four at a time, with any exit code.
	jobs := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for range 4 {
		wg.Go(func() {
			for i := range jobs {
				_, err := d.May("run", "--rm", "--network", "none", "--name", d.Name(fmt.Sprint("job-", i)), "--label", d.Label, testkit.Image, "sh", "-c", fmt.Sprintf("exit %d", rand.IntN(256)))
				mu.Lock()
				if err != nil {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	for i := range 300 {
		if !paused.IsZero() && time.Since(paused) > 30*time.Second {
			d.Cmd("unpause", d.Name("pauses"))
			paused = time.Time{}
		}
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	if !paused.IsZero() {
		d.Cmd("unpause", d.Name("pauses"))
	}
	t.Logf("of 300 jobs %d failed", failed)
	testkit.Eventually(t, 2*time.Minute, "the checked one is healthy", func() error {
		if out := d.Cmd("inspect", "-f", "{{.State.Health.Status}}", d.Name("checked")); out != "healthy" {
			return fmt.Errorf("it is %s", out)
		}
		return nil
	})
	lasted(t, p, "the backup has filled its memory with files", `container_memory_usage_bytes{name="`+d.Name("backup")+`"} > bool 0.93 * 48 * 1024 * 1024`, "120s")
	proof(t, d, w)
	quiet(t, w, mine)
}

// calmRestarts restarts one engine as systemd does, which takes its containers along,
// and one that leaves them alive.
func calmRestarts(t *testing.T) {
	t.Parallel()
	plain, live := testkit.NewEngine(t), testkit.NewEngine(t, "--live-restore")
	w := testkit.NewTold(t)
	file := filepath.Join(t.TempDir(), "tallyman.yaml")
	text := fmt.Sprintf("engines:\n  - {name: plain, address: %q}\n  - {name: live, address: %q}\nalarms: {notify: [%q]}\n", plain.Socket, live.Socket, w.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--config", file, "--interval", "1s")
	for _, e := range []*testkit.Engine{plain, live} {
		for name, options := range restartable(e) {
			e.Start(append(options, "--name", e.Name(name)), containersOf(name)...)
			known(t, p, e.Name(name))
		}
	}
	for _, e := range []*testkit.Engine{plain, live} {
		e.Halt()
		e.Run()
	}
	// What an engine has not started again is told when it has answered for two minutes.
	for _, name := range []string{"plain", "live"} {
		lasted(t, p, "the engine has answered for long", `docker_up{engine="`+name+`"}`, "150s")
	}
	proof(t, plain.Docker, w)
	proof(t, live.Docker, w)
	quiet(t, w, "tallyman-test-")
}

// restartable are options of containers by name, with each policy.
func restartable(e *testkit.Engine) map[string][]string {
	return map[string][]string{
		"always": {"--restart", "always"}, "unless": {"--restart", "unless-stopped"}, "failure": {"--restart", "on-failure"}, "never": nil, "deaf": {"--restart", "always", "--stop-timeout", "2"},
	}
}

func containersOf(name string) []string {
	if name == "deaf" {
		return deaf
	}
	return handles
}

var bootLine = regexp.MustCompile(`(?m)^btime \d+$`)

// calmBoot has a host boot. What stands for it: tallyman, the engine and all processes of
// containers are killed at one moment, and when they are started again tallyman is shown
// a /proc/stat that says that the machine was started since. It finds deaths that nobody
// saw, with 137 or 255, before or after that time.
func calmBoot(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t)
	w := testkit.NewTold(t)
	data := testkit.DataDir(t)
	args := []string{"--docker-host", e.Socket, "--interval", "1s", "--set", "alarms.notify=" + w.URL}
	p := testkit.StartProgram(t, data, args...)
	for name, options := range restartable(e) {
		e.Start(append(options, "--name", e.Name(name)), containersOf(name)...)
		known(t, p, e.Name(name))
	}
	p.Kill()
	e.PowerCut()
	booted := time.Now().Add(time.Second)
	stat := filepath.Join(t.TempDir(), "stat")
	if err := os.WriteFile(stat, bootLine.ReplaceAll([]byte(testkit.ReadText(t, "/proc/stat")), fmt.Appendf(nil, "btime %d", booted.Unix())), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(booted))
	e.Run()
	p = testkit.StartProgramVia(t, []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /proc/stat && exec "$@"`, stat}, data, args...)
	if got := p.One("node_boot_time_seconds")[0].Value; int64(got) != booted.Unix() {
		t.Fatalf("it was started at %v, want %d", got, booted.Unix())
	}
	for _, name := range []string{"always", "unless", "deaf"} {
		known(t, p, e.Name(name))
	}
	lasted(t, p, "the engine has answered for long", "docker_up", "150s")
	proof(t, e.Docker, w)
	quiet(t, w, "tallyman-test-")
}
