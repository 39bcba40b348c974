// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman/internal/testkit"
)

// line is one row of the table of metrics that the mission asks for: the words
// of the table, our value, and the same read by hand.
type line struct {
	number int
	words  string
	series string // as exposed has it, empty for one with a reading of its own
	// byHand reads it; ok is false where the kernel does not tell.
	byHand func() (value float64, ok bool)
	// absent is the word under which the reason stands when it does not.
	absent string
	// near is how far off ours may be, as a part, beyond what two readings by
	// hand span.
	near float64
}

// table makes every row for one container.
type table struct {
	t     *testing.T
	d     *testkit.Docker
	p     *testkit.Program
	id    string
	pid   string
	files cgroupFiles
	disk  string // number
	name  string // of the disk
}

func (b *table) file(controller, name, name2 string) string {
	if v2Only() {
		return filepath.Join("/sys/fs/cgroup", b.files.unified, name2)
	}
	return filepath.Join("/sys/fs/cgroup", controller, b.files.v1[controller], name)
}

// memory is a line of memory.stat.
func (b *table) memory(key1, key2 string) func() (float64, bool) {
	return func() (float64, bool) {
		key := key1
		if v2Only() {
			key = key2
		}
		v, ok := testkit.ReadKeys(b.t, b.file("memory", "memory.stat", "memory.stat"))[key]
		return v, ok
	}
}

func (b *table) workingSet() float64 {
	inactive, _ := b.memory("total_inactive_file", "inactive_file")()
	return max(testkit.ReadNumber(b.t, b.file("memory", "memory.usage_in_bytes", "memory.current"))-inactive, 0)
}

// limit is the tightest of the cgroup and its parents, or the host's memory.
func (b *table) limit() float64 {
	host := testkit.ReadKeysWithUnit(b.t, "/proc/meminfo")["MemTotal"] * 1024
	if !v2Only() {
		v, _ := b.memory("hierarchical_memory_limit", "")()
		return min(v, host)
	}
	least := host
	for dir := filepath.Join("/sys/fs/cgroup", b.files.unified); dir != "/sys/fs/cgroup"; dir = filepath.Dir(dir) {
		if v, err := strconv.ParseFloat(strings.TrimSpace(testkit.ReadText(b.t, filepath.Join(dir, "memory.max"))), 64); err == nil {
			least = min(least, v)
		}
	}
	return least
}

// cpu is CPU time in seconds, in the best resolution that the kernel has.
func (b *table) cpu(key string) func() (float64, bool) {
	return func() (float64, bool) {
		dir := filepath.Join("/sys/fs/cgroup", b.files.unified)
		if !v2Only() {
			dir = filepath.Join("/sys/fs/cgroup/unified", b.files.unified)
		}
		return testkit.ReadKeys(b.t, filepath.Join(dir, "cpu.stat"))[key] / 1e6, true
	}
}

func (b *table) blockIO(key string) func() (float64, bool) {
	return func() (float64, bool) {
		if !counted(b.t, b.disk) {
			return 0, false
		}
		return blockIO(b.t, b.files.v1["blkio"], b.files.unified, b.disk, b.name)["container_fs_"+key+`_total{device="`+b.name+`"}`], true
	}
}

func (b *table) swap() (float64, bool) {
	if v2Only() {
		v, err := os.ReadFile(b.file("", "", "memory.swap.current"))
		if err != nil {
			return 0, false
		}
		return testkit.Number(b.t, strings.TrimSpace(string(v))), true
	}
	return b.memory("total_swap", "")()
}

// shm is what stat says of the file system of the container's shared memory:
// all of its bytes, those in use or those that are free. (df, with which
// TestSharedMemoryEqualsDf compares, takes no path through /proc.)
func (b *table) shm(which string) func() (float64, bool) {
	return func() (float64, bool) {
		out, err := testkit.Run(10*time.Second, nil, "stat", "-f", "-c", "%b %f %S", "/proc/"+b.pid+"/root/dev/shm")
		f := strings.Fields(out)
		if err != nil || len(f) != 3 {
			b.t.Fatalf("stat: %v: %s", err, out)
		}
		blocks, free, size := testkit.Number(b.t, f[0]), testkit.Number(b.t, f[1]), testkit.Number(b.t, f[2])
		return map[string]float64{"all": blocks, "free": free, "used": blocks - free}[which] * size, true
	}
}

