// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/source/sourcetest"
)

// tree is a host that a test writes: its /proc, /sys and cgroups.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T, from string) tree {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", from))); err != nil {
		t.Fatal(err)
	}
	return tree{t, dir}
}

func (r tree) write(name, text string) {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r tree) link(to, name string) {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(to, name); err != nil {
		r.t.Fatal(err)
	}
}

// block adds a block device to /sys; parent is the disk of a partition.
func (r tree) block(number, name, parent string, slaves ...string) {
	dir := filepath.Join("sys/devices", parent, name)
	r.write(filepath.Join(dir, "dev"), number+"\n")
	if parent != "" {
		r.write(filepath.Join(dir, "partition"), "1\n")
	}
	r.link(filepath.Join(r.dir, dir), "sys/dev/block/"+number)
	for _, s := range slaves {
		r.link(filepath.Join(r.dir, "sys/devices", s), filepath.Join(dir, "slaves", filepath.Base(s)))
	}
}

func (r tree) open(h hierarchy) *Source {
	h.root = filepath.Join(r.dir, "cgroup")
	return newSource(h, tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Proc: filepath.Join(r.dir, "proc"), Sys: filepath.Join(r.dir, "sys"), Memory: 1 << 30})
}

const (
	rootIO    = "cgroup/blkio/blkio."
	ownIO     = "cgroup/blkio/docker/" + fixtureID + "/blkio."
	bytesFile = ".io_service_bytes_recursive"
	opsFile   = ".io_serviced_recursive"
)

// operations is the text of a v1 file: pairs of reads and writes by device.
func operations(devices ...any) string {
	var b strings.Builder
	total := 0
	for i := 0; i < len(devices); i += 3 {
		r, w := devices[i+1].(int), devices[i+2].(int)
		fmt.Fprintf(&b, "%[1]s Read %[2]d\n%[1]s Write %[3]d\n%[1]s Sync %[4]d\n%[1]s Async 0\n%[1]s Discard 0\n%[1]s Total %[4]d\n", devices[i], r, w, r+w)
		total += r + w
	}
	fmt.Fprintf(&b, "Total %d\n", total)
	return b.String()
}

// blockIOOf is the part of a round that is block IO, without the common prefix.
func blockIOOf(t *testing.T, s tallyman.Source) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for k, v := range collect(t, s) {
		if rest, ok := strings.CutPrefix(k, "container_fs_"); ok {
			got[rest] = v
		}
	}
	return got
}

func wantIO(device string, readBytes, writeBytes, reads, writes float64) map[string]float64 {
	return map[string]float64{
		"reads_bytes_total device=" + device: readBytes, "writes_bytes_total device=" + device: writeBytes,
		"reads_total device=" + device: reads, "writes_total device=" + device: writes,
	}
}

func attach(t *testing.T, s tallyman.Source) *tallyman.Target {
	t.Helper()
	tg := target(4242)
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return tg
}

func TestBlockIOIsUnknownUntilTheKernelCounts(t *testing.T) {
	r := newTree(t, "hybrid")
	r.write("proc/diskstats", " 254 0 vda 50346 11987 2736010 19732 11914 63458 7491256 24241 0 10104 44740\n")
	for _, policy := range []string{"throttle", "bfq"} {
		for _, f := range []string{bytesFile, opsFile} {
			r.write(rootIO+policy+f, "Total 0\n")
			r.write(ownIO+policy+f, "Total 0\n")
		}
	}
	s := r.open(hierarchy{hybrid: true})
	tg := attach(t, s)
	if got := blockIOOf(t, s); len(got) != 0 {
		t.Errorf("block IO that nobody counts = %v, want none", got)
	}
	if s.list[0].io.files != nil {
		t.Error("the files of block IO are open although nothing is counted")
	}
	a := ioAbsences(s, tg)
	if len(a) != 1 || a[0].What != "block IO" || !strings.Contains(a[0].Reason, "/dev/vda") || !strings.Contains(a[0].Unlock, "--device-read-bps /dev/vda:10gb") {
		t.Errorf("Absences = %+v, want the block IO with its opt-in", a)
	}

	// The first rule for the disk, of whatever container, begins the count.
	r.write(rootIO+"throttle"+bytesFile, operations("254:0", 0, 0))
	r.write(rootIO+"throttle"+opsFile, operations("254:0", 0, 0))
	if d := cmp.Diff(wantIO("/dev/vda", 0, 0, 0, 0), blockIOOf(t, s)); d != "" {
		t.Errorf("a container without a line (-want +got):\n%s", d)
	}
	if a := ioAbsences(s, tg); len(a) != 0 {
		t.Errorf("Absences = %+v, want none: it is counted now", a)
	}
	r.write(ownIO+"throttle"+bytesFile, operations("254:0", 20<<20, 4096))
	r.write(ownIO+"throttle"+opsFile, operations("254:0", 20, 1))
	if d := cmp.Diff(wantIO("/dev/vda", 20<<20, 4096, 20, 1), blockIOOf(t, s)); d != "" {
		t.Errorf("a container with a line (-want +got):\n%s", d)
	}
}

