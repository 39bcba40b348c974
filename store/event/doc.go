// SPDX-License-Identifier: Apache-2.0

// Package event is a [tallyman.EventStore] in plain files: one folder, append
// only, readable with any text tool.
//
//	s, err := event.Open(event.Options{Dir: "/var/lib/tallyman/events"})
//	err = s.AppendEvents(events)
//	latest, more, err := s.Events(ctx, tallyman.EventQuery{Limit: 100})
//
// # Format
//
// A file holds the events that were appended on one day, UTC, as JSON lines: one
// event per line in the encoding of tallyman.Event, ended by a line feed, which
// JSON never contains unescaped. A day has several files when one of them has
// grown to an eighth of the size limit, or could not be synced.
//
//	events/                      0700
//	├── 2026-03-01.jsonl         0600
//	├── 2026-03-02.jsonl
//	└── 2026-03-02.001.jsonl     the second file of that day
//
//	{"id":"5f0c…","time":"2026-03-01T08:15:30.123456789Z","host":"a","type":"container","action":"die",…}⏎
//	{"id":"9b1e…","time":"2026-03-01T08:15:31.001Z",…}⏎
//	{"id":"77…                                   ← torn by a kill: cut off at open
//
// The day is that of the appending, not of the event: an event may tell of
// something long ago. The members id and time always come first.
//
// # What is promised
//
// AppendEvents writes all its events with one write(2) and returns after it, so
// they survive a kill of the process; a second later, and at Close, they are
// synced and survive a power cut. A write that fails, with a full disk for
// example, is taken back as a whole and returned as an error; what was stored
// before is never touched. A file whose sync failed is written to no more.
//
// Open cuts an unfinished last line off. A line in the middle that is no event
// is skipped. Both are counted, see [Store.Own].
//
// An event whose id is stored is skipped. The ids of the newest
// [Options.RememberIDs] events are known for that; an older event that comes
// again is stored again.
//
// Whole files go, oldest first, when their day lies further back than
// RetentionTime, or when all together are larger than RetentionSize; the file
// being written to stays.
//
// # Order, memory and concurrency
//
// The store order is by time, then by id. A query reads the files that can hold
// a match, newest first, and keeps no more than limit+1 events; a limit above
// [MaxLimit] is lowered to it. All methods may run concurrently: a query sees what
// was appended before it began, and blocks appends only while it looks at the
// list of files. One process may have a folder open at a time; the caller
// sees to that.
package event
