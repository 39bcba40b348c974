// SPDX-License-Identifier: Apache-2.0

// Package sourcetest holds the suites that every source must pass: [Run] for one of
// samples, [RunPoller] for one that asks for them, [RunRecords] for one of records.
package sourcetest

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
)

// Run checks the contract of tallyman.Source. open returns a new source with
// targets that can be attached to it.
func Run(t *testing.T, kind tallyman.SourceKind, open func(t *testing.T) (tallyman.Source, []*tallyman.Target)) {
	t.Run("an empty source collects nothing", func(t *testing.T) {
		s, targets := open(t)
		var b tallyman.Batch
		s.Collect(&b)
		if len(b.Samples) != 0 {
			t.Errorf("%d samples without a target, want none", len(b.Samples))
		}
		s.Detach(targets[0]) // unknown: nothing happens
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("samples are of the table and of their target", func(t *testing.T) {
		s, targets := open(t)
		defer s.Close()
		check(t, kind, round(t, s, targets).Samples)
	})
	t.Run("series keep their identity and order", func(t *testing.T) {
		s, targets := open(t)
		defer s.Close()
		first := seriesOf(round(t, s, targets).Samples)
		for try := 1; ; try++ {
			var next tallyman.Batch
			next.Reset(time.Now())
			s.Collect(&next)
			second := seriesOf(next.Samples)
			if slices.Equal(first, second) {
				return
			}
			if try == 20 { // an interface or a disk of this machine may come or go in between
				t.Fatalf("%d samples, then %d, or of other series, in each of %d rounds", len(first), len(second), try)
			}
			first = second
		}
	})
	t.Run("some targets alone give what they give in a round", func(t *testing.T) {
		s, targets := open(t)
		defer s.Close()
		p, ok := s.(tallyman.PartCollector)
		if !ok {
			return
		}
		all := seriesOf(round(t, s, targets).Samples)
		var part tallyman.Batch
		part.Reset(time.Now())
		p.CollectPart(&part, []*tallyman.Target{{Kind: tallyman.ContainerTarget, ID: "who is that"}})
		if len(part.Samples) > 0 {
			t.Errorf("%d samples of a target that is not attached", len(part.Samples))
		}
		for _, one := range targets {
			part.Reset(time.Now())
			p.CollectPart(&part, []*tallyman.Target{one})
			of := slices.DeleteFunc(slices.Clone(all), func(s *tallyman.Series) bool { return s.Target != one })
			if got := seriesOf(part.Samples); one.Kind == tallyman.ContainerTarget && !slices.Equal(got, of) {
				t.Errorf("%d samples of %s alone, %d in a round, or of other series", len(got), one.ID, len(of))
			}
		}
	})
	t.Run("the steady state allocates nothing", func(t *testing.T) {
		if !kind.Watches(tallyman.ContainerTarget) {
			return // once per host, not once per container
		}
		s, targets := open(t)
		defer s.Close()
		b := round(t, s, targets)
		now := time.Now()
		if n := testing.AllocsPerRun(50, func() {
			b.Reset(now)
			s.Collect(&b)
		}); n != 0 {
			t.Errorf("a round allocates %v times, want 0", n)
		}
	})
	t.Run("detached targets yield nothing", func(t *testing.T) {
		s, targets := open(t)
		defer s.Close()
		round(t, s, targets)
		for _, tg := range targets {
			s.Detach(tg)
			s.Detach(tg)
		}
		var b tallyman.Batch
		s.Collect(&b)
		if len(b.Samples) != 0 {
			t.Errorf("%d samples after Detach, want none", len(b.Samples))
		}
	})
	t.Run("no descriptor is left", func(t *testing.T) {
		before := descriptors(t)
		for range 5 {
			s, targets := open(t)
			round(t, s, targets)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

// seriesOf are the series of samples, in their order.
func seriesOf(samples []tallyman.Sample) []*tallyman.Series {
	all := make([]*tallyman.Series, len(samples))
	for i := range samples {
		all[i] = samples[i].Series
	}
	return all
}

// Target is a container that a source can be attached to: this process, which has a
// cgroup, a network and files of its own like any other. change makes it another one.
func Target(change ...func(*tallyman.Container)) *tallyman.Target {
	id := strings.Repeat("0a", 32)
	c := &tallyman.Container{ID: id, Name: "web", Image: "web:1", Host: "harbor", Engine: "local", State: tallyman.Running, Pid: os.Getpid(),
		Workload: tallyman.Workload{Key: "web", Origin: "name"}, Created: time.Now(), Started: time.Now()}
	for _, f := range change {
		f(c)
	}
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: c.ID, Job: "cadvisor", Instance: c.Host, Container: c, Labels: []tallyman.Label{
		{Name: "host", Value: c.Host}, {Name: "id", Value: "/docker/" + c.ID}, {Name: "image", Value: c.Image}, {Name: "name", Value: c.Name}, {Name: "workload", Value: c.Workload.Key},
	}}
}

// RunPoller checks the contract of tallyman.Poller. open returns a new poller with
// targets that can be opened, whose first poll gives samples.
func RunPoller(t *testing.T, kind tallyman.SourceKind, open func(t *testing.T) (tallyman.Poller, []*tallyman.Target)) {
	t.Run("its plan can be kept", func(t *testing.T) {
		p, _ := open(t)
		defer p.Close()
		plan := p.Plan()
		if plan.Deadline <= 0 || plan.Retry <= 0 || plan.RetryMost < plan.Retry || plan.Hold < 1 || plan.Parallel < 1 || plan.Every < 0 || plan.Lead < 0 || plan.Rest < 0 {
			t.Errorf("%+v: want a deadline, a pause after failures that grows, and a bound of what is under way", plan)
		}
	})
	t.Run("samples are of the table and of their target, and series keep their identity", func(t *testing.T) {
		p, targets := open(t)
		defer p.Close()
		for _, tg := range targets {
			poll, err := p.Open(tg)
			if err != nil {
				t.Fatal(err)
			}
			poll.Absences() // before the first answer too
			first, second := asked(t, poll), asked(t, poll)
			check(t, kind, first)
			if len(first) != len(second) {
				t.Fatalf("%d samples, then %d", len(first), len(second))
			}
			for i := range first {
				if first[i].Series != second[i].Series || first[i].Series.Target != tg {
					t.Errorf("sample %d is of %v of another series or target", i, second[i].Series.Desc.Name)
				}
			}
			poll.Close()
		}
	})
	t.Run("it ends when it is told to", func(t *testing.T) {
		p, targets := open(t)
		defer p.Close()
		poll, err := p.Open(targets[0])
		if err != nil {
			t.Fatal(err)
		}
		defer poll.Close()
		ctx, stop := context.WithCancel(t.Context())
		stop()
		var b tallyman.Batch
		if err := poll.Poll(ctx, &b); err == nil {
			t.Error("a poll that was ended tells no error")
		}
	})
	t.Run("no descriptor is left", func(t *testing.T) {
		before := descriptors(t)
		for range 5 {
			p, targets := open(t)
			for _, tg := range targets {
				poll, err := p.Open(tg)
				if err != nil {
					t.Fatal(err)
				}
				asked(t, poll)
				poll.Close()
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		// What is asked may be in this process, and closes its end a little later.
		after := descriptors(t)
		for end := time.Now().Add(patience); after > before && time.Now().Before(end); after = descriptors(t) {
			time.Sleep(time.Millisecond)
		}
		if after > before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

// asked are the samples of one poll.
func asked(t *testing.T, p tallyman.Poll) []tallyman.Sample {
	t.Helper()
	var b tallyman.Batch
	b.Reset(time.Now())
	if err := p.Poll(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Samples
}

// check finds samples that the kind does not tell of.
func check(t *testing.T, kind tallyman.SourceKind, samples []tallyman.Sample) {
	t.Helper()
	if len(samples) == 0 {
		t.Fatal("no samples of an attached target")
	}
	for _, one := range samples {
		if !kind.Passes && !slices.Contains(kind.Metrics, one.Series.Desc) {
			t.Errorf("%s is not in the kind's table", one.Series.Desc.Name)
		}
		if !kind.Watches(one.Series.Target.Kind) {
			t.Errorf("%s is of a %s, which the kind does not watch", one.Series.Desc.Name, one.Series.Target.Kind)
		}
		for i := 1; i < len(one.Series.Labels); i++ {
			if one.Series.Labels[i-1].Name >= one.Series.Labels[i].Name {
				t.Errorf("%s: labels are not sorted or come twice: %v", one.Series.Desc.Name, one.Series.Labels)
			}
		}
	}
}

func round(t *testing.T, s tallyman.Source, targets []*tallyman.Target) tallyman.Batch {
	t.Helper()
	for _, tg := range targets {
		if err := s.Attach(tg); err != nil {
			t.Fatalf("attach %s: %v", tg.ID, err)
		}
	}
	var b tallyman.Batch
	b.Reset(time.Now())
	s.Collect(&b)
	return b
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
