// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 28, 15, 16, 21, 101e6, time.UTC)

func open(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// numbered is the message i.
func numbered(i int) Message {
	return Message{ID: fmt.Sprint("id-", i), Key: fmt.Sprint("key-", i%3), Time: start.Add(time.Duration(i) * time.Second), Body: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", i%50))}
}

func put(t testing.TB, q *Queue, numbers ...int) {
	t.Helper()
	for _, i := range numbers {
		if _, err := q.Append(numbered(i)); err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
}

func upTo(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// take are the numbers of the messages that are handed out until there is none, and the
// last number in the queue.
func take(t testing.TB, q *Queue) (numbers []int, seq uint64) {
	t.Helper()
	for {
		item, ok, err := q.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return numbers, seq
		}
		if item.Seq <= seq {
			t.Fatalf("number %d after %d", item.Seq, seq)
		}
		seq = item.Seq
		var i int
		if _, err := fmt.Sscanf(item.ID, "id-%d", &i); err != nil {
			t.Fatal(err)
		}
		if want := numbered(i); item.Key != want.Key || !item.Time.Equal(want.Time) || !bytes.Equal(item.Body, want.Body) {
			t.Fatalf("got %+v, want %+v", item.Message, want)
		}
		numbers = append(numbers, i)
	}
}

func wantTaken(t testing.TB, q *Queue, want ...int) uint64 {
	t.Helper()
	got, seq := take(t, q)
	if !slices.Equal(got, want) {
		t.Fatalf("handed out %v, want %v", got, want)
	}
	return seq
}

// killed is a copy of the queue's directory as a kill leaves it now.
func killed(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestOrderAckAndRewind(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	put(t, q, upTo(10)...)
	wantTaken(t, q, upTo(10)...)
	if err := q.Ack(4); err != nil { // 0 to 3
		t.Fatal(err)
	}
	wantTaken(t, q)
	q.Rewind()
	wantTaken(t, q, 4, 5, 6, 7, 8, 9)
	if s := q.Stats(); s.Length != 6 || s.Sent != 4 || s.Repeated != 6 || s.Appended != 10 || !s.Oldest.Equal(numbered(4).Time) || len(s.Dropped) != 0 {
		t.Errorf("stats: %+v", s)
	}
	if err := q.Ack(11); err == nil {
		t.Error("what was never handed out was confirmed")
	}
	// The next process goes on where this one was killed.
	next := open(t, Options{Dir: killed(t, dir)})
	put(t, next, 10)
	seq := wantTaken(t, next, 4, 5, 6, 7, 8, 9, 10)
	if err := next.Ack(seq); err != nil {
		t.Fatal(err)
	}
	if s := next.Stats(); s.Length != 0 || s.Bytes != 0 || s.Sent != 7 || !s.Oldest.IsZero() {
		t.Errorf("at the end: %+v", s)
	}
	if st, err := os.Stat(filepath.Join(dir, "0000000000000001.q")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want it its owner's alone", st, err)
	}
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, Options{Dir: t.TempDir()})
		got := make(chan string)
		go func() {
			for range 2 {
				item, err := q.Next(t.Context())
				if err != nil {
					t.Error(err)
				}
				got <- item.ID
			}
		}()
		for i := range 2 {
			put(t, q, i)
			if id := <-got; id != fmt.Sprint("id-", i) {
				t.Errorf("got %s, want %d", id, i)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Killed after any step, the next process has exactly what was not confirmed.
func TestAKillAfterAnyStep(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	o := Options{Dir: dir, MaxBytes: 64 << 10, Remember: 20} // segments of 16 KiB
	q := open(t, o)
	appended, acked, handed := 0, 0, 0
	for step := range 3000 {
		switch r.IntN(4) {
		case 0, 1:
			if appended-acked < 200 {
				put(t, q, appended)
				appended++
			}
		case 2:
			if item, ok, err := q.TryNext(); err != nil || ok != (handed < appended) {
				t.Fatalf("step %d: %v, %v", step, ok, err)
			} else if ok {
				handed++
				if item.Seq != uint64(handed) {
					t.Fatalf("step %d: number %d, want %d", step, item.Seq, handed)
				}
			}
		case 3:
			switch {
			case r.IntN(8) == 0:
				q.Rewind()
				handed = acked
			case handed > acked:
				acked += 1 + r.IntN(handed-acked)
				if err := q.Ack(uint64(acked)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if step%20 != 0 {
			continue
		}
		o := o
		o.Dir = killed(t, dir)
		next := open(t, o)
		recent, err := next.Recent(20)
		if err != nil || len(recent) != min(20, appended) || len(recent) > 0 && recent[len(recent)-1].ID != fmt.Sprint("id-", appended-1) {
			t.Fatalf("step %d: %d messages are remembered, %v", step, len(recent), err)
		}
		wantTaken(t, next, upTo(appended)[acked:]...)
		if s := next.Stats(); s.Length != appended-acked || len(s.Dropped) > 0 {
			t.Fatalf("step %d: %+v, want %d", step, s, appended-acked)
		}
	}
	if names, _ := filepath.Glob(dir + "/*.q"); acked < 500 || len(names) > 3 {
		t.Errorf("%d were confirmed, %d segments are left", acked, len(names))
	}
}

// Cut off anywhere, everything that is whole is there, and more can be added.
func TestATornEnd(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	put(t, q, upTo(12)...)
	name := "0000000000000001.q"
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, name), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		there, size := 0, len(magic)
		for there < 12 {
			m := numbered(there)
			if size += recordSize(&m); size > n {
				break
			}
			there++
		}
		q := open(t, Options{Dir: torn})
		put(t, q, 100)
		wantTaken(t, q, append(upTo(there), 100)...)
		if s := q.Stats(); len(s.Dropped) > 0 {
			t.Fatalf("cut off at %d: %+v; what was being written is no loss", n, s.Dropped)
		}
		again := open(t, Options{Dir: killed(t, torn)})
		wantTaken(t, again, append(upTo(there), 100)...)
	}
}

// One damaged byte costs the one message that it is in, which is counted.
func TestADamagedByte(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	put(t, q, upTo(6)...)
	name := "0000000000000001.q"
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	bounds := []int{len(magic)}
	for i := range 6 {
		m := numbered(i)
		bounds = append(bounds, bounds[i]+recordSize(&m))
	}
	for at := range whole {
		bad := t.TempDir()
		text := bytes.Clone(whole)
		text[at] ^= 0x21
		if err := os.WriteFile(filepath.Join(bad, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
		want := upTo(6)
		hit := -1
		for i := range 6 {
			if at >= bounds[i] && at < bounds[i+1] {
				hit = i
				want = slices.Delete(want, i, i+1)
			}
		}
		q := open(t, Options{Dir: bad})
		wantTaken(t, q, want...)
		// Of the last one a length that is too great looks like a record that was being written.
		got := q.Stats().Dropped[Damaged].Count
		if lost := uint64(6 - len(want)); got != lost && (hit != 5 || got > 1) {
			t.Fatalf("damage at %d, in %d: %d are counted, want %d", at, hit, got, lost)
		}
		// Damage that comes while the queue is open.
		if hit >= 0 {
			live := killed(t, dir)
			q := open(t, Options{Dir: live})
			if err := os.WriteFile(filepath.Join(live, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
			seq := wantTaken(t, q, want...)
			if err := q.Ack(seq); err != nil {
				t.Fatal(err)
			}
			if s := q.Stats(); s.Dropped[Damaged].Count != 1 || s.Sent != 5 || s.Length != 0 || s.Bytes != 0 {
				t.Fatalf("damage at %d while it is open: %+v", at, s)
			}
		}
	}
}

// The bound is exact: it is never passed, and no more is dropped than it takes.
func TestBytes(t *testing.T) {
	dir := t.TempDir()
	one := numbered(0)
	one.Body = make([]byte, 70)
	size := int64(recordSize(&one))
	var log bytes.Buffer
	q := open(t, Options{Dir: dir, MaxBytes: 100 * size, Log: slog.New(slog.NewTextHandler(&log, nil))})
	add := func(q *Queue, n int) {
		for range n {
			one.Time = one.Time.Add(time.Second)
			if _, err := q.Append(one); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(q, 100)
	if s := q.Stats(); s.Length != 100 || s.Bytes != 100*size || len(s.Dropped) > 0 {
		t.Fatalf("filled to the brim: %+v", s)
	}
	add(q, 37)
	s := q.Stats()
	if l := s.Dropped[Full]; s.Length != 100 || s.Bytes != 100*size || l.Count != 37 || !l.First.Equal(start.Add(time.Second)) || !l.Last.Equal(start.Add(37*time.Second)) {
		t.Fatalf("37 more: %+v", s)
	}
	if n := strings.Count(log.String(), "are dropped"); n != 1 {
		t.Errorf("that was said %d times, want once", n)
	}
	// A kill does not bring back what was dropped.
	next := open(t, Options{Dir: killed(t, dir), MaxBytes: 100 * size})
	if item, ok, err := next.TryNext(); !ok || err != nil || item.Seq != 38 || next.Stats().Length != 100 {
		t.Fatalf("after a kill the first is %d (%v), of %d", item.Seq, err, next.Stats().Length)
	}
	// A smaller bound holds at once.
	if s := open(t, Options{Dir: killed(t, dir), MaxBytes: 10 * size}).Stats(); s.Length != 10 || s.Dropped[Full].Count != 90 {
		t.Errorf("with a smaller bound: %+v", s)
	}
	one.Body = make([]byte, 100*size)
	if _, err := q.Append(one); !errors.Is(err, ErrTooLarge) || q.Stats().Dropped[TooLarge].Count != 1 || q.Stats().Length != 100 {
		t.Errorf("one larger than the queue: %v, %+v", err, q.Stats())
	}
	if names, _ := filepath.Glob(dir + "/*.q"); len(names) > 6 {
		t.Errorf("%d segments are left", len(names))
	}
}

// What is dropped while it is under way counts once: as sent if it arrives, as dropped
// if it comes back.
func TestDroppedUnderWay(t *testing.T) {
	one := Message{ID: "x", Time: start, Body: make([]byte, 100)}
	fill := func() *Queue {
		q := open(t, Options{Dir: t.TempDir(), MaxBytes: 10 * int64(recordSize(&one))})
		for range 10 {
			_, _ = q.Append(one)
		}
		for range 4 {
			_, _, _ = q.TryNext()
		}
		for range 6 { // drops the four that are under way, and two more
			_, _ = q.Append(one)
		}
		return q
	}
	q := fill()
	if err := q.Ack(3); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Sent != 3 || s.Dropped[Full].Count != 2 || s.Length != 10 {
		t.Errorf("three arrived: %+v", s)
	}
	q.Rewind()
	if s := q.Stats(); s.Sent != 3 || s.Dropped[Full].Count != 3 || s.Length != 10 {
		t.Errorf("one came back: %+v", s)
	}
	if item, ok, _ := q.TryNext(); !ok || item.Seq != 7 {
		t.Errorf("the next is %d, want 7", item.Seq)
	}
}

// What a destination refuses for good is confirmed in its turn, and counts as dropped.
func TestRefused(t *testing.T) {
	q := open(t, Options{Dir: t.TempDir()})
	put(t, q, 0, 1, 2)
	seq := wantTaken(t, q, 0, 1, 2)
	q.Drop(2)
	if err := q.Ack(seq); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Sent != 2 || s.Dropped[Refused].Count != 1 || !s.Dropped[Refused].First.Equal(numbered(1).Time) {
		t.Errorf("%+v", s)
	}
}

func TestAge(t *testing.T) {
	now := start.Add(100 * time.Second)
	q := open(t, Options{Dir: t.TempDir(), MaxAge: time.Minute, Now: func() time.Time { return now }})
	put(t, q, 39, 40, 41) // 40 is a minute old, to the nanosecond
	put(t, q, 42)
	if s := q.Stats(); s.Length != 3 || s.Dropped[TooOld].Count != 1 {
		t.Errorf("%+v; want that of 39 alone dropped", s)
	}
	now = now.Add(2 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	for q.Stats().Length != 1 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	wantTaken(t, q, 42)
	if l := q.Stats().Dropped[TooOld]; l.Count != 3 || !l.First.Equal(numbered(39).Time) || !l.Last.Equal(numbered(41).Time) {
		t.Errorf("dropped: %+v", l)
	}
}

// What cannot be written is refused and counted, and harms nothing that is there.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir})
	put(t, q, 0, 1)
	good := q.writer
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	q.writer = full
	if _, err := q.Append(numbered(2)); err == nil {
		t.Fatal("it was taken")
	}
	if s := q.Stats(); s.Failing == nil || s.Failures != 1 || len(s.Dropped) > 0 || s.Length != 2 {
		t.Errorf("%+v", s)
	}
	q.writer = good
	put(t, q, 3)
	if s := q.Stats(); s.Failing != nil {
		t.Errorf("%+v", s)
	}
	wantTaken(t, q, 0, 1, 3)
	wantTaken(t, open(t, Options{Dir: killed(t, dir)}), 0, 1, 3)
}

// A file that somebody has removed is what it held, counted.
func TestASegmentIsGone(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir, MaxBytes: 32 << 10})
	put(t, q, upTo(300)...)
	names, _ := filepath.Glob(dir + "/*.q")
	if len(names) < 3 {
		t.Fatalf("%d segments", len(names))
	}
	if err := os.Remove(names[1]); err != nil {
		t.Fatal(err)
	}
	live, _ := take(t, q)
	if s := q.Stats(); int(s.Dropped[Damaged].Count) != 300-len(live) || len(live) == 300 {
		t.Errorf("%d handed out, %+v", len(live), s)
	}
	next := open(t, Options{Dir: killed(t, dir), MaxBytes: 32 << 10})
	again, _ := take(t, next)
	if s := next.Stats(); !slices.Equal(again, live) || int(s.Dropped[Damaged].Count) != 300-len(live) {
		t.Errorf("after a kill %d handed out, %+v", len(again), s)
	}
}

// A power cut that sets the place back brings messages again, and is no damage.
func TestThePlaceIsSetBack(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Options{Dir: dir, MaxBytes: 32 << 10})
	put(t, q, upTo(300)...)
	seq := wantTaken(t, q, upTo(300)...)
	if err := q.Ack(seq); err != nil {
		t.Fatal(err)
	}
	back := killed(t, dir)
	if err := os.Remove(filepath.Join(back, ackName)); err != nil {
		t.Fatal(err)
	}
	next := open(t, Options{Dir: back, MaxBytes: 32 << 10})
	again, _ := take(t, next)
	if s := next.Stats(); len(again) == 0 || len(again) > 150 || again[len(again)-1] != 299 || len(s.Dropped) > 0 {
		t.Errorf("%d come again, up to %v; %+v", len(again), again[len(again)-1], s)
	}
}

func TestClosed(t *testing.T) {
	q := open(t, Options{Dir: t.TempDir()})
	put(t, q, 1)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Append(numbered(2)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
	if _, _, err := q.TryNext(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("TryNext: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// Whatever stands in a segment: it opens, hands out what is whole, and takes more, and
// another process finds the same.
func FuzzSegment(f *testing.F) {
	m := numbered(1)
	two := appendRecord(appendRecord([]byte(magic), 1, &m), 2, &m)
	f.Add([]byte(magic))
	f.Add(two)
	f.Add(two[:len(two)-3])
	f.Add(append(two[:30:30], two...))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0000000000000001.q"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		ids := func(q *Queue) (out []string) {
			for {
				item, ok, err := q.TryNext()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return out
				}
				out = append(out, fmt.Sprint(item.Seq, item.ID))
			}
		}
		q := open(t, Options{Dir: dir})
		seq, err := q.Append(m)
		if err != nil {
			t.Fatal(err)
		}
		first := ids(q)
		if len(first) == 0 || first[len(first)-1] != fmt.Sprint(seq, m.ID) {
			t.Errorf("the last is %v, want %d", first, seq)
		}
		if second := ids(open(t, Options{Dir: killed(t, dir)})); !slices.Equal(first, second) {
			t.Errorf("opened twice: %q, then %q", first, second)
		}
	})
}

// One message of 400 bytes goes in, out and is confirmed.
func BenchmarkQueue(b *testing.B) {
	q := open(b, Options{Dir: b.TempDir(), MaxBytes: 16 << 20, Remember: 1000})
	m := Message{ID: strings.Repeat("i", 32), Key: "local/web", Time: start, Body: make([]byte, 400)}
	b.ReportAllocs()
	b.SetBytes(int64(recordSize(&m)))
	for b.Loop() {
		if _, err := q.Append(m); err != nil {
			b.Fatal(err)
		}
		item, ok, err := q.TryNext()
		if !ok || err != nil {
			b.Fatal(err)
		}
		if err := q.Ack(item.Seq); err != nil {
			b.Fatal(err)
		}
	}
}
