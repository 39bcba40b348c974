// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
	"tallyman/internal/recordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testID = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// docker writes a container's log as the engine does.
type docker struct {
	t        *testing.T
	dir      string
	base     string
	form     string
	files    int // max-file
	compress bool
	clock    int64
	f        *os.File
	rule     *logrule.Rule
	slowly   bool   // compressing takes until the next rotation
	compact  func() // ends it
}

func newDocker(t *testing.T, form string, files int, compress bool) *docker {
	d := &docker{t: t, dir: filepath.Join(t.TempDir(), testID), base: testID + "-json.log", form: form, files: files, compress: compress, clock: 1_000_000_000_000_000_000}
	if form == "local" {
		d.dir, d.base = filepath.Join(d.dir, "local-logs"), "container.log"
	}
	d.must(os.MkdirAll(d.dir, 0o700))
	d.open()
	return d
}

func (d *docker) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *docker) open() {
	f, err := os.OpenFile(filepath.Join(d.dir, d.base), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	d.must(err)
	d.f = f
}

// write writes a line, cut into pieces as dockerd does.
func (d *docker) write(text string, stderr bool) {
	d.clock += 1000
	for {
		piece, end := text, true
		if len(piece) > 16384 {
			piece, end = text[:16384], false
		}
		d.piece(piece, stderr, end)
		if end {
			return
		}
		text = text[16384:]
	}
}

func (d *docker) piece(text string, stderr, end bool) {
	if d.form == "local" {
		_, err := d.f.Write(localEntry(entry{time: d.clock, stderr: stderr, text: []byte(text), partial: !end}))
		d.must(err)
		return
	}
	stream := "stdout"
	if stderr {
		stream = "stderr"
	}
	if end {
		text += "\n"
	}
	b, err := json.Marshal(text)
	d.must(err)
	_, err = fmt.Fprintf(d.f, `{"log":%s,"stream":%q,"time":%q}`+"\n", b, stream, time.Unix(0, d.clock).UTC().Format(time.RFC3339Nano))
	d.must(err)
}

func (d *docker) size() int64 {
	st, err := d.f.Stat()
	d.must(err)
	return st.Size()
}

// rotate does what dockerd does when the file is full.
func (d *docker) rotate() {
	d.must(d.f.Close())
	if d.compact != nil {
		d.compact()
		d.compact = nil
	}
	path := filepath.Join(d.dir, d.base)
	if d.files < 2 {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
		d.must(err)
		d.f = f
		return
	}
	for n := d.files - 1; n > 1; n-- {
		for _, end := range []string{"", ".gz"} {
			err := os.Rename(fmt.Sprintf("%s.%d%s", path, n-1, end), fmt.Sprintf("%s.%d%s", path, n, end))
			if err != nil && !os.IsNotExist(err) {
				d.t.Fatal(err)
			}
			if err == nil {
				other := fmt.Sprintf("%s.%d%s", path, n, map[string]string{"": ".gz", ".gz": ""}[end])
				_ = os.Remove(other)
			}
		}
	}
	d.must(os.Rename(path, path+".1"))
	_ = os.Remove(path + ".1.gz")
	if d.compress {
		in, err := os.ReadFile(path + ".1")
		d.must(err)
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err = w.Write(in)
		d.must(errors.Join(err, w.Close()))
		d.compact = func() {
			d.must(errors.Join(os.WriteFile(path+".1.gz", out.Bytes(), 0o600), os.Remove(path+".1")))
		}
		if d.slowly {
			d.must(os.WriteFile(path+".1.gz", out.Bytes()[:out.Len()/2+1], 0o600))
		} else {
			d.compact()
			d.compact = nil
		}
	}
	d.open()
}

// tail makes a tailer for the container, without inotify and without Run.
func (d *docker) tail(store tallyman.RecordSink) *Tailer {
	root := filepath.Dir(d.dir)
	driver := "json-file"
	if d.form == "local" {
		root, driver = filepath.Dir(root), "local"
	}
	t := New(Options{Records: recordtest.Intake(store), Path: func(string) string { return root },
		Rules: func(*tallyman.Container) (*logrule.Rule, error) { return d.rule, nil }, Log: slog.New(slog.DiscardHandler)})
	t.ObserveEngine(tallyman.EngineStatus{Name: "e", Root: "/r"})
	t.ObserveContainer(&tallyman.Container{ID: testID, Name: "c", Host: "h", Engine: "e", State: tallyman.Running, Pid: 1, LogDriver: driver})
	t.learn()
	return t
}

// look gives every container as many turns as it needs.
func look(t *Tailer) {
	at := func() (s string) {
		for _, c := range t.tail.Logs {
			for _, f := range c.files {
				s += fmt.Sprint(f.mark, f.Off, " ")
			}
		}
		return s
	}
	for before := "never"; before != at(); {
		before = at()
		for _, c := range t.tail.Logs {
			c.Due = time.Time{}
		}
		t.tail.Round(context.Background())
	}
}

// end stops a tailer; with crash what is not committed is lost.
func end(t *Tailer) {
	for _, c := range t.tail.Logs {
		c.close()
	}
}

// stored are the lines of a stream, in the order of the store.
func stored(s *recordtest.Store, out string) (lines []string) {
	for _, f := range s.Find("stream", out) {
		lines = append(lines, string(f.Line))
	}
	return lines
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s: %d lines, want %d; the first that is missing is %.60q", what, len(got), len(want), want[i])
		case i >= len(want):
			t.Fatalf("%s: %d lines, want %d; the first too many is %.60q", what, len(got), len(want), got[i])
		case got[i] != want[i]:
			t.Fatalf("%s: line %d of %d is %.60q (%d bytes), want %.60q (%d bytes)", what, i, len(got), got[i], len(got[i]), want[i], len(want[i]))
		}
	}
}

