// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"testing"

	"tallyman/internal/testkit"
)

// TestTour goes the ways on which people find what they came for, counts their steps, and
// takes the pictures of the documents: TOUR names the folder for them, else it is skipped.
func TestTour(t *testing.T) {
	folder := os.Getenv("TOUR")
	if folder == "" {
		t.Skip("TOUR names no folder for its pictures; make screenshots does")
	}
	needBrowser(t)
	d := testkit.NewDocker(t)
	const serve = `n=0; while :; do n=$((n+1))
		echo "level=info msg=\"order stored\" method=POST path=/orders status=201 took=$((n%40+3))ms request_id=req-$((48000+n))"
		[ $((n%17)) = 0 ] && echo "level=warn msg=\"stock reserved late\" sku=MUG-$n waited=2.1s"
		if [ -f /go ]; then [ "$x" ] || x=$(head -c 24000000 /dev/zero | tr '\0' a); echo "level=error msg=\"cache miss\" key=order-$n"; i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done; fi
		i=0; while [ $i -lt $(((n%9)*400)) ]; do i=$((i+1)); done; sleep 0.3; done`
	d.Start(compose("shop", "api", "--cpus", "0.5", "-m", "96m", "--restart", "always"), "sh", "-c", serve)
	second := compose("shop", "api", "--cpus", "0.5", "-m", "96m", "--restart", "always")
	for i, o := range second {
		switch o {
		case "shop-api-1":
			second[i] = "shop-api-2"
		case "com.docker.compose.container-number=1":
			second[i] = "com.docker.compose.container-number=2"
		}
	}
	d.Start(second, "sh", "-c", serve)
	d.Start(compose("shop", "web", "-m", "64m", "--health-cmd", "true", "--health-interval", "2s", "-p", "127.0.0.1::8080"), "sh", "-c", `httpd -p 8080; n=0; while :; do n=$((n+1)); echo "10.0.3.$((n%200)) - - \"GET /cart HTTP/1.1\" 200 $((n*37%9000))"; sleep 0.4; done`)
	d.Start(compose("shop", "db", "-m", "128m"), "sh", "-c", `held=$(yes | head -c 20000000); while :; do echo "LOG:  checkpoint complete: wrote 41 buffers"; sleep 5; done`)
	d.Start(compose("ops", "backup", "--cpus", "0.3"), "sh", "-c", "i=0; while [ $i -lt 2500000 ]; do i=$((i+1)); done; sleep 600")
	d.Start(compose("ops", "watcher", "-v", "/var/run/docker.sock:/var/run/docker.sock:ro"), "sleep", "3600")
	p := testkit.StartProgramWith(t, []string{"TALLYMAN_INCLUDE=name:shop-*, name:ops-*"}, testkit.DataDir(t), "--interval", "1s")
	for _, name := range []string{"shop-api-1", "shop-api-2", "shop-web-1", "shop-db-1", "ops-backup-1", "ops-watcher-1"} {
		waitFor(t, p, name)
	}
	walk(t, "tour.mjs", given(p, map[string]any{"tour": folder}), map[string]action{
		"docker": func(args []string) (string, error) { return d.May(args...) },
		"oomer": func([]string) (string, error) {
			return d.Start(compose("ops", "oomer", "-m", "16m", "--memory-swap", "16m"), "sh", "-c", `echo "level=info msg=\"reading the catalogue\""; sleep 3; exec tail /dev/zero`), nil
		},
	})
}
