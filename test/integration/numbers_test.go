// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	return cgroupFilesOf(t, d.Cmd("inspect", "-f", "{{.State.Pid}}", id))
}

// cgroupFilesOf are those of a process.
func cgroupFilesOf(t *testing.T, pid string) cgroupFiles {
	t.Helper()
	f := cgroupFiles{t: t, pid: pid, v1: map[string]string{}}
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

// throttledSeconds is the time for which the container has waited for its quota so far.
func (f cgroupFiles) throttledSeconds() float64 {
	if v2Only() {
		return testkit.ReadKeys(f.t, filepath.Join("/sys/fs/cgroup", f.unified, "cpu.stat"))["throttled_usec"] / 1e6
	}
	return testkit.ReadKeys(f.t, filepath.Join("/sys/fs/cgroup/cpu", f.v1["cpu"], "cpu.stat"))["throttled_time"] / 1e9
}

// memory are the memory series as read by hand.
func (f cgroupFiles) memory() map[string]float64 {
	m := map[string]float64{}
	if v2Only() {
		dir := filepath.Join("/sys/fs/cgroup", f.unified)
		stat := testkit.ReadKeys(f.t, filepath.Join(dir, "memory.stat"))
		m["container_memory_usage_bytes"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.current"))
		peak := filepath.Join(dir, "memory.peak")
		if _, err := os.Stat(peak); err == nil { // since Linux 5.19
			m["container_memory_max_usage_bytes"] = testkit.ReadNumber(f.t, peak)
		}
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
	m["container_memory_max_usage_bytes"] = testkit.ReadNumber(f.t, filepath.Join(dir, "memory.max_usage_in_bytes"))
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
			for _, keep := range []string{"failure_type=", "scope=", "interface=", "device="} {
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

// recorder reads a container's CPU time by hand, many times a second, so that
// it can be told for any moment and compared over the very same window.
type recorder struct {
	mu     sync.Mutex
	points []testkit.Point
}

func record(t *testing.T, files cgroupFiles) *recorder {
	r := &recorder{}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			before := time.Now()
			v := files.cpuSeconds()
			at := before.Add(time.Since(before) / 2)
			r.mu.Lock()
			r.points = append(r.points, testkit.Point{Time: at, Value: v})
			r.mu.Unlock()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
	})
	return r
}

// rate is the mean between two moments, by hand.
func (r *recorder) rate(from, to time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return (interpolate(r.points, to) - interpolate(r.points, from)) / to.Sub(from).Seconds()
}

// interpolate is the value of a counter at a moment between two points.
func interpolate(points []testkit.Point, at time.Time) float64 {
	i, _ := slices.BinarySearchFunc(points, at, func(p testkit.Point, at time.Time) int { return p.Time.Compare(at) })
	i = min(max(i, 1), len(points)-1)
	a, b := points[i-1], points[i]
	return a.Value + (b.Value-a.Value)*at.Sub(a.Time).Seconds()/b.Time.Sub(a.Time).Seconds()
}

// statistics are the CPU time, in seconds, that the engine read between two times.
type statistics struct {
	asked, answered time.Time
	cpu             float64
}

// dockerStats asks the engine for statistics.
func dockerStats(t *testing.T, id string) statistics {
	t.Helper()
	s := statistics{asked: time.Now()}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", testkit.EngineSocket)
	}}}
	resp, err := client.Get("http://docker/containers/" + id + "/stats?stream=false")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		CPUStats struct {
			CPUUsage struct {
				Total float64 `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	s.answered, s.cpu = time.Now(), a.CPUStats.CPUUsage.Total/1e9
	return s
}

func TestCPUOfAContainerAtHalfACore(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--cpus", "0.5"}, "sh", "-c", "while :; do :; done")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	selector := `container_cpu_usage_seconds_total{id="/docker/` + id + `"}`
	testkit.Eventually(t, 10*time.Second, "the container is in PromQL", func() error {
		if len(p.Query(selector)) == 0 {
			return fmt.Errorf("no %s", selector)
		}
		return nil
	})
	byHand := record(t, filesOf(t, d, id))
	time.Sleep(time.Second) // so that the first sample lies within the record
	stats0 := dockerStats(t, id)
	time.Sleep(12 * time.Second)
	stats1 := dockerStats(t, id)
	time.Sleep(1500 * time.Millisecond)

	// The same window, from the first sample after the record began to the last.
	points := p.One(selector + "[15s]")
	points = slices.DeleteFunc(points, func(q testkit.Point) bool { return q.Time.Before(stats0.answered.Add(-1100 * time.Millisecond)) })
	first, last := points[0], points[len(points)-1]
	window := last.Time.Sub(first.Time)
	ours := (last.Value - first.Value) / window.Seconds()
	t.Logf("window of %v, %d samples", window, len(points))
	within(t, "CPU in cores", ours, byHand.rate(first.Time, last.Time), 0.02)
	for _, q := range points {
		byHand.mu.Lock()
		v := interpolate(byHand.points, q.Time)
		byHand.mu.Unlock()
		if math.Abs(q.Value-v) > 0.05*float64(testkit.Slow()) {
			t.Errorf("at %v the counter is %v s, by hand %v s", q.Time, q.Value, v)
		}
	}
	// A counter only grows. The time that docker stats gives is not that of its reading,
	// and a sample is read up to a twentieth of the interval after its time.
	const late = 50 * time.Millisecond
	for _, stats := range []statistics{stats0, stats1} {
		for _, q := range points {
			if q.Time.Add(late).Before(stats.asked) && q.Value > stats.cpu || q.Time.After(stats.answered) && q.Value < stats.cpu {
				t.Errorf("at %v the counter is %v s, docker stats has %v s between %v and %v", q.Time, q.Value, stats.cpu, stats.asked, stats.answered)
			}
		}
	}

	user := p.One(strings.Replace(selector, "usage", "user", 1))[0].Value
	system := p.One(strings.Replace(selector, "usage", "system", 1))[0].Value
	total := p.One(selector)[0].Value
	if math.Abs(user+system-total) > 0.05*total {
		t.Errorf("user %v and system %v do not add up to %v", user, system, total)
	}
	// On a busy machine it may never get so far that it is throttled.
	least := filesOf(t, d, id).throttledSeconds()
	testkit.Eventually(t, 10*time.Second, "the time that it was throttled is that of the kernel", func() error {
		got, most := p.One(`container_cpu_cfs_throttled_seconds_total{id="/docker/` + id + `"}`)[0].Value, filesOf(t, d, id).throttledSeconds()
		if got < least-1e-9 || got > most+1e-9 {
			return fmt.Errorf("it is %v s, by hand %v s, then %v s", got, least, most)
		}
		return nil
	})

	// docker-monitor's figure is that of the last two samples.
	name := strings.TrimPrefix(d.Cmd("inspect", "-f", "{{.Name}}", id), "/")
	testkit.Eventually(t, 10*time.Second, "docker-monitor's figure is the rate of the last two samples", func() error {
		var monitor map[string]struct {
			Status string
			CPU    float64
		}
		p.JSON("/docker-monitor/api/v1.0/metrics/"+name, &monitor)
		points := p.One(selector + "[5s]")
		a, b := points[len(points)-2], points[len(points)-1]
		want := 100 * (b.Value - a.Value) / b.Time.Sub(a.Time).Seconds()
		if got := monitor[name]; got.Status != "running" || math.Abs(got.CPU-want) > 0.01 {
			return fmt.Errorf("%+v, want %v", got, want)
		}
		return nil
	})
}

func TestMemoryOfAContainerThatTouches100MiB(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	for _, a := range c.Absent {
		if a.What == "network" && strings.Contains(a.Reason, "host") {
			return
		}
	}
	t.Errorf("absent = %+v, want the network with its reason", c.Absent)
}
