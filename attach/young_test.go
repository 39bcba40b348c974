// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
)

// partFake can be asked for some targets alone.
type partFake struct{ *fake }

func (f partFake) CollectPart(b *tallyman.Batch, targets []*tallyman.Target) {
	turn.Lock()
	defer turn.Unlock()
	for _, t := range targets {
		if s := f.targets[t.ID]; s != nil {
			b.Add(s, 1)
		}
	}
}

// partSink notes what rounds and parts have, as "03.200 part 1".
type partSink struct{ got []string }

func (s *partSink) Publish(b *tallyman.Batch, keep bool) {
	turn.Lock()
	defer turn.Unlock()
	what := "round"
	if b.Part {
		what = "part"
	}
	if !keep {
		what = "shown"
	}
	s.got = append(s.got, fmt.Sprintf("%s %s %d", b.Time.UTC().Format("05.000"), what, len(b.Samples)))
}

// since are those after the first n.
func (s *partSink) since(n int) string {
	turn.Lock()
	defer turn.Unlock()
	return strings.Join(s.got[n:], ", ")
}

func startParts(t *testing.T) (*Supervisor, *partSink) {
	out := &partSink{}
	s, _, _ := start(t, func(o *Options) {
		made := o.Kinds[0].New
		o.Kinds[0].New = func(so tallyman.SourceOptions) (tallyman.Source, error) {
			f, err := made(so)
			return partFake{f.(*fake)}, err
		}
		o.Sink = out
	})
	return s, out
}

func TestYoungContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := startParts(t)
		old := running("old", 1)
		old.Started = time.Now().Add(-time.Hour)
		s.ObserveContainer(old)
		later(10*time.Second + 300*time.Millisecond)
		n := len(out.got)
		young := running("young", 2)
		young.Started = time.Now()
		s.ObserveContainer(young)
		later(10 * time.Second)
		want := "10.300 part 1, 11.000 part 1, 12.000 part 1, 13.000 part 1, 14.000 part 1, 15.000 part 1, 16.000 part 1, 17.000 part 1, 18.000 part 1, 19.000 part 1, 20.000 round 2"
		if got := out.since(n); got != want {
			t.Errorf("after a start:\n%s\nwant\n%s", got, want)
		}
		later(time.Minute)
		n = len(out.got)
		later(30 * time.Second)
		if got, want := out.since(n), "30.000 round 2, 40.000 round 2, 50.000 round 2"; got != want {
			t.Errorf("after a minute: %s, want %s", got, want)
		}
		// While somebody watches, rounds are often enough.
		release := s.Watch()
		defer release()
		other := running("other", 3)
		other.Started = time.Now()
		s.ObserveContainer(other)
		later(100 * time.Millisecond)
		n = len(out.got)
		later(3 * time.Second)
		if got := out.since(n); strings.Contains(got, "part") {
			t.Errorf("parts of rounds while watched: %s", got)
		}
		release()
		later(1500 * time.Millisecond)
		n = len(out.got)
		later(3 * time.Second)
		if got := out.since(n); strings.Count(got, "part 1") < 2 {
			t.Errorf("after the watcher has left: %s, want parts of the one that is young", got)
		}
	})
}

func TestContainersInWhichTheKernelKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := startParts(t)
		c := running("old", 1)
		c.Started = time.Now().Add(-time.Hour)
		s.ObserveContainer(c)
		later(13 * time.Second)
		n := len(out.got)
		// Its end may be told before the collector has taken the kill up.
		dead := running("old", 0)
		dead.State = tallyman.Exited
		s.ObserveOOM("old")
		s.ObserveOOM("old")
		s.ObserveOOM("who is that")
		s.ObserveContainer(dead)
		later(10 * time.Second)
		if got, want := out.since(n), "13.000 part 1, 20.000 round 0"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		s.ObserveOOM("old")
		n = len(out.got)
		later(time.Second)
		if got := out.since(n); got != "" {
			t.Errorf("%s of a container that has gone", got)
		}
	})
}
