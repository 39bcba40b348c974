// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Missing skips a test that lacks something, and says what. In CI, where everything that
// tests need is set up, it fails the test.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format+"; it is needed in CI", args...)
	}
	t.Skipf(format, args...)
}

// Need is where a program is that a test cannot do without; get says how to have it.
func Need(t testing.TB, program, get string) (path string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Missing(t, "there is no %s: %s", program, get)
	}
	return path
}

// SmallDisk is a file system of its own of so many MiB, until the end of the test: ext4 in
// a file, or tmpfs where that cannot be mounted.
func SmallDisk(t testing.TB, mib int) string {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "a small file system needs root")
	}
	sweepDisks()
	home, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", diskPrefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeDisk(home) })
	dir, image := filepath.Join(home, "disk"), filepath.Join(home, "image")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	kind := "ext4"
	if _, err := Run(30*time.Second, nil, "sh", "-c", fmt.Sprintf("truncate -s %dM %s && mkfs.ext4 -q -m 0 %s && mount -o loop %s %s", mib, image, image, image, dir)); err != nil {
		kind = "tmpfs"
		if out, err := Run(10*time.Second, nil, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir); err != nil {
			Missing(t, "a small file system cannot be mounted: %s", out)
		}
	}
	t.Logf("a small %s of %d MiB", kind, mib)
	return dir
}

const diskPrefix = "tallyman-disk-"

func removeDisk(home string) {
	_, _ = Run(10*time.Second, nil, "umount", "-l", filepath.Join(home, "disk"))
	_ = os.RemoveAll(home)
}

// sweepDisks removes the small file systems of test processes that were killed before
// they could.
var sweepDisks = sync.OnceFunc(func() {
	homes, _ := filepath.Glob(filepath.Join(os.TempDir(), diskPrefix+"*"))
	for _, home := range homes {
		text, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(home), diskPrefix), "-")
		if pid, err := strconv.Atoi(text); err == nil && dead(pid) {
			removeDisk(home)
		}
	}
})

func dead(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
