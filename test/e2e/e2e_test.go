// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// restless uses more or less of a core each second, a fifth on the average.
var restless = []string{"sh", "-c", "while :; do n=$((RANDOM * 3)); while [ $n -gt 0 ]; do n=$((n-1)); done; sleep 0.3; done"}

// compose gives a container the labels and the name that Docker Compose would.
func compose(project, service string, options ...string) []string {
	return append([]string{
		"--name", project + "-" + service + "-1",
		"--label", "com.docker.compose.project=" + project,
		"--label", "com.docker.compose.service=" + service,
		"--label", "com.docker.compose.container-number=1",
	}, options...)
}

func TestLogin(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	name := d.Name("login")
	d.Start([]string{"--name", name}, "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t))
	waitFor(t, p, name)
	walk(t, "login.mjs", given(p, map[string]any{"name": name}), nil)
}

func TestServers(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	fresh := d.Name("fresh")
	names := map[string]string{
		"busy": project + "-busy-1", "late": project + "-late-1", "large": project + "-large-1", "small": project + "-small-1",
		"done": d.Name("done"),
	}
	d.Start(compose(project, "busy", "--cpus", "0.15"), restless...)
	d.Start(compose(project, "late", "--cpus", "0.3"), "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.2; done; while :; do :; done")
	d.Start(compose(project, "large"), "sh", "-c", "held=$(yes | head -c 20000000); sleep 600; :")
	d.Start(compose(project, "small"), "sleep", "600")
	d.Start([]string{"--name", names["done"]}, "sh", "-c", "exit 3")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for _, name := range names {
		waitFor(t, p, name)
	}
	testkit.Eventually(t, 20*time.Second, "the large one holds its memory", func() error {
		if c := waitFor(t, p, names["large"]); c.Now.Memory == nil || *c.Now.Memory < 10e6 {
			return fmt.Errorf("%+v", c.Now)
		}
		return nil
	})
	walk(t, "servers.mjs", given(p, map[string]any{"project": project, "names": names, "fresh": fresh}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		"start": func([]string) (string, error) {
			return d.Start([]string{"--name", fresh}, "sleep", "600"), nil
		},
	})
}

func TestOverview(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	names := map[string]string{"calm": d.Name("calm"), "loop": d.Name("loop"), "oom": d.Name("oom")}
	d.Start([]string{"--name", names["calm"]}, "sleep", "600")
	d.Start(compose(project, "twin", "-m", "64m"), "sleep", "600")
	d.Start(compose(project, "twin", "-m", "32m", "--name", project+"-twin-2", "--label", "com.docker.compose.container-number=2"), "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	d.Start([]string{"--name", names["loop"], "--restart", "always"}, "sh", "-c", "sleep 0.2; exit 1")
	d.Start([]string{"--name", names["oom"], "-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 1; exec tail /dev/zero")
	waitFor(t, p, names["calm"])
	workloads := map[string]string{"oom": waitFor(t, p, names["oom"]).Workload}
	testkit.Eventually(t, 20*time.Second, "one loops and one is killed", func() error {
		loop, oom := waitFor(t, p, names["loop"]), waitFor(t, p, names["oom"])
		if loop.Crashes == nil || loop.Crashes.Count < 3 || oom.State != "exited" {
			return fmt.Errorf("%+v, %s", loop.Crashes, oom.State)
		}
		return nil
	})
	walk(t, "overview.mjs", given(p, map[string]any{"names": names, "workloads": workloads}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
	})
}

func TestDoctor(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	name := d.Name("patient")
	d.Start([]string{"--name", name}, restless...)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	waitFor(t, p, name)
	walk(t, "doctor.mjs", given(p, nil), nil)
}

func TestAlarms(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	crash, loop, calm, loud := d.Name("crash"), d.Name("loop"), d.Name("calm"), d.Name("loud")
	d.Start([]string{"--name", calm, "--restart", "always"}, "sleep", "600")
	var told atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	t.Cleanup(hook.Close)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "alarms.notify="+hook.URL+"/hook")
	waitFor(t, p, calm)
	walk(t, "alarms.mjs", given(p, map[string]any{"crash": crash, "loop": loop, "calm": calm, "loud": loud}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		"start": func(args []string) (string, error) {
			if args[0] == "crash" {
				// A service: a plain one is taken for a job where many are started.
				return d.Start([]string{"--name", crash, "--label", "com.docker.compose.project=" + crash, "--label", "com.docker.compose.service=web"}, "sh", "-c", "sleep 1; exit 3"), nil
			}
			if args[0] == "loud" {
				return d.Start([]string{"--name", loud}, "sh", "-c", "for i in 1 2 3 4 5; do echo level=fatal msg=\"out of luck\"; sleep 1; done; sleep 600"), nil
			}
			return d.Start([]string{"--name", loop, "--restart", "always"}, "sh", "-c", "sleep 0.2; exit 1"), nil
		},
		"told": func([]string) (string, error) {
			if told.Load() == 0 {
				return "", errors.New("the webhook was told nothing")
			}
			return fmt.Sprint(told.Load(), " messages"), nil
		},
	})
}

func TestServices(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	const served = `mkdir -p /w; printf '# TYPE jobs gauge\njobs{queue="a"} 5\njobs{queue="b"} 6\n' >/w/metrics; httpd -p 127.0.0.1:8080 -h /w; while [ ! -e /w/die ]; do sleep 0.1; done; rm /w/die; exit 3`
	start := func(name string, label string, argv ...string) string {
		d.Start([]string{"--name", d.Name(name), "--label", label, "--restart", "on-failure"}, argv...)
		return d.Name(name)
	}
	const asks = `tallyman.plugins=[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["http://localhost:8080/metrics"]}}]`
	good := start("good", asks, "sh", "-c", served)
	bad := start("bad", asks, "sleep", "600")
	mistake := start("mistake", "tallyman.plugins=[{'PluginType':'REDIS'}]", "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	waitFor(t, p, good)
	walk(t, "services.mjs", given(p, map[string]any{"good": good, "bad": bad, "mistake": mistake}), map[string]action{
		"start": func(args []string) (string, error) { return start("made", args[0], "sh", "-c", served), nil },
		// Nobody asks Docker for this death, after which it serves again.
		"kill": func([]string) (string, error) { return d.May("exec", good, "sh", "-c", "touch /w/die") },
	})
}

func TestContainer(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	options := compose(project, "api", "--cpus", "0.15", "-m", "64m")
	// It ends by itself when it is told to, with a code of its own.
	argv := []string{"sh", "-c", "trap 'exit 3' TERM; k=1; while :; do n=0; while [ $n -lt $((k*9000)) ]; do n=$((n+1)); done; k=$((k%7+1)); sleep 0.2; done"}
	d.Start(options, argv...)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	waitFor(t, p, project+"-api-1")
	loop, hog, flaps := d.Name("loop"), d.Name("hog"), d.Name("flaps")
	walk(t, "container.mjs", given(p, map[string]any{"name": project + "-api-1", "workload": project + "/api/1", "loop": loop, "hog": hog, "flaps": flaps}), map[string]action{
		"docker": func(args []string) (string, error) {
			if args[0] == "pause" { // the kernel does not freeze a busy machine's container at once
				d.Pause(args[1])
				return "", nil
			}
			return d.May(args...)
		},
		"start": func(args []string) (string, error) {
			switch args[0] {
			case "loop":
				return waitFor(t, p, d.Start([]string{"--name", loop, "--restart", "on-failure:2"}, "sh", "-c", "sleep 0.3; exit 7")).ID, nil
			case "flaps":
				// It dies three times and then runs.
				return waitFor(t, p, d.Start([]string{"--name", flaps, "--restart", "always"}, "sh", "-c", "n=$(cat /n || echo 0); echo $((n+1)) >/n; [ $n -ge 3 ] && exec sleep 600; exit 2")).ID, nil
			case "hog":
				return waitFor(t, p, d.Start([]string{"--name", hog, "-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 1; exec tail /dev/zero")).ID, nil
			default:
				return d.Start(options, argv...), nil
			}
		},
		// Nobody asks Docker for this death.
		"kill": func([]string) (string, error) { return d.May("exec", "-d", project+"-api-1", "kill", "-TERM", "1") },
	})
}

// container is what these tests read of an answer.
type container struct {
	ID, Name, State, Workload, Project string
	Now                                *struct{ CPU, Memory *float64 }
	Crashes                            *struct{ Count int }
}

// waitFor waits until a container, by its name or id, is known, and measured
// when it runs.
func waitFor(t testing.TB, p *testkit.Program, name string) (found container) {
	t.Helper()
	testkit.Eventually(t, 15*time.Second, name+" is measured", func() error {
		var a struct {
			Hosts []struct{ Containers []container }
		}
		p.JSON("/api/tallyman/v1/servers", &a)
		for _, h := range a.Hosts {
			for _, c := range h.Containers {
				if (c.Name == name || c.ID == name) && (c.State != "running" || c.Now != nil && c.Now.CPU != nil) {
					found = c
					return nil
				}
			}
		}
		return fmt.Errorf("it is not there or has no values")
	})
	return found
}

// What a container may say of itself. Names hold letters, digits, "_", "." and
// "-" only, image names less; labels, environment and commands hold anything.
var (
	script  = `<script>globalThis.__xss=1</script>`
	image   = `"'><img src=x onerror=globalThis.__xss=1>`
	link    = `javascript:globalThis.__xss=1//</a><svg onload=globalThis.__xss=1>`
	unseen  = "a\u202ecod.exe\u200b\u0007\x1b[31mred\x1b[0m\u2066x\u00ad"
	written = `a\u202ecod.exe\u200b\u0007\u001b[31mred\u001b[0m\u2066x\u00ad`
)

func TestHostileText(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	// The longest image name that Docker takes, of letters that it allows.
	long := "tallyman-test/" + strings.Repeat("x", 200) + ":" + strings.Repeat("Y", 128)
	d.Cmd("tag", testkit.Image, long)
	t.Cleanup(func() { _, _ = d.May("rmi", long) })
	wide := d.Name("wide")
	d.Cmd("run", "-d", "--label", d.Label, "--name", wide, long, "sleep", "600")
	hostile := map[string]map[string]string{}
	escaped := map[string]string{}
	for i, text := range []string{script, image, link, unseen, `{{constructor.constructor("globalThis.__xss=1")()}}`, strings.Repeat("wide", 300)} {
		name := d.Name(fmt.Sprintf("hostile%d", i))
		project := text
		shown := strings.ReplaceAll(text, unseen, written)
		d.Start([]string{
			"--name", name,
			"--label", "com.docker.compose.project=" + project,
			"--label", "com.docker.compose.service=" + image,
			"--label", "com.docker.compose.container-number=1",
			"--label", script + "=" + image,
			"--label", "note=" + text,
			"--label", unseen + "=" + unseen,
			"--env", "NOTE=" + script,
			"--env", image + "=" + link,
			"--user", "0:0",
			"--workdir", "/tmp/" + image,
			"--hostname", "h",
		}, "sh", "-c", "sleep 600", script, image, unseen)
		hostile[name] = map[string]string{}
		escaped[project] = shown
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for name, c := range hostile {
		known := waitFor(t, p, name)
		c["workload"], c["project"] = known.Workload, known.Project
	}
	walk(t, "hostile.mjs", given(p, map[string]any{
		"hostile": hostile, "escaped": escaped, "facts": []string{script, image, written},
	}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
	})
}

func TestEngineAndProgramAway(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	name := d.Name("away")
	d.Start([]string{"--name", name}, "sh", "-c", "echo ready; "+restless[2])
	proxy := testkit.NewProxy(t)
	proxy.Pass()
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--docker-host", proxy.Address(), "--interval", "1s")
	c := waitFor(t, p, name)
	do := func(run func()) action {
		return func([]string) (string, error) {
			run()
			return "", nil
		}
	}
	walk(t, "engine.mjs", given(p, map[string]any{"name": name, "workload": c.Workload}), map[string]action{
		"refuse": do(proxy.Refuse),
		"pass":   do(proxy.Pass),
		"stop":   do(p.Stop),
		"restart": do(func() {
			testkit.StartProgram(t, data, "--docker-host", proxy.Address(), "--interval", "1s", "--listen", strings.TrimPrefix(p.URL, "http://"))
		}),
	})
}

// Two projects and what stands beside them, in every state.
func TestLook(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	n := d.Name("")
	shop, mail := "shop"+n[len(n)-4:], "mail"+n[len(n)-4:]
	d.Start(compose(shop, "api", "--cpus", "0.1", "-m", "64m", "--restart", "always"), "sh", "-c", "held=$(yes | head -c 20000000); while :; do n=0; while [ $n -lt 30000 ]; do n=$((n+1)); done; sleep 0.5; done")
	d.Start(compose(shop, "web", "-m", "32m", "--health-cmd", "true", "--health-interval", "1s"), "httpd", "-f", "-p", "8080")
	d.Start(compose(shop, "worker", "--restart", "always"), "sh", "-c", "sleep 2; exit 1")
	d.Start(compose(shop, "db"), "sh", "-c", "held=$(yes | head -c 9000000); sleep 600; :")
	d.Start(compose(shop, "migrate"), "true")
	d.Start(compose(mail, "imap", "--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1"), "sleep", "600")
	paused := d.Start(compose(mail, "queue"), "sleep", "600")
	d.Start(compose(mail, "scan", "-m", "16m", "--memory-swap", "16m"), "sh", "-c", "sleep 3; exec tail /dev/zero")
	d.Start([]string{"--name", d.Name("exporter"), "--network", "host"}, "sleep", "600")
	d.Start([]string{"--name", d.Name("quiet"), "--label", "tallyman.enable=false"}, "sleep", "600")
	d.Cmd("create", "--label", d.Label, "--name", d.Name("waiting"), testkit.Image, "sleep", "600")
	gone := d.Start([]string{"--name", d.Name("old")}, "sleep", "600")
	d.Pause(paused)
	proxy := testkit.NewProxy(t)
	proxy.Pass()
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", proxy.Address(), "--interval", "1s")
	for _, name := range []string{shop + "-api-1", shop + "-web-1", mail + "-imap-1", d.Name("old")} {
		waitFor(t, p, name)
	}
	d.Cmd("rm", "-f", gone)
	testkit.Eventually(t, 20*time.Second, "the greedy one is killed", func() error {
		if c := waitFor(t, p, mail+"-scan-1"); c.State != "exited" {
			return fmt.Errorf("it is %s", c.State)
		}
		return nil
	})
	walk(t, "look.mjs", given(p, map[string]any{"workload": shop + "/api/1", "died": mail + "/scan/1"}), map[string]action{
		"refuse": func([]string) (string, error) {
			proxy.Refuse()
			return "", nil
		},
	})
}

// talk writes what a log can hold: levels, colours, JSON, a stack trace, a long
// line, hostile text; then a line each time it is told, and one a second.
func talk(hostile []string) []string {
	var b strings.Builder
	say := func(to, text string) {
		fmt.Fprintf(&b, "printf '%%s\\n' '%s' >&%s\n", strings.ReplaceAll(text, "'", `'\''`), to)
	}
	say("1", "level=info msg=\"ready to serve\" port=8080")
	say("2", "ERROR could not reach the database")
	say("1", "WARN the queue is long")
	say("1", "DEBUG cache hit")
	say("1", "\x1b[32mgreen\x1b[0m and \x1b[1;31mred\x1b[0m words")
	say("1", `{"level":"info","msg":"order placed","order":{"id":12345678901234567890,"items":["mug","tee"]},"note":"<b>not bold</b>"}`)
	say("2", "ERROR java.lang.IllegalStateException: pool exhausted\n\tat shop.Pool.take(Pool.java:118)\n\tat shop.Api.checkout(Api.java:41)\nCaused by: java.net.SocketTimeoutException\n\t... 12 more")
	say("1", "long "+strings.Repeat("abcdefghij", 700))
	for _, text := range hostile {
		say("1", "said "+text)
	}
	b.WriteString("n=0; while :; do n=$((n+1)); echo \"level=info tick=$n\"; while read -r t; do printf '%s\\n' \"$t\"; done < /tmp/say; sleep 1; done\n")
	return []string{"sh", "-c", ": > /tmp/say; " + b.String()}
}

func TestLogs(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("shop")
	hostile := []string{script, image, link, unseen, `{{constructor.constructor("globalThis.__xss=1")()}}`, "<b>bold</b>\x1b]8;;https://example.net\x1b\\click\x1b]8;;\x1b\\"}
	options := compose(project, "api")
	argv := talk(hostile)
	d.Start(options, argv...)
	d.Start(compose(project, "many"), "sh", "-c", "n=0; while [ $n -lt 4000 ]; do n=$((n+1)); echo \"level=info row=$n\"; done; sleep 600")
	d.Start(compose(project, "quiet"), "sleep", "600")
	d.Start(compose(project, "deaf", "--log-driver", "none"), "sleep", "600")
	// It fills its file faster than a stopped tallyman can follow.
	d.Start(compose(project, "fast", "--log-opt", "max-size=20k", "--log-opt", "max-file=2"), "sh", "-c", "n=0; while :; do n=$((n+1)); echo \"level=info lap=$n\"; [ $((n%100)) = 0 ] && sleep 0.5; done")
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--interval", "1s")
	for _, name := range []string{"api", "many", "quiet"} {
		waitFor(t, p, project+"-"+name+"-1")
	}
	shown := []string{}
	for _, text := range hostile {
		shown = append(shown, strings.NewReplacer(
			unseen, strings.NewReplacer(`\u001b[31m`, "", `\u001b[0m`, "").Replace(written),
			"\x1b]8;;https://example.net\x1b\\", "", "\x1b]8;;\x1b\\", "").Replace(text))
	}
	walk(t, "logs.mjs", given(p, map[string]any{"project": project, "shown": shown}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		// It writes the text once more each second until it is told something else.
		"say": func(args []string) (string, error) {
			return d.May("exec", project+"-api-1", "sh", "-c", `printf '%s\n' "$1" > /tmp/say; sleep 1.1; : > /tmp/say`, "-", args[0])
		},
		"stop": func([]string) (string, error) {
			p.Stop()
			return "", nil
		},
		"restart": func([]string) (string, error) {
			testkit.StartProgram(t, data, "--interval", "1s", "--listen", strings.TrimPrefix(p.URL, "http://"))
			return "", nil
		},
		"again": func([]string) (string, error) {
			// The one before goes when the new one runs.
			before := project + "-api-before"
			d.Cmd("rename", project+"-api-1", before)
			id := d.Start(options, argv...)
			d.Cmd("rm", "-f", before)
			return id, nil
		},
	})
}
