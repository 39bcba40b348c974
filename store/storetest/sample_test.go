// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"maps"
	"sync"
	"testing"
	"time"

	"tallyman"
)

// memory is the simplest store that fulfils the contract: it shows that the
// suite can be passed, and what it asks for. What was stored lives as long as
// the test.
type memory struct {
	points map[string]map[string][]point // metric, label n, oldest first
}

type point struct {
	at    time.Time
	v     float64
	ended bool
}

func label(s *tallyman.Series) string {
	for _, l := range s.Labels {
		if l.Name == "n" {
			return l.Value
		}
	}
	return ""
}

func (m *memory) AppendSamples(b *tallyman.Batch) (dropped int, err error) {
	for _, s := range b.Samples {
		series := m.points[s.Series.Desc.Name]
		if series == nil {
			series = make(map[string][]point)
			m.points[s.Series.Desc.Name] = series
		}
		have := series[label(s.Series)]
		if n := len(have); n > 0 && !have[n-1].at.Before(b.Time) {
			dropped++
			continue
		}
		series[label(s.Series)] = append(have, point{at: b.Time, v: s.Value})
	}
	return dropped, nil
}

func (m *memory) EndSeries(t time.Time, series []*tallyman.Series) error {
	for _, s := range series {
		if have := m.points[s.Desc.Name][label(s)]; have != nil {
			m.points[s.Desc.Name][label(s)] = append(have, point{at: t, ended: true})
		}
	}
	return nil
}

func (m *memory) Close() error { return nil }

func (m *memory) query(name string, at time.Time) map[string]float64 {
	out := make(map[string]float64)
	for n, points := range m.points[name] {
		for _, p := range points {
			if p.at.After(at) {
				break
			}
			out[n] = p.v
			if p.ended {
				delete(out, n)
			}
		}
	}
	return maps.Clone(out)
}

func TestSampleSuite(t *testing.T) {
	var mu sync.Mutex
	disk := make(map[string]*memory)
	TestSampleStore(t, func(dir string) (SampleStore, error) {
		mu.Lock()
		defer mu.Unlock()
		m := disk[dir]
		if m == nil {
			m = &memory{points: make(map[string]map[string][]point)}
			disk[dir] = m
		}
		return SampleStore{SampleStore: m, Query: m.query}, nil
	})
}
