// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"tallyman/internal/fsx"
)

// mark is a place in the spool.
type mark struct {
	segment uint64
	offset  int64 // of the next record; 0 is the first
	number  uint64
	time    int64 // of the last tick before it, 0 when there was none
}

// Reader reads the spool for one destination.
type Reader struct {
	s    *Spool
	name string

	// Of s.mu.
	at, done, kept mark   // next to be read, confirmed, and as the file says
	moves          uint64 // how often the spool has moved it
	dropped        map[string]uint64
	keptAt         time.Time

	keeping sync.Mutex // before s.mu
	notice  string

	ready chan struct{}
	k     known
	file  *os.File
	of    uint64 // segment that is open
	seen  uint64 // moves when it was opened
	to    int64  // where known belongs
	buf   []byte
	ticks []Tick
}

// Reader is that of a destination. One that is not known begins with what comes next.
func (s *Spool) Reader(name string) (*Reader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, err
	}
	r := &Reader{s: s, name: name, ready: make(chan struct{}, 1), k: known{dec: dec}, dropped: map[string]uint64{}}
	var lost []Lost
	s.mu.Lock()
	known, err := r.load()
	if err == nil && known {
		s.number = max(s.number, r.at.number) // a power cut may have taken what was confirmed
		if len(s.segments) > 0 && s.segments[0].id > r.at.segment && s.segments[0].number > r.at.number {
			lost = append(lost, r.lose(Full, s.segments[0].number, s.segments[0].begun)) // while it was not among the settings
		}
	} else if err == nil {
		r.at = mark{segment: s.nextID, number: s.number}
		if s.file != nil {
			r.at.segment, r.at.offset = s.newest().id, s.newest().size
		}
	}
	r.done = r.at
	s.readers = append(s.readers, r)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.tell(lost)
	return r, r.keep()
}

func (r *Reader) path() string { return filepath.Join(r.s.opt.Dir, r.name+".cursor") }

const cursorForm = "tallyman cursor 1 segment %d offset %d number %d time %d"

// load reads the cursor; known is false when there is none, or one that is damaged.
func (r *Reader) load() (known bool, err error) {
	b, err := os.ReadFile(r.path())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read how far was sent: %w", err)
	}
	var m mark
	var sum uint32
	_, err = fmt.Sscanf(string(b), cursorForm+" crc %08x\n", &m.segment, &m.offset, &m.number, &m.time, &sum)
	if err != nil || sum != m.sum() {
		r.notice = fmt.Sprintf("How far was sent could not be read from %s.cursor at %s. What waited in the spool is not sent on.", r.name, time.Now().UTC().Format("2006-01-02 15:04:05 MST"))
		return false, nil
	}
	r.at = m
	return true, nil
}

func (m mark) text() string {
	return fmt.Sprintf(cursorForm, m.segment, m.offset, m.number, m.time)
}

func (m mark) sum() uint32 { return crc32.Checksum([]byte(m.text()), castagnoli) }

// keep writes what is confirmed into the file.
func (r *Reader) keep() error {
	r.keeping.Lock()
	defer r.keeping.Unlock()
	r.s.mu.Lock()
	done, kept := r.done, r.kept
	r.s.mu.Unlock()
	if done == kept {
		return nil
	}
	if err := fsx.WriteFile(r.path(), fmt.Appendf(nil, "%s crc %08x\n", done.text(), done.sum()), fileMode); err != nil {
		return fmt.Errorf("keep how far was sent: %w", err)
	}
	r.s.mu.Lock()
	r.kept, r.keptAt = done, time.Now()
	r.s.mu.Unlock()
	return nil
}

// Notice is what happened to how far was sent when the reader was made, for a person; empty
// when nothing did.
func (r *Reader) Notice() string { return r.notice }

// lose counts what is lost up to a number, with the spool locked.
func (r *Reader) lose(why string, number uint64, upTo time.Time) Lost {
	l := Lost{To: r.name, Reason: why, Samples: number - r.at.number, UpTo: upTo}
	if r.at.time != 0 {
		l.After = time.UnixMilli(r.at.time)
	}
	r.dropped[why] += l.Samples
	r.at.number = number
	return l
}

func (r *Reader) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Part bounds what is read at once: at least one tick, then others as long as they fit.
type Part struct{ Ticks, Samples int }

// Next waits for a tick and gives it, with those behind it that are there, oldest first.
// The error is that of ctx, or that a file cannot be read; then it may be asked again.
func (r *Reader) Next(ctx context.Context, most Part) ([]Tick, error) {
	n, samples := 0, 0
	for n < most.Ticks && samples < most.Samples {
		if n == len(r.ticks) {
			r.ticks = append(r.ticks, Tick{})
		}
		ok, err := r.next(&r.ticks[n])
		switch {
		case ok:
			samples += len(r.ticks[n].Values)
			n++
			continue
		case n > 0:
			return r.ticks[:n], nil
		case err != nil:
			return nil, err
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return r.ticks[:n], nil
}

// next reads one tick; ok is false when there is none.
func (r *Reader) next(t *Tick) (ok bool, err error) {
	s := r.s
	for {
		s.mu.Lock()
		at, moves := r.at, r.moves
		var in *segment
		for _, one := range s.segments {
			if one.id >= at.segment {
				in = one
				break
			}
		}
		if in == nil {
			s.mu.Unlock()
			return false, nil
		}
		id, size, newest := in.id, in.size, in == s.newest()
		s.mu.Unlock()
		if id > at.segment || at.offset == 0 {
			at.segment, at.offset = id, int64(headerSize)
		}
		if at.offset >= size {
			if newest {
				return false, nil
			}
			r.move(moves, mark{segment: id + 1, number: at.number, time: at.time})
			continue
		}
		if err := r.open(at, moves, size); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				if !newest { // the spool has removed it, or somebody else: what is missing is counted with the next tick
					r.move(moves, mark{segment: id + 1, number: at.number, time: at.time})
				}
				if !newest || r.moved(moves) {
					continue
				}
			}
			return false, fmt.Errorf("read the spool: %w", err)
		}
		record, err := r.record(at.offset, size)
		if errors.Is(err, errDamaged) {
			r.k.broken = true
			skip, err := r.find(at.offset+1, size)
			if err != nil {
				return false, fmt.Errorf("read the spool: %w", err)
			}
			at.offset, r.to = skip, skip
			r.move(moves, at)
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read the spool: %w", err)
		}
		at.offset += int64(len(record))
		r.to = at.offset
		h, good := r.take(record, t)
		if !good {
			r.move(moves, at)
			continue
		}
		if ok := r.got(h, t, at, moves); ok {
			return true, nil
		}
	}
}

