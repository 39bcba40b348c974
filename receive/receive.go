// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tallyman"
)

// Limits of one agent. What is 0 is the default.
type Limits struct {
	Series  int // at a time: 20,000
	Streams int // at a time: 2,000
	Bytes   int // packed, in a second on the average: 1 MB
}

// maxSeries is how many series all agents may have: past that, an engine is better than a
// hub.
const maxSeries = 100_000

// burst is for how many seconds an agent may send in advance.
const burst = 16

// ahead is how far a clock may be ahead of the hub's.
const ahead = 10 * time.Minute

// Options are what a service is made of.
type Options struct {
	// Host is the hub's own, of which nobody else writes.
	Host string
	// Store keeps the samples, Records the records.
	Store   tallyman.RemoteStore
	Records func(*tallyman.RecordBatch) error
	// Heard is told of each request of an agent that was taken, and Stored of records that are
	// stored; nil for nobody.
	Heard  func(host string)
	Stored func(host string, b *tallyman.RecordBatch)
	// Shows reports whether the latest value of a metric is wanted, see Latest; nil for none.
	Shows  func(metric string) bool
	Limits Limits
	Log    *slog.Logger

	now func() time.Time
}

// Service takes what agents send.
type Service struct {
	o Options

	mu     sync.Mutex
	agents map[string]*agent

	series                    atomic.Int64
	received, stored, failed  atomic.Uint64
	records, storedRecords    atomic.Uint64
	refused, refusedOfRecords map[string]*atomic.Uint64
	late                      atomic.Uint64
}

// Why something is refused.
const (
	foreignHost = "foreign_host"
	badLabels   = "labels"
	tooNew      = "too_new"
	tooMany     = "series_limit"
	histograms  = "histogram"
	audit       = "audit"
	manyStreams = "stream_limit"
	badRecord   = "bad"
)

// The reasons of samples and of records.
var (
	sampleReasons = []string{foreignHost, badLabels, tooNew, tooMany, histograms, tallyman.RemoteTooOld, tallyman.RemoteRepeated, tallyman.RemoteOrder}
	recordReasons = []string{foreignHost, audit, tooNew, manyStreams, badRecord}
)

// New makes a service.
func New(o Options) *Service {
	o.Limits.Series = cmp.Or(o.Limits.Series, 20_000)
	o.Limits.Streams = cmp.Or(o.Limits.Streams, 2_000)
	o.Limits.Bytes = cmp.Or(o.Limits.Bytes, 1_000_000)
	if o.now == nil {
		o.now = time.Now
	}
	s := &Service{o: o, agents: map[string]*agent{}, refused: map[string]*atomic.Uint64{}, refusedOfRecords: map[string]*atomic.Uint64{}}
	for _, r := range sampleReasons {
		s.refused[r] = &atomic.Uint64{}
	}
	for _, r := range recordReasons {
		s.refusedOfRecords[r] = &atomic.Uint64{}
	}
	return s
}

// agent is the one of a host.
func (s *Service) agent(host string) *agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.agents[host]
	if a == nil {
		a = &agent{host: host, series: map[uint64]*series{}, streams: map[uint64]int64{}, targets: map[targetKey]*tallyman.Target{},
			container: &tallyman.Container{Host: host}, decode: decoder{seed: maphash.MakeSeed()}}
		s.agents[host] = a
	}
	return a
}

// heard notes that a request of an agent was taken.
func (s *Service) heard(host string) {
	if s.o.Heard != nil {
		s.o.Heard(host)
	}
}

// fresh is how old a reading may be to be shown: the longest interval, and a request.
const fresh = 90 * time.Second

// Latest implements tallyman.Readings with the latest values of agents that are not silent.
func (s *Service) Latest(dst []tallyman.Reading) ([]tallyman.Reading, uint64) {
	s.mu.Lock()
	agents := make([]*agent, 0, len(s.agents))
	for _, a := range s.agents {
		agents = append(agents, a)
	}
	s.mu.Unlock()
	oldest := s.o.now().Add(-fresh).UnixMilli()
	for _, a := range agents {
		dst = a.latest(dst, oldest)
	}
	return dst, 0
}

// Admit says whether an agent may send a body of so many packed bytes. With an error it may
// not: never when after is 0, else again after that time.
func (s *Service) Admit(host string, bytes int) (after time.Duration, err error) {
	if strings.EqualFold(host, s.o.Host) {
		return 0, fmt.Errorf("%q is the hub's own host, of which nobody else writes", host)
	}
	if after := s.agent(host).admit(bytes, float64(s.o.Limits.Bytes), s.o.now()); after > 0 {
		s.late.Add(1)
		return after, fmt.Errorf("an agent may send %d bytes a second", s.o.Limits.Bytes)
	}
	return 0, nil
}

