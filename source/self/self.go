// SPDX-License-Identifier: Apache-2.0

// Package self turns tallyman's own numbers into samples: what it costs
// (process_*, in the Prometheus client libraries' names), and what its parts
// count about themselves (tallyman_*: samples, events, drops, queries).
package self

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"tallyman"
)

// Kind is the catalog's entry. The metrics of the parts come from the parts
// (Export) and are described there.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "self",
		Summary: "What tallyman itself costs and counts",
		Targets: []tallyman.TargetKind{tallyman.SelfTarget},
		Metrics: append(slices.Clone(cost), daemonCPU, daemonMemory),
		New:     New,
	}
}

var (
	cpuSeconds      = &tallyman.Desc{Name: "process_cpu_seconds_total", Type: tallyman.Counter, Unit: "seconds", Help: "CPU time used by tallyman"}
	residentMemory  = &tallyman.Desc{Name: "process_resident_memory_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Resident memory of tallyman, mapped blocks of the store included"}
	anonymousMemory = &tallyman.Desc{Name: "tallyman_anonymous_memory_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Resident memory of tallyman that no file backs"}
	openFiles       = &tallyman.Desc{Name: "process_open_fds", Type: tallyman.Gauge, Help: "Open file descriptors of tallyman"}
	goroutines      = &tallyman.Desc{Name: "go_goroutines", Type: tallyman.Gauge, Help: "Goroutines of tallyman"}
	startTime       = &tallyman.Desc{Name: "process_start_time_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time of tallyman's start"}
)

// cost is the table of what tallyman itself takes, in the order of Collect.
var cost = []*tallyman.Desc{cpuSeconds, residentMemory, anonymousMemory, openFiles, goroutines, startTime}

// Source implements tallyman.Source.
type Source struct {
	proc    procfs.Proc
	started float64
	own     []tallyman.SelfMetric
	engine  *engine // nil where no process of the host can be seen
	target  *tallyman.Target
	series  []*tallyman.Series // cost, then own
}

var (
	_ tallyman.Source       = (*Source)(nil)
	_ tallyman.SelfExporter = (*Source)(nil)
)

// New makes the source. It reads /proc/self of this process, wherever the
// host's /proc may be mounted.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	p, err := procfs.Self()
	if err != nil {
		return nil, fmt.Errorf("read tallyman's own /proc/self: %w", err)
	}
	s := &Source{proc: p, started: float64(time.Now().UnixMilli()) / 1000}
	if fs, err := procfs.NewFS(o.Proc); err == nil {
		s.engine = &engine{fs: fs, proc: o.Proc}
	}
	return s, nil
}

// Export takes the numbers of the parts.
func (s *Source) Export(m []tallyman.SelfMetric) { s.own = m }

// Attach takes tallyman as the target; there is only one.
func (s *Source) Attach(t *tallyman.Target) error {
	s.target, s.series = t, nil
	if s.engine != nil {
		s.engine.series = map[string][2]*tallyman.Series{}
	}
	for _, d := range cost {
		s.series = append(s.series, t.Series(d))
	}
	for _, m := range s.own {
		s.series = append(s.series, t.Series(m.Desc, m.Labels...))
	}
	return nil
}

// Detach stops the samples.
func (s *Source) Detach(*tallyman.Target) { s.target = nil }

// Close stops the samples.
func (s *Source) Close() error {
	s.target = nil
	return nil
}

// Collect reads tallyman's own numbers once.
func (s *Source) Collect(b *tallyman.Batch) {
	if s.target == nil {
		return
	}
	if st, err := s.proc.Stat(); err == nil {
		b.Add(s.series[0], st.CPUTime())
		b.Add(s.series[1], float64(st.ResidentMemory()))
	}
	if st, err := s.proc.NewStatus(); err == nil {
		b.Add(s.series[2], float64(st.RssAnon))
	}
	if n, err := s.proc.FileDescriptorsLen(); err == nil {
		b.Add(s.series[3], float64(n))
	}
	b.Add(s.series[4], float64(runtime.NumGoroutine()))
	b.Add(s.series[5], s.started)
	if s.engine != nil {
		s.engine.collect(s.target, b)
	}
	for i, m := range s.own {
		b.Add(s.series[len(s.series)-len(s.own)+i], m.Read())
	}
}
