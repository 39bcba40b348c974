// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"time"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/internal/process"
)

// Process is one process of a container.
type Process struct {
	PID     int     `json:"pid" doc:"On the host"`
	Inside  int     `json:"inside,omitempty" doc:"In its container, where the kernel tells"`
	Parent  int     `json:"parent" doc:"On the host"`
	UID     uint32  `json:"uid" doc:"The user as the host has it"`
	State   string  `json:"state" doc:"The kernel's letter: R runs, S sleeps, D waits for a disk, T is stopped, Z has ended"`
	Threads int     `json:"threads"`
	CPU     float64 `json:"cpu" doc:"Seconds of CPU time in all: two answers tell what it takes"`
	Memory  int64   `json:"memory" doc:"Bytes that are in memory, shared ones too"`
	Files   *int    `json:"files,omitempty" doc:"How many files it has open; absent where that may not be read"`
	Name    string  `json:"name" doc:"What the kernel calls it"`
	Command string  `json:"command,omitempty" doc:"With its arguments, without secrets; absent for one that has none"`
}

// processesAnswer is the answer of /containers/{ref}/processes.
type processesAnswer struct {
	Time      int64     `json:"time"`
	Processes []Process `json:"processes" doc:"Those that ran longest first"`
	Left      int       `json:"left" doc:"How many more there are"`
	Why       string    `json:"why,omitempty" doc:"Why they are not known"`
}

func (s *Service) processes(w http.ResponseWriter, r *http.Request) error {
	c, err := s.named(r)
	if err != nil {
		return err
	}
	out := processesAnswer{Time: time.Now().UnixMilli(), Processes: []Process{}}
	switch {
	case !c.Alive():
		out.Why = "The container does not run."
	case c.Disabled:
		out.Why = "The container is listed and nothing else: label tallyman.enable=false, or include and exclude."
	case !s.own(c):
		out.Why = "It runs on another host: its processes are to be seen on the page of the tallyman there."
	case s.remote(c):
		out.Why = "Its engine is reached over the network: run tallyman on that host to see its processes."
	default:
		list, left, err := process.Of(s.o.Proc, c.ID)
		if err != nil {
			return err
		}
		out.Left = left
		for i := range list {
			p := &list[i]
			v := Process{PID: p.PID, Inside: p.Inside, Parent: p.Parent, UID: p.UID, State: p.State, Threads: p.Threads, CPU: p.CPU, Memory: p.Memory, Name: p.Name, Command: p.Command}
			if p.Files >= 0 {
				v.Files = &p.Files
			}
			out.Processes = append(out.Processes, v)
		}
		if len(list) == 0 {
			out.Why = "None of its processes is to be seen in " + s.o.Proc + ": tallyman in a container needs --pid host, or the host's /proc at /host/proc."
		}
	}
	httpx.WriteJSON(w, out)
	return nil
}

// own reports whether a container is one of this host's engines, not of a host that sends to this hub.
func (s *Service) own(c *tallyman.Container) bool {
	known, ok := s.o.Own.Container(c.ID)
	return ok && known.Host == c.Host
}

// remote reports whether the engine of a container is reached over the network.
func (s *Service) remote(c *tallyman.Container) bool {
	for _, e := range s.o.Inventory.Engines() {
		if e.Name == c.Engine {
			return e.Remote
		}
	}
	return false
}
