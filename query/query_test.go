// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"time"

	"tallyman"
	"tallyman/store/metric"
)

// t0 is a moment that all steps are aligned to.
var t0 = time.Now().Add(-time.Hour).Truncate(time.Minute)

// at is s seconds after t0.
func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

type fixture struct {
	t     testing.TB
	store *metric.Store
	e     *Engine
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	s, err := metric.Open(t.TempDir(), metric.Options{OutOfOrder: time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := New(s.Queryable(), 10*time.Second, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{t, s, e}
}

// series is one of container id of the workload w.
func containerSeries(id, name string, extra ...tallyman.Label) *tallyman.Series {
	target := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Job: "cadvisor", Instance: "h",
		Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "id", Value: "/docker/" + id}, {Name: "workload", Value: "w"}}}
	return target.Series(&tallyman.Desc{Name: name}, extra...)
}

func (f *fixture) put(second float64, s *tallyman.Series, v float64) {
	f.t.Helper()
	dropped, err := f.store.AppendSamples(&tallyman.Batch{Time: at(second), Samples: []tallyman.Sample{{Series: s, Value: v}}})
	if err != nil || dropped > 0 {
		f.t.Fatalf("put at %v s: %d dropped, %v", second, dropped, err)
	}
}

func (f *fixture) history(from, to float64, points int) map[string][]float64 {
	f.t.Helper()
	h, err := f.e.History(context.Background(), "h", "w", at(from), at(to), points)
	if err != nil {
		f.t.Fatal(err)
	}
	m := map[string][]float64{}
	for _, c := range h.Columns {
		m[c.Name] = c.Values
		if len(c.Values) != h.Steps() {
			f.t.Errorf("%s has %d values for %d steps", c.Name, len(c.Values), h.Steps())
		}
	}
	return m
}

var nan = math.NaN()

