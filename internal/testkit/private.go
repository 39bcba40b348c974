// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Engine is a dockerd of the test's own, beside the machine's, in a network and
// a mount namespace of its own, so that neither disturbs the other. It listens
// on a socket and, with TLS, on an address that this machine can reach. Its
// containers have a network of their own behind its bridge.
//
// It needs root, dockerd and the commands ip, unshare and nsenter.
type Engine struct {
	*Docker
	// Socket is its DOCKER_HOST on this machine.
	Socket string
	// Address is its DOCKER_HOST over the network; CA, Server and Client are
	// the certificates.
	Address string
	CA      *Authority
	Client  Pair

	t      testing.TB
	dir    string
	args   []string
	subnet string
	log    *logBuffer
	holder *exec.Cmd // keeps the namespaces over a restart
	cmd    *exec.Cmd
	done   chan struct{}
}

// NewEngine starts an engine; args are further flags of dockerd. Where
// that cannot be done, something is Missing.
func NewEngine(t testing.TB, args ...string) *Engine {
	t.Helper()
	NewDocker(t) // the image, and the reason to skip
	if reason := missing(); reason != "" {
		Missing(t, "no second Docker engine: %s", reason)
	}
	dir, err := os.MkdirTemp("", "tallyman-engine-") // short: there will be sockets below
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // remapped users go through it
		t.Fatal(err)
	}
	n := rand.IntN(64 * 256)
	e := &Engine{
		t: t, dir: dir, Socket: "unix://" + dir + "/docker.sock", subnet: fmt.Sprintf("10.%d.%d", 192+n/256, n%256),
		log: &logBuffer{}, CA: NewAuthority(t, "test engines"),
	}
	e.Address = "tcp://" + e.subnet + ".2:2376"
	server := e.CA.Issue(t, e.subnet+".2")
	e.Client = e.CA.Issue(t, "")
	e.args = append([]string{
		"--data-root", dir + "/data", "--exec-root", dir + "/exec", "--pidfile", dir + "/pid", "-H", e.Socket,
		"-H", "tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert", e.CA.File, "--tlscert", server.Cert, "--tlskey", server.Key,
		"--containerd-namespace", filepath.Base(dir), "--containerd-plugins-namespace", filepath.Base(dir) + "-plugins",
		"--storage-driver", "vfs", "--iptables=false", "--ip-masq=false", "--userland-proxy=false", "--bip", "172.31.255.1/24",
	}, args...)
	e.Docker = &Docker{t: t, Label: label(t), host: e.Socket}
	t.Cleanup(e.remove)
	e.hold()
	e.Run()
	layer, err := busybox()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := Run(60*time.Second, layer, "docker", "-H", e.Socket, "import", "-", Image); err != nil {
		t.Fatalf("docker import: %s", out)
	}
	return e
}

func missing() string {
	if os.Getuid() != 0 {
		return "not root"
	}
	for _, c := range []string{"dockerd", "ip", "unshare", "nsenter"} {
		if _, err := exec.LookPath(c); err != nil {
			return "no " + c + " command"
		}
	}
	return ""
}

// Run starts dockerd, again after Kill or Halt, and waits until it answers.
func (e *Engine) Run() {
	e.t.Helper()
	// One that was killed leaves its pid behind; so does its containerd, which
	// counts as alive where nobody reaps it.
	leftovers := []string{e.dir + "/pid"}
	if pid := e.containerd(); pid > 0 {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			leftovers = append(leftovers, e.dir+"/exec/containerd/containerd.pid")
		}
	}
	for _, name := range leftovers {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			e.t.Fatal(err)
		}
	}
	e.cmd = exec.Command("nsenter", append([]string{"-t", strconv.Itoa(e.holder.Process.Pid), "-n", "-m", "dockerd"}, e.args...)...)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	done := make(chan struct{})
	e.done = done
	cmd := e.cmd
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	Eventually(e.t, 40*time.Second, "the second engine answers", func() error {
		select {
		case <-done:
			e.t.Fatalf("dockerd has ended:\n%s", e.lastWords())
		default:
		}
		out, err := Run(10*time.Second, nil, "docker", "-H", e.Socket, "version", "--format", "{{.Server.Version}}")
		if err != nil {
			return errors.New(out)
		}
		return nil
	})
}

