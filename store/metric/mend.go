// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// setAsideDamaged moves blocks that cannot be opened to the quarantine, since
// the library opens all of them or none.
func (s *Store) setAsideDamaged() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("read the metric store %s: %w", s.dir, err)
	}
	for _, e := range entries {
		if _, err := ulid.ParseStrict(e.Name()); err != nil || !e.IsDir() {
			continue
		}
		b, err := tsdb.OpenBlock(s.o.Log, filepath.Join(s.dir, e.Name()), nil, nil)
		if err == nil {
			if err := b.Close(); err != nil {
				return fmt.Errorf("close block %s: %w", e.Name(), err)
			}
			continue
		}
		if s.o.Quarantine == "" {
			return fmt.Errorf("open the metric store %s: block %s: %w", s.dir, e.Name(), err)
		}
		s.o.Log.Error("a block of samples cannot be read and is set aside; the others are served", "block", e.Name(), "to", s.o.Quarantine, "err", err)
		if err := s.quarantine(e.Name()); err != nil {
			return err
		}
		s.quarantined.Add(1)
	}
	return nil
}

// quarantine moves an entry of the store's directory away.
func (s *Store) quarantine(name string) error {
	if err := os.MkdirAll(s.o.Quarantine, 0o700); err != nil {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	to := filepath.Join(s.o.Quarantine, fmt.Sprintf("%s.%d", name, time.Now().UnixNano()))
	if err := os.Rename(filepath.Join(s.dir, name), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set %s aside: %w", name, err)
	}
	return nil
}

// opening ends the name of what keepLog keeps.
const opening = ".opening"

// keepLog links the files of the log into the quarantine while the store is
// opened: the library mends a damaged one by deleting everything behind the
// damage. It gives the folder, empty where that cannot be done.
func (s *Store) keepLog() string {
	if s.o.Quarantine == "" || os.MkdirAll(s.o.Quarantine, 0o700) != nil {
		return ""
	}
	left, _ := filepath.Glob(filepath.Join(s.o.Quarantine, "*"+opening)) // the pattern is a good one
	for _, name := range left {
		_ = os.RemoveAll(name) // of a start that was ended; they are links
	}
	from, to := filepath.Join(s.dir, "wal"), filepath.Join(s.o.Quarantine, fmt.Sprintf("wal.%d%s", time.Now().UnixNano(), opening))
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		as := filepath.Join(to, strings.TrimPrefix(name, from))
		if d.IsDir() {
			return os.Mkdir(as, 0o700)
		}
		return os.Link(name, as)
	})
	if err != nil { // there is no log yet, or the file system has no links
		_ = os.RemoveAll(to)
		return ""
	}
	return to
}

// leaveLog ends what keepLog began: the links go when the log was whole, else
// they stay.
func (s *Store) leaveLog(kept string, whole bool) {
	switch {
	case kept == "":
	case whole:
		_ = os.RemoveAll(kept)
	default:
		to := strings.TrimSuffix(kept, opening)
		if err := os.Rename(kept, to); err != nil {
			to = kept
		}
		s.o.Log.Error("the log of samples is damaged; what stands before the damage is served, and all of it is set aside", "to", to)
		s.quarantined.Add(1)
	}
}

