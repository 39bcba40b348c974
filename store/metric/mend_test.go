// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tallyman"
)

func openMending(t *testing.T) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "metrics"), Options{Retention: 24 * time.Hour, OutOfOrder: 3 * time.Hour, Quarantine: filepath.Join(dir, "quarantine"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

func put(t *testing.T, s *Store, one *tallyman.Series, at time.Time, v float64) int {
	t.Helper()
	dropped, err := s.AppendSamples(&tallyman.Batch{Time: at, Samples: []tallyman.Sample{{Series: one, Value: v}}})
	if err != nil {
		t.Fatal(err)
	}
	return dropped
}

// values are those of the only series.
func valuesOf(s *Store, name string) (v []float64) {
	for _, points := range stored(s, name) {
		for _, p := range points {
			v = append(v, p.v)
		}
	}
	return v
}

// A damaged log is served up to the damage, and all of it is kept aside; of a
// whole one nothing is.
func TestDamagedLogIsSetAside(t *testing.T) {
	s, dir := openMending(t)
	one := series("m")
	start := time.Now().Add(-time.Hour)
	for i := range 200 {
		put(t, s, one, start.Add(time.Duration(i)*10*time.Second), float64(i))
	}
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if s, err = Open(s.dir, s.o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	aside := func() []string {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, "quarantine", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	reopen()
	if names := aside(); len(names) != 0 || len(valuesOf(s, "m")) != 200 {
		t.Errorf("opened again: %v set aside, %d values; want none and 200", names, len(valuesOf(s, "m")))
	}
	segment := filepath.Join(s.dir, "wal", "00000000")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 4
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(s.dir, s.o); err != nil {
		t.Fatal(err)
	}
	names := aside()
	if n := len(valuesOf(s, "m")); n == 0 || n == 200 {
		t.Errorf("%d values of a log that is damaged in the middle", n)
	}
	if len(names) != 1 || s.quarantined.Load() != 1 {
		t.Fatalf("set aside: %v, counted %d; want the log", names, s.quarantined.Load())
	}
	if kept, err := os.ReadFile(filepath.Join(names[0], "00000000")); err != nil || !bytes.Equal(kept, b) {
		t.Errorf("what is set aside has %d bytes, %v; want the %d of the log", len(kept), err, len(b))
	}
	s.Close()
}

// A clock that was ten days ahead and is set right does not stop storage for
// ten days, and costs nothing that was stored before.
func TestSamplesOfTheFutureAreSetAside(t *testing.T) {
	for _, minute := range []time.Duration{5, 50, 65, 100} { // blocks end each two hours
		t.Run(minute.String(), func(t *testing.T) {
			testFuture(t, time.Now().Add(-4*time.Hour).Truncate(2*time.Hour).Add(minute*time.Minute))
		})
	}
}

func testFuture(t *testing.T, now time.Time) {
	s, dir := openMending(t)
	one := series("m")
	for i := range 10 {
		put(t, s, one, now.Add(time.Duration(i)*10*time.Second), float64(i))
	}
	now = now.Add(2 * time.Minute)
	for i := range 5 {
		put(t, s, one, now.Add(240*time.Hour+time.Duration(i)*10*time.Second), 1000)
	}
	q, err := s.Queryable().Querier(0, now.UnixMilli()) // one that is open meanwhile must not be cut off
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { q.Close() })
	refused := 0
	for i := range 30 {
		refused += put(t, s, one, now.Add(time.Duration(i)*10*time.Second), float64(100+i))
	}
	if refused == 0 || refused > 14 {
		t.Errorf("%d batches refused, want some for two minutes", refused)
	}
	v := valuesOf(s, "m")
	if len(v) != 10+30-refused || v[0] != 0 || v[9] != 9 || v[len(v)-1] != 129 {
		t.Errorf("stored %v", v)
	}
	if list, err := os.ReadDir(filepath.Join(dir, "quarantine")); err != nil || len(list) == 0 {
		t.Errorf("the quarantine is empty: %v", err)
	}
}

// One damaged block is set aside, the others are served.
func TestDamagedBlocksAreSetAside(t *testing.T) {
	s, dir := openMending(t)
	one := series("m")
	begin := time.Now().Add(-12 * time.Hour).Truncate(2 * time.Hour)
	for i := range 12 * 6 {
		put(t, s, one, begin.Add(time.Duration(i)*10*time.Minute), float64(i))
	}
	if err := s.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	blocks := s.db.Blocks()
	if len(blocks) < 2 {
		t.Fatalf("%d blocks, want some", len(blocks))
	}
	before := len(valuesOf(s, "m"))
	lost := int(blocks[0].Meta().Stats.NumSamples)
	damaged := blocks[0].Dir()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(damaged, "index"), 10); err != nil {
		t.Fatal(err)
	}
	again, err := Open(filepath.Join(dir, "metrics"), s.o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := len(valuesOf(again, "m")); got != before-lost {
		t.Errorf("%d samples of %d, %d of which were in the damaged block", got, before, lost)
	}
	if again.quarantined.Load() != 1 {
		t.Errorf("%d set aside, want 1", again.quarantined.Load())
	}
}

// Whatever byte of whatever file is damaged, the store opens and answers.
func TestFlippedBits(t *testing.T) {
	s, dir := openMending(t)
	one := series("m")
	begin := time.Now().Add(-6 * time.Hour).Truncate(2 * time.Hour)
	for i := range 6 * 30 {
		put(t, s, one, begin.Add(time.Duration(i)*2*time.Minute), float64(i))
	}
	if err := s.db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	metrics := filepath.Join(dir, "metrics")
	var files []string
	if err := filepath.WalkDir(metrics, func(path string, d os.DirEntry, err error) error {
		if info, ierr := d.Info(); err == nil && ierr == nil && d.Type().IsRegular() && info.Size() > 0 {
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range files {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 8 {
			copied := filepath.Join(t.TempDir(), "metrics")
			if err := os.CopyFS(copied, os.DirFS(metrics)); err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(metrics, name) // both are absolute
			flipped := append([]byte(nil), whole...)
			at := (len(flipped) - 1) * k / 7
			flipped[at] ^= 1 << (k % 8)
			if err := os.WriteFile(filepath.Join(copied, rel), flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			o := s.o
			o.Quarantine = filepath.Join(copied, "..", "quarantine")
			again, err := Open(copied, o)
			if err != nil {
				t.Errorf("bit %d of byte %d of %s: %v", k%8, at, rel, err)
				continue
			}
			put(t, again, series("m2"), time.Now(), 1)
			if v := valuesOf(again, "m2"); len(v) != 1 {
				t.Errorf("bit %d of byte %d of %s: a new sample is not there", k%8, at, rel)
			}
			if err := again.Close(); err != nil {
				t.Errorf("bit %d of byte %d of %s: close: %v", k%8, at, rel, err)
			}
			n++
		}
	}
	t.Logf("%d damaged stores were opened", n)
}
