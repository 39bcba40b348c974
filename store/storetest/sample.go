// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"math"
	"testing"
	"time"

	"tallyman"
)

// SampleStore is a store under test with a way to read it, which the contract
// leaves to the query package.
type SampleStore struct {
	tallyman.SampleStore
	// Query is the latest value of each series of the metric called name at
	// the time at, as an instant query without a lookback of more than five
	// minutes would see it. The key is the value of the label "n" of the
	// series. Ended series are left out.
	Query func(name string, at time.Time) map[string]float64
}

// TestSampleStore holds the store that open makes to the contract of
// tallyman.SampleStore, as far as it can be seen from outside.
func TestSampleStore(t *testing.T, open func(dir string) (SampleStore, error)) {
	gauge := &tallyman.Desc{Name: "storetest_value", Help: "A value", Type: tallyman.Gauge}
	target := func(id string) *tallyman.Target {
		return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Job: "cadvisor", Instance: "host", Labels: []tallyman.Label{{Name: "name", Value: id}}}
	}
	series := func(t *tallyman.Target, n string) *tallyman.Series {
		return t.Series(gauge, tallyman.Label{Name: "n", Value: n})
	}
	start := time.Now().Add(-time.Minute).Truncate(time.Second)
	mustOpen := func(t *testing.T, dir string) SampleStore {
		t.Helper()
		s, err := open(dir)
		if err != nil {
			t.Fatalf("open %s: %v", dir, err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	put := func(t *testing.T, s SampleStore, at time.Time, pairs ...any) (dropped int) {
		t.Helper()
		var b tallyman.Batch
		b.Reset(at)
		for i := 0; i < len(pairs); i += 2 {
			b.Add(pairs[i].(*tallyman.Series), pairs[i+1].(float64))
		}
		dropped, err := s.AppendSamples(&b)
		if err != nil {
			t.Fatalf("AppendSamples at %v: %v", at, err)
		}
		return dropped
	}
	want := func(t *testing.T, s SampleStore, at time.Time, want map[string]float64) {
		t.Helper()
		got := s.Query(gauge.Name, at)
		for k, w := range want {
			if g, ok := got[k]; !ok || g != w && !(math.IsNaN(g) && math.IsNaN(w)) {
				t.Errorf("series %q at %v: got %v, want %v", k, at, got, w)
			}
		}
		if len(got) != len(want) {
			t.Errorf("at %v: got %v, want %v", at, got, want)
		}
	}

	t.Run("append", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		a, b := series(target("c1"), "a"), series(target("c1"), "b")
		if d := put(t, s, start, a, 1.0, b, 2.0); d != 0 {
			t.Errorf("got %d samples dropped, want none", d)
		}
		put(t, s, start.Add(10*time.Second), a, 3.0)
		want(t, s, start, map[string]float64{"a": 1, "b": 2})
		want(t, s, start.Add(10*time.Second), map[string]float64{"a": 3, "b": 2})
	})
	t.Run("the batch may be reused", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		a := series(target("c1"), "a")
		var b tallyman.Batch
		for i := range 3 {
			b.Reset(start.Add(time.Duration(i) * time.Second))
			b.Add(a, float64(i))
			if _, err := s.AppendSamples(&b); err != nil {
				t.Fatal(err)
			}
		}
		want(t, s, start.Add(time.Second), map[string]float64{"a": 1})
		want(t, s, start.Add(2*time.Second), map[string]float64{"a": 2})
	})
	t.Run("empty batch", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		if d := put(t, s, start); d != 0 {
			t.Errorf("got %d dropped of an empty batch", d)
		}
	})
	t.Run("same time twice", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		a, b := series(target("c1"), "a"), series(target("c1"), "b")
		put(t, s, start.Add(time.Second), a, 1.0)
		put(t, s, start.Add(time.Second), a, 1.0) // whether counted or not, no error and no change
		put(t, s, start.Add(2*time.Second), b, 1.0)
		want(t, s, start.Add(2*time.Second), map[string]float64{"a": 1, "b": 1})
	})
	t.Run("equal series of two targets are one", func(t *testing.T) {
		// A container that restarts is a new target with the same labels.
		s := mustOpen(t, t.TempDir())
		put(t, s, start, series(target("c1"), "a"), 1.0)
		put(t, s, start.Add(time.Second), series(target("c1"), "a"), 2.0)
		want(t, s, start.Add(time.Second), map[string]float64{"a": 2})
	})
	t.Run("end", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		a, b := series(target("c1"), "a"), series(target("c1"), "b")
		put(t, s, start, a, 1.0, b, 2.0)
		if err := s.EndSeries(start.Add(time.Second), []*tallyman.Series{a}); err != nil {
			t.Fatalf("EndSeries: %v", err)
		}
		want(t, s, start, map[string]float64{"a": 1, "b": 2})
		want(t, s, start.Add(2*time.Second), map[string]float64{"b": 2})
		put(t, s, start.Add(3*time.Second), a, 5.0) // it comes back
		want(t, s, start.Add(3*time.Second), map[string]float64{"a": 5, "b": 2})
	})
	t.Run("end of what is not known", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		a, b := series(target("c1"), "a"), series(target("c2"), "b")
		put(t, s, start, a, 1.0)
		if err := s.EndSeries(start.Add(time.Second), []*tallyman.Series{b}); err != nil {
			t.Errorf("EndSeries of an unknown series: %v", err)
		}
		if err := s.EndSeries(start.Add(time.Second), nil); err != nil {
			t.Errorf("EndSeries of nothing: %v", err)
		}
		want(t, s, start.Add(2*time.Second), map[string]float64{"a": 1})
	})
	t.Run("special values", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		tg := target("c1")
		put(t, s, start, series(tg, "nan"), math.NaN(), series(tg, "inf"), math.Inf(1), series(tg, "huge"), math.MaxFloat64)
		want(t, s, start, map[string]float64{"nan": math.NaN(), "inf": math.Inf(1), "huge": math.MaxFloat64})
	})
	t.Run("reopen", func(t *testing.T) {
		dir := t.TempDir()
		s := mustOpen(t, dir)
		put(t, s, start, series(target("c1"), "a"), 1.0)
		mustClose(t, s)
		s = mustOpen(t, dir)
		want(t, s, start, map[string]float64{"a": 1})
		put(t, s, start.Add(10*time.Second), series(target("c1"), "a"), 2.0)
		want(t, s, start.Add(10*time.Second), map[string]float64{"a": 2})
	})
	t.Run("close twice", func(t *testing.T) {
		s := mustOpen(t, t.TempDir())
		mustClose(t, s)
		mustClose(t, s)
	})
}
