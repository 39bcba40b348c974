// SPDX-License-Identifier: Apache-2.0

package promwrite

import "tallyman/forward/send"

// Why samples are refused.
const (
	outOfOrder = "out_of_order"
	tooOld     = "too_old"
	duplicate  = "duplicate"
	tooNew     = "too_new"
	limit      = "limit"
	badLabels  = "labels"
)

const window = "storage.tsdb.out_of_order_time_window of Prometheus (--tsdb.out-of-order.time-window of Thanos, limits.out_of_order_time_window of Mimir), at least as long as an outage may last"

// reasons are all of them, with the words of receivers and with what would help.
var reasons = send.Reasons{
	{Name: outOfOrder, Words: []string{"out of order", "out-of-order"}, Mend: window},
	{Name: tooOld, Words: []string{"out of bounds", "too old", "too-old"}, Mend: window},
	{Name: duplicate, Words: []string{"duplicate sample", "conflict"}, Mend: "one tallyman for each host: two send the same series with other values"},
	{Name: tooNew, Words: []string{"too far in", "future"}, Mend: "a right clock: this machine's is more than five minutes ahead of the destination's, or not set back yet"},
	{Name: limit, Words: []string{"limit"}, Mend: "the destination's limits of series and samples (max_global_series_per_user and ingestion_rate of Mimir)"},
	{Name: badLabels, Words: []string{"label"}, Mend: "the destination's limits of labels (max_label_names_per_series of Mimir)"},
	{Name: send.TooLarge, Mend: "the size of requests that the destination or a proxy before it takes, to 4 MiB"},
}
