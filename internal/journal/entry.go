// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"fmt"
)

// Field is one field of an entry.
type Field struct {
	Name, Value []byte
	// Lost is how many bytes the value has more.
	Lost int
}

// Entry is one entry of a journal. The memory of Fields is used again for the next one.
type Entry struct {
	Cursor
	// Fields are those that are wanted, in the order of the file; a name may come
	// twice.
	Fields []Field
	// Broken is how many fields could not be read.
	Broken int

	buf   []byte
	spans []span
}

// span is a field within the buffer of an entry.
type span struct{ name, value, end, lost int }

// keep takes the name and what is to be kept of the value.
func (e *Entry) keep(name, value []byte, lost int) {
	s := span{name: len(e.buf), lost: lost}
	e.buf = append(e.buf, name...)
	s.value = len(e.buf)
	e.buf = append(e.buf, value...)
	s.end = len(e.buf)
	e.spans = append(e.spans, s)
}

// readEntry reads the entry at a place. An error says that all of it is broken.
func (r *Reader) readEntry(f *file, at uint64, e *Entry) (err error) {
	if cap(e.buf) > 4*atOnce {
		e.buf = nil
	}
	e.Fields, e.Broken, e.buf, e.spans = e.Fields[:0], 0, e.buf[:0], e.spans[:0]
	if e.Cursor, err = f.place(at); err != nil {
		return err
	}
	items, err := f.fields(at)
	if err != nil {
		return err
	}
	for i, data := range items {
		if i > 0 && data == items[i-1] {
			continue
		}
		if err := r.readField(f, data, e); err != nil {
			e.Broken++
			f.broken.Add(1)
		}
	}
	for _, s := range e.spans {
		e.Fields = append(e.Fields, Field{Name: e.buf[s.name:s.value:s.value], Value: e.buf[s.value:s.end:s.end], Lost: s.lost})
	}
	return nil
}

// readField reads one field of an entry.
func (r *Reader) readField(f *file, at uint64, e *Entry) error {
	if s, ok := f.shared[at]; ok {
		if s.name != nil {
			e.keep(s.name, s.value, 0)
		}
		return nil
	}
	flags, start, size, err := f.data(at)
	if err != nil {
		return err
	}
	head, err := f.read(at, dataHeader)
	if err != nil {
		return err
	}
	hash, often := u64(head, 16), u64(head, 56) > 1
	var b []byte
	total := size
	if flags&packed != 0 {
		if b, err = f.read(start, min(size, MaxValue)); err == nil {
			b, total, err = r.unpacker.unpack(flags&packed, b, r.most)
		}
		if cap(r.unpacker.buf) > atOnce {
			r.unpacker.buf = nil
		}
	} else {
		b, err = f.read(start, min(size, mostName+1))
	}
	if err != nil {
		return err
	}
	n := bytes.IndexByte(b, '=')
	if n <= 0 || n > mostName {
		return fmt.Errorf("%w: a field without a name at %d", errBroken, at)
	}
	most := MaxValue
	if r.o.Keep != nil {
		most = r.o.Keep(b[:n])
	}
	if most < 0 {
		if often {
			f.share(at, shared{})
		}
		return nil
	}
	want := min(total, uint64(n)+1+uint64(most))
	if flags&packed == 0 {
		if b, err = f.read(start, want); err != nil {
			return err
		}
	} else {
		want = min(want, uint64(len(b)))
		b = b[:want]
	}
	if want == total && f.hash(b) != hash {
		return fmt.Errorf("%w: the hash of the field at %d", errBroken, at)
	}
	name, value := b[:n], b[n+1:]
	if often && want == total && len(b) <= sharedSize {
		b = bytes.Clone(b)
		f.share(at, shared{name: b[:n], value: b[n+1:]})
	}
	e.keep(name, value, int(total-want))
	return nil
}

// share keeps a field in memory.
func (f *file) share(at uint64, s shared) {
	if len(f.shared) >= mostShared {
		clear(f.shared)
	}
	f.shared[at] = s
}
