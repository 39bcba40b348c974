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
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/alert"
	"tallyman/alert/route"
	"tallyman/api"
	"tallyman/api/auth"
	"tallyman/api/live"
	"tallyman/api/prom"
	"tallyman/api/rest"
	"tallyman/attach"
	"tallyman/attach/services"
	"tallyman/catalog"
	"tallyman/config"
	"tallyman/discover"
	"tallyman/doctor"
	"tallyman/forward/spool"
	"tallyman/internal/datadir"
	"tallyman/internal/dockerapi"
	"tallyman/internal/fsx"
	"tallyman/internal/httpx"
	"tallyman/internal/machine"
	"tallyman/internal/nsx"
	"tallyman/internal/servercert"
	"tallyman/inventory"
	"tallyman/pipeline"
	"tallyman/query"
	"tallyman/query/logql"
	"tallyman/receive"
	"tallyman/store/event"
	"tallyman/store/metric"
	"tallyman/store/record"
	"tallyman/web"
)

type runCmd struct {
	settings
}

// Run collects, keeps and serves until it is told to stop. Parts start in this order
// and end in its reverse:
//
//	stores ─► pipeline ─► discover ─► sources of records ─► attach: sources of samples ─► page and APIs
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
	here := machine.Here(os.Getenv)
	here.LimitMemory(os.Getenv, doctor.EnoughMemory, log)
	cfg.Host = hostName(ctx, here, cfg)
	// The port comes before the stores: whether it is free is soon known.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return listenError(cfg.Listen, err)
	}
	defer listener.Close()
	a, err := newApp(ctx, cfg, here, log, false)
	if err != nil {
		return err
	}
	defer a.close()
	return a.run(ctx, listener, out)
}

// app is everything that runs: its parts, and those of them that others ask.
type app struct {
	group
	cfg     config.Config
	machine machine.Machine // holds the host's root open
	log     *slog.Logger

	gate       *auth.Gate
	cert       *servercert.Certificate // nil when there is no TLS
	samples    *metric.Store           // nil when they are not kept
	spool      *spool.Spool            // nil when they are not sent on
	records    *record.Store
	intake     *pipeline.Records // the way into records
	pushes     *pipeline.Intake  // of it, for what others send
	ofAgents   *pipeline.Intake  // and for what agents do
	receive    *receive.Service  // nil when this is no hub
	eventStore *event.Store      // keeps events in records
	engine     *query.Engine
	discovery  *discover.Discovery
	supervisor *attach.Supervisor
	services   *services.Services // nil when no plugins are wanted
	descs      *tallyman.Descs    // of metrics that only a text names

	serviceRoutes []httpx.Route
	alarms        *alert.Service // nil when they are not wanted
	router        *route.Router
	witness       *alert.Witness
	logs          *logql.Engine
	pipeline      *pipeline.Pipeline
	bus           pipeline.Bus       // all events of this host
	hosts         *inventory.Hosts   // of a hub, else nil
	others        pipeline.Bus       // the events of other hosts
	known         tallyman.Inventory // of this host, and of a hub\'s others
	doctor        *doctor.Doctor
	forwards      []func() doctor.Forward // one for each destination
	hub           *live.Hub
	server        *api.Server
}

