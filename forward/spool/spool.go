// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"tallyman"
	"tallyman/internal/fsx"
)

const (
	segmentMax = 8 << 20
	keyEvery   = 30 // ticks
	lower      = "spool.size"
)

// Options are what a spool is made of.
type Options struct {
	// Dir is the directory of the spool alone. It is made.
	Dir string
	// MaxBytes bounds the files, MaxAge the age of what is in them; 0 is no bound. The
	// newest segment stays.
	MaxBytes int64
	MaxAge   time.Duration
	// Space says whether there is room on the file system; nil never asks.
	Space *fsx.Space
	// Lost is told what a destination will not get; nil for nobody.
	Lost func(Lost)
	// Log is told when something is lost or wrong; nil is silent.
	Log *slog.Logger
}

// The reasons for which samples are lost.
const (
	Full    = "buffer_full" // over Options.MaxBytes
	TooOld  = "too_old"     // over Options.MaxAge
	Damaged = "damaged"     // a record could not be read
)

// Reasons are all of them.
func Reasons() []string { return []string{Full, TooOld, Damaged} }

// Lost is what a destination will not get.
type Lost struct {
	To, Reason string
	Samples    uint64
	// After is the last time that it got, zero when it got none yet; UpTo is that of the
	// last that is lost, or of the first behind it.
	After, UpTo time.Time
}

// segment is a file.
type segment struct {
	id     uint64
	number uint64 // of its first sample
	size   int64
	begun  time.Time
	last   time.Time // of the last tick, or when it was last written to
}

// Spool keeps ticks. Close it when done.
type Spool struct {
	opt        Options
	segmentMax int64
	segmentAge time.Duration
	work       chan struct{} // has one when Run has something to do

	mu       sync.Mutex
	segments []*segment // oldest first
	nextID   uint64     // of the next segment
	number   uint64     // of the next sample
	bytes    int64
	readers  []*Reader
	closed   bool
	dirty    bool

	// The segment that is written to; file is nil without one.
	file      *os.File
	ids       map[*tallyman.Series]uint32
	previous  []*tallyman.Series // of the last tick
	list      []uint32           // their ids
	last      []uint64           // values by id
	sinceKey  int
	enc       *zstd.Encoder
	out, body []byte
	scratch   []tallyman.Label
}

var _ tallyman.SampleStore = (*Spool)(nil)

// Open opens or makes a spool.
func Open(o Options) (*Spool, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{opt: o, segmentMax: segmentMax, segmentAge: o.MaxAge / 24, work: make(chan struct{}, 1), nextID: 1, ids: map[*tallyman.Series]uint32{}}
	if o.MaxBytes > 0 {
		s.segmentMax = min(segmentMax, max(4096, o.MaxBytes/8))
	}
	if err := os.MkdirAll(o.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the directory of the spool: %w", err)
	}
	var err error
	if s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)); err != nil {
		return nil, err
	}
	return s, s.load()
}

func (s *Spool) path(id uint64) string {
	return filepath.Join(s.opt.Dir, fmt.Sprintf("%016x%s", id, suffix))
}

// load finds the segments that are there.
func (s *Spool) load() error {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return fmt.Errorf("read the directory of the spool: %w", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		id, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil || len(name) != 16 || id == 0 {
			continue
		}
		s.nextID = max(s.nextID, id+1)
		one, err := s.look(id)
		if err != nil {
			s.opt.Log.Warn("a segment of the spool cannot be read and is removed; what was in it counts as damaged", "file", s.path(id), "err", err)
			if err := os.Remove(s.path(id)); err != nil {
				return fmt.Errorf("remove a damaged segment of the spool: %w", err)
			}
			continue
		}
		s.segments = append(s.segments, one)
		s.bytes += one.size
	}
	if n := len(s.segments); n > 0 {
		b, err := os.ReadFile(s.path(s.segments[n-1].id))
		if err != nil {
			return fmt.Errorf("read the newest segment of the spool: %w", err)
		}
		s.number = max(s.segments[n-1].number, end(b))
	}
	return nil
}

