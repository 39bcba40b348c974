// SPDX-License-Identifier: Apache-2.0

// Package route decides who is told of an alarm, when, and how often: Alertmanager's
// packages, embedded.
//
//	Put ──► alerts ──► dispatcher ──► silences, quiet hours ──► notification log ──► receivers
//	                                        │                         │            (alert/notify)
//	                                        └────── alert/book ───────┘
//
// # Configuration
//
// Each line is a receiver with a route of its own, so that a slow one delays no other.
// Alarms of a host and project are one message; the first after 5 seconds, changes each
// minute, the same again after 24 hours, critical ones after 4. Severity info goes to
// nobody. A file in Alertmanager's own format comes after the lines, and holds as it
// would there, but for tracing and event_recorder, which are not read.
//
// # State
//
// Alertmanager writes its notification log and its silences every 15 minutes, and sends
// again what it sent before a kill. Here each entry is in the book before it counts, and
// Alertmanager's snapshots are not used:
//
//	Notified      log/<hash>   an entry of the notification log, as Alertmanager encodes it
//	              try/<hash>   the same, while it is sent
//	              ended/<hash> an alarm that ended, until all who were told of it know
//	Silences      <id>         a silence, as Alertmanager encodes it
//	Acknowledged  <id>         when
//	Receivers     salt, state/<name>
//
// What is killed between a receiver's answer and the write is sent once more, with the
// same X-Tallyman-Notification header; if it has ended meanwhile, its end is sent. An alarm that ends while it is silenced, in quiet
// hours or while nobody runs, is reported as ended when it can be; Alertmanager forgets
// those.
//
// # Order
//
// [New] reads everything and starts nothing. What is Put before [Router.Run] is there
// before the first message is made: else of a group of two, of which one has ended, the
// message would be that all have.
//
// # Concurrency
//
// All of it may be used concurrently.
package route
