// SPDX-License-Identifier: Apache-2.0

// Package sourcetest holds the suite that every source must pass.
package sourcetest

import (
	"os"
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
		table := map[*tallyman.Desc]bool{}
		for _, d := range kind.Metrics {
			table[d] = true
		}
		b := round(t, s, targets)
		if len(b.Samples) == 0 {
			t.Fatal("no samples of an attached target")
		}
		for _, one := range b.Samples {
			if !table[one.Series.Desc] {
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
	})
	t.Run("series keep their identity and order", func(t *testing.T) {
		s, targets := open(t)
		defer s.Close()
		first := round(t, s, targets)
		var second tallyman.Batch
		second.Reset(time.Now())
		s.Collect(&second)
		if len(first.Samples) != len(second.Samples) {
			t.Fatalf("%d samples, then %d", len(first.Samples), len(second.Samples))
		}
		for i := range first.Samples {
			if first.Samples[i].Series != second.Samples[i].Series {
				t.Errorf("sample %d is of another series in the second round", i)
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