func (s *Spool) look(id uint64) (*segment, error) {
	f, err := os.Open(s.path(id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, err
	}
	number, ok := parseHeader(b)
	if !ok {
		return nil, errDamaged
	}
	return &segment{id: id, number: number, size: info.Size(), begun: info.ModTime(), last: info.ModTime()}, nil
}

// end is the number behind the last whole tick of a segment, 0 without one.
func end(b []byte) (number uint64) {
	for at := headerSize; at < len(b); {
		at += findRecord(b[at:])
		if at >= len(b) {
			break
		}
		size, _ := parseFrame(b[at:], int64(len(b)-at))
		if b[at+8] != kindSeries {
			if h, ok := parseHead(b[at+frameSize : at+int(size)]); ok {
				number = h.number + h.samples
			}
		}
		at += int(size)
	}
	return number
}

// AppendSamples implements tallyman.SampleStore. It takes all or none.
func (s *Spool) AppendSamples(b *tallyman.Batch) (dropped int, err error) {
	if len(b.Samples) == 0 {
		return 0, nil
	}
	if s.opt.Space != nil {
		if err := s.opt.Space.Check(); err != nil {
			return 0, fsx.Full(err, s.opt.Dir, lower)
		}
	}
	s.mu.Lock()
	lost, err := s.append(b)
	s.mu.Unlock()
	s.tell(lost)
	if err != nil {
		return 0, fsx.Full(err, s.opt.Dir, lower)
	}
	s.wake()
	return 0, nil
}

func (s *Spool) append(b *tallyman.Batch) (lost []Lost, err error) {
	if s.closed {
		return nil, os.ErrClosed
	}
	if now := s.newest(); s.file != nil && (now.size >= s.segmentMax || s.segmentAge > 0 && time.Since(now.begun) >= s.segmentAge || len(s.last) > 2*len(s.ids)+10_000) {
		s.leave()
	}
	s.out = s.out[:0]
	begin := s.file == nil
	if begin {
		s.out = appendHeader(s.out, s.number)
	}
	key := begin || s.sinceKey >= keyEvery-1
	withList := s.assign(b) || key
	kind := byte(kindTick)
	if key {
		kind = kindKey
		clear(s.last)
	}
	if s.body = append(s.body[:0], 0); withList {
		s.body = appendList(append(s.body[:0], 1), s.list)
	}
	s.body = appendValues(s.body, s.list, b.Samples, s.last)
	if err := s.write(kind, head{b.Time.UnixMilli(), s.number, uint64(len(b.Samples))}); err != nil {
		return nil, err
	}
	if s.sinceKey++; key {
		s.sinceKey = 0
	}
	lost = s.bound()
	for _, r := range s.readers {
		r.wake()
	}
	return lost, nil
}

// assign gives ids to the series of a batch, and reports whether they are others than
// those of the batch before. A record of those that are new is appended to out.
func (s *Spool) assign(b *tallyman.Batch) (changed bool) {
	same := len(s.previous) == len(b.Samples)
	for i := 0; same && i < len(s.previous); i++ {
		same = s.previous[i] == b.Samples[i].Series
	}
	if same {
		return false
	}
	s.previous, s.list, s.body = s.previous[:0], s.list[:0], s.body[:0]
	first := len(s.last)
	for i := range b.Samples {
		one := b.Samples[i].Series
		id, ok := s.ids[one]
		if !ok {
			id = uint32(len(s.last))
			s.ids[one] = id
			s.last = append(s.last, 0)
			s.body, s.scratch = appendSeries(s.body, one, s.scratch)
		}
		s.previous, s.list = append(s.previous, one), append(s.list, id)
	}
	if len(s.last) > first {
		at := len(s.out)
		s.out = binary.LittleEndian.AppendUint32(beginRecord(s.out, kindSeries), uint32(first))
		s.out = s.enc.EncodeAll(s.body, s.out)
		endRecord(s.out, at)
	}
	return true
}

// write writes out and a tick with body behind it, as one. With an error nothing of it is
// in the spool, and a new segment follows.
func (s *Spool) write(kind byte, h head) error {
	at := len(s.out)
	s.out = appendHead(beginRecord(s.out, kind), h)
	s.out = s.enc.EncodeAll(s.body, s.out)
	endRecord(s.out, at)
	if s.file == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	now := s.newest()
	if _, err := s.file.WriteAt(s.out, now.size); err != nil {
		_ = s.file.Truncate(now.size) // what is behind it is torn, and so left out
		s.leave()
		if now.size == 0 {
			s.remove(len(s.segments) - 1)
		}
		return fmt.Errorf("write to the spool: %w", err)
	}
	now.size += int64(len(s.out))
	now.last = time.UnixMilli(h.time)
	s.bytes += int64(len(s.out))
	s.number += h.samples
	s.dirty = true
	return nil
}

func (s *Spool) newest() *segment {
	if len(s.segments) == 0 {
		return nil
	}
	return s.segments[len(s.segments)-1]
}

// begin begins a segment.
func (s *Spool) begin() error {
	f, err := os.OpenFile(s.path(s.nextID), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		s.forget()
		return fmt.Errorf("begin a segment of the spool: %w", err)
	}
	s.file = f
	s.segments = append(s.segments, &segment{id: s.nextID, number: s.number, begun: time.Now()})
	s.nextID++
	return nil
}

// leave ends the segment that is written to.
func (s *Spool) leave() {
	if s.file != nil {
		if err := errors.Join(s.file.Sync(), s.file.Close()); err != nil {
			s.opt.Log.Warn("what the spool has is not on the disk yet", "err", err)
		}
		s.file = nil
	}
	s.forget()
}

func (s *Spool) forget() {
	clear(s.ids)
	s.previous, s.list, s.last, s.sinceKey = s.previous[:0], s.list[:0], s.last[:0], 0
}

// EndSeries implements tallyman.SampleStore.
func (s *Spool) EndSeries(t time.Time, series []*tallyman.Series) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	var ended []uint32
	for _, one := range series {
		if id, ok := s.ids[one]; ok {
			ended = append(ended, id)
			delete(s.ids, one)
		}
	}
	if len(ended) == 0 || s.file == nil {
		return nil
	}
	s.previous, s.out = s.previous[:0], s.out[:0]
	s.body = appendList(append(s.body[:0], 1), ended)
	s.wake()
	return fsx.Full(s.write(kindEnded, head{t.UnixMilli(), s.number, uint64(len(ended))}), s.opt.Dir, lower)
}

