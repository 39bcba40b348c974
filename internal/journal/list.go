// SPDX-License-Identifier: Apache-2.0

package journal

import "encoding/binary"

// list are the entries that have one value, or all of a file.
type list struct {
	data   uint64 // the object of the value
	inline uint64 // the first entry, which stands in the value's object
	head   uint64 // the first array
	arrays []array
	n      uint64 // entries in the list
	hint   uint64 // where the last one was found
	arr    int    // the array where it was
	// asked and got are the last question and its answer, which holds for all that
	// is asked between them.
	asked, got uint64
}

// array is one of the arrays of a list.
type array struct{ at, first, end uint64 }

// lost counts an object of a list that is not there. One behind the newest entry is being
// written.
func (f *file) lost(l *list, at uint64) {
	if l == &f.all || at <= f.last || f.head.state == archived {
		f.broken.Add(1)
	}
}

// load takes the arrays of a list that are new.
func (f *file) load(l *list) {
	l.asked = 0
	end, next := uint64(0), l.head
	if l.inline != 0 {
		end = 1
	}
	if n := len(l.arrays); n > 0 {
		a := l.arrays[n-1]
		end = a.end
		b, err := f.read(a.at+objectHeader, 8)
		if err != nil {
			f.broken.Add(1)
			l.n = min(l.n, end)
			return
		}
		if next = u64(b, 0); next != 0 && next <= a.at {
			f.broken.Add(1)
			next = 0
		}
	}
	step := uint64(8)
	if f.head.flags&flagCompact != 0 {
		step = 4
	}
	for end < l.n && next != 0 && len(l.arrays) < mostArrays {
		_, size, err := f.object(next, arrayObject, arrayHeader)
		if err != nil {
			f.lost(l, next)
			break
		}
		b, err := f.read(next+objectHeader, 8)
		if err != nil {
			f.broken.Add(1)
			break
		}
		a := array{at: next, first: end, end: end + (size-arrayHeader)/step}
		if a.end > f.size/step { // more than fit into the file: they lie in each other
			f.broken.Add(1)
			break
		}
		l.arrays, end = append(l.arrays, a), a.end
		// Arrays are appended to the file, so each lies behind the one before: no
		// chain goes round.
		if next = u64(b, 0); next != 0 && next <= a.at {
			f.broken.Add(1)
			break
		}
	}
	l.n = min(l.n, end)
}

// find looks a value up, and takes notice of what entries have it.
func (f *file) find(v *value) {
	l := &v.list
	if l.data == 0 {
		l.data = f.lookUp(v.text)
	}
	if l.data == 0 {
		return
	}
	_, _, _, err := f.data(l.data)
	var b []byte
	if err == nil {
		b, err = f.read(l.data, dataHeader)
	}
	if err != nil {
		f.broken.Add(1)
		return
	}
	l.inline, l.head, l.n = u64(b, 40), u64(b, 48), u64(b, 56)
	f.load(l)
}

// lookUp finds the object of a value by its hash, 0 when the file has it not.
func (f *file) lookUp(text []byte) uint64 {
	n := f.head.tableSize / bucket
	if n == 0 {
		return 0
	}
	of := f.hash(text)
	b, err := f.read(f.head.table+of%n*bucket, 8)
	if err != nil {
		f.broken.Add(1)
		return 0
	}
	at := u64(b, 0)
	for range mostChain {
		if at == 0 {
			return 0
		}
		flags, start, size, err := f.data(at)
		if err == nil {
			b, err = f.read(at, dataHeader)
		}
		if err != nil {
			break
		}
		next := u64(b, 24)
		if u64(b, 16) == of && flags&packed == 0 && size == uint64(len(text)) {
			if b, err = f.read(start, size); err == nil && string(b) == string(text) {
				return at
			}
		}
		if next != 0 && next <= at {
			break // objects of a chain lie behind each other, too
		}
		at = next
	}
	if at <= f.last || f.head.state == archived {
		f.broken.Add(1)
	}
	return 0
}

