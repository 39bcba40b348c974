// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"tallyman/internal/logtail"
)

// A mark tells one log file from another: the checksum of its first entry, which
// holds a time to the nanosecond. It stays when the file is renamed or
// compressed; an inode does not, and is used again soon. 0 is not known yet.
type mark uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is one log file, held open so that what it has can be read after it was
// renamed or removed.
type file struct {
	*logtail.File
	mark  mark
	first []byte // the end of the first entry, to see that it is still there
	at    int64  // where first lies
}

// firstBytes is how much of the end of a first entry is kept.
const firstBytes = 48

func openFile(name string, form format, buf []byte) (*file, error) {
	held, err := logtail.Open(name)
	if err != nil {
		return nil, err
	}
	return take(held, form, buf), nil
}

// take takes an open file and looks which one it is.
func take(held *logtail.File, form format, buf []byte) *file {
	one := &file{File: held}
	n, _ := one.ReadAt(buf, 0)
	one.look(buf[:n], form)
	return one
}

// identify finds out the file's mark, once it has an entry.
func (f *file) identify(form format, buf []byte) {
	if f.mark == 0 && !f.Packed() {
		n, _ := f.ReadAt(buf, 0)
		f.look(buf[:n], form)
	}
}

// look takes the mark from the beginning of the file.
func (f *file) look(b []byte, form format) {
	var e entry
	var s scratch
	n, err := form.next(b, &s, &e)
	if n == 0 || errors.Is(err, errMore) {
		return
	}
	f.mark = mark(max(crc32.Checksum(b[:n], castagnoli), 1))
	f.at = int64(max(n-firstBytes, 0))
	f.first = slices.Clone(b[f.at:n])
}

// cutShort reports whether what was read is no longer there: the file was
// emptied in place, and perhaps written again since.
func (f *file) cutShort(size int64) bool {
	if f.Packed() || f.mark == 0 {
		return false
	}
	if size < f.Off || size < f.at+int64(len(f.first)) {
		return true
	}
	var b [firstBytes]byte
	n, _ := f.F.ReadAt(b[:len(f.first)], f.at)
	return n < len(f.first) || string(b[:n]) != string(f.first)
}

// again begins the file anew.
func (f *file) again() {
	f.Go(0)
	f.mark, f.first = 0, nil
}

// generations are the names of a log and of what was rotated away, the oldest
// first: base.2.gz, base.1, base.
func generations(dir, base string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	type one struct {
		name string
		age  int
	}
	var found []one
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok {
			continue
		}
		if rest == "" {
			found = append(found, one{e.Name(), 0})
			continue
		}
		number, isNumber := strings.CutPrefix(strings.TrimSuffix(rest, ".gz"), ".")
		age, err := strconv.Atoi(number)
		if isNumber && err == nil && age > 0 {
			found = append(found, one{e.Name(), age})
		}
	}
	slices.SortFunc(found, func(a, b one) int { return b.age - a.age })
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = filepath.Join(dir, f.name)
	}
	return names, nil
}

// inode is the number of the file that has a name, 0 when none has.
func inode(name string) uint64 {
	var st syscall.Stat_t
	if syscall.Lstat(name, &st) != nil {
		return 0
	}
	return st.Ino
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
