// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"tallyman/internal/nsx"
	"tallyman/internal/testkit"
)

// stateOf are cAdvisor's names of what ss prints.
var stateOf = map[string]string{
	"ESTAB": "established", "SYN-SENT": "synsent", "SYN-RECV": "synrecv", "FIN-WAIT-1": "finwait1", "FIN-WAIT-2": "finwait2", "TIME-WAIT": "timewait",
	"UNCONN": "close", "CLOSE-WAIT": "closewait", "LAST-ACK": "lastack", "LISTEN": "listen", "CLOSING": "closing",
}

// bySS counts what ss lists in the network of a process.
func bySS(t *testing.T, pid string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for family, option := range map[string]string{"tcp": "-4", "tcp6": "-6"} {
		for _, name := range stateOf {
			got[family+" "+name] = 0
		}
		out, err := testkit.Run(20*time.Second, nil, "nsenter", "-t", pid, "-n", "ss", "-tanH", option)
		if err != nil {
			t.Skipf("ss in the container's network: %v: %s", err, out)
		}
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(line, " ")
			name, ok := stateOf[word]
			if !ok {
				t.Fatalf("ss says %q", line)
			}
			got[family+" "+name]++
		}
	}
	return got
}

// exposedStates are the TCP states of a container in /metrics.
func exposedStates(t *testing.T, p *testkit.Program, id string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for series, v := range scrape(t, &p.Client) {
		for _, family := range []string{"tcp", "tcp6"} {
			if strings.HasPrefix(series, "container_network_"+family+"_usage_total{") && strings.Contains(series, "id=/docker/"+id) {
				_, state, _ := strings.Cut(series, "tcp_state=")
				state, _, _ = strings.Cut(strings.TrimSuffix(state, "}"), ",")
				got[family+" "+state] = v
			}
		}
	}
	return got
}

// likeSS compares what tallyman exposes with ss before and after.
func likeSS(t *testing.T, p *testkit.Program, id, pid, what string) (got map[string]float64) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, what, func() error {
		before := bySS(t, pid)
		got = exposedStates(t, p, id)
		if after := bySS(t, pid); !cmp.Equal(before, after) {
			return fmt.Errorf("it moves: %s", cmp.Diff(before, after))
		}
		if d := cmp.Diff(before, got); d != "" {
			return fmt.Errorf("(-ss +tallyman):\n%s", d)
		}
		return nil
	})
	return got
}

// inside reaches into the network of a container.
func inside(t *testing.T, d *testkit.Docker, id string) (p *nsx.Process, pid string) {
	t.Helper()
	pid = d.Cmd("inspect", "-f", "{{.State.Pid}}", id)
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = nsx.Open("/proc", n, id); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, pid
}

func TestTCPStatesEqualSS(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	idle := d.Start([]string{"--name", d.Name("idle")}, "sleep", "600")
	id := d.Start([]string{"--name", d.Name("states")}, "httpd", "-f", "-p", "80")
	twin := d.Start([]string{"--name", d.Name("twin"), "--network", "container:" + id}, "sleep", "600")
	host := d.Start([]string{"--name", d.Name("host"), "--network", "host"}, "sleep", "600")
	program := testkit.StartProgram(t, testkit.DataDir(t))
	p, pid := inside(t, d, id)
	likeSS(t, program, id, pid, "a web server equals ss")

	// Real requests of the container's own programs leave TIME_WAIT behind.
	d.Cmd("exec", id, "sh", "-c", "for i in 1 2 3; do wget -q -O /dev/null http://127.0.0.1/bin/true; done")
	got := likeSS(t, program, id, pid, "a web server after three requests equals ss")
	if got["tcp timewait"]+got["tcp6 timewait"] < 3 {
		t.Errorf("three requests leave %v", got)
	}

	testkit.NewTCP(t, unix.AF_INET, p.Socket).EveryState(10)
	testkit.NewTCP(t, unix.AF_INET6, p.Socket).EveryState(10)
	got = likeSS(t, program, id, pid, "every state equals ss")
	var produced, missing []string
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if got[key] > 0 {
			produced = append(produced, fmt.Sprintf("%s %v", key, got[key]))
		} else {
			missing = append(missing, key)
		}
	}
	t.Logf("produced: %s; not produced: %s", strings.Join(produced, ", "), strings.Join(missing, ", "))
	if d := cmp.Diff([]string{"tcp close", "tcp6 close"}, missing); d != "" {
		t.Errorf("states that did not come about (-want +got):\n%s", d)
	}

	_, pid = inside(t, d, idle)
	for key, v := range likeSS(t, program, idle, pid, "an idle container equals ss") {
		if v != 0 {
			t.Errorf("%s is %v in an idle container", key, v)
		}
	}
	for what, id := range map[string]string{"another's network": twin, "the host's network": host} {
		if got := exposedStates(t, program, id); len(got) != 0 {
			t.Errorf("a container in %s has states of its own: %v", what, got)
		}
	}
}

func TestThousandsOfConnections(t *testing.T) {
	const pairs = 2500
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--name", d.Name("many")}, "sleep", "600")
	program := testkit.StartProgram(t, testkit.DataDir(t))
	p, pid := inside(t, d, id)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*pairs+100 {
		t.Skipf("only %d descriptors are allowed here", limit.Cur)
	}
	k := testkit.NewTCP(t, unix.AF_INET, p.Socket)
	l := k.Listen(128, false)
	for range pairs {
		l.Pair()
	}
	got := likeSS(t, program, id, pid, "thousands of connections equal ss")
	if got["tcp established"] != 2*pairs || got["tcp listen"] != 1 {
		t.Errorf("%v, want %d established", got, 2*pairs)
	}
}

// Descriptors keep the network and the shared memory of a container alive.
func TestNothingStaysOpenOfAContainerThatHasGone(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--name", d.Name("short")}, "sleep", "600")
	pid := d.Cmd("inspect", "-f", "{{.State.Pid}}", id)
	program := testkit.StartProgram(t, testkit.DataDir(t))
	testkit.Eventually(t, 60*time.Second, "its states are there", func() error {
		if got := exposedStates(t, program, id); len(got) == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	held := func() (n int) {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", program.Pid()))
		if err != nil || len(links) == 0 {
			t.Fatalf("%d descriptors, %v", len(links), err)
		}
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && (strings.Contains(to, "/proc/"+pid+"/") || strings.Contains(to, id)) { // else it was closed meanwhile
				n++
			}
		}
		return n
	}
	if held() == 0 {
		t.Fatal("nothing is open of the container")
	}
	d.Cmd("rm", "-f", id)
	testkit.Eventually(t, 60*time.Second, "nothing of the container stays open", func() error {
		if n := held(); n != 0 {
			return fmt.Errorf("%d descriptors", n)
		}
		return nil
	})
}
