// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"regexp"
	"strconv"
	"time"

	"tallyman/forward/send"
)

// Why records are refused.
const (
	tooOld      = "too_old"
	tooNew      = "too_new"
	lineTooLong = "line_too_long"
	badLabels   = "labels"
	streamLimit = "stream_limit"
)

// reasons are all of them, with Loki's words and with its settings that are behind.
var reasons = send.Reasons{
	{Name: streamLimit, Words: []string{"stream limit"}, Mend: "max_global_streams_per_user of Loki's limits_config"},
	{Name: tooOld, Words: []string{"too far behind", "timestamp too old", "out of order"}, Mend: "reject_old_samples_max_age of Loki's limits_config, and max_chunk_age of its ingester"},
	{Name: tooNew, Words: []string{"timestamp too new"}, Mend: "creation_grace_period of Loki's limits_config"},
	{Name: lineTooLong, Words: []string{"max entry size", "line too long"}, Mend: "max_line_size of Loki's limits_config"},
	{Name: badLabels, Words: []string{"label"}, Mend: "max_label_names_per_series of Loki's limits_config"},
	{Name: send.TooLarge, Mend: "grpc_server_max_recv_msg_size of Loki's server"},
}

var (
	ignored    = regexp.MustCompile(`total ignored: (\d+) out of \d+`)
	acceptable = regexp.MustCompile(`timestamp too old: .*oldest acceptable timestamp is: (\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d))`)
)

// refusedOf is how many of the items Loki says it refuses. What it does not number
// counts as all of them.
func refusedOf(body []byte, items []item) (n int) {
	for _, m := range ignored.FindAllSubmatch(body, -1) {
		if k, err := strconv.Atoi(string(m[1])); err == nil {
			n += k
		}
	}
	if m := acceptable.FindSubmatch(body); m != nil {
		if oldest, err := time.Parse(time.RFC3339, string(m[1])); err == nil {
			for i := range items {
				if items[i].Time < oldest.UnixNano() {
					n++
				}
			}
		}
	}
	if n == 0 {
		return len(items)
	}
	return min(n, len(items))
}
