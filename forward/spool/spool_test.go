// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	target = &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Job: "node", Instance: "h:1"}
	desc   = &tallyman.Desc{Name: "m_total", Help: "What is counted", Unit: "bytes", Type: tallyman.Counter}
)

func makeSeries(n int) (out []*tallyman.Series) {
	for i := range n {
		out = append(out, target.Series(desc, tallyman.Label{Name: "n", Value: fmt.Sprint(i)}, tallyman.Label{Name: "none"}))
	}
	return out
}

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func reader(t testing.TB, s *Spool, name string) *Reader {
	t.Helper()
	r, err := s.Reader(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func add(t testing.TB, s *Spool, at int64, series []*tallyman.Series, value func(i int) float64) {
	t.Helper()
	b := &tallyman.Batch{Time: time.UnixMilli(at)}
	for i, one := range series {
		b.Add(one, value(i))
	}
	if _, err := s.AppendSamples(b); err != nil {
		t.Fatal(err)
	}
}

// all reads what is there, as lines.
func all(t testing.TB, r *Reader) (out []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what is there comes all the same
	for {
		ticks, err := r.Next(ctx, Part{Ticks: 6, Samples: 1000})
		if errors.Is(err, context.Canceled) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, tick := range ticks {
			for i, s := range tick.Series {
				out = append(out, fmt.Sprint(tick.Time, s.Labels, tick.Values[i]))
			}
		}
	}
}

func value(tick int) func(int) float64 {
	return func(i int) float64 {
		return []float64{7, float64(tick * 4096 * i), float64(tick) / 3, -float64(tick), math.Copysign(0, -1), math.Inf(tick%2*2 - 1), 1e300}[i%7]
	}
}

func line(tick, i int) string {
	return fmt.Sprintf("%d [{instance h:1} {job node} {n %d}] %v", 1000*tick, i, value(tick)(i))
}

// What is appended is read: over key ticks, segments and starts, with series that come, end
// and come again.
func TestTicks(t *testing.T) {
	dir := t.TempDir()
	series := makeSeries(30)
	var want []string
	s := open(t, Options{Dir: dir, MaxBytes: 1 << 20})
	s.segmentMax = 5000
	r := reader(t, s, "a")
	rest := 0 // of want, what r has not got
	for tick := range 200 {
		now := series[:10+tick%7]
		if tick > 0 && len(now) < 10+(tick-1)%7 {
			ended := series[len(now) : 10+(tick-1)%7]
			if err := s.EndSeries(time.UnixMilli(int64(1000*tick-1)), ended); err != nil {
				t.Fatal(err)
			}
			for i := range ended {
				want = append(want, fmt.Sprintf("%d [{instance h:1} {job node} {n %d}] NaN", 1000*tick-1, len(now)+i))
			}
		}
		add(t, s, int64(1000*tick), now, value(tick))
		for i := range now {
			want = append(want, line(tick, i))
		}
		if tick%40 == 39 {
			if got := all(t, r); !slices.Equal(got, want[rest:]) {
				for i := range got {
					if got[i] != want[rest+i] {
						t.Fatalf("tick %d: got %s, want %s", tick, got[i], want[rest+i])
					}
				}
			}
			rest = len(want)
			if tick%80 == 79 { // not confirmed else: it comes again after the kill
				if err := errors.Join(r.Commit(), r.keep()); err != nil {
					t.Fatal(err)
				}
				want, rest = want[rest:], 0
			}
			s = open(t, Options{Dir: dir, MaxBytes: 1 << 20}) // as after a kill: nothing was closed
			s.segmentMax = 5000
			r = reader(t, s, "a")
			rest = 0
		}
	}
	if got := all(t, r); !slices.Equal(got, want) {
		t.Errorf("got %d lines, want %d", len(got), len(want))
	}
	if st := r.Stats(); len(st.Dropped) > 0 || st.Waiting != uint64(len(want)) {
		t.Errorf("%+v, want nothing dropped and %d waiting", st, len(want))
	}
}

// A series is what it was, a stale marker Prometheus' own, and a new destination begins now.
func TestNow(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	started := time.UnixMilli(1234)
	c := &tallyman.Target{Kind: tallyman.ContainerTarget, Job: "j", Instance: "i", Container: &tallyman.Container{Started: started}}
	one := []*tallyman.Series{c.Series(desc)}
	add(t, s, 1, one, func(int) float64 { return 1 })
	r := reader(t, s, "new")
	add(t, s, 2, one, func(int) float64 { return 1 })
	if err := s.EndSeries(time.UnixMilli(3), one); err != nil {
		t.Fatal(err)
	}
	ticks, err := r.Next(t.Context(), Part{Ticks: 6, Samples: 10})
	if err != nil || len(ticks) != 2 || ticks[0].Time != 2 || math.Float64bits(ticks[1].Values[0]) != 0x7ff0000000000002 {
		t.Fatalf("%+v %v", ticks, err)
	}
	got := ticks[0].Series[0]
	if got.Name != "m_total" || got.Help != desc.Help || got.Unit != "bytes" || got.Type != tallyman.Counter || got.Start != 1234 || len(got.Labels) != 2 {
		t.Errorf("%+v", got)
	}
}

// Over the bounds the oldest goes, counted and told, and what is kept is whole.
func TestBounds(t *testing.T) {
	for name, o := range map[string]Options{Full: {MaxBytes: 40_000}, TooOld: {MaxAge: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			var lost []Lost
			o.Lost = func(l Lost) { lost = append(lost, l) }
			s := open(t, o)
			s.segmentMax = 5000
			r := reader(t, s, "a")
			series := makeSeries(40)
			rng := rand.New(rand.NewPCG(1, 2))
			begin := time.Now().Add(-2 * time.Hour).UnixMilli()
			for tick := range 720 {
				add(t, s, begin+int64(tick)*10_000, series, func(int) float64 { return rng.Float64() })
			}
			got, samples := all(t, r), uint64(0)
			for _, l := range lost {
				samples += l.Samples
				if l.To != "a" || l.Reason != name || l.UpTo.IsZero() {
					t.Errorf("%+v", l)
				}
			}
			if samples == 0 || samples+uint64(len(got)) != 720*40 || r.Stats().Dropped[name] != samples {
				t.Errorf("%d read and %d lost, want %d in all; counted %v", len(got), samples, 720*40, r.Stats().Dropped)
			}
			if o.MaxBytes > 0 && s.Bytes() > o.MaxBytes {
				t.Errorf("%d bytes, want at most %d", s.Bytes(), o.MaxBytes)
			}
		})
	}
}

// What all have confirmed goes from the disk.
func TestConfirmed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	s.segmentMax = 2000
	a, b := reader(t, s, "a"), reader(t, s, "b")
	for tick := range 100 {
		add(t, s, int64(1000*tick), makeSeries(10), value(tick))
	}
	before := len(s.segments)
	all(t, a)
	if err := errors.Join(a.Commit(), s.Sync()); err != nil || len(s.segments) != before {
		t.Fatalf("%d segments of %d are left while one has read nothing (%v)", len(s.segments), before, err)
	}
	all(t, b)
	if err := errors.Join(b.Commit(), s.Sync()); err != nil || len(s.segments) != 1 {
		t.Fatalf("%d segments are left (%v)", len(s.segments), err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ticks"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v %v", files, err)
	}
}

