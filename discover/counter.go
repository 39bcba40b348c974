// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"sync/atomic"

	"tallyman"
	"tallyman/internal/dockerapi"
)

// reason is why an event was not told.
type reason int

const (
	duplicate   reason = iota // the replay after a reconnect
	healthCheck               // an exec of the container's own health check
	disabledOne               // the container is listed and nothing else
	overflow                  // the queue was full; an inventory follows
	invalid                   // no type, or an actor that is no id
	toldBefore                // it had been inferred before it came
	beforeStart               // it happened before the engine was first seen
	ownCommand                // an exec of tallyman's own
	numReasons
)

func (r reason) String() string {
	return [...]string{"duplicate", "health_check", "disabled", "overflow", "invalid", "inferred_before", "before_start", "own_command"}[r]
}

// counters are the numbers of one engine. All only grow.
type counters struct {
	seen, told, inferred, ooms  atomic.Uint64
	dropped                     [numReasons]atomic.Uint64
	reconnects, gaps            atomic.Uint64
	reconciles, reconcileErrors atomic.Uint64
}

func (c *counters) drop(r reason) { c.dropped[r].Add(1) }

// The metrics of discovery.
var (
	seenEvents       = counter("tallyman_engine_events_total", "Events read from the engines")
	toldEvents       = counter("tallyman_discover_events_total", "Events given to the rest of tallyman")
	droppedEvents    = counter("tallyman_discover_events_dropped_total", "Events not given to the rest of tallyman, by reason")
	inferredEvents   = counter("tallyman_discover_events_inferred_total", "Events that nobody saw and that follow from two inventories")
	streamReconnects = counter("tallyman_discover_reconnects_total", "Event streams opened after the first")
	streamGaps       = counter("tallyman_discover_gaps_total", "Times when events of the engine were lost for certain")
	inventories      = counter("tallyman_discover_reconciles_total", "Inventories taken, by result")
	engineCalls      = counter("tallyman_engine_calls_total", "Requests made to the engine, by call")
	inventoryErrors  = counter("tallyman_discover_inventory_write_errors_total", "Failed writes of the inventory file")
)

func counter(name, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Type: tallyman.Counter}
}

// SelfMetrics are discovery's own numbers, all counted since New. Once the queue is
// empty, what was seen is what was told, without inferred events and those of
// the types engine and tallyman, and what was dropped.
func (d *Discovery) SelfMetrics() []tallyman.SelfMetric {
	var own []tallyman.SelfMetric
	for _, e := range d.engines {
		add := func(desc *tallyman.Desc, read func() uint64, labels ...tallyman.Label) {
			labels = append(labels, tallyman.Label{Name: "engine", Value: e.name})
			tallyman.SortLabels(labels)
			own = append(own, tallyman.SelfMetric{Desc: desc, Labels: labels, Read: func() float64 { return float64(read()) }})
		}
		c := &e.count
		add(seenEvents, c.seen.Load)
		add(toldEvents, c.told.Load)
		for r := range numReasons {
			add(droppedEvents, c.dropped[r].Load, tallyman.Label{Name: "reason", Value: r.String()})
		}
		add(inferredEvents, c.inferred.Load)
		add(streamReconnects, c.reconnects.Load)
		add(streamGaps, c.gaps.Load)
		add(inventories, c.reconciles.Load, tallyman.Label{Name: "result", Value: "ok"})
		add(inventories, c.reconcileErrors.Load, tallyman.Label{Name: "result", Value: "error"})
		for _, call := range dockerapi.Calls() {
			add(engineCalls, func() uint64 { return e.client.Count(call) }, tallyman.Label{Name: "call", Value: call.String()})
		}
	}
	return append(own, tallyman.SelfMetric{Desc: inventoryErrors, Read: func() float64 { return float64(d.store.errors.Load()) }})
}
