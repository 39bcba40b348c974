// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// cgroupFiles are a container's cgroup directories, found by hand.
type cgroupFiles struct {
	t       *testing.T
	pid     string
	unified string
	v1      map[string]string
}

func filesOf(t *testing.T, d *testkit.Docker, id string) cgroupFiles {
	t.Helper()
	f := cgroupFiles{t: t, pid: d.Cmd("inspect", "-f", "{{.State.Pid}}", id), v1: map[string]string{}}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/"+f.pid+"/cgroup")) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if part[0] == "0" {
			f.unified = part[2]
		}
		for _, c := range strings.Split(part[1], ",") {
			f.v1[c] = part[2]
		}
	}
	return f
}

func v2Only() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// cpuSeconds is the CPU time of the container so far.
func (f cgroupFiles) cpuSeconds() float64 {
	if v2Only() {
		return testkit.ReadKeys(f.t, filepath.Join("/sys/fs/cgroup", f.unified, "cpu.stat"))["usage_usec"] / 1e6
	}
	return testkit.ReadNumber(f.t, filepath.Join("/sys/fs/cgroup/cpuacct", f.v1["cpuacct"], "cpuacct.usage")) / 1e9
}

// memory are the memory series as read by hand.
func (f cgroupFiles) memory() map[string]float64 {
	m := map[string]float64{}
	if v2Only() {
		dir := filepath.Join("/sys/fs/cgroup", f.unified)
		stat := testkit.ReadKeys(f.t, filepath.Join(dir, "memory.stat"))
		m["container_memory_usage_bytes"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.current"))
		m["container_memory_cache"], m["container_memory_rss"] = stat["file"], stat["anon"]
		m["container_memory_working_set_bytes"] = m["container_memory_usage_bytes"] - stat["inactive_file"]
		m["container_memory_mapped_file"] = stat["file_mapped"]
		m[`container_memory_failures_total{failure_type="pgfault",scope="hierarchy"}`] = stat["pgfault"]
		m[`container_memory_failures_total{failure_type="pgmajfault",scope="hierarchy"}`] = stat["pgmajfault"]
		m["container_oom_events_total"] = testkit.ReadKeys(f.t, filepath.Join(dir, "memory.events"))["oom_kill"]
		return m
	}
	dir := filepath.Join("/sys/fs/cgroup/memory", f.v1["memory"])
	stat := testkit.ReadKeys(f.t, filepath.Join(dir, "memory.stat"))
	m["container_memory_usage_bytes"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.usage_in_bytes"))
	m["container_memory_cache"], m["container_memory_rss"], m["container_memory_swap"] = stat["total_cache"], stat["total_rss"], stat["total_swap"]
	m["container_memory_working_set_bytes"] = m["container_memory_usage_bytes"] - stat["total_inactive_file"]
	m["container_memory_mapped_file"] = stat["total_mapped_file"]
	m["container_spec_memory_limit_bytes"] = stat["hierarchical_memory_limit"]
	m["container_memory_kernel_usage"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.kmem.usage_in_bytes"))
	m["container_memory_failcnt"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.failcnt"))
	m[`container_memory_failures_total{failure_type="pgfault",scope="hierarchy"}`] = stat["total_pgfault"]
	m[`container_memory_failures_total{failure_type="pgmajfault",scope="hierarchy"}`] = stat["total_pgmajfault"]
	m[`container_memory_failures_total{failure_type="pgfault",scope="container"}`] = stat["pgfault"]
	m["container_oom_events_total"] = testkit.ReadKeys(f.t, filepath.Join(dir, "memory.oom_control"))["oom_kill"]
	return m
}

// network are the counters of eth0 in the container.
func (f cgroupFiles) network() map[string]float64 {
	for line := range strings.Lines(testkit.ReadText(f.t, "/proc/"+f.pid+"/net/dev")) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || name != "eth0" {
			continue
		}
		v := strings.Fields(rest)
		m := map[string]float64{}
		for i, metric := range map[int]string{0: "receive_bytes", 1: "receive_packets", 2: "receive_errors", 3: "receive_packets_dropped",
			8: "transmit_bytes", 9: "transmit_packets", 10: "transmit_errors", 11: "transmit_packets_dropped"} {
			m["container_network_"+metric+`_total{interface="eth0"}`] = testkit.Number(f.t, v[i])
		}
		return m
	}
	f.t.Fatal("the container has no eth0")
	return nil
}

// exposed reads a container's values from /metrics, which are of this moment,
// under the keys that the readers by hand use.
func exposed(t *testing.T, p *testkit.Program, id string) map[string]float64 {
	t.Helper()
	status, body := p.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d", status)
	}
	m := map[string]float64{}
	for line := range strings.Lines(body) {
		if !strings.Contains(line, `id="/docker/`+id) {
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		labels, value, _ := strings.Cut(rest, "} ")
		var own []string
		for _, l := range strings.Split(labels, ",") {
			for _, keep := range []string{"failure_type=", "scope=", "interface="} {
				if strings.HasPrefix(l, keep) {
					own = append(own, l)
				}
			}
		}
		if len(own) > 0 {
			name += "{" + strings.Join(own, ",") + "}"
		}
		m[name] = testkit.Number(t, strings.TrimSpace(value))
	}
	return m
}

// equalOnceQuiet compares what tallyman exposes with a reading by hand that was
// the same before and after it.
func equalOnceQuiet(t *testing.T, p *testkit.Program, id string, byHand func() map[string]float64) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "every series equals the file read by hand", func() error {
		before := byHand()
		got := exposed(t, p, id)
		after := byHand()
		for k, v := range before {
			if after[k] != v {
				return fmt.Errorf("%s still moves", k)
			}
			g, ok := got[k]
			if !ok {
				return fmt.Errorf("%s is not exposed", k)
			}
			if g != v {
				return fmt.Errorf("%s = %v, by hand %v", k, g, v)
			}
		}
		return nil
	})
}

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	off := math.Abs(got-want) / want
	t.Logf("%s: %.6g, by hand %.6g, off by %.3f %%", what, got, want, off*100)
	if off > tolerance {
		t.Errorf("%s = %v, by hand %v: off by %.2f %%, want at most %.0f %%", what, got, want, off*100, tolerance*100)
	}
}

