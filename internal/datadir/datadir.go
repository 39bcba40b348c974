// SPDX-License-Identifier: Apache-2.0

// Package datadir takes a directory as tallyman's data directory: it checks
// that it may be used, marks it, and locks it for one process.
//
// The mark is the file format.json with the number of the layout below it, and a
// check by which a damaged number is not taken for a newer one:
//
//	{"format":1,"check":"…"}
//
//	lock            pid of the process that has the directory
//	host            name of the host, where it had to be asked for
//	token           the login for programs
//	inventory.json  what discovery knew last
//	metrics/        the metric store
//	events/         the event store
//	quarantine/     what could not be read and was set aside
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"tallyman/internal/fsx"
)

// Format is the number of the layout that this program reads and writes.
const Format = 1

const mark = "format.json"

// entries are what tallyman has in its directory; a directory of an older one
// has them without a mark.
var entries = []string{mark, "lock", "host", "token", "inventory.json", "metrics", "records", "events", "quarantine", "sessions.json", "snapshot.key"}

// Dir is a data directory of this process.
type Dir struct {
	Path string
	lock *os.File
}

// Open makes the directory if it is missing, checks it and locks it. Errors say
// what is wrong and what to do.
func Open(path string) (*Dir, error) {
	const other = "choose another directory with --data"
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory %s: %s; %s", path, reason(err), other)
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("look at the data directory %s: %s; %s", path, reason(err), other)
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := filepath.EvalSymlinks(path) // for the message
		return nil, fmt.Errorf("the data directory %s is a symbolic link, which others may turn elsewhere; write what it stands for, --data %s", path, target)
	case !info.IsDir():
		return nil, fmt.Errorf("the data directory %s is a file; %s", path, other)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("the data directory %s belongs to user %d and tallyman runs as user %d; run it as that user, chown the directory, or %s", path, st.Uid, os.Geteuid(), other)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("the data directory %s may be written to by others (mode %#o); run chmod 700 %s", path, mode, path)
	} else if mode != 0o700 {
		if err := os.Chmod(path, 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory %s private: %s; %s", path, reason(err), other)
		}
	}
	if err := known(path); err != nil {
		return nil, err
	}
	d := &Dir{Path: path}
	if d.lock, err = lock(path); err != nil {
		return nil, err
	}
	if err := fsx.WriteFile(filepath.Join(path, mark), fmt.Appendf(nil, "{\"format\":%d,\"check\":%q}\n", Format, check(Format)), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		d.Close()
		return nil, fmt.Errorf("write to the data directory %s: %s; %s", path, reason(err), other)
	}
	return d, nil
}

// check is what a mark of a format has beside it.
func check(format int) string {
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE(fmt.Appendf(nil, "tallyman %d", format)))
}

// known refuses a directory that is not tallyman's, or of a later tallyman.
func known(path string) error {
	text, err := os.ReadFile(filepath.Join(path, mark))
	if err == nil {
		var m struct {
			Format int
			Check  string
		}
		if json.Unmarshal(text, &m) == nil && m.Format > Format && (m.Check == "" || m.Check == check(m.Format)) {
			return fmt.Errorf("the data directory %s has format %d, of a newer tallyman; this one knows %d: run the newer one, or choose another directory with --data", path, m.Format, Format)
		}
		return nil // a damaged mark is written anew
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the data directory %s: %s; choose another with --data", path, reason(err))
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("read the data directory %s: %s; choose another with --data", path, reason(err))
	}
	for _, e := range list {
		if slices.Contains(entries, e.Name()) {
			return nil
		}
	}
	for _, e := range list {
		if e.Name() != "lost+found" {
			return fmt.Errorf("the data directory %s is not empty and not tallyman's (there is %q); choose an empty one with --data", path, e.Name())
		}
	}
	return nil
}

// lock takes the directory for this process. If another one has it, the error
// names its pid.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write to the data directory %s: %s; choose another with --data", path, reason(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(f, 20))
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by the process %s; stop it, or choose another directory with --data", path, strings.TrimSpace(string(pid)))
		}
		return nil, fmt.Errorf("lock the data directory %s: %s", path, reason(err))
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n        "), 0)
	if err != nil && !errors.Is(err, unix.ENOSPC) { // the lock holds without a pid in it
		f.Close()
		return nil, fmt.Errorf("lock the data directory %s: %s", path, reason(err))
	}
	return f, nil
}

// Close gives the directory back.
func (d *Dir) Close() error { return d.lock.Close() }

// reason is the cause of a file error in words, with what helps.
func reason(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return "the file system is read-only"
	case errors.Is(err, fs.ErrPermission):
		return "user " + strconv.Itoa(os.Geteuid()) + " may not write there"
	case errors.Is(err, unix.ENOSPC):
		return "no space is left on the file system; free some"
	case errors.Is(err, unix.ENOTDIR):
		return "a part of the path is a file"
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
