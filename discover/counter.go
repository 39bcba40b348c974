// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"sync/atomic"

	"tallyman"
)

// reason is why an event was not told.
type reason int

const (
	duplicate   reason = iota // the replay after a reconnect
	healthCheck               // an exec of the container's own health check
	disabledOne               // the container has tallyman.enable=false
	overflow                  // the queue was full; an inventory follows
	invalid                   // no type, or an actor that is no id
	toldBefore                // it had been inferred before it came
	beforeStart               // it happened before the engine was first seen
	numReasons
)

func (r reason) String() string {
	return [...]string{"duplicate", "health_check", "disabled", "overflow", "invalid", "inferred_before", "before_start"}[r]
}

// counters are the numbers of one engine. All only grow.
type counters struct {
	seen, told, inferred        atomic.Uint64
	dropped                     [numReasons]atomic.Uint64
	reconnects, gaps            atomic.Uint64
	reconciles, reconcileErrors atomic.Uint64
}

func (c *counters) drop(r reason) { c.dropped[r].Add(1) }

// Counters yields discovery's own numbers. The keys are fixed, every value is a
// count since New, and each has the label engine beside those named here:
//
//	events_seen          events read from the engines
//	events_told          events given to the observers, inferred ones too
//	events_dropped       events not given to them {reason: duplicate, health_check,
//	                     disabled, overflow, invalid, inferred_before,
//	                     before_start}
//	events_inferred      events that follow from two inventories
//	stream_reconnects    event streams opened after the first
//	stream_gaps          times when events were lost for certain
//	reconciles           inventories taken {result: ok, error}
//	inventory_write_errors  failed writes of the inventory file (no label engine)
//	calls                requests made {call: ping, info, list, inspect, events}
//
// seen = told − inferred − own + Σ dropped once the queue is empty, where own are
// the events of type engine and tallyman.
func (d *Discovery) Counters(yield func(key string, labels []tallyman.Label, v float64)) {
	for _, e := range d.engines {
		engine := tallyman.Label{Name: "engine", Value: e.name}
		one := func(key string, v uint64) { yield(key, []tallyman.Label{engine}, float64(v)) }
		two := func(key, name, value string, v uint64) {
			l := []tallyman.Label{engine, {Name: name, Value: value}}
			tallyman.SortLabels(l)
			yield(key, l, float64(v))
		}
		c := &e.count
		one("events_seen", c.seen.Load())
		one("events_told", c.told.Load())
		for r := range numReasons {
			two("events_dropped", "reason", r.String(), c.dropped[r].Load())
		}
		one("events_inferred", c.inferred.Load())
		one("stream_reconnects", c.reconnects.Load())
		one("stream_gaps", c.gaps.Load())
		two("reconciles", "result", "ok", c.reconciles.Load())
		two("reconciles", "result", "error", c.reconcileErrors.Load())
		e.client.Calls(func(call string, n uint64) { two("calls", "call", call, n) })
	}
	yield("inventory_write_errors", nil, float64(d.store.errors.Load()))
}
