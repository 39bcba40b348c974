// SPDX-License-Identifier: Apache-2.0

// Package loki sends records on to a Loki, from the record store itself: the store is
// the spool, and a mark in it says how far the destination has confirmed them.
//
//	o := send.RecordOptions{Name: "loki", Log: records}
//	s, err := loki.New(loki.Options{RecordOptions: o, Client: client, Host: "web-1"})
//	err = s.Run(ctx)
//
// What is read is a [tallyman.RecordLog] behind the mark. A part of it, about 1 MiB of
// text or what came in a second, is one request at /loki/api/v1/push: protobuf, packed
// with snappy. One request is under way at a time, and the mark moves when a range of
// the store was answered. So a kill loses nothing, and what is sent again Loki takes once:
// the same stream, time, text and metadata. Nothing that changes between two tries is in
// them.
//
// The labels of a Loki stream are those of Options.Labels that the record's stream has;
// its other labels (level, image …) become structured metadata, as they would multiply streams. Streams that come
// from elsewhere, without the label source, keep their labels. Records of one Loki stream go
// in the order of appending, oldest first: Loki takes nothing that is an hour older
// than the newest of its stream.
//
//	answer           what becomes of the request
//	2xx              sent
//	429, 5xx, none   again, for ever; after 5 min of answers its parts are looked at
//	401, 403, 404 …  again, each minute
//	413              in halves, and smaller ones for a while
//	other 4xx        never again: Loki has stored what was good of it; what was not is
//	                 counted as refused, as far as Loki's words tell how much
//
// When 429 lasts, each stream is sent for itself: those that Loki knows pass, and those that it
// has no room for ("stream limit") are refused and counted, and tried again after a minute.
// When 5xx lasts, a line of tallyman's own is sent (name="tallyman-probe"), and if Loki answers
// that, halves: a record that fails alone is refused, see [send.Deliverer].
//
// In any run, read = sent + refused + in flight; dropped is what the retention of the
// store took before it was read, and dropped and refused are told by reason.
//
// A line over 256 KiB is cut and marked. A time more than five minutes ahead becomes five
// minutes ahead.
package loki
