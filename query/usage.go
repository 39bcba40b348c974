// SPDX-License-Identifier: Apache-2.0

package query

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Usage is what containers took of their hosts over a range.
type Usage struct {
	Start, End time.Time
	Step       time.Duration
	// Containers are those with samples in the range, by their mean CPU, the greatest first.
	Containers []Used
	Hosts      map[string]*HostUsed
}

// Used is what one container took.
type Used struct {
	ID, Name, Host, Workload, Image string
	// Ran is how much of the range has samples of it.
	Ran                 time.Duration
	CPU, Memory, Rx, Tx Measure
}

// HostUsed is what a whole host took.
type HostUsed struct {
	// Watched is how much of the range has samples of the host, or of a container of it.
	Watched time.Duration
	// Cores and MemoryTotal are 0 where the host's own counters are not read.
	Cores, MemoryTotal float64
	CPU, Memory        Measure
}

// Measure is a number over a range.
type Measure struct {
	// Known is false where there is no sample.
	Known bool
	// Mean is over the time in which the host was watched: what did not run took nothing.
	// So the means of containers add up to a part of the host's.
	Mean, Max float64
	// Points are the means of the steps, NaN where there is no sample.
	Points []float64
}

// The metrics that a Usage reads.
const (
	cpuUsed      = "container_cpu_usage_seconds_total"
	memoryUsed   = "container_memory_working_set_bytes"
	received     = "container_network_receive_bytes_total"
	sent         = "container_network_transmit_bytes_total"
	cpuTime      = "node_cpu_seconds_total"
	hostFree     = "node_memory_MemAvailable_bytes"
	usageMetrics = cpuUsed + "|" + memoryUsed + "|" + received + "|" + sent + "|" + cpuTime + "|" + hostMemory + "|" + hostFree
)

// sums are those of one number of one container or host.
type sums struct {
	sum, cover []float64
	max        float64
	n          int // series
}

// summed collects samples of series into sums.
type summed struct {
	steps
	mu         sync.Mutex
	containers map[string]*usedSums
	hosts      map[string]*hostSums
}

type usedSums struct {
	Used
	by map[string]*sums // by metric
}

type hostSums struct {
	by    map[string]*sums
	cores map[string]bool
}

// Usage reads what all containers and hosts took between start and end, in at most so many
// steps. Neighbouring samples tell the time between them, as in History.
func (e *Engine) Usage(ctx context.Context, start, end time.Time, points int) (*Usage, error) {
	if points < 1 || points > MaxPoints || !end.After(start) {
		return nil, fmt.Errorf("usage in %d points from %s to %s: want 1 to %d, and the end after the start", points, start.Format(time.RFC3339), end.Format(time.RFC3339), MaxPoints)
	}
	step := max(time.Second, end.Sub(start)/time.Duration(points))
	n := int(max(1, (end.Sub(start)+step/2)/step))
	h := &History{Start: start, End: start.Add(time.Duration(n) * step), Step: step}
	s := &summed{steps: stepsOf(h, n, e.maxGap()), containers: map[string]*usedSums{}, hosts: map[string]*hostSums{}}
	match := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, usageMetrics)}
	if err := e.each(ctx, s.from(), h.End, match, s.reader); err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return s.usage(h), nil
}

// reader makes one.
func (s *summed) reader() reader {
	x := newSpreader(s.steps)
	return func(one series) error {
		metric, mode := one.labels.Get(model.MetricNameLabel), one.labels.Get("mode")
		id, container := strings.CutPrefix(one.labels.Get("id"), "/docker/")
		switch {
		case metric == cpuTime && mode != "idle" && mode != "iowait":
			return nil
		case metric == cpuTime, metric == hostMemory, metric == hostFree:
			container = false
		case !container:
			return nil
		}
		if err := x.spread(one, metric != memoryUsed && metric != hostMemory && metric != hostFree); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		host := one.labels.Get("host")
		if !container {
			h := s.host(host)
			if metric == cpuTime {
				h.cores[one.labels.Get("cpu")] = true
			}
			s.add(h.by, metric, x)
			return nil
		}
		u := s.containers[id]
		if u == nil {
			u = &usedSums{Used{ID: id, Name: one.labels.Get("name"), Host: host, Workload: one.labels.Get("workload"), Image: one.labels.Get("image")}, map[string]*sums{}}
			s.containers[id] = u
		}
		s.add(u.by, metric, x)
		return nil
	}
}