// Whatever bit is turned over or cut off, what comes is what was written, and the rest is
// counted.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	reader(t, s, "a")
	series := makeSeries(5)
	want := map[string]bool{}
	for tick := range 70 {
		if tick == 35 {
			series = append(series, makeSeries(6)[5])
		}
		add(t, s, int64(1000*tick), series, value(tick))
		for i := range series {
			want[line(tick, i)] = true
		}
	}
	name := s.path(1)
	good, err := os.ReadFile(name)
	cursor, _ := os.ReadFile(filepath.Join(dir, "a.cursor"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, b []byte) {
		dir := t.TempDir()
		_ = os.WriteFile(filepath.Join(dir, "a.cursor"), cursor, 0o600)
		_ = os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600)
		s := open(t, Options{Dir: dir})
		r := reader(t, s, "a")
		more := makeSeries(1)
		add(t, s, 100_000, more, value(100))
		got := all(t, r)
		if len(got) == 0 || got[len(got)-1] != line(100, 0) {
			t.Fatalf("%s: what follows does not come", what)
		}
		got = got[:len(got)-1]
		for _, l := range got {
			if !want[l] {
				t.Fatalf("%s: got %s", what, l)
			}
		}
		if n := uint64(len(got)) + r.Stats().Dropped[Damaged]; n > uint64(len(want)) || len(b) == len(good) && n != uint64(len(want)) && parseOK(b) && wholeEnd(b) {
			t.Fatalf("%s: %d read, %d counted, want %d", what, len(got), r.Stats().Dropped[Damaged], len(want))
		}
		_ = s.Close()
	}
	step := 97
	if testing.Short() {
		step = 499
	}
	for at := 0; at < len(good); at += step {
		b := bytes.Clone(good)
		b[at] ^= 1 << (at % 8)
		check(fmt.Sprintf("bit of byte %d", at), b)
		check(fmt.Sprintf("cut at %d", at), good[:at])
	}
	check("nothing", good)
}

