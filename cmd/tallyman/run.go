// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/storage"
	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/api"
	"tallyman/api/auth"
	"tallyman/api/live"
	"tallyman/api/prom"
	"tallyman/api/rest"
	"tallyman/attach"
	"tallyman/catalog"
	"tallyman/config"
	"tallyman/discover"
	"tallyman/doctor"
	"tallyman/internal/datadir"
	"tallyman/internal/dockerapi"
	"tallyman/internal/fsx"
	"tallyman/internal/logrule"
	"tallyman/internal/nsx"
	"tallyman/pipeline"
	"tallyman/query"
	"tallyman/source/containerlog"
	"tallyman/source/enginelog"
	"tallyman/source/hostlog"
	"tallyman/source/journald"
	"tallyman/source/snapshot"
	"tallyman/store/event"
	"tallyman/store/metric"
	"tallyman/store/record"
	"tallyman/web"
)

type runCmd struct {
	settings
}

// Run collects, keeps and serves until it is told to stop.
//
//	discover ─┬─► attach ─► sources ─► pipeline ─► store/metric ─► query ─┐
//	          ├─► source/{containerlog,hostlog,journald} ► store/record ──► query ┼─► api ─► web
//	          ├─► source/snapshot ────────────────►──┤                   │
//	          ├─► pipeline.Events ─► store/event ────┘                   │
//	          └─► rest, live ────────────────────────────────────────────┘
//
// Stores open first and close last; the way down is the way up in reverse.
func (c *runCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if names := cfg.Foreign(); len(names) > 0 {
		log.Warn("variables of the environment are no settings and are left alone", "names", strings.Join(names, " "))
	}
	data, err := datadir.Open(cfg.Data)
	if err != nil {
		return err
	}
	defer data.Close()
	place := here(os.Getenv)
	place.limitMemory(log)
	cfg.Host = place.hostName(ctx, cfg)
	// The port comes before the stores: whether it is free is soon known.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return listenError(cfg.Listen, err)
	}
	defer listener.Close()
	a, err := newApp(ctx, cfg, place, log)
	if err != nil {
		return err
	}
	defer a.close()
	return a.run(ctx, listener, out)
}

// listenError says why the address cannot be had, and what to do.
func listenError(address string, err error) error {
	const other = "choose another with --listen"
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another process; stop that (ss -ltnp shows it), or %s", address, other)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s; %s, for example 127.0.0.1:8420", address, other)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("this user may not listen on %s; ports below 1024 are for root, %s", address, other)
	}
	return fmt.Errorf("listen on %s: %w; %s", address, err, other)
}

// app is everything that runs.
type app struct {
	cfg        config.Config
	place      place // holds the host's root open
	log        *slog.Logger
	gate       *auth.Gate
	samples    *metric.Store
	records    *record.Store
	intake     *pipeline.Records    // the way into records
	pushes     *pipeline.Intake     // of it, for what others send
	eventStore *event.Store         // keeps events in records
	logs       *containerlog.Tailer // nil when logs are not kept
	engineLogs *enginelog.Follower  // the same
	fileLogs   *hostlog.Tailer      // the same
	journal    *journald.Source     // the same
	rules      *logrule.Book        // the same
	snapshots  *snapshot.Source
	engine     *query.Engine
	discovery  *discover.Discovery
	supervisor *attach.Supervisor
	pipeline   *pipeline.Pipeline
	events     *pipeline.Events
	doctor     *doctor.Doctor
	hub        *live.Hub
	bus        pipeline.Bus // all events
	server     *api.Server
	failed     chan error
	look       bool // no log is read, and no configuration
}

