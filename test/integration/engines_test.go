// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// configFile writes a configuration.
func configFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tallyman.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// twoEngines is the configuration for the machine's engine and another one.
func twoEngines(e *testkit.Engine, more string) string {
	return fmt.Sprintf(`
engines:
  - {name: here, address: "unix://%s"}
  - {name: there, address: "%s", ca: %s, cert: %s, key: %s%s}
`, testkit.EngineSocket, e.Address, e.CA.File, e.Client.Cert, e.Client.Key, more)
}

// servers is what the Servers page shows of each engine.
type servers struct {
	Hosts []struct {
		Host   string
		Engine struct {
			Name, Error, Collect string
			Up, Remote           bool
		}
		Containers []struct {
			ID, Name, State, Host, Engine, Collect, CollectWhy string
			Now                                                *struct{ CPU, Memory *float64 }
			Absent                                             []struct{ What, Reason, Unlock string }
		}
	}
}

// Two engines are watched side by side; what happens to one is none of the
// other's business.
func TestTwoEnginesAndOneIsKilled(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	e := testkit.NewEngine(t)
	here := d.Start([]string{"--name", d.Name("web")}, "sleep", "600")
	there := e.Start([]string{"--name", d.Name("web")}, "sleep", "600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--config", configFile(t, twoEngines(e, "")), "--interval", "1s")

	look := func() (v servers) {
		p.JSON("/api/tallyman/v1/servers", &v)
		return v
	}
	state := func(id string) string {
		for _, h := range look().Hosts {
			for _, c := range h.Containers {
				if c.ID == id && c.Now != nil && c.Now.CPU != nil {
					return c.Host + " " + c.Engine + " " + c.State
				}
			}
		}
		return ""
	}
	testkit.Eventually(t, 20*time.Second, "both containers are there with their numbers", func() error {
		if got := state(there); got != "there there running" {
			return fmt.Errorf("the other engine's: %q", got)
		}
		if got := state(here); !strings.HasSuffix(got, " here running") {
			return fmt.Errorf("the machine's own: %q", got)
		}
		return nil
	})
	if v := look(); len(v.Hosts) != 2 || !v.Hosts[1].Engine.Remote || v.Hosts[0].Engine.Remote {
		t.Errorf("hosts: %+v", v.Hosts)
	}
	rows := p.Query(fmt.Sprintf("container_memory_working_set_bytes{name=%q}", d.Name("web")))
	if len(rows) != 2 {
		t.Errorf("%d series of the name that both engines have, want 2: %v", len(rows), rows)
	}

	e.Kill()
	testkit.Eventually(t, 15*time.Second, "the page says which engine is away", func() error {
		v := look()
		if v.Hosts[1].Engine.Up || v.Hosts[1].Engine.Error == "" || !v.Hosts[0].Engine.Up {
			return fmt.Errorf("%+v %+v", v.Hosts[0].Engine, v.Hosts[1].Engine)
		}
		return nil
	})
	t.Logf("the killed one: %s", look().Hosts[1].Engine.Error)
	second := d.Start([]string{"--name", d.Name("later")}, "sleep", "600")
	testkit.Eventually(t, 10*time.Second, "the other engine is watched as before", func() error {
		if got := state(second); !strings.HasSuffix(got, " here running") {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	e.Run()
	testkit.Eventually(t, 20*time.Second, "the killed engine is taken up again", func() error {
		if v := look(); !v.Hosts[1].Engine.Up {
			return fmt.Errorf("%+v", v.Hosts[1].Engine)
		}
		return nil
	})
}

// at is a counter's value at a time, between two samples in proportion.
func at(p []testkit.Point, t time.Time) (v float64, ok bool) {
	for i := 1; i < len(p); i++ {
		if a, b := p[i-1], p[i]; !t.Before(a.Time) && !t.After(b.Time) {
			return a.Value + (b.Value-a.Value)*t.Sub(a.Time).Seconds()/b.Time.Sub(a.Time).Seconds(), true
		}
	}
	return 0, false
}

// The stats API gives the rows that it can, and they are those of the kernel's
// files: one tallyman reads the files, another is told to ask the engine.
func TestStatsAPIEqualsTheKernelsFiles(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	e := testkit.NewEngine(t)
	id := e.Start([]string{"--name", d.Name("busy"), "-m", "64m", "--cpus", "0.1"}, "sh", "-c",
		"dd if=/dev/zero of=/tmp/x bs=1M count=8 2>/dev/null; echo written; while :; do :; done")
	// What it uses while it writes is not what it keeps.
	testkit.Eventually(t, 20*time.Second, "it has written", func() error {
		out, err := e.May("logs", id)
		if err != nil || out != "written" {
			return fmt.Errorf("%q %v", out, err)
		}
		return nil
	})
	files := testkit.StartProgram(t, testkit.DataDir(t), "--config", configFile(t, twoEngines(e, "")), "--interval", "2s")
	api := testkit.StartProgram(t, testkit.DataDir(t), "--config", configFile(t, twoEngines(e, ", collect: api")), "--interval", "2s")
	time.Sleep(42 * time.Second)

	var v servers
	api.JSON("/api/tallyman/v1/servers", &v)
	c := v.Hosts[1].Containers[0]
	if c.Collect != "api" || c.CollectWhy == "" || v.Hosts[1].Engine.Collect != "api" {
		t.Errorf("collected by %q because %q, want by the API with the reason", c.Collect, c.CollectWhy)
	}
	for _, a := range c.Absent {
		t.Logf("absent: %s: %s [%s]", a.What, a.Reason, a.Unlock)
	}
	if len(c.Absent) == 0 {
		t.Error("nothing is said of what the API cannot give")
	}
	if status, body := files.Get("/api/tallyman/v1/containers/" + id); status != http.StatusOK || !strings.Contains(body, `"collect":"cgroup"`) {
		t.Errorf("the other one: %d %s", status, body)
	}

	sel := fmt.Sprintf(`{id="/docker/%s"`, id)
	// The API's values are a moment older than their round. So each of them must
	// be one that the file had within that moment, with 2 % of what is between.
	const late = 4500 * time.Millisecond
	counter := func(what, name string) {
		t.Helper()
		file, asked := files.One(name+sel+"}[40s]"), api.One(name+sel+"}[40s]")
		compared, worst := 0, 0.0
		for _, a := range asked {
			low, known1 := at(file, a.Time.Add(-late))
			high, known2 := at(file, a.Time)
			if !known1 || !known2 {
				continue
			}
			compared++
			slack := 0.02 * (high - low)
			off := math.Max(0, math.Max(low-a.Value, a.Value-high))
			worst = math.Max(worst, off)
			if off > slack {
				t.Errorf("%s at %s: %v from the API, the file had %v to %v", what, a.Time.Format("05.000"), a.Value, low, high)
			}
		}
		if compared < 8 {
			t.Errorf("%s: %d values compared of %d and %d", what, compared, len(asked), len(file))
		}
		r := func(p []testkit.Point) float64 {
			return (p[len(p)-1].Value - p[0].Value) / p[len(p)-1].Time.Sub(p[0].Time).Seconds()
		}
		t.Logf("%s: %d values, none off by more than %.3g; per second %.4f by files, %.4f by the API", what, compared, worst, r(file), r(asked))
	}
	gauge := func(what, name string) {
		t.Helper()
		// Not from the start: the API's first answer may be of the moment in which
		// the writing ended.
		file, asked := files.One(name+sel+"}[30s]"), api.One(name+sel+"}[30s]")
		low, high := math.Inf(1), math.Inf(-1)
		for _, f := range file {
			low, high = math.Min(low, f.Value), math.Max(high, f.Value)
		}
		for _, a := range asked {
			if a.Value < low*0.98 || a.Value > high*1.02 {
				t.Errorf("%s: %v from the API, the files had %v to %v", what, a.Value, low, high)
			}
		}
		t.Logf("%s: %v to %v by files, %v last by the API", what, low, high, asked[len(asked)-1].Value)
	}
	counter("CPU", "container_cpu_usage_seconds_total")
	counter("throttled", "container_cpu_cfs_throttled_seconds_total")
	for what, name := range map[string]string{
		"working set": "container_memory_working_set_bytes", "cache": "container_memory_cache", "rss": "container_memory_rss",
		"limit": "container_spec_memory_limit_bytes", "percent": "container_memory_usage_percent", "tasks": "container_threads",
	} {
		gauge(what, name)
	}
	counter("received", "container_network_receive_bytes_total")
	counter("sent packets", "container_network_transmit_packets_total")

	rows := func(p *testkit.Program) map[string]bool {
		names := map[string]bool{}
		for key := range p.Query(`count by (__name__) ({id="/docker/` + id + `"})`) {
			names[key] = true
		}
		return names
	}
	byFiles, byAPI := rows(files), rows(api)
	for name := range byFiles {
		if !byAPI[name] {
			t.Logf("not from the API: %s", name)
		}
	}
	if len(byAPI) < 25 {
		t.Errorf("%d metrics from the API, want at least 25", len(byAPI))
	}
}
