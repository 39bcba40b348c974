// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/source/sourcetest"
)

const fixtureID = "4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c"

// fixture makes a source over a recorded tree, since a folder of files has not
// the file system type of a cgroup mount.
func fixture(name string, h hierarchy) *Source {
	root := filepath.Join("testdata", name)
	h.root = filepath.Join(root, "cgroup")
	return newSource(h, tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Proc: filepath.Join(root, "proc"), Memory: 1 << 30})
}

func target(pid int) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: fixtureID, Container: &tallyman.Container{ID: fixtureID, Pid: pid}}
}

// collect returns one round by name and own labels.
func collect(t *testing.T, s tallyman.Source) map[string]float64 {
	t.Helper()
	var b tallyman.Batch
	b.Reset(time.Unix(1_700_000_000, 0))
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		key := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			key += " " + l.Name + "=" + l.Value
		}
		if _, twice := got[key]; twice {
			t.Errorf("%s comes twice", key)
		}
		got[key] = one.Value
	}
	return got
}

func TestHybrid(t *testing.T) {
	s := fixture("hybrid", hierarchy{hybrid: true})
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := collect(t, s)
	want := readHybridByHand(t)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("hybrid (-want +got):\n%s", d)
	}
	if a := s.Absences(target(4242)); len(a) != 0 {
		t.Errorf("Absences = %v, want none: every file is there", a)
	}
}

// readHybridByHand reads the recording the slow and plain way.
func readHybridByHand(t *testing.T) map[string]float64 {
	t.Helper()
	dir := func(controller string) string {
		return "testdata/hybrid/cgroup/" + controller + "/docker/" + fixtureID + "/"
	}
	unified := testkit.ReadKeys(t, dir("unified")+"cpu.stat")
	cpu := testkit.ReadKeys(t, dir("cpu")+"cpu.stat")
	mem := testkit.ReadKeys(t, dir("memory")+"memory.stat")
	oom := testkit.ReadKeys(t, dir("memory")+"memory.oom_control")
	usage := testkit.ReadNumber(t, dir("memory")+"memory.usage_in_bytes")
	set := usage - mem["total_inactive_file"]
	limit := mem["hierarchical_memory_limit"]
	return map[string]float64{
		"container_fs_reads_bytes_total device=/dev/vda":                          20971520,
		"container_fs_writes_bytes_total device=/dev/vda":                         4096,
		"container_fs_reads_total device=/dev/vda":                                20,
		"container_fs_writes_total device=/dev/vda":                               1,
		"container_cpu_usage_seconds_total cpu=total":                             unified["usage_usec"] * micro,
		"container_cpu_user_seconds_total":                                        unified["user_usec"] * micro,
		"container_cpu_system_seconds_total":                                      unified["system_usec"] * micro,
		"container_cpu_cfs_periods_total":                                         cpu["nr_periods"],
		"container_cpu_cfs_throttled_periods_total":                               cpu["nr_throttled"],
		"container_cpu_cfs_throttled_seconds_total":                               cpu["throttled_time"] * nano,
		"container_memory_usage_bytes":                                            usage,
		"container_spec_memory_limit_bytes":                                       limit,
		"container_memory_cache":                                                  mem["total_cache"],
		"container_memory_rss":                                                    mem["total_rss"],
		"container_memory_swap":                                                   mem["total_swap"],
		"container_memory_mapped_file":                                            mem["total_mapped_file"],
		"container_memory_total_inactive_file_bytes":                              mem["total_inactive_file"],
		"container_memory_total_active_file_bytes":                                mem["total_active_file"],
		"container_memory_failures_total failure_type=pgfault scope=container":    mem["pgfault"],
		"container_memory_failures_total failure_type=pgfault scope=hierarchy":    mem["total_pgfault"],
		"container_memory_failures_total failure_type=pgmajfault scope=container": mem["pgmajfault"],
		"container_memory_failures_total failure_type=pgmajfault scope=hierarchy": mem["total_pgmajfault"],
		"container_memory_kernel_usage":                                           testkit.ReadNumber(t, dir("memory")+"memory.kmem.usage_in_bytes"),
		"container_memory_max_usage_bytes":                                        testkit.ReadNumber(t, dir("memory")+"memory.max_usage_in_bytes"),
		"container_memory_failcnt":                                                testkit.ReadNumber(t, dir("memory")+"memory.failcnt"),
		"container_oom_events_total":                                              oom["oom_kill"],
		"container_threads":                                                       testkit.ReadNumber(t, dir("pids")+"pids.current"),
		"container_pressure_cpu_waiting_seconds_total":                            2.5,
		"container_pressure_cpu_stalled_seconds_total":                            1.5,
		"container_pressure_memory_waiting_seconds_total":                         0,
		"container_pressure_memory_stalled_seconds_total":                         0,
		"container_pressure_io_waiting_seconds_total":                             0,
		"container_pressure_io_stalled_seconds_total":                             0,
		"container_memory_working_set_bytes":                                      set,
		"container_memory_usage_percent":                                          100 * set / limit,
		"container_memory_free_bytes":                                             limit - set,
		"container_memory_free_percent":                                           100 - 100*set/limit,
	}
}

