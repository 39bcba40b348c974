// SPDX-License-Identifier: Apache-2.0

package enginestats

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func recording(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func target(mode string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: "a", Container: &tallyman.Container{ID: "a", Engine: "far", NetworkMode: mode}}
}

// answering is an engine that always gives the same text.
type answering struct {
	tallyman.Engines
	text []byte
	fail error
}

func (e *answering) EngineStats(ctx context.Context, _, _ string, into any) error {
	if err := errors.Join(e.fail, ctx.Err()); err != nil {
		return err
	}
	return json.Unmarshal(e.text, into)
}

func open(t testing.TB, e tallyman.Engines, mode string) *container {
	t.Helper()
	s, err := Kind().Poll(tallyman.SourceOptions{Engines: e})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Open(target(mode))
	if err != nil {
		t.Fatal(err)
	}
	return p.(*container)
}

// key is a series in words.
func name(s *tallyman.Series) string {
	out := strings.TrimPrefix(s.Desc.Name, "container_")
	for _, l := range s.Labels {
		out += " " + l.Value
	}
	return out
}

func values(samples []tallyman.Sample) map[string]float64 {
	out := map[string]float64{}
	for _, one := range samples {
		out[name(one.Series)] = one.Value
	}
	return out
}

func samplesOf(t *testing.T, text []byte, mode string) map[string]float64 {
	t.Helper()
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	c := open(t, &answering{text: text}, mode)
	return values(c.samples(nil, &a))
}

func TestAnswerOf2010(t *testing.T) {
	got := samplesOf(t, recording(t, "stats-20.10-cgroup1.json"), "default")
	want := map[string]float64{
		"cpu_usage_seconds_total total": 0.396962144, "cpu_user_seconds_total": 0.36, "cpu_system_seconds_total": 0.03,
		"cpu_cfs_periods_total": 11, "cpu_cfs_throttled_periods_total": 7, "cpu_cfs_throttled_seconds_total": 0.396261547,
		"memory_usage_bytes": 6000640, "memory_cache": 5255168, "memory_rss": 57344, "memory_mapped_file": 0,
		"memory_total_inactive_file_bytes": 5242880, "memory_total_active_file_bytes": 12288,
		"memory_failures_total pgfault container": 1763, "memory_failures_total pgfault hierarchy": 1763,
		"memory_failures_total pgmajfault container": 1, "memory_failures_total pgmajfault hierarchy": 1,
		"memory_working_set_bytes": 757760, "spec_memory_limit_bytes": 67108864, "memory_usage_percent": 100 * 757760.0 / 67108864,
		"memory_free_bytes": 67108864 - 757760, "memory_free_percent": 100 - 100*757760.0/67108864, "memory_max_usage_bytes": 7163904, "threads": 1,
		"network_receive_bytes_total eth0": 486, "network_receive_packets_total eth0": 5, "network_receive_errors_total eth0": 0,
		"network_receive_packets_dropped_total eth0": 0, "network_transmit_bytes_total eth0": 0, "network_transmit_packets_total eth0": 0,
		"network_transmit_errors_total eth0": 0, "network_transmit_packets_dropped_total eth0": 0,
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); d != "" {
		t.Errorf("samples (-want +got):\n%s", d)
	}
}

// Written from the API's documentation: cgroup v2, lower-case operations, a
// limit of tasks that is none, nulls and fields that are not known.
func TestAnswerOf29(t *testing.T) {
	got := samplesOf(t, recording(t, "stats-29-cgroup2.json"), "default")
	for k, want := range map[string]float64{
		"cpu_usage_seconds_total total": 2.5, "memory_rss": 4194304, "memory_cache": 6291456, "memory_kernel_usage": 524288,
		"memory_working_set_bytes": 8388608, "threads": 7, "network_receive_bytes_total eth0": 30, "network_transmit_bytes_total eth1": 20,
		"fs_reads_bytes_total 254:0": 4096, "fs_writes_bytes_total 254:0": 8192, "fs_reads_bytes_total 8:0": 1, "fs_writes_bytes_total 8:0": 2,
	} {
		if v, ok := got[k]; !ok || v != want {
			t.Errorf("%s = %v, %v; want %v", k, v, ok, want)
		}
	}
	for _, k := range []string{"threads_max", "memory_failcnt", "fs_reads_total 254:0", "memory_swap"} {
		if v, ok := got[k]; ok {
			t.Errorf("%s = %v, want it absent", k, v)
		}
	}
}

