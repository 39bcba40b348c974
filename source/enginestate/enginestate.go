// SPDX-License-Identifier: Apache-2.0

// Package enginestate says how each Docker engine is: whether it answers, now and for
// which part of the last interval, or is stalled, how long an answer takes, how far its clock
// is from this machine's, how often it told that memory ran out, what it is, and how many
// containers it has, by state and image. It asks nobody: discovery pings the engines all the
// time and knows their containers.
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
		Summary: "How each Docker engine is and how many containers it has, from discovery's pings and inventory",
		Targets: []tallyman.TargetKind{tallyman.EngineTarget},
		Metrics: []*tallyman.Desc{up, upRatio, stalled, latency, clock, ooms, info, counts, images},
		New:     New,
	}
}

var (
	pinged  = tallyman.Origin{V1: "GET /_ping", API: "GET /_ping"}
	listed  = tallyman.Origin{V1: "GET /containers/json", API: "GET /containers/json"}
	up      = &tallyman.Desc{Name: "docker_up", Type: tallyman.Gauge, Help: "Whether the engine answers: 1 or 0", Origin: pinged}
	upRatio = &tallyman.Desc{Name: "docker_up_ratio", Type: tallyman.Gauge, Help: "Part of the last interval in which the engine answered, 0 to 1", Origin: tallyman.Origin{V1: "GET /_ping", API: "GET /_ping", Row: "37"}}
	stalled = &tallyman.Desc{Name: "docker_stalled", Type: tallyman.Gauge, Help: "1 while the engine takes connections and does not answer, 0 when it answers or is away", Origin: pinged}
	latency = &tallyman.Desc{Name: "docker_ping_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the last ping took that the engine answered", Origin: pinged}
	clock   = &tallyman.Desc{Name: "docker_clock_offset_seconds", Type: tallyman.Gauge, Unit: "seconds",
		Help:   "By how much the engine's clock is ahead of this machine's, negative when it is behind. From the header Date of the ping, which has whole seconds, and the time of the round trip: of the offsets that explain both the one nearest to 0, so clocks that agree have 0 and it is never more than it is, and at most a second and a round trip less",
		Origin: pinged}
	ooms = &tallyman.Desc{Name: "docker_oom_events_total", Type: tallyman.Counter, Help: "Times that the engine told of a container in which the kernel killed for want of memory, since tallyman began",
		Origin: tallyman.Origin{V1: "GET /events oom", API: "GET /events oom"}}
	info = &tallyman.Desc{Name: "docker_info", Type: tallyman.Gauge, Help: "Always 1; the labels are what the engine says of itself",
		Origin: tallyman.Origin{V1: "GET /info", API: "GET /info"}}
	counts = &tallyman.Desc{Name: "docker_containers", Type: tallyman.Gauge, Help: "Containers that the engine has, by state", Origin: listed}
	images = &tallyman.Desc{Name: "docker_image_containers", Type: tallyman.Gauge, Help: "Containers that the engine has, by image and state; those of the images with the fewest count as __other__ where there are more than 200", Origin: listed}
)

// states are those that are told of an engine also when it has none of them.
var states = []tallyman.State{tallyman.Created, tallyman.Running, tallyman.Paused, tallyman.Restarting, tallyman.Removing, tallyman.Exited, tallyman.Dead}

const (
	maxImages = 200
	others    = "__other__"
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
	target      *tallyman.Target
	fixed       map[*tallyman.Desc]*tallyman.Series
	info        *tallyman.Series
	said        facts // by info
	counts      []*tallyman.Series
	images      map[tallyman.ImageState]*tallyman.Series
	start, mark point
}

type point struct{ upFor, knownFor time.Duration }

// facts are the labels of info.
type facts struct {
	version, api, os, kernel, driver, cgroupDriver, cgroupVersion string
	liveRestore                                                   bool
}

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
	e := &engine{target: t, fixed: map[*tallyman.Desc]*tallyman.Series{}, images: map[tallyman.ImageState]*tallyman.Series{}}
	for _, d := range []*tallyman.Desc{up, upRatio, stalled, latency, clock, ooms} {
		e.fixed[d] = t.Series(d)
	}
	for _, state := range states {
		e.counts = append(e.counts, t.Series(counts, tallyman.Label{Name: "state", Value: string(state)}))
	}
	s.list = slices.Insert(s.list, at, e)
	return nil
}