// newApp makes all parts. One that only looks reads no log and no configuration of a
// container, and serves nobody.
func newApp(ctx context.Context, cfg config.Config, here machine.Machine, log *slog.Logger, look bool) (_ *app, err error) {
	a := &app{cfg: cfg, machine: here, log: log}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	endpoints, err := cfg.Endpoints()
	if err != nil {
		return nil, err
	}
	choice, err := cfg.Choice()
	if err != nil {
		return nil, err
	}
	all, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	if a.gate, err = auth.Open(cfg.Data, cfg.NoAuth, log); err != nil {
		return nil, err
	}
	moderate(&cfg)
	// The library tells of every compaction; only what goes wrong is news here.
	quiet := slog.New(above{log.Handler(), slog.LevelWarn})
	space := fsx.NewSpace(cfg.Data)
	a.descs = tallyman.NewDescs(all.Metrics())
	interval := time.Duration(cfg.Interval)

	if err := a.openSamples(space, quiet); err != nil {
		return nil, err
	}
	if err := a.openRecords(space, quiet); err != nil {
		return nil, err
	}
	a.openReceive()
	a.openQuery(interval, quiet)
	if !look {
		if err := a.openSpool(space); err != nil {
			return nil, err
		}
	}
	a.pipeline = pipeline.New(pipeline.Limits{Series: cfg.Limits.Series, PerTarget: cfg.Limits.SeriesPerTarget}, log, a.outlets()...)
	a.add(part{name: "pipeline", run: a.pipeline.Run, metrics: a.pipeline.SelfMetrics()})
	readings := []tallyman.Readings{a.pipeline}
	if a.receive != nil {
		readings = append(readings, a.receive)
	}
	current := query.NewCurrent(readings...)
	events := pipeline.NewEvents(a.eventStore, log)
	a.bus.Observe(events) // the first: what is told of an event is stored
	a.add(part{name: "events", run: events.Run, metrics: events.SelfMetrics()})

	if a.discovery, err = discover.New(discover.Options{
		Engines: enginesOf(endpoints), Host: cfg.Host, DataDir: cfg.Data, Wants: choice.Wants, Settle: events.Settle, Log: log,
	}); err != nil {
		return nil, err
	}
	if err := a.openHosts(ctx); err != nil {
		return nil, err
	}
	logs, book, err := a.logOptions()
	if err != nil {
		return nil, err
	}
	own, err := ownOptions(cfg, all, logs)
	if err != nil {
		return nil, err
	}
	readers := a.readers(all.Records, own, book, look)
	if !look {
		a.openWitness()
		if err := a.openAlarms(interval, space); err != nil {
			return nil, err
		}
		if err := errors.Join(a.openAMQP(space), a.openWebhook(space), a.openDestinations()); err != nil {
			return nil, err
		}
		if err := a.openServices(all); err != nil {
			return nil, err
		}
	}
	kinds := all.Sources
	if a.services != nil {
		kinds = append(slices.Clip(kinds), a.services.Kind())
	}
	// Discovery tells all the others, so it starts after them.
	found := part{name: "discover", run: a.discovery.Run, metrics: a.discovery.SelfMetrics()}
	a.supervisor = attach.New(attach.Options{
		Kinds: kinds, Own: own, SelfMetrics: append(a.metrics(), found.metrics...),
		Source: tallyman.SourceOptions{Log: log, Proc: here.Proc, Sys: here.Sys, Cgroup: here.Cgroup, Init: here.Init, Root: here.Root,
			Path: here.Path, Memory: here.Memory, Interval: interval, Engines: a.discovery, Descs: a.descs},
		Sink: a.pipeline, Host: cfg.Host, Interval: interval, LiveInterval: time.Duration(cfg.LiveInterval),
		ContainerLabels: cfg.Labels.Allow, Engines: collectionOf(endpoints), Log: log,
		HasDescriptors: func() error { return machine.HasDescriptors(doctor.FilesPerContainer) },
	})
	a.add(part{name: "attach", run: a.supervisor.Run, metrics: a.supervisor.SelfMetrics(), absences: a.supervisor.Absences})
	a.add(found)
	if a.services != nil {
		a.services.Tell(a.supervisor)
		a.discovery.ObserveContainers(a.services)
	}

	a.doctor = doctor.New(doctor.Options{
		Version: release, Host: cfg.Host, Container: here.Container, Inventory: a.discovery, Readings: a.pipeline,
		Absences: a.absences, Replaced: a.replaced, Space: space,
		Try: func(pid int) map[nsx.Right]error { return nsx.Try(here.Proc, pid) }, Pid: os.Getpid(), Data: cfg.Data,
		MemoryLimit: here.Limit, FilesLimit: machine.FilesLimit(), NoAuth: cfg.NoAuth, Logs: cfg.Keep.Logs,
		Stores: slices.Concat(a.samplesStatus(), a.recordsStatus()), Shares: a.streamShares, Forwards: a.forwarding, Agents: a.agents(),
	})
	service, err := rest.New(ctx, rest.Options{
		Inventory: a.known, Own: a.discovery, Events: a.eventStore, Records: a.records, Current: current, Query: a.engine, Logs: a.logs, Proc: here.Proc, Absences: a.absencesOf,
		Replaced: a.replaced, CollectNow: a.supervisor.CollectNow, Doctor: a.doctor, Interval: interval, Version: release, Auth: !cfg.NoAuth, Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.hub = live.New(service, current, a.supervisor)
	a.bus.Observe(service)
	a.bus.Observe(a.hub)
	a.bus.Observe(readers)
	a.discovery.ObserveEvents(&a.bus)
	for _, o := range []tallyman.ContainerObserver{a.supervisor, a.hub, readers} {
		a.discovery.ObserveContainers(o)
	}
	a.discovery.ObserveOOMs(a.supervisor)
	a.discovery.ObserveEngines(a.hub)
	a.discovery.ObserveEngines(readers)
	if a.hosts != nil {
		a.others.Observe(service)
		a.others.Observe(a.hub)
		a.hosts.ObserveContainers(a.hub)
		a.hosts.ObserveEngines(a.hub)
	}
	if !look {
		a.openTeller()
	}

	if a.services != nil {
		a.descs.Add(a.services.Kind().Metrics...)
	}
	a.descs.Add(tallyman.DescsOf(a.metrics())...)
	promAPI := prom.New(prom.Options{Query: a.engine, Readings: a.pipeline, CollectNow: a.supervisor.CollectNow, Metrics: a.descs, Rules: a.promRules(), Log: log})
	if a.cert, err = certificate(cfg); err != nil {
		return nil, err
	}
	routes := slices.Concat(service.Routes(), a.hub.Routes(), promAPI.Routes(), a.lokiRoutes(), a.alarmRoutes(), a.serviceRoutes)
	if a.receive != nil {
		routes = append(routes, a.receive.Routes()...)
	}
	a.server, err = api.New(api.Options{
		Gate: a.gate, Files: web.Files(), Routes: routes, Ready: a.ready, Host: cfg.Host, AllowedHosts: cfg.AllowedHosts, Version: release, TLS: tlsOf(a.cert), Log: log,
	})
	return a, err
}

// openSamples opens the store of samples, if they are to be kept.
func (a *app) openSamples(space *fsx.Space, log *slog.Logger) (err error) {
	if !a.cfg.Keep.Metrics {
		return nil
	}
	limits, late := a.cfg.Retention.Metrics, lateOwn
	if a.cfg.Receive.Agents {
		late = lateOthers
	}
	a.samples, err = metric.Open(filepath.Join(a.cfg.Data, "metrics"), metric.Options{
		Retention: time.Duration(limits.Time), Size: int64(limits.Size), OutOfOrder: late,
		Space: space, Quarantine: filepath.Join(a.cfg.Data, "quarantine"), Log: log,
	})
	if err != nil {
		return err
	}
	a.add(part{name: "store of samples", metrics: a.samples.SelfMetrics(), close: a.samples.Close})
	return nil
}

// openQuery makes what asks the samples.
func (a *app) openQuery(interval time.Duration, log *slog.Logger) {
	if a.samples == nil {
		a.engine = query.New(nil, interval, log)
	} else {
		a.engine = query.New(a.samples.Queryable(), interval, log)
	}
	a.add(part{name: "queries", close: a.engine.Close})
}

// outlets are where the pipeline puts samples.
func (a *app) outlets() (out []pipeline.Outlet) {
	if a.samples != nil {
		out = append(out, pipeline.Outlet{Name: "metric", Store: a.samples})
	}
	if a.spool != nil {
		out = append(out, pipeline.Outlet{Name: "spool", Store: a.spool})
	}
	return out
}

// samplesStatus tells the doctor of the store of samples.
func (a *app) samplesStatus() []doctor.StoreStatus {
	if a.samples == nil {
		return nil
	}
	limits := a.cfg.Retention.Metrics
	return []doctor.StoreStatus{{Name: "metrics", Retention: time.Duration(limits.Time), Limit: int64(limits.Size),
		Size: a.samples.Size, Oldest: a.samples.Oldest, Newest: a.samples.Newest, Series: a.samples.Series}}
}

// lean reports whether an agent keeps neither metrics nor logs: all that it has
// is gone on to others, so that its memory counts more than its next question.
func lean(cfg *config.Config) bool { return !cfg.Keep.Metrics && !cfg.Keep.Logs }

// moderate makes an agent without history collect its garbage earlier.
func moderate(cfg *config.Config) {
	switch {
	case lean(cfg):
		machine.Lean(os.Getenv)
	case !cfg.Keep.Metrics:
		debug.SetGCPercent(50)
	}
}

// hostName is the name of the host: the configured one, or in a container what the
// machine or the local engine says.
func hostName(ctx context.Context, here machine.Machine, cfg config.Config) string {
	return here.HostName(cfg.Host, filepath.Join(cfg.Data, "host"), func() string { return engineHost(ctx, cfg) })
}

// engineHost asks the local engine for its machine's name.
func engineHost(ctx context.Context, cfg config.Config) string {
	endpoints, err := cfg.Endpoints()
	if err != nil {
		return ""
	}
	for _, e := range endpoints {
		if !strings.HasPrefix(e.Address, "unix://") {
			continue
		}
		c, err := dockerapi.New(e.Address, dockerapi.Options{APIVersion: e.APIVersion})
		if err != nil {
			return ""
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		info, err := c.Info(ctx)
		if err != nil {
			return ""
		}
		return info.Name
	}
	return ""
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
		out[e.Name] = attach.Engine{Host: e.Host, Remote: dockerapi.Remote(e.Address), API: e.API}
	}
	return out
}

// run starts everything, prints where the page is, and waits for ctx.
func (a *app) run(ctx context.Context, listener net.Listener, out io.Writer) error {
	a.bus.ObserveEvent(a.startEvent(time.Now()))
	a.add(part{name: "memory", run: machine.Settle(lean(&a.cfg))})
	a.add(part{name: "http", run: func(ctx context.Context) error { return a.server.Serve(ctx, listener) }})
	stop := a.start(ctx)

	var err error
	if _, err = fmt.Fprintln(out, a.link(listener.Addr())); err == nil {
		if a.cfg.NoAuth {
			a.log.Warn("there is no login: everybody who reaches the port sees everything", "listen", a.cfg.Listen)
		} else {
			fmt.Fprintf(out, "The link is good once, for ten minutes. Programs send the token in %s.\n", a.gate.TokenFile())
		}
		if a.cfg.TLS.Auto {
			fmt.Fprintf(out, "The certificate is its own: browsers ask whether to trust it, agents are given its pin %s.\n", a.cert.Pin())
		}
		select {
		case <-ctx.Done():
		case err = <-a.failed:
		}
	}
	a.hub.Close() // its streams would keep the server from ending
	return errors.Join(err, stop())
}

// replaced is why a container's numbers come from the engine's API, if they do.
func (a *app) replaced(id string) (reason string, ok bool) {
	r, ok := a.supervisor.Replaced(tallyman.TargetKey{Kind: tallyman.ContainerTarget, ID: id})
	return r.Reason, ok
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

// close closes what was opened.
func (a *app) close() {
	if err := a.group.close(); err != nil {
		a.log.Error("not everything closed cleanly", "err", err)
	}
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
