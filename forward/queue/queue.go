// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tallyman/internal/fsx"
)

// Flag marks a message.
type Flag uint8

// Alignment marks a message that tells a state, not a change of it.
const Alignment Flag = 1

// Message is what is kept.
type Message struct {
	// ID is the same each time that the same message is given or handed out.
	ID string
	// Key is what the message is about. The queue keeps all messages in order; a sender
	// that uses several ways must keep at least the order of those with the same key.
	Key string
	// Time is when what the message tells of happened. Age is measured by it.
	Time  time.Time
	Flags Flag
	Body  []byte
}

// Item is a message that is handed out. Its Body is the queue's, and good until the next
// one is handed out.
type Item struct {
	Seq uint64
	Message
}

// Options are what a queue is made of.
type Options struct {
	// Dir is the directory of this queue alone. It is made.
	Dir string
	// MaxBytes bounds the records that are not confirmed, their framing of 30 bytes and
	// their texts included; 0 is no bound.
	MaxBytes int64
	// MaxAge bounds the age of messages by their times; 0 is no bound.
	MaxAge time.Duration
	// Remember is how many of the newest messages [Queue.Recent] finds, confirmed or not.
	Remember int
	// Space says whether there is room on the file system; nil never asks.
	Space *fsx.Space
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log is told when the queue begins to drop messages; nil is silent.
	Log *slog.Logger
}

// entry is a message on the disk.
type entry struct {
	seq  uint64
	at   int64 // its time in Unix nanoseconds
	in   *segment
	off  int64 // of its record
	size int32
	dead bool // it turned out to be damaged
}

// segment is a file.
type segment struct {
	name string
	last uint64 // number of the last record, 0 without one
	size int64
}

// Queue keeps messages for one destination. Close it when done.
type Queue struct {
	opt     Options
	segment int64 // a new one begins at this many bytes
	ready   chan struct{}

	mu       sync.Mutex
	segments []*segment
	entries  []entry // on the disk, in order
	head     int     // of entries: the first that is not confirmed
	cursor   int     // of entries: the next to be handed out
	length   int     // living entries from head on
	bytes    int64   // of those
	next     uint64  // number of the next message
	handed   uint64  // greatest number that was handed out
	limbo    []entry // dropped while they were handed out
	dropping map[uint64]Reason
	stats    Stats
	// overflowing is set from when messages were dropped until one is confirmed.
	overflowing bool

	writer *os.File // of the last segment, nil when closed
	reader *os.File // of reading, nil when none is open
	of     *segment
	ack    *os.File
	acked  uint64 // as the file says
	acks   uint64 // its generation

	write, read, slot []byte     // buffers
	unsynced          []*os.File // segments before the last one, to be synced and closed
	dirty             bool       // the last segment has to be synced
	ackDirty          bool
	dirDirty          bool
	syncing           sync.Mutex // held while files are synced, before mu
}

// Open opens or makes a queue, and mends what a crash has left. An error names the file
// and says what was tried. Files that are no segments are left alone.
func Open(o Options) (_ *Queue, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{opt: o, segment: segmentMax, ready: make(chan struct{}, 1), next: 1, dropping: map[uint64]Reason{}, stats: Stats{Dropped: map[Reason]Lost{}}}
	if o.MaxBytes > 0 {
		q.segment = min(segmentMax, max(segmentMin, o.MaxBytes/4))
	}
	defer func() {
		if err != nil {
			_ = q.closeFiles() // the first error says more
		}
	}()
	if err := os.MkdirAll(o.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the directory of a queue: %w", err)
	}
	if err := q.openAck(); err != nil {
		return nil, err
	}
	if err := q.openSegments(); err != nil {
		return nil, err
	}
	q.next = max(q.next, q.acked+1)
	q.head, _ = slices.BinarySearchFunc(q.entries, q.acked+1, func(e entry, seq uint64) int {
		switch {
		case e.seq < seq:
			return -1
		case e.seq > seq:
			return 1
		}
		return 0
	})
	q.cursor = q.head
	for _, e := range q.entries[q.head:] {
		q.length++
		q.bytes += int64(e.size)
	}
	q.bound(0)
	if q.length > 0 {
		q.wake()
	}
	return q, nil
}

func (q *Queue) path(name string) string { return filepath.Join(q.opt.Dir, name) }

