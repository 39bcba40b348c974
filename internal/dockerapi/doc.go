// SPDX-License-Identifier: Apache-2.0

// Package dockerapi asks a Docker engine. The one thing that it does beside is to run a
// command in a container ([Client.Exec]). It is the only package that imports the engine's
// client library; what leaves it are types of its own with the fields that
// tallyman uses.
//
//	c, err := dockerapi.New("unix:///var/run/docker.sock", dockerapi.Options{})
//	ping, err := c.Ping(ctx)
//	list, err := c.List(ctx)
//	details, err := c.Inspect(ctx, list[0].ID)
//	stream, err := c.Events(ctx, dockerapi.Moment(t))
//	for {
//		e, err := stream.Next()
//		…
//	}
//
// # What is sent
//
// These and no others: HEAD and GET /_ping, GET /info, GET /containers/json,
// GET /containers/{id}/json, GET /containers/{id}/stats, GET /images/{id}/json, GET /events,
// POST /containers/{id}/exec, POST /exec/{id}/start and GET /exec/{id}/json. The transport refuses any other
// method or path, so a mistake in this package or in the library cannot turn
// into a request. An id must match ^[0-9a-f]{12,64}$ before a URL is built
// from it, that of an image ^sha256:[0-9a-f]{64}$. Redirects are errors, never followed. Proxy settings of the
// environment are not read. The API version is negotiated (1.40 and later).
//
// # What is read
//
// The library builds the requests, negotiates and words the errors; the bodies
// of list, inspect, stats and info are decoded here, in the transport, with the few
// fields that are used. The library's own types would refuse the whole list for
// one odd address of one container, and keep every body twice. [Client.Document] and [Client.Image]
// give the body as it came. Each body is
// bounded ([MaxAnswer], [MaxEvent] for one event); a longer one is an error.
//
// # Errors
//
// An error of a call is an [*Error] with a [Failure]: the engine refused the
// connection, was too slow (the deadline of the context, or the stream's
// [HeaderTimeout]), or answered with an error, whose text is kept. [ErrNotFound]
// and [ErrCanceled] are found by errors.Is.
//
// # Concurrency
//
// A Client may be used by many goroutines. A Stream belongs to one; Close may
// be called by any. Nothing runs in the background but the reader of an open
// stream, which ends with it.
package dockerapi
