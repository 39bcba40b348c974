// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// hostSamples are the samples of /metrics whose name begins with one of the
// prefixes, by name and own labels: node_disk_io_now{device=vda}.
func hostSamples(t *testing.T, p *testkit.Program, prefixes ...string) map[string]float64 {
	t.Helper()
	status, body := p.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d", status)
	}
	m := map[string]float64{}
	for line := range strings.Lines(body) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) }) {
			continue
		}
		name, rest, _ := strings.Cut(line, "{")
		at := strings.LastIndex(rest, "} ")
		var own []string
		for labels := rest[:at]; labels != ""; labels = strings.TrimPrefix(labels, ",") {
			key, quoted, _ := strings.Cut(labels, "=")
			value, err := strconv.QuotedPrefix(quoted)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			labels = quoted[len(value):]
			if value, err = strconv.Unquote(value); err != nil {
				t.Fatal(err)
			}
			if key != "host" {
				own = append(own, key+"="+value)
			}
		}
		if len(own) > 0 {
			name += "{" + strings.Join(own, ",") + "}"
		}
		m[name] = testkit.Number(t, strings.TrimSpace(rest[at+2:]))
	}
	return m
}

// hostByHand are the counters of the host, read the plain way.
func hostByHand(t *testing.T) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/stat")) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(f[0], "cpu") && f[0] != "cpu":
			for i, mode := range []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} {
				m["node_cpu_seconds_total{cpu="+f[0][3:]+",mode="+mode+"}"] = testkit.Number(t, f[1+i]) / 100
			}
			m["node_cpu_guest_seconds_total{cpu="+f[0][3:]+",mode=user}"] = testkit.Number(t, f[9]) / 100
			m["node_cpu_guest_seconds_total{cpu="+f[0][3:]+",mode=nice}"] = testkit.Number(t, f[10]) / 100
		case f[0] == "intr":
			m["node_intr_total"] = testkit.Number(t, f[1])
		case f[0] == "ctxt":
			m["node_context_switches_total"] = testkit.Number(t, f[1])
		case f[0] == "processes":
			m["node_forks_total"] = testkit.Number(t, f[1])
		case f[0] == "btime":
			m["node_boot_time_seconds"] = testkit.Number(t, f[1])
		}
	}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/diskstats")) {
		f := strings.Fields(line)
		if f[2] != "vda" && f[2] != "sda" && f[2] != "nvme0n1" {
			continue
		}
		for i, one := range []struct {
			name  string
			scale float64
		}{{"reads_completed", 1}, {"reads_merged", 1}, {"read_bytes", 512}, {"read_time_seconds", 0.001},
			{"writes_completed", 1}, {"writes_merged", 1}, {"written_bytes", 512}, {"write_time_seconds", 0.001},
			{"", 0}, {"io_time_seconds", 0.001}, {"io_time_weighted_seconds", 0.001},
			{"discards_completed", 1}, {"discards_merged", 1}, {"discarded_sectors", 1}, {"discard_time_seconds", 0.001},
			{"flush_requests", 1}, {"flush_requests_time_seconds", 0.001}} {
			if one.name != "" && 3+i < len(f) {
				m["node_disk_"+one.name+"_total{device="+f[2]+"}"] = testkit.Number(t, f[3+i]) * one.scale
			}
		}
	}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/net/dev")) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(name, "veth") {
			continue
		}
		v := strings.Fields(rest)
		for i, column := range []string{"receive_bytes", "receive_packets", "receive_errs", "receive_drop", "receive_fifo", "receive_frame", "receive_compressed", "receive_multicast",
			"transmit_bytes", "transmit_packets", "transmit_errs", "transmit_drop", "transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed"} {
			m["node_network_"+column+"_total{device="+name+"}"] = testkit.Number(t, v[i])
		}
	}
	for _, resource := range []string{"cpu", "memory", "io"} {
		text, err := os.ReadFile("/proc/pressure/" + resource)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			word := map[string]string{"some": "waiting", "full": "stalled"}[strings.Fields(line)[0]]
			if resource == "cpu" && word == "stalled" {
				continue
			}
			_, total, _ := strings.Cut(strings.TrimSpace(line), "total=")
			m["node_pressure_"+resource+"_"+word+"_seconds_total"] = testkit.Number(t, total) / 1e6
		}
	}
	return m
}

