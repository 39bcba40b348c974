// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/recordtest"
)

// engine gives a log that the test writes, and notes when it was asked, and for
// what is since when.
type engine struct {
	mu    sync.Mutex
	asked []string
	fail  error
	out   *io.PipeWriter // of the newest answer
}

func (e *engine) open(ctx context.Context, name, id string, since time.Time) (io.ReadCloser, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := int64(0)
	if !since.IsZero() {
		from = since.UnixNano()
	}
	e.asked = append(e.asked, fmt.Sprintf("%s %s %d at %v", name, id, from, time.Since(start)))
	if e.fail != nil {
		return nil, e.fail
	}
	in, out := io.Pipe()
	e.out = out
	context.AfterFunc(ctx, func() { _ = out.CloseWithError(ctx.Err()) })
	return in, nil
}

func (e *engine) setFail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = err
}

// write adds frames to the answer.
func (e *engine) write(t *testing.T, frames ...[]byte) {
	t.Helper()
	e.mu.Lock()
	out := e.out
	e.mu.Unlock()
	for _, f := range frames {
		if _, err := out.Write(f); err != nil {
			t.Fatal(err)
		}
	}
}

// end ends the answer as an engine does when the container stops.
func (e *engine) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.out.Close()
}

// wantAsked compares what the engine was asked since the last time.
func (e *engine) wantAsked(t *testing.T, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := cmp.Diff(want, e.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	e.asked = nil
}

// start is when a bubble begins.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// failing is a store that fails as told.
type failing struct {
	*recordtest.Store
	mu  sync.Mutex
	err error
}

func (s *failing) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *failing) AppendRecords(b *tallyman.RecordBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.Store.AppendRecords(b)
}

func (s *failing) lines() (out []string) {
	for _, f := range s.Find("source", "container") {
		out = append(out, string(f.Line))
	}
	return out
}

// run runs a follower in a bubble.
func run(t *testing.T, test func(t *testing.T, f *Follower, e *engine, s *failing), change func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, s := &engine{}, &failing{Store: recordtest.New()}
		o := Options{Records: recordtest.Intake(s), Open: e.open, Wants: func(*tallyman.Container) (bool, bool) { return true, false }, Log: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(&o)
		}
		f := New(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		// It is told of what is there before it runs.
		f.ObserveContainer(container("a"))
		go func() { done <- f.Run(ctx) }()
		test(t, f, e, s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.ObserveContainer(container("late")) // whoever tells does not know that it has ended
		if follows(f, "late") {
			t.Error("it follows after its end")
		}
	})
}

func container(id string) *tallyman.Container {
	return &tallyman.Container{ID: id, Name: "n", Engine: "far", State: tallyman.Running, Pid: 1, Started: start}
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// own are the follower's numbers that are not 0, in short.
func own(f *Follower) string {
	var out []string
	for _, m := range f.SelfMetrics() {
		if v := m.Read(); v != 0 {
			name := strings.TrimSuffix(strings.TrimPrefix(m.Desc.Name, "tallyman_engine_log"), "_total")
			out = append(out, fmt.Sprint(strings.TrimPrefix(name, "_"), " ", v))
		}
	}
	return strings.Join(out, ", ")
}

// The waits of a follower.
const (
	graceful = 3 * time.Second
	gather   = 250 * time.Millisecond
	retryMin = time.Second
)

func TestItGoesOnWhereItWas(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		after(graceful)
		e.wantAsked(t, "far a 0 at 3s")
		if !follows(f, "a") || !f.ReadsLog("a") || absences(f, "a") != nil {
			t.Errorf("follows %v, ReadsLog %v, Absences %v", follows(f, "a"), f.ReadsLog("a"), absences(f, "a"))
		}
		e.write(t, frame(1, at1+" one\n"), frame(1, at2+" two\n"))
		if synctest.Wait(); s.lines() != nil {
			t.Errorf("stored at once: %q", s.lines())
		}
		after(2 * gather)
		if d := cmp.Diff([]string{"one", "two"}, s.lines()); d != "" {
			t.Errorf("after a moment (-want +got):\n%s", d)
		}
		e.write(t, frame(1, at2+" without"))
		e.end()
		after(retryMin) // the engine repeats what was at that time
		e.wantAsked(t, "far a 2 at 4.5s")
		e.write(t, frame(1, at2+" two\n"), frame(1, at2+" without\n"), frame(1, at2+" three\n"))
		after(gather)
		if d := cmp.Diff([]string{"one", "two", "without", "three"}, s.lines()); d != "" {
			t.Errorf("after the second answer (-want +got):\n%s", d)
		}
		if got := own(f); got != "lines_read 4, s_followed 1" {
			t.Errorf("its numbers: %s", got)
		}
		gone := container("a")
		gone.State = tallyman.Gone
		f.ObserveContainer(gone)
		after(time.Minute)
		e.wantAsked(t)
		if follows(f, "a") || f.ReadsLog("a") {
			t.Error("it follows what has gone")
		}
	}, nil)
}

