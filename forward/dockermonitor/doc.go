// SPDX-License-Identifier: Apache-2.0

// Package dockermonitor tells the states of containers in the form of docker-monitor's
// alarms, for an alarm manager that knows those:
//
//	{"namespace":"dojot.docker.container","domain":"docker container status change",
//	 "eventTimestamp":"2026-11-28T15:16:21.101Z","description":"container went down","severity":"Major",
//	 "primarySubject":{"container":"api","image":"shop/api:1.2"},
//	 "additionalData":{"exitCode":"3","imageId":"sha256:…"}}
//
//	event     severity  description                         exitCode
//	die       Major     container went down                 "3", "NA" when nobody knows it
//	stop      Major     container went down                 "NA"
//	start     Clear     container went up                   "NA"
//	pause     Major     container processes were paused     "NA"
//	unpause   Clear     container processes were unpaused   "NA"
//
// Each event is a message, whether somebody asked for it or not: this is a stream of its
// own, apart from the alarms of package alert. There are no other members. An image that
// is not known is "Unknown", and so is its id.
//
// A [Stream] takes events and puts messages into a queue; sending them is the business of
// whoever takes them out.
//
//	bus ──► ObserveEvent ──► Run ──► queue ──► AMQP, webhook
//	                          ▲
//	        event store ──────┘ at the start: what the queue has not
//
// # What a Clear carries
//
// The receiving side finds the alarm to end by domain and subject. So the Clear of a
// container carries the image of the Major before it, even if a container of that name
// was made anew with another image meanwhile.
//
// # Alignment
//
// Some time after each start, when an engine was asked for its containers for the first
// time, the state of each container is told once: running as went up, paused, and exited
// as went down, with the time since when. Those messages have the flag queue.Alignment.
//
// # What is promised
//
// What the event store has gets into the queue: at the start, and after more events came
// at once than memory holds, events are taken from the store that are newer than the
// newest in the queue, less five minutes; those whose id is among the newest 1,000 in the
// queue are left out. The id of a message is that of its event, so a receiver knows what
// comes twice. The order is that of the events. While the disk takes nothing events wait,
// and are counted when too many do.
package dockermonitor