// Each field that an engine may leave out leaves its rows out, and nothing else.
func TestMissingFieldsAreAbsentNotZero(t *testing.T) {
	var whole map[string]any
	text := recording(t, "stats-20.10-cgroup1.json")
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	all := samplesOf(t, text, "default")
	for field := range whole {
		if field == "read" {
			continue
		}
		for _, null := range []bool{false, true} {
			less := map[string]any{}
			for k, v := range whole {
				if k != field {
					less[k] = v
				} else if null {
					less[k] = nil
				}
			}
			b, err := json.Marshal(less)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range samplesOf(t, b, "default") {
				if w, ok := all[k]; !ok || w != v {
					t.Errorf("without %s: %s = %v, want %v or nothing", field, k, v, w)
				}
			}
		}
	}
	var a answer
	if a.taken() || json.Unmarshal([]byte(`{"read":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":0}}}`), &a) != nil || a.taken() {
		t.Error("the zeros of a stopped container count as a sample")
	}
	if got := samplesOf(t, text, "container:b"); len(got) != len(all)-8 {
		t.Errorf("a shared network: %d samples, want %d", len(got), len(all)-8)
	}
}

func TestAFailureIsSaid(t *testing.T) {
	e := &answering{text: recording(t, "stats-20.10-cgroup1.json"), fail: errors.New("the engine is down")}
	c := open(t, e, "default")
	said := func() bool {
		return slices.ContainsFunc(c.Absences(), func(a tallyman.Absence) bool { return strings.Contains(a.Reason, "the engine is down") })
	}
	var b tallyman.Batch
	if err := c.Poll(t.Context(), &b); err == nil || len(b.Samples) != 0 || !said() {
		t.Errorf("%d samples, %v; want the error, said among %+v", len(b.Samples), err, c.Absences())
	}
	e.fail = nil
	if err := c.Poll(t.Context(), &b); err != nil || len(b.Samples) == 0 || said() {
		t.Errorf("%d samples, %v; want samples, and the error said no more", len(b.Samples), err)
	}
	e.text, b.Samples = []byte(`{"read":"0001-01-01T00:00:00Z"}`), nil
	if err := c.Poll(t.Context(), &b); err != nil || len(b.Samples) != 0 {
		t.Errorf("of one that does not run: %d samples, %v; want nothing", len(b.Samples), err)
	}
	if _, err := Kind().Poll(tallyman.SourceOptions{}); err == nil {
		t.Error("without an engine there is a source")
	}
}

func TestContract(t *testing.T) {
	text := recording(t, "stats-20.10-cgroup1.json")
	sourcetest.RunPoller(t, Kind(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		s, err := New(tallyman.SourceOptions{Engines: &answering{text: text}})
		if err != nil {
			t.Fatal(err)
		}
		return s, []*tallyman.Target{target("default")}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(recording(f, "stats-20.10-cgroup1.json"))
	f.Add(recording(f, "stats-29-cgroup2.json"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var a answer
		if json.Unmarshal(text, &a) != nil {
			return
		}
		c := &container{target: target("default"), series: map[key]*tallyman.Series{}}
		if n := len(c.samples(nil, &a)); n > 40+8*maxInterfaces+16*maxDevices {
			t.Errorf("%d samples of one answer", n)
		}
	})
}
