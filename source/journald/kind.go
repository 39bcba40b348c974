// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"os"
	"strings"

	"tallyman"
	"tallyman/internal/journal"
)

// Driver is the log driver whose lines are in the journal.
const Driver = "journald"

// kmsg is the device of the kernel's messages.
const kmsg = "/dev/kmsg"

// machine reads the id of the machine from a file. Without one, zero stands for all that a
// journal has.
func machine(name string) journal.ID {
	text, err := os.ReadFile(name)
	if err != nil {
		return journal.ID{}
	}
	id, _ := journal.ParseID(strings.TrimSpace(string(text)))
	return id
}

// Kind is the catalog's entry. Its own Options are Via, Units, Directory, Command, Unit
// and Rules.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "journald",
		Summary: "systemd's journal: units, the kernel, and containers with the log driver journald",
		Sources: []string{tallyman.SourceJournal, tallyman.SourceContainer},
		Rank:    2,
		Metrics: tallyman.DescsOf((&Source{}).SelfMetrics()),
		Options: Options{Via: Auto},
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			own := tallyman.Own(o.Own, Options{})
			own.Records, own.Host, own.Image, own.Log = o.Records, o.Host, o.InContainer, o.Log
			own.Container = func(id string) (c *tallyman.Container, elsewhere, known bool) {
				c, mine, known := o.Logs.Assigned(id)
				return c, !mine, known
			}
			own.Proc = o.Proc
			if own.Kmsg = kmsg; o.InContainer && o.Path(kmsg) != "" {
				own.Kmsg = o.Path(kmsg)
			}
			if own.Directory != "" {
				own.Folders = []string{own.Directory}
				return New(own), nil
			}
			host := func(name string) string { return name }
			if o.InContainer { // its own folders are not the host's
				host = o.Path
			}
			for _, at := range []string{"/var/log/journal", "/run/log/journal"} {
				if at = host(at); at != "" {
					own.Folders = append(own.Folders, at)
				}
			}
			if o.InContainer && len(own.Folders) > 0 {
				own.Directory = own.Folders[0]
			}
			own.Machine = machine(host("/etc/machine-id"))
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