func TestBlockIOOfBFQAndThrottleIsNeverAddedUp(t *testing.T) {
	r := newTree(t, "hybrid")
	r.write("proc/diskstats", "8 0 sda 5 0 9 9 9 9 9 9 0 9 9\n8 16 sdb 5 0 9 9 9 9 9 9 0 9 9\n8 32 sdc 5 0 9 9 9 9 9 9 0 9 9\n")
	for _, f := range []string{bytesFile, opsFile} {
		r.write(rootIO+"throttle"+f, operations("8:0", 1, 1))
		r.write(rootIO+"bfq"+f, operations("8:0", 1, 1, "8:16", 1, 1))
		r.write(ownIO+"throttle"+f, operations("8:0", 10, 20))
		r.write(ownIO+"bfq"+f, operations("8:0", 11, 21, "8:16", 30, 40))
	}
	s := r.open(hierarchy{})
	tg := attach(t, s)
	want := wantIO("/dev/sda", 10, 20, 10, 20)
	for k, v := range wantIO("/dev/sdb", 30, 40, 30, 40) {
		want[k] = v
	}
	if d := cmp.Diff(want, blockIOOf(t, s)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if a := ioAbsences(s, tg); len(a) != 1 || !strings.Contains(a[0].Reason, "on /dev/sdc.") {
		t.Errorf("Absences = %+v, want the disk that is not counted alone", a)
	}
	// The disk changes its scheduler: the device goes, and its series with it.
	for _, f := range []string{bytesFile, opsFile} {
		r.write(rootIO+"bfq"+f, operations("8:0", 1, 1))
	}
	if d := cmp.Diff(wantIO("/dev/sda", 10, 20, 10, 20), blockIOOf(t, s)); d != "" {
		t.Errorf("after sdb went (-want +got):\n%s", d)
	}
	if n := len(s.list[0].io.series); n != 1 {
		t.Errorf("%d devices are remembered, want 1", n)
	}
}

func TestOnlyTheLowestOfStackedDevices(t *testing.T) {
	r := newTree(t, "v2")
	r.block("8:0", "sda", "")
	r.block("8:1", "sda1", "sda")
	r.block("8:16", "sdb", "")
	r.block("9:0", "md0", "", "sda/sda1", "sdb")
	r.block("253:0", "dm-0", "", "md0")
	r.block("253:1", "dm-1", "", "dm-0")
	r.block("7:0", "loop0", "")
	r.block("252:0", "zram0", "")
	r.write("proc/diskstats", `7 0 loop0 5 0 9 9 9 9 9 9 0 9 9
8 0 sda 5 0 9 9 9 9 9 9 0 9 9
8 1 sda1 5 0 9 9 9 9 9 9 0 9 9
8 16 sdb 5 0 9 9 9 9 9 9 0 9 9
9 0 md0 5 0 9 9 9 9 9 9 0 9 9
252 0 zram0 5 0 9 9 9 9 9 9 0 9 9
253 0 dm-0 5 0 9 9 9 9 9 9 0 9 9
253 1 dm-1 5 0 9 9 9 9 9 9 0 9 9
`)
	line := func(n string) string { return n + " rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n" }
	f := func(root, want string) {
		t.Helper()
		r.write("cgroup/io.stat", root)
		s := r.open(hierarchy{unified: true})
		defer s.Close()
		if err := s.Attach(target(4242)); err != nil {
			t.Fatal(err)
		}
		collect(t, s)
		var got []string
		for _, d := range s.io.chosen {
			got = append(got, strings.TrimPrefix(d.label, "/dev/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("of\n%s%v is chosen, want %s", root, got, want)
		}
	}
	f(line("7:0")+line("8:0")+line("8:16")+line("9:0")+line("252:0")+line("253:0")+line("253:1"), "sda sdb")
	f(line("9:0")+line("253:0")+line("253:1"), "md0") // the disks themselves have no counters
	f(line("253:1"), "dm-1")
	f(line("7:0"), "loop0") // its file lies on nothing that is counted
	f("7:0 rbytes=0 wbytes=0 rios=0 wios=0\n", "")
	f("8:0 \n", "")
	many := ""
	for i := range 40 {
		many += line(fmt.Sprintf("8:%d", 16*(i+100)))
	}
	r.write("cgroup/io.stat", many)
	s := r.open(hierarchy{unified: true})
	attach(t, s)
	if got := blockIOOf(t, s); len(got) != maxDisks*int(ioCounters) {
		t.Errorf("%d series, want those of %d devices", len(got), maxDisks)
	}
}

func TestBlockIOWithoutItsController(t *testing.T) {
	r := newTree(t, "v2")
	s := r.open(hierarchy{unified: true})
	tg := attach(t, s)
	io := filepath.Join(r.dir, "cgroup/system.slice/docker-"+fixtureID+".scope/io.stat")
	r.write(strings.TrimPrefix(io, r.dir), "") // there, and nothing was done
	if d := cmp.Diff(wantIO("/dev/vda", 0, 0, 0, 0), blockIOOf(t, s)); d != "" {
		t.Errorf("an empty io.stat (-want +got):\n%s", d)
	}
	if err := os.Remove(io); err != nil {
		t.Fatal(err)
	}
	s = r.open(hierarchy{unified: true})
	attach(t, s)
	if got := blockIOOf(t, s); len(got) != 0 {
		t.Errorf("block IO without io.stat = %v, want none", got)
	}
	if a := ioAbsences(s, tg); len(a) != 1 || !strings.Contains(a[0].Unlock, "+io") {
		t.Errorf("Absences = %+v, want the controller", a)
	}
	r = newTree(t, "hybrid")
	if err := os.RemoveAll(filepath.Join(r.dir, "cgroup/blkio")); err != nil {
		t.Fatal(err)
	}
	s = r.open(hierarchy{hybrid: true})
	tg = attach(t, s)
	if a := ioAbsences(s, tg); len(a) != 1 || !strings.Contains(a[0].Reason, "no blkio controller") {
		t.Errorf("Absences = %+v, want the controller", a)
	}
}

func machine() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.MachineTarget, ID: "/", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}
}

func TestMachineIsTheRootCgroup(t *testing.T) {
	f := func(name string, h hierarchy, want map[string]float64) {
		t.Helper()
		s := fixture(name, h)
		defer s.Close()
		if err := s.Attach(machine()); err != nil {
			t.Fatal(err)
		}
		got := collect(t, s)
		for k, v := range want {
			if g, ok := got[k]; !ok || g != v {
				t.Errorf("%s: %s = %v, %v; want %v", name, k, g, ok, v)
			}
		}
		if a := s.Absences(machine()); len(a) != 0 {
			t.Errorf("%s: Absences = %+v, want none", name, a)
		}
	}
	const id = " host=h id=/"
	f("hybrid", hierarchy{hybrid: true}, map[string]float64{
		"container_cpu_usage_seconds_total cpu=total" + id:                               90,
		"container_fs_reads_bytes_total device=/dev/vda" + id:                            104857600,
		"container_fs_writes_total device=/dev/vda" + id:                                 1,
		"container_spec_memory_limit_bytes" + id:                                         1 << 30,
		"container_memory_failures_total failure_type=pgfault" + id + " scope=hierarchy": collectOne(t, "hybrid", hierarchy{hybrid: true}, "container_memory_failures_total failure_type=pgfault scope=hierarchy"),
	})
	const kB = 1024
	f("v2", hierarchy{unified: true}, map[string]float64{
		"container_cpu_user_seconds_total" + id:                60,
		"container_memory_usage_bytes" + id:                    5000000 * kB,
		"container_memory_working_set_bytes" + id:              4400000 * kB,
		"container_memory_rss" + id:                            1200000 * kB,
		"container_memory_cache" + id:                          1500000 * kB,
		"container_memory_swap" + id:                           100000 * kB,
		"container_fs_reads_total device=/dev/vda" + id:        100,
		"container_fs_writes_bytes_total device=/dev/vda" + id: 409600,
	})
}

// collectOne is one value of the recorded container.
func collectOne(t *testing.T, name string, h hierarchy, key string) float64 {
	t.Helper()
	s := fixture(name, h)
	defer s.Close()
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	return collect(t, s)[key]
}

func TestContractOfAMachineAndOnV1(t *testing.T) {
	for _, h := range []struct {
		name string
		hierarchy
	}{{"hybrid", hierarchy{hybrid: true}}, {"v2", hierarchy{unified: true}}} {
		t.Run(h.name, func(t *testing.T) {
			sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
				return fixture(h.name, h.hierarchy), []*tallyman.Target{machine(), target(4242)}
			})
		})
	}
}

