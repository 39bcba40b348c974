// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/store/metric"
)

// BenchmarkWrite is a tick of 1,600 series, known and stored.
func BenchmarkWrite(b *testing.B) {
	for version := 1; version <= 2; version++ {
		b.Run(fmt.Sprint(version), func(b *testing.B) {
			store, err := metric.Open(b.TempDir(), metric.Options{Retention: 24 * time.Hour, OutOfOrder: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			var list []of
			for i := range 1600 {
				list = append(list, of{[]string{"__name__", fmt.Sprintf("container_metric_%d_total", i%80), "container_label_com_docker_compose_project", "shop", "container_label_com_docker_compose_service", "api",
					"host", "web-1", "id", fmt.Sprintf("/docker/%064d", i/80), "image", "registry.example/shop/api:1.2.3", "instance", "web-1", "job", "cadvisor", "name", fmt.Sprintf("shop-api-%d", i/80),
					"workload", fmt.Sprintf("shop/api/%d", i/80)}, map[int64]float64{0: float64(i)}})
			}
			at := time.Now().Add(-20 * time.Hour)
			s := New(Options{Host: "hub", now: func() time.Time { return now }, Store: later{store, &at}, Log: slog.New(slog.DiscardHandler), Shows: func(m string) bool { return strings.Contains(m, "_1") }})
			body, err := s2.Decode(nil, request(b, version, list...))
			if err != nil {
				b.Fatal(err)
			}
			a := s.agent("web-1")
			b.ReportAllocs()
			for b.Loop() {
				at = at.Add(time.Second)
				if out, err := s.take(a, body, version); err != nil || out.count > 0 {
					b.Fatal(out, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1600), "ns/sample")
		})
	}
}

// later gives each batch the next time.
type later struct {
	to tallyman.RemoteStore
	at *time.Time
}

func (l later) AppendRemote(samples []tallyman.RemoteSample) error {
	for i := range samples {
		samples[i].Time = l.at.UnixMilli()
	}
	return l.to.AppendRemote(samples)
}