// hold makes the namespaces and connects the network with this machine's.
func (e *Engine) hold() {
	e.t.Helper()
	e.holder = exec.Command("unshare", "--net", "--mount", "sleep", "infinity")
	if err := e.holder.Start(); err != nil {
		e.t.Fatal(err)
	}
	pid := strconv.Itoa(e.holder.Process.Pid)
	Eventually(e.t, 5*time.Second, "the second engine has a network namespace of its own", func() error {
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return err
		}
		its, err := os.Readlink("/proc/" + pid + "/ns/net")
		if err == nil && its == own {
			err = errors.New("it shares ours")
		}
		return err
	})
	link := e.link()
	for _, argv := range [][]string{
		{"ip", "link", "add", link, "type", "veth", "peer", "name", "outside", "netns", pid},
		{"ip", "addr", "add", e.subnet + ".1/30", "dev", link},
		{"ip", "link", "set", link, "up"},
		{"nsenter", "-t", pid, "-n", "ip", "addr", "add", e.subnet + ".2/30", "dev", "outside"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "outside", "up"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "lo", "up"},
	} {
		if out, err := Run(10*time.Second, nil, argv...); err != nil {
			e.t.Fatalf("%s: %v %s", strings.Join(argv, " "), err, out)
		}
	}
}

// link is the name of this machine's end; 15 characters at most.
func (e *Engine) link() string { return "tm" + strings.ReplaceAll(e.subnet[3:], ".", "x") }

// Kill ends dockerd without warning. Its containers and its containerd go on.
func (e *Engine) Kill() { e.end(syscall.SIGKILL) }

// Halt stops dockerd and, without live-restore, its containers.
func (e *Engine) Halt() { e.end(syscall.SIGTERM) }

// PowerCut ends dockerd, its containerd and all processes of its containers without
// warning, as a machine does that loses its power.
func (e *Engine) PowerCut() {
	e.t.Helper()
	pids, err := e.May("ps", "-q")
	if err != nil {
		e.t.Fatal(pids)
	}
	var inside []int
	for _, id := range strings.Fields(pids) {
		pid, err := strconv.Atoi(strings.TrimSpace(e.Cmd("inspect", "-f", "{{.State.Pid}}", id)))
		if err == nil && pid > 0 {
			inside = append(inside, pid)
		}
	}
	e.Kill()
	if pid := e.containerd(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// Those of its shims that name its own directory.
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), "containerd-shim") || !strings.Contains(string(text), e.dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for _, pid := range inside { // the first process of each, which takes the others along
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Stall stops dockerd from running, or lets it go on.
func (e *Engine) Stall(on bool) {
	s := syscall.SIGCONT
	if on {
		s = syscall.SIGSTOP
	}
	if err := e.cmd.Process.Signal(s); err != nil {
		e.t.Fatal(err)
	}
}

func (e *Engine) end(s syscall.Signal) {
	select {
	case <-e.done:
		return
	default:
	}
	_ = e.cmd.Process.Signal(s)
	select {
	case <-e.done:
	case <-time.After(40 * time.Second):
		e.t.Errorf("dockerd did not end within 40 s of %v", s)
		_ = e.cmd.Process.Kill()
		<-e.done
	}
}

// remove removes everything.
func (e *Engine) remove() {
	if e.cmd != nil {
		select {
		case <-e.done:
			e.Run() // a living engine ends its containers
		default:
		}
		e.removeAll()
		e.end(syscall.SIGTERM)
	}
	_ = e.holder.Process.Kill()
	_ = e.holder.Wait()
	// The namespace may live on in something; its end of the wire must not.
	_, _ = Run(10*time.Second, nil, "ip", "link", "del", e.link())
	if pid := e.containerd(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	if e.t.Failed() {
		e.t.Logf("the end of the second engine's log:\n%s", e.lastWords())
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Logf("remove the second engine's directory: %v", err)
	}
}

// containerd is the pid of the engine's containerd, 0 when it has none.
func (e *Engine) containerd() int {
	text, err := os.ReadFile(e.dir + "/exec/containerd/containerd.pid")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text))) // half written is none
	return pid
}

// lastWords are the end of dockerd's log.
func (e *Engine) lastWords() string {
	text := e.log.String()
	return text[max(0, len(text)-3000):]
}
