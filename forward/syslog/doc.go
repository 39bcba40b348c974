// SPDX-License-Identifier: Apache-2.0

// Package syslog sends records on to a syslog server: RFC 5424 over TCP or TLS, each message
// with its length before it (RFC 6587, RFC 5425), so that a text may hold anything.
//
//	o := send.RecordOptions{Name: "logs", Log: records}
//	s, err := syslog.New(syslog.Options{RecordOptions: o, URL: "tls://logs:6514", Host: "web-1"})
//	err = s.Run(ctx)
//
// # Messages
//
//	<14>1 2026-11-29T10:00:00.000000Z web-1 api - container [tallyman@32473 stream="stdout" image="api:7"] ready
//
// Host, app-name and msgid are the labels host, name and source; the facility is user, the
// severity follows the label level, else err for what was written to stderr and info for the
// rest. The other labels and the metadata are parameters. 32473 is the number that RFC 5612
// leaves to examples. In host, app-name and msgid other characters than ! to ~ become an
// underscore, and they end after 255, 48 and 32. A line over 64 KiB is cut and marked;
// rsyslog takes 8 KiB of a message without $MaxMessageSize.
//
// # What is confirmed
//
// TCP has no receipt: what was written may lie in a buffer when the other side dies. So what
// was written stays in memory until 2 MiB more were, and is written again over the next
// connection. When nothing came for three seconds, when something lies there for half a minute,
// and at the end, tallyman ends its side of the connection: a server that has read all
// ends the other one, and that is a receipt. A server that does not do so within five seconds is not
// asked again; there what was written a minute ago counts as taken.
//
// So each record comes at least once, in order; after a break up to 3 MiB come twice, and after a
// kill of tallyman what was written since the last receipt. In any run, read = sent + in
// flight.
package syslog
