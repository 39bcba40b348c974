// SPDX-License-Identifier: Apache-2.0

package enginelog

import "tallyman"

// Kind is the catalog's entry. Its own Options are Most and Rules.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "enginelog",
		Summary: "Logs of containers through the engine's API, where their files cannot be reached",
		Sources: []string{tallyman.SourceContainer},
		Rank:    3,
		Caveat:  "It comes through the engine's API, which is best effort: lines may be missing or twice where the engine rotates it.",
		Metrics: tallyman.DescsOf((&Follower{}).SelfMetrics()),
		Options: Options{},
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			own := tallyman.Own(o.Own, Options{})
			own.Records, own.Open, own.Log = o.Records, o.Engines.EngineLogs, o.Log
			own.Wants = func(c *tallyman.Container) (wants, known bool) {
				_, mine, known := o.Logs.Assigned(c.ID)
				return mine, known
			}
			return New(own), nil
		},
	}
}

var (
	_ tallyman.RecordSource   = (*Follower)(nil)
	_ tallyman.RecordAbsentee = (*Follower)(nil)
	_ tallyman.LogReader      = (*Follower)(nil)
	_ tallyman.SelfMetered    = (*Follower)(nil)
)

// LogAbsence implements tallyman.LogReader: an engine gives the log of every container
// that it still has.
func (f *Follower) LogAbsence(c *tallyman.Container) (why *tallyman.Absence, known bool) {
	if c.State == tallyman.Gone || c.LogDriver == "none" {
		return &tallyman.Absence{Code: tallyman.None, What: "log", Reason: "The engine has no log of it."}, true
	}
	return nil, true
}

// ReadsLog reports whether the log of a container was found to be had in no better
// way, and is or was read.
func (f *Follower) ReadsLog(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, read := f.read[id]
	return read || f.running[id] != nil && f.running[id].reads.Load()
}
