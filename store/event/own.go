// SPDX-License-Identifier: Apache-2.0

package event

import (
	"sync/atomic"

	"tallyman"
)

// counts are read without the lock, by whoever shows them.
type counts struct {
	appended, duplicates, imported atomic.Uint64
	refused                        atomic.Uint64
	torn, corrupt, foreign         atomic.Uint64
}

// SelfMetrics are the store's own numbers, counted since Open. What the disk does is told
// by the record store.
func (s *Store) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	with := func(name, value string) []tallyman.Label { return []tallyman.Label{{Name: name, Value: value}} }
	c := &s.count
	return []tallyman.SelfMetric{
		{Desc: appendedEvents, Read: read(&c.appended)},
		{Desc: refusedEvents, Read: read(&c.refused)},
		{Desc: skippedEvents, Read: read(&c.duplicates)},
		{Desc: importedEvents, Read: read(&c.imported)},
		{Desc: damagedLines, Labels: with("damage", "torn"), Read: read(&c.torn)},
		{Desc: damagedLines, Labels: with("damage", "corrupt"), Read: read(&c.corrupt)},
		{Desc: damagedLines, Labels: with("damage", "foreign"), Read: read(&c.foreign)},
	}
}

// The metrics of the store.
var (
	appendedEvents = counter("tallyman_event_store_appended_total", "Events stored")
	refusedEvents  = counter("tallyman_event_store_refused_total", "Events that the record store refused for good")
	skippedEvents  = counter("tallyman_event_store_duplicates_total", "Events skipped because they were stored already")
	importedEvents = counter("tallyman_event_store_imported_total", "Events of an earlier version brought into the record store")
	damagedLines   = counter("tallyman_event_store_damaged_lines_total", "Lines left out: torn or corrupt ones of an earlier version, and records that are no events, each time they are read")
)

func counter(name, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Type: tallyman.Counter}
}
