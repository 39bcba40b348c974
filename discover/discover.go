// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/dockerapi"
)

// EngineConfig names one engine.
type EngineConfig struct {
	// Name is unique; it is EngineStatus.Name and Container.Engine. Empty is "local".
	Name string
	// Address has the form of DOCKER_HOST; empty is the local socket.
	Address string
	// Host is the name of the engine's machine, as its containers' Host has it.
	// No two engines have the same. Empty is Options.Host.
	Host string
	// Client are further settings of the connection; the zero value is good.
	Client dockerapi.Options
}

// Options is everything discovery may use.
type Options struct {
	// Engines to watch; none stands for the local one.
	Engines []EngineConfig
	// Host is the name of this host, for engines that name none.
	Host string
	// DataDir is the folder of inventory.json; empty keeps nothing over a restart.
	DataDir string
	// Wants says which containers are watched; the others are listed and
	// nothing else. Nil takes all.
	Wants func(*tallyman.Container) bool
	// Settle waits until every event that was told before the call is stored, or given
	// up for good, and reports false when that takes longer than most. What is written
	// of the event stream speaks of those alone, so that others come again after a
	// crash. Nil when nobody stores them.
	Settle func(most time.Duration) bool
	// Log is used for changes of state only; nil is silent.
	Log *slog.Logger

	timing timing
}

// timing holds every interval, so that tests need not wait.
type timing struct {
	ping, pingDeadline     time.Duration
	retryMin, retryMax     time.Duration // pings of an engine that is down
	streamMin, streamMax   time.Duration // new event streams
	call                   time.Duration // deadline of one list, inspect or info
	reconcile              time.Duration
	inspect                time.Duration // between inventories that inspect every container
	reconcileAgain         time.Duration // at least between two that a new stream asks for
	settle                 time.Duration // from an inventory to what follows from it
	persist, persistLazily time.Duration
	stored                 time.Duration // at most for the store to take what was told
	keepGone               time.Duration
}

func (t timing) withDefaults() timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.ping, 5*time.Second)
	def(&t.pingDeadline, 5*time.Second)
	def(&t.retryMin, 500*time.Millisecond)
	def(&t.retryMax, 5*time.Second)
	def(&t.streamMin, 100*time.Millisecond)
	def(&t.streamMax, 5*time.Second)
	def(&t.call, 10*time.Second)
	def(&t.reconcile, 60*time.Second)
	def(&t.inspect, 15*time.Minute)
	def(&t.reconcileAgain, 5*time.Second)
	def(&t.settle, 2*time.Second)
	def(&t.persist, time.Second)
	def(&t.persistLazily, 30*time.Second)
	def(&t.stored, 5*time.Second)
	def(&t.keepGone, 7*24*time.Hour)
	return t
}

// The bounds of what is kept, see the package comment.
const (
	maxGone  = 2000
	maxQueue = 4096 // events that wait
	maxBatch = 512  // events handled together
	maxKeys  = 4096 // events known by their keys
	keptKeys = 512  // of them on disk: twice what the engine remembers
	maxExecs = 4096 // execs whose command is known
)

// Discovery watches engines. It implements tallyman.Inventory.
type Discovery struct {
	opt     Options
	log     *slog.Logger
	engines []*engine

	mu        sync.Mutex
	observers observers
	claimed   map[string]*engine // by identity
	running   bool
	store     *inventoryFile
}

var (
	_ tallyman.Inventory = (*Discovery)(nil)
	_ tallyman.Engines   = (*Discovery)(nil)
)

