// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// inspected is what the engine says of a container's limits.
type inspected struct {
	State struct {
		Health *struct{ Status string }
	}
	HostConfig struct {
		NanoCpus, CpuShares                   int64
		Memory, MemoryReservation, MemorySwap int64
		PidsLimit                             *int64
		CpusetCpus                            string
	}
}

// specByHand are the rows of a container's limits and health as docker inspect
// has them; a limit that is not set is not there.
func specByHand(t *testing.T, d *testkit.Docker, id string) map[string]float64 {
	t.Helper()
	var list []inspected
	if err := json.Unmarshal([]byte(d.Cmd("inspect", id)), &list); err != nil || len(list) != 1 {
		t.Fatalf("inspect: %v, %d containers", err, len(list))
	}
	h := list[0].HostConfig
	m := map[string]float64{"container_health_state": -1}
	put := func(name string, v int64) {
		if v > 0 {
			m[name] = float64(v)
		}
	}
	put("container_spec_cpu_shares", h.CpuShares)
	put("container_spec_memory_reservation_limit_bytes", h.MemoryReservation)
	put("container_spec_memory_swap_limit_bytes", h.MemorySwap)
	if h.PidsLimit != nil {
		put("container_spec_pids_limit", *h.PidsLimit)
	}
	if h.NanoCpus > 0 {
		m["container_spec_cpu_cores"] = float64(h.NanoCpus) / 1e9
		m["container_spec_cpu_period"] = 100_000
		m["container_spec_cpu_quota"] = float64(h.NanoCpus) / 1e9 * 100_000
	} else if h.CpusetCpus == "0" {
		m["container_spec_cpu_cores"] = 1
	}
	if s := list[0].State.Health; s != nil {
		m["container_health_state"] = 0
		if s.Status == "healthy" {
			m["container_health_state"] = 1
		}
	}
	return m
}

