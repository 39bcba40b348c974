// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/store/record"
)

// oldFolder is a folder as an earlier version leaves it: n events in files by day.
func oldFolder(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "events")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{"2026-03-01.jsonl", "2026-03-01.001.jsonl", "2026-03-02.jsonl"}
	texts := make([]strings.Builder, len(names))
	for i := range n {
		line, err := json.Marshal(numbered(i))
		if err != nil {
			t.Fatal(err)
		}
		texts[i*len(names)/n].Write(append(line, '\n'))
	}
	for i, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(texts[i].String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func upTo(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func TestImport(t *testing.T) {
	old := oldFolder(t, 300)
	f, err := os.OpenFile(filepath.Join(old, "2026-03-02.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "no event\n{}\n\n%s\n{\"type\":\"container\", \"time\":\"2026-03-01T00:05:00Z\", \"id\":\"id-000300\"}\n{\"id\":\"torn", strings.Repeat("y", maxLine+5))
	f.Close()
	if err := os.WriteFile(filepath.Join(old, "README"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	records := open(t, dir)
	s := mustOpen(t, Options{Records: records, Old: old})
	wantIDs(t, s, upTo(301)...)
	wantOwn(t, s, "imported_total", "", 301)
	wantOwn(t, s, "damaged_lines_total", "corrupt", 2)
	wantOwn(t, s, "damaged_lines_total", "torn", 1)
	mustAppend(t, s, 299, 301) // one that is there, and a new one
	if exists(old) || !exists(old+".imported") {
		t.Error("the folder is not set aside")
	}
	records.Close()

	// The next start removes it, and has all events.
	records = open(t, dir)
	s = mustOpen(t, Options{Records: records, Old: old})
	wantIDs(t, s, upTo(302)...)
	if exists(old + ".imported") {
		t.Error("the folder that was set aside is still there")
	}
	if p := records.Positions("event/"); len(p) > 0 {
		t.Errorf("positions of the import are left: %v", p)
	}
	records.Close()
}

func open(t *testing.T, dir string) *record.Store {
	t.Helper()
	records, err := record.Open(record.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	return records
}

// An import that ends anywhere is taken up where it was: no event is missing and
// none is there twice, even if their ids are not remembered.
func TestImportIsInterrupted(t *testing.T) {
	for batches := range 6 {
		old := oldFolder(t, 60)
		records := &narrow{Store: recordtest.New(), refused: "-", batches: batches}
		s := mustOpen(t, Options{Records: records, Old: old, RememberIDs: 1})
		if batches < 4 && (!exists(old) || exists(old+".imported")) {
			t.Errorf("%d batches: the folder is gone", batches)
		}
		records.batches = 1000
		mustAppend(t, s, 60) // life goes on
		s = mustOpen(t, Options{Records: records, Old: old, RememberIDs: 1})
		wantIDs(t, s, upTo(61)...)
		if exists(old) {
			t.Errorf("%d batches: the folder is still there", batches)
		}
	}
}

// The power goes after the folder was renamed and before the log is on the disk.
func TestImportAndPowerCut(t *testing.T) {
	old := oldFolder(t, 60)
	mustOpen(t, Options{Records: recordtest.New(), Old: old})
	records := recordtest.New() // which has nothing of it
	s := mustOpen(t, Options{Records: records, Old: old})
	wantIDs(t, s, upTo(60)...)
	s = mustOpen(t, Options{Records: records, Old: old})
	wantIDs(t, s, upTo(60)...)
	if exists(old) || exists(old+".imported") {
		t.Error("a folder is left")
	}
}

// An earlier version ran in between.
func TestImportAgain(t *testing.T) {
	old := oldFolder(t, 60)
	records := recordtest.New()
	mustOpen(t, Options{Records: records, Old: old})
	if err := os.Rename(oldFolder(t, 90), old); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, mustOpen(t, Options{Records: records, Old: old}), upTo(90)...)
}

func FuzzImport(f *testing.F) {
	line, _ := json.Marshal(numbered(1))
	f.Add(append(line, '\n'))
	f.Add([]byte("{\"id\":\"a\\u0041\",\"time\":\"2026-03-01T00:00:01Z\"}\n\n\x00\n{"))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		old := filepath.Join(t.TempDir(), "events")
		if err := os.Mkdir(old, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(old, "2026-03-01.jsonl"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, Options{Old: old})
		before, _, err := s.Events(t.Context(), tallyman.EventQuery{})
		if err != nil || exists(old) {
			t.Fatal(err, "or the folder is still there")
		}
		e := numbered(1)
		e.ID = "an id that no fuzzer finds"
		if err := s.AppendEvents([]tallyman.Event{e}); err != nil {
			t.Fatal(err)
		}
		after, _, err := s.Events(t.Context(), tallyman.EventQuery{})
		if err != nil || len(after) != min(len(before)+1, DefaultLimit) {
			t.Fatalf("got %d events after appending one to %d: %v", len(after), len(before), err)
		}
	})
}