func (b *table) network(metric string) func() (float64, bool) {
	return func() (float64, bool) {
		v, ok := b.files.network()["container_network_"+metric+`_total{interface="eth0"}`]
		return v, ok
	}
}

func (b *table) lines() []line {
	net := func(metric string) string { return "container_network_" + metric + `_total{interface="eth0"}` }
	block := func(key string) string { return "container_fs_" + key + `_total{device="` + b.name + `"}` }
	value := func(f func() float64) func() (float64, bool) { return func() (float64, bool) { return f(), true } }
	fault := func(kind string) string {
		return `container_memory_failures_total{failure_type="` + kind + `",scope="hierarchy"}`
	}
	lines := []line{
		{1, "total CPU usage", "container_cpu_usage_seconds_total", b.cpu("usage_usec"), "", 0},
		{2, "kernel CPU usage", "container_cpu_system_seconds_total", b.cpu("system_usec"), "", 0.02},
		{3, "user CPU usage", "container_cpu_user_seconds_total", b.cpu("user_usec"), "", 0.02},
		{4, "block IO read", block("reads_bytes"), b.blockIO("reads_bytes"), "block IO", 0},
		{5, "block IO written", block("writes_bytes"), b.blockIO("writes_bytes"), "block IO", 0},
		{6, "memory usage", "container_memory_working_set_bytes", value(b.workingSet), "", 0.02},
		{7, "memory limit", "container_spec_memory_limit_bytes", value(b.limit), "", 0},
		{8, "memory usage %", "container_memory_usage_percent", value(func() float64 { return b.workingSet() / b.limit() * 100 }), "", 0.02},
		{9, "free memory", "container_memory_free_bytes", value(func() float64 { return b.limit() - b.workingSet() }), "", 0.02},
		{10, "free memory %", "container_memory_free_percent", value(func() float64 { return 100 - b.workingSet()/b.limit()*100 }), "", 0.02},
		{11, "page cache", "container_memory_cache", b.memory("total_cache", "file"), "", 0.02},
		{12, "anonymous and swap cache", "container_memory_rss", b.memory("total_rss", "anon"), "", 0.02},
		{13, "swap used", "container_memory_swap", b.swap, "swap", 0.05},
		{14, "working set", "container_memory_working_set_bytes", value(b.workingSet), "", 0.02},
		{15, "page faults", fault("pgfault"), b.memory("total_pgfault", "pgfault"), "", 0},
		{16, "major page faults", fault("pgmajfault"), b.memory("total_pgmajfault", "pgmajfault"), "", 0},
		{17, "received", net("receive_bytes"), b.network("receive_bytes"), "", 0},
		{18, "receive errors", net("receive_errors"), b.network("receive_errors"), "", 0},
		{19, "received and dropped", net("receive_packets_dropped"), b.network("receive_packets_dropped"), "", 0},
		{20, "transmitted", net("transmit_bytes"), b.network("transmit_bytes"), "", 0},
		{21, "transmit errors", net("transmit_errors"), b.network("transmit_errors"), "", 0},
		{22, "transmitted and dropped", net("transmit_packets_dropped"), b.network("transmit_packets_dropped"), "", 0},
	}
	for i, state := range []string{"established", "synsent", "synrecv", "finwait1", "finwait2", "timewait", "closewait", "lastack", "listen", "closing"} {
		lines = append(lines, line{23 + i, "TCP " + state, "tcp " + state, func() (float64, bool) { return bySS(b.t, b.pid)["tcp "+state], true }, "", 0})
	}
	return append(lines,
		line{33, "shm limit", "container_shm_limit_bytes", b.shm("all"), "", 0},
		line{34, "shm free", "container_shm_free_bytes", b.shm("free"), "", 0},
		line{35, "shm free %", "container_shm_free_percent", func() (float64, bool) {
			free, _ := b.shm("free")()
			size, _ := b.shm("all")()
			return free / size * 100, true
		}, "", 0},
		line{36, "shm used", "container_shm_used_bytes", b.shm("used"), "", 0},
		line{37, "Docker running", "docker_up_ratio", func() (float64, bool) {
			out, err := b.d.May("version", "-f", "{{.Server.Version}}")
			return map[bool]float64{true: 1, false: 0}[err == nil && out != ""], true
		}, "", 0},
	)
}

