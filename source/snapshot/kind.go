// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"path/filepath"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "snapshot",
		Summary: "Configurations of containers and images, and events when that of a workload has changed",
		Sources: []string{tallyman.SourceSnapshot},
		Metrics: tallyman.DescsOf((&Source{}).SelfMetrics()),
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			key, err := Key(filepath.Join(o.Data, "snapshot.key"))
			if err != nil {
				o.Log.Warn("values of variables may look changed once", "err", err)
			}
			return New(Options{Records: o.Records, Stored: o.Stored, Container: o.Engines.EngineDocument, Image: o.Engines.EngineImage, Emit: o.Emit, Key: key, Log: o.Log})
		},
	}
}

var (
	_ tallyman.RecordSource = (*Source)(nil)
	_ tallyman.SelfMetered  = (*Source)(nil)
)
