// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// serviceOf is an instance of a plugin as the interface tells of it.
type serviceOf struct {
	Type, Instance, Where, Origin, State, Fault, Reason, Fix, Note string
	Series, Dropped                                                int
	Container                                                      string
}

// servicesOf are those of a container, by what they ask.
func servicesOf(p *testkit.Program, name string) map[string]serviceOf {
	var v struct{ Services []serviceOf }
	p.JSON("/api/tallyman/v1/services?workload="+url.QueryEscape(name), &v)
	out := map[string]serviceOf{}
	for _, s := range v.Services {
		out[s.Where] = s
	}
	return out
}

// metrics is a shell command that serves a text over HTTP.
func metrics(listen, text string) []string {
	return []string{"sh", "-c", `mkdir -p /w; printf '` + text + `' >/w/metrics; exec httpd -f -p ` + listen + ` -h /w`}
}

// answers is a shell command that answers each connection on port 8080 with what a command
// prints.
func answers(command string) []string {
	script := "#!/bin/sh\nwhile read -r l; do [ \"$l\" = \"$(printf '\\r')\" ] && break; done\n" + command + "\n"
	return []string{"sh", "-c", "cat >/answer <<'END'\n" + script + "END\nchmod +x /answer; exec nc -ll -p 8080 -e /answer"}
}

func scrapeLabel(urls ...string) string {
	return `tallyman.plugins=[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["` + strings.Join(urls, `","`) + `"]}}]`
}

// A service is asked from inside of its container, whatever its network is, and only there.
func TestServicesInEveryNetwork(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	network := d.Name("internal")
	d.Cmd("network", "create", "--internal", "--label", d.Label, network)
	t.Cleanup(func() {
		_, _ = d.May("rm", "-f", d.Name("inner"))
		_, _ = d.May("network", "rm", network)
	})
	text := `# TYPE jobs gauge\njobs{queue="a"} 5\n`
	start := func(name string, options []string, argv []string) {
		d.Start(append([]string{"--name", d.Name(name)}, options...), argv...)
	}
	const local = "http://localhost:8080/metrics"
	start("bridge", []string{"--label", scrapeLabel(local)}, metrics("127.0.0.1:8080", text))
	start("none", []string{"--network", "none", "--label", scrapeLabel(local)}, metrics("127.0.0.1:8080", text))
	start("inner", []string{"--network", network, "--label", "prometheus.io/scrape=true", "--label", "prometheus.io/port=8080"}, metrics("127.0.0.1:8080", text))
	start("shares", []string{"--network", "container:" + d.Name("bridge"), "--label", scrapeLabel("http://localhost:8082/metrics", local)}, metrics("127.0.0.1:8082", text))
	start("host", []string{"--network", "host", "--label", scrapeLabel("http://127.0.0.1:18397/metrics", "http://127.0.0.1:22/metrics")}, metrics("127.0.0.1:18397", text))
	start("own", []string{"--label", scrapeLabel(local)}, metrics("$(hostname -i):8080", text))
	other := strings.TrimSpace(d.Cmd("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", d.Name("own")))
	start("elsewhere", []string{"--label", scrapeLabel("http://"+other+":8080/metrics", "http://169.254.169.254/latest")}, []string{"sleep", "600"})
	image := strings.ToLower(d.Name("labelled")) + ":1"
	d.Cmd("commit", "-c", `LABEL com.coscale.monitoring='[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["`+local+`"]}}]'`, d.Name("elsewhere"), image)
	t.Cleanup(func() { _, _ = d.May("rmi", "-f", image) })
	d.Cmd(append([]string{"run", "-d", "--label", d.Label, "--label", "tallyman.plugins.own=none", "--name", d.Name("image"), image}, metrics("127.0.0.1:8080", text)...)...)

	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for _, one := range []struct{ name, where, state, fault, origin string }{
		{"bridge", local, "up", "", "run label"}, {"none", local, "up", "", "run label"}, {"inner", local, "up", "", "convention"},
		{"shares", "http://localhost:8082/metrics", "up", "", "run label"}, {"shares", local, "down", "permission", "run label"},
		{"host", "http://127.0.0.1:18397/metrics", "up", "", "run label"}, {"host", "http://127.0.0.1:22/metrics", "down", "permission", "run label"},
		{"own", local, "up", "", "run label"}, {"elsewhere", "http://" + other + ":8080/metrics", "down", "permission", "run label"},
		{"elsewhere", "http://169.254.169.254/latest", "down", "permission", "run label"}, {"image", local, "up", "", "image label"},
	} {
		testkit.Eventually(t, 60*time.Second, one.name+" "+one.where+" is "+one.state, func() error {
			s := servicesOf(p, d.Name(one.name))[one.where]
			if s.State != one.state || s.Fault != one.fault || s.Origin != one.origin {
				return fmt.Errorf("it is %+v", s)
			}
			return nil
		})
		if one.state != "up" {
			continue
		}
		testkit.Eventually(t, 30*time.Second, one.name+" is a series", func() error {
			q := fmt.Sprintf(`jobs{job="prometheus",queue="a",name=%q}`, d.Name(one.name))
			if got := p.Query(q); len(got) != 1 {
				return fmt.Errorf("%s gives %v", q, got)
			}
			return nil
		})
	}

	// It stops, starts again and is made anew with its container.
	d.Cmd("stop", "-t", "0", d.Name("bridge"))
	testkit.Eventually(t, 30*time.Second, "it has ended", func() error {
		if s := servicesOf(p, d.Name("bridge")); len(s) > 0 || len(p.Query(fmt.Sprintf(`plugin_up{name=%q}`, d.Name("bridge")))) > 0 {
			return fmt.Errorf("it is there: %+v", s)
		}
		return nil
	})
	d.Cmd("start", d.Name("bridge"))
	d.Cmd("rm", "-f", d.Name("none"))
	start("none", []string{"--network", "none", "--label", scrapeLabel(local)}, metrics("127.0.0.1:8080", strings.ReplaceAll(text, "5", "6")))
	for _, name := range []string{"bridge", "none"} {
		testkit.Eventually(t, 60*time.Second, name+" is up again", func() error {
			if s := servicesOf(p, d.Name(name))[local]; s.State != "up" {
				return fmt.Errorf("it is %+v", s)
			}
			return nil
		})
	}
	testkit.Eventually(t, 30*time.Second, "the new one's value", func() error {
		for _, points := range p.Query(fmt.Sprintf(`jobs{name=%q}`, d.Name("none"))) {
			if points[len(points)-1].Value == 6 {
				return nil
			}
		}
		return errors.New("it is not there")
	})
}

