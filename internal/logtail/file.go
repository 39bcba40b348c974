// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// File is one log file, plain or compressed, held open so that what it has can
// be read after it was renamed or removed.
type File struct {
	F   *os.File
	Ino uint64
	Dev uint64
	// Off is what is behind the reader: everything before it was taken.
	Off    int64
	torn   int64        // the size at which what is left was seen not to be whole
	packed *gzip.Reader // set for a compressed file, which is read from its start
	read   int64        // of what packed gives
	last   []byte       // the end of that: lines that did not come whole are asked for again
}

// Open opens a file of the host by a name that strangers cannot choose.
func Open(name string) (*File, error) {
	// A log file is a regular file; anything else may block.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return Hold(f, name)
}

// Hold takes an open file, which must be a regular one; one whose name ends in
// .gz is compressed. The file is closed when it cannot be taken.
func Hold(f *os.File, name string) (*File, error) {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		_ = f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file", name))
	}
	sys := st.Sys().(*syscall.Stat_t)
	one := &File{F: f, Ino: sys.Ino, Dev: uint64(sys.Dev), torn: -1}
	if strings.HasSuffix(name, ".gz") {
		if err := one.unpack(); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return one, nil
}

// unpack begins to read a compressed file from its start.
func (f *File) unpack() (err error) {
	if _, err = f.F.Seek(0, io.SeekStart); err != nil {
		return err
	}
	f.packed, err = gzip.NewReader(f.F)
	f.read, f.last = 0, f.last[:0]
	return err
}

// Go moves to a place from where the file is read anew.
func (f *File) Go(off int64) { f.Off, f.torn = off, -1 }

// Packed reports whether the file is compressed.
func (f *File) Packed() bool { return f.packed != nil }

// Fill reads into buf from Off on.
func (f *File) Fill(buf []byte) (n int, err error) { return f.ReadAt(buf, f.Off) }

// ReadAt reads into buf from a place on; fewer bytes than asked for are no
// error. In a compressed file it goes back by no more than it gave last; further
// back is to read it from its start.
func (f *File) ReadAt(buf []byte, off int64) (n int, err error) {
	if f.packed == nil {
		n, err = f.F.ReadAt(buf, off)
	} else {
		n, err = f.unpackAt(buf, off)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}

func (f *File) unpackAt(buf []byte, off int64) (n int, err error) {
	if off < f.read-int64(len(f.last)) {
		if err := f.unpack(); err != nil {
			return 0, err
		}
	}
	if skip := off - f.read; skip > 0 {
		n, err := io.CopyN(io.Discard, f.packed, skip)
		f.last = f.last[:0]
		if f.read += n; err != nil {
			return 0, err
		}
	}
	n = copy(buf, f.last[int64(len(f.last))-(f.read-off):])
	if n == len(buf) {
		return n, nil
	}
	m, err := io.ReadFull(f.packed, buf[n:])
	n += m
	f.read += int64(m)
	f.last = append(f.last[:0], buf[:n]...)
	return n, err
}

// Size is how many bytes there are, and when the file was written to last; of a
// compressed file it is the size of what is compressed.
func (f *File) Size() (size int64, changed time.Time, err error) {
	st, err := f.F.Stat()
	if err != nil {
		return 0, time.Time{}, err
	}
	return st.Size(), st.ModTime(), nil
}

// Close closes it.
func (f *File) Close() { _ = f.F.Close() }
