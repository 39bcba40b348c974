// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/source/sourcetest"
)

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: "a", Container: &tallyman.Container{
		ID: "a", Started: time.UnixMilli(1_700_000_000_500), RestartCount: 2, CPULimit: 1.5, CPUShares: 512, RestartPolicy: "always"}}
}

func open(t *testing.T) tallyman.Source {
	s, err := Kind().New(tallyman.SourceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatTheEngineSays(t *testing.T) {
	s := open(t)
	defer s.Close()
	if err := s.Attach(target()); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.UnixMilli(1_700_000_010_000))
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		got[one.Series.Desc.Name] = one.Value
	}
	want := map[string]float64{
		"container_info": 1, "container_last_seen": 1_700_000_010, "container_start_time_seconds": 1_700_000_000.5, "container_restart_count": 2,
		"container_spec_cpu_quota": 150_000, "container_spec_cpu_period": 100_000, "container_spec_cpu_shares": 512,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t), []*tallyman.Target{target()}
	})
}
