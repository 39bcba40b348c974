// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/api/loki"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/internal/fsx"
	"tallyman/internal/httpx"
	"tallyman/internal/logrule"
	"tallyman/pipeline"
	"tallyman/query/logql"
	"tallyman/source/containerlog"
	"tallyman/source/enginelog"
	"tallyman/source/hostlog"
	"tallyman/source/journald"
	"tallyman/source/snapshot"
	"tallyman/store/event"
	"tallyman/store/record"
)

// precious are the sources of records that are kept longer and go last.
var precious = []string{"event", "snapshot", "alarm", "audit"}

// openRecords opens the store of records, which has the events, and makes what
// fills it with logs, if those are to be kept.
func (a *app) openRecords(space *fsx.Space, log *slog.Logger) (err error) {
	class := func(name string, l config.Limits) record.Class {
		return record.Class{Name: name, RetentionTime: unlimited(time.Duration(l.Time)), RetentionSize: int64(unlimited(time.Duration(l.Size)))}
	}
	events := class("event", a.cfg.Retention.Events)
	events.Match, events.Precious = record.MatchSource(precious...), true
	a.records, err = record.Open(record.Options{
		Dir: filepath.Join(a.cfg.Data, "records"), Space: space, Log: log,
		Classes: []record.Class{events, class("log", a.cfg.Retention.Logs)}, Shares: shares(a.cfg.Limits.Streams),
		StreamMemory: streamMemory(a.cfg.Limits.Streams, a.place.Limit),
	})
	if err != nil {
		return err
	}
	a.intake = pipeline.NewRecords(a.records, a.log)
	a.pushes = a.intake.Intake("push")
	if a.eventStore, err = event.Open(event.Options{Records: eventRecords{a.intake.Intake("event"), a.records}, Old: filepath.Join(a.cfg.Data, "events"), Log: a.log}); err != nil {
		return err
	}
	if !a.cfg.Keep.Logs {
		return nil
	}
	rules, err := a.cfg.LogRules()
	if err != nil {
		return err
	}
	a.rules = logrule.NewBook(rules)
	a.logs = containerlog.New(containerlog.Options{Records: a.intake.Intake("containerlog"), Path: a.place.path, Backlog: int64(a.cfg.Logs.Backlog), Rules: a.rules.Container,
		Log: a.log.With("source", "containerlog")})
	return nil
}

// shares are how many streams each kind of source may have, and the settings that
// say so.
func shares(limits config.Streams) []record.Share {
	return []record.Share{
		{Name: "containers", Sources: []string{"container"}, Streams: limits.Containers},
		{Name: "events", Sources: precious, Streams: limits.Events},
		{Name: "files", Sources: []string{"file", "journal"}, Streams: limits.Files},
		{Name: "pushes", Streams: limits.Pushes},
	}
}

// streamMemory is what streams may take: of little memory no more than a quarter.
func streamMemory(limits config.Streams, own uint64) int64 {
	if own > 0 {
		return min(int64(limits.Memory), int64(own/4))
	}
	return int64(limits.Memory)
}

// streamShares tell the doctor how full the shares of streams are.
func (a *app) streamShares() (out []doctor.Share) {
	for _, s := range a.records.Shares() {
		out = append(out, doctor.Share{Name: s.Name, Streams: s.Streams, Limit: s.Limit, Memory: s.Memory, MemoryLimit: s.MemoryLimit,
			Overflowed: s.Overflowed, Since: s.Since, Setting: "limits.streams." + s.Name})
	}
	return out
}

// eventRecords is the way of events into the record store, and back.
type eventRecords struct {
	*pipeline.Intake
	tallyman.RecordReader
}

// openFileLogs makes what reads plain files: those of the host, and those inside
// of the containers of engines on this machine.
func (a *app) openFileLogs(endpoints []config.Endpoint) error {
	if a.logs == nil {
		return nil
	}
	files, err := a.cfg.HostLogs()
	if err != nil {
		return err
	}
	o := hostlog.Options{Records: a.intake.Intake("hostlog"), Host: a.cfg.Host, Root: a.place.below, Proc: a.place.Proc, Rules: a.rules.Container,
		Local: func(engine string) bool {
			return slices.ContainsFunc(endpoints, func(e config.Endpoint) bool { return e.Name == engine && !strings.HasPrefix(e.Address, "tcp://") })
		},
		Backlog: int64(a.cfg.Logs.Backlog), Log: a.log.With("source", "hostlog")}
	for _, f := range files {
		o.Files = append(o.Files, hostlog.Files{Pattern: f.Pattern, Rule: a.rules.Own(f.Rule)})
	}
	a.fileLogs = hostlog.New(o)
	return nil
}

// newSnapshots makes what keeps the configurations of containers.
func (a *app) newSnapshots() (*snapshot.Source, error) {
	key, err := snapshot.Key(filepath.Join(a.cfg.Data, "snapshot.key"))
	if err != nil {
		a.log.Warn("values of variables may look changed once", "err", err)
	}
	return snapshot.New(snapshot.Options{
		Records: a.intake.Intake("snapshot"), Stored: a.records, Container: a.discovery.EngineDocument, Image: a.discovery.EngineImage, Key: key, Log: a.log,
		Emit: a.bus.ObserveEvent,
	})
}

