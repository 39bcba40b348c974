// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"slices"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/internal/describe"
)

// workloadKey names a workload: a container that is made anew in each turn of a
// loop is always another one.
type workloadKey struct{ host, workload string }

type death struct {
	at   time.Time
	code string
}

const (
	// crashWindow is how long a death is one of late.
	crashWindow = 10 * time.Minute
	// maxDeaths bounds what is remembered of a workload.
	maxDeaths = 1000
)

// noteDeath notes deaths that nobody asked for. One that was asked for ends the
// loop that was before it. The caller holds s.mu.
func (s *Service) noteDeath(e *tallyman.Event) {
	key := workloadKey{e.Host, e.Workload}
	switch e.Action {
	case "stop":
		delete(s.deaths, key)
	case "die":
		if describe.Asked(e.Attributes) {
			delete(s.deaths, key)
			return
		}
		deaths := append(s.deaths[key], death{e.Time, e.Attributes["exitCode"]})
		recent := slices.IndexFunc(deaths, func(d death) bool { return e.Time.Sub(d.at) < crashWindow })
		s.deaths[key] = slices.Clone(deaths[max(recent, len(deaths)-maxDeaths, 0):])
	}
}

// crashes are the deaths of late of a container's workload. One that ended with
// 0 and is not started again by its engine has done its work.
func (s *Service) crashes(c *tallyman.Container) *view.Crashes {
	if c.State == tallyman.Gone {
		return nil
	}
	again := c.RestartPolicy == "always" || c.RestartPolicy == "unless-stopped"
	s.mu.Lock()
	defer s.mu.Unlock()
	var out *view.Crashes
	for _, d := range s.deaths[workloadKey{c.Host, c.Workload.Key}] {
		if d.code == "0" && !again || time.Since(d.at) > crashWindow {
			continue
		}
		if out == nil {
			out = &view.Crashes{First: d.at.UnixMilli()}
		}
		out.Count++
		out.Last, out.ExitCode = d.at.UnixMilli(), d.code
	}
	return out
}