func TestParseBlockIO(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var got []string
		for d, op, v, rest, ok := nextOperation([]byte(text)); ok; d, op, v, rest, ok = nextOperation(rest) {
			got = append(got, fmt.Sprintf("%d:%d %s %d", d.major, d.minor, op, v))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("operations of %q = %v, want %s", text, got, want)
		}
	}
	f("254:0 Read 7\n254:0 Write 8\nTotal 15\n", "254:0 Read 7, 254:0 Write 8")
	f("Total 0\n", "")
	f("8:0 Read 1\n8:0 Wri", "8:0 Read 1") // cut off
	f("8:0\n8: Read 1\n:0 Read 1\n8:0 Read x\n8:0 Read 1 2\n8:4294967296 Read 1\n", "")

	g := func(text, want string) {
		t.Helper()
		var got []string
		var c count
		for d, rest, ok := nextStat([]byte(text), &c); ok; d, rest, ok = nextStat(rest, &c) {
			got = append(got, fmt.Sprintf("%d:%d %v", d.major, d.minor, c))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("io.stat of %q = %v, want %s", text, got, want)
		}
	}
	g("254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n", "254:0 [1 2 3 4]")
	g("7:0 \n254:0 rbytes=1 wbytes=2 rios=3 wios=4\n", "254:0 [1 2 3 4]")
	g("7:1 7:0 254:0 rbytes=1 wbytes=2 rios=3 wios=4\n", "254:0 [1 2 3 4]")
	g("254:0 rbytes=1 wbytes=2\n8:0 rbytes=1 wbytes=x rios=3 wios=4\nrbytes=1 wbytes=2 rios=3 wios=4\n", "")
	g("254:0 wios=4 cost.vrate=1.5 rbytes=1 rios=3 wbytes=2\n", "254:0 [1 2 3 4]")
}

