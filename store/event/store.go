// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

// Options say where and for how long.
type Options struct {
	// Dir is the folder of the files; it is made when it is missing.
	Dir string
	// RetentionTime is for how long events are kept, 0 for 90 days.
	RetentionTime time.Duration
	// RetentionSize is how large all files together may grow in bytes, 0 for
	// 256 MiB.
	RetentionSize int64
	// RememberIDs is the number of ids that are known for skipping events
	// stored already, 0 for 100,000 (about 6 MB of memory).
	RememberIDs int
	// Space is asked before each append whether there is room; nil is always.
	Space *fsx.Space
	// Log is used for damage and for disk errors that come and go; nil is silent.
	Log *slog.Logger

	now       func() time.Time
	syncEvery time.Duration
	open      func(name string, flag int, mode fs.FileMode) (file, error)
}

// file is what of an *os.File is written to.
type file interface {
	Write([]byte) (int, error)
	Truncate(int64) error
	Sync() error
	Close() error
}

func (o Options) withDefaults() Options {
	if o.RetentionTime <= 0 {
		o.RetentionTime = 90 * 24 * time.Hour
	}
	if o.RetentionSize <= 0 {
		o.RetentionSize = 256 << 20
	}
	if o.RememberIDs <= 0 {
		o.RememberIDs = 100_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("source", "store/event")
	if o.now == nil {
		o.now = time.Now
	}
	if o.syncEvery == 0 {
		o.syncEvery = time.Second
	}
	if o.open == nil {
		o.open = func(name string, flag int, mode fs.FileMode) (file, error) { return os.OpenFile(name, flag, mode) }
	}
	return o
}

// Store implements tallyman.EventStore.
type Store struct {
	opt  Options
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	files   []*dayFile // oldest first
	current file       // nil when the next append must open one
	writing *dayFile   // the entry of current
	dirty   bool       // written since the last sync
	closed  bool
	ids     idSet
	failing bool // the last append failed, for logging once
	count   counts
}

var _ tallyman.EventStore = (*Store)(nil)

// dayFile is one file. All is guarded by Store.mu.
type dayFile struct {
	name     string // base name
	day      time.Time
	size     int64
	sealed   bool      // not to be appended to any more
	some     bool      // there are events in it
	min, max time.Time // of them
}

// cover widens the range to t.
func (f *dayFile) cover(t time.Time) {
	if !f.some || t.Before(f.min) {
		f.min = t
	}
	if !f.some || t.After(f.max) {
		f.max = t
	}
	f.some = true
}

// Open opens or makes the store: it reads every file once, cuts a torn last
// line off and applies the retention.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("open event store: no folder given")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	s := &Store{opt: o, stop: make(chan struct{}), done: make(chan struct{}), ids: idSet{most: o.RememberIDs}}
	if err := s.readFolder(); err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	s.expire()
	go s.syncer()
	return s, nil
}

// readFolder finds the files and reads them, oldest first.
func (s *Store) readFolder() error {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		day, ok := dayOf(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		s.files = append(s.files, &dayFile{name: e.Name(), day: day})
	}
	slices.SortFunc(s.files, func(a, b *dayFile) int { return strings.Compare(sortName(a.name), sortName(b.name)) })
	for _, f := range s.files {
		if err := s.readFile(f); err != nil {
			return err
		}
	}
	return nil
}

// dayOf reads the day off a file's name: 2006-01-02.jsonl or 2006-01-02.001.jsonl.
func dayOf(name string) (time.Time, bool) {
	base, ok := strings.CutSuffix(name, ".jsonl")
	if !ok || len(base) != len("2006-01-02") && len(base) != len("2006-01-02.001") {
		return time.Time{}, false
	}
	day, err := time.Parse("2006-01-02", base[:10])
	if err != nil || len(base) > 10 && (base[10] != '.' || strings.Trim(base[11:], "0123456789") != "") {
		return time.Time{}, false
	}
	return day, true
}

// sortName sorts the first file of a day before its others.
func sortName(name string) string {
	base := strings.TrimSuffix(name, ".jsonl")
	if len(base) == 10 {
		base += ".000"
	}
	return base
}

