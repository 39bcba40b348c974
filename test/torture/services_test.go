// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// served starts a container with a service that two instances ask.
func served(d *testkit.Docker, name string) {
	d.Start([]string{"--name", name, "--label", `tallyman.plugins=[{"PluginType":"PROMETHEUS","Configuration":{"STATS URL":["http://localhost:8080/metrics","http://localhost:8080/other"]}}]`},
		"sh", "-c", `mkdir -p /w; i=0; while [ $i -lt 200 ]; do echo "served{n=\"$i\",host_name=\"x\"} $i"; i=$((i+1)); done >/w/metrics; cp /w/metrics /w/other; exec httpd -f -p 127.0.0.1:8080 -h /w`)
}

// instances waits until so many are up.
func instances(t *testing.T, p *testkit.Program, want int) {
	t.Helper()
	testkit.Eventually(t, 2*time.Minute, fmt.Sprint(want, " instances are up"), func() error {
		var v struct{ Services []struct{ State string } }
		p.JSON("/api/tallyman/v1/services?state=up", &v)
		if len(v.Services) != want {
			return fmt.Errorf("%d are", len(v.Services))
		}
		return nil
	})
}

// Services that start and stop with their containers, again and again, leave neither a
// descriptor nor a goroutine nor a namespace.
func TestServicesOverRestarts(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t) // of its own: an engine remembers 256 events, and others want theirs
	d := e.Docker
	const n = 8
	for i := range n {
		served(d, d.Name(strconv.Itoa(i)))
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	instances(t, p, 2*n)
	kept := func() (files, goroutines, namespaces float64) {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.Pid(), e.Name())); err == nil && strings.HasPrefix(to, "net:[") {
				namespaces++
			}
		}
		return own(t, &p.Client, "process_open_fds"), own(t, &p.Client, "go_goroutines"), namespaces
	}
	f0, g0, s0 := kept()
	restarts := times(24, 1000)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for range restarts / n {
				// In its pause, in a scrape, or long after.
				time.Sleep(rand.N(8 * time.Second))
				d.Cmd("restart", "-t", "0", d.Name(strconv.Itoa(i)))
			}
		})
	}
	wg.Wait()
	instances(t, p, 2*n)
	testkit.Eventually(t, time.Minute, "nothing is left open", func() error {
		if f, g, s := kept(); f > f0+4 || g > g0+4 || s > s0 {
			return fmt.Errorf("%v descriptors, before %v; %v goroutines, before %v; %v namespaces, before %v", f, f0, g, g0, s, s0)
		}
		return nil
	})
	f1, g1, s1 := kept()
	t.Logf("%d restarts: %v descriptors (before %v), %v goroutines (%v), %v namespaces (%v)", restarts, f1, f0, g1, g0, s1, s0)
}
