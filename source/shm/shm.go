// SPDX-License-Identifier: Apache-2.0

// Package shm reads how full the shared memory of containers is: the memory file
// system at /dev/shm, whose size --shm-size sets. System V segments and plain
// shared mappings are not in it. The names are tallyman's own; cAdvisor has none
// for it.
//
// It asks a kept descriptor of the directory for the file system's size, which is
// one system call for each container. The directory is opened through the root of
// the container's process, which takes SYS_PTRACE, and links that the container
// makes never lead out of it. A file system that the container itself mounts
// over /dev/shm later is not seen.
//
// A container with --ipc host has the host's, one with --ipc container:X that of
// X, so that sums would count it twice; with --ipc none there is none. All of
// them are absent and say so.
//
// # Ownership
//
// The kept descriptor keeps the file system, with what is in it, alive after the
// container has died. Detach must therefore follow every death.
package shm

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/nsx"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "shm",
		Summary: "Shared memory (/dev/shm) of each container: size, used and free",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: table[:],
		New:     New,
	}
}

const directory = "/dev/shm"

// The metrics, as places in the table.
const (
	limit = iota
	free
	freePercent
	used
	metrics
)

var table = [metrics]*tallyman.Desc{
	limit:       {Name: "container_shm_limit_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the container's shared memory file system /dev/shm", Origin: tallyman.Origin{V1: "statfs of /dev/shm", Row: "33"}},
	free:        {Name: "container_shm_free_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Free bytes of the container's /dev/shm", Origin: tallyman.Origin{V1: "statfs of /dev/shm", Row: "34"}},
	freePercent: {Name: "container_shm_free_percent", Type: tallyman.Gauge, Help: "Free part of the container's /dev/shm in percent of its size, 0 to 100", Origin: tallyman.Origin{V1: "statfs of /dev/shm", Row: "35"}},
	used:        {Name: "container_shm_used_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Used bytes of the container's /dev/shm", Origin: tallyman.Origin{V1: "statfs of /dev/shm", Row: "36"}},
}

// Source implements tallyman.Source.
type Source struct {
	proc string
	// host is the device of the host's /dev/shm, 0 when not known.
	host   uint64
	list   []*container
	stat   unix.Statfs_t
	absent map[string]tallyman.Absence // by the container's id
}

var (
	_ tallyman.Source   = (*Source)(nil)
	_ tallyman.Absentee = (*Source)(nil)
)

type container struct {
	target *tallyman.Target
	fd     int
	series [metrics]*tallyman.Series
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	s := &Source{proc: o.Proc, absent: map[string]tallyman.Absence{}}
	var st unix.Stat_t
	if o.Root != "" && unix.Stat(filepath.Join(o.Root, directory), &st) == nil {
		s.host = st.Dev
	}
	return s, nil
}

// Attach opens the shared memory of a container. One that has none of its own, or
// that may not be seen, is no failure: Absences says why.
func (s *Source) Attach(t *tallyman.Target) error {
	c := &container{target: t}
	var a tallyman.Absence
	var err error
	c.fd, a, err = s.open(t.Container)
	if err != nil {
		return err
	}
	if a.Reason != "" {
		a.What = "shared memory"
		s.absent[t.ID] = a
		return nil
	}
	for i := range table {
		c.series[i] = t.Series(table[i])
	}
	at, _ := s.find(t)
	s.list = slices.Insert(s.list, at, c)
	return nil
}

// open gives either a descriptor, or why there is none.
func (s *Source) open(c *tallyman.Container) (fd int, a tallyman.Absence, err error) {
	of, joined := strings.CutPrefix(c.IpcMode, "container:")
	switch {
	case joined:
		return -1, tallyman.Absence{Code: tallyman.Shared, Reason: fmt.Sprintf("It shares the memory of container %.12s; see there.", of)}, nil
	case c.IpcMode == "host":
		return -1, tallyman.Absence{Code: tallyman.Shared, Reason: withHost}, nil
	case c.IpcMode == "none":
		return -1, tallyman.Absence{Code: tallyman.None, Reason: "It has no shared memory (--ipc none)."}, nil
	}
	p, err := nsx.Open(s.proc, c.Pid, c.ID)
	if err != nil {
		return -1, a, err
	}
	defer p.Close()
	fd, err = p.Directory(directory)
	switch {
	case errors.Is(err, tallyman.ErrGone):
		return -1, a, err
	case nsx.Denied(err):
		return -1, tallyman.Absence{Reason: "Its shared memory cannot be looked at: " + err.Error() + ".", Unlock: "--cap-add SYS_PTRACE"}, nil
	case errors.Is(err, fs.ErrNotExist):
		return -1, tallyman.Absence{Code: tallyman.None, Reason: "It has no directory " + directory + "."}, nil
	case errors.Is(err, unix.ENOSYS):
		return -1, tallyman.Absence{Reason: "The kernel of this host is older than 5.6 and cannot open directories of containers safely."}, nil
	case err != nil:
		return -1, tallyman.Absence{Reason: "Its shared memory cannot be looked at: " + err.Error() + "."}, nil
	}
	if a = s.check(fd); a.Reason != "" {
		_ = unix.Close(fd)
		return -1, a, nil
	}
	return fd, a, nil
}

const withHost = "It shares the memory of the host, which counts for no container."

// check says why fd is not the container's own shared memory.
func (s *Source) check(fd int) tallyman.Absence {
	var st unix.Stat_t
	if err := errors.Join(unix.Fstatfs(fd, &s.stat), unix.Fstat(fd, &st)); err != nil {
		return tallyman.Absence{Reason: "Its shared memory does not tell its size: " + err.Error() + "."}
	}
	switch {
	case s.stat.Type != unix.TMPFS_MAGIC:
		return tallyman.Absence{Reason: "Its " + directory + " is no file system in memory."}
	case s.host != 0 && st.Dev == s.host:
		return tallyman.Absence{Code: tallyman.Shared, Reason: withHost}
	case s.stat.Blocks == 0:
		return tallyman.Absence{Reason: "Its " + directory + " has no size limit, and so no free space that could be told."}
	}
	return tallyman.Absence{}
}

func (s *Source) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(s.list, t.ID, func(c *container, id string) int { return cmp.Compare(c.target.ID, id) })
}

// Detach closes the shared memory of a container.
func (s *Source) Detach(t *tallyman.Target) {
	delete(s.absent, t.ID)
	if at, ok := s.find(t); ok {
		_ = unix.Close(s.list[at].fd)
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close detaches every container.
func (s *Source) Close() error {
	for _, c := range s.list {
		_ = unix.Close(c.fd)
	}
	s.list = nil
	clear(s.absent)
	return nil
}

// Absences says why a container has no shared memory of its own.
func (s *Source) Absences(t *tallyman.Target) []tallyman.Absence {
	if a, ok := s.absent[t.ID]; ok {
		return []tallyman.Absence{a}
	}
	return nil
}

// Collect asks every container's file system once.
func (s *Source) Collect(b *tallyman.Batch) {
	for _, c := range s.list {
		if unix.Fstatfs(c.fd, &s.stat) != nil || s.stat.Blocks == 0 {
			continue
		}
		block := float64(s.stat.Bsize)
		all, rest := float64(s.stat.Blocks)*block, float64(s.stat.Bfree)*block
		b.Add(c.series[limit], all)
		b.Add(c.series[free], rest)
		b.Add(c.series[freePercent], 100*rest/all)
		b.Add(c.series[used], all-rest)
	}
}
