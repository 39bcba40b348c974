// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"bytes"
	"regexp"
	"strconv"
	"time"
)

// Why records are refused.
const (
	tooOld      = "too_old"
	tooNew      = "too_new"
	lineTooLong = "line_too_long"
	badLabels   = "labels"
	streamLimit = "stream_limit"
	tooLarge    = "too_large"
	serverError = "server_error"
	otherwise   = "refused"
)

// mends are Loki's settings, in limits_config, by the reason that they are behind.
var mends = map[string]string{
	tooOld:      "reject_old_samples_max_age of Loki's limits_config, and max_chunk_age of its ingester",
	tooNew:      "creation_grace_period of Loki's limits_config",
	lineTooLong: "max_line_size of Loki's limits_config",
	badLabels:   "max_label_names_per_series of Loki's limits_config",
	streamLimit: "max_global_streams_per_user of Loki's limits_config",
	tooLarge:    "grpc_server_max_recv_msg_size of Loki's server",
}

// reasons are all of them.
func reasons() []string {
	return []string{tooOld, tooNew, lineTooLong, badLabels, streamLimit, tooLarge, serverError, otherwise}
}

// words are what Loki says for a reason, the first that is found.
var words = []struct{ text, reason string }{
	{"stream limit", streamLimit},
	{"too far behind", tooOld},
	{"timestamp too old", tooOld},
	{"out of order", tooOld},
	{"timestamp too new", tooNew},
	{"max entry size", lineTooLong},
	{"line too long", lineTooLong},
	{"label", badLabels},
}

// reasonOf is why Loki refuses, by its words.
func reasonOf(body []byte) string {
	lower := bytes.ToLower(body)
	for _, w := range words {
		if bytes.Contains(lower, []byte(w.text)) {
			return w.reason
		}
	}
	return otherwise
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
				if items[i].time < oldest.UnixNano() {
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