// bound drops what is over the bounds.
func (s *Spool) bound() (lost []Lost) {
	for len(s.segments) > 1 {
		why, oldest := "", s.segments[0]
		switch {
		case s.opt.MaxBytes > 0 && s.bytes > s.opt.MaxBytes:
			why = Full
		case s.opt.MaxAge > 0 && time.Since(oldest.last) > s.opt.MaxAge:
			why = TooOld
		default:
			return lost
		}
		next := s.segments[1]
		for _, r := range s.readers {
			if r.at.segment > oldest.id {
				continue
			}
			r.moves++
			if next.number > r.at.number {
				lost = append(lost, r.lose(why, next.number, oldest.last))
			}
			r.at.segment, r.at.offset = next.id, 0
		}
		if !s.remove(0) {
			return lost
		}
	}
	return lost
}

// remove removes a segment.
func (s *Spool) remove(i int) bool {
	one := s.segments[i]
	if err := os.Remove(s.path(one.id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.opt.Log.Warn("a segment of the spool cannot be removed", "err", err)
		return false
	}
	s.bytes -= one.size
	s.segments = slices.Delete(s.segments, i, i+1)
	return true
}

func (s *Spool) tell(lost []Lost) {
	for _, l := range lost {
		s.opt.Log.Warn("samples were lost before they could be sent on", "to", l.To, "reason", l.Reason, "samples", l.Samples, "after", l.After.UTC(), "up_to", l.UpTo.UTC())
		if s.opt.Lost != nil {
			s.opt.Lost(l)
		}
	}
}

// Run brings what was written and confirmed to the disk within a second, and drops what
// nobody needs, until ctx ends. While nothing is written or confirmed it sleeps, but for
// what gets too old. What fails is tried again.
func (s *Spool) Run(ctx context.Context) error {
	const pause = time.Second
	for {
		aging, age := context.WithTimeout(ctx, cmp.Or(s.segmentAge, 24*time.Hour))
		select {
		case <-aging.Done():
		case <-s.work:
		}
		age()
		select {
		case <-ctx.Done():
			return s.Sync()
		case <-time.After(pause):
		}
		if err := s.Sync(); err != nil {
			s.opt.Log.Warn("what the spool has is not on the disk yet", "err", err)
			s.wake()
		}
	}
}

// wake tells Run that there is something to do.
func (s *Spool) wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// Sync brings everything to the disk: samples first, then cursors.
func (s *Spool) Sync() (err error) {
	s.mu.Lock()
	f, readers, dirty := s.file, slices.Clone(s.readers), s.dirty
	s.dirty = false
	s.mu.Unlock()
	if f != nil && dirty {
		// It may have been left meanwhile, and is on the disk then.
		if err = f.Sync(); errors.Is(err, os.ErrClosed) {
			err = nil
		}
	}
	for _, r := range readers {
		err = errors.Join(err, r.keep())
	}
	s.mu.Lock()
	lost := s.bound()
	s.dirty = s.dirty || err != nil
	for len(s.segments) > 1 && len(s.readers) > 0 && !slices.ContainsFunc(s.readers, func(r *Reader) bool { return r.kept.segment <= s.segments[0].id }) {
		if !s.remove(0) {
			break
		}
	}
	s.mu.Unlock()
	s.tell(lost)
	if err != nil {
		return fmt.Errorf("bring the spool to the disk: %w", err)
	}
	return nil
}

// Bytes is the size of the files.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// SelfMetrics are the spool's own numbers.
func (s *Spool) SelfMetrics() []tallyman.SelfMetric {
	return []tallyman.SelfMetric{{Desc: size, Read: func() float64 { return float64(s.Bytes()) }}}
}

var size = &tallyman.Desc{Name: "tallyman_spool_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Size of the samples that are on the disk to be sent on, which the setting spool.size bounds"}

// Close brings everything to the disk, after Run and all readers have ended. Closing twice
// is harmless.
func (s *Spool) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	err := s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.close()
	}
	if s.file != nil {
		err = cmp.Or(err, s.file.Close())
		s.file = nil
	}
	return errors.Join(err, s.enc.Close())
}