func wantColumn(t *testing.T, what string, got []float64, want ...float64) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i] == want[i] || math.IsNaN(got[i]) && math.IsNaN(want[i]) || math.Abs(got[i]-want[i]) < 1e-9
	}
	if !ok {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestHistoryOfACounter(t *testing.T) {
	f := newFixture(t)
	s := containerSeries("a", "container_cpu_user_seconds_total")
	for i, v := range []float64{100, 105, 107, 107} { // 0.5, 0.2, 0 cores
		f.put(float64(10*i), s, v)
	}
	// A step of the interval's length shows each change where it happened; a
	// longer one the mean; a shorter one repeats it.
	wantColumn(t, "each 10 s", f.history(0, 40, 4)["cpuUser"], 0.5, 0.2, 0, nan)
	wantColumn(t, "each 20 s", f.history(0, 40, 2)["cpuUser"], 0.35, 0)
	wantColumn(t, "each 5 s", f.history(0, 20, 4)["cpuUser"], 0.5, 0.5, 0.2, 0.2)
	// The sample before the range tells the first step.
	wantColumn(t, "from the middle", f.history(10, 30, 2)["cpuUser"], 0.2, 0)
}

func TestHistoryOfMixedIntervals(t *testing.T) {
	f := newFixture(t)
	s := containerSeries("a", "container_cpu_user_seconds_total")
	f.put(0, s, 0)
	f.put(10, s, 10)
	for i := 1; i <= 10; i++ { // somebody watches: one second each, two cores
		f.put(float64(10+i), s, 10+2*float64(i))
	}
	f.put(30, s, 35) // 0.5 again
	wantColumn(t, "each 10 s", f.history(0, 30, 3)["cpuUser"], 1, 2, 0.5)
}

func TestHistoryGapsResetsAndEnds(t *testing.T) {
	f := newFixture(t)
	s := containerSeries("a", "container_cpu_user_seconds_total")
	f.put(0, s, 0)
	f.put(10, s, 10)
	f.put(70, s, 80) // tallyman was away for a minute
	f.put(80, s, 90)
	f.put(90, s, 5) // the counter went back
	f.put(100, s, 15)
	if err := f.store.EndSeries(at(101), []*tallyman.Series{s}); err != nil {
		t.Fatal(err)
	}
	f.put(110, s, 100) // another life: what lies between is not known
	f.put(120, s, 110)
	wantColumn(t, "each 10 s", f.history(0, 120, 12)["cpuUser"], 1, nan, nan, nan, nan, nan, nan, 1, nan, 1, nan, 1)
}

func TestHistoryJoinsContainersAndAddsInterfaces(t *testing.T) {
	f := newFixture(t)
	rx := func(id, iface string) *tallyman.Series {
		return containerSeries(id, "container_network_receive_bytes_total", tallyman.Label{Name: "interface", Value: iface})
	}
	a0, a1, b0 := rx("a", "eth0"), rx("a", "eth1"), rx("b", "eth0")
	mem := containerSeries("a", "container_memory_rss")
	for i := range 4 {
		f.put(float64(10*i), a0, float64(100*i))
		f.put(float64(10*i), a1, float64(50*i))
		f.put(float64(10*i), mem, 1000)
	}
	for i := range 3 { // re-created
		f.put(float64(40+10*i), b0, float64(30*i))
	}
	got := f.history(0, 60, 6)
	wantColumn(t, "received", got["rx"], 15, 15, 15, nan, 3, 3)
	wantColumn(t, "anonymous", got["anon"], 1000, 1000, 1000, nan, nan, nan)
	if _, ok := got["tx"]; ok {
		t.Error("a column without any value is there")
	}
	// Two containers in one step weigh by the time that each was there.
	wantColumn(t, "in one step", f.history(0, 60, 1)["rx"], (15*30+3*20)/50.0)
}

func TestHistoryLimits(t *testing.T) {
	f := newFixture(t)
	host := (&tallyman.Target{Job: "node", Instance: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}).Series(&tallyman.Desc{Name: hostMemory})
	quota, period, limit := containerSeries("a", "container_spec_cpu_quota"), containerSeries("a", "container_spec_cpu_period"), containerSeries("a", "container_spec_memory_limit_bytes")
	for i := range 4 {
		f.put(float64(10*i), host, 1<<30)
		f.put(float64(10*i), quota, 50_000)
		f.put(float64(10*i), period, 100_000)
		v := float64(1 << 30) // no limit: the host's memory
		if i >= 2 {
			v = 512 << 20
		}
		f.put(float64(10*i), limit, v)
	}
	got := f.history(0, 30, 3)
	wantColumn(t, "CPU limit", got["cpuLimit"], 0.5, 0.5, 0.5)
	wantColumn(t, "memory limit", got["memoryLimit"], nan, 512<<20, 512<<20)
}

func TestHistoryFromTheFirstSample(t *testing.T) {
	f := newFixture(t)
	seen := containerSeries("a", "container_last_seen")
	for i := range 10 {
		f.put(float64(600+10*i), seen, 1)
	}
	h, err := f.e.History(context.Background(), "h", "w", time.Time{}, at(700), 10)
	if err != nil || h.Start.Before(at(590)) || h.Start.After(at(600)) {
		t.Errorf("history of all begins at %v, %v; want %v", h.Start, err, at(600))
	}
	if first, err := f.e.First(context.Background(), "h", at(700)); err != nil || !first.IsZero() {
		t.Errorf("the first sample of a host without one is %v, %v", first, err)
	}
	load := (&tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}).Series(&tallyman.Desc{Name: "node_load1"})
	for i := range 3 {
		f.put(float64(701+10*i), load, 1)
	}
	if first, err := f.e.First(context.Background(), "h", at(730)); err != nil || !first.Equal(at(701)) {
		t.Errorf("the first sample of the host is %v, %v; want %v", first, err, at(701))
	}
	for _, points := range []int{0, MaxPoints + 1} {
		if _, err := f.e.History(context.Background(), "h", "w", at(0), at(1), points); err == nil {
			t.Errorf("%d points are taken", points)
		}
	}
	if _, err := f.e.History(context.Background(), "h", "w", at(1), at(0), 10); err == nil {
		t.Error("a range that ends before it starts is taken")
	}
}

