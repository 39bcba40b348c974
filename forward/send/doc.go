// SPDX-License-Identifier: Apache-2.0

// Package send is what forwarders have in common. How they post over HTTP: a client for one
// destination, what its answers mean, and how long to wait before the next try. How they
// read what is to be sent, and count what becomes of it.
//
//	c, err := send.New(send.Options{URL: "https://loki/loki/api/v1/push", BearerFile: "/run/secrets/loki"})
//	line := send.NewLine(c, send.LineOptions{Log: log})
//	answer, err := line.Send(ctx, send.Request{Body: packed, Header: header}, 5*time.Minute)
//
// A [Client] posts once. It follows no redirect, since who answers with one is not whom
// the settings name; it speaks plain HTTP to another machine only when it is told to; a
// certificate is checked by the system's authorities, by those of a file, or by its own
// fingerprint. Files of secrets are read again before each request. Nothing of an
// address but its host is in an error, and secrets are taken out of what the other side
// answers, which is data and may be anything.
//
// [Classify] says what an answer means:
//
//	2xx                       Done
//	none, 408, 425, 429, 5xx  Retry, after Retry-After if it says so
//	3xx, 401, 403, 404, 405, 407
//	                          Hold: it is not the data's fault; again each minute
//	413                       Split: half of it may pass
//	other 4xx                 Refuse: never again
//
// A [Line] posts one request at a time until the answer is no Retry and no Hold, with
// pauses from 0.2 s, doubling, to 30 s, give or take a fifth. A success halves the next
// pause, so that a server that comes back is not stormed. With a patience it gives up on
// a request that the other side answered with Retry for so long: the request may be the
// reason.
//
// # What is sent
//
// A [RecordSender] reads records behind a mark in their store, a [SampleSender] samples
// behind a cursor in the spool; what becomes of them is the matter of a sink, which is the
// format of one kind of destination:
//
//	store ─► RecordSender ─► RecordSink ─► Deliverer ─► Line ─► Client
//	spool ─► SampleSender ─► SampleSink ─┘
//
// A [Deliverer] sends items until each was taken or refused: it makes parts of what is too
// large, and looks for the one that a destination fails for. A [Ledger] counts: read =
// sent + refused + in flight. A [Size] is how large requests are: half as large after a
// 413, and an eighth larger after each 32 that passed.
//
// The mark moves when all of a part was taken or refused. So a kill loses nothing, and what
// was under way comes again. When the mark itself is lost, it begins with what comes, and
// says so.
//
// A Client and a Ledger may be used concurrently, a Line, a Deliverer
// and a sender by one goroutine; their State, Stats and SelfMetrics by any.
package send
