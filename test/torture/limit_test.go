// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// fill writes a file until nothing more goes in.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			block = block[:len(block)/2]
		}
	}
}

// figure is the sum of one of tallyman's own numbers.
func figure(t *testing.T, c *testkit.Client, selector string) float64 {
	t.Helper()
	name, label, _ := strings.Cut(selector, "{")
	return sumOf(t, c, func(line string) bool {
		return strings.HasPrefix(line, name+"{") && strings.Contains(line, strings.TrimSuffix(label, "}"))
	})
}

// sumOf is the sum of some lines of /metrics.
func sumOf(t *testing.T, c *testkit.Client, wanted func(line string) bool) float64 {
	t.Helper()
	status, body := c.Get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d", status)
	}
	sum := 0.0
	for line := range strings.Lines(body) {
		if wanted(line) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// own is a number of tallyman's process, of a name that the engine's process has too.
func own(t *testing.T, c *testkit.Client, name string) float64 {
	t.Helper()
	return sumOf(t, c, func(line string) bool { return strings.HasPrefix(line, name+"{host=") }) // the engine's have its name first
}

// feature is what the doctor says of one thing.
func feature(c *testkit.Client, id string) (state, reason, unlock string) {
	var r struct {
		Features []struct{ ID, State, Reason, Unlock string }
	}
	c.JSON("/api/tallyman/v1/doctor", &r)
	for _, f := range r.Features {
		if f.ID == id {
			return f.State, f.Reason, f.Unlock
		}
	}
	return "", "", ""
}

// memoryOf selects the memory of a container.
func memoryOf(id string) string {
	return fmt.Sprintf("container_memory_usage_bytes{id=%q}", "/docker/"+id)
}

// sampled waits for some samples of a container since a time.
func sampled(t *testing.T, p *testkit.Program, id string, since time.Time) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, "samples are stored", func() error {
		n := 0
		for _, at := range stored(p, memoryOf(id)) {
			if time.UnixMilli(at).After(since) {
				n++
			}
		}
		if n < 4 {
			return fmt.Errorf("%d samples", n)
		}
		return nil
	})
}

