// SPDX-License-Identifier: Apache-2.0

// Package process reads the processes of a container out of the host's /proc, as top
// shows them.
//
//	list, left, err := process.Of("/host/proc", id)
//
// A process is a container's when its cgroup has the container's id in its path; so those
// that came after the first one are found, and those in cgroups below, too. Nothing is kept
// between two calls: the CPU is told as time, and who asks twice has the difference. It reads
// all of /proc, a few milliseconds for some hundred processes, and is for when somebody looks.
//
// Commands are redacted. What a process says of itself, its name and its command, may be
// anything; it is valid UTF-8 and bounded. Calls may run concurrently.
package process

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"tallyman/internal/clip"
	"tallyman/internal/redact"
)

// Process is one process.
type Process struct {
	// PID and Parent are those of the host, Inside what the process itself is to its
	// container; 0 where the kernel does not tell (before Linux 4.1).
	PID, Parent, Inside int
	// UID is the user as the host has it.
	UID uint32
	// State is the kernel's letter: R runs, S sleeps, D waits for a disk, Z has ended, T is
	// stopped.
	State   string
	Threads int
	// CPU is how many seconds it has run in all, Memory how many bytes of it are in memory.
	CPU    float64
	Memory int64
	// Files is how many files it has open, -1 where that may not be read.
	Files int
	// Name is what the kernel calls it, Command its arguments without secrets, empty for one
	// that has none.
	Name, Command string
}

const (
	// Most is how many processes are told.
	Most = 500
	// tick is USER_HZ, which is 100 on every Linux that Docker runs on.
	tick        = 100
	commandMost = 2000
	readMost    = 64 << 10
	filesMost   = 100_000
)

// Of are the processes of the container with this id, those that ran longest first, and how
// many more there are. Of a container whose processes are not in this /proc there are none.
func Of(proc, id string) (list []Process, left int, err error) {
	dir, err := os.Open(proc)
	if err != nil {
		return nil, 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		one, ok, err := read(filepath.Join(proc, name), pid, id)
		if err != nil {
			return nil, 0, err
		}
		if ok {
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.PID, b.PID)) })
	kept := list[:min(len(list), Most)]
	for i := range kept {
		kept[i].files(proc)
	}
	return kept, len(list) - len(kept), nil
}

// read reads a process, if it is one of the container's. One that ends meanwhile is none.
func read(dir string, pid int, id string) (p Process, ok bool, err error) {
	file := func(name string) []byte {
		if err != nil {
			return nil
		}
		var b []byte
		b, err = readFile(filepath.Join(dir, name))
		return b
	}
	if cgroup := file("cgroup"); err == nil && !inCgroup(cgroup, id) {
		return p, false, nil
	}
	stat, status, command := file("stat"), file("status"), file("cmdline")
	if gone(err) {
		return p, false, nil
	}
	if err != nil {
		return p, false, err
	}
	p = Process{PID: pid}
	if !p.parseStat(stat) {
		return p, false, nil
	}
	p.parseStatus(status)
	p.parseCommand(command)
	return p, true, nil
}

// gone reports whether an error says that a process has ended, or is not to be seen.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ESRCH)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, readMost))
}

// inCgroup reports whether a line of a cgroup file has a path with the id in it: as a whole
// part, or as systemd names it, docker-<id>.scope.
func inCgroup(text []byte, id string) bool {
	return len(id) >= 12 && bytes.Contains(text, []byte(id))
}

// parseStat takes what stands in stat; the name in it may hold anything, also ")".
func (p *Process) parseStat(text []byte) bool {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return false
	}
	f := strings.Fields(strings.ToValidUTF8(string(text[end+1:]), "?"))
	if len(f) < 18 {
		return false
	}
	p.Name, p.State = clip.Text(string(text[open+1:end]), 64), f[0][:1]
	p.Parent, _ = strconv.Atoi(f[1])
	user, _ := strconv.ParseUint(f[11], 10, 64)
	system, _ := strconv.ParseUint(f[12], 10, 64)
	p.CPU = float64(user+system) / tick
	p.Threads, _ = strconv.Atoi(f[17])
	return true
}

// parseStatus takes the user, the memory and what it is inside of its container.
func (p *Process) parseStatus(text []byte) {
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(string(line), ":")
		f := strings.Fields(value)
		if len(f) == 0 {
			continue
		}
		switch key {
		case "Uid":
			uid, _ := strconv.ParseUint(f[0], 10, 32)
			p.UID = uint32(uid)
		case "VmRSS":
			kib, _ := strconv.ParseInt(f[0], 10, 64)
			p.Memory = kib << 10
		case "NSpid":
			p.Inside, _ = strconv.Atoi(f[len(f)-1])
		}
	}
}

// parseCommand takes the arguments, which end with zero bytes each.
func (p *Process) parseCommand(text []byte) {
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return
	}
	p.Command = clip.Text(strings.ToValidUTF8(strings.Join(redact.Args(strings.Split(string(text), "\x00")), " "), "\ufffd"), commandMost)
}

// files counts what is open.
func (p *Process) files(proc string) {
	p.Files = -1
	dir, err := os.Open(filepath.Join(proc, strconv.Itoa(p.PID), "fd"))
	if err != nil {
		return
	}
	defer dir.Close()
	n := 0
	for n < filesMost {
		names, err := dir.Readdirnames(1000)
		n += len(names)
		if err != nil {
			if errors.Is(err, io.EOF) {
				p.Files = n
			}
			return
		}
	}
	p.Files = n
}
