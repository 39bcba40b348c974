// SPDX-License-Identifier: Apache-2.0

package host

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/source/sourcetest"
)

func open(t *testing.T, proc string) tallyman.Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: proc})
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

func TestWhatIsMissingIsAbsent(t *testing.T) {
	proc := t.TempDir()
	if err := os.WriteFile(filepath.Join(proc, "meminfo"), []byte("MemTotal: 4 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, proc)
	defer s.Close()
	got := collect(t, s)
	if len(got) != 1 || got["node_memory_MemTotal_bytes"] != 4096 {
		t.Errorf("got %v, want MemTotal alone", got)
	}
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, "/proc"), []*tallyman.Target{target()}
	})
}