func TestSparks(t *testing.T) {
	f := newFixture(t)
	now := time.Now().Truncate(time.Second)
	cpu, mem := containerSeries("a", "container_cpu_usage_seconds_total"), containerSeries("a", "container_memory_working_set_bytes")
	for i := range 13 {
		second := now.Add(time.Duration(i-12) * 10 * time.Second).Sub(t0).Seconds()
		f.put(second, cpu, float64(i)*5)
		f.put(second, mem, 7)
	}
	got, err := f.e.Sparks(context.Background(), now, 15*time.Minute, 40)
	if err != nil {
		t.Fatal(err)
	}
	s := got["a"]
	if len(s.CPU) != 40 || math.Abs(s.CPU[39]-0.5) > 0.01 || s.Memory[39] != 7 || !math.IsNaN(s.CPU[0]) {
		t.Errorf("sparks = %v, want half a core and 7 bytes at the end, nothing at the start", s)
	}
}

// readings is a fixed table of latest values.
type readings []tallyman.Reading

func (r readings) Latest(dst []tallyman.Reading) ([]tallyman.Reading, uint64) {
	return append(dst, r...), 1
}

func TestCurrent(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	old := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: "old", Container: &tallyman.Container{Started: now.Add(-time.Hour)}}
	young := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: "young", Container: &tallyman.Container{Started: now.Add(-4 * time.Second)}}
	host := &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Instance: "h"}
	read := func(t *tallyman.Target, name string, v, before float64, extra ...tallyman.Label) tallyman.Reading {
		r := tallyman.Reading{Series: t.Series(&tallyman.Desc{Name: name}, extra...), Value: v, Time: now.UnixMilli()}
		if before >= 0 {
			r.Before, r.BeforeTime = before, now.UnixMilli()-2000
		}
		return r
	}
	mode := func(cpu, m string) []tallyman.Label {
		return []tallyman.Label{{Name: "cpu", Value: cpu}, {Name: "mode", Value: m}}
	}
	mounted := func(point, fstype string) []tallyman.Label {
		return []tallyman.Label{{Name: "mountpoint", Value: point}, {Name: "fstype", Value: fstype}}
	}
	machine := &tallyman.Target{Kind: tallyman.MachineTarget, ID: "/", Instance: "h"}
	p := NewCurrent(readings{
		read(old, "container_cpu_usage_seconds_total", 11, 10),
		read(old, "container_network_receive_bytes_total", 300, 100, tallyman.Label{Name: "interface", Value: "eth0"}),
		read(old, "container_network_receive_bytes_total", 20, 0, tallyman.Label{Name: "interface", Value: "eth1"}),
		read(old, "container_memory_working_set_bytes", 42, -1),
		read(young, "container_cpu_usage_seconds_total", 2, -1),
		read(host, "node_cpu_seconds_total", 5, 4, mode("0", "user")...),
		read(host, "node_cpu_seconds_total", 3, 2, mode("1", "system")...),
		read(host, "node_cpu_seconds_total", 10, 9, mode("0", "idle")...), // 2.1 s of 2 cores in 2 s: ticks
		read(host, "node_cpu_seconds_total", 10.2, 9, mode("1", "idle")...),
		read(host, "node_memory_MemTotal_bytes", 100, -1),
		read(host, "node_memory_MemAvailable_bytes", 30, -1),
		read(machine, "container_cpu_usage_seconds_total", 11, 10, tallyman.Label{Name: "id", Value: "/"}),
		read(old, "container_fs_reads_bytes_total", 300, 100, tallyman.Label{Name: "device", Value: "/dev/sda"}),
		read(old, "container_fs_reads_bytes_total", 20, 0, tallyman.Label{Name: "device", Value: "/dev/sdb"}),
		read(host, "node_load1", 1.5, -1),
		read(host, "node_filesystem_size_bytes", 1000, -1, mounted("/", "ext4")...), // 300 of 900 that may be used
		read(host, "node_filesystem_free_bytes", 700, -1, mounted("/", "ext4")...),
		read(host, "node_filesystem_avail_bytes", 600, -1, mounted("/", "ext4")...),
		read(host, "node_filesystem_size_bytes", 1000, -1, mounted("/data", "ext4")...), // 320 of 1000
		read(host, "node_filesystem_free_bytes", 680, -1, mounted("/data", "ext4")...),
		read(host, "node_filesystem_avail_bytes", 680, -1, mounted("/data", "ext4")...),
		read(host, "node_filesystem_size_bytes", 1000, -1, mounted("/a/bind/of/it", "ext4")...), // the same as /
		read(host, "node_filesystem_free_bytes", 700, -1, mounted("/a/bind/of/it", "ext4")...),
		read(host, "node_filesystem_avail_bytes", 600, -1, mounted("/a/bind/of/it", "ext4")...),
		read(host, "node_filesystem_size_bytes", 10, -1, mounted("/run", "tmpfs")...),
		read(host, "node_filesystem_free_bytes", 0, -1, mounted("/run", "tmpfs")...),
		read(host, "node_filesystem_avail_bytes", 0, -1, mounted("/run", "tmpfs")...),
		read(host, "node_filesystem_size_bytes", 10, -1, mounted("/cd", "udf")...),
		read(host, "node_filesystem_free_bytes", 0, -1, mounted("/cd", "udf")...),
		read(host, "node_filesystem_avail_bytes", 0, -1, mounted("/cd", "udf")...),
		read(host, "node_filesystem_readonly", 1, -1, mounted("/cd", "udf")...),
		read(host, "node_filesystem_readonly", 0, -1, mounted("/", "ext4")...),
		read(host, "node_filesystem_readonly", 0, -1, mounted("/dead", "nfs")...),
	}).Present()
	if n := p.Containers["old"]; n.BlkRead != known(110) || n.BlkWrite.Known {
		t.Errorf("old = %+v, want 110 B/s read over two disks, written unknown", n)
	}
	if len(p.Containers) != 2 || len(p.Hosts) != 1 {
		t.Errorf("%d containers and %d hosts, want 2 and 1: the machine is neither", len(p.Containers), len(p.Hosts))
	}
	if h := p.Hosts["h"]; h.Load1 != known(1.5) || h.DiskMount != "/" || h.DiskUsed != known(300) || h.DiskSize != known(1000) {
		t.Errorf("host = %+v, want load 1.5 and 300 of 1000 bytes used on /", h)
	}
	if n := p.Containers["old"]; n.CPU != known(0.5) || n.Rx != known(110) || n.Memory != known(42) || n.Tx.Known {
		t.Errorf("old = %+v, want half a core, 110 B/s over two interfaces, 42 bytes, sent unknown", n)
	}
	if n := p.Containers["young"]; n.CPU != known(0.5) {
		t.Errorf("young = %+v, want its CPU since its start", n)
	}
	if h := p.Hosts["h"]; math.Abs(h.CPU.V-2/2.1) > 1e-9 || h.Cores != known(2) || h.MemoryUsed != known(70) {
		t.Errorf("host = %+v, want 2/2.1 of 2 cores, 70 bytes used", h)
	}
}

// A subquery may leave out its step, which is a minute then.
func TestSubqueryWithoutAStep(t *testing.T) {
	f := newFixture(t)
	s := containerSeries("ab", "container_threads")
	for i := range 60 {
		f.put(float64(i*10), s, float64(i))
	}
	v, err := f.e.Instant(t.Context(), "count_over_time("+s.Desc.Name+"[5m:])", at(590))
	if err != nil || len(v) != 1 || v[0].F != 5 {
		t.Errorf("%v, %v; want the values of five minutes", v, err)
	}
}