// between waits for a round whose counters all lie between two readings by hand.
// /metrics may show a round of up to a second ago.
func between(t *testing.T, byHand, exposed func() map[string]float64) (before, got, after map[string]float64) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, "every counter lies between two readings by hand", func() error {
		time.Sleep(time.Second)
		before, got, after = byHand(), exposed(), byHand()
		moved := 0
		for _, name := range slices.Sorted(maps.Keys(before)) {
			g, ok := got[name]
			low, high := before[name], after[name]
			slack := 1e-9 * math.Abs(high)
			if strings.Contains(name, "mode=idle") || strings.Contains(name, "mode=iowait") {
				slack = 0.2 // these go back a little now and then
			}
			if !ok || g < low-slack || g > high+slack {
				return fmt.Errorf("%s = %v (exposed: %v), by hand %v before and %v after", name, g, ok, low, high)
			}
			if low != high {
				moved++
			}
		}
		t.Logf("%d counters equal the readings by hand, %d more moved and lie between them", len(before)-moved, moved)
		return nil
	})
	return before, got, after
}

func TestHostCounters(t *testing.T) {
	p := testkit.StartProgram(t, testkit.DataDir(t))
	before, got, after := between(t, func() map[string]float64 { return hostByHand(t) }, func() map[string]float64 { return hostSamples(t, p, "node_") })
	for _, example := range []string{"node_disk_read_bytes_total{device=vda}", "node_disk_written_bytes_total{device=vda}", "node_network_receive_bytes_total{device=eth0}", "node_context_switches_total"} {
		if _, ok := before[example]; ok {
			t.Logf("%s = %.0f, by hand %.0f before and %.0f after", example, got[example], before[example], after[example])
		}
	}
	for name := range got {
		if strings.Contains(name, "device=veth") || strings.Contains(name, "device=loop") || strings.Contains(name, "mountpoint=/var/lib/docker/") {
			t.Errorf("%s is exposed", name)
		}
	}
}

