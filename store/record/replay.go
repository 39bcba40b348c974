// SPDX-License-Identifier: Apache-2.0

package record

import (
	"errors"
	"fmt"
	"math"
	"os"
)

// replay reads the log: what no chunk has goes back into the heads, and the
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
	for i, w := range s.wal {
		// A write that failed may have come through; the file was left then, and
		// the same numbers were given again in the next.
		before := uint64(math.MaxUint64)
		if i+1 < len(s.wal) && known[i+1] {
			before = heads[i+1].seq
		}
		if err := s.replayFile(w, known[i], before); err != nil {
			return err
		}
		if known[i] && heads[i].seq > 0 {
			s.seq = max(s.seq, heads[i].seq-1)
		}
	}
	return nil
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

func (s *Store) replayFile(w *walFile, known bool, before uint64) error {
	b, err := os.ReadFile(w.path)
	if err != nil {
		return err
	}
	w.size = int64(len(b))
	whole := len(b)
	if !known && len(b) >= headerSize {
		s.count.corruptLog.Add(1)
		s.opt.Log.Warn("the header of a log file is damaged", "file", w.path)
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
			s.damagedLog(w, at)
			at += next
			continue
		}
		p, err := parseWALPayload(payload, names)
		if err != nil {
			s.damagedLog(w, at)
		} else if p.seq < before || p.kind == walCheckpoint {
			s.redo(&p, w)
		}
		at += size
	}
	if torn := len(b) - whole; torn > 0 || len(b) < headerSize {
		s.count.torn.Add(1)
		s.opt.Log.Warn("an unfinished end of the log is cut off", "file", w.path, "bytes", torn)
		w.size = int64(whole)
		if err := os.Truncate(w.path, w.size); err != nil {
			return fmt.Errorf("cut off a torn end: %w", err)
		}
	}
	return nil
}

func (s *Store) damagedLog(w *walFile, at int) {
	s.count.corruptLog.Add(1)
	s.opt.Log.Warn("a damaged record of the log is left out", "file", w.path, "offset", at)
}

// redo applies a payload again.
func (s *Store) redo(p *walPayload, w *walFile) {
	if p.kind == walCheckpoint {
		clear(s.positions)
	}
	seq := p.seq
	for i := range p.batch.Streams {
		g := &p.batch.Streams[i]
		st, err := s.stream(g.Stream.Labels)
		if err != nil { // was checked before it was written
			s.count.corruptLog.Add(1)
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
}