func (s *summed) host(name string) *hostSums {
	h := s.hosts[name]
	if h == nil {
		h = &hostSums{map[string]*sums{}, map[string]bool{}}
		s.hosts[name] = h
	}
	return h
}

// add adds a series to the sums of its metric. Those of interfaces, CPUs and disks run side by side.
func (s *summed) add(by map[string]*sums, metric string, x *spreader) {
	t := by[metric]
	if t == nil {
		t = &sums{sum: make([]float64, s.n), cover: make([]float64, s.n)}
		by[metric] = t
	}
	t.n++
	t.max = max(t.max, x.most)
	for i := range x.sum {
		t.sum[i] += x.sum[i]
		t.cover[i] = max(t.cover[i], x.cover[i])
	}
}

// points are the means of the steps, NaN where there is nothing.
func (t *sums) points() []float64 {
	v := make([]float64, len(t.sum))
	for i := range v {
		v[i] = t.sum[i] / t.cover[i]
	}
	return v
}

// usage puts the sums together.
func (s *summed) usage(h *History) *Usage {
	out := &Usage{Start: h.Start, End: h.End, Step: h.Step, Hosts: map[string]*HostUsed{}}
	// A host is watched while there are samples of anything of it.
	watched := map[string][]float64{}
	see := func(host string, by map[string]*sums) {
		w := watched[host]
		if w == nil {
			w = make([]float64, s.n)
			watched[host] = w
		}
		for _, t := range by {
			for i, c := range t.cover {
				w[i] = max(w[i], c)
			}
		}
	}
	for name, x := range s.hosts {
		see(name, x.by)
	}
	for _, u := range s.containers {
		see(u.Host, u.by)
	}
	for name, w := range watched {
		x := &HostUsed{Watched: time.Duration(total(w)) * time.Millisecond}
		out.Hosts[name] = x
		own := s.hosts[name]
		if own == nil {
			continue
		}
		if idle := own.by[cpuTime]; idle != nil {
			x.Cores = float64(len(own.cores))
			points := idle.points()
			for i := range points {
				points[i] = max(0, x.Cores-points[i])
			}
			x.CPU = measured(points, idle.cover)
		}
		if all, free := own.by[hostMemory], own.by[hostFree]; all != nil && free != nil {
			points := all.points()
			for i, v := range free.points() {
				x.MemoryTotal = max(x.MemoryTotal, zero(points[i]))
				points[i] -= v
			}
			x.Memory = measured(points, free.cover)
		}
	}
	for _, u := range s.containers {
		within := total(watched[u.Host])
		measure := func(metric string) Measure {
			t := u.by[metric]
			if t == nil || total(t.cover) == 0 {
				return Measure{}
			}
			m := Measure{Known: true, Mean: total(t.sum) / within, Max: t.max, Points: t.points()}
			if t.n > 1 { // what ran side by side has no common greatest moment but in steps
				m.Max = greatest(m.Points)
			}
			return m
		}
		if u.CPU, u.Memory, u.Rx, u.Tx = measure(cpuUsed), measure(memoryUsed), measure(received), measure(sent); !u.CPU.Known && !u.Memory.Known {
			continue
		}
		ran := u.by[cpuUsed]
		if ran == nil {
			ran = u.by[memoryUsed]
		}
		u.Ran = time.Duration(total(ran.cover)) * time.Millisecond
		out.Containers = append(out.Containers, u.Used)
	}
	slices.SortFunc(out.Containers, func(a, b Used) int {
		return cmp.Or(cmp.Compare(b.CPU.Mean, a.CPU.Mean), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return out
}

// measured is a number of which the means of steps are known, and how much of each is covered.
func measured(points, cover []float64) Measure {
	sum, time := 0.0, 0.0
	for i, v := range points {
		if !math.IsNaN(v) {
			sum, time = sum+v*cover[i], time+cover[i]
		}
	}
	if time == 0 {
		return Measure{}
	}
	return Measure{Known: true, Mean: sum / time, Max: greatest(points), Points: points}
}

func greatest(points []float64) float64 {
	most := 0.0
	for _, v := range points {
		most = max(most, zero(v))
	}
	return most
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

func total(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum
}
