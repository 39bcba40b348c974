// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"cmp"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Space is the free space of one file system, and how much of it is to stay.
//
//	├────────── in use ──────────┼──── free ────┼─ reserve ─┼─ floor ─┤
//
// Below the reserve stores delete their oldest data. Below the floor, a quarter
// of it, they take nothing new, so that what they have stays whole.
type Space struct {
	path string
	low  atomic.Bool
	stat func(path string, st *unix.Statfs_t) error
}

// NewSpace watches the file system that path is on.
func NewSpace(path string) *Space { return &Space{path: path, stat: unix.Statfs} }

// Usage of a file system, in bytes.
type Usage struct {
	Size uint64
	// Free is what this user can still write.
	Free uint64
	// Reserve is to stay free: the greater of 256 MiB and 5 % of the size, but
	// no more than a quarter of it.
	Reserve uint64
}

// Floor is how much must be free to store anything.
func (u Usage) Floor() uint64 { return u.Reserve / 4 }

// Short is by how much the reserve is not met, 0 when it is.
func (u Usage) Short() uint64 { return u.Reserve - min(u.Free, u.Reserve) }

// Usage asks the file system.
func (s *Space) Usage() (Usage, error) {
	var st unix.Statfs_t
	if err := s.stat(s.path, &st); err != nil {
		return Usage{}, fmt.Errorf("look at the file system of %s: %w", s.path, err)
	}
	u := Usage{Size: st.Blocks * uint64(st.Bsize), Free: st.Bavail * uint64(st.Bsize)}
	u.Reserve = min(max(256<<20, u.Size/20), u.Size/4)
	return u, nil
}

// ErrFull says that there is no room: the floor is reached, or a write was refused.
type ErrFull struct {
	Path string
	Usage
	// Lower is the setting that would make room, empty for retention.metrics.size.
	Lower string
	// Err is how a write was refused, nil for the floor.
	Err error
}

// Unwrap gives how a write was refused.
func (e *ErrFull) Unwrap() error { return e.Err }

// Full is err as an *ErrFull when it says that a file system, or this user's part of it, has
// no room; else err itself. Path is in it and lower is the setting that would make room there.
func Full(err error, path, lower string) error {
	if full, ok := errors.AsType[*ErrFull](err); ok {
		out := *full
		out.Lower = lower
		return &out
	}
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	return &ErrFull{Path: path, Lower: lower, Err: err}
}

// Error says what is full and what to do.
func (e *ErrFull) Error() string {
	lower := cmp.Or(e.Lower, "retention.metrics.size")
	if e.Err != nil {
		return fmt.Sprintf("the file system of %s is full: %s; free some space, or lower %s", e.Path, e.Err, lower)
	}
	return fmt.Sprintf("the file system of %s is full: %d MiB of %d MiB are free, tallyman stores nothing below %d MiB; free some space, or lower %s",
		e.Path, e.Free>>20, e.Size>>20, e.Floor()>>20, lower)
}

// Check is an *ErrFull when there is no room to store anything: from when the
// floor is reached until a half more than it is free again, so that it does not
// come and go with every write. A file system that cannot be asked counts as
// one with room.
func (s *Space) Check() error {
	u, err := s.Usage()
	if err != nil {
		return nil
	}
	need := u.Floor()
	if s.low.Load() {
		need += need / 2
	}
	full := u.Free < need
	s.low.Store(full)
	if full {
		return &ErrFull{Path: s.path, Usage: u}
	}
	return nil
}
