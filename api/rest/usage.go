// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"math"
	"net/http"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/query"
)

// Measure is a number over a range.
type Measure struct {
	Mean   float64    `json:"mean" doc:"Over the time in which the host was watched"`
	Max    float64    `json:"max" doc:"The greatest of the samples; of what has several parts, as CPUs and interfaces, of the steps"`
	Points []*float64 `json:"points,omitempty" doc:"The means of the steps, null where there is no sample"`
}

// ContainerUsage is what one container took.
type ContainerUsage struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Host     string         `json:"host"`
	Workload string         `json:"workload"`
	Image    string         `json:"image"`
	Project  string         `json:"project,omitempty"`
	Origin   string         `json:"origin,omitempty"`
	State    tallyman.State `json:"state" doc:"Of now"`
	Ran      float64        `json:"ran" doc:"How many seconds of the range have samples of it"`
	CPU      *Measure       `json:"cpu,omitempty" doc:"Cores"`
	Memory   *Measure       `json:"memory,omitempty" doc:"The working set in bytes"`
	Rx       *Measure       `json:"rx,omitempty" doc:"Bytes received per second"`
	Tx       *Measure       `json:"tx,omitempty" doc:"Bytes sent per second"`
}

// HostUsage is what a host took.
type HostUsage struct {
	Host        string   `json:"host"`
	Watched     float64  `json:"watched" doc:"How many seconds of the range have samples of the host, or of a container of it"`
	Cores       float64  `json:"cores,omitempty"`
	MemoryTotal float64  `json:"memoryTotal,omitempty"`
	CPU         *Measure `json:"cpu,omitempty" doc:"Cores; absent where the host's own counters are not read"`
	Memory      *Measure `json:"memory,omitempty" doc:"Bytes that are not available"`
}

// usageAnswer is the answer of /usage.
type usageAnswer struct {
	Start      int64            `json:"start"`
	End        int64            `json:"end"`
	Step       int64            `json:"step" doc:"Milliseconds of a step"`
	Hosts      []HostUsage      `json:"hosts" doc:"By name"`
	Containers []ContainerUsage `json:"containers" doc:"Those with samples in the range, by their mean CPU, the greatest first"`
}

func (s *Service) usage(w http.ResponseWriter, r *http.Request) error {
	start, end, err := stretch(r)
	if err != nil {
		return err
	}
	points, err := httpx.Int(r, "points", 60, 1, 1000)
	if err != nil {
		return err
	}
	if start.IsZero() || !end.After(start) {
		return httpx.Bad("start", "a start before the end is needed", "give start and end in milliseconds since 1970")
	}
	u, err := s.o.Query.Usage(r.Context(), start, end, points)
	if err != nil {
		return err
	}
	a := usageAnswer{Start: u.Start.UnixMilli(), End: u.End.UnixMilli(), Step: u.Step.Milliseconds(), Hosts: []HostUsage{}, Containers: []ContainerUsage{}}
	for name, h := range u.Hosts {
		a.Hosts = append(a.Hosts, HostUsage{name, h.Watched.Seconds(), h.Cores, h.MemoryTotal, measureOf(h.CPU, true), measureOf(h.Memory, true)})
	}
	slices.SortFunc(a.Hosts, func(a, b HostUsage) int { return strings.Compare(a.Host, b.Host) })
	for i := range u.Containers {
		x := &u.Containers[i]
		v := ContainerUsage{ID: x.ID, Name: x.Name, Host: x.Host, Workload: x.Workload, Image: x.Image, State: tallyman.Gone, Ran: x.Ran.Seconds(),
			CPU: measureOf(x.CPU, true), Memory: measureOf(x.Memory, true), Rx: measureOf(x.Rx, false), Tx: measureOf(x.Tx, false)}
		if c, ok := s.o.Inventory.Container(x.ID); ok {
			v.Name, v.Image, v.State, v.Project, v.Origin = c.Name, c.Image, c.State, c.Workload.Project, c.Workload.Origin
		}
		a.Containers = append(a.Containers, v)
	}
	httpx.WriteJSON(w, a)
	return nil
}

// measureOf is a number as it is shown, nil where it is not known.
func measureOf(m query.Measure, points bool) *Measure {
	if !m.Known {
		return nil
	}
	v := &Measure{Mean: m.Mean, Max: m.Max}
	if points {
		for i, p := range m.Points {
			m.Points[i] = short(p)
		}
		v.Points = nullable(m.Points)
	}
	return v
}

// short is a number with four digits that count: there are many, to be drawn.
func short(v float64) float64 {
	if v == 0 || math.IsNaN(v) {
		return v
	}
	digits := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if digits >= 1 {
		return math.Round(v*digits) / digits
	}
	return math.Round(v)
}
