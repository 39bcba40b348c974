// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"

	"tallyman"
)

// walFile is a file of the WAL. All is guarded by Store.mu; f is written to only
// with it, and synced without.
type walFile struct {
	number uint64
	path   string
	size   int64
	base   int64 // of which header and checkpoints
	synced int64 // of which are on the disk, as far as that is known
	f      file  // nil when it is closed
	owes   bool  // it has no checkpoint yet: those before were not synced when it was begun
	keep   bool  // a segment could not be synced: the WAL is to be read again
}

// dirty reports whether something in the file waits for a sync.
func (w *walFile) dirty() bool { return w.f != nil && w.size > w.synced }

// What a record of the WAL is.
const (
	walBatch      = 1
	walCheckpoint = 2 // its positions are all there are
)

// sameMeta in place of a count says that a record has the metadata of the one
// before. So many labels are over maxMeta.
const sameMeta = 0xffff

// walRecordHeader: magic 4, length of the payload 4, CRC 4 of length and payload.
const walRecordHeader = 12

// beginWALRecord makes room for the header; endWALRecord fills it in.
func beginWALRecord(dst []byte) []byte {
	dst = le.AppendUint32(dst, walRecordMagic)
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
}

func endWALRecord(b []byte) {
	le.PutUint32(b[4:], uint32(len(b)-walRecordHeader))
	le.PutUint32(b[8:], walSum(b))
}

func walSum(b []byte) uint32 {
	return crc32.Update(checksum(b[4:8]), castagnoli, b[walRecordHeader:])
}

// walRecord is the payload of the record at the start of b.
func walRecord(b []byte) (payload []byte, size int, ok bool) {
	if len(b) < walRecordHeader || le.Uint32(b) != walRecordMagic {
		return nil, 0, false
	}
	n := uint64(le.Uint32(b[4:])) + walRecordHeader
	if n > uint64(len(b)) || walSum(b[:n]) != le.Uint32(b[8:]) {
		return nil, 0, false
	}
	return b[walRecordHeader:n], int(n), true
}

// nextWALRecord is where in b the first whole record begins, -1 without one.
func nextWALRecord(b []byte) int {
	magic := le.AppendUint32(nil, walRecordMagic)
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], magic)
		if i < 0 {
			return -1
		}
		at += i
		if _, _, ok := walRecord(b[at:]); ok {
			return at
		}
	}
}

// appendBatch appends the payload of a batch; streams are those of its groups.
func (s *Store) appendBatch(dst []byte, b *tallyman.RecordBatch, streams []*stream, w *walFile) []byte {
	dst = append(dst, walBatch)
	dst = binary.AppendUvarint(dst, s.seq+1)
	dst = binary.AppendUvarint(dst, uint64(len(b.Streams)))
	for i := range b.Streams {
		st := streams[i]
		if st.wal == w {
			dst = binary.AppendUvarint(dst, st.walID)
			dst = append(dst, 0)
		} else {
			s.walIDs++
			st.wal, st.walID = nil, s.walIDs // with w once it is written
			dst = binary.AppendUvarint(dst, st.walID)
			dst = append(dst, st.labels...)
		}
		prev := int64(0)
		records := b.Streams[i].Records
		dst = binary.AppendUvarint(dst, uint64(len(records)))
		for j := range records {
			r := &records[j]
			dst = binary.AppendVarint(dst, r.Time-prev)
			prev = r.Time
			dst = appendText(dst, r.Line)
			if j > 0 && len(r.Meta) > 0 && slices.Equal(r.Meta, records[j-1].Meta) {
				dst = binary.AppendUvarint(dst, sameMeta)
			} else {
				dst = appendLabels(dst, r.Meta)
			}
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Positions)))
	for _, p := range b.Positions {
		dst = appendText(dst, p.Key)
		dst = appendText(dst, p.Value)
	}
	return dst
}

// appendCheckpoint appends the payload that says all positions.
func (s *Store) appendCheckpoint(dst []byte) []byte {
	dst = append(dst, walCheckpoint)
	dst = binary.AppendUvarint(dst, s.seq+1)
	dst = append(dst, 0)
	dst = binary.AppendUvarint(dst, uint64(len(s.positions)))
	for k, v := range s.positions {
		dst = appendText(dst, k)
		dst = appendText(dst, v)
	}
	return dst
}

// walPayload is a payload taken apart: its lines are parts of it.
type walPayload struct {
	kind  byte
	seq   uint64 // of the first record
	batch tallyman.RecordBatch
}

// walStreams are the streams of a file, by their number in it.
type walStreams map[uint64]*tallyman.Stream

