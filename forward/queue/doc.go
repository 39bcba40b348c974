// SPDX-License-Identifier: Apache-2.0

// Package queue keeps messages on the disk until a destination has confirmed them. Each
// destination has a queue, and each queue a directory of its own:
//
//	q, err := queue.Open(queue.Options{Dir: dir, MaxBytes: 16 << 20, MaxAge: 30 * 24 * time.Hour})
//	seq, err := q.Append(queue.Message{ID: "5f0c", Time: at, Body: text})
//	item, err := q.Next(ctx) // the oldest that was not handed out yet
//	err = q.Ack(item.Seq)    // that one and all before it have arrived
//	q.Rewind()               // after a cut: what is not confirmed is handed out again, in order
//
// It knows no network and nothing of what a message says.
//
// # Files
//
//	0000000000000001.q   a segment, called by the number of its first message in hex
//	ack                  up to where everything is confirmed or dropped
//
//	segment = "tallymanqueue01\n" record*
//	record  = length uint32 | crc32c uint32 | kind uint8 | payload
//	payload = number uint64 | time int64 | flags uint8 | key length uint16 | id length uint16 | key | id | body
//	ack     = slot slot, of which the whole one with the greater generation counts
//	slot    = generation uint64 | number uint64 | crc32c uint32
//
// Numbers are little-endian. Length is that of kind and payload, and the checksum is
// over both; the only kind is 1. Numbers of messages have no gaps, time is Unix
// nanoseconds. A segment has about 4 MiB, less in a small queue.
//
// # What is promised
//
// What Append has taken survives a kill of the process, and with [Queue.Run] a power cut
// a second later. A confirmation does, too: after a kill only what was handed out and not
// confirmed comes again. The caller gives each message an ID by which a receiver knows it
// the second time.
//
// Nothing is lost without being counted, by reason and with the times of the first and
// the last message, see [Stats]:
//
//   - Over Options.MaxBytes the oldest messages are dropped, just as many as it takes;
//     over Options.MaxAge those that are older. One that was handed out counts as dropped
//     only when it comes back.
//   - When the disk is full Append refuses, counted, and everything that is kept stays
//     whole.
//   - A torn end is cut off by Open. A damaged record is left out, and its neighbours are
//     found again: how many are missing follows from the numbers.
//
// # Memory and concurrency
//
// In memory are 40 bytes for each message that is on the disk, and one message. All
// methods may run concurrently, but only one goroutine may take messages out: Next,
// TryNext, Ack and Rewind. Append writes a file and may wait for the disk.
package queue
