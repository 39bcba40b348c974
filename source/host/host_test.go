// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, proc string) tallyman.Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: proc, Init: filepath.Join(proc, "1"), Own: Options{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}
}

func collect(t *testing.T, s tallyman.Source) map[string]float64 {
	t.Helper()
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	return values(s)
}

// values are those of a round, by name and values of own labels.
func values(s tallyman.Source) map[string]float64 {
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		key := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			if l.Name != "host" {
				key += " " + l.Value
			}
		}
		got[key] = one.Value
	}
	return got
}

func TestAgainstProcReadByHand(t *testing.T) {
	s := open(t, "/proc")
	defer s.Close()
	got := collect(t, s)
	total := 0.0
	for line := range strings.Lines(testkit.ReadText(t, "/proc/meminfo")) {
		if f := strings.Fields(line); f[0] == "MemTotal:" {
			total = testkit.Number(t, f[1]) * 1024
		}
	}
	if got["node_memory_MemTotal_bytes"] != total {
		t.Errorf("MemTotal = %v, by hand %v", got["node_memory_MemTotal_bytes"], total)
	}
	for line := range strings.Lines(testkit.ReadText(t, "/proc/stat")) {
		f := strings.Fields(line)
		if f[0] != "cpu0" {
			continue
		}
		for i, m := range []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"} {
			byHand := testkit.Number(t, f[i+1]) / 100
			if g := got["node_cpu_seconds_total 0 "+m]; math.Abs(g-byHand) > 1 {
				t.Errorf("cpu 0 %s = %v, by hand %v", m, g, byHand)
			}
		}
	}
	load := testkit.Number(t, strings.Fields(testkit.ReadText(t, "/proc/loadavg"))[0])
	if math.Abs(got["node_load1"]-load) > 0.5 {
		t.Errorf("load = %v, by hand %v", got["node_load1"], load)
	}
}

// The clock is what the system call says when it is made by hand, and the kills are the
// line of vmstat.
func TestClockAndKillsByHand(t *testing.T) {
	s := open(t, "/proc")
	defer s.Close()
	got := collect(t, s)
	var byHand unix.Timex
	state, err := unix.ClockAdjtime(unix.CLOCK_REALTIME, &byHand) // the other call for it
	if err != nil {
		t.Skip(err)
	}
	// The error grows by half a millisecond a second, and falls when the clock is set.
	if g, want := got["node_timex_maxerror_seconds"], float64(byHand.Maxerror)/1e6; math.Abs(g-want) > 0.1 {
		t.Errorf("the error is at most %v s, by hand %v s", g, want)
	}
	if g, ok := got["node_timex_sync_status"]; !ok || g != number(state != 5) {
		t.Errorf("synchronised is %v, %v; by hand the state is %d, where 5 is not", g, ok, state)
	}
	kills, known := -1.0, false
	for line := range strings.Lines(testkit.ReadText(t, "/proc/vmstat")) {
		if f := strings.Fields(line); f[0] == "oom_kill" {
			kills, known = testkit.Number(t, f[1]), true
		}
	}
	if g, ok := got["node_vmstat_oom_kill"]; ok != known || known && (g > kills || g < kills-100) {
		t.Errorf("killed %v, %v; by hand a moment later %v, %v", g, ok, kills, known)
	}
}

// A kernel that may not be asked leaves the clock out, with the reason.
func TestNoClock(t *testing.T) {
	s := openTree(t, hostTree(t, files))
	s.files.statfs = told
	s.clock = func(*unix.Timex) (int, error) { return 0, unix.EPERM }
	if got := collect(t, s); has(got, "node_timex_sync_status") || has(got, "node_timex_maxerror_seconds") {
		t.Errorf("a clock that is not known: %v", got)
	}
	if a := lacking(s); len(a) != 1 || a[0].What != "clock" || !strings.Contains(a[0].Reason, "operation not permitted") {
		t.Errorf("Absences = %+v", a)
	}
}

