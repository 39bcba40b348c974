// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a directory below which paths are resolved as a process with that root
// directory would: no link leads out of it, and none of /proc's that jump is
// followed. What lies there may belong to strangers.
//
// A file is named by a folder that the user chose and the rest, which strangers
// may have chosen. Links in the folder are followed inside of the root; those in
// the rest only if Links is set.
//
// It needs Linux 5.6 (openat2); before that every call fails. A Root belongs to
// one goroutine.
type Root struct {
	fd int
	// Links lets the rest of a path have links, too.
	Links bool
}

// ErrOld says that the kernel is too old to open files of strangers safely.
var ErrOld = errors.New("the kernel cannot open files of others safely (openat2, Linux 5.6)")

// ErrKind says that something is no regular file: reading it might never end.
var ErrKind = errors.New("no regular file")

// OpenRoot opens a directory of this process as a root.
func OpenRoot(dir string) (*Root, error) {
	fd, err := Retry(func() (int, error) { return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{fd: fd}, nil
}

// RootAt takes a descriptor of a directory, which then belongs to the root.
func RootAt(fd int) *Root { return &Root{fd: fd, Links: true} }

// Close closes it. What was opened through it stays open.
func (r *Root) Close() { _ = unix.Close(r.fd) }

// Directory opens a directory as a descriptor that tells of it but reads nothing.
func (r *Root) Directory(dir string) (fd int, err error) {
	return at(r.fd, dir, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

// at opens a path below a directory.
func at(dir int, name string, flags int, resolve uint64) (fd int, err error) {
	below := strings.TrimLeft(name, "/")
	if below == "" {
		below = "."
	}
	fd, err = Retry(func() (int, error) {
		return unix.Openat2(dir, below, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve})
	})
	if errors.Is(err, unix.ENOSYS) {
		err = ErrOld
	}
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// rest opens what lies below a folder.
func (r *Root) rest(dir, rest string, flags int) (fd int, err error) {
	if r.Links {
		return at(r.fd, path.Join(dir, rest), flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	}
	folder, err := r.Directory(dir)
	if err != nil {
		return -1, err
	}
	defer unix.Close(folder)
	if fd, err = at(folder, rest, flags, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS); err != nil {
		return -1, fmt.Errorf("below %s: %w", dir, err)
	}
	return fd, nil
}

// Open opens the regular file rest below dir for reading. It never waits: not
// for the writer of a pipe, and not for a device. Anything else than a regular
// file is ErrKind.
func (r *Root) Open(dir, rest string) (*os.File, error) {
	// A look first: to open a device may already do something.
	if _, err := r.Stat(dir, rest); err != nil {
		return nil, err
	}
	fd, err := r.rest(dir, rest, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return nil, &os.PathError{Op: "open", Path: path.Join(dir, rest), Err: errors.Join(err, ErrKind)}
	}
	return os.NewFile(uintptr(fd), path.Join(dir, rest)), nil
}

// Stat tells of the regular file rest below dir; anything else is ErrKind.
func (r *Root) Stat(dir, rest string) (st unix.Stat_t, err error) {
	fd, err := r.rest(dir, rest, unix.O_PATH)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return st, &os.PathError{Op: "stat", Path: path.Join(dir, rest), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return st, &os.PathError{Op: "open", Path: path.Join(dir, rest), Err: ErrKind}
	}
	return st, nil
}

// Entries are the names below a folder and its rest, at most so many; more is
// set when there are more.
func (r *Root) Entries(dir, rest string, most int) (list []fs.DirEntry, more bool, err error) {
	if rest == "" {
		rest = "."
	}
	fd, err := r.rest(dir, rest, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return nil, false, err
	}
	f := os.NewFile(uintptr(fd), path.Join(dir, rest))
	defer f.Close()
	list, err = f.ReadDir(most + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(list) > most {
		list, more = list[:most], true
	}
	return list, more, err
}

// Glob gives what below dir fits a pattern, each part of which is one of
// path.Match, sorted; hidden names fit only a part that begins with a dot. At
// most so many entries of directories are looked at; more is set when there are
// more. That a folder cannot be read is an error only if nothing was found.
func (r *Root) Glob(dir, pattern string, most int) (found []string, more bool, err error) {
	at := []string{""}
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		var next []string
		for _, base := range at {
			if !strings.ContainsAny(part, `*?[\`) {
				next = append(next, path.Join(base, part))
				continue
			}
			list, cut, bad := r.Entries(dir, base, most)
			most -= len(list)
			more = more || cut
			if bad != nil && !errors.Is(bad, fs.ErrNotExist) {
				err = bad
			}
			for _, e := range list {
				if e.Name()[0] == '.' && part[0] != '.' || !r.mayBe(e, i < len(parts)-1) {
					continue
				}
				if ok, _ := path.Match(part, e.Name()); ok {
					next = append(next, path.Join(base, e.Name()))
				}
			}
		}
		at = next
	}
	slices.Sort(at)
	if len(at) > 0 {
		err = nil
	}
	return at, more, err
}

// mayBe reports whether an entry may be a folder, or else a regular file.
func (r *Root) mayBe(e fs.DirEntry, folder bool) bool {
	switch e.Type() {
	case 0:
		return !folder
	case fs.ModeDir:
		return folder
	case fs.ModeSymlink:
		return r.Links
	}
	return false
}

// Retry repeats a call that a signal, or a file system in motion, interrupts.
func Retry(open func() (int, error)) (int, error) {
	for tries := 0; ; tries++ {
		fd, err := open()
		if err == unix.EINTR || err == unix.EAGAIN && tries < 16 {
			continue
		}
		return fd, err
	}
}
