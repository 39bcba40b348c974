// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/describe"
	"tallyman/internal/httpx"
	"tallyman/internal/inspect"
)

// Configuration is a workload with kept configurations.
type Configuration struct {
	Host        string          `json:"host"`
	Workload    string          `json:"workload"`
	Project     string          `json:"project,omitempty"`
	Service     string          `json:"service,omitempty"`
	ID          string          `json:"id" doc:"The newest container"`
	Name        string          `json:"name,omitempty"`
	Image       string          `json:"image,omitempty"`
	State       tallyman.State  `json:"state"`
	Kept        int             `json:"kept" doc:"How many configurations"`
	First       int64           `json:"first" doc:"When the oldest of them was taken"`
	Newest      int64           `json:"newest" doc:"When the newest of them was taken"`
	Changed     int64           `json:"changed,omitempty" doc:"When the last change was seen"`
	Changes     []settingChange `json:"changes,omitempty" doc:"The first settings of the last change"`
	ChangeCount int             `json:"changeCount,omitempty" doc:"How many settings the last change has"`
	// Rights are nil where they are not known, which is not the same as none.
	Rights *[]inspect.Right `json:"rights,omitempty" doc:"What the present container may do and most need not; absent where that is not known, as of one that is gone"`
}

// settingChange is a changed setting, told as "old → new".
type settingChange struct {
	Path string `json:"path"`
	Text string `json:"text" doc:"old → new"`
}

// configurationsAnswer is the answer of /configurations.
type configurationsAnswer struct {
	Workloads []Configuration `json:"workloads"`
}

// difference is a setting that is not the same everywhere.
type difference struct {
	Path   string            `json:"path"`
	Values []json.RawMessage `json:"values" doc:"In the order of members, null where it is not set"`
}

// siblingsAnswer is the answer of /siblings.
type siblingsAnswer struct {
	Members     []Snapshot   `json:"members"`
	Differences []difference `json:"differences"`
	More        int          `json:"more,omitempty" doc:"How many containers of the service were not compared"`
}

const (
	// maxSiblings is how many containers of a service are compared.
	maxSiblings = 32
	// maxNamed is how many changed settings a workload is listed with.
	maxNamed = 4
)

type place struct{ host, workload string }

func (s *Service) configurations(w http.ResponseWriter, r *http.Request) error {
	wanted, err := settings(r)
	if err != nil {
		return err
	}
	found, err := s.readSnapshots(r.Context(), all, func(n *snapshot) bool {
		return n.label("container_id") != "" && n.label("workload") != ""
	})
	if err != nil {
		return err
	}
	known, newest := map[place]*Configuration{}, map[place]*snapshot{}
	var order []*Configuration
	for i := range found { // the newest first
		v := found[i].view()
		at := place{v.Host, v.Workload}
		c := known[at]
		if c == nil {
			c = &Configuration{Host: v.Host, Workload: v.Workload, ID: v.ID, Name: v.Name, Image: v.Image, State: tallyman.Gone, Newest: v.Time}
			known[at], newest[at] = c, &found[i]
			order = append(order, c)
		}
		c.Kept++
		c.First = v.Time
	}
	for _, o := range s.o.Inventory.Containers() {
		c := known[place{o.Host, o.Workload.Key}]
		if c == nil {
			continue
		}
		c.Project, c.Service = o.Workload.Project, o.Workload.Service
		if o.ID == c.ID {
			c.State = o.State
		}
	}
	// The changes are events, so that no configuration needs to be compared.
	if _, err := s.walkEvents(r.Context(), tallyman.EventQuery{Types: []string{"tallyman"}, Actions: []string{"drift"}, Limit: walkPage}, func(e *tallyman.Event) bool {
		if c := known[place{e.Host, e.Workload}]; c != nil && c.Changed == 0 {
			c.Changed = e.Time.UnixMilli()
			paths, n := describe.DriftPaths(e.Attributes)
			c.ChangeCount = n
			for _, p := range paths[:min(len(paths), maxNamed)] {
				c.Changes = append(c.Changes, settingChange{p, e.Attributes[p]})
			}
		}
		return true
	}); err != nil {
		return err
	}
	out := configurationsAnswer{Workloads: []Configuration{}}
	for _, c := range order {
		has := len(wanted) == 0
		if c.State != tallyman.Gone {
			rights, all, err := s.judge(r.Context(), newest[place{c.Host, c.Workload}], wanted)
			if e, ok := errors.AsType[*httpx.Error](err); ok && e.Status == http.StatusNotFound {
				// its time was over just now
			} else if err != nil {
				return err
			} else {
				c.Rights, has = &rights, all
			}
		}
		if !has {
			continue
		}
		out.Workloads = append(out.Workloads, *c)
	}
	slices.SortStableFunc(out.Workloads, func(a, b Configuration) int {
		return cmp.Or(cmp.Compare(b.Changed, a.Changed), cmp.Compare(b.Newest, a.Newest), strings.Compare(a.Workload, b.Workload))
	})
	httpx.WriteJSON(w, out)
	return nil
}

func (s *Service) siblings(w http.ResponseWriter, r *http.Request) error {
	host, workload := r.FormValue("host"), r.FormValue("workload")
	if host == "" || workload == "" {
		return httpx.Bad("workload", "host and workload are needed", "give those of a container, as /containers has them")
	}
	out := siblingsAnswer{Members: []Snapshot{}, Differences: []difference{}}
	var lines [][]byte
	for _, c := range s.serviceOf(host, workload) {
		if len(lines) == maxSiblings {
			out.More++
			continue
		}
		q := all
		q.Matchers = []tallyman.Matcher{{Name: "host", Value: c.Host}, {Name: "workload", Value: c.Workload.Key}}
		found, err := s.readSnapshots(r.Context(), q, func(n *snapshot) bool { return n.label("container_id") == c.ID })
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue // it is so new that nothing was asked yet
		}
		line, err := s.text(r.Context(), &found[0])
		if err != nil {
			return err
		}
		v := found[0].view()
		v.ConfigHash = inspect.ConfigHash(line)
		out.Members = append(out.Members, v)
		lines = append(lines, line)
	}
	differences, err := inspect.Compare(lines)
	if err != nil {
		return err
	}
	for _, d := range differences {
		out.Differences = append(out.Differences, difference{d.Path, d.Values})
	}
	httpx.WriteJSON(w, out)
	return nil
}

// serviceOf are the containers of the service that a workload belongs to,
// without those that are gone; none for one without a service.
func (s *Service) serviceOf(host, workload string) []*tallyman.Container {
	var of *tallyman.Workload
	containers := s.o.Inventory.Containers()
	for _, c := range containers {
		if c.Host == host && c.Workload.Key == workload {
			of = &c.Workload
		}
	}
	if of == nil || of.Service == "" || of.OneOff {
		return nil
	}
	var out []*tallyman.Container
	for _, c := range containers {
		w := c.Workload
		// Compose knows one host, Swarm many.
		if w.Origin == of.Origin && w.Project == of.Project && w.Service == of.Service && !w.OneOff && (c.Host == host || w.Origin == "swarm") && c.State != tallyman.Gone {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b *tallyman.Container) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(len(a.Workload.Key), len(b.Workload.Key)), strings.Compare(a.Workload.Key, b.Workload.Key))
	})
	return out
}
