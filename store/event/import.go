// SPDX-License-Identifier: Apache-2.0

package event

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tallyman"
)

// The positions of an import: how far each file is read, and that all are.
const (
	importPrefix = "event/import/"
	importDone   = "event/imported"
)

// importOld brings in the events of an earlier version.
func (s *Store) importOld() error {
	if s.opt.Old == "" {
		return nil
	}
	aside := s.opt.Old + ".imported"
	_, err := os.Lstat(s.opt.Old)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.leaveOld(aside)
	case err != nil:
		return err
	}
	entries, err := os.ReadDir(s.opt.Old)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if isDay(e.Name()) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(sortName(a), sortName(b)) })
	before := s.count.appended.Load()
	for _, name := range names {
		if err := s.importFile(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	// The end commits behind all events: if it is there after a power cut, they are.
	done := tallyman.RecordBatch{Positions: []tallyman.Position{{Key: importDone, Value: s.opt.now().UTC().Format(time.RFC3339)}}}
	if err := s.opt.Records.AppendRecords(&done); err != nil {
		return err
	}
	if err := os.RemoveAll(aside); err != nil { // of an import before this one
		return err
	}
	if err := os.Rename(s.opt.Old, aside); err != nil {
		return err
	}
	n := s.count.appended.Load() - before
	s.count.imported.Add(n)
	s.opt.Log.Info("the events of an earlier version are in the record store now", "events", n, "files", len(names))
	return nil
}

// leaveOld removes what an earlier Open has brought in, if the record store has
// its end; else the power went between the two, and it is brought in again.
func (s *Store) leaveOld(aside string) error {
	_, err := os.Lstat(aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := err == nil
	if _, done := s.opt.Records.Position(importDone); !done {
		if !there {
			return nil
		}
		if err := os.Rename(aside, s.opt.Old); err != nil {
			return err
		}
		return s.importOld()
	}
	if there {
		if err := os.RemoveAll(aside); err != nil {
			return err
		}
	}
	b := tallyman.RecordBatch{Positions: []tallyman.Position{{Key: importDone}}}
	for _, p := range s.opt.Records.Positions(importPrefix) {
		b.Positions = append(b.Positions, tallyman.Position{Key: p.Key})
	}
	return s.opt.Records.AppendRecords(&b)
}

// importFile brings in what of a file is not in yet.
func (s *Store) importFile(name string) error {
	h, err := os.Open(filepath.Join(s.opt.Old, name))
	if err != nil {
		return err
	}
	defer h.Close()
	// A file of the same name may be another one, of an earlier version that ran
	// again in between.
	info, err := h.Stat()
	if err != nil {
		return err
	}
	key := importPrefix + name
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		key += "/" + strconv.FormatUint(st.Ino, 10)
	}
	var from int64
	if v, ok := s.opt.Records.Position(key); ok {
		from, _ = strconv.ParseInt(v, 10, 64)
	}
	if _, err := h.Seek(from, 0); err != nil {
		return err
	}
	r := newLineReader(h)
	var events []tallyman.Event
	size := 0
	flush := func() error {
		at := &tallyman.Position{Key: key, Value: strconv.FormatInt(from+r.offset, 10)}
		for rest := events; len(rest) > 0; {
			n, err := s.append(rest, at)
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
		events, size = events[:0], 0
		return nil
	}
	for {
		line, err := r.next()
		if err != nil {
			return err
		}
		if line == nil {
			break
		}
		if len(line) == 0 {
			continue
		}
		var e tallyman.Event
		if len(line) > maxLine/2 || json.Unmarshal(line, &e) != nil || e.ID == "" {
			s.count.corrupt.Add(1)
			continue
		}
		events = append(events, e)
		if size += len(line); size >= maxBatch/4 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if r.total > r.offset {
		s.count.torn.Add(1)
	}
	return flush()
}

// isDay reports whether a file is one of an earlier version: 2006-01-02.jsonl or
// 2006-01-02.001.jsonl.
func isDay(name string) bool {
	base, ok := strings.CutSuffix(name, ".jsonl")
	if !ok || len(base) != len("2006-01-02") && len(base) != len("2006-01-02.001") {
		return false
	}
	_, err := time.Parse(time.DateOnly, base[:10])
	return err == nil && (len(base) == 10 || base[10] == '.' && strings.Trim(base[11:], "0123456789") == "")
}

// sortName sorts the first file of a day before its others.
func sortName(name string) string {
	base := strings.TrimSuffix(name, ".jsonl")
	if len(base) == 10 {
		base += ".000"
	}
	return base
}
