// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tallyman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestImageParts(t *testing.T) {
	for image, want := range map[string][2]string{
		"redis": {"redis", "latest"}, "redis:7.2": {"redis", "7.2"}, "library/redis": {"redis", "latest"}, "docker.io/library/redis:7": {"redis", "7"},
		"registry.example:5000/shop/api:1": {"shop/api", "1"}, "localhost/redis": {"redis", "latest"}, "bitnami/redis@sha256:abc": {"bitnami/redis", "latest"},
		"ghcr.io/a/b/c:x": {"a/b/c", "x"},
	} {
		name, tag := imageParts(image)
		if got := [2]string{name, tag}; got != want {
			t.Errorf("%s: %v, want %v", image, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:18EB": "127.0.0.1:6379", "00000000:0050": "0.0.0.0:80", "00000000000000000000000001000000:1F90": "[::1]:8080",
		"0000000000000000FFFF00000100007F:0001": "127.0.0.1:1",
	} {
		ip, port, ok := address(text)
		if got := netip.AddrPortFrom(ip, port).String(); !ok || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "x:1", "0100007F", "0100:1", "0100007F:zz"} {
		if _, _, ok := address(bad); ok {
			t.Errorf("%q is one", bad)
		}
	}
}

func TestNames(t *testing.T) {
	hosts := "127.0.0.1 localhost\n# 1.2.3.4 db\n10.0.0.5\tdb db.local # the database\n::1 localhost\nbad db\n"
	if d := cmp.Diff([]netip.Addr{netip.MustParseAddr("10.0.0.5")}, inHosts(hosts, "DB"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if got := nameServers("search x\nnameserver 127.0.0.11\nnameserver bad\nnameserver fe80::1%eth0\noptions ndots:0\n"); len(got) != 2 || got[0].String() != "127.0.0.11" {
		t.Errorf("name servers %v", got)
	}
}

func frame(stream byte, text string) []byte {
	head := []byte{stream, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head, text...)
}

func TestFrames(t *testing.T) {
	out, errs, err := frames(bytes.NewReader(append(append(frame(1, "one "), frame(2, "wrong")...), frame(1, "two")...)), 100, 3)
	if err != nil || string(out) != "one two" || string(errs) != "ong" {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	var fault *tallyman.ServiceError
	if _, _, err := frames(bytes.NewReader(frame(1, strings.Repeat("x", 101))), 100, 3); !errors.As(err, &fault) || fault.Fault != tallyman.LimitFault {
		t.Errorf("more than is allowed: %v", err)
	}
	if _, _, err := frames(bytes.NewReader(frame(1, "cut")[:9]), 100, 3); err == nil {
		t.Error("a frame that is cut is taken")
	}
	// A length that lies takes no memory.
	lie := frame(2, "")
	binary.BigEndian.PutUint32(lie[4:], 1<<31)
	if _, _, err := frames(bytes.NewReader(lie), 100, 3); err == nil {
		t.Error("a length that lies is taken")
	}
}

func TestConnect(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	dial := func(ctx context.Context, port int) (net.Conn, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return connect(ctx, fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	c, err := dial(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 5)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "hello" {
		t.Errorf("%q, %v", answer, err)
	}
	c.Close()
	l.Close()
	if _, err := dial(t.Context(), port); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("where nobody listens: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(ended, port); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// fake runs commands that never end of themselves.
type fake struct {
	r *io.PipeReader
	w *io.PipeWriter

	mu      sync.Mutex
	started int
	running bool
}

func (f *fake) Exec(context.Context, string, string, []string, string) (tallyman.Execution, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	f.r, f.w = io.Pipe()
	return f, nil
}
func (f *fake) Read(p []byte) (int, error) { return f.r.Read(p) }
func (f *fake) Close() error               { return f.r.Close() }
func (f *fake) Status(context.Context) (pid, code int, running bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 0, 0, f.running, nil
}

// While a command could not be ended no second one is started.
func TestNoSecondRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{running: true}
		v := Open(Options{Proc: t.TempDir(), Executor: f}, &tallyman.Container{}, Document{}).View(Policy{Exec: true})
		run := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := v.Exec(ctx, []string{"sleep"}, tallyman.ExecOptions{})
			return err
		}
		for range 3 {
			if err := run(); !errors.Is(err, errRunning) {
				t.Errorf("while it runs: %v", err)
			}
		}
		if f.started != 1 {
			t.Errorf("%d were started, want 1", f.started)
		}
		f.mu.Lock()
		f.running = false
		f.mu.Unlock()
		if err := run(); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errRunning) || f.started != 2 {
			t.Errorf("then: %v, %d started", err, f.started)
		}
	})
}

func TestPolicy(t *testing.T) {
	c := &tallyman.Container{ID: strings.Repeat("a", 64), Image: "redis", NetworkMode: "bridge", Networks: []tallyman.Network{{IP: "172.17.0.5"}}}
	f := &fake{}
	room := Open(Options{Proc: t.TempDir(), Executor: f}, c, Document{})
	defer room.Close()
	for _, one := range []struct {
		policy Policy
		ip     string
		ok     bool
	}{
		{Policy{}, "127.0.0.1", true}, {Policy{}, "172.17.0.5", true}, {Policy{}, "172.17.0.6", false}, {Policy{}, "8.8.8.8", false},
		{Policy{Elsewhere: true}, "8.8.8.8", true}, {Policy{Elsewhere: true}, "169.254.169.254", false}, {Policy{LinkLocal: true}, "169.254.169.254", true}, {Policy{}, "fe80::1", false},
	} {
		if err := room.View(one.policy).may(netip.MustParseAddr(one.ip), 80); (err == nil) != one.ok {
			t.Errorf("%+v to %s: %v", one.policy, one.ip, err)
		}
	}
	for _, one := range []struct {
		policy Policy
		o      tallyman.ExecOptions
	}{{Policy{}, tallyman.ExecOptions{}}, {Policy{Exec: true}, tallyman.ExecOptions{User: "root"}}} {
		if _, err := room.View(one.policy).Exec(t.Context(), []string{"true"}, one.o); !errors.Is(err, tallyman.ErrForbidden) {
			t.Errorf("%+v may run: %v", one.policy, err)
		}
	}
	// A command that goes on is left when its time is over.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := room.View(Policy{Exec: true}).Exec(ctx, []string{"sleep"}, tallyman.ExecOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command without end: %v", err)
	}
	// In the host's network nothing is its own that cannot be seen.
	host := Open(Options{Proc: t.TempDir()}, &tallyman.Container{NetworkMode: "host"}, Document{})
	if err := host.View(Policy{}).may(netip.MustParseAddr("127.0.0.1"), 22); err == nil {
		t.Error("it may go to a port of the host that is not its own")
	}
}

func TestGetenv(t *testing.T) {
	room := Open(Options{Proc: t.TempDir()}, &tallyman.Container{}, Document{Env: []string{"A=1", "B_FILE=/nowhere", "EMPTY="}})
	v := room.View(Policy{})
	for name, want := range map[string]string{"A": "1 true", "B": " false", "C": " false", "EMPTY": " true"} {
		got, ok := v.Getenv(name)
		if text := got + map[bool]string{true: " true", false: " false"}[ok]; text != want {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
	if _, err := v.ReadFile("/etc/passwd"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("without rights: %v", err)
	}
}
