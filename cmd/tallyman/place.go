// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
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

	"tallyman/config"
	"tallyman/doctor"
	"tallyman/internal/dockerapi"
	"tallyman/internal/fsx"
)

// place is where tallyman runs, and where it finds the host from there.
//
//	             on the host    in a container
//	/proc        /proc          $HOST_PROC, /host/proc, or /proc with --pid=host
//	/sys         /sys           $HOST_SYS, /host/sys, that of the host's root, or /sys
//	cgroups      /sys/fs/cgroup $HOST_SYS/fs/cgroup, /host/sys/fs/cgroup
//	/            /              /rootfs, or that of the host's init
type place struct {
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

// here finds out where tallyman runs; env is its environment.
func here(env func(string) string) place {
	p := place{Container: inContainer()}
	p.Proc = firstOf(env("HOST_PROC"), "/host/proc", "/proc")
	p.Cgroup = firstOf(filepath.Join(cmp.Or(env("HOST_SYS"), "/host/sys"), "fs/cgroup"), "/sys/fs/cgroup")
	p.Init = p.hostInit()
	switch {
	case exists("/rootfs"):
		p.Root = "/rootfs"
	case !p.Container:
		p.Root = "/"
	case p.Init != "":
		if p.root = p.hostRoot(); p.root != nil {
			p.Root = fmt.Sprintf("/proc/self/fd/%d", p.root.Fd())
		}
	}
	// /host/sys is there as soon as something below it is mounted.
	p.Sys = "/sys"
	for _, dir := range []string{env("HOST_SYS"), "/host/sys", p.Root + "/sys"} {
		if dir != "" && exists(filepath.Join(dir, "class/net")) {
			p.Sys = dir
			break
		}
	}
	p.Memory = memoryOf(p.Proc)
	p.Limit = ownLimit("/proc/self/cgroup", p.Cgroup, "/sys/fs/cgroup")
	if p.Memory > 0 && p.Limit >= p.Memory {
		p.Limit = 0
	}
	return p
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
func (p place) hostRoot() *os.File {
	mounts, err := rootMount(p.Init)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(p.Proc)
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
		dir := filepath.Join(p.Proc, pid)
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

// path is where a path of the host is found from here, empty when it is not:
// mounted under /host, here when this is the host, or below its root.
func (p place) path(name string) string {
	if root := p.below(name); root != "" {
		return filepath.Join(root, name)
	}
	return ""
}

// below is the directory below which a path of the host is found.
func (p place) below(name string) string {
	roots := []string{"/host"}
	if !p.Container {
		roots = append(roots, "/")
	}
	if p.Root != "" {
		roots = append(roots, p.Root)
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
func (p place) hostInit() string {
	dir := filepath.Join(p.Proc, "1")
	if !exists(dir) {
		return ""
	}
	if p.Container && p.Proc == "/proc" {
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

// limitMemory keeps the garbage collector within the memory limit, if there is one.
func (p place) limitMemory(log *slog.Logger) {
	if p.Limit == 0 || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(int64(p.Limit / 100 * 85))
	if p.Limit < doctor.EnoughMemory {
		log.Warn("the memory limit is low: with many containers tallyman will be slow or be killed; give it more (docker run -m, MemoryMax)",
			"limit", p.Limit, "enough", doctor.EnoughMemory)
	}
}

// hostName is the name of the host: the configured one, but in a container,
// whose default is a name of its own, what the host's /etc/hostname says, else what the local engine says,
// else what one of them said before. It is kept in the data directory, so that
// the series of a host go on under one name.
func (p place) hostName(ctx context.Context, cfg config.Config) string {
	if own, err := os.Hostname(); !p.Container || err != nil || cfg.Host != own {
		return cfg.Host
	}
	kept := filepath.Join(cfg.Data, "host")
	name := ""
	if p.Root != "" {
		b, err := os.ReadFile(filepath.Join(p.Root, "etc/hostname"))
		if name = strings.TrimSpace(string(b)); err != nil || !plausible(name) {
			name = ""
		}
	}
	if name == "" {
		name = engineHost(ctx, cfg)
	}
	if name != "" {
		_ = fsx.WriteFile(kept, []byte(name+"\n"), 0o600) // the next start asks again
		return name
	}
	b, err := os.ReadFile(kept)
	if name = strings.TrimSpace(string(b)); err != nil || !plausible(name) {
		return cfg.Host
	}
	return name
}

// plausible reports whether a name may be a host's.
func plausible(name string) bool {
	return name != "" && len(name) <= 253 && !strings.ContainsAny(name, " \t\n/\"") && name != "localhost"
}

// engineHost asks the local engine for its machine's name.
func engineHost(ctx context.Context, cfg config.Config) string {
	endpoints, err := cfg.Endpoints()
	if err != nil {
		return ""
	}
	for _, e := range endpoints {
		if !strings.HasPrefix(e.Address, "unix://") {
			continue
		}
		c, err := dockerapi.New(e.Address, dockerapi.Options{APIVersion: e.APIVersion})
		if err != nil {
			return ""
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		info, err := c.Info(ctx)
		if err != nil || !plausible(info.Name) {
			return ""
		}
		return info.Name
	}
	return ""
}
