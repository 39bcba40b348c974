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

// Store implements tallyman.RecordSink, tallyman.RecordReader and
// tallyman.RecordTailer.
type Store struct {
	opt     Options
	unpack  *unpacker
	stop    chan struct{}
	written chan struct{} // wakes run when it idles
	urgent  chan struct{} // has it sync at once
	done    chan struct{}
	count   counts

	syncing sync.Mutex // one sync at a time
	mu      sync.Mutex
	index   index
	classes []*class
	ended   []endedSegment // whose footers are to be written
	shares  []*share
	wal     []*walFile // oldest first; the last is written to
	// seq is the number of the last record; each has one, in the order of
	// appending.
	seq       uint64
	walIDs    uint64
	walLeft   bool // the last file of the WAL is not to be written to any more
	positions map[string]string
	tails     map[*tail]struct{}
	readers   map[*logReader]struct{}
	// unnumbered is the last number of the chunks that do not know their numbers.
	unnumbered uint64

	opening     bool // limits are not asked
	closed      bool
	failing     bool          // the last append failed, for logging once
	sealErr     error         // of the last attempt
	sealAgain   int64         // when to try again after one that failed
	folderDirty bool          // files were made or removed since the last sync
	idle        bool          // run has nothing to sync
	synced      chan struct{} // closed when a sync has ended
	wasted      []*head

	maker    chunkMaker
	buf      []byte                   // the record of the WAL in the making
	groups   []tallyman.StreamRecords // of the batch, as they are stored,
	resolved []*stream                // and their streams
	spilled  []tallyman.Record        // what of them fell into another stream
}

var (
	_ tallyman.RecordSink   = (*Store)(nil)
	_ tallyman.RecordReader = (*Store)(nil)
	_ tallyman.RecordTailer = (*Store)(nil)
	_ tallyman.RecordLog    = (*Store)(nil)
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
		opt: o, stop: make(chan struct{}), written: make(chan struct{}, 1), urgent: make(chan struct{}, 1), done: make(chan struct{}), synced: make(chan struct{}),
		index: newIndex(), positions: map[string]string{}, tails: map[*tail]struct{}{}, readers: map[*logReader]struct{}{}, opening: true,
	}
	for _, c := range o.Classes {
		s.classes = append(s.classes, newClass(c, o.segment))
	}
	s.shares = newShares(&o)
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
		s.syncReplayed()
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

