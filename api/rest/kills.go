// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/httpx"
	"tallyman/internal/oomkill"
)

// Kill is a process that the kernel killed for want of memory.
type Kill struct {
	Time      int64    `json:"time"`
	Container string   `json:"container,omitempty" doc:"Absent for a process outside of containers, and where the kernel does not tell"`
	Name      string   `json:"name,omitempty" doc:"Of the container, where it is known"`
	Workload  string   `json:"workload,omitempty"`
	Task      string   `json:"task" doc:"What the process called itself"`
	Pid       int      `json:"pid" doc:"On the host"`
	Anonymous int64    `json:"anonymous,omitempty" doc:"Bytes that it had for itself"`
	Cgroup    string   `json:"cgroup,omitempty" doc:"Where it was; absent where the kernel does not tell"`
	Machine   bool     `json:"machine,omitempty" doc:"The whole machine had no memory left, not one cgroup"`
	Lines     []string `json:"lines" doc:"What the kernel wrote of it"`
}

// killsAnswer is the answer of /kills.
type killsAnswer struct {
	Kills []Kill `json:"kills"`
}

// killsSpan is how far /kills looks back without a start.
const killsSpan = 24 * time.Hour

func (s *Service) kills(w http.ResponseWriter, r *http.Request) error {
	host := r.FormValue("host")
	if host == "" {
		return httpx.Bad("host", "a host is needed", "give that of a container, as /containers has it")
	}
	start, end, err := stretch(r)
	if err != nil {
		return err
	}
	if start.IsZero() {
		start = end.Add(-killsSpan)
	}
	found, err := oomkill.Find(r.Context(), s.o.Records, host, start, end)
	if err != nil {
		return err
	}
	a := killsAnswer{Kills: []Kill{}}
	for i := range found {
		a.Kills = append(a.Kills, killOf(&found[i], s.o.Inventory))
	}
	httpx.WriteJSON(w, a)
	return nil
}

// killOf gives a kill the name of its container: the innermost that is known, else the
// innermost.
func killOf(k *oomkill.Kill, inventory tallyman.Inventory) Kill {
	v := Kill{Time: view.Millis(k.Time), Task: k.Task, Pid: k.Pid, Anonymous: k.Anonymous, Cgroup: k.Cgroup, Machine: k.Machine, Lines: k.Lines}
	for _, id := range k.Containers {
		if c, ok := inventory.Container(id); ok {
			v.Container, v.Name, v.Workload = id, c.Name, c.Workload.Key
			return v
		}
	}
	if len(k.Containers) > 0 {
		v.Container = k.Containers[0]
	}
	return v
}