func (s *Source) find(id string) (int, bool) {
	return slices.BinarySearchFunc(s.list, id, func(e *engine, id string) int { return cmp.Compare(e.target.ID, id) })
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
		state, known := s.engines.EngineState(e.target.ID)
		if !known {
			continue
		}
		b.Add(e.fixed[up], number(state.Up))
		b.Add(e.fixed[upRatio], e.ratio(state, s.interval))
		b.Add(e.fixed[stalled], number(!state.Up && state.Failure == tallyman.EngineSlow))
		b.Add(e.fixed[ooms], float64(state.OOMs))
		if state.ClockKnown {
			b.Add(e.fixed[clock], state.Clock.Seconds())
		}
		if state.Up {
			b.Add(e.fixed[latency], state.Latency.Seconds())
		}
		if state.Version != "" {
			b.Add(e.facts(state.EngineStatus), 1)
		}
		if !state.Listed.IsZero() { // before, nothing is known of its containers
			e.containers(state.Containers, b)
		}
	}
}

// ratio is the part of the last interval in which it answered.
func (e *engine) ratio(state tallyman.EngineState, interval time.Duration) float64 {
	now := point{state.UpFor, state.KnownFor}
	// A tick may come a little early.
	if now.knownFor-e.mark.knownFor >= interval-interval/20 {
		e.start, e.mark = e.mark, now
	}
	if window := now.knownFor - e.start.knownFor; window > 0 {
		return min(max(float64(now.upFor-e.start.upFor)/float64(window), 0), 1)
	}
	return number(state.Up)
}

// facts is the series of what it says of itself.
func (e *engine) facts(s tallyman.EngineStatus) *tallyman.Series {
	now := facts{s.Version, s.APIVersion, s.OS, s.Kernel, s.Driver, s.CgroupDriver, s.CgroupVersion, s.LiveRestore}
	if e.info == nil || now != e.said {
		live := "false"
		if s.LiveRestore {
			live = "true"
		}
		e.said = now
		e.info = e.target.Series(info, tallyman.Label{Name: "api_version", Value: now.api}, tallyman.Label{Name: "cgroup_driver", Value: now.cgroupDriver}, tallyman.Label{Name: "cgroup_version", Value: now.cgroupVersion},
			tallyman.Label{Name: "kernel", Value: now.kernel}, tallyman.Label{Name: "live_restore", Value: live}, tallyman.Label{Name: "os", Value: now.os}, tallyman.Label{Name: "storage_driver", Value: now.driver}, tallyman.Label{Name: "version", Value: now.version})
	}
	return e.info
}

// containers adds how many containers there are.
func (e *engine) containers(by map[tallyman.ImageState]int, b *tallyman.Batch) {
	ofState, ofImage := map[tallyman.State]int{}, map[string]int{}
	for k, n := range by {
		ofState[k.State] += n
		ofImage[k.Image] += n
	}
	for i, state := range states {
		b.Add(e.counts[i], float64(ofState[state]))
	}
	if len(ofImage) > maxImages {
		by = fold(by, ofImage)
	}
	for k := range e.images {
		if by[k] == 0 {
			delete(e.images, k)
		}
	}
	keys := make([]tallyman.ImageState, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b tallyman.ImageState) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.State, b.State))
	})
	for _, k := range keys {
		series := e.images[k]
		if series == nil {
			series = e.target.Series(images, tallyman.Label{Name: "image", Value: k.Image}, tallyman.Label{Name: "state", Value: string(k.State)})
			e.images[k] = series
		}
		b.Add(series, float64(by[k]))
	}
}

// fold counts the images with the fewest containers as one.
func fold(by map[tallyman.ImageState]int, ofImage map[string]int) map[tallyman.ImageState]int {
	names := make([]string, 0, len(ofImage))
	for name := range ofImage {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(ofImage[b], ofImage[a]), cmp.Compare(a, b)) })
	folded := map[string]bool{}
	for _, name := range names[maxImages:] {
		folded[name] = true
	}
	out := map[tallyman.ImageState]int{}
	for k, n := range by {
		if folded[k.Image] {
			k.Image = others
		}
		out[k] += n
	}
	return out
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
