// SPDX-License-Identifier: Apache-2.0

// Package services runs service plugins: it looks into each container that starts, has it
// decided which plugins fit, and runs an instance of each until the container ends.
//
//	discovery ─► Services ─ examine: engine's document, processes, sockets ─► choose
//	                 │
//	                 └─ instance ─ pending ─► up ⇄ down, auth ─► the rounds (attach)
//
// Services is a poller of the collector: each instance has a goroutine of its own, a
// deadline, and a pause that grows while it fails. What it gives stands in the rounds as
// long as it is up; when it is down plugin_up says so and all else ends.
//
// # Looks
//
// A container is looked at when it starts, then after five seconds, when what it runs
// listens, and again within minutes, since some start slowly. What a look finds beside the
// first is added. A look asks the engine once for each life of the container, and no port.
//
// # Limits
//
// Instances per container and host, series of an instance, labels and their length, scrapes
// at a time, and series that come and go: an instance that makes too many new ones is
// left alone for an hour. What is over a limit is counted and said.
//
// # Trust
//
// Who asked for an instance decides what it may do; see [Trust] and the package inside.
package services
