// SPDX-License-Identifier: Apache-2.0

package containerlog

import "tallyman"

// Kind is the catalog's entry. Its own Options are Backlog and Rules.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "containerlog",
		Summary: "Logs of containers from the files that the engine writes",
		Sources: []string{tallyman.SourceContainer},
		Rank:    1,
		Metrics: tallyman.DescsOf((&Tailer{}).SelfMetrics()),
		Options: Options{Backlog: defaultBacklog},
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			own := tallyman.Own(o.Own, Options{})
			own.Records, own.Path, own.Log = o.Records, o.Path, o.Log
			return New(own), nil
		},
	}
}

var (
	_ tallyman.RecordSource   = (*Tailer)(nil)
	_ tallyman.RecordAbsentee = (*Tailer)(nil)
	_ tallyman.LogReader      = (*Tailer)(nil)
	_ tallyman.Looker         = (*Tailer)(nil)
	_ tallyman.SelfMetered    = (*Tailer)(nil)
)

// LogAbsence implements tallyman.LogReader.
func (t *Tailer) LogAbsence(c *tallyman.Container) (why *tallyman.Absence, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a, absent := t.absent[c.ID]; absent {
		why = &a
	}
	_, known = t.placed[c.ID]
	return why, known
}

// ReadsLog implements tallyman.LogReader.
func (t *Tailer) ReadsLog(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.placed[id]
}
