// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"tallyman"
)

// Store implements tallyman.RecordStore and tallyman.RecordTailer.
type Store struct {
	opt     Options
	unpack  *unpacker
	stop    chan struct{}
	written chan struct{} // wakes run when it idles
	done    chan struct{}
	count   counts

	syncing sync.Mutex // one sync at a time
	mu      sync.Mutex
	index   index
	classes []*class
	wal     []*walFile // oldest first; the last is written to
	// seq is the number of the last record; each has one, in the order of
	// appending.
	seq       uint64
	walIDs    uint64
	logLeft   bool // the last file of the log is not to be written to any more
	positions map[string]string
	tails     map[*tail]struct{}

	opening     bool // limits are not asked
	closed      bool
	failing     bool  // the last append failed, for logging once
	sealErr     error // of the last attempt
	sealAgain   int64 // when to try again after one that failed
	folderDirty bool  // files were made or removed since the last sync
	idle        bool  // run has nothing to sync
	wasted      []*head

	maker    blockMaker
	buf      []byte    // the record of the log in the making
	resolved []*stream // of the batch
}

var (
	_ tallyman.RecordStore  = (*Store)(nil)
	_ tallyman.RecordTailer = (*Store)(nil)
)

var (
	errClosed     = errors.New("the store is closed")
	errShortWrite = errors.New("short write")
	errNoLabels   = errors.New("a stream without labels, or a label without a name")
	errUnsorted   = errors.New("the labels of a stream are not sorted or not unique")
)

// Open opens or makes the store: it reads the indexes of the segments and the
// log, cuts torn ends off and applies the retention.
func Open(o Options) (*Store, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open record store: %w", err)
	}
	return s, nil
}

func open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{
		opt: o, stop: make(chan struct{}), written: make(chan struct{}, 1), done: make(chan struct{}),
		index: newIndex(), positions: map[string]string{}, tails: map[*tail]struct{}{}, opening: true,
	}
	for _, c := range o.Classes {
		s.classes = append(s.classes, newClass(c, o.segment))
	}
	pack, err := newPacker(func(cause any) {
		s.count.packFailures.Add(1)
		s.opt.Log.Error("a chunk could not be compressed and is stored plain", "err", cause)
	})
	if err != nil {
		return nil, err
	}
	if s.unpack, err = newUnpacker(); err != nil {
		return nil, err
	}
	s.maker.pack = pack
	err = s.readFolder()
	if err == nil {
		err = s.replay()
	}
	if err == nil {
		s.opening = false
		s.mu.Lock()
		_, err = s.rotate()
		s.expire()
		s.mu.Unlock()
	}
	if err != nil {
		s.closeFiles()
		pack.close()
		s.unpack.close()
		return nil, err
	}
	go s.run()
	return s, nil
}

// AppendRecords implements tallyman.RecordStore. An error means that nothing of
// the batch was stored: a *LimitError that it never will be, others that it may
// be given again.
func (s *Store) AppendRecords(b *tallyman.RecordBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("append records: %w", errClosed)
	}
	err := s.append(b)
	limit, refused := errors.AsType[*LimitError](err)
	switch {
	case refused:
		s.count.refused.Add(1)
		return fmt.Errorf("append records: %w", limit)
	case err != nil:
		s.count.writeErrors.Add(1)
	}
	if (err != nil) != s.failing {
		s.failing = err != nil
		if s.failing {
			s.opt.Log.Error("records cannot be stored", "err", err)
		} else {
			s.opt.Log.Info("records can be stored again")
		}
	}
	if err != nil {
		return fmt.Errorf("append records: %w", err)
	}
	return nil
}