// New checks the options and reads the last known inventory. Nothing is asked
// of an engine before Run. An inventory that cannot be read is set aside and
// logged; it is no error.
func New(o Options) (*Discovery, error) {
	if len(o.Engines) == 0 {
		o.Engines = []EngineConfig{{}}
	}
	o.timing = o.timing.withDefaults()
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Discovery{opt: o, claimed: map[string]*engine{}, log: log.With("source", "discover")}
	for _, c := range o.Engines {
		if c.Name == "" {
			c.Name = "local"
		}
		if slices.ContainsFunc(d.engines, func(e *engine) bool { return e.name == c.Name }) {
			return nil, fmt.Errorf("two engines are named %q", c.Name)
		}
		c.Host = cmp.Or(c.Host, o.Host)
		if slices.ContainsFunc(d.engines, func(e *engine) bool { return e.host == c.Host }) {
			return nil, fmt.Errorf("two engines have the host %q; give each a host of its own", c.Host)
		}
		client, err := dockerapi.New(c.Address, c.Client)
		if err != nil {
			return nil, fmt.Errorf("engine %q: %w", c.Name, err)
		}
		d.engines = append(d.engines, newEngine(d, c.Name, c.Host, client))
	}
	d.store = &inventoryFile{dir: o.DataDir, marked: make(chan struct{}, 1)}
	if err := d.load(); err != nil {
		d.log.Warn("the last known inventory cannot be read and is set aside", "err", err)
	}
	return d, nil
}

// observers are told what is learned, each of what it asks for.
type observers struct {
	containers []tallyman.ContainerObserver
	engines    []tallyman.EngineObserver
	events     []tallyman.EventObserver
	ooms       []tallyman.OOMObserver
}

// ObserveContainers adds an observer of containers. As all the
// others it must be called before Run.
func (d *Discovery) ObserveContainers(o tallyman.ContainerObserver) {
	d.observe(func(all *observers) { all.containers = append(all.containers, o) })
}

// ObserveEngines adds an observer of engines.
func (d *Discovery) ObserveEngines(o tallyman.EngineObserver) {
	d.observe(func(all *observers) { all.engines = append(all.engines, o) })
}

// ObserveEvents adds an observer of events.
func (d *Discovery) ObserveEvents(o tallyman.EventObserver) {
	d.observe(func(all *observers) { all.events = append(all.events, o) })
}

// ObserveOOMs adds an observer that is told at once when the kernel kills in a container.
func (d *Discovery) ObserveOOMs(o tallyman.OOMObserver) {
	d.observe(func(all *observers) { all.ooms = append(all.ooms, o) })
}

func (d *Discovery) observe(add func(*observers)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running {
		panic("discover: an observer after Run")
	}
	add(&d.observers)
}

// Run watches the engines until ctx is done and returns nil then. It may be
// called once. When it returns, the inventory is on disk, all connections are
// closed and no goroutine is left. An inventory that could not be written is
// returned as an error.
func (d *Discovery) Run(ctx context.Context) error {
	d.mu.Lock()
	if d.running {
		d.mu.Unlock()
		return errors.New("discovery runs already")
	}
	d.running = true
	d.mu.Unlock()

	var engines, writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { d.persist(stop) })
	for _, e := range d.engines {
		engines.Go(func() { e.run(ctx) })
	}
	engines.Wait()
	close(stop)
	writer.Wait()
	for _, e := range d.engines {
		e.client.Close()
	}
	return d.save()
}

