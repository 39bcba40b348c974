// SPDX-License-Identifier: Apache-2.0

// Package floor reads containers at the lowest price that is known: kept
// descriptors, raw system calls into one buffer, scanners that only keep
// numbers in an array, no labels, no names, no checks. It is no collector; it
// is the measure that the collector is compared with, in the same run on the
// same containers.
//
// What each source costs and which ways were tried and lost (open-read-close
// each time 6 times dearer, os.ReadFile with maps 11 times, io_uring 1.5
// times, a goroutine per container no gain) is told in docs/performance.md.
//
// It needs root and runs on Linux with cgroup v1, hybrid or v2.
package floor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rows says what is read.
type Rows uint

// The rows of the metric table, by source.
const (
	CPU Rows = 1 << iota
	Memory
	Tasks
	Network
	BlockIO
	Pressure
	SharedMemory
	TCP
)

// Container is one container to read.
type Container struct {
	ID  string
	Pid int
}

// Floor holds the kept descriptors.
type Floor struct {
	rows       Rows
	containers []*container
	files      []file
	buf        []byte
	net        *hostNet
}

// container keeps the descriptors and the last numbers of one container.
type container struct {
	pid    int
	fds    []int
	shm    int
	tcp    *tcp
	Values [64]uint64
	n      int
	Net    [8]uint64 // received packets, sent packets, bytes, errors, drops as the host's end has them
	Shm    [2]uint64 // blocks, free blocks
}

type file struct {
	rows             Rows
	controller, name string
	parse            func([]byte, *container)
}

const root = "/sys/fs/cgroup"

func unified() bool {
	_, err := os.Stat(root + "/cgroup.controllers")
	return err == nil
}

func fileSet() []file {
	if unified() {
		return []file{
			{CPU, "", "cpu.stat", keyValues},
			{Memory, "", "memory.current", number},
			{Memory, "", "memory.max", number},
			{Memory, "", "memory.peak", number},
			{Memory, "", "memory.events", keyValues},
			{Memory, "", "memory.stat", wanted(statV2)},
			{Memory, "", "memory.swap.current", number},
			{Tasks, "", "pids.current", number},
			{BlockIO, "", "io.stat", readsAndWrites},
			{Pressure, "", "cpu.pressure", totals},
			{Pressure, "", "memory.pressure", totals},
			{Pressure, "", "io.pressure", totals},
		}
	}
	return []file{
		{CPU, "unified", "cpu.stat", keyValues},
		{CPU, "cpu", "cpu.stat", keyValues},
		{Memory, "memory", "memory.usage_in_bytes", number},
		{Memory, "memory", "memory.kmem.usage_in_bytes", number},
		{Memory, "memory", "memory.failcnt", number},
		{Memory, "memory", "memory.max_usage_in_bytes", number},
		{Memory, "memory", "memory.oom_control", keyValues},
		{Memory, "memory", "memory.stat", wanted(statV1)},
		{Tasks, "pids", "pids.current", number},
		{BlockIO, "blkio", "blkio.throttle.io_service_bytes_recursive", readsAndWrites},
		{BlockIO, "blkio", "blkio.throttle.io_serviced_recursive", readsAndWrites},
		{Pressure, "unified", "cpu.pressure", totals},
		{Pressure, "unified", "memory.pressure", totals},
		{Pressure, "unified", "io.pressure", totals},
	}
}

// Open opens everything of rows for the containers, which lie under the cgroup
// path that their pid has.
func Open(containers []Container, rows Rows) (*Floor, error) {
	f := &Floor{rows: rows, buf: make([]byte, 64<<10)}
	for _, one := range fileSet() {
		if rows&one.rows != 0 {
			f.files = append(f.files, one)
		}
	}
	for _, k := range containers {
		dir, err := cgroupDir(k)
		if err != nil {
			return nil, err
		}
		c := &container{pid: k.Pid, shm: -1}
		for _, one := range f.files {
			fd, err := unix.Open(filepath.Join(root, one.controller, dir, one.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				fd = -1
			}
			c.fds = append(c.fds, fd)
		}
		if rows&SharedMemory != 0 {
			c.shm, _ = unix.Open(fmt.Sprintf("/proc/%d/root/dev/shm", k.Pid), unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		f.containers = append(f.containers, c)
	}
	if rows&(Network|TCP) != 0 {
		if err := f.openNetlink(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func cgroupDir(k Container) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", k.Pid))
	if err != nil {
		return "", err
	}
	for line := range bytes.Lines(text) {
		if i := bytes.LastIndexByte(line, ':'); i >= 0 && bytes.Contains(line, []byte(k.ID)) {
			return string(bytes.TrimSpace(line[i+1:])), nil
		}
	}
	return "", fmt.Errorf("the process %d is not of container %.12s", k.Pid, k.ID)
}

// Round reads every container once.
func (f *Floor) Round() {
	for _, c := range f.containers {
		c.n = 0
		for i := range f.files {
			if c.fds[i] < 0 {
				continue
			}
			if k := pread(c.fds[i], f.buf); k > 0 {
				f.files[i].parse(f.buf[:k], c)
			}
		}
		if f.rows&TCP != 0 {
			c.tcp.read(f.buf)
		}
		if c.shm >= 0 {
			var st unix.Statfs_t
			if unix.Fstatfs(c.shm, &st) == nil {
				c.Shm = [2]uint64{st.Blocks, st.Bfree}
			}
		}
	}
	if f.rows&Network != 0 {
		f.net.read(f.buf)
	}
}

// Close closes everything.
func (f *Floor) Close() {
	for _, c := range f.containers {
		for _, fd := range append(c.fds, c.shm) {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}
		c.tcp.close()
	}
	f.net.close()
}

func pread(fd int, p []byte) int {
	n, _, e := syscall.RawSyscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	if e != 0 {
		return -1
	}
	return int(n)
}
