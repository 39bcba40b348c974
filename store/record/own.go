// SPDX-License-Identifier: Apache-2.0

package record

import (
	"sync/atomic"
	"time"

	"tallyman"
)

// counts are read without the lock, by whoever shows them.
type counts struct {
	records, text, chunks, refused atomic.Uint64
	torn, corruptWAL               atomic.Uint64
	corruptChunks, slowTails       atomic.Uint64
	expiredSegments                [reasons]atomic.Uint64
	expiredRecords, expiredBytes   [reasons]atomic.Uint64
	writeErrors, syncErrors        atomic.Uint64
	readErrors, packFailures       atomic.Uint64
	streamMemory, heads, segments  atomic.Int64
	segmentBytes, walBytes         atomic.Int64
}

// SelfMetrics are the store's own numbers; the counters count since Open.
func (s *Store) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	gauge := func(v *atomic.Int64) func() float64 { return func() float64 { return float64(v.Load()) } }
	with := func(name, value string) []tallyman.Label { return []tallyman.Label{{Name: name, Value: value}} }
	c := &s.count
	m := []tallyman.SelfMetric{
		{Desc: appendedRecords, Read: read(&c.records)},
		{Desc: appendedText, Read: read(&c.text)},
		{Desc: sealedChunks, Read: read(&c.chunks)},
		{Desc: refusedRecords, Read: read(&c.refused)},
		{Desc: tailDropped, Read: read(&c.slowTails)},
		{Desc: damage, Labels: with("damage", "torn"), Read: read(&c.torn)},
		{Desc: damage, Labels: with("damage", "log"), Read: read(&c.corruptWAL)},
		{Desc: damage, Labels: with("damage", "chunk"), Read: read(&c.corruptChunks)},
		{Desc: diskErrors, Labels: with("op", "write"), Read: read(&c.writeErrors)},
		{Desc: diskErrors, Labels: with("op", "sync"), Read: read(&c.syncErrors)},
		{Desc: diskErrors, Labels: with("op", "read"), Read: read(&c.readErrors)},
		{Desc: packFailures, Read: read(&c.packFailures)},
		{Desc: streamBytes, Read: gauge(&c.streamMemory)},
		{Desc: openChunks, Read: gauge(&c.heads)},
		{Desc: storeSegments, Read: gauge(&c.segments)},
		{Desc: storeBytes, Labels: with("part", "segments"), Read: gauge(&c.segmentBytes)},
		{Desc: storeBytes, Labels: with("part", "log"), Read: gauge(&c.walBytes)},
	}
	for _, sh := range s.shares {
		m = append(m,
			tallyman.SelfMetric{Desc: storeStreams, Labels: with("share", sh.Name), Read: gauge(&sh.streams)},
			tallyman.SelfMetric{Desc: overflowed, Labels: with("share", sh.Name), Read: read(&sh.records)})
	}
	for i, reason := range [reasons]string{"age", "size", "space"} {
		m = append(m,
			tallyman.SelfMetric{Desc: expiredSegments, Labels: with("reason", reason), Read: read(&c.expiredSegments[i])},
			tallyman.SelfMetric{Desc: expiredRecords, Labels: with("reason", reason), Read: read(&c.expiredRecords[i])},
			tallyman.SelfMetric{Desc: expiredBytes, Labels: with("reason", reason), Read: read(&c.expiredBytes[i])})
	}
	return m
}

// The metrics of the store.
var (
	appendedRecords = counter("tallyman_record_store_appended_total", "", "Records stored")
	appendedText    = counter("tallyman_record_store_text_bytes_total", "bytes", "Text of the records stored")
	sealedChunks    = counter("tallyman_record_store_chunks_total", "", "Chunks written to segments")
	refusedRecords  = counter("tallyman_record_store_refused_total", "", "Records refused because they were over a limit, or their labels are none")
	overflowed      = counter("tallyman_record_store_overflowed_total", "", "Records of new streams that were kept together because there are too many streams, by share")
	tailDropped     = counter("tallyman_record_store_tail_dropped_total", "", "Records that a reader who follows was too slow for")
	damage          = counter("tallyman_record_store_damaged_total", "", "Torn ends cut off, damaged records of the WAL and damaged chunks left out")
	expiredSegments = counter("tallyman_record_store_expired_segments_total", "", "Segments removed by the retention, by reason")
	expiredRecords  = counter("tallyman_record_store_expired_records_total", "", "Records removed by the retention, by reason")
	expiredBytes    = counter("tallyman_record_store_expired_bytes_total", "bytes", "Size of the segments removed by the retention, by reason")
	diskErrors      = counter("tallyman_record_store_errors_total", "", "Failed disk operations, by operation")
	packFailures    = counter("tallyman_record_store_compression_failures_total", "", "Parts of chunks stored plain since the compression failed")
	storeStreams    = gauge("tallyman_record_store_streams", "", "Streams that have records, by share")
	streamBytes     = gauge("tallyman_record_store_stream_memory_bytes", "bytes", "About how much memory the streams take")
	openChunks      = gauge("tallyman_record_store_open_chunks", "", "Streams with records that no chunk has yet")
	storeSegments   = gauge("tallyman_record_store_segments", "", "Segments of the record store")
	storeBytes      = gauge("tallyman_record_store_bytes", "bytes", "Size of the record store, by part")
)

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Unit: unit, Type: tallyman.Counter}
}

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: name, Help: help, Unit: unit, Type: tallyman.Gauge}
}

// Size is what the files take, in bytes.
func (s *Store) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.walSize()
	for _, c := range s.classes {
		n += c.size()
	}
	return n
}

func (c *class) size() (n int64) {
	for _, g := range c.segments {
		n += g.size
	}
	return n
}

// ClassSize is what the segments of a class take, in bytes. The WAL belongs to
// all classes and is not counted.
func (s *Store) ClassSize(name string) (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.classes {
		if c.Name == name {
			n += c.size()
		}
	}
	return n
}

// Oldest is the time of a class's oldest record, zero without any.
func (s *Store) Oldest(class string) time.Time {
	first, _, some := s.ends(class)
	if !some {
		return time.Time{}
	}
	return timeOf(first)
}

// Newest is the time of a class's newest record, zero without any.
func (s *Store) Newest(class string) time.Time {
	_, last, some := s.ends(class)
	if !some {
		return time.Time{}
	}
	return timeOf(last)
}

func (s *Store) ends(class string) (first, last int64, some bool) {
	cover := func(from, to int64) {
		if !some {
			first, last, some = from, to, true
		}
		first, last = min(first, from), max(last, to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.all(func(st *stream) {
		if st.class.Name != class {
			return
		}
		for i := range st.chunks {
			cover(st.chunks[i].min, st.chunks[i].max)
		}
		if st.head != nil {
			cover(st.head.min, st.head.max)
		}
	})
	return first, last, some
}
