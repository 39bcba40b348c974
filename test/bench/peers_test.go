// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman/internal/testkit"
)

// peer is a program that watches the containers, with its settings.
type peer struct {
	name, settings string
	interval       time.Duration
	// start runs it with its files under dir.
	start func(b *testing.B, dir string) running
	pull  bool // it gives its numbers only when fetched
}

// running is a peer that runs.
type running struct {
	pid   int
	fetch func() int // counts the series of containers in what it gives
	stop  func()
}

func (p peer) key() string { return p.name + p.settings + p.interval.String() }

// cost is what a peer took, per 60 s.
type cost struct {
	own            float64 // CPU seconds
	daemons, shims float64 // the same, as the difference to without it
	rss, anonymous float64 // MB, of all its processes
	series         float64 // of each container
}

// total is in CPU seconds per 60 s. The shims use 0.3 s more or less by
// themselves, so less is no cost; nor is it a gain.
func (c cost) total() float64 {
	t := c.own + max(0, c.daemons)
	if c.shims > 0.3 {
		t += c.shims
	}
	return t
}

const (
	cadvisorPort = "18088"
	netdataPort  = "19998"
)

// BenchmarkPeers runs tallyman, and each of its peers of which BENCH_PEERS, a
// folder, has the program, after one another over the same BENCH_CONTAINERS (100) containers for
// BENCH_WINDOW (60) seconds each, and writes docs/benchmarks.md. `make bench-peers` makes
// the folder.
func BenchmarkPeers(b *testing.B) {
	folder := os.Getenv("BENCH_PEERS")
	if folder == "" {
		b.Skip("BENCH_PEERS names no folder of programs; make bench-peers does")
	}
	n, window := count(b, "BENCH_CONTAINERS", containers), time.Duration(count(b, "BENCH_WINDOW", 60))*time.Second
	targets, _ := start(b, n)
	for i := 0; i < len(targets); i += 25 {
		connect(b, targets[i], 10)
	}
	time.Sleep(10 * time.Second)
	costs := map[string]cost{}
	var order []peer
	var alone []cost
	quiet := func() {
		daemons, shims := daemonCPU(b)
		time.Sleep(window)
		d, s := daemonCPU(b)
		alone = append(alone, cost{daemons: (d - daemons) / window.Minutes(), shims: (s - shims) / window.Minutes()})
	}
	quiet()
	for _, p := range peers(b, folder) {
		dir := b.TempDir()
		r := p.start(b, dir)
		settle := max(25*time.Second, 2*p.interval)
		if p.name == "tallyman" {
			settle = 90 * time.Second // after its first minute it asks for the sizes of the layers, then each hour
		}
		var c cost
		run := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				time.Sleep(min(time.Until(end), 10*time.Second))
				if p.pull {
					r.fetch()
				}
			}
		}
		run(settle)
		own, begin := treeCPU(b, r.pid), time.Now()
		daemons, shims := daemonCPU(b)
		run(window)
		took := time.Since(begin).Minutes()
		c.own = (treeCPU(b, r.pid) - own) / took
		d, s := daemonCPU(b)
		c.daemons, c.shims = (d-daemons)/took, (s-shims)/took
		for _, one := range tree(b, r.pid) {
			rss, anonymous := memory(b, one)
			c.rss, c.anonymous = c.rss+rss, c.anonymous+anonymous
		}
		c.series = float64(r.fetch()) / float64(n)
		costs[p.key()] = c
		order = append(order, p)
		r.stop()
	}
	quiet()
	for k, c := range costs {
		c.daemons -= (alone[0].daemons + alone[1].daemons) / 2
		c.shims -= (alone[0].shims + alone[1].shims) / 2
		costs[k] = c
	}
	b.ReportMetric(0, "ns/op")
	text := report(b, order, costs, alone, n, window)
	if err := os.WriteFile("../../docs/benchmarks.md", []byte(text), 0o644); err != nil {
		b.Error(err)
	}
	b.Log("\n" + text)
	gate(b, order, costs, n)
}

