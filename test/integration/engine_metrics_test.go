// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// pageOf is the engine's page at a socket, as curl would show it.
func pageOf(t *testing.T, socket string) string {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	answer, err := c.Get("http://docker/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventsTotal is engine_daemon_events_total of a page.
func eventsTotal(t *testing.T, page string) float64 {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\nengine_daemon_events_total ")
	text, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil {
		t.Fatalf("the page has no engine_daemon_events_total: %v", err)
	}
	return v
}

// What the engine measures of itself is there without any setting, under its own names.
func TestEngineMetrics(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s", "--set", "sources.enginemetrics.every=1s")
	testkit.Eventually(t, 30*time.Second, "the engine's page is there", func() error {
		if len(p.Query(`engine_daemon_events_total{job="docker"}`)) != 1 {
			return errors.New("it is not")
		}
		return nil
	})
	page := pageOf(t, "/run/docker/metrics.sock")
	least := eventsTotal(t, page)
	d.Start(nil, "sleep", "600")
	testkit.Eventually(t, 30*time.Second, "it counts the events that the engine counts", func() error {
		most := eventsTotal(t, pageOf(t, "/run/docker/metrics.sock"))
		if got := p.One(`engine_daemon_events_total{job="docker"}`); got[0].Value < least || got[0].Value > most {
			return fmt.Errorf("%v, the engine has %v to %v", got[0].Value, least, most)
		}
		return nil
	})
	// Each name of the page is a series.
	missing, names := 0, map[string]bool{}
	for line := range strings.Lines(page) {
		if name := line[:max(strings.IndexAny(line, "{ "), 0)]; name != "" && !strings.HasPrefix(line, "#") {
			names[name] = true
		}
	}
	for name := range names {
		if len(p.Query(name+`{job="docker",engine="local"}`)) == 0 {
			t.Errorf("%s is not there", name)
			missing++
		}
	}
	if len(names) < 60 {
		t.Errorf("the page has only %d names", len(names))
	}
	took := p.One(`docker_metrics_scrape_duration_seconds`)
	t.Logf("%d names, %d of them missing; a page takes %.1f ms", len(names), missing, took[0].Value*1000)
	_, meta := p.Get("/api/v1/metadata?metric=engine_daemon_events_total")
	if !strings.Contains(meta, `"type":"counter"`) || !strings.Contains(meta, "The number of events logged") {
		t.Errorf("of its metadata there is %s", meta)
	}
}

// The managed plugin is installed, switched off and on, and outlives a restart of the engine.
func TestManagedPlugin(t *testing.T) {
	t.Parallel()
	binary := os.Getenv("TEST_TALLYMAN_BINARY")
	if binary == "" {
		t.Skip("the plugin is made of the built program (TEST_TALLYMAN_BINARY)")
	}
	e := testkit.NewEngine(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	if err := os.MkdirAll(filepath.Join(root, "run/docker/plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{binary: filepath.Join(root, "tallyman"), "../../deploy/plugin/config.json": filepath.Join(dir, "config.json")} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e.Cmd("plugin", "create", "tallyman", dir)
	t.Cleanup(func() {
		_, _ = e.May("plugin", "disable", "-f", "tallyman")
		_, _ = e.May("plugin", "rm", "-f", "tallyman")
	})
	e.Cmd("plugin", "enable", "tallyman")
	if out := e.Cmd("plugin", "inspect", "-f", "{{json .Config.Interface}} {{.Enabled}}", "tallyman"); !strings.Contains(out, "docker.metricscollector/1.0") || !strings.HasSuffix(out, " true") {
		t.Errorf("it is %s", out)
	}
	id := e.Cmd("plugin", "inspect", "-f", "{{.Id}}", "tallyman")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s", "--set", "sources.enginemetrics.every=1s",
		"--set", "sources.enginemetrics.addresses=unix:///run/docker/plugins/"+id+"/metrics.sock")
	fresh := func(what string, want bool) {
		t.Helper()
		testkit.Eventually(t, time.Minute, what, func() error {
			if got := p.Query(`engine_daemon_engine_info{job="docker"}`); (len(got) == 1) != want {
				return fmt.Errorf("%d series", len(got))
			}
			return nil
		})
	}
	fresh("it gives the engine's series", true)
	e.Cmd("plugin", "disable", "tallyman")
	fresh("switched off it gives none", false)
	testkit.Eventually(t, time.Minute, "the doctor says why", func() error {
		if _, text := p.Get("/api/tallyman/v1/doctor"); !strings.Contains(text, "metrics cannot be read") {
			return errors.New("it does not")
		}
		return nil
	})
	e.Cmd("plugin", "enable", "tallyman")
	fresh("switched on it gives them again", true)
	began := func() float64 {
		if got := p.Query(`process_start_time_seconds{job="docker"}`); len(got) == 1 {
			for _, points := range got {
				return points[len(points)-1].Value
			}
		}
		return 0
	}
	before := began()
	e.Halt()
	e.Run()
	testkit.Eventually(t, time.Minute, "after a restart of the engine it gives those of the new one", func() error {
		if now := began(); now <= before {
			return fmt.Errorf("it gives those of one that began at %v, before at %v", now, before)
		}
		return nil
	})
}

// A stalled engine is told from one that is away, and its containers are measured on.
func TestStalledEngine(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t)
	id := e.Start([]string{"--cpus", "0.1"}, "sh", "-c", "while :; do :; done")
	e.Start(nil, "sleep", "600")
	e.Cmd("create", "--label", e.Label, testkit.Image, "true")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	number := func(expr string) float64 {
		t.Helper()
		for _, points := range p.Query(expr) {
			return points[len(points)-1].Value
		}
		return -1
	}
	is := func(what string, want map[string]float64) {
		t.Helper()
		testkit.Eventually(t, time.Minute, what, func() error {
			for expr, v := range want {
				if got := number(expr); got != v {
					return fmt.Errorf("%s is %v, want %v", expr, got, v)
				}
			}
			return nil
		})
	}
	version := e.Cmd("info", "-f", `{{.ServerVersion}}",storage_driver="{{.Driver}}",live_restore="{{.LiveRestoreEnabled}}",cgroup_driver="{{.CgroupDriver}}`)
	is("it is up, with the containers of docker ps", map[string]float64{
		"docker_up": 1, "docker_stalled": 0, `docker_containers{state="running"}`: 2, `docker_containers{state="created"}`: 1, `docker_containers{state="exited"}`: 0,
		`docker_image_containers{image="` + testkit.Image + `",state="running"}`: 2, `docker_info{version="` + version + `"}`: 1,
	})
	if took := number("docker_ping_seconds"); took <= 0 || took > 5 {
		t.Errorf("a ping takes %v s", took)
	}
	e.Stall(true)
	began := time.Now()
	is("it is stalled", map[string]float64{"docker_up": 0, "docker_stalled": 1})
	if s := engineOf(p); s.Up || s.Failure != "slow" || time.UnixMilli(s.Since).Before(began.Add(-time.Second)) {
		t.Errorf("the page has %+v", s)
	}
	cpu := `container_cpu_usage_seconds_total{id="/docker/` + id + `"}`
	at := p.One(cpu)[0]
	testkit.Eventually(t, time.Minute, "its containers are measured on", func() error {
		if got := p.One(cpu)[0]; got.Value <= at.Value || got.Time.Sub(at.Time) < 3*time.Second {
			return fmt.Errorf("%+v, before %+v", got, at)
		}
		return nil
	})
	e.Stall(false)
	is("it is back", map[string]float64{"docker_up": 1, "docker_stalled": 0})
	t.Logf("stalled for %v", time.Since(began).Round(time.Second))
	testkit.Eventually(t, time.Minute, "both are events", func() error {
		if _, text := p.Get("/api/tallyman/v1/events?limit=50"); !strings.Contains(text, "Docker is stalled") || !strings.Contains(text, "Docker answers") {
			return errors.New(text)
		}
		return nil
	})
}

// What the engine keeps on its disk is what docker system df says.
func TestEngineDisk(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t)
	e.Start([]string{"-v", "kept:/kept"}, "sh", "-c", "dd if=/dev/zero of=/kept/a bs=1024 count=700; dd if=/dev/zero of=/layer bs=1024 count=300; sleep 600")
	ended := e.Start(nil, "sh", "-c", "dd if=/dev/zero of=/layer bs=1024 count=200")
	e.Cmd("wait", ended)
	e.Cmd("volume", "create", "unused")
	t.Cleanup(func() { _, _ = e.May("volume", "rm", "-f", "kept", "unused") })
	testkit.Eventually(t, 30*time.Second, "the files are written", func() error {
		if out, _ := e.May("system", "df", "-v", "--format", "{{json .Volumes}}"); !strings.Contains(out, "716.8kB") {
			return errors.New(out)
		}
		return nil
	})
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s", "--set", "sources.enginedisk.every=10s")
	want := map[string]float64{
		`docker_disk_objects{what="containers"}`: 2, `docker_disk_objects_active{what="containers"}`: 1, `docker_disk_bytes{what="containers"}`: 500 << 10, `docker_disk_reclaimable_bytes{what="containers"}`: 200 << 10,
		`docker_disk_objects{what="volumes"}`: 2, `docker_disk_objects_active{what="volumes"}`: 1, `docker_disk_bytes{what="volumes"}`: 700 << 10, `docker_volume_bytes{volume="kept"}`: 700 << 10, `docker_volume_bytes{volume="unused"}`: 0,
		`docker_disk_objects{what="images"}`: 1, `docker_disk_objects_active{what="images"}`: 1,
	}
	t.Log(e.Cmd("system", "df"))
	testkit.Eventually(t, 3*time.Minute, "what the engine keeps", func() error {
		for expr, v := range want {
			got := p.Query(expr)
			if len(got) != 1 {
				return fmt.Errorf("%s has %d series", expr, len(got))
			}
			for _, points := range got {
				if points[0].Value != v {
					return fmt.Errorf("%s is %v, want %v", expr, points[0].Value, v)
				}
			}
		}
		return nil
	})
}
