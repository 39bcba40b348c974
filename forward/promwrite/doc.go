// SPDX-License-Identifier: Apache-2.0

// Package promwrite sends samples to whatever takes Prometheus' remote write, from the
// spool in which they wait on the disk:
//
//	r, err := ticks.Reader("mimir")
//	o := send.SampleOptions{Name: "mimir", Reader: r}
//	s, err := promwrite.New(promwrite.Options{SampleOptions: o, Client: client})
//	err = s.Run(ctx)
//
// # Requests
//
// One is under way at a time, oldest first: of at most six ticks and 30,000 samples, and at
// most one in five seconds when nothing waits. It is protobuf, encoded here, packed with
// snappy. Labels are all that a series has, job and instance among them, and Options.External
// where it has none of that name. A series that has ended gets Prometheus' stale marker,
// which counts as a sample. Remote write 2.0 has type, unit and help beside each series, and
// for a container's counters when it was started; 1.0 gets type, unit and help once an hour, in a
// request without samples that may be refused.
//
// # Versions
//
// 2.0 is believed only when the answer has X-Prometheus-Remote-Write-Samples-Written: some
// receivers of 1.0 say 2xx to it and store nothing. Without that, and after 415, the same
// goes out as 1.0, and 2.0 is asked for again after a day. Options.Protocol sets one: with 2
// an answer without the header holds everything, and is told.
//
// # Refusals
//
// What [send.Classify] calls Retry and Hold is tried for ever. Of what is refused:
//
//   - 2.0: the header says how many were taken; the rest is refused, at least one.
//   - 1.0 and 400: Prometheus has stored nothing of it, so halves are sent, first between
//     ticks and then between series, at most 64 requests; what is left is refused.
//   - 413: halves, and smaller requests for a while.
//   - 500 for five minutes, while a sample of now in a series of its own
//     (tallyman_forward_probe) is taken: as 1.0 and 400.
//
// Nothing goes out that is more than five minutes ahead of the receiver's clock, as its Date
// says: one such sample makes a Prometheus refuse those of all others. So an empty request
// asks for the date before the first.
//
// # Concurrency
//
// Run is one goroutine. Stats and SelfMetrics may be called from any.
package promwrite
