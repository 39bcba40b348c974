// SPDX-License-Identifier: Apache-2.0

package journald

import "tallyman"

// Driver is the log driver whose lines are in the journal.
const Driver = "journald"

// Kind is the catalog's entry. Its own Options are Units, Directory, Command, Unit and
// Rules.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "journald",
		Summary: "systemd's journal: units, the kernel, and containers with the log driver journald",
		Sources: []string{tallyman.SourceJournal, tallyman.SourceContainer},
		Rank:    2,
		Metrics: tallyman.DescsOf((&Source{}).SelfMetrics()),
		Options: Options{},
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			own := tallyman.Own(o.Own, Options{})
			own.Records, own.Host, own.Image, own.Log = o.Records, o.Host, o.InContainer, o.Log
			own.Container = func(id string) (c *tallyman.Container, elsewhere, known bool) {
				c, mine, known := o.Logs.Assigned(id)
				return c, !mine, known
			}
			// In a container journalctl would look into the container's own folders.
			for _, at := range []string{"/var/log/journal", "/run/log/journal"} {
				if own.Directory == "" && o.InContainer {
					own.Directory = o.Path(at)
				}
			}
			return New(own), nil
		},
	}
}

var (
	_ tallyman.RecordSource   = (*Source)(nil)
	_ tallyman.RecordAbsentee = (*Source)(nil)
	_ tallyman.LogReader      = (*Source)(nil)
	_ tallyman.Looker         = (*Source)(nil)
	_ tallyman.SelfMetered    = (*Source)(nil)
)

// LogAbsence implements tallyman.LogReader.
func (s *Source) LogAbsence(c *tallyman.Container) (why *tallyman.Absence, known bool) {
	if c.LogDriver == Driver && s.Active() {
		return nil, true
	}
	return &tallyman.Absence{Code: tallyman.Elsewhere, What: "log", Reason: "It is not in the journal, or the journal cannot be read."}, true
}

// ReadsLog implements tallyman.LogReader: what others read is theirs, and the journal
// is asked last.
func (*Source) ReadsLog(string) bool { return false }