// gate holds tallyman to what it promises beside its peers.
func gate(b *testing.B, order []peer, costs map[string]cost, n int) {
	each := func(name string, interval time.Duration) (least float64) {
		for _, p := range order {
			if p.name == name && p.interval == interval && costs[p.key()].series > 0 {
				one := costs[p.key()].total() / (60 / interval.Seconds()) / float64(n)
				if least == 0 || one < least {
					least = one
				}
			}
		}
		return least
	}
	if ours, theirs := each("tallyman", 10*time.Second), each("cAdvisor", 10*time.Second); theirs > 0 && ours > theirs/20 {
		b.Errorf("a container-sample costs %.3f ms, want at most a twentieth of cAdvisor's %.3f", ours*1000, theirs*1000)
	}
	if ours, theirs := each("tallyman", time.Second), each("Netdata", time.Second); theirs > 0 && ours > theirs/2 {
		b.Errorf("a container-sample costs %.3f ms, want at most half of Netdata's %.3f", ours*1000, theirs*1000)
	}
}

// peers are those that can run here.
func peers(b *testing.B, folder string) (out []peer) {
	us := func(settings string, interval time.Duration, args ...string) {
		out = append(out, peer{name: "tallyman", settings: settings, interval: interval, start: func(b *testing.B, dir string) running {
			p := testkit.StartProgram(b, testkit.DataDir(b), append([]string{"--interval", interval.String()}, args...)...)
			return running{pid: p.Pid(), stop: p.Stop, fetch: func() int {
				_, text := p.Get("/metrics")
				return seriesOf(text)
			}}
		}})
	}
	us("as an agent, nothing kept", 10*time.Second, "--set", "keep.metrics=false", "--set", "keep.logs=false")
	us("as an agent, nothing kept", time.Second, "--set", "keep.metrics=false", "--set", "keep.logs=false")
	us("everything on, metrics and logs kept", 10*time.Second)

	scraped := func(settings string, interval time.Duration, args ...string) {
		program, err := filepath.Abs(filepath.Join(folder, "cadvisor"))
		if err != nil || exec.Command("test", "-x", program).Run() != nil {
			b.Logf("cAdvisor is not in %s", folder)
			return
		}
		out = append(out, peer{name: "cAdvisor", settings: settings, interval: interval, pull: true, start: func(b *testing.B, dir string) running {
			r := launch(b, dir, program, append([]string{"-listen", "127.0.0.1:" + cadvisorPort}, args...)...)
			r.fetch = func() int { return seriesOf(get(b, "http://127.0.0.1:"+cadvisorPort+"/metrics")) }
			return r
		}})
	}
	scraped("defaults, scraped each 10 s", time.Second)
	scraped("tuned: housekeeping 10 s, Docker only, no labels, the costly kinds off, scraped each 10 s", 10*time.Second,
		"-housekeeping_interval=10s", "-allow_dynamic_housekeeping=false", "-docker_only", "-store_container_labels=false",
		"-disable_metrics=advtcp,app,cpu_topology,cpuset,disk,hugetlb,memory_numa,percpu,perf_event,process,referenced_memory,resctrl,sched,tcp,udp")

	if program, err := filepath.Abs(filepath.Join(folder, "telegraf")); err == nil && exec.Command("test", "-x", program).Run() == nil {
		out = append(out, peer{name: "Telegraf", settings: "docker input with its defaults, output to a file", interval: 10 * time.Second, start: func(b *testing.B, dir string) running {
			written := filepath.Join(dir, "out")
			write(b, filepath.Join(dir, "conf"), "[agent]\n interval = \"10s\"\n flush_interval = \"10s\"\n[[inputs.docker]]\n[[outputs.file]]\n files = ["+strconv.Quote(written)+"]\n data_format = \"influx\"\n")
			r := launch(b, dir, program, "--config", filepath.Join(dir, "conf"))
			r.fetch = func() int { return fieldsOf(testkit.ReadText(b, written)) }
			return r
		}})
	} else {
		b.Logf("Telegraf is not in %s", folder)
	}

	program, err := exec.LookPath("netdata")
	if err != nil {
		b.Log("Netdata is not installed")
		return out
	}
	out = append(out, peer{name: "Netdata", settings: "only its cgroups plugin, on the hierarchy in use, and net/dev", interval: time.Second, start: func(b *testing.B, dir string) running {
		unified := "no"
		if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
			unified = "yes"
		}
		conf := "[global]\n run as user = root\n[directories]\n"
		for _, d := range []string{"config", "cache", "lib", "log"} {
			conf += " " + d + " = " + dir + "/" + d + "\n"
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		conf += "[db]\n mode = ram\n update every = 1\n[ml]\n enabled = no\n[health]\n enabled = no\n[web]\n bind to = 127.0.0.1\n default port = " + netdataPort + "\n[plugins]\n"
		for _, off := range []string{"timex", "idlejitter", "tc", "diskspace", "apps", "python.d", "charts.d", "go.d", "node.d", "fping", "ioping", "ebpf", "perf", "slabinfo", "freeipmi", "cups", "nfacct", "xenstat", "statsd", "checks", "netdata monitoring", "netdata monitoring extended", "enable running new plugins"} {
			conf += " " + off + " = no\n"
		}
		conf += " proc = yes\n cgroups = yes\n[plugin:proc]\n"
		for _, off := range []string{"/proc/pagetypeinfo", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/sys/kernel/random/entropy_avail", "/proc/pressure", "/proc/interrupts", "/proc/softirqs", "/proc/vmstat", "/proc/meminfo", "/sys/kernel/mm/ksm", "/sys/block/zram", "/sys/devices/system/edac/mc", "/sys/devices/system/node", "/proc/net/wireless", "/proc/net/sockstat", "/proc/net/sockstat6", "/proc/net/netstat", "/proc/net/sctp/snmp", "/proc/net/softnet_stat", "/proc/net/ip_vs/stats", "/sys/class/infiniband", "/proc/net/stat/conntrack", "/proc/net/stat/synproxy", "/proc/diskstats", "/proc/mdstat", "/proc/net/rpc/nfsd", "/proc/net/rpc/nfs", "/proc/spl/kstat/zfs/arcstats", "/proc/spl/kstat/zfs/pool/state", "/sys/fs/btrfs", "ipc", "/sys/class/power_supply"} {
			conf += " " + off + " = no\n"
		}
		// Names from Docker need a script that is in another package, and without it
		// no container is watched; their ids do.
		conf += " /proc/net/dev = yes\n[plugin:cgroups]\n use unified cgroups = " + unified + "\n run script to rename cgroups matching = !*\n"
		write(b, filepath.Join(dir, "conf"), conf)
		r := launch(b, dir, program, "-D", "-c", filepath.Join(dir, "conf"))
		r.fetch = func() int {
			var all struct {
				Charts map[string]struct {
					Dimensions map[string]struct{}
				}
			}
			if err := json.Unmarshal([]byte(get(b, "http://127.0.0.1:"+netdataPort+"/api/v1/charts")), &all); err != nil {
				b.Error(err)
			}
			sum := 0
			for id, c := range all.Charts {
				if strings.HasPrefix(id, "cgroup_") && strings.Contains(id, "docker") {
					sum += len(c.Dimensions)
				}
			}
			return sum
		}
		for end := time.Now().Add(time.Minute); r.fetch() == 0 && time.Now().Before(end); {
			time.Sleep(time.Second) // it looks for new ones each ten seconds
		}
		return r
	}})
	return out
}

