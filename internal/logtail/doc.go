// SPDX-License-Identifier: Apache-2.0

// Package logtail is what sources of log lines have in common, whatever the form
// of their logs: a [Batch] that commits lines together with how far they were
// read, a [File] that is held open over rotation and removal, and a [Watch] that
// wakes a reader.
//
//	b := logtail.NewBatch(records)
//	b.Add(stream, time, b.Copy(text), meta)
//	b.Touch(follower)    // its Position goes with the lines
//	b.Commit(ctx)        // waits while the store takes nothing
//
// While a store takes nothing, nothing is read: the files are the buffer.
//
// What is kept of a batch between two commits belongs to it and is used again.
// Everything here belongs to one goroutine, but for the counters.
package logtail
