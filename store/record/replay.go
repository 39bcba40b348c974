// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
)

// replay reads the WAL: what no chunk has goes back into the heads, and the
// positions are as they were.
func (s *Store) replay() error {
	heads := make([]fileHeader, len(s.wal))
	known := make([]bool, len(s.wal))
	for i, w := range s.wal {
		h, err := readHeader(w.path, walMagic)
		if _, newer := errors.AsType[*ErrVersion](err); newer {
			return err
		} else if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
		heads[i], known[i] = h, err == nil
	}
	last, err := s.lastCheckpoint()
	if err != nil {
		return err
	}
	end, lost := uint64(0), false
	for i, w := range s.wal {
		// Behind the last checkpoint a file was begun before the one before it was
		// synced. When that has lost its end in a power cut, this one's positions speak
		// of what is missing.
		if lost = lost || i > max(last, 0) && known[i] && heads[i].seq != end+1; lost {
			if err := s.leaveOut(w); err != nil {
				return err
			}
			continue
		}
		// A write that failed may have come through; the file was left then, and
		// the same numbers were given again in the next.
		before := uint64(math.MaxUint64)
		if i+1 < len(s.wal) && known[i+1] {
			before = heads[i+1].seq
		}
		if known[i] && heads[i].seq > 0 {
			end = heads[i].seq - 1
			s.seq = max(s.seq, end)
		}
		most, err := s.replayFile(w, known[i], before)
		if err != nil {
			return err
		}
		end = max(end, most)
	}
	return nil
}

// lastCheckpoint is which of the files is the last that has a checkpoint, -1 without
// one: when it was written all files before it were synced.
func (s *Store) lastCheckpoint() (int, error) {
	for i, w := range slices.Backward(s.wal) {
		b, err := os.ReadFile(w.path)
		if err != nil {
			return 0, err
		}
		for at := min(headerSize, len(b)); at < len(b); {
			payload, size, ok := walRecord(b[at:])
			switch {
			case !ok:
				if size = nextWALRecord(b[at:]); size < 0 {
					size = len(b) - at
				}
			case len(payload) > 0 && payload[0] == walCheckpoint:
				return i, nil
			}
			at += size
		}
	}
	return -1, nil
}

// leaveOut empties a file of which nothing may be read.
func (s *Store) leaveOut(w *walFile) error {
	s.count.torn.Add(1)
	s.opt.Log.Warn("the WAL goes on behind what was lost; that is left out, and read again by its positions", "file", w.path)
	w.size = headerSize
	if err := os.Truncate(w.path, headerSize); err != nil {
		return fmt.Errorf("leave out what is behind a torn end: %w", err)
	}
	return nil
}

// syncReplayed syncs the WAL as it was found: whoever was killed may not have done it,
// and the new file is to have its checkpoint at once.
func (s *Store) syncReplayed() {
	for _, w := range s.wal {
		f, err := s.opt.open(w.path, os.O_WRONLY|os.O_APPEND, 0o600)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			s.syncFailed(w.path, err)
		}
	}
}

func readHeader(path, magic string) (fileHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileHeader{}, err
	}
	defer f.Close()
	var b [headerSize]byte
	n, err := f.ReadAt(b[:], 0)
	if n < headerSize && err != nil {
		return fileHeader{}, errDamaged
	}
	return parseHeader(b[:], magic, path)
}

// replayFile reads one file, but for batches from a number on; last is the number of
// the last record.
func (s *Store) replayFile(w *walFile, known bool, before uint64) (last uint64, err error) {
	b, err := os.ReadFile(w.path)
	if err != nil {
		return 0, err
	}
	w.size = int64(len(b))
	whole := len(b)
	if !known && len(b) >= headerSize {
		s.count.corruptWAL.Add(1)
		s.opt.Log.Warn("the header of a WAL file is damaged", "file", w.path)
	}
	names := walStreams{}
	for at := min(headerSize, len(b)); at < len(b); {
		payload, size, ok := walRecord(b[at:])
		if !ok {
			next := nextWALRecord(b[at:])
			if next < 0 {
				whole = at
				break
			}
			s.damagedWAL(w, at)
			at += next
			continue
		}
		p, err := parseWALPayload(payload, names)
		if err != nil {
			s.damagedWAL(w, at)
		} else if p.seq < before || p.kind == walCheckpoint {
			last = max(last, s.redo(&p, w))
		}
		at += size
	}
	if torn := len(b) - whole; torn > 0 || len(b) < headerSize {
		s.count.torn.Add(1)
		s.opt.Log.Warn("an unfinished end of the WAL is cut off", "file", w.path, "bytes", torn)
		w.size = int64(whole)
		if err := os.Truncate(w.path, w.size); err != nil {
			return 0, fmt.Errorf("cut off a torn end: %w", err)
		}
	}
	return last, nil
}

func (s *Store) damagedWAL(w *walFile, at int) {
	s.count.corruptWAL.Add(1)
	s.opt.Log.Warn("a damaged record of the WAL is left out", "file", w.path, "offset", at)
}

// redo applies a payload again, and gives the number of its last record.
func (s *Store) redo(p *walPayload, w *walFile) (last uint64) {
	if p.kind == walCheckpoint {
		clear(s.positions)
	}
	seq := p.seq
	for i := range p.batch.Streams {
		g := &p.batch.Streams[i]
		st, err := s.stream(g.Stream.Labels)
		if err != nil { // was checked before it was written
			s.count.corruptWAL.Add(1)
			seq += uint64(len(g.Records))
			continue
		}
		// What a chunk has is not to come twice.
		for seq <= st.sealed && len(g.Records) > 0 {
			g.Records = g.Records[1:]
			seq++
		}
		s.apply(st, g.Records, seq, w)
		seq += uint64(len(g.Records))
		s.forget(st)
	}
	s.seq = max(s.seq, seq-1)
	s.commit(p.batch.Positions)
	return seq - 1
}