func (q *Queue) openAck() (err error) {
	if q.ack, err = os.OpenFile(q.path(ackName), os.O_CREATE|os.O_RDWR, fileMode); err != nil {
		return fmt.Errorf("open the place in a queue: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(q.ack, 2*slotSize))
	if err != nil {
		return fmt.Errorf("read the place in a queue: %w", err)
	}
	q.acks, q.acked = parseAck(text)
	return nil
}

// openSegments reads all segments, and opens the last one for writing.
func (q *Queue) openSegments() error {
	names, err := os.ReadDir(q.opt.Dir)
	if err != nil {
		return fmt.Errorf("list a queue: %w", err)
	}
	expected := q.acked + 1 // number of the next record, if nothing is missing
	var last uint64
	var rest []byte           // behind the last record of the last segment
	for _, d := range names { // by name, and so by number
		hex, ok := strings.CutSuffix(d.Name(), suffix)
		first, err := strconv.ParseUint(hex, 16, 64)
		if !ok || err != nil || len(hex) != 16 || first == 0 || !d.Type().IsRegular() {
			continue
		}
		text, err := os.ReadFile(q.path(d.Name()))
		if err != nil {
			return fmt.Errorf("read a segment of a queue: %w", err)
		}
		if len(q.segments) == 0 {
			// What is before the first segment was removed as confirmed, even if a power cut
			// has set the place back.
			expected = max(expected, first)
		}
		s := &segment{name: d.Name()}
		s.size = scan(text, max(last, first-1), func(r record, at int64) {
			if r.seq > expected {
				q.damage(r.seq - expected) // of those before acked nobody is waiting for
			}
			expected = max(expected, r.seq+1)
			last, s.last = r.seq, r.seq
			q.entries = append(q.entries, entry{seq: r.seq, at: r.at, in: s, off: at, size: int32(r.size)})
		})
		q.next = max(q.next, last+1, first)
		rest = text[s.size:]
		q.segments = append(q.segments, s)
	}
	if wasWhole(rest) && q.next > q.acked {
		q.damage(1)
	}
	if len(q.segments) == 0 {
		return nil // the first message makes one
	}
	end := q.segments[len(q.segments)-1]
	if q.writer, err = os.OpenFile(q.path(end.name), os.O_RDWR, fileMode); err != nil {
		return fmt.Errorf("open a segment of a queue: %w", err)
	}
	if end.size < int64(len(magic)) {
		end.size = int64(len(magic))
		_, err = q.writer.WriteAt([]byte(magic), 0)
	}
	if err = errors.Join(err, q.writer.Truncate(end.size)); err != nil {
		return fmt.Errorf("mend a segment of a queue: %w", err)
	}
	return nil
}

// wasWhole reports whether the end that is cut off was a whole record once, and not one
// that was being written: it is as long as it says.
func wasWhole(text []byte) bool {
	if len(text) < header {
		return false
	}
	n := int64(binary.LittleEndian.Uint32(text))
	return n >= fixed && n <= maxRecord-header && int64(len(text)) >= header+n
}

// Append keeps a message and gives its number; numbers grow by one. With an error it is
// not kept: with [ErrTooLarge] it never will be, and counts as dropped; else the disk does
// not take it now, which is counted, and the caller may try again.
func (q *Queue) Append(m Message) (seq uint64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ack == nil {
		return 0, os.ErrClosed
	}
	size := recordSize(&m)
	if size > maxRecord || len(m.Key) > maxText || len(m.ID) > maxText || q.opt.MaxBytes > 0 && int64(size) > q.opt.MaxBytes {
		q.lose(TooLarge, m.Time.UnixNano())
		return 0, fmt.Errorf("queue a message of %d bytes: %w", size, ErrTooLarge)
	}
	if err = q.put(&m, size); err != nil {
		q.stats.Failing = err
		q.stats.Failures++
		return 0, err
	}
	q.stats.Failing = nil
	q.stats.Appended++
	seq = q.next
	q.next++
	q.wake()
	return seq, nil
}

// ErrTooLarge says that a message is longer than a queue takes.
var ErrTooLarge = errors.New("it is too large for the queue")

// put writes a message, after it has made room for it.
func (q *Queue) put(m *Message, size int) error {
	if q.opt.Space != nil {
		if err := q.opt.Space.Check(); err != nil {
			return err
		}
	}
	if err := q.rotate(int64(size)); err != nil {
		return err
	}
	end := q.segments[len(q.segments)-1]
	q.write = appendRecord(q.write[:0], q.next, m)
	if _, err := q.writer.WriteAt(q.write, end.size); err != nil {
		// What a failed write has left would be damage behind what is written over it.
		return errors.Join(fmt.Errorf("write to a queue: %w", err), q.writer.Truncate(end.size))
	}
	q.bound(int64(size))
	q.entries = append(q.entries, entry{seq: q.next, at: m.Time.UnixNano(), in: end, off: end.size, size: int32(size)})
	end.size += int64(size)
	end.last = q.next
	q.length++
	q.bytes += int64(size)
	q.dirty = true
	return nil
}

// rotate begins a new segment when there is none, or the last one is full.
func (q *Queue) rotate(size int64) error {
	if n := len(q.segments); n > 0 && (q.segments[n-1].last == 0 || q.segments[n-1].size+size <= q.segment) {
		return nil
	}
	s := &segment{name: fmt.Sprintf("%016x%s", q.next, suffix), size: int64(len(magic))}
	f, err := os.OpenFile(q.path(s.name), os.O_CREATE|os.O_RDWR|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("make a segment of a queue: %w", err)
	}
	if _, err := f.WriteAt([]byte(magic), 0); err != nil {
		return errors.Join(fmt.Errorf("make a segment of a queue: %w", err), f.Close(), os.Remove(f.Name()))
	}
	if q.writer != nil {
		q.unsynced = append(q.unsynced, q.writer)
	}
	q.writer, q.dirDirty = f, true
	q.segments = append(q.segments, s)
	return nil
}

// bound drops the oldest messages, so that more bytes fit in and none is too old.
func (q *Queue) bound(more int64) {
	before := q.head
	if q.opt.MaxBytes > 0 {
		for q.bytes+more > q.opt.MaxBytes && q.head < len(q.entries) {
			q.dropHead(Full)
		}
	}
	if q.opt.MaxAge > 0 {
		for oldest := q.opt.Now().Add(-q.opt.MaxAge).UnixNano(); q.head < len(q.entries) && q.entries[q.head].at < oldest; {
			q.dropHead(TooOld)
		}
	}
	if q.head == before {
		return
	}
	q.moved()
	if !q.overflowing {
		q.overflowing = true
		q.opt.Log.Warn("messages that wait for a destination are dropped, the oldest first: there are too many, or they are too old")
	}
}

// dropHead drops the oldest message.
func (q *Queue) dropHead(why Reason) {
	e := q.entries[q.head]
	q.head++
	if e.dead {
		return
	}
	q.length--
	q.bytes -= int64(e.size)
	if q.head <= q.cursor { // it is under way, and may arrive
		q.limbo = append(q.limbo, e)
		if _, ok := q.dropping[e.seq]; !ok {
			q.dropping[e.seq] = why
		}
		return
	}
	q.cursor = q.head
	q.lose(why, e.at)
}

// moved notes on the disk where the head is, and deletes what nobody needs any more.
func (q *Queue) moved() {
	seq := q.next - 1
	if q.head < len(q.entries) {
		seq = q.entries[q.head].seq - 1
	} else if n := len(q.entries); n > 0 {
		seq = max(q.acked, q.entries[n-1].seq)
	}
	if seq > q.acked && q.ack != nil {
		q.acks++
		q.slot = appendSlot(q.slot[:0], q.acks, seq)
		// With an error more is handed out again after a kill.
		if _, err := q.ack.WriteAt(q.slot, int64(q.acks%2)*slotSize); err == nil {
			q.acked, q.ackDirty = seq, true
		}
	}
	gone := 0
	for len(q.segments) > 1 {
		s := q.segments[0]
		n := gone
		for n < len(q.entries) && q.entries[n].in == s {
			n++
		}
		if n > q.head || n > q.cursor || len(q.entries)-n < q.opt.Remember {
			break
		}
		if q.of == s {
			_ = q.reader.Close()
			q.reader, q.of = nil, nil
		}
		if err := os.Remove(q.path(s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break // tried again when the next message is confirmed
		}
		q.segments = slices.Delete(q.segments, 0, 1)
		gone = n
	}
	if gone > 0 {
		q.entries = slices.Delete(q.entries, 0, gone)
		q.head -= gone
		q.cursor -= gone
	}
}

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Ready has a value when there may be something to take. It is for a sender that waits
// for other things, too; Next waits by itself.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Next hands out the oldest message that was not handed out, and waits until there is
// one. An error is that of ctx, or that a file cannot be opened; then it may be asked
// again.
func (q *Queue) Next(ctx context.Context) (Item, error) {
	for {
		if item, ok, err := q.TryNext(); ok || err != nil {
			return item, err
		}
		select {
		case <-q.ready:
		case <-ctx.Done():
			return Item{}, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: ok is false when there is nothing.
func (q *Queue) TryNext() (item Item, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ack == nil {
		return item, false, os.ErrClosed
	}
	for q.cursor < len(q.entries) {
		e := &q.entries[q.cursor]
		if e.dead {
			q.pass()
			continue
		}
		r, err := q.fetch(e)
		if errors.Is(err, errDamaged) {
			e.dead = true
			q.length--
			q.bytes -= int64(e.size)
			q.damage(1)
			q.pass()
			continue
		}
		if err != nil {
			return item, false, err
		}
		if e.seq <= q.handed {
			q.stats.Repeated++
		}
		q.handed = max(q.handed, e.seq)
		q.cursor++
		return Item{e.seq, r.message()}, true, nil
	}
	return item, false, nil
}

// pass leaves out a dead entry at the cursor.
func (q *Queue) pass() {
	q.cursor++
	if q.head == q.cursor-1 {
		q.head = q.cursor
		q.moved()
	}
}

var errDamaged = errors.New("the record is damaged")

// fetch reads the record of a message into the read buffer.
func (q *Queue) fetch(e *entry) (r record, err error) {
	if q.of != e.in {
		f, err := os.Open(q.path(e.in.name))
		if errors.Is(err, fs.ErrNotExist) {
			return r, errDamaged
		}
		if err != nil {
			return r, fmt.Errorf("read a queue: %w", err)
		}
		if q.reader != nil {
			_ = q.reader.Close()
		}
		q.reader, q.of = f, e.in
	}
	q.read = slices.Grow(q.read[:0], int(e.size))[:e.size]
	if _, err := q.reader.ReadAt(q.read, e.off); err != nil {
		return r, errDamaged
	}
	r, ok := parse(q.read)
	if !ok || r.seq != e.seq || r.size != int(e.size) {
		return r, errDamaged
	}
	return r, nil
}

// Ack confirms a message that was handed out, and all before it. They are not handed out
// again, also after a kill. Confirming twice does no harm.
func (q *Queue) Ack(seq uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ack == nil {
		return os.ErrClosed
	}
	if seq > q.handed {
		return fmt.Errorf("confirm the message %d of a queue: only %d were handed out", seq, q.handed)
	}
	q.settle(seq)
	q.overflowing = false
	before := q.head
	for q.head < q.cursor && q.entries[q.head].seq <= seq {
		e := &q.entries[q.head]
		q.head++
		if e.dead {
			continue
		}
		q.length--
		q.bytes -= int64(e.size)
		q.finish(e)
	}
	if q.head > before {
		q.moved()
	}
	return nil
}

// finish counts a message that needs no sending any more.
func (q *Queue) finish(e *entry) {
	if why, ok := q.dropping[e.seq]; ok && why == Refused {
		q.lose(Refused, e.at)
	} else {
		q.stats.Sent++
	}
	delete(q.dropping, e.seq)
}

// settle counts those of limbo that have arrived.
func (q *Queue) settle(seq uint64) {
	n := 0
	for n < len(q.limbo) && q.limbo[n].seq <= seq {
		q.finish(&q.limbo[n])
		n++
	}
	q.limbo = slices.Delete(q.limbo, 0, n)
}

// Drop says of a message that was handed out that its destination will never take it.
// It is to be confirmed in its turn, as those that arrived, and then counts as dropped.
func (q *Queue) Drop(seq uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if seq <= q.handed {
		q.dropping[seq] = Refused
	}
}

// Rewind takes back what was handed out and is not confirmed: it is handed out again.
func (q *Queue) Rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.limbo {
		q.lose(q.dropping[q.limbo[i].seq], q.limbo[i].at)
	}
	q.limbo = q.limbo[:0]
	clear(q.dropping)
	q.cursor = q.head
	if q.cursor < len(q.entries) {
		q.wake()
	}
}

// Recent are the newest messages that are on the disk, at most n and in order, whether
// they are confirmed or not; Options.Remember says how many there are at least. Their
// bodies are the caller's.
func (q *Queue) Recent(n int) ([]Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []Message
	for i := max(0, len(q.entries)-n); i < len(q.entries); i++ {
		r, err := q.fetch(&q.entries[i])
		if errors.Is(err, errDamaged) {
			continue // it is counted when its turn comes
		}
		if err != nil {
			return nil, err
		}
		m := r.message()
		m.Body = bytes.Clone(m.Body)
		out = append(out, m)
	}
	return out, nil
}