// launch starts a program in a group of its own; stop ends the group.
func launch(b *testing.B, dir, program string, args ...string) running {
	b.Helper()
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it, or what it left behind
		<-done
		_ = log.Close()
	})
	b.Cleanup(stop)
	time.Sleep(5 * time.Second)
	select {
	case <-done:
		b.Fatalf("%s has ended:\n%s", program, testkit.ReadText(b, log.Name()))
	default:
	}
	return running{pid: cmd.Process.Pid, stop: stop}
}

func write(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

func get(b *testing.B, url string) string {
	b.Helper()
	resp, err := http.Get(url)
	if err != nil {
		b.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Error(err)
	}
	return string(text)
}

// seriesOf counts the series of single containers in an exposition.
func seriesOf(text string) (n int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "container_") && strings.Contains(line, `id="/docker/`) {
			n++
		}
	}
	return n
}

// fieldsOf counts the fields of containers in what Telegraf wrote.
func fieldsOf(text string) int {
	fields := map[string]bool{}
	for line := range strings.Lines(text) {
		head, rest, ok := strings.Cut(strings.ReplaceAll(line, `\ `, "_"), " ")
		if !ok || !strings.HasPrefix(head, "docker_container_") {
			continue
		}
		values, _, _ := strings.Cut(rest, " ")
		for one := range strings.SplitSeq(values, ",") {
			name, _, _ := strings.Cut(one, "=")
			fields[head+" "+name] = true
		}
	}
	return len(fields)
}

