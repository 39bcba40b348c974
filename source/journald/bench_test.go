// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/journal/journaltest"
)

// counting takes records and keeps none.
type counting struct{ lines int }

func (c *counting) TakeRecords(_ context.Context, b *tallyman.RecordBatch) error {
	for _, s := range b.Streams {
		c.lines += len(s.Records)
	}
	return nil
}

func (*counting) Position(string) (string, bool) { return "", false }

func (*counting) Positions(string) []tallyman.Position { return nil }

// All of this process and its children, from the journal to the batch, in each way.
func BenchmarkWays(b *testing.B) {
	const n = 10_000 // as many as the first start reads
	dir := b.TempDir()
	w := journaltest.New(true, true)
	for i := range n {
		w.Add(uint64(1_700_000_000_000_000+i), fmt.Sprintf("MESSAGE=time=%d level=info msg=\"request %d was answered\"", i, i), "CONTAINER_ID_FULL="+id1, "CONTAINER_NAME=n1",
			"_COMM=dockerd", "_UID=0", "PRIORITY=6", "_SYSTEMD_UNIT=docker.service", "_HOSTNAME=host", fmt.Sprintf("_PID=%d", i%100), "_EXE=/usr/bin/dockerd")()
	}
	w.Save(b, filepath.Join(dir, "system.journal"))
	used := func() (sum time.Duration) {
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var u syscall.Rusage
			_ = syscall.Getrusage(who, &u)
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		return sum
	}
	for _, via := range []string{Files, Journalctl} {
		b.Run(via, func(b *testing.B) {
			if _, err := exec.LookPath("journalctl"); err != nil && via == Journalctl {
				b.Skip("no journalctl")
			}
			before := used()
			for range b.N {
				s := filesSource(nil, dir, func(o *Options) { o.Via, o.Directory, o.Records = via, dir, &counting{} })
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				for s.counts.Lines.Load() < n {
					time.Sleep(time.Millisecond)
				}
				cancel()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N)/n, "cpu-us/line")
			b.ReportMetric(0, "ns/op")
		})
	}
}
