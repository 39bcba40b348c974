// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs/sysfs"

	"tallyman"
)

var (
	cpuSeconds   = counter("node_cpu_seconds_total", "seconds", "Seconds that a CPU spent in a mode")
	guestSeconds = counter("node_cpu_guest_seconds_total", "seconds", "Seconds that a CPU spent in virtual machines; they are within user and nice of node_cpu_seconds_total too")
)

// modeCount is how many columns of a cpu line are known.
const modeCount = 10

// modes are the columns of a cpu line in /proc/stat. Guest time is within user
// and nice already, so it is a metric of its own, as in node_exporter: the sum
// over the modes of one metric is the time that passed.
var modes = [modeCount]struct {
	desc *tallyman.Desc
	name string
}{
	{cpuSeconds, "user"}, {cpuSeconds, "nice"}, {cpuSeconds, "system"}, {cpuSeconds, "idle"}, {cpuSeconds, "iowait"},
	{cpuSeconds, "irq"}, {cpuSeconds, "softirq"}, {cpuSeconds, "steal"}, {guestSeconds, "user"}, {guestSeconds, "nice"},
}

// userHZ is how many clock ticks of /proc a second has, on all machines that Go runs on.
const userHZ = 100

var cpuCollector = collector{
	name: "cpu", what: "CPU", descs: []*tallyman.Desc{cpuSeconds, guestSeconds},
	open: func(s *Source) reading {
		return func(to *sink) error {
			st := s.stat()
			for i := range st.cpus {
				c := &st.cpus[i]
				for m := range modes {
					to.Add(modes[m].desc, float64(c.ticks[m])/userHZ, "cpu", c.cpu, "mode", modes[m].name)
				}
			}
			return st.err
		}
	},
}

var (
	coreThrottles    = counter("node_cpu_core_throttles_total", "", "How often a core was slowed down because it was too hot")
	packageThrottles = counter("node_cpu_package_throttles_total", "", "How often a package was slowed down because it was too hot")
	cpuOnline        = gauge("node_cpu_online", "", "1 when a CPU is online, else 0")
	cpuIsolated      = gauge("node_cpu_isolated", "", "1 for a CPU that the scheduler leaves alone")
	cpuInfo          = gauge("node_cpu_info", "", "Always 1; the labels are what /proc/cpuinfo says of a CPU")
)

// topologyCollector is what /sys says of CPUs. In node_exporter it is a part of cpu.
var topologyCollector = collector{
	name: "cputhrottles", what: "throttling of CPUs", every: 10 * time.Second, aside: true,
	descs: []*tallyman.Desc{coreThrottles, packageThrottles, cpuOnline, cpuIsolated},
	open: func(s *Source) reading {
		return func(to *sink) error {
			dirs := cpuDirs(s.o.Sys)
			if len(dirs) == 0 {
				return none("There is nothing about CPUs in /sys.")
			}
			cores, packages := map[string]bool{}, map[string]bool{}
			for _, d := range dirs {
				pkg, ok1 := text(filepath.Join(d.dir, "topology/physical_package_id"))
				core, ok2 := text(filepath.Join(d.dir, "topology/core_id"))
				if !ok1 || !ok2 {
					continue
				}
				if key := pkg + " " + core; !cores[key] {
					cores[key] = addFile(to, coreThrottles, filepath.Join(d.dir, "thermal_throttle/core_throttle_count"), 1, "package", pkg, "core", core)
				}
				if !packages[pkg] {
					packages[pkg] = addFile(to, packageThrottles, filepath.Join(d.dir, "thermal_throttle/package_throttle_count"), 1, "package", pkg)
				}
			}
			// The first CPU can often not be put offline and has no such file then.
			if addFile(to, cpuOnline, filepath.Join(dirs[0].dir, "online"), 1, "cpu", dirs[0].cpu) {
				for _, d := range dirs[1:] {
					addFile(to, cpuOnline, filepath.Join(d.dir, "online"), 1, "cpu", d.cpu)
				}
			}
			if list, ok := text(filepath.Join(s.o.Sys, "devices/system/cpu/isolated")); ok {
				for _, cpu := range parseCPUList(list) {
					to.Add(cpuIsolated, 1, "cpu", strconv.Itoa(cpu))
				}
			}
			return nil
		}
	},
}

// addFile adds the number in a small file, times a factor; it reports whether there is one.
func addFile(to *sink, d *tallyman.Desc, path string, factor float64, pairs ...string) bool {
	value, ok := text(path)
	if !ok {
		return false
	}
	v, ok := float(value)
	if ok {
		to.Add(d, v*factor, pairs...)
	}
	return ok
}

type cpuDir struct {
	cpu, dir string
	n        int
}

