// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"golang.org/x/tools/txtar"

	"tallyman"
	"tallyman/internal/testkit"
)

// labelled are the samples of one round with their labels, host left out.
func labelled(t *testing.T, s tallyman.Source) map[string]float64 {
	t.Helper()
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		var own []string
		for _, l := range one.Series.Labels {
			if l.Name != "host" {
				own = append(own, l.Name+"="+l.Value)
			}
		}
		key := one.Series.Desc.Name + "{" + strings.Join(own, ",") + "}"
		if _, twice := got[key]; twice {
			t.Errorf("%s comes twice", key)
		}
		got[key] = one.Value
	}
	return got
}

// fixture opens a host whose files are those in testdata, and some more.
func fixture(t *testing.T, own Options, more map[string]string) *Source {
	t.Helper()
	dir := t.TempDir()
	files, err := txtar.ParseFile("testdata/hardware.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files.Files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// Folders of devices are links in /sys; the first interface of a bond is one in the folder of the bond.
	for name, to := range map[string]string{
		"sys/class/hwmon/hwmon0":                              "../../devices/platform/coretemp.0/hwmon/hwmon0",
		"sys/class/nvme/nvme0":                                "../../devices/pci0000:00/nvme/nvme0",
		"sys/class/net/bond0/lower_eth0":                      "../eth0",
		"sys/class/powercap/intel-rapl:0":                     "../../devices/virtual/powercap/intel-rapl:0",
		"sys/class/thermal/thermal_zone0":                     "../../devices/virtual/thermal/thermal_zone0",
		"sys/class/thermal/cooling_device0":                   "../../devices/virtual/thermal/cooling_device0",
		"root/etc/os-release":                                 "../usr/lib/os-release",
		"root/etc/localtime":                                  "/usr/share/zoneinfo/Zone",
		"sys/devices/platform/coretemp.0/hwmon/hwmon0/device": "../../../coretemp.0",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range more {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(tallyman.SourceOptions{Proc: filepath.Join(dir, "proc"), Init: filepath.Join(dir, "proc/1"), Sys: filepath.Join(dir, "sys"), Root: filepath.Join(dir, "root"),
		Path: func(name string) string { return filepath.Join(dir, "root", name) }, Descs: tallyman.NewDescs(nil), Own: own})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.(*Source).within = time.Minute
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	return s.(*Source)
}

// Hardware that this machine has not, from fixtures.
func TestHardware(t *testing.T) {
	s := fixture(t, Options{}, nil)
	got := labelled(t, s)
	want := map[string]float64{
		"node_hwmon_chip_names{chip=platform_coretemp_0,chip_name=coretemp}":                   1,
		"node_hwmon_sensor_label{chip=platform_coretemp_0,label=Package id 0,sensor=temp1}":    1,
		"node_hwmon_temp_celsius{chip=platform_coretemp_0,sensor=temp1}":                       46.5,
		"node_hwmon_temp_max_celsius{chip=platform_coretemp_0,sensor=temp1}":                   100,
		"node_hwmon_temp_crit_alarm_celsius{chip=platform_coretemp_0,sensor=temp1}":            0,
		"node_hwmon_fan_rpm{chip=platform_coretemp_0,sensor=fan1}":                             1200,
		"node_hwmon_fan_alarm{chip=platform_coretemp_0,sensor=fan1}":                           1,
		"node_hwmon_in_volts{chip=platform_coretemp_0,sensor=in0}":                             1.05,
		"node_hwmon_curr_amps{chip=platform_coretemp_0,sensor=curr1}":                          2.5,
		"node_hwmon_power_average_watt{chip=platform_coretemp_0,sensor=power1}":                95,
		"node_hwmon_energy_joule_total{chip=platform_coretemp_0,sensor=energy1}":               7.5,
		"node_hwmon_pwm{chip=platform_coretemp_0,sensor=pwm1}":                                 128,
		"node_hwmon_pwm_mode{chip=platform_coretemp_0,sensor=pwm1}":                            1,
		"node_hwmon_update_interval_seconds{chip=platform_coretemp_0,sensor=update_interval0}": 2,

		"node_thermal_zone_temp{type=x86_pkg_temp,zone=0}":                                           52.25,
		"node_cooling_device_cur_state{name=0,type=Processor}":                                       1,
		"node_cooling_device_max_state{name=0,type=Processor}":                                       3,
		"node_rapl_package_joules_total{index=0,path=/sys/class/powercap/intel-rapl:0}":              240.422366,
		"node_power_supply_online{power_supply=AC}":                                                  1,
		"node_power_supply_info{power_supply=AC,type=Mains}":                                         1,
		"node_power_supply_capacity{power_supply=BAT0}":                                              81,
		"node_power_supply_voltage_volt{power_supply=BAT0}":                                          12.229,
		"node_power_supply_temp_celsius{power_supply=BAT0}":                                          30.5,
		"node_power_supply_info{manufacturer=LGC,power_supply=BAT0,status=Discharging,type=Battery}": 1,

		"node_edac_correctable_errors_total{controller=0}":                     1,
		"node_edac_uncorrectable_errors_total{controller=0}":                   5,
		"node_edac_csrow_correctable_errors_total{controller=0,csrow=unknown}": 2,
		"node_edac_csrow_correctable_errors_total{controller=0,csrow=0}":       3,
		"node_edac_csrow_uncorrectable_errors_total{controller=0,csrow=0}":     4,

		"node_md_disks_required{device=md0}":                    2,
		"node_md_disks{device=md0,state=active}":                1,
		"node_md_disks{device=md0,state=failed}":                1,
		"node_md_disks{device=md0,state=spare}":                 0,
		"node_md_state{device=md0,state=active}":                0,
		"node_md_state{device=md0,state=recovering}":            1,
		"node_md_blocks{device=md0}":                            4883648,
		"node_md_blocks_synced{device=md0}":                     1234567,
		"node_bonding_slaves{master=bond0}":                     1,
		"node_bonding_active{master=bond0}":                     1,
		"node_schedstat_running_seconds_total{cpu=0}":           2.5,
		"node_schedstat_waiting_seconds_total{cpu=0}":           1.5,
		"node_schedstat_timeslices_total{cpu=0}":                4767485306,
		"node_cpu_core_throttles_total{core=0,package=0}":       5,
		"node_cpu_package_throttles_total{package=0}":           30,
		"node_cpu_online{cpu=1}":                                0,
		"node_cpu_isolated{cpu=3}":                              1,
		"node_cpu_frequency_hertz{cpu=0}":                       1.6e9,
		"node_cpu_scaling_frequency_max_hertz{cpu=0}":           3.7e9,
		"node_cpu_scaling_governor{cpu=0,governor=powersave}":   1,
		"node_cpu_scaling_governor{cpu=0,governor=performance}": 0,
		"node_pressure_irq_stalled_seconds_total{}":             0.25,

		"node_nvme_info{device=nvme0,firmware_revision=1B2QEXP7,model=Samsung SSD 970 PRO 512GB,serial=S680HF8N190894I,state=live}": 1,
		"node_infiniband_info{board_id=I40IW Board ID,device=i40iw0,firmware_version=0.2,hca_type=I40IW}":                           1,
		"node_infiniband_state_id{device=i40iw0,port=1}":                                                                            4,
		"node_infiniband_rate_bytes_per_second{device=i40iw0,port=1}":                                                               1.25e9,
		"node_infiniband_port_data_received_bytes_total{device=i40iw0,port=1}":                                                      8884,
		"node_tape_io_now{device=st0}":                                    1,
		"node_tape_io_time_seconds_total{device=st0}":                     9247.01108772,
		"node_tape_read_bytes_total{device=st0}":                          979383912,
		"node_fibrechannel_error_frames_total{fc_host=host0}":             0,
		"node_fibrechannel_rx_frames_total{fc_host=host0}":                3,
		"node_xfs_extent_allocation_extents_allocated_total{device=sda1}": 1,
		"node_xfs_read_calls_total{device=sda1}":                          28,

		"node_nfs_packets_total{protocol=tcp}":                   40,
		"node_nfs_rpc_retransmissions_total{}":                   7,
		"node_nfs_requests_total{method=Null,proto=2}":           0,
		"node_nfs_requests_total{method=Commit,proto=3}":         121,
		"node_nfsd_reply_cache_nocache_total{}":                  3,
		"node_nfsd_server_threads{}":                             8,
		"node_nfsd_rpc_errors_total{error=auth}":                 3,
		"node_nfsd_requests_total{method=WdelegGetattr,proto=4}": 16,
		"node_ipvs_connections_total{}":                          26,
		"node_ipvs_backend_connections_active{local_address=10.0.0.1,local_port=80,proto=TCP,remote_address=10.0.0.2,remote_port=8080}": 3,
		"node_ipvs_backend_weight{local_mark=00000007,local_port=0,proto=FWM,remote_address=10.0.0.3,remote_port=0}":                    20,
		"node_btrfs_info{label=fixture,uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                                                      1,
		"node_btrfs_commits_total{uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                                                           4711,
		"node_btrfs_max_commit_seconds{uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                                                      2.5,
		"node_btrfs_reserved_bytes{block_group_type=data,uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                                    11,
		"node_btrfs_used_bytes{block_group_type=data,mode=raid0,uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                             700000256,
		"node_btrfs_allocation_ratio{block_group_type=data,mode=raid0,uuid=5e1fc0de-77aa-4b1b-9c3d-2a6f0d4e8b17}":                       1,
		"node_network_up{device=eth0}":                      1,
		"node_network_flags{device=eth0}":                   4099,
		"node_network_speed_bytes{device=eth0}":             1.25e8,
		"node_network_receive_nohandler_total{device=eth0}": 7,
		"node_network_info{address=02:fc:00:00:00:01,adminstate=up,broadcast=ff:ff:ff:ff:ff:ff,device=eth0,duplex=full,operstate=up}": 1,
		"node_dmi_info{bios_vendor=Dell,product_name=PowerEdge R6515,system_vendor=Dell Inc.}":                                        1,
		"node_os_version{id=ubuntu,id_like=debian,name=Ubuntu}":                                                                       20.04,
		"node_os_support_end_timestamp_seconds{}":                                                                                     1767225600,
		"node_selinux_enabled{}":                                          1,
		"node_selinux_current_mode{}":                                     0,
		"node_selinux_config_mode{}":                                      1,
		"node_time_clocksource_current_info{clocksource=tsc,device=0}":    1,
		"node_time_clocksource_available_info{clocksource=hpet,device=0}": 1,
		"node_time_zone_offset_seconds{time_zone=UTC}":                    0,
		"node_disk_info{device=sda,major=8,minor=0,model=SAMSUNG_MZ7LH960,path=pci-0000:00:17.0-ata-1,revision=HXT7904Q,rotational=1,serial=S45NNC0R,wwn=0x5002538e}": 1,
		"node_disk_filesystem_info{device=sda,type=ext4,usage=filesystem,uuid=0f3f,version=1.0}":                                                                      1,
		"node_disk_ata_write_cache_enabled{device=sda}": 1,
		"node_disk_ata_rotation_rate_rpm{device=sda}":   7200,
	}
	for series, v := range want {
		if g, ok := got[series]; !ok || math.Abs(g-v) > 1e-9*math.Abs(v) {
			t.Errorf("%s = %v, %v; want %v", series, g, ok, v)
		}
	}
	// All bits are set in a counter that the adapter does not keep.
	for series := range got {
		if strings.HasPrefix(series, "node_fibrechannel_dumped_frames_total") || strings.Contains(series, "veth") {
			t.Errorf("%s is there", series)
		}
	}
	if t.Failed() {
		for _, series := range slices.Sorted(keys(got)) {
			t.Log(series, got[series])
		}
		t.Log(s.Absences(target()))
	}
}

func keys(m map[string]float64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Each collector that has nothing says why; that a host has no such hardware is nothing
// to tell people of.
func TestEachAbsenceHasAReason(t *testing.T) {
	s := openTree(t, hostTree(t, files))
	s.files.statfs = told
	collect(t, s)
	what := map[string]tallyman.Absence{}
	for _, a := range s.Absences(target()) {
		if a.What == "" || !strings.HasSuffix(a.Reason, ".") {
			t.Errorf("%+v: want what it is and a sentence", a)
		}
		what[a.What] = a
	}
	for _, name := range []string{"scheduling", "bonds of interfaces", "frequencies of CPUs", "temperatures of zones", "sensors", "energy of CPUs", "power supplies", "errors of memory",
		"RAIDs of md", "NVMe controllers", "XFS file systems", "tape drives", "InfiniBand", "Fibre Channel", "btrfs file systems", "NFS client", "NFS server", "balancing of IPVS", "names of the machine", "files of metrics"} {
		if a, ok := what[name]; !ok || a.Code != tallyman.None {
			t.Errorf("%s: %+v, want that the host has none", name, a)
		}
	}
}

// What one collector lacks is its own: the others give the same as before.
func TestACollectorFailsAlone(t *testing.T) {
	s := fixture(t, Options{}, nil)
	whole := labelled(t, s)
	broken := map[string]string{"proc/mdstat": "Personalities : [raid1]\nmd0 : active raid1 sdb1[1] sda1[0]\n      garbage\n", "proc/schedstat": "",
		"sys/devices/platform/coretemp.0/temp1_input": "no number\n"}
	s = fixture(t, Options{}, broken)
	got := labelled(t, s)
	for series := range whole {
		if _, ok := got[series]; !ok && !strings.HasPrefix(series, "node_md_") && !strings.HasPrefix(series, "node_schedstat_") && !strings.HasPrefix(series, "node_hwmon_temp_celsius") {
			t.Errorf("%s is gone", series)
		}
	}
	if a := lacking(s); !slices.ContainsFunc(a, func(a tallyman.Absence) bool {
		return a.What == "RAIDs of md" && strings.Contains(a.Reason, "cannot be read")
	}) {
		t.Errorf("absent: %+v, want RAIDs of md with the reason", a)
	}
	// A reader that panics, too.
	s.host.runners[0].read = func(*sink) error { panic("nobody thought of it") }
	if got := labelled(t, s); len(got) < len(whole)-50 {
		t.Errorf("%d series beside one that panics, want some %d", len(got), len(whole))
	}
	if a := lacking(s); !slices.ContainsFunc(a, func(a tallyman.Absence) bool { return strings.Contains(a.Reason, "nobody thought of it") }) {
		t.Errorf("absent: %+v, want the panic", a)
	}
}

func TestSwitchedOff(t *testing.T) {
	s := fixture(t, Options{Off: []string{"hwmon", "cpu", "filesystem"}}, map[string]string{"proc/1/mountinfo": files["proc/1/mountinfo"]})
	for series := range labelled(t, s) {
		for _, prefix := range []string{"node_hwmon_", "node_cpu_seconds_total", "node_filesystem_"} {
			if strings.HasPrefix(series, prefix) {
				t.Errorf("%s is there", series)
			}
		}
	}
	off := 0
	for _, a := range s.Absences(target()) {
		if strings.Contains(a.Reason, "sources.host.off") {
			off++
		}
	}
	if off != 3 {
		t.Errorf("%d absences say that they were switched off, want 3", off)
	}
	if err := (Options{Off: []string{"hwmno"}}).Check(); err == nil || !strings.Contains(err.Error(), `did you mean "hwmon"?`) {
		t.Errorf("Check = %v, want the near name", err)
	}
	if err := (Options{Textfile: "metrics"}).Check(); err == nil {
		t.Error("a relative folder is taken")
	}
	if err := (Options{Off: []string{"hwmon", "filesystem"}, Textfile: "/metrics"}).Check(); err != nil {
		t.Error(err)
	}
}

func TestTextfiles(t *testing.T) {
	const at = "root/metrics/"
	more := map[string]string{
		at + "a.prom":     "# HELP job_runs_total Runs of the job.\n# TYPE job_runs_total counter\njob_runs_total{job=\"backup\",host=\"x\"} 3\njob_runs_total{job=\"backup\",host=\"x\"} 4\n",
		at + "b.prom":     "job_seconds{name=\"one\"} 1.5\nthis is broken {{{\n",
		at + "c.prom":     "node_load1 77\n",
		at + "c2.prom":    "container_memory_usage_bytes{name=\"web\"} 1\n",
		at + "d.prom":     "job_seconds{name=\"two\"} 2.5\n",
		at + "e.txt":      "job_seconds{name=\"other\"} 2.5\n",
		at + "f.prom":     "job_seconds{name=\"" + strings.Repeat("x", maxTextValue+1) + "\"} 2.5\n",
		at + "g.prom":     strings.Repeat("# a comment that is long\n", maxTextfile/20),
		at + "h.prom":     manySeries(maxTextSamples + 1),
		"secret/key.prom": "job_seconds{name=\"secret\"} 1\n",
	}
	s := fixture(t, Options{Textfile: "/metrics"}, more)
	dir := filepath.Join(s.o.Root, "metrics")
	if err := os.Symlink("../../secret/key.prom", filepath.Join(dir, "z.prom")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "a.prom"), time.Unix(1700000000, 0), time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for series, v := range labelled(t, s) {
		if strings.HasPrefix(series, "job_") || strings.HasPrefix(series, "container_") || strings.HasPrefix(series, "node_textfile") || strings.HasPrefix(series, "node_load1{") && v == 77 {
			got[series] = v
		}
	}
	modified := got["node_textfile_mtime_seconds{file=/metrics/d.prom}"]
	want := map[string]float64{
		"job_runs_total{exported_host=x,exported_job=backup}": 3, "job_seconds{name=two}": 2.5, "node_textfile_scrape_error{}": 1,
		"node_textfile_mtime_seconds{file=/metrics/a.prom}": 1700000000, "node_textfile_mtime_seconds{file=/metrics/d.prom}": modified,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if a := lacking(s); !slices.ContainsFunc(a, func(a tallyman.Absence) bool {
		return a.What == "files of metrics" && strings.Contains(a.Reason, "b.prom: it is not the text of metrics; c.prom: tallyman has node_load1 itself") && !strings.Contains(a.Reason, "broken {{{")
	}) {
		t.Errorf("absent: %+v, want the files with their faults", a)
	}
	// Mended files are taken, and those that are gone are forgotten.
	for _, name := range []string{"b", "c", "c2", "f", "g", "h", "z", "a"} {
		if err := os.Remove(filepath.Join(dir, name+".prom")); err != nil {
			t.Fatal(err)
		}
	}
	s.host.runners[slices.IndexFunc(s.host.runners, func(r *runner) bool { return r.name == "textfile" })].at = time.Time{}
	now := labelled(t, s)
	if now["node_textfile_scrape_error{}"] != 0 || now["job_seconds{name=two}"] != 2.5 || has(now, "job_runs_total{exported_host=x,exported_job=backup}") {
		t.Errorf("after all but one are gone: %v", now)
	}
}

func manySeries(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "job_many{n=\"%d\"} 1\n", i)
	}
	return b.String()
}

// What is read seldom is given in each round all the same, and read again when it is time.
func TestSeldomReadIsGivenInBetween(t *testing.T) {
	s := fixture(t, Options{}, nil)
	path := filepath.Join(s.o.Sys, "devices/platform/coretemp.0/temp1_input")
	begin := time.Now()
	value := func(at time.Duration) float64 {
		var b tallyman.Batch
		b.Reset(begin.Add(at))
		s.Collect(&b)
		for _, one := range b.Samples {
			if one.Series.Desc.Name == "node_hwmon_temp_celsius" {
				return one.Value
			}
		}
		return -1
	}
	if v := value(0); v != 46.5 {
		t.Fatalf("first %v, want 46.5", v)
	}
	if err := os.WriteFile(path, []byte("50000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if v := value(time.Second); v != 46.5 {
		t.Errorf("a second later %v, want the value of before", v)
	}
	if v := value(10*time.Second - 3*time.Millisecond); v != 50 {
		t.Errorf("ten seconds later %v, want the new value", v)
	}
	// What was not there is looked for again after a minute.
	power := filepath.Join(s.o.Sys, "class/power_supply")
	if err := os.Rename(power, power+"_"); err != nil {
		t.Fatal(err)
	}
	supplies := func(at time.Duration) (n int) {
		var b tallyman.Batch
		b.Reset(begin.Add(at))
		s.Collect(&b)
		for _, one := range b.Samples {
			if one.Series.Desc == supplyInfo {
				n++
			}
		}
		return n
	}
	if n := supplies(30 * time.Second); n != 0 {
		t.Errorf("%d power supplies without their folder", n)
	}
	if err := os.Rename(power+"_", power); err != nil {
		t.Fatal(err)
	}
	if n, later := supplies(45*time.Second), supplies(90*time.Second); n != 0 || later != 2 {
		t.Errorf("%d power supplies after 15 s, %d after a minute; want 0, 2", n, later)
	}
	if v := value(-time.Hour); v != 50 {
		t.Errorf("after the clock was set back %v", v)
	}
}

// Hardware that does not answer delays one round, is absent with the reason, and comes back.
func TestHardwareThatHangs(t *testing.T) {
	s := fixture(t, Options{}, nil)
	s.within = 50 * time.Millisecond
	release := make(chan struct{})
	at := slices.IndexFunc(s.host.runners, func(r *runner) bool { return r.name == "hwmon" })
	hang := s.host.runners[at]
	read := hang.read
	hang.read = func(to *sink) error { <-release; return read(to) }
	begin := time.Now()
	round := func(i int) (hwmon bool, rest int) {
		var b tallyman.Batch
		b.Reset(begin.Add(time.Duration(i) * 10 * time.Second))
		s.Collect(&b)
		for _, one := range b.Samples {
			hwmon = hwmon || strings.HasPrefix(one.Series.Desc.Name, "node_hwmon")
		}
		return hwmon, len(b.Samples)
	}
	for i := range 3 {
		if hwmon, rest := round(i); hwmon || rest == 0 {
			t.Errorf("round %d: of hwmon %v, %d samples", i, hwmon, rest)
		}
	}
	var reason string
	for _, a := range s.host.absences(begin.Add(time.Minute)) {
		if a.What == "sensors" {
			reason = a.Reason
		}
	}
	if !strings.Contains(reason, "has not answered for 1m0s") {
		t.Errorf("the reason is %q", reason)
	}
	close(release)
	i := 10
	testkit.Eventually(t, 10*time.Second, "it is there again", func() error {
		i++
		if hwmon, _ := round(i); !hwmon {
			return errors.New("it is not")
		}
		return nil
	})
}

func TestSinkInternsAndBounds(t *testing.T) {
	d, other := gauge("a", "", "A"), gauge("b", "", "B")
	s := &sink{target: target()}
	s.begin()
	s.Add(d, 1, "x", "1")
	s.Add(d, 2, "x", "1") // twice
	s.Add(d, 3, "x", "2", "empty", "")
	s.Add(other, 4)
	s.end()
	if len(s.samples) != 3 || s.samples[0].Value != 1 || len(s.samples[1].Series.Labels) != 2 {
		t.Fatalf("%+v, want three series; an empty label is none", s.samples)
	}
	first := []*tallyman.Series{s.samples[0].Series, s.samples[1].Series, s.samples[2].Series}
	s.begin()
	s.Add(other, 4)
	s.Add(d, 3, "x", "2", "empty", "")
	s.Add(d, 1, "x", "1")
	s.end()
	if s.samples[0].Series != first[2] || s.samples[1].Series != first[1] || s.samples[2].Series != first[0] {
		t.Error("another order makes other series")
	}
	if n := testing.AllocsPerRun(100, func() {
		s.begin()
		s.Add(other, 4)
		s.Add(d, 3, "x", "2", "empty", "")
		s.end()
	}); n != 0 {
		t.Errorf("a round that is like the last one allocates %v times", n)
	}
	s.begin()
	for i := range maxSamples + 5 {
		s.Add(d, 1, "x", fmt.Sprint(i))
	}
	s.end()
	if len(s.samples) != maxSamples || s.refused != 5 {
		t.Errorf("%d samples, %d refused; want %d, 5", len(s.samples), s.refused, maxSamples)
	}
	s.begin()
	s.Add(other, 4)
	s.end()
	if len(s.known) != 1 {
		t.Errorf("%d series are remembered when there is one", len(s.known))
	}
}

// Every name that collectors give here is in the table, but for those of the kernel.
func TestNamesAreInTheTable(t *testing.T) {
	known := map[*tallyman.Desc]bool{}
	for _, d := range Kind().Metrics {
		known[d] = true
	}
	for _, s := range []*Source{fixture(t, Options{}, nil), openTree(t, hostTree(t, files))} {
		if err := s.Attach(target()); err != nil {
			t.Fatal(err)
		}
		var b tallyman.Batch
		b.Reset(time.Now())
		s.Collect(&b)
		for _, one := range b.Samples {
			if name := one.Series.Desc.Name; !known[one.Series.Desc] && !slices.Contains([]string{"node_hwmon_pwm_mode", "node_memory_NewInLinux99_bytes", "node_vmstat_oom_kill_x"}, name) {
				t.Errorf("%s is not in the table", one.Series.Desc.Name)
			}
		}
	}
}

func FuzzProcStat(f *testing.F) {
	f.Add([]byte(files["proc/stat"]))
	f.Add([]byte("cpu")) // cut off
	f.Fuzz(func(t *testing.T, text []byte) {
		var p procStat
		p.parse(text)
		if (p.err == nil) != (len(p.cpus) > 0) {
			t.Errorf("%q: %d CPUs, %v", text, len(p.cpus), p.err)
		}
	})
}

// The files of protocols and disks are parsed by the collectors themselves.
func FuzzFilesOfTheKernel(f *testing.F) {
	for _, name := range []string{"proc/1/net/netstat", "proc/1/net/snmp6", "proc/1/net/sockstat", "proc/1/net/arp", "proc/diskstats", "proc/vmstat"} {
		f.Add([]byte(files[name]))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		for _, name := range []string{"1/net/netstat", "1/net/snmp", "1/net/snmp6", "1/net/sockstat", "1/net/sockstat6", "1/net/arp", "1/net/dev", "diskstats", "vmstat", "loadavg"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir).(*Source)
		defer s.Close()
		to := &sink{target: target()}
		for _, c := range []*collector{&netstatCollector, &sockstatCollector, &arpCollector, &netdevCollector, &diskCollector, &diskInfoCollector, &vmstatCollector, &loadCollector} {
			read := c.open(s)
			to.begin()
			_ = read(to) // what it says of a file that is none of the kernel's is its own
			to.end()
		}
	})
}

func FuzzMeminfo(f *testing.F) {
	f.Add([]byte(files["proc/meminfo"]))
	f.Fuzz(func(t *testing.T, text []byte) {
		for rest := text; ; {
			name, _, next, ok := nextMemory(rest, nil)
			if !ok {
				return
			}
			if len(name) == 0 || len(next) >= len(rest) {
				t.Fatalf("%q: %q, then %q", rest, name, next)
			}
			rest = next
		}
	})
}

func FuzzSmallParsers(f *testing.F) {
	f.Add("0,2-4")
	f.Add("E:ID_MODEL=x\n")
	f.Add("some avg10=0.00 avg60=0.00 avg300=0.00 total=15\n")
	f.Add("temp1_crit_alarm")
	f.Add("NAME=\"a \\\"b\\\"\"\nVERSION_ID='22.04.1'\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := len(parseCPUList(text)); n > maxCPUs {
			t.Errorf("%d CPUs of %q", n, text)
		}
		parseUdev(text)
		parsePressure([]byte(text), "some")
		if kind, name, _, ok := parseSensor(text); ok && !strings.HasPrefix(name, kind) {
			t.Errorf("parseSensor(%q) = %q, %q", text, kind, name)
		}
		for _, v := range parseRelease(text) {
			majorMinor(v)
		}
		for _, c := range clean(text) + valid(text) {
			if c > 127 {
				t.Errorf("%q is no name", c)
			}
		}
	})
}