func TestV2(t *testing.T) {
	s := fixture("v2", hierarchy{unified: true})
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := collect(t, s)
	set := float64(126877696 - 16777216)
	limit := float64(512 << 20) // that of the slice: the container's own is "max"
	want := map[string]float64{
		"container_fs_reads_bytes_total device=/dev/vda":                          20971520,
		"container_fs_writes_bytes_total device=/dev/vda":                         4096,
		"container_fs_reads_total device=/dev/vda":                                20,
		"container_fs_writes_total device=/dev/vda":                               1,
		"container_cpu_usage_seconds_total cpu=total":                             1.5,
		"container_cpu_user_seconds_total":                                        1,
		"container_cpu_system_seconds_total":                                      0.5,
		"container_cpu_cfs_periods_total":                                         30,
		"container_cpu_cfs_throttled_periods_total":                               20,
		"container_cpu_cfs_throttled_seconds_total":                               2.5,
		"container_memory_usage_bytes":                                            126877696,
		"container_spec_memory_limit_bytes":                                       limit,
		"container_memory_cache":                                                  20971520,
		"container_memory_rss":                                                    104857600,
		"container_memory_swap":                                                   0,
		"container_memory_mapped_file":                                            8192,
		"container_memory_total_inactive_file_bytes":                              16777216,
		"container_memory_total_active_file_bytes":                                4190208,
		"container_memory_failures_total failure_type=pgfault scope=container":    4000,
		"container_memory_failures_total failure_type=pgfault scope=hierarchy":    4000,
		"container_memory_failures_total failure_type=pgmajfault scope=container": 7,
		"container_memory_failures_total failure_type=pgmajfault scope=hierarchy": 7,
		"container_memory_kernel_usage":                                           1048576,
		"container_memory_max_usage_bytes":                                        134217728,
		"container_memory_failcnt":                                                12,
		"container_oom_events_total":                                              1,
		"container_threads":                                                       3,
		"container_pressure_cpu_waiting_seconds_total":                            3.25,
		"container_pressure_cpu_stalled_seconds_total":                            1.25,
		"container_pressure_memory_waiting_seconds_total":                         0.5,
		"container_pressure_memory_stalled_seconds_total":                         0.25,
		"container_pressure_io_waiting_seconds_total":                             0.75,
		"container_pressure_io_stalled_seconds_total":                             0,
		"container_memory_working_set_bytes":                                      set,
		"container_memory_usage_percent":                                          100 * set / limit,
		"container_memory_free_bytes":                                             limit - set,
		"container_memory_free_percent":                                           100 - 100*set/limit,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("v2 (-want +got):\n%s", d)
	}
}