// Lines of all lengths, rotations, restarts and crashes at random: every line is
// stored once and in order, as long as no rotation is faster than the reader.
func TestNothingIsMissingOrTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	start, err := logrule.Compile(logrule.Text{Start: `^\d`})
	if err != nil {
		t.Fatal(err)
	}
	rounds := uint64(16)
	if testing.Short() {
		rounds = 4
	}
	for _, form := range []string{"json", "local"} {
		for _, compress := range []bool{false, true} {
			t.Run(fmt.Sprint(form, " compress ", compress), func(t *testing.T) {
				for round := range rounds {
					random := rand.New(rand.NewPCG(seed, round))
					d := newDocker(t, form, 4, compress)
					d.slowly = round%4 > 1
					joins := round%2 == 1
					if joins { // entries of several lines
						d.rule = start
					}
					store := recordtest.New()
					tailer := d.tail(store)
					var want [2][]string
					sinceLook := 0
					for step := range 150 {
						switch n := random.IntN(20); {
						case n < 12:
							i := random.IntN(2)
							text := fmt.Sprintf("%d %s", step, strings.Repeat("x", []int{0, 3, 80, 16383, 16384, 16385, 40000}[random.IntN(7)]))
							if n := len(want[i]); joins && n > 0 && random.IntN(2) == 0 && len(want[i][n-1]) < 100_000 {
								text = " " + text
								want[i][n-1] += "\n" + text
							} else {
								want[i] = append(want[i], text)
							}
							d.write(text, i == 1)
						case n < 14 && sinceLook < 2 && d.size() > 0: // dockerd rotates what is full
							d.rotate()
							sinceLook++
						case n < 18:
							look(tailer)
							sinceLook = 0
						default:
							// kill -9 and start again: what is not stored is read once more.
							end(tailer)
							tailer = d.tail(store)
						}
					}
					look(tailer)
					for _, c := range tailer.tail.Logs {
						for i := range c.out {
							c.out[i].EndEntry()
						}
					}
					d.must(tailer.tail.Batch.Commit(context.Background()))
					end(tailer)
					what := fmt.Sprintf("seed %d round %d", seed, round)
					for i, out := range []string{"stdout", "stderr"} {
						got := stored(store, out)
						if joins { // some end where a file was rotated away
							got, want[i] = strings.Split(strings.Join(got, "\n"), "\n"), strings.Split(strings.Join(want[i], "\n"), "\n")
						}
						equal(t, what+" "+out, got, want[i])
					}
					if n := tailer.counts.bad.Load() + tailer.counts.Gaps.Load(); n != 0 {
						t.Errorf("%s: %d bad entries, %d gaps", what, tailer.counts.bad.Load(), tailer.counts.Gaps.Load())
					}
				}
			})
		}
	}
}

