// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// image is built once and stays; it is the same each time.
const image = "tallyman-test/busybox"

// docker runs containers of one test.
type docker struct {
	t     *testing.T
	label string
}

// newDocker skips the test when there is no engine, and fails it in CI.
func newDocker(t *testing.T) *docker {
	t.Helper()
	if reason := imageReady(); reason != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("a real Docker engine is needed in CI: %s", reason)
		}
		t.Skipf("no Docker engine: %s", reason)
	}
	d := &docker{t: t, label: fmt.Sprintf("tallyman.test=%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())}
	t.Cleanup(d.removeAll)
	return d
}

// imageReady builds the image when it is missing and says why it cannot.
var imageReady = sync.OnceValue(func() string {
	if _, err := exec.LookPath("docker"); err != nil {
		return "no docker command"
	}
	if out, err := run(20*time.Second, nil, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return "docker version: " + out
	}
	if _, err := run(20*time.Second, nil, "docker", "image", "inspect", image); err == nil {
		return ""
	}
	layer, err := busybox()
	if err != nil {
		return err.Error()
	}
	if out, err := run(60*time.Second, layer, "docker", "import", "-", image); err != nil {
		return "docker import: " + out
	}
	return ""
})

// busybox is a file system with a static busybox and links to its applets.
func busybox() ([]byte, error) {
	binary, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("a static busybox is needed (package busybox-static): %w", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"bin/", "etc/", "tmp/", "proc/", "sys/", "dev/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: mode}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(binary))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	for _, applet := range strings.Fields("sh cat dd echo env false grep head httpd kill ls mkdir nc ps sed seq sleep tail test true wc wget yes") {
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	if err := w.WriteHeader(&tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))}); err != nil {
		return nil, err
	}
	if _, err := w.Write([]byte(passwd)); err != nil {
		return nil, err
	}
	return buf.Bytes(), w.Close()
}

// run runs a command on this host.
func run(timeout time.Duration, stdin []byte, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// cmd runs a docker command that must succeed.
func (d *docker) cmd(argv ...string) string {
	d.t.Helper()
	out, err := run(60*time.Second, nil, append([]string{"docker"}, argv...)...)
	if err != nil {
		d.t.Fatalf("docker %s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// may runs a docker command that may fail.
func (d *docker) may(argv ...string) (string, error) {
	return run(60*time.Second, nil, append([]string{"docker"}, argv...)...)
}

// name is a container name of this run.
func (d *docker) name(s string) string {
	return "tallyman-test-" + s + "-" + d.label[strings.LastIndexByte(d.label, '-')+1:]
}

// start runs a container in the background and returns its full id. options
// come before the image, argv after it.
func (d *docker) start(options []string, argv ...string) string {
	d.t.Helper()
	args := append([]string{"run", "-d", "--label", d.label}, options...)
	return d.cmd(append(append(args, image), argv...)...)
}

// removeAll removes the containers of this test.
func (d *docker) removeAll() {
	out, err := d.may("ps", "-aq", "--no-trunc", "--filter", "label="+d.label)
	if err != nil {
		d.t.Logf("cannot list the containers to remove: %s", out)
		return
	}
	for _, id := range strings.Fields(out) {
		if out, err := d.may("rm", "-f", "-v", id); err != nil {
			d.t.Logf("cannot remove %s: %s", id, out)
		}
	}
}

// dataDir is a folder with the rights that the program's own has.
func dataDir(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