func newApp(ctx context.Context, cfg config.Config, place place, log *slog.Logger) (_ *app, err error) {
	a := &app{cfg: cfg, place: place, log: log, failed: make(chan error, 8)}
	space := fsx.NewSpace(cfg.Data)
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.gate, err = auth.Open(cfg.Data, cfg.NoAuth, log); err != nil {
		return nil, err
	}
	// The library tells of every compaction; only what goes wrong is news here.
	quiet := slog.New(above{log.Handler(), slog.LevelWarn})
	interval := time.Duration(cfg.Interval)
	moderate(&cfg)
	if err := a.openSamples(space, quiet); err != nil {
		return nil, err
	}
	if err := a.openRecords(space, quiet); err != nil {
		return nil, err
	}
	a.engine = query.New(a.queryable(), interval, quiet)
	endpoints, err := cfg.Endpoints()
	if err != nil {
		return nil, err
	}
	choice, err := cfg.Choice()
	if err != nil {
		return nil, err
	}
	if a.discovery, err = discover.New(discover.Options{
		Engines: enginesOf(endpoints), Host: cfg.Host, DataDir: cfg.Data, Wants: choice.Wants, Log: log,
	}); err != nil {
		return nil, err
	}
	a.openEngineLogs()
	a.openJournal()
	if err := a.openFileLogs(endpoints); err != nil {
		return nil, err
	}
	a.pipeline = pipeline.New(pipeline.Limits{Series: cfg.Limits.Series, PerTarget: cfg.Limits.SeriesPerTarget}, log, a.outlets()...)
	a.events = pipeline.NewEvents(a.eventStore, log)
	current := query.NewCurrent(a.pipeline)

	all, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	if a.snapshots, err = a.newSnapshots(); err != nil {
		return nil, err
	}
	own := slices.Concat(a.pipeline.SelfMetrics(), a.events.SelfMetrics(), a.samplesOwn(), a.recordsOwn(), a.snapshots.SelfMetrics(), a.discovery.SelfMetrics())
	a.supervisor = attach.New(attach.Options{
		Kinds: all.Sources,
		Source: tallyman.SourceOptions{
			Log: log, Proc: place.Proc, Sys: place.Sys, Cgroup: place.Cgroup, Init: place.Init, Root: place.Root, Memory: place.Memory,
			Started: time.Now(), EngineStats: a.discovery.EngineStats,
			EngineSize: a.discovery.EngineSize, EngineUp: a.discovery.EngineUp, Interval: interval, DiskUsage: time.Duration(cfg.DiskUsage), SelfMetrics: own,
		},
		Sink: a.pipeline, Host: cfg.Host, Interval: interval, LiveInterval: time.Duration(cfg.LiveInterval),
		ContainerLabels: cfg.Labels.Allow, Engines: collectionOf(endpoints), HasDescriptors: hasDescriptors, Log: log,
	})
	a.doctor = doctor.New(doctor.Options{
		Version: release, Host: cfg.Host, Container: place.Container, Inventory: a.discovery, Readings: a.pipeline,
		Absences: a.absences, Replaced: a.replaced, Space: space,
		Try: func(pid int) map[nsx.Right]error { return nsx.Try(place.Proc, pid) }, Pid: os.Getpid(), Data: cfg.Data,
		MemoryLimit: place.Limit, FilesLimit: filesLimit(), NoAuth: cfg.NoAuth, Logs: cfg.Keep.Logs,
		Stores: slices.Concat(a.samplesKeeper(), a.recordsKeeper()), Shares: a.streamShares,
	})
	service, err := rest.New(ctx, rest.Options{
		Inventory: a.discovery, Events: a.eventStore, Records: a.records, Current: current, Query: a.engine, Absences: a.absences,
		Replaced:   a.replaced,
		CollectNow: a.supervisor.CollectNow, Doctor: a.doctor, Interval: interval, Version: release, Auth: !cfg.NoAuth, Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.hub = live.New(service, current, a.supervisor)
	for _, o := range []tallyman.EventObserver{a.events, service, a.hub, a.snapshots} {
		a.bus.Observe(o)
	}
	a.discovery.ObserveEvents(&a.bus)
	for _, o := range []tallyman.ContainerObserver{a.supervisor, a.hub, a.snapshots} {
		a.discovery.ObserveContainers(o)
	}
	a.discovery.ObserveEngines(a.hub)
	if a.logs != nil {
		a.discovery.ObserveEngines(a.logs)
		for _, o := range []tallyman.ContainerObserver{a.logs, a.engineLogs, a.fileLogs} {
			a.discovery.ObserveContainers(o)
		}
	}
	metrics := all.Metrics()
	for _, m := range append(own, a.supervisor.SelfMetrics()...) {
		metrics[m.Desc.Name] = m.Desc
	}
	promAPI := prom.New(prom.Options{Query: a.engine, Readings: a.pipeline, CollectNow: a.supervisor.CollectNow, Metrics: metrics, Log: log})
	routes := slices.Concat(service.Routes(), a.hub.Routes(), promAPI.Routes(), a.lokiRoutes())
	a.server, err = api.New(api.Options{
		Gate: a.gate, Files: web.Files(), Routes: routes, Ready: a.ready, Host: cfg.Host, AllowedHosts: cfg.AllowedHosts, Version: release, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// openSamples opens the store of samples, if they are to be kept.
func (a *app) openSamples(space *fsx.Space, log *slog.Logger) (err error) {
	if !a.cfg.Keep.Metrics {
		return nil
	}
	limits := a.cfg.Retention.Metrics
	a.samples, err = metric.Open(filepath.Join(a.cfg.Data, "metrics"), metric.Options{
		Retention: time.Duration(limits.Time), Size: int64(limits.Size), OutOfOrder: 3 * time.Hour,
		Space: space, Quarantine: filepath.Join(a.cfg.Data, "quarantine"), Log: log,
	})
	return err
}

func (a *app) queryable() storage.SampleAndChunkQueryable {
	if a.samples == nil {
		return nil
	}
	return a.samples.Queryable()
}

func (a *app) outlets() []pipeline.Outlet {
	if a.samples == nil {
		return nil
	}
	return []pipeline.Outlet{{Name: "metric", Store: a.samples}}
}

func (a *app) samplesOwn() []tallyman.SelfMetric {
	if a.samples == nil {
		return nil
	}
	return a.samples.SelfMetrics()
}

func (a *app) samplesKeeper() []doctor.StoreStatus {
	if a.samples == nil {
		return nil
	}
	limits := a.cfg.Retention.Metrics
	return []doctor.StoreStatus{{Name: "metrics", Retention: time.Duration(limits.Time), Limit: int64(limits.Size),
		Size: a.samples.Size, Oldest: a.samples.Oldest, Newest: a.samples.Newest, Series: a.samples.Series}}
}

// enginesOf are the engines of the configuration, for discovery.
func enginesOf(endpoints []config.Endpoint) (out []discover.EngineConfig) {
	for _, e := range endpoints {
		out = append(out, discover.EngineConfig{
			Name: e.Name, Address: e.Address, Host: e.Host, Client: dockerapi.Options{TLS: e.TLS, APIVersion: e.APIVersion},
		})
	}
	return out
}

// collectionOf says how the containers of each engine are to be collected.
func collectionOf(endpoints []config.Endpoint) map[string]attach.Engine {
	out := map[string]attach.Engine{}
	for _, e := range endpoints {
		out[e.Name] = attach.Engine{Host: e.Host, Remote: strings.HasPrefix(e.Address, "tcp://"), API: e.API}
	}
	return out
}

// run starts everything, prints where the page is, and waits for ctx.
func (a *app) run(ctx context.Context, listener net.Listener, out io.Writer) error {
	a.bus.ObserveEvent(a.startEvent(time.Now()))
	stop := a.start(ctx, func(ctx context.Context) error { return a.server.Serve(ctx, listener) })

	var err error
	if _, err = fmt.Fprintln(out, a.link(listener.Addr())); err == nil {
		if a.cfg.NoAuth {
			a.log.Warn("there is no login: everybody who reaches the port sees everything", "listen", a.cfg.Listen)
		} else {
			fmt.Fprintf(out, "The link is good once, for ten minutes. Programs send the token in %s.\n", a.gate.TokenFile())
		}
		select {
		case <-ctx.Done():
		case err = <-a.failed:
		}
	}
	return errors.Join(err, stop())
}

// start starts every part, and serve beside them when it is not nil. stop ends
// them and returns what went wrong on the way.
func (a *app) start(ctx context.Context, serve func(context.Context) error) (stop func() error) {
	// What stores comes down after what produces.
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	work, stopWorking := context.WithCancel(ctx)
	var producers, keepers sync.WaitGroup
	begin := func(wg *sync.WaitGroup, ctx context.Context, name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				a.failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	begin(&keepers, keep, "pipeline", a.pipeline.Run)
	begin(&keepers, keep, "events", a.events.Run)
	switch {
	case a.logs == nil:
	case a.look:
		begin(&producers, work, "logs", a.logs.Look)
		begin(&producers, work, "journal", a.journal.Look)
	default:
		begin(&producers, work, "logs", a.logs.Run)
		begin(&producers, work, "engine logs", a.engineLogs.Run)
		begin(&producers, work, "files", a.fileLogs.Run)
		begin(&producers, work, "journal", a.journal.Run)
	}
	if !a.look {
		begin(&producers, work, "snapshots", a.snapshots.Run)
	}
	begin(&producers, work, "attach", a.supervisor.Run)
	begin(&producers, work, "discover", a.discovery.Run)
	begin(&producers, work, "memory", settle(lean(&a.cfg)))
	if serve != nil {
		begin(&producers, work, "http", serve)
	}
	return func() (err error) {
		a.hub.Close()
		stopWorking()
		producers.Wait()
		stopKeeping()
		keepers.Wait()
		for {
			select {
			case e := <-a.failed:
				err = errors.Join(err, e)
			default:
				return err
			}
		}
	}
}

// replaced is why a container's numbers come from the engine's API, if they do.
func (a *app) replaced(id string) (reason string, ok bool) {
	r, ok := a.supervisor.Replaced(id)
	return r.Reason, ok
}

// filesLimit is how many descriptors this process may have, 0 when it is not
// known.
func filesLimit() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// hasDescriptors says why there are too few descriptors to watch one more container,
// whose files need about two dozen. Some are for connections and stores.
func hasDescriptors() error {
	const others = 64
	limit := filesLimit()
	open, err := openFiles()
	if limit == 0 || err == nil && open+doctor.FilesPerContainer+others <= limit {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the limit of %d open files is reached; raise it: docker run --ulimit nofile=65536, or LimitNOFILE=65536 in the systemd unit", limit)
	}
	return fmt.Errorf("the limit of %d open files leaves no room for more containers (%d are open); raise it: docker run --ulimit nofile=65536, or LimitNOFILE=65536 in the systemd unit", limit, open)
}

// openFiles is how many descriptors this process has. Linux 6.2 and later tell
// it as the size of the folder; before, its entries are counted.
func openFiles() (uint64, error) {
	const folder = "/proc/self/fd"
	if st, err := os.Stat(folder); err == nil && st.Size() > 0 {
		return uint64(st.Size()), nil
	}
	open, err := os.ReadDir(folder)
	return uint64(len(open)), err
}

// startEvent tells that tallyman has started, and since when it was away, so
// that a hole in the history has its reason.
func (a *app) startEvent(now time.Time) tallyman.Event {
	e := tallyman.Event{ID: fmt.Sprintf("tallyman-start-%d", now.UnixNano()), Time: now, Host: a.cfg.Host,
		Type: "tallyman", Action: "start", Attributes: map[string]string{"version": release}}
	if a.samples == nil {
		return e
	}
	if newest := a.samples.Newest(); !newest.IsZero() && newest.Before(now) {
		e.Attributes["away"] = strings.Replace(now.Sub(newest).Round(time.Second).String(), "m0s", "m", 1)
	}
	return e
}

// close closes what was opened; parts that were not are skipped.
func (a *app) close() {
	var err error
	if a.engine != nil {
		err = errors.Join(err, a.engine.Close())
	}
	if a.eventStore != nil {
		err = errors.Join(err, a.eventStore.Close())
	}
	if a.samples != nil {
		err = errors.Join(err, a.samples.Close())
	}
	if a.records != nil {
		err = errors.Join(err, a.records.Close())
	}
	if err != nil {
		a.log.Error("not everything closed cleanly", "err", err)
	}
}

// link is the address to open: with the one-time code in the fragment, which
// never leaves the browser.
func (a *app) link(addr net.Addr) string {
	base := "http://" + reachable(addr.String())
	if a.cfg.NoAuth {
		return base + "/"
	}
	return base + "/login#code=" + a.gate.NewCode()
}

// reachable turns an address to listen on into one to call: a wildcard means
// this machine too.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// ready is nil once every engine was asked for its containers, or has failed
// to answer: a host without a running engine is worth watching too.
func (a *app) ready() error {
	for _, e := range a.discovery.Engines() {
		if e.Listed.IsZero() && e.Failure == "" {
			return fmt.Errorf("the engine %s was not asked yet", e.Name)
		}
	}
	return nil
}

// above passes on log records of a level and higher.
type above struct {
	slog.Handler
	least slog.Level
}

// Enabled reports whether a record of level l is passed on.
func (h above) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= h.least && h.Handler.Enabled(ctx, l)
}

// WithAttrs keeps the bound.
func (h above) WithAttrs(a []slog.Attr) slog.Handler { return above{h.Handler.WithAttrs(a), h.least} }

// WithGroup keeps the bound.
func (h above) WithGroup(name string) slog.Handler {
	return above{h.Handler.WithGroup(name), h.least}
}