// A container that has stopped is asked for again when it runs again.
func TestStoppedAndStarted(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		after(graceful)
		dead := container("a")
		dead.State, dead.Pid = tallyman.Exited, 0
		f.ObserveContainer(dead)
		e.end()
		after(time.Minute)
		e.wantAsked(t, "far a 0 at 3s", "far a 0 at 4s") // once more, now that it has stopped
		e.end()
		after(time.Minute)
		e.wantAsked(t)
		if got := own(f); got != "" {
			t.Errorf("its numbers: %s", got)
		}
		f.ObserveContainer(dead)
		after(time.Minute)
		e.wantAsked(t)
		again := container("a")
		again.Started = time.Now()
		f.ObserveContainer(again)
		after(graceful)
		e.wantAsked(t, "far a 0 at 3m6s")
	}, nil)
}

// An engine that fails is asked less and less often.
func TestFailures(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		e.setFail(errors.New("down"))
		after(2 * time.Minute)
		e.wantAsked(t, "far a 0 at 3s", "far a 0 at 5s", "far a 0 at 9s", "far a 0 at 17s", "far a 0 at 33s", "far a 0 at 1m3s", "far a 0 at 1m33s")
		if got := own(f); got != "failures 7, s_followed 1" {
			t.Errorf("its numbers: %s", got)
		}
		if a := absences(f, "a"); len(a) != 1 || !strings.Contains(a[0].Reason, "down") {
			t.Errorf("Absences = %+v", a)
		}
		e.setFail(nil)
		after(time.Minute)
		if a := absences(f, "a"); a != nil {
			t.Errorf("Absences of a log that is quiet = %+v", a)
		}
	}, nil)
}

// What cannot be stored waits.
func TestAStoreThatFails(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		s.set(errors.New("disk full"))
		after(graceful)
		e.write(t, frame(2, at1+" one\n"))
		after(time.Minute)
		if got := s.lines(); got != nil {
			t.Errorf("stored %q", got)
		}
		s.set(nil)
		after(retryMin)
		e.wantAsked(t, "far a 0 at 3s")
		if d := cmp.Diff([]string{"one"}, s.lines()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}, nil)
}

func TestWhoIsNotFollowed(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		silent, off := container("silent"), container("off")
		silent.LogDriver, off.Disabled = "none", true
		synctest.Wait()
		for _, c := range []*tallyman.Container{silent, off, container("b")} {
			f.ObserveContainer(c)
		}
		if follows(f, "silent") || follows(f, "off") || follows(f, "b") {
			t.Error("it follows what has no log, what is not wanted, or too many")
		}
		if a := absences(f, "b"); len(a) != 1 || !strings.Contains(a[0].Reason, "1 logs are followed") {
			t.Errorf("Absences = %+v", a)
		}
		gone := container("b")
		gone.State = tallyman.Gone
		f.ObserveContainer(gone)
		if a := absences(f, "b"); a != nil {
			t.Errorf("Absences of what has gone = %+v", a)
		}
	}, func(o *Options) { o.Most = 1 })
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		after(graceful)
		if follows(f, "a") || f.ReadsLog("a") {
			t.Error("it follows what is read in a better way")
		}
		e.wantAsked(t)
	}, func(o *Options) { o.Wants = func(*tallyman.Container) (bool, bool) { return false, true } })
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		after(time.Minute)
		e.wantAsked(t)
	}, func(o *Options) {
		o.Rules = func(*tallyman.Container) (*logrule.Rule, error) {
			return nil, fmt.Errorf("the label: %w", logrule.ErrRedact)
		}
	})
}

// Lines that a rule joins wait for each other, not for ever.
func TestRules(t *testing.T) {
	rule, err := logrule.Compile(logrule.Text{Start: `^\S`, Redact: []string{`secret=(\w+)`}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		after(graceful)
		e.write(t, frame(1, at1+" boom secret=abc\n"), frame(1, at1+"  at here\n"))
		after(time.Minute)
		if got := s.lines(); len(got) != 1 || !strings.Contains(got[0], "\n at here") || strings.Contains(got[0], "abc") {
			t.Errorf("stored %q", got)
		}
	}, func(o *Options) {
		o.Rules = func(*tallyman.Container) (*logrule.Rule, error) { return rule, nil }
	})
}