// Containers implements tallyman.Inventory.
func (d *Discovery) Containers() []*tallyman.Container {
	var all []*tallyman.Container
	for _, e := range d.engines {
		all = e.appendContainers(all)
	}
	slices.SortFunc(all, func(a, b *tallyman.Container) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Name, b.Name), byPresence(a, b), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// byPresence puts containers that exist before gone ones, and the ones that
// went last before earlier ones.
func byPresence(a, b *tallyman.Container) int {
	rank := func(c *tallyman.Container) int {
		switch {
		case c.Alive():
			return 0
		case c.State != tallyman.Gone:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), b.GoneAt.Compare(a.GoneAt))
}

// Container implements tallyman.Inventory. Of several containers that fit, a
// living one wins over a stopped one, that over a gone one, and of gone ones
// the last; then the engine that was configured first. A prefix that fits
// several ids finds nothing.
func (d *Discovery) Container(ref string) (*tallyman.Container, bool) {
	ref = strings.TrimPrefix(ref, "/")
	if ref == "" {
		return nil, false
	}
	var best *tallyman.Container
	for _, e := range d.engines {
		if c := e.byID(ref); c != nil && (best == nil || byPresence(c, best) < 0) {
			best = c
		}
	}
	if best != nil {
		return best, true
	}
	var prefixed []*tallyman.Container
	isPrefix := dockerapi.ValidID(ref)
	for _, e := range d.engines {
		e.each(func(c *tallyman.Container) {
			if c.Name == ref && (best == nil || byPresence(c, best) < 0) {
				best = c
			}
			if isPrefix && strings.HasPrefix(c.ID, ref) {
				prefixed = append(prefixed, c)
			}
		})
	}
	if best == nil && len(prefixed) == 1 {
		best = prefixed[0]
	}
	return best, best != nil
}

// Engines implements tallyman.Inventory: the engines in the order of the options.
func (d *Discovery) Engines() []tallyman.EngineStatus {
	out := make([]tallyman.EngineStatus, len(d.engines))
	for i, e := range d.engines {
		out[i] = e.currentStatus()
	}
	return out
}

// engineNamed is the engine that is configured under a name.
func (d *Discovery) engineNamed(name string) (*engine, error) {
	for _, e := range d.engines {
		if e.name == name {
			return e, nil
		}
	}
	return nil, fmt.Errorf("there is no engine %q", name)
}

// EngineRemote reports whether an engine is reached over the network.
func (d *Discovery) EngineRemote(engine string) bool {
	e, err := d.engineNamed(engine)
	return err == nil && e.currentStatus().Remote
}

// EngineAddress is where an engine is reached, in the form of DOCKER_HOST.
func (d *Discovery) EngineAddress(engine string) string {
	e, err := d.engineNamed(engine)
	if err != nil {
		return ""
	}
	return e.client.Host()
}

// EngineSize asks an engine for the size in bytes of the writable layer of one
// of its containers. It blocks until the engine answers or ctx ends.
func (d *Discovery) EngineSize(ctx context.Context, engine, id string) (int64, error) {
	e, err := d.engineNamed(engine)
	if err != nil {
		return 0, err
	}
	return e.client.Size(ctx, id)
}

// EngineDisk asks an engine for what it keeps on its disk. It blocks until the engine
// answers or ctx ends.
func (d *Discovery) EngineDisk(ctx context.Context, engine string) (tallyman.EngineDisk, error) {
	e, err := d.engineNamed(engine)
	if err != nil {
		return tallyman.EngineDisk{}, err
	}
	disk, err := e.client.Disk(ctx)
	if err != nil {
		return tallyman.EngineDisk{}, err
	}
	return tallyman.EngineDisk{Volumes: disk.VolumeSizes, Shares: map[string]tallyman.DiskShare{
		"images": tallyman.DiskShare(disk.Images), "containers": tallyman.DiskShare(disk.Containers), "volumes": tallyman.DiskShare(disk.Volumes), "build_cache": tallyman.DiskShare(disk.BuildCache),
	}}, nil
}

// EngineStats asks an engine what one of its containers uses now, for what the
// kernel does not tell here, and decodes the answer into what into points to.
// It blocks until the engine answers or ctx ends.
func (d *Discovery) EngineStats(ctx context.Context, engine, id string, into any) error {
	e, err := d.engineNamed(engine)
	if err != nil {
		return err
	}
	if e.currentStatus().CgroupDriver == "none" {
		return errNoCgroups
	}
	return e.client.Stats(ctx, id, into)
}

// EngineDocument asks an engine for the inspection of one of its containers, as
// the engine words it, secrets included. It blocks until the engine answers or
// ctx ends.
func (d *Discovery) EngineDocument(ctx context.Context, engine, id string) (json.RawMessage, error) {
	e, err := d.engineNamed(engine)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opt.timing.call)
	defer cancel()
	return e.client.Document(ctx, id)
}

// EngineImage is the same of an image, by its id.
func (d *Discovery) EngineImage(ctx context.Context, engine, id string) (json.RawMessage, error) {
	e, err := d.engineNamed(engine)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opt.timing.call)
	defer cancel()
	return e.client.Image(ctx, id)
}

// errNoCgroups: such an engine answers with the numbers of the whole machine.
var errNoCgroups = errors.New("it runs without cgroups (rootless on cgroup v1), so nobody counts what its containers use; boot its machine with cgroup v2")

// EngineLogs follows the log of a container of the engine called name, see
// dockerapi.Client.Logs.
func (d *Discovery) EngineLogs(ctx context.Context, name, id string, since time.Time) (io.ReadCloser, error) {
	e, err := d.engineNamed(name)
	if err != nil {
		return nil, err
	}
	return e.client.Logs(ctx, id, since)
}