// A crash in the middle of a line of many parts, with whole lines of the other
// stream between them.
func TestRestartWithinALine(t *testing.T) {
	d := newDocker(t, "json", 4, false)
	store := recordtest.New()
	tailer := d.tail(store)
	d.write("first", false)
	began := d.clock + 1
	piece := func(text string, end bool) { // all of a line have the time of the first
		now := d.clock
		d.clock = began
		d.piece(text, false, end)
		d.clock = now + 5
	}
	piece(strings.Repeat("a", 16384), false)
	d.write("other 1", true)
	look(tailer)
	d.rotate()
	piece(strings.Repeat("b", 16384), false)
	d.write("other 2", true)
	look(tailer)
	for range 3 {
		end(tailer)
		tailer = d.tail(store)
		look(tailer)
	}
	piece("c", true)
	d.write("last", false)
	look(tailer)
	end(tailer)
	equal(t, "stderr", stored(store, "stderr"), []string{"other 1", "other 2"})
	got := stored(store, "stdout")
	if len(got) != 3 || got[1] != strings.Repeat("a", 16384)+strings.Repeat("b", 16384)+"c" {
		t.Errorf("%d lines on stdout, the second of %d bytes", len(got), len(got[1]))
	}
}

// Where rotation was faster, and where a file was emptied, a line says so.
func TestWhatIsMissingIsSaid(t *testing.T) {
	gapLines := func(t *testing.T, store *recordtest.Store) (n int) {
		for _, l := range stored(store, "stderr") {
			if strings.HasPrefix(l, "tallyman: ") {
				n++
			}
		}
		return n
	}
	t.Run("rotated away while it was not running", func(t *testing.T) {
		d := newDocker(t, "json", 2, false)
		store := recordtest.New()
		tailer := d.tail(store)
		d.write("1", false)
		look(tailer)
		end(tailer)
		for range 4 {
			d.rotate()
			d.write("x", false)
		}
		tailer = d.tail(store)
		look(tailer)
		end(tailer)
		if n := len(stored(store, "stdout")); n != 3 || gapLines(t, store) != 1 || tailer.counts.Gaps.Load() != 1 {
			t.Errorf("%d lines, %d say that some are missing, %d counted; want 3, 1 and 1", n, gapLines(t, store), tailer.counts.Gaps.Load())
		}
	})
	t.Run("rotated away between two looks", func(t *testing.T) {
		d := newDocker(t, "json", 2, false)
		store := recordtest.New()
		tailer := d.tail(store)
		d.write("1", false)
		look(tailer)
		for range 4 {
			d.rotate()
			d.write("x", false)
		}
		look(tailer)
		end(tailer)
		if n := len(stored(store, "stdout")); n != 3 || gapLines(t, store) != 1 {
			t.Errorf("%d lines, %d say that some are missing; want 3 and 1", n, gapLines(t, store))
		}
	})
	t.Run("emptied in place", func(t *testing.T) {
		d := newDocker(t, "json", 1, false)
		store := recordtest.New()
		tailer := d.tail(store)
		want := []string{}
		for i := range 20 {
			text := fmt.Sprint("line ", i)
			want = append(want, text)
			d.write(text, false)
			look(tailer)
			if i%4 == 3 {
				d.rotate()
				if i%8 == 7 {
					look(tailer) // it may be seen empty, or written again already
				}
			}
		}
		look(tailer)
		end(tailer)
		equal(t, "stdout", stored(store, "stdout"), want)
		if gapLines(t, store) == 0 {
			t.Error("no line says that the file was emptied")
		}
	})
}

