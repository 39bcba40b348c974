// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everything is an id that every cgroup has in its name.
const everything = ":"

func TestGone(t *testing.T) {
	f := func(pid int, id string) {
		t.Helper()
		if p, err := Open("/proc", pid, id); !errors.Is(err, tallyman.ErrGone) {
			t.Errorf("process %d of %q: %v, %v; want ErrGone", pid, id, p, err)
		}
	}
	f(1<<22+1, everything)         // there is no such pid
	f(os.Getpid(), "no such name") // it belongs to nobody's container
}

func TestASocketIsInTheOtherNetwork(t *testing.T) {
	other := testkit.NewNamespace(t)
	p, err := Open("/proc", other.Pid, everything)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	before := usage(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				fd, err := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					t.Error(err)
					return
				}
				_ = unix.Close(fd)
			}
		})
	}
	wg.Wait()
	if after := usage(t); after.files != before.files || after.threads > before.threads+16 {
		t.Errorf("before %+v, after 400 sockets %+v", before, after)
	}
	// Every thread is in the network it was in.
	own := Network("/proc/self")
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil || own == "" {
		t.Fatal(own, err)
	}
	for _, task := range tasks {
		if n := Network(task); n != "" && n != own {
			t.Errorf("thread %s is in %s, want %s", filepath.Base(task), n, own)
		}
	}
	// A port of the other network is not one of this one.
	fd, err := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the socket stays open on exec: %x, %v", flags, err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: 7}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	f, err := p.File("net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text := string(f.ReadAll(make([]byte, 1<<16))); !strings.Contains(text, ":0007 ") {
		t.Errorf("the other network does not have the port:\n%s", text)
	}
	// A process that has ended leads nowhere, whoever has its pid now.
	other.End()
	if _, err := p.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); !errors.Is(err, tallyman.ErrGone) {
		t.Errorf("a socket of an ended process: %v, want ErrGone", err)
	}
	if _, err := p.Directory("/"); !errors.Is(err, tallyman.ErrGone) {
		t.Errorf("a directory of an ended process: %v, want ErrGone", err)
	}
	if _, err := p.File("cgroup"); !errors.Is(err, tallyman.ErrGone) {
		t.Errorf("a file of an ended process: %v, want ErrGone", err)
	}
}

type used struct{ files, threads int }

func usage(t *testing.T) (u used) {
	t.Helper()
	for name, n := range map[string]*int{"fd": &u.files, "task": &u.threads} {
		list, err := os.ReadDir("/proc/self/" + name)
		if err != nil {
			t.Fatal(err)
		}
		*n = len(list)
	}
	return u
}

// tree makes a proc file system with one process that has a root of its own.
func tree(t *testing.T) (proc, root string) {
	t.Helper()
	proc = t.TempDir()
	root = filepath.Join(proc, "42/root")
	if err := errors.Join(os.MkdirAll(root, 0o700), os.WriteFile(filepath.Join(proc, "42/cgroup"), []byte("0::/docker/c0ffee\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return proc, root
}

func TestLinksStayInsideTheContainer(t *testing.T) {
	proc, root := tree(t)
	outside := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(root, "inside"), 0o700),
		os.Symlink("/inside", filepath.Join(root, "good")),
		os.Symlink(outside, filepath.Join(root, "absolute")),
		os.Symlink("../../../../../../"+outside, filepath.Join(root, "relative")),
		os.WriteFile(filepath.Join(root, "file"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	p, err := Open(proc, 42, "c0ffee")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fd, err := p.Directory("/good")
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		t.Skip("no openat2 here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	_ = unix.Close(fd)
	if want := filepath.Join(root, "inside"); err != nil || got != want {
		t.Errorf("/good is %s, %v; want %s", got, err, want)
	}
	for _, name := range []string{"/absolute", "/relative", "/missing"} {
		if fd, err := p.Directory(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %d, %v; want that it does not exist", name, fd, err)
		}
	}
	if fd, err := p.Directory("/file"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("/file: %d, %v; want ENOTDIR", fd, err)
	}
}

func TestClasses(t *testing.T) {
	f := func(err error, want error, denied bool) {
		t.Helper()
		got := class(err, ErrPtrace, "try")
		if !errors.Is(got, want) || Denied(got) != denied {
			t.Errorf("%v becomes %v, denied %v; want %v, %v", err, got, Denied(got), want, denied)
		}
	}
	f(unix.ENOENT, tallyman.ErrGone, false)
	f(unix.ESRCH, tallyman.ErrGone, false)
	f(unix.EACCES, ErrPtrace, true)
	f(unix.EPERM, ErrPtrace, true)
	f(unix.EMFILE, unix.EMFILE, false)
}

func TestBorrowed(t *testing.T) {
	self := &tallyman.Container{Pid: os.Getpid()}
	f := func(mode, host, want string) {
		t.Helper()
		c := *self
		c.NetworkMode = mode
		reason, borrowed := Borrowed("/proc", host, &c)
		if borrowed != (want != "") || !strings.Contains(reason, want) || borrowed && !strings.HasPrefix(reason, "It shares ") {
			t.Errorf("%s with host %q: %q, %v; want %q", mode, host, reason, borrowed, want)
		}
	}
	f("bridge", "", "")
	f("bridge", "net:[1]", "")
	f("host", "", "of the host")
	f("container:0123456789abcdef", "", "container 0123456789ab;")
	f("bridge", Network("/proc/"+strconv.Itoa(os.Getpid())), "of the host") // the engine calls it otherwise
}