func TestWithoutHybridTicksAndNanoseconds(t *testing.T) {
	s := fixture("hybrid", hierarchy{})
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := collect(t, s)
	dir := "testdata/hybrid/cgroup/cpuacct/docker/" + fixtureID + "/"
	stat := testkit.ReadKeys(t, dir+"cpuacct.stat")
	for name, want := range map[string]float64{
		"container_cpu_usage_seconds_total cpu=total": testkit.ReadNumber(t, dir+"cpuacct.usage") * nano,
		"container_cpu_user_seconds_total":            stat["user"] * tick,
		"container_cpu_system_seconds_total":          stat["system"] * tick,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
}

func TestAbsentIsNotZero(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/v2")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "cgroup/system.slice/docker-"+fixtureID+".scope/memory.swap.current")); err != nil {
		t.Fatal(err)
	}
	s := newSource(hierarchy{root: filepath.Join(dir, "cgroup"), unified: true},
		tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Proc: filepath.Join(dir, "proc")})
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := collect(t, s)
	if v, ok := got["container_memory_swap"]; ok {
		t.Errorf("container_memory_swap = %v, want it absent", v)
	}
	a := s.Absences(target(4242))
	if len(a) != 1 || a[0].What != "memory.swap.current" || !strings.Contains(a[0].Unlock, "swapaccount=1") {
		t.Errorf("Absences = %+v, want the swap file with its boot option", a)
	}
}

func TestAPidOfAnotherProcessIsGone(t *testing.T) {
	s := fixture("v2", hierarchy{unified: true})
	other := target(4242)
	other.ID = strings.Repeat("ab", 32)
	for name, tg := range map[string]*tallyman.Target{"another process": other, "no process": target(99)} {
		if err := s.Attach(tg); err != tallyman.ErrGone {
			t.Errorf("Attach with the pid of %s: %v, want ErrGone", name, err)
		}
	}
}

func TestParsePaths(t *testing.T) {
	f := func(text string, want paths) {
		t.Helper()
		if d := cmp.Diff(want, parsePaths(text, "c0ffee")); d != "" {
			t.Errorf("parsePaths(%q) (-want +got):\n%s", text, d)
		}
	}
	f("9:name=systemd:/docker/c0ffee\n4:cpu,cpuacct:/docker/c0ffee\n0::/docker/c0ffee\n",
		paths{"name=systemd": "/docker/c0ffee", "cpu": "/docker/c0ffee", "cpuacct": "/docker/c0ffee", "": "/docker/c0ffee"})
	f("0::/system.slice/docker-c0ffee.scope/init.scope\n", paths{"": "/system.slice/docker-c0ffee.scope"})
	f("0::/machine.slice/libpod-c0ffee.scope/container\n", paths{"": "/machine.slice/libpod-c0ffee.scope"})
	f("0::/docker/outer/docker/c0ffee\n", paths{"": "/docker/outer/docker/c0ffee"})
	f("0::/docker/other\n", paths{})
	f("garbage\n::\n", paths{})
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return fixture("v2", hierarchy{unified: true}), []*tallyman.Target{target(4242)}
	})
}

func TestTableIsWhatIsCollected(t *testing.T) {
	s := fixture("hybrid", hierarchy{hybrid: true})
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	declared := map[string]bool{}
	for _, d := range Kind().Metrics {
		declared[d.Name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(collect(t, s))) {
		name, _, _ := strings.Cut(key, " ")
		if !declared[name] {
			t.Errorf("%s is collected but not in the table", name)
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	s := fixture("v2", hierarchy{unified: true})
	if err := s.Attach(target(4242)); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var batch tallyman.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset(time.Unix(1_700_000_000, 0))
		s.Collect(&batch)
	}
}

func FuzzParsePaths(f *testing.F) {
	f.Add("0::/docker/c0ffee/x\n4:cpu:/c0ffee")
	f.Fuzz(func(t *testing.T, text string) {
		for c, p := range parsePaths(text, "c0ffee") {
			if !strings.Contains(p, "c0ffee") {
				t.Errorf("parsePaths(%q)[%q] = %q, which does not name the container", text, c, p)
			}
		}
	})
}
