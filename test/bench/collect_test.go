// SPDX-License-Identifier: Apache-2.0

// Package bench measures what must be cheap on real containers. Times on a
// shared machine are noisy, so each figure comes as a ratio to the floor
// program, whose rounds alternate with the measured ones.
package bench

import (
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/catalog"
	"tallyman/internal/testkit"
	"tallyman/pipeline"
	"tallyman/test/bench/floor"
)

// rows are what the sources collect now; the floor reads the same. Block IO is
// read only where the kernel counts it.
func rows() floor.Rows {
	r := floor.CPU | floor.Memory | floor.Tasks | floor.Network | floor.TCP | floor.SharedMemory | floor.Pressure
	for _, name := range []string{"blkio/blkio.throttle.io_service_bytes_recursive", "io.stat"} {
		if text, err := os.ReadFile("/sys/fs/cgroup/" + name); err == nil && strings.Contains(string(text), ":") {
			r |= floor.BlockIO
		}
	}
	return r
}

// containers is how many are started; BENCH_CONTAINERS overrides it.
const containers = 100

// BenchmarkCollect compares a round of collection, from the kernel to the
// table of latest values, with the floor. An operation is one sample of one
// container.
func BenchmarkCollect(b *testing.B) {
	n := containers
	if s := os.Getenv("BENCH_CONTAINERS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	targets, plain := start(b, n)
	b.Run("hot", func(b *testing.B) { compare(b, targets, plain, 0) })
	// An agent that wakes up once in a while finds cold caches.
	b.Run("cold", func(b *testing.B) { compare(b, targets, plain, 400*time.Millisecond) })
}

func compare(b *testing.B, targets []*tallyman.Target, plain []floor.Container, pause time.Duration) {
	collect, closeSources := collector(b, targets)
	defer closeSources()
	f, err := floor.Open(plain, rows())
	if err != nil {
		b.Skipf("the floor program cannot run here: %v", err)
	}
	defer f.Close()
	for range 3 {
		collect()
		f.Round()
	}
	rounds := max(b.N/len(targets), 10)
	if pause > 0 {
		rounds = 15
	}
	runtime.GC()
	var ours, theirs time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range rounds {
		theirs += cpu(pause, f.Round)
		ours += cpu(pause, collect)
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	samples := float64(rounds * len(targets))
	b.ReportMetric(0, "ns/op") // means nothing: b.N is no number of operations here
	b.ReportMetric(float64(ours)/samples, "ns/container-sample")
	b.ReportMetric(float64(theirs)/samples, "floor-ns/container-sample")
	b.ReportMetric(float64(ours)/float64(theirs), "x-floor")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/samples, "allocs/container-sample")
	if ratio := float64(ours) / float64(theirs); ratio > 2 {
		b.Errorf("a round costs %.2f times the floor, want at most 2.0", ratio)
	}
	// Timers and the runtime itself allocate now and then, one sample never.
	if allocs := float64(after.Mallocs-before.Mallocs) / samples; allocs > 0.02 {
		b.Errorf("%.3f allocations per container-sample, want 0", allocs)
	}
}

// cpu is the CPU time of this process that f takes, after a pause.
func cpu(pause time.Duration, f func()) time.Duration {
	if pause > 0 {
		time.Sleep(pause)
	}
	start := processTime()
	f()
	return processTime() - start
}

func processTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

// collector makes every source that watches containers, as the program does,
// and returns a function that runs one round.
func collector(b *testing.B, targets []*tallyman.Target) (round, closeAll func()) {
	all, err := catalog.Default()
	if err != nil {
		b.Fatal(err)
	}
	var sources []tallyman.Source
	for _, k := range all.Sources {
		if !k.Watches(tallyman.ContainerTarget) || len(k.Instead) > 0 {
			continue // what takes another's place collects nothing here
		}
		s, err := k.New(tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Proc: "/proc", Init: "/proc/1", Sys: "/sys", Cgroup: "/sys/fs/cgroup", Memory: 1 << 35})
		if err != nil {
			b.Fatal(err)
		}
		for _, t := range targets {
			if err := s.Attach(t); err != nil {
				b.Fatal(err)
			}
		}
		sources = append(sources, s)
	}
	p := pipeline.New(pipeline.Limits{Series: 50_000, PerTarget: 10_000}, slog.New(slog.DiscardHandler))
	var batch tallyman.Batch
	round = func() {
		batch.Reset(time.Now())
		for _, s := range sources {
			s.Collect(&batch)
		}
		p.Publish(&batch, true)
	}
	closeAll = func() {
		for _, s := range sources {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}
	}
	return round, closeAll
}

// start runs n idle containers.
func start(b *testing.B, n int) ([]*tallyman.Target, []floor.Container) {
	d := testkit.NewDocker(b)
	var targets []*tallyman.Target
	var plain []floor.Container
	ids := make([]string, n)
	for i := range n {
		ids[i] = d.Start(nil, "sleep", "3600")
	}
	pids := d.Cmd(append([]string{"inspect", "-f", "{{.State.Pid}}"}, ids...)...)
	for i, line := range strings.Fields(pids) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			b.Fatal(err)
		}
		c := &tallyman.Container{ID: ids[i], Name: "bench-" + strconv.Itoa(i), Image: testkit.Image, Host: "bench", State: tallyman.Running, Pid: pid, Started: time.Now()}
		targets = append(targets, &tallyman.Target{Kind: tallyman.ContainerTarget, ID: c.ID, Container: c, Job: "cadvisor", Instance: "bench",
			Labels: []tallyman.Label{{Name: "id", Value: "/docker/" + c.ID}, {Name: "name", Value: c.Name}}})
		plain = append(plain, floor.Container{ID: c.ID, Pid: pid})
	}
	return targets, plain
}