// What was there before tallyman is read from its beginning, but for what is
// beyond the backlog.
func TestBacklog(t *testing.T) {
	d := newDocker(t, "json", 5, true)
	for i := range 4000 {
		d.write(fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100)), false)
		if i%1000 == 999 && i < 3000 {
			d.rotate()
		}
	}
	store := recordtest.New()
	tailer := d.tail(store)
	look(tailer)
	end(tailer)
	if n := len(stored(store, "stdout")); n != 4000 {
		t.Errorf("%d lines, want all 4000", n)
	}
	store = recordtest.New()
	tailer = d.tail(store)
	tailer.o.Backlog = 50 << 10
	look(tailer)
	end(tailer)
	if n := len(stored(store, "stdout")); n < 200 || n > 400 || tailer.counts.Gaps.Load() != 1 {
		t.Errorf("%d lines of the last 50 KiB, %d gaps; want some hundred and 1", n, tailer.counts.Gaps.Load())
	}
}

// A line without an end stays within its bound.
func TestEndlessLine(t *testing.T) {
	d := newDocker(t, "json", 2, false)
	store := recordtest.New()
	tailer := d.tail(store)
	piece := strings.Repeat("y", 16384)
	for range 400 { // 6.4 MiB
		d.piece(piece, false, false)
	}
	look(tailer)
	d.piece("end", false, true)
	d.clock++
	d.write("next", false)
	look(tailer)
	end(tailer)
	got := stored(store, "stdout")
	if len(got) != 2 || len(got[0]) != logtail.MaxLine || got[1] != "next" || tailer.counts.Cut.Load() != 1 {
		t.Errorf("%d lines, the first of %d bytes, %d cut", len(got), len(got[0]), tailer.counts.Cut.Load())
	}
}

// A store that takes nothing: reading waits, nothing is lost.
func TestStoreThatIsFull(t *testing.T) {
	d := newDocker(t, "json", 2, false)
	full := &fullStore{Store: recordtest.New()}
	tailer := d.tail(full)
	d.write("1", false)
	full.full = true
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	tailer.tail.Round(ctx)
	end(tailer)
	full.full = false
	tailer = d.tail(full)
	d.write("2", false)
	look(tailer)
	end(tailer)
	equal(t, "stdout", stored(full.Store, "stdout"), []string{"1", "2"})
}

type fullStore struct {
	*recordtest.Store
	full bool
}

func (s *fullStore) AppendRecords(b *tallyman.RecordBatch) error {
	if s.full {
		return errors.New("no space")
	}
	return s.Store.AppendRecords(b)
}

// A log whose container discovery has not told of yet is held open. Only what the
// engine has removed may be lost by giving it up, and is counted then.
func TestLogOfAnUnknownContainer(t *testing.T) {
	for _, x := range []struct {
		name         string
		age          time.Duration
		removed      bool
		others       int
		held, missed int
	}{
		{"new", 0, true, 0, 1, 0},
		{"the engine is slow", 5 * time.Minute, true, 0, 1, 0},
		{"it is still there", time.Minute, false, 0, 0, 0},
		{"never told of", 11 * time.Minute, true, 0, 0, 1},
		{"too many", time.Minute, true, unknownMost, 0, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := newDocker(t, "json", 2, false)
			d.write("1", false)
			store := recordtest.New()
			tailer := New(Options{Records: recordtest.Intake(store), Path: func(string) string { return filepath.Dir(d.dir) }, Log: slog.New(slog.DiscardHandler)})
			tailer.ObserveEngine(tallyman.EngineStatus{Name: "e", Root: "/r"})
			tailer.learn()
			tailer.saw(logtail.Seen{Name: testID})
			tailer.tail.Round(t.Context())
			if x.removed {
				d.must(os.RemoveAll(d.dir))
			}
			tailer.untold += x.others
			tailer.tail.Logs[testID].since = time.Now().Add(-x.age)
			tailer.tail.Logs[testID].Due = time.Time{}
			tailer.tail.Round(t.Context())
			if n := len(tailer.tail.Logs); n != x.held || int(tailer.counts.missed.Load()) != x.missed {
				t.Errorf("%d are held, %d are counted; want %d and %d", n, tailer.counts.missed.Load(), x.held, x.missed)
			}
			if tailer.untold -= x.others; tailer.untold != x.held {
				t.Errorf("%d are counted as not told of, want %d", tailer.untold, x.held)
			}
			for _, state := range []tallyman.State{tallyman.Exited, tallyman.Gone} { // what the events say in the end
				tailer.ObserveContainer(&tallyman.Container{ID: testID, Name: "c", Host: "h", Engine: "e", State: state, LogDriver: "json-file"})
				tailer.learn()
				look(tailer)
			}
			want := []string{"1"}
			if x.missed > 0 {
				want = nil
			}
			equal(t, "stdout", stored(store, "stdout"), want)
			if tailer.untold != 0 || len(tailer.tail.Logs) != 0 {
				t.Errorf("%d are left, %d of them not told of", len(tailer.tail.Logs), tailer.untold)
			}
			tailer.close()
		})
	}
}

