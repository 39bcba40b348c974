// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/source/sourcetest"
)

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: "a", Container: &tallyman.Container{
		ID: "a", State: tallyman.Running, Pid: 1, Started: time.UnixMilli(1_700_000_000_500), RestartCount: 2, CPULimit: 1.5, CPUShares: 512, RestartPolicy: "always",
		CPUSet: "0,2-4", MemoryReservation: 32 << 20, MemorySwap: 128 << 20, PidsLimit: 100, Health: "healthy"}}
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
		"container_info": 1, "container_state": 1, "container_last_seen": 1_700_000_010, "container_start_time_seconds": 1_700_000_000.5, "container_restarts_total": 2,
		"container_spec_cpu_quota": 150_000, "container_spec_cpu_period": 100_000, "container_spec_cpu_shares": 512,
		"container_spec_cpu_cores": 1.5, "container_spec_memory_reservation_limit_bytes": 32 << 20, "container_spec_memory_swap_limit_bytes": 128 << 20,
		"container_spec_pids_limit": 100, "container_health_state": 1,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}

func TestWithoutLimitsThereAreNone(t *testing.T) {
	s := open(t)
	defer s.Close()
	tg := target()
	tg.Container = &tallyman.Container{ID: "a"}
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.UnixMilli(1_700_000_010_000))
	s.Collect(&b)
	for _, one := range b.Samples {
		if name := one.Series.Desc.Name; strings.HasPrefix(name, "container_spec_") {
			t.Errorf("%s = %v without a limit, want it absent", name, one.Value)
		}
		if one.Series.Desc == health && one.Value != -1 {
			t.Errorf("health without a check = %v, want -1", one.Value)
		}
	}
}

func TestHealthState(t *testing.T) {
	for word, want := range map[string]float64{"": -1, "healthy": 1, "starting": 0, "unhealthy": 0} {
		if got := healthState(word); got != want {
			t.Errorf("healthState(%q) = %v, want %v", word, got, want)
		}
	}
}

func TestCores(t *testing.T) {
	for _, c := range []struct {
		quota float64
		set   string
		want  float64
	}{
		{0, "", 0}, {1.5, "", 1.5}, {0, "0-3,5", 5}, {1.5, "0-3", 1.5}, {8, "0-3", 4}, {0, "7", 1},
		{0, "0-3,2-5,5", 6}, {0, " 0 , 1 ", 2}, {0, "3-1", 0}, {2, "nonsense", 2}, {0, "0,", 0}, {0, "0-8192", 0}, {0, "0-8191", 8192},
	} {
		if got := coresOf(&tallyman.Container{CPULimit: c.quota, CPUSet: c.set}); got != c.want {
			t.Errorf("cores of quota %v and set %q = %v, want %v", c.quota, c.set, got, c.want)
		}
	}
}

func FuzzCountCPUs(f *testing.F) {
	f.Add("0-3,5")
	f.Fuzz(func(t *testing.T, list string) {
		if n := countCPUs(list); n < 0 || n > maxCPUs {
			t.Errorf("countCPUs(%q) = %d", list, n)
		}
	})
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t), []*tallyman.Target{target()}
	})
}

// Of a container that has ended everything that the engine says stays, and it was
// last seen when it ended.
func TestOfOneThatHasEnded(t *testing.T) {
	s := open(t)
	defer s.Close()
	tg := target()
	tg.Container.State, tg.Container.Pid, tg.Container.ExitCode, tg.Container.Finished = tallyman.Exited, 0, 3, time.UnixMilli(1_700_000_005_500)
	if err := s.Attach(tg); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	b.Reset(time.UnixMilli(1_700_000_010_000))
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		name := one.Series.Desc.Name
		for _, l := range one.Series.Labels {
			if l.Name == "state" {
				name += " " + l.Value
			}
		}
		got[name] = one.Value
	}
	for name, want := range map[string]float64{"container_state exited": 1, "container_last_seen": 1_700_000_005.5, "container_last_exit_code": 3, "container_restarts_total": 2} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
