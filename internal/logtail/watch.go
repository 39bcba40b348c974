// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a watch tells of.
const (
	// WatchNew: a folder has a new entry.
	WatchNew = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR
	// WatchWrite: a file is written to, or emptied; told once.
	WatchWrite = unix.IN_MODIFY | unix.IN_ONESHOT
)

// Seen is what a watch has seen; Name is that of a folder's entry. Watch is
// Overflow when the kernel has left some out.
type Seen struct {
	Watch int32
	Name  string
}

// Overflow is in place of a watch when the kernel's queue was full.
const Overflow = -1

// Watch wakes a reader. A nil one never does: there is no inotify, or none is
// left of what a user may have.
type Watch struct {
	fd   int
	file *os.File
	now  func(Seen)
	wake chan struct{}
	done chan struct{}

	mu   sync.Mutex
	seen map[Seen]bool
}

// NewWatch begins to watch; Close ends it. What is seen waits for Take, and now,
// unless nil, is called with it at once, from another goroutine: it must not wait
// for the reader.
func NewWatch(now func(Seen)) (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &Watch{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), now: now, wake: make(chan struct{}, 1), done: make(chan struct{}), seen: map[Seen]bool{}}
	go w.run()
	return w, nil
}

// run reads until the watch is closed.
func (w *Watch) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
			if size > len(b) {
				break
			}
			name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
			if mask := binary.NativeEndian.Uint32(b[4:]); mask&unix.IN_IGNORED == 0 {
				w.saw(Seen{int32(binary.NativeEndian.Uint32(b)), string(name)})
			}
			b = b[size:]
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *Watch) saw(e Seen) {
	if w.now != nil {
		w.now(e)
	}
	w.mu.Lock()
	w.seen[e] = true
	w.mu.Unlock()
}

// Wake tells that there is something to take.
func (w *Watch) Wake() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.wake
}

// Take gives what was seen since the last time, each once.
func (w *Watch) Take() map[Seen]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = map[Seen]bool{}
	return seen
}

// Add watches a path and gives the number of the watch, 0 when it cannot.
func (w *Watch) Add(path string, mask uint32) int32 {
	if w == nil {
		return 0
	}
	n, err := unix.InotifyAddWatch(w.fd, path, mask)
	if err != nil {
		return 0
	}
	return int32(n)
}

// Remove ends a watch; one that has ended is skipped.
func (w *Watch) Remove(n int32) {
	if w != nil && n > 0 {
		_, _ = unix.InotifyRmWatch(w.fd, uint32(n))
	}
}

// Close ends all watches.
func (w *Watch) Close() {
	if w == nil {
		return
	}
	_ = w.file.Close() // ends the reading
	<-w.done
}

// Earlier is the earlier one of two times: when a reader is due.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
