// SPDX-License-Identifier: Apache-2.0

// Package amqp sends the messages of a queue to a RabbitMQ, or another broker that speaks
// AMQP 0-9-1, and takes them out when the broker has confirmed them:
//
//	p, err := amqp.New(amqp.Options{URL: "amqps://user:pass@host/vhost", Exchange: "alarms.exchange", RoutingKey: "alarms", Queue: q})
//	err = p.Run(ctx)
//
// It knows nothing of what a message says.
//
// # On the wire
//
// The exchange is declared: direct and durable. A queue is declared and bound only if a
// name for it is given, as else it is the consumer's. Each message is persistent and
// mandatory, its type is application/json, its message-id the id in the queue, its
// timestamp that of what it tells; a message with the flag queue.Alignment has the header
// x-tallyman-alignment: true.
//
// # What is promised
//
// A message leaves the queue when the broker has confirmed it and has not returned it as
// one that no queue is bound for: with confirms alone a broker confirms such a one and
// drops it. At most 32 are under way. When one is not taken the others under way are
// waited for, and after a pause, 1 s and doubling to 30 s, all from that one on are sent
// again, in order and one at a time until one is taken. After a cut the same happens over
// a new connection. So a receiver may see a message twice, with the same id, and the last
// one that it sees of a container is the last that there was.
//
// # Times
//
// To connect may take 5 s, the handshake as long again; heartbeats go each 10 s unless
// the address says otherwise; a write may take 30 s, a confirmation 2 min unless the
// broker says that it takes nothing for now.
//
// # Secrets
//
// User and password of the address are in no error and no log line of this package.
//
// # Concurrency
//
// Run is one goroutine beside those of the library, and ends with all of them; State and
// the metrics may be asked at any time.
package amqp
