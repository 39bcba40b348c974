// SPDX-License-Identifier: Apache-2.0

// Package enginestate says whether each Docker engine answers: now, and for
// which part of the last interval, how far its clock is from this machine's, and how often it
// told that memory ran out. It asks nobody; discovery pings the engines all the time, adds up how long they answered
// and reads the time in their answers.
package enginestate

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "enginestate",
		Summary: "Whether each Docker engine answers, from discovery's pings",
		Targets: []tallyman.TargetKind{tallyman.EngineTarget},
		Metrics: []*tallyman.Desc{up, upRatio, clock, ooms},
		New:     New,
	}
}

var (
	up      = &tallyman.Desc{Name: "docker_up", Type: tallyman.Gauge, Help: "Whether the engine answers: 1 or 0", Origin: tallyman.Origin{V1: "GET /_ping", API: "GET /_ping"}}
	upRatio = &tallyman.Desc{Name: "docker_up_ratio", Type: tallyman.Gauge, Help: "Part of the last interval in which the engine answered, 0 to 1", Origin: tallyman.Origin{V1: "GET /_ping", API: "GET /_ping", Row: "37"}}
	clock   = &tallyman.Desc{Name: "docker_clock_offset_seconds", Type: tallyman.Gauge, Unit: "seconds",
		Help:   "By how much the engine's clock is ahead of this machine's, negative when it is behind. From the header Date of the ping, which has whole seconds, and the time of the round trip: of the offsets that explain both the one nearest to 0, so clocks that agree have 0 and it is never more than it is, and at most a second and a round trip less",
		Origin: tallyman.Origin{V1: "GET /_ping", API: "GET /_ping"}}
	ooms = &tallyman.Desc{Name: "docker_oom_events_total", Type: tallyman.Counter, Help: "Times that the engine told of a container in which the kernel killed for want of memory, since tallyman began",
		Origin: tallyman.Origin{V1: "GET /events oom", API: "GET /events oom"}}
)

// Source implements tallyman.Source.
type Source struct {
	engines  tallyman.Engines
	interval time.Duration
	list     []*engine
}

var _ tallyman.Source = (*Source)(nil)

// engine is one target. The ratio is told from start to now. At the ticks that
// is one interval; a round between them does not shorten the next one's.
type engine struct {
	id          string // its name
	up, ratio   *tallyman.Series
	clock, ooms *tallyman.Series
	start, mark point
}

type point struct{ upFor, knownFor time.Duration }

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Source, error) {
	if o.Engines == nil {
		return nil, errors.New("nobody says whether engines answer")
	}
	return &Source{engines: o.Engines, interval: o.Interval}, nil
}

// Attach takes an engine.
func (s *Source) Attach(t *tallyman.Target) error {
	at, _ := s.find(t.ID)
	s.list = slices.Insert(s.list, at, &engine{id: t.ID, up: t.Series(up), ratio: t.Series(upRatio), clock: t.Series(clock), ooms: t.Series(ooms)})
	return nil
}

func (s *Source) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.list, id, func(e *engine, id string) int { return cmp.Compare(e.id, id) })
}

// Detach forgets an engine.
func (s *Source) Detach(t *tallyman.Target) {
	if at, ok := s.find(t.ID); ok {
		s.list = slices.Delete(s.list, at, at+1)
	}
}

// Close forgets every engine.
func (s *Source) Close() error {
	s.list = nil
	return nil
}

// Collect adds the state of each engine that was pinged.
func (s *Source) Collect(b *tallyman.Batch) {
	for _, e := range s.list {
		isUp, upFor, knownFor, known := s.engines.EngineUp(e.id)
		if !known {
			continue
		}
		value := 0.0
		if isUp {
			value = 1
		}
		b.Add(e.up, value)
		now := point{upFor, knownFor}
		// A tick may come a little early.
		if now.knownFor-e.mark.knownFor >= s.interval-s.interval/20 {
			e.start, e.mark = e.mark, now
		}
		if window := now.knownFor - e.start.knownFor; window > 0 {
			value = min(max(float64(now.upFor-e.start.upFor)/float64(window), 0), 1)
		}
		b.Add(e.ratio, value)
		b.Add(e.ooms, float64(s.engines.EngineOOMs(e.id)))
		if ahead, known := s.engines.EngineClock(e.id); known {
			b.Add(e.clock, ahead.Seconds())
		}
	}
}
