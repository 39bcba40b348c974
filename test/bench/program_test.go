// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// BenchmarkProgram runs the whole program over BENCH_CONTAINERS (100) containers
// at BENCH_INTERVAL (10s) for BENCH_WINDOW (60) seconds, as an agent without
// history (BENCH_KEEP=true: with), and the same time without it, to tell what it
// costs and what it causes in dockerd and containerd, and in the shims: nothing
// that it does reaches those, so that their difference is the noise, a few
// tenths of a second per 60 s.
func BenchmarkProgram(b *testing.B) {
	n := count(b, "BENCH_CONTAINERS", containers)
	window := time.Duration(count(b, "BENCH_WINDOW", 60)) * time.Second
	interval := os.Getenv("BENCH_INTERVAL")
	if interval == "" {
		interval = "10s"
	}
	start(b, n)
	keep := strconv.FormatBool(os.Getenv("BENCH_KEEP") == "true")
	p := testkit.StartProgram(b, testkit.DataDir(b), "--interval", interval, "--set", "keep.metrics="+keep, "--set", "keep.logs="+keep)
	testkit.Eventually(b, time.Minute, "all are collected", func() error {
		if got := metric(b, p, "tallyman_collect_containers"); got < float64(n) {
			return fmt.Errorf("%v of %d", got, n)
		}
		return nil
	})
	time.Sleep(10 * time.Second)
	before, rounds, start := processCPU(b, p.Pid()), metric(b, p, "tallyman_collect_rounds_total"), time.Now()
	daemons, shims := daemonCPU(b)
	spent := metric(b, p, "tallyman_collect_seconds_total")
	// Not over /metrics, which would run a round of its own each time.
	var lasts []float64
	for time.Since(start) < window {
		time.Sleep(window / 15)
		var r struct {
			Cost struct{ RoundSeconds float64 }
		}
		p.JSON("/api/tallyman/v1/doctor", &r)
		lasts = append(lasts, r.Cost.RoundSeconds)
	}
	took := time.Since(start).Minutes()
	own := (processCPU(b, p.Pid()) - before) / took
	daemonsNow, shimsNow := daemonCPU(b)
	with, shimsWith := (daemonsNow-daemons)/took, (shimsNow-shims)/took
	rss, anonymous := memory(b, p.Pid())
	made := metric(b, p, "tallyman_collect_rounds_total") - rounds
	spent = metric(b, p, "tallyman_collect_seconds_total") - spent
	late := metric(b, p, "tallyman_collect_late_rounds_total")
	series := metric(b, p, "tallyman_series")
	p.Stop()

	start = time.Now()
	daemons, shims = daemonCPU(b)
	time.Sleep(window)
	took = time.Since(start).Minutes()
	daemonsNow, shimsNow = daemonCPU(b)
	without, shimsWithout := (daemonsNow-daemons)/took, (shimsNow-shims)/took

	b.ReportMetric(0, "ns/op")
	b.ReportMetric(own, "cpu-s/min")
	b.ReportMetric(with-without, "daemons-cpu-s/min")
	b.ReportMetric(without, "daemons-alone-cpu-s/min")
	b.ReportMetric(shimsWith-shimsWithout, "shims-cpu-s/min")
	b.ReportMetric(median(lasts)*1000, "ms/round-median")
	b.ReportMetric(spent/made*1000, "ms/round-mean")
	b.ReportMetric(made, "rounds")
	b.ReportMetric(late, "late-rounds")
	b.ReportMetric(series/float64(n), "series/container")
	b.ReportMetric(rss, "MB-rss")
	b.ReportMetric(anonymous, "MB-anonymous")
	if median(lasts) > 0.05 {
		b.Errorf("a round takes %.0f ms in the median, want less than 50", median(lasts)*1000)
	}
}

// metric is one of tallyman's own numbers, which have no other labels than host.
func metric(tb testing.TB, p *testkit.Program, name string) float64 {
	tb.Helper()
	_, body := p.Get("/metrics")
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, name+"{") {
			return testkit.Number(tb, line[strings.LastIndexByte(line, ' ')+1:len(line)-1])
		}
	}
	tb.Fatalf("there is no %s", name)
	return 0
}

// processCPU is the CPU time in seconds that a process has used, 0 for one that
// has ended.
func processCPU(tb testing.TB, pid int) float64 { return columnsCPU(tb, pid, 11, 13) }

// columnsCPU adds up columns of /proc/<pid>/stat behind the name, from the 12th on:
// user, system, and the same of children that have ended. A process that has
// gone has 0.
func columnsCPU(tb testing.TB, pid, from, to int) (sum float64) {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	for _, f := range strings.Fields(rest)[from:to] {
		sum += testkit.Number(tb, f) / 100
	}
	return sum
}

// daemonCPU is that of dockerd and containerd together, and of the shims.
func daemonCPU(tb testing.TB) (daemons, shims float64) {
	tb.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range all {
		comm, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			tb.Fatal(err)
		}
		switch strings.TrimSpace(string(comm)) {
		case "dockerd", "containerd":
			daemons += processCPU(tb, pid)
		case "containerd-shim":
			shims += processCPU(tb, pid)
		}
	}
	return daemons, shims
}

// memory is the resident memory of a process and the part that no file backs,
// in MB.
func memory(tb testing.TB, pid int) (rss, anonymous float64) {
	m := testkit.ReadKeysWithUnit(tb, fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	return m["Rss"] / 1000, m["Anonymous"] / 1000
}
