// SPDX-License-Identifier: Apache-2.0

// Package spool keeps samples on the disk until every destination has confirmed them. It
// is a store of the pipeline, and each destination reads it from a cursor of its own:
//
//	s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 512 << 20, MaxAge: 24 * time.Hour})
//	r, err := s.Reader("mimir")                      // begins where it was, a new one now
//	ticks, err := r.Next(ctx, spool.Part{Ticks: 6, Samples: 10_000})
//	err = r.Commit()                                 // what Next gave has arrived
//
// A tick is one batch, or the end of some series. It knows no network.
//
// # Files
//
//	0000000000000001.ticks   a segment, by its number in hex
//	NAME.cursor              how far a destination has confirmed, a line of text
//
//	segment = "tallymanticks01\n" | number uint64 | crc32c uint32 | record*
//	record  = length uint32 | crc32c uint32 | kind uint8 | payload
//	series  = first id uint32 | zstd(entries): what ids mean, for this segment
//	tick    = time int64 | number uint64 | samples uint32 | zstd(body)
//	body    = with list uint8 | ids, if it is 1 | a value for each id
//
// Length is that of kind and payload, and the checksum is over both. Kinds are 1 series, 2
// tick, 3 key tick and 4 the end of series, which is a tick without values. Times are Unix
// milliseconds. Samples have numbers without gaps, the number of a tick is that of its
// first; so what is missing is known. Without a list the ids are those of the tick before.
// A value is a varint and tells the difference to the last value of the same series: 0 the
// same, 1 and eight bytes that are XORed, from 2 on the step between two whole numbers in
// zigzag form, plus one. For a key tick, at least each thirtieth, all last values are 0. A
// segment has about 8 MiB. One that is open at the end of the process is not written to
// again.
//
// # What is promised
//
// What AppendSamples has taken survives a kill of the process, and with [Spool.Run] a
// power cut a second later. A cursor is kept at most once a second: after a kill what was
// confirmed in the last second is handed out again.
//
// Nothing is lost without being counted, by reason and told with its times, see
// Options.Lost: over Options.MaxBytes or Options.MaxAge the oldest segment goes; damage
// costs what is up to the next key tick, and when it hit a record of series, those series
// up to the end of the segment. When the disk is full AppendSamples refuses, with an
// *fsx.ErrFull. A cursor that cannot be read begins anew, see [Reader.Notice].
//
// # Memory and concurrency
//
// In memory are an entry for each series, in the spool and in each reader. AppendSamples
// and EndSeries come from one goroutine, the methods of a reader from one each; all of them
// and the rest may run concurrently. What Next gives is good until the next call.
package spool
