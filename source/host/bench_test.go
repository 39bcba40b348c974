// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
)

// BenchmarkRound reads this machine, in rounds of one and of ten seconds. cpu-us/op is
// what the process used, goroutines beside the round and the kernel included.
func BenchmarkRound(b *testing.B) {
	for _, every := range []time.Duration{time.Second, 10 * time.Second} {
		b.Run(every.String(), func(b *testing.B) {
			s, err := New(tallyman.SourceOptions{Proc: "/proc", Init: "/proc/1", Sys: "/sys", Root: "/", Own: Options{}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.Attach(target()); err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			var batch tallyman.Batch
			round := func() {
				now = now.Add(every)
				batch.Reset(now)
				s.Collect(&batch)
			}
			round()
			b.ReportAllocs()
			before := used(b)
			for b.Loop() {
				round()
			}
			b.ReportMetric(float64(used(b)-before)/float64(time.Microsecond)/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(len(batch.Samples)), "samples")
		})
	}
}

// used is the CPU time of this process.
func used(b *testing.B) time.Duration {
	b.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
