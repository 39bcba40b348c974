// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tallyman/internal/logtail"
)

// fileID is a file's device and inode.
type fileID struct{ dev, ino uint64 }

// ended is a file that is not read any more: how it was then, and whether it never could be.
type ended struct {
	fs.FileInfo
	refused bool
}

// folder is one that is watched.
type folder struct {
	id      fileID
	watch   int32
	changed time.Time
	looked  time.Time
}

// gone reports whether a file has no name any more.
func gone(f *os.File) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}

func (r *Reader) refuse(name string, err error) {
	text := fmt.Sprintf("%s: %v", name, err)
	r.why.Store(&text)
	r.refused.Add(1)
}

// list looks for files that are new or have another name.
func (r *Reader) list() {
	changed := false
	present := map[string]bool{}
	var all []string
	for _, root := range r.o.Folders {
		folders := []string{root}
		entries, _ := os.ReadDir(root)
		for _, e := range entries {
			id, err := ParseID(e.Name()) // no journal of a namespace, which has more in its name
			if err == nil && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) && (r.o.Machine == ID{} || r.o.Machine == id) {
				folders = append(folders, filepath.Join(root, e.Name()))
			}
		}
		for _, dir := range folders {
			all, present[dir] = append(all, dir), true
			changed = r.look(dir) || changed
		}
	}
	for dir, f := range r.folders {
		if !present[dir] {
			r.watch.Remove(f.watch)
			delete(r.folders, dir)
		}
	}
	if !changed && !r.pending {
		return
	}
	r.pending = false
	names := map[fileID]string{}
	denied := int64(0)
	for _, dir := range all {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.refuse(dir, err)
			if errors.Is(err, fs.ErrPermission) {
				denied++
			}
		}
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if !strings.HasSuffix(name, ".journal") && !strings.HasSuffix(name, ".journal~") || len(names) >= mostFiles {
				continue
			}
			if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
				names[idOf(st)] = name
				if err := r.add(name, st); errors.Is(err, fs.ErrPermission) {
					denied++
				}
			}
		}
	}
	r.denied.Store(denied)
	for id := range r.done {
		if names[id] == "" {
			delete(r.done, id)
		}
	}
}

// look reports whether the names in a folder may have changed since the last time.
func (r *Reader) look(dir string) bool {
	st, err := os.Stat(dir)
	if err != nil {
		delete(r.folders, dir) // with it its watch has ended
		return false
	}
	f := r.folders[dir]
	if f == nil || f.id != idOf(st) {
		f = &folder{id: idOf(st), watch: r.watch.Add(dir, logtail.WatchNew|syscall.IN_MODIFY|syscall.IN_MOVED_FROM|syscall.IN_DELETE)}
		r.folders[dir] = f
	} else if f.changed.Equal(st.ModTime()) && f.looked.Sub(f.changed) > racy {
		return false
	}
	f.changed, f.looked = st.ModTime(), r.looked
	return true
}

func idOf(st fs.FileInfo) (id fileID) {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		id = fileID{sys.Dev, sys.Ino}
	}
	return id
}

// add begins to read a file unless that was done.
func (r *Reader) add(name string, st fs.FileInfo) error {
	id := idOf(st)
	for _, m := range r.files {
		if m.id == id {
			m.name = name
			return nil
		}
	}
	if old, ok := r.done[id]; ok && old.Size() == st.Size() && old.ModTime().Equal(st.ModTime()) {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.refuse(name, err)
		}
		return err
	}
	m := &member{id: id, f: f, name: name}
	if st, err = f.Stat(); err == nil {
		if m.id = idOf(st); !st.Mode().IsRegular() {
			err = errFormat
		}
	}
	if err == nil {
		m.file, err = openFile(f, &r.cache, r.o.Matches, &r.broken)
	}
	if err != nil {
		_ = f.Close()
		if st != nil && st.Size() < headerSize { // it is being made
			r.pending = true
			return nil
		}
		r.refuse(name, err)
		if errors.Is(err, errLater) {
			r.later.Add(1)
		}
		if st != nil && len(r.done) < mostFiles {
			r.done[m.id] = ended{st, true} // until it changes
		}
		return err
	}
	r.files = append(r.files, m)
	r.put(m)
	return nil
}