func TestHostGauges(t *testing.T) {
	p := testkit.StartProgram(t, testkit.DataDir(t))
	testkit.Eventually(t, 20*time.Second, "the gauges equal those by hand", func() error {
		read := func() map[string]float64 {
			m := map[string]float64{}
			for line := range strings.Lines(testkit.ReadText(t, "/proc/meminfo")) {
				f := strings.Fields(line)
				switch f[0] {
				case "MemTotal:", "SwapTotal:", "CommitLimit:", "VmallocTotal:", "Hugepagesize:", "MemFree:", "MemAvailable:", "AnonPages:", "Cached:":
					m["node_memory_"+strings.TrimSuffix(f[0], ":")+"_bytes"] = testkit.Number(t, f[1]) * 1024
				}
			}
			f := strings.Fields(testkit.ReadText(t, "/proc/loadavg"))
			m["node_load1"], m["node_load5"], m["node_load15"] = testkit.Number(t, f[0]), testkit.Number(t, f[1]), testkit.Number(t, f[2])
			f = strings.Fields(testkit.ReadText(t, "/proc/sys/fs/file-nr"))
			m["node_filefd_maximum"] = testkit.Number(t, f[2])
			return m
		}
		before := read()
		got := hostSamples(t, p, "node_")
		after := read()
		for name, b := range before {
			slack := math.Abs(after[name]-b) + 0.02*math.Abs(b)
			if strings.Contains(name, "Total") || strings.Contains(name, "maximum") || strings.Contains(name, "load") {
				slack = math.Abs(after[name] - b)
			}
			if g, ok := got[name]; !ok || math.Abs(g-b) > slack {
				return fmt.Errorf("%s = %v, %v; by hand %v, then %v", name, g, ok, b, after[name])
			}
		}
		if now := float64(time.Now().UnixMilli()) / 1000; math.Abs(got["node_time_seconds"]-now) > 5 {
			return fmt.Errorf("node_time_seconds = %v, it is %v", got["node_time_seconds"], now)
		}
		return nil
	})
	say := func(flag string) string {
		out, err := testkit.Run(5*time.Second, nil, "uname", flag)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, v := range hostSamples(t, p, "node_uname_info") {
		for label, flag := range map[string]string{"machine": "-m", "nodename": "-n", "release": "-r", "sysname": "-s", "version": "-v"} {
			if want := label + "=" + say(flag); v != 1 || !strings.Contains(name, want) {
				t.Errorf("%s = %v, want 1 and %s", name, v, want)
			}
		}
	}
}

// df is what df says of a mount point.
func df(t *testing.T, point string) (size, used, avail float64) {
	t.Helper()
	out, err := testkit.Run(10*time.Second, nil, "df", "-B1", "--output=size,used,avail", point)
	if err != nil {
		t.Skipf("df: %v: %s", err, out)
	}
	f := strings.Fields(strings.TrimSpace(out[strings.IndexByte(out, '\n'):]))
	return testkit.Number(t, f[0]), testkit.Number(t, f[1]), testkit.Number(t, f[2])
}

func TestFileSystemsBesideDf(t *testing.T) {
	p := testkit.StartProgram(t, testkit.DataDir(t))
	const slack = 1 << 20 // what others write between df and us, on top of what df sees change
	points := 0
	for name := range hostSamples(t, p, "node_filesystem_size_bytes") {
		_, labels, _ := strings.Cut(name, "{")
		_, point, _ := strings.Cut(strings.TrimSuffix(labels, "}"), "mountpoint=")
		points++
		testkit.Eventually(t, 20*time.Second, "df agrees on "+point, func() error {
			size0, used0, avail0 := df(t, point)
			got := hostSamples(t, p, "node_filesystem_")
			_, used1, avail1 := df(t, point)
			size, free, avail := got["node_filesystem_size_bytes{"+labels], got["node_filesystem_free_bytes{"+labels], got["node_filesystem_avail_bytes{"+labels]
			if size != size0 {
				return fmt.Errorf("size = %v, df %v", size, size0)
			}
			if used := size - free; used < min(used0, used1)-slack || used > max(used0, used1)+slack {
				return fmt.Errorf("used = %v, df %v, then %v", used, used0, used1)
			}
			if avail < min(avail0, avail1)-slack || avail > max(avail0, avail1)+slack {
				return fmt.Errorf("avail = %v, df %v, then %v", avail, avail0, avail1)
			}
			t.Logf("%s: size %.0f, used %.0f, avail %.0f; df %.0f, %.0f, %.0f", point, size, size-free, avail, size0, used0, avail0)
			return nil
		})
	}
	if points == 0 {
		t.Error("no file system is exposed")
	}
	var s struct {
		Hosts []struct {
			Load1, DiskUsed, DiskSize *float64
			DiskMount                 string
		}
	}
	p.JSON("/api/tallyman/v1/servers", &s)
	h := s.Hosts[0]
	if h.Load1 == nil || h.DiskUsed == nil || h.DiskSize == nil || h.DiskMount == "" {
		t.Fatalf("the host's figures lack some: %+v", h)
	}
	size, used, _ := df(t, h.DiskMount)
	t.Logf("the page: %.0f of %.0f bytes used on %s, load %v", *h.DiskUsed, *h.DiskSize, h.DiskMount, *h.Load1)
	if *h.DiskSize != size || math.Abs(*h.DiskUsed-used) > 64<<20 {
		t.Errorf("the page shows %v of %v bytes used on %s, df %v of %v", *h.DiskUsed, *h.DiskSize, h.DiskMount, used, size)
	}
}

// The machine as a whole, in cAdvisor's names, beside the root cgroup's files.
func TestMachineBesideTheRootCgroup(t *testing.T) {
	p := testkit.StartProgram(t, testkit.DataDir(t))
	meminfo := map[string]float64{}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/meminfo")) {
		f := strings.Fields(line)
		meminfo[strings.TrimSuffix(f[0], ":")] = testkit.Number(t, f[1]) * 1024
	}
	counters := func() map[string]float64 {
		m := map[string]float64{}
		cpu := "/sys/fs/cgroup/cpu.stat"
		if !v2Only() {
			cpu = "/sys/fs/cgroup/unified/cpu.stat"
		}
		m["container_cpu_usage_seconds_total{cpu=total,id=/}"] = testkit.ReadKeys(t, cpu)["usage_usec"] / 1e6
		for line := range strings.Lines(testkit.ReadText(t, "/proc/net/dev")) {
			name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
			if ok && name == "eth0" {
				m["container_network_receive_bytes_total{id=/,interface=eth0}"] = testkit.Number(t, strings.Fields(rest)[0])
				m["container_network_transmit_packets_total{id=/,interface=eth0}"] = testkit.Number(t, strings.Fields(rest)[9])
			}
		}
		if _, err := os.Stat("/var/lib/docker"); err == nil {
			if number, name := disk(t, "/var/lib/docker"); counted(t, number) {
				for k, v := range blockIO(t, "/", "/", number, name) {
					m[strings.Replace(strings.ReplaceAll(k, `"`, ""), "}", ",id=/}", 1)] = v
				}
			}
		}
		return m
	}
	before, got, after := between(t, counters, func() map[string]float64 { return hostSamples(t, p, "container_") })
	machine := hostSamples(t, p, "machine_")
	for _, name := range slices.Sorted(maps.Keys(before)) {
		t.Logf("%s = %.6f, by hand %.6f before and %.6f after", name, got[name], before[name], after[name])
	}

	// Memory moves all the time: compare closely.
	testkit.Eventually(t, 20*time.Second, "the machine's memory is that of the root cgroup", func() error {
		want := map[string]float64{}
		if v2Only() {
			now := map[string]float64{}
			for line := range strings.Lines(testkit.ReadText(t, "/proc/meminfo")) {
				f := strings.Fields(line)
				now[strings.TrimSuffix(f[0], ":")] = testkit.Number(t, f[1]) * 1024
			}
			want["usage_bytes"], want["rss"], want["cache"] = now["MemTotal"]-now["MemFree"], now["AnonPages"], now["Cached"]
		} else {
			stat := testkit.ReadKeys(t, "/sys/fs/cgroup/memory/memory.stat")
			want["usage_bytes"], want["rss"], want["cache"] = testkit.ReadNumber(t, "/sys/fs/cgroup/memory/memory.usage_in_bytes"), stat["total_rss"], stat["total_cache"]
		}
		got := hostSamples(t, p, "container_memory_")
		for name, w := range want {
			if g := got["container_memory_"+name+"{id=/}"]; math.Abs(g-w) > 0.02*w {
				return fmt.Errorf("%s = %v, by hand %v", name, g, w)
			} else {
				t.Logf("container_memory_%s{id=/} = %.0f, by hand %.0f", name, g, w)
			}
		}
		return nil
	})

	want := map[string]float64{"machine_cpu_cores": float64(runtime.NumCPU()), "machine_memory_bytes": meminfo["MemTotal"], "machine_swap_bytes": meminfo["SwapTotal"], "machine_scrape_error": 0}
	sockets := map[string]bool{}
	for _, name := range globbed(t, "/sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id") {
		sockets[testkit.ReadText(t, name)] = true
	}
	if len(sockets) > 0 {
		want["machine_cpu_sockets"] = float64(len(sockets))
	}
	for name, w := range want {
		if g, ok := machine[name]; !ok || g != w {
			t.Errorf("%s = %v, %v; want %v", name, g, ok, w)
		}
	}
	for name, v := range hostSamples(t, p, "container_fs_limit_bytes") {
		t.Logf("%s = %.0f", name, v)
		if strings.Contains(name, "name=") || strings.Contains(name, "image=") || !strings.Contains(name, "id=/}") {
			t.Errorf("%s has other labels than device and id", name)
		}
	}
	if size, _, _ := df(t, "/"); !slices.Contains(slices.Collect(maps.Values(hostSamples(t, p, "container_fs_limit_bytes"))), size) {
		t.Logf("/ is on no disk of its own") // an overlay, say
	}
	testkit.Eventually(t, 15*time.Second, "the machine is in PromQL under cAdvisor's job", func() error {
		if n := len(p.Query(`container_memory_working_set_bytes{id="/",job="cadvisor",name="",image=""}`)); n != 1 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	})
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