// TakeRecords stores the records of an agent whose labels are its own. Those of too many
// streams, and those of the future, are refused; why is about the first of them. An error
// says that nothing is stored, and that all may be sent again.
func (s *Service) TakeRecords(_ context.Context, host string, b *tallyman.RecordBatch) (refused int, why string, err error) {
	now := s.o.now()
	given := 0
	for i := range b.Streams {
		given += len(b.Streams[i].Records)
	}
	count := func(n int, reason, words string) {
		if n > 0 {
			refused += n
			s.refusedOfRecords[reason].Add(uint64(n))
			why = cmp.Or(why, words)
		}
	}
	many := s.agent(host).takeStreams(b, s.o.Limits.Streams, now)
	latest := now.Add(ahead).UnixNano()
	future := 0
	for i := range b.Streams {
		records := b.Streams[i].Records
		kept := records[:0]
		for _, r := range records {
			if r.Time > latest {
				future++
				continue
			}
			kept = append(kept, r)
		}
		b.Streams[i].Records = kept
	}
	if given > many+future {
		if err := s.o.Records(b); err != nil {
			return 0, "", err
		}
	}
	count(many, manyStreams, fmt.Sprintf("stream limit: an agent may have %d streams at a time", s.o.Limits.Streams))
	count(future, tooNew, fmt.Sprintf("timestamp too new: a line is more than %s ahead of the hub's clock", ahead))
	s.records.Add(uint64(given))
	s.storedRecords.Add(uint64(given - refused))
	s.heard(host)
	if s.o.Stored != nil {
		s.o.Stored(host, b)
	}
	return refused, why, nil
}

// RefuseRecords counts records of an agent that whoever read them has refused: of another
// host, of audit, or not as they have to be.
func (s *Service) RefuseRecords(foreign, reserved, bad int) {
	s.records.Add(uint64(foreign + reserved + bad))
	s.refusedOfRecords[foreignHost].Add(uint64(foreign))
	s.refusedOfRecords[audit].Add(uint64(reserved))
	s.refusedOfRecords[badRecord].Add(uint64(bad))
}

// Forget drops what is known of the agent of a host, as when its token was revoked.
func (s *Service) Forget(host string) {
	s.mu.Lock()
	a := s.agents[host]
	delete(s.agents, host)
	s.mu.Unlock()
	if a != nil {
		a.mu.Lock()
		s.series.Add(-int64(a.count))
		a.mu.Unlock()
	}
}

// SelfMetrics are the service's own numbers.
func (s *Service) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	out := []tallyman.SelfMetric{
		{Desc: receivedSamples, Read: read(&s.received)},
		{Desc: storedSamples, Read: read(&s.stored)},
		{Desc: failedSamples, Read: read(&s.failed)},
		{Desc: receivedRecords, Read: read(&s.records)},
		{Desc: storedRecords, Read: read(&s.storedRecords)},
		{Desc: heldRequests, Read: read(&s.late)},
		{Desc: remoteSeries, Read: func() float64 { return float64(s.series.Load()) }},
	}
	for _, r := range sampleReasons {
		out = append(out, tallyman.SelfMetric{Desc: refusedSamples, Labels: []tallyman.Label{{Name: "reason", Value: r}}, Read: read(s.refused[r])})
	}
	for _, r := range recordReasons {
		out = append(out, tallyman.SelfMetric{Desc: refusedRecords, Labels: []tallyman.Label{{Name: "reason", Value: r}}, Read: read(s.refusedOfRecords[r])})
	}
	return out
}

var (
	receivedSamples = &tallyman.Desc{Name: "tallyman_receive_samples_total", Type: tallyman.Counter, Help: "Samples that agents sent, in requests that could be read"}
	storedSamples   = &tallyman.Desc{Name: "tallyman_receive_samples_stored_total", Type: tallyman.Counter, Help: "Samples of agents that are stored"}
	failedSamples   = &tallyman.Desc{Name: "tallyman_receive_samples_again_total", Type: tallyman.Counter, Help: "Samples of agents that could not be stored, which the agents send again"}
	refusedSamples  = &tallyman.Desc{Name: "tallyman_receive_samples_refused_total", Type: tallyman.Counter, Help: "Samples of agents that were refused for good, by reason"}
	receivedRecords = &tallyman.Desc{Name: "tallyman_receive_records_total", Type: tallyman.Counter, Help: "Records that agents sent, without repeats and without those that could not be stored, which the agents send again"}
	storedRecords   = &tallyman.Desc{Name: "tallyman_receive_records_stored_total", Type: tallyman.Counter, Help: "Records of agents that are stored"}
	refusedRecords  = &tallyman.Desc{Name: "tallyman_receive_records_refused_total", Type: tallyman.Counter, Help: "Records of agents that were refused for good, by reason"}
	heldRequests    = &tallyman.Desc{Name: "tallyman_receive_held_requests_total", Type: tallyman.Counter, Help: "Requests of agents that were put off, since the agent sends more than it may in a second"}
	remoteSeries    = &tallyman.Desc{Name: "tallyman_receive_series", Type: tallyman.Gauge, Help: "Series that agents have at the moment"}
)