// readFile takes in the ids and the range of a file, and cuts off a last line
// that is not whole.
func (s *Store) readFile(f *dayFile) error {
	path := filepath.Join(s.opt.Dir, f.name)
	h, err := os.Open(path)
	if err != nil {
		return err
	}
	defer h.Close()
	r := newLineReader(h)
	var whole int64 // length of the lines that end
	for {
		line, err := r.next()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if line == nil {
			break
		}
		whole = r.offset
		if len(line) == 0 {
			continue
		}
		id, at, ok := head(line)
		if !ok || !json.Valid(line) {
			s.count.corrupt.Add(1)
			s.opt.Log.Warn("a line that is no event is skipped", "file", f.name, "offset", r.offset-int64(len(line))-1)
			continue
		}
		f.cover(at)
		s.ids.add(id)
	}
	f.size = whole
	if torn := r.total - whole; torn > 0 {
		s.count.torn.Add(1)
		s.opt.Log.Warn("an unfinished last line is cut off", "file", f.name, "bytes", torn)
		if err := os.Truncate(path, whole); err != nil {
			return err
		}
	}
	return nil
}

// AppendEvents implements tallyman.EventStore. An error means that none of the
// events was stored; they may be given again.
func (s *Store) AppendEvents(events []tallyman.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("append events: the store is closed")
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	fresh := make([]*tallyman.Event, 0, len(events))
	inBatch := make(map[string]bool, len(events))
	for i := range events {
		e := &events[i]
		if e.ID == "" {
			return errors.New("append events: an event without an id")
		}
		if inBatch[e.ID] || s.ids.has(e.ID) {
			s.count.duplicates.Add(1)
			continue
		}
		if err := enc.Encode(e); err != nil { // ends the line
			return fmt.Errorf("append events: %w", err)
		}
		inBatch[e.ID] = true
		fresh = append(fresh, e)
	}
	if len(fresh) == 0 {
		return nil
	}
	err := s.write(buf.Bytes(), fresh)
	if err != nil {
		s.count.writeErrors.Add(1)
		err = fmt.Errorf("append events: %w", err)
	}
	if (err != nil) != s.failing {
		s.failing = err != nil
		if s.failing {
			s.opt.Log.Error("events cannot be stored", "err", err)
		} else {
			s.opt.Log.Info("events can be stored again")
		}
	}
	return err
}

// write appends data, which holds the lines of events.
func (s *Store) write(data []byte, events []*tallyman.Event) error {
	if s.opt.Space != nil {
		if err := s.opt.Space.Check(); err != nil {
			s.expire() // the oldest make room
			if err := s.opt.Space.Check(); err != nil {
				return err
			}
		}
	}
	f, err := s.writable()
	if err != nil {
		return err
	}
	n, err := s.current.Write(data)
	if err == nil && n < len(data) {
		err = errors.New("short write")
	}
	if err != nil {
		// Take back what came through, or leave the file: a torn line at its
		// end is cut off at the next open.
		if terr := s.current.Truncate(f.size); terr != nil {
			err = errors.Join(err, terr)
			f.sealed = true
			s.leave()
		}
		return err
	}
	s.dirty = true
	f.size += int64(n)
	for _, e := range events {
		f.cover(e.Time)
		s.ids.add(e.ID)
	}
	s.count.appended.Add(uint64(len(events)))
	s.count.bytes.Add(int64(n))
	return nil
}

// writable is the file to append to, open: one of today that is not too large.
func (s *Store) writable() (*dayFile, error) {
	today := s.opt.now().UTC().Truncate(24 * time.Hour)
	most := s.opt.RetentionSize / 8
	if s.current != nil {
		if s.writing.day.Equal(today) && s.writing.size < most {
			return s.writing, nil
		}
		s.dirty = true // a sync that is under way would end at a closed file
		_ = s.sync()   // counted and logged there
		s.leave()
	}
	parts := 0
	for _, f := range s.files {
		if !f.day.Equal(today) {
			continue
		}
		parts++
		if f.sealed || f.size >= most {
			continue
		}
		h, err := s.opt.open(filepath.Join(s.opt.Dir, f.name), os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		s.current, s.writing = h, f
		return f, nil
	}
	name := today.Format(time.DateOnly) + ".jsonl"
	for i := parts; i < 1000 && (i > 0 || s.has(name)); i++ {
		name = fmt.Sprintf("%s.%03d.jsonl", today.Format(time.DateOnly), max(i, 1))
		if !s.has(name) {
			break
		}
	}
	h, err := s.opt.open(filepath.Join(s.opt.Dir, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &dayFile{name: name, day: today}
	s.current, s.writing = h, f
	s.files = append(s.files, f)
	s.syncFolder()
	s.expire()
	return f, nil
}

func (s *Store) has(name string) bool {
	return slices.ContainsFunc(s.files, func(f *dayFile) bool { return f.name == name })
}

// Close syncs and closes the store. Calling it again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	s.dirty = s.current != nil
	err := s.sync()
	s.leave()
	s.mu.Unlock()
	<-s.done
	if err != nil {
		return fmt.Errorf("close event store: %w", err)
	}
	return nil
}