// unlimited is the store's word for a limit of 0, which is none.
func unlimited(limit time.Duration) time.Duration {
	if limit == 0 {
		return 1<<63 - 1
	}
	return limit
}

func (a *app) recordsOwn() []tallyman.SelfMetric {
	own := slices.Concat(a.records.SelfMetrics(), a.intake.SelfMetrics(), a.eventStore.SelfMetrics())
	if a.logs != nil {
		own = append(append(own, a.logs.SelfMetrics()...), a.rules.Metrics()...)
	}
	if a.fileLogs != nil {
		own = append(append(own, a.fileLogs.SelfMetrics()...), a.journal.SelfMetrics()...)
	}
	if a.engineLogs != nil {
		own = append(own, a.engineLogs.SelfMetrics()...)
	}
	return own
}

// recordsKeeper are the classes of the records; the log that is written first
// counts as logs' where there are any.
func (a *app) recordsKeeper() []doctor.StoreStatus {
	keeper := func(name, class string, l config.Limits, size func() int64) doctor.StoreStatus {
		return doctor.StoreStatus{Name: name, Retention: time.Duration(l.Time), Limit: int64(l.Size), Size: size,
			Oldest: func() time.Time { return a.records.Oldest(class) }, Newest: func() time.Time { return a.records.Newest(class) }}
	}
	limits := a.cfg.Retention
	if a.logs == nil {
		return []doctor.StoreStatus{keeper("events", "event", limits.Events, a.records.Size)}
	}
	return []doctor.StoreStatus{
		keeper("logs", "log", limits.Logs, func() int64 { return a.records.Size() - a.records.ClassSize("event") }),
		keeper("events", "event", limits.Events, func() int64 { return a.records.ClassSize("event") }),
	}
}

// lokiRoutes are Loki's HTTP API over the records.
func (a *app) lokiRoutes() []httpx.Route {
	o := loki.Options{Store: a.records, Engine: logql.New(a.records, logql.Options{}), Tailer: a.records, Log: a.log.With("api", "loki")}
	if a.cfg.Logs.Push {
		o.Push = func(_ context.Context, b *tallyman.RecordBatch) error { return a.pushes.AppendRecords(b) }
		o.Reserved = slices.Concat(precious, []string{"container", "file", "journal"})
	}
	return loki.New(o).Routes()
}

// openJournal makes what reads systemd's journal, which has the logs of
// containers with the log driver journald, too.
func (a *app) openJournal() {
	if a.logs == nil {
		return
	}
	dir := a.cfg.Logs.Journal.Directory
	for _, at := range []string{"/var/log/journal", "/run/log/journal"} {
		if dir == "" && a.place.Container {
			dir = a.place.path(at)
		}
	}
	a.journal = journald.New(journald.Options{
		Records: a.intake.Intake("journald"), Host: a.cfg.Host, Units: a.cfg.Logs.Journal.Units, Directory: dir, Image: a.place.Container, Unit: a.rules.Unit, Rules: a.rules.Container,
		Log: a.log.With("source", "journald"),
		Container: func(id string) (c *tallyman.Container, elsewhere, known bool) {
			c, ok := a.discovery.Container(id)
			if !ok {
				return nil, false, a.ready() == nil
			}
			if c.State == tallyman.Gone || c.Disabled {
				return c, c.Disabled, true
			}
			elsewhere, known = a.logs.Reads(id)
			return c, elsewhere || a.engineLogs.Reads(id), known
		},
	})
}

// byJournal reports whether the log of a container comes from the journal.
func (a *app) byJournal(id string) bool {
	c, ok := a.discovery.Container(id)
	return ok && c.LogDriver == containerlog.Journald && a.journal.Active()
}

// openEngineLogs makes what follows logs through the engines, for those whose
// files are not here. It comes after discovery.
func (a *app) openEngineLogs() {
	if a.logs == nil {
		return
	}
	a.engineLogs = enginelog.New(enginelog.Options{
		Records: a.intake.Intake("enginelog"), Open: a.discovery.EngineLogs, Rules: a.rules.Container, Log: a.log.With("source", "enginelog"),
		Wants: func(c *tallyman.Container) (wants, known bool) {
			wants = !a.byJournal(c.ID) && slices.ContainsFunc(a.logs.Absences(c.ID), func(x tallyman.Absence) bool { return x.Code == tallyman.Elsewhere })
			_, known = a.logs.Reads(c.ID)
			return wants, known
		},
	})
}

// absences are what cannot be known of a target: its numbers and its log.
func (a *app) absences(id string) []tallyman.Absence {
	out := a.supervisor.Absences(id)
	if a.logs == nil {
		return out
	}
	if id == a.cfg.Host {
		return slices.Concat(out, a.fileLogs.Absences(""), a.journal.Absences())
	}
	out = slices.Concat(out, a.fileLogs.Absences(id))
	if a.byJournal(id) {
		return slices.DeleteFunc(slices.Concat(out, a.logs.Absences(id)), func(x tallyman.Absence) bool { return x.Code == tallyman.Elsewhere })
	}
	for _, x := range slices.Concat(a.logs.Absences(id), a.engineLogs.Absences(id)) {
		if x.Code == tallyman.Elsewhere && a.engineLogs.Follows(id) {
			x.Reason = "It comes through the engine's API, which is best effort: lines may be missing or twice where the engine rotates it. " + x.Reason
		}
		out = append(out, x)
	}
	return out
}
