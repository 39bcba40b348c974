// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"tallyman"
	"tallyman/attach"
	"tallyman/internal/logrule"
	"tallyman/source/containerlog"
	"tallyman/source/diskusage"
	"tallyman/source/enginelog"
	"tallyman/source/hostlog"
	"tallyman/source/journald"
)

// ownOptions are the options of sources of samples that settings speak of, by name.
func (a *app) ownOptions() map[string]any {
	return map[string]any{"diskusage": diskusage.Options{Every: time.Duration(a.cfg.DiskUsage)}}
}

// logOptions are the same of sources of records, with the rules that they all follow.
func (a *app) logOptions() (own map[string]any, book *logrule.Book, err error) {
	rules, err := a.cfg.LogRules()
	if err != nil {
		return nil, nil, err
	}
	files, err := a.cfg.HostLogs()
	if err != nil {
		return nil, nil, err
	}
	book = logrule.NewBook(rules)
	logs, backlog := a.cfg.Logs, int64(a.cfg.Logs.Backlog)
	plain := hostlog.Options{Rules: book.Container, Backlog: backlog}
	for _, f := range files {
		plain.Files = append(plain.Files, hostlog.Files{Pattern: f.Pattern, Rule: book.Own(f.Rule)})
	}
	return map[string]any{
		"containerlog": containerlog.Options{Rules: book.Container, Backlog: backlog},
		"enginelog":    enginelog.Options{Rules: book.Container},
		"hostlog":      plain,
		"journald":     journald.Options{Units: logs.Journal.Units, Directory: logs.Journal.Directory, Unit: book.Unit, Rules: book.Container},
	}, book, nil
}

// readers makes the sources of records: those of logs if they are to be kept, the others
// in any case.
func (a *app) readers(kinds []tallyman.RecordKind, look bool) (*attach.Records, error) {
	own, book, err := a.logOptions()
	if err != nil {
		return nil, err
	}
	if !a.cfg.Keep.Logs {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k tallyman.RecordKind) bool {
			return !slices.Contains(tallyman.PreciousSources(), k.Sources[0])
		})
	}
	r := attach.NewRecords(attach.RecordsOptions{
		Kinds: kinds, Own: own, Inventory: a.discovery, Listed: func() bool { return a.ready() == nil }, Log: a.log,
		Intake: func(source string) tallyman.RecordIntake { return a.intake.Intake(source) },
		Source: tallyman.RecordOptions{Host: a.cfg.Host, InContainer: a.machine.Container, Proc: a.machine.Proc, Path: a.machine.Path, Below: a.machine.Below,
			Data: a.cfg.Data, Stored: a.records, Emit: a.bus.ObserveEvent, Engines: a.discovery},
	})
	p := part{name: "sources of records", run: r.Run, metrics: slices.Concat(a.intake.SelfMetrics(), r.SelfMetrics()), absences: r.Absences}
	if a.cfg.Keep.Logs {
		p.metrics = append(p.metrics, book.Metrics()...)
	}
	if look {
		p.run = r.Look
	}
	a.add(p)
	return r, nil
}