// Lines wait for the inspection of their container, which says whether it has a terminal;
// not for ever, and not when it has gone.
func TestLogOfAContainerThatOnlyEventsTellOf(t *testing.T) {
	for _, x := range []struct {
		name string
		age  time.Duration
		then *tallyman.Container
		want []string
	}{
		{"not inspected yet", 0, nil, nil},
		{"inspected", 0, &tallyman.Container{State: tallyman.Running, ImageID: "i", LogDriver: "json-file", Tty: true}, []string{"1"}},
		{"gone", 0, &tallyman.Container{State: tallyman.Gone}, []string{"1\r"}},
		{"never inspected", time.Minute, nil, []string{"1\r"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := newDocker(t, "json", 2, false)
			d.write("1\r", false)
			store := recordtest.New()
			tailer := New(Options{Records: recordtest.Intake(store), Path: func(string) string { return filepath.Dir(d.dir) }, Log: slog.New(slog.DiscardHandler)})
			tailer.ObserveEngine(tallyman.EngineStatus{Name: "e", Root: "/r"})
			tailer.learn()
			tailer.saw(logtail.Seen{Name: testID})
			tell := func(c *tallyman.Container) {
				c.ID, c.Name, c.Host, c.Engine = testID, "c", "h", "e"
				tailer.ObserveContainer(c)
				tailer.tail.Round(t.Context())
			}
			tell(&tallyman.Container{State: tallyman.Exited})
			if c := tailer.tail.Logs[testID]; x.age > 0 {
				c.since, c.Due = time.Now().Add(-x.age), time.Time{}
				tailer.tail.Round(t.Context())
			}
			if x.then != nil {
				tell(x.then)
			}
			look(tailer)
			equal(t, "stdout", stored(store, "stdout"), x.want)
			end(tailer)
		})
	}
}

// A file is known by what was read of it, also when it was empty at the look before
// and holds other lines at the next one.
func TestEmptiedBeforeTheNextLook(t *testing.T) {
	d := newDocker(t, "json", 2, false)
	store := recordtest.New()
	tailer := d.tail(store)
	look(tailer)
	c := tailer.tail.Logs[testID]
	d.write("before", false)
	b, err := os.ReadFile(filepath.Join(d.dir, d.base))
	d.must(err)
	if c.Decode(b, true) != len(b) {
		t.Fatal("a whole entry was not taken")
	}
	d.must(d.f.Truncate(0))
	for _, text := range []string{"1", "2", "3"} {
		d.write(text, false)
	}
	look(tailer)
	end(tailer)
	got := store.Find("stream", "stdout")
	if len(got) != 4 || tailer.counts.Gaps.Load() != 1 {
		t.Errorf("%d lines and %d gaps; want 4 and 1", len(got), tailer.counts.Gaps.Load())
	}
}

