// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strconv"
	"time"

	"tallyman"
)

// engineFacts are what an engine says of itself and whose change is an event.
type engineFacts struct {
	Version      string `json:"version,omitempty"`
	Driver       string `json:"driver,omitempty"`
	CgroupDriver string `json:"cgroupDriver,omitempty"`
	Cgroup       string `json:"cgroup,omitempty"`
	Kernel       string `json:"kernel,omitempty"`
	LiveRestore  bool   `json:"liveRestore,omitempty"`
}

func factsOf(s tallyman.EngineStatus) engineFacts {
	return engineFacts{Version: s.Version, Driver: s.Driver, CgroupDriver: s.CgroupDriver, Cgroup: s.CgroupVersion, Kernel: s.Kernel, LiveRestore: s.LiveRestore}
}

// factsEvent tells what has changed of an engine, also while tallyman was away. What was
// not known before is no change.
func (e *engine) factsEvent(was, now engineFacts) {
	if was == now {
		return
	}
	e.touch()
	if was == (engineFacts{}) {
		return
	}
	a := map[string]string{}
	note := func(what, before, after string) {
		if before != after && before != "" {
			a[what] = before + " → " + after
		}
	}
	note("version", was.Version, now.Version)
	note("storage driver", was.Driver, now.Driver)
	note("cgroup driver", was.CgroupDriver, now.CgroupDriver)
	note("cgroup version", was.Cgroup, now.Cgroup)
	note("kernel", was.Kernel, now.Kernel)
	note("live-restore", strconv.FormatBool(was.LiveRestore), strconv.FormatBool(now.LiveRestore))
	if len(a) > 0 {
		e.own(tallyman.Event{Type: "engine", Action: "change", Actor: e.name, Name: e.name, Attributes: a}, time.Now())
	}
}
