// SPDX-License-Identifier: Apache-2.0

// Package journal reads the files of systemd's journal, without systemd.
//
//	r, err := journal.Open(journal.Options{Folders: []string{"/var/log/journal", "/run/log/journal"}})
//	r.SeekTail(100)
//	for var e journal.Entry; ; r.Wait(ctx) {
//		for r.Next(&e) {
//			…
//		}
//	}
//
// It never writes. It does not verify seals, knows no catalog, and reads no journal over
// the network, nor those of namespaces. A Reader belongs to one goroutine; what it gives of
// an entry is valid until the next one.
//
// # Files
//
// A file has a header and behind it objects, each at a multiple of 8 bytes
// (systemd.io/JOURNAL_FILE_FORMAT). All numbers are little endian.
//
//	header │ hash table of data │ hash table of fields │ data, fields, entries, arrays …
//
//	entry   sequence number, times, boot, XOR of hashes, places of its data
//	data    hash, next of this hash, first entry, first array, number of entries, NAME=value
//	array   next array, places of entries
//
// A value is stored once in a file, with a list of the entries that have it: the first one
// in the data object, the others in a chain of arrays. All entries of the file are a list,
// too. A list is in the order in which they were written, and so a place in it is found in
// steps that halve it, and what matches several values by going through their lists side
// by side: of a large journal only what matches is read.
//
// The versions since systemd 38 are read: values packed with XZ, LZ4 or Zstandard, hashes
// with the file's id as their key, and the compact form of systemd 252. A packed value, of
// 512 bytes or more, cannot be matched.
//
// # Order
//
// Entries of several files come in journalctl's order: by sequence number in one series of
// them, else by the time since one boot, else by the time. What is in two files comes once.
// Cursors are journalctl's, in both directions.
//
// # What is being written
//
// journald writes an entry, then puts it into the list of all and counts it in the header,
// and then into the lists of its values. So the newest entry is compared with the matches
// itself, and those before it are found by the lists. Files are looked at one after the
// other, and what was written meanwhile waits for the next look: no entry is passed over
// because another one was seen first. Inotify tells when to look; every 10 s is looked at
// in any case.
//
// Files are held open. One that is rotated or deleted is read to its end and then closed.
//
// # What is broken
//
// Nothing of a file is trusted: each place, size, type and number is checked against the
// file, chains lead only forward, and a value must have its hash. An entry that is broken
// is passed over, of an entry a field that is broken is left out, and a list ends where it
// is broken; all of it is counted. A file without a right header is left out, until it
// changes.
//
// Files are read, never mapped: one that becomes shorter meanwhile ends no process.
package journal