// unsynced is a clock that nobody keeps right.
func unsynced(t *unix.Timex) (int, error) {
	*t = unix.Timex{Maxerror: 16e6, Tick: 10000, Status: unix.STA_UNSYNC}
	return unix.TIME_ERROR, nil
}

// lacking are the absences that people are told of: not what a host has not.
func lacking(s tallyman.Source) (a []tallyman.Absence) {
	for _, one := range s.(tallyman.Absentee).Absences(target()) {
		if one.Code != tallyman.None {
			a = append(a, one)
		}
	}
	return a
}

// Every line of meminfo is a series, under the name that node_exporter makes of it.
func TestEveryLineOfMeminfo(t *testing.T) {
	s := open(t, "/proc")
	defer s.Close()
	got := collect(t, s)
	lines := 0
	for line := range strings.Lines(testkit.ReadText(t, "/proc/meminfo")) {
		f := strings.Fields(line)
		name := "node_memory_" + strings.NewReplacer("(", "_", ")", "", ":", "").Replace(f[0])
		if len(f) == 3 {
			name += "_bytes"
		}
		lines++
		v, ok := got[name]
		if !ok {
			t.Errorf("%s is not given", name)
			continue
		}
		if byHand := testkit.Number(t, f[1]); strings.Contains(name, "Total") && v != byHand*map[bool]float64{true: 1024, false: 1}[len(f) == 3] {
			t.Errorf("%s = %v, by hand %s", name, v, line)
		}
	}
	n := 0
	for name := range got {
		if strings.HasPrefix(name, "node_memory_") {
			n++
		}
	}
	if n != lines {
		t.Errorf("%d series of memory, meminfo has %d lines", n, lines)
	}
}

