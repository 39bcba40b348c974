// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"time"

	"tallyman"
	"tallyman/attach"
)

// mistakesTarget stands behind a container's id in the id of the target whose series say
// what is wrong in its labels and rules.
const mistakesTarget = " mistakes"

// serveMistakes gives what is wrong in a container's labels to the collector. With the lock
// held.
func (s *Services) serveMistakes(l *life) {
	for _, m := range l.mistakes {
		if !m.Warning {
			s.to.Serve(attach.Served{Container: l.container, ID: l.container.ID + mistakesTarget, Job: "plugins", Instance: l.container.Name})
			return
		}
	}
}

// wrong is a Poll that gives plugin_config_error, by label or rule.
type wrong struct {
	s         *Services
	container string
	target    *tallyman.Target
	sources   map[string]*tallyman.Series // all that were wrong since the container's start
}

var _ tallyman.Paced = (*wrong)(nil)

// Poll implements tallyman.Poll.
func (w *wrong) Poll(_ context.Context, b *tallyman.Batch) error {
	now := map[string]bool{}
	for _, m := range w.s.Mistakes(w.container) {
		if m.Warning {
			continue
		}
		now[m.Source] = true
		if w.sources[m.Source] == nil {
			labels := append(w.target.Labels[:len(w.target.Labels):len(w.target.Labels)], tallyman.Label{Name: "source", Value: cutValue(m.Source)})
			tallyman.SortLabels(labels)
			w.sources[m.Source] = &tallyman.Series{Desc: pluginConfig, Target: w.target, Labels: labels}
		}
	}
	for source, series := range w.sources {
		b.Samples = append(b.Samples, tallyman.Sample{Series: series, Value: boolean(now[source])})
	}
	return nil
}

// Pause implements tallyman.Paced.
func (w *wrong) Pause() time.Duration { return least }

// Absences implements tallyman.Poll.
func (w *wrong) Absences() []tallyman.Absence { return nil }

// Close implements tallyman.Poll.
func (w *wrong) Close() {}