// item is the place of an entry by its number in a list, 0 when it cannot be read.
func (f *file) item(l *list, i uint64) uint64 {
	if l.inline != 0 && i == 0 {
		return l.inline
	}
	if l.arr >= len(l.arrays) || i < l.arrays[l.arr].first || i >= l.arrays[l.arr].end {
		l.arr = -1
		for k := range l.arrays {
			if i >= l.arrays[k].first && i < l.arrays[k].end {
				l.arr = k
			}
		}
		if l.arr < 0 {
			l.arr = 0
			return 0
		}
	}
	a := l.arrays[l.arr]
	if f.head.flags&flagCompact != 0 {
		b, err := f.read(a.at+arrayHeader+4*(i-a.first), 4)
		if err != nil {
			return 0
		}
		return uint64(binary.LittleEndian.Uint32(b))
	}
	b, err := f.read(a.at+arrayHeader+8*(i-a.first), 8)
	if err != nil {
		return 0
	}
	return u64(b, 0)
}

// search gives the number of the first entry of a list that lies at or behind a place.
func (f *file) search(l *list, from uint64) uint64 {
	less := func(i uint64) bool { at := f.item(l, i); return at != 0 && at < from }
	// Mostly it is the one behind the last one, or near to it.
	low, high := uint64(0), l.n
	if h := l.hint; h < l.n && less(h) {
		low = h + 1
		for step := uint64(1); low < high; step *= 2 {
			i := low + step - 1
			if i >= l.n {
				break
			}
			if !less(i) {
				high = i
				break
			}
			low = i + 1
		}
	}
	for low < high {
		if mid := low + (high-low)/2; less(mid) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// from is the first whole entry of a list at or behind a place, 0 when there is none.
func (f *file) from(l *list, from uint64) (got uint64) {
	if l.asked != 0 && from >= l.asked && (l.got == 0 || from <= l.got) {
		return l.got
	}
	defer func() { l.asked, l.got = from, got }()
	for i := f.search(l, from); i < l.n; i++ {
		at := f.item(l, i)
		if at >= from && f.isEntry(at) {
			l.hint = i
			return at
		}
		if at != 0 && at < from && f.isEntry(at) {
			continue
		}
		f.lost(l, at-1) // 0 was not written yet
	}
	return 0
}

// upTo is the last whole entry of a list before or at a place, 0 when there is none.
func (f *file) upTo(l *list, to uint64) uint64 {
	for i := f.search(l, to+1); i > 0; i-- {
		if at := f.item(l, i-1); at != 0 && at <= to && f.isEntry(at) {
			l.hint = i - 1
			return at
		}
	}
	return 0
}

// after is the first entry from a place on that matches, 0 when there is none.
func (f *file) after(from uint64) uint64 {
	if from > f.last || f.last == 0 {
		return 0
	}
	if at := f.next(from); at != 0 && at < f.last {
		return at
	}
	if items, err := f.fields(f.last); err == nil && f.matches(items) {
		return f.last
	}
	return 0
}

// until is the last entry before a place that matches, 0 when there is none.
func (f *file) until(to uint64) uint64 {
	if f.last == 0 || to == 0 {
		return 0
	}
	if to > f.last {
		if items, err := f.fields(f.last); err == nil && f.matches(items) {
			return f.last
		}
		to = f.last
	}
	return f.before(to - 1)
}

// seek is the place of the first entry that is not before a cursor.
func (f *file) seek(c *Cursor) uint64 {
	if c.Series == f.head.series {
		return f.bisect(&f.all, func(p *Cursor) bool { return p.Seqnum < c.Seqnum })
	}
	boot := &value{text: []byte("_BOOT_ID=" + c.Boot.String())}
	if f.find(boot); boot.list.n > 0 {
		if at := f.bisect(&boot.list, func(p *Cursor) bool { return p.Monotonic < c.Monotonic }); at <= f.last {
			return at
		}
		// It lies behind all of its boot.
		if at := f.upTo(&boot.list, f.last); at != 0 {
			return at + 1
		}
	}
	return f.bisect(&f.all, func(p *Cursor) bool { return p.Realtime < c.Realtime })
}

// bisect is the place of the first entry of a list that is not less, behind all when
// there is none.
func (f *file) bisect(l *list, less func(*Cursor) bool) uint64 {
	low, high := uint64(0), l.n
	for low < high {
		mid := low + (high-low)/2
		// Next to a broken one stands another.
		i, at := mid, uint64(0)
		var c Cursor
		for ; i < high; i++ {
			at = f.item(l, i)
			var err error
			if c, err = f.place(at); err == nil {
				break
			}
			f.broken.Add(1)
		}
		if i < high && less(&c) {
			low = i + 1
		} else {
			high = mid
		}
	}
	for ; low < l.n; low++ {
		if at := f.item(l, low); f.isEntry(at) {
			return at
		}
	}
	return f.last + 1
}
