// SPDX-License-Identifier: Apache-2.0

package enginestats

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
func answering(text []byte) func(context.Context, string, string, any) error {
	return func(_ context.Context, _, _ string, into any) error { return json.Unmarshal(text, into) }
}

func open(ask func(context.Context, string, string, any) error) *Source {
	s, _ := New(tallyman.SourceOptions{EngineStats: ask}) // it cannot fail
	return s.(*Source)
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
	s := open(answering(text))
	defer s.Close()
	if err := s.Attach(target(mode)); err != nil {
		t.Fatal(err)
	}
	c := &container{target: target(mode), series: map[key]*tallyman.Series{}, shared: s.list[0].shared}
	return values(c.samples(&a))
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
		"memory_free_bytes": 67108864 - 757760, "memory_free_percent": 100 - 100*757760.0/67108864, "threads": 1,
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

// The engine is asked shortly before each round, a slow one is waited for, and
// what it does not give for long is absent.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // over asked: that the bubble waits orders one way only
		var asked []time.Time
		var fail atomic.Bool
		text := recording(t, "stats-20.10-cgroup1.json")
		s := open(func(ctx context.Context, engine, id string, into any) error {
			mu.Lock()
			asked = append(asked, time.Now())
			mu.Unlock()
			if engine != "far" || id != "a" {
				t.Errorf("asked %s for %s", engine, id)
			}
			time.Sleep(time.Second)
			if fail.Load() {
				return errors.New("the engine is down")
			}
			return json.Unmarshal(text, into)
		})
		defer s.Close()
		if err := s.Attach(target("default")); err != nil {
			t.Fatal(err)
		}
		var b tallyman.Batch
		var sizes []int
		begin := time.Now()
		round := func() {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			b.Reset(time.Now())
			s.Collect(&b)
			sizes = append(sizes, len(b.Samples))
		}
		for range 4 {
			round()
		}
		if sizes[0] == 0 || sizes[3] != sizes[0] {
			t.Errorf("samples per round: %v", sizes)
		}
		var at []float64
		mu.Lock()
		for _, a := range asked {
			at = append(at, a.Sub(begin).Seconds())
		}
		mu.Unlock()
		if d := cmp.Diff([]float64{0, 10, 27.5, 37.5}, at); d != "" { // the first round knows no interval yet
			t.Errorf("asked at (-want +got):\n%s", d)
		}
		fail.Store(true)
		for range 4 {
			round()
		}
		if last := sizes[len(sizes)-1]; last != 0 {
			t.Errorf("%d samples although the engine has been silent for 40 s: %v", last, sizes)
		}
		found := false
		for _, a := range s.Absences(s.list[0].target) {
			found = found || strings.Contains(a.Reason, "the engine is down")
		}
		if !found {
			t.Errorf("Absences = %+v, want the engine's error", s.Absences(s.list[0].target))
		}
	})
}

// One failure, as while an engine starts, costs no round.
func TestAFailedQuestionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		text := recording(t, "stats-20.10-cgroup1.json")
		s := open(func(_ context.Context, _, _ string, into any) error {
			if asked++; asked == 1 {
				return errors.New("not yet")
			}
			return json.Unmarshal(text, into)
		})
		defer s.Close()
		if err := s.Attach(target("default")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var b tallyman.Batch
		b.Reset(time.Now())
		if s.Collect(&b); len(b.Samples) == 0 || asked != 2 {
			t.Errorf("%d samples after %d questions, want some after two", len(b.Samples), asked)
		}
	})
}

// settled waits for the first answer, which the suite wants at once.
type settled struct {
	*Source
	t *testing.T
}

func (s settled) Attach(target *tallyman.Target) error {
	if err := s.Source.Attach(target); err != nil {
		return err
	}
	at, _ := s.find(target)
	c := s.list[at]
	for range 1000 {
		c.mu.Lock()
		done := !c.at.IsZero()
		c.mu.Unlock()
		if done {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	s.t.Fatal("no answer")
	return nil
}

func TestContract(t *testing.T) {
	text := recording(t, "stats-20.10-cgroup1.json")
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return settled{open(answering(text)), t}, []*tallyman.Target{target("default")}
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
		if n := len(c.samples(&a)); n > 40+8*maxInterfaces+16*maxDevices {
			t.Errorf("%d samples of one answer", n)
		}
	})
}
