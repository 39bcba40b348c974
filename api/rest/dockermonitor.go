// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"tallyman"
	"tallyman/api/view"
	"tallyman/query"
)

// The REST interface of docker-monitor, under /docker-monitor/api/v1.0:
//
//	GET …/metrics         [{"<name>": {"status": "running", "cpu": 12.5, "mem": 3.1}}, …]
//	GET …/metrics/<name>  {"<name>": {…}}
//
// cpu is in percent of one core and mem in percent of the limit, both as
// docker stats computes them; a container that is not running has its status
// alone. It is answered from memory. The errors are that interface's own.

// tooSlow is how old an engine's last good answer may be.
const tooSlow = 10 * time.Second

type monitored struct {
	Status tallyman.State `json:"status"`
	CPU    *float64       `json:"cpu,omitempty"`
	Mem    *float64       `json:"mem,omitempty"`
}

func (s *Service) monitorAll(w http.ResponseWriter, r *http.Request) {
	if s.monitorFailed(w, "") {
		return
	}
	var running []*tallyman.Container
	for _, c := range s.o.Own.Containers() {
		switch c.State {
		case tallyman.Running, tallyman.Paused, tallyman.Restarting:
			running = append(running, c)
		}
	}
	p := s.measured(r.Context(), running)
	out := []map[string]monitored{}
	for _, c := range running {
		out = append(out, map[string]monitored{c.Name: monitor(c, p)})
	}
	monitorWrite(w, http.StatusOK, out)
}

func (s *Service) monitorOne(w http.ResponseWriter, r *http.Request) {
	c, ok := s.o.Own.Container(r.PathValue("name"))
	known := ok && c.State != tallyman.Gone
	engine := "" // any may have one of that name
	if known {
		engine = c.Engine
	}
	if s.monitorFailed(w, engine) {
		return
	}
	if !known {
		monitorError(w, http.StatusNotFound, "Resource not found")
		return
	}
	p := s.measured(r.Context(), []*tallyman.Container{c})
	monitorWrite(w, http.StatusOK, map[string]monitored{c.Name: monitor(c, p)})
}

// measured is the present. A container that has only just been found needs a
// round of its own, or two for a rate: then, and only then, this takes a
// second.
func (s *Service) measured(ctx context.Context, list []*tallyman.Container) query.Present {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	p := s.o.Current.Present()
	for try := 0; try < 2 && unmeasured(&p, list); try++ {
		if try > 0 {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		if s.o.CollectNow(ctx) != nil {
			break
		}
		p = s.o.Current.Present()
	}
	return p
}

// unmeasured reports whether a container lacks figures that it will have: it
// is collected already, or has started so recently that it will be.
func unmeasured(p *query.Present, list []*tallyman.Container) bool {
	for _, c := range list {
		n := p.Containers[c.ID]
		awaited := n != nil || time.Since(c.Started) < 5*time.Second
		if c.State == tallyman.Running && !c.Disabled && awaited && (n == nil || !n.CPU.Known) {
			return true
		}
	}
	return false
}

func monitor(c *tallyman.Container, p query.Present) monitored {
	m := monitored{Status: c.State}
	n := p.Containers[c.ID]
	if c.State != tallyman.Running || n == nil {
		return m
	}
	if n.CPU.Known {
		cpu := n.CPU.V * 100
		m.CPU = &cpu
	}
	m.Mem = view.Number(n.MemoryPercent)
	return m
}

// monitorFailed answers for an engine that does not, the one called name or, without
// a name, any; it reports whether it did.
func (s *Service) monitorFailed(w http.ResponseWriter, name string) bool {
	for _, e := range s.o.Own.Engines() {
		switch {
		case name != "" && e.Name != name:
			continue
		case e.Up && time.Since(e.LastGood) <= tooSlow:
			continue
		case e.Failure == tallyman.EngineSlow || e.Up:
			if time.Since(e.LastGood) <= tooSlow {
				continue
			}
			monitorError(w, http.StatusRequestTimeout, "The server is overloaded. Try later.")
		default:
			text := e.Error
			if text == "" {
				text = "the engine " + e.Name + " has not answered yet"
			}
			monitorError(w, http.StatusInternalServerError, text)
		}
		return true
	}
	return false
}

func monitorError(w http.ResponseWriter, status int, text string) {
	monitorWrite(w, status, monitorFailure{text})
}

// monitorFailure is an error of docker-monitor's.
type monitorFailure struct {
	Error string `json:"error"`
}

func monitorWrite(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
