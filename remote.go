// SPDX-License-Identifier: Apache-2.0

package tallyman

// RemoteSeries is a series that another tallyman has sent. Whoever receives it makes one
// for each set of labels, and gives the same again with each sample.
type RemoteSeries struct {
	// Labels are sorted by name and unique, none of them is empty, and __name__ is one.
	Labels []Label
	// Stored is the store's own, and nil at first.
	Stored any
}

// RemoteSample is a sample of a RemoteSeries.
type RemoteSample struct {
	Series *RemoteSeries
	// Time is in milliseconds since the epoch.
	Time  int64
	Value float64
	// Refused is why the store did not take it, empty when it did.
	Refused string
}

// Why a store refuses samples of others. A sample that it has already, with the same value,
// is taken and changes nothing.
const (
	RemoteTooOld   = "too_old"      // older than the window for what comes late
	RemoteRepeated = "other_value"  // there is one of that time, with another value
	RemoteOrder    = "out_of_order" // there is a newer one, and no window
)

// RemoteStore keeps samples that others have sent. Calls may run concurrently, but not with
// the same series.
type RemoteStore interface {
	// AppendRemote stores samples, of each series in any order. Those that it refuses are
	// marked; all others survive a kill of the process when it returns. An error says that
	// nothing is stored, and that all may be given again.
	AppendRemote(samples []RemoteSample) error
}