// tree is a process and all below it.
func tree(b *testing.B, root int) []int {
	b.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	children := map[int][]int{}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, _, _ := strings.Cut(string(text), " ")
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 {
			parent := int(testkit.Number(b, f[1]))
			children[parent] = append(children[parent], int(testkit.Number(b, pid)))
		}
	}
	out := []int{root}
	for i := 0; i < len(out); i++ {
		out = append(out, children[out[i]]...)
	}
	return out
}

// treeCPU is what a process, all below it and those of them that have ended
// have used, in seconds.
func treeCPU(b *testing.B, root int) (sum float64) {
	b.Helper()
	for _, pid := range tree(b, root) {
		sum += columnsCPU(b, pid, 11, 15)
	}
	return sum
}

// report is docs/benchmarks.md.
func report(b *testing.B, order []peer, costs map[string]cost, alone []cost, n int, window time.Duration) string {
	said := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(out))
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	kernel := string(bytes.TrimRight(u.Release[:], "\x00"))
	model := "unknown"
	for line := range strings.Lines(testkit.ReadText(b, "/proc/cpuinfo")) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	cores := strings.Count(testkit.ReadText(b, "/proc/cpuinfo"), "processor\t")
	cgroup := "v1"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		cgroup = "v2"
	}
	var w strings.Builder
	p := func(f string, args ...any) { fmt.Fprintf(&w, f+"\n", args...) }
	p("<!-- Written by `make bench-peers`; do not edit. -->")
	p("# Benchmarks beside peers\n")
	p("What it costs to watch %d containers, for tallyman and for programs that do the same, measured one after", n)
	p("another over the same containers by `make bench-peers`, which writes this page. Run it on your own machine:")
	p("ratios carry over, single figures do not.\n")
	p("- Machine: %s, %d cores, Linux %s, cgroup %s, Docker %s.", model, cores, kernel, cgroup, said("docker", "version", "-f", "{{.Server.Version}}"))
	p("- Date: %s. Window: %v each, after 25 s to settle, tallyman's after 90: when a container has been watched\n  for a minute, and then each hour, it asks the engine for the size of its layer, which is not in the window.", time.Now().UTC().Format(time.DateOnly), window)
	p("- Containers: %d that sleep; each 25th has ten TCP connections within it.", n)
	p("- *Own* is CPU of the program and its children. *Daemons* is CPU of dockerd and containerd over the window, less")
	p("  what they use alone (%.2f s per 60 s before all, %.2f after); *shims* the same of the shims (%.2f and %.2f).", alone[0].daemons, alone[1].daemons, alone[0].shims, alone[1].shims)
	p("  Within those differences it is noise.")
	p("- *Each* is all of that for one container once; shims count from 0.3 s on.")
	p("- Versions: cAdvisor %s (its libraries behind a small program of ours), %s, %s.\n",
		said("go", "-C", "peers/cadvisor", "list", "-m", "-f", "{{.Version}}", "github.com/google/cadvisor"),
		strings.Split(said(filepath.Join(os.Getenv("BENCH_PEERS"), "telegraf"), "--version"), " (")[0], said("netdata", "-V"))
	p("| program | settings | interval | own, s per 60 s | daemons, s per 60 s | shims, s per 60 s | each, ms | RSS, MB | anonymous, MB | series per container |")
	p("|---|---|---|---|---|---|---|---|---|---|")
	for _, one := range order {
		c := costs[one.key()]
		if c.series == 0 { // it watched nothing, so its cost says nothing
			p("| %s | %s | %v | gave no series of containers in this run: not compared | | | | | | 0 |", one.name, one.settings, one.interval)
			continue
		}
		p("| %s | %s | %v | %.2f | %+.2f | %+.2f | %.3f | %.0f | %.0f | %.0f |", one.name, one.settings, one.interval, c.own, c.daemons, c.shims,
			1000*c.total()/(60/one.interval.Seconds())/float64(n), c.rss, c.anonymous, c.series)
	}
	p("\ncAdvisor's defaults let it collect less often than its interval when little changes, so what it costs each time is")
	p("more than the table says. Telegraf is built with its docker input alone; its full program has more memory.")
	return w.String()
}
