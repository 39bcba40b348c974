// SPDX-License-Identifier: Apache-2.0

package tallyman

import "time"

// SampleStore keeps samples. AppendSamples and EndSeries come from one
// goroutine; reading is the business of the query package.
type SampleStore interface {
	// AppendSamples stores all samples of b, or none and an error. Samples
	// that the store refuses one by one (out of order, for example) are
	// counted in dropped. The batch may be reused after the call.
	AppendSamples(b *Batch) (dropped int, err error)
	// EndSeries marks series as ended at t, so that a query after t no longer
	// sees their last value. Unknown series are skipped.
	EndSeries(t time.Time, series []*Series) error
	Close() error
}
