// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"

	"tallyman/internal/loglevel"
	"tallyman/query/logql"
)

// levelLabel is the metadata by which Grafana colours lines.
const levelLabel = "detected_level"

// detectLevel tells the level of a line: from its labels, from its metadata, else
// from its text. A level that a client has detected keeps its own word when that
// is none of ours.
func detectLevel(stream, meta logql.Labels, line []byte) string {
	if own := meta.Get(levelLabel); own != "" {
		return cmp.Or(loglevel.Word([]byte(own)), own)
	}
	for _, list := range []logql.Labels{stream, meta} {
		for _, l := range list {
			if level := loglevel.Field([]byte(l.Name), []byte(l.Value)); level != "" {
				return level
			}
		}
	}
	return loglevel.Of(line)
}
