// SPDX-License-Identifier: Apache-2.0

package event

import (
	"sync/atomic"

	"tallyman"
)

// counts are read without the lock, by whoever shows them.
type counts struct {
	appended, duplicates, torn, corrupt atomic.Uint64
	expiredFiles, expiredBytes          atomic.Uint64
	writeErrors, syncErrors, readErrors atomic.Uint64
	files, bytes                        atomic.Int64
}

// Own are the store's own numbers; the counters count since Open.
func (s *Store) Own() []tallyman.OwnMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	with := func(name, value string) []tallyman.Label { return []tallyman.Label{{Name: name, Value: value}} }
	c := &s.count
	return []tallyman.OwnMetric{
		{Desc: appendedEvents, Read: read(&c.appended)},
		{Desc: skippedEvents, Read: read(&c.duplicates)},
		{Desc: damagedLines, Labels: with("damage", "torn"), Read: read(&c.torn)},
		{Desc: damagedLines, Labels: with("damage", "corrupt"), Read: read(&c.corrupt)},
		{Desc: expiredFiles, Read: read(&c.expiredFiles)},
		{Desc: expiredBytes, Read: read(&c.expiredBytes)},
		{Desc: diskErrors, Labels: with("op", "write"), Read: read(&c.writeErrors)},
		{Desc: diskErrors, Labels: with("op", "sync"), Read: read(&c.syncErrors)},
		{Desc: diskErrors, Labels: with("op", "read"), Read: read(&c.readErrors)},
		{Desc: storeFiles, Read: func() float64 { return float64(c.files.Load()) }},
		{Desc: storeBytes, Read: func() float64 { return float64(c.bytes.Load()) }},
	}
}

// The metrics of the store.
var (
	appendedEvents = counter("tallyman_event_store_appended_total", "", "Events stored")
	skippedEvents  = counter("tallyman_event_store_duplicates_total", "", "Events skipped because they were stored already")
	damagedLines   = counter("tallyman_event_store_damaged_lines_total", "", "Lines cut off or skipped, by damage")
	expiredFiles   = counter("tallyman_event_store_expired_files_total", "", "Files removed by the retention")
	expiredBytes   = counter("tallyman_event_store_expired_bytes_total", "bytes", "Size of the files removed by the retention")
	diskErrors     = counter("tallyman_event_store_errors_total", "", "Failed disk operations, by operation")
	storeFiles     = &tallyman.Desc{Name: "tallyman_event_store_files", Help: "Files of the event store", Type: tallyman.Gauge}
	storeBytes     = &tallyman.Desc{Name: "tallyman_event_store_bytes", Help: "Size of the event store", Unit: "bytes", Type: tallyman.Gauge}
)

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Unit: unit, Type: tallyman.Counter}
}
