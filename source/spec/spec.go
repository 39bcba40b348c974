// SPDX-License-Identifier: Apache-2.0

// Package spec gives what the engine says about a container as samples:
// limits, start time, restarts and one info series with everything else. It
// reads nothing; the numbers are those of the inventory.
package spec

import (
	"cmp"
	"slices"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "spec",
		Summary: "Limits, start time, restarts and description of each container, from the inventory",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{info, lastSeen, startTime, restarts, cpuQuota, cpuPeriod, cpuShares},
		New:     func(tallyman.SourceOptions) (tallyman.Source, error) { return &Source{}, nil },
	}
}

// Names are cAdvisor's, but for the first and the restarts.
var (
	info      = &tallyman.Desc{Name: "container_info", Type: tallyman.Gauge, Help: "Always 1; the labels describe the container"}
	lastSeen  = &tallyman.Desc{Name: "container_last_seen", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time at which the container was last seen"}
	startTime = &tallyman.Desc{Name: "container_start_time_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time of the container's start"}
	restarts  = &tallyman.Desc{Name: "container_restart_count", Type: tallyman.Gauge, Help: "Restarts by the restart policy, as the engine counts them"}
	cpuQuota  = &tallyman.Desc{Name: "container_spec_cpu_quota", Type: tallyman.Gauge, Help: "CPU time in microseconds that the container may use per period; absent without a limit"}
	cpuPeriod = &tallyman.Desc{Name: "container_spec_cpu_period", Type: tallyman.Gauge, Help: "Length of a CPU period in microseconds"}
	cpuShares = &tallyman.Desc{Name: "container_spec_cpu_shares", Type: tallyman.Gauge, Help: "Relative weight for the CPU, as given to the engine"}
)

// defaultPeriod is the kernel's CFS period in microseconds.
const defaultPeriod = 100_000

// Source implements tallyman.Source.
type Source struct {
	list []*container
}

var _ tallyman.Source = (*Source)(nil)

type container struct {
	id       string
	lastSeen *tallyman.Series
	fixed    []tallyman.Sample
}

// Attach notes what is known of a container; a change makes a new target.
func (s *Source) Attach(t *tallyman.Target) error {
	k := t.Container
	c := &container{id: t.ID, lastSeen: t.Series(lastSeen)}
	add := func(d *tallyman.Desc, v float64, extra ...tallyman.Label) {
		c.fixed = append(c.fixed, tallyman.Sample{Series: t.Series(d, extra...), Value: v})
	}
	add(info, 1,
		tallyman.Label{Name: "image_id", Value: k.ImageID},
		tallyman.Label{Name: "network_mode", Value: k.NetworkMode},
		tallyman.Label{Name: "log_driver", Value: k.LogDriver},
		tallyman.Label{Name: "restart_policy", Value: k.RestartPolicy})
	if !k.Started.IsZero() {
		add(startTime, float64(k.Started.UnixMilli())/1000)
	}
	add(restarts, float64(k.RestartCount))
	if k.CPULimit > 0 {
		period := cmp.Or(k.CPUPeriod, defaultPeriod)
		add(cpuQuota, k.CPULimit*float64(period))
		add(cpuPeriod, float64(period))
	}
	if k.CPUShares > 0 {
		add(cpuShares, float64(k.CPUShares))
	}
	at, _ := s.find(t.ID)
	s.list = slices.Insert(s.list, at, c)
	return nil
}

func (s *Source) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.list, id, func(c *container, id string) int { return cmp.Compare(c.id, id) })
}

// Detach forgets a container.
func (s *Source) Detach(t *tallyman.Target) {
	if at, ok := s.find(t.ID); ok {
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close forgets every container.
func (s *Source) Close() error {
	s.list = nil
	return nil
}

// Collect repeats what is known.
func (s *Source) Collect(b *tallyman.Batch) {
	now := float64(b.Time.UnixMilli()) / 1000
	for _, c := range s.list {
		b.Add(c.lastSeen, now)
		b.Samples = append(b.Samples, c.fixed...)
	}
}
