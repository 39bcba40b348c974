// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tallyman"
	"tallyman/api/view"
)

// maxLine bounds a line in bytes; receivers take 256 KiB.
const maxLine = 250 << 10

// Bounds of what a hub believes of one host.
const (
	maxParts      = 40
	maxContainers = 20_000
)

// line is one record.
type line struct {
	Time  int64 `json:"time"` // milliseconds, the same in all parts
	Part  int   `json:"part"` // from 1
	Parts int   `json:"parts"`
	view.Host
}

// lines are the records of what is known of a host at a time.
func lines(hosts []view.Host, at time.Time) (out [][]byte, err error) {
	var all []line
	for _, h := range hosts {
		rest := h.Containers
		for first := true; first || len(rest) > 0; first = false {
			part := h
			n, size := 0, 2048 // for the engine
			for n < len(rest) {
				b, err := json.Marshal(&rest[n])
				if err != nil {
					return nil, err
				}
				if n > 0 && size+len(b) > maxLine {
					break
				}
				size += len(b) + 1
				n++
			}
			part.Containers, rest = rest[:n:n], rest[n:]
			all = append(all, line{Host: part})
		}
	}
	for i := range all {
		all[i].Time, all[i].Part, all[i].Parts = at.UnixMilli(), i+1, len(all)
		b, err := json.Marshal(&all[i])
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// parse reads a record.
func parse(b []byte) (l line, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("read an inventory: %w", err)
	}
	if l.Time <= 0 || l.Part < 1 || l.Part > l.Parts || l.Parts > maxParts || len(l.Containers) > maxContainers {
		return l, errors.New("read an inventory: it is no part of one")
	}
	return l, nil
}

// engineOf is the engine of a line as discovery would have it. Its name is told apart from
// those of other hosts.
func engineOf(l *line, host string) tallyman.EngineStatus {
	e := &l.Engine
	out := tallyman.EngineStatus{
		Name: EngineName(host, e.Name), Address: e.Address, Host: host, Remote: true, Up: e.Up, Since: timeOf(e.Since), LastGood: timeOf(e.LastGood),
		Failure: tallyman.EngineFailure(e.Failure), Error: e.Error, Listed: timeOf(l.Time), Version: e.Version, APIVersion: e.APIVersion,
		CgroupVersion: e.CgroupVersion, CgroupDriver: e.CgroupDriver, OS: e.OS, Kernel: e.Kernel,
	}
	if l.Cores != nil && l.Memory != nil {
		out.CPUs, out.Memory = int(*l.Cores), int64(*l.Memory)
	}
	if !out.Up && out.Failure == "" || out.Failure == tallyman.EngineSilent {
		out.Failure = tallyman.EngineError // one that was not asked yet is no news
	}
	return out
}

// EngineName is what an engine of another host is called here.
func EngineName(host, name string) string { return host + "/" + name }

// containerOf is a container of a line as discovery would have it.
func containerOf(v *view.Container, host string) *tallyman.Container {
	c := &tallyman.Container{
		ID: v.ID, Name: v.Name, Image: v.Image, ImageID: v.ImageID, Host: host, Engine: EngineName(host, v.Engine), Remote: true,
		Workload: tallyman.Workload{Key: v.Workload, Project: v.Project, Origin: v.Origin, Service: v.Service},
		State:    v.State, Health: v.Health, OOMKilled: v.OOMKilled, Error: v.Error, Created: timeOf(v.Created), Started: timeOf(v.Started), Finished: timeOf(v.Finished),
		GoneAt: timeOf(v.GoneAt), RestartCount: v.Restarts, RestartPolicy: v.Policy, CPULimit: v.CPULimit, MemoryLimit: v.MemLimit,
		NetworkMode: v.Network, Disabled: v.Disabled, ExitUnknown: v.ExitCode == nil,
	}
	if v.ExitCode != nil {
		c.ExitCode = *v.ExitCode
	}
	if d := v.Detail; d != nil {
		c.Command, c.User, c.Ports, c.Mounts, c.Networks, c.LogDriver, c.Labels, c.Tty = d.Command, d.User, d.Ports, d.Mounts, d.Networks, d.LogDriver, d.Labels, d.Tty
	}
	return c
}

func timeOf(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
