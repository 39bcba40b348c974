// SPDX-License-Identifier: Apache-2.0

// Package logrule is what a user asks for the lines of a log before they are
// stored: secrets taken out, lines put together to entries, another way to tell
// the level; and which files inside a container are logs.
//
// Rules come from two places. A rule of the configuration says which containers
// or units it is for. A container says it by its labels:
//
//	tallyman.logs           paths or patterns of files, with , or ; between
//	tallyman.logs.start     what the first line of an entry looks like
//	tallyman.logs.level     where the level stands: its first group
//	tallyman.logs.redact    what is taken out; tallyman.logs.redact.<word> for more
//
// Each pattern has a label of its own, so that it may hold any character. All
// that fit a container are put together: files and redactions add up, of start
// and level the container's own wins, then the first rule. All of these are off
// unless asked for, and then a log costs nothing more.
//
// Patterns are RE2 (package regexp): their work is linear in the line, and they
// may have 512 bytes. A redaction takes out its groups, or all that it matches
// when it has none. The word secrets in place of a pattern stands for what
// tallyman knows to be a secret by its look or its name (package redact).
//
// A redaction that is no pattern makes the log unreadable rather than readable
// for all: see [Book.Container].
//
// # Entries
//
// A line that does not begin an entry belongs to the one before. An entry is
// stored as one record, with line feeds between its lines. It is over when the
// next one begins, when [Wait] has gone by without a line, when it has
// [MaxLines] lines or [MaxBytes], or when the file that it is in was rotated away
// and read to its end; what follows then is a record of its own, so nothing is
// left out. Until it is over, the position of its log stays before
// it, so that after a crash it is read once more.
//
// A [Rule] and a [Book] may be used concurrently, an [Entry] may not.
package logrule
