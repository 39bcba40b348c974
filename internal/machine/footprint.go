// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bufio"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settled is when a start is over.
const settled = 20 * time.Second

// Settle gives back, once, what only the start needed: garbage, and the pages of
// the executable that the start of its libraries touched, most of which is never
// run again. They are read from the file again when they are; of a lean agent
// one by one, and the page cache is asked to forget them too.
func Settle(lean bool) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(settled):
		}
		debug.FreeOSMemory()
		dropExecutable(lean)
		return nil
	}
}

// dropExecutable forgets the pages of the executable that are only read. The
// kernel maps 64 KiB around each that is used again if the cache has them, most of
// it for nothing; so with one by one they leave the cache, and are not read ahead.
func dropExecutable(oneByOne bool) {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 00400000-01a2b000 r-xp 00000000 fe:00 1234 /usr/bin/tallyman
		w := strings.Fields(lines.Text())
		if len(w) < 6 || w[5] != own || strings.ContainsRune(w[1], 'w') {
			continue
		}
		from, to, _ := strings.Cut(w[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		if oneByOne {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_RANDOM)
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	}
	if oneByOne {
		if e, err := os.Open("/proc/self/exe"); err == nil {
			_ = unix.Fadvise(int(e.Fd()), 0, 0, unix.FADV_DONTNEED) // advice: what is not taken costs nothing but memory
			_ = e.Close()
		}
	}
}

// slacken lets the kernel put off what wakes this process by a millisecond. Go's
// runtime watches itself each 20 us while anything runs, and most of what a short
// round costs beyond its own work were those wake-ups. Threads that come later
// take it over from the one that makes them.
func slacken() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		_ = os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", []byte("1000000"), 0) // Linux 4.6
	}
}

// Lean makes the process one that keeps nothing: it collects its garbage early, and runs
// on one CPU at a time unless the environment (GOMAXPROCS) says otherwise. It is one
// goroutine that does the work, and waking a second CPU each time costs a fifth.
func Lean(env func(string) string) {
	debug.SetGCPercent(20)
	if env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	slacken()
}
