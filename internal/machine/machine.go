// SPDX-License-Identifier: Apache-2.0

// Package machine knows the machine that tallyman runs on: where the host is found from
// here, in a container or not, what memory and how many descriptors tallyman itself may
// use, and how it stays small there.
package machine

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"tallyman/internal/fsx"
)

// Machine is where tallyman runs, and where it finds the host from there.
//
//	             on the host    in a container
//	/proc        /proc          $HOST_PROC, /host/proc, or /proc with --pid=host
//	/sys         /sys           $HOST_SYS, /host/sys, that of the host's root, or /sys
//	cgroups      /sys/fs/cgroup $HOST_SYS/fs/cgroup, /host/sys/fs/cgroup
//	/            /              /rootfs, or that of the host's init
type Machine struct {
	Container bool
	// Proc, Sys and Cgroup are the host's file systems.
	Proc, Sys, Cgroup string
	// Init is the directory of the host's first process under Proc, empty
	// where it cannot be seen.
	Init string
	// Root is the host's root directory, empty where it cannot be reached.
	Root string
	// Memory is the host's physical memory in bytes, 0 when it is not known.
	Memory uint64
	root   *os.File // keeps Root reachable
	// Limit is the memory that tallyman itself may use, in bytes, 0 without a
	// limit.
	Limit uint64
}

// Here finds out where tallyman runs; env is its environment.
func Here(env func(string) string) Machine {
	m := Machine{Container: inContainer()}
	m.Proc = firstOf(env("HOST_PROC"), "/host/proc", "/proc")
	m.Cgroup = firstOf(filepath.Join(cmp.Or(env("HOST_SYS"), "/host/sys"), "fs/cgroup"), "/sys/fs/cgroup")
	m.Init = m.hostInit()
	switch {
	case exists("/rootfs"):
		m.Root = "/rootfs"
	case !m.Container:
		m.Root = "/"
	case m.Init != "":
		if m.root = m.hostRoot(); m.root != nil {
			m.Root = fmt.Sprintf("/proc/self/fd/%d", m.root.Fd())
		}
	}
	// /host/sys is there as soon as something below it is mounted.
	m.Sys = "/sys"
	for _, dir := range []string{env("HOST_SYS"), "/host/sys", m.Root + "/sys"} {
		if dir != "" && exists(filepath.Join(dir, "class/net")) {
			m.Sys = dir
			break
		}
	}
	m.Memory = memoryOf(m.Proc)
	m.Limit = ownLimit("/proc/self/cgroup", m.Cgroup, "/sys/fs/cgroup")
	if m.Memory > 0 && m.Limit >= m.Memory {
		m.Limit = 0
	}
	return m
}

// inContainer reports whether a container engine has started us: it leaves a
// mark, and mounts some files under /etc. The mark alone may come from the image
// that a machine was made of.
func inContainer() bool {
	if !exists("/.dockerenv") && !exists("/run/.containerenv") {
		return false
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && (bytes.Contains(text, []byte(" /etc/hostname ")) || bytes.Contains(text, []byte(" /etc/hosts ")))
}

// hostRoot opens the root directory of the host: that of its first process or,
// where that one is guarded, of another with the same mounts. It needs
// SYS_PTRACE. Held open it stays, whatever becomes of the process.
func (m Machine) hostRoot() *os.File {
	mounts, err := rootMount(m.Init)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(m.Proc)
	if err != nil {
		return nil
	}
	pids := []string{"1"}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 1 {
			pids = append(pids, e.Name())
		}
	}
	for _, pid := range pids {
		dir := filepath.Join(m.Proc, pid)
		if own, err := rootMount(dir); err != nil || own != mounts {
			continue
		}
		if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
			continue // a thread of the kernel, whose root is the one before the first mount; or a guarded one
		}
		f, err := os.OpenFile(filepath.Join(dir, "root"), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err == nil {
			return f
		}
	}
	return nil
}

// rootMount is the line of a process' mountinfo for its root directory. Its
// number is the mount's own: who has the same is in the same namespace.
func rootMount(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return line, nil
		}
	}
	return "", os.ErrNotExist
}

// Path is where a path of the host is found from here, empty when it is not:
// mounted under /host, here when this is the host, or below its root.
func (m Machine) Path(name string) string {
	if root := m.Below(name); root != "" {
		return filepath.Join(root, name)
	}
	return ""
}