// What answers badly is bounded, said, and takes nobody along.
func TestServicesThatAnswerBadly(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	const local = "http://localhost:8080/metrics"
	start := func(name string, argv []string) {
		d.Start([]string{"--name", d.Name(name), "--label", scrapeLabel(local)}, argv...)
	}
	const head = `printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n'; `
	start("good", metrics("8080", `good 1\n`))
	start("endless", answers(head+`yes 'endless{a="b"} 1'`))
	start("many", answers(head+`seq 12000 | sed 's/.*/many{i="&"} 1/'`))
	start("bomb", answers(`printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n'; dd if=/dev/zero bs=1M count=64 2>/dev/null | gzip -c`))
	start("page", answers(`printf 'HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>hello'`))
	start("away", answers(`printf 'HTTP/1.0 302 Found\r\nLocation: http://example.org/\r\n\r\n'`))
	start("login", answers(`printf 'HTTP/1.0 401 Unauthorized\r\n\r\n'`))
	start("silent", answers("sleep 600"))
	start("closed", []string{"sleep", "600"})
	d.Start([]string{"--name", d.Name("mistake"), "--label", "tallyman.plugins=[{'PluginType':'REDIS'}]"}, "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	for name, want := range map[string]string{
		"good": "up ", "endless": "down limit", "many": "down limit", "bomb": "down limit", "page": "down parse", "away": "down config", "login": "auth auth", "silent": "down timeout", "closed": "down dial",
	} {
		testkit.Eventually(t, 90*time.Second, name+" is "+want, func() error {
			if s := servicesOf(p, d.Name(name))[local]; s.State+" "+s.Fault != want || s.State != "up" && s.Reason == "" {
				return fmt.Errorf("it is %+v", s)
			}
			return nil
		})
		if s := servicesOf(p, d.Name(name))[local]; s.Reason != "" {
			t.Logf("%s: %s %s", name, s.Reason, s.Fix)
		}
	}
	if got := p.Query(`many`); len(got) > 0 {
		t.Errorf("%d series of a text that is too long", len(got))
	}
	var v struct {
		Mistakes []struct{ Name, Source, Text string }
	}
	p.JSON("/api/tallyman/v1/services?workload="+url.QueryEscape(d.Name("mistake")), &v)
	if len(v.Mistakes) != 1 || !strings.Contains(v.Mistakes[0].Text, "single quotes") {
		t.Errorf("mistakes %+v", v.Mistakes)
	}
	var e struct {
		Events []struct{ Type, Action, Name string }
	}
	p.JSON("/api/tallyman/v1/events?type=service&limit=500", &e)
	told := map[string]int{}
	for _, one := range e.Events {
		told[one.Action+" "+one.Name]++
	}
	for _, want := range []string{"config " + d.Name("mistake"), "auth " + d.Name("login"), "down " + d.Name("page")} {
		if told[want] != 1 {
			t.Errorf("%s was told %d times: %v", want, told[want], told)
		}
	}
	// The good one is on time.
	if got := p.One(fmt.Sprintf(`plugin_up{name=%q}`, d.Name("good"))); got[len(got)-1].Value != 1 {
		t.Errorf("the good one is %v", got)
	}
}