func TestCPUOfAContainerAtHalfACore(t *testing.T) {
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--cpus", "0.5"}, "sh", "-c", "while :; do :; done")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	files := filesOf(t, d, id)
	selector := `container_cpu_usage_seconds_total{id="/docker/` + id + `"}`
	testkit.Eventually(t, 10*time.Second, "the container is in PromQL", func() error {
		if len(p.Query(selector)) == 0 {
			return fmt.Errorf("no %s", selector)
		}
		return nil
	})
	t0, c0 := time.Now(), files.cpuSeconds()
	time.Sleep(15 * time.Second)
	t1, c1 := time.Now(), files.cpuSeconds()
	byHand := (c1 - c0) / t1.Sub(t0).Seconds()

	points := p.One(selector + "[14s]")
	first, last := points[0], points[len(points)-1]
	ours := (last.Value - first.Value) / last.Time.Sub(first.Time).Seconds()
	within(t, "CPU in cores over the window", ours, byHand, 0.02)
	// What follows depends on when others look, to the millisecond, so an
	// emulated machine gets more room.
	room := float64(testkit.Slow())
	within(t, "PromQL rate", p.One("rate(" + selector + "[14s])")[0].Value, byHand, 0.02*room)
	// The counter itself lies between the readings before and after it.
	if last.Value < c0 || last.Value > files.cpuSeconds() {
		t.Errorf("the counter is %v, by hand %v before and %v after", last.Value, c0, c1)
	}
	user := p.One(strings.Replace(selector, "usage", "user", 1))[0].Value
	system := p.One(strings.Replace(selector, "usage", "system", 1))[0].Value
	total := p.One(selector)[0].Value
	if math.Abs(user+system-total) > 0.05*total {
		t.Errorf("user %v and system %v do not add up to %v", user, system, total)
	}
	if throttled := p.One(`rate(container_cpu_cfs_throttled_seconds_total{id="/docker/` + id + `"}[14s])`)[0].Value; throttled < 0.3 {
		t.Errorf("a busy loop at half a core is throttled %.2f s per second, want about 0.5", throttled)
	}

	// docker stats and docker-monitor's figure at the same moment.
	// It compares two samples a second apart and is noisy; three are steadier.
	stats := 0.0
	for range 3 {
		stats += testkit.Number(t, strings.TrimSuffix(d.Cmd("stats", "--no-stream", "--format", "{{.CPUPerc}}", id), "%")) / 3
	}
	within(t, "docker stats CPU %", ours*100, stats, 0.05*room)
	name := strings.TrimPrefix(d.Cmd("inspect", "-f", "{{.Name}}", id), "/")
	var monitor map[string]struct {
		Status   string
		CPU, Mem float64
	}
	p.JSON("/docker-monitor/api/v1.0/metrics/"+name, &monitor)
	if monitor[name].Status != "running" {
		t.Errorf("docker-monitor's status = %q, want running", monitor[name].Status)
	}
	within(t, "docker-monitor CPU %", monitor[name].CPU, stats, 0.10*room) // one second against another
}