func TestWhatIsMissingIsAbsent(t *testing.T) {
	proc := t.TempDir()
	if err := os.WriteFile(filepath.Join(proc, "meminfo"), []byte("MemTotal: 4 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, proc)
	defer s.Close()
	got := collect(t, s)
	if got["node_memory_MemTotal_bytes"] != 4096 {
		t.Errorf("got %v, want MemTotal", got)
	}
	for name := range got {
		if !strings.HasPrefix(name, "node_memory_MemTotal") && !strings.HasPrefix(name, "node_uname") && !strings.HasPrefix(name, "node_time") && name != "node_selinux_enabled" { // and node_timex, of a system call
			t.Errorf("%s is there, of no file", name)
		}
	}
	var what []string
	for _, a := range lacking(s) {
		what = append(what, a.What)
	}
	if d := cmp.Diff([]string{"file systems", "load", "boot time and context switches", "CPU", "paging", "pressure", "open files", "disks", "network",
		"protocols of the network", "packets by CPU", "connections of netfilter", "neighbours", "queues of UDP", "state of interfaces", "name of the system", "descriptions of disks", "NFS client", "NFS server", "balancing of IPVS"}, what); d != "" {
		t.Errorf("absent (-want +got):\n%s", d)
	}
}

// hostTree writes a host's files.
func hostTree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var files = map[string]string{
	"proc/stat": "cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1000 200 300 400 500 600 700 800 90 10\nintr 77 1 2\nctxt 88\nbtime 99\n" +
		"processes 111\nprocs_running 2\nprocs_blocked 3\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
	"proc/meminfo":         "MemTotal: 4 kB\nActive(anon): 3 kB\nCommitted_AS: 2 kB\nSwapTotal: 8 kB\nHugePages_Total: 5\n",
	"proc/loadavg":         "0.25 0.5 0.75 1/2 3\n",
	"proc/vmstat":          "nr_free_pages 5\noom_kill_x 9\noom_kill 12\nunevictable_pgs_culled 3\n",
	"proc/sys/fs/file-nr":  "1234\t0\t9223372036854775807\n",
	"proc/pressure/cpu":    "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3500000\n",
	"proc/pressure/io":     "some avg10=0.00 avg60=0.00 avg300=0.00 total=4500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5500000\n",
	"proc/diskstats": " 7 0 loop0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n 8 0 sda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000\n" +
		" 8 1 sda1 1 2 3 4 5 6 7 8 9 10 11\n 8 16 sdb 1 2 3 4 5 6 7 8 9 10 11\n 259 1 nvme0n1p1 1 2 3 4 5 6 7 8 9 10 11\n 252 0 zram0 1 2 3 4 5 6 7 8 9 10 11\n",
	"proc/1/net/dev": "Inter-| Receive | Transmit\n face |bytes\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n    lo: 21 2 3 4 5 6 7 8 21 10 11 12 13 14 15 16\n" +
		"veth12: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
	"proc/1/net/netstat": "TcpExt: SyncookiesSent ListenDrops TCPTimeouts DelayedACKs\nTcpExt: 1 2 3 4\nIpExt: InOctets OutOctets InNoRoutes\nIpExt: 5 6 7\n",
	"proc/1/net/snmp": "Ip: Forwarding DefaultTTL\nIp: 1 64\nIcmp: InMsgs InErrors OutMsgs\nIcmp: 8 9 10\nTcp: MaxConn ActiveOpens CurrEstab InErrs\nTcp: -1 11 12 13\n" +
		"Udp: InDatagrams InErrors\nUdp: 14 15\n",
	"proc/1/net/snmp6":        "Ip6InOctets \t16\nIcmp6OutMsgs\t17\nUdpLite6InErrors 18\nIp6InReceives 19\n",
	"proc/1/net/sockstat":     "sockets: used 36\nTCP: inuse 5 orphan 1 tw 2 alloc 6 mem 3\nFRAG: inuse 7 memory 8\n",
	"proc/1/net/sockstat6":    "TCP6: inuse 9\n",
	"proc/1/net/softnet_stat": "0000000a 0000000b 0000000c 00000000 00000000 00000000 00000000 00000000 00000001 00000002 00000003 00000004 00000001 00000000 00000000\n",
	"proc/1/net/arp":          "IP address       HW type     Flags       HW address            Mask     Device\n10.0.0.1 0x1 0x2 02:fc:00:00:00:05 * eth0\n10.0.0.2 0x1 0x2 02:fc:00:00:00:06 * eth0\n",
	"proc/1/net/udp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"  0: 0A000005:0016 00000000:0000 0A 00000001:00000002 00:00000000 00000000     0        0 2740 1 ffff88003d3af3c0 0\n",
	"proc/1/net/stat/nf_conntrack": "entries  clashres found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart\n" +
		"00000021  00000000 00000001 00000000 00000003 00000004 00000000 00000000 00000005 00000006 00000007 00000008 00000000  00000000 00000000 00000000 00000009\n" +
		"00000021  00000000 00000001 00000000 00000003 00000004 00000000 00000000 00000005 00000006 00000007 00000008 00000000  00000000 00000000 00000000 00000009\n",
	"proc/sys/net/netfilter/nf_conntrack_max": "65536\n",
	"proc/sys/kernel/random/entropy_avail":    "256\n", "proc/sys/kernel/random/poolsize": "4096\n",
	"proc/1/mountinfo": "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n28 27 254:0 /docker /var/lib/docker rw - ext4 /dev/vda rw\n" +
		"29 27 0:9 / /run rw - tmpfs tmpfs rw\n30 27 0:8 / /proc rw - proc proc rw\n31 27 0:7 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n" +
		"32 27 7:0 / /mnt/my\\040disk ro - ext4 /dev/sdb1 rw\n33 27 0:6 / /mnt/nfs rw - nfs4 server:/a rw\n",
	"sys/class/net/eth0/operstate":                             "up\n",
	"sys/class/net/lo/operstate":                               "unknown\n",
	"sys/devices/system/cpu/cpu0/topology/physical_package_id": "0\n",
	"sys/devices/system/cpu/cpu0/topology/core_id":             "0\n",
}

func openTree(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: filepath.Join(dir, "proc"), Init: filepath.Join(dir, "proc/1"), Sys: filepath.Join(dir, "sys"), Root: "/root", Own: Options{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.(*Source).within = time.Minute
	return s.(*Source)
}

// told is what the mounts of the tree answer: a size that tells them apart.
func told(path string, st *unix.Statfs_t) error {
	n := uint64(len(path))
	*st = unix.Statfs_t{Bsize: 4096, Frsize: 512, Blocks: 100 * n, Bfree: 50 * n, Bavail: 40 * n, Files: 10 * n, Ffree: n}
	return nil
}

func TestEveryRow(t *testing.T) {
	dir := hostTree(t, files)
	s := openTree(t, dir)
	s.files.statfs = told
	s.clock = unsynced
	got := collect(t, s)
	const at = "/root"
	want := map[string]float64{
		"node_cpu_seconds_total 0 user": 10, "node_cpu_seconds_total 0 nice": 2, "node_cpu_seconds_total 0 steal": 8,
		"node_cpu_guest_seconds_total 0 user": 0.9, "node_cpu_guest_seconds_total 0 nice": 0.1,
		"node_intr_total": 77, "node_context_switches_total": 88, "node_boot_time_seconds": 99, "node_forks_total": 111,
		"node_procs_running": 2, "node_procs_blocked": 3, "node_load1": 0.25, "node_load5": 0.5, "node_load15": 0.75,
		"node_filefd_allocated": 1234, "node_filefd_maximum": 9223372036854775807,
		"node_timex_sync_status": 0, "node_timex_maxerror_seconds": 16, "node_vmstat_oom_kill": 12,
		"node_netstat_TcpExt_SyncookiesSent": 1, "node_netstat_TcpExt_ListenDrops": 2, "node_netstat_TcpExt_TCPTimeouts": 3, "node_netstat_IpExt_InOctets": 5, "node_netstat_IpExt_OutOctets": 6,
		"node_netstat_Ip_Forwarding": 1, "node_netstat_Icmp_InMsgs": 8, "node_netstat_Icmp_InErrors": 9, "node_netstat_Icmp_OutMsgs": 10, "node_netstat_Tcp_ActiveOpens": 11,
		"node_netstat_Tcp_CurrEstab": 12, "node_netstat_Tcp_InErrs": 13, "node_netstat_Udp_InDatagrams": 14, "node_netstat_Udp_InErrors": 15, "node_netstat_Ip6_InOctets": 16,
		"node_netstat_Icmp6_OutMsgs": 17, "node_netstat_UdpLite6_InErrors": 18,
		"node_sockstat_sockets_used": 36, "node_sockstat_TCP_inuse": 5, "node_sockstat_TCP_orphan": 1, "node_sockstat_TCP_tw": 2, "node_sockstat_TCP_alloc": 6, "node_sockstat_TCP_mem": 3,
		"node_sockstat_TCP_mem_bytes": 3 * float64(os.Getpagesize()), "node_sockstat_FRAG_memory": 8, "node_sockstat_TCP6_inuse": 9,
		"node_softnet_processed_total 1": 10, "node_softnet_dropped_total 1": 11, "node_softnet_times_squeezed_total 1": 12, "node_softnet_cpu_collision_total 1": 1,
		"node_softnet_received_rps_total 1": 2, "node_softnet_flow_limit_count_total 1": 3, "node_softnet_backlog_len 1": 4,
		"node_arp_entries eth0": 2, "node_udp_queues v4 tx": 1, "node_udp_queues v4 rx": 2,
		"node_nf_conntrack_entries": 33, "node_nf_conntrack_entries_limit": 65536, "node_nf_conntrack_stat_found": 2, "node_nf_conntrack_stat_invalid": 6, "node_nf_conntrack_stat_ignore": 8,
		"node_nf_conntrack_stat_insert": 10, "node_nf_conntrack_stat_insert_failed": 12, "node_nf_conntrack_stat_drop": 14, "node_nf_conntrack_stat_early_drop": 16, "node_nf_conntrack_stat_search_restart": 18,
		"node_entropy_available_bits": 256, "node_entropy_pool_size_bits": 4096, "node_timex_tick_seconds": 0.01, "node_timex_status": 64, "node_timex_frequency_adjustment_ratio": 1,
		"node_memory_Active_anon_bytes": 3072, "node_memory_Committed_AS_bytes": 2048, "node_memory_HugePages_Total": 5,
		"node_pressure_cpu_waiting_seconds_total": 1.5, "node_pressure_memory_waiting_seconds_total": 2.5, "node_pressure_memory_stalled_seconds_total": 3.5,
		"node_pressure_io_waiting_seconds_total": 4.5, "node_pressure_io_stalled_seconds_total": 5.5,
		"node_disk_reads_completed_total sda": 1, "node_disk_reads_merged_total sda": 2, "node_disk_read_bytes_total sda": 1536, "node_disk_read_time_seconds_total sda": 4,
		"node_disk_writes_completed_total sda": 5, "node_disk_writes_merged_total sda": 6, "node_disk_written_bytes_total sda": 3584, "node_disk_write_time_seconds_total sda": 8,
		"node_disk_io_now sda": 9, "node_disk_io_time_seconds_total sda": 10, "node_disk_io_time_weighted_seconds_total sda": 11,
		"node_disk_discards_completed_total sda": 12, "node_disk_discards_merged_total sda": 13, "node_disk_discarded_sectors_total sda": 14,
		"node_disk_discard_time_seconds_total sda": 15, "node_disk_flush_requests_total sda": 16, "node_disk_flush_requests_time_seconds_total sda": 17,
		"node_network_receive_bytes_total eth0": 1, "node_network_receive_packets_total eth0": 2, "node_network_receive_errs_total eth0": 3,
		"node_network_receive_drop_total eth0": 4, "node_network_receive_fifo_total eth0": 5, "node_network_receive_frame_total eth0": 6,
		"node_network_receive_compressed_total eth0": 7, "node_network_receive_multicast_total eth0": 8, "node_network_transmit_bytes_total eth0": 9,
		"node_network_transmit_packets_total eth0": 10, "node_network_transmit_errs_total eth0": 11, "node_network_transmit_drop_total eth0": 12,
		"node_network_transmit_fifo_total eth0": 13, "node_network_transmit_colls_total eth0": 14, "node_network_transmit_carrier_total eth0": 15,
		"node_network_transmit_compressed_total eth0": 16, "node_network_receive_bytes_total lo": 21, "node_network_up eth0": 1, "node_network_up lo": 0,
		"node_filesystem_size_bytes /dev/vda ext4 /": 512 * 100 * 5, "node_filesystem_free_bytes /dev/vda ext4 /": 512 * 50 * 5,
		"node_filesystem_avail_bytes /dev/vda ext4 /": 512 * 40 * 5, "node_filesystem_files /dev/vda ext4 /": 50, "node_filesystem_files_free /dev/vda ext4 /": 5,
		"node_filesystem_readonly /dev/vda ext4 /": 0, "node_filesystem_device_error /dev/vda ext4 /": 0,
		"node_filesystem_readonly /dev/sdb1 ext4 /mnt/my disk":   1,
		"node_filesystem_size_bytes /dev/sdb1 ext4 /mnt/my disk": 512 * 100 * float64(len(at+"/mnt/my disk")),
		"node_filesystem_size_bytes tmpfs tmpfs /run":            512 * 100 * float64(len(at+"/run")),
	}
	for k, v := range want {
		if g, ok := got[k]; !ok || math.Abs(g-v) > 1e-9*v {
			t.Errorf("%s = %v, %v; want %v", k, g, ok, v)
		}
	}
	for k := range got {
		for _, unwanted := range []string{"loop0", "zram0", "sda1", "nvme0n1p1", "veth", "overlay", " proc", "discards_completed_total sdb"} {
			if strings.Contains(k, unwanted) {
				t.Errorf("%s is there", k)
			}
		}
	}
	if a := lacking(s); len(a) != 0 {
		t.Errorf("Absences = %+v, want none", a)
	}
	// A /sys of another network namespace lacks interfaces of the host.
	if err := os.RemoveAll(filepath.Join(dir, "sys/class/net/lo")); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s); got["node_network_receive_bytes_total eth0"] != 1 || has(got, "node_network_up eth0") {
		t.Error("a /sys that is not the host's tells which interfaces are up")
	}
}

func has(m map[string]float64, k string) bool {
	_, ok := m[k]
	return ok
}

func machineTarget() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.MachineTarget, ID: "/", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}
}

