// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"fmt"
	"testing"

	"tallyman"
)

// A hundred containers on a host of eight cores over a day of samples.
func BenchmarkUsage(b *testing.B) {
	f := newFixture(b)
	var series []*tallyman.Series
	for i := range 100 {
		for _, m := range []string{cpuUsed, memoryUsed, received, sent} {
			series = append(series, containerSeries(fmt.Sprintf("%064x", i), m))
		}
	}
	for c := range 8 {
		for _, mode := range []string{"idle", "iowait", "user", "system", "nice", "irq", "softirq", "steal"} {
			series = append(series, hostSeries(cpuTime, tallyman.Label{Name: "cpu", Value: fmt.Sprint(c)}, tallyman.Label{Name: "mode", Value: mode}))
		}
	}
	const day = 24 * 3600
	for s := 0; s < day; s += 10 {
		batch := &tallyman.Batch{Time: at(float64(s))}
		for i, x := range series {
			batch.Samples = append(batch.Samples, tallyman.Sample{Series: x, Value: float64(s*(i%7)) * 0.013})
		}
		if _, err := f.store.AppendSamples(batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if u, err := f.e.Usage(context.Background(), at(0), at(day), 80); err != nil || len(u.Containers) != 100 {
			b.Fatal(err)
		}
	}
}