// corruptions is how often the library says to have mended its log.
func corruptions(own prometheus.Gatherer) float64 {
	families, err := own.Gather()
	if err != nil {
		return 0
	}
	sum := 0.0
	for _, f := range families {
		if strings.HasSuffix(f.GetName(), "_wal_corruptions_total") {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// lonely is how far a newest block must lie from all others to be doubted.
const lonely = 24 * time.Hour

// deletable are the blocks that retention does not keep, and the oldest ones
// while the reserve of the file system is not met. Age is counted from the
// newest block; one that is alone in its time may come from a clock that was
// wrong, and the others are not deleted for its sake.
func (s *Store) deletable(db *tsdb.DB, blocks []*tsdb.Block) map[ulid.ULID]struct{} {
	gone := map[ulid.ULID]struct{}{}
	slices.SortFunc(blocks, func(a, b *tsdb.Block) int { return cmp.Compare(b.MaxTime(), a.MaxTime()) })
	for _, b := range blocks {
		if b.Meta().Compaction.Deletable {
			gone[b.Meta().ULID] = struct{}{}
		}
	}
	if db != nil { // not while it is opened
		aged := blocks
		if len(blocks) > 1 && blocks[0].MinTime()-blocks[1].MaxTime() > lonely.Milliseconds() {
			aged = blocks[1:]
		}
		maps.Copy(gone, tsdb.BeyondTimeRetention(db, aged))
		maps.Copy(gone, tsdb.BeyondSizeRetention(db, blocks))
	}
	if s.o.Space == nil {
		return gone
	}
	u, err := s.o.Space.Usage()
	if err != nil || u.Short() == 0 {
		return gone
	}
	need := int64(u.Short())
	for _, b := range slices.Backward(blocks) {
		id := b.Meta().ULID
		if _, ok := gone[id]; ok {
			need -= b.Size()
			continue
		}
		if need <= 0 {
			break
		}
		s.o.Log.Warn("the file system is nearly full; the oldest samples are deleted before their time",
			"until", time.UnixMilli(b.MaxTime()).UTC(), "bytes", b.Size(), "free", u.Free, "reserve", u.Reserve)
		gone[id] = struct{}{}
		s.freed.Add(uint64(b.Size()))
		need -= b.Size()
	}
	return gone
}

// Forget sets aside all samples later than t, so that new ones are taken again:
// the library takes none that are much older than the newest. What is in the
// log up to t is kept. It is called by the one who appends; queries wait.
func (s *Store) Forget(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.db.Head()
	if end := t.UnixMilli(); head.NumSeries() > 0 && head.MinTime() <= end && head.MaxTime() > end {
		if err := s.db.CompactHead(tsdb.NewRangeHead(head, head.MinTime(), end)); err != nil {
			return fmt.Errorf("keep the samples before %s: %w", t.UTC().Format(time.RFC3339), err)
		}
	}
	var names []string
	for _, b := range s.db.Blocks() {
		if b.MinTime() > t.UnixMilli() { // the end is an even hour, which may lie ahead
			names = append(names, b.Meta().ULID.String())
		}
	}
	if head.MaxTime() > t.UnixMilli() {
		names = append(names, "wal", "wbl", "chunks_head")
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close the metric store: %w", err)
	}
	clear(s.series)
	var failed error
	for _, name := range names {
		failed = errors.Join(failed, s.quarantine(name))
	}
	return errors.Join(failed, s.open())
}

// reader hands out queriers that hold the store open.
type reader struct{ s *Store }

var errClosed = errors.New("the metric store is closed")

// Querier implements storage.Queryable.
func (r reader) Querier(from, to int64) (storage.Querier, error) {
	q, err := hold(r.s, func(db *tsdb.DB) (storage.Querier, error) { return db.Querier(from, to) })
	if err != nil {
		return nil, err
	}
	return &querier{q, r.s}, nil
}

// ChunkQuerier implements storage.ChunkQueryable.
func (r reader) ChunkQuerier(from, to int64) (storage.ChunkQuerier, error) {
	q, err := hold(r.s, func(db *tsdb.DB) (storage.ChunkQuerier, error) { return db.ChunkQuerier(from, to) })
	if err != nil {
		return nil, err
	}
	return &chunkQuerier{q, r.s}, nil
}

// hold opens a querier with the store held for it; after an error it is not.
func hold[Q any](s *Store, open func(*tsdb.DB) (Q, error)) (q Q, err error) {
	s.mu.RLock()
	if err = errClosed; !s.closed {
		q, err = open(s.db)
	}
	if err != nil {
		s.mu.RUnlock()
	}
	return q, err
}

type querier struct {
	storage.Querier
	s *Store
}

// Close lets the store go.
func (q *querier) Close() error {
	defer q.s.mu.RUnlock()
	return q.Querier.Close()
}

type chunkQuerier struct {
	storage.ChunkQuerier
	s *Store
}

// Close lets the store go.
func (q *chunkQuerier) Close() error {
	defer q.s.mu.RUnlock()
	return q.ChunkQuerier.Close()
}
