// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"

	"tallyman/internal/loglevel"
	"tallyman/query/logql"
)

// levelLabel is the metadata by which Grafana colours lines.
const levelLabel = "detected_level"

// levelNames are the labels that hold a level, in this order.
var levelNames = []string{"level", "lvl", "loglevel", "log_level", "severity", "severity_text", "sev"}

// detectLevel tells the level of a line: from its labels, else from its text.
func detectLevel(stream, meta logql.Labels, line []byte) string {
	for _, name := range levelNames {
		for _, list := range []logql.Labels{meta, stream} {
			if v := list.Get(name); v != "" {
				return cmp.Or(loglevel.Word([]byte(v)), loglevel.Unknown)
			}
		}
	}
	return loglevel.Of(line)
}