// A container that has gone is read to its end, and its position is forgotten.
func TestGone(t *testing.T) {
	d := newDocker(t, "json", 2, false)
	store := recordtest.New()
	tailer := d.tail(store)
	d.write("1", false)
	look(tailer)
	d.write("2", false)
	d.piece("without an end", false, false)
	d.must(os.RemoveAll(d.dir))
	tailer.ObserveContainer(&tallyman.Container{ID: testID, Name: "c", Host: "h", Engine: "e", State: tallyman.Gone, LogDriver: "json-file"})
	tailer.learn()
	look(tailer)
	equal(t, "stdout", stored(store, "stdout"), []string{"1", "2", "without an end"})
	if p := store.Positions(keyPrefix); len(p) != 0 || len(tailer.tail.Logs) != 0 {
		t.Errorf("%v is kept of a container that has gone, %d followers", p, len(tailer.tail.Logs))
	}
}

func TestPosition(t *testing.T) {
	p := position{place: place{7, 8}, time: 9, open: [2]place{{1, 2}, {0xffffffff, 4}}}
	if got, ok := parsePosition(p.String()); !ok || got != p {
		t.Errorf("%q is %+v (%v)", p, got, ok)
	}
	for _, bad := range []string{"", "2 7:8 9 1:2 3:4", "1 7:8 9 1:2", "1 x:8 9 1:2 3:4", "1 7:-8 9 1:2 3:4"} {
		if _, ok := parsePosition(bad); ok {
			t.Errorf("%q is a position", bad)
		}
	}
}

// A run that ends within a line, full piece or not, is not joined to the next run.
func TestRunsAreNotJoined(t *testing.T) {
	for _, form := range []string{"json", "local"} {
		for _, last := range []string{"unfinished", strings.Repeat("f", 16384), strings.Repeat("g", 16384+5)} {
			d := newDocker(t, form, 2, false)
			store := recordtest.New()
			tailer := d.tail(store)
			d.write("one", false)
			d.clock += 1000
			for text := last; text != ""; text = text[min(len(text), 16384):] {
				d.piece(text[:min(len(text), 16384)], false, false)
			}
			d.clock += 1_000_000
			d.write("next run", false)
			look(tailer)
			end(tailer)
			equal(t, form, stored(store, "stdout"), []string{"one", last, "next run"})
		}
	}
}

// Pieces of two lines that were written at one time stay apart by their ids.
func TestPartsHaveIDs(t *testing.T) {
	d := newDocker(t, "local", 2, false)
	store := recordtest.New()
	tailer := d.tail(store)
	part := func(id string, text string, last bool) {
		m := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), id)
		if last {
			m = append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1), m...)
		}
		b := localEntry(entry{time: d.clock, text: []byte(text), partial: true})
		b = b[4 : len(b)-4]
		b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), m)
		size := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
		_, err := d.f.Write(slices.Concat(size, b, size))
		d.must(err)
	}
	part("a", "first half, ", false)
	part("b", "another line, ", false)
	part("b", "its end", true)
	part("c", "third", true)
	look(tailer)
	end(tailer)
	equal(t, "stdout", stored(store, "stdout"), []string{"first half, ", "another line, its end", "third"})
}

