// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"

	"tallyman"
	"tallyman/attach"
	"tallyman/catalog"
	"tallyman/config"
	"tallyman/internal/logrule"
	"tallyman/source/containerlog"
	"tallyman/source/enginelog"
	"tallyman/source/hostlog"
	"tallyman/source/journald"
)

// ownOptions are the options of every kind that has some, by name: what the
// settings of logs make of them, or else the defaults, and what is set of the kind
// itself.
func ownOptions(cfg config.Config, all catalog.Catalog, logs map[string]any) (map[string]any, error) {
	own := map[string]any{}
	for _, k := range all.Sources {
		if k.Options != nil {
			own[k.Name] = k.Options
		}
	}
	for _, k := range all.Records {
		if k.Options != nil {
			own[k.Name] = k.Options
		}
	}
	maps.Copy(own, logs)
	var err error
	var names []string
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if own[name], err = cfg.Sources.Own(name, own[name]); err != nil {
			return nil, err
		}
		if len(config.Options(own[name])) > 0 {
			names = append(names, name)
		}
	}
	return own, cfg.Sources.Known(names)
}

// logOptions are the options of the sources that settings of logs speak of, with
// the rules that they all follow.
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
		"journald":     journald.Options{Via: journald.Auto, Units: logs.Journal.Units, Directory: logs.Journal.Directory, Unit: book.Unit, Rules: book.Container},
	}, book, nil
}

// readers makes the sources of records: those of logs if they are to be kept, the others
// in any case.
func (a *app) readers(kinds []tallyman.RecordKind, own map[string]any, book *logrule.Book, look bool) *attach.Records {
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
	return r
}
