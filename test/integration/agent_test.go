// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"tallyman/internal/testkit"
)

// documented are the flags of the one docker run line of the documentation,
// without those that a test must choose itself.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "docker run -d --name tallyman ")
	line, _, end := strings.Cut(rest, "\n```")
	if !ok || !end {
		t.Fatal("the documentation has no docker run line")
	}
	fields := strings.Fields(strings.ReplaceAll(line, "\\\n", " "))
	if fields[len(fields)-1] != "tallyman" {
		t.Fatalf("the docker run line ends with %q, want the image", fields[len(fields)-1])
	}
	var out []string
	for i := 0; i < len(fields)-1; i++ {
		switch {
		case fields[i] == "-p":
			i++
		case fields[i] == "-v" && strings.HasPrefix(fields[i+1], "tallyman-data:"):
			i++
		default:
			out = append(out, fields[i])
		}
	}
	return out
}

// scrape is every sample of /metrics by its series, and when it was asked for.
func scrape(t *testing.T, c *testkit.Client) map[string]float64 {
	t.Helper()
	status, body := c.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
			out[name+"{"+strings.Join(labels, ",")+"}"] = v
		}
	}
	return out
}

// The agent in its container, with the rights of the documentation and no more,
// gives the numbers that it gives on the host. Each of its numbers must lie
// between two that a tallyman on the host gives just before and just after.
func TestAgentInAContainerEqualsTheHost(t *testing.T) {
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	d.Start([]string{"--name", d.Name("idle"), "-m", "64m"}, "sleep", "600")
	d.Start([]string{"--name", d.Name("busy"), "--cpus", "0.2"}, "sh", "-c", "while :; do :; done")
	d.Start([]string{"--name", d.Name("web")}, "httpd", "-f", "-p", "80")
	d.Start([]string{"--name", d.Name("user"), "--user", "1000"}, "sleep", "600")
	host := testkit.StartProgram(t, testkit.DataDir(t))
	agent := d.StartAgent(append(documented(t), "--read-only", "--security-opt", "no-new-privileges"))

	var inspected []struct {
		HostConfig struct {
			CapAdd, CapDrop []string
			Privileged      bool
			PidMode         string
		}
	}
	if err := json.Unmarshal([]byte(d.Cmd("inspect", agent.ID)), &inspected); err != nil {
		t.Fatal(err)
	}
	h := inspected[0].HostConfig
	slices.Sort(h.CapAdd)
	if h.Privileged || fmt.Sprint(h.CapAdd) != "[CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_SYS_PTRACE]" || fmt.Sprint(h.CapDrop) != "[ALL]" || h.PidMode != "host" {
		t.Errorf("the documented line gives %+v", h)
	}

	// Its logs too, from the folder that the line mounts.
	said := d.Start([]string{"--name", d.Name("said")}, "sh", "-c", "echo from the container; sleep 600")
	testkit.Eventually(t, 15*time.Second, "the agent has the log of a container", func() error {
		if got := agent.Lines(selector(said)); len(got) != 1 || got[0] != "from the container" {
			return fmt.Errorf("%q, absent %+v", got, absencesOf(&agent.Client, said))
		}
		return nil
	})
	time.Sleep(5 * time.Second)
	ours := func(series string) bool {
		if strings.HasPrefix(series, "node_") || strings.HasPrefix(series, "machine_") || strings.Contains(series, "id=/,") || strings.Contains(series, "id=/}") {
			return true
		}
		return strings.HasPrefix(series, "container_") && strings.Contains(series, d.Name("")[len("tallyman-test-"):]) && !strings.Contains(series, agent.ID)
	}
	// What this machine has may come and go between the readings, a neighbour in a network
	// say: a difference counts when it is there each time.
	var wrong map[string]string
	exact, between := 0, 0
	for range 3 {
		before := scrape(t, &host.Client)
		inside := scrape(t, &agent.Client)
		time.Sleep(time.Second) // the next one must be a round of its own
		after := scrape(t, &host.Client)
		found := map[string]string{}
		near := 0
		exact, between = 0, 0
		for series, b := range before {
			a, still := after[series]
			if !ours(series) || !still {
				continue
			}
			v, ok := inside[series]
			if !ok {
				found[series] = fmt.Sprintf("the agent in the container has none, the host says %v", b)
				continue
			}
			low, high := math.Min(a, b), math.Max(a, b)
			switch {
			case v == b || v == a:
				exact++
			case v >= low && v <= high:
				between++
			case math.Abs(v-b) <= 0.02*math.Abs(b)+0.02*math.Abs(a-b) || unsteady(series):
				near++
			default:
				found[series] = fmt.Sprintf("%v in the container, %v before and %v after on the host", v, b, a)
			}
		}
		for series := range inside {
			_, was := before[series]
			if _, is := after[series]; ours(series) && !was && !is {
				found[series] = "only the agent in the container has it"
			}
		}
		t.Logf("%d series equal, %d between the readings, %d within 2 %% or of what moves by itself, %d not", exact, between, near, len(found))
		if wrong != nil {
			maps.DeleteFunc(found, func(series, _ string) bool { return wrong[series] == "" })
		}
		if wrong = found; len(wrong) == 0 {
			break
		}
	}
	for series, what := range wrong {
		t.Errorf("%s: %s", series, what)
	}
	if exact+between < 200 {
		t.Errorf("%d series compared, want hundreds", exact+between)
	}
}

