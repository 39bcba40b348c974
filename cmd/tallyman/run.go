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

	"github.com/prometheus/procfs"

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
	"tallyman/internal/fsx"
	"tallyman/pipeline"
	"tallyman/query"
	"tallyman/store/event"
	"tallyman/store/metric"
	"tallyman/web"
)

type runCmd struct {
	settings
}

// Run collects, keeps and serves until it is told to stop.
//
//	discover ─┬─► attach ─► sources ─► pipeline ─► store/metric ─► query ─┐
//	          ├─► pipeline.Events ──────────────► store/event ───────────┼─► api ─► web
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
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w; choose another with --data", err)
	}
	lock, err := fsx.LockDir(cfg.Data)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// The port comes before the stores: whether it is free is soon known.
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w; stop what uses the port, or choose another with --listen", err)
	}
	defer listener.Close()
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer a.close()
	return a.run(ctx, listener, out)
}

// app is everything that runs.
type app struct {
	cfg        config.Config
	log        *slog.Logger
	gate       *auth.Gate
	samples    *metric.Store
	eventStore tallyman.EventStore
	engine     *query.Engine
	discovery  *discover.Discovery
	supervisor *attach.Supervisor
	pipeline   *pipeline.Pipeline
	events     *pipeline.Events
	hub        *live.Hub
	server     *api.Server
}

func newApp(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *app, err error) {
	a := &app{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.gate, err = auth.Open(cfg.Data, cfg.NoAuth); err != nil {
		return nil, err
	}
	// The library tells of every compaction; only what goes wrong is news here.
	quiet := slog.New(above{log.Handler(), slog.LevelWarn})
	interval := time.Duration(cfg.Interval)
	if a.samples, err = metric.Open(filepath.Join(cfg.Data, "metrics"), metric.Options{
		Retention: time.Duration(cfg.Retention.Metrics.Time), Size: int64(cfg.Retention.Metrics.Size), OutOfOrder: time.Hour, Log: quiet,
	}); err != nil {
		return nil, err
	}
	store, err := event.Open(event.Options{
		Dir:           filepath.Join(cfg.Data, "events"),
		RetentionTime: time.Duration(cfg.Retention.Events.Time), RetentionSize: int64(cfg.Retention.Events.Size), Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.eventStore = store
	a.engine = query.New(a.samples.Queryable(), interval, quiet)
	if a.discovery, err = discover.New(discover.Options{
		Engines: []discover.EngineConfig{{Name: "local", Address: cfg.Docker.Host}}, Host: cfg.Host, DataDir: cfg.Data, Log: log,
	}); err != nil {
		return nil, err
	}
	a.pipeline = pipeline.New(log, pipeline.Outlet{Name: "metric", Store: a.samples})
	a.events = pipeline.NewEvents(a.eventStore, log)
	current := query.NewCurrent(a.pipeline)

	all, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	own := slices.Concat(a.pipeline.Own(), a.events.Own(), a.samples.Own(), store.Own(), a.discovery.Own())
	a.supervisor = attach.New(attach.Options{
		Kinds:  all.Sources,
		Source: tallyman.SourceOptions{Log: log, Proc: hostPath("/proc"), Cgroup: hostPath("/sys/fs/cgroup"), Memory: hostMemory(), Started: time.Now(), Own: own},
		Sink:   a.pipeline, Host: cfg.Host, Interval: interval, LiveInterval: time.Duration(cfg.LiveInterval),
		ContainerLabels: cfg.Labels.Allow, Log: log,
	})
	service, err := rest.New(ctx, rest.Options{
		Inventory: a.discovery, Events: a.eventStore, Current: current, Query: a.engine, Absences: a.supervisor.Absences,
		Fresh: a.supervisor.Fresh, Interval: interval, Version: release, Auth: !cfg.NoAuth, Log: log,
	})
	if err != nil {
		return nil, err
	}
	a.hub = live.New(service, current, a.supervisor)
	for _, o := range []tallyman.Observer{a.events, service, a.supervisor, a.hub} {
		a.discovery.Observe(o)
	}
	metrics := all.Metrics()
	for _, m := range append(own, a.supervisor.Own()...) {
		metrics[m.Desc.Name] = m.Desc
	}
	promAPI := prom.New(prom.Options{Query: a.engine, Readings: a.pipeline, Fresh: a.supervisor.Fresh, Metrics: metrics, Log: log})
	routes := slices.Concat(service.Routes(), a.hub.Routes(), promAPI.Routes())
	a.server, err = api.New(api.Options{
		Gate: a.gate, Files: web.Files(), Routes: routes, Ready: a.ready, Host: cfg.Host, AllowedHosts: cfg.AllowedHosts, Version: release, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// run starts everything, prints where the page is, and waits for ctx.
func (a *app) run(ctx context.Context, listener net.Listener, out io.Writer) error {
	// What stores comes down after what produces.
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	work, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	var producers, keepers sync.WaitGroup
	failed := make(chan error, 8)
	start := func(wg *sync.WaitGroup, ctx context.Context, name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	a.events.ObserveEvent(a.startEvent(time.Now()))
	start(&keepers, keep, "pipeline", a.pipeline.Run)
	start(&keepers, keep, "events", a.events.Run)
	start(&producers, work, "attach", a.supervisor.Run)
	start(&producers, work, "discover", a.discovery.Run)
	start(&producers, work, "http", func(ctx context.Context) error { return a.server.Serve(ctx, listener) })

	var err error
	if _, err = fmt.Fprintln(out, a.link(listener.Addr())); err == nil {
		if a.cfg.NoAuth {
			a.log.Warn("there is no login: everybody who reaches the port sees everything", "listen", a.cfg.Listen)
		} else {
			fmt.Fprintf(out, "The link is good once, for ten minutes. Programs send the token in %s.\n", a.gate.TokenFile())
		}
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	a.hub.Close()
	stopWorking()
	producers.Wait()
	stopKeeping()
	keepers.Wait()
	for {
		select {
		case e := <-failed:
			err = errors.Join(err, e)
		default:
			return err
		}
	}
}

// startEvent tells that tallyman has started, and since when it was away, so
// that a hole in the history has its reason.
func (a *app) startEvent(now time.Time) tallyman.Event {
	e := tallyman.Event{ID: fmt.Sprintf("tallyman-start-%d", now.UnixNano()), Time: now, Host: a.cfg.Host,
		Type: "tallyman", Action: "start", Attributes: map[string]string{"version": release}}
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

// hostPath is where the host's path p is: under /host in a container that has
// it mounted there, else where it always is.
func hostPath(p string) string {
	if _, err := os.Stat("/host" + p); err == nil {
		return "/host" + p
	}
	return p
}

// hostMemory is the host's physical memory in bytes, 0 when it cannot be read.
func hostMemory() uint64 {
	fs, err := procfs.NewFS(hostPath("/proc"))
	if err != nil {
		return 0
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemTotalBytes == nil {
		return 0
	}
	return *m.MemTotalBytes
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
