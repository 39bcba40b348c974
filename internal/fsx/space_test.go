// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReserveAndFloor(t *testing.T) {
	const mib = 1 << 20
	f := func(size, reserve uint64) {
		t.Helper()
		s := &Space{stat: func(_ string, st *unix.Statfs_t) error {
			st.Bsize, st.Blocks, st.Bavail = mib, size, size/2
			return nil
		}}
		u, err := s.Usage()
		if err != nil || u.Reserve/mib != reserve {
			t.Errorf("of %d MiB: %d MiB in reserve, %v; want %d", size, u.Reserve/mib, err, reserve)
		}
	}
	f(64, 16)         // a quarter
	f(2000, 256)      // the least
	f(100_000, 5_000) // 5 %
	f(2_000_000, 100_000)
}

func TestCheckDoesNotFlap(t *testing.T) {
	free := uint64(100)
	s := &Space{stat: func(_ string, st *unix.Statfs_t) error {
		st.Bsize, st.Blocks, st.Bavail = 1<<20, 160, free // reserve 40, floor 10
		return nil
	}}
	for _, step := range []struct {
		free uint64
		full bool
	}{{100, false}, {11, false}, {9, true}, {11, true}, {14, true}, {16, false}, {11, false}, {0, true}} {
		free = step.free
		err := s.Check()
		if full := err != nil; full != step.full {
			t.Errorf("with %d MiB free: %v", free, err)
		}
		if _, ok := errors.AsType[*ErrFull](err); err != nil && !ok {
			t.Errorf("%v is no ErrFull", err)
		}
	}
}
