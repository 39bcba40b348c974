// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"tallyman/internal/testkit"
)

// BenchmarkServices is what 200 plugins in 100 containers cost, each with 200 series, at 15 s:
// CPU and memory with them and without. It takes some minutes and looks at the clock, so it
// runs once, however often it is asked for.
func BenchmarkServices(b *testing.B) {
	cpu, memory := manyServices(b)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cpu*1000, "ms-CPU/s")
	b.ReportMetric(cpu*1000*15/200, "ms-CPU/scrape")
	b.ReportMetric(memory, "MiB-more")
}

var measured struct {
	once        sync.Once
	cpu, memory float64
}

func manyServices(b *testing.B) (cpu, memory float64) {
	measured.once.Do(func() {
		const n = 100
		d := testkit.NewDocker(b)
		for i := range n {
			d.Start([]string{"--name", d.Name(fmt.Sprint(i)), "--label", `tallyman.plugins=[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["http://localhost:8080/metrics","http://localhost:8080/other"]}}]`},
				"sh", "-c", `mkdir -p /w; i=0; while [ $i -lt 200 ]; do echo "served{n=\"$i\"} $i"; i=$((i+1)); done >/w/metrics; cp /w/metrics /w/other; exec httpd -f -p 127.0.0.1:8080 -h /w`)
		}
		cpu, memory := costOfPlugins(b, d, 0)
		with, more := costOfPlugins(b, d, 2*n)
		b.Logf("without plugins: %.1f ms of CPU a second and %.1f MiB; with 200 that give 40,000 series: %.1f ms and %.1f MiB", cpu*1000, memory, with*1000, more)
		measured.cpu, measured.memory = with-cpu, more-memory
	})
	return measured.cpu, measured.memory
}

// costOfPlugins is what a tallyman costs that asks so many instances, 0 for one without
// plugins: processors, over a minute, and anonymous memory in MiB.
func costOfPlugins(b *testing.B, d *testkit.Docker, instances int) (cpu, memory float64) {
	p := testkit.StartProgram(b, testkit.DataDir(b), "--interval", "10s", "--set", "limits.series=200000", "--set", "include=name:"+d.Name("*"), "--set", fmt.Sprint("plugins.enabled=", instances > 0))
	if instances > 0 {
		testkit.Eventually(b, 2*time.Minute, "all are up", func() error {
			var v struct{ Services []struct{ State string } }
			p.JSON("/api/tallyman/v1/services?state=up", &v)
			if len(v.Services) != instances {
				return fmt.Errorf("%d are", len(v.Services))
			}
			return nil
		})
	}
	time.Sleep(30 * time.Second) // it has settled
	read := func(expr string) float64 {
		points := p.One(expr)
		return points[len(points)-1].Value
	}
	before, at := read(`process_cpu_seconds_total{job="tallyman"}`), time.Now()
	time.Sleep(time.Minute)
	cpu = (read(`process_cpu_seconds_total{job="tallyman"}`) - before) / time.Since(at).Seconds()
	memory = read("tallyman_anonymous_memory_bytes") / (1 << 20)
	p.Stop()
	return cpu, memory
}

// BenchmarkServicesBesideExporters is what ten Redis cost to ask at 15 s: by the plugin, and by
// ten of Debian's redis_exporter whose pages are read, which is not counted. It takes some
// minutes and looks at the clock.
func BenchmarkServicesBesideExporters(b *testing.B) {
	if os.Getenv("TEST_EXPORTERS") == "" {
		b.Skip("TEST_EXPORTERS=1 compares with Debian's exporters")
	}
	const n = 10
	d := testkit.NewDocker(b)
	image := d.Debian("redis", "redis-server", "redis-tools")
	exporter := d.Debian("exporters", "prometheus-redis-exporter", "prometheus-nginx-exporter", "prometheus-apache-exporter", "prometheus-mysqld-exporter",
		"prometheus-postgres-exporter", "prometheus-haproxy-exporter", "prometheus-blackbox-exporter")
	var names []string
	for i := range n {
		name := d.Name(fmt.Sprint("redis", i))
		d.StartDebian(image, `exec redis-server --save '' --protected-mode no`, nil, "--name", name, "--label", "tallyman.enable=true")
		names = append(names, name)
	}
	cpu, memory := costOfPlugins(b, d, 0)
	with, more := costOfPlugins(b, d, n)

	var pids []int
	for i, name := range names {
		// Ports of the bridge's network, so that their pages can be read from here.
		id := d.Cmd("run", "-d", "--label", d.Label, "--name", d.Name(fmt.Sprint("exporter", i)), exporter, "prometheus-redis-exporter",
			"-redis.addr", "redis://"+d.Cmd("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name)+":6379")
		pid, err := strconv.Atoi(d.Cmd("inspect", "-f", "{{.State.Pid}}", id))
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, pid)
	}
	series := 0
	scrape := func() {
		for i := range names {
			r, err := http.Get("http://" + d.Cmd("inspect", "-f", "{{.NetworkSettings.IPAddress}}", d.Name(fmt.Sprint("exporter", i))) + ":9121/metrics")
			if err != nil {
				b.Fatal(err)
			}
			text, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				b.Fatal(err)
			}
			series += strings.Count(string(text), "\nredis_")
		}
	}
	time.Sleep(5 * time.Second)
	scrape()
	series = 0
	used := func() (seconds, mib float64) {
		for _, pid := range pids {
			p, err := procfs.NewProc(pid)
			if err != nil {
				b.Fatal(err)
			}
			stat, err := p.Stat()
			if err != nil {
				b.Fatal(err)
			}
			status, err := p.NewStatus()
			if err != nil {
				b.Fatal(err)
			}
			seconds, mib = seconds+stat.CPUTime(), mib+float64(status.RssAnon)/(1<<20)
		}
		return seconds, mib
	}
	before, _ := used()
	const rounds = 8
	for range rounds {
		time.Sleep(15 * time.Second)
		scrape()
	}
	after, theirs := used()
	b.Logf("the plugin: %.2f ms of CPU a second and %.1f MiB more; ten exporters: %.2f ms and %.1f MiB, without who reads and stores their %d series a round", (with-cpu)*1000, more-memory, (after-before)/(rounds*15)*1000, theirs, series/rounds)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((with-cpu)*1000, "ms-CPU/s")
	b.ReportMetric((after-before)/(rounds*15)*1000, "ms-CPU/s-exporters")
}
