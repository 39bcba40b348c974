// SPDX-License-Identifier: Apache-2.0

// Package logtail is what sources of log lines have in common, whatever the form
// of their logs. A source knows how an entry is decoded, how a file is known again
// and what a rotation does; all else is here.
//
// # Files that are followed
//
// A [Tail] reads many logs in one goroutine. Each round gives every [Follower] that
// is due its turn: it reads one buffer ([Tail.Turn]), and then rests
// ([Tail.Rest]) the less the more it took: not at all after 128 KiB, 100 ms after
// some lines. After two turns without anything a log is quiet: inotify tells when it
// is written to, and one looks only each [LookEvery]. So a log that floods delays
// others by one buffer, and a quiet one costs nothing.
//
//	tail := logtail.NewTail[*follower](source, records, &counts, 256<<10)
//	tail.Logs[key] = f          // a follower embeds a Log
//	err := tail.Run(ctx)
//
// A turn goes through the files that are open, the oldest first, and asks the
// [Rotation] of the log what it cannot know:
//
//	Lead      are there new files?
//	Look      is the oldest still what it was, or emptied in place?
//	MayGrow   may more come into it? If not, it is read to its end and dropped
//	Decode    takes what is whole out of a buffer
//	Drop      closes it and notes where it ended
//
// A [File] is held open over renaming and removal, and may be compressed. Where lines
// are missing [Tail.Missing] has a line say so at that place ([Gap]).
//
// # Lines
//
// An [Output] puts pieces together to lines of at most [MaxLine] bytes, and lines to
// entries as a rule wants them (package logrule), and gives them their level and
// their stream.
//
//	if l := out.Piece(&piece, more); l != nil {
//		out.Line(l, now)
//	}
//
// # What is stored, and from where one goes on
//
// A [Batch] collects lines of many readers. It commits them together with how far
// each was read, so that after a crash reading goes on exactly there. The position of
// what is not whole is where it begins ([Output.Begin]): that is read once more, and
// the source leaves out what was stored since.
//
//	b := logtail.NewBatch(records)
//	b.Add(stream, time, b.Copy(text), meta)
//	b.Touch(follower)        // its Position goes with the lines
//	err := b.Commit(ctx)     // waits while the store takes nothing
//
// While a store takes nothing, nothing is read: the logs are the buffer. A batch that
// waits when ctx ends is dropped, and stores nothing any more.
//
// A Tail commits after each round, and whenever [CommitAt] bytes wait. Sources whose
// lines come by themselves, from a command or over a connection, have
// [Batch.Gather] commit beside their reading.
//
// # Memory and concurrency
//
// What is kept of a batch between two commits belongs to it and is used again; text
// given to an Output is the caller's again when that returns. Everything belongs to
// one goroutine, but for the counters, [Tail.Note], [Tail.Wake] and what Gather
// does under its lock.
package logtail
