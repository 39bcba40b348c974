// SPDX-License-Identifier: Apache-2.0

package query

import (
	"fmt"
	"math"
	"testing"
	"time"

	"tallyman"
)

// of is a series of a container of a workload of its own.
func of(id, name string, extra ...tallyman.Label) *tallyman.Series {
	target := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "id", Value: "/docker/" + id}, {Name: "name", Value: "name-" + id}, {Name: "workload", Value: id}}}
	return target.Series(&tallyman.Desc{Name: name}, extra...)
}

func (f *fixture) moved(q MovedQuery) *Moved {
	f.t.Helper()
	m, err := f.e.Moved(f.t.Context(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// What changed at a known moment stands first; what is calm, and what always jumps, has not
// moved.
func TestMoved(t *testing.T) {
	f := newFixture(t)
	loud, calm, jumpy, late, gone := of("loud", cpuUsed), of("calm", cpuUsed), of("jumpy", cpuUsed), of("late", cpuUsed), of("gone", cpuUsed)
	memory, swap := of("loud", memoryUsed), of("loud", "container_memory_swap")
	wait := of("loud", "container_network_tcp_usage_total", tallyman.Label{Name: "tcp_state", Value: "closewait"})
	free, veth := hostSeries(hostFree), hostSeries("node_network_receive_bytes_total", tallyman.Label{Name: "device", Value: "veth1"})
	cpu := map[*tallyman.Series]float64{}
	for i := range 121 { // 600 s before, 600 s in the range
		at := float64(10 * i)
		in := i > 60
		use := func(s *tallyman.Series, cores float64) {
			cpu[s] += cores * 10
			f.put(at, s, cpu[s])
		}
		pick := func(before, after float64) float64 {
			if in {
				return after
			}
			return before
		}
		use(loud, pick(0.05, 1))
		use(calm, 0.2+0.001*float64(i%3))
		use(jumpy, []float64{0.1, 0.9, 0.4, 0.8, 0.2}[i%5]+pick(0, 0.15))
		f.put(at, memory, pick(100<<20, 400<<20))
		f.put(at, wait, pick(0, 40))
		f.put(at, free, pick(4<<30, 3<<30))
		f.put(at, veth, 1e9*at)
		if in {
			use(late, 0.5)
			f.put(at, swap, 1<<30) // nobody knows what it was before
		} else {
			use(gone, 0.5)
		}
	}
	m := f.moved(MovedQuery{Start: at(600), End: at(1200)})
	said := ""
	for _, s := range m.Series {
		said += fmt.Sprintf("%s %s%s %.4g %.4g %.0f\n", s.Workload, s.Measure, s.Part, s.Before, s.After, s.Score)
	}
	if len(m.Series) != 6 {
		t.Fatalf("moved:\n%swant six", said)
	}
	by := map[string]Move{}
	for _, s := range m.Series {
		by[s.Workload+" "+s.Measure] = s
	}
	c := by["loud cpu"]
	if m.Series[0].Workload != "loud" || m.Series[1].Workload != "loud" || math.Abs(c.Before-0.05) > 1e-6 || math.Abs(c.After-1) > 1e-6 || c.Name != "name-loud" || c.ID != "loud" || len(c.Points) != 120 || c.Peak {
		t.Errorf("moved:\n%sthe CPU %+v", said, c)
	}
	if s := by["late cpu"]; !math.IsNaN(s.Before) || math.Abs(s.After-0.5) > 1e-6 {
		t.Errorf("what did not run before: %+v", s)
	}
	if s := by["gone cpu"]; !math.IsNaN(s.After) || s.Score < moveLeast {
		t.Errorf("what no longer ran: %+v", s)
	}
	if s := by["loud tcp"]; s.Part != "closewait" || s.Before != 0 || s.After != 40 {
		t.Errorf("the connections: %+v", s)
	}
	if s := by[" hostAvailable"]; s.Host != "h" || s.After >= s.Before {
		t.Errorf("the host: %+v", s)
	}
	if w := m.Watched["h"]; w[0] != 10*time.Minute || w[1] != 10*time.Minute || m.Compared != 9 || m.Left != 0 || m.Sample != m.Step {
		t.Errorf("watched %v, compared %d, left %d, read %s of %s", w, m.Compared, m.Left, m.Sample, m.Step)
	}

	if m := f.moved(MovedQuery{Host: "h", Workload: "late", Start: at(600), End: at(1200)}); len(m.Series) != 0 || m.Compared != 1 {
		t.Errorf("without a sample of the host nobody knows what ran: %+v", m)
	}
	if m := f.moved(MovedQuery{Start: at(-600), End: at(600)}); len(m.Series) != 0 {
		t.Errorf("compared with a time that nobody watched: %+v", m.Series)
	}
	if _, err := f.e.Moved(t.Context(), MovedQuery{Start: at(1), End: at(1)}); err == nil {
		t.Error("a range without length is taken")
	}
}

// What was high for a fifth of the range has moved, too, and is told as such.
func TestMovedPeak(t *testing.T) {
	f := newFixture(t)
	s, v := of("a", cpuUsed), 0.0
	for i := range 121 {
		cores := 0.1
		if i > 80 && i <= 92 {
			cores = 2
		}
		v += cores * 10
		f.put(float64(10*i), s, v)
	}
	m := f.moved(MovedQuery{Start: at(600), End: at(1200)})
	if len(m.Series) != 1 || !m.Series[0].Peak || math.Abs(m.Series[0].After-2) > 1e-6 || math.Abs(m.Series[0].Before-0.1) > 1e-6 {
		t.Errorf("got %+v", m.Series)
	}
}

// Who ran for a moment did not move much, however much it took.
func TestMovedShort(t *testing.T) {
	f := newFixture(t)
	short, load := of("a", memoryUsed), hostSeries("node_load1")
	other := of("b", memoryUsed)
	for i := range 121 {
		f.put(float64(10*i), load, 1)
		f.put(float64(10*i), other, 1<<20)
		if i > 80 && i <= 83 {
			f.put(float64(10*i), short, 1<<30)
		}
	}
	if m := f.moved(MovedQuery{Start: at(600), End: at(1200)}); len(m.Series) != 0 || m.Compared != 2 {
		t.Errorf("got %+v", m)
	}
}

// Of a long range a part of each step is read, and that is said.
func TestMovedSampled(t *testing.T) {
	f := newFixture(t)
	e := *f.e
	e.interval = time.Minute
	s, v := of("a", cpuUsed), 0.0
	start := at(0).Add(-6 * 24 * time.Hour)
	const n = 6 * 24 * 60
	for i := range n {
		cores := 0.1
		if i > n/2 {
			cores = 1
		}
		v += cores * 60
		if _, err := f.store.AppendSamples(&tallyman.Batch{Time: start.Add(time.Duration(i) * time.Minute), Samples: []tallyman.Sample{{Series: s, Value: v}}}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := e.Moved(t.Context(), MovedQuery{Start: start.Add(3 * 24 * time.Hour), End: start.Add(6 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if m.Sample != 6*time.Minute || m.Step != 72*time.Minute || len(m.Series) != 1 || math.Abs(m.Series[0].After-1) > 1e-6 || math.Abs(m.Series[0].Before-0.1) > 1e-6 {
		t.Errorf("read %s of each %s: %+v", m.Sample, m.Step, m.Series)
	}
}
