// SPDX-License-Identifier: Apache-2.0

// Package bench measures what must be cheap on real containers. Times on a
// shared machine are noisy, so each figure comes as a ratio to the floor
// program, whose rounds alternate with the measured ones.
package bench

import (
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/catalog"
	"tallyman/internal/nsx"
	"tallyman/internal/testkit"
	"tallyman/pipeline"
	"tallyman/test/bench/floor"
)

// rows are what the sources collect; the floor reads the same. Block IO is read
// only where the kernel counts it.
func rows(tcp bool) floor.Rows {
	r := floor.CPU | floor.Memory | floor.Tasks | floor.Network | floor.SharedMemory | floor.Pressure
	if tcp {
		r |= floor.TCP
	}
	for _, name := range []string{"blkio/blkio.throttle.io_service_bytes_recursive", "io.stat"} {
		if text, err := os.ReadFile("/sys/fs/cgroup/" + name); err == nil && strings.Contains(string(text), ":") {
			r |= floor.BlockIO
		}
	}
	return r
}

// containers is how many are started; BENCH_CONTAINERS overrides it.
const containers = 100

func count(tb testing.TB, name string, standard int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		tb.Fatalf("%s=%q: want a number", name, text)
	}
	return n
}

// BenchmarkCollect compares a round of collection, from the kernel to the
// table of latest values, with the floor: without and with the states of TCP
// connections, which four of a hundred containers have. An operation is one
// sample of one container.
func BenchmarkCollect(b *testing.B) {
	targets, plain := start(b, count(b, "BENCH_CONTAINERS", containers))
	for i := 0; i < len(targets); i += 25 {
		connect(b, targets[i], 10)
	}
	for _, tcp := range []bool{false, true} {
		name := map[bool]string{false: "without TCP", true: "with TCP"}[tcp]
		b.Run(name+", hot", func(b *testing.B) { compare(b, targets, plain, tcp, 0) })
		// An agent that wakes up once in a while finds cold caches.
		b.Run(name+", cold", func(b *testing.B) { compare(b, targets, plain, tcp, 400*time.Millisecond) })
	}
}

// runs is how many are compared; their median is the result.
const runs = 5

func compare(b *testing.B, targets []*tallyman.Target, plain []floor.Container, tcp bool, pause time.Duration) {
	without := "socket"
	if tcp {
		without = ""
	}
	collect, closeSources := collector(b, targets, without)
	defer closeSources()
	f, err := floor.Open(plain, rows(tcp))
	if err != nil {
		b.Skipf("the floor program cannot run here: %v", err)
	}
	defer f.Close()
	for range 3 {
		collect()
		f.Round()
	}
	rounds := max(b.N/len(targets)/runs, 10)
	if pause > 0 {
		rounds = 8
	}
	runtime.GC()
	var own, floors, ratios []float64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range runs {
		var ours, theirs time.Duration
		for range rounds {
			theirs += cpu(pause, f.Round)
			ours += cpu(pause, collect)
		}
		samples := float64(rounds * len(targets))
		own, floors, ratios = append(own, float64(ours)/samples), append(floors, float64(theirs)/samples), append(ratios, float64(ours)/float64(theirs))
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	samples := float64(runs * rounds * len(targets))
	b.ReportMetric(0, "ns/op") // means nothing: b.N is no number of operations here
	b.ReportMetric(median(own), "ns/container-sample")
	b.ReportMetric(median(floors), "floor-ns/container-sample")
	b.ReportMetric(median(ratios), "x-floor")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/samples, "allocs/container-sample")
	if ratio := median(ratios); ratio > 2 {
		b.Errorf("a round costs %.2f times the floor in the median of %.2f, want at most 2.0", ratio, ratios)
	}
	// Timers and the runtime itself allocate now and then, one sample never.
	if allocs := float64(after.Mallocs-before.Mallocs) / samples; allocs > 0.02 {
		b.Errorf("%.3f allocations per container-sample, want 0", allocs)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkConnections compares a container with thousands of connections with
// one that has ten.
func BenchmarkConnections(b *testing.B) {
	targets, _ := start(b, 2)
	connect(b, targets[0], 10)
	connect(b, targets[1], 5000)
	few, closeFew := collector(b, targets[:1], "")
	defer closeFew()
	many, closeMany := collector(b, targets[1:], "")
	defer closeMany()
	var ratios, tens []float64
	for range runs {
		var one, other time.Duration
		for range 50 {
			one += cpu(10*time.Millisecond, few)
			other += cpu(10*time.Millisecond, many)
		}
		ratios, tens = append(ratios, float64(other)/float64(one)), append(tens, float64(one)/50)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(tens), "ns/ten-connections")
	b.ReportMetric(median(ratios), "x-ten-connections")
	if median(ratios) > 2 {
		b.Errorf("5,000 connections cost %.2f times ten in the median of %.2f, want less than 2", median(ratios), ratios)
	}
}

// A round allocates nothing once all is attached: the gate of make test.
func TestRoundsAllocateNothing(t *testing.T) {
	targets, _ := start(t, 8)
	connect(t, targets[0], 10)
	round, closeSources := collector(t, targets, "")
	defer closeSources()
	for range 5 {
		round()
	}
	// What is done once a minute allocates; rounds of a moment do not.
	if n := testing.AllocsPerRun(100, round); n >= 1 {
		t.Errorf("%v allocations a round of %d containers, want 0", n, len(targets))
	}
}

// connect opens so many connections inside the container of a target.
func connect(tb testing.TB, t *tallyman.Target, connections int) {
	tb.Helper()
	p, err := nsx.Open("/proc", t.Container.Pid, t.Container.ID)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	l := testkit.NewTCP(tb, unix.AF_INET, p.Socket).Listen(128, false)
	for range connections / 2 {
		l.Pair() // both ends are in the container
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

// collector makes every source that watches containers but the one called
// without, as the program does, and returns a function that runs one round.
func collector(b testing.TB, targets []*tallyman.Target, without string) (round, closeAll func()) {
	b.Helper()
	all, err := catalog.Default()
	if err != nil {
		b.Fatal(err)
	}
	var sources []tallyman.Source
	for _, k := range all.Sources {
		if k.New == nil || !k.Watches(tallyman.ContainerTarget) || len(k.Replaces) > 0 || k.Name == without {
			continue // one of records, or one that takes another's place, collects nothing here
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
func start(b testing.TB, n int) ([]*tallyman.Target, []floor.Container) {
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