func TestMemoryOfAContainerThatTouches100MiB(t *testing.T) {
	d := testkit.NewDocker(t)
	// dd fills a block of 100 MiB and is then stuck in writing it.
	id := d.Start([]string{"-m", "256m"}, "sh", "-c", "dd if=/dev/zero bs=104857600 count=1 | sleep 600")
	p := testkit.StartProgram(t, testkit.DataDir(t))
	files := filesOf(t, d, id)
	testkit.Eventually(t, 20*time.Second, "the memory is touched", func() error {
		if v := files.memory()["container_memory_rss"]; v < 100<<20 {
			return fmt.Errorf("rss %v", v)
		}
		return nil
	})
	testkit.Eventually(t, 10*time.Second, "the container is exposed", func() error {
		if len(exposed(t, p, id)) == 0 {
			return fmt.Errorf("nothing of %s", id)
		}
		return nil
	})
	got := exposed(t, p, id)
	within(t, "container_memory_rss", got["container_memory_rss"], 100<<20, 0.02)
	if got["container_spec_memory_limit_bytes"] != 256<<20 {
		t.Errorf("limit = %v, want 256 MiB", got["container_spec_memory_limit_bytes"])
	}
	equalOnceQuiet(t, p, id, files.memory)

	percent := testkit.Number(t, strings.TrimSuffix(d.Cmd("stats", "--no-stream", "--format", "{{.MemPerc}}", id), "%"))
	within(t, "docker stats memory %", exposed(t, p, id)["container_memory_usage_percent"], percent, 0.05)
}

func TestNetworkBytesAfterATransfer(t *testing.T) {
	const payload = 20 << 20
	d := testkit.NewDocker(t)
	id := d.Start(nil, "sh", "-c", fmt.Sprintf("mkdir /www; dd if=/dev/zero of=/www/file bs=%d count=1; exec httpd -f -p 8080 -h /www", payload))
	p := testkit.StartProgram(t, testkit.DataDir(t))
	address := d.Cmd("inspect", "-f", "{{.NetworkSettings.IPAddress}}", id)
	var n int64
	testkit.Eventually(t, 20*time.Second, "the file is served", func() error {
		resp, err := http.Get("http://" + address + ":8080/file")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if n, err = io.Copy(io.Discard, resp.Body); err != nil || n != payload {
			return fmt.Errorf("%d bytes, %v", n, err)
		}
		return nil
	})
	files := filesOf(t, d, id)
	equalOnceQuiet(t, p, id, files.network)
	sent := exposed(t, p, id)[`container_network_transmit_bytes_total{interface="eth0"}`]
	t.Logf("sent %.0f bytes for a payload of %d", sent, payload)
	if sent < payload {
		t.Errorf("sent %v bytes, want at least the payload of %d", sent, payload)
	}
	testkit.Eventually(t, 12*time.Second, "the interface is in PromQL", func() error {
		if got := p.Query(`container_network_transmit_bytes_total{interface="eth0",id="/docker/` + id + `"}`); len(got) != 1 {
			return fmt.Errorf("%d series", len(got))
		}
		return nil
	})
}

// A container without a network of its own has no network series and says why.
func TestHostNetworkIsAbsentWithItsReason(t *testing.T) {
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--network", "host"}, "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t))
	testkit.Eventually(t, 10*time.Second, "the container is exposed", func() error {
		if len(exposed(t, p, id)) == 0 {
			return fmt.Errorf("nothing of %s", id)
		}
		return nil
	})
	for name := range exposed(t, p, id) {
		if strings.HasPrefix(name, "container_network") {
			t.Errorf("%s is exposed for a container on the host's network", name)
		}
	}
	var c struct {
		Absent []struct{ What, Reason string }
	}
	p.JSON("/api/tallyman/v1/containers/"+id, &c)
	if len(c.Absent) == 0 || c.Absent[0].What != "network" || !strings.Contains(c.Absent[0].Reason, "host") {
		t.Errorf("absent = %+v, want the network with its reason", c.Absent)
	}
}