// Below is the directory below which a path of the host is found.
func (m Machine) Below(name string) string {
	roots := []string{"/host"}
	if !m.Container {
		roots = append(roots, "/")
	}
	if m.Root != "" {
		roots = append(roots, m.Root)
	}
	for _, root := range roots {
		if exists(filepath.Join(root, name)) {
			return root
		}
	}
	return ""
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func firstOf(names ...string) string {
	for _, n := range names[:len(names)-1] {
		if n != "" && exists(n) {
			return n
		}
	}
	return names[len(names)-1]
}

// hostInit is the directory of the host's first process. In a container with
// processes of its own, the first one is of that container: it has our cgroup.
func (m Machine) hostInit() string {
	dir := filepath.Join(m.Proc, "1")
	if !exists(dir) {
		return ""
	}
	if m.Container && m.Proc == "/proc" {
		first, err1 := os.ReadFile("/proc/1/cgroup")
		own, err2 := os.ReadFile("/proc/self/cgroup")
		if err1 != nil || err2 != nil || bytes.Equal(first, own) {
			return ""
		}
	}
	return dir
}

// memoryOf is the physical memory in bytes, 0 when it cannot be read.
func memoryOf(proc string) uint64 {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return 0
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemTotalBytes == nil {
		return 0
	}
	return *m.MemTotalBytes
}

// ownLimit is the tightest memory limit of our cgroup and its parents, 0
// without one. roots are where the cgroups may be mounted: a container sees its
// own as the root.
func ownLimit(self string, roots ...string) uint64 {
	text, err := os.ReadFile(self)
	if err != nil {
		return 0
	}
	limit := uint64(0)
	take := func(name string) {
		b, err := os.ReadFile(name)
		if err != nil {
			return
		}
		n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && n > 0 && n < 1<<62 && (limit == 0 || n < limit) { // v1 writes "no limit" as a great number
			limit = n
		}
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		dir, file := "", "memory.max"
		switch {
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			dir, file = "memory", "memory.limit_in_bytes"
		case f[0] != "0":
			continue
		}
		for _, root := range roots {
			for at := filepath.Clean("/" + f[2]); ; at = filepath.Dir(at) {
				take(filepath.Join(root, dir, at, file))
				if at == "/" {
					break
				}
			}
		}
	}
	return limit
}

// LimitMemory keeps the garbage collector below 85 % of the memory limit, if there is
// one and the environment (GOMEMLIMIT) says nothing else. enough is how much tallyman
// should have, in bytes; less is told.
func (m Machine) LimitMemory(env func(string) string, enough uint64, log *slog.Logger) {
	if m.Limit == 0 || env("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(int64(m.Limit / 100 * 85))
	if m.Limit < enough {
		log.Warn("the memory limit is low: with many containers tallyman will be slow or be killed; give it more (docker run -m, MemoryMax)",
			"limit", m.Limit, "enough", enough)
	}
}

// HostName is the name of the host: the configured one, but in a container, whose
// default is a name of its own, what the host's /etc/hostname says, else what ask says,
// else what one of them said before. That is kept in a file, so that the series of a
// host go on under one name.
func (m Machine) HostName(configured, kept string, ask func() string) string {
	if own, err := os.Hostname(); !m.Container || err != nil || configured != own {
		return configured
	}
	name := ""
	if m.Root != "" {
		b, err := os.ReadFile(filepath.Join(m.Root, "etc/hostname"))
		if name = strings.TrimSpace(string(b)); err != nil || !plausible(name) {
			name = ""
		}
	}
	if name == "" {
		name = ask()
	}
	if plausible(name) {
		_ = fsx.WriteFile(kept, []byte(name+"\n"), 0o600) // the next start asks again
		return name
	}
	b, err := os.ReadFile(kept)
	if name = strings.TrimSpace(string(b)); err != nil || !plausible(name) {
		return configured
	}
	return name
}

// plausible reports whether a name may be a host's.
func plausible(name string) bool {
	return name != "" && len(name) <= 253 && !strings.ContainsAny(name, " \t\n/\"") && name != "localhost"
}

// BootTime is when the machine was started, zero when it cannot be read.
func BootTime(proc string) time.Time {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return time.Time{}
	}
	st, err := fs.Stat()
	if err != nil || st.BootTime == 0 {
		return time.Time{}
	}
	return time.Unix(int64(st.BootTime), 0)
}
