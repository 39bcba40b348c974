// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/describe"
	"tallyman/query"
)

// EventOf puts an event into words.
func EventOf(e *tallyman.Event) Event {
	s := describe.Event(e)
	if e.Inferred {
		s.Text += " (not seen, inferred)"
	}
	return Event{
		ID: e.ID, Time: e.Time.UnixMilli(), Host: e.Host, Engine: e.Engine, Type: e.Type, Action: e.Action, Actor: e.Actor,
		Name: e.Name, Image: e.Image, Workload: e.Workload, Inferred: e.Inferred, Attributes: e.Attributes,
		Kind: s.Kind, Severity: s.Severity, Text: s.Text,
	}
}

// EngineOf is the state of an engine for the page.
func EngineOf(e *tallyman.EngineStatus) Engine {
	return Engine{
		Name: e.Name, Address: e.Address, Up: e.Up, Since: Millis(e.Since), LastGood: Millis(e.LastGood),
		Failure: string(e.Failure), Error: e.Error, Version: e.Version, APIVersion: e.APIVersion,
		CgroupVersion: e.CgroupVersion, CgroupDriver: e.CgroupDriver, OS: e.OS, Kernel: e.Kernel,
		Remote: e.Remote,
	}
}

// NowOf is the present of a container for the page.
func NowOf(n *query.Now) *Now {
	if n == nil {
		return nil
	}
	return &Now{
		Time: n.Time.UnixMilli(), CPU: Number(n.CPU), CPUUser: Number(n.CPUUser), CPUSystem: Number(n.CPUSystem), Throttled: Number(n.Throttled),
		Memory: Number(n.Memory), MemoryUsage: Number(n.MemoryUsage), Anon: Number(n.Anon), Cache: Number(n.Cache), Kernel: Number(n.Kernel),
		Swap: Number(n.Swap), Rx: Number(n.Rx), Tx: Number(n.Tx), Pids: Number(n.Tasks),
		BlkRead: Number(n.BlkRead), BlkWrite: Number(n.BlkWrite),
	}
}

// FiguresOf is the present of a host for the page.
func FiguresOf(n *query.HostNow) HostFigures {
	if n == nil {
		return HostFigures{}
	}
	return HostFigures{
		CPU: Number(n.CPU), MemoryUsed: Number(n.MemoryUsed), Load1: Number(n.Load1),
		DiskUsed: Number(n.DiskUsed), DiskSize: Number(n.DiskSize), DiskAvail: Number(n.DiskAvail), DiskMount: n.DiskMount,
		Self: &Cost{CPU: Number(n.SelfCPU), Memory: Number(n.SelfMemory)},
	}
}

// Number is nil for what is not known.
func Number(v query.Value) *float64 {
	if !v.Known {
		return nil
	}
	return &v.V
}

// Millis is 0 for no time, which JSON leaves out.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func exitCode(c *tallyman.Container) *int {
	if c.Finished.IsZero() || c.ExitUnknown {
		return nil
	}
	return &c.ExitCode
}

// ContainerOf is a container without what changes with each round.
func ContainerOf(c *tallyman.Container) Container {
	return Container{
		ID: c.ID, Name: c.Name, Image: c.Image, ImageID: c.ImageID, Host: c.Host, Engine: c.Engine,
		Workload: c.Workload.Key, Project: c.Workload.Project, Origin: c.Workload.Origin, Service: c.Workload.Service,
		State: c.State, Health: c.Health, ExitCode: exitCode(c), OOMKilled: c.OOMKilled, Error: c.Error,
		Created: Millis(c.Created), Started: Millis(c.Started), Finished: Millis(c.Finished), GoneAt: Millis(c.GoneAt),
		Restarts: c.RestartCount, Policy: c.RestartPolicy, CPULimit: c.CPULimit, MemLimit: c.MemoryLimit,
		Network: c.NetworkMode, Disabled: c.Disabled,
	}
}

// DetailOf is what the page of a container shows beside; siblings are all
// containers of its workload.
func DetailOf(c *tallyman.Container, siblings []*tallyman.Container) *Detail {
	d := &Detail{
		Command: c.Command, User: c.User, Ports: c.Ports, Mounts: c.Mounts, Networks: c.Networks,
		LogDriver: c.LogDriver, Labels: c.Labels, Tty: c.Tty, Instances: []Instance{},
	}
	for _, s := range siblings {
		i := Instance{ID: s.ID, Image: s.Image, Name: s.Name, Started: Millis(s.Started), State: s.State, ExitCode: exitCode(s), Current: s.ID == c.ID}
		if !s.Alive() {
			i.Ended = max(Millis(s.Finished), 0)
			if i.Ended < i.Started {
				i.Ended = Millis(s.GoneAt)
			}
		}
		d.Instances = append(d.Instances, i)
	}
	slices.SortStableFunc(d.Instances, func(a, b Instance) int {
		if a.Started != b.Started {
			return cmp.Compare(a.Started, b.Started)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return d
}
