// SPDX-License-Identifier: Apache-2.0

package promwrite

import "bytes"

// Why samples are refused.
const (
	outOfOrder  = "out_of_order"
	tooOld      = "too_old"
	duplicate   = "duplicate"
	tooNew      = "too_new"
	limit       = "limit"
	badLabels   = "labels"
	tooLarge    = "too_large"
	serverError = "server_error"
	otherwise   = "refused"
)

const window = "storage.tsdb.out_of_order_time_window of Prometheus (--tsdb.out-of-order.time-window of Thanos, limits.out_of_order_time_window of Mimir), at least as long as an outage may last"

// mends are the settings that would help, by the reason that they are behind.
var mends = map[string]string{
	outOfOrder: window,
	tooOld:     window,
	tooNew:     "a right clock: this machine's is more than five minutes ahead of the destination's, or not set back yet",
	duplicate:  "one tallyman for each host: two send the same series with other values",
	limit:      "the destination's limits of series and samples (max_global_series_per_user and ingestion_rate of Mimir)",
	badLabels:  "the destination's limits of labels (max_label_names_per_series of Mimir)",
	tooLarge:   "the size of requests that the destination or a proxy before it takes, to 4 MiB",
}

// reasons are all of them.
func reasons() []string {
	return []string{outOfOrder, tooOld, duplicate, tooNew, limit, badLabels, tooLarge, serverError, otherwise}
}

// words are what receivers say for a reason, the first that is found.
var words = []struct{ text, reason string }{
	{"out of order", outOfOrder},
	{"out-of-order", outOfOrder},
	{"out of bounds", tooOld},
	{"too old", tooOld},
	{"too-old", tooOld},
	{"duplicate sample", duplicate},
	{"conflict", duplicate},
	{"too far in", tooNew},
	{"future", tooNew},
	{"limit", limit},
	{"label", badLabels},
}

// reasonOf is why a receiver refuses, by its words.
func reasonOf(body []byte, or string) string {
	lower := bytes.ToLower(body)
	for _, w := range words {
		if bytes.Contains(lower, []byte(w.text)) {
			return w.reason
		}
	}
	return or
}
