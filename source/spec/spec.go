// SPDX-License-Identifier: Apache-2.0

// Package spec gives what the engine says about a container as samples:
// limits, start time, restarts, health and one info series with everything
// else. It reads nothing; the numbers are those of the inventory. A limit that
// is not set has no series.
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
		Summary: "Limits, start time, restarts, health and description of each container, from the inventory",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Listed:  true,
		Metrics: []*tallyman.Desc{info, state, lastSeen, startTime, restarts, exitCode, health, cpuQuota, cpuPeriod, cpuShares, cpuCores, memReservation, memSwap, pidsLimit},
		New:     func(tallyman.SourceOptions) (tallyman.Source, error) { return &Source{}, nil },
	}
}

// Names are cAdvisor's, but for the first, the restarts, the exit code, the cores and the
// limit of tasks.
var (
	inspect = tallyman.Origin{V1: "the engine's inspect", API: "the engine's inspect"}

	info      = &tallyman.Desc{Name: "container_info", Type: tallyman.Gauge, Help: "Always 1; the labels describe the container", Origin: inspect}
	state     = &tallyman.Desc{Name: "container_state", Type: tallyman.Gauge, Help: "Always 1; the label state is what the engine says: created, running, paused, restarting, removing, exited or dead", Origin: inspect}
	lastSeen  = &tallyman.Desc{Name: "container_last_seen", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time at which the container was last seen to run", Origin: inspect}
	startTime = &tallyman.Desc{Name: "container_start_time_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Unix time of the container's start", Origin: inspect}
	restarts  = &tallyman.Desc{Name: "container_restarts_total", Type: tallyman.Counter, Help: "Restarts by the restart policy since the container was last started by hand, as the engine counts them", Origin: inspect}
	exitCode  = &tallyman.Desc{Name: "container_last_exit_code", Type: tallyman.Gauge, Help: "Exit code of the container's last end; absent when it has not ended yet or nobody saw it end", Origin: inspect}
	cpuQuota  = &tallyman.Desc{Name: "container_spec_cpu_quota", Type: tallyman.Gauge, Help: "CPU time in microseconds that the container may use per period; absent without a limit", Origin: inspect}
	cpuPeriod = &tallyman.Desc{Name: "container_spec_cpu_period", Type: tallyman.Gauge, Help: "Length of a CPU period in microseconds", Origin: inspect}
	cpuShares = &tallyman.Desc{Name: "container_spec_cpu_shares", Type: tallyman.Gauge, Help: "Relative weight for the CPU, as given to the engine", Origin: inspect}
	cpuCores  = &tallyman.Desc{Name: "container_spec_cpu_cores", Type: tallyman.Gauge, Help: "Cores that the container may use: the tighter of its quota and its set of CPUs; absent without either", Origin: inspect}
	health    = &tallyman.Desc{Name: "container_health_state", Type: tallyman.Gauge, Help: "Outcome of the health check: 1 healthy, 0 starting or unhealthy, -1 no health check", Origin: inspect}

	memReservation = &tallyman.Desc{Name: "container_spec_memory_reservation_limit_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Soft limit of memory; absent without one", Origin: inspect}
	memSwap        = &tallyman.Desc{Name: "container_spec_memory_swap_limit_bytes", Type: tallyman.Gauge, Unit: "bytes", Help: "Limit of memory and swap together, as given to the engine; absent without one", Origin: inspect}
	pidsLimit      = &tallyman.Desc{Name: "container_spec_pids_limit", Type: tallyman.Gauge, Help: "Limit of tasks, as given to the engine; absent without one", Origin: inspect}
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
	lastSeen *tallyman.Series // nil for one that does not run: it is fixed
	fixed    []tallyman.Sample
}

// Attach notes what is known of a container; a change makes a new target.
func (s *Source) Attach(t *tallyman.Target) error {
	k := t.Container
	c := &container{id: t.ID}
	add := func(d *tallyman.Desc, v float64, extra ...tallyman.Label) {
		c.fixed = append(c.fixed, tallyman.Sample{Series: t.Series(d, extra...), Value: v})
	}
	add(info, 1,
		tallyman.Label{Name: "image_id", Value: k.ImageID},
		tallyman.Label{Name: "network_mode", Value: k.NetworkMode},
		tallyman.Label{Name: "log_driver", Value: k.LogDriver},
		tallyman.Label{Name: "restart_policy", Value: k.RestartPolicy})
	if k.State != "" {
		add(state, 1, tallyman.Label{Name: "state", Value: string(k.State)})
	}
	switch {
	case k.Alive():
		c.lastSeen = t.Series(lastSeen)
	case !k.Finished.IsZero():
		add(lastSeen, float64(k.Finished.UnixMilli())/1000)
	}
	if !k.Started.IsZero() {
		add(startTime, float64(k.Started.UnixMilli())/1000)
	}
	add(restarts, float64(k.RestartCount))
	if !k.Finished.IsZero() && !k.ExitUnknown {
		add(exitCode, float64(k.ExitCode))
	}
	if k.CPULimit > 0 {
		period := cmp.Or(k.CPUPeriod, defaultPeriod)
		add(cpuQuota, k.CPULimit*float64(period))
		add(cpuPeriod, float64(period))
	}
	if cores := coresOf(k); cores > 0 {
		add(cpuCores, cores)
	}
	for _, one := range []struct {
		desc  *tallyman.Desc
		limit int64
	}{{cpuShares, k.CPUShares}, {memReservation, k.MemoryReservation}, {memSwap, k.MemorySwap}, {pidsLimit, k.PidsLimit}} {
		if one.limit > 0 {
			add(one.desc, float64(one.limit))
		}
	}
	add(health, healthState(k.Health))
	at, _ := s.find(t.ID)
	s.list = slices.Insert(s.list, at, c)
	return nil
}

// healthState is the outcome of a health check in cAdvisor's numbers.
func healthState(word string) float64 {
	switch word {
	case "":
		return -1
	case "healthy":
		return 1
	}
	return 0
}

// coresOf is how many cores a container may use, 0 without a limit.
func coresOf(k *tallyman.Container) float64 {
	cores := k.CPULimit
	if n := float64(countCPUs(k.CPUSet)); n > 0 && (cores <= 0 || n < cores) {
		cores = n
	}
	return cores
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
		if c.lastSeen != nil {
			b.Add(c.lastSeen, now)
		}
		b.Samples = append(b.Samples, c.fixed...)
	}
}
