// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"tallyman/internal/fsx"
)

// Right is one thing that may be done to the processes of containers.
type Right string

// The rights, each with what it needs where a container confines tallyman.
const (
	See   Right = "see"   // their cgroup and network files in /proc: the host's pids
	Look  Right = "look"  // their namespaces and root directory: SYS_PTRACE
	Enter Right = "enter" // a socket in their network: SYS_PTRACE and SYS_ADMIN
	Read  Right = "read"  // files of every user: DAC_READ_SEARCH
)

// Try tries what the rights of this process allow with the process pid in the
// proc file system at proc. An error that is tallyman.ErrGone means that the
// process cannot be seen.
func Try(proc string, pid int) map[Right]error {
	out := map[Right]error{}
	dir, err := fsx.Retry(func() (int, error) {
		return unix.Open(filepath.Join(proc, strconv.Itoa(pid)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		err = class(err, ErrPtrace, "find process %d", pid)
		return map[Right]error{See: err, Look: err, Enter: err, Read: canRead()}
	}
	p := &Process{dir: dir, pid: pid}
	defer p.Close()
	f, err := p.File("net/dev")
	if err == nil {
		f.Close()
	}
	out[See] = err
	fd, err := p.Directory("/")
	if err == nil {
		_ = unix.Close(fd)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	out[Look] = err
	fd, err = p.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	out[Enter] = err
	out[Read] = canRead()
	return out
}

// errRead says that the rights of files bind this process.
var errRead = errors.New("it may read only files that its own user may read (DAC_READ_SEARCH)")

// canRead is nil when the rights of files do not bind this process.
func canRead() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Effective&(1<<unix.CAP_DAC_READ_SEARCH|1<<unix.CAP_DAC_OVERRIDE) == 0 {
		return errRead
	}
	return nil
}
