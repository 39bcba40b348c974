// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/api/loki"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/internal/fsx"
	"tallyman/internal/httpx"
	"tallyman/pipeline"
	"tallyman/query/logql"
	"tallyman/store/event"
	"tallyman/store/record"
)

// openRecords opens the store of records, which has the events too.
func (a *app) openRecords(space *fsx.Space, log *slog.Logger) (err error) {
	class := func(name string, l config.Limits) record.Class {
		return record.Class{Name: name, RetentionTime: unlimited(time.Duration(l.Time)), RetentionSize: int64(unlimited(time.Duration(l.Size)))}
	}
	events := class("event", a.cfg.Retention.Events)
	events.Match, events.Precious = record.MatchSource(tallyman.PreciousSources()...), true
	a.records, err = record.Open(record.Options{
		Dir: filepath.Join(a.cfg.Data, "records"), Space: space, Log: log,
		Classes: []record.Class{events, class("log", a.cfg.Retention.Logs)}, Shares: shares(a.cfg.Limits.Streams),
		StreamMemory: streamMemory(a.cfg.Limits.Streams, a.machine.Limit),
	})
	if err != nil {
		return err
	}
	a.add(part{name: "store of records", metrics: a.records.SelfMetrics(), close: a.records.Close})
	a.logs = logql.New(a.records, logql.Options{})
	a.intake = pipeline.NewRecords(a.records, a.log)
	a.pushes = a.intake.Intake("push")
	a.eventStore, err = event.Open(event.Options{Records: eventRecords{a.intake.Intake("event"), a.records}, Old: filepath.Join(a.cfg.Data, "events"), Log: a.log})
	if err != nil {
		return err
	}
	a.add(part{name: "store of events", metrics: a.eventStore.SelfMetrics(), close: a.eventStore.Close})
	return nil
}

// shares are how many streams each kind of source may have, and the settings that
// say so.
func shares(limits config.Streams) []record.Share {
	return []record.Share{
		{Name: "containers", Sources: []string{tallyman.SourceContainer}, Streams: limits.Containers},
		{Name: "events", Sources: append(tallyman.PreciousSources(), tallyman.SourceInventory), Streams: limits.Events},
		{Name: "files", Sources: []string{tallyman.SourceFile, tallyman.SourceJournal}, Streams: limits.Files},
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

// unlimited is the store's word for a limit of 0, which is none.
func unlimited(limit time.Duration) time.Duration {
	if limit == 0 {
		return 1<<63 - 1
	}
	return limit
}

// recordsStatus tells the doctor of the classes of the records; the log that is written first
// counts as logs' where there are any.
func (a *app) recordsStatus() []doctor.StoreStatus {
	keeper := func(name, class string, l config.Limits, size func() int64) doctor.StoreStatus {
		return doctor.StoreStatus{Name: name, Retention: time.Duration(l.Time), Limit: int64(l.Size), Size: size,
			Oldest: func() time.Time { return a.records.Oldest(class) }, Newest: func() time.Time { return a.records.Newest(class) }}
	}
	limits := a.cfg.Retention
	if !a.cfg.Keep.Logs {
		return []doctor.StoreStatus{keeper("events", "event", limits.Events, a.records.Size)}
	}
	return []doctor.StoreStatus{
		keeper("logs", "log", limits.Logs, func() int64 { return a.records.Size() - a.records.ClassSize("event") }),
		keeper("events", "event", limits.Events, func() int64 { return a.records.ClassSize("event") }),
	}
}

// lokiRoutes are Loki's HTTP API over the records.
func (a *app) lokiRoutes() []httpx.Route {
	o := loki.Options{Store: a.records, Engine: a.logs, Tailer: a.records, Log: a.log.With("api", "loki")}
	if a.cfg.Logs.Push {
		o.Push = func(_ context.Context, b *tallyman.RecordBatch) error { return a.pushes.AppendRecords(b) }
		o.Reserved = slices.Concat(tallyman.PreciousSources(), []string{tallyman.SourceContainer, tallyman.SourceFile, tallyman.SourceJournal, tallyman.SourceInventory})
	}
	if a.receive != nil {
		o.Agents = a.receive
	}
	return loki.New(o).Routes()
}
