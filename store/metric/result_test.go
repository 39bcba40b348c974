// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"tallyman"
)

func alertSeries(workload string) labels.Labels {
	return labels.FromStrings("__name__", "ALERTS", "alertname", "Crashed", "workload", workload)
}

// add stores one sample of each workload, and gives what the numbers are after it.
func add(t *testing.T, r *Results, at time.Time, v float64, workloads ...string) map[string]float64 {
	t.Helper()
	app := r.Appender(t.Context())
	for _, w := range workloads {
		if _, err := app.Append(0, alertSeries(w), at.UnixMilli(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, m := range r.SelfMetrics() {
		out[m.Desc.Name] = m.Read()
	}
	return out
}

// What rules find is stored up to the limit of series; one that has ended makes room.
func TestResultsOfRules(t *testing.T) {
	s, err := open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := s.Results(2)
	now := time.Now().Truncate(time.Second)
	got := add(t, r, now, 1, "a", "b", "c")
	if got["tallyman_rule_series"] != 2 || got["tallyman_rule_samples_refused_total"] != 1 || got["tallyman_rule_samples_stored_total"] != 2 {
		t.Errorf("with one too many: %v", got)
	}
	stale := math.Float64frombits(value.StaleNaN)
	add(t, r, now.Add(time.Second), stale, "a", "c") // c was never there
	if got = add(t, r, now.Add(2*time.Second), 1, "c"); got["tallyman_rule_series"] != 2 || got["tallyman_rule_samples_refused_total"] != 1 {
		t.Errorf("after one has ended: %v", got)
	}
	if got = add(t, r, now.Add(2*time.Second), 0, "c"); got["tallyman_rule_samples_dropped_total"] != 1 {
		t.Errorf("twice at one time: %v, want it counted", got)
	}
	have := map[string]int{}
	for l, points := range stored(s, "ALERTS") {
		have[l] = len(points)
	}
	if a, b, c := have[alertSeries("a").String()], have[alertSeries("b").String()], have[alertSeries("c").String()]; a != 2 || b != 1 || c != 1 {
		t.Errorf("stored %v; want a with its end, b, and c once", have)
	}
	if app := r.Appender(t.Context()); app.Rollback() != nil || app.Commit() != nil {
		t.Error("nothing cannot be taken back")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	app := r.Appender(t.Context())
	_, _ = app.Append(0, alertSeries("b"), now.Add(time.Minute).UnixMilli(), 1)
	if err := app.Commit(); err == nil {
		t.Error("a closed store takes samples")
	}
}

// Rules store beside the pipeline, while samples of a wrong clock are set aside.
func TestResultsBesideThePipeline(t *testing.T) {
	s, _ := openMending(t)
	defer s.Close()
	r := s.Results(0)
	now := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			app := r.Appender(t.Context())
			_, _ = app.Append(0, alertSeries("a"), now.Add(time.Duration(i)*time.Second).UnixMilli(), 1)
			if err := app.Commit(); err != nil {
				t.Error(err)
			}
		}
	})
	one := series("up")
	for i := range 200 {
		if _, err := s.AppendSamples(&tallyman.Batch{Time: now.Add(time.Duration(i) * time.Second), Samples: []tallyman.Sample{{Series: one, Value: 1}}}); err != nil {
			t.Error(err)
		}
		if i%50 == 49 {
			if err := s.Forget(now.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
	}
	wg.Wait()
	if got := s.LastBatch(); !got.Equal(now.Add(199 * time.Second).Truncate(time.Millisecond)) {
		t.Errorf("the last batch is of %v, want that of the pipeline", got)
	}
	if n := slices.Collect(func(yield func(int) bool) { each(s, "ALERTS", func(_ labels.Labels, p []point) { yield(len(p)) }) }); len(n) != 1 || n[0] != 200 {
		t.Errorf("%v samples, want one series of 200", n)
	}
}
