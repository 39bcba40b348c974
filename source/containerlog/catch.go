// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"path/filepath"
	"sync"

	"tallyman/internal/logtail"
)

// catcher opens the newest file of a log the moment that inotify tells of it, on
// inotify's own goroutine, and counts those that were made. The tailer may be
// waiting for the disk then, and a log of two files that is rotated twice
// meanwhile would have lost one.
type catcher struct {
	mu   sync.Mutex
	logs map[int32]*catch // by the watch of the folder
}

// catch is what is known of one log and waits for the tailer.
type catch struct {
	path  string
	begin uint64 // inode of the newest file when the watch began, 0 for none
	made  int    // files that were made since
	lost  bool   // that number is wrong: inotify left some out
	files []*logtail.File
	sizes []int64 // of all files but the newest
	bytes int64   // of them together
}

// What is held of one log while the tailer cannot take it: it is disk space that
// the engine believes to be free.
const (
	caughtFiles = 16
	caughtBytes = 256 << 20
)

// watchFolder watches the folder of a container's log.
func (t *Tailer) watchFolder(c *follower) {
	path := filepath.Join(c.dir, c.base)
	c.made = unknown
	for range looks {
		before := inode(path)
		if c.dirWatch = t.tail.Watch.Add(c.dir, logtail.WatchNew); c.dirWatch == 0 {
			return
		}
		t.folders[c.dirWatch] = c
		if t.catcher.add(c.dirWatch, path, before) {
			return
		}
		t.unwatchFolder(c) // it was rotated just now, which inotify may tell or not
	}
}

func (t *Tailer) unwatchFolder(c *follower) {
	t.catcher.remove(c.dirWatch)
	t.tail.Watch.Remove(c.dirWatch)
	delete(t.folders, c.dirWatch)
	c.dirWatch = 0
}

// add begins to look after the log of that path, whose folder has a watch; false
// says that the newest file is not the one any more that it was.
func (k *catcher) add(watch int32, path string, begin uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := &catch{path: path, begin: begin}
	one.open()
	k.logs[watch] = one
	return len(one.files) == 0 && begin == 0 || len(one.files) == 1 && one.files[0].Ino == begin
}

// saw takes up what inotify has seen.
func (k *catcher) saw(e logtail.Seen) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.Watch == logtail.Overflow {
		for _, one := range k.logs {
			one.lost = true
			one.open()
		}
	} else if one := k.logs[e.Watch]; one != nil && filepath.Base(one.path) == e.Name {
		one.made++
		one.open()
	}
}

// open takes the newest file, if it can.
func (c *catch) open() {
	f, err := logtail.Open(c.path)
	if err != nil {
		return // it has been rotated or removed already
	}
	n := len(c.files)
	if n > 0 && c.files[n-1].Ino == f.Ino {
		f.Close()
		return
	}
	if n > 0 { // the one before has its last size now
		size, _, _ := c.files[n-1].Size()
		c.sizes = append(c.sizes, size)
		c.bytes += size
	}
	c.files = append(c.files, f)
	for len(c.files) > caughtFiles || len(c.files) > 1 && c.bytes > caughtBytes {
		c.files[0].Close()
		c.bytes -= c.sizes[0]
		c.files, c.sizes = c.files[1:], c.sizes[1:]
	}
}

// waits reports whether there is something to take.
func (k *catcher) waits(watch int32) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.logs[watch]
	return one != nil && len(one.files) > 0
}

// take gives what there is, with the files, oldest first, which are the caller's
// from now on. Without a watch it is empty, and its number wrong.
func (k *catcher) take(watch int32) catch {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.logs[watch]
	if one == nil {
		return catch{lost: true}
	}
	out := *one
	one.files, one.sizes, one.bytes, one.lost = nil, nil, 0, false
	return out
}

// remove ends it, and closes what was not taken.
func (k *catcher) remove(watch int32) {
	for _, f := range k.take(watch).files {
		f.Close()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.logs, watch)
}
