// SPDX-License-Identifier: Apache-2.0

// Package testkit helps tests that need a real Docker engine. It builds an image
// from the host's static busybox, without a registry, gives every container a
// label of the test, touches nothing without it, and removes everything at the
// end.
//
// Without an engine a test is skipped with the reason; with CI=true in the
// environment that is a failure.
package testkit

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Image is built once and stays; it is the same each time.
const Image = "tallyman-test/busybox"

const labelKey = "tallyman.test"

// label is on every container of a test. It ends with the process that made it
// and the time.
func label(t testing.TB) string {
	return fmt.Sprintf("%s=%s-%d-%d", labelKey, strings.ReplaceAll(t.Name(), "/", "-"), os.Getpid(), time.Now().UnixNano())
}

// Docker runs containers of one test.
type Docker struct {
	t testing.TB
	// Label is on every container of the test.
	Label string
	host  string // DOCKER_HOST, empty for the machine's
}

// NewDocker takes the machine's engine; where there is none, something is Missing.
func NewDocker(t testing.TB) *Docker {
	t.Helper()
	if reason := imageReady(); reason != "" {
		Missing(t, "no Docker engine: %s", reason)
	}
	sweep()
	d := &Docker{t: t, Label: label(t)}
	t.Cleanup(d.removeAll)
	return d
}

// imageReady builds the image when it is missing and says why it cannot.
var imageReady = sync.OnceValue(func() string {
	if _, err := exec.LookPath("docker"); err != nil {
		return "no docker command"
	}
	if out, err := Run(20*time.Second, nil, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return "docker version: " + out
	}
	if _, err := Run(20*time.Second, nil, "docker", "image", "inspect", Image); err == nil {
		return ""
	}
	layer, err := busybox()
	if err != nil {
		return err.Error()
	}
	if out, err := Run(60*time.Second, layer, "docker", "import", "-", Image); err != nil {
		return "docker import: " + out
	}
	return ""
})

// sweep removes the containers of test processes that were killed before they
// could.
var sweep = sync.OnceFunc(func() {
	out, err := Run(20*time.Second, nil, "docker", "ps", "-a", "--no-trunc", "--filter", "label="+labelKey, "--format", `{{.ID}} {{.Label "`+labelKey+`"}}`)
	if err != nil {
		return // the test that needs the engine says so
	}
	for line := range strings.Lines(out) {
		id, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Split(value, "-")
		if len(words) < 3 {
			continue
		}
		pid, err := strconv.Atoi(words[len(words)-2])
		if err != nil || !dead(pid) {
			continue
		}
		_, _ = Run(20*time.Second, nil, "docker", "rm", "-f", "-v", id) // what stays is only in the way
	}
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

// Run runs a command on this host.
func Run(timeout time.Duration, stdin []byte, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Cmd runs a docker command that must succeed.
func (d *Docker) Cmd(argv ...string) string {
	d.t.Helper()
	out, err := d.May(argv...)
	if err != nil {
		d.t.Fatalf("docker %s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// May runs a docker command that may fail.
func (d *Docker) May(argv ...string) (string, error) {
	return Run(60*time.Second, nil, d.argv(argv)...)
}

// Pause pauses a container. On a busy machine the kernel may not freeze it at once,
// which the engine refuses then.
func (d *Docker) Pause(name string) {
	d.t.Helper()
	Eventually(d.t, time.Minute, name+" is paused", func() error {
		out, err := d.May("pause", name)
		if err != nil && !strings.Contains(out, "already paused") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// Command is a docker command that goes on; whoever starts it ends it.
func (d *Docker) Command(argv ...string) *exec.Cmd {
	argv = d.argv(argv)
	return exec.Command(argv[0], argv[1:]...)
}

func (d *Docker) argv(argv []string) []string {
	command := []string{"docker"}
	if d.host != "" {
		command = append(command, "-H", d.host)
	}
	return append(command, argv...)
}

// Name is a container name of this run.
func (d *Docker) Name(s string) string {
	return "tallyman-test-" + s + "-" + d.Label[strings.LastIndexByte(d.Label, '-')+1:]
}

// Start runs a container in the background and returns its full id. options
// come before the image, argv after it.
func (d *Docker) Start(options []string, argv ...string) string {
	d.t.Helper()
	args := append([]string{"run", "-d", "--label", d.Label}, options...)
	return d.Cmd(append(append(args, Image), argv...)...)
}

// Service are the options that make a container of a name a service of a Compose project
// and how its workload is called. One without is plain, and where other tests start many
// of those it is taken for a job when it ends.
func Service(name, project string) (options []string, workload string) {
	return []string{"--name", name, "--label", "com.docker.compose.project=" + project, "--label", "com.docker.compose.service=web", "--label", "com.docker.compose.container-number=1"}, project + "/web/1"
}

// removeAll removes the containers of this test.
// OutOfMemory starts a container that the kernel kills for want of memory, and waits for its
// end. On a busy machine an engine of 20.10 may see the exit before its watcher of the cgroup
// sees the reason, and what it does not know nobody can tell: then another one is started.
func (d *Docker) OutOfMemory() (id string) {
	d.t.Helper()
	for range 10 {
		id = d.Start([]string{"-m", "16m", "--memory-swap", "16m"}, "sh", "-c", "sleep 1; exec tail /dev/zero")
		d.Cmd("wait", id)
		if d.Cmd("inspect", "-f", "{{.State.OOMKilled}}", id) == "true" {
			return id
		}
	}
	d.t.Fatal("the engine never noticed that a container was killed for want of memory")
	return ""
}

func (d *Docker) removeAll() {
	out, err := d.May("ps", "-aq", "--no-trunc", "--filter", "label="+d.Label)
	if err != nil {
		d.t.Logf("cannot list the containers to remove: %s", out)
		return
	}
	for _, id := range strings.Fields(out) {
		if out, err := d.May("rm", "-f", "-v", id); err != nil {
			d.t.Logf("cannot remove %s: %s", id, out)
		}
	}
}
