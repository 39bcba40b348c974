// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// BenchmarkPage tells what the pages cost in the browser beside 80 containers, one of which
// works and talks: the share of a core while a page is looked at for so many seconds
// (COST_SECONDS, 20), quiet and in a storm of a hundred events a second.
func BenchmarkPage(b *testing.B) {
	needBrowser(b)
	d := testkit.NewDocker(b)
	project := d.Name("shop")
	d.Start(compose(project, "api", "--cpus", "0.1", "-m", "64m"), "sh", "-c", "n=0; while :; do i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; n=$((n+1)); echo \"level=info msg=tick n=$n\"; sleep 0.2; done")
	for i := range 79 {
		d.Start([]string{"--name", d.Name(fmt.Sprint("c", i)), "--network", "none"}, "sleep", "3600")
	}
	p := testkit.StartProgram(b, testkit.DataDir(b), "--interval", "1s")
	waitFor(b, p, project+"-api-1")
	waitFor(b, p, d.Name("c78"))
	seconds := 20
	if _, err := fmt.Sscan(os.Getenv("COST_SECONDS"), &seconds); err != nil {
		seconds = 20
	}
	var on atomic.Bool
	var sent atomic.Int64
	stop := make(chan struct{})
	defer close(stop)
	engine := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
	}}}
	defer engine.CloseIdleConnections()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if !on.Load() {
				continue
			}
			// The cheapest of all events: an image gets a name.
			resp, err := engine.Post("http://docker/images/"+testkit.Image+"/tag?repo=tallyman-test/storm&tag=a", "", nil)
			if err == nil {
				_ = resp.Body.Close()
				sent.Add(1)
			}
		}
	}()
	b.ReportMetric(0, "ns/op")
	walk(b, "cost.mjs", given(p, map[string]any{"workload": project + "/api/1", "seconds": seconds}), map[string]action{
		"storm": func(args []string) (string, error) {
			on.Store(args[0] == "on")
			return fmt.Sprintf("%d events", sent.Swap(0)), nil
		},
	})
}