func TestMachine(t *testing.T) {
	s := openTree(t, hostTree(t, files))
	s.files.statfs = told
	if err := s.Attach(machineTarget()); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		key := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			key += " " + l.Name + "=" + l.Value
		}
		got[key] = one.Value
	}
	const vda, sdb = " device=/dev/vda host=h id=/", " device=/dev/sdb1 host=h id=/"
	n := float64(len("/root/mnt/my disk"))
	want := map[string]float64{
		"machine_cpu_cores host=h": 1, "machine_cpu_physical_cores host=h": 1, "machine_cpu_sockets host=h": 1,
		"machine_memory_bytes host=h": 4096, "machine_swap_bytes host=h": 8192, "machine_scrape_error host=h": 0, "cadvisor_version_info host=h": 1,
		"container_fs_usage_bytes" + vda: 512 * 50 * 5, "container_fs_limit_bytes" + vda: 512 * 100 * 5,
		"container_fs_inodes_total" + vda: 50, "container_fs_inodes_free" + vda: 5,
		"container_fs_usage_bytes" + sdb: 512 * 50 * n, "container_fs_limit_bytes" + sdb: 512 * 100 * n,
		"container_fs_inodes_total" + sdb: 10 * n, "container_fs_inodes_free" + sdb: n,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTopology(t *testing.T) {
	var cpus []string
	tree := map[string]string{}
	for n := range 8 { // two sockets with two cores of two threads
		cpus = append(cpus, fmt.Sprint(n))
		dir := fmt.Sprintf("devices/system/cpu/cpu%d/topology/", n)
		tree[dir+"physical_package_id"] = fmt.Sprintln(n % 2)
		tree[dir+"core_id"] = fmt.Sprintln(n / 2 % 2)
	}
	if cores, sockets := topology(hostTree(t, tree), cpus); cores != 4 || sockets != 2 {
		t.Errorf("topology = %d cores, %d sockets; want 4, 2", cores, sockets)
	}
	if cores, sockets := topology(t.TempDir(), cpus); cores != 0 || sockets != 0 {
		t.Errorf("topology of nothing = %d, %d; want 0, 0", cores, sockets)
	}
}

// A mount whose server is dead delays one round, and no other mount.
func TestAFileSystemThatHangs(t *testing.T) {
	s := openTree(t, hostTree(t, files))
	release := make(chan struct{})
	var calls atomic.Int32
	s.files.statfs = func(path string, st *unix.Statfs_t) error {
		if strings.HasSuffix(path, "/mnt/nfs") {
			calls.Add(1)
			<-release
		}
		return told(path, st)
	}
	const nfs, root = "node_filesystem_size_bytes server:/a nfs4 /mnt/nfs", "node_filesystem_size_bytes /dev/vda ext4 /"
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		start := time.Now()
		got := values(s)
		if has(got, nfs) || !has(got, root) || got["node_filesystem_device_error server:/a nfs4 /mnt/nfs"] != 1 {
			t.Errorf("while it hangs: its size %v, that of / %v", has(got, nfs), has(got, root))
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a round took %v", took)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the mount was asked %d times while it hung, want once", n)
	}
	a := lacking(s)
	if len(a) != 1 || a[0].What != "file system /mnt/nfs" || !strings.Contains(a[0].Reason, "has not told") {
		t.Errorf("Absences = %+v, want the mount that hangs", a)
	}
	close(release)
	for range 200 { // the first answer after it hung comes with a later round
		if has(values(s), nfs) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the mount is still absent after it answers again")
}

func TestFileSystemsComeAndGoAndFail(t *testing.T) {
	dir := hostTree(t, files)
	s := openTree(t, dir)
	s.files.statfs = func(path string, st *unix.Statfs_t) error {
		if strings.HasSuffix(path, "disk") {
			return unix.EACCES
		}
		return told(path, st)
	}
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	got := values(s)
	if has(got, "node_filesystem_size_bytes /dev/sdb1 ext4 /mnt/my disk") || got["node_filesystem_device_error /dev/sdb1 ext4 /mnt/my disk"] != 1 {
		t.Error("a file system that may not be asked has a size")
	}
	if a := lacking(s); len(a) != 1 || !strings.Contains(a[0].Reason, "permission denied") {
		t.Errorf("Absences = %+v, want the reason", a)
	}
	kept := s.files.list[0]
	many := "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
	for i := range 100 {
		many += fmt.Sprintf("%d 27 0:%d / /mnt/%d rw - tmpfs tmpfs rw\n", i+50, i+50, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "proc/1/mountinfo"), []byte(many), 0o600); err != nil {
		t.Fatal(err)
	}
	got = values(s)
	n := 0
	for k := range got {
		if strings.HasPrefix(k, "node_filesystem_size_bytes") {
			n++
		}
	}
	if n != maxFilesystems || s.files.list[0] != kept {
		t.Errorf("%d file systems, want %d; / kept its series: %v", n, maxFilesystems, s.files.list[0] == kept)
	}
	if a := lacking(s); len(a) != 1 || !strings.Contains(a[0].Reason, "37 more") {
		t.Errorf("Absences = %+v, want how many are too many", a)
	}
}

func TestParseMounts(t *testing.T) {
	f := func(text string, want ...mount) {
		t.Helper()
		if d := cmp.Diff(want, parseMounts(text), cmp.AllowUnexported(mount{})); d != "" {
			t.Errorf("parseMounts(%q) (-want +got):\n%s", text, d)
		}
	}
	f("1 0 8:1 / / rw shared:1 master:2 - ext4 /dev/sda1 rw,errors=remount-ro\n", mount{"/dev/sda1", "/", "ext4", false})
	f(`1 0 8:1 / /a\040b\134c rw - ext4 /dev/x\011y ro`+"\n", mount{"/dev/x\ty", `/a b\c`, "ext4", true})
	f("1 0 8:1 / /m rw - ext4 /dev/a rw\n2 1 8:2 / /m rw - xfs /dev/b rw\n", mount{"/dev/b", "/m", "xfs", false}) // one on the other
	f("1 0 0:1 / /dev/shm rw - tmpfs tmpfs rw\n2 0 0:2 / /run/user rw - cgroup2 none rw\n3 0 0:3 / /var/lib/docker/x rw - ext4 /dev/a rw\n")
	f("garbage\n1 0 8:1 / / rw - ext4\n1 0 / - ext4 a b\n1 0 8:1 / relative rw - ext4 a b\n")
}

func TestContract(t *testing.T) {
	for name, targets := range map[string][]*tallyman.Target{"host": {target()}, "machine": {machineTarget()}, "both": {target(), machineTarget()}} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
				s, err := New(tallyman.SourceOptions{Proc: "/proc", Init: "/proc/1", Sys: "/sys", Root: "/"})
				if err != nil {
					t.Fatal(err)
				}
				return s, targets
			})
		})
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(files["proc/1/mountinfo"])
	f.Add(`1 0 8:1 / /a\777\04 rw - ext4 \ rw`)
	f.Fuzz(func(t *testing.T, text string) {
		last := ""
		for _, m := range parseMounts(text) {
			if !strings.HasPrefix(m.point, "/") || m.point <= last {
				t.Errorf("parseMounts(%q) gives %q after %q", text, m.point, last)
			}
			last = m.point
		}
	})
}

func FuzzParseFileNr(f *testing.F) {
	f.Add("1234\t0\t9223372036854775807\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a, m, ok := parseFileNr(text); ok && (a < 0 || m < 0) {
			t.Errorf("parseFileNr(%q) = %v, %v", text, a, m)
		}
	})
}
