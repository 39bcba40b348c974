// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchEntries are as many as a busy host has in some hours.
const benchEntries = 100_000

// benchJournal makes a journal like that of a host with Docker: 20 fields each, half of
// them the same in many entries.
func benchJournal(b *testing.B) (dir string, size int64) {
	systemd(b)
	dir = b.TempDir()
	var text strings.Builder
	for i := range benchEntries {
		unit := fmt.Sprintf("unit%d.service", i%40)
		if i%1000 == 0 {
			unit = "rare.service"
		}
		text.WriteString(made(i, "MESSAGE", fmt.Sprintf("time=%d level=info msg=\"request %d was answered\" took=%dms path=/v1/things/%d", i, i, i%977, i%7919),
			"_SYSTEMD_UNIT", unit, "PRIORITY", fmt.Sprint(i%8), "_HOSTNAME", "host", "_PID", fmt.Sprint(i%300), "_UID", "0", "_GID", "0", "_COMM", "dockerd",
			"_EXE", "/usr/bin/dockerd", "_CMDLINE", "/usr/bin/dockerd -H fd://", "_CAP_EFFECTIVE", "1ffffffffff", "_SYSTEMD_CGROUP", "/system.slice/"+unit,
			"_SYSTEMD_SLICE", "system.slice", "_TRANSPORT", "stdout", "SYSLOG_FACILITY", "3", "SYSLOG_IDENTIFIER", "dockerd", "_SYSTEMD_INVOCATION_ID", strings.Repeat("d", 32),
			"_SOURCE_REALTIME_TIMESTAMP", fmt.Sprint(1_700_000_000_000_000+i)))
	}
	write(b, filepath.Join(dir, "a.journal"), text.String())
	found, _ := filepath.Glob(filepath.Join(dir, "*")) // it is rotated
	for _, name := range found {
		st, err := os.Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		size += st.Size()
	}
	return dir, size
}

// cpu is what this process and its children have used.
func cpu(of int) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(of, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Here and journalctl read the same fields of the same journal; the figures are CPU.
func BenchmarkReading(b *testing.B) {
	dir, size := benchJournal(b)
	const wanted = "MESSAGE,PRIORITY,CONTAINER_ID_FULL,CONTAINER_NAME,IMAGE_NAME,CONTAINER_PARTIAL_MESSAGE,CONTAINER_PARTIAL_ID,_SYSTEMD_UNIT,UNIT,_TRANSPORT,_COMM,_UID,_PID,SYSLOG_IDENTIFIER"
	names := map[string]bool{}
	for name := range strings.SplitSeq(wanted, ",") {
		names[name] = true
	}
	for _, of := range []struct {
		name    string
		matches []string
		n       int
	}{{"all", nil, benchEntries}, {"one unit of 40", []string{"_SYSTEMD_UNIT=unit7.service"}, 2500}, {"one in 1000", []string{"_SYSTEMD_UNIT=rare.service"}, 100}} {
		m, err := ParseMatches(of.matches)
		if err != nil {
			b.Fatal(err)
		}
		report := func(b *testing.B, n int, used time.Duration) {
			if n != of.n {
				b.Fatalf("%d entries, want %d", n, of.n)
			}
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N)/(float64(size)/1e6), "cpu-ms/MB")
			b.ReportMetric(0, "ns/op")
		}
		b.Run("here/"+of.name, func(b *testing.B) {
			before := cpu(syscall.RUSAGE_SELF)
			n := 0
			for range b.N {
				r, err := Open(Options{Folders: []string{dir}, Matches: m, Most: 256 << 10, Keep: func(name []byte) int {
					if names[string(name)] {
						return 256 << 10
					}
					return -1
				}})
				if err != nil {
					b.Fatal(err)
				}
				var e Entry
				for n = 0; r.Next(&e); n++ {
				}
				r.Close()
			}
			report(b, n, cpu(syscall.RUSAGE_SELF)-before)
		})
		b.Run("journalctl/"+of.name, func(b *testing.B) {
			before := cpu(syscall.RUSAGE_CHILDREN)
			n := 0
			for range b.N {
				out, err := exec.Command("journalctl", append([]string{"--directory=" + dir, "--output=export", "--output-fields=" + wanted}, of.matches...)...).Output()
				if err != nil {
					b.Fatal(err)
				}
				n = strings.Count(string(out), "__CURSOR=")
			}
			report(b, n, cpu(syscall.RUSAGE_CHILDREN)-before)
		})
	}
}
