// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tallyman"
)

// hierarchy is how the host has mounted its cgroups.
type hierarchy struct {
	root string
	// unified is set when root itself is a cgroup v2 mount. Else root holds
	// one directory per v1 controller, and in hybrid mode "unified".
	unified bool
	hybrid  bool
}

// detect looks at the file system type of root.
func detect(root string) (hierarchy, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return hierarchy{}, fmt.Errorf("look at the cgroup mount %s: %w", root, err)
	}
	h := hierarchy{root: root, unified: st.Type == unix.CGROUP2_SUPER_MAGIC}
	if !h.unified {
		h.hybrid = unix.Statfs(filepath.Join(root, "unified"), &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
	}
	return h, nil
}

// paths are the cgroup directories of one process: "" for v2, else by
// controller ("memory", "cpu", …).
type paths map[string]string

// rootPaths are the directories of the root cgroup.
func rootPaths(h hierarchy) paths {
	if h.unified {
		return paths{"": h.root}
	}
	p := paths{}
	for _, c := range []string{"cpu", "cpuacct", "memory", "pids", "blkio"} {
		p[c] = filepath.Join(h.root, c)
	}
	if h.hybrid {
		p[""] = filepath.Join(h.root, "unified")
	}
	return p
}

// parsePaths reads the text of /proc/<pid>/cgroup: lines of
// "id:controller,controller:/path", the id 0 being cgroup v2. Only paths that
// name the container are taken, cut after the element that does: its init may
// have moved into a child of its own (systemd inside a container, Podman on
// v2), and the container is the whole.
func parsePaths(text, containerID string) paths {
	p := paths{}
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		at := strings.LastIndex(f[2], containerID)
		if at < 0 {
			continue
		}
		dir := f[2]
		if n := strings.IndexByte(dir[at:], '/'); n >= 0 {
			dir = dir[:at+n]
		}
		if f[0] == "0" {
			p[""] = dir
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			p[c] = dir
		}
	}
	return p
}

// resolve finds the cgroup directories of a container on disk. The pid is
// proved to belong to the container by the id in its cgroup path; a pid that
// is gone or was taken by another process gives tallyman.ErrGone.
func (h hierarchy) resolve(proc string, pid int, containerID string) (paths, error) {
	name := filepath.Join(proc, strconv.Itoa(pid), "cgroup")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, tallyman.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("find the cgroup of container %.12s: %w", containerID, err)
	}
	p := parsePaths(string(text), containerID)
	if len(p) == 0 {
		return nil, tallyman.ErrGone
	}
	for controller, dir := range p {
		switch {
		case h.unified && controller == "":
			p[controller] = filepath.Join(h.root, dir)
		case h.unified:
			delete(p, controller)
		case controller == "" && h.hybrid:
			p[controller] = filepath.Join(h.root, "unified", dir)
		case controller == "":
			delete(p, controller)
		default:
			p[controller] = filepath.Join(h.root, strings.TrimPrefix(controller, "name="), dir)
		}
	}
	return p, nil
}
