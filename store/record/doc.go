// SPDX-License-Identifier: Apache-2.0

// Package record is a [tallyman.RecordSink] and [tallyman.RecordReader] in plain
// files: a write-ahead log, the WAL, and segments of compressed chunks. It follows
// what is appended too, as a [tallyman.RecordTailer], and gives all of it in the order
// of appending to whoever sends it on, as a [tallyman.RecordLog].
//
//	s, err := record.Open(record.Options{Dir: "/var/lib/tallyman/records"})
//	err = s.AppendRecords(&tallyman.RecordBatch{Streams: lines, Positions: readUpTo})
//	cursors, err := s.SelectRecords(ctx, tallyman.RecordQuery{Matchers: m, Start: from, End: to})
//
// # The way of a line
//
//	AppendRecords ──► WAL ──────► head of the stream ──► chunk in a segment
//	                  one write,  in memory              64 KiB of text, or 10 min
//	                  then it     (and in the WAL)       idle, or 1 h old, or when
//	                  returns                            the WAL grows too large
//
// A batch is one record of the WAL: its lines, and the positions up to which
// they were read. The record has a checksum and is written with one write(2)
// before AppendRecords returns, so that both survive a kill of the process and
// always agree; a second later, and at Close, they are synced and survive a
// power cut. (After a power cut a chunk of that last second may be there whose
// record in the WAL is not: its lines are then read again by their position.)
// Every record of a stream has a number, in the order of appending across all
// streams. A chunk carries those of its records, so that the WAL, read at Open,
// does not bring back what a chunk has, and so that a reader of the log has one number for
// where it is, and knows by number what is missing.
//
// # Files
//
//	records/                  0700
//	├── 00000007.wal          0600, the WAL: 8 MiB each
//	├── 00000008.wal
//	├── event-00000001.seg    segments, by class
//	├── log-00000012.seg
//	└── log-00000013.seg      being written to: no footer yet
//
// Numbers are little endian, checksums CRC32C, var is an unsigned varint, zig a
// signed one, text is var length and bytes, labels is var count and that many
// (text name, text value). docs/format/records.md has all fields.
//
//	file     ├ magic 8 ┼ version 2 ┼ 0 2 ┼ created 8 ┼ first number 8 ┼ CRC 4 ┤ …
//	WAL      … ├ magic 4 ┼ length 4 ┼ CRC 4 ┼ payload ┤ …
//	payload    kind 1, number var, groups, positions
//	  group      stream var, labels (none: as before in this file), records
//	  record     zig time difference, text line, labels metadata
//	  position   text key, text value
//	segment  … ├ chunk ┤ ├ chunk ┤ … ├ footer ┤
//	chunk      ├ header 92 ┼ labels ┼ filter ┼ times ┼ metadata ┼ text ┤
//	           └─────────── a count reads no more ──┘
//	footer     magic, CRC, size, last append, streams and their chunks; size, magic
//
// Times are differences and lengths, in as few bits as they need, and the runs of the
// records' numbers; metadata is the different
// sets and which one each record has; text is the lines one after the other.
// Each of the three is a zstd frame of its own, or plain when that is hardly
// larger, and has a checksum of its own. The filter is a bitmap of the trigrams
// in the lines, as large as they need, at most 1 KiB: a chunk that cannot hold
// the text that is looked for costs one small read.
//
// Each file of the WAL has a checkpoint, which says all positions: at its beginning,
// or, when the file before was not synced by then, as soon as it is. Until then
// the new file is left out when the one before has lost its end in a power cut,
// since its positions speak of what is missing. An old file goes when the records
// in it are in chunks that are synced, and a later one has its checkpoint; when the
// WAL has grown to 32 MiB, the heads that hold its oldest file are sealed.
//
// # Damage
//
// A torn end is cut off at Open. A damaged record of the WAL, chunk or footer is
// left out, what is behind it is found again by its magic number, and nothing is
// given out whose checksum does not fit. A segment without a footer is read
// chunk by chunk. A file of a newer version is refused with an *ErrVersion.
// All is counted, see [Store.SelfMetrics].
//
// A write that fails is taken back as a whole and returned as an error. A file
// whose sync failed is written to no more, and the WAL that may still be needed
// stays until the next Open. When chunks cannot be written the records stay in
// the WAL and in memory; when the WAL has twice its size, appends fail. So they do
// when twice that size waits for a disk that does not keep up.
//
// # Classes and retention
//
// Each class has segments of its own, and whole segments go, oldest first: when
// they were last appended to longer ago than the class's time, when all of the
// class are larger than its size, and while the file system is below its
// reserve, precious classes only below the floor. The segment that is written to
// stays. A segment ends at 64 MiB or an eighth of the class's size, and at a
// 64th of its time, between an hour and a day.
//
// # Order, memory and concurrency
//
// A cursor gives records by time, those of one time as they were appended,
// whatever order they came in: chunks are sorted when they are sealed, and those
// that overlap are merged. It holds the chunks that overlap at the moment,
// about 100 KiB each, and one open file. Records that it gives are valid until
// its next call; what a tail gives belongs to the caller. A reader of the log holds
// what it gave and one chunk. AppendRecords keeps nothing of the batch.
//
// All methods may run concurrently. The locks, in the order in which they are
// taken: Store.syncing while files are synced; Store.mu for everything but
// reading and syncing files; segment.rmu for the open file of a segment. Queries
// hold Store.mu only while they list chunks; the heads they see are snapshots.
// Sealing happens under it, by the append that fills the chunk. Nobody holds it
// while the disk syncs: a segment that has ended gets its footer from the goroutine
// that syncs each second.
// One process may have a folder open at a time; the caller sees to that.
package record
