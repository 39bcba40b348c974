// SPDX-License-Identifier: Apache-2.0

package self

import (
	"os"
	"testing"
	"time"

	"tallyman"
)

func TestCostAndOwnNumbers(t *testing.T) {
	d := &tallyman.Desc{Name: "tallyman_things_total", Type: tallyman.Counter}
	began := float64(time.Now().Unix())
	s, err := New(tallyman.SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.(tallyman.SelfExporter).Export([]tallyman.SelfMetric{
		{Desc: d, Labels: []tallyman.Label{{Name: "reason", Value: "a"}}, Read: func() float64 { return 3 }},
		{Desc: d, Labels: []tallyman.Label{{Name: "reason", Value: "b"}}, Read: func() float64 { return 4 }},
	})
	defer s.Close()
	if err := s.Attach(&tallyman.Target{Kind: tallyman.SelfTarget}); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		key := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			key += " " + l.Value
		}
		got[key] = one.Value
	}
	if got["tallyman_things_total a"] != 3 || got["tallyman_things_total b"] != 4 || got["process_start_time_seconds"] < began {
		t.Errorf("got %v, want the numbers of the parts", got)
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if n := got["process_open_fds"]; n < float64(len(files))-2 || n > float64(len(files))+2 {
		t.Errorf("open files = %v, by hand about %d", n, len(files))
	}
	if got["process_resident_memory_bytes"] < 1<<20 || got["tallyman_anonymous_memory_bytes"] > got["process_resident_memory_bytes"] {
		t.Errorf("memory: resident %v, anonymous %v", got["process_resident_memory_bytes"], got["tallyman_anonymous_memory_bytes"])
	}
}