// A script that an image names runs in its container with no configuration, and not when
// that is switched off; one that hangs is ended with what it has started.
func TestScripts(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t) // of its own: every tallyman of an engine runs the scripts of its containers
	d := e.Docker
	const script = `#!/bin/sh
case "$1" in
-c) echo '{"maxruntime":5000,"period":60,"metrics":[{"id":1,"name":"Jobs","datatype":"DOUBLE","calctype":"Instant","dimensions":[{"id":1,"name":"user"}]}],"events":[]}' ;;
-d) echo "M1 \"1:$(id -un)\" 7" ;;
esac
`
	const hangs = `#!/bin/sh
trap '' TERM
sleep 4242 &
while :; do sleep 1; done
`
	// Made from a container, since nothing is built here.
	d.Start([]string{"--name", d.Name("base")}, "sh", "-c", "mkdir -p /etc; echo 'app:x:1000:1000::/:/bin/sh' >>/etc/passwd; cat >/script.sh <<'END'\n"+script+"END\ncat >/hangs.sh <<'END'\n"+hangs+"END\nchmod +x /script.sh /hangs.sh; sleep 600")
	testkit.Eventually(t, 30*time.Second, "the scripts are there", func() error {
		_, err := d.May("exec", d.Name("base"), "test", "-x", "/hangs.sh")
		return err
	})
	image := strings.ToLower(d.Name("scripted")) + ":1"
	// As the first document of the mission has it.
	d.Cmd("commit", "-c", "USER app", "-c", `LABEL com.coscale.monitoring='[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/script.sh"]}}]'`, d.Name("base"), image)
	t.Cleanup(func() { _, _ = d.May("rmi", "-f", image) })
	run := func(name string, more ...string) {
		d.Cmd(append(append([]string{"run", "-d", "--label", d.Label, "--name", d.Name(name)}, more...), image, "sleep", "600")...)
	}
	run("image")
	run("extra", "--label", `com.coscale.monitoring.extra=[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/hangs.sh"],"TIMEOUT":["2s"],"FORMAT":["json"]}}]`)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	testkit.Eventually(t, 60*time.Second, "the image's script is a series", func() error {
		got := p.Query(fmt.Sprintf(`script_jobs{user="app",name=%q,script="/script.sh",job="genericscript"}`, d.Name("image")))
		for _, points := range got {
			if points[len(points)-1].Value == 7 {
				return nil
			}
		}
		return fmt.Errorf("%v; it is %+v", got, servicesOf(p, d.Name("image")))
	})
	if s := servicesOf(p, d.Name("image"))["/script.sh"]; s.Origin != "image label" || s.State != "up" {
		t.Errorf("it is %+v", s)
	}
	testkit.Eventually(t, 60*time.Second, "the one that hangs is ended", func() error {
		s := servicesOf(p, d.Name("extra"))
		if s["/hangs.sh"].Fault != "timeout" || s["/script.sh"].State != "up" {
			return fmt.Errorf("they are %+v", s)
		}
		if out, err := d.May("top", d.Name("extra"), "-o", "pid,args"); err != nil || strings.Contains(out, "4242") || strings.Contains(out, "hangs") {
			return fmt.Errorf("it runs on: %s, %v", out, err)
		}
		return nil
	})
	// What tallyman runs is no user's doing, but for the first run of a stranger's word.
	var v struct {
		Events []struct{ Type, Action, Name string }
	}
	p.JSON("/api/tallyman/v1/events?limit=500", &v)
	execs, first := 0, 0
	for _, one := range v.Events {
		if one.Name == d.Name("image") && strings.HasPrefix(one.Action, "exec_") {
			execs++
		}
		if one.Name == d.Name("image") && one.Type == "service" && one.Action == "exec" {
			first++
		}
	}
	if execs != 0 || first != 1 {
		t.Errorf("%d events of commands and %d of the first run, want 0 and 1", execs, first)
	}
	p.Stop()
	off := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s", "--set", "plugins.exec_from_image_labels=false")
	var m struct {
		Mistakes []struct{ Name, Text string }
	}
	testkit.Eventually(t, 60*time.Second, "it is refused where that is off", func() error {
		off.JSON("/api/tallyman/v1/services?workload="+url.QueryEscape(d.Name("image")), &m)
		if len(m.Mistakes) != 1 || !strings.Contains(m.Mistakes[0].Text, "exec_from_image_labels") {
			return fmt.Errorf("mistakes %+v", m.Mistakes)
		}
		return nil
	})
	if s := servicesOf(off, d.Name("image")); len(s) > 0 {
		t.Errorf("it runs where that is off: %+v", s)
	}
}

