// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"tallyman"
	"tallyman/internal/logtail"
)

// Kind is the catalog's entry. Its own Options are Files, Rules and Backlog.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "hostlog",
		Summary: "Plain text files of the host, and those inside of containers that their labels name",
		Sources: []string{tallyman.SourceFile, tallyman.SourceContainer},
		Metrics: tallyman.DescsOf(metrics(&logtail.Counts{})),
		Options: Options{Backlog: defaultBacklog},
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			own := tallyman.Own(o.Own, Options{})
			own.Records, own.Host, own.Root, own.Proc, own.Log = o.Records, o.Host, o.Below, o.Proc, o.Log
			own.Local = func(engine string) bool { return !o.Engines.EngineRemote(engine) }
			return New(own), nil
		},
	}
}

var (
	_ tallyman.RecordSource   = (*Tailer)(nil)
	_ tallyman.RecordAbsentee = (*Tailer)(nil)
	_ tallyman.SelfMetered    = (*Tailer)(nil)
)