// wholeEnd reports whether the last tick is whole: one that is not never was.
func wholeEnd(b []byte) bool { return end(b) == uint64(35*5+35*6) }

func parseOK(b []byte) bool { _, ok := parseHeader(b); return ok }

// A segment that somebody has removed is counted, and what follows comes.
func TestRemoved(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	s.segmentMax = 1000
	r := reader(t, s, "a")
	for tick := range 40 {
		add(t, s, int64(1000*tick), makeSeries(10), value(tick))
	}
	if err := os.Remove(s.path(2)); err != nil {
		t.Fatal(err)
	}
	got := all(t, r)
	if lost := r.Stats().Dropped[Damaged]; lost == 0 || lost+uint64(len(got)) != 400 || got[len(got)-1] != line(39, 9) {
		t.Errorf("%d lines and %d lost, want 400", len(got), lost)
	}
}

// When the disk takes nothing AppendSamples refuses all, and goes on when it does.
func TestNoRoom(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir()})
	r := reader(t, s, "a")
	series := makeSeries(3)
	add(t, s, 1000, series, value(1))
	_ = s.file.Close() // each write fails
	b := &tallyman.Batch{Time: time.UnixMilli(2000), Samples: []tallyman.Sample{{Series: series[0]}}}
	if _, err := s.AppendSamples(b); err == nil || !strings.Contains(err.Error(), "write to the spool") {
		t.Fatalf("got %v", err)
	}
	add(t, s, 3000, series, value(3))
	if got := all(t, r); len(got) != 6 || got[5] != line(3, 2) || len(r.Stats().Dropped) > 0 {
		t.Errorf("%v, dropped %v", got, r.Stats().Dropped)
	}
}

func FuzzRecords(f *testing.F) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20))
	if err != nil {
		f.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		f.Fatal(err)
	}
	entry, _ := appendSeries(nil, makeSeries(1)[0], nil)
	body := appendValues(appendList([]byte{1}, []uint32{0}), []uint32{0}, []tallyman.Sample{{Value: 3}}, make([]uint64, 1))
	f.Add(entry, body)
	f.Fuzz(func(t *testing.T, entry, body []byte) {
		k := known{dec: dec}
		k.reset()
		_ = k.addSeries(enc.EncodeAll(entry, []byte{0, 0, 0, 0}))
		_ = k.addSeries(entry)
		var tick Tick
		for _, kind := range []byte{kindKey, kindTick, kindEnded} {
			for n := range uint64(3) {
				_, err := k.tick(kind, enc.EncodeAll(body, appendHead(nil, head{1, 1, n})), &tick)
				if err == nil && (len(tick.Series) != len(tick.Values) || uint64(len(tick.Series)) > n) {
					t.Fatalf("%+v", tick)
				}
			}
			_, _ = k.tick(kind, body, &tick)
		}
		findRecord(body)
		end(body)
		parseHeader(body)
	})
}

