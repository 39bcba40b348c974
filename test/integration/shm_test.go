// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// shared are the samples of a container's shared memory in /metrics.
func shared(t *testing.T, p *testkit.Program, id string) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for series, v := range scrape(t, &p.Client) {
		if name, ok := strings.CutPrefix(series, "container_shm_"); ok && strings.Contains(series, "id=/docker/"+id) {
			name, _, _ = strings.Cut(name, "{")
			got[name] = v
		}
	}
	return got
}

func TestSharedMemoryEqualsDf(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	write := "mkdir -p /tmp/bin; cp /bin/busybox /tmp/bin/df; dd if=/dev/zero of=/dev/shm/f bs=1000 count=3000 2>/dev/null; sleep 600"
	private := d.Start([]string{"--name", d.Name("private"), "--ipc", "private", "--shm-size", "8m"}, "sh", "-c", write)
	shareable := d.Start([]string{"--name", d.Name("shareable"), "--ipc", "shareable", "--shm-size", "16m", "--user", "1000"}, "sleep", "600")
	joined := d.Start([]string{"--name", d.Name("joined"), "--ipc", "container:" + shareable}, "sleep", "600")
	none := d.Start([]string{"--name", d.Name("none"), "--ipc", "none"}, "sleep", "600")
	host := d.Start([]string{"--name", d.Name("host"), "--ipc", "host", "--shm-size", "8m"}, "sleep", "600")
	bound := d.Start([]string{"--name", d.Name("bound"), "-v", "/dev/shm:/dev/shm"}, "sleep", "600")
	program := testkit.StartProgram(t, testkit.DataDir(t))

	testkit.Eventually(t, 20*time.Second, "a private one equals df", func() error {
		out, err := d.May("exec", private, "/tmp/bin/df", "-P", "-B1", "/dev/shm")
		lines := strings.Split(out, "\n")
		if err != nil || len(lines) != 2 {
			return fmt.Errorf("df: %v %s", err, out)
		}
		f := strings.Fields(lines[1])
		got := shared(t, program, private)
		size, used, free := testkit.Number(t, f[1]), testkit.Number(t, f[2]), testkit.Number(t, f[3])
		if used < 3_000_000 {
			return fmt.Errorf("%v bytes are used, the file is not written yet", used)
		}
		if size != 8<<20 || got["limit_bytes"] != size || got["used_bytes"] != used || got["free_bytes"] != free || got["free_percent"] != 100*free/size {
			return fmt.Errorf("%v, df says %v of %v used, %v free", got, used, size, free)
		}
		return nil
	})
	if got := shared(t, program, shareable); got["limit_bytes"] != 16<<20 || got["used_bytes"] != 0 || got["free_percent"] != 100 {
		t.Errorf("the shareable one of another user: %v", got)
	}
	for what, id := range map[string]string{"another's": joined, "none": none, "the host's": host, "the host's by a mount": bound} {
		if got := shared(t, program, id); len(got) != 0 {
			t.Errorf("a container with %s has shared memory of its own: %v", what, got)
		}
	}
	var r struct {
		Features []struct{ ID, State, Detail, Reason string }
	}
	program.JSON("/api/tallyman/v1/doctor", &r)
	for _, f := range r.Features {
		if f.ID == "container/shm" {
			t.Logf("doctor: %s, %s %s", f.State, f.Detail, f.Reason)
			if !strings.Contains(f.Detail, "share that of the host or of another container") || f.Reason != "" && strings.Contains(f.Reason, "--ipc none") {
				t.Errorf("the doctor misses what is as it was wanted: %+v", f)
			}
		}
	}
}
