// SPDX-License-Identifier: Apache-2.0

// Package discover knows which engines and containers there are, and tells
// everybody else what changes. It implements [tallyman.Inventory] and feeds
// observers.
//
//	d, err := discover.New(discover.Options{Host: "a", DataDir: "/var/lib/tallyman", Log: log})
//	d.ObserveContainers(supervisor)
//	d.ObserveEvents(bus)
//	err = d.Run(ctx) // until ctx is done
//
// It asks the engine and reads nothing else of the host; numbers, logs and
// configurations are the business of the sources.
//
// # Events are hints
//
// An engine remembers 256 events, in memory, and drops a reader that is slow.
// So the truth is the inventory, a list and an inspection of each container:
// at the start, when a stream of events begins, after every gap, and every 60 s.
// Between two of them events say what to look at again; each container that
// events speak of is inspected once for all events that wait.
//
//	        pinger ──────────────┐ every 5 s
//	                             ▼
//	event ──► reader ──► queue ──► loop ──► observers
//	stream              (4,096)   │  ▲
//	                              ▼  │
//	                    list, inspect (one at a time, beside the loop)
//
// The loop is one goroutine per engine. It alone changes the state and calls
// the observers, in order; a changed container is told before the event that
// speaks of it. The reader never waits: what does not fit into the queue is
// dropped, counted and followed by an inventory. A stalled engine stalls the
// requests, not the loop.
//
// A stream is opened before the list is asked for, from a second before the
// newest event that was told; what comes again is dropped by its time, type,
// action, actor and exec id. If that newest event does not come again, the
// engine has forgotten what came after it: an event of type "tallyman" and
// action "gap" says from when to when.
//
// # Inference
//
// What an inventory shows and no event told is told as an event marked
// Inferred: creation, start, death, pause, rename and end, also those of the
// time when tallyman did not run. The base is what was known at the inventory
// before; starts and deaths since are kept as marks. From the difference,
// with RestartCount, follows how many deaths are missing, and from the state when
// the last one was and with which code. Where only the latest possible time is
// known, the attribute time says so; a code that nobody knows is left out.
//
// Inference waits two seconds after the inventory and until the queue is empty,
// so that real events have come. One that comes later still is dropped and
// counted. Ids of inferred events are made of the evidence, so the same
// death has the same id if tallyman is killed before it noted that it told.
// The first inventory ever is the ground and infers nothing.
//
// # What strangers wrote
//
// Names, labels and commands are input from strangers. The engine puts all
// labels among the attributes of an event, over its own: a label "exitCode"
// replaces the exit code. Events therefore have only the attributes of a list;
// an exit code comes from the inspection when that shows this death, else
// from the attribute if the container has no label of that name. Secrets are
// removed from commands and label values by package redact. Texts are cut: names
// to 256 bytes, attribute values and arguments to 1 KiB, label values to 16 KiB; at
// most 256 labels, arguments, ports, networks and mounts each.
//
// Execs of a container's own health check are dropped and counted; of a
// container with the label tallyman.enable=false, or that the settings include
// and exclude leave out, all events.
//
// # Engines
//
// An engine is down when a ping is refused, gets an error, or takes longer
// than 5 s; each change is an event of type "engine", "up" or "down". Its
// containers stay as last known. Pings of an engine that is down come after 0.5 s,
// 1 s … 5 s.
//
// # On disk
//
// DataDir/inventory.json (0600) holds what a restart needs: per engine the
// containers, gone ones for 7 days and at most 2,000, what was told of each, and
// the position in the event stream with the keys of the last 512 events. It is
// written to a new file, synced and renamed, within a second of a change, less
// often when writing takes long; the position alone every 30 s. A file that
// cannot be read is renamed to inventory.json.bad.
//
//	{"version":1,"saved":"…","engines":[{"name":"local","up":true,"listed":"…","lastEvent":"…",
//	  "lastKey":"…","keys":["…"],"containers":[{"container":{…},"life":{"base":{…},"marks":[…]},…}]}]}
//
// # Concurrency
//
// All methods of Discovery may run concurrently, Observe before Run. What they
// return is shared and must not be changed. Observers are called without a
// lock held and may call the inventory.
package discover