// A full disk: nothing crashes, pages and queries go on, what is dropped is
// counted, events wait; when there is room again everything goes on by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	disk := testkit.SmallDisk(t, 48)
	data := filepath.Join(disk, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	id := d.Start([]string{"--name", d.Name("steady")}, "sleep", "600")
	p := testkit.StartProgram(t, data, "--interval", "1s")
	selector := memoryOf(id)
	sampled(t, p, id, time.Time{})

	fill(t, disk+"/other")
	full := time.Now()
	testkit.Eventually(t, 10*time.Second, "the doctor says that the disk is full, and what to do", func() error {
		state, reason, _ := feature(&p.Client, "storage/space")
		if state != "off" || !strings.Contains(reason, "is full") || !strings.Contains(reason, "free some space") {
			return fmt.Errorf("%s: %s", state, reason)
		}
		return nil
	})
	waits := d.Start([]string{"--name", d.Name("later")}, "sleep", "600")
	testkit.Eventually(t, 30*time.Second, "samples are dropped, and the event of a start waits", func() error {
		if n := figure(t, &p.Client, `tallyman_samples_dropped_total{reason="disk_full"}`); n == 0 {
			return errors.New("no dropped sample is counted")
		}
		events := func(what string) float64 { return figure(t, &p.Client, "tallyman_events_"+what+"_total{}") }
		if inventory(p)[waits] == "" || events("published") <= events("stored")+events("dropped") {
			return errors.New("the container is not known, or no event waits")
		}
		return nil
	})
	before := stored(p, selector)
	if len(before) < 4 {
		t.Errorf("only %d samples are read while the disk is full", len(before))
	}
	if status, _ := p.Get("/api/tallyman/v1/servers"); status != http.StatusOK {
		t.Errorf("the page's data: %d", status)
	}
	if n := len(eventsOf(t, p, waits, "start")); n != 0 {
		t.Errorf("%d events were stored on a full disk", n)
	}

	if err := os.Remove(disk + "/other"); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	sampled(t, p, id, freed)
	testkit.Eventually(t, 5*time.Second, "the event that waited is there", func() error {
		if n := len(eventsOf(t, p, waits, "start")); n != 1 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	sum := func() (published, rest float64) {
		return figure(t, &p.Client, `tallyman_samples_published_total{}`),
			figure(t, &p.Client, `tallyman_samples_stored_total{}`) + figure(t, &p.Client, `tallyman_samples_dropped_total{}`)
	}
	testkit.Eventually(t, 10*time.Second, "published = stored + dropped", func() error {
		// The numbers of one round are those before it.
		if published, rest := sum(); published != rest && published-rest > 5000 {
			return fmt.Errorf("%v published, %v stored and dropped", published, rest)
		}
		return nil
	})
	dropped := figure(t, &p.Client, `tallyman_samples_dropped_total{reason="disk_full"}`)

	// What was stored before, when the disk filled, and after is there after a
	// restart.
	last := stored(p, selector)
	p.Kill()
	p = testkit.StartProgram(t, data, "--interval", "1s")
	again := map[int64]bool{}
	for _, at := range stored(p, selector) {
		again[at] = true
	}
	for _, at := range last {
		if !again[at] {
			t.Errorf("the sample of %v is lost", time.UnixMilli(at))
		}
	}
	t.Logf("full for %v: %v samples dropped and counted, %d samples of one series before, %d after", freed.Sub(full).Round(time.Millisecond), dropped, len(before), len(again))
}

// Too few descriptors: what cannot be watched is said, the page answers, no
// time is wasted, and when the limit is raised all is well by itself.
func TestTooFewDescriptors(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t) // whose containers nobody else adds to
	d := e.Docker
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	limit := func(n int) {
		if out, err := testkit.Run(5*time.Second, nil, "prlimit", "--pid", strconv.Itoa(p.Pid()), fmt.Sprintf("--nofile=%d:", n)); err != nil {
			t.Fatalf("prlimit: %s", out)
		}
	}
	// Room for a few containers more than there are, once their files are open.
	open, since := 0, 0.0
	testkit.Eventually(t, 30*time.Second, "it opens no more files in three rounds", func() error {
		rounds := figure(t, &p.Client, "tallyman_collect_rounds_total")
		if n := int(own(t, &p.Client, "process_open_fds")); n != open {
			before := open
			open, since = n, rounds
			return fmt.Errorf("%d were open, now %d", before, n)
		}
		if rounds < since+3 {
			return fmt.Errorf("%d files since round %.0f of %.0f", open, since, rounds)
		}
		return nil
	})
	// asked is the CPU time of two seconds of connections that come and go.
	asked := func() float64 {
		cpu := func() float64 { return own(t, &p.Client, "process_cpu_seconds_total") }
		begin := cpu()
		for range 20 {
			if status, _ := p.Get("/api/tallyman/v1/servers"); status != http.StatusOK {
				t.Errorf("the page's data: %d", status)
			}
			time.Sleep(100 * time.Millisecond)
		}
		return cpu() - begin
	}
	before := asked()
	limit(open + 64 + 24 + 60)
	var ids []string
	for range 12 {
		ids = append(ids, d.Start([]string{"--network", "none"}, "sleep", "600"))
	}
	mine := map[string]bool{}
	for _, id := range ids {
		mine[id] = true
	}
	watched := func() (n int, text string) {
		var a struct {
			Containers []struct {
				ID     string
				Now    *struct{ Memory *float64 }
				Absent []struct{ Reason string }
			}
		}
		p.JSON("/api/tallyman/v1/containers", &a)
		for _, c := range a.Containers {
			if !mine[c.ID] {
				continue
			}
			if c.Now != nil && c.Now.Memory != nil {
				n++
			} else if len(c.Absent) > 0 {
				text = c.Absent[0].Reason
			}
		}
		return n, text
	}
	testkit.Eventually(t, 10*time.Second, "some are watched, and of the others it is said why not", func() error {
		n, text := watched()
		if n == 0 || n >= len(ids) || !strings.Contains(text, "open files") || !strings.Contains(text, "LimitNOFILE") {
			return fmt.Errorf("%d are watched: %s", n, text)
		}
		return nil
	})
	n, text := watched()
	t.Logf("%d of %d are watched: %s", n, len(ids), text)
	if used := asked(); used > 4*before+0.5 {
		t.Errorf("%.2f s of CPU in 2 s, %.2f before", used, before)
	}
	limit(4096)
	testkit.Eventually(t, 70*time.Second, "all are watched", func() error {
		if n, text := watched(); n < len(ids) {
			return fmt.Errorf("%d: %s", n, text)
		}
		return nil
	})
}

// A memory limit of 64 MiB: the agent says that it is low and lives.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	for range 40 {
		d.Start([]string{"--network", "none"}, "sleep", "600")
	}
	a := d.StartAgent([]string{"-m", "64m", "--memory-swap", "64m", "--pid=host", "--cgroupns=host", "--cap-drop", "ALL", "--cap-add", "SYS_PTRACE",
		"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "-v", "/sys/fs/cgroup:/host/sys/fs/cgroup:ro"}, "run", "--interval", "1s")
	if state, reason, unlock := feature(&a.Client, "self/memory"); state != "partly" || !strings.Contains(reason, "64 MiB") || unlock == "" {
		t.Errorf("the doctor says %s: %s [%s]", state, reason, unlock)
	}
	var wg sync.WaitGroup
	some := time.Duration(times(10, 30)) * time.Second
	end := time.Now().Add(some)
	for range 3 {
		wg.Go(func() {
			for time.Now().Before(end) {
				a.Get("/metrics")
				a.Get("/api/tallyman/v1/servers")
				a.Query("sum by (name) (rate(container_cpu_usage_seconds_total[5m]))")
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if s := d.Cmd("inspect", "-f", "{{.State.Status}} {{.State.OOMKilled}} {{.RestartCount}}", a.ID); s != "running false 0" {
		t.Errorf("the agent is %q", s)
	}
	t.Logf("RssAnon %.1f MiB, resident %.1f MiB after %v of queries at 64 MiB", figure(t, &a.Client, "tallyman_anonymous_memory_bytes{}")/(1<<20), own(t, &a.Client, "process_resident_memory_bytes")/(1<<20), some)
}

// engineHTTP asks the engine itself, which is quicker than the docker command.
var engineHTTP = http.Client{Transport: &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", testkit.EngineSocket)
	},
	MaxIdleConnsPerHost: 8,
}}

// cycle creates a container and removes it.
func cycle(label string) error {
	do := func(method, path, body string) (string, error) {
		req, err := http.NewRequest(method, "http://engine/v1.41"+path, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := engineHTTP.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("%s %s: %s", method, path, b)
		}
		return string(b), err
	}
	key, value, _ := strings.Cut(label, "=")
	made, err := do("POST", "/containers/create", fmt.Sprintf(`{"Image":%q,"Cmd":["true"],"Labels":{%q:%q},"HostConfig":{"NetworkMode":"none"}}`, testkit.Image, key, value))
	if err != nil {
		return err
	}
	var c struct{ ID string }
	if err := json.Unmarshal([]byte(made), &c); err != nil {
		return err
	}
	_, err = do("DELETE", "/containers/"+c.ID+"?force=true", "")
	return err
}

func cycles(t *testing.T, d *testkit.Docker, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				if err := cycle(d.Label); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Hundreds of containers, a thousand in make torture, come and go while tallyman
// watches, and more than the engine remembers while it does not: the inventory is right, what the engine has forgotten is
// counted, and nothing is left behind.
func TestThousandCycles(t *testing.T) {
	d := testkit.NewDocker(t)
	for range 5 {
		d.Start([]string{"--network", "none"}, "sleep", "600")
	}
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--interval", "1s")
	cycles(t, d, 100) // what is allocated once
	sameInventory(t, d, p)
	time.Sleep(5 * time.Second)
	kept := func() (files, goroutines, memory float64) {
		return own(t, &p.Client, "process_open_fds"), own(t, &p.Client, "go_goroutines"), figure(t, &p.Client, "tallyman_anonymous_memory_bytes{}") / (1 << 20)
	}
	f0, g0, m0 := kept()
	n := times(150, 1000)
	cycles(t, d, n)
	sameInventory(t, d, p)
	testkit.Eventually(t, 30*time.Second, "descriptors and goroutines are where they were", func() error {
		if f, g, _ := kept(); f > f0+2 || g > g0+2 {
			return fmt.Errorf("%v descriptors, before %v; %v goroutines, before %v", f, f0, g, g0)
		}
		return nil
	})
	time.Sleep(5 * time.Second)
	f1, g1, m1 := kept()
	// The gone ones are kept for a week, the last 2,000 of them.
	if m1 > 1.5*m0+16 {
		t.Errorf("%.1f MiB of memory, before %.1f", m1, m0)
	}
	var a struct{ Containers []struct{ State string } }
	p.JSON("/api/tallyman/v1/containers", &a)
	t.Logf("%d cycles: %v descriptors (before %v), %v goroutines (%v), %.1f MiB (%.1f), %d containers known", n, f1, f0, g1, g0, m1, m0, len(a.Containers))

	p.Stop()
	cycles(t, d, times(150, 400)) // two events each; it remembers 256
	p = testkit.StartProgram(t, data, "--interval", "1s")
	sameInventory(t, d, p)
	testkit.Eventually(t, 20*time.Second, "the gap is counted and told", func() error {
		if n := figure(t, &p.Client, "tallyman_discover_gaps_total{}"); n != 1 {
			return fmt.Errorf("%v gaps are counted", n)
		}
		var a struct{ Events []event }
		p.JSON("/api/tallyman/v1/events?type=tallyman&action=gap", &a)
		if len(a.Events) != 1 {
			return fmt.Errorf("%d gaps are told", len(a.Events))
		}
		return nil
	})
}