// steady is what a host gives: constants, counters, CPU seconds, pages.
func steady(b *tallyman.Batch, tick int, rng *rand.Rand) {
	b.Time = time.UnixMilli(int64(tick) * 10_000)
	for i := range b.Samples {
		v := &b.Samples[i].Value
		switch i % 10 {
		case 0, 1, 2:
			*v = float64(i)
		case 3, 4, 5, 6:
			*v += float64(rng.IntN(1000))
		case 7:
			*v += float64(rng.IntN(1e9)) / 1e9
		default:
			*v += 4096 * float64(rng.IntN(40)-20)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	s := open(b, Options{Dir: b.TempDir()})
	batch := &tallyman.Batch{}
	for _, one := range makeSeries(6000) {
		batch.Add(one, 0)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	steady(batch, 0, rng)
	if _, err := s.AppendSamples(batch); err != nil {
		b.Fatal(err)
	}
	before, n := s.Bytes(), 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		n++
		steady(batch, n, rng)
		b.StartTimer()
		if _, err := s.AppendSamples(batch); err != nil {
			b.Fatal(err)
		}
	}
	samples := float64(n * len(batch.Samples))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/samples, "ns/sample")
	b.ReportMetric(float64(s.Bytes()-before)/samples, "B/sample")
}

// A cursor that cannot be read is told: what waited is not sent.
func TestDamagedCursor(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	if r := reader(t, s, "a"); r.Notice() != "" {
		t.Errorf("a new one says %q", r.Notice())
	}
	add(t, s, 1000, makeSeries(3), value(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.cursor"), []byte("tallyman cursor 1 segment 1 off\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	if r := reader(t, s, "a"); !strings.Contains(r.Notice(), "a.cursor") || len(all(t, r)) != 0 {
		t.Errorf("it says %q", r.Notice())
	}
}

// Run keeps what was confirmed without being asked each second, and sleeps without work.
func TestRunWakesOnWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	r := reader(t, s, "a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	kept := func() mark {
		s.mu.Lock()
		defer s.mu.Unlock()
		return r.kept
	}
	for tick := range 2 {
		add(t, s, int64(1000*tick), makeSeries(3), value(tick))
		if n := len(all(t, r)); n != 3 {
			t.Fatalf("%d read, want 3", n)
		}
		if err := r.Commit(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); kept() != r.at; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("what was confirmed is not kept")
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A file system that has no room says so, and what is there stays whole.
func TestFileSystemFull(t *testing.T) {
	dir := testkit.SmallDisk(t, 1)
	s := open(t, Options{Dir: dir})
	r := reader(t, s, "a")
	series := makeSeries(200)
	var err error
	ticks := 0
	for ; err == nil && ticks < 1000; ticks++ {
		b := &tallyman.Batch{Time: time.UnixMilli(int64(1000 * ticks))}
		for _, one := range series {
			b.Add(one, rand.Float64())
		}
		_, err = s.AppendSamples(b)
	}
	if _, ok := errors.AsType[*fsx.ErrFull](err); !ok || !strings.Contains(err.Error(), "is full") || !strings.Contains(err.Error(), "lower spool.size") {
		t.Fatalf("after %d ticks: %v", ticks, err)
	}
	if n := len(all(t, r)); n != 200*(ticks-1) {
		t.Errorf("%d samples are there, want %d", n, 200*(ticks-1))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
