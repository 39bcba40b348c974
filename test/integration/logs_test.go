// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// selector is the log of one container.
func selector(id string) string {
	return `{source="container"} | container_id="` + id + `"`
}

// sequence checks that the lines "<number> …" are 1 to n, each once and in order.
func sequence(t *testing.T, p *testkit.Program, id string, n int) {
	t.Helper()
	testkit.Eventually(t, 60*time.Second, "all lines are stored", func() error {
		if got := p.Count(selector(id)); got != n {
			return fmt.Errorf("%d lines of %d", got, n)
		}
		return nil
	})
	lines := p.Lines(selector(id))
	if len(lines) != n {
		t.Fatalf("%d different lines, want %d", len(lines), n)
	}
	for i, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		if got, err := strconv.Atoi(word); err != nil || got != i+1 {
			t.Fatalf("line %d is %.80q", i+1, line)
		}
	}
}

// counting writes the lines 1 to n as fast as the shell can.
func counting(n int) []string {
	return []string{"sh", "-c", fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); echo "$i of some length so that files fill up and rotate away"; done; sleep 600`, n)}
}

// Every driver that leaves a file, with and without rotation; what was there
// before and what comes while it runs.
func TestLogsOfEveryDriver(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	const n = 40_000 // 5 MB: some rotations of 1 MB
	options := map[string][]string{
		"json-file":                        {"--log-driver", "json-file"},
		"json-file rotated":                {"--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=10"},
		"json-file rotated and compressed": {"--log-driver", "json-file", "--log-opt", "max-size=1m", "--log-opt", "max-file=10", "--log-opt", "compress=true"},
		"json-file with labels":            {"--log-driver", "json-file", "--log-opt", "labels=team", "--label", `team="time":"x"`},
		"local":                            {"--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-file=10"},
		"local without compression":        {"--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-file=10", "--log-opt", "compress=false"},
		"syslog, of which a copy is kept":  {"--log-driver", "syslog", "--log-opt", "syslog-address=udp://127.0.0.1:5514", "--log-opt", "cache-max-size=50m"},
	}
	before := map[string]string{}
	for name, o := range options {
		before[name] = d.Start(o, counting(n)...)
	}
	none := d.Start([]string{"--log-driver", "none"}, "sh", "-c", "echo 1; sleep 600")
	for _, id := range before {
		testkit.Eventually(t, 60*time.Second, "it has written", func() error {
			out, err := d.May("logs", "--tail", "1", id)
			if err != nil || !strings.HasPrefix(out, fmt.Sprint(n)) {
				return fmt.Errorf("%s %v", out, err)
			}
			return nil
		})
	}
	p := testkit.StartProgram(t, testkit.DataDir(t))
	for name, id := range before {
		t.Run("before: "+name, func(t *testing.T) { sequence(t, p, id, n) })
	}
	for name, o := range options {
		t.Run("while it runs: "+name, func(t *testing.T) { sequence(t, p, d.Start(o, counting(n)...), n) })
	}
	if a := absences(p, none)["log"]; !strings.Contains(a.Reason, "none") {
		t.Errorf("a container without a log: %+v", a)
	}
}

// A container that writes at full speed over rotations that keep little.
func TestLogsThatRotateUnderLoad(t *testing.T) {
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))
	const n = 200_000
	for _, files := range []int{1, 2, 5} {
		t.Run(fmt.Sprint("max-file ", files), func(t *testing.T) {
			id := d.Start([]string{"--log-opt", "max-size=1m", "--log-opt", fmt.Sprint("max-file=", files)}, counting(n)...)
			testkit.Eventually(t, 60*time.Second, "it has written", func() error {
				if out, _ := d.May("logs", "--tail", "1", id); !strings.HasPrefix(out, fmt.Sprint(n)) {
					return fmt.Errorf("%s", out)
				}
				return nil
			})
			var got, gaps int
			testkit.Eventually(t, 20*time.Second, "the last line is stored", func() error {
				if last := p.Count(selector(id) + fmt.Sprintf(` |~ "^%d of"`, n)); last != 1 {
					return fmt.Errorf("the last line is there %d times", last)
				}
				got, gaps = p.Count(selector(id)+` !~ "^tallyman: "`), p.Count(selector(id)+` | tallyman_gap != ""`)
				return nil
			})
			different := map[string]bool{}
			for _, l := range p.Lines(selector(id) + ` !~ "^tallyman: "`) {
				different[l] = true
			}
			t.Logf("max-file %d: %d of %d lines, %d twice, %d gaps", files, len(different), n, got-len(different), gaps)
			if got != len(different) {
				t.Errorf("%d lines are there more than once", got-len(different))
			}
			// A file that is emptied in place may lose what no reader has seen, and
			// of two files one may come and go while this machine does not let
			// tallyman run: then a line says so.
			if len(different) < n && (files > 2 || gaps == 0) {
				t.Errorf("%d lines are missing, %d places say so", n-len(different), gaps)
			}
		})
	}
}

// Containers that live for milliseconds.
func TestLogsOfShortLives(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	const lives, lines = 60, 10
	mark := d.Name("life")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--set", "include=name:"+mark+"-*")
	var wg sync.WaitGroup
	gate := make(chan bool, 8)
	for i := range lives {
		gate <- true
		wg.Go(func() {
			defer func() { <-gate }()
			d.Cmd("run", "--rm", "--network", "none", "--label", d.Label, "--name", fmt.Sprint(mark, "-", i), testkit.Image, "sh", "-c", fmt.Sprintf("for j in 1 2 3 4 5 6 7 8 9 10; do echo %s %d $j; done", mark, i))
		})
	}
	wg.Wait()
	// Where the machine does not let tallyman run, the engine may have removed a log before it
	// was opened: then it is counted.
	missed := 0
	testkit.Eventually(t, 60*time.Second, "all lines of all lives are stored, or their lives are counted", func() error {
		got := p.Lines(`{source="container"} |= "` + mark + `"`)
		points := p.One("tallyman_log_missed_containers_total")
		missed = int(points[len(points)-1].Value)
		if len(got) != (lives-missed)*lines {
			return fmt.Errorf("%d lines of %d, and %d lives were missed", len(got), lives*lines, missed)
		}
		return nil
	})
	if missed > lives/4 {
		t.Errorf("%d of %d lives were missed", missed, lives)
	}
	if n := p.Count(`{source="container"} |= "` + mark + `"`); n != (lives-missed)*lines {
		t.Errorf("%d lines, some more than once", n)
	}
	if n := p.Count(`{source="container", name=~"` + mark + `-.+", image="` + testkit.Image + `"} |= "` + mark + `"`); n != (lives-missed)*lines {
		t.Errorf("%d lines have the name and the image of their container", n)
	}
	t.Logf("%d of %d lives were missed", missed, lives)
}

// What a line looks like: pieces put together, a terminal, colours, binary,
// the two streams, levels, a line that never ended.
func TestLinesAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))
	f := func(name string, options []string, script, query string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			id := d.Start(options, "sh", "-c", script)
			testkit.Eventually(t, 20*time.Second, "the lines are there", func() error {
				if got := p.Lines(selector(id) + query); !slices.Equal(got, want) {
					return fmt.Errorf("%.200q, want %.200q", got, want)
				}
				return nil
			})
		})
	}
	f("long", nil, "head -c 40000 /dev/zero | tr '\\0' x; echo; echo after; sleep 600", "", strings.Repeat("x", 40000), "after")
	f("exactly one piece", nil, "head -c 16384 /dev/zero | tr '\\0' y; echo; echo after; sleep 600", "", strings.Repeat("y", 16384), "after")
	f("local, long", []string{"--log-driver", "local"}, "head -c 40000 /dev/zero | tr '\\0' x; echo; echo after; sleep 600", "", strings.Repeat("x", 40000), "after")
	f("no end", nil, "echo one; printf two", "", "one", "two")
	f("terminal", []string{"-t"}, "echo one; sleep 600", "", "one")
	f("colours", nil, `printf '\033[31mred\033[0m\n'; sleep 600`, "", "\x1b[31mred\x1b[0m")
	f("empty lines", nil, `echo; echo; echo x; sleep 600`, "", "", "", "x")
	f("stderr", nil, `echo out; echo err >&2; sleep 600`, ` | stream="stderr"`, "err")
	f("level", nil, `echo "INFO fine"; echo "ERROR came"; sleep 600`, ` | level="error"`, "ERROR came")
	f("JSON", nil, `echo '{"level":"warn","n":7}'; echo '{"level":"info","n":8}'; sleep 600`, ` | json | n > 7`, `{"level":"info","n":8}`)
}

// The shell asks the running tallyman.
func TestLogsFromTheShell(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))
	name := d.Name("shell")
	d.Start([]string{"--name", name}, "sh", "-c", `echo one; printf 'tw\033[31mo\n'; i=0; while :; do i=$((i+1)); echo "tick $i"; sleep 0.2; done`)
	testkit.Eventually(t, 20*time.Second, "the lines are shown", func() error {
		out, err := p.Shell(5*time.Second, "logs", name)
		if err != nil || !strings.Contains(out, name+" one\n") || strings.Contains(out, "\033") {
			return fmt.Errorf("%v %q", err, out)
		}
		return nil
	})
	testkit.Eventually(t, 10*time.Second, "two lines as they are", func() error {
		out, err := p.Shell(5*time.Second, "logs", "-o", "raw", "-n", "2", `{name="`+name+`"} |= "tick" |~ " [12]$"`)
		if err != nil || out != "tick 1\ntick 2" {
			return fmt.Errorf("%v %q", err, out)
		}
		return nil
	})
	if out, err := p.Shell(5*time.Second, "logs", "-o", "json", `{name="`+name+`"} |= "one"`); err != nil || !strings.Contains(out, `"line":"one"`) || !strings.Contains(out, `"stream":"stdout"`) {
		t.Errorf("json: %v %q", err, out)
	}
	if out, err := p.Shell(5*time.Second, "logs", `{name="`+name+`"} |~ "("`); err == nil || !strings.Contains(out, "parse error") {
		t.Errorf("a wrong query: %v %q", err, out)
	}
	if out, err := p.Shell(5*time.Second, "logs", `rate({name="`+name+`"}[1m])`); err == nil || !strings.Contains(out, "numbers") {
		t.Errorf("a query for numbers: %v %q", err, out)
	}
	// It goes on until it is stopped.
	out, _ := p.Shell(3*time.Second, "logs", "-f", "-n", "1", name)
	if n := strings.Count(out, " tick "); n < 5 {
		t.Errorf("%d lines in three seconds: %q", n, out)
	}
}

// An agent that has the socket alone follows logs through the engine: at a calm
// rate nothing is missing and nothing twice, over kills of the agent too.
func TestLogsThroughTheEngine(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	before := d.Start([]string{"--name", d.Name("before")}, counting(500)...)
	agent := d.StartAgent([]string{"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "--cap-drop", "ALL", "--read-only"})
	while := d.Start([]string{"--name", d.Name("while")}, "sh", "-c", `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "$i out"; [ $((i%10)) = 0 ] && sleep 0.02; done; sleep 600`)
	long := d.Start([]string{"--name", d.Name("long")}, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo err >&2; sleep 600")
	tty := d.Start([]string{"--name", d.Name("tty"), "-t"}, "sh", "-c", "echo one; echo two; sleep 600")
	for range 3 {
		time.Sleep(2 * time.Second)
		agent.KillAndStart(d)
	}
	numbered := func(id string, n int) {
		t.Helper()
		testkit.Eventually(t, 40*time.Second, "all lines are stored", func() error {
			if got := agent.Count(selector(id)); got != n {
				return fmt.Errorf("%d lines of %d", got, n)
			}
			return nil
		})
		for i, line := range agent.Lines(selector(id)) {
			if word, _, _ := strings.Cut(line, " "); word != strconv.Itoa(i+1) {
				t.Fatalf("line %d is %q", i+1, line)
			}
		}
	}
	numbered(before, 500)
	numbered(while, 3000)
	if got := agent.Lines(selector(long) + ` | stream="stdout"`); len(got) != 1 || got[0] != strings.Repeat("x", 40000) {
		t.Errorf("a long line: %d lines", len(got))
	}
	if got := agent.Lines(selector(tty)); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("with a terminal: %q", got)
	}
	if a := absencesOf(&agent.Client, while)["log"]; !strings.Contains(a.Reason, "best effort") || !strings.Contains(a.Unlock, "/var/lib/docker/containers") {
		t.Errorf("what is said of it: %+v", a)
	}
}

// Through the engine: runs that end within a line, long lines of a terminal, and a
// log that the engine stops giving.
func TestRunsAndDamageThroughTheEngine(t *testing.T) {
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	agent := d.StartAgent([]string{"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "--cap-drop", "ALL", "--read-only"})
	runs := func(options ...string) string {
		id := d.Start(options, "sh", "-c", "echo first; printf unfinished; sleep 1; exit 0")
		d.Cmd("wait", id)
		d.Cmd("restart", id)
		d.Cmd("wait", id)
		return id
	}
	want := []string{"first", "unfinished", "first", "unfinished"}
	for _, id := range []string{runs("--name", d.Name("runs")), runs("--name", d.Name("runs-tty"), "-t")} {
		testkit.Eventually(t, 40*time.Second, "both runs are stored", func() error {
			if got := agent.Lines(selector(id)); !slices.Equal(got, want) {
				return fmt.Errorf("%q", got)
			}
			return nil
		})
	}
	long := d.Start([]string{"--name", d.Name("long-tty"), "-t"}, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo end; sleep 600")
	testkit.Eventually(t, 40*time.Second, "a long line of a terminal", func() error {
		if got := agent.Lines(selector(long)); len(got) != 2 || got[0] != strings.Repeat("x", 40000) || got[1] != "end" {
			return fmt.Errorf("%d lines", len(got))
		}
		return nil
	})
	broken := d.Start([]string{"--name", d.Name("broken"), "--log-driver", "local"}, "sh", "-c", "echo before; sleep 600")
	testkit.Eventually(t, 40*time.Second, "a line is stored", func() error {
		if got := agent.Count(selector(broken)); got != 1 {
			return fmt.Errorf("%d lines", got)
		}
		return nil
	})
	name := d.Cmd("info", "-f", "{{.DockerRootDir}}") + "/containers/" + broken + "/local-logs/container.log"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.WriteString("\xff\xff\xff\xffno entry"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	testkit.Eventually(t, 90*time.Second, "it is said that the engine does not give the log", func() error {
		if a := absencesOf(&agent.Client, broken)["log"]; !strings.Contains(a.Reason, "does not give this log") {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
}