// A container that has stopped keeps no place: it is read to its end, and then
// the next one that waits is followed, those that run first.
func TestPlaces(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		after(graceful)
		stopped := func(id string) *tallyman.Container {
			c := container(id)
			c.State, c.Pid = tallyman.Exited, 0
			return c
		}
		f.ObserveContainer(stopped("old"))
		f.ObserveContainer(container("b"))
		f.ObserveContainer(stopped("older"))
		for _, id := range []string{"old", "b", "older"} {
			if a := absences(f, id); len(a) != 1 || !strings.Contains(a[0].Reason, "1 logs are followed") {
				t.Errorf("%s: Absences = %+v", id, a)
			}
		}
		if got := own(f); got != "s_followed 1, s_waiting 3" {
			t.Errorf("its numbers: %s", got)
		}
		f.ObserveContainer(stopped("a"))
		e.end()
		for _, id := range []string{"a", "b", "old", "older"} {
			after(10 * time.Second)
			if id == "b" {
				f.ObserveContainer(stopped("b"))
			}
			e.write(t, frame(1, at1+" last words of "+id+"\n"))
			e.end()
			if id == "b" {
				after(2 * retryMin)
				e.end() // it is asked once more since it ran before
			}
		}
		after(time.Minute)
		if d := cmp.Diff([]string{"last words of a", "last words of b", "last words of old", "last words of older"}, s.lines()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got := own(f); got != "lines_read 4" {
			t.Errorf("its numbers: %s", got)
		}
	}, func(o *Options) { o.Most = 1 })
}

// A log that the engine stops giving is said, until it is given again.
func TestDamagedLog(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, _ *failing) {
		after(graceful)
		for range suspicious {
			e.end() // though the container runs
			after(2 * retryMin)
		}
		if a := absences(f, "a"); len(a) != 1 || a[0].What != "log" || !strings.Contains(a[0].Reason, "damaged") {
			t.Errorf("Absences = %+v", a)
		}
		e.write(t, frame(1, at1+" one\n"))
		e.end()
		after(2 * retryMin)
		if a := absences(f, "a"); a != nil {
			t.Errorf("Absences = %+v", a)
		}
		for range suspicious {
			after(9 * time.Second)
			e.write(t, frame(3, "Error grabbing logs: invalid character 'x'\n"))
			synctest.Wait()
		}
		if a := absences(f, "a"); len(a) != 1 || !strings.Contains(a[0].Reason, "invalid character") {
			t.Errorf("Absences = %+v", a)
		}
	}, nil)
}

// A container that is gone is read to the end of what the engine sends, and is
// counted when nothing of it came.
func TestShortLives(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		synctest.Wait()
		e.wantAsked(t, "far a 0 at 0s")
		gone := container("a")
		gone.State = tallyman.Gone
		f.ObserveContainer(gone)
		e.write(t, frame(1, at1+" last words\n"))
		e.end()
		after(time.Minute)
		if d := cmp.Diff([]string{"last words"}, s.lines()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		e.setFail(errors.New("no such container"))
		b := container("b")
		f.ObserveContainer(b)
		synctest.Wait()
		gone = container("b")
		gone.State = tallyman.Gone
		f.ObserveContainer(gone)
		after(time.Minute)
		if got := own(f); got != "lines_read 1, failures 1, s_missed 1" {
			t.Errorf("its numbers: %s", got)
		}
	}, func(o *Options) {
		o.Wants = func(*tallyman.Container) (bool, bool) { return true, true }
	})
}

// What the store refuses is not asked for again.
func TestRefusedLines(t *testing.T) {
	run(t, func(t *testing.T, f *Follower, e *engine, s *failing) {
		s.set(&tallyman.RefusedError{Records: 1, Err: tallyman.ErrLimit})
		after(graceful)
		e.write(t, frame(1, at1+" one\n"), frame(1, at2+" two\n"))
		after(time.Minute)
		e.wantAsked(t, "far a 0 at 3s")
		if got := own(f); got != "lines_read 2, s_followed 1" {
			t.Errorf("its numbers: %s", got)
		}
	}, nil)
}

// follows reports whether a container has a place, or was read to its end.
func follows(f *Follower, id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, read := f.read[id]
	return f.running[id] != nil || read
}

func absences(f *Follower, id string) []tallyman.Absence {
	return f.Absences(tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: id})
}
