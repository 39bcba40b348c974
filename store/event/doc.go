// SPDX-License-Identifier: Apache-2.0

// Package event is a [tallyman.EventStore] that keeps events as records in a
// [tallyman.RecordSink], so that they are found by LogQL too:
//
//	s, err := event.Open(event.Options{Records: records})
//	err = s.AppendEvents(events)
//	latest, more, err := s.Events(ctx, tallyman.EventQuery{Limit: 100})
//
//	{source="event", name="web"} | json | action="die" | attributes_exitCode="137"
//
// # What is stored
//
// An event is one record. Its line is the JSON of tallyman.Event, the members id
// and time first; its time is the event's.
//
//	stream    host, source="event", and of a container's: name, workload, image
//	metadata  action, actor, id, type
//	line      {"id":"5f0c…","time":"2026-03-01T08:15:30.123456789Z","host":"a","type":"container","action":"die",…}
//
// The record store bounds the streams: where it has no room for another, it keeps
// the events of several together, and finds them by the same labels.
//
// # What is promised
//
// AppendEvents gives the store at most 4 MiB at a time; when it returns without an
// error all events survive a kill of the process, and a second later a power cut.
// One that the record store refuses for good is counted and holds up no other.
// After an error some may be stored; they may be given again. An event whose id
// is stored is skipped. The ids of the newest [Options.RememberIDs] events are
// known for that, over a restart too; an older event that comes again is stored
// again. Retention is the record store's.
//
// # Events of earlier versions
//
// Options.Old is the folder in which earlier versions kept events, as JSON lines
// in a file for each day. Open brings them in: each batch commits together with
// the position up to which the files are read, so that an import which is killed
// goes on where it was. Then the folder is renamed to <Old>.imported, and removed
// at the next Open that finds the end of the import in the record store. Lines
// that are no event, and a last line that does not end, are counted.
//
// # Order, memory and concurrency
//
// The order is by time, then by id. A query goes over the streams backward at the
// same time, merges them, unpacks a chunk when its turn comes and ends at the
// limit; one above [MaxLimit] is lowered to it. What a query says of types,
// actions, ids, images and containers goes to the record store as text that a line
// must hold. A record of source="event" that is no event, which somebody else
// wrote, is left out and counted.
//
// All methods may run concurrently: a query sees what was appended before it
// began. Close does not close the record store.
package event
