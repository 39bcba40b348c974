// SPDX-License-Identifier: Apache-2.0

// Package tallyman holds the vocabulary and the contracts of the tallyman
// monitor. It imports the standard library only, and every other package may
// import it.
//
// # Words
//
//   - a sample is a number at a time ([Sample], many of one moment in a [Batch]);
//   - a record is a line at a time ([Record], in a [Stream] of labels);
//   - an event is something that happened ([Event]);
//   - a target is what is watched ([Target]): a host, an engine, a container, tallyman itself;
//   - a source produces samples ([Source]), a store keeps them ([SampleStore], [RecordSink], [EventStore]);
//   - a workload is the identity that survives re-creation ([Workload]);
//   - an absence says why a value cannot be known here ([Absence]); it is never a zero.
//
// # The flow
//
// The folders are the way of the data:
//
//	discover ──► attach ──► source ──► pipeline ──► store ──► query ──► api ──► web
//
// discover keeps the inventory of containers and tells every [Observer] what
// changed. attach turns containers into targets, hands them to the sources and
// asks all sources for one [Batch] per interval. pipeline keeps the latest
// value of every series and passes the batch on to the stores. query reads
// them back, api answers people and programs, web is the page.
//
// # Memory
//
// Series are interned: a source makes one [Series] per target and metric when
// the target is attached, and a sample is that pointer with a float. A round of
// collection therefore allocates nothing. Batches belong to whoever holds them
// at the moment: a source may append to the batch only during Collect, a store
// may read it only during AppendSamples.
package tallyman