// ours are our values under the names of the lines.
func (b *table) ours() map[string]float64 {
	m := exposed(b.t, b.p, b.id)
	for state, v := range exposedStates(b.t, b.p, b.id) {
		m[state] = v
	}
	for series, v := range scrape(b.t, &b.p.Client) {
		if strings.HasPrefix(series, "docker_up_ratio{engine=local") {
			m["docker_up_ratio"] = v
		}
	}
	return m
}

// compare compares every line that is not done with readings before and after,
// and notes those that fit.
func (b *table) compare(lines []line, done map[int]string) error {
	type reading struct {
		v  float64
		ok bool
	}
	read := func() map[int]reading {
		m := map[int]reading{}
		for _, l := range lines {
			if done[l.number] == "" {
				v, ok := l.byHand()
				m[l.number] = reading{v, ok}
			}
		}
		return m
	}
	before := read()
	got := b.ours()
	after := read()
	var off error
	for _, l := range lines {
		if done[l.number] != "" {
			continue
		}
		one, two := before[l.number], after[l.number]
		v, have := got[l.series]
		if !one.ok || !two.ok {
			reason := absences(b.p, b.id)[l.absent].Reason
			if have || reason == "" {
				off = fmt.Errorf("%d %s: the kernel does not tell it, we have %v (%v) and the reason %q", l.number, l.words, v, have, reason)
				continue
			}
			done[l.number] = "absent: " + reason
			continue
		}
		low, high := min(one.v, two.v), max(one.v, two.v)
		slack := l.near*math.Abs(high) + 1e-9*math.Abs(high)
		if !have || v < low-slack || v > high+slack {
			off = fmt.Errorf("%d %s: %s = %v (%v), by hand %v and %v", l.number, l.words, l.series, v, have, one.v, two.v)
			continue
		}
		done[l.number] = fmt.Sprintf("%.10g, by hand %.10g to %.10g", v, low, high)
	}
	return off
}

// Every row of the table beside a reading by hand, wherever the container's
// cgroup lies.
func TestEveryRowOfTheTable(t *testing.T) {
	d := testkit.NewDocker(t)
	parent := "/tallyman-test/nested"
	if strings.Contains(d.Cmd("info", "-f", "{{.CgroupDriver}}"), "systemd") {
		parent = "tallyman-test.slice"
	}
	for name, options := range map[string][]string{"": nil, "under another parent": {"--cgroup-parent", parent}} {
		t.Run(strings.TrimSpace("a container "+name), func(t *testing.T) { everyRow(t, options) })
	}
}

func everyRow(t *testing.T, options []string) {
	d := testkit.NewDocker(t)
	b := &table{t: t, d: d}
	b.disk, b.name = disk(t, d.Cmd("info", "-f", "{{.DockerRootDir}}"))
	// 40 MiB of shared memory do not fit into 32 MiB: with swap they go there.
	limit, shm := "128m", 20
	if strings.Count(testkit.ReadText(t, "/proc/swaps"), "\n") > 1 {
		limit, shm = "32m", 40
	}
	work := fmt.Sprintf("mkdir /www; dd if=/dev/zero of=/www/f bs=1048576 count=4 oflag=direct; dd if=/www/f of=/dev/null bs=1048576 iflag=direct; "+
		"dd if=/dev/zero of=/dev/shm/f bs=1048576 count=%d; echo done; exec httpd -f -p 80 -h /www", shm)
	b.id = d.Start(append([]string{"-m", limit, "--memory-swap", "160m", "--shm-size", "64m"}, options...), "sh", "-c", work)
	testkit.Eventually(t, 30*time.Second, "the work is done", func() error {
		if out := d.Cmd("logs", b.id); !strings.Contains(out, "done") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	b.files = filesOf(t, d, b.id)
	b.pid = b.files.pid
	p, _ := inside(t, d, b.id)
	testkit.NewTCP(t, unix.AF_INET, p.Socket).EveryState(10)
	b.p = testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	resp, err := http.Get("http://" + d.Cmd("inspect", "-f", "{{.NetworkSettings.IPAddress}}", b.id) + "/f")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}

	lines, done := b.lines(), map[int]string{}
	testkit.Eventually(t, 40*time.Second, "every row fits", func() error { return b.compare(lines, done) })
	for _, l := range lines {
		t.Logf("%2d %-26s %s", l.number, l.words, done[l.number])
	}
	if len(lines) != 37 {
		t.Errorf("%d rows, the table has 37", len(lines))
	}
	if v, _ := b.swap(); limit == "32m" && v < 1<<20 {
		t.Errorf("%v bytes are swapped out, want more than a MiB", v)
	}
}