func FuzzBlockIO(f *testing.F) {
	f.Add("254:0 Read 7\n254:0 Write 8\nTotal 15\n")
	f.Add("7:1 254:0 rbytes=1 wbytes=2 rios=3 wios=4 cost.usage=9\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Count(text, "\n")
		n := 0
		for _, op, _, rest, ok := nextOperation([]byte(text)); ok; _, op, _, rest, ok = nextOperation(rest) {
			if n++; strings.ContainsAny(string(op), " \n") {
				t.Errorf("operation %q of %q", op, text)
			}
		}
		var c count
		m := 0
		for _, rest, ok := nextStat([]byte(text), &c); ok; _, rest, ok = nextStat(rest, &c) {
			m++
		}
		if n > lines || m > lines {
			t.Errorf("%q gives %d operations and %d devices in %d lines", text, n, m, lines)
		}
	})
}

func FuzzMeminfo(f *testing.F) {
	f.Add("MemTotal: 8 kB\nMemFree: 3 kB\nAnonPages: 1 kB\n")
	f.Fuzz(func(t *testing.T, text string) {
		var out [values]uint64
		if found := parseMeminfo([]byte(text), &out); found&(1<<memUsage) == 0 && out[memUsage] != 0 {
			t.Errorf("parseMeminfo(%q) sets a usage that it has not found", text)
		}
	})
}

// ioAbsences are what is absent, pressure aside: these trees have none.
func ioAbsences(s *Source, tg *tallyman.Target) []tallyman.Absence {
	return slices.DeleteFunc(s.Absences(tg), func(a tallyman.Absence) bool { return a.What == "pressure" })
}