// Behind damage, whatever it is, each entry that is whole is read, and a line says
// that something was there.
func TestEntriesBehindDamage(t *testing.T) {
	entryOf := func(text, attributes string) string {
		return `{"log":"` + text + `\n","stream":"stdout",` + attributes + `"time":"2026-03-01T08:15:30.000000001Z"}`
	}
	const attributes = `"attrs":{"log":"x","team":"a"},`
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"NUL bytes":                    {strings.Repeat("\x00", 5000) + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"more NUL bytes than a buffer": {strings.Repeat("\x00", bufferSize+100) + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"NUL bytes before attributes":  {strings.Repeat("\x00", 50) + entryOf("two", attributes) + "\n", []string{"one", "two", "three"}},
		"torn within the text":         {`{"log":"to` + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"torn, with attributes":        {`{"log":"to` + entryOf("two", attributes) + "\n", []string{"one", "two", "three"}},
		"torn within attributes":       {`{"log":"torn\n","stream":"stdout","attrs":{"team":"b` + entryOf("two", attributes) + "\n", []string{"one", "two", "three"}},
		"torn within the time":         {`{"log":"torn\n","stream":"stdout","time":"2026-03-0` + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"torn at its very beginning":   {`{"lo` + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"torn twice":                   {`{"log":"a{"log":"b` + entryOf("two", "") + "\n", []string{"one", "two", "three"}},
		"two whole ones in a line":     {entryOf("two", "") + entryOf("and", "") + "\n", []string{"one", "and", "three"}},
		"no entry":                     {"garbage\n", []string{"one", "three"}},
	} {
		d := newDocker(t, "json", 2, false)
		store := recordtest.New()
		tailer := d.tail(store)
		_, err := d.f.WriteString(entryOf("one", "") + "\n" + c.text + entryOf("three", attributes) + "\n")
		d.must(err)
		look(tailer)
		end(tailer)
		equal(t, name, stored(store, "stdout"), c.want)
		gaps := stored(store, "stderr")
		if len(gaps) == 0 || !strings.Contains(gaps[0], "damaged") {
			t.Errorf("%s: no line says so: %q", name, gaps)
		}
	}
}

// An entry at the end of a file that lacks nothing but its line feed.
func TestLastLineFeed(t *testing.T) {
	d := newDocker(t, "json", 3, false)
	store := recordtest.New()
	tailer := d.tail(store)
	d.write("one", false)
	d.write("two", false)
	d.must(d.f.Truncate(d.size() - 1))
	look(tailer)
	d.rotate()
	d.write("three", false)
	look(tailer)
	end(tailer)
	equal(t, "stdout", stored(store, "stdout"), []string{"one", "two", "three"})
}

// copytruncate, as logrotate does it: the log is copied and emptied in place, and
// the copies are shifted; what was not read yet is read from them.
func TestCopyTruncate(t *testing.T) {
	for _, compress := range []bool{false, true} {
		d := newDocker(t, "json", 2, false)
		store := recordtest.New()
		tailer := d.tail(store)
		var want []string
		write := func() {
			text := fmt.Sprint("line ", len(want))
			want = append(want, text)
			d.write(text, false)
		}
		path := filepath.Join(d.dir, d.base)
		rotate := func() {
			end := map[bool]string{true: ".gz"}[compress]
			for n := 4; n > 0; n-- {
				_ = os.Rename(fmt.Sprintf("%s.%d%s", path, n, end), fmt.Sprintf("%s.%d%s", path, n+1, end))
			}
			text, err := os.ReadFile(path)
			d.must(err)
			if compress {
				var b bytes.Buffer
				w := gzip.NewWriter(&b)
				_, err = w.Write(text)
				d.must(errors.Join(err, w.Close()))
				text = b.Bytes()
			}
			d.must(os.WriteFile(path+".1"+end, text, 0o600))
			d.must(os.Truncate(path, 0))
		}
		for i := range 12 {
			for range 5 {
				write()
			}
			switch i % 4 {
			case 0: // all of it was read
				look(tailer)
				rotate()
			case 1: // some of it was
				look(tailer)
				write()
				rotate()
			case 2: // it is emptied again before anybody looks
				rotate()
				write()
				rotate()
				write()
			default:
				rotate()
				write()
				look(tailer)
				if i == 7 {
					end(tailer)
					tailer = d.tail(store)
				}
			}
		}
		look(tailer)
		end(tailer)
		equal(t, fmt.Sprint("compressed: ", compress), stored(store, "stdout"), want)
		if gaps := stored(store, "stderr"); len(gaps) > 0 {
			t.Errorf("compressed %v: it says that lines are missing: %q", compress, gaps)
		}
	}
}

// A time that nanoseconds cannot tell does not wrap round.
func TestTimesOutOfRange(t *testing.T) {
	d := newDocker(t, "json", 2, false)
	store := recordtest.New()
	tailer := d.tail(store)
	for _, year := range []string{"0001", "2026", "9999"} {
		_, err := fmt.Fprintf(d.f, `{"log":"%s\n","stream":"stdout","time":"%s-03-01T00:00:00Z"}`+"\n", year, year)
		d.must(err)
	}
	look(tailer)
	end(tailer)
	equal(t, "stdout", stored(store, "stdout"), []string{"0001", "2026", "9999"})
}
