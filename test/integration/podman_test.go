// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// podman runs commands of a Podman of the test's own, and its service, which
// answers Docker's API. It has no network of its own here, and runc, since crun
// refuses hybrid hosts.
func podman(t *testing.T) (socket string, run func(args ...string) string) {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil || os.Getuid() != 0 {
		testkit.Missing(t, "podman (Debian's package podman) and root are needed")
	}
	dir, err := os.MkdirTemp("", "tallyman-podman-") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	base := []string{"podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--runtime", "runc", "--cgroup-manager", "cgroupfs"}
	run = func(args ...string) string {
		t.Helper()
		out, err := testkit.Run(time.Minute, nil, append(base, args...)...)
		if err != nil {
			t.Fatalf("podman %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return out[strings.LastIndexByte(out, '\n')+1:]
	}
	socket = filepath.Join(dir, "s")
	service := exec.Command(base[0], append(base[1:], "system", "service", "-t", "0", "unix://"+socket)...)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = testkit.Run(time.Minute, nil, append(base, "rm", "-f", "-t", "0", "-a")...)
		_ = service.Process.Kill()
		_ = service.Wait()
		_, _ = testkit.Run(time.Minute, nil, "umount", "-l", filepath.Join(dir, "root/overlay"))
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove: %v", err)
		}
	})
	image := filepath.Join(dir, "image.tar")
	if out, err := testkit.Run(time.Minute, nil, "docker", "save", "-o", image, testkit.Image); err != nil {
		t.Fatalf("docker save: %s", out)
	}
	run("load", "-i", image)
	return socket, run
}

// Podman's engine: the same rows, from the same files.
func TestPodman(t *testing.T) {
	t.Parallel()
	testkit.NewDocker(t) // the image
	socket, run := podman(t)
	id := run("run", "-d", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "-m", "64m", "--name", "pod-one", "localhost/"+testkit.Image,
		"sh", "-c", "echo hello; head -c 5000000 /dev/zero >/dev/shm/f; exec sleep 600")
	pid := run("inspect", "-f", "{{.State.Pid}}", id)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", "unix://"+socket, "--interval", "1s")
	files := cgroupFilesOf(t, pid)
	equalOnceQuiet(t, p, id, files.memory)
	equalOnceQuiet(t, p, id, func() map[string]float64 {
		return map[string]float64{"container_spec_memory_limit_bytes": 64 << 20, "container_shm_used_bytes": 5001216, "container_threads": 1,
			"container_cpu_usage_seconds_total": testkit.ReadKeys(t, filepath.Join(unifiedRoot(), files.unified, "cpu.stat"))["usage_usec"] * 1e-6}
	})
	if got := exposedStates(t, p, id); len(got) == 0 {
		t.Error("no TCP states")
	}
	testkit.Eventually(t, 20*time.Second, "its log comes through the engine", func() error {
		if got := p.Lines(selector(id)); len(got) != 1 || got[0] != "hello" {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	run("stop", "-t", "0", "pod-one")
	waitFor(t, p, id, "it has ended", func(c container) bool { return c.State == "exited" })
	run("rm", "pod-one")
	waitFor(t, p, id, "it is gone", func(c container) bool { return c.State == "gone" })
}

// unifiedRoot is where the hierarchy of cgroup v2 is mounted.
func unifiedRoot() string {
	if v2Only() {
		return "/sys/fs/cgroup"
	}
	return "/sys/fs/cgroup/unified"
}