func (s *Store) append(b *tallyman.RecordBatch) error {
	if len(b.Streams) == 0 && len(b.Positions) == 0 {
		return nil
	}
	if err := s.check(b); err != nil {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	w, err := s.writableLog()
	if err != nil {
		return err
	}
	err = s.resolve(b)
	defer func() {
		for _, st := range s.resolved {
			s.forget(st) // one that is new and has nothing since the batch failed
		}
	}()
	if err != nil {
		return err
	}
	s.buf = s.appendBatch(beginWALRecord(s.buf[:0]), b, s.resolved, w)
	defer func() {
		if cap(s.buf) > 4<<20 {
			s.buf = nil
		}
	}()
	if len(s.buf) > s.opt.MaxBatch {
		return &LimitError{"batch", s.opt.MaxBatch, len(s.buf)}
	}
	endWALRecord(s.buf)
	if err := s.appendLog(w, s.buf); err != nil {
		return err
	}
	seq := s.seq + 1
	for i, st := range s.resolved {
		st.wal = w
		s.apply(st, b.Streams[i].Records, seq, w)
		seq += uint64(len(b.Streams[i].Records))
	}
	s.count.records.Add(seq - 1 - s.seq)
	s.seq = seq - 1
	s.commit(b.Positions)
	s.feed(b)
	return nil
}

// check holds a batch to the limits that need no more than itself.
func (s *Store) check(b *tallyman.RecordBatch) error {
	for i := range b.Streams {
		for j := range b.Streams[i].Records {
			r := &b.Streams[i].Records[j]
			if len(r.Line) > s.opt.MaxLine {
				return &LimitError{"line", s.opt.MaxLine, len(r.Line)}
			}
			n := 0
			for _, l := range r.Meta {
				n += len(l.Name) + len(l.Value) + 2
			}
			if n > maxMeta {
				return &LimitError{"metadata of a line", maxMeta, n}
			}
		}
	}
	fresh := 0
	for _, p := range b.Positions {
		if len(p.Key) > maxPosition || len(p.Value) > maxPosition {
			return &LimitError{"position", maxPosition, max(len(p.Key), len(p.Value))}
		}
		if _, ok := s.positions[p.Key]; !ok && p.Value != "" {
			fresh++
		}
	}
	if n := len(s.positions) + fresh; fresh > 0 && n > maxPositions {
		return &LimitError{"positions", maxPositions, n}
	}
	return nil
}

// room says whether anything can be stored now.
func (s *Store) room() error {
	if s.opt.Space != nil {
		if err := s.opt.Space.Check(); err != nil {
			s.expire() // the oldest make room
			if err := s.opt.Space.Check(); err != nil {
				return err
			}
		}
	}
	// When no chunk can be written the log takes what comes, up to twice its size.
	if s.sealErr != nil && s.logSize() > 2*s.opt.walTotal {
		s.sealAll(func(h *head) bool { return h.full() })
		return s.sealErr
	}
	return nil
}

// resolve finds the streams of a batch.
func (s *Store) resolve(b *tallyman.RecordBatch) error {
	s.resolved = s.resolved[:0]
	for i := range b.Streams {
		if b.Streams[i].Stream == nil {
			return errNoLabels
		}
		st, err := s.stream(b.Streams[i].Stream.Labels)
		if err != nil {
			return err
		}
		s.resolved = append(s.resolved, st)
	}
	return nil
}

// apply puts records that the log has into the head; the first has the number seq.
func (s *Store) apply(st *stream, records []tallyman.Record, seq uint64, w *walFile) {
	if len(records) == 0 {
		return
	}
	if st.gone { // the retention took its last chunk while the batch was applied
		st.gone = false
		s.index.add(st)
	}
	now := s.opt.now().UnixNano()
	bytes := 0
	for i := range records {
		h := st.head
		if h == nil {
			h = s.newHead()
			h.wal, h.since = w, now
			st.head = h
		}
		h.append(&records[i])
		h.last = seq + uint64(i)
		h.newest = now
		bytes += len(records[i].Line)
		if h.full() && s.maySeal(now) {
			s.sealOrNote(st)
		}
	}
	s.count.text.Add(uint64(bytes))
}

// commit takes positions in.
func (s *Store) commit(positions []tallyman.Position) {
	for _, p := range positions {
		if p.Value == "" {
			delete(s.positions, p.Key)
		} else if old, ok := s.positions[p.Key]; !ok || old != p.Value {
			// The caller's text may be part of something large.
			s.positions[strings.Clone(p.Key)] = strings.Clone(p.Value)
		}
	}
}

// Position implements tallyman.RecordStore.
func (s *Store) Position(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.positions[key]
	return v, ok
}

// Positions implements tallyman.RecordStore; they are sorted by key.
func (s *Store) Positions(prefix string) []tallyman.Position {
	s.mu.Lock()
	var out []tallyman.Position
	for k, v := range s.positions {
		if strings.HasPrefix(k, prefix) {
			out = append(out, tallyman.Position{Key: k, Value: v})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b tallyman.Position) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Close syncs and closes the store. What no chunk has stays in the log.
// Calling it again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for t := range s.tails {
		t.end()
	}
	s.mu.Unlock()
	close(s.stop)
	<-s.done
	err := s.syncNow()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeFiles()
	s.maker.pack.close()
	s.unpack.close()
	if err != nil {
		return fmt.Errorf("close record store: %w", err)
	}
	return nil
}

// closeFiles closes what is written to.
func (s *Store) closeFiles() {
	for _, w := range s.wal {
		if w.f != nil {
			w.f.Close()
			w.f = nil
		}
	}
	for _, c := range s.classes {
		if c.active != nil {
			c.active.w.Close()
			c.active.w, c.active = nil, nil
		}
	}
}