// What the engine was told is what the rows say, after an update too.
func TestLimitsBesideDockerInspect(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	limited := d.Start([]string{"--memory", "64m", "--memory-reservation", "32m", "--memory-swap", "96m", "--pids-limit", "77", "--cpus", "0.5", "--cpu-shares", "512",
		"--health-cmd", "true", "--health-interval", "1s"}, "sleep", "600")
	pinned := d.Start([]string{"--cpuset-cpus", "0"}, "sleep", "600")
	check := func(id string, least int) {
		t.Helper()
		testkit.Eventually(t, 20*time.Second, "the rows are those of docker inspect", func() error {
			want := specByHand(t, d, id)
			if len(want) < least {
				return fmt.Errorf("inspect gives %v", want)
			}
			got := exposed(t, p, id)
			for name, v := range want {
				if g, ok := got[name]; !ok || g != v {
					return fmt.Errorf("%s = %v (%v), by hand %v", name, g, ok, v)
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok && strings.HasPrefix(name, "container_spec_") && name != "container_spec_memory_limit_bytes" {
					return fmt.Errorf("%s is exposed and inspect has no such limit", name)
				}
			}
			return nil
		})
	}
	check(limited, 7)
	check(pinned, 2)
	waitFor(t, p, limited, "it is healthy", func(c container) bool { return c.Health == "healthy" })
	d.Cmd("update", "--pids-limit", "55", "--memory-reservation", "16m", "--cpus", "0.25", limited)
	check(limited, 7)
	if got := exposed(t, p, limited); got["container_spec_pids_limit"] != 55 || got["container_spec_cpu_cores"] != 0.25 || got["container_health_state"] != 1 {
		t.Errorf("after docker update: pids %v, cores %v, health %v; want 55, 0.25 and 1",
			got["container_spec_pids_limit"], got["container_spec_cpu_cores"], got["container_health_state"])
	}
}

// Pressure is what the kernel's files say, or absent with its reason.
func TestPressureBesideTheKernel(t *testing.T) {
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	id := d.Start([]string{"--cpus", "0.1"}, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600")
	waitFor(t, p, id, "it is measured", func(c container) bool { return c.Now != nil })
	dir := filepath.Join("/sys/fs/cgroup", filesOf(t, d, id).unified)
	if !v2Only() {
		dir = filepath.Join("/sys/fs/cgroup/unified", filesOf(t, d, id).unified)
	}
	if _, err := os.Stat(filepath.Join(dir, "cpu.pressure")); err != nil {
		if a, ok := absences(p, id)["pressure"]; !ok || a.Unlock == "" {
			t.Errorf("no pressure here (%v), and absent are %+v", err, absences(p, id))
		}
		return
	}
	byHand := func() map[string]float64 {
		m := map[string]float64{}
		for _, of := range []string{"cpu", "memory", "io"} {
			for line := range strings.Lines(testkit.ReadText(t, filepath.Join(dir, of+".pressure"))) {
				_, total, _ := strings.Cut(strings.TrimSpace(line), "total=")
				word := "waiting"
				if strings.HasPrefix(line, "full") {
					word = "stalled"
				}
				m["container_pressure_"+of+"_"+word+"_seconds_total"] = testkit.Number(t, total) * 1e-6
			}
		}
		return m
	}
	equalOnceQuiet(t, p, id, byHand)
	if got := byHand(); len(got) < 5 || got["container_pressure_cpu_waiting_seconds_total"] == 0 {
		t.Errorf("by hand: %v; want six rows and a CPU that was waited for", got)
	}
}

// What exclude names, and what include does not, is listed and nothing else.
func TestIncludeAndExclude(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	seen := d.Start([]string{"--name", d.Name("seen")}, "sleep", "600")
	byName := d.Start([]string{"--name", d.Name("noise-1")}, "sleep", "600")
	byLabel := d.Start([]string{"--name", d.Name("loud"), "--label", "volume=very loud"}, "sleep", "600")
	other := d.Start([]string{"--name", d.Name("other")}, "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "exclude=name:*-noise-?-*,label:volume=very*",
		"--set", "include=name:*-seen-*,name:*noise*,name:*loud")
	waitFor(t, p, seen, "one is measured", func(c container) bool { return c.Now != nil && c.Now.CPU != nil })
	late := d.Start([]string{"--name", d.Name("noise-2")}, "sleep", "600")
	waitFor(t, p, late, "a late one is listed", func(c container) bool { return c.State == "running" })
	time.Sleep(2 * time.Second)
	if n := len(exposed(t, p, seen)); n < 20 {
		t.Errorf("%d series of the one that is watched", n)
	}
	for name, id := range map[string]string{"by name": byName, "by label": byLabel, "not included": other, "late": late} {
		if c := containers(p)[id]; c.State != "running" || c.Now != nil {
			t.Errorf("%s: %+v, want it listed and not measured", name, c)
		}
		if got := exposed(t, p, id); len(got) > 0 {
			t.Errorf("%s: %d series, want none", name, len(got))
		}
		if got := actions(eventsOf(p, id)); got != "" {
			t.Errorf("%s: events %q, want none", name, got)
		}
	}
}

// Over a limit known series stay, new ones are refused, and that is told.
func TestTheLimitOfSeries(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	old := d.Start(nil, "sleep", "600")
	const limit = 12
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", fmt.Sprint("limits.series_per_target=", limit))
	testkit.Eventually(t, 15*time.Second, "the container has as many series as it may", func() error {
		if n := len(exposed(t, p, old)); n != limit {
			return fmt.Errorf("%d series, want %d", n, limit)
		}
		return nil
	})
	before := exposed(t, p, old)
	d.Start(nil, "sleep", "600")
	var r struct {
		Dropped []struct {
			What, Reason, Next string
			Count              float64
		}
	}
	testkit.Eventually(t, 15*time.Second, "the doctor knows", func() error {
		p.JSON("/api/tallyman/v1/doctor", &r)
		for _, one := range r.Dropped {
			if one.What == "samples" && one.Reason == "series_limit" && one.Count > 0 && strings.Contains(one.Next, "limits.series_per_target") {
				return nil
			}
		}
		return fmt.Errorf("dropped: %+v", r.Dropped)
	})
	after := exposed(t, p, old)
	for name := range before {
		if _, ok := after[name]; !ok {
			t.Errorf("%s was known and is refused", name)
		}
	}
	if n := strings.Count(p.Log(), "there are too many series"); n != 1 {
		t.Errorf("it was said %d times, want once", n)
	}
}

// The size of the writable layer is what docker inspect -s says, without
// volumes and asked for seldom.
func TestSizeOfTheWritableLayer(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := d.Start([]string{"--tmpfs", "/away"}, "sh", "-c", "dd if=/dev/zero of=/f bs=1024 count=300; dd if=/dev/zero of=/away/f bs=1024 count=500; sleep 600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "sources.diskusage.every=10s")
	off := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "sources.diskusage.every=0")
	testkit.Eventually(t, 60*time.Second, "the size is that of docker inspect -s", func() error {
		want := testkit.Number(t, d.Cmd("inspect", "-s", "-f", "{{.SizeRw}}", id))
		got, ok := exposed(t, p, id)["container_fs_usage_bytes"]
		if !ok || got != want || got < 300<<10 || got > 400<<10 {
			return fmt.Errorf("got %v (%v), want %v", got, ok, want)
		}
		return nil
	})
	if v, ok := exposed(t, off, id)["container_fs_usage_bytes"]; ok {
		t.Errorf("switched off it gives %v", v)
	}
	if a := absences(off, id)["size of the writable layer"]; a.Unlock != "sources: {diskusage: {every: 1h}}" {
		t.Errorf("switched off: %+v, want the setting", a)
	}
}