// An agent that may not enter a container's network asks its address on the bridge, and says
// so; what listens on the loopback alone it cannot reach.
func TestServicesWithoutRights(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	const local = "http://localhost:8080/metrics"
	d.Start([]string{"--name", d.Name("open"), "--label", scrapeLabel(local)}, metrics("8080", `open 1\n`)...)
	d.Start([]string{"--name", d.Name("inner"), "--label", scrapeLabel(local)}, metrics("127.0.0.1:8080", `inner 1\n`)...)
	agent := d.StartAgent([]string{"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "--cap-drop", "ALL", "--read-only"})
	for name, want := range map[string]string{"open": "up", "inner": "down"} {
		testkit.Eventually(t, time.Minute, name+" is "+want, func() error {
			var v struct{ Services []serviceOf }
			agent.JSON("/api/tallyman/v1/services?workload="+url.QueryEscape(d.Name(name)), &v)
			if len(v.Services) != 1 || v.Services[0].State != want {
				return fmt.Errorf("they are %+v", v.Services)
			}
			s := v.Services[0]
			if want == "up" && !strings.Contains(s.Note, "bridge") || want == "down" && (s.Fault != "permission" || s.Fix == "") {
				return fmt.Errorf("it says %+v", s)
			}
			return nil
		})
	}
}

// Containers whose users are others on the host are asked as well, and what listens on IPv6
// alone.
func TestServicesOfRemappedUsersAndIPv6(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t, "--userns-remap=default")
	const local = "http://localhost:8080/metrics"
	text := `# TYPE jobs gauge\njobs{queue="a"} 5\n`
	e.Start([]string{"--name", e.Name("four"), "--label", scrapeLabel(local)}, metrics("127.0.0.1:8080", text)...)
	e.Start([]string{"--name", e.Name("six"), "--sysctl", "net.ipv6.conf.lo.disable_ipv6=0", "--label", scrapeLabel(local, "http://[::1]:8080/metrics")}, metrics("[::1]:8080", text)...)
	e.Start([]string{"--name", e.Name("script"), "--label", `tallyman.plugins=[{"PluginType":"EXECCHECK","Configuration":{"COMMAND":["test -e /etc"]}},{"PluginType":"FILECHECK","Configuration":{"PATH":["/etc/passwd"]}}]`},
		"sh", "-c", "mkdir -p /etc; echo root >/etc/passwd; sleep 600")
	if out := e.Cmd("exec", e.Name("four"), "cat", "/proc/self/uid_map"); strings.Fields(out)[1] == "0" {
		t.Fatalf("users are not remapped: %s", out)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	for _, one := range [][2]string{{"four", local}, {"six", local}, {"six", "http://[::1]:8080/metrics"}, {"script", "test -e /etc"}, {"script", "/etc/passwd"}} {
		testkit.Eventually(t, time.Minute, strings.Join(one[:], " ")+" is up", func() error {
			if s := servicesOf(p, e.Name(one[0]))[one[1]]; s.State != "up" {
				return fmt.Errorf("it is %+v", s)
			}
			return nil
		})
	}
	testkit.Eventually(t, 30*time.Second, "the checks are good", func() error {
		for _, q := range []string{`check_up{check="test -e /etc"}`, "file_check_up"} {
			for _, points := range p.Query(q) {
				if points[len(points)-1].Value == 1 {
					return nil
				}
			}
		}
		return errors.New("they are not")
	})
}