// parseWALPayload reads a payload; names learns its new streams.
func parseWALPayload(payload []byte, names walStreams) (p walPayload, err error) {
	r := reader{b: payload}
	p.kind, p.seq = r.byte(), r.uvarint()
	if p.kind != walBatch && p.kind != walCheckpoint {
		return p, errDamaged
	}
	for range r.length(3) {
		id := r.uvarint()
		labels := r.labels()
		st := names[id]
		if labels != nil {
			st = &tallyman.Stream{Labels: labels}
			names[id] = st
		}
		if r.bad || st == nil {
			return p, errDamaged
		}
		g := tallyman.StreamRecords{Stream: st, Records: make([]tallyman.Record, r.length(3))}
		t := int64(0)
		for i := range g.Records {
			t += r.varint()
			g.Records[i] = tallyman.Record{Time: t, Line: r.bytes()}
			if same := r; i > 0 && same.uvarint() == sameMeta {
				r = same
				g.Records[i].Meta = g.Records[i-1].Meta
			} else {
				g.Records[i].Meta = r.labels()
			}
		}
		p.batch.Streams = append(p.batch.Streams, g)
	}
	for range r.length(2) {
		p.batch.Positions = append(p.batch.Positions, tallyman.Position{Key: string(r.bytes()), Value: string(r.bytes())})
	}
	if !r.done() {
		return p, errDamaged
	}
	return p, nil
}

// writableWAL is the file of the WAL to append to. One that owes its checkpoint
// grows until it has it, so that no more than two files wait for the disk.
func (s *Store) writableWAL() (*walFile, error) {
	if n := len(s.wal); n > 0 {
		if w := s.wal[n-1]; w.f != nil && !s.walLeft && (w.size-w.base < s.opt.walFile || w.owes) {
			return w, nil
		}
	}
	return s.rotate()
}

// rotate begins a new file of the WAL. It has a checkpoint, so that the older ones
// can go when their records are in chunks: at once when those are on the disk,
// or else when they are, see payCheckpoint. A file without one is not read when the
// one before has lost its end: the positions in it speak of what is missing.
func (s *Store) rotate() (*walFile, error) {
	w := &walFile{number: 1, owes: slices.ContainsFunc(s.wal, (*walFile).dirty)}
	if n := len(s.wal); n > 0 {
		w.number = s.wal[n-1].number + 1
	}
	w.path = filepath.Join(s.opt.Dir, fmt.Sprintf("%08d.wal", w.number))
	b := appendHeader(nil, walMagic, fileHeader{created: s.opt.now().UnixNano(), seq: s.seq + 1})
	if !w.owes {
		b = append(b, s.checkpoint()...)
	}
	f, err := s.opt.open(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = errShortWrite
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(w.path))
	}
	w.f, w.size, w.base = f, int64(len(b)), int64(len(b))
	s.wal = append(s.wal, w)
	s.walLeft = false
	s.folderDirty = true
	s.unpin(s.opt.walTotal)
	return w, nil
}

// checkpoint is the record that says all positions.
func (s *Store) checkpoint() []byte {
	rec := s.appendCheckpoint(beginWALRecord(nil))
	endWALRecord(rec)
	return rec
}

// payCheckpoint writes the checkpoint that the last file owes, once those before it
// are synced.
func (s *Store) payCheckpoint() {
	n := len(s.wal)
	if n == 0 || !s.wal[n-1].owes || s.wal[n-1].f == nil || s.walLeft || slices.ContainsFunc(s.wal[:n-1], (*walFile).dirty) {
		return
	}
	w, rec := s.wal[n-1], s.checkpoint()
	if err := s.appendWAL(w, rec); err != nil { // the next sync tries again
		s.count.writeErrors.Add(1)
		return
	}
	w.base += int64(len(rec))
	w.owes = false
}

// unpin seals the heads that keep old files of the WAL, so that what has to
// stay is no more than most bytes.
func (s *Store) unpin(most int64) {
	var total int64
	edge := uint64(0) // files up to here are too much
	for i := len(s.wal) - 1; i >= 0; i-- {
		total += s.wal[i].size
		if i < len(s.wal)-1 && total > most {
			edge = s.wal[i].number
			break
		}
	}
	if edge == 0 {
		return
	}
	s.sealAll(func(h *head) bool { return h.wal.number <= edge })
}

// appendWAL writes a whole record to the WAL, or nothing.
func (s *Store) appendWAL(w *walFile, rec []byte) error {
	n, err := w.f.Write(rec)
	if err == nil && n < len(rec) {
		err = errShortWrite
	}
	if err != nil {
		if terr := w.f.Truncate(w.size); terr != nil {
			// The file is left; the number of its first record tells that what
			// came through is not to be read, see replay.
			err = errors.Join(err, terr)
			s.walLeft = true
		}
		return err
	}
	w.size += int64(n)
	if s.idle {
		s.idle = false
		select {
		case s.written <- struct{}{}:
		default:
		}
	}
	return nil
}

// unsynced is how much of the WAL is not on the disk yet.
func (s *Store) unsynced() (n int64) {
	for _, w := range s.wal {
		if w.dirty() {
			n += w.size - w.synced
		}
	}
	return n
}

// walSize is that of all files of the WAL.
func (s *Store) walSize() (n int64) {
	for _, w := range s.wal {
		n += w.size
	}
	return n
}