// cpuDirs are the folders of CPUs in /sys, in the order of their numbers.
func cpuDirs(sys string) (dirs []cpuDir) {
	all, _ := filepath.Glob(filepath.Join(sys, "devices/system/cpu/cpu[0-9]*")) // its only error is a wrong pattern
	for _, dir := range all {
		cpu := strings.TrimPrefix(filepath.Base(dir), "cpu")
		if n, err := strconv.Atoi(cpu); err == nil {
			dirs = append(dirs, cpuDir{cpu, dir, n})
		}
	}
	slices.SortFunc(dirs, func(a, b cpuDir) int { return cmp.Compare(a.n, b.n) })
	return dirs
}

// maxCPUs is more than Linux can have.
const maxCPUs = 16384

// parseCPUList reads a list of CPUs in the kernel's form, 0,2-4.
func parseCPUList(list string) (cpus []int) {
	for _, part := range strings.Split(strings.TrimSpace(list), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if isRange && err == nil {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from < 0 || to >= maxCPUs {
			continue
		}
		for ; from <= to && len(cpus) < maxCPUs; from++ {
			cpus = append(cpus, from)
		}
	}
	return cpus
}

// cpuInfoCollector is what CPUs are called. Reading it may ask each CPU for its
// frequency, so it is read seldom; in node_exporter it is off.
var cpuInfoCollector = collector{
	name: "cpuinfo", what: "names of CPUs", every: 10 * time.Minute, aside: true, descs: []*tallyman.Desc{cpuInfo},
	open: func(s *Source) reading {
		return func(to *sink) error {
			all, err := s.fs.CPUInfo()
			if err != nil {
				return missing(err, "The kernel does not describe its CPUs.")
			}
			for _, c := range all {
				to.Add(cpuInfo, 1, "package", c.PhysicalID, "core", c.CoreID, "cpu", strconv.Itoa(int(c.Processor)), "vendor", c.VendorID, "family", c.CPUFamily,
					"model", c.Model, "model_name", c.ModelName, "microcode", c.Microcode, "stepping", c.Stepping, "cachesize", c.CacheSize)
			}
			return nil
		}
	},
}

var (
	frequencyColumns = []column[sysfs.SystemCPUCpufreqStats, uint64]{
		{gauge("node_cpu_frequency_hertz", "hertz", "Frequency of a CPU"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.CpuinfoCurrentFrequency }},
		{gauge("node_cpu_frequency_min_hertz", "hertz", "Lowest frequency that a CPU can have"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.CpuinfoMinimumFrequency }},
		{gauge("node_cpu_frequency_max_hertz", "hertz", "Highest frequency that a CPU can have"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.CpuinfoMaximumFrequency }},
		{gauge("node_cpu_scaling_frequency_hertz", "hertz", "Frequency of a CPU as the kernel has set it"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.ScalingCurrentFrequency }},
		{gauge("node_cpu_scaling_frequency_min_hertz", "hertz", "Lowest frequency that the kernel may set"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.ScalingMinimumFrequency }},
		{gauge("node_cpu_scaling_frequency_max_hertz", "hertz", "Highest frequency that the kernel may set"), func(c *sysfs.SystemCPUCpufreqStats) *uint64 { return c.ScalingMaximumFrequency }},
	}
	cpuGovernor = gauge("node_cpu_scaling_governor", "", "1 for the governor that sets the frequency of a CPU, 0 for the others that could")
)

// column is a number that a struct of the library has, or has not.
type column[T any, N int64 | uint64] struct {
	desc  *tallyman.Desc
	value func(*T) *N
}

// addColumns adds what is there, times a factor.
func addColumns[T any, N int64 | uint64](to *sink, all []column[T, N], of *T, factor float64, pairs ...string) {
	for _, c := range all {
		if v := c.value(of); v != nil {
			to.Add(c.desc, float64(*v)*factor, pairs...)
		}
	}
}

func descsOf[T any, N int64 | uint64](all []column[T, N], more ...*tallyman.Desc) (descs []*tallyman.Desc) {
	for _, c := range all {
		descs = append(descs, c.desc)
	}
	return append(descs, more...)
}

// cpufreqCollector asks drivers, which may take 50 ms for each CPU.
var cpufreqCollector = collector{
	name: "cpufreq", what: "frequencies of CPUs", every: 10 * time.Second, aside: true, descs: descsOf(frequencyColumns, cpuGovernor),
	open: func(s *Source) reading {
		return func(to *sink) error {
			if s.noSys != nil {
				return s.noSys
			}
			const no = "The CPUs of this host have no frequency that could be read; it is a virtual machine, or their driver is missing."
			all, err := s.sys.SystemCpufreq()
			if err != nil {
				return missing(err, no)
			}
			for i := range all {
				c := &all[i]
				if c.Name == "" {
					continue
				}
				addColumns(to, frequencyColumns, c, 1000, "cpu", c.Name) // of kHz
				if c.Governor == "" {
					continue
				}
				for _, g := range strings.Fields(c.AvailableGovernors) {
					to.Add(cpuGovernor, number(g == c.Governor), "cpu", c.Name, "governor", g)
				}
			}
			if len(to.samples) == 0 {
				return none(no)
			}
			return nil
		}
	},
}
