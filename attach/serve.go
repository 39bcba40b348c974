// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"slices"

	"tallyman"
)

// Served is a service in a container that is to be watched.
type Served struct {
	Container *tallyman.Container
	// ID is the target's, unique over all containers.
	ID string
	// Job and Instance are the labels of its series, Labels are further ones.
	Job, Instance string
	Labels        []tallyman.Label
}

// Serve watches a service from the next round on. It may be called from any goroutine.
func (s *Supervisor) Serve(one Served) { s.noteService(one.ID, &one) }

// Leave watches the service of an id no more.
func (s *Supervisor) Leave(id string) { s.noteService(id, nil) }

func (s *Supervisor) noteService(id string, one *Served) {
	s.mu.Lock()
	s.pendingServices[id] = one
	s.mu.Unlock()
	s.poke()
}

// applyServices takes up which services there are.
func (s *Supervisor) applyServices(pending map[string]*Served) {
	for id, one := range pending {
		key := tallyman.TargetKey{Kind: tallyman.ServiceTarget, ID: id}
		if a := s.attached[key]; a != nil {
			s.detach(a)
		}
		if one == nil {
			continue
		}
		a := newAttachment(s.serviceTarget(*one))
		s.attached[key] = a
		s.attachTo(a)
	}
}

// serviceTarget makes the target of a service: its series have the labels of its container.
func (s *Supervisor) serviceTarget(one Served) *tallyman.Target {
	t := s.containerTarget(one.Container)
	t.Kind, t.ID, t.Job, t.Instance = tallyman.ServiceTarget, one.ID, one.Job, cut(one.Instance)
	for _, l := range one.Labels {
		if _, there := tallyman.FindLabel(t.Labels, l.Name); !there && l.Name != "job" && l.Name != "instance" && len(t.Labels) < maxLabels {
			t.Labels = append(slices.Clip(t.Labels), tallyman.Label{Name: l.Name, Value: cut(l.Value)})
		}
	}
	tallyman.SortLabels(t.Labels)
	return t
}