// AppendRecords implements tallyman.RecordSink. Why something was refused is
// mostly a *LimitError.
func (s *Store) AppendRecords(b *tallyman.RecordBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.awaitDisk()
	if s.closed {
		return fmt.Errorf("append records: %w", errClosed)
	}
	var refused *tallyman.RefusedError
	if err == nil {
		refused, err = s.append(b)
	}
	if err != nil {
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
	if refused != nil {
		s.count.refused.Add(uint64(refused.Records))
		return refused
	}
	return nil
}

func (s *Store) append(given *tallyman.RecordBatch) (*tallyman.RefusedError, error) {
	if len(given.Streams) == 0 && len(given.Positions) == 0 {
		return nil, nil
	}
	if err := s.room(); err != nil {
		return nil, err
	}
	w, err := s.writableWAL()
	if err != nil {
		return nil, err
	}
	defer s.release()
	b, refused := s.settle(given)
	s.buf = s.appendBatch(beginWALRecord(s.buf[:0]), b, s.resolved, w)
	if n := len(s.buf); n > s.opt.MaxBatch {
		// What comes with it goes on: the positions.
		refused = &tallyman.RefusedError{Err: &LimitError{"batch", s.opt.MaxBatch, n}}
		for i := range given.Streams {
			refused.Records += len(given.Streams[i].Records)
		}
		s.release()
		b.Streams = nil
		s.buf = s.appendBatch(beginWALRecord(s.buf[:0]), b, nil, w)
	}
	endWALRecord(s.buf)
	if err := s.appendWAL(w, s.buf); err != nil {
		return nil, err
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
	if len(b.Streams) > 0 {
		for r := range s.readers {
			r.signal()
		}
	}
	return refused, nil
}

// settle makes the batch that is stored of the one that came: records of new
// streams for which there is no room fall into shared ones, and what can never be
// stored is left out, so that it takes nothing else along. The result is valid
// until release.
func (s *Store) settle(given *tallyman.RecordBatch) (_ *tallyman.RecordBatch, refused *tallyman.RefusedError) {
	refuse := func(records int, err error) {
		if refused == nil {
			refused = &tallyman.RefusedError{Err: err}
		}
		refused.Records += records
	}
	for i := range given.Streams {
		g := given.Streams[i]
		if g.Stream == nil {
			refuse(len(g.Records), errNoLabels)
			continue
		}
		if slices.ContainsFunc(g.Records, s.unfit) {
			good := make([]tallyman.Record, 0, len(g.Records))
			for _, r := range g.Records {
				if err := s.check(&r); err != nil {
					refuse(1, err)
				} else {
					good = append(good, r)
				}
			}
			g.Records = good
		}
		st, err := s.stream(g.Stream.Labels)
		if err != nil {
			refuse(len(g.Records), err)
			continue
		}
		if st.overflow && !slices.Equal(st.pub.Labels, g.Stream.Labels) {
			s.overflowed(s.shareOf(g.Stream.Labels), len(g.Records))
			g.Records = s.spill(g.Records, g.Stream.Labels, st.pub.Labels)
		}
		g.Stream = st.pub
		s.groups = append(s.groups, g)
		s.resolved = append(s.resolved, st)
	}
	positions := s.within(given.Positions, func(err error) { refuse(0, err) })
	return &tallyman.RecordBatch{Streams: s.groups, Positions: positions}, refused
}

// within are the positions that can be kept.
func (s *Store) within(positions []tallyman.Position, refuse func(error)) []tallyman.Position {
	known := len(s.positions)
	tooMuch := func(p tallyman.Position) bool {
		if n := max(len(p.Key), len(p.Value)); n > maxPosition {
			refuse(&LimitError{"position", maxPosition, n})
			return true
		}
		if _, ok := s.positions[p.Key]; ok || p.Value == "" {
			return false
		}
		if known == maxPositions {
			refuse(&LimitError{"positions", maxPositions, known + 1})
			return true
		}
		known++
		return false
	}
	if !slices.ContainsFunc(positions, tooMuch) {
		return positions
	}
	known = len(s.positions)
	return slices.DeleteFunc(slices.Clone(positions), tooMuch)
}

// release lets go of what belongs to a batch, and of streams that have nothing
// since it failed.
func (s *Store) release() {
	for _, st := range s.resolved {
		s.forget(st)
	}
	clear(s.groups)
	clear(s.resolved)
	clear(s.spilled)
	s.groups, s.resolved, s.spilled = s.groups[:0], s.resolved[:0], s.spilled[:0]
	if cap(s.spilled) > 16<<10 {
		s.spilled = nil
	}
	if cap(s.buf) > 4<<20 {
		s.buf = nil
	}
}

// unfit reports whether a record can never be stored.
func (s *Store) unfit(r tallyman.Record) bool { return s.check(&r) != nil }

// check says why a record can never be stored, if so.
func (s *Store) check(r *tallyman.Record) error {
	if len(r.Line) > s.opt.MaxLine {
		return &LimitError{"line", s.opt.MaxLine, len(r.Line)}
	}
	n := 0
	for i := range r.Meta {
		n += len(r.Meta[i].Name) + len(r.Meta[i].Value) + 2
	}
	if n > maxMeta {
		return &LimitError{"metadata of a line", maxMeta, n}
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
	// When no chunk can be written the WAL takes what comes, up to twice its size.
	if s.sealErr != nil && s.walSize() > 2*s.opt.walTotal {
		oldest := s.oldestHead()
		s.sealAll(func(h *head) bool { return h.full() || h.wal.number <= oldest })
		return s.sealErr
	}
	return nil
}

// apply puts records that the WAL has into the head; the first has the number seq.
func (s *Store) apply(st *stream, records []tallyman.Record, seq uint64, w *walFile) {
	if len(records) == 0 {
		return
	}
	if st.gone { // the retention took its last chunk while the batch was applied
		s.enter(st)
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
		h.append(&records[i], seq+uint64(i))
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

// Position implements tallyman.RecordSink.
func (s *Store) Position(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.positions[key]
	return v, ok
}

// Positions implements tallyman.RecordSink; they are sorted by key.
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

// Close syncs and closes the store. What no chunk has stays in the WAL.
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
	for r := range s.readers {
		r.signal()
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
	for _, e := range s.ended {
		e.w.Close()
	}
	s.ended = nil
}
