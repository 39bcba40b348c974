// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

type engine struct {
	Up                    bool
	Error, Failure        string
	Version, Name         string
	LastGood, Since       int64
	APIVersion, CgroupVer string
}

func engineOf(p *testkit.Program) engine {
	var a struct{ Hosts []struct{ Engine engine } }
	p.JSON("/api/tallyman/v1/servers", &a)
	return a.Hosts[0].Engine
}

// Without an engine tallyman runs and says so; it takes the engine up when it
// comes, and loses nothing when it goes.
func TestEngineComesAndGoes(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	proxy := testkit.NewProxy(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", proxy.Address(), "--interval", "1s")
	if e := engineOf(p); e.Up || e.Error == "" || e.Failure != "refused" {
		t.Errorf("without an engine: %+v, want down, refused, with words", e)
	}
	status, body := p.Get("/docker-monitor/api/v1.0/metrics")
	if status != http.StatusInternalServerError || !strings.Contains(body, `"error":"`) {
		t.Errorf("docker-monitor without an engine: %d %s, want 500 with its error", status, body)
	}

	id := d.Start(nil, "sleep", "600")
	proxy.Pass()
	waitFor(t, p, id, "the engine's containers are there", func(c container) bool { return c.State == "running" && c.Now != nil })
	if e := engineOf(p); !e.Up || e.Version == "" {
		t.Errorf("with an engine: %+v, want up with its version", e)
	}

	// Away for a while, in which one container dies and one comes.
	proxy.Refuse()
	testkit.Eventually(t, 15*time.Second, "the engine is down", func() error {
		if e := engineOf(p); e.Up {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	if c := containers(p)[id]; c.State != "running" || c.Now == nil {
		t.Errorf("while the engine is away the container is %+v, want running and measured", c)
	}
	short := d.Start(nil, "sh", "-c", "exit 5")
	d.Cmd("kill", id)
	time.Sleep(time.Second)
	proxy.Pass()
	waitFor(t, p, id, "the death was noticed", func(c container) bool { return c.State == "exited" })
	c := waitFor(t, p, short, "so was the one that came and died", func(c container) bool { return c.State == "exited" })
	if c.ExitCode == nil || *c.ExitCode != 5 {
		t.Errorf("exit code = %v, want 5", c.ExitCode)
	}
	for _, one := range []string{id, short} {
		testkit.Eventually(t, 10*time.Second, "its death is recorded", func() error {
			if got := actions(eventsOf(p, one)); strings.Count(got, "die") != 1 {
				return fmt.Errorf("events %q, want one die", got)
			}
			return nil
		})
	}
	var a struct{ Events []event }
	p.JSON("/api/tallyman/v1/events?type=engine", &a)
	if got := actions(a.Events); !strings.Contains(got, "up down") {
		t.Errorf("events of the engine, newest first: %q, want it to go down and come up", got)
	}
}

func TestDockerMonitor(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	proxy := testkit.NewProxy(t)
	proxy.Pass()
	running := d.Name("runs")
	stopped := d.Name("stopped")
	d.Start([]string{"--name", running}, "sleep", "600")
	d.Start([]string{"--name", stopped}, "true")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", proxy.Address(), "--interval", "1s")

	status, body := p.Get("/docker-monitor/api/v1.0/metrics")
	var list []map[string]map[string]any
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	seen := map[string]map[string]any{}
	for _, one := range list {
		if len(one) != 1 {
			t.Errorf("an entry of the list has %d names, want 1: %v", len(one), one)
		}
		for name, v := range one {
			seen[name] = v
		}
	}
	if m := seen[running]; m["status"] != "running" {
		t.Errorf("the list has %v for %s", m, running)
	} else {
		for _, key := range []string{"cpu", "mem"} {
			if _, ok := m[key].(float64); !ok {
				t.Errorf("%s = %v, want a number", key, m[key])
			}
		}
	}
	if _, ok := seen[stopped]; ok {
		t.Errorf("the list has %s, which does not run", stopped)
	}
	if _, body = p.Get("/docker-monitor/api/v1.0/metrics/" + stopped); body != `{"`+stopped+`":{"status":"exited"}}` {
		t.Errorf("a container that is not running: %s, want its status alone", body)
	}
	if status, body = p.Get("/docker-monitor/api/v1.0/metrics/nobody"); status != http.StatusNotFound || body != `{"error":"Resource not found"}` {
		t.Errorf("an unknown name: %d %s", status, body)
	}
	// It is what is known, not asked for: docker stats waits for two readings.
	start := time.Now()
	d.Cmd("stats", "--no-stream", running)
	asked := time.Since(start)
	start = time.Now()
	for range 20 {
		p.Get("/docker-monitor/api/v1.0/metrics")
	}
	each := time.Since(start) / 20
	if t.Logf("an answer takes %v, docker stats %v", each, asked); each > asked/10 {
		t.Errorf("an answer takes %v, docker stats %v; want a tenth of that at most", each, asked)
	}

	proxy.Stall()
	testkit.Eventually(t, 25*time.Second, "an engine that is too slow gives 408", func() error {
		status, body := p.Get("/docker-monitor/api/v1.0/metrics")
		if status != http.StatusRequestTimeout || body != `{"error":"The server is overloaded. Try later."}` {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	proxy.Refuse()
	testkit.Eventually(t, 15*time.Second, "an engine that refuses gives 500", func() error {
		status, body := p.Get("/docker-monitor/api/v1.0/metrics/" + running)
		if status != http.StatusInternalServerError || !strings.Contains(body, "no socket") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// The engine of this machine has its clock, and tells of containers in which the kernel
// killed for want of memory; the kernel counts those too.
func TestEngineClockAndKills(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	value := func(expr string) (float64, error) {
		for _, points := range p.Query(expr) {
			return points[0].Value, nil
		}
		return 0, fmt.Errorf("%s has no value", expr)
	}
	testkit.Eventually(t, 30*time.Second, "the clock is known", func() error {
		if ahead, err := value("docker_clock_offset_seconds"); err != nil || ahead != 0 {
			return fmt.Errorf("%v, %w", ahead, err)
		}
		return nil
	})
	d.Start([]string{"-m", "8m", "--memory-swap", "8m"}, "sh", "-c", "x=y; while :; do x=$x$x; done")
	testkit.Eventually(t, time.Minute, "the engine tells of it", func() error {
		told, err := value("docker_oom_events_total")
		if err != nil {
			return err
		}
		counted, err := value("node_vmstat_oom_kill")
		if err != nil || told < 1 || counted < 1 {
			return fmt.Errorf("told %v times, counted %v, %v", told, counted, err)
		}
		return nil
	})
}
