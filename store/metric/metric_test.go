// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(dir string) (*Store, error) {
	return Open(dir, Options{Retention: 24 * time.Hour, OutOfOrder: time.Minute, Log: slog.New(slog.DiscardHandler)})
}

// point is a stored sample.
type point struct {
	t int64
	v float64
}

// each calls f with every stored series of a metric.
func each(s *Store, name string, f func(labels.Labels, []point)) {
	q, err := s.Queryable().Querier(0, time.Now().Add(time.Hour).UnixMilli())
	if err != nil {
		panic(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	for set.Next() {
		var points []point
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			points = append(points, point{t, v})
		}
		f(set.At().Labels(), points)
	}
}

func stored(s *Store, name string) map[string][]point {
	m := map[string][]point{}
	each(s, name, func(l labels.Labels, p []point) { m[l.String()] = p })
	return m
}

func series(name string) *tallyman.Series {
	t := &tallyman.Target{Job: "cadvisor", Instance: "harbor", Labels: []tallyman.Label{{Name: "host", Value: "harbor"}}}
	return t.Series(&tallyman.Desc{Name: name}, tallyman.Label{Name: "name", Value: "api"}, tallyman.Label{Name: "empty"})
}

func TestLabelsRefusalsAndEnds(t *testing.T) {
	s, err := open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	one := series("m")
	if got := s.Newest(); !got.IsZero() {
		t.Errorf("the newest sample of an empty store is of %v", got)
	}
	now := time.Now().Truncate(time.Second)
	append1 := func(at time.Time, samples ...tallyman.Sample) int {
		t.Helper()
		dropped, err := s.AppendSamples(&tallyman.Batch{Time: at, Samples: samples})
		if err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	append1(now, tallyman.Sample{Series: one, Value: 1})
	append1(now.Add(10*time.Second), tallyman.Sample{Series: one, Value: 2})
	if d := append1(now.Add(10*time.Second), tallyman.Sample{Series: one, Value: 3}); d != 1 {
		t.Errorf("another value of the same moment: %d dropped, want 1", d)
	}
	if d := append1(now.Add(-time.Hour), tallyman.Sample{Series: one, Value: 3}); d != 1 {
		t.Errorf("a sample an hour late: %d dropped, want 1", d)
	}
	if err := s.EndSeries(now.Add(11*time.Second), []*tallyman.Series{one, series("unknown")}); err != nil {
		t.Fatal(err)
	}
	got := stored(s, "m")
	p := got[`{__name__="m", host="harbor", instance="harbor", job="cadvisor", name="api"}`]
	if len(got) != 1 || len(p) != 3 || p[0].v != 1 || p[1].v != 2 || !value.IsStaleNaN(p[2].v) {
		t.Errorf("the store has %v, want 1, 2 and the end under all labels but the empty one", got)
	}
	// It goes on under a new pointer with the same labels.
	append1(now.Add(12*time.Second), tallyman.Sample{Series: series("m"), Value: 4})
	if p := stored(s, "m"); len(p) != 1 {
		t.Errorf("a series that came back is %v, want one", p)
	}
	if got := s.Newest(); !got.Equal(now.Add(12 * time.Second)) {
		t.Errorf("the newest sample is of %v, want %v", got, now.Add(12*time.Second))
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
}

func TestContract(t *testing.T) {
	storetest.TestSampleStore(t, func(dir string) (storetest.SampleStore, error) {
		s, err := open(dir)
		if err != nil {
			return storetest.SampleStore{}, err
		}
		return storetest.SampleStore{SampleStore: s, Query: func(name string, at time.Time) map[string]float64 {
			m := map[string]float64{}
			each(s, name, func(l labels.Labels, points []point) {
				for _, p := range slices.Backward(points) {
					if p.t > at.UnixMilli() {
						continue
					}
					if !value.IsStaleNaN(p.v) && at.UnixMilli()-p.t < 5*60*1000 {
						m[l.Get("n")] = p.v
					}
					return
				}
			})
			return m
		}}, nil
	})
}

// What was committed survives a kill -9: a child appends and says after each
// commit how far it is; the parent kills it and counts.
func TestKill9LosesNothingCommitted(t *testing.T) {
	if dir := os.Getenv("METRIC_CHILD"); dir != "" {
		child(dir)
		return
	}
	dir := t.TempDir()
	for trial := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKill9LosesNothingCommitted$")
		cmd.Env = append(os.Environ(), "METRIC_CHILD="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := filepath.Join(dir, "said")
		deadline := time.Now().Add(time.Minute)
		for time.Now().Before(deadline) {
			if b, err := os.ReadFile(said); err == nil && len(b) >= 8*(trial+1)*20 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		b, err := os.ReadFile(said)
		if err != nil {
			t.Fatal(err)
		}
		s, err := open(filepath.Join(dir, "store"))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		each(s, "m", func(_ labels.Labels, p []point) { found += len(p) })
		if acknowledged := len(b) / 8; found < acknowledged {
			t.Errorf("trial %d: %d samples in the store, %d were acknowledged", trial, found, acknowledged)
		} else {
			t.Logf("trial %d: %d acknowledged, %d in the store", trial, acknowledged, found)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func child(dir string) {
	s, err := open(filepath.Join(dir, "store"))
	if err != nil {
		os.Exit(3)
	}
	said, err := os.OpenFile(filepath.Join(dir, "said"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		os.Exit(3)
	}
	one := series("m")
	for {
		t := time.Now()
		if dropped, err := s.AppendSamples(&tallyman.Batch{Time: t, Samples: []tallyman.Sample{{Series: one, Value: 1}}}); err != nil || dropped > 0 {
			os.Exit(4)
		}
		_, _ = said.WriteString(strconv.Itoa(10_000_000 + int(t.UnixMilli()%10_000_000))[:8])
		time.Sleep(2 * time.Millisecond)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var batch tallyman.Batch
	for i := range 3000 {
		batch.Add(series("m"+strconv.Itoa(i)), float64(i))
	}
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(10 * time.Second)
		batch.Time = at
		if _, err := s.AppendSamples(&batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*3000), "ns/sample")
}