// unsteady are the numbers of the moment, which no second reading brackets.
func unsteady(series string) bool {
	for _, prefix := range []string{"node_procs_", "node_disk_io_now", "node_filefd_allocated", "node_load", "node_memory_", "container_memory_", "node_filesystem_"} {
		if strings.HasPrefix(series, prefix) {
			return true
		}
	}
	return false
}

// What each right is for: without it, what it is for is absent with its reason,
// and the agent runs.
func TestAgentWithFewerRights(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	web := d.Start([]string{"--name", d.Name("web")}, "sleep", "600")
	socket := []string{"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "--cap-drop", "ALL", "--read-only"}
	f := func(t *testing.T, name string, options []string, collect string, states map[string]string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// It watches web and itself, so that the doctor speaks of these two.
			own := d.Name(strings.ToLower(strings.ReplaceAll(name, " ", "-")))
			agent := d.StartAgent(slices.Concat(socket, options, []string{"--name", own, "-e", "TALLYMAN_INCLUDE=name:" + d.Name("web") + ",name:" + own}))
			testkit.Eventually(t, time.Minute, "the container has its numbers", func() error {
				var v servers
				agent.JSON("/api/tallyman/v1/servers", &v)
				for _, c := range v.Hosts[0].Containers {
					if c.Name == d.Name("web") {
						if c.Collect != collect || c.Now == nil || c.Now.Memory == nil {
							return fmt.Errorf("collected by %q (%s), %+v, absent %+v", c.Collect, c.CollectWhy, c.Now, absencesOf(&agent.Client, web))
						}
						t.Logf("collected by %s %s", c.Collect, c.CollectWhy)
						return nil
					}
				}
				return fmt.Errorf("it is not there: %+v", v)
			})
			var r struct {
				Features []struct{ ID, State, Reason, Unlock string }
			}
			agent.JSON("/api/tallyman/v1/doctor", &r)
			got := map[string]string{}
			for _, f := range r.Features {
				got[f.ID] = f.State
				if f.State != "works" {
					t.Logf("doctor: %s %s: %s [%s]", f.ID, f.State, f.Reason, f.Unlock)
					if f.Reason == "" {
						t.Errorf("%s is %s without a reason", f.ID, f.State)
					}
				}
			}
			for id, state := range states {
				if got[id] != state {
					t.Errorf("the doctor says that %s is %q, want %q", id, got[id], state)
				}
			}
			d.Cmd("rm", "-f", agent.ID)
		})
	}
	blind := map[string]string{"container/cpu": "partly", "host/network": "off", "host/filesystems": "off", "host/cpu": "works", "right/see": "off", "right/enter": "off"}
	t.Run("through the engine", func(t *testing.T) {
		f(t, "socket alone", nil, "api", blind)
		// File systems are seen all the same as soon as some process of the host has
		// given up its own rights, as browsers do.
		f(t, "socket and processes", []string{"--pid=host"}, "api", map[string]string{"container/cpu": "partly", "host/network": "works"})
		f(t, "socket and cgroups", []string{"-v", "/sys/fs/cgroup:/host/sys/fs/cgroup:ro"}, "api", blind)
	})

	// Each capability, alone and taken away.
	rows := func(network, tcp, shm, look, enter, read string) map[string]string {
		return map[string]string{"container/cpu": "works", "container/network": network, "container/tcp": tcp, "container/shm": shm,
			"right/see": "works", "right/look": look, "right/enter": enter, "right/read": read}
	}
	for _, one := range []struct {
		caps []string
		want map[string]string
	}{
		// Whatever it lacks, an agent may look into its own container.
		{nil, rows("works", "off", "partly", "off", "off", "off")},
		{[]string{"SYS_PTRACE"}, rows("works", "off", "works", "works", "off", "off")},
		{[]string{"SYS_ADMIN"}, rows("works", "partly", "partly", "off", "off", "off")},
		{[]string{"DAC_READ_SEARCH"}, rows("works", "off", "partly", "off", "off", "works")},
		{[]string{"SYS_PTRACE", "DAC_READ_SEARCH"}, rows("works", "off", "works", "works", "off", "works")},
		{[]string{"SYS_ADMIN", "DAC_READ_SEARCH"}, rows("works", "partly", "partly", "off", "off", "works")},
		{[]string{"SYS_PTRACE", "SYS_ADMIN"}, rows("works", "works", "works", "works", "works", "off")},
		{[]string{"SYS_PTRACE", "SYS_ADMIN", "DAC_READ_SEARCH"}, rows("works", "works", "works", "works", "works", "works")},
	} {
		options := []string{"--pid=host", "--cgroupns=host", "-v", "/sys/fs/cgroup:/host/sys/fs/cgroup:ro"}
		for _, c := range one.caps {
			options = append(options, "--cap-add", c)
		}
		f(t, cmp.Or(strings.Join(one.caps, " and "), "no capability"), options, "cgroup", one.want)
	}
}
