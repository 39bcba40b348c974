// SPDX-License-Identifier: Apache-2.0

// Package enginedisk asks each engine what it keeps on its disk, as docker system df does:
// images, the writable layers of containers, volumes and the build cache, how much of it
// nobody uses, and how large each volume is.
//
// # Cost
//
// The engine walks through the layers of all containers and through all volumes for the
// answer, which takes from milliseconds to minutes. So it is asked rarely and beside the
// rounds: the first time some minutes after the start, then at most once per Options.Every,
// and after an answer that took long only after twenty times as long. The values stand
// until the next one.
//
// # What is absent
//
// Until the first answer, and when the last ones failed for three turns, all of it is left
// out with its reason; with Every 0 nothing is asked at all.
package enginedisk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "enginedisk",
		Summary: "What each engine keeps on its disk, and what of it nobody uses, asked at most once an hour",
		Targets: []tallyman.TargetKind{tallyman.EngineTarget},
		Metrics: []*tallyman.Desc{size, reclaimable, count, active, volume},
		Options: defaults,
		Poll:    New,
	}
}

var (
	asked       = tallyman.Origin{V1: "GET /system/df", API: "GET /system/df"}
	size        = &tallyman.Desc{Name: "docker_disk_bytes", Type: tallyman.Gauge, Unit: "bytes", Origin: asked, Help: "Bytes that the engine keeps, by what: images, containers (their writable layers), volumes or build_cache"}
	reclaimable = &tallyman.Desc{Name: "docker_disk_reclaimable_bytes", Type: tallyman.Gauge, Unit: "bytes", Origin: asked, Help: "Bytes of it that nobody uses, by what: images without a container, containers that do not run, volumes without a container, cache that no build uses"}
	count       = &tallyman.Desc{Name: "docker_disk_objects", Type: tallyman.Gauge, Origin: asked, Help: "How many the engine keeps, by what"}
	active      = &tallyman.Desc{Name: "docker_disk_objects_active", Type: tallyman.Gauge, Origin: asked, Help: "How many of them are in use, by what"}
	volume      = &tallyman.Desc{Name: "docker_volume_bytes", Type: tallyman.Gauge, Unit: "bytes", Origin: asked, Help: "Size of a volume whose driver tells it; of the hundred largest"}
)

var defaults = Options{Every: time.Hour}

// Options are the source's own.
type Options struct {
	// Every is how often at most an engine is asked, 0 for never.
	Every time.Duration `yaml:"every" doc:"How often at most an engine is asked what it keeps on its disk, 10s or more; 0 for never."`
}

// Check finds a time that would keep the engine busy.
func (o Options) Check() error {
	if o.Every != 0 && o.Every < least {
		return fmt.Errorf("every: %v is too little; write at least %v, or 0 for never", o.Every, least)
	}
	return nil
}

const (
	least      = 10 * time.Second
	settled    = 2 * time.Minute // before the first answer
	deadline   = 2 * time.Minute
	never      = 1 << 62 // a century
	maxVolumes = 100
)

// Source implements tallyman.Poller.
type Source struct {
	engines tallyman.Engines
	every   time.Duration
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Poller, error) {
	every := tallyman.Own(o.Own, defaults).Every
	if o.Engines == nil {
		every = 0
	}
	return &Source{engines: o.Engines, every: every}, nil
}

// Plan asks one engine at a time.
func (s *Source) Plan() tallyman.PollPlan {
	if s.every == 0 {
		return tallyman.PollPlan{Every: never, First: never, Deadline: deadline, Retry: time.Hour, RetryMost: time.Hour, Hold: 1, Parallel: 1}
	}
	retry := min(10*time.Minute, s.every)
	return tallyman.PollPlan{Every: s.every, First: min(settled, s.every), Deadline: deadline, Retry: retry, RetryMost: max(s.every, retry), Hold: 3, Parallel: 1, Rest: 20}
}

// Close has nothing to close.
func (*Source) Close() error { return nil }

// disk is that of one engine.
type disk struct {
	source  *Source
	target  *tallyman.Target
	series  map[key]*tallyman.Series
	volumes map[string]*tallyman.Series

	mu    sync.Mutex
	known bool
	err   error // of the last answer
}

// key is a metric of one kind of things.
type key struct {
	desc *tallyman.Desc
	what string
}

var (
	_ tallyman.Poller = (*Source)(nil)
	_ tallyman.Poll   = (*disk)(nil)
)

// Open begins with an engine.
func (s *Source) Open(t *tallyman.Target) (tallyman.Poll, error) {
	return &disk{source: s, target: t, series: map[key]*tallyman.Series{}, volumes: map[string]*tallyman.Series{}}, nil
}

// kinds are what an engine keeps.
var kinds = []string{"images", "containers", "volumes", "build_cache"}

// Poll asks for all of it.
func (d *disk) Poll(ctx context.Context, b *tallyman.Batch) error {
	answer, err := d.source.engines.EngineDisk(ctx, d.target.ID)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err = err; err != nil {
		return err
	}
	d.known = true
	for _, what := range kinds {
		s, ok := answer.Shares[what]
		if !ok {
			continue
		}
		for _, one := range []struct {
			desc *tallyman.Desc
			v    int64
		}{{size, s.Bytes}, {reclaimable, s.Reclaimable}, {count, s.Count}, {active, s.Active}} {
			if one.v >= 0 { // -1 is what an engine does not know
				b.Add(d.of(one.desc, what), float64(one.v))
			}
		}
	}
	names := make([]string, 0, len(answer.Volumes))
	for name := range answer.Volumes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(answer.Volumes[y], answer.Volumes[x]), cmp.Compare(x, y))
	})
	names = names[:min(len(names), maxVolumes)]
	slices.Sort(names)
	for name := range d.volumes {
		if !slices.Contains(names, name) {
			delete(d.volumes, name)
		}
	}
	for _, name := range names {
		s := d.volumes[name]
		if s == nil {
			s = d.target.Series(volume, tallyman.Label{Name: "volume", Value: name})
			d.volumes[name] = s
		}
		b.Add(s, float64(answer.Volumes[name]))
	}
	return nil
}

func (d *disk) of(desc *tallyman.Desc, what string) *tallyman.Series {
	k := key{desc, what}
	s := d.series[k]
	if s == nil {
		s = d.target.Series(desc, tallyman.Label{Name: "what", Value: what})
		d.series[k] = s
	}
	return s
}

// Absences say why it is not known.
func (d *disk) Absences() []tallyman.Absence {
	a := tallyman.Absence{What: "what the engine keeps on its disk"}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.source.every == 0:
		a.Reason, a.Unlock = "The setting sources.enginedisk.every switches it off.", "sources: {enginedisk: {every: 1h}}"
	case d.err != nil:
		a.Reason = "The engine did not give it: " + d.err.Error() + "."
	case !d.known:
		a.Code = tallyman.Later
		a.Reason = "The engine is asked some minutes after the start, since it costs it much."
	default:
		return nil
	}
	return []tallyman.Absence{a}
}

// Close has nothing to close.
func (*disk) Close() {}
