// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/cadvisor"
	"tallyman/query"
	samplestore "tallyman/store/metric"
)

// BenchmarkHistory draws the charts of one container out of BENCH_CONTAINERS (10) that were
// watched for seven days at 10 s, with sixty series each, written through the real store.
func BenchmarkHistory(b *testing.B) {
	const interval, days = 10 * time.Second, 7
	n := count(b, "BENCH_CONTAINERS", 10)
	store, err := samplestore.Open(b.TempDir(), samplestore.Options{Retention: 2 * days * 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	end := time.Now().Truncate(interval)
	week(b, store, n, end.Add(-days*24*time.Hour), end, interval)
	engine := query.New(store.Queryable(), interval, slog.New(slog.DiscardHandler))
	defer engine.Close()
	b.ReportMetric(0, "ns/op")
	for _, span := range []time.Duration{time.Hour, 24 * time.Hour, days * 24 * time.Hour} {
		best := least(b, func() time.Duration {
			from := time.Now()
			h, err := engine.History(b.Context(), "harbor", "shop/web/1", end.Add(-span), end, 1000)
			if err != nil || len(h.Columns) < 18 {
				b.Fatalf("%d columns, %v", len(h.Columns), err)
			}
			return time.Since(from)
		})
		b.ReportMetric(best.Seconds()*1e3, fmt.Sprintf("ms-%gh", span.Hours()))
	}
}

// week stores what so many containers have between two times: counters that go up and
// gauges that go up and down, at random.
func week(b *testing.B, store *samplestore.Store, n int, start, end time.Time, interval time.Duration) {
	b.Helper()
	var batch tallyman.Batch
	type line struct {
		series *tallyman.Series
		value  float64
	}
	var lines []line
	for i := range n {
		t := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: fmt.Sprint(i), Job: "cadvisor", Instance: "harbor", Labels: []tallyman.Label{
			{Name: "host", Value: "harbor"}, {Name: "id", Value: fmt.Sprintf("/docker/%064d", i)}, {Name: "workload", Value: fmt.Sprintf("shop/web/%d", i)}}}
		descs := []*tallyman.Desc{cadvisor.CPUUser, cadvisor.CPUSystem, cadvisor.CPUThrottled, cadvisor.MemoryRSS, cadvisor.MemoryCache, cadvisor.MemoryKernel,
			cadvisor.MemorySwap, cadvisor.WorkingSet, cadvisor.MemoryLimit, cadvisor.ReceiveBytes, cadvisor.TransmitBytes, cadvisor.ReceiveErrors, cadvisor.TransmitErrors,
			cadvisor.ReceiveDropped, cadvisor.TransmitDropped, cadvisor.Threads, cadvisor.ReadBytes, cadvisor.WriteBytes}
		for len(descs) < 60 {
			descs = append(descs, &tallyman.Desc{Name: fmt.Sprintf("container_other_%d", len(descs)), Type: tallyman.Gauge})
		}
		for _, d := range descs {
			lines = append(lines, line{t.Series(d), 1 << 20})
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for at := start; at.Before(end); at = at.Add(interval) {
		batch.Reset(at)
		for i := range lines {
			l := &lines[i]
			switch {
			case r.IntN(2) == 0: // half of all values stay
			case l.series.Desc.Type == tallyman.Counter:
				l.value += float64(r.IntN(4096)) / 8
			default:
				l.value += float64(4096 * (r.IntN(17) - 8))
			}
			batch.Add(l.series, l.value)
		}
		if _, err := store.AppendSamples(&batch); err != nil {
			b.Fatal(err)
		}
	}
}
