// SPDX-License-Identifier: Apache-2.0

// Package nsx reaches into the namespaces of other processes: it makes sockets
// in the network of a container and opens directories of its file system.
// Nothing else in the tree enters a namespace.
//
// A [Process] is a container's process, held by a descriptor of its directory in
// /proc. Everything is opened below that descriptor, so that it belongs to this
// very process: once the process has ended, the descriptor leads nowhere, even
// if another process has got its pid. A pidfd would say no more, and it knows
// only processes of the caller's own pid namespace; the descriptor also works
// with a /proc that is mounted from elsewhere. [Open] compares the process'
// cgroup with the container's id once, which then holds for all that follows.
//
//	p, err := nsx.Open("/proc", pid, id)
//	defer p.Close()
//	fd, err := p.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_INET_DIAG)
//
// Errors are of three classes: tallyman.ErrGone for a process that has ended,
// [ErrPtrace] and [ErrAdmin] for a missing right, and all others.
//
// # Threads
//
// A network namespace is entered by a thread. [Process.Socket] does it on a thread
// of its own for as long as it takes to make the socket, which then stays in that
// namespace for life. A thread that cannot come back is thrown away. Mount and
// user namespaces are never entered.
//
// # Ownership
//
// What is returned belongs to the caller, closes on exec, and keeps its
// namespace or mount alive until it is closed: close it when the container dies.
// A Process belongs to one goroutine.
package nsx

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/kread"
)

var (
	// ErrPtrace says that the capability SYS_PTRACE is missing, without which
	// the namespaces and files of a process cannot be opened.
	ErrPtrace = errors.New("looking into its process is not permitted (SYS_PTRACE)")
	// ErrAdmin says that the capability SYS_ADMIN is missing, without which a
	// namespace cannot be entered.
	ErrAdmin = errors.New("entering its network is not permitted (SYS_ADMIN)")
)

// Denied reports whether err is for want of a right.
func Denied(err error) bool { return errors.Is(err, ErrPtrace) || errors.Is(err, ErrAdmin) }

// Process is a process of a container.
type Process struct {
	dir int
	pid int
}

// Open finds the process pid of container id in the proc file system at proc. It
// is tallyman.ErrGone when there is none, or when pid is no process of that
// container.
func Open(proc string, pid int, id string) (*Process, error) {
	dir, err := fsx.Retry(func() (int, error) {
		return unix.Open(filepath.Join(proc, strconv.Itoa(pid)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, class(err, ErrPtrace, "find process %d", pid)
	}
	p := &Process{dir: dir, pid: pid}
	cgroup, err := p.File("cgroup")
	if err != nil {
		p.Close()
		return nil, err
	}
	defer cgroup.Close()
	if text := cgroup.ReadAll(make([]byte, 64<<10)); !bytes.Contains(text, []byte(id)) {
		p.Close()
		return nil, tallyman.ErrGone
	}
	return p, nil
}

// Close forgets the process. What was opened through it stays open.
func (p *Process) Close() { _ = unix.Close(p.dir) }

// File opens a file of the process' directory in /proc for repeated reading.
func (p *Process) File(name string) (kread.File, error) {
	f, err := kread.OpenSlowAt(p.dir, name)
	if err != nil {
		return f, class(err, ErrPtrace, "open %s of process %d", name, p.pid)
	}
	return f, nil
}

// Directory opens a directory as the process sees it, as a descriptor that
// tells of it but reads nothing (O_PATH). Links are followed inside the
// process' root only. It is fs.ErrNotExist when there is no such directory.
func (p *Process) Directory(path string) (fd int, err error) {
	root, err := p.Root()
	if err != nil {
		return -1, err
	}
	defer root.Close()
	if fd, err = root.Directory(path); err != nil {
		return -1, fmt.Errorf("in the container: %w", err)
	}
	return fd, nil
}

// Root is the root directory of the process, below which files are opened as it
// sees them.
func (p *Process) Root() (*fsx.Root, error) {
	fd, err := fsx.Retry(func() (int, error) {
		return unix.Openat(p.dir, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, class(err, ErrPtrace, "open the root directory of process %d", p.pid)
	}
	return fsx.RootAt(fd), nil
}

// Socket makes a socket in the network namespace of the process.
func (p *Process) Socket(family, typ, protocol int) (fd int, err error) {
	ns, err := fsx.Retry(func() (int, error) { return unix.Openat(p.dir, "ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return -1, class(err, ErrPtrace, "open the network namespace of process %d", p.pid)
	}
	defer unix.Close(ns)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var lost bool
		fd, lost, err = socketIn(ns, family, typ|unix.SOCK_CLOEXEC, protocol)
		if lost {
			// The goroutine ends without unlocking its thread, which Go
			// then ends too.
			return
		}
		runtime.UnlockOSThread()
	}()
	<-done
	return fd, err
}

// socketIn locks the thread, enters ns, makes the socket and comes back. lost is
// set when it could not come back.
func socketIn(ns, family, typ, protocol int) (fd int, lost bool, err error) {
	runtime.LockOSThread()
	own, err := fsx.Retry(func() (int, error) {
		return unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, false, fmt.Errorf("open the own network namespace: %w", err)
	}
	defer unix.Close(own)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return -1, false, class(err, ErrAdmin, "enter a network namespace")
	}
	fd, err = unix.Socket(family, typ, protocol)
	if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
		if err == nil {
			_ = unix.Close(fd)
		}
		return -1, true, fmt.Errorf("come back from a network namespace: %w", back)
	}
	if err != nil {
		return -1, false, fmt.Errorf("make a socket: %w", err)
	}
	return fd, false, nil
}

// class gives an error of the kernel its class; denied is what the lack of a
// right means here.
func class(err, denied error, format string, args ...any) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return tallyman.ErrGone
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return denied
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