// got moves behind a tick that was read, and counts what is missing before and in it. ok is
// false when the spool has moved the reader meanwhile.
func (r *Reader) got(h head, t *Tick, at mark, moves uint64) (ok bool) {
	s := r.s
	s.mu.Lock()
	if r.moves != moves {
		s.mu.Unlock()
		return false
	}
	var lost []Lost
	if h.number > r.at.number {
		lost = append(lost, r.lose(Damaged, h.number, time.UnixMilli(h.time)))
	}
	at.number, at.time = h.number+h.samples, h.time
	if n := uint64(len(t.Values)); n < h.samples { // of series that are not known
		r.at.number = h.number + n
		lost = append(lost, r.lose(Damaged, at.number, time.UnixMilli(h.time)))
	}
	r.at = at
	s.mu.Unlock()
	s.tell(lost)
	return true
}

// move moves the reader, unless the spool has.
func (r *Reader) move(moves uint64, to mark) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.moves == moves {
		to.number = r.at.number
		r.at = to
	}
}

func (r *Reader) moved(moves uint64) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.moves != moves
}

// take takes a record into what is known; good is set when it is a tick.
func (r *Reader) take(record []byte, t *Tick) (h head, good bool) {
	kind, payload := record[8], record[frameSize:]
	if kind == kindSeries {
		if r.k.addSeries(payload) != nil {
			r.k.broken = true
		}
		return h, false
	}
	h, err := r.k.tick(kind, payload, t)
	if err != nil {
		r.k.broken = true
	}
	return h, err == nil
}

// open opens the segment of a mark, and reads what has to be known there.
func (r *Reader) open(at mark, moves uint64, size int64) error {
	if r.file != nil && r.of == at.segment && r.seen == moves && r.to == at.offset {
		return nil
	}
	r.close()
	f, err := os.Open(r.s.path(at.segment))
	if err != nil {
		return err
	}
	r.file, r.of, r.seen = f, at.segment, moves
	r.k.reset()
	var t Tick
	for r.to = int64(headerSize); r.to < at.offset; {
		record, err := r.record(r.to, size)
		if errors.Is(err, errDamaged) {
			r.k.broken = true
			if r.to, err = r.find(r.to+1, size); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		r.to += int64(len(record))
		r.take(record, &t)
	}
	r.to = at.offset
	return nil
}

// record reads a whole record.
func (r *Reader) record(at, size int64) ([]byte, error) {
	var frame [frameSize]byte
	if size-at < frameSize {
		return nil, errDamaged
	}
	if _, err := r.file.ReadAt(frame[:], at); err != nil {
		return nil, err
	}
	n, ok := parseFrame(frame[:], size-at)
	if !ok {
		return nil, errDamaged
	}
	if int64(cap(r.buf)) < n {
		r.buf = make([]byte, n+n/4)
	}
	r.buf = r.buf[:n]
	if _, err := r.file.ReadAt(r.buf, at); err != nil {
		return nil, err
	}
	if !whole(r.buf) {
		return nil, errDamaged
	}
	return r.buf, nil
}

// find is where the next whole record begins, or size.
func (r *Reader) find(from, size int64) (int64, error) {
	b := make([]byte, max(0, size-from))
	if _, err := r.file.ReadAt(b, from); err != nil {
		return 0, err
	}
	return from + int64(findRecord(b)), nil
}

// Commit says that all that Next gave has arrived. It is kept at most once a second.
func (r *Reader) Commit() error {
	r.s.mu.Lock()
	r.done = r.at
	wait := time.Since(r.keptAt) < time.Second
	r.s.mu.Unlock()
	if wait {
		r.s.wake() // Sync does it
		return nil
	}
	if err := r.keep(); err != nil {
		return err
	}
	r.s.wake() // what nobody needs goes
	return nil
}

// Stats are how far a reader has come.
type Stats struct {
	// Waiting are the samples that are not confirmed.
	Waiting uint64
	// Confirmed is the time of the last tick that is, zero without one.
	Confirmed time.Time
	Dropped   map[string]uint64
}

// Stats are those of now.
func (r *Reader) Stats() Stats {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	out := Stats{Dropped: map[string]uint64{}}
	if r.s.number > r.done.number {
		out.Waiting = r.s.number - r.done.number
	}
	if r.done.time != 0 {
		out.Confirmed = time.UnixMilli(r.done.time)
	}
	for why, n := range r.dropped {
		out.Dropped[why] = n
	}
	return out
}

func (r *Reader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}
