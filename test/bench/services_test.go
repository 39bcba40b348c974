// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"sync"
	"testing"
	"time"

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
		cost := func(args ...string) (cpu, memory float64) {
			p := testkit.StartProgram(b, testkit.DataDir(b), append([]string{"--interval", "10s", "--set", "limits.series=200000", "--set", "include=name:" + d.Name("*")}, args...)...)
			if len(args) == 0 {
				testkit.Eventually(b, 2*time.Minute, "all are up", func() error {
					var v struct{ Services []struct{ State string } }
					p.JSON("/api/tallyman/v1/services?state=up", &v)
					if len(v.Services) != 2*n {
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
			before, at := read("process_cpu_seconds_total"), time.Now()
			time.Sleep(time.Minute)
			cpu = (read("process_cpu_seconds_total") - before) / time.Since(at).Seconds()
			memory = read("tallyman_anonymous_memory_bytes") / (1 << 20)
			p.Stop()
			return cpu, memory
		}
		cpu, memory := cost("--set", "plugins.enabled=false")
		with, more := cost()
		b.Logf("without plugins: %.1f ms of CPU a second and %.1f MiB; with 200 that give 40,000 series: %.1f ms and %.1f MiB", cpu*1000, memory, with*1000, more)
		measured.cpu, measured.memory = with-cpu, more-memory
	})
	return measured.cpu, measured.memory
}
